"""What the page's panel "Inside" is made of: the shape of a model.

No traits, no threads. Not for what an intervention does (`isi_widget.vlm.inside`).
"""

from __future__ import annotations

from isi_widget.errors import InputError
from isi_widget.vlm import VLM
from isi_widget.vlm.inside.sites import sites


def shape(vlm: VLM) -> dict[str, int]:
    """Return the number of "layers" and "heads" of a model; empty where nothing inside can be changed."""
    if "interventions" in vlm.unavailable:
        return {}
    try:
        found = sites(vlm.model, vlm.family)
    except (InputError, AttributeError):  # a model behind a server has no modules, an unlisted one other ones
        return {}
    return {"layers": len(found.layers), "heads": found.heads}
