"""Completes edits: computes the in-painted pixels that they need for the picture beneath them.

Rule: an edit keeps its pixels as long as the picture beneath, its holes and its settings are those that the
pixels were computed from (`HoleEdit.key_on`); so a stimulus from JSON needs no in-painter. If one of them
changes, pixels of a quick in-painter are computed again at once. Pixels of a slow one are dropped, and the
edit is pending until `Stimulus.completed` is called. Stale pixels are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.holes import HoleEdit
from isi_widget.stimulus.inpainting import inpainters
from isi_widget.stimulus.operations import Operation
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.rendering import cache, shown


def completed(
    picture: Picture,
    operations: Sequence[Operation],
    *,
    slow: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[Operation, ...]:
    """Return the operations with the pixels that they need, painted in order on `picture`.

    Parameters
    ----------
    slow : True also computes pixels of slow in-painters; default False leaves their edits pending.
    progress : function called by slow in-painters as progress(stage, done, total); None (default) for none.
    cancel : function polled by slow in-painters; None (default) for none.

    Raises
    ------
    InputError : unknown in-painter, with `slow`.
    """
    if not any(isinstance(item, HoleEdit) for item in operations):
        return tuple(operations)
    made: list[Operation] = []
    beneath: list[Drawing] = []
    waiting = False  # whether an edit beneath has no pixels: what is above it cannot be computed
    for item in operations:
        if isinstance(item, HoleEdit) and not item.hidden and item.hole_bounds(picture.size) != _NOWHERE:
            item = _with_pixels(item, picture, beneath, waiting, slow, progress, cancel)
            waiting = waiting or item.pixels is None
        made.append(item)
        if isinstance(item, Drawing) and not item.hidden:
            beneath.append(item)
    return tuple(made)


def pending(picture: Picture, operations: Iterable[Operation]) -> tuple[int, ...]:
    """Return the indices of the visible edits that have no pixels yet."""
    return tuple(
        index
        for index, item in enumerate(operations)
        if isinstance(item, HoleEdit)
        and not item.hidden
        and item.pixels is None
        and item.hole_bounds(picture.size) != _NOWHERE
    )


_NOWHERE = (0, 0, 0, 0)


def _with_pixels(
    edit: HoleEdit,
    picture: Picture,
    beneath: Sequence[Drawing],
    waiting: bool,
    slow: bool,
    progress: Progress | None,
    cancel: Cancel | None,
) -> HoleEdit:
    key = edit.key_on(picture, beneath)
    if edit.is_complete(key, picture.size):
        return edit
    painter = inpainters().get(edit.inpainter)
    if waiting or (not slow and (painter is None or not painter.quick)):
        return edit.without_pixels()
    image = cache.render(picture, shown(beneath, picture))
    return edit.complete(image, key, progress, cancel)
