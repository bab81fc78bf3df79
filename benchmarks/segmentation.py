"""Segmentation by GrabCut: its outlines against the exact masks of scenes, and its time by size of the
picture.

A hundred things, half of them shapes and half everyday things, each from one loose box: 5 to 30 % of its
extent wider on each side, at random. Then one stroke over the largest fault, along its middle, as a person
would paint it.
"""

from __future__ import annotations

import io
import random
import warnings
from typing import Any

import cv2
import numpy as np
from PIL import Image

import isi_widget as isi
from benchmarks.rendering import photograph
from benchmarks.timing import Row, repeat, report
from isi_widget.datasets.scenes import draw
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD

THINGS = 100
_SMALLEST = 100  # least visible pixels of a thing
_SIZES = {0.25: (577, 433), 1: (1155, 866), 4: (2309, 1732), 12: (4000, 3000)}
_GOOD = 0.8


def examples(count: int = THINGS, seed: int = 5) -> list[tuple[Image.Image, np.ndarray, tuple[int, ...]]]:
    """Return (picture, exact mask of one thing, loose box around it)."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        world = (SHAPE_WORLD, THING_WORLD)[len(found) % 2]
        scene = arrange(rng, world, Plan(rng.randint(2, 5)))
        shares = draw.visible(scene)
        exact = shares[rng.randrange(len(shares))] >= 128
        if exact.sum() < _SMALLEST:
            continue
        rows, columns = np.flatnonzero(exact.any(axis=1)), np.flatnonzero(exact.any(axis=0))
        left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
        wider = [rng.uniform(0.05, 0.3) for _ in range(4)]
        x, y = left - wider[0] * (right - left), top - wider[1] * (bottom - top)
        width = right + wider[2] * (right - left) - x
        height = bottom + wider[3] * (bottom - top) - y
        found.append((draw.draw_scene(scene), exact, tuple(map(round, (x, y, width, height)))))
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over the union of two masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def stroke(found: np.ndarray, exact: np.ndarray) -> dict[str, Any] | None:
    """Return one stroke over the largest connected fault, along its middle; None without a fault."""
    largest: tuple[int, np.ndarray, bool] | None = None
    for fault, is_object in ((exact & ~found, True), (found & ~exact, False)):
        _, parts, stats, _ = cv2.connectedComponentsWithStats(fault.astype(np.uint8))
        for part in range(1, len(stats)):
            if largest is None or stats[part, cv2.CC_STAT_AREA] > largest[0]:
                largest = (int(stats[part, cv2.CC_STAT_AREA]), parts == part, is_object)
    if largest is None:
        return None
    _, part, is_object = largest
    depth = cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    rows, columns = np.nonzero(part)
    centered = np.stack([columns, rows], axis=1) - [columns.mean(), rows.mean()]
    along = np.linalg.svd(centered, full_matrices=False)[2][0]
    ends = []
    for sign in (1, -1):
        end = np.array([x, y], dtype=float)
        while _deep(depth, end + sign * along):
            end += sign * along
        ends.append((float(end[0]) + 0.5, float(end[1]) + 0.5))
    radius = max(1.0, 0.5 * float(depth.max()))
    points = [ends[0], (float(x) + 0.5, float(y) + 0.5), ends[1]]
    return {"points": points, "object": is_object, "radius": radius}


def _deep(depth: np.ndarray, place: np.ndarray) -> bool:
    x, y = (round(float(value)) for value in place)
    inside = 0 <= y < depth.shape[0] and 0 <= x < depth.shape[1]
    return inside and bool(depth[y, x] >= max(1.0, 0.5 * depth.max()))


def quality() -> list[Row]:
    """Return how well outlines agree with exact masks."""
    first, refined, compressed = [], [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a guess
        for picture, exact, box in examples():
            mask = isi.segment(picture, box)
            first.append(iou(mask.array(), exact))
            mark = stroke(mask.array(), exact)
            if mark is not None:
                mask = isi.segment(picture, box, mask=mask, strokes=[mark])
            refined.append(iou(mask.array(), exact))
            file = io.BytesIO()
            picture.save(file, "jpeg", quality=75)
            compressed.append(iou(isi.segment(file.getvalue(), box).array(), exact))
    found = []
    for name, values in (
        ("a loose box", first),
        ("one stroke more", refined),
        ("a loose box in a JPEG of quality 75", compressed),
    ):
        figures = f"mean {np.mean(values):.3f}, {np.mean(np.array(values) >= _GOOD):.0%} at {_GOOD} or better"
        found.append(Row(f"IoU of GrabCut after {name} ({figures})", tuple(values), "IoU"))
    return found


def object_on(width: int, height: int) -> isi.Stimulus:
    """Return a photograph-like picture with a large bright object."""
    pixels = np.asarray(photograph(width, height).render()).copy()
    y, x = np.ogrid[:height, :width]
    inside = ((x - width / 2) / (0.3 * width)) ** 2 + ((y - height / 2) / (0.32 * height)) ** 2 < 1
    pixels[inside] = pixels[inside] // 3 + np.array([150, 30, 20], dtype=np.uint8)
    return isi.Stimulus(pixels, "What is shown?")


def times(repeats: int = 7) -> list[Row]:
    """Return the time of a first outline, and of a refinement, by size of the picture."""
    found = []
    for megapixels, (width, height) in _SIZES.items():
        stimulus = object_on(width, height)
        box = (0.15 * width, 0.13 * height, 0.7 * width, 0.74 * height)
        mask = isi.segment(stimulus, box)
        mark = {"points": [(0.5 * width, 0.5 * height)], "radius": 0.01 * width}

        def outline(_: int, stimulus: isi.Stimulus = stimulus, box: Any = box) -> None:
            isi.segment(stimulus, box)

        def refinement(
            _: int, stimulus: isi.Stimulus = stimulus, box: Any = box, mask: Any = mask, mark: Any = mark
        ) -> None:
            isi.segment(stimulus, box, mask=mask, strokes=[mark])

        name = f"first outline from a box, {megapixels} MP"
        found.append(Row(name, repeat(outline, repeats), target=0.5))
        if megapixels in (0.25, 12):
            found.append(Row(f"refined by a stroke, {megapixels} MP", repeat(refinement, repeats)))
    return found


if __name__ == "__main__":
    report([*quality(), *times()])
