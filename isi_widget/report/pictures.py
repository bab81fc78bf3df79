"""Small JPEGs of stimuli for pages that must stay light. The model is shown the full picture, never
these.
"""

from __future__ import annotations

import base64
import io

from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus


def thumbnail(stimulus: Stimulus, longest: int = 320, quality: int = 85) -> bytes:
    """Return the rendered stimulus as JPEG, at most `longest` pixels on its longer side; never enlarged."""
    if longest < 1:
        raise InputError(f"longest must be at least 1 pixel; got {longest}.")
    image = stimulus.render()
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
