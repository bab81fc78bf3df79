"""`Reported`: the report of a study as PDF or HTML, as a method of `Study`.

It holds aggregates, an example of each condition and a sample of rows, so that it stays small whatever the
number of rows. Not for drawing (`isi_widget.report`), nor for statistics (`isi_widget.study.statistics`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isi_widget.readable import counted
from isi_widget.report.blocks import Block, Chapter, Code, Pairs, Words

if TYPE_CHECKING:
    from isi_widget.study.study import Study


class Reported:
    """The report of a study."""

    def report(
        self,
        path: str | Path | None = None,
        *,
        title: str | None = None,
        format: Literal["pdf", "html"] | None = None,
        level: float = 0.95,
    ) -> bytes | Path:
        """Write a report of the study: conditions with an example each, data, settings, tables, plots, paired
        differences, failed rows, a sample of rows, the code and versions.

        Parameters
        ----------
        path : file to write, .pdf or .html, at once or not at all; None (default): the bytes are returned.
        title : title; None (default) names data and conditions.
        format : "pdf" or "html"; None (default): by the ending of `path`, without one PDF.
        level : level of the intervals; default 0.95.

        Returns
        -------
        The path that was written, or the bytes. Each table is inside as CSV, with all its columns.

        Raises
        ------
        InputError
            There are no finished rows, or the file cannot be written.
        """
        return _report(self, path, title, format, level)  # type: ignore[arg-type]


def _report(study: Study, path: Any, title: str | None, format: Any, level: float) -> bytes | Path:
    from isi_widget.errors import InputError
    from isi_widget.report import fonts
    from isi_widget.report.making import check_title, checked_format, written

    check_title(title)
    chosen = checked_format(format, path)
    if not len(study):
        raise InputError("There are no finished rows to report yet: run the study first.")
    name = f"Study of {study.title}" if title is None else " ".join(title.split())
    parts = chapters(study, level)
    line = _byline(study)
    if chosen == "html":
        from isi_widget.report.page.blocks import page_of_chapters

        return written(page_of_chapters(name, line, parts), path)
    from isi_widget.report.pdf.blocks import pdf_of_chapters

    data, undrawn = pdf_of_chapters(name, line, parts, _created(study))
    if undrawn:
        warnings.warn(fonts.advice(undrawn), UserWarning, stacklevel=3)
    return written(data, path)


def chapters(study: Study, level: float) -> list[Chapter]:
    """Return the sections of a report, without those that have nothing to show."""
    from isi_widget.study import report_rows as rows
    from isi_widget.study import report_tables as tables

    makers: list[tuple[str, str, Callable[[Study, float], list[Block]]]] = [
        ("results", "Results", tables.results),
        ("paired", "Differences to the baseline", tables.paired),
        ("curves", "Curves", tables.curves),
        ("uncertainty", "Does uncertainty show wrong answers?", tables.ranking),
        ("calibration", "Calibration", tables.calibration),
        ("modality", "Image and context", tables.modality),
        ("conditions", "Conditions", rows.conditions),
        ("data", "Data", rows.data),
        ("failed", "Failed and unjudged rows", rows.failed),
        ("rows", "A sample of rows", rows.sample),
        ("settings", "Models and settings", _settings),
        ("code", "Python that repeats it", lambda study, _: [Code(study.code())]),
        ("versions", "Versions", _versions),
    ]
    made = [Chapter(key, title, make(study, level)) for key, title, make in makers]
    return [chapter for chapter in made if chapter.blocks]


def _settings(study: Study, _: float) -> list[Block]:
    from isi_widget.report.blocks import Heading
    from isi_widget.setting import settings_of
    from isi_widget.trial import Settings

    found: list[Block] = []
    for label, identity in study.models.items():
        known = [(name, str(value), "") for name, value in identity.items() if value not in (None, "")]
        found += [Heading(f"Model {label}"), Pairs(known or [("identity", "not known before it runs", "")])]
    settings = [
        (name, str(getattr(study.settings, name)), made.summary)
        for name, made in settings_of(Settings).items()
        if name != "seed"
    ]
    own = [
        (name, str(dict(given)), "Settings of its own.") for name, given in study.settings.of_measures.items()
    ]
    rows = [
        ("measures", ", ".join(study.settings.measures), ""),
        ("seeds", ", ".join(map(str, study.seeds)), "A row each."),
        ("entailment model", str(study.header["entailment"]), "As requested."),
        *settings,
        *own,
    ]
    return [*found, Heading("Settings", "the same for all rows"), Pairs(rows)]


def _versions(study: Study, _: float) -> list[Block]:
    versions: Mapping[str, Any] = study.header["versions"]
    rows = [(name, str(version), "") for name, version in versions.items()]
    return [
        Pairs([("begun", str(study.header["created"]), ""), *rows]),
        Words(
            "isi.open_study(folder) reads the rows of a study with a store; this report has aggregates only.",
            True,
        ),
    ]


def _byline(study: Study) -> str:
    models, day = ", ".join(map(str, study.header["models"])), f"{_created(study):%Y-%m-%d}"
    rows = f"{len(study):,} of {counted(study.size, 'row')}"
    return f"Report of isi_widget. Model: {models}. {rows}, begun {day} (UTC)."


def _created(study: Study) -> datetime:
    try:
        found = datetime.fromisoformat(str(study.header["created"]))
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
