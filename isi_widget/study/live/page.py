"""Progress and table of a study as a static page fragment: for the cell that waits for it, and for notebooks
that show no widgets.

Every text is escaped. Not for the interactive view (`isi_widget.widget`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isi_widget.readable import counted
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS
from isi_widget.report.svg import HEADING, NO_FORMULAS, QUIET, TABLE, bar, escape, number
from isi_widget.study.live.columns import Column
from isi_widget.study.live.table import Cell, Line, Table, running_table
from isi_widget.study.live.tally import Failure

if TYPE_CHECKING:
    from isi_widget.study.live.run import Progress, Run

_CELL = "padding:1px 12px 1px 0;border:none;background:none;vertical-align:top;text-align:start"
_BAR = 320  # pixels
_LISTED = 10  # reasons


def run_html(run: Run) -> str:
    """Return the page of a run: what runs, progress, while it runs means by condition so far."""
    progress = run.progress()
    table, failures = run.sums(lambda tally: (running_table(tally), tally.failures[:_LISTED]))
    # when it is over, the study itself shows its table, with intervals
    return study_html(run.about, progress, Table() if progress.state == "finished" else table, failures)


def study_html(about: str, progress: Progress, table: Table, failures: Sequence[Failure] = ()) -> str:
    """Return the page of a study.

    Parameters
    ----------
    about : the study in one line.
    progress : how far it is.
    table : means by condition.
    failures : reasons for which rows failed.
    """
    title = f'<div style="{HEADING}">Study <span style="{QUIET}">{escape(about)}</span></div>'
    done = "" if progress.state == "finished" else _bar(progress)
    return (
        f'<div class="isi-study-run {NO_FORMULAS}" style="line-height:1.4;color:inherit">{title}'
        f"{done}<div>{escape(sentence(progress))}</div>"
        f"{_table(table)}{_listed(failures)}</div>"
    )


def sentence(progress: Progress) -> str:
    """Return how far a run is, in words."""
    rows = f"{progress.done:,} of {counted(progress.total, 'row')}"
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
        parts = [f"{counted(progress.total, 'row')} finished in {duration(progress.seconds)}", *parts[1:]]
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


def _table(table: Table) -> str:
    if not table.groups:
        return ""
    several = len({line.model for line in table.groups}) > 1
    heads = "".join(
        f'<th scope="col" style="{_CELL};font-weight:400" title="{escape(column.definition)}">'
        f'<span style="{QUIET}">{escape(column.label)}</span></th>'
        for column in table.columns
    )
    rows = "".join(
        f'<tr style="background:none"><th scope="row" dir="auto" style="{_CELL};font-weight:400">'
        f"{escape(f'{line.model}: {line.condition}' if several else line.condition)}</th>"
        f'<td style="{_CELL}">{line.rows:,}{_lacking(line)}</td>'
        f"{''.join(_cell(*item, line.doubtful) for item in zip(line.cells, table.columns, strict=True))}</tr>"
        for line in table.groups
    )
    note = f'<div style="{QUIET}">{escape(table.intervals)}</div>' if table.intervals else ""
    return (
        f'<div style="overflow-x:auto"><table style="{TABLE}">'
        f'<thead><tr style="background:none"><th scope="col" style="{_CELL}"></th>'
        f'<th scope="col" style="{_CELL};font-weight:400"><span style="{QUIET}">rows</span></th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _lacking(line: Line) -> str:
    counts = (
        (line.failed, "failed"),
        (line.unjudged, "not judged"),
        (line.doubtful, "with doubtful meanings (!)"),
    )
    words = ", ".join(f"{number:,} {name}" for number, name in counts if number)
    return f'<div style="{QUIET}">{words}</div>' if words else ""


def _cell(cell: Cell | None, column: Column, doubtful: int) -> str:
    if cell is None:
        return f'<td style="{_CELL}"></td>'
    color = SEGMENT_COLORS.get(column.segment, NEUTRAL)
    interval = "" if cell.low is None or cell.high is None else f" [{cell.low:.2f}, {cell.high:.2f}]"
    drawn = bar(cell.value, column.scale, color, cell.low, cell.high)
    mark = " (!)" if doubtful and column.meanings else ""
    return f'<td style="{_CELL};white-space:nowrap">{cell.value:.2f}{mark}{interval}{drawn}</td>'


def _listed(failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    items = "".join(
        f'<li dir="auto">{failure.rows:,}: {escape(failure.kind)}: {escape(failure.reason[:300])}</li>'
        for failure in failures
    )
    return (
        '<details style="color:inherit"><summary style="cursor:pointer">What failed, and why</summary>'
        f'<ul style="{QUIET}">{items}</ul></details>'
    )
