"""`AttentionPlayer`: an attention map played over the picture, answer token by token or layer by layer.

Three canvases of ipycanvas lie on top of each other: the pixels the model saw, the heat layer, the labels.
Every layer is composed here with Pillow and sent as RGBA; the page only shows it, and `frame` is what it
shows. Not for drawing (that is the probe's) nor for measuring (`isi_widget.attribution`).
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from isi_widget.attribution.heat import check_opacity, rgba_image
from isi_widget.attribution.maps import AttentionMap, Choice, Scale
from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.report.style import SEGMENT_COLORS
from isi_widget.stimulus import Stimulus
from isi_widget.stimulus.drawing import FONT
from isi_widget.trial import Trial
from isi_widget.widget.player_source import measured

if TYPE_CHECKING:
    from isi_widget.vlm import VLM

#: Longer side of the picture on the page, in pixels: at most, and (by a whole factor) at least.
LONGEST, SHORTEST = 640, 320
_STRIP, _BARS, _MARGIN = 92, 24, 8
_RAMP = 60  # width of the legend's colours
_INK, _PALE, _PAPER = (32, 32, 32, 255), (190, 190, 190, 255), (255, 255, 255, 255)
_UNSEEN = 235  # what the model did not see fades to this grey
_STOPPED = "(nothing)"


class AttentionPlayer(widgets.VBox):
    """Plays an attention map: `AttentionPlayer(vlm, stimulus)`, `AttentionPlayer(trial, vlm=vlm)`.

    Needs the optional package ipycanvas: `pip install "isi-widget[player]"`. It shows attention, not
    importance: where the model reads from, not what its answer depends on.

    Parameters
    ----------
    source : model; or a trial, whose stimulus and answer are used; or a measured `AttentionMap`.
    stimulus : input of the model, unless `source` is a trial.
    over : kind of step: an answer token ("tokens") or a layer ("layers").
    vlm : model of the trial, if `source` is a trial; None (default): the embedded model, if it made the
        trial.
    token, layer, head : selection on the other axes, as in `AttentionMap.map`; None (default): the mean.
    scale : "absolute": one scale for all steps, so that they can be compared; "relative": each its own.
    opacity : largest opacity of the heat layer, 0 to 1; a slider changes it.
    interval : milliseconds that a step is shown while it plays.

    Attributes
    ----------
    attention : the `AttentionMap` that is played.
    steps : number of steps.

    Raises
    ------
    InputError
        If ipycanvas is missing, an argument has no meaning, or the map cannot be measured (see
        `measure_attention_map`).
    """

    _parts: tuple[Any, ...] = ()  # for `close`, which is called even if making it has failed

    def __init__(
        self,
        source: VLM | Trial | AttentionMap,
        stimulus: Stimulus | None = None,
        over: Literal["tokens", "layers"] = "tokens",
        *,
        vlm: VLM | None = None,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        scale: Scale = "absolute",
        opacity: float = 0.8,
        interval: int = 800,
    ) -> None:
        ipycanvas = _ipycanvas()
        _check_choices(over, token, layer, scale)
        check_opacity(opacity)
        if not is_whole(interval) or interval < 20:
            raise InputError(f"interval is {interval!r}; expected milliseconds, a whole number from 20 on.")
        self.attention, picture = measured(source, stimulus, vlm)
        self._over, self._choice, self._scale = over, (token, layer, head), scale
        self.steps = len(self.attention.tokens if over == "tokens" else self.attention.layers)
        self._shares = [self.attention.image_share(*self._at(step)) for step in range(self.steps)]
        self._full = max(self.attention.peak(*self._at(step)) for step in range(self.steps))
        self._size = _shown_size(picture.size)
        self._base = self._ground(picture)
        self._drawing = threading.RLock()

        width, height = self._base.size
        self._canvas = ipycanvas.MultiCanvas(
            3, width=width, height=height, layout=widgets.Layout(max_width="100%", width=f"{width}px")
        )
        self._play = widgets.Play(min=0, max=self.steps - 1, interval=interval, show_repeat=True)
        name = "Token" if over == "tokens" else "Layer"
        self._slider = widgets.IntSlider(min=0, max=self.steps - 1, description=name, readout=False)
        self._opacity = widgets.FloatSlider(
            opacity, min=0, max=1, step=0.05, description="Opacity", readout_format=".0%"
        )
        self._said = widgets.Label()
        wrapped = widgets.Layout(flex_flow="row wrap")
        controls = widgets.HBox([self._play, self._slider, self._opacity], layout=wrapped)
        super().__init__([self._canvas, controls, self._said])
        # The page moves the slider by itself, so that it keeps pace while the kernel is busy.
        self._link = widgets.jslink((self._play, "value"), (self._slider, "value"))
        self._parts = (
            *self._canvas._canvases,
            self._canvas,
            *controls.children,
            controls,
            self._link,
            self._said,
        )
        self._slider.observe(self._show, "value")
        self._opacity.observe(self._show, "value")
        self._draw(0, self._base)
        self._show()

    # ---- Python twins of the controls
    @property
    def step(self) -> int:
        """The step that is shown, from 0; set it to show another."""
        return int(self._slider.value)

    @step.setter
    def step(self, step: int) -> None:
        self._slider.value = self._checked(step)

    @property
    def opacity(self) -> float:
        """Opacity of the heat layer where it is fullest; set it to change it."""
        return float(self._opacity.value)

    @opacity.setter
    def opacity(self, opacity: float) -> None:
        check_opacity(opacity)
        self._opacity.value = opacity

    def frame(self, step: int | None = None) -> Image.Image:
        """Return the frame at a step (None: the current one), all layers together, as an RGB picture."""
        step = self.step if step is None else self._checked(step)
        frame = self._base
        for layer in (self._heat(step), self._labels(step)):
            frame = Image.alpha_composite(frame, layer)
        return frame.convert("RGB")

    def caption(self, step: int | None = None) -> str:
        """Return the caption of a step (None: the current one)."""
        step = self.step if step is None else self._checked(step)
        said = (
            f"token {step + 1} of {self.steps}: {_visible(self.attention.tokens[step])}"
            if self._over == "tokens"
            else f"layer {self.attention.layers[step]} of {self.attention.layers[0]} "
            f"to {self.attention.layers[-1]}"
        )
        return f"{said} · {self._rest()} · image {self._shares[step]:.2f} of its attention"

    def close(self) -> None:
        """Close it with all its parts: nothing of it is kept alive."""
        looks = [getattr(part, name, None) for part in (*self._parts, self) for name in ("layout", "style")]
        for part in self._parts:
            part.close()
        super().close()
        for look in looks:
            if isinstance(look, widgets.Widget):
                look.close()

    def __repr__(self) -> str:
        return f"AttentionPlayer({self.caption()})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the widget and the current frame, for places without widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        still = base64.b64encode(_png(self.frame())).decode()
        return {**data, "image/png": still, "text/plain": repr(self)}, metadata

    # ---- layers, each of the size of the canvas
    def _at(self, step: int) -> tuple[Choice, Choice, Choice]:
        token, layer, head = self._choice
        if self._over == "tokens":
            return step, layer, head
        return token, self.attention.layers[step], head

    def _ground(self, picture: Image.Image) -> Image.Image:
        """Return the pixels that the model saw, with unseen parts faded, above an empty strip."""
        way = Image.Resampling.NEAREST if self._size[0] >= picture.width else Image.Resampling.LANCZOS
        pixels = np.asarray(picture.convert("RGB").resize(self._size, way), np.float64)
        seen = self.attention.seen(self._size)[..., None]
        shown = np.where(seen, pixels, 0.2 * pixels + 0.8 * _UNSEEN)
        ground = Image.new("RGBA", (self._size[0], self._size[1] + _STRIP), _PAPER)
        ground.paste(Image.fromarray(np.rint(shown).astype(np.uint8)), (0, 0))
        return ground

    def _heat(self, step: int) -> Image.Image:
        full = self._full if self._scale == "absolute" and self._full > 0 else None
        steps = self.attention.steps(*self._at(step), size=self._size, full=full)
        layer = Image.new("RGBA", self._base.size)
        layer.paste(rgba_image(steps, self.opacity), (0, 0))
        return layer

    def _labels(self, step: int) -> Image.Image:
        """Return in the strip: the answer with its token marked or the layer, the image share
        of every step.
        """
        layer = Image.new("RGBA", self._base.size)
        pen = ImageDraw.Draw(layer)
        width, top = self._size
        color = SEGMENT_COLORS["image"]
        if self._over == "tokens":
            _write_tokens(
                pen, [_visible(text) for text in self.attention.tokens], step, top + 4, width, color
            )
        else:
            said = f"layer {self.attention.layers[step]}"
            pen.text((_MARGIN, top + 4), said, font=_font(15), fill=color)
        said = f"{self._rest()} · image {self._shares[step]:.2f}"
        pen.text((_MARGIN, top + 26), said, font=_font(12), fill=_INK)
        self._legend(layer, pen, step, top + 44)
        each = (width - 2 * _MARGIN) / self.steps
        floor = top + _STRIP - 2
        for index, share in enumerate(self._shares):
            left = _MARGIN + index * each
            right = max(left + 1, left + each - (1 if each > 3 else 0))
            height = max(1.0, share * (_BARS - 2))
            fill = color if index == step else _PALE
            pen.rectangle((int(left), round(floor - height), int(right) - 1, floor), fill=fill)
        return layer

    def _legend(self, layer: Image.Image, pen: ImageDraw.ImageDraw, step: int, top: int) -> None:
        """Draw what the colours stand for, with numbers: 1 is attention spread evenly over the picture."""
        font, left = _font(12), float(_MARGIN)
        for part in ("density of attention  0 ", None, f" {self._end(step):.1f}"):
            if part is None:
                ramp = np.broadcast_to(np.linspace(0, 255, _RAMP).astype(np.uint8), (9, _RAMP))
                layer.alpha_composite(rgba_image(ramp, self.opacity), (round(left), top + 3))
                left += _RAMP
            else:
                pen.text((left, top), part, font=font, fill=_INK)
                left += font.getlength(part)

    def _end(self, step: int) -> float:
        """Return the density of the fullest colour of a step."""
        return self._full if self._scale == "absolute" else self.attention.peak(*self._at(step))

    def _rest(self) -> str:
        """Describe the selection on the other axes."""
        token, layer, head = self._choice
        other = ("layer", layer) if self._over == "tokens" else ("token", token)
        parts = [
            f"mean over {name}s" if choice is None else f"{name} {choice}"
            for name, choice in (other, ("head", head))
        ]
        return ", ".join(parts)

    # ---- showing
    def _show(self, change: Any = None) -> None:
        """Draw the present step; called by the sliders."""
        with self._drawing:
            step = self.step
            self._draw(1, self._heat(step))
            self._draw(2, self._labels(step))
            self._said.value = self.caption(step)

    def _draw(self, index: int, layer: Image.Image) -> None:
        canvas = self._canvas[index]
        pixels = np.asarray(layer)
        with _held(canvas):
            canvas.clear()
            canvas.put_image_data(pixels)
        # Commands reach open pages only; a page that opens later, and a saved notebook, begin with this.
        canvas.set_trait("image_data", _png(layer))

    def _checked(self, step: int) -> int:
        if not is_whole(step) or not 0 <= step < self.steps:
            raise InputError(f"step is {step!r}; expected a whole number from 0 to {self.steps - 1}.")
        return int(step)


# ---- what it is made of
def _ipycanvas() -> Any:
    try:
        import ipycanvas
    except ImportError as error:
        raise InputError(
            "AttentionPlayer needs ipycanvas, which is not installed. Install it with "
            '`pip install "isi-widget[player]"` and reload the page of the notebook; without it, '
            "isi.measure_attention_map(vlm, stimulus).image() gives the layer of one step."
        ) from error
    return ipycanvas


@contextmanager
def _held(canvas: Any) -> Iterator[None]:
    """Send what is drawn within as one message; ipycanvas' own would leave all drawing off after an error."""
    from ipycanvas import hold_canvas

    manager = canvas._canvas_manager
    caching = manager._caching
    try:
        with hold_canvas():
            yield
    except BaseException:
        manager._commands_cache, manager._buffers_cache = [], []
        manager._current_canvas = None
        raise
    finally:
        manager._caching = caching


def _check_choices(over: str, token: Choice, layer: Choice, scale: str) -> None:
    if over not in ("tokens", "layers"):
        raise InputError(f"over is {over!r}; expected 'tokens' or 'layers'.")
    if (token if over == "tokens" else layer) is not None:
        other = "layers" if over == "tokens" else "tokens"
        raise InputError(
            f"It plays over all {over}, so {over[:-1]}=... has no meaning: leave it out, or play "
            f"over={other!r}."
        )
    if scale not in ("relative", "absolute"):
        raise InputError(f"scale is {scale!r}; expected 'relative' or 'absolute'.")


def _shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the picture on the page: reduced if it is large, by a whole factor larger if it is
    tiny.
    """
    longest = max(size)
    if longest > LONGEST:
        width, height = (max(1, round(side * LONGEST / longest)) for side in size)
        return width, height
    factor = -(-SHORTEST // longest)
    return size[0] * factor, size[1] * factor


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)


def _visible(text: str) -> str:
    return text.replace("\n", "⏎").strip() or _STOPPED


def _write_tokens(
    pen: ImageDraw.ImageDraw, texts: list[str], step: int, top: int, width: int, color: str
) -> None:
    """Write the answer in one line, or the part around the marked token that fits."""
    font = _font(15)
    space = font.getlength(" ")
    lengths = [font.getlength(text) for text in texts]
    first, last, room = step, step, width - 2 * _MARGIN - lengths[step]
    while True:  # grow to both sides in turn
        before = first > 0 and lengths[first - 1] + space <= room
        after = last + 1 < len(texts) and lengths[last + 1] + space <= room
        if not (before or after):
            break
        if before and (not after or step - first <= last - step):
            first -= 1
            room -= lengths[first] + space
        else:
            last += 1
            room -= lengths[last] + space
    x = float(_MARGIN)
    for index in range(first, last + 1):
        if index == step:
            pen.rectangle((x - 2, top - 1, x + lengths[index] + 1, top + 18), fill=color)
        pen.text((x, top), texts[index], font=font, fill=_PAPER if index == step else _INK)
        x += lengths[index] + space


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
