"""`Outputs`: what a probe puts into a notebook: the widget, and the still that is saved beside it.

Not for how a still is drawn (`still.py`).
"""

from __future__ import annotations

import base64
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from IPython.display import display

from isi_widget.widget import cells
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.still import Still, still_picture

if TYPE_CHECKING:
    from isi_widget.trial import Trial
    from isi_widget.widget.probe import Probe


#: Data and metadata of an output, each by MIME type.
Bundle = tuple[dict[str, Any], dict[str, Any]]


class Outputs:
    """The outputs of one probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._worker = Worker("isi-still")
        self._kept = uuid.uuid4().hex  # by which a notebook's outputs name the still
        self._shown_somewhere = False
        self._stills = 0
        self._view: tuple[weakref.ref[Trial], dict[str, Any]] | None = (
            None  # of the trial that was shown last
        )

    def release(self) -> None:
        """Keep no thread without work from now on."""
        self._worker.release()

    def rest(self) -> None:
        """End a thread without work now."""
        self._worker.rest()

    def show(self, bundle: Bundle) -> None:
        """Display the widget and, as a second output, its still, which a notebook saves and `keep` updates.

        Not one output with several forms: where the widget of a saved notebook is not found, JupyterLab says
        so instead of taking another form.

        Parameters
        ----------
        bundle : data and metadata of the widget's own output, by MIME type.
        """
        data, metadata = bundle
        self._probe._runs.controller.watched = self._shown_somewhere = True
        cells.displayed(self._probe)
        display({**data, "text/plain": repr(self._probe)}, metadata=metadata, raw=True)
        display(self.still().bundle(), display_id=self._kept, raw=True)

    def beside(self, bundle: Bundle) -> Bundle:
        """Add a still picture and a line of text to the widget's own output, for where no widget runs."""
        data, metadata = bundle
        self._probe._runs.controller.watched = True
        changed = self._probe._runs.interventions
        png = still_picture(self._probe.stimulus, self._probe.trial, changed)
        picture = base64.b64encode(png).decode()
        return {**data, "image/png": picture, "text/plain": repr(self._probe)}, metadata

    def still(self) -> Still:
        """Collect what a still is made of, as it is now."""
        with self._probe._exclusive():
            self._stills += 1
            entries, notes, shown = self._probe._history.entries, dict(self._probe.notes), self._probe.shown
            stimulus = self._probe._current()
            trial = self._probe._history.get(shown)
            number = self._stills
            kept = self._probe.kept
        session = "" if kept.get("problem") else str(kept.get("folder", ""))
        view = None if trial is None else self._view_of(trial)
        id = self._probe.model_id or ""
        return Still(id, number, stimulus, trial, entries, shown, notes, view, session)

    def _view_of(self, trial: Trial) -> dict[str, Any]:
        """Return the view of a trial with details: made once while the same trial is shown."""
        made = self._view
        if made is None or made[0]() is not trial:
            self._view = made = (weakref.ref(trial), trial.view(details=True))
        return made[1]

    def keep(self) -> None:
        """Bring the stills in the notebook's outputs up to date, the newest only, in a thread of its own."""

        def keep(job: Job) -> None:
            try:
                still = self.still()
                display(still.bundle(), display_id=self._kept, update=True, raw=True)
                with self._probe._exclusive():
                    self._probe.set_trait("stills", still.number)
            except Exception as error:
                self._probe._fail(error)

        if self._shown_somewhere:
            self._worker.submit(Job("still", keep, kind="still"))
