"""Trials as matplotlib figures: for papers, slides and reports.

matplotlib is imported on first use. The figures are not left open in pyplot: a notebook shows the returned
figure once, `figures.save_figure` writes it to a file. Not for the page (see `html.py` and the widget).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.readable import counted, shortened
from isi_widget.report import fonts
from isi_widget.report.drawable import Drawable
from isi_widget.report.pdf.fonts import clean
from isi_widget.report.phrases import doubts_of, is_bar, number_of
from isi_widget.report.style import INPUTS, NEUTRAL, SEGMENT_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_LONGEST_LABEL = 40


def plot_trial(trial: Drawable, columns: int | None = None) -> Figure:
    """Return the stimulus beside one panel each for entropies, clusters and attention, as far as they were
    run.

    columns : number of panels side by side; None (default): all.
    """
    view = trial.view()
    panels = [draw for key, draw in _PANELS if view[key]]
    count = 1 + max(1, len(panels))
    beside = count if columns is None else min(checks.integer(columns, "plot: columns", low=1), count)
    rows = -(-count // beside)
    width = 0.6 + 3.6 * beside
    figure = new_figure((width, 3.9 if rows == 1 else 0.4 + 3.5 * rows))
    grid = figure.subplots(rows, beside, squeeze=False, width_ratios=[1.1] + [1.0] * (beside - 1))
    axes = list(grid.flat)
    draw_stimulus(axes[0], trial)
    for axis, draw in zip(axes[1:], panels, strict=False):
        draw(axis, view)
    for axis in axes[1 + len(panels) :]:
        axis.set_axis_off()
    title = _title(view)
    figure.suptitle(title if len(title) < 13 * width else _wrapped(title, int(13 * width)), fontsize=10)
    if view["notes"]:
        longest = min(150, int(13 * width))
        figure.supxlabel("\n".join(_wrapped(plain(note, 400), longest) for note in view["notes"]), fontsize=7)
    return lettered(figure)


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure that a notebook knows how to show, though pyplot does not keep it."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    plt.close(figure)  # else a notebook shows it twice: as an open figure and as the cell's value
    return figure


def draw_stimulus(axis: Axes, trial: Drawable, title: str | None = None) -> None:
    """Draw the image as shown to the model, with context and question below it."""
    axis.imshow(trial.stimulus.render())
    axis.set_xticks([])
    axis.set_yticks([])
    context = trial.stimulus.current_context.strip()
    lines = ([f"context: {plain(context, 90)}"] if context else []) + [
        plain(trial.stimulus.current_question, 90)
    ]
    axis.set_xlabel("\n".join(_wrapped(line) for line in lines), fontsize=8)
    if title is not None:
        axis.set_title(title, fontsize=9)


def draw_entropies(axis: Axes, view: dict[str, Any]) -> None:
    """Draw each entropy with its interval, and a tick at its maximum if it has one."""
    entropies = view["uncertainty"]["entropies"]
    end = max(entropy["scale"] for entropy in entropies)
    for row, entropy in enumerate(entropies):
        if entropy["value"] is None:
            axis.text(0.0, row, f" {entropy['missing']}", va="center", fontsize=8)
            continue
        _draw_interval(axis, row, entropy, end)
        if entropy["maximum"] and entropy["maximum"] <= end:
            axis.plot([entropy["maximum"]], [row], "|", color=NEUTRAL, markersize=12)
    labels = [
        entropy["label"] + (f"\n({entropy['unit']})" if entropy["unit"] else "") for entropy in entropies
    ]
    axis.set_yticks(range(len(entropies)), labels, fontsize=8)
    axis.set_ylim(len(entropies) - 0.5, -0.5)
    _scale(axis, end)
    uncertainty = view["uncertainty"]
    basis = uncertainty["basis"].replace(" at temperature ", ", T = ")
    axis.set_title(
        f"Uncertainty: {basis},\n{uncertainty['intervals']}; | maximum",
        fontsize=9,
    )
    _draw_doubts(axis, uncertainty["judge"]["doubts"])


def _draw_doubts(axis: Axes, doubts: Sequence[str], width: int = 46) -> None:
    """Write below the numbers why they are unreliable."""
    if doubts:
        axis.set_xlabel(
            "\n".join(_wrapped(f"(!) {plain(doubt, 300)}", width) for doubt in doubts), fontsize=7
        )


def _draw_interval(axis: Axes, row: int, entropy: dict[str, Any], end: float) -> None:
    low, high = (entropy[name] if entropy[name] is not None else entropy["value"] for name in ("low", "high"))
    axis.plot([min(low, end), min(high, end)], [row, row], color=NEUTRAL, linewidth=2, solid_capstyle="butt")
    if max(high, entropy["value"]) > end:  # it goes on beyond the axis, which is the same in every figure
        axis.plot([end], [row], ">", color="black", markersize=6, clip_on=False)
    if entropy["value"] <= end:
        axis.plot([entropy["value"]], [row], "o", color="black", markersize=5, clip_on=False)


def _scale(axis: Axes, end: float) -> None:
    """Set the common axis of all figures of entropies, with room before 0 for a whole dot."""
    axis.set_xlim(-0.04 * end, end)


def draw_clusters(axis: Axes, view: dict[str, Any], most: int = 8) -> None:
    """Share and count of each cluster of sampled answers, or probability of each of enumerated ones, as the
    title says; of many, the largest ones and how many are left.
    """
    clusters = view["uncertainty"]["clusters"]
    shown = clusters[:most]
    axis.barh(range(len(shown)), [cluster["share"] for cluster in shown], color=NEUTRAL, height=0.65)
    for row, cluster in enumerate(shown):
        number = f"{cluster['share']:.3f}" if cluster["count"] is None else str(cluster["count"])
        axis.text(cluster["share"], row, f" {number}", va="center", fontsize=8)
    axis.set_yticks(
        range(len(shown)),
        [_wrapped(plain(cluster["name"]) or "(empty)", 22) for cluster in shown],
        fontsize=8,
    )
    axis.set_ylim(max(len(shown), 3) - 0.5, -0.5)
    axis.set_xlim(0, 1.1)
    left = len(clusters) - len(shown)
    known = any(cluster["probability"] is not None for cluster in clusters)
    counted = ", count" if any(cluster["count"] is not None for cluster in clusters) else ""
    title = f"Clusters: {'probability' if known else 'share of the answers'}{counted}"
    axis.set_title(title + (f"\n({left} more not shown)" if left else ""), fontsize=9)


def draw_attention(axis: Axes, view: dict[str, Any]) -> None:
    """Draw absolute shares as full bars, and shares of the three inputs as hatched bars below them."""
    attention = view["attention"]
    segments = attention["segments"]
    for row, name in enumerate(segments):
        absolute, relative = attention["absolute"][name] or 0.0, attention["relative"].get(name)
        axis.barh(row - 0.2, absolute, color=SEGMENT_COLORS[name], height=0.36)
        axis.text(absolute, row - 0.2, f" {absolute:.2f}", va="center", fontsize=8)
        if relative is not None:
            axis.barh(
                row + 0.2, relative, color="none", edgecolor=SEGMENT_COLORS[name], hatch="////", height=0.36
            )
            axis.text(relative, row + 0.2, f" {relative:.2f}", va="center", fontsize=8)
    counts = attention["token_counts"]
    axis.set_yticks(
        range(len(segments)),
        [f"{name}\n{counted(counts.get(name, 0), 'token')}" for name in segments],
        fontsize=8,
    )
    axis.set_ylim(len(segments) - 0.5, -0.5)
    axis.set_xlim(0, 1.12)
    axis.set_title("Attention (not importance)\nfull: absolute, hatched: of the inputs", fontsize=9)


def draw_shares(axis: Axes, rows: Sequence[dict[str, float | None] | None], labels: Sequence[str]) -> None:
    """Draw relative attention shares of several trials, one stacked bar each."""
    for row, shares in enumerate(rows):
        start = 0.0
        for name in INPUTS:
            share = (shares or {}).get(name) or 0.0
            axis.barh(
                row,
                share,
                left=start,
                color=SEGMENT_COLORS[name],
                height=0.65,
                label=name if row == 0 else None,
            )
            start += share
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.legend(
        fontsize=7,
        ncols=3,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=3.2,  # below the numbers of the axis, however high the axis is
    )
    axis.set_title("Attention, relative to the inputs", fontsize=9)


def draw_measures(axis: Axes, view: dict[str, Any]) -> None:
    """Draw measures without a panel of their own: each number above the end of its bar."""
    columns = [column for measure in view["measures"] for column in measure["columns"]]
    for row, column in enumerate(columns):
        share = min(column["value"] / column["scale"], 1.0) if is_bar(column) else 0.0
        axis.barh(row, share, color=NEUTRAL, height=0.6)
        axis.text(share, row, f" {plain(number_of(column))}", va="center", fontsize=8)
    axis.set_yticks(
        range(len(columns)), [_wrapped(plain(column["label"]), 22) for column in columns], fontsize=8
    )
    axis.set_ylim(max(len(columns), 3) - 0.5, -0.5)
    axis.set_xlim(0, 1.3)
    axis.set_xticks([])
    axis.set_title(plain(", ".join(measure["title"] for measure in view["measures"])), fontsize=9)


_PANELS = (
    ("uncertainty", draw_entropies),
    ("uncertainty", draw_clusters),
    ("attention", draw_attention),
    ("measures", draw_measures),
)


def plain(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Return text as it is, shortened; a dollar sign does not start a formula."""
    return shortened(text, longest).replace("$", r"\$")


def lettered(figure: Figure) -> Figure:
    """Return the figure with fonts for all of its letters: those of this computer where matplotlib's own have
    none. Control characters stand as Python writes them, as in the PDF.

    Warns
    -----
    UserWarning : no font draws some of them; U+FFFD stands in their place.
    """
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter

    # Labels that were given to ticks are written anew, by their formatter, whenever the figure is drawn
    named = [
        axis
        for axes in figure.get_axes()
        for axis in (axes.xaxis, axes.yaxis)
        if isinstance(axis.get_major_formatter(), FuncFormatter)
    ]
    for axis in named:
        axis.set_ticks(axis.get_ticklocs(), [clean(label.get_text()) for label in axis.get_ticklabels()])
    texts: list[Any] = figure.findobj(Text)
    for text in texts:
        text.set_text(clean(text.get_text()))
    letters = {letter for text in texts for letter in text.get_text() if letter.isprintable()}
    usual = [Path(findfont(FontProperties())), Path(findfont("DejaVu Sans"))]
    drawn = frozenset().union(*map(fonts.characters, usual))
    others = fonts.find({ord(letter) for letter in letters} - drawn)
    drawn = drawn.union(*map(fonts.characters, others))
    families = ["DejaVu Sans"]
    for path in others:
        fontManager.addfont(path)
        families.append(FontProperties(fname=path).get_name())
    missing = {letter for letter in letters if ord(letter) not in drawn}
    if others or missing:
        instead = str.maketrans(dict.fromkeys(missing, fonts.UNDRAWABLE))
        for axis in named:
            labels = [label.get_text().translate(instead) for label in axis.get_ticklabels()]
            axis.set_ticks(axis.get_ticklocs(), labels)
        for text in texts:
            text.set_text(text.get_text().translate(instead))
            text.set_fontfamily([*text.get_fontfamily(), *families])
    if missing:
        warnings.warn(fonts.advice(missing), UserWarning, stacklevel=4)
    return figure


def _wrapped(text: str, width: int = 46) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)) or text


def _title(view: dict[str, Any]) -> str:
    answer, parts = view["answer"], [view["model"]]
    if answer is not None:
        judged = f", {answer['judged']}" if answer["judged"] else ""
        parts.append(f"“{plain(answer['text'], 80)}”{judged}")
    return plain(parts[0], 60) + ("" if len(parts) == 1 else f": {parts[1]}")


def plot_comparison(trials: Sequence[Drawable], labels: Sequence[str], columns: int | None = None) -> Figure:
    """Return thumbnails of all conditions above; semantic entropies with intervals and relative attention
    shares below.

    columns : number of thumbnails side by side; None (default): all.
    """
    count = len(trials)
    beside = count if columns is None else min(checks.integer(columns, "plot: columns", low=1), count)
    lines = -(-count // beside)
    beside = -(-count // lines)  # lines of about the same length
    views = [trial.view() for trial in trials]
    shown = [
        draw
        for key, draw in (("uncertainty", _draw_spread), ("attention", _draw_inputs))
        if any(v[key] for v in views)
    ]
    narrow = columns is not None and beside < 3  # else both charts stand side by side
    rows = (0.45 * count + 1.2) * (len(shown) if narrow else 1)
    wide = max(6.5, 2.4 * beside) if columns is None else max(4.0, 2.3 * beside)
    high = 3.0 if lines == 1 else 2.7 * lines
    figure = new_figure((wide, high + (rows if shown else 0.0)))
    top: Figure | SubFigure = figure
    if shown:
        halves: Any = figure.subfigures(2, 1, height_ratios=[high, rows])
        top, bottom = halves
        across = (len(shown), 1) if narrow else (1, len(shown))
        for axis, draw in zip(bottom.subplots(*across, squeeze=False).flat, shown, strict=True):
            draw(axis, views, [_wrapped(plain(label), 24) for label in labels])
    pictures = list(top.subplots(lines, beside, squeeze=False).flat)
    for axis in pictures[count:]:
        axis.set_axis_off()
    for axis, trial, view, label in zip(pictures, trials, views, labels, strict=False):
        draw_stimulus(axis, trial, plain(label))
        if view["answer"] is not None:
            mark = view["answer"]["mark"]
            words = _wrapped(plain(view["answer"]["text"], 60), 26) + (f" ({mark})" if mark else "")
            axis.set_xlabel(words, fontsize=8)
    return lettered(figure)


def _draw_spread(axis: Axes, views: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    """Draw the leading entropy."""
    measured = [view["uncertainty"]["entropies"] for view in views if view["uncertainty"]]
    end = max(entropies[0]["scale"] for entropies in measured)
    for row, view in enumerate(views):
        if view["uncertainty"] is not None:
            _draw_interval(axis, row, view["uncertainty"]["entropies"][0], end)
    pairs = zip(views, labels, strict=True)
    marked = [f"{label} (!)" if doubts_of([view]) else label for view, label in pairs]
    axis.set_yticks(range(len(views)), marked, fontsize=8)
    axis.set_ylim(len(views) - 0.5, -0.5)
    _scale(axis, end)
    _draw_doubts(axis, doubts_of(views), 60)
    kinds = dict.fromkeys(view["uncertainty"]["intervals"] for view in views if view["uncertainty"])
    labels_of = dict.fromkeys(entropies[0]["label"] for entropies in measured)
    axis.set_title(f"{' / '.join(labels_of)} (nats)\n{', '.join(kinds)}", fontsize=9)


def _draw_inputs(axis: Axes, views: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    draw_shares(axis, [view["attention"] and view["attention"]["relative"] for view in views], labels)
