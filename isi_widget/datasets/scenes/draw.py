"""Draws a scene graph as a picture: anti-aliased vector shapes on a light texture, with Pillow.

Each shape is drawn once in its own small supersampled mask and pasted, so that a 480 x 480 scene takes about
a millisecond. Labels, boxes and noise are interventions (see `isi_widget.stimulus`).
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from isi_widget.datasets.scenes.graph import Scene

RGB = {
    "red": (222, 38, 42),
    "orange": (247, 140, 20),
    "yellow": (242, 216, 36),
    "green": (46, 160, 67),
    "blue": (36, 88, 214),
    "purple": (128, 52, 172),
    "pink": (247, 142, 192),
    "brown": (128, 78, 40),
}
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


@lru_cache(maxsize=256)
def background(texture: int, width: int, height: int) -> Image.Image:
    """Draw a light paper-like texture with soft clouds, sometimes with faint stripes."""
    rng = random.Random(f"texture {texture}")
    values = np.random.default_rng(texture)
    base = np.array([rng.randint(228, 248) for _ in range(3)], dtype=np.float32)
    clouds = Image.fromarray((128 + 60 * values.standard_normal((7, 7))).clip(0, 255).astype(np.uint8))
    soft = np.asarray(clouds.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) - 128
    canvas = base + soft[..., None] * rng.uniform(0.03, 0.09)
    if texture % 4 == 0:
        across, down = np.meshgrid(np.arange(width), np.arange(height))
        turn = rng.uniform(0, math.pi)
        wave = np.sin((across * math.cos(turn) + down * math.sin(turn)) * 2 * math.pi / rng.uniform(24, 60))
        canvas = canvas + (4 * wave)[..., None]
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


def draw_scene(scene: Scene) -> Image.Image:
    """Render the scene, RGB, at its own size."""
    picture = background(scene.texture, scene.width, scene.height).copy()
    for thing in scene.things:
        body = mask(thing.shape, thing.radius, thing.angle)
        colour = tuple(min(255, max(0, c + t)) for c, t in zip(RGB[thing.colour], thing.tint, strict=True))
        picture.paste(colour, (thing.x - body.width // 2, thing.y - body.height // 2), body)
    return picture
