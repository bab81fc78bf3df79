"""One trial in an HTML report: inputs, differences, results, how it was run, and the Python for it.

Every number comes from `Trial.view`. Not for several side by side (`overview`), nor for notebooks
(`isi_widget.report.html`).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isi_widget.readable import counted
from isi_widget.report.differences import differences
from isi_widget.report.entries import Entry, Group
from isi_widget.report.html import shares_of, verdict
from isi_widget.report.page import charts
from isi_widget.report.page.skeleton import code, heading, own_direction, pairs, paragraph, text
from isi_widget.report.pdf.words import LAYERS, RELATIVE, interventions
from isi_widget.report.phrases import how_many, how_often, is_bar, number_of
from isi_widget.report.pictures import thumbnail
from isi_widget.report.properties import model_rows, record_rows, settings_rows
from isi_widget.report.style import SEGMENT_COLORS, STACKED
from isi_widget.report.svg import Bar

_TIMES = "\N{MULTIPLICATION SIGN}"
#: Bytes of a PNG up to which it stands on the page, and the longer side of the JPEG in its place, pixels.
_LIGHT, _LONGEST = 200_000, 900


def trial_sections(
    entry: Entry, group: Group | None, *, definitions: bool, model: bool, settings: bool
) -> str:
    """Return the whole trial as HTML.

    Parameters
    ----------
    entry : the trial.
    group : the trials that it stands among, for its differences from the baseline; None for none.
    definitions, model, settings : False where they stand elsewhere in the document, once for all trials.
    """
    view = entry.view
    parts = [_inputs(entry), _differences(entry, group)]
    parts += [_answer(view["answer"]), _uncertainty(view["uncertainty"], definitions)]
    parts += [
        _attention(view["attention"], definitions),
        *(_measure(m, definitions) for m in view["measures"]),
    ]
    if view["notes"]:
        parts += [heading("Notes"), *map(paragraph, view["notes"])]
    if model:
        parts += [heading("Model"), pairs(model_rows(entry))]
    if settings:
        parts += [heading("Settings"), pairs(settings_rows(entry))]
    parts += [heading("Record"), pairs([(name, value, "") for name, value in record_rows(entry)])]
    parts += [heading("Python that repeats it"), code(view["code"])]
    return "".join(parts)


def picture(entry: Entry, caption: str = "") -> str:
    """Return the picture as the model was shown it, inside the file."""
    data, kind, (width, height) = _light(entry)
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><img src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}" '
        f'width="{width}" height="{height}" alt="the image as the model was shown it"/>{below}</figure>'
    )


def _light(entry: Entry) -> tuple[bytes, str, tuple[int, int]]:
    """Return the picture of a trial as every pixel, or as a JPEG where that would be large."""
    if entry.picture.startswith(b"\x89PNG") and len(entry.picture) <= _LIGHT:
        return entry.picture, "png", entry.size
    width, height = entry.size
    scale = min(1.0, _LONGEST / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return thumbnail(entry.trial.stimulus, _LONGEST, 90), "jpeg", size


def _inputs(entry: Entry) -> str:
    view, stimulus = entry.view, entry.trial.stimulus
    width, height = stimulus.current_image.size
    kind, size = _light(entry)[1:]
    reduced = "" if kind == "png" else f" On this page a JPEG of {size[0]} {_TIMES} {size[1]} px."
    caption = (
        f"The image as the model was shown it: {view['image_preset']}, {width} {_TIMES} {height} px.{reduced}"
    )
    preset = f" (preset {view['context_preset']})" if view["context_preset"] else ""
    of = "truth" if view["truth_holds"] or view["truth"] is None else "truth of the original picture"
    changed = f"changed inside ({view['interventions']})"
    rows = [
        _colored("question", "question", view["question"]),
        _colored(f"context{preset}", "context", view["context"]),
        pairs([(of, "not known" if view["truth"] is None else view["truth"], "")], tall=True),
        pairs([(changed, "\n".join(view["intervention_lines"]), "")], tall=True),
    ]
    if entry.note:
        rows.append(f'<div class="note" dir="auto"><span class="quiet">note</span> {text(entry.note)}</div>')
    rows.append(_shown_answer(view["answer"]))
    lines = "".join(f"<li>{own_direction(line)}</li>" for line in interventions(stimulus))
    done = (
        f"{heading('Interventions, in their order')}<ol>{lines}</ol>"
        if lines
        else paragraph("No interventions on the input.", "quiet")
    )
    return f'<div class="inputs">{picture(entry, caption)}<div>{"".join(rows)}</div></div>{done}'


def _colored(title: str, segment: str, value: str) -> str:
    shown = text(value) if value.strip() else '<span class="quiet">(empty)</span>'
    return (
        f'<dl class="tall segment" style="border-color:{SEGMENT_COLORS[segment]}"><dt>{text(title)}</dt>'
        f'<dd dir="auto">{shown}</dd></dl>'
    )


def _shown_answer(answer: Mapping[str, Any] | None) -> str:
    if answer is None:
        return paragraph("No answer was asked of the model.", "quiet")
    cut = "" if answer["finished"] else " (cut off by max_new_tokens)"
    shown = (
        text(answer["text"]) or f'<span class="quiet">({text(answer["missing"] or "empty answer")})</span>'
    )
    judged = f"<p><strong>{text(verdict(dict(answer)))}</strong></p>" if answer["correct"] is not None else ""
    return f'<dl class="tall"><dt>answer{cut}</dt><dd class="answer" dir="auto">{shown}</dd></dl>{judged}'


def _differences(entry: Entry, group: Group | None) -> str:
    if group is None or entry is group.baseline:
        return ""
    lines = "".join(
        f"<li>{own_direction(line)}</li>" for line in differences(entry.view, group.baseline.view)
    )
    base = group.baseline
    return f"{heading(f'Differences from trial {base.number}', base.label)}<ul>{lines}</ul>"


def _answer(answer: Mapping[str, Any] | None) -> str:
    if answer is None:
        return ""
    parts = []
    if answer["yes_no"] is not None:
        bars = [Bar(f"p({name})", share, f"{share:.3f}") for name, share in answer["yes_no"].items()]
        parts += [
            heading("Yes or no"),
            charts.bars(bars, 1.0),
            paragraph(answer["yes_no_definition"], "quiet"),
        ]
    if answer["reasoning"]:
        parts += [heading("Reasoning before the answer", "not judged, not compared")]
        parts.append(
            f'<div class="quiet" dir="auto" style="white-space:pre-wrap">{text(answer["reasoning"])}</div>'
        )
    if tokens := answer["tokens"]:
        note = counted(len(tokens), "token")
        if answer["log_likelihood"] is not None:
            mean = answer["mean_log_likelihood"]
            note += f", log-likelihood {answer['log_likelihood']:.3f} nats, {mean:.3f} per token"
        parts += [
            heading("Answer, token by token", note),
            charts.tokens(tokens),
            paragraph(answer["scope"], "quiet"),
        ]
    return "".join(parts)


def _uncertainty(uncertainty: Mapping[str, Any] | None, definitions: bool) -> str:
    if uncertainty is None:
        return ""
    parts = [heading("Uncertainty", f"{uncertainty['basis']}; {uncertainty['intervals']}")]
    parts += [paragraph(f"(!) {doubt}", "doubt") for doubt in uncertainty["judge"]["doubts"]]
    parts.append(charts.bars([_entropy(entropy) for entropy in uncertainty["entropies"]], 1.0))
    parts.append(paragraph(uncertainty["scale_note"], "quiet"))
    if definitions:
        parts.append(_definitions((e["label"], e["definition"]) for e in uncertainty["entropies"]))
    curve = uncertainty["curve"]
    if curve is not None and any(curve["high"]):
        parts += [heading(f"{curve['label']} by number of samples"), charts.curve(curve)]
        parts.append(paragraph(curve["definition"], "quiet"))
    parts.append(_clusters(uncertainty))
    parts += [paragraph(caveat, "quiet") for caveat in uncertainty["caveats"]]
    if uncertainty["graph"]:
        rows = [
            (term["label"], term["text"], term["definition"] if definitions else "")
            for term in uncertainty["graph"]
        ]
        parts += [heading("The graph of the sampled answers"), pairs(rows)]
        parts.append(paragraph(uncertainty["graph_definition"], "quiet"))
    if uncertainty["order"] is not None:
        order = uncertainty["order"]
        parts.append(pairs([(order["label"], order["text"], order["definition"])]))
    return "".join(parts)


def _entropy(entropy: Mapping[str, Any]) -> Bar:
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        return Bar(entropy["label"], None, entropy["missing"])
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    unit = f" {entropy['unit']}" if entropy["unit"] else ""
    return Bar(
        entropy["label"], value, f"{value:.3f}{interval}{unit}", low=low, high=high, maximum=entropy["scale"]
    )


def _clusters(uncertainty: Mapping[str, Any]) -> str:
    clusters = uncertainty["clusters"]
    known = any(cluster["probability"] is not None for cluster in clusters)
    count = len(clusters)
    note = (
        f"{counted(count, 'meaning')} among the {uncertainty['method']} answers; bars: "
        f"{'probability' if known else 'share of the answers'}"
    )
    rows = []
    for cluster in clusters:
        number = f"{cluster['probability']:.3f}" if cluster["probability"] is not None else ""
        number = ", ".join(filter(None, [number, how_many(cluster, uncertainty["samples"])]))
        answers = "; ".join(
            f"{how_often(answer)} {answer['text'] or '(empty answer)'}" for answer in cluster["answers"]
        )
        rows.append(Bar(cluster["name"] or "(empty answer)", cluster["share"], number, note=answers))
    return heading("Clusters of one meaning", note) + charts.bars(rows, 1.0, notes=True)


def _attention(attention: Mapping[str, Any] | None, definitions: bool) -> str:
    if attention is None:
        return ""
    rows = []
    for name in attention["segments"]:
        absolute, relative = attention["absolute"][name] or 0.0, attention["relative"].get(name)
        inputs = "" if relative is None else f", {relative:.3f} of the inputs"
        count = attention["token_counts"].get(name, 0)
        rows.append(
            Bar(name, absolute, f"{absolute:.3f}{inputs} ({counted(count, 'token')})", SEGMENT_COLORS[name])
        )
    parts = [
        heading("Attention", "where the model reads from, not what its answer depends on"),
        charts.bars(rows, 1.0),
    ]
    parts += [
        heading("Attention by layer"),
        charts.layers(attention["by_layer"]),
        legend(attention["segments"]),
    ]
    index = attention["modality_dominance_index"]
    if index is not None:
        words = attention["dominance_definition"].partition(": ")[2] if definitions else ""
        parts.append(pairs([("Modality dominance index", f"{index:.3f}", words)]))
    key = f"Bars: mean share of the whole attention; {RELATIVE} {LAYERS}"
    parts.append(paragraph(f"{key} {attention['definition']}" if definitions else key, "quiet"))
    return "".join(parts)


def legend(names: Iterable[str]) -> str:
    """Return the names of segments in their colours."""
    shown = "".join(
        f'<span style="border-color:{SEGMENT_COLORS[name]}">{text(name)}</span>'
        for name in STACKED
        if name in set(names)
    )
    return f'<div class="legend">{shown}</div>'


def _measure(measure: Mapping[str, Any], definitions: bool) -> str:
    rows = []
    for column in measure["columns"]:
        low, high = column["interval"] or (None, None)
        value = column["value"] if is_bar(column) else None
        maximum = column["scale"] if is_bar(column) else None
        rows.append(Bar(column["label"], value, number_of(column), low=low, high=high, maximum=maximum))
    parts = [heading(measure["title"], measure["help"]), charts.bars(rows, 1.0)]
    if definitions:
        parts.append(_definitions((c["label"], c["definition"]) for c in measure["columns"]))
    return "".join(parts)


def _definitions(lines: Iterable[tuple[str, str]]) -> str:
    found = [(name, words, "") for name, words in lines if words]
    return f'<div class="quiet">{pairs(found, tall=True)}</div>' if found else ""


def definitions_of(entries: Sequence[Entry]) -> str:
    """Return what the numbers of all trials mean, once."""
    lines = [tuple(line) for entry in entries for line in entry.view["definitions"]]
    return pairs([(name, words, "") for name, words in dict.fromkeys(lines)], tall=True)


def shares(attention: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Return the shares of the inputs with their colours."""
    return [(share, color) for share, color in shares_of(attention["relative"]) if math.isfinite(share)]
