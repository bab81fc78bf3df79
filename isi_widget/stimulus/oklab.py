"""Colours in OKLab, a space in which equal steps look about equally large: lightness apart from hue and
chroma.

Source: B. Ottosson, "A perceptual color space for image processing" (2020). Not for colour profiles (see
`loading`), nor for choosing the pixels to recolour (see `attributes`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_FROM_CONES = np.linalg.inv(_TO_CONES.astype(np.float64))
_FROM_LAB = np.linalg.inv(_TO_LAB.astype(np.float64))
#: Steps of lightness in a table of colours.
LEVELS = 1024
_HALVINGS = 16  # of the search for the most chroma that sRGB can show


@lru_cache(maxsize=1)
def _linear() -> Floats:
    """Return the light of each of the 256 values of a channel, 0 to 1."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def to_oklab(rgb: NDArray[np.uint8]) -> Floats:
    """Convert sRGB [..., 3] to lightness (0 black to 1 white), a and b [..., 3]."""
    cones = np.cbrt(_linear()[rgb] @ _TO_CONES.T)
    lab: Floats = cones @ _TO_LAB.T
    return lab


def lightness(rgb: NDArray[np.uint8]) -> Floats:
    """Return the lightness of sRGB [..., 3], 0 to 1."""
    found: Floats = np.cbrt(_linear()[rgb] @ _TO_CONES.T) @ _TO_LAB[0]
    return found


def from_oklab(lab: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Convert lightness, a and b [..., 3] to sRGB; colours that sRGB cannot show are clipped by channel."""
    light: NDArray[np.float64] = np.clip(_light(np.asarray(lab, dtype=np.float64)), 0, 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    made: NDArray[np.uint8] = np.rint(value * 255).astype(np.uint8)
    return made


def shades(a: float, b: float) -> NDArray[np.uint8]:
    """Return `LEVELS` colours of the hue of (a, b) [LEVELS, 3], from black to white, with its chroma or as
    much as sRGB can show.
    """
    light = np.linspace(0, 1, LEVELS)
    low, high = np.zeros(LEVELS), np.ones(LEVELS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shown = _light(np.stack([light, middle * a, middle * b], axis=1))
        fits = ((shown >= -1e-4) & (shown <= 1 + 1e-4)).all(axis=1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    whole = np.where(low > 1 - 2.0**-_HALVINGS * 1.5, 1.0, low)
    return from_oklab(np.stack([light, whole * a, whole * b], axis=1))


def _light(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear sRGB, which may lie outside 0 to 1."""
    light: NDArray[np.float64] = ((lab @ _FROM_LAB.T) ** 3) @ _FROM_CONES.T
    return light
