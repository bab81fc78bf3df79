"""`Live`: what a study offers while it runs, and how a notebook shows it.

Its view is a widget, which lies above this room: it is imported when it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isi_widget.errors import Cancelled, InputError

if TYPE_CHECKING:
    from isi_widget.study.live.run import Run
    from isi_widget.widget import StudyView

_NOT_HERE = (
    "This study was opened from its store, so it cannot go on here: call isi.run_study with the same "
    "arguments and the same store, and it resumes."
)


class Live:
    """Base of `Study`: running, waiting, cancelling, resuming."""

    #: How its rows are computed; None for a study that was opened from a store.
    _run: Run | None = None
    _view: StudyView | None = None  # the view that notebooks show

    @property
    def running(self) -> bool:
        """Whether rows are being computed now."""
        return self._run is not None and self._run.running

    def cancel(self) -> None:
        """Stop after the current token. Finished rows stay, and `resume` goes on."""
        if self._run is not None:
            self._run.cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until no rows are being computed; return whether that is so.

        Parameters
        ----------
        seconds : longest time to wait; None (default): until the run is over.

        Raises
        ------
        InputError : the run was stopped, for example because too many rows failed. Errors of the model are
            raised, too. A cancelled run raises nothing.
        """
        if self._run is None:
            return True
        over = self._run.wait(seconds)
        if over and self._run.state == "failed" and self._run.error is not None:
            raise self._run.error
        return over

    def resume(self) -> None:
        """Compute the rows that are missing, in a thread of its own; finished rows are not repeated.

        Raises
        ------
        InputError : the study was opened from a store.
        """
        if self._run is None:
            raise InputError(_NOT_HERE)
        self._run.resume()

    def _compute(self, wait: bool) -> None:
        """Start the run; with `wait`, wait until it is over, and raise what stopped it.

        The exception has the study, with its finished rows, as `study`.
        """
        run = self._run
        if run is None:
            raise InputError(_NOT_HERE)
        if not wait:
            run.start()
            return
        try:
            run.here()
        except BaseException as error:
            error.study = self  # type: ignore[attr-defined]
            if isinstance(error, (Cancelled, KeyboardInterrupt)):
                error.add_note(
                    "To go on: make the same call again with its store, or without a store "
                    "`import sys; study = sys.last_value.study; study.resume()`."
                )
            raise

    # ---- in a notebook
    def view(self) -> StudyView:
        """Return a new view: the widget that a notebook shows for this study."""
        from isi_widget.widget import StudyView

        study: Any = self
        return StudyView(study)

    def _ipython_display_(self) -> None:
        """Display the view and, for places without widgets, a static page; every cell shows the same view."""
        if self._view is None or self._view.comm is None:
            self._view = self.view()
        self._view.show()
