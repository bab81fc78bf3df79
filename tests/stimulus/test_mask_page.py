"""Masks mean the same on the page: js/tests/masks.json holds masks and what Python makes of them.

js/tests/masks.test.ts compares the page's functions with the same file. After a change of meaning write it
again: `python tests/stimulus/test_mask_page.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from isi_widget import Mask

FILE = Path(__file__).resolve().parents[2] / "js" / "tests" / "masks.json"
SIZES = ((23, 17), (16, 9), (1, 7), (40, 30))


def _record(mask: Mask) -> Any:
    return mask.to_dict()["mask"]


def _blobs(size: tuple[int, int], seed: int) -> Mask:
    """Return a few random rectangles and single pixels, edges of the image included."""
    width, height = size
    random = np.random.default_rng(seed)
    array = random.random((height, width)) < 0.03
    for _ in range(3):
        x, y = random.integers(0, width), random.integers(0, height)
        array[y : y + random.integers(1, 7), x : x + random.integers(1, 9)] ^= True
    return Mask.from_array(array)


def records() -> list[dict[str, Any]]:
    """Return one record for each size: two masks, and what Python makes of them."""
    found = []
    for seed, size in enumerate(SIZES):
        a, b = _blobs(size, seed), _blobs(size, 100 + seed)
        soft = a.with_feather(2.5)
        found.append(
            {
                "a": _record(a),
                "b": _record(b),
                "inside": "".join("01"[int(value)] for value in a.array().ravel()),
                "area": a.area,
                "box": list(a.box),
                "or": _record(a | b),
                "and": _record(a & b),
                "minus": _record(a - b),
                "grown": {str(by): _record(a.grow(by)) for by in (1, 2, 3.5, 9, -1, -2)},
                "alpha": soft.alpha().ravel().tolist(),
                "bounds": list(soft.bounds),
            }
        )
    return found


def test_the_page_compares_itself_with_what_python_does_now() -> None:
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(records()))


if __name__ == "__main__":
    FILE.write_text(json.dumps(records(), separators=(",", ":")) + "\n")
