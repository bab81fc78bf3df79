"""Draws a scene graph as a picture: anti-aliased vector shapes or the artwork of things, on a ground, with
Pillow; and gives the exact masks of its objects.

Each object is drawn once in its own small image and pasted, so that a 480 x 480 scene takes a few
milliseconds. Labels, boxes and noise are interventions (see `isi_widget.stimulus`).
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from isi_widget.datasets.nouns import SHAPES
from isi_widget.datasets.scenes.graph import Scene, Thing
from isi_widget.datasets.scenes.grounds import draw_ground
from isi_widget.datasets.scenes.palette import RGB as RGB  # public here too
from isi_widget.datasets.scenes.sprites import art, silhouette

_OVERSAMPLING = 4
_REACH = 1.15  # largest extent of a shape, in radii from its centre


def outline(shape: str) -> list[tuple[float, float]]:
    """Return the corners of a polygonal shape around (0, 0), in radii, y downwards."""
    if shape == "square":
        return [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
    if shape == "triangle":
        return [(0.0, -1.08), (1.0, 0.8), (-1.0, 0.8)]
    if shape == "cross":
        a, b = 1.0, 0.34
        return [
            (-b, -a),
            (b, -a),
            (b, -b),
            (a, -b),
            (a, b),
            (b, b),
            (b, a),
            (-b, a),
            (-b, b),
            (-a, b),
            (-a, -b),
            (-b, -b),
        ]
    if shape == "star":
        points = []
        for corner in range(10):
            reach = 1.12 if corner % 2 == 0 else 0.46
            turn = math.pi * corner / 5
            points.append((reach * math.sin(turn), -reach * math.cos(turn)))
        return points
    if shape == "heart":
        points = []
        for step in range(60):
            t = 2 * math.pi * step / 60
            x = 16 * math.sin(t) ** 3
            y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            points.append((x / 16, -(y + 2.5) / 15))
        return points
    raise ValueError(f"{shape!r} is no polygon")


@lru_cache(maxsize=8192)
def mask(shape: str, radius: int, angle: int) -> Image.Image:
    """Return the coverage of a shape, mode "L", square with its centre in the middle."""
    side = 2 * math.ceil(radius * _REACH) + 1
    big = Image.new("L", (side * _OVERSAMPLING, side * _OVERSAMPLING), 0)
    pen = ImageDraw.Draw(big)
    middle, scale = side * _OVERSAMPLING / 2, radius * _OVERSAMPLING
    if shape in ("circle", "ring"):
        pen.ellipse((middle - scale, middle - scale, middle + scale, middle + scale), fill=255)
        if shape == "ring":
            hole = 0.56 * scale
            pen.ellipse((middle - hole, middle - hole, middle + hole, middle + hole), fill=0)
    else:
        turn = math.radians(angle)
        cos, sin = math.cos(turn), math.sin(turn)
        pen.polygon(
            [
                (middle + scale * (x * cos - y * sin), middle + scale * (x * sin + y * cos))
                for x, y in outline(shape)
            ],
            fill=255,
        )
    return big.reduce(_OVERSAMPLING)


def body(thing: Thing) -> Image.Image:
    """Return the coverage of an object, mode "L", with the object's centre in the middle."""
    if thing.shape in SHAPES:
        return mask(thing.shape, thing.radius, thing.angle)
    return silhouette(thing.shape, thing.radius, thing.angle, thing.mirrored)


def stamp(thing: Thing) -> tuple[Image.Image, Image.Image | tuple[int, ...]]:
    """Return what is pasted for an object: its coverage, mode "L", with the object's centre in the middle,
    and its pixels (RGB) or its single colour.
    """
    if thing.shape in SHAPES:
        tint = (min(255, max(0, c + t)) for c, t in zip(RGB[thing.colour], thing.tint, strict=True))
        return mask(thing.shape, thing.radius, thing.angle), tuple(tint)
    return art(thing.shape, thing.colour, thing.radius, thing.angle, thing.mirrored)


def touched(thing: Thing) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) that holds every pixel that the object may change; it may reach
    out of the picture.
    """
    shape = body(thing)
    return thing.x - shape.width // 2, thing.y - shape.height // 2, shape.width, shape.height


def draw_scene(scene: Scene) -> Image.Image:
    """Render the scene, RGB, at its own size; later objects cover earlier ones."""
    picture = draw_ground(scene.ground, scene.texture, scene.width, scene.height)
    for thing in scene.things:
        shape, pixels = stamp(thing)
        picture.paste(pixels, (thing.x - shape.width // 2, thing.y - shape.height // 2), shape)
    return veiled(picture, scene) if scene.haze else picture


def veiled(picture: Image.Image, scene: Scene) -> Image.Image:
    """Return the picture behind the haze of its scene: mixed with one grey, so that contrast is lost."""
    level = random.Random(f"haze {scene.texture}").randint(40, 215)
    return Image.blend(picture, Image.new("RGB", picture.size, (level, level, level)), scene.haze)


def coverage(scene: Scene) -> NDArray[np.uint8]:
    """Return the share of each pixel that each object covers as drawn, before others are drawn over it.

    Returns
    -------
    uint8 [objects, height, width], 255 for a pixel that is covered completely. Pixels with 0 do not change if
    the object is left out.
    """
    found = np.zeros((len(scene.things), scene.height, scene.width), dtype=np.uint8)
    for index, thing in enumerate(scene.things):
        sheet = Image.new("L", (scene.width, scene.height))
        sheet.paste(body(thing), touched(thing)[:2])
        found[index] = np.asarray(sheet)
    return found


def visible(scene: Scene) -> NDArray[np.uint8]:
    """Return the share of each pixel that shows each object: its coverage less what later objects hide.

    Returns
    -------
    uint8 [objects, height, width].
    """
    whole = coverage(scene)
    left = np.ones(whole.shape[1:], dtype=np.float32)
    shown = np.zeros_like(whole)
    for index in reversed(range(len(whole))):
        own = whole[index] / np.float32(255)
        shown[index] = np.rint(255 * own * left)
        left *= 1 - own
    return shown


def visible_shares(scene: Scene, reduction: int = 1) -> list[float]:
    """Return for each object the share of it that can be seen: not hidden by others and within the picture.

    Parameters
    ----------
    reduction : the picture is reduced by this factor before the comparison, for speed. Default 1 (exact).
    """
    small = reduced(scene, reduction) if reduction > 1 else scene
    inside = visible(small).reshape(len(small.things), -1).sum(1, dtype=np.float64)
    whole = [float(np.asarray(body(thing)).sum(dtype=np.float64)) for thing in small.things]
    return [min(1.0, float(part) / max(all_, 1.0)) for part, all_ in zip(inside, whole, strict=True)]


def reduced(scene: Scene, factor: int) -> Scene:
    """Return the scene on a canvas smaller by a factor."""
    things = tuple(
        replace(
            thing,
            x=round(thing.x / factor),
            y=round(thing.y / factor),
            radius=max(1, round(thing.radius / factor)),
        )
        for thing in scene.things
    )
    return replace(scene, width=scene.width // factor, height=scene.height // factor, things=things)
