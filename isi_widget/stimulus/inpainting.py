"""In-painters by name: each fills a hole in an image from its surroundings.

`membrane` (default), `telea` and `navier-stokes` of OpenCV are always registered; a diffusion pipeline
registers itself (`isi_widget.concepts.diffusion`). On photographs the membrane has the smallest error of
the three (`python -m benchmarks.inpainting`). Not for choosing the hole, nor for painting the result (see
`edits`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from isi_widget.checks import integer
from isi_widget.errors import InputError
from isi_widget.readable import html_table
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus.membrane import membrane

#: Name of the in-painter that is used unless another is given.
DEFAULT = "membrane"
_LONGEST_NAME = 100
_OPENCV_SIDE = 512  # pixels; larger holes are filled on a reduced picture, with less error and time


class Inpainter:
    """Base class of in-painters.

    Attributes
    ----------
    name : name in operations and JSON.
    title : name on the page.
    quick : True if a hole in a megapixel takes less than a second and the result depends on the pixels only;
        the pixels are then computed again by themselves when the picture beneath changes. Default False.
    prompt : whether `fill` uses a prompt and a seed; default False.
    """

    name: str
    title: str
    quick: bool = False
    prompt: bool = False

    def margin(self, width: int, height: int) -> int:
        """Return how many pixels around a hole of this size `fill` needs."""
        return 16

    def fill(
        self,
        image: NDArray[np.uint8],
        hole: NDArray[np.bool_],
        *,
        prompt: str = "",
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.uint8]:
        """Return the image with its hole filled.

        Parameters
        ----------
        image : RGB [height, width, 3]; the values in the hole are those of the picture beneath.
        hole : pixels to fill [height, width]; at least one pixel is outside.
        prompt : text that describes the content of the hole; default "".
        seed : seed of a random in-painter; default 0.
        progress : function called as progress(stage, done, total); None (default) for none.
        cancel : function polled between steps; True raises `Cancelled`. None (default) for none.
        """
        raise NotImplementedError


class _Membrane(Inpainter):
    """The smoothest continuation of the surroundings (see `membrane`)."""

    name, title, quick = "membrane", "Smooth continuation", True

    def margin(self, width: int, height: int) -> int:
        return 1

    def fill(
        self,
        image: NDArray[np.uint8],
        hole: NDArray[np.bool_],
        *,
        prompt: str = "",
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.uint8]:
        return membrane(image, hole)


class _OpenCV(Inpainter):
    """An in-painter of OpenCV, which continues lines of equal brightness."""

    quick = True
    radius: ClassVar[int]
    method: ClassVar[str]

    def margin(self, width: int, height: int) -> int:
        return 4 * self.radius + 2 * max(1, max(width, height) // _OPENCV_SIDE)

    def fill(
        self,
        image: NDArray[np.uint8],
        hole: NDArray[np.bool_],
        *,
        prompt: str = "",
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.uint8]:
        import cv2

        method = int(getattr(cv2, self.method))
        scale = _OPENCV_SIDE / max(hole.shape)
        if scale >= 1:
            return np.asarray(cv2.inpaint(image, _mask(hole), self.radius, method), dtype=np.uint8)
        height, width = hole.shape
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        known = (~hole).astype(np.float32)
        weights = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA))
        small = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
        small = np.asarray(small) / np.maximum(weights, 1e-6)[..., None]
        unknown = weights < 1e-3
        if unknown.all():
            unknown = weights < weights.max()
        filled = cv2.inpaint(
            np.clip(np.rint(small), 0, 255).astype(np.uint8), _mask(unknown), self.radius, method
        )
        large = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR))
        return np.where(hole[..., None], large, image).astype(np.uint8)


class _Telea(_OpenCV):
    """A. Telea, "An image inpainting technique based on the fast marching method" (2004)."""

    name, title, radius, method = "telea", "OpenCV, Telea", 5, "INPAINT_TELEA"


class _NavierStokes(_OpenCV):
    """M. Bertalmio et al., "Navier-Stokes, fluid dynamics, and image and video inpainting" (2001)."""

    name, title, radius, method = "navier-stokes", "OpenCV, Navier-Stokes", 3, "INPAINT_NS"


_known: dict[str, Inpainter] = {}
_registered = 0  # how often an in-painter was registered


def register_inpainter(inpainter: Inpainter) -> Inpainter:
    """Make an in-painter available by its name, on the page, too; replaces one of the same name and returns
    it.

    Raises
    ------
    InputError : not an `Inpainter`, or its name is empty or one of the built-in ones.
    """
    if not isinstance(inpainter, Inpainter):
        raise InputError(
            f"An in-painter must be an object of a subclass of Inpainter, got {type(inpainter).__name__}."
        )
    name = check_name(getattr(inpainter, "name", None), "The name of an in-painter")
    if name in _BUILT_IN:
        raise InputError(f"{name!r} is the name of a built-in in-painter; choose another one.")
    global _registered
    _registered += 1
    _known[name] = inpainter
    return inpainter


def registered() -> int:
    """Return a number that changes whenever an in-painter is registered: pixels computed before are then not
    reused.
    """
    return _registered


class Inpainters(Mapping[str, Inpainter]):
    """Registered in-painters by name: a read-only view that shows itself as a list."""

    def __init__(self, known: Mapping[str, Inpainter]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Inpainter:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"Inpainters({', '.join(map(_described, self._known.values()))})"

    def _repr_html_(self) -> str:
        rows = [(name, item.title, _yes(item.quick), _yes(item.prompt)) for name, item in self.items()]
        notes = ["quick: filled again by itself when the picture beneath changes."]
        return html_table("In-painters", ("name", "title", "quick", "takes a prompt"), rows, notes)


def _described(item: Inpainter) -> str:
    return f"{item.name!r}: {item.title}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def inpainters() -> Mapping[str, Inpainter]:
    """Return the registered in-painters by name, the default first."""
    return Inpainters(_known)


def check_name(value: object, name: str) -> str:
    """Return the name of an in-painter, which need not be registered here."""
    if isinstance(value, str) and value.strip() and len(value) <= _LONGEST_NAME:
        return value
    raise InputError(
        f"{name} must be a text of 1 to {_LONGEST_NAME} characters, such as {DEFAULT!r}; got {value!r:.80}."
    )


def find(name: str) -> Inpainter:
    """Return a registered in-painter.

    Raises
    ------
    InputError : it is not registered.
    """
    if name not in _known:
        raise InputError(
            f"There is no in-painter {name!r} here; registered are {', '.join(map(repr, _known))}. Register "
            "it with isi.register_inpainter(...), or load a diffusion pipeline with "
            "isi.load_inpainter(checkpoint, name=...)."
        )
    return _known[name]


def margin_of(inpainter: Inpainter, width: int, height: int) -> int:
    """Return how many pixels around a hole of this size an in-painter needs.

    Raises
    ------
    InputError : it returned something else than a whole number of at least 0.
    """
    return integer(inpainter.margin(width, height), f"The margin of the in-painter {inpainter.name!r}", low=0)


def inpaint(
    image: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    inpainter: Inpainter,
    *,
    prompt: str = "",
    seed: int = 0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> NDArray[np.uint8]:
    """Return the image [height, width, 3] with its hole [height, width] filled; other pixels never change.

    The in-painter gets the box of the hole with its margin. Without any known pixel the hole gets the mean
    colour of the image.

    Raises
    ------
    InputError : the in-painter returned an array of the wrong shape or type.
    """
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    result = image.copy()
    if not rows.size:
        return result
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = margin_of(inpainter, right - left, bottom - top)
    part = (
        slice(max(0, top - margin), min(hole.shape[0], bottom + margin)),
        slice(max(0, left - margin), min(hole.shape[1], right + margin)),
    )
    inside = np.ascontiguousarray(hole[part])
    if inside.all():
        result[part] = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
        return result
    given = np.ascontiguousarray(image[part])
    filled = inpainter.fill(given.copy(), inside, prompt=prompt, seed=seed, progress=progress, cancel=cancel)
    if not isinstance(filled, np.ndarray) or filled.shape != given.shape or filled.dtype != np.uint8:
        found = f"{getattr(filled, 'dtype', type(filled).__name__)} {getattr(filled, 'shape', '')}"
        raise InputError(
            f"The in-painter {inpainter.name!r} must return uint8 {given.shape}, got {found.strip()}."
        )
    result[part] = np.where(inside[..., None], filled, given)
    return result


def _mask(hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return hole.astype(np.uint8) * np.uint8(255)


_BUILT_IN = {item.name: item for item in (_Membrane(), _Telea(), _NavierStokes())}
_known.update(_BUILT_IN)
