"""An image that is loaded when it is first needed.

Not for decoding (see `isi_widget.stimulus.load_image`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeAlias

from isi_widget.stimulus import ImageSource, Picture, load_image

#: An image, or a function without arguments that loads one when first needed.
LazyImage: TypeAlias = "ImageSource | Callable[[], ImageSource]"


class LazyPicture:
    """An image that is loaded when needed and kept only while it is in use, so that large data sets need
    little memory.
    """

    __slots__ = ("_make", "_picture", "_seen")

    def __init__(self, source: LazyImage) -> None:
        self._picture: Picture | None = None
        self._make: Callable[[], ImageSource] | None = None
        if callable(source):
            self._make = source
        else:
            self._picture = load_image(source)
        self._seen: weakref.ref[Picture] | None = None

    @property
    def is_lazy(self) -> bool:
        """Whether a function makes the image when it is needed."""
        return self._make is not None

    @property
    def source(self) -> LazyImage:
        """The source of the image, for pickling."""
        if self._make is not None:
            return self._make
        assert self._picture is not None
        return self._picture

    def get(self) -> Picture:
        """Load and return the picture."""
        if self._picture is not None:
            return self._picture
        picture = self._seen() if self._seen is not None else None
        if picture is None:
            assert self._make is not None
            picture = load_image(self._make())
            self._seen = weakref.ref(picture)
        return picture
