"""Which entailment model a probe has compare the meanings, and the list of those that the page offers.

Not for choosing or loading one (`isi_widget.uncertainty.judges`), nor for threads (`controller.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.pretrained.machine import free_memory
from isi_widget.uncertainty.judge import Entailment
from isi_widget.uncertainty.judges import AUTO, check_name, listed, planned
from isi_widget.vlm.protocol import VLMLike


def checked(entailment: Entailment | str | Path | None) -> Entailment | str:
    """Return the given name, folder or entailment model; None becomes "auto"."""
    check_name(entailment)
    if entailment is None:
        return AUTO
    name = str(entailment).strip() if isinstance(entailment, str | Path) else entailment
    if name == "":
        raise InputError(
            "An entailment model needs a name: 'auto', one on the hub ('owner/model'), or a folder."
        )
    return name


def name_of(entailment: Entailment | str) -> str:
    """Return its name on the page."""
    return entailment if isinstance(entailment, str) else str(entailment.name)


def offer(vlm: VLMLike) -> dict[str, Any]:
    """Return the choices on the page: the known models, and the one that "auto" uses for a VLM."""
    scenes = vlm.is_embedded
    return {"models": list(listed()), "automatic": planned(scenes, free_memory), "free": free_memory("cpu")}
