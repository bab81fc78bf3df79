"""Views that are not drawn: what an imperfect vision tower would make of a scene, for the decoder alone.

Things may be covered, labelled, doubtful (two looks are possible) or faint (perhaps not there); the questions
have the truth of the scene, and the chances are honest, so the decoder learns how sure it can be.
"""

from __future__ import annotations

import random

from isi_widget.datasets.grammar import COLOURS, SIZES
from isi_widget.datasets.scenes.graph import Scene
from isi_widget.datasets.scenes.labels import place_labels
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, WORLDS
from isi_widget.training.vlm.pictures import Doubt, Ghost, Show, View, question_scene, random_labels
from isi_widget.training.vlm.targets import classes


def oracle_view(rng: random.Random, show: Show, doubt: float = 0.15, faint: float = 0.06) -> View:
    """Return a view with covered, labelled, doubtful and faint things.

    Parameters
    ----------
    show : rates of labels, boxes and blank pictures, of counted scenes and of everyday things.
    doubt : share of things with a second possible look. Default 0.15.
    faint : share of things that may be missing; as many others may be there that are not. Default 0.06.
    """
    world = THING_WORLD if rng.random() < show.things else SHAPE_WORLD
    view = View(question_scene(rng, world, counted=rng.random() < show.counted, plain=0.7))
    view.joined = rng.random() < 0.5
    if rng.random() < show.blank:
        view.blank = True
        return view
    things = range(len(view.scene.things))
    wanted = random_labels(view.scene, rng) if rng.random() < show.labels else []
    view.labels = place_labels(view.scene, wanted)
    if rng.random() < show.cover:
        view.covered.update(rng.sample(things, min(len(things), rng.choice((1, 1, 1, 2, 3)))))
    if wanted and rng.random() < 0.6:
        view.covered.update(index for index, _ in wanted if rng.random() < 0.8)
    for index in things:
        if index not in view.covered and rng.random() < doubt:
            view.doubts[index] = _doubt(view.scene, index, rng)
        if rng.random() < faint:
            view.presence[index] = _likely(rng)
        if rng.random() < faint:
            view.ghosts.append(_ghost(view.scene, rng))
    return view


def _likely(rng: random.Random) -> float:
    """Return the chance of what is true: from 0 to 1, and honest."""
    chance = rng.uniform(0.5, 1.0)
    return chance if rng.random() < chance else 1 - chance


def _doubt(scene: Scene, index: int, rng: random.Random) -> Doubt:
    """Return a doubt about what a thing is, or about its colour or size."""
    thing, world = scene.things[index], WORLDS[scene.world]
    what, colour, size = thing.shape, thing.colour, thing.size
    draw = rng.random()
    if draw < 0.5 or not colour:
        similar = world.similar(what)
        what = rng.choice(similar) if similar and rng.random() < 0.6 else rng.choice(world.nouns)
    elif draw < 0.9 or not size:
        colour = rng.choice(COLOURS)
    else:
        size = SIZES[size == SIZES[0]]
    return Doubt(classes(what, colour, size), _likely(rng))


def _ghost(scene: Scene, rng: random.Random) -> Ghost:
    world = WORLDS[scene.world]
    what = rng.choice(world.nouns)
    colours = world.colours(what)
    looks = classes(what, rng.choice(colours) if colours else "", rng.choice(SIZES) if world.sized else "")
    return Ghost(looks, (rng.random(), rng.random()), 1 - _likely(rng))
