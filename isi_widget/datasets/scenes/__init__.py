"""Rendered 2-D scenes with a scene graph: pictures, questions with their truth, contexts and annotations, all
made from a seed.

`graph` what stands where · `draw` its picture · `ask` questions and truth · `labels` annotations · `splits`
the data sets.
"""

from isi_widget.datasets.scenes.splits import scenes

__all__ = ["scenes"]
