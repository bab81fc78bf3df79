"""A logit lens over its picture: the heat of a word, or the most probable word of each image token.

matplotlib is imported on first use. Not for the record (`lens`), nor for files (`isi_widget.report.figures`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from isi_widget.attribution.heat import check_opacity, levels, rgba_image
from isi_widget.attribution.map_figures import overlay
from isi_widget.errors import InputError
from isi_widget.mechanism import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isi_widget.mechanism.lens import LogitLens

#: Points of the largest and the least letters in a box, width of a letter over its height, and inches of the
#: picture's width.
_LARGEST, _LEAST, _WIDE, _INCHES = 9.0, 4.0, 0.62, 6.4
#: Most words of a layer in a figure.
_DRAWN = 10
#: Pixels per inch of words drawn over a picture.
_DPI = 200


def heat_over(
    lens: LogitLens, word: str, layer: int, stream: str, full: float | None, opacity: float
) -> Image.Image:
    """Return the picture with the probability of a word over it; see `LogitLens.overlay`."""
    check_opacity(opacity)
    heat = np.nan_to_num(lens.heat(word, layer, stream))
    end = float(heat.max()) if full is None else full
    return overlay(lens.stimulus, rgba_image(levels(heat, end), opacity))


def plot_token(lens: LogitLens, position: int, stream: str) -> Figure:
    """Return a figure of the words of one token, layers x words; see `LogitLens.plot`."""
    found = lens.token(position, stream)
    ranks = min(len(found.words[0]), _DRAWN)
    high = figures.cells(lens.layers, ranks)[1]
    figure = figures.new_figure((2.6 + 1.0 * ranks, 1.4 + high))
    axis = figure.subplots()
    figures.draw_matrix(
        axis,
        np.array([[probability for _, probability in words[:ranks]] for words in found.words]),
        [f"{at} ({entropy:.2f})" for at, entropy in enumerate(found.entropy)],
        [str(rank + 1) for rank in range(ranks)],
        signed=False,
        full=1.0,
        label="probability",
        texts=[[text for text, _ in words[:ranks]] for words in found.words],
    )
    axis.set_ylabel("after layer (entropy, nats)", fontsize=8)
    axis.set_xlabel("rank", fontsize=8)
    name = "last token" if found.position == lens.positions[-1] else f"token {found.position}"
    axis.set_title(f"{stream}: words at the {name}", fontsize=9)
    return figure


def plot_heat(lens: LogitLens, word: str, layer: int, stream: str) -> Figure:
    """Return a figure of the probability of a word over the picture; see `LogitLens.plot`."""
    heat = lens.heat(word, layer, stream)
    figure = figures.new_figure((4.6, 4.0))
    axis = figure.subplots()
    axis.imshow(lens.stimulus.render())
    shown = axis.imshow(heat, cmap=figures.POSITIVE, alpha=0.6, vmin=0.0)
    figures.add_legend(figure, shown, axis, "probability")
    axis.set_axis_off()
    axis.set_title(f"{figures.plain(repr(word))} after layer {layer} ({stream})", fontsize=9)
    return figure


def words_over(lens: LogitLens, layer: int, stream: str) -> Image.Image:
    """Return the picture with the most probable word of each image token in its box, enlarged."""
    figure = plot_words(lens, layer, stream, plain=True)
    figure.set_dpi(_DPI)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def plot_words(lens: LogitLens, layer: int, stream: str, *, plain: bool = False) -> Figure:
    """Return a figure: the picture, pale, with the most probable word of each image token in its box.

    plain : whether picture and words fill the figure, without title and legend; default False.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    if lens.unplaced:
        raise InputError(f"Where the image tokens lie is not known: {lens.unplaced}")
    width, height = lens.stimulus.current_image.size
    places = np.flatnonzero(~np.isnan(lens.boxes).any(axis=1))
    if not len(places):
        raise InputError('This lens has no image tokens with a place. Measure with tokens=("image", "last").')
    ratio = height / width
    figure = figures.new_figure((_INCHES if plain else _INCHES + 1.2, _INCHES * ratio + 0.5 * (not plain)))
    axis = figure.add_axes((0, 0, 1, 1)) if plain else figure.subplots()
    if plain:
        figure.set_layout_engine("none")
    shown = lens.stimulus.render().convert("RGB")
    axis.imshow(Image.blend(shown, Image.new("RGB", shown.size, "white"), 0.55), extent=(0, width, height, 0))
    axis.set_axis_off()
    row, colors = lens.streams.index(stream), colormaps[figures.POSITIVE]
    points = 72 * _INCHES / width  # of one pixel of the picture
    for place in places:
        left, top, right, bottom = (float(end) for end in lens.boxes[place])
        word = lens.vocabulary[int(lens.ids[row, layer, place, 0])].strip() or "\N{OPEN BOX}"
        probability = float(lens.probabilities[row, layer, place, 0])
        red, green, blue, _ = colors(probability)
        axis.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                facecolor=(red, green, blue, 0.15 + 0.6 * probability),
                edgecolor="white",
                linewidth=0.4,
            )
        )
        shown_word, size = _fitting(word, (right - left) * points, (bottom - top) * points)
        axis.text(
            (left + right) / 2,
            (top + bottom) / 2,
            figures.plain(shown_word),
            fontsize=size,
            ha="center",
            va="center",
            color="white" if probability > 0.25 and _light(red, green, blue) < 0.5 else "black",
            gid=figures.IN_BOX,
        )
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)
    if not plain:
        figures.add_legend(
            figure, ScalarMappable(Normalize(0.0, 1.0), colors), axis, "probability of the word"
        )
        axis.set_title(f"most probable word of each image token after layer {layer} ({stream})", fontsize=9)
    return figure


def _fitting(word: str, wide: float, high: float) -> tuple[str, float]:
    """Return a word, shortened if needed, and the size of its letters in a box of this size, points."""
    size = min(_LARGEST, 0.7 * high, wide / (_WIDE * max(len(word), 2)))
    if size >= _LEAST:
        return word, size
    most = max(1, int(wide / (_WIDE * _LEAST)) - 1)
    return f"{word[:most]}\N{HORIZONTAL ELLIPSIS}", min(_LEAST, 0.7 * high)


def _light(red: float, green: float, blue: float) -> float:
    return 0.3 * red + 0.59 * green + 0.11 * blue
