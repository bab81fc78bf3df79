"""Pictures with heat over them, and figures of attention maps. Not for heat alone (`heat`), nor for files
(`isi_widget.report.figures`).

matplotlib is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isi_widget.attribution.maps import AttentionMap, Choice, Scale


def overlay(picture: Any, heat: Image.Image) -> Image.Image:
    """Return a picture with an RGBA layer over it, RGB.

    Raises
    ------
    InputError
        If it is neither a stimulus nor a picture, or of a different size.
    """
    if isinstance(picture, Stimulus):
        picture = picture.render()
    if not isinstance(picture, Image.Image):
        raise InputError(
            "picture must be the stimulus that was measured, or its picture (PIL); got "
            f"{type(picture).__name__}."
        )
    if picture.size != heat.size:
        sizes = " and ".join("{} x {}".format(*one.size) for one in (picture, heat))
        raise InputError(
            f"The picture and the map differ in size: {sizes} pixels. Give the stimulus that was measured."
        )
    return Image.alpha_composite(picture.convert("RGBA"), heat).convert("RGB")


def plot_map(
    attention: AttentionMap, picture: Any, token: Choice, layer: Choice, head: Choice, scale: Scale
) -> Figure:
    """Return a figure of an attention map; see `AttentionMap.plot`."""
    import matplotlib.pyplot as plt
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    full = attention.peak(token, layer, head)
    if scale == "absolute":
        full = max(attention.peak(index, layer, head) for index in range(len(attention.tokens)))
    shown = attention.overlay(picture, token, layer, head, scale)
    figure = plt.figure(figsize=(4.8, 0.9 + 3.8 * shown.height / shown.width), layout="constrained")
    plt.close(figure)  # else a notebook shows it twice
    axis = figure.subplots()
    axis.imshow(shown)
    axis.set_axis_off()
    colors = ScalarMappable(Normalize(0.0, full or 1.0), colormaps["viridis"])
    bar = figure.colorbar(colors, ax=axis)
    bar.set_label("density of attention (1: whole attention, laid evenly)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axis.set_title(_title(attention, token, layer, head), fontsize=9)
    return figure


def _title(attention: AttentionMap, token: Choice, layer: Choice, head: Choice) -> str:
    if isinstance(token, int):
        word = attention.tokens[token].strip()
        of = f"Attention of “{word[:40]}”"
    else:
        of = (
            "Attention of the answer"
            if token is None
            else f"Attention of tokens {', '.join(map(str, token))}"
        )
    parts = [of]
    for name, choice in (("layer", layer), ("head", head)):
        if choice is not None:
            number = choice if isinstance(choice, int) else ", ".join(map(str, choice))
            parts.append(f"{name} {number}")
    share = attention.image_share(token, layer, head)
    return ", ".join(parts).replace("$", r"\$") + f"; {share:.0%} of it on the picture"
