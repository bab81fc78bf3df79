"""Image files of a page: on their way, in parts, since a message of more than 10 MiB is lost on the way to a
kernel, and nobody hears of it; and as what an own observation keeps of one.

Not for reading images (`isi_widget.stimulus.load_image`).
"""

from __future__ import annotations

import weakref
from typing import Any

from isi_widget.errors import InputError
from isi_widget.stimulus import Picture, load_image
from isi_widget.stimulus.loading import noting
from isi_widget.widget import messages, protocol


class ImageFile:
    """The bytes of an image file, which are smaller than its pixels: called, it gives the picture."""

    def __init__(self, data: bytes, picture: Picture | None = None) -> None:
        self.data = data
        self._seen = None if picture is None else weakref.ref(picture)

    def __call__(self) -> Picture:
        """Return the picture; decode it again only if it was freed."""
        picture = None if self._seen is None else self._seen()
        if picture is None:
            with noting():  # the notes were shown when it was opened
                picture = load_image(self.data)
            self._seen = weakref.ref(picture)
        return picture

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageFile, (self.data,)


class Parts:
    """The parts of one file, as far as they have come. A new file takes the place of an unfinished one."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._parts: list[bytes] = []

    def add(self, upload: messages.Upload) -> bytes | None:
        """Take one part; returns the whole file once it is complete.

        Raises
        ------
        InputError : a part is missing before this one, or the file is too large.
        """
        if upload.part == 0:
            self._id, self._parts = upload.id, []
        if upload.id != self._id or upload.part != len(self._parts) or upload.part >= upload.parts:
            self._id, self._parts = None, []
            raise InputError(
                f"{upload.name} did not come whole: part {upload.part + 1} of {upload.parts} is out of its "
                "place. Open the file again."
            )
        self._parts.append(upload.data)
        size = sum(map(len, self._parts))
        if size > protocol.MAX_UPLOAD:
            self._id, self._parts = None, []
            raise InputError(
                f"{upload.name} has more than {protocol.MAX_UPLOAD >> 20} MiB, the most that a page may "
                "send. Load it in Python: probe.open_image(path)."
            )
        if len(self._parts) < upload.parts:
            return None
        whole = b"".join(self._parts)
        self._id, self._parts = None, []
        return whole
