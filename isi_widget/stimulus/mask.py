"""`Mask`: any set of pixels of one image, with an optional soft edge; a region like a rectangle or polygon.

Stored as run lengths, so a mask of 12 megapixels takes a few hundred kilobytes. Not for finding objects (see
`isi_widget.concepts`), nor for painting through a mask (see `regions` and `effects`).
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isi_widget.checks import is_whole, shown
from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.coverage import Bounds
from isi_widget.stimulus.loading import MAX_PIXELS, MAX_SIDE

#: Most runs, enough for a mask with ragged edges on 12 megapixels; bounds memory and the time to read one.
MOST_RUNS = 1_000_000
#: Widest soft edge and most pixels to grow or shrink.
WIDEST = 1000.0
_KEYS = {"size", "runs", "feather"}
_RUN_BYTES = 4
_LISTED = 24  # runs; longer lists are printed as text


class Mask:
    """A set of pixels of an image of one size. Immutable; compared by content.

    Parameters
    ----------
    size : (width, height) of the image that the mask belongs to, pixels; at most 100 megapixels.
    runs : lengths of runs of pixels, row by row from the top left: outside, inside, outside, ... The first is
        0 if the first pixel is inside, the others are positive, and they sum to width * height. At most
        1,000,000.
    feather : width of the soft edge, pixels; default 0. Coverage falls linearly from 1 to 0 over this
        distance outside the mask (from its edge to the centre of a pixel); pixels farther away never change.

    Raises
    ------
    InputError : a wrong size, run or feather.
    """

    __slots__ = ("_ends", "_feather", "_hash", "_size")

    _size: tuple[int, int]
    _feather: float
    _ends: NDArray[np.int64]  # end of each run, pixels from the top left
    _hash: int | None

    def __init__(self, size: Any, runs: Any, feather: float = 0) -> None:
        width, height = _check_size(size)
        lengths = _check_runs(runs)
        total = int(lengths.sum())
        if total != width * height:
            raise InputError(
                f'mask: the "runs" must sum to {width} x {height} = {width * height} pixels, got {total}.'
            )
        self._take((width, height), np.cumsum(lengths), feather)

    def _take(self, size: tuple[int, int], ends: NDArray[Any], feather: float) -> None:
        if ends.size > MOST_RUNS:
            raise InputError(
                f"A mask may have at most {MOST_RUNS} runs, got {ends.size}: its edge is too ragged. Smooth "
                "or shrink it first."
            )
        kept = ends.astype(np.int64, copy=False)
        kept.flags.writeable = False
        width = checks.number(feather, 'mask: "feather"', low=0, high=WIDEST)
        for name, value in (("_size", size), ("_ends", kept), ("_feather", width), ("_hash", None)):
            object.__setattr__(self, name, value)

    @classmethod
    def _of(cls, size: tuple[int, int], ends: NDArray[Any], feather: float) -> Mask:
        mask = object.__new__(cls)
        mask._take(size, ends, feather)
        return mask

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A Mask cannot be changed; make a new one, for example mask.with_feather(3).")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("A Mask cannot be changed; make a new one.")

    # Where masks come from -----------------------------------------------------------------------------

    @classmethod
    def from_array(cls, array: Any, feather: float = 0) -> Mask:
        """Build a mask from an array: bool [height, width], True inside."""
        try:
            values = np.asarray(array)
        except ValueError:  # rows of different lengths
            values = np.empty(0)
        if values.ndim != 2 or values.dtype != np.bool_ or not values.size:
            raise InputError(
                "A mask is made from an array of bool [height, width] that is not empty, got "
                f"{values.dtype} {list(values.shape)}; compare first, for example array > 127."
            )
        size = _check_size(values.shape[::-1])
        flat = values.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        first = [0] if flat[0] else []
        return cls._of(size, np.concatenate([first, changes, [flat.size]]).astype(np.int64), feather)

    @classmethod
    def from_box(
        cls, size: tuple[int, int], box: tuple[float, float, float, float], feather: float = 0
    ) -> Mask:
        """Build the mask of a rectangle (x, y, width, height), edges rounded to whole pixels and clipped."""
        width, height = _check_size(size)
        x, y, wide, high = checks.region(box, "box")
        array = np.zeros((height, width), dtype=np.bool_)
        left, top, right, bottom = (max(0, math.floor(edge + 0.5)) for edge in (x, y, x + wide, y + high))
        array[top:bottom, left:right] = True
        return cls.from_array(array, feather)

    @classmethod
    def from_dict(cls, record: Any) -> Mask:
        """Rebuild from the record of `to_dict`.

        Raises
        ------
        InputError : not such a record, or too large.
        """
        inner = record.get("mask") if isinstance(record, Mapping) and set(record) == {"mask"} else None
        if not isinstance(inner, Mapping):
            raise InputError(
                'A mask must be {"mask": {"size": [width, height], "runs": [...], "feather": 0}}, got '
                f"{shown(record)}."
            )
        unknown = [str(key) for key in inner if key not in _KEYS]
        missing = sorted({"size", "runs"} - set(inner))
        if unknown or missing:
            fault = f"unknown key {unknown[0]!r}" if unknown else f"missing key {missing[0]!r}"
            raise InputError(f"mask: {fault}; its keys are size, runs and feather.")
        return cls(inner["size"], inner["runs"], inner.get("feather", 0))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: {"mask": {"size": [width, height], "runs": [...], "feather": 0}}."""
        feather = _whole(self.feather)
        return {"mask": {"size": list(self.size), "runs": self._lengths().tolist(), "feather": feather}}

    @classmethod
    def from_text(cls, size: tuple[int, int], text: str, feather: float = 0) -> Mask:
        """Rebuild from the text of `to_text`."""
        try:
            opened = zlib.decompressobj()
            data = opened.decompress(base64.b64decode(text, validate=True), _RUN_BYTES * MOST_RUNS)
        except (binascii.Error, zlib.error, TypeError, ValueError):
            data, opened = b"", None
        if opened is None or not opened.eof or not data or len(data) % _RUN_BYTES:
            raise InputError("mask: the text is damaged; it must be what Mask.to_text() returned.")
        steps = np.frombuffer(data, dtype=np.uint8).reshape(_RUN_BYTES, -1).T.copy().view("<i4").ravel()
        lengths = np.empty(steps.size, dtype=np.int64)
        for first in (0, 1):
            lengths[first::2] = np.cumsum(steps[first::2], dtype=np.int64)
        return cls(size, lengths, feather)

    def to_text(self) -> str:
        """Return the runs as short text (each as its difference from the run before the last, zlib, base64),
        for printed Python.
        """
        lengths = self._lengths()
        steps = lengths.copy()
        steps[2:] -= lengths[:-2]  # the same edge one row above: mostly 0 or 1
        planes = steps.astype("<i4").view(np.uint8).reshape(-1, _RUN_BYTES).T
        return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")

    def code(self) -> str:
        """Return Python that makes this mask again, exactly; one line."""
        soft = f", feather={_whole(self.feather)}" if self.feather else ""
        if self.run_count <= _LISTED:
            return f"isi.Mask({self.size}, {list(self.runs)}{soft})"
        return f"isi.Mask.from_text({self.size}, {self.to_text()!r}{soft})"

    # What it holds -------------------------------------------------------------------------------------

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image, pixels."""
        return self._size

    @property
    def runs(self) -> tuple[int, ...]:
        """Lengths of the runs: outside, inside, outside, ..."""
        return tuple(self._lengths().tolist())

    @property
    def feather(self) -> float:
        """Width of the soft edge, pixels."""
        return self._feather

    @property
    def run_count(self) -> int:
        """Number of runs."""
        return int(self._ends.size)

    @property
    def area(self) -> int:
        """Number of pixels inside, without the soft edge."""
        starts, stops = self._inside()
        return int((stops - starts).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) around the pixels inside, without the soft edge; all 0 if there are none."""
        starts, stops = self._inside()
        if not starts.size:
            return (0, 0, 0, 0)
        wide = self.size[0]
        top, bottom = int(starts[0]) // wide, (int(stops[-1]) - 1) // wide + 1
        left, right = int((starts % wide).min()), int(((stops - 1) % wide).max()) + 1
        if ((stops - 1) // wide > starts // wide).any():  # a run that continues in the next row
            left, right = 0, wide
        return (left, top, right - left, bottom - top)

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom), half-open: the pixels that the mask with its soft edge may change;
        all 0 if empty.
        """
        x, y, width, height = self.box
        if not width:
            return (0, 0, 0, 0)
        return self._around((x, y, x + width, y + height), math.ceil(self.feather + 0.5) - 1)

    def array(self, bounds: Bounds | None = None) -> NDArray[np.bool_]:
        """Return which pixels are inside: bool [height, width], of the image or of (left, top, right, bottom)
        in it.
        """
        left, top, right, bottom = self._check_bounds(bounds)
        wide = self.size[0]
        ends = np.clip(self._ends, top * wide, bottom * wide)
        lengths = np.diff(ends, prepend=top * wide)
        inside = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
        return np.ascontiguousarray(inside.reshape(bottom - top, wide)[:, left:right])

    def alpha(self, bounds: Bounds | None = None) -> NDArray[np.uint8]:
        """Return the coverage with the soft edge: uint8 [height, width], 255 inside.

        bounds : as for `array`.
        """
        asked = self._check_bounds(bounds)
        left, top, right, bottom = asked
        if not self.feather or not self.run_count > 1:
            return self.array(asked).astype(np.uint8) * np.uint8(255)
        around = self._around(asked, math.ceil(self.feather + 0.5))  # all that can reach into the bounds
        far = distances(self.array(around))
        far = far[top - around[1] : bottom - around[1], left - around[0] : right - around[0]]
        far = np.maximum(far - np.float32(0.5), 0)  # from the edge of the mask
        share = np.clip(1 - far / np.float32(self.feather), 0, 1)
        alpha: NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
        return alpha

    # Other masks from it -------------------------------------------------------------------------------

    def with_feather(self, feather: float) -> Mask:
        """Return the same pixels with a soft edge of `feather` pixels; 0 for a hard edge."""
        return self._of(self.size, self._ends, feather)

    def __or__(self, other: Mask) -> Mask:
        """Return the union; the feather is that of the first mask."""
        return self._joined(other, np.logical_or)

    def __and__(self, other: Mask) -> Mask:
        """Return the intersection; the feather is that of the first mask."""
        return self._joined(other, np.logical_and)

    def __sub__(self, other: Mask) -> Mask:
        """Return the pixels of this mask that are not in the other; the feather is that of this mask."""
        return self._joined(other, lambda a, b: a & ~b)

    def __invert__(self) -> Mask:
        """Return the other pixels of the image, with the same feather."""
        ends = self._ends[1:] if self._ends[0] == 0 else np.concatenate([[0], self._ends])
        return self._of(self.size, ends, self.feather)

    def grow(self, pixels: float) -> Mask:
        """Return the mask with all pixels at most `pixels` from one inside (centre to centre).

        A negative number shrinks: pixels at most that far from a pixel outside are taken away. The edge of
        the image does not count as outside.
        """
        far = checks.number(pixels, "pixels", low=-WIDEST, high=WIDEST)
        if far < 0:
            return ~((~self).grow(-far))
        if not self.area:
            return self
        x, y, width, height = self.box
        around = self._around((x, y, x + width, y + height), math.ceil(far))
        left, top, right, bottom = around
        array = np.zeros(self.size[::-1], dtype=np.bool_)
        array[top:bottom, left:right] = distances(self.array(around)) <= far
        return self.from_array(array, self.feather)

    # Helpers -------------------------------------------------------------------------------------------

    def _joined(self, other: Any, join: Callable[..., NDArray[np.bool_]]) -> Mask:
        if not isinstance(other, Mask):
            raise InputError(f"A mask combines with another mask only, got {type(other).__name__}.")
        if other.size != self.size:
            raise InputError(
                f"Only masks of images of the same size combine, got {self.size[0]} x {self.size[1]} and "
                f"{other.size[0]} x {other.size[1]} pixels."
            )
        return self.from_array(join(self.array(), other.array()), self.feather)

    def _lengths(self) -> NDArray[np.int64]:
        return np.diff(self._ends, prepend=0)

    def _inside(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where runs inside start and stop, pixels from the top left."""
        stops = self._ends[1::2]
        return self._ends[0::2][: stops.size], stops

    def _around(self, bounds: Bounds, reach: int) -> Bounds:
        """Return bounds widened by `reach` pixels, inside the image."""
        left, top, right, bottom = bounds
        wide, high = self.size
        return max(0, left - reach), max(0, top - reach), min(wide, right + reach), min(high, bottom + reach)

    def _check_bounds(self, bounds: Bounds | None) -> Bounds:
        if bounds is None:
            return (0, 0, *self.size)
        left, top, right, bottom = bounds
        if not (0 <= left <= right <= self.size[0] and 0 <= top <= bottom <= self.size[1]):
            raise InputError(
                f"bounds must be (left, top, right, bottom) inside the image of {self.size[0]} x "
                f"{self.size[1]} pixels, got {bounds}."
            )
        return left, top, right, bottom

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mask):
            return NotImplemented
        return (
            self.size == other.size
            and self.feather == other.feather
            and np.array_equal(self._ends, other._ends)
        )

    def __hash__(self) -> int:
        if self._hash is None:
            object.__setattr__(self, "_hash", hash((self.size, self.feather, self._ends.tobytes())))
        assert self._hash is not None
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.size, self._ends, self.feather)

    def __repr__(self) -> str:
        soft = f", feather {self.feather:g}" if self.feather else ""
        return f"Mask({self.size[0]} x {self.size[1]}, {self.area} pixels in box {self.box}{soft})"


def _rebuilt(size: tuple[int, int], ends: NDArray[np.int64], feather: float) -> Mask:
    """Unpickle."""
    return Mask._of(size, ends, feather)


def _check_size(size: Any) -> tuple[int, int]:
    """Return (width, height), each at least 1, together at most what an image may have."""
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_whole, size)):
        width, height = int(size[0]), int(size[1])
        if 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS:
            return width, height
    raise InputError(
        'mask: "size" must be [width, height] in whole pixels, together at most '
        f"{MAX_PIXELS // 10**6} megapixels; got {shown(size)}."
    )


def _check_runs(runs: Any) -> NDArray[np.int64]:
    """Return the lengths of 1 to MOST_RUNS runs: whole numbers, all but the first positive."""
    count = len(runs) if isinstance(runs, (list, tuple, np.ndarray)) and np.ndim(runs[:1]) == 1 else 0
    if count > MOST_RUNS:
        raise InputError(f'mask: "runs" may have at most {MOST_RUNS} numbers, got {count}.')
    if isinstance(runs, np.ndarray):
        whole = runs.dtype.kind in "iu"
    else:
        whole = count > 0 and all(map(is_whole, runs))
    if not count or not whole:
        raise InputError(
            'mask: "runs" must be a list of whole numbers, the lengths of runs outside, inside, outside, ... '
            f"row by row; got {shown(runs)}."
        )
    # Larger numbers do not fit the array; all of them are refused below.
    lengths = np.array([min(max(run, -1), MAX_PIXELS + 1) for run in runs], dtype=np.int64)
    if lengths[0] < 0 or (lengths[1:] <= 0).any() or (lengths > MAX_PIXELS).any():
        raise InputError(
            f'mask: each of the "runs" must be from 1 to {MAX_PIXELS} (the first may be 0); got '
            f"{shown(runs)}."
        )
    return lengths


def distances(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the exact distance of each pixel's centre to the nearest one inside (Euclidean); infinite if
    there is none.
    """
    import cv2

    if not inside.any():
        return np.full(inside.shape, np.inf, dtype=np.float32)
    outside = (~inside).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32)


def _whole(value: float) -> float:
    """Return a whole float as an integer, as JavaScript writes it."""
    return int(value) if value.is_integer() else value
