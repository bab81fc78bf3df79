"""Whether a VLM computes what Hugging Face's own plain path computes, in one table."""

from isi_widget.vlm.check.report import CheckReport, CheckRow
from isi_widget.vlm.check.run import check_vlm

__all__ = ["CheckReport", "CheckRow", "check_vlm"]
