"""`page_of`: trials as one HTML file, with the trials themselves inside.

The same trials give the same bytes. Not for drawing (`trial`, `overview`), nor for reading one back
(`isi_widget.trial.reports`).
"""

from __future__ import annotations

from collections.abc import Sequence

from isi_widget.report.carried import download
from isi_widget.report.entries import Entry, Group
from isi_widget.report.overview import byline, data_rows, same_model, same_settings
from isi_widget.report.page.overview import overview
from isi_widget.report.page.skeleton import Page, heading, pairs, paragraph
from isi_widget.report.page.trial import definitions_of, trial_sections
from isi_widget.report.properties import model_rows, settings_rows


def page_of(
    groups: Sequence[Group], title: str, notes: Sequence[str] = (), *, session: bool = False
) -> bytes:
    """Return an HTML document.

    Parameters
    ----------
    groups : the trials.
    title : title of the document.
    notes : lines below the first comparison; default none.
    session : whether it is the report of a session, with its data; default False.
    """
    entries = [entry for group in groups for entry in group.entries]
    page = Page(title, byline(entries))
    several = len(entries) > 1
    common = {"model": several and same_model(entries), "settings": several and same_settings(entries)}
    if several:
        _first_sections(page, groups, notes, common)
    if session:
        page.add("data", "Data", "".join(_data(group, len(groups) > 1) for group in groups))
    if any(common.values()):
        _add_common(page, entries[0], common)
    for number, group in enumerate(groups, 1):
        _add_trials(page, group, common, _key(number, len(groups)) if several else "")
    if several:
        page.add("definitions", "What the numbers mean", definitions_of(entries))
    page.after = paragraph(
        "The trials are in this file, with every pixel of their pictures: isi.open_report(path) reads them."
    )
    page.data = download([(entry.number, entry.trial) for entry in entries], single=not several)
    return page.html()


def _first_sections(
    page: Page, groups: Sequence[Group], notes: Sequence[str], common: dict[str, bool]
) -> None:
    more = "".join(paragraph(note, "quiet") for note in notes)
    if len(groups) == 1:
        page.add("comparison", "Comparison", overview(groups[0]) + more)
        return
    for number, group in enumerate(groups, 1):
        page.add(_key(number, len(groups)), group.name, overview(group) + (more if number == 1 else ""))


def _data(group: Group, several: bool) -> str:
    rows = pairs([(name, value, "") for name, value in data_rows(group)])
    return (heading(group.name) if several else "") + rows


def _add_common(page: Page, first: Entry, common: dict[str, bool]) -> None:
    parts = []
    if common["model"]:
        parts += [heading("Model"), pairs(model_rows(first))]
    if common["settings"]:
        parts += [heading("Settings"), pairs(settings_rows(first))]
    page.add(
        "settings",
        "Model and settings",
        "".join(parts),
        note="the same for all trials" if all(common.values()) else "",
    )


def _key(number: int, groups: int) -> str:
    return "comparison" if groups == 1 else f"group-{number}"


def _add_trials(page: Page, group: Group, common: dict[str, bool], within: str) -> None:
    """Add a section for each trial; `within` is the key of its comparison, "" for a single trial."""
    several = bool(within)
    for entry in group.entries:
        page.add(
            f"trial-{entry.number}",
            entry.heading if several else entry.label,
            trial_sections(
                entry,
                group if several else None,
                definitions=not several,
                model=not common["model"],
                settings=not common["settings"],
            ),
            badge="pinned" if entry.pinned else "",
            within=within,
        )
