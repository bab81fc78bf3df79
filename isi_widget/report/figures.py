"""`save_figure`: any plot of the package as SVG, PDF or PNG, sized for a paper or a slide.

Plots are made at their natural size (`plot()` of each result). Here they get the width that is wanted: panels
are put below each other where they would get too narrow, letters stay legible, and numbers that no longer fit
into the cells of a matrix go. The background is opaque. Not for drawing a plot.
"""

from __future__ import annotations

import base64
import inspect
import io
import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files.paths import path_of_user
from isi_widget.files.writing import write_for_user
from isi_widget.mechanism.figures import IN_BOX
from isi_widget.report import embedding
from isi_widget.report.charts import lettered, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths in inches: one column of a paper (85 mm), both columns (178 mm), a slide of 16 to 9.
WIDTHS = {"column": 3.35, "page": 7.0, "slide": 13.33}
_FORMATS = ("svg", "pdf", "png")
#: Smallest letters in points on paper and on a slide, and of numbers in cells; the slide's height in inches.
_SMALLEST, _SMALLEST_ON_SLIDE, _SMALLEST_IN_CELLS, _SLIDE = 6.0, 12.0, 4.5, 7.5
#: Letters of a slide are larger by about this factor.
_LARGER = 1.7
#: A plot may be reduced to 1 / this before its panels are put below each other.
_REDUCED = 1.4
_MOST_BESIDE = 6
#: Most of the width of a panel that names at its vertical axis take.
_NAMES = 0.3


def save_figure(
    what: Any,
    path: str | Path,
    *,
    width: str | float = "page",
    dpi: int = 300,
    **arguments: Any,
) -> Path:
    """Save a plot as SVG, PDF or PNG.

    Letters are text: in an SVG the used letters of the fonts are inside, in a PDF the fonts are embedded
    (TrueType). The background is white. The same plot gives the same bytes with the same versions.

    Parameters
    ----------
    what : a result with a method `plot` (a trial, a comparison, an attention map, a lens, a trace, heads, a
        study, ...), a matplotlib figure, or a picture (PIL), such as an overlay.
    path : file to write, .svg, .pdf or .png.
    width : "column" (85 mm), "page" (178 mm, both columns; default), "slide" (16 to 9), or inches.
    dpi : pixels per inch of a PNG, and of pictures within the others; default 300.
    **arguments : arguments of its `plot`, such as word="red" for a lens.

    Returns
    -------
    The path that was written.

    Raises
    ------
    InputError : something that has no plot, a different ending, a width out of range, an argument that its
        `plot` does not have, or a file that cannot be written.
    """
    target = path_of_user(path, "path")
    format = target.suffix.lower().removeprefix(".")
    if format not in _FORMATS:
        raise InputError(f"save_figure writes .svg, .pdf and .png; got {target}. Give one of these endings.")
    made = figure_bytes(what, format, width=width, dpi=dpi, **arguments)
    return write_for_user("The figure", target, made)


def figure_bytes(
    what: Any,
    format: str,
    *,
    width: str | float = "page",
    dpi: int = 300,
    enlarge: bool = True,
    **arguments: Any,
) -> bytes:
    """Return a plot as "svg", "pdf" or "png".

    enlarge : False keeps a plot that is narrower than `width` as it is. Others as for `save_figure`.
    """
    checks.integer(dpi, "save_figure: dpi", low=30, high=2400)
    inches, slide = _inches(width), width == "slide"
    figure = _figure(what, inches / (_LARGER if slide else 1.0), arguments)
    with _unchanged(figure):
        lettered(figure)
        if not enlarge:
            inches = min(inches, figure.get_figwidth())
        _fit(figure, inches, slide)
        return _encoded(figure, format, dpi)


def _inches(width: Any) -> float:
    if isinstance(width, str):
        checks.one_of(width, "save_figure: width", tuple(WIDTHS))
        return WIDTHS[width]
    return checks.number(width, "save_figure: width", low=1.0, high=60.0)


# ------------------------------------------------------------------------------------------ making it
def _figure(what: Any, inches: float, arguments: Mapping[str, Any]) -> Figure:
    """Return the figure of a result; panels side by side as far as they are wide enough."""
    from matplotlib.figure import Figure
    from PIL import Image

    if isinstance(what, Figure | Image.Image):
        if arguments:
            raise InputError(
                f"A {type(what).__name__} is drawn already: save_figure takes no {', '.join(arguments)} for "
                "it."
            )
        return what if isinstance(what, Figure) else _of_picture(what)
    plot = getattr(what, "plot", None)
    if not callable(plot) or isinstance(what, type):
        raise InputError(
            "save_figure needs a result with a method plot, a matplotlib figure or a picture; got "
            f"{type(what).__name__}."
        )
    names = inspect.signature(plot).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in names.values())
    if unknown := [name for name in arguments if name not in names and not open_ended]:
        raise InputError(
            f"{type(what).__name__}.plot has no argument {', '.join(unknown)}; it has "
            f"{', '.join(names) or 'none'}."
        )
    figure = _checked(plot(**arguments), what)
    panels = names.get("columns")  # of a trial the number of panels side by side, of a study its measures
    if panels is None or "int" not in str(panels.annotation) or arguments.get("columns") is not None:
        return figure
    columns = _MOST_BESIDE
    while columns > 1 and figure.get_figwidth() > _REDUCED * inches:
        columns -= 1
        figure = _checked(plot(**{**arguments, "columns": columns}), what)
    return figure


def _checked(figure: Any, what: Any) -> Figure:
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise InputError(
            f"{type(what).__name__}.plot must return a matplotlib figure; it returned "
            f"{type(figure).__name__}."
        )
    return figure


def _of_picture(picture: Any) -> Figure:
    """Return a figure that a picture fills."""
    figure = new_figure((6.0, 6.0 * picture.height / picture.width))
    figure.set_layout_engine("none")
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.imshow(picture.convert("RGB"), interpolation="none")
    axis.set_axis_off()
    return figure


@contextmanager
def _unchanged(figure: Figure) -> Iterator[None]:
    """Give a figure its size, letters and grid back in the end: it may be the caller's own."""
    texts = [(text, text.get_fontsize(), text.get_text(), text.get_visible()) for text in _texts(figure)]
    size: Any = tuple(figure.get_size_inches())
    named = {axis: axis.yaxis.get_tick_params().get("labelleft") for axis in figure.axes}
    places = {axis: axis.get_subplotspec() for axis in figure.axes}
    families = {text: text.get_fontfamily() for text, *_ in texts}
    ticks = [
        (at, at.get_major_locator(), at.get_major_formatter())
        for axis in figure.axes
        for at in (axis.xaxis, axis.yaxis)
    ]
    try:
        yield
    finally:
        figure.set_size_inches(size)
        for axis, place in places.items():
            if place is not None:
                axis.set_subplotspec(place)
        for axis, shown in named.items():
            if shown is not None:
                axis.tick_params(labelleft=shown)
        for at, locator, formatter in ticks:
            at.set_major_locator(locator)
            at.set_major_formatter(formatter)
        for text, points, words, visible in texts:
            text.set(fontsize=points, text=words, visible=visible, fontfamily=families[text])


# ------------------------------------------------------------------------------------------ fitting it
def _fit(figure: Figure, inches: float, slide: bool) -> None:
    """Give a figure its width: panels below each other where needed, letters legible, nothing overlaps."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        _stack(figure, inches)
    wide, high = figure.get_size_inches()
    pictures = all(axis.get_aspect() != "auto" or _is_legend(axis) for axis in figure.axes)
    if slide and pictures:
        inches = min(inches, _SLIDE * wide / high)
    scale = inches / wide
    figure.draw_without_rendering()
    before = {axis: axis.bbox.width for axis in figure.axes}
    sizes = [text.get_fontsize() for text in _texts(figure) if text.get_text().strip() and not _in_box(text)]
    least = min(sizes, default=_SMALLEST)
    if slide:
        height = min(high * scale, _SLIDE)
        factor = max(height / high, _SMALLEST_ON_SLIDE / least)
    else:
        factor = min(1.0, max(scale, _SMALLEST / least))
        # letters shrink less than the rest: they get their height, unless pictures set it
        height = high * (scale + (0.0 if pictures else 0.35) * max(0.0, factor - scale))
    figure.set_size_inches(inches, height)
    for text in _texts(figure):
        if not _in_box(text):
            text.set_fontsize(text.get_fontsize() * factor)
    figure.draw_without_rendering()
    for axis in figure.axes:
        _wrap_names(axis)
    figure.draw_without_rendering()
    _wrap_titles(figure)
    figure.draw_without_rendering()
    for axis in figure.axes:
        _thin(axis)
        _fit_cells(axis)
        for text in filter(_in_box, axis.texts):
            text.set_fontsize(float(text.get_fontsize()) * axis.bbox.width / before[axis])


def _in_box(text: Any) -> bool:
    return bool(text.get_gid() == IN_BOX)


def _texts(figure: Figure) -> list[Any]:
    from matplotlib.text import Text

    found: list[Any] = figure.findobj(Text)
    return found


def _stack(figure: Figure, inches: float) -> None:
    """Put panels that stand in one row below each other, as far as they would get too narrow."""
    from matplotlib.gridspec import GridSpec

    placed = [(axis, spec) for axis in figure.axes if (spec := axis.get_subplotspec()) is not None]
    axes, grids = [axis for axis, _ in placed], {spec.get_gridspec() for _, spec in placed}
    if len(grids) != 1 or len(axes) < 2 or figure.subfigs:
        return
    (grid,) = grids
    ratios: Any = grid.get_width_ratios()
    if grid.nrows != 1 or grid.ncols != len(axes) or max(ratios) > 1.5 * min(ratios):
        return
    wide, high = figure.get_size_inches()
    columns = max(1, min(len(axes), math.floor(len(axes) * _REDUCED * inches / wide)))
    if columns == len(axes):
        return
    rows = -(-len(axes) // columns)
    made = GridSpec(rows, columns, figure=figure)
    for place, axis in enumerate(axes):
        axis.set_subplotspec(made[place // columns, place % columns])
        if place % columns == 0 and place:
            axis.tick_params(labelleft=True)
            _share_names(axes[0], axis)
    figure.set_size_inches(wide * columns / len(axes), high * rows)


def _share_names(first: Axes, axis: Axes) -> None:
    """Give a panel the names at the vertical axis of the first one, if its own were left out there."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    named, own = first.yaxis.get_major_formatter(), axis.yaxis.get_major_formatter()
    same = first.get_ylim() == axis.get_ylim()
    if same and isinstance(named, FixedFormatter | FuncFormatter) and named is not own:
        labels = first.get_yticklabels()
        axis.set_yticks(
            first.get_yticks(), [label.get_text() for label in labels], fontsize=labels[0].get_fontsize()
        )


def _is_legend(axis: Axes) -> bool:
    return axis.get_label() == "<colorbar>"


def _wrap_names(axis: Axes) -> None:
    """Break long names at the vertical axis, which would leave little room to the rest."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    if not isinstance(axis.yaxis.get_major_formatter(), FixedFormatter | FuncFormatter):
        return
    labels = axis.get_yticklabels()
    spec = axis.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
    room = _NAMES * axis.figure.bbox.width / columns
    lengths = [label.get_window_extent().width for label in labels]
    if not labels or max(lengths) <= room:
        return
    names = []
    for label, length in zip(labels, lengths, strict=True):
        words = label.get_text()
        longest = max(map(len, words.split("\n")), default=0)
        most = max(6, int(longest * room / length)) if length > room else longest
        names.append("\n".join(textwrap.wrap(" ".join(words.split("\n")), most)) if length > room else words)
    size = labels[0].get_fontsize()
    axis.set_yticks(axis.get_yticks(), names, fontsize=size)


def _wrap_titles(figure: Figure) -> None:
    """Break titles and labels that are longer than their place."""
    width = figure.get_figwidth() * figure.dpi
    for axis in figure.axes:
        for text in (axis.title, axis.xaxis.label):
            _wrap(text, text.get_window_extent().width, axis.bbox.width)
        _wrap(axis.yaxis.label, axis.yaxis.label.get_window_extent().height, axis.bbox.height * 1.1)
    for name in ("_suptitle", "_supxlabel", "_supylabel"):
        over = getattr(figure, name, None)
        if over is not None:
            _wrap(over, over.get_window_extent().width, width * 0.98)


def _wrap(text: Any, length: float, room: float) -> None:
    words = text.get_text()
    if not words.strip() or length <= room:
        return
    longest = max(map(len, words.split("\n")))
    most = max(8, int(longest * room / length))
    text.set_text("\n".join(textwrap.wrap(" ".join(words.split("\n")), most)))


def _thin(axis: Axes) -> None:
    """Hide names at the ticks that overlap: every second one, every third, and so on."""
    for labels, low, high in ((axis.get_xticklabels(), "x0", "x1"), (axis.get_yticklabels(), "y0", "y1")):
        shown = [label for label in labels if label.get_visible() and label.get_text().strip()]
        if any(label.get_rotation() % 180 for label in shown) and low == "x0":
            continue  # turned ones stand beside each other
        for step in range(1, len(shown) + 1):
            boxes = sorted(
                (getattr(box, low), getattr(box, high))
                for box in (label.get_window_extent() for label in shown[::step])
            )
            if all(first[1] <= second[0] for first, second in itertools.pairwise(boxes)):
                break
        for place, label in enumerate(shown):
            label.set_visible(place % step == 0)


def _fit_cells(axis: Axes) -> None:
    """Shrink the texts in the cells of a matrix to their cells, or hide them all."""
    if not axis.images or not axis.texts or all(map(_in_box, axis.texts)):
        return
    cells: Any = axis.images[0].get_array()
    rows, columns = cells.shape[:2]
    wide, high = axis.bbox.width / columns * 0.94, axis.bbox.height / rows * 0.94
    shown: list[Any] = [text for text in axis.texts if text.get_visible() and text.get_text().strip()]
    boxes = [text.get_window_extent() for text in shown]
    factor = min((min(wide / box.width, high / box.height) for box in boxes if box.width), default=1.0)
    least = min((text.get_fontsize() for text in shown), default=_SMALLEST)
    for text in shown:
        if factor < 1.0:
            text.set_fontsize(text.get_fontsize() * factor)
        text.set_visible(least * min(factor, 1.0) >= _SMALLEST_IN_CELLS)


# ------------------------------------------------------------------------------------------ writing it
def _encoded(figure: Figure, format: str, dpi: int) -> bytes:
    import matplotlib as mpl

    dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    buffer = io.BytesIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "isi_widget", "pdf.fonttype": 42}
    with mpl.rc_context(settings):
        figure.savefig(
            buffer,
            format=format,
            dpi=dpi,
            facecolor="white",
            edgecolor="none",
            transparent=False,
            bbox_inches=None,
            metadata=dates[format],
        )
    return _with_letters(buffer.getvalue(), figure) if format == "svg" else buffer.getvalue()


def _with_letters(svg: bytes, figure: Figure) -> bytes:
    """Put the used letters of the fonts into an SVG, under the names by which its texts call them."""
    from matplotlib.font_manager import FontProperties, findfont

    letters = {letter for text in _texts(figure) for letter in text.get_text() if letter.isprintable()}
    letters |= set("0123456789.-\N{MINUS SIGN}")
    families: Sequence[str] = list(
        dict.fromkeys(
            name for text in _texts(figure) for name in text.get_fontfamily() if name != "sans-serif"
        )
    )
    files = {"DejaVu Sans": Path(findfont("DejaVu Sans"))}
    files |= {name: Path(findfont(FontProperties(family=name))) for name in families}
    rules, left = "", {ord(letter) for letter in letters}
    for name, path in files.items():
        data, drawn = embedding.subset(path, frozenset(left))
        left -= drawn
        if data:
            source = f"url(data:font/woff;base64,{base64.b64encode(data).decode('ascii')})"
            rules += f"@font-face{{font-family:'{name}';src:{source}}}"
    return svg.replace(b'<style type="text/css">', f'<style type="text/css">{rules}'.encode(), 1)
