"""Progress and running means of a study as a static page fragment, for the cell that waits for it.

Every text is escaped. Not for the table of a finished study with its intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS
from isi_widget.report.svg import HEADING, NO_FORMULAS, QUIET, TABLE, bar, escape, number
from isi_widget.study.live.columns import Column, columns_of
from isi_widget.study.live.tally import Group, Tally

if TYPE_CHECKING:
    from isi_widget.study.live.run import Progress, Run

_CELL = "padding:1px 12px 1px 0;border:none;background:none;vertical-align:top;text-align:start"
_BAR = 320  # pixels


def run_html(run: Run) -> str:
    """Return the page of a run: what runs, progress, means by condition so far."""
    progress = run.progress()
    groups, failures = run.sums(lambda tally: (_copied(tally), _reasons(tally)))
    title = f'<div style="{HEADING}">Study <span style="{QUIET}">{escape(run.about)}</span></div>'
    return (
        f'<div class="isi-study-run {NO_FORMULAS}" style="line-height:1.4;color:inherit">{title}'
        f"{_bar(progress)}<div>{escape(sentence(progress))}</div>"
        f"{_table(groups)}{failures}</div>"
    )


def sentence(progress: Progress) -> str:
    """Return how far a run is, in words."""
    rows = f"{progress.done:,} of {progress.total:,} rows"
    parts = [rows]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.unjudged:
        parts.append(f"{progress.unjudged:,} not judged")
    if progress.rate is not None:
        parts.append(f"{pace(progress.rate)} rows/s")
    if progress.stopping:
        parts.append("stopping after the current token")
    elif progress.state == "running":
        if progress.note:
            parts.append(progress.note)
        if progress.left is not None:
            parts.append(f"{duration(progress.left)} left")
    elif progress.state == "finished":
        parts = [f"{progress.total:,} rows finished in {duration(progress.seconds)}", *parts[1:]]
    elif progress.state == "cancelled":
        parts.append("cancelled; the finished rows are kept")
    elif progress.state == "failed":
        parts.append(f"stopped: {progress.error}")
    return " \N{MIDDLE DOT} ".join(parts)


def duration(seconds: float) -> str:
    """Return whole seconds, minutes or hours, never less than a second."""
    whole = max(1, math.ceil(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{math.ceil(minutes / 60)} h"


def pace(rate: float) -> str:
    """Return a rate with two digits that count."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _bar(progress: Progress) -> str:
    share = progress.done / progress.total if progress.total else 0.0
    return (
        f'<div role="progressbar" aria-valuemin="0" aria-valuemax="{progress.total}" '
        f'aria-valuenow="{progress.done}" style="width:{_BAR}px;max-width:100%;height:8px;margin:4px 0;'
        'border-radius:2px;background:rgba(128,128,128,.2)">'
        f'<div style="width:{number(100 * share)}%;height:100%;border-radius:2px;background:{NEUTRAL}">'
        "</div></div>"
    )


def _copied(tally: Tally) -> list[Group]:
    return [
        Group(group.model, group.condition, group.rows, group.failed, group.unjudged, dict(group.sums))
        for group in tally.groups.values()
    ]


def _table(groups: list[Group]) -> str:
    columns = columns_of({name for group in groups for name in group.sums})
    if not groups:
        return ""
    several = len({group.model for group in groups}) > 1
    heads = "".join(
        f'<th scope="col" style="{_CELL};font-weight:400" title="{escape(column.definition)}">'
        f'<span style="{QUIET}">{escape(column.label)}</span></th>'
        for column in columns
    )
    rows = "".join(
        f'<tr style="background:none"><th scope="row" dir="auto" style="{_CELL};font-weight:400">'
        f"{escape(f'{group.model}: {group.condition}' if several else group.condition)}</th>"
        f'<td style="{_CELL}">{group.rows:,}</td>'
        f"{''.join(_cell(group, column) for column in columns)}</tr>"
        for group in groups
    )
    return (
        f'<table style="{TABLE}"><thead><tr style="background:none"><th scope="col" style="{_CELL}"></th>'
        f'<th scope="col" style="{_CELL};font-weight:400"><span style="{QUIET}">rows</span></th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _cell(group: Group, column: Column) -> str:
    mean = group.mean(column.name)
    if mean is None:
        return f'<td style="{_CELL}"></td>'
    color = SEGMENT_COLORS.get(column.segment, NEUTRAL)
    return f'<td style="{_CELL}">{mean:.2f}{bar(mean, column.scale, color)}</td>'


def _reasons(tally: Tally) -> str:
    if not tally.failed:
        return ""
    return _listed((f.rows, f.kind, f.reason) for f in tally.failures[:10])


def _listed(failures: Iterable[tuple[int, str, str]]) -> str:
    items = "".join(
        f'<li dir="auto">{rows:,}: {escape(kind)}: {escape(reason[:300])}</li>'
        for rows, kind, reason in failures
    )
    return (
        '<details style="color:inherit"><summary style="cursor:pointer">What failed, and why</summary>'
        f'<ul style="{QUIET}">{items}</ul></details>'
    )
