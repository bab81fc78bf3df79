"""Grounds of the pictures, drawn by code: paper, plain colours, gradients, textures, light and dark; and
places with a floor on which things stand: table, room, meadow, street, water.

A ground is a style and a seed; the same pair gives the same pixels at every call. Objects are drawn by
`draw`.
"""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SEEDS: Final = 1000  # grounds of each style
PATTERNS: Final = ("plain", "gradient", "clouds", "grain", "stripes", "checks", "dots")
PLACES: Final = ("table", "room", "meadow", "street", "water")
STYLES: Final = ("paper", *PATTERNS, *PLACES)

Pixels = NDArray[np.float32]
Colour = tuple[int, int, int]


@lru_cache(maxsize=256)
def paper(texture: int, width: int, height: int) -> Image.Image:
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


def draw_ground(style: str, seed: int, width: int, height: int) -> Image.Image:
    """Draw a ground, RGB; a new image that the caller may change.

    Parameters
    ----------
    style : one of `STYLES`.
    seed : number of the ground within its style.
    """
    if style == "paper":
        return paper(seed, width, height).copy()
    rng = random.Random(f"ground {style} {seed}")
    if style in PLACES:
        return _PLACES[style](rng, width, height, floor_line(style, seed) * height)
    return _image(_PATTERNS[style](rng, width, height))


def floor_line(style: str, seed: int) -> float:
    """Return where the floor of a place begins, as a share of the height from above; 0 for a pattern."""
    return random.Random(f"floor {style} {seed}").uniform(0.22, 0.42) if style in PLACES else 0.0


@lru_cache(maxsize=512)
def ground_colours(style: str, seed: int) -> Pixels:
    """Return the colours of a ground in 16 x 16 cells, float [16, 16, 3]."""
    small = draw_ground(style, seed, 128, 128).reduce(8)
    return np.asarray(small, dtype=np.float32)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _colour(rng: random.Random, brightness: float | None = None) -> Colour:
    """Return a colour of given brightness (0 to 1), by default any from black to white."""
    light = rng.random() if brightness is None else brightness
    if rng.random() < 0.3:  # grey
        saturation = 0.0
    else:
        saturation = rng.uniform(0.05, 0.45)
    r, g, b = colorsys.hsv_to_rgb(rng.random(), saturation, light)
    return round(255 * r), round(255 * g), round(255 * b)


def _near(rng: random.Random, colour: Colour, most: float) -> Colour:
    """Return a colour that differs from `colour` by at most `most` levels of brightness."""
    shift = rng.choice((-1, 1)) * rng.uniform(most / 3, most)
    r, g, b = (min(255, max(0, round(value + shift))) for value in colour)
    return r, g, b


def _along(rng: random.Random, width: int, height: int) -> Pixels:
    """Return the distance along a random direction in pixels, float [height, width]."""
    turn = rng.choice((0.0, math.pi / 2, rng.uniform(0, math.pi)))
    across = np.arange(width, dtype=np.float32)[None]
    down = np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(across * math.cos(turn) + down * math.sin(turn), dtype=np.float32)


def _mix(one: Colour, two: Colour, share: Pixels) -> Pixels:
    """Return the mixture of two colours for each pixel, float [height, width, 3], in 256 steps."""
    start, end = np.array(one, dtype=np.float32), np.array(two, dtype=np.float32)
    steps = start + (end - start) * np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    mixed: Pixels = steps[np.clip(share * np.float32(255), 0, 255).astype(np.uint8)]
    return mixed


def _plain(rng: random.Random, width: int, height: int) -> Pixels:
    return np.broadcast_to(np.array(_colour(rng), dtype=np.float32), (height, width, 3))


def _gradient(rng: random.Random, width: int, height: int) -> Pixels:
    if rng.random() < 0.3:  # round, as a lamp's light
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] - np.float32(rng.uniform(-0.6, 0.6))
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.6, 0.6))
        share = np.sqrt(x * x + y * y) / np.float32(2)
    else:
        along = _along(rng, width, height)
        share = (along - along.min()) / max(1.0, float(np.ptp(along)))
    return _mix(_colour(rng), _colour(rng), np.clip(share, 0, 1))


def _soft(values: np.random.Generator, cells: int, width: int, height: int) -> Pixels:
    """Return smooth noise of about unit size with `cells` cells across, float [height, width]."""
    coarse = (128 + 50 * values.standard_normal((cells, cells))).clip(0, 255).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return ((np.asarray(smooth, dtype=np.float32) - 128) / 50).astype(np.float32)


def _clouds(rng: random.Random, width: int, height: int) -> Pixels:
    values = np.random.default_rng(rng.randrange(1 << 30))
    share = 0.5 + 0.35 * _soft(values, rng.choice((4, 7, 12, 24)), width, height)
    base = _colour(rng)
    return _mix(base, _near(rng, base, 90), share)


def _grain(rng: random.Random, width: int, height: int) -> Pixels:
    values = np.random.default_rng(rng.randrange(1 << 30))
    cell = rng.choice((1, 2, 3, 6))
    rows, columns = -(-height // cell), -(-width // cell)
    noise = values.integers(-128, 128, (rows, columns), dtype=np.int16).astype(np.float32)
    fine = noise.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    base = np.array(_colour(rng), dtype=np.float32)
    return base + fine[..., None] * np.float32(rng.uniform(0.05, 0.3))


def _stripes(rng: random.Random, width: int, height: int) -> Pixels:
    period = rng.uniform(10, 90)
    phase = np.sin(_along(rng, width, height) * np.float32(2 * math.pi / period))
    share = np.asarray(phase > 0, dtype=np.float32) if rng.random() < 0.5 else (phase + 1) / 2
    base = _colour(rng)
    return _mix(base, _near(rng, base, 70), share)


def _checks(rng: random.Random, width: int, height: int) -> Pixels:
    cell = rng.randint(8, 60)
    across, down = np.arange(width)[None] // cell, np.arange(height)[:, None] // cell
    base = _colour(rng)
    return _mix(base, _near(rng, base, 60), np.asarray((across + down) % 2, dtype=np.float32))


def _dots(rng: random.Random, width: int, height: int) -> Pixels:
    cell = rng.randint(14, 60)
    x = np.arange(width, dtype=np.float32)[None] % cell - cell / 2
    y = np.arange(height, dtype=np.float32)[:, None] % cell - cell / 2
    share = np.asarray(x * x + y * y < (cell * rng.uniform(0.12, 0.3)) ** 2, dtype=np.float32)
    base = _colour(rng)
    return _mix(base, _near(rng, base, 70), share)


def _sky(rng: random.Random, width: int, height: int) -> Image.Image:
    """Draw a sky by day, at dusk or at night, over the whole picture."""
    above, below = rng.choice(
        (
            ((112, 178, 236), (206, 230, 246)),
            ((150, 170, 190), (214, 220, 226)),
            ((88, 70, 120), (240, 170, 130)),
            ((10, 14, 40), (44, 50, 92)),
        )
    )
    down = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    return _image(_mix(above, below, down)).resize((width, height), Image.Resampling.BILINEAR)


def _floor(rng: random.Random, width: int, height: int, base: Colour, rough: float) -> Image.Image:
    """Draw a floor of one colour with streaks that get coarser towards the viewer; `rough` in levels."""
    values = np.random.default_rng(rng.randrange(1 << 30))
    noise = Image.fromarray(
        values.normal(128, 40, (max(2, height // 3), max(2, width // 8))).clip(0, 255).astype(np.uint8)
    )
    streaks = np.asarray(noise.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
    light = np.linspace(-8, 14, height, dtype=np.float32)[:, None]
    level = Image.fromarray(
        np.clip(128 + light + (streaks - 128) * np.float32(rough / 40), 0, 255).astype(np.uint8)
    )
    channels = [
        level.point([min(255, max(0, value + shade - 128)) for shade in range(256)]) for value in base
    ]
    return Image.merge("RGB", channels)


def _wall(rng: random.Random, width: int, height: int) -> Image.Image:
    pattern = rng.choice((_plain, _plain, _gradient, _stripes, _dots))
    return _image(pattern(rng, width, height))


def _table(rng: random.Random, width: int, height: int, line: float) -> Image.Image:
    picture, top = _wall(rng, width, height), round(line)
    wood = rng.choice(((196, 146, 92), (122, 82, 50), (226, 214, 196), (72, 52, 40), (236, 236, 232)))
    picture.paste(_floor(rng, width, height - top, wood, 10), (0, top))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, top, width, top + max(1, height // 120)), fill=_near(rng, wood, 40))
    return picture


def _room(rng: random.Random, width: int, height: int, line: float) -> Image.Image:
    picture, top = _wall(rng, width, height), round(line)
    wood = rng.choice(((176, 128, 84), (110, 76, 52), (204, 196, 184), (88, 92, 98)))
    floor = _floor(rng, width, height - top, wood, 6)
    pen = ImageDraw.Draw(floor)
    gap, middle = width / 7, width / 2
    dark = _near(rng, wood, 22)
    for board in range(-14, 15):  # boards run towards the middle of the wall
        pen.line((middle + board * gap * 0.6, 0, middle + board * gap * 1.4, floor.height), fill=dark)
    picture.paste(floor, (0, top))
    strip = max(2, height // 60)
    ImageDraw.Draw(picture).rectangle((0, top - strip, width, top), fill=_near(rng, wood, 60))
    return picture


def _meadow(rng: random.Random, width: int, height: int, line: float) -> Image.Image:
    picture, top = _sky(rng, width, height), round(line)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(1, 3)):  # hills
        x, wide, tall = rng.uniform(0, width), rng.uniform(0.3, 0.8) * width, rng.uniform(0.05, 0.16) * height
        shade = rng.choice(((96, 140, 84), (74, 112, 96), (120, 150, 100)))
        pen.ellipse((x - wide, top - tall, x + wide, top + tall), fill=shade)
    grass = rng.choice(((112, 172, 70), (86, 140, 58), (150, 178, 90), (50, 88, 46), (168, 160, 84)))
    picture.paste(_floor(rng, width, height - top, grass, 14), (0, top))
    return picture


def _street(rng: random.Random, width: int, height: int, line: float) -> Image.Image:
    picture, top = _sky(rng, width, height), round(line)
    pen = ImageDraw.Draw(picture)
    x = 0.0
    while x < width:  # houses
        wide, tall = rng.uniform(0.1, 0.25) * width, rng.uniform(0.35, 0.95) * top
        wall = _colour(rng, rng.uniform(0.3, 0.8))
        pen.rectangle((x, top - tall, x + wide, top), fill=wall)
        pane, side = _near(rng, wall, 50), max(3.0, wide / 7)
        for column in range(3):
            for row in range(int(tall / (2 * side))):
                left, upper = x + side * (0.75 + 2 * column), top - tall + side * (0.7 + 2 * row)
                pen.rectangle((left, upper, left + side, upper + side), fill=pane)
        x += wide
    tar = rng.choice(((96, 98, 104), (128, 128, 130), (62, 64, 70), (160, 156, 150)))
    picture.paste(_floor(rng, width, height - top, tar, 6), (0, top))
    kerb = top + (height - top) * 0.16
    pen.rectangle((0, top, width, kerb), fill=_near(rng, tar, 40))
    lane, dash = top + (height - top) * 0.62, width / 9
    for mark in range(5):
        pen.rectangle(
            (mark * 2 * dash, lane, mark * 2 * dash + dash, lane + height / 80), fill=(228, 228, 220)
        )
    return picture


def _water(rng: random.Random, width: int, height: int, line: float) -> Image.Image:
    picture, top = _sky(rng, width, height), round(line)
    sea = rng.choice(((52, 120, 168), (88, 160, 190), (40, 84, 110), (24, 44, 84)))
    picture.paste(_floor(rng, width, height - top, sea, 12), (0, top))
    pen = ImageDraw.Draw(picture)
    crest = _near(rng, sea, 50)
    for _ in range(24):
        x, y, wide = rng.uniform(0, width), rng.uniform(top, height), rng.uniform(0.03, 0.1) * width
        pen.arc((x, y, x + wide, y + wide / 4), 180, 360, fill=crest, width=2)
    return picture


_PATTERNS: Final[dict[str, Callable[[random.Random, int, int], Pixels]]] = {
    "plain": _plain,
    "gradient": _gradient,
    "clouds": _clouds,
    "grain": _grain,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
}
_PLACES: Final[dict[str, Callable[[random.Random, int, int, float], Image.Image]]] = {
    "table": _table,
    "room": _room,
    "meadow": _meadow,
    "street": _street,
    "water": _water,
}
