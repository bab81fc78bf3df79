"""What each patch of a picture shows, as targets for the heads and for the oracle.

A thing stands at the patch of its centre and, weaker, at the patches around it. A label stands at the patch
of its own centre and carries the place that its arrow points to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isi_widget.datasets.grammar import COLOURS, SHAPES, SIZES
from isi_widget.datasets.nouns import THINGS
from isi_widget.training.vlm.build import GRID, PATCHES

if TYPE_CHECKING:
    from isi_widget.training.vlm.pictures import View

WHAT = (*SHAPES, *THINGS)
WORDS = (*WHAT, *COLOURS, *SIZES, *"12345")  # words that labels may show
COVERED = {"what": len(WHAT) + 1, "colour": len(COLOURS) + 1, "size": len(SIZES) + 1}  # class under a box
NATURAL = len(COLOURS) + 2  # class of a thing that has no colour to ask for
#: Classes of a patch by property; class 0 is "nothing here".
OUTPUTS = {
    "what": len(WHAT) + 2,
    "colour": len(COLOURS) + 3,
    "size": len(SIZES) + 2,
    "word": len(WORDS) + 1,
}
_WHAT = {name: number for number, name in enumerate(WHAT)}
_WORDS = {name: number for number, name in enumerate(WORDS)}
_COLUMNS = (np.tile(np.arange(GRID), GRID) + 0.5) / GRID
_ROWS = (np.repeat(np.arange(GRID), GRID) + 0.5) / GRID

Targets = dict[str, NDArray[np.float32 | np.int64]]


def patch_of(x: float, y: float) -> int:
    """Return the index of the patch at a place, x and y in [0, 1] of the picture; outside: the nearest."""
    column, row = (min(GRID - 1, max(0, int(GRID * value))) for value in (x, y))
    return row * GRID + column


def classes(what: str, colour: str, size: str) -> dict[str, int]:
    """Return the class ids of a thing that is seen."""
    return {
        "what": 1 + _WHAT[what],
        "colour": 1 + COLOURS.index(colour) if colour else NATURAL,
        "size": 1 + SIZES.index(size) if size else 0,
    }


def patch_targets(view: View) -> Targets:
    """Return what each patch shows.

    Returns
    -------
    dict of arrays over the patches, row by row: class ids "what", "colour", "size", "word" [patches, 2] (two
    possibilities, mostly the same twice) with "chance" [patches, 2]; "centre" and "label" [patches], 1 at the
    centre of a thing or label, less for a thing that may be missing; "xy" [patches, 2], position of the
    thing, and "to" [patches, 2], place that the label points to, both in [0, 1] of the picture.
    """
    ids = {name: np.zeros((PATCHES, 2), np.int64) for name in OUTPUTS}
    chance = np.zeros((PATCHES, 2), np.float32)
    chance[:, 0] = 1
    marks = {name: np.zeros(PATCHES, np.float32) for name in ("centre", "label")}
    places = {name: np.zeros((PATCHES, 2), np.float32) for name in ("xy", "to")}
    found: Targets = {**ids, "chance": chance, **marks, **places}
    if view.blank:
        return found
    scene = view.scene
    nearest = np.full(PATCHES, np.inf)
    for index, thing in enumerate(scene.things):
        x, y = thing.x / scene.width, thing.y / scene.height
        rx, ry = thing.radius / scene.width + 0.02, thing.radius / scene.height + 0.02
        away = ((_COLUMNS - x) / rx) ** 2 + ((_ROWS - y) / ry) ** 2
        middle = patch_of(x, y)
        away[middle] = -1.0
        mine = (away < 1) & (away <= nearest)
        nearest[mine] = away[mine]
        doubt = view.doubts.get(index)
        for name, value in shown(view, index).items():
            ids[name][mine] = value
        if doubt is not None:
            for name, value in doubt.instead.items():
                ids[name][middle, 1] = value
            chance[middle] = (doubt.truth, 1 - doubt.truth)
        places["xy"][mine] = (x, y)
        marks["centre"][middle] = view.presence.get(index, 1.0)
    for ghost in view.ghosts:
        middle = patch_of(*ghost.at)
        if marks["centre"][middle] == 0:
            for name, value in ghost.classes.items():
                ids[name][middle] = value
            places["xy"][middle] = ghost.at
            marks["centre"][middle] = ghost.presence
    for item in view.labels:
        left, top, width, height = item.box
        inside = (left / scene.width < _COLUMNS) & ((left + width) / scene.width > _COLUMNS)
        inside &= (top / scene.height < _ROWS) & ((top + height) / scene.height > _ROWS)
        middle = patch_of((left + width / 2) / scene.width, (top + height / 2) / scene.height)
        inside[middle] = True  # a digit is smaller than a patch
        thing = scene.things[item.thing]
        ids["word"][inside] = 1 + _WORDS[item.text]
        places["to"][inside] = (thing.x / scene.width, thing.y / scene.height)
        marks["label"][middle] = 1.0
    return found


def shown(view: View, index: int) -> dict[str, int]:
    """Return the class ids that can be read from a picture for a thing: a box hides everything except what a
    label shows.
    """
    thing = view.scene.things[index]
    ids = classes(thing.shape, thing.colour, thing.size)
    if index not in view.covered:
        return ids
    told = view.told(index) if view.joined else set()
    for name, value in (("what", thing.shape), ("colour", thing.colour), ("size", thing.size)):
        if value and value not in told:
            ids[name] = COVERED[name]
    return ids
