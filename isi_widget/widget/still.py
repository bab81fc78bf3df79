"""A still picture of a probe, for where no widget runs: a notebook on the web, an untrusted one, a print.

Not for figures that one publishes: `Trial.plot` makes those.
"""

from __future__ import annotations

import io

from PIL import Image

from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial
from isi_widget.widget.preview import reduced

_SIDE = 480  # pixels: each display of a probe stores one such picture in the notebook


def still_picture(stimulus: Stimulus, trial: Trial | None) -> bytes:
    """PNG of the trial's figure if it belongs to `stimulus`, else of the stimulus alone."""
    out = io.BytesIO()
    if trial is not None and trial.stimulus.key == stimulus.key:
        figure = trial.plot()
        figure.savefig(out, format="png", dpi=72, bbox_inches="tight")
        figure.clear()
    else:
        small = reduced(stimulus.render(), _SIDE)
        small.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(out, "PNG", optimize=True)
    return out.getvalue()
