"""`Case`: one scene of either world with its question and contexts, before drawing.

It draws the natural and the annotated picture and becomes an `Observation`. For the cases of a split see
`splits` (plain scenes of shapes) and `graded` (both worlds, in grades of difficulty).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from PIL import Image

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar_everyday import IRRELEVANT
from isi_widget.datasets.observation import Observation
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.counterfactual import SceneGraph
from isi_widget.datasets.scenes.draw import draw_scene
from isi_widget.datasets.scenes.graph import Scene
from isi_widget.datasets.scenes.label_words import label_words
from isi_widget.datasets.scenes.labels import Label, place_labels
from isi_widget.stimulus.rendering import paint


@dataclass(frozen=True)
class Case:
    """One scene with its question, before drawing.

    Attributes
    ----------
    split : name of the split; with the index it is the name of the observation.
    index : number in its split.
    scene : the scene graph.
    item : the question with its truth.
    question : the question as worded.
    contexts : texts by preset name.
    notes : further metadata of the observation, such as the difficulty. Default none.
    """

    split: str
    index: int
    scene: Scene
    item: ask.Item
    question: str
    contexts: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)

    def picture(self) -> Image.Image:
        """Draw the natural picture."""
        return draw_scene(self.scene)

    def labels(self) -> list[Label]:
        """Return the labels of the annotated picture."""
        return place_labels(self.scene, label_words(self.scene, self.item))

    def annotated(self) -> Image.Image:
        """Draw the picture with its labels, using the package's interventions."""
        return paint(self.picture(), [drawing for label in self.labels() for drawing in label.drawings()])

    def changed(self, scene: Scene, asked: grammar.Ask, seed: str) -> Case:
        """Return the same question about a different scene, with its truth, labels and contexts there.

        Raises
        ------
        ValueError : the question cannot be asked about that scene.
        """
        item = ask.ask_again(scene, asked)
        if item is None:
            raise ValueError(f"{asked} cannot be asked about the changed scene")
        rng = random.Random(f"isi_widget scenes, changed: {seed}")
        contexts = draw_contexts(item, rng, more=bool(self.notes))
        contexts["irrelevant"] = self.contexts["irrelevant"]
        notes = dict(self.notes)
        if "nudging" in self.contexts:
            contexts["nudging"], notes["nudge"] = draw_nudge(item, rng, self.notes["nudge"]["to_truth"])
        return replace(self, scene=scene, item=item, contexts=contexts, notes=notes)

    def observation(self) -> Observation:
        """Return an observation; its images are drawn when first needed."""
        scene = self.scene
        metadata: dict[str, Any] = {
            "kind": self.item.kind,
            "about": list(self.item.about),
            "width": scene.width,
            "height": scene.height,
            "things": [thing.record() for thing in scene.things],
        }
        if self.notes:
            metadata |= {"ground": scene.ground, "texture": scene.texture, "haze": scene.haze, **self.notes}
        return Observation(
            partial(draw_scene, scene),
            self.question,
            answer=self.item.answer,
            annotated=self.annotated if label_words(scene, self.item) else None,
            contexts=self.contexts,
            level=self.item.level,
            id=f"{self.split}-{self.index:04d}",
            metadata=metadata,
            graph=SceneGraph(self),
        )


def draw_contexts(item: ask.Item, rng: random.Random, more: bool = False) -> dict[str, str]:
    """Draw one context of each kind.

    Parameters
    ----------
    more : whether everyday wordings are among them, and irrelevant ones name no thing. Default False.
    """
    return {
        "complementary": rng.choice(grammar.contexts(ask.complementary(item, rng), more)),
        "contradictory": rng.choice(grammar.contexts(ask.contradictory(item, rng), more)),
        "irrelevant": rng.choice(IRRELEVANT if more else grammar.IRRELEVANT),
    }


def draw_nudge(item: ask.Item, rng: random.Random, to_truth: bool) -> tuple[str, dict[str, Any]]:
    """Draw a context that makes the true answer or a wrong one likely, with its direction for the metadata.

    Returns
    -------
    The text, and {"to_truth": bool, "answer": the answer to which it nudges; "" if it only speaks against
    the true one}.
    """
    claim, text = ask.nudging(item, rng, to_truth)
    if item.yes is not None:
        answer = "Yes" if item.yes == to_truth else "No"
    else:
        answer = (claim.value or "").capitalize() if claim.positive else ""
    return text, {"to_truth": to_truth, "answer": answer}
