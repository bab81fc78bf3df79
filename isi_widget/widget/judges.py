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
from isi_widget.vlm import VLM


def checked(entailment: Entailment | str | Path | None) -> Entailment | str:
    """A name, folder or entailment model as it was given; None is "auto"."""
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
    """What the page calls it."""
    return entailment if isinstance(entailment, str) else str(entailment.name)


def offer(vlm: VLM) -> dict[str, Any]:
    """What the page can choose from: the known models, and which of them "auto" takes for a VLM."""
    scenes = vlm.is_embedded
    return {"models": list(listed()), "automatic": planned(scenes, free_memory), "free": free_memory("cpu")}
