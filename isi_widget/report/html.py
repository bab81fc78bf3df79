"""A trial as a static page fragment: what a notebook shows for it, with or without a kernel.

Self-contained (no script, style sheet or outside address); every text is escaped. Not for the widget's own
panels, which the front end draws from `Trial.view`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isi_widget.readable import counted
from isi_widget.report.drawable import Drawable
from isi_widget.report.phrases import how_many, how_often, is_bar, number_of
from isi_widget.report.pictures import data_uri, thumbnail
from isi_widget.report.style import INPUTS, NEUTRAL, SEGMENT_COLORS
from isi_widget.report.svg import HEADING, NO_FORMULAS, QUIET, Bar, bar_table, escape

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus

_FRAME = "display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start;line-height:1.4;color:inherit"
_IMAGE = "display:block;max-width:100%;height:auto;border:1px solid rgba(128,128,128,.5)"
#: Signs of verdicts, by their word; ticks and crosses only for what is right or wrong.
_SIGNS = {
    "right": "\N{CHECK MARK} ",
    "wrong": "\N{BALLOT X} ",
    "agrees": "= ",
    "differs": "\N{NOT EQUAL TO} ",
}
_TEXT = "margin:2px 0;max-width:32em;overflow-wrap:anywhere"
_CODE = "white-space:pre-wrap;font-size:.9em;margin:4px 0"


def trial_html(trial: Drawable, view: dict[str, Any] | None = None, *, details: bool = True) -> str:
    """Return the whole trial as HTML: picture and inputs, answer, uncertainty, attention.

    Parameters
    ----------
    trial
        The trial.
    view
        Its `Trial.view(details=True)`, if it is at hand; None (default) makes it.
    details
        Whether settings and code are added; default True.
    """
    view = trial.view(details=True) if view is None else view
    columns = [_inputs(trial, view)]
    results = [
        part
        for part in (
            _answer(view["answer"], view["truth"], view["truth_holds"] is None),
            _uncertainty(view["uncertainty"]),
            _attention(view["attention"]),
            *map(_measure, view["measures"]),
            *(f'<div style="{_TEXT};{QUIET}">{escape(note)}</div>' for note in view["notes"]),
        )
        if part
    ]
    columns.append(f'<div style="flex:1 1 22em;min-width:18em">{"".join(results)}</div>')
    body = f'<div style="{_FRAME}">{"".join(columns)}</div>{_details(trial, view) if details else ""}'
    return f'<div class="isi-trial {NO_FORMULAS}">{body}</div>'


def picture_html(stimulus: Stimulus, longest: int = 320) -> str:
    """Return the rendered stimulus as an inline image."""
    source = data_uri(thumbnail(stimulus, longest))
    return f'<img src="{source}" alt="the image as the model was shown it" style="{_IMAGE}"/>'


def verdict(answer: dict[str, Any], full: bool = True) -> str:
    """Return how the answer of a view is judged, with a sign: in full, or in one word; empty
    where it is not.
    """
    return f"{_SIGNS.get(answer['mark'], '')}{answer['judged' if full else 'mark']}"


def _marked(segment: str, text: str) -> str:
    """Return a text beside a line in its segment's colour."""
    color = SEGMENT_COLORS[segment]
    return (
        f'<div style="{_TEXT};border-left:4px solid {color};padding-left:8px">'
        f'<span style="{QUIET}">{segment}</span><div dir="auto">{text}</div></div>'
    )


def _inputs(trial: Drawable, view: dict[str, Any]) -> str:
    width, height = trial.stimulus.current_image.size
    size = f"{view['image_preset']}, {width} \N{MULTIPLICATION SIGN} {height} px"
    context = escape(view["context"]) if view["context"].strip() else f'<span style="{QUIET}">(empty)</span>'
    return (
        f'<div style="flex:0 0 auto;max-width:322px">{_marked("image", escape(size))}'
        f"{picture_html(trial.stimulus)}"
        f"{_marked('context', context)}{_marked('question', escape(view['question']))}</div>"
    )


def _answer(answer: dict[str, Any] | None, truth: str | None, original: bool) -> str:
    if answer is None:
        return ""
    text = escape(answer["text"])
    if not answer["text"]:
        text = f'<span style="{QUIET}">({"no answer" if answer["missing"] else "empty answer"})</span>'
    if not answer["finished"]:
        text += f' <span style="{QUIET}">(cut off by max_new_tokens)</span>'
    judged = ""
    if truth is not None:
        of = "truth of the original picture" if original else "truth"
        judged = f"{verdict(answer) or 'not judged'}; {of}: {escape(truth)}"
    parts = [
        f'<div style="{HEADING}">Answer</div>',
        f'<div dir="auto" style="{_TEXT};font-size:1.15em">{text}</div>',
        f'<div style="{_TEXT}">{judged}</div>' if judged else "",
    ]
    if answer["reasoning"]:
        parts.append(
            f'<details style="{_TEXT};{QUIET}"><summary>Reasoning before the answer, not judged</summary>'
            f'<div dir="auto" style="white-space:pre-wrap">{escape(answer["reasoning"])}</div></details>'
        )
    if answer["yes_no"] is not None:
        note = answer["yes_no_definition"]
        parts.append(
            bar_table(
                [Bar(name, share, f"{share:.3f}", note=note) for name, share in answer["yes_no"].items()],
                maximum=1.0,
            )
        )
    return "".join(parts)


def _uncertainty(uncertainty: dict[str, Any] | None) -> str:
    if uncertainty is None:
        return ""
    samples = uncertainty["samples"]
    rows = bar_table([_entropy(entropy) for entropy in uncertainty["entropies"]])
    rows += f'<div style="{QUIET}">{escape(uncertainty["scale_note"])}</div>'
    clusters = [
        Bar(
            cluster["name"] or "(empty answer)",
            cluster["share"],
            ", ".join(filter(None, [_probability(cluster), how_many(cluster, samples)])),
            note="; ".join(f"{how_often(answer)} {answer['text']}" for answer in cluster["answers"]),
        )
        for cluster in uncertainty["clusters"]
    ]
    known = any(cluster["probability"] is not None for cluster in uncertainty["clusters"])
    answers = "".join(
        '<li dir="auto">'
        + f"{escape(cluster['name']) or '(empty answer)'}: "
        + "; ".join(f"{how_often(answer)} {escape(answer['text'])}" for answer in cluster["answers"])
        + "</li>"
        for cluster in uncertainty["clusters"]
    )
    caveats = "".join(
        f'<div style="{_TEXT};{QUIET}">{escape(caveat)}</div>' for caveat in uncertainty["caveats"]
    )
    doubts = "".join(
        f'<div data-doubt="true" style="{_TEXT};border-left:4px solid #E69F00;padding-left:8px">'
        f"\N{WARNING SIGN} {escape(doubt)}</div>"
        for doubt in uncertainty["judge"]["doubts"]
    )
    judge = uncertainty["judge"]["label"]
    count = counted(len(uncertainty["clusters"]), "meaning")
    meanings = f"{count} among the {uncertainty['method']} answers"
    meanings += f", compared by {escape(judge)}" if judge else ""
    return (
        f'<div style="{HEADING}">Uncertainty <span style="{QUIET}">{uncertainty["basis"]}, '
        f"{uncertainty['intervals']}</span></div>{doubts}{rows}"
        f'<div style="{QUIET}">{meanings}; bars: {"probability" if known else "number of answers"}</div>'
        f"{bar_table(clusters, maximum=1.0)}{caveats}"
        '<details style="margin-bottom:8px"><summary style="cursor:pointer">answers per cluster</summary>'
        f"<ul>{answers}</ul></details>"
    )


def _probability(cluster: dict[str, Any]) -> str:
    return "" if cluster["probability"] is None else f"{cluster['probability']:.2f}"


def _entropy(entropy: dict[str, Any]) -> Bar:
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        return Bar(entropy["label"], None, entropy["missing"], NEUTRAL, note=entropy["definition"])
    unit = f" {entropy['unit']}" if entropy["unit"] else ""
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    text = f"{value:.2f}{interval}{unit}"
    return Bar(entropy["label"], value, text, NEUTRAL, low, high, entropy["definition"], entropy["scale"])


def _attention(attention: dict[str, Any] | None) -> str:
    if attention is None:
        return ""
    absolute, relative, counts = attention["absolute"], attention["relative"], attention["token_counts"]
    bars = [
        Bar(
            name,
            absolute[name],
            f"{absolute[name]:.3f}{_of_inputs(relative.get(name))} ({counted(counts.get(name, 0), 'token')})",
            SEGMENT_COLORS[name],
            note=attention["definition"],
        )
        for name in attention["segments"]
    ]
    index = attention["modality_dominance_index"]
    dominance = f"modality dominance index {index:.2f}" if index is not None else ""
    return (
        f'<div style="{HEADING}">Attention <span style="{QUIET}">mean share per answer token; '
        f"attention, not importance</span></div>{bar_table(bars, maximum=1.0)}"
        f'<div style="{QUIET}" title="{escape(attention["dominance_definition"])}">{dominance}</div>'
    )


def _measure(measure: dict[str, Any]) -> str:
    """Return a measure without a panel of its own: a row for each of its columns."""
    rows = []
    for column in measure["columns"]:
        value = column["value"] if is_bar(column) else None
        low, high = column["interval"] or (None, None)
        end, note = column["scale"] or 1.0, column["definition"]
        rows.append(Bar(column["label"], value, number_of(column), NEUTRAL, low, high, note, end))
    return (
        f'<div style="{HEADING}" title="{escape(measure["help"])}">{escape(measure["title"])}</div>'
        f"{bar_table(rows)}"
    )


def _of_inputs(share: float | None) -> str:
    return "" if share is None else f", {share:.2f} of the inputs"


def _details(trial: Drawable, view: dict[str, Any]) -> str:
    model = ", ".join(
        str(trial.model[key])
        for key in ("family", "dtype", "device", "quantization", "revision")
        if trial.model.get(key)
    )
    note = f"<br/>{escape(trial.model['note'])}" if trial.model.get("note") else ""
    lines = [*view["before"], *(f"changed: {line}" for line in view["intervention_lines"])]
    note = "".join(f"<br/>{escape(line)}" for line in lines) + note
    settings = ", ".join(f"{name} {value}" for name, value in view["settings"].items() if name != "measures")
    versions = ", ".join(f"{name} {version}" for name, version in trial.versions.items())
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in trial.seconds.items())
    return (
        f'<div style="{QUIET};margin-top:4px">{escape(view["model"])} ({escape(model)}); '
        f"{escape(trial.created)}{note}</div>"
        '<details style="color:inherit"><summary style="cursor:pointer">settings, versions, Python</summary>'
        f'<div style="{QUIET}">{escape(settings)}<br/>{escape(versions)}<br/>{escape(seconds)}</div>'
        f'<pre style="{_CODE}">{escape(view["code"])}</pre></details>'
    )


def shares_of(shares: dict[str, float | None]) -> list[tuple[float, str]]:
    """Return shares of the three inputs with their colours, for `svg.stack`."""
    return [(shares.get(name) or 0.0, SEGMENT_COLORS[name]) for name in INPUTS]
