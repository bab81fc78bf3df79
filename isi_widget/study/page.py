"""Averages as a static page fragment for a notebook: means with their intervals, and of what they are.

Every text is escaped. Not for a trial beside them: the widget draws that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isi_widget.readable import counted
from isi_widget.report.style import INPUTS, NEUTRAL, SEGMENT_COLORS, SEGMENTS
from isi_widget.report.svg import HEADING, NO_FORMULAS, QUIET, Bar, bar_table, escape
from isi_widget.trial.measures.attention import ATTENTION_CAVEAT
from isi_widget.trial.measures.uncertainty_terms import ENTROPIES, SCALE_NOTE

if TYPE_CHECKING:
    from isi_widget.study.record import Averages


def averages_html(averages: Averages) -> str:
    """Return the HTML of the averages."""
    how, model = averages.settings, averages.model
    shown = f" under {averages.condition!r}" if averages.condition else ", each unchanged"
    title = f"Averages of {counted(len(averages), 'observation')} ({averages.data}{shown})"
    identity = ", ".join(
        str(model[key])
        for key in ("name", "family", "dtype", "quantization", "revision", "server")
        if model.get(key)
    )
    settings = ", ".join(f"{name} {value}" for name, value in how.to_dict().items() if name != "measures")
    versions = ", ".join(f"{name} {version}" for name, version in averages.versions.items())
    notes = "".join(f'<div style="{QUIET}">{escape(note)}</div>' for note in averages.notes)
    notes += _skipped(averages)
    return (
        f'<div class="isi-averages {NO_FORMULAS}" style="line-height:1.4;color:inherit">'
        f'<div style="{HEADING}">{escape(title)} <span style="{QUIET}">means with 95% bootstrap intervals '
        f"over the observations</span></div>{bar_table(list(_measures(averages)), maximum=1.0)}"
        f'<div style="{QUIET}">{escape(SCALE_NOTE)}</div>'
        f'<div style="{HEADING}">Attention <span style="{QUIET}">mean share per answer token; attention, not '
        f"importance</span></div>{bar_table(list(_attention(averages)), maximum=1.0)}{notes}"
        f'<div style="{QUIET}">{escape(identity)}; {counted(how.samples, "sample")} at temperature '
        f"{how.temperature:g}; {escape(averages.created)}</div>"
        '<details style="color:inherit"><summary style="cursor:pointer">settings, versions</summary>'
        f'<div style="{QUIET}">{escape(settings)}, entailment {escape(averages.entailment)}<br/>'
        f"{escape(versions)}<br/>weights {escape(model.get('fingerprint'))}</div></details></div>"
    )


def _skipped(averages: Averages) -> str:
    if not averages.skipped:
        return ""
    listed = "".join(f"<li>{escape(str(item))}</li>" for item in averages.skipped)
    title = f"{len(averages.skipped)} of {averages.size} observations were skipped: they could not be run"
    return (
        f'<details style="color:inherit"><summary style="cursor:pointer">{escape(title)}</summary>'
        f'<ul style="{QUIET}">{listed}</ul></details>'
    )


def _measures(averages: Averages) -> Iterator[Bar]:
    samples = averages.settings.samples
    yield _bar(averages, "correct", "Right answers", "", "By words, see isi_widget.text.correctness.", 1.0)
    yield _bar(
        averages, "answer_probability", "Probability of the answer", "", "Of the greedy answer's tokens.", 1.0
    )
    for measure in ENTROPIES:
        yield _bar(
            averages,
            measure.name,
            measure.label,
            measure.unit,
            measure.definition,
            measure.scale,
        )
    note = "How many meanings the sampled answers of one observation have."
    yield _bar(averages, "clusters", "Clusters", "", note, float(samples))


def _attention(averages: Averages) -> Iterator[Bar]:
    for name in SEGMENTS:
        bar = _bar(averages, f"attention_{name}", name, "", ATTENTION_CAVEAT, 1.0, SEGMENT_COLORS[name])
        relative = averages.mean(f"attention_relative_{name}") if name in INPUTS else math.nan
        inputs = "" if math.isnan(relative) else f", {relative:.2f} of the inputs"
        yield Bar(bar.label, bar.value, bar.text + inputs, bar.color, bar.low, bar.high, bar.note, 1.0)


def _bar(
    averages: Averages,
    name: str,
    label: str,
    unit: str,
    note: str,
    maximum: float | None,
    color: str = NEUTRAL,
) -> Bar:
    """Return one mean with its interval; `maximum` is the end of its scale, else the interval's."""
    mean, (low, high) = averages.mean(name), averages.interval(name)
    if not math.isfinite(mean):
        return Bar(label, None, "not available" if math.isnan(mean) else "infinite", color, note=note)
    text = f"{mean:.3f} [{low:.3f}, {high:.3f}]{' ' + unit if unit else ''}"
    return Bar(label, mean, text, color, low, high, note, maximum or high or 1.0)
