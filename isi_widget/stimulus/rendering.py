"""Paints drawings on a picture, in order, with a small cache by content.

The cache holds renders by (picture, drawings): adding one drawing to the last render paints only that
drawing. Not for choosing the picture or the drawings: see `core.Stimulus`.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus.drawing import Arrow, CopiedPatch, Drawing, Text
from isi_widget.stimulus.lettering import unwritten
from isi_widget.stimulus.operations import Operation
from isi_widget.stimulus.picture import Picture

_Key: TypeAlias = "tuple[str, tuple[Drawing, ...]]"


def shown(drawings: Iterable[Drawing], picture: Picture) -> tuple[Drawing, ...]:
    """Return the drawings that paint on `picture`, in order and in normal form. Hidden drawings and those
    that paint nothing are left out, copied patches of the picture itself get it as their source, and fields
    that do not change pixels get their defaults.
    """
    seen = (item for item in drawings if not item.hidden)
    unlocked = (replace(item, locked=False) if item.locked else item for item in seen)
    filled = (item.of(picture) if isinstance(item, CopiedPatch) else item for item in unlocked)
    return tuple(item for item in filled if not unseen(item, picture.size))


def unseen(drawing: Drawing, size: tuple[int, int]) -> bool:
    """Return whether a drawing paints nothing on an image of `size`: it lies outside or has no size."""
    return drawing.bounds(size) == (0, 0, 0, 0)


def check_masks(operations: Iterable[Operation], size: tuple[int, int]) -> None:
    """Refuse operations whose mask belongs to an image of another size than `size`.

    Raises
    ------
    InputError : there is such an operation.
    """
    for item in operations:
        for mask in item.masks if isinstance(item, Drawing) else ():
            if mask.size != size:
                raise InputError(
                    f"{item.op}: the mask belongs to an image of {mask.size[0]} x {mask.size[1]} pixels, but "
                    f"the image here has {size[0]} x {size[1]}. Make the mask from the image that it changes."
                )


def warn_of(operations: Sequence[Operation], size: tuple[int, int]) -> None:
    """Warn about drawings that paint nothing and about letters that the font lacks; hidden drawings are
    skipped.
    """
    lost = [
        item.op for item in operations if isinstance(item, Drawing) and not item.hidden and unseen(item, size)
    ]
    if lost:
        warnings.warn(
            f"{', '.join(lost)}: paints nothing on the image of {size[0]} x {size[1]} pixels, since it lies "
            "outside it, has no size, has a mask of another image's size, or reduces it to a size that it "
            "does not exceed. Coordinates are pixels of the image, from its top left.",
            UserWarning,
            stacklevel=4,
        )
    missing = unwritten_in(item for item in operations if isinstance(item, Drawing) and not item.hidden)
    if missing:
        warnings.warn(
            f"The font of drawn text has no letters for {missing[:40]}: the model is shown empty boxes in "
            "their place. Draw such text with a font of your own (PIL.ImageDraw), and give that image.",
            UserWarning,
            stacklevel=4,
        )


def unwritten_in(drawings: Iterable[Operation]) -> str:
    """Return the letters of drawn texts and labels that the font lacks."""
    texts = [
        item.text if isinstance(item, Text) else item.label
        for item in drawings
        if isinstance(item, Text | Arrow)
    ]
    return unwritten("\n".join(texts)) if any(not text.isascii() for text in texts) else ""


def paint(image: Image.Image, drawings: Sequence[Drawing]) -> Image.Image:
    """Paint the drawings, in order, on a copy of an RGB image; not cached (for training)."""
    result = image.copy()
    for drawing in drawings:
        if isinstance(drawing, CopiedPatch) and drawing.picture is None:
            drawing = drawing.of(Picture(image))
        if not drawing.hidden:
            drawing.draw(result)
    return result


class RenderCache:
    """Least-recently-used cache of renders, bounded in bytes; thread-safe.

    Renders of a picture go with it: when the last `Picture` that they were painted for is freed.
    """

    def __init__(self, limit: int = 256 * 2**20) -> None:
        self._limit = limit
        self._bytes = 0
        self._images: OrderedDict[_Key, Image.Image] = OrderedDict()
        self._pictures: dict[str, weakref.ref[Picture]] = {}  # by checksum
        self._gone: deque[str] = deque()  # checksums of pictures that were freed
        self._lock = threading.Lock()

    def render(self, picture: Picture, drawings: tuple[Drawing, ...]) -> Image.Image:
        """Render the picture with the drawings on it, as given by `shown`. The image is shared: copy it
        before changing it.
        """
        if not drawings:
            return picture._image
        done, image = self._longest(picture, drawings)
        if done == len(drawings):
            return image
        result = paint(image, drawings[done:])
        self._keep(picture, drawings, result)
        return result

    def clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._images.clear()
            self._pictures.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def _longest(self, picture: Picture, drawings: tuple[Drawing, ...]) -> tuple[int, Image.Image]:
        """Return the number of leading drawings already rendered, and that render."""
        with self._lock:
            self._sweep()
            # Compare keys instead of looking up each prefix: hashing every prefix would take longer.
            mine = (key for key in self._images if key[0] == picture.sha256)
            for key in sorted(mine, key=lambda key: len(key[1]), reverse=True):
                if drawings[: len(key[1])] == key[1]:
                    self._images.move_to_end(key)
                    self._watch(picture)
                    return len(key[1]), self._images[key]
        return 0, picture._image

    def _keep(self, picture: Picture, drawings: tuple[Drawing, ...], image: Image.Image) -> None:
        key = (picture.sha256, drawings)
        with self._lock:
            self._sweep()
            if key in self._images:
                return
            self._watch(picture)
            self._images[key] = image
            self._bytes += _bytes(image)
            while self._bytes > self._limit and len(self._images) > 1:
                self._bytes -= _bytes(self._images.popitem(last=False)[1])

    def _watch(self, picture: Picture) -> None:
        """Drop the renders when this picture, the last one used with these pixels, is freed."""
        checksum = picture.sha256
        self._pictures[checksum] = weakref.ref(picture, lambda _: self._freed(checksum))

    def _freed(self, checksum: str) -> None:
        """Note that a picture was freed; called at any moment, even while this thread holds the lock."""
        self._gone.append(checksum)
        if self._lock.acquire(blocking=False):  # otherwise the holder of the lock, or the next render, sweeps
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        """Remove the renders of pictures that were freed."""
        while self._gone:
            checksum = self._gone.popleft()
            known = self._pictures.get(checksum)
            if known is None or known() is not None:
                continue  # an equal picture is used now
            del self._pictures[checksum]
            for key in [key for key in self._images if key[0] == checksum]:
                self._bytes -= _bytes(self._images.pop(key))


def _bytes(image: Image.Image) -> int:
    """Return the memory of an RGB image: Pillow uses four bytes per pixel."""
    return 4 * image.width * image.height


#: The cache that `Stimulus.render` uses.
cache = RenderCache()
