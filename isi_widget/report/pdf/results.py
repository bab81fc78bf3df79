"""Results of one trial in the PDF report: answer, uncertainty, attention, as bars and numbers.

Every number comes from the trial and its view, every definition from `style` and `pdf_words`. Not for inputs
and set-up (see `pdf_trial`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isi_widget.report.pdf import charts as charts
from isi_widget.report.pdf.sheet import BODY, BOLD, INK, LABEL, MARGIN, SMALL, Sheet
from isi_widget.report.pdf.words import ANSWER_SCOPE, GRAPH, GRAPH_SCOPE, LAYERS, OTHERS, RELATIVE
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS
from isi_widget.trial.terms import ATTENTION_CAVEAT, DOMINANCE_CAVEAT
from isi_widget.trial.view import how_many, how_often, missing, shortened

if TYPE_CHECKING:
    from isi_widget.trial import Trial

_VALUE = replace(LABEL, color=INK)
_PLOT_X, _PLOT_WIDTH = MARGIN + 190, 150.0
#: Widths of label and number; the definition takes the rest.
_GRAPH_COLUMNS = (150.0, 76.0)


def write_answer(sheet: Sheet, trial: Trial) -> None:
    """The shown answer, token by token, and the reasoning before it."""
    answer = trial.answer
    if answer is None:
        return
    if answer.reasoning:
        sheet.heading("Reasoning before the answer", "not judged, not compared")
        sheet.write_text(shortened(answer.reasoning), LABEL)
    if not answer.tokens:
        return
    told = not all(map(math.isnan, answer.logprobs))
    count = len(answer.tokens)
    note = f"{count} token{'s' * (count != 1)}"
    if told:
        mean = answer.mean_log_likelihood
        note += f", log-likelihood {answer.log_likelihood:.3f} nats, {mean:.3f} per token"
    sheet.heading("Answer, token by token", note)
    charts.tokens(sheet, list(zip(answer.tokens, answer.logprobs, strict=True)), answer.alternatives)
    scope = ANSWER_SCOPE if told else "The model does not tell the probabilities of its tokens."
    if any(answer.alternatives):
        scope += f" {OTHERS}"
    sheet.write_text(scope, SMALL)


def write_uncertainty(sheet: Sheet, trial: Trial, view: Mapping[str, Any], definitions: bool) -> None:
    """Entropies with their intervals, clusters with their answers, measures of the graph, caveats."""
    uncertainty, record = view["uncertainty"], trial.uncertainty
    if uncertainty is None or record is None:
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
    if record.graph_measures:
        rows = []
        for measure in GRAPH:
            if measure.name in record.graph_measures:
                value = record.graph_measures[measure.name]
                number = missing(value) or f"{value:.3f} {measure.unit}"
                rows.append((measure.label, number, measure.definition if definitions else ""))
        sheet.heading("The graph of the sampled answers", below=60)
        sheet.pairs(rows, _GRAPH_COLUMNS if definitions else (_PLOT_X + _PLOT_WIDTH + 10 - MARGIN, 90.0))
        sheet.write_text(GRAPH_SCOPE, SMALL)
    if record.order is not None:
        order = record.order
        entropy = "discrete semantic entropy" if record.method == "sampled" else "entropy of what was found"
        tried = "every order" if order.exact else f"{order.permutations} random orders"
        sheet.skip(6)
        _measure(
            sheet,
            "Dependence on the order of the answers",
            f"{order.changed:.0%} of {tried}",
            "Share of the orders of the same answers that give other clusters; these disagree with the "
            f"clusters above by {order.disagreement:.3f} (1 - adjusted Rand index, mean over the orders). "
            f"The {entropy} goes from {order.entropy_low:.3f} to {order.entropy_high:.3f} nats.",
        )


def _entropy(sheet: Sheet, entropy: Mapping[str, Any], definition: str) -> None:
    """Label, bar with interval and number of one entropy; its definition below, if there is one."""
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
    """How the entropy grew with the number of samples."""
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
    """A number without a bar."""
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
    meanings = f"{count} meaning{'s' * (count != 1)} among the {uncertainty['method']} answers; bars: {what}"
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
    """Shares of the segments, whole and layer by layer."""
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
        sheet.line_of(f"{attention['token_counts'].get(name, 0)} tokens", MARGIN, y + 10.5, 60, SMALL)
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
        words = DOMINANCE_CAVEAT.partition(": ")[2]
        words = words[:1].upper() + words[1:]
        _measure(sheet, "Modality dominance index", f"{index:.3f}", words if definitions else "")
    key = f"Filled: mean share of the whole attention. Outlined: {RELATIVE} {LAYERS}"
    sheet.write_text(f"{key} {ATTENTION_CAVEAT}" if definitions else key, SMALL)
