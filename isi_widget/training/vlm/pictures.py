"""Training pictures: scenes drawn, with interventions, reduced; and the content of each patch, for deep
supervision.

Interventions are the package's own (`isi_widget.stimulus.drawing`), painted at full size before the
reduction. Nothing is cached: a picture takes about two milliseconds and is reproducible from its seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget.datasets.grammar import COLOURS, SHAPES, SIZES, Noun
from isi_widget.datasets.scenes.draw import draw_scene
from isi_widget.datasets.scenes.graph import Repeat, Scene, Thing, sample_scene
from isi_widget.datasets.scenes.labels import Label, place_labels
from isi_widget.stimulus.drawing import Arrow, Box, Drawing, Text
from isi_widget.training.vlm.build import GRID, PATCHES, SIDE

WORDS = (*SHAPES, *COLOURS, *SIZES, *"12345")  # possible labels
COVERED_SHAPE, COVERED_COLOUR, COVERED_SIZE = len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1
OUTPUTS = {
    "shape": len(SHAPES) + 2,
    "colour": len(COLOURS) + 2,
    "size": len(SIZES) + 2,
    "digit": 6,
    "word": len(WORDS) + 1,
}


@dataclass
class View:
    """A scene with drawings on it.

    covered : indices of objects under a box.
    labels : words and digits with arrows.
    drawings : drawings on the scene, in order.
    noise : standard deviation of Gaussian noise, added last, intensity scale 0 to 1.
    blank : True for a picture without content.
    """

    scene: Scene
    covered: set[int] = field(default_factory=set)
    labels: list[Label] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    noise: float = 0.0
    blank: bool = False

    def pixels(self, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Return the reduced picture, uint8 [96, 96, 3]."""
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
            small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST)).copy()
        if self.noise:
            # the nearest pixel of independent noise is independent noise: adding it after the reduction is
            # the same
            values = small + generator.standard_normal(small.shape, dtype=np.float32) * np.float32(
                255 * self.noise
            )
            small = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return small

    def digit(self, index: int) -> int:
        """Return the digit on the label of an object, 0 if none."""
        return next(
            (int(label.text) for label in self.labels if label.thing == index and label.text.isdigit()), 0
        )

    def numbered(self) -> list[Noun]:
        """Return the descriptions that fit exactly the things with digits."""
        things = tuple(sorted(label.thing for label in self.labels if label.text.isdigit()))
        if not things:
            return []
        return [
            noun for noun in dict.fromkeys(numbered_nouns(self.scene)) if self.scene.matching(noun) == things
        ]

    def told(self, index: int) -> set[str]:
        """Return the words on the labels of an object."""
        return {label.text for label in self.labels if label.thing == index}


def box_over(thing: Thing, rng: random.Random) -> Box:
    """Return a filled box that hides an object, mostly black, rarely coloured."""
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
    """Cover objects with boxes."""
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
        text = rng.choice(("cat", "hello", "here", "A", "look", "what", "Robert"))
        view.drawings.append(Text(x, y, text, rng.randint(14, 50) * unit, box_colour(rng)))
    else:
        side = rng.randint(20, 90) * unit
        view.drawings.append(Box(x - side / 2, y - side / 2, side, side, box_colour(rng), rng.random() < 0.5))


def random_labels(scene: Scene, rng: random.Random) -> list[tuple[int, str]]:
    """Return words on one or two things, or the digits 1..k on things of one kind."""
    if rng.random() < 0.45:
        noun = rng.choice(numbered_nouns(scene))
        chosen = list(scene.matching(noun))[:5]
        rng.shuffle(chosen)
        return [(index, str(number + 1)) for number, index in enumerate(chosen)]
    things = range(len(scene.things))
    if rng.random() < 0.5:
        index = rng.choice(things)
        thing = scene.things[index]
        pair = [(index, thing.shape), (index, thing.size if rng.random() < 0.2 else thing.colour)]
        rng.shuffle(pair)
        return pair
    wanted = []
    for index in rng.sample(things, min(len(things), rng.choice((1, 2)))):
        thing = scene.things[index]
        wanted.append((index, rng.choice([thing.shape, thing.shape, thing.colour, thing.colour, thing.size])))
    return wanted


def numbered_nouns(scene: Scene) -> list[Noun]:
    """Return descriptions whose objects can be numbered, each repeated by its number of objects."""
    nouns = [Noun(thing.shape) for thing in scene.things] + [
        Noun(None, thing.colour) for thing in scene.things
    ]
    return [*nouns, Noun()]


def dense_view(rng: random.Random) -> View:
    """Make a view for the vision stage: many objects at once, or fewer with labels and boxes."""
    if rng.random() < 0.55:
        view = View(sample_scene(rng, rng.randint(3, 10), small=rng.uniform(0.4, 0.9)))
    else:
        repeat = Repeat(rng.randint(2, 4), shape=rng.choice(SHAPES)) if rng.random() < 0.4 else None
        view = View(sample_scene(rng, rng.randint(2, 5), repeat=repeat))
        wanted = random_labels(view.scene, rng) if rng.random() < 0.75 else []
        named = [index for index, _ in wanted]
        cover(
            view,
            [i for i in range(len(view.scene.things)) if rng.random() < (0.4 if i in named else 0.15)],
            rng,
        )
        label(view, wanted)
    if rng.random() < 0.2:
        view.noise = rng.uniform(0, 0.15)
    return view


def reading_view(rng: random.Random) -> View:
    """Make a view for learning to read: labels on most objects, some of them covered by boxes; sometimes a
    dense scene.
    """
    if rng.random() < 0.25:
        return dense_view(rng)
    view = View(sample_scene(rng, rng.randint(3, 6), small=0.8))
    things = view.scene.things
    wanted = []
    for index, thing in enumerate(things):
        draw = rng.random()
        if draw < 0.3:
            wanted.append((index, str(rng.randint(1, 5))))
        elif draw < 0.9:
            wanted.append((index, rng.choice([thing.shape, thing.colour] * 3 + [thing.size])))
    cover(view, [index for index in range(len(things)) if rng.random() < 0.25], rng)
    label(view, wanted)
    if rng.random() < 0.2:
        view.noise = rng.uniform(0, 0.15)
    return view


def question_scene(rng: random.Random, fewest: int = 1) -> Scene:
    """Return a scene for questions: up to five objects, mostly with several equal ones (small and large
    numbers are equally rare).
    """
    count = max(fewest, rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 5)))
    if count >= 2 and rng.random() < 0.6:
        alike = min(count, rng.choice((2, 3, 3, 4, 4, 5, 5)))
        shared = Repeat(alike, shape=rng.choice(SHAPES))
        if rng.random() < 0.4:
            shared = Repeat(alike, colour=rng.choice(COLOURS))
        return sample_scene(rng, count, repeat=shared)
    return sample_scene(rng, count)


def counted_scene(rng: random.Random) -> Scene:
    """Return a scene of many objects: two or more equal, and mostly one or more different."""
    count = rng.choice((3, 4, 4, 5, 5, 5, 5))
    alike = rng.randint(2, count)
    if rng.random() < 0.55:
        return sample_scene(rng, count, repeat=Repeat(alike, shape=rng.choice(SHAPES)))
    return sample_scene(rng, count, repeat=Repeat(alike, colour=rng.choice(COLOURS)))


def oracle_view(rng: random.Random) -> View:
    """Return a view that is not drawn: some objects covered, some numbered."""
    view = View(question_scene(rng, fewest=2))
    if rng.random() < 0.15:
        view.covered = {rng.randrange(len(view.scene.things))}
    if rng.random() < 0.15:
        view.labels = place_labels(
            view.scene, [pair for pair in random_labels(view.scene, rng) if pair[1].isdigit()]
        )
    return view


@dataclass(frozen=True)
class Show:
    """Rates of interventions on pictures: labels, boxes over objects, noise up to a largest sigma, scribbles,
    blank pictures; `counted` is the rate of scenes with several equal objects among others.
    """

    labels: float = 0.0
    cover: float = 0.0
    noise: float = 0.0
    strongest: float = 0.15
    scribble: float = 0.0
    blank: float = 0.0
    counted: float = 0.0


def clean_view(rng: random.Random) -> View:
    """Return no drawing."""
    return View(question_scene(rng, fewest=2))


def question_view(rng: random.Random, show: Show) -> View:
    """Return a scene to ask about, with interventions."""
    view = View(counted_scene(rng) if rng.random() < show.counted else question_scene(rng))
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
    if rng.random() < show.cover / 4:  # an empty box: not every box hides an object
        view.drawings.append(_stray_box(view.scene, rng))
    label(view, wanted)
    if rng.random() < show.scribble:
        scribble(view, rng)
    if rng.random() < show.noise:
        view.noise = show.strongest * rng.random() ** 1.3
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


def patch_targets(view: View) -> dict[str, NDArray[np.float32 | np.int64]]:
    """Return what each of the 64 patches shows.

    Returns
    -------
    dict of arrays over patches, row by row: class ids "shape", "colour", "size", "digit", "word" (0: none),
    "centre" (1 at the patch with the centre of a thing), "xy" [64, 2] position of the thing in [0, 1] of the
    picture.
    """
    classes = {name: np.zeros(PATCHES, np.int64) for name in OUTPUTS}
    centre, xy = np.zeros(PATCHES, np.float32), np.zeros((PATCHES, 2), np.float32)
    nearest = np.full(PATCHES, np.inf, np.float32)
    if not view.blank:
        grid = (np.arange(GRID) + 0.5) / GRID
        px, py = np.tile(grid, GRID), np.repeat(grid, GRID)
        for index, thing in enumerate(view.scene.things):
            x, y = thing.x / view.scene.width, thing.y / view.scene.height
            rx, ry = thing.radius / view.scene.width + 0.035, thing.radius / view.scene.height + 0.035
            away = ((px - x) / rx) ** 2 + ((py - y) / ry) ** 2
            middle = centre_patch(view.scene, thing)
            away[middle] = -1.0
            mine = (away < 1) & (away < nearest)
            nearest[mine] = away[mine]
            for name, value in shown(view, index).items():
                classes[name][mine] = value
            xy[mine] = (x, y)
            centre[middle] = 1.0
        for item in view.labels:
            left, top, width, height = item.box
            inside = (px > left / view.scene.width) & (px < (left + width) / view.scene.width)
            inside &= (py > top / view.scene.height) & (py < (top + height) / view.scene.height)
            middle = int(GRID * (top + height / 2) / view.scene.height) * GRID
            middle += int(GRID * (left + width / 2) / view.scene.width)
            inside[middle] = True  # a digit is smaller than a patch
            classes["word"][inside] = 1 + WORDS.index(item.text)
    return {**classes, "centre": centre, "xy": xy}


def shown(view: View, index: int) -> dict[str, int]:
    """Return the class ids that can be read from a picture for a thing: a box hides everything except what a
    label shows.
    """
    thing, told = view.scene.things[index], view.told(index)
    hidden = index in view.covered
    return {
        "shape": COVERED_SHAPE if hidden and thing.shape not in told else 1 + SHAPES.index(thing.shape),
        "colour": COVERED_COLOUR if hidden and thing.colour not in told else 1 + COLOURS.index(thing.colour),
        "size": COVERED_SIZE if hidden and thing.size not in told else 1 + SIZES.index(thing.size),
        "digit": view.digit(index),
    }


def centre_patch(scene: Scene, thing: Thing) -> int:
    """Return the index of the patch that holds the centre of a thing."""
    return min(GRID - 1, GRID * thing.y // scene.height) * GRID + min(GRID - 1, GRID * thing.x // scene.width)
