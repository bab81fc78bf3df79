"""Pictures as expressions in the Python that repeats a trial, so that the code runs as it is pasted.

A picture that was read from a file which still holds it is that file; a small one stands in the code; any
other is a file in the folder `FOLDER`, which is written if one asks for it. Not for the rest (`code`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from isi_widget.errors import InputError
from isi_widget.files.writing import write_file
from isi_widget.stimulus import Picture, Stimulus, load_image
from isi_widget.stimulus.loading import noting
from isi_widget.trial.literals import literal

#: Bytes of a PNG up to which a picture stands in the code itself.
INSIDE = 6_000
#: Beside the notebook, so that both travel together.
FOLDER = "isi_pictures"


class PictureCode:
    """Makes the expressions of one piece of code.

    Parameters
    ----------
    write : whether pictures that are too large to stand in the code are written to `FOLDER`; else a comment
        says what writes them.

    Attributes
    ----------
    imports : modules that the expressions need.
    comments : lines to stand above them.
    """

    def __init__(self, write: bool) -> None:
        self._write = write
        self.imports: set[str] = set()
        self.comments: list[str] = []

    def of(self, picture: Picture) -> str:
        """Write Python for an image, in any form that `load_image` accepts."""
        made = self.without_file(picture)
        if made is not None:
            return made
        return literal(self._file(f"image-{picture.sha256[:12]}.png", picture.png))

    def without_file(self, picture: Picture) -> str | None:
        """Write Python for an image that is small, or in the file that it was read from; None for others."""
        if picture.path is not None and _holds(picture.path, picture):
            return literal(picture.path)
        small = _small(picture)
        if small is not None:
            self.imports.add("base64")
            return f'base64.b64decode("{base64.b64encode(small).decode("ascii")}")'
        return None

    def of_stimulus(self, stimulus: Stimulus) -> str:
        """Write Python for the whole stimulus."""
        self.imports.add("pathlib")
        name = self._file(f"stimulus-{stimulus.key[:12]}.json", lambda: stimulus.to_json().encode())
        return f"isi.Stimulus.from_json(pathlib.Path({literal(name)}).read_bytes())"

    def _file(self, name: str, content: Callable[[], bytes]) -> str:
        path = Path(FOLDER) / name
        if self._write and not path.exists():
            try:
                path.parent.mkdir(exist_ok=True)
                write_file(path, content())
            except OSError as error:
                raise InputError(
                    f"The picture cannot be written to {path} in {Path.cwd()}, where the code would read it: "
                    f"{error.strerror or error}. Work in a folder that may be written to (os.chdir)."
                ) from None
        if not self._write:
            self.comments.append(f"# {path.as_posix()} is written by Trial.code(write_pictures=True)")
        return path.as_posix()


def _small(picture: Picture) -> bytes | None:
    """Return the picture as a PNG for use in code; None if it is too large."""
    if picture.width * picture.height > 100 * INSIDE:
        return None  # not even one colour would do, or it would take a second to find out
    out = io.BytesIO()
    picture.pil().save(out, "PNG", optimize=True)
    return out.getvalue() if len(out.getvalue()) <= INSIDE else None


def _holds(path: str, picture: Picture) -> bool:
    """Return whether a file still holds this picture."""
    try:
        stat = Path(path).expanduser().stat()
        return _digest(path, str(Path.cwd()), stat.st_mtime_ns, stat.st_size) == picture.sha256
    except (OSError, ValueError, RuntimeError, InputError):
        return False


@lru_cache(maxsize=64)
def _digest(path: str, folder: str, changed: int, size: int) -> str:
    with noting():
        return load_image(path).sha256
