"""`pdf_of`: trials as a PDF, with the trials themselves inside.

Every trial is attached as JSON (`trial.json`, or `trial-01.json`, ...), so that a report can be read back
(`isi_widget.trial.reports`). The same trials give the same bytes on the same computer. Not for drawing (see
`trial` and `comparison`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from isi_widget.report.drawable import Drawable
from isi_widget.report.entries import Entry, Group
from isi_widget.report.overview import byline, data_rows, same_model, same_settings
from isi_widget.report.pdf.comparison import write_comparison, write_definitions
from isi_widget.report.pdf.sheet import LABEL, SECTION, SMALL, TITLE, Sheet
from isi_widget.report.pdf.trial import write_model, write_settings, write_trial


def pdf_of(
    groups: Sequence[Group], title: str, notes: Sequence[str] = (), *, session: bool = False
) -> tuple[bytes, set[str]]:
    """Return a PDF, and the characters that no font draws.

    Parameters
    ----------
    groups : the trials.
    title : title of the document.
    notes : lines below the first comparison; default none.
    session : whether the data stand on the first page; default False.
    """
    entries = [entry for group in groups for entry in group.entries]
    several = len(entries) > 1
    sheet = Sheet(
        title,
        max(entry.date for entry in entries),
        [title, *notes, *(text for entry in entries for text in entry.texts())],
    )
    sheet.section = "Comparison" if several else entries[0].label
    sheet.add_page()
    sheet.write_text(title, TITLE)
    sheet.write_text(byline(entries), LABEL)
    sheet.y += 10
    if not several:
        if session:
            _data(sheet, groups)
        write_trial(sheet, entries[0])
    else:
        common = {"model": same_model(entries), "settings": same_settings(entries)}
        _first_pages(sheet, groups, notes, session, common)
        for group in groups:
            for entry in group.entries:
                _trial_pages(sheet, entry, group, common)
        sheet.section = ""
        sheet.add_page()
        sheet.start_section("What the numbers mean")
        write_definitions(sheet, entries)
    for entry in entries:
        _attach(sheet, entry.trial, f"trial-{entry.number:02d}.json" if several else "trial.json")
    return bytes(sheet.output()), sheet.undrawn


def _first_pages(
    sheet: Sheet, groups: Sequence[Group], notes: Sequence[str], session: bool, common: dict[str, bool]
) -> None:
    """Write one comparison for each group, then what is common to all trials."""
    for group in groups:
        if len(groups) == 1:
            sheet.start_section("Comparison")
        else:
            sheet.need(120)
            sheet.start_section(sheet.drawable(group.name))
            sheet.write_text(group.name, SECTION)
            sheet.y += 6
        write_comparison(sheet, group)
        sheet.skip(14)
    for note in notes:
        sheet.write_text(note, SMALL)
    if session:
        _data(sheet, groups)
    first = groups[0].entries[0]
    if common["model"]:
        write_model(sheet, first)
    if common["settings"]:
        write_settings(sheet, first)


def _data(sheet: Sheet, groups: Sequence[Group]) -> None:
    for group in groups:
        sheet.heading("Data" if len(groups) == 1 else f"Data: {group.name}", below=60)
        sheet.pairs([(name, value, "") for name, value in data_rows(group)])


def _trial_pages(sheet: Sheet, entry: Entry, group: Group, common: dict[str, bool]) -> None:
    sheet.section = entry.heading + (", pinned" if entry.pinned else "")
    sheet.add_page()
    sheet.start_section(sheet.drawable(sheet.section))
    sheet.write_text(sheet.section, SECTION)
    sheet.y += 6
    write_trial(
        sheet,
        entry,
        group=group,
        definitions=False,
        model=not common["model"],
        settings=not common["settings"],
    )


def _attach(sheet: Sheet, trial: Drawable, name: str) -> None:
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
