"""Robustness: pictures and wordings that differ from the plain ones in one way each.

Each trait is measured on its own clear scenes of both worlds, drawn from seeds that no training uses, with an
equal number of questions of every kind. `drawn elsewhere` paints the scenes by other code than `draw_scene`,
in the named colours of the web.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFilter

from isi_widget.datasets import grammar
from isi_widget.datasets.nouns import SHAPES
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.draw import draw_scene, outline
from isi_widget.datasets.scenes.graph import Scene, Thing
from isi_widget.datasets.scenes.grounds import draw_ground
from isi_widget.datasets.scenes.sprites import glyph
from isi_widget.datasets.scenes.world import World
from isi_widget.datasets.typing_habits import as_typed

Painter = Callable[[Scene], Image.Image]
Typist = Callable[[str, random.Random], str]


@dataclass(frozen=True)
class Trait:
    """One way in which pictures or questions differ.

    Attributes
    ----------
    plan : changes of the plan of the scene.
    paint : drawing of the scene; default as in the data sets.
    typed : change of the question's text; default none.
    wording : "plain", "everyday" or "unseen" (no training has used these).
    """

    name: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    paint: Painter = draw_scene
    typed: Typist = lambda text, rng: text
    wording: str = "plain"


@dataclass(frozen=True)
class Probe:
    """One picture with one question."""

    picture: Image.Image
    question: str
    item: ask.Item


def probe(world: World, trait: Trait, index: int) -> Probe:
    """Return number `index` of a trait; the kinds of questions take turns."""
    rng = random.Random(f"robust {world.name} {trait.name} {index}")
    kind = world.kinds[index % len(world.kinds)]
    while True:
        plan = Plan(
            **{"count": rng.randint(2, 5), "grounds": ("paper", "plain"), "turned": 0.0, **trait.plan}
        )
        scene = arrange(rng, world, plan)
        item = ask.ask_about(scene, kind, rng, margin=0.15) if len(scene.things) > 1 else None
        if item is not None:
            break
    phrase = _wording(grammar.questions(item.ask), trait.wording, rng)
    return Probe(trait.paint(scene), trait.typed(phrase.text, rng), item)


def _wording(phrases: tuple[grammar.Phrase, ...], wording: str, rng: random.Random) -> grammar.Phrase:
    spoken = [phrase for phrase in phrases if phrase.spoken]
    fitting = {
        "plain": [phrase for phrase in spoken if not phrase.everyday],
        "everyday": [phrase for phrase in spoken if phrase.everyday],
        "unseen": [phrase for phrase in phrases if not phrase.spoken],
    }[wording]
    return rng.choice(fitting or spoken)


def jpeg(scene: Scene) -> Image.Image:
    """Draw a scene and send it through JPEG of low quality."""
    file = io.BytesIO()
    draw_scene(scene).save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def blurred(scene: Scene) -> Image.Image:
    """Draw a scene and blur it a little."""
    return draw_scene(scene).filter(ImageFilter.GaussianBlur(2 * scene.unit))


_WEB: Final = {
    "red": "red",
    "orange": "orange",
    "yellow": "yellow",
    "green": "green",
    "blue": "blue",
    "purple": "purple",
    "pink": "hotpink",
    "brown": "saddlebrown",
}


def drawn_elsewhere(scene: Scene) -> Image.Image:
    """Draw a scene as somebody else may: web colours, hard edges, sometimes a black outline."""
    picture = draw_ground(scene.ground, scene.texture, scene.width, scene.height)
    pen = ImageDraw.Draw(picture)
    edge = (None, "black")[scene.texture % 2]
    for thing in scene.things:
        if thing.shape in SHAPES:
            _draw_shape(pen, thing, edge, max(1, round(2 * scene.unit)))
        else:
            art = glyph(thing.shape, thing.colour, thing.mirrored)
            factor = 2 * thing.radius / max(art.size)
            size = (max(1, round(art.width * factor)), max(1, round(art.height * factor)))
            small = art.resize(size, Image.Resampling.NEAREST)
            picture.paste(small, (thing.x - small.width // 2, thing.y - small.height // 2), small)
    return picture


def _draw_shape(pen: ImageDraw.ImageDraw, thing: Thing, edge: str | None, width: int) -> None:
    fill, r = _WEB[thing.colour], thing.radius
    box = (thing.x - r, thing.y - r, thing.x + r, thing.y + r)
    if thing.shape == "circle":
        pen.ellipse(box, fill, edge, width)
    elif thing.shape == "ring":
        pen.ellipse(box, None, fill, max(2, round(0.4 * r)))
    else:
        turn = math.radians(thing.angle)
        cos, sin = math.cos(turn), math.sin(turn)
        corners = [
            (thing.x + r * (x * cos - y * sin), thing.y + r * (x * sin + y * cos))
            for x, y in outline(thing.shape)
        ]
        pen.polygon(corners, fill, edge, width)


def _unmarked(text: str, _: random.Random) -> str:
    return text.rstrip("?.")


TRAITS: Final = (
    Trait("plain"),
    Trait("upper case", typed=lambda text, _: text.upper()),
    Trait("lower case", typed=lambda text, _: text.lower()),
    Trait("no question mark", typed=_unmarked),
    Trait("as people type", typed=lambda text, rng: as_typed(text, rng, 0.5)),
    Trait("everyday wordings", wording="everyday"),
    Trait("wordings not in training", wording="unseen"),
    Trait("any ground", {"grounds": None}),
    Trait("plain dark or light ground", {"grounds": ("plain",)}),
    Trait("gradients", {"grounds": ("gradient",)}),
    Trait("textures", {"grounds": ("clouds", "grain", "stripes", "checks", "dots")}),
    Trait("places", {"grounds": ("table", "room", "meadow", "street", "water")}),
    Trait("turned by any angle", {"turned": 1.0}),
    Trait("tiny", {"radii": (11, 18)}),
    Trait("huge", {"radii": (90, 150), "count": 2}),
    Trait("wide or high pictures", {"canvas": (900, 300)}),
    Trait("small pictures", {"canvas": (160, 160)}),
    Trait("large pictures", {"canvas": (1200, 900)}),
    Trait("low contrast", {"haze": (0.5, 0.65)}),
    Trait("half hidden", {"hidden": 0.55, "crowd": 0.6, "count": 5}),
    Trait("JPEG of quality 30", paint=jpeg),
    Trait("blurred", paint=blurred),
    Trait("drawn elsewhere", {"grounds": None}, paint=drawn_elsewhere, wording="everyday"),
)
