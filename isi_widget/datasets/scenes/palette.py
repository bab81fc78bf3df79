"""The eight colours of both worlds as RGB, 0 to 255."""

from __future__ import annotations

from typing import Final

RGB: Final[dict[str, tuple[int, int, int]]] = {
    "red": (222, 38, 42),
    "orange": (247, 140, 20),
    "yellow": (242, 216, 36),
    "green": (46, 160, 67),
    "blue": (36, 88, 214),
    "purple": (128, 52, 172),
    "pink": (247, 142, 192),
    "brown": (128, 78, 40),
}
