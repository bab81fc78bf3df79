"""`Picture`: an immutable 8-bit sRGB image, compared and hashed by content.

Not for reading or converting images: see `loading.load_image`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.files.writing import write_for_user


class Picture:
    """An immutable RGB image, compared by content.

    Parameters
    ----------
    image : Pillow image of mode RGB, not empty; it is copied.
    """

    __slots__ = ("__weakref__", "_changes", "_image", "_path", "_png", "_sha256")

    _image: Image.Image
    _changes: tuple[str, ...]
    _path: str | None
    _sha256: str | None
    _png: bytes | None

    def __init__(self, image: Image.Image) -> None:
        if image.mode != "RGB" or 0 in image.size:
            raise InputError(
                f"A Picture needs an RGB image that is not empty, got mode {image.mode}, "
                f"{image.width} x {image.height}; load_image() converts any image."
            )
        self._take(image.copy())

    @classmethod
    def of(cls, image: Image.Image) -> Picture:
        """Wrap an RGB image without copying it; no one else may change it afterwards."""
        if type(image) is not Image.Image:  # it keeps the file it was read from open
            return cls(image)
        picture = object.__new__(cls)
        picture._take(image)
        return picture

    def _take(self, image: Image.Image) -> None:
        image.info = {}  # a later reader would apply a remaining colour profile a second time
        object.__setattr__(self, "_image", image)
        object.__setattr__(self, "_changes", ())
        object.__setattr__(self, "_path", None)
        object.__setattr__(self, "_sha256", None)
        object.__setattr__(self, "_png", None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A Picture cannot be changed; make a new one.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("A Picture cannot be changed; make a new one.")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._image.size

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._image.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._image.height

    @property
    def path(self) -> str | None:
        """Name of the file it was read from; None without a file. The file may have changed since."""
        return self._path

    @property
    def changes(self) -> tuple[str, ...]:
        """What was changed when it was read, each as a clause, such as "its transparent parts were laid on
        white"; empty where its pixels are those of its source. Not compared and not stored.
        """
        return self._changes

    def changed(self, changes: Iterable[str]) -> Picture:
        """Return the same picture with what was changed when it was read."""
        picture = Picture.of(self._image)
        object.__setattr__(picture, "_changes", tuple(changes))
        object.__setattr__(picture, "_path", self._path)
        return picture

    def read_from(self, path: str) -> Picture:
        """Return the same picture with the name of its file."""
        picture = Picture.of(self._image)
        object.__setattr__(picture, "_changes", self._changes)
        object.__setattr__(picture, "_path", path)
        object.__setattr__(picture, "_sha256", self._sha256)
        object.__setattr__(picture, "_png", self._png)
        return picture

    @property
    def sha256(self) -> str:
        """SHA-256 over the size and the RGB bytes, in hexadecimal."""
        if self._sha256 is None:
            digest = hashlib.sha256(f"{self.width}x{self.height}:".encode())
            digest.update(self._image.tobytes())
            object.__setattr__(self, "_sha256", digest.hexdigest())
        assert self._sha256 is not None
        return self._sha256

    def pil(self) -> Image.Image:
        """Return a copy as a Pillow image of mode RGB."""
        return self._image.copy()

    def array(self) -> NDArray[np.uint8]:
        """Return a copy as uint8 [height, width, 3]."""
        return np.array(self._image, dtype=np.uint8)

    def png(self) -> bytes:
        """Return the picture as a PNG file (without loss); kept after the first call."""
        if self._png is None:
            buffer = io.BytesIO()
            self._image.save(buffer, "PNG", compress_level=3)
            object.__setattr__(self, "_png", buffer.getvalue())
        assert self._png is not None
        return self._png

    def save(self, path: str | Path) -> Path:
        """Write a PNG file, completely or not at all; returns the path.

        Raises
        ------
        InputError : the file cannot be written.
        """
        return write_for_user("The picture", path, self.png())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Picture):
            return NotImplemented
        return self.size == other.size and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Picture({self.width} x {self.height}, sha256 {self.sha256[:12]})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_bytes, (self.size, self._image.tobytes())

    def _repr_png_(self) -> bytes:
        preview = self._image.copy()
        preview.thumbnail((800, 800))
        buffer = io.BytesIO()
        preview.save(buffer, "PNG")
        return buffer.getvalue()


def _from_bytes(size: tuple[int, int], data: bytes) -> Picture:
    """Unpickle."""
    return Picture.of(Image.frombytes("RGB", size, data))
