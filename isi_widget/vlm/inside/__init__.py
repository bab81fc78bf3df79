"""The inside of a language model: where things are (`sites`), what is changed (`editing`), what is recorded.

One ordered list for each forward pass: first the interventions, then the observers. Both live in one twin of
the attention function (`attention`). Nothing outlives a call.
"""

from isi_widget.vlm.inside.reference import reference_head
from isi_widget.vlm.inside.sites import Sites, sites

__all__ = ["Sites", "reference_head", "sites"]
