"""Floor 3: which inputs an answer drew on: by segment, over the picture. See docs/attention.md."""

from isi_widget.attribution.attention import AttentionShares, by_head, measure_attention
from isi_widget.attribution.heat import heat_layer
from isi_widget.attribution.maps import AttentionMap
from isi_widget.attribution.measuring import measure_attention_map
from isi_widget.segments import GROUPS as SEGMENTS

__all__ = [
    "SEGMENTS",
    "AttentionMap",
    "AttentionShares",
    "by_head",
    "heat_layer",
    "measure_attention",
    "measure_attention_map",
]
