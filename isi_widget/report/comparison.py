"""Several trials side by side as a static page fragment: a table with one column per condition.

What differs from the first is marked, so that it is seen, not tested. Not for running the trials
(`isi_widget.study.compare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isi_widget.report.drawable import Compared
from isi_widget.report.html import picture_html, shares_of, verdict
from isi_widget.report.marks import SHARE_DIFFERENCE, entropies_apart, shares_apart, yes_no_apart
from isi_widget.report.phrases import doubts_of, is_bar, number_of
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS, SEGMENTS
from isi_widget.report.svg import NO_FORMULAS, QUIET, TABLE, bar, escape, stack

_CELL = (
    "padding:3px 12px 3px 0;border:none;background:none;vertical-align:top;text-align:start;max-width:22em;"
    "overflow-wrap:anywhere;white-space:normal"
)
#: Interventions written out for one condition.
_MOST_LINES = 8
_MARK = "background:rgba(230,159,0,.3);box-decoration-break:clone;padding:0 3px;font-weight:600"


def comparison_html(comparison: Compared) -> str:
    """Return a table with one column per condition; what differs from the first is marked."""
    views = [trial.view() for trial in comparison.trials]
    first = views[0]
    rows = [_row("", [f"<b>{escape(label)}</b>" for label in comparison.labels])]
    if any(view["model"] != first["model"] for view in views):
        rows.append(_row("model", [escape(view["model"]) for view in views]))
    if any(view["intervention_lines"] for view in views):
        rows.append(_row("interventions", [_interventions(view, first) for view in views]))
    rows += [
        _row("", [picture_html(trial.stimulus, 160) for trial in comparison.trials]),
        _row("question", [_text(view["question"], view["question"] != first["question"]) for view in views]),
        _row("context", [_text(view["context"], view["context"] != first["context"]) for view in views]),
    ]
    if any(view["answer"] for view in views):
        rows.append(_row("answer", [_answer(view["answer"], first["answer"]) for view in views]))
        rows.append(_row("", [_judged(view) for view in views]))
        if any(view["answer"] and view["answer"]["yes_no"] for view in views):
            rows.append(_row("p(yes), p(no)", [_yes_no(view["answer"], first["answer"]) for view in views]))
    if any(view["uncertainty"] for view in views):
        for index, entropy in enumerate(
            next(view["uncertainty"] for view in views if view["uncertainty"])["entropies"]
        ):
            unit = f" ({entropy['unit']})" if entropy["unit"] else ""
            rows.append(
                _row(
                    entropy["label"] + unit,
                    [_entropy(view, first, index) for view in views],
                    entropy["definition"],
                )
            )
        rows.append(_row("meanings compared by", [_judge(view, first) for view in views]))
        rows.append(
            _row(
                "clusters",
                [str(len(view["uncertainty"]["clusters"])) if view["uncertainty"] else "" for view in views],
            )
        )
    if any(view["attention"] for view in views):
        rows.append(
            _row(
                "attention on the inputs",
                [_attention(view["attention"], first["attention"]) for view in views],
            )
        )
    rows += _measures(views)
    legend = " ".join(
        f'<span style="border-left:8px solid {color};padding-left:4px">{name}</span>'
        for name, color in ((name, SEGMENT_COLORS[name]) for name in SEGMENTS)
        if name != "other"
    )
    notes = dict.fromkeys(note for view in views for note in view["notes"])
    notes |= dict.fromkeys(f"Skipped: {label}. {reason}" for label, reason in comparison.skipped)
    below = "".join(f'<div style="{QUIET}">{escape(line)}</div>' for line in (caption(views), *notes))
    return (
        f'<div class="isi-comparison {NO_FORMULAS}" style="overflow-x:auto;color:inherit">'
        f'<table style="{TABLE}"><tbody>{"".join(rows)}</tbody></table>'
        f"<div>{legend}</div>{below}</div>"
    )


def caption(views: Sequence[dict[str, Any]], baseline: str = "the first column") -> str:
    """Return what holds for all conditions, how the entropies were sampled, and what the marks mean.

    baseline : the name of what the others are compared with.
    """
    first = views[0]
    if all(view["model"] == first["model"] and view["settings"] == first["settings"] for view in views):
        parts = [f"Same settings and seed ({first['settings']['seed']}) for all, model {first['model']}."]
    else:
        parts = ["Not all have the same model and settings."]
    runs = [view["uncertainty"] for view in views if view["uncertainty"]]
    bases = {run["basis"] for run in runs}
    if runs:
        kinds = dict.fromkeys(run["intervals"] for run in runs)
        parts.append(f"{', '.join(sorted(bases))}; in brackets {' or '.join(kinds)}.")
    if doubts := doubts_of(views):
        parts.append(f"(!): {' '.join(doubts)}")
    parts.append(
        f"Marked are differences from {baseline}: texts; entropies whose intervals do not overlap; "
        f"probabilities and shares of attention that differ by {SHARE_DIFFERENCE} or more."
    )
    if runs:
        parts.append(runs[0]["scale_note"])
    return " ".join(parts)


def _row(name: str, cells: Sequence[str], note: str = "") -> str:
    title = f' title="{escape(note)}"' if note else ""
    head = f'<th scope="row" style="{_CELL};font-weight:400;min-width:9em;{QUIET}"{title}>{escape(name)}</th>'
    body = "".join(f'<td dir="auto" style="{_CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="background:none;border:none">{head}{body}</tr>'


def _mark(text: str, marked: bool) -> str:
    return f'<mark style="{_MARK};color:inherit">{text}</mark>' if marked else text


def _text(text: str, marked: bool) -> str:
    return _mark(escape(text) if text.strip() else "(empty)", marked)


def _interventions(view: dict[str, Any], first: dict[str, Any]) -> str:
    lines = view["intervention_lines"]
    shown = "<br/>".join(map(escape, lines[:_MOST_LINES])) or "none"
    more = f"<br/>and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
    return _mark(shown + more, lines != first["intervention_lines"])


def _answer(answer: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    if answer is None:
        return ""
    return _text(answer["text"], first is not None and answer["text"] != first["text"])


def _judged(view: dict[str, Any]) -> str:
    return escape(verdict(view["answer"])) if view["answer"] else ""


def _yes_no(answer: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    shares, others = answer and answer["yes_no"], first and first["yes_no"]
    if not shares:
        return ""
    return _mark(f"{shares['yes']:.2f}, {shares['no']:.2f}", yes_no_apart(shares, others))


def _entropy(view: dict[str, Any], first: dict[str, Any], index: int) -> str:
    if not view["uncertainty"]:
        return ""
    entropy = view["uncertainty"]["entropies"][index]
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        return str(entropy["missing"])
    if low is None or high is None:
        doubted = " (!)" if doubts_of([view]) else ""
        return f"{value:.2f}{doubted}" + bar(value, entropy["scale"], NEUTRAL)
    other = first["uncertainty"]["entropies"][index] if first["uncertainty"] else entropy
    apart = entropies_apart(entropy, other)
    doubted = " (!)" if doubts_of([view]) else ""
    shown = bar(value, entropy["scale"], NEUTRAL, low, high)
    return _mark(f"{value:.2f}", apart) + f"{doubted} [{low:.2f}, {high:.2f}]" + shown


def _measures(views: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row for each column of the measures without a panel of their own, in the order of the first
    that has them.
    """
    found = [
        {
            (measure["name"], column["name"]): column
            for measure in view["measures"]
            for column in measure["columns"]
        }
        for view in views
    ]
    rows = []
    for key in dict.fromkeys(key for columns in found for key in columns):
        column = next(columns[key] for columns in found if key in columns)
        unit = f" ({column['unit']})" if column["unit"] else ""
        cells = [_column(columns.get(key), found[0].get(key)) for columns in found]
        rows.append(_row(column["label"] + unit, cells, column["definition"]))
    return rows


def _column(column: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    """Return a cell: marked where its interval does not meet the first's, or without intervals where it
    differs.
    """
    if column is None:
        return ""
    other = column if first is None else first
    mine, theirs = column["interval"], other["interval"]
    if mine is not None and theirs is not None:
        apart = mine[0] > theirs[1] or mine[1] < theirs[0]
    else:
        apart = column["value"] != other["value"]
    ends = mine or (None, None)
    shown = bar(column["value"], column["scale"], NEUTRAL, *ends) if is_bar(column) else ""
    return _mark(escape(number_of({**column, "unit": ""})), apart) + shown


def _judge(view: dict[str, Any], first: dict[str, Any]) -> str:
    """Return who compared the meanings, and why not to rely on it."""
    if not view["uncertainty"]:
        return ""
    judge = view["uncertainty"]["judge"]
    other = first["uncertainty"]["judge"] if first["uncertainty"] else judge
    doubts = "".join(f"<div>(!) {escape(doubt)}</div>" for doubt in judge["doubts"])
    return _mark(escape(judge["label"]), judge["label"] != other["label"]) + doubts


def _attention(attention: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    if attention is None:
        return ""
    relative = attention["relative"]
    reference = first["relative"] if first else relative
    parts = []
    for name, share in relative.items():
        if share is not None:
            parts.append(_mark(f"{name} {share:.2f}", shares_apart(share, reference[name])))
    return stack(shares_of(relative)) + ", ".join(parts)
