"""Rendered 2-D scenes with a scene graph: pictures, questions with truths, contexts and annotations, all
generated from a seed.

`graph`: objects and positions · `draw`: pictures · `ask`: questions and truths · `labels`: annotations ·
`splits`: the data sets.
"""

from isi_widget.datasets.scenes.splits import scenes

__all__ = ["scenes"]
