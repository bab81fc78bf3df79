"""Training pictures of both worlds: scenes with interventions, reduced as the image processor does it.

Interventions are the package's own (`isi_widget.stimulus.drawing`), painted at full size before the
reduction. Nothing is cached: a picture takes some milliseconds and is reproducible from its seed.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget.datasets.grammar import COLOURS, SHAPES, Noun
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.draw import draw_scene
from isi_widget.datasets.scenes.graph import Repeat, Scene, Thing, sample_scene
from isi_widget.datasets.scenes.labels import Label, place_labels
from isi_widget.datasets.scenes.palette import RGB
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, World
from isi_widget.stimulus.drawing import Arrow, Box, Drawing, Text
from isi_widget.training.vlm.build import SIDE
from isi_widget.training.vlm.targets import WORDS

#: Both worlds in one picture, only for learning to see.
_MIXED: Final = replace(
    THING_WORLD, name="mixed", nouns=(*SHAPE_WORLD.nouns, *THING_WORLD.nouns), grounds=SHAPE_WORLD.grounds
)
#: Pictures hardly larger than what the model sees, beside those of the worlds: they are drawn much faster.
_CANVASES: Final = (
    *((192, 192), (240, 240), (240, 240), (288, 216), (216, 288), (300, 200), (200, 300), (256, 256)),
    *((320, 240), (240, 320), (384, 384), (320, 160), (160, 320)),
)
#: Colours as other programs draw them, beside our own.
_PAINTS: Final = {
    "red": ((255, 0, 0), (200, 30, 30), (220, 20, 60), (178, 34, 34)),
    "orange": ((255, 165, 0), (255, 140, 0), (240, 130, 40)),
    "yellow": ((255, 255, 0), (255, 220, 0), (240, 230, 90)),
    "green": ((0, 128, 0), (0, 200, 0), (34, 139, 34), (60, 179, 113), (0, 255, 0)),
    "blue": ((0, 0, 255), (30, 100, 255), (65, 105, 225), (20, 40, 160)),
    "purple": ((128, 0, 128), (148, 0, 211), (106, 60, 160)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 150, 180)),
    "brown": ((139, 69, 19), (101, 67, 33), (160, 82, 45)),
}
_COUNTS: Final = (1, 2, 3, 3, 4, 4, 5, 5, 5)  # numbers of things: counts from one to five equally often


@dataclass(frozen=True)
class Doubt:
    """Another look that a thing may have: class ids by property, and the chance of its true look."""

    instead: Mapping[str, int]
    truth: float


@dataclass(frozen=True)
class Ghost:
    """A thing that might be at a place but is not: class ids by property, and its chance."""

    classes: Mapping[str, int]
    at: tuple[float, float]
    presence: float


@dataclass
class View:
    """A scene with drawings on it.

    Attributes
    ----------
    covered : indices of things under a box.
    labels : words and digits with arrows.
    drawings : drawings on the scene, in order.
    noise : standard deviation of Gaussian noise, added last, intensity scale 0 to 1.
    quality : JPEG quality, 0 for none.
    blank : True for a picture without content.
    joined : whether what the labels of a covered thing say is also written at the thing itself.
    doubts, presence, ghosts : open points of a picture; only for the oracle, which draws no picture.
    """

    scene: Scene
    covered: set[int] = field(default_factory=set)
    labels: list[Label] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    noise: float = 0.0
    quality: int = 0
    blank: bool = False
    joined: bool = True
    doubts: dict[int, Doubt] = field(default_factory=dict)
    presence: dict[int, float] = field(default_factory=dict)
    ghosts: list[Ghost] = field(default_factory=list)

    def pixels(self, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Return the reduced picture, uint8 [192, 192, 3]."""
        if self.blank:
            level = (
                generator.integers(0, 256, size=3)
                if generator.random() < 0.3
                else np.full(3, generator.choice([0, 127, 255]))
            )
            small = np.broadcast_to(level.astype(np.uint8), (SIDE, SIDE, 3)).copy()
        else:
            picture = draw_scene(self.scene)
            for drawing in self.drawings:
                drawing.draw(picture)
            if self.quality:
                picture = _through_jpeg(picture, self.quality)
            small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST)).copy()
        if self.noise:
            # the nearest pixel of independent noise is independent noise: adding it after the reduction is
            # the same
            values = small + generator.standard_normal(small.shape, dtype=np.float32) * np.float32(
                255 * self.noise
            )
            small = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return small

    def numbered(self) -> list[Noun]:
        """Return the descriptions that fit exactly the things with digits."""
        things = tuple(sorted(label.thing for label in self.labels if label.text.isdigit()))
        if not things:
            return []
        return [
            noun for noun in dict.fromkeys(numbered_nouns(self.scene)) if self.scene.matching(noun) == things
        ]

    def told(self, index: int) -> set[str]:
        """Return the words on the labels of a thing."""
        return {label.text for label in self.labels if label.thing == index}


def _through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def box_over(thing: Thing, rng: random.Random) -> Box:
    """Return a filled box that hides a thing, mostly black, rarely coloured."""
    reach = thing.radius * rng.uniform(1.12, 1.5)
    shift = thing.radius * 0.08
    x, y = thing.x + rng.uniform(-shift, shift), thing.y + rng.uniform(-shift, shift)
    tall = reach * rng.uniform(1.0, 1.2)
    return Box(round(x - reach), round(y - tall), round(2 * reach), round(2 * tall), box_colour(rng))


def box_colour(rng: random.Random) -> str:
    """Return a random colour for a box: black, grey, white or any."""
    draw = rng.random()
    if draw < 0.6:
        return "#000000"
    if draw < 0.85:
        level = rng.randrange(256)
        return f"#{level:02x}{level:02x}{level:02x}"
    return f"#{rng.randrange(1 << 24):06x}"


def cover(view: View, indices: Sequence[int], rng: random.Random) -> None:
    """Cover things with boxes."""
    for index in indices:
        view.drawings.append(box_over(view.scene.things[index], rng))
        view.covered.add(index)


def label(view: View, wanted: Sequence[tuple[int, str]]) -> None:
    """Put labels beside things."""
    view.labels = place_labels(view.scene, wanted)
    for item in view.labels:
        view.drawings.extend(item.drawings())


def scribble(view: View, rng: random.Random) -> None:
    """Draw a meaningless mark, as people do: an arrow, a small word or an empty box somewhere."""
    scene, unit = view.scene, view.scene.unit
    x, y = rng.randint(0, scene.width), rng.randint(0, scene.height)
    draw = rng.random()
    if draw < 0.4:
        view.drawings.append(
            Arrow(
                (x, y),
                (rng.randint(0, scene.width), rng.randint(0, scene.height)),
                box_colour(rng),
                rng.randint(2, 8) * unit,
            )
        )
    elif draw < 0.7:
        text = rng.choice(("hello", "here", "A", "look", "what", "Robert", "note"))
        view.drawings.append(Text(x, y, text, rng.randint(14, 50) * unit, box_colour(rng)))
    else:
        side = rng.randint(20, 90) * unit
        view.drawings.append(Box(x - side / 2, y - side / 2, side, side, box_colour(rng), rng.random() < 0.5))


def _other_paint(scene: Scene, rng: random.Random) -> Scene:
    """Return the scene with the shapes in colours as other people mix them."""
    things = []
    for thing in scene.things:
        if thing.shape in SHAPES:
            own, other = RGB[thing.colour], rng.choice(_PAINTS[thing.colour])
            red, green, blue = (b - a + rng.randint(-14, 14) for a, b in zip(own, other, strict=True))
            thing = replace(thing, tint=(red, green, blue))
        things.append(thing)
    return replace(scene, things=tuple(things))


def properties(thing: Thing) -> list[str]:
    """Return what a label may say about a thing: the more important words more often."""
    found = [thing.shape] * 3 + [thing.colour] * 3 + [thing.size]
    return [word for word in found if word]


def random_labels(scene: Scene, rng: random.Random) -> list[tuple[int, str]]:
    """Return words on one or two things, or the digits 1..k on things of one kind."""
    if rng.random() < 0.3:
        noun = rng.choice(numbered_nouns(scene))
        chosen = list(scene.matching(noun))[:5]
        rng.shuffle(chosen)
        return [(index, str(number + 1)) for number, index in enumerate(chosen)]
    things = range(len(scene.things))
    if rng.random() < 0.5:
        index = rng.choice(things)
        thing = scene.things[index]
        second = thing.size if thing.size and rng.random() < 0.2 else thing.colour
        pair = [(index, word) for word in (thing.shape, second) if word]
        rng.shuffle(pair)
        return pair
    chosen = rng.sample(things, min(len(things), rng.choice((1, 2))))
    return [(index, rng.choice(properties(scene.things[index]))) for index in chosen]


def numbered_nouns(scene: Scene) -> list[Noun]:
    """Return descriptions whose things can be numbered, each repeated by its number of things."""
    nouns = [Noun(thing.shape) for thing in scene.things]
    if scene.world == SHAPE_WORLD.name:
        nouns += [Noun(None, thing.colour) for thing in scene.things] + [Noun()]
    return nouns


def _degraded(view: View, rng: random.Random) -> View:
    """Add what pictures of other people have: some noise, traces of JPEG."""
    if rng.random() < 0.2:
        view.noise = rng.uniform(0, 0.15)
    if rng.random() < 0.08:
        view.quality = rng.randint(25, 90)
    return view


def _canvas(rng: random.Random) -> tuple[int, int] | None:
    """Return the size of a picture; None for one of the world's own."""
    return rng.choice(_CANVASES) if rng.random() < 0.75 else None


def dense_view(rng: random.Random) -> View:
    """Make a view for learning to see: many things at once, tiny to huge, turned, overlapping, hazy."""
    draw = rng.random()
    if draw < 0.12:
        return _degraded(
            View(sample_scene(rng, rng.randint(3, 10), canvas=_canvas(rng), small=rng.uniform(0.4, 0.9))), rng
        )
    world = SHAPE_WORLD if draw < 0.36 else _MIXED if draw < 0.5 else THING_WORLD
    heaped = rng.random() < 0.45
    plan = Plan(
        rng.randint(4, 11),
        radii=rng.choice(((26, 80), (14, 60), (10, 36), (20, 130))),
        hidden=rng.choice((0.3, 0.5, 0.7)) if heaped else 0.0,
        crowd=rng.choice((0.2, 0.5)) if heaped else 0.0,
        alike=0.3,
        turned=0.3,
        haze=(0.2, 0.88) if rng.random() < 0.12 else (0.0, 0.0),
        canvas=_canvas(rng),
    )
    scene = arrange(rng, world, plan)
    view = View(_other_paint(scene, rng) if rng.random() < 0.4 else scene)
    if rng.random() < 0.1:
        scribble(view, rng)
    return _degraded(view, rng)


def reading_view(rng: random.Random) -> View:
    """Make a view for learning to read: labels, true and false ones, on most things, some of them covered."""
    draw = rng.random()
    if draw < 0.3:
        scene = sample_scene(rng, rng.randint(2, 6), canvas=_canvas(rng), small=0.8)
    else:
        plan = Plan(rng.randint(2, 6), radii=(20, 56), turned=0.2, canvas=_canvas(rng))
        scene = arrange(rng, THING_WORLD if draw < 0.8 else SHAPE_WORLD, plan)
    view = View(scene)
    things = view.scene.things
    wanted = []
    for index, thing in enumerate(things):
        draw = rng.random()
        if draw < 0.12:
            wanted.append((index, str(rng.randint(1, 5))))
        elif draw < 0.6:
            wanted.append((index, rng.choice(properties(thing))))
        elif draw < 0.95:
            wanted.append((index, rng.choice(WORDS)))
    cover(view, [index for index in range(len(things)) if rng.random() < 0.3], rng)
    label(view, wanted)
    return _degraded(view, rng)


def question_scene(rng: random.Random, world: World, *, counted: bool = False, plain: float = 0.5) -> Scene:
    """Return a scene for questions: up to five things, often several that are alike.

    Parameters
    ----------
    counted : whether there are two or more alike, and mostly others. Default False.
    plain : share of clear scenes; the others have things that are tiny, huge, turned, partly hidden or pale.
    """
    count, repeat = rng.choice(_COUNTS), None
    if counted or (count >= 2 and rng.random() < 0.6):
        count = max(2, count)
        alike = rng.randint(2, count) if counted else min(count, rng.choice((2, 3, 3, 4, 4, 5, 5)))
        repeat = _repeat(rng, world, alike)
    if world is SHAPE_WORLD and rng.random() < 0.5:
        return sample_scene(rng, count, repeat=repeat, canvas=_canvas(rng))
    plan = Plan(count, repeat=repeat, canvas=_canvas(rng))
    if rng.random() >= plain:
        heaped = rng.random() < 0.5
        plan = replace(
            plan,
            radii=rng.choice(((26, 80), (14, 60), (10, 36), (20, 130))),
            hidden=rng.choice((0.3, 0.5, 0.65)) if heaped else 0.0,
            crowd=rng.choice((0.2, 0.5)) if heaped else 0.0,
            turned=0.3,
            haze=(0.2, 0.88) if rng.random() < 0.15 else (0.0, 0.0),
        )
    while True:
        scene = arrange(rng, world, plan)
        if scene.things:
            return _other_paint(scene, rng) if rng.random() < 0.4 else scene


def _repeat(rng: random.Random, world: World, alike: int) -> Repeat:
    if world.by_colour and rng.random() < 0.45:
        return Repeat(alike, colour=rng.choice(COLOURS))
    if world.categories and rng.random() < 0.15:
        return Repeat(alike, shape=rng.choice(world.categories))
    return Repeat(alike, shape=rng.choice(world.nouns))


@dataclass(frozen=True)
class Show:
    """Rates of interventions on pictures: labels, boxes over things, noise up to a largest sigma, scribbles,
    blank pictures.

    Attributes
    ----------
    counted : rate of scenes with several equal things among others.
    plain : rate of clear scenes.
    things : rate of everyday things; the others are shapes.
    """

    labels: float = 0.0
    cover: float = 0.0
    noise: float = 0.0
    strongest: float = 0.15
    scribble: float = 0.0
    blank: float = 0.0
    counted: float = 0.0
    plain: float = 0.5
    things: float = 0.6


def question_view(rng: random.Random, show: Show) -> View:
    """Return a scene to ask about, with interventions."""
    world = THING_WORLD if rng.random() < show.things else SHAPE_WORLD
    view = View(question_scene(rng, world, counted=rng.random() < show.counted, plain=show.plain))
    if rng.random() < show.blank:
        view.blank = True
        return view
    things = range(len(view.scene.things))
    wanted = random_labels(view.scene, rng) if rng.random() < show.labels else []
    hidden: set[int] = set()
    if rng.random() < show.cover:
        hidden.update(rng.sample(things, min(len(things), rng.choice((1, 1, 1, 2, 2, 3)))))
    if wanted and rng.random() < 0.5:
        hidden.update(index for index, _ in wanted if rng.random() < 0.7)
    cover(view, sorted(hidden), rng)
    if rng.random() < show.cover / 4:  # an empty box: not every box hides a thing
        view.drawings.append(_stray_box(view.scene, rng))
    label(view, wanted)
    if rng.random() < show.scribble:
        scribble(view, rng)
    if rng.random() < show.noise:
        view.noise = show.strongest * rng.random() ** 1.3
    if rng.random() < 0.04:
        view.quality = rng.randint(25, 90)
    return view


def _stray_box(scene: Scene, rng: random.Random) -> Box:
    """Return a box that may or may not hide something that the graph knows; kept off the centres of things if
    that is easy.
    """
    side = rng.randint(60, 130) * scene.unit
    for _ in range(20):
        x, y = rng.uniform(0, scene.width - side), rng.uniform(0, scene.height - side)
        if all(
            not (x - t.radius < t.x < x + side + t.radius and y - t.radius < t.y < y + side + t.radius)
            for t in scene.things
        ):
            break
    return Box(round(x), round(y), round(side), round(side), box_colour(rng))
