"""`report`: trials as one document to read, print and file, with the trials themselves inside: PDF or HTML.

Not for drawing (`pdf`, `page`), nor for reading a report back (`isi_widget.trial.reports`).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, overload, runtime_checkable

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.files.writing import write_for_user
from isi_widget.readable import shortened
from isi_widget.report import fonts
from isi_widget.report.drawable import Compared, Drawable
from isi_widget.report.entries import Entry, Group, by_observation
from isi_widget.stimulus.labels import labels_of

Format = Literal["pdf", "html"]
_ENDINGS: dict[str, Format] = {"": "pdf", ".pdf": "pdf", ".html": "html", ".htm": "html"}


@runtime_checkable
class Reporting(Protocol):
    """Anything that makes a report of itself: a probe, a study."""

    def report(
        self, path: Any = None, *, title: str | None = None, format: Format | None = None
    ) -> bytes | Path:
        """Write the report, or return its bytes."""


#: What a report is made of.
Trials = Drawable | Compared | Iterable[Drawable] | Reporting


@overload
def report(
    trials: Trials,
    path: None = None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
    format: Format | None = None,
) -> bytes: ...
@overload
def report(
    trials: Trials,
    path: str | Path,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
    format: Format | None = None,
) -> Path: ...
@overload
def report(
    trials: Trials,
    path: str | Path | None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
    format: Format | None = None,
) -> bytes | Path: ...
def report(
    trials: Trials,
    path: str | Path | None = None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
    format: Format | None = None,
) -> bytes | Path:
    """Return a report of one trial, of several side by side, of a probe or of a study.

    Parameters
    ----------
    trials : a trial, several of them, a `Comparison`, whose labels are kept, a probe or a study. The first
        trial is what the others are compared with.
    path : file to write, at once or not at all, or None to get the bytes.
    title : title; None (default) is made from the question.
    notes : {number: note on that trial}; default none. A probe has its own.
    numbers : numbers of the trials, one for each; None (default): 1, 2, ... A probe has its own.
    format : "pdf" or "html"; None (default): by the ending of `path`, without an ending PDF.

    Returns
    -------
    The path that was written, or the bytes. The trials are inside: `open_report` reads them back.

    Raises
    ------
    InputError : no trials, something else than trials, an ending that is neither .pdf nor .html, or a path
        that cannot be written.
    """
    check_title(title)
    if isinstance(trials, Reporting) and not isinstance(trials, Drawable):
        if notes is not None or numbers is not None:
            raise InputError(
                f"A {type(trials).__name__} has its own numbers and notes: leave notes= and numbers= out."
            )
        return trials.report(path, title=title, format=format)
    listed, labels = _listed(trials)
    known = list(range(1, len(listed) + 1)) if numbers is None else list(numbers)
    if len(set(known)) != len(listed) or not all(map(is_whole, known)):
        raise InputError(
            f"A report needs one whole number for each of {len(listed)} trials, all different; got "
            f"{known!r:.100}."
        )
    given = zip(listed, labels, known, strict=True)
    entries = [
        Entry.of(trial, label, number, (notes or {}).get(number, "")) for trial, label, number in given
    ]
    skipped = trials.skipped if isinstance(trials, Compared) else ()
    group = Group("Comparison", tuple(entries), entries[0])
    return written(_document([group], title, checked_format(format, path), skipped), path)


def report_session(
    trials: Mapping[int, Drawable],
    path: str | Path | None = None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    pinned: Collection[int] = (),
    baseline: int | None = None,
    format: Format | None = None,
) -> bytes | Path:
    """Return the report of a session: every trial, grouped by observation, with notes, pins, differences.

    Parameters
    ----------
    trials : the trials by number; at least one.
    path, title, format : as for `report`.
    notes : {number: note}; default none.
    pinned : numbers of the pinned trials; default none.
    baseline : number of the trial that those of its observation are compared with; None (default): the first
        trial of each observation.

    Raises
    ------
    InputError : as for `report`, and if no trial has the number `baseline`.
    """
    check_title(title)
    if not trials:
        raise InputError("There is no trial to report: run one first.")
    if baseline is not None and baseline not in trials:
        raise InputError(
            f"The baseline is trial {baseline!r}; expected one of those reported: "
            f"{', '.join(map(str, list(trials)[:20]))}."
        )
    listed = list(trials.items())
    labels = labels_of([trial.stimulus for _, trial in listed])
    entries = [
        Entry.of(trial, label, number, (notes or {}).get(number, ""), number in pinned)
        for (number, trial), label in zip(listed, labels, strict=True)
    ]
    return written(
        _document(by_observation(entries, baseline), title, checked_format(format, path), (), session=True),
        path,
    )


def check_title(title: Any) -> None:
    """Refuse a title that is no text."""
    if title is not None and not isinstance(title, str):
        raise InputError(f"The title of a report must be a text or None; got {type(title).__name__}.")


def checked_format(format: Any, path: str | Path | None) -> Format:
    """Return the format of a report, from its name or the ending of its path.

    Raises
    ------
    InputError : neither PDF nor HTML, or name and ending that differ.
    """
    ending = "" if path is None else Path(path).suffix.lower()
    if format is not None and format not in ("pdf", "html"):
        raise InputError(f"format is {format!r}; expected 'pdf', 'html', or None for the ending of the path.")
    if ending not in _ENDINGS:
        if format is not None:
            return _named(format)
        raise InputError(f"A report is a file .pdf or .html; got {path}. Give one of these endings.")
    named = _ENDINGS[ending]
    if format is not None and ending and format != named:
        raise InputError(f"format is {format!r}, but {path} is named as {named}. Leave one of them out.")
    return _named(format) if format is not None else named


def _named(format: Any) -> Format:
    return "html" if format == "html" else "pdf"


def written(made: bytes, path: str | Path | None) -> bytes | Path:
    """Return the bytes, or the path after they were written to it, at once or not at all.

    Raises
    ------
    InputError : the file cannot be written.
    """
    if path is None:
        return made
    return write_for_user("The report", path, made)


def _listed(trials: Any) -> tuple[list[Drawable], list[str]]:
    if isinstance(trials, Compared):
        return list(trials.trials), list(trials.labels)
    single = isinstance(trials, Drawable | str | bytes) or not isinstance(trials, Iterable)
    listed = [trials] if single else list(trials)
    wrong = [type(item).__name__ for item in listed if not isinstance(item, Drawable)]
    if isinstance(trials, str | Path):
        raise InputError(
            f"A report is made of what a path holds, not of the path {str(trials)!r:.200}: "
            "isi.open_probe(path).report(...) for a session, isi.open_study(path).report(...) for a study."
        )
    if wrong or not listed:
        raise InputError(
            "A report needs a Trial, or a list of at least one, a probe or a study; "
            f"got {', '.join(wrong[:3]) or 'an empty list'}. run_trial(vlm, stimulus) makes a trial."
        )
    return listed, labels_of([trial.stimulus for trial in listed])


def _document(
    groups: list[Group],
    title: str | None,
    format: Format,
    skipped: Sequence[tuple[str, str]],
    *,
    session: bool = False,
) -> bytes:
    entries = [entry for group in groups for entry in group.entries]
    name = _title(entries) if title is None else " ".join(title.split())
    notes = [f"Skipped: {label}. {reason}" for label, reason in skipped]
    if format == "html":
        from isi_widget.report.page.document import page_of

        return page_of(groups, name, notes, session=session)
    from isi_widget.report.pdf.document import pdf_of

    data, undrawn = pdf_of(groups, name, notes, session=session)
    if undrawn:
        warnings.warn(fonts.advice(undrawn), UserWarning, stacklevel=4)
    return data


def _title(entries: list[Entry]) -> str:
    short = shortened(" ".join(entries[0].view["question"].split()), 80)
    if len(entries) == 1:
        return short
    same = all(entry.view["question"] == entries[0].view["question"] for entry in entries)
    return f"{len(entries)} trials" + (f": {short}" if same else "")
