"""The first page of a PDF report of several trials: one row for each, marked where it differs from the first.

What is marked, and from when on, is that of `compare`. Not for a single trial (see `pdf_trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isi_widget.readable import counted
from isi_widget.report.comparison import caption
from isi_widget.report.entries import Entry, Group
from isi_widget.report.html import verdict
from isi_widget.report.marks import entropies_apart, shares_apart, yes_no_apart
from isi_widget.report.pdf import charts as charts
from isi_widget.report.pdf.sheet import (
    BODY,
    BOLD,
    INK,
    LABEL,
    MARGIN,
    MARK,
    QUIET,
    SMALL,
    TITLE,
    Sheet,
    Style,
)
from isi_widget.report.pdf.trial import draw_picture
from isi_widget.report.phrases import doubts_of
from isi_widget.report.style import INPUTS

_VALUE = replace(LABEL, color=INK)
_PICTURE, _ROW, _GAP = 62.0, 66.0, 10.0
_CONDITION = MARGIN + _PICTURE + _GAP
_ANSWER = _CONDITION + 130 + _GAP
_ENTROPY = _ANSWER + 86 + _GAP
_ATTENTION = _ENTROPY + 82 + _GAP
_WIDTHS = (130.0, 86.0, 82.0)


def write_comparison(sheet: Sheet, group: Group) -> None:
    """Write the table, its key and the meaning of its marks."""
    entries, first = group.entries, group.baseline.view
    _head(sheet, entries)
    for entry in entries:
        if sheet.y + _ROW > sheet.page_break_trigger:
            sheet.add_page()
            _head(sheet, entries)
        _row(sheet, entry, first)
    sheet.skip(2)
    if any(entry.view["attention"] for entry in entries):
        sheet.need(14)
        charts.legend(sheet, MARGIN, sheet.y, INPUTS)
        sheet.y += 13
    sheet.write_text(caption([entry.view for entry in entries], f"trial {group.baseline.number}"), SMALL)


def _head(sheet: Sheet, entries: Sequence[Entry]) -> None:
    top = sheet.y
    measured = [entry.view["uncertainty"]["entropies"][0] for entry in entries if entry.view["uncertainty"]]
    entropy = f"{measured[0]['label'].lower()} ({measured[0]['unit']})" if measured else ""
    names = ("condition", "answer", entropy, "attention on the inputs")
    high = 0.0
    for name, x, width in zip(
        names, (_CONDITION, _ANSWER, _ENTROPY, _ATTENTION), (*_WIDTHS, 84.0), strict=True
    ):
        sheet.y = top
        sheet.write_text(name, LABEL, x, width)
        high = max(high, sheet.y - top)
    sheet.y = top + high + 3
    sheet.rule(sheet.y)
    sheet.y += 5


def _row(sheet: Sheet, entry: Entry, first: dict[str, Any]) -> None:
    top, view = sheet.y, entry.view
    begins = view is first
    wide, high = draw_picture(sheet, entry, MARGIN, top, _PICTURE, _PICTURE)
    charts.outline(sheet, MARGIN, top, wide, high, "#BBBBBB")
    width = _WIDTHS[0]
    _lines(sheet, entry.heading, _CONDITION, width, 2 if begins or entry.pinned else 3, BOLD)
    if entry.pinned:
        _lines(sheet, "pinned", _CONDITION, width, 1, LABEL)
    if view["model"] != first["model"]:
        _lines(sheet, view["model"], _CONDITION, width, 1, LABEL, marked=True)
    if view["intervention_lines"] != first["intervention_lines"]:
        lines = ", ".join(view["intervention_lines"]) or "no interventions"
        _lines(sheet, lines, _CONDITION, width, 1, LABEL, marked=True)
    if view["question"] != first["question"] or begins:
        _lines(sheet, view["question"], _CONDITION, width, 1, _VALUE, marked=not begins)
    changed = view["context"] != first["context"]
    if changed or begins:
        context = view["context"] if view["context"].strip() else "(no context)"
        _lines(sheet, context, _CONDITION, width, 2, replace(LABEL, color=QUIET), marked=changed)
    sheet.y = top
    _answer_cell(sheet, view, first)
    sheet.y = top
    _entropy_cell(sheet, view, first)
    sheet.y = top
    _attention_cell(sheet, view, first)
    sheet.y = top + _ROW
    sheet.rule(sheet.y, color="#EAEAEA")
    sheet.y += 5


def _lines(
    sheet: Sheet, text: str, x: float, width: float, most: int, style: Style, marked: bool = False
) -> None:
    """Write a limited number of lines; marked if they differ from those of the first condition."""
    shown = sheet.shortened(" ".join(text.split()), width, style, most)
    if marked:
        high = sheet.height_of(shown, width, style)
        one = high <= style.leading + 0.1
        charts.box(sheet, x - 2, sheet.y, (sheet.width_of(shown, style) if one else width) + 4, high, MARK)
    sheet.write_text(shown, style, x, width)


def _answer_cell(sheet: Sheet, view: dict[str, Any], first: dict[str, Any]) -> None:
    answer, reference = view["answer"], first["answer"]
    if answer is None:
        _lines(sheet, "no answer asked", _ANSWER, _WIDTHS[1], 1, LABEL)
        return
    differs = reference is not None and answer["text"] != reference["text"]
    _lines(sheet, answer["text"] or "(empty answer)", _ANSWER, _WIDTHS[1], 3, BODY, marked=differs)
    if answer["correct"] is not None:
        _lines(sheet, verdict(answer, full=False), _ANSWER, _WIDTHS[1], 1, _VALUE)
    if answer["yes_no"] is not None:
        shares = answer["yes_no"]
        others = reference["yes_no"] if reference is not None else None
        words = f"yes {shares['yes']:.2f}, no {shares['no']:.2f}"
        apart = yes_no_apart(shares, others)
        _lines(sheet, words, _ANSWER, _WIDTHS[1], 1, _VALUE if apart else LABEL, marked=apart)


def _entropy_cell(sheet: Sheet, view: dict[str, Any], first: dict[str, Any]) -> None:
    if view["uncertainty"] is None:
        return
    entropy = view["uncertainty"]["entropies"][0]
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        sheet.write_text(entropy["missing"], LABEL, _ENTROPY, _WIDTHS[2])
        return
    other = first["uncertainty"]["entropies"][0] if first["uncertainty"] else entropy
    apart = entropies_apart(entropy, other)
    doubted = " (!)" if doubts_of([view]) else ""
    _lines(sheet, f"{value:.2f}{doubted}", _ENTROPY, _WIDTHS[2], 1, BODY, marked=apart)
    charts.interval_bar(sheet, _ENTROPY, sheet.y + 2, _WIDTHS[2], value, entropy["scale"], low, high)
    sheet.y += 12
    if low is not None and high is not None:
        _lines(sheet, f"[{low:.2f}, {high:.2f}]", _ENTROPY, _WIDTHS[2], 1, LABEL)
    count = len(view["uncertainty"]["clusters"])
    _lines(sheet, counted(count, "meaning"), _ENTROPY, _WIDTHS[2], 1, LABEL)


def _attention_cell(sheet: Sheet, view: dict[str, Any], first: dict[str, Any]) -> None:
    if view["attention"] is None:
        return
    relative = view["attention"]["relative"]
    reference = first["attention"]["relative"] if first["attention"] else relative
    charts.share_stack(sheet, _ATTENTION, sheet.y + 3, sheet.w - MARGIN - _ATTENTION, relative)
    sheet.y += 13
    for name in INPUTS:
        share, other = relative[name], reference[name]
        if share is not None:
            apart = shares_apart(share, other)
            _lines(sheet, f"{name} {share:.2f}", _ATTENTION, 84.0, 1, _VALUE, marked=apart)


def write_definitions(sheet: Sheet, entries: Sequence[Entry]) -> None:
    """Write what the numbers of all trials mean, once."""
    sheet.write_text("What the numbers mean", TITLE)
    sheet.y += 6
    lines = [tuple(line) for entry in entries for line in entry.view["definitions"]]
    for name, text in dict.fromkeys(lines):
        sheet.pairs([(name, text, "")], (150.0, 200.0))
        sheet.y += 3
