"""Floor 3: which inputs an answer drew on. Attention shares so far. See docs/vlm.md."""

from isi_widget.attribution.attention import SEGMENTS, AttentionShares, measure_attention

__all__ = ["SEGMENTS", "AttentionShares", "measure_attention"]
