"""`TrialTwins`: the Python twins of what the page does with trials: restore, delete, note, compare, export.

Each trial is named by its number or given as itself. Not for running one (`runs.py`), nor for their numbers
and files (`trials.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, cast, overload

from isi_widget.errors import InputError
from isi_widget.files.writing import write_for_user
from isi_widget.interventions import to_dicts
from isi_widget.stimulus import Stimulus
from isi_widget.study.compare import Comparison
from isi_widget.study.condition import Condition
from isi_widget.study.drawn import condition_of
from isi_widget.trial import Trial
from isi_widget.widget import document as doc
from isi_widget.widget import protocol
from isi_widget.widget import trials as tr
from isi_widget.widget.inside import InsideJobs
from isi_widget.widget.outputs import Outputs
from isi_widget.widget.sync import Synced


class TrialTwins(Synced):
    """Methods for the trials of a probe."""

    _jobs: InsideJobs
    _outputs: Outputs

    def restore(self, trial: int | Trial) -> Stimulus:
        """Make the input of a trial the present one, and show the trial: "Restore input" of the page.

        The interventions inside the model are restored with it. One undoable step, if the trial belongs to
        the current observation; otherwise the trial's observation is chosen. Raises `InputError` if there is
        no such trial.
        """
        number = self._history.number(trial)
        found = self._trial(number)
        stimulus, inside = found.stimulus, to_dicts(self._runs.added_by(found))
        with self._exclusive(), self.hold_sync():
            if stimulus != self._current() or inside != doc.inside(self.document):
                self.document = self._editor.adopt(stimulus, self.document, inside)
            self.shown = number
            self._refresh(wait=True)
        self._follow()
        return stimulus

    def delete(self, trial: int | Trial) -> Trial:
        """Take a trial and its note off the probe; returns the trial. `InputError`: there is none such."""
        removed_number = self._history.number(trial)
        removed = self._remove_entry(removed_number)
        self._jobs.contributions.pop(removed_number, None)
        self._outputs.keep()
        self._follow()
        return removed

    def note(self, trial: int | Trial, text: str) -> None:
        """Remember a sentence on a trial, shown and saved beside it; an empty one takes the note away.

        `probe.notes` has them all. Raises `InputError` if there is no such trial, or for a text of more than
        2,000 characters.
        """
        self._write_note(self._history.number(trial), protocol.check_note(text))
        self._outputs.keep()

    def compare(self, trials: Iterable[int | Trial] | None = None) -> Comparison:
        """Return trials (None: all) side by side, as the page's Compare shows them; the first is what the
        others are compared with. Raises `InputError` if there is no such trial, or none at all.
        """
        numbers = self._history.numbers(trials)
        found = tuple(self._trial(number) for number in numbers)
        return Comparison(found, tuple(f"trial {number}" for number in numbers))

    def conditions(self, trials: int | Trial | Iterable[int | Trial] | None = None) -> tuple[Condition, ...]:
        """Return the inputs of trials as conditions, for `isi.run_study`.

        Each has the drawings and edits, the changed texts and presets, and the interventions of its trial,
        and fits any observation; see `isi_widget.study.drawn`. Its name is the trial's note, or "trial 3".

        Parameters
        ----------
        trials : the trials; None (default): the pinned ones, or all if none is pinned.

        Raises
        ------
        InputError : there is no such trial, or none at all.
        """
        numbers = self._history.numbers(self.pinned or None if trials is None else trials)
        notes = self.notes
        names = [" ".join(str(notes.get(number, "")).split()) or f"trial {number}" for number in numbers]
        found = []
        for number, name in zip(numbers, names, strict=True):
            trial = self._trial(number)
            unique = name if names.count(name) == 1 else f"{name} (trial {number})"
            found.append(condition_of(trial.stimulus, unique, self._runs.added_by(trial)))
        return tuple(found)

    @overload
    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf", "html"] | None = None,
        path: None = None,
    ) -> bytes: ...

    @overload
    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf", "html"] | None = None,
        *,
        path: str | Path,
    ) -> Path: ...

    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf", "html"] | None = None,
        path: str | Path | None = None,
    ) -> bytes | Path:
        """Export some trials (None: all) as one file, like the page's Export.

        Parameters
        ----------
        format : "json": {"schema", "trials": [{"id", "note", "trial"}]}, without loss; `Trial.from_dict(
            entry["trial"])` gives a trial back. "csv": a table, one row per trial. "pdf", "html": as
            `report`. None (default): from the ending of `path`; "json" without one.
        path : the file to write, at once or not at all; None: the bytes are returned.

        Raises
        ------
        InputError : no such trial or format, a file that is named as another format, or one that cannot be
            written.
        """
        numbers = self._history.numbers(trials)
        made = self._file(numbers, protocol.check_export(format, path))
        if path is None:
            return made
        return write_for_user("The file of trials", path, made)

    def report(
        self,
        path: str | Path | None = None,
        *,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        baseline: int | Trial | None = None,
        title: str | None = None,
        format: Literal["pdf", "html"] | None = None,
    ) -> bytes | Path:
        """Write a report of this session: every trial with its input, results, note, pin, settings and code.

        Parameters
        ----------
        path : file to write, .pdf or .html, at once or not at all; None (default): the bytes are returned.
        trials : trials to report, by number or as themselves; None (default): all.
        baseline : trial that those of its observation are compared with; None (default): the first trial of
            each observation.
        title : title; None (default) is made from the question.
        format : "pdf" or "html"; None (default): by the ending of `path`, without one PDF.

        Raises
        ------
        InputError : no such trial, none at all, or a file that cannot be written.
        """
        from isi_widget.report.making import report_session

        numbers = self._history.numbers(trials)
        return report_session(
            {number: self._trial(number) for number in numbers},
            path,
            title=title,
            notes=self.notes,
            pinned=self.pinned,
            baseline=None if baseline is None else self._history.number(baseline),
            format=format,
        )

    def _trial(self, number: int) -> Trial:
        """Return the trial of a number that was valid a moment ago."""
        found = self._history.get(number)
        if found is None:
            raise InputError(f"There is no trial {number} any more: it was deleted.")
        return found

    def _file(self, numbers: Sequence[int], format: str) -> bytes:
        if format in ("pdf", "html"):
            made = self.report(trials=numbers, format="html" if format == "html" else "pdf")
            return cast(bytes, made)  # without a path
        return tr.file_of({number: self._trial(number) for number in numbers}, self.notes, format)
