"""Completes edits: computes the in-painted pixels that they need for the picture beneath them.

Rule: an edit keeps its pixels as long as the picture beneath, its holes and its settings are those that the
pixels were computed from (`HoleEdit.key_on`); so a stimulus from JSON needs no in-painter. If one of them
changes, pixels of a quick in-painter are computed again at once. Pixels of a slow one are dropped, and the
edit is pending until `Stimulus.completed` is called. Stale pixels are never shown. Computed and dropped
pixels are remembered by key, so that undo and redo compute nothing again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus.base import Drawing
from isi_widget.stimulus.holes import HoleEdit
from isi_widget.stimulus.inpainting import inpainters, registered
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
_MOST_PIXELS = 16_000_000  # of remembered pixels: 64 MB
_memory: OrderedDict[tuple[str, int], Picture] = OrderedDict()  # by key, and by the in-painters known then
_lock = threading.Lock()


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
    remembered = _remembered(key)
    if remembered is not None:
        return replace(edit, pixels=remembered, beneath=key)
    painter = inpainters().get(edit.inpainter)
    if waiting or (not slow and (painter is None or not painter.quick)):
        if edit.pixels is not None and edit.beneath is not None:
            _remember(edit.beneath, edit.pixels)  # so that undo finds them, also those from JSON
        return edit.without_pixels()
    image = cache.render(picture, shown(beneath, picture))
    made = edit.complete(image, key, progress, cancel)
    assert made.pixels is not None
    _remember(key, made.pixels)
    return made


def _remembered(key: str) -> Picture | None:
    """Return pixels that were computed for this key before in this process."""
    with _lock:
        found = _memory.get((key, registered()))
        if found is not None:
            _memory.move_to_end((key, registered()))
        return found


def _remember(key: str, pixels: Picture) -> None:
    with _lock:
        _memory[key, registered()] = pixels
        while len(_memory) > 1 and sum(item.width * item.height for item in _memory.values()) > _MOST_PIXELS:
            _memory.popitem(last=False)
