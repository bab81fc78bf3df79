"""Arguments that measurements of this room share: the model, windows of layers, progress, cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.errors import Cancelled, InputError
from isi_widget.interventions.base import check_indices
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    from isi_widget.running.stages import Cancel, Progress
    from isi_widget.vlm import VLM


def check_inside(vlm: VLM, title: str) -> None:
    """Refuse what is no VLM, and one whose inside is not available, with the reason.

    Parameters
    ----------
    title
        Name of the measurement, with its article: "A trace".
    """
    check_vlm_like(vlm, f"{title} needs")
    if reason := vlm.unavailable.get("interventions", ""):
        raise InputError(f"The inside of {vlm.model_id} is not available: {reason}")


def check_names(value: Any, name: str, choices: Sequence[str], *, empty: bool = False) -> tuple[str, ...]:
    """Return one or several of the choices, each once, in the order given.

    Parameters
    ----------
    value
        A name or a sequence of names.
    name
        Name of the argument, for messages.
    empty
        Whether there may be none; None stands for none then.
    """
    given = (value,) if isinstance(value, str) else () if value is None and empty else value
    if not isinstance(given, Sequence):
        raise InputError(f"{name} must be of {', '.join(choices)}; got {value!r:.60}.")
    for item in given:
        checks.one_of(item, name, choices)
    if not given and not empty:
        raise InputError(f"{name} is empty; give at least one of {', '.join(choices)}.")
    return tuple(dict.fromkeys(given))


def check_windows(vlm: VLM, layers: Any, window: Any, name: str) -> tuple[tuple[int, ...], int]:
    """Return the first layers of the windows, and the number of layers in each.

    Parameters
    ----------
    layers
        First layers, counted from 0; None: all that a window can begin at.
    window
        Number of layers of a window.
    name
        Name of the function, for messages.
    """
    from isi_widget.vlm.inside.sites import sites

    number = len(sites(vlm.model, vlm.family).layers)
    wide = checks.integer(window, f"{name}: window", low=1, high=number)
    offered = range(number - wide + 1)
    chosen = check_indices(layers, f"{name}: layers") or tuple(offered)
    if wrong := [layer for layer in chosen if layer not in offered]:
        raise InputError(
            f"{name}: this model has {number} layers, so windows of {wide} begin at layers 0 to "
            f"{offered[-1]}; got {', '.join(map(str, wrong))}."
        )
    return chosen, wide


def window_names(layers: tuple[int, ...], window: int) -> tuple[str, ...]:
    """Return the names of windows by their first layers: "3", or "3 to 5"."""
    last = window - 1
    return tuple(str(layer) if not last else f"{layer} to {layer + last}" for layer in layers)


class Steps:
    """Progress and cancelling of a measurement, step by step.

    Parameters
    ----------
    stage : name of its one stage.
    title : name of the measurement in the message of `Cancelled`.
    total : number of steps.
    kept : a sentence about the results that stay after a cancel.
    """

    def __init__(
        self,
        stage: str,
        title: str,
        total: int,
        progress: Progress | None,
        cancel: Cancel | None,
        kept: str = "Nothing was kept.",
    ) -> None:
        self.stage, self.title, self.total = stage, title, total
        self._kept = kept
        self._progress, self._cancel, self._done = progress, cancel, -1

    def to(self, done: int) -> None:
        """Report a number of steps done; raises `Cancelled` if the caller cancelled."""
        if self._cancel is not None and self._cancel():
            raise Cancelled(f"{self.title} was cancelled. {self._kept}")
        if self._progress is not None and done > self._done:
            self._progress(self.stage, done, self.total)
        self._done = max(self._done, done)

    def one(self) -> None:
        """Report one more step."""
        self.to(self._done + 1)
