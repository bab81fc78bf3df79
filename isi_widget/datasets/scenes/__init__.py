"""Rendered 2-D scenes with a scene graph: pictures, questions with truths, contexts and annotations, all
generated from a seed. Two worlds, shapes and everyday things, are one code.

`world`: the two worlds · `graph`, `arrange`: objects and positions · `grounds`, `sprites`, `draw`: pictures ·
`ask`: questions and truths · `label_words`, `labels`: annotations · `case`: one scene with its question ·
`splits`, `graded`: the data sets · `changes`, `counterfactual`: changed scenes.
"""

from isi_widget.datasets.scenes.graded import things
from isi_widget.datasets.scenes.splits import scenes

__all__ = ["scenes", "things"]
