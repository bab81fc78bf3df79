"""Trials of one group in a table of an HTML report: a row each, marked where it differs from the baseline.

What is marked, and from when on, is that of `compare`. Not for a single trial (`trial`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isi_widget.readable import counted
from isi_widget.report.comparison import caption
from isi_widget.report.entries import Entry, Group
from isi_widget.report.html import shares_of, verdict
from isi_widget.report.marks import entropies_apart, shares_apart, yes_no_apart
from isi_widget.report.page.skeleton import own_direction, paragraph, text
from isi_widget.report.page.trial import legend
from isi_widget.report.phrases import doubts_of
from isi_widget.report.pictures import data_uri, thumbnail
from isi_widget.report.style import INPUTS, NEUTRAL
from isi_widget.report.svg import bar, stack

_MOST_LINES = 8


def overview(group: Group) -> str:
    """Return the table, its key and the meaning of its marks."""
    measured = [entry.view["uncertainty"] for entry in group.entries if entry.view["uncertainty"]]
    first = measured[0]["entropies"][0] if measured else None
    entropy = f"{first['label']} ({first['unit']})" if first else ""
    heads = ["condition", "input", "answer", *([entropy] if entropy else []), "attention on the inputs"]
    attended = any(entry.view["attention"] for entry in group.entries)
    heads = heads if attended else heads[:-1]
    rows = "".join(_row(entry, group, entropy, attended) for entry in group.entries)
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    key = caption([entry.view for entry in group.entries], f"trial {group.baseline.number}")
    return (
        f'<table class="overview cards"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"{legend(INPUTS) if attended else ''}{paragraph(key, 'quiet')}"
    )


def _row(entry: Entry, group: Group, entropy: str, attended: bool) -> str:
    view, first = entry.view, group.baseline.view
    uri = data_uri(thumbnail(entry.trial.stimulus, 160))
    pin = ' <span class="pin">pinned</span>' if entry.pinned else ""
    base = ' <span class="pin">baseline</span>' if entry is group.baseline else ""
    note = f'<div class="quiet" dir="auto">{text(entry.note)}</div>' if entry.note else ""
    cells = [
        f'<th scope="row"><a href="#trial-{entry.number}">{own_direction(entry.heading)}</a>{pin}{base}{note}'
        f'<img src="{uri}" alt=""/></th>',
        _cell("input", _input(view, first, entry is group.baseline)),
        _cell("answer", _answer(view["answer"], first["answer"])),
    ]
    if entropy:
        cells.append(_cell(entropy, _entropy(view, first)))
    if attended:
        cells.append(_cell("attention", _attention(view["attention"], first["attention"])))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(label: str, body: str) -> str:
    return f'<td data-label="{text(label)}">{body}</td>' if body else "<td></td>"


def _mark(shown: str, marked: bool) -> str:
    return f"<mark>{shown}</mark>" if marked else shown


def _line(value: str, marked: bool) -> str:
    return f'<div dir="auto">{_mark(text(value) if value.strip() else "(empty)", marked)}</div>'


def _input(view: Mapping[str, Any], first: Mapping[str, Any], begins: bool) -> str:
    parts = []
    if view["model"] != first["model"]:
        parts.append(_line(view["model"], True))
    lines = view["intervention_lines"]
    if lines != first["intervention_lines"]:
        more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        parts.append(_line(", ".join([*lines[:_MOST_LINES], *more]) or "no interventions inside", True))
    if begins or view["question"] != first["question"]:
        parts.append(_line(view["question"], not begins))
    if begins or view["context"] != first["context"]:
        parts.append(_line(view["context"] if view["context"].strip() else "(no context)", not begins))
    return "".join(parts) or '<span class="quiet">same texts</span>'


def _answer(answer: Mapping[str, Any] | None, first: Mapping[str, Any] | None) -> str:
    if answer is None:
        return '<span class="quiet">no answer asked</span>'
    differs = first is not None and answer["text"] != first["text"]
    parts = [_line(answer["text"] or "(empty answer)", differs)]
    if answer["correct"] is not None:
        parts.append(f"<div>{text(verdict(dict(answer), full=False))}</div>")
    if shares := answer["yes_no"]:
        others = first["yes_no"] if first is not None else None
        words = f"yes {shares['yes']:.2f}, no {shares['no']:.2f}"
        parts.append(f"<div>{_mark(words, yes_no_apart(shares, others))}</div>")
    return "".join(parts)


def _entropy(view: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    if view["uncertainty"] is None:
        return ""
    entropy = view["uncertainty"]["entropies"][0]
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        return text(entropy["missing"])
    other = first["uncertainty"]["entropies"][0] if first["uncertainty"] else entropy
    apart = entropies_apart(entropy, other)
    doubted = " (!)" if doubts_of([view]) else ""
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    count = len(view["uncertainty"]["clusters"])
    return (
        f"{_mark(f'{value:.2f}', apart)}{doubted}{interval}{bar(value, entropy['scale'], NEUTRAL, low, high)}"
        f"{counted(count, 'meaning')}"
    )


def _attention(attention: Mapping[str, Any] | None, first: Mapping[str, Any] | None) -> str:
    if attention is None:
        return ""
    relative = attention["relative"]
    reference = first["relative"] if first else relative
    parts = []
    for name in INPUTS:
        share, other = relative.get(name), reference.get(name)
        if share is not None:
            parts.append(_mark(f"{name} {share:.2f}", shares_apart(share, other)))
    return stack(shares_of(relative)) + "<br/>".join(parts)
