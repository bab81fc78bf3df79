"""Floor 2, models that meet stimuli: loading, families, prompts, decoding, servers. See docs/vlm.md.

Every name is imported on first use, so that `protocol` can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isi_widget.vlm.check import CheckReport, CheckRow, check_vlm
    from isi_widget.vlm.decoding.answers import AttendedAnswer
    from isi_widget.vlm.decoding.loop import Prefill
    from isi_widget.vlm.families import Family, register_family, supported_families
    from isi_widget.vlm.loading import load_vlm
    from isi_widget.vlm.loading.checkpoints import Checkpoint, models
    from isi_widget.vlm.model import VLM
    from isi_widget.vlm.prompts.prompt import Prompt
    from isi_widget.vlm.protocol import VLMLike

# Name -> the module in this folder that defines it.
_HOMES = {
    "VLM": "model",
    "AttendedAnswer": "decoding.answers",
    "CheckReport": "check",
    "CheckRow": "check",
    "Checkpoint": "loading.checkpoints",
    "Family": "families",
    "Prefill": "decoding.loop",
    "Prompt": "prompts.prompt",
    "VLMLike": "protocol",
    "check_vlm": "check",
    "load_vlm": "loading",
    "models": "loading.checkpoints",
    "register_family": "families",
    "supported_families": "families",
}

__all__ = [
    "VLM",
    "AttendedAnswer",
    "CheckReport",
    "CheckRow",
    "Checkpoint",
    "Family",
    "Prefill",
    "Prompt",
    "VLMLike",
    "check_vlm",
    "load_vlm",
    "models",
    "register_family",
    "supported_families",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
