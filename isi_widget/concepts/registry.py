"""Segmenters by name: those of this package, and those that users register.

Not for what a segmenter is (see `segmenters`).
"""

from __future__ import annotations

from typing import Any, TypeVar

from isi_widget.checks import shown
from isi_widget.concepts.grabcut import GrabCut
from isi_widget.concepts.sam import Sam, Sam2
from isi_widget.concepts.segmenters import Segmenter
from isi_widget.concepts.wand import Wand
from isi_widget.errors import InputError

_S = TypeVar("_S", bound="Segmenter | type[Segmenter]")
#: Name of the segmenter that needs no weights.
DEFAULT = "grabcut"
_OWN = {made.name: made for made in (GrabCut(), Wand(), Sam(), Sam2())}
_KNOWN: dict[str, Segmenter] = {**_OWN}


def register_segmenter(segmenter: _S) -> _S:
    """Make a segmenter known by its name, to `isi.segment` and to the page.

    Parameters
    ----------
    segmenter : a `Segmenter`, or a subclass of it that is made without arguments (so this is a decorator
        too). One of the same name is replaced, which happens when a cell runs again.

    Returns
    -------
    What was given.

    Raises
    ------
    InputError : no segmenter, no name, or a name of this package.
    """
    made = segmenter() if isinstance(segmenter, type) else segmenter
    name = getattr(made, "name", None)
    if not isinstance(made, Segmenter) or not isinstance(name, str) or not name.isidentifier():
        raise InputError(
            "A segmenter must be a subclass of isi_widget.concepts.Segmenter with a name of one word; got "
            f"{shown(segmenter)}."
        )
    if name in _OWN:
        raise InputError(f"{name!r} is a segmenter of this package; choose another name.")
    _KNOWN[name] = made
    return segmenter


def find_segmenter(name: Any) -> Segmenter:
    """Return the segmenter of a name; a `Segmenter` stands for itself.

    Raises
    ------
    InputError : there is none of that name.
    """
    if isinstance(name, Segmenter):
        return name
    known = segmenters()
    if not isinstance(name, str) or name not in known:
        raise InputError(f"back_end must be one of {', '.join(known)}; got {shown(name)}.")
    return known[name]


def segmenters() -> dict[str, Segmenter]:
    """Return the known segmenters by name."""
    return dict(_KNOWN)
