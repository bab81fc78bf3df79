"""Floor 2, models that meet stimuli: loading, families, prompt segments, decoding. See docs/vlm.md."""

from isi_widget.vlm.check.report import CheckReport, CheckRow
from isi_widget.vlm.check.run import check_vlm
from isi_widget.vlm.decoding.answers import AttendedAnswer
from isi_widget.vlm.decoding.loop import Prefill
from isi_widget.vlm.families import Family, register_family, supported_families
from isi_widget.vlm.loading.checkpoints import Checkpoint, models
from isi_widget.vlm.loading.load import load_vlm
from isi_widget.vlm.model import VLM
from isi_widget.vlm.prompts.prompt import Prompt

__all__ = [
    "VLM",
    "AttendedAnswer",
    "CheckReport",
    "CheckRow",
    "Checkpoint",
    "Family",
    "Prefill",
    "Prompt",
    "check_vlm",
    "load_vlm",
    "models",
    "register_family",
    "supported_families",
]
