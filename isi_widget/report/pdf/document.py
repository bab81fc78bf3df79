"""`report`: trials as a PDF to read, print and file, with the trials themselves inside.

Every trial is attached as JSON (`trial.json`, or `trial-01.json`, ...), so that a report can be read back
(`isi_widget.trial.reports`).
The same trials give the same bytes on the same computer. Not for drawing (see `pdf_trial` and `pdf_compare`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from isi_widget.errors import InputError
from isi_widget.files.writing import write_file
from isi_widget.report import fonts
from isi_widget.report.drawable import Compared, Drawable
from isi_widget.stimulus.labels import labels_of

if TYPE_CHECKING:
    from isi_widget.report.pdf.trial import Entry

#: What a report is made of.
Trials = Drawable | Compared | Iterable[Drawable]
#: Where a trial does not say when it ended, the document gets this date, so that it stays the same.
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)


@overload
def report(
    trials: Trials,
    path: None = None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> bytes: ...
@overload
def report(
    trials: Trials,
    path: str | Path,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> Path: ...
@overload
def report(
    trials: Trials,
    path: str | Path | None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> bytes | Path: ...
def report(
    trials: Trials,
    path: str | Path | None = None,
    *,
    title: str | None = None,
    notes: Mapping[int, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> bytes | Path:
    """Return a PDF of one trial, or of several with a first page that compares them.

    Parameters
    ----------
    trials : a trial, several of them, or a `Comparison`, whose labels are kept. The first one is what the
        others are compared with.
    path : the file to write, at once or not at all, or None to get the bytes.
    title : title; None (default) is made from the question.
    numbers : numbers of the trials, one for each; None (default): 1, 2, ...
    notes : {number: note on that trial}.

    Returns
    -------
    The path that was written, or the bytes. The trials are attached: `open_report` reads them back.

    Raises
    ------
    InputError : no trials, something else than trials, or a path that cannot be written.
    """
    listed, labels = _listed(trials)
    known = list(range(1, len(listed) + 1)) if numbers is None else list(numbers)
    if len(set(known)) != len(listed):
        raise InputError(f"A report needs one number for each of {len(listed)} trials, all different.")
    if title is not None and not isinstance(title, str):
        raise InputError(f"The title of a report must be a text or None; got {type(title).__name__}.")
    made = _document(_named(listed, labels, known, notes or {}), title)
    if path is None:
        return made
    target = Path(path)
    try:
        write_file(target, made)
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {target}: {error.strerror or error}. Give a file in a folder "
            "that exists and may be written to."
        ) from None
    return target


def _listed(trials: Trials) -> tuple[list[Drawable], list[str]]:
    if isinstance(trials, Compared):
        return list(trials.trials), list(trials.labels)
    given: Any = trials  # anything, until it is checked
    single = isinstance(given, Drawable | str | bytes) or not isinstance(given, Iterable)
    listed = [given] if single else list(given)
    wrong = [type(item).__name__ for item in listed if not isinstance(item, Drawable)]
    if wrong or not listed:
        raise InputError(
            "A report needs a Trial, or a list of at least one; "
            f"got {', '.join(wrong[:3]) or 'an empty list'}. run_trial(vlm, stimulus) makes one."
        )
    return listed, labels_of([trial.stimulus for trial in listed])


def _named(
    trials: list[Drawable], labels: list[str], numbers: list[int], notes: Mapping[int, str]
) -> list[Entry]:
    from isi_widget.report.pdf.trial import Entry

    given = zip(trials, labels, numbers, strict=True)
    return [Entry.of(trial, label, number, notes.get(number, "")) for trial, label, number in given]


def _document(entries: list[Entry], title: str | None) -> bytes:
    from isi_widget.report.pdf.comparison import write_comparison, write_definitions
    from isi_widget.report.pdf.sheet import LABEL, SECTION, TITLE, Sheet
    from isi_widget.report.pdf.trial import write_model, write_settings, write_trial

    trials = [entry.trial for entry in entries]
    several = len(entries) > 1
    name = _title(entries) if title is None else " ".join(title.split())
    sheet = Sheet(
        name, max(map(_date, trials)), [name, *(text for entry in entries for text in entry.texts())]
    )
    sheet.section = "Comparison" if several else entries[0].label
    sheet.add_page()
    sheet.write_text(name, TITLE)
    sheet.write_text(_byline(trials), LABEL)
    sheet.y += 10
    same_model, same_settings = (_all_equal(part, entries) for part in (_model, _settings))
    if several:
        sheet.start_section("Comparison")
        write_comparison(sheet, entries)
        if same_model:
            write_model(sheet, entries[0])
        if same_settings:
            write_settings(sheet, entries[0])
        for entry in entries:
            sheet.section = f"{entry.number}  {entry.label}"
            sheet.add_page()
            sheet.start_section(sheet.drawable(sheet.section))
            sheet.write_text(sheet.section, SECTION)
            sheet.y += 6
            write_trial(sheet, entry, definitions=False, model=not same_model, settings=not same_settings)
        sheet.section = ""
        sheet.add_page()
        sheet.start_section("What the numbers mean")
        write_definitions(sheet, entries)
    else:
        write_trial(sheet, entries[0])
    for entry in entries:
        _attach(sheet, entry.trial, f"trial-{entry.number:02d}.json" if several else "trial.json")
    data = bytes(sheet.output())
    if sheet.undrawn:
        warnings.warn(fonts.advice(sheet.undrawn), UserWarning, stacklevel=4)
    return data


def _title(entries: list[Entry]) -> str:
    question = " ".join(entries[0].view["question"].split())
    short = question if len(question) <= 80 else question[:79].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    if len(entries) == 1:
        return short
    same = all(entry.view["question"] == entries[0].view["question"] for entry in entries)
    return f"{len(entries)} trials" + (f": {short}" if same else "")


def _byline(trials: list[Drawable]) -> str:
    models = dict.fromkeys(str(trial.model.get("name", "")) for trial in trials)
    days = sorted({date.date().isoformat() for date in map(_date, trials) if date != _UNDATED})
    when = [f"{' to '.join(dict.fromkeys((days[0], days[-1])))} (UTC)."] if days else []
    return " ".join(["Report of isi_widget. Model:", f"{', '.join(models)}.", *when])


def _date(trial: Drawable) -> datetime:
    """Return the end of the trial, if recorded."""
    try:
        found = datetime.fromisoformat(trial.created)
    except ValueError:
        return _UNDATED
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _model(entry: Entry) -> Any:
    judged = entry.view["uncertainty"]
    return dict(entry.trial.model), None if judged is None else judged["judge"]["label"]


def _settings(entry: Entry) -> Any:
    return entry.view["settings"]


def _all_equal(part: Callable[[Entry], Any], entries: list[Entry]) -> bool:
    return all(part(entry) == part(entries[0]) for entry in entries)


def _attach(sheet: Any, trial: Drawable, name: str) -> None:
    text = json.dumps(trial.to_dict(), allow_nan=False, separators=(",", ":"))
    sheet.embed_file(
        bytes=text.encode(),
        basename=name,
        mime_type="application/json",
        compress=True,
        checksum=True,
        modification_date=sheet.creation_date,
        desc="The trial; isi.open_report reads it back.",
    )
