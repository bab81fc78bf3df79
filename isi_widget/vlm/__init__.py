"""Floor 2:

vision-language models that meet stimuli. Loading, families, prompt segments, decoding. See docs/vlm.md.
"""

from isi_widget.vlm.decoding import Prefill
from isi_widget.vlm.families import Family, register_family, supported_families
from isi_widget.vlm.loading import load_vlm
from isi_widget.vlm.model import VLM, AttendedAnswer
from isi_widget.vlm.prompt import Prompt

__all__ = [
    "VLM",
    "AttendedAnswer",
    "Family",
    "Prefill",
    "Prompt",
    "load_vlm",
    "register_family",
    "supported_families",
]
