"""Results of one trial in the PDF report: answer, uncertainty, attention, as bars and numbers.

Every number comes from the trial and its view, every definition from `style` and `pdf_words`. Not for inputs
and set-up (see `pdf_trial`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isi_widget.readable import counted
from isi_widget.report.pdf import charts as charts
from isi_widget.report.pdf.sheet import BODY, BOLD, INK, LABEL, MARGIN, SMALL, Sheet
from isi_widget.report.pdf.words import LAYERS, RELATIVE
from isi_widget.report.phrases import how_many, how_often, is_bar, number_of
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS

_VALUE = replace(LABEL, color=INK)
_PLOT_X, _PLOT_WIDTH = MARGIN + 190, 150.0
#: Widths of label and number; the definition takes the rest.
_GRAPH_COLUMNS = (150.0, 76.0)


def write_answer(sheet: Sheet, answer: Mapping[str, Any] | None) -> None:
    """Write the shown answer, token by token, and the reasoning before it."""
    if answer is None:
        return
    if answer["reasoning"]:
        sheet.heading("Reasoning before the answer", "not judged, not compared")
        sheet.write_text(answer["reasoning"], LABEL)
    tokens = answer["tokens"]
    if not tokens:
        return
    note = counted(len(tokens), "token")
    if answer["log_likelihood"] is not None:
        mean = answer["mean_log_likelihood"]
        note += f", log-likelihood {answer['log_likelihood']:.3f} nats, {mean:.3f} per token"
    sheet.heading("Answer, token by token", note)
    charts.tokens(
        sheet,
        [(token["text"], _logprob(token)) for token in tokens],
        [[(other["text"], _logprob(other)) for other in token.get("alternatives", ())] for token in tokens],
    )
    sheet.write_text(answer["scope"], SMALL)


def _logprob(token: Mapping[str, Any]) -> float:
    if token["logprob"] is not None:
        return float(token["logprob"])
    return -math.inf if token.get("impossible") else math.nan


def write_uncertainty(sheet: Sheet, uncertainty: Mapping[str, Any] | None, definitions: bool) -> None:
    """Write entropies with intervals, clusters with answers, measures of the graph, and caveats."""
    if uncertainty is None:
        return
    sheet.heading("Uncertainty", f"{uncertainty['basis']}; {uncertainty['intervals']}", below=80)
    for doubt in uncertainty["judge"]["doubts"]:
        sheet.write_text(f"(!) {doubt}", BOLD)
        sheet.y += 3
    for entropy in uncertainty["entropies"]:
        _entropy(sheet, entropy, entropy["definition"] if definitions else "")
    sheet.write_text(uncertainty["scale_note"], SMALL)
    sheet.y += 4
    if uncertainty["curve"] is not None and any(uncertainty["curve"]["high"]):  # a line at 0 shows nothing
        _curve(sheet, uncertainty["curve"], definitions)
    _clusters(sheet, uncertainty)
    for caveat in uncertainty["caveats"]:
        sheet.write_text(caveat, LABEL)
    if uncertainty["graph"]:
        rows = [
            (term["label"], term["text"], term["definition"] if definitions else "")
            for term in uncertainty["graph"]
        ]
        sheet.heading("The graph of the sampled answers", below=60)
        sheet.pairs(rows, _GRAPH_COLUMNS if definitions else (_PLOT_X + _PLOT_WIDTH + 10 - MARGIN, 90.0))
        sheet.write_text(uncertainty["graph_definition"], SMALL)
    if uncertainty["order"] is not None:
        order = uncertainty["order"]
        sheet.skip(6)
        _measure(sheet, order["label"], order["text"], order["definition"])


def _entropy(sheet: Sheet, entropy: Mapping[str, Any], definition: str) -> None:
    """Write label, bar with interval and number of one entropy, with its definition below if there is one."""
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    width = sheet.epw
    sheet.need(14 + (sheet.height_of(definition, width, SMALL) if definition else 0))
    top = sheet.y
    sheet.line_of(entropy["label"], MARGIN, top, _PLOT_X - MARGIN - 8, BODY)
    if value is None:
        sheet.line_of(entropy["missing"], _PLOT_X, top, 100, _VALUE)
    else:
        charts.interval_bar(sheet, _PLOT_X, top + 2.5, _PLOT_WIDTH, value, entropy["scale"], low, high)
        interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
        unit = f" {entropy['unit']}" if entropy["unit"] else ""
        x = _PLOT_X + _PLOT_WIDTH + 10
        sheet.line_of(f"{value:.3f}{interval}{unit}", x, top, sheet.w - MARGIN - x, BODY)
    sheet.y = top + 13
    if definition:
        sheet.write_text(definition, SMALL)
        sheet.y += 4


def _curve(sheet: Sheet, curve: Mapping[str, Any], definitions: bool) -> None:
    """Draw the entropy as a function of the number of samples."""
    definition = curve["definition"] if definitions else ""
    sheet.need(62 + (sheet.height_of(definition, sheet.epw, SMALL) if definition else 0))
    top = sheet.y
    sheet.write_text(f"{curve['label']} by number of samples", BODY, MARGIN, _PLOT_X - MARGIN - 50)
    charts.curve(sheet, _PLOT_X, top + 5, _PLOT_WIDTH, 38, curve, curve["scale"])
    sheet.y = top + 57
    if definition:
        sheet.write_text(definition, SMALL)
        sheet.y += 4


def _measure(sheet: Sheet, label: str, number: str, definition: str) -> None:
    """Write a number without a bar."""
    sheet.need(13 + (sheet.height_of(definition, sheet.epw, SMALL) if definition else 0))
    top = sheet.y
    sheet.line_of(label, MARGIN, top, 230, BODY)
    sheet.line_of(number, _PLOT_X + _PLOT_WIDTH + 10, top, 150, BODY)
    sheet.y = top + 12
    if definition:
        sheet.write_text(definition, SMALL)
        sheet.y += 3


def _clusters(sheet: Sheet, uncertainty: Mapping[str, Any]) -> None:
    clusters = uncertainty["clusters"]
    known = any(cluster["probability"] is not None for cluster in clusters)
    what = "probability" if known else "share of the answers"
    count = len(clusters)
    meanings = f"{counted(count, 'meaning')} among the {uncertainty['method']} answers; bars: {what}"
    sheet.heading("Clusters of one meaning", meanings)
    name_width = _PLOT_X - MARGIN - 8
    for cluster in clusters:
        name = sheet.shortened(cluster["name"] or "(empty answer)", name_width, BODY, 3)
        high = sheet.height_of(name, name_width, BODY)
        sheet.need(high + SMALL.leading)
        top = sheet.y
        sheet.write_text(name, BODY, MARGIN, name_width)
        charts.interval_bar(sheet, _PLOT_X, top + 2.5, _PLOT_WIDTH, cluster["share"], 1.0, color=NEUTRAL)
        number = f"{cluster['probability']:.3f}" if cluster["probability"] is not None else ""
        number = ", ".join(filter(None, [number, how_many(cluster, uncertainty["samples"])]))
        x = _PLOT_X + _PLOT_WIDTH + 10
        sheet.line_of(number, x, top, 130, BODY)
        sheet.y = top + high
        answers = "; ".join(
            f"{how_often(answer)} {answer['text'] or '(empty answer)'}" for answer in cluster["answers"]
        )
        sheet.write_text(answers, SMALL, MARGIN + 9)
        sheet.y += 3


def write_attention(sheet: Sheet, attention: Mapping[str, Any] | None, definitions: bool) -> None:
    """Write the shares of the segments, in total and by layer."""
    if attention is None:
        return
    layers = attention["by_layer"]
    sheet.heading("Attention", "where the model reads from, not what its answer depends on", below=150)
    top = sheet.y
    bar_x, bar_width = MARGIN + 62, 120.0
    for name in attention["segments"]:
        absolute, relative = attention["absolute"][name] or 0.0, attention["relative"].get(name)
        y = sheet.y
        sheet.line_of(name, MARGIN, y, 60, BODY)
        sheet.line_of(counted(attention["token_counts"].get(name, 0), "token"), MARGIN, y + 10.5, 60, SMALL)
        charts.interval_bar(sheet, bar_x, y + 2, bar_width, absolute, 1.0, color=SEGMENT_COLORS[name])
        sheet.line_of(f"{absolute:.3f}", bar_x + bar_width + 6, y - 0.5, 60, _VALUE)
        if relative is not None:
            charts.outline(sheet, bar_x, y + 11, max(bar_width * relative, 1.2), 6, SEGMENT_COLORS[name])
            sheet.line_of(f"{relative:.3f}", bar_x + bar_width + 6, y + 8.8, 60, _VALUE)
        sheet.y += 23
    x = bar_x + bar_width + 50
    sheet.line_of("by layer", x, top - 1, 60, LABEL)
    charts.layer_columns(sheet, x, top + 12, sheet.w - MARGIN - x, 66, layers)
    sheet.y = top + 4 + 23 * len(attention["segments"])
    index = attention["modality_dominance_index"]
    if index is not None:
        words = attention["dominance_definition"].partition(": ")[2]
        words = words[:1].upper() + words[1:]
        _measure(sheet, "Modality dominance index", f"{index:.3f}", words if definitions else "")
    key = f"Filled: mean share of the whole attention. Outlined: {RELATIVE} {LAYERS}"
    sheet.write_text(f"{key} {attention['definition']}" if definitions else key, SMALL)


def write_measures(sheet: Sheet, measures: Sequence[Mapping[str, Any]], definitions: bool) -> None:
    """Write the measures without a panel of their own: a line for each column, some with a bar."""
    for measure in measures:
        sheet.heading(measure["title"], measure["help"], below=40)
        for column in measure["columns"]:
            definition = column["definition"] if definitions else ""
            sheet.need(14 + (sheet.height_of(definition, sheet.epw, SMALL) if definition else 0))
            top = sheet.y
            sheet.line_of(column["label"], MARGIN, top, _PLOT_X - MARGIN - 8, BODY)
            x = _PLOT_X
            if is_bar(column):
                ends = column["interval"] or (None, None)
                charts.interval_bar(
                    sheet, _PLOT_X, top + 2.5, _PLOT_WIDTH, column["value"], column["scale"], *ends
                )
                x += _PLOT_WIDTH + 10
            sheet.y = top
            sheet.write_text(number_of(column), BODY, x, sheet.w - MARGIN - x)
            sheet.y = max(sheet.y, top + 13)
            if definition:
                sheet.write_text(definition, SMALL)
                sheet.y += 4
