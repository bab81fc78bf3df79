"""Attention over the picture: how much of its attention an answer token puts on each image token, and where.

For answer token t, layer l and head h the weights of the position that predicts t sum to 1 over all earlier
tokens. `AttentionShares` sums them over segments; here those on single image tokens are kept (and, at no
cost, those on single context and question tokens), and spread over the boxes that the tokens stand for.

What it is not: attention is where a model reads from, not what its answer depends on. A box says which pixels
a token was made from; inside the vision tower every patch has read the others, and large models keep global
facts in patches of plain background (Darcet et al., ICLR 2024), which then draw much attention. To learn
which part of a picture an answer depends on, cover it and compare. Not for measuring (see `measuring.py`).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from isi_widget.attribution.heat import check_opacity, levels, rgba_image
from isi_widget.attribution.token_boxes import TokenBoxes
from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: One of several, some of them (their mean), or None: the mean of all.
Choice = int | Sequence[int] | None
#: "relative": full colour is the map's own peak. "absolute": the highest peak of any single answer token.
Scale = Literal["relative", "absolute"]
_SCHEMA = 1


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMap:
    """Attention of one answer over the picture, made by `measure_attention_map`. Immutable, equal by content.

    Attributes
    ----------
    mass : [answer tokens, layers, heads, image tokens] float32, read-only: the share of the attention of an
        answer token that one head puts on one image token. Not 1 in sum: text gets the rest.
    boxes : [image tokens, 4] float64: left, top, right, bottom in original pixels; NaN: no place in the
        picture (newline and class tokens, padding).
    image_size : (width, height) of the picture in original pixels.
    tokens : text of each answer token.
    layers : the number of each layer that is kept, from 0.
    heads : the number of each head that is kept, from 0; empty: the third axis is one long, the mean over all
        heads.
    text_mass : [answer tokens, layers, heads, text tokens] float32: the same for the tokens of context and
        question.
    text_tokens, text_segments : text of each of these, and "context" or "question".
    """

    mass: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float64]
    image_size: tuple[int, int]
    tokens: tuple[str, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    text_mass: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.float32))
    text_tokens: tuple[str, ...] = ()
    text_segments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        mass, boxes = np.array(self.mass, dtype=np.float32), np.array(self.boxes, dtype=np.float64)
        text_mass = np.array(self.text_mass, dtype=np.float32)
        rows = (len(self.tokens), len(self.layers), len(self.heads) or 1)
        if mass.ndim != 4 or mass.shape[:3] != rows or 0 in mass.shape:
            raise InputError(
                "The mass of an attention map needs the shape [answer tokens, layers, heads, image tokens], "
                f"none empty, here [{rows[0]}, {rows[1]}, {rows[2]}, any]; got {list(mass.shape)}."
            )
        if boxes.shape != (mass.shape[3], 4):
            raise InputError(
                f"{mass.shape[3]} image tokens need boxes [{mass.shape[3]}, 4]; got {boxes.shape}."
            )
        if text_mass.size == 0 and not self.text_tokens:
            text_mass = np.zeros((*rows, 0), np.float32)
        if text_mass.shape != (*rows, len(self.text_tokens)) or len(self.text_segments) != len(
            self.text_tokens
        ):
            raise InputError(
                f"{len(self.text_tokens)} text tokens need text_mass [{rows[0]}, {rows[1]}, {rows[2]}, "
                f"{len(self.text_tokens)}] and a segment each; got {list(text_mass.shape)} and "
                f"{len(self.text_segments)} segments."
            )
        if not _is_mass(mass, text_mass):
            raise InputError("Attention mass must be at least 0, and at most 1 in sum for each head.")
        for name, array in (("mass", mass), ("boxes", boxes), ("text_mass", text_mass)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name in ("tokens", "layers", "heads", "text_tokens", "text_segments", "image_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    # ---- as numbers
    def image_share(self, token: Choice = None, layer: Choice = None, head: Choice = None) -> float:
        """Return the share of the attention that all image tokens together get: `AttentionShares`' image
        mass.
        """
        return float(self._chosen(self.mass, token, layer, head).sum())

    def placed_share(self, token: Choice = None, layer: Choice = None, head: Choice = None) -> float:
        """Return the part of `image_share` that is on tokens with a place in the picture: the
        sum of `map`.
        """
        return float(self._chosen(self.mass, token, layer, head)[self._token_boxes.placed].sum())

    def text_shares(self, token: Choice = None, layer: Choice = None, head: Choice = None) -> list[float]:
        """Return the share of each of `text_tokens`."""
        shares: list[float] = self._chosen(self.text_mass, token, layer, head).tolist()
        return shares

    def map(
        self,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        size: tuple[int, int] | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return heat map [height, width] in original pixels: the mass of each image token, evenly over its
        box.

        It sums to `placed_share`, which is the image share unless tokens have no place. Where a model is
        given the picture twice (as a whole and in tiles), both masses add up.

        Parameters
        ----------
        token : answer token, counted from 0: one, several (their mean), or None (default; mean of all).
        layer : number in `layers`: one, several, or None, as for `token`.
        head : number in `heads`: one, several, or None, as for `token`.
        size : (width, height) of the map, if not that of the picture; the sum stays.

        Raises
        ------
        InputError
            If there is no such token, layer or head, or the size is none.
        """
        mass = self._chosen(self.mass, token, layer, head)
        return self._token_boxes.spread(mass, _checked_size(size))

    def peak(self, token: Choice = None, layer: Choice = None, head: Choice = None) -> float:
        """Return the largest density of attention in the picture, without unit.

        1 is what the whole attention would give, laid evenly over the whole picture.
        """
        return self._token_boxes.peak(self._chosen(self.mass, token, layer, head))

    def seen(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """Return [height, width]: whether a pixel is in the box of any image token; the rest was cropped
        away.
        """
        return self._token_boxes.seen(_checked_size(size))

    # ---- as a picture
    def steps(
        self,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        size: tuple[int, int] | None = None,
        scale: Scale = "relative",
        full: float | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return the heat map as 256 steps, [height, width]; see `image`."""
        if scale not in ("relative", "absolute"):
            raise InputError(f"scale is {scale!r}; expected 'relative' or 'absolute'.")
        if full is None and scale == "absolute":
            full = max(self.peak(index, layer, head) for index in range(len(self.tokens)))
        elif full is None:
            full = self.peak(token, layer, head)
        elif isinstance(full, bool) or not isinstance(full, int | float) or not 0 < full < math.inf:
            raise InputError(f"full is {full!r}; expected a density above 0, as AttentionMap.peak gives it.")
        density = self.map(token, layer, head, size)
        return levels(density * density.size, full)

    def image(
        self,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        size: tuple[int, int] | None = None,
        scale: Scale = "relative",
        *,
        full: float | None = None,
        opacity: float = 1.0,
    ) -> Image.Image:
        """Return the heat map as an RGBA layer to lay over the picture: colour and alpha grow with the
        density.

        Parameters
        ----------
        token, layer, head, size : as `map`.
        scale : density with full colour. "relative": this map's own peak; it shows position, not amount.
            "absolute": the highest peak of any single answer token (same layer and head), so that tokens can
            be compared.
        full : the density that gets the full colour, in the unit of `peak`, in place of `scale`.
        opacity : alpha of the full colour, 0 to 1.

        Raises
        ------
        InputError
            As `map`, and for a scale, full or opacity without meaning.
        """
        check_opacity(opacity)
        return rgba_image(self.steps(token, layer, head, size, scale, full), opacity)

    def overlay(
        self,
        picture: Any,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        scale: Scale = "relative",
        *,
        full: float | None = None,
        opacity: float = 0.8,
    ) -> Image.Image:
        """Return the picture with the heat map over it, RGB, in the picture's size.

        Parameters
        ----------
        picture : stimulus that was measured, or its picture (PIL).
        token, layer, head, scale, full : as `image`.
        opacity : alpha of the full colour, 0 to 1; default 0.8.

        Raises
        ------
        InputError
            As `image`, and for a picture of a different size.
        """
        from isi_widget.attribution.map_figures import overlay

        return overlay(picture, self.image(token, layer, head, None, scale, full=full, opacity=opacity))

    def plot(
        self,
        picture: Any,
        token: Choice = None,
        layer: Choice = None,
        head: Choice = None,
        scale: Scale = "relative",
    ) -> Figure:
        """Return a figure: the picture with the heat map over it, and the scale of its colours.

        picture, token, layer, head, scale : as for `overlay`. To a file:
            `isi.save_figure(attention, "map.pdf", picture=s)`.
        """
        from isi_widget.attribution.map_figures import plot_map

        return plot_map(self, picture, token, layer, head, scale)

    # ---- as data
    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; `from_dict` restores it bit by bit. Masses are base64 of little-endian
        float32.
        """
        return {
            "schema": _SCHEMA,
            "mass": _packed(self.mass),
            "text_mass": _packed(self.text_mass),
            "boxes": [None if math.isnan(box[0]) else box for box in self.boxes.tolist()],
            **{name: list(getattr(self, name)) for name in _PLAIN},
        }

    @classmethod
    @records.reader("an attention map", names=False)
    def from_dict(cls, record: Mapping[str, Any]) -> AttentionMap:
        """Rebuild from the record of `to_dict`.

        Raises
        ------
        InputError
            If it is no such record.
        """
        if not isinstance(record, Mapping) or record.get("schema") != _SCHEMA:
            raise InputError("This is no attention map. Use a dict made by AttentionMap.to_dict().")
        if missing := {item.name for item in fields(cls)} - record.keys():
            raise InputError(f"The record of an attention map lacks {', '.join(sorted(missing))}.")
        boxes = np.array(
            [[math.nan] * 4 if box is None else box for box in record["boxes"]], dtype=np.float64
        )
        return cls(
            mass=_unpacked(record["mass"]),
            text_mass=_unpacked(record["text_mass"]),
            boxes=boxes,
            **{name: tuple(record[name]) for name in _PLAIN},
        )

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, AttentionMap) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        tokens, layers, heads, places = self.mass.shape
        averaged = "" if self.heads else " (mean)"
        return (
            f"AttentionMap({counted(tokens, 'answer token')}, {counted(layers, 'layer')}, "
            f"{counted(heads, 'head')}{averaged}, {counted(places, 'image token')}, "
            f"image share {self.image_share():.3f})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        for name in ("mass", "boxes", "text_mass"):  # NumPy forgets it in a pickle
            getattr(self, name).flags.writeable = False

    # ---- parts
    @cached_property
    def _content(self) -> tuple[Any, ...]:
        arrays = (self.mass, self.text_mass, self.boxes)
        plain = tuple(getattr(self, name) for name in _PLAIN)
        return (*plain, *((array.shape, array.tobytes()) for array in arrays))

    @cached_property
    def _token_boxes(self) -> TokenBoxes:
        return TokenBoxes(self.boxes, *self.image_size)

    def _chosen(
        self, mass: npt.NDArray[np.float32], token: Choice, layer: Choice, head: Choice
    ) -> npt.NDArray[np.float64]:
        """Return [tokens]: the mean over the selection on each axis."""
        if head is not None and not self.heads:
            raise InputError(
                "This attention map holds the mean over all heads, so no head can be chosen. Measure it with "
                "heads=[...] (and fewer layers, if it would be too large)."
            )
        for axis, (name, choice, offered) in enumerate(
            (
                ("token", token, range(len(self.tokens))),
                ("layer", layer, self.layers),
                ("head", head, self.heads),
            )
        ):
            if choice is not None:
                mass = mass.take(_positions(name, choice, offered), axis=axis)
        mean: npt.NDArray[np.float64] = mass.mean(axis=(0, 1, 2), dtype=np.float64)
        return mean


_PLAIN = ("image_size", "tokens", "layers", "heads", "text_tokens", "text_segments")


def _is_mass(mass: npt.NDArray[np.float32], text_mass: npt.NDArray[np.float32]) -> bool:
    total = mass.sum(axis=-1, dtype=np.float64) + text_mass.sum(axis=-1, dtype=np.float64)
    return bool((mass >= 0).all() and (text_mass >= 0).all() and (total <= 1 + 1e-3).all())


def _positions(name: str, choice: Choice, offered: Sequence[int]) -> list[int]:
    """Return the positions of the selection on its axis."""
    wanted = list(choice) if isinstance(choice, Sequence) else [choice]
    if not wanted or not all(is_whole(one) for one in wanted):
        raise InputError(f"{name} is {choice!r}; expected a whole number, several of them, or None for all.")
    positions = []
    for one in wanted:
        if one not in offered:
            raise InputError(f"There is no {name} {one!r} in this attention map; it has {listed(offered)}.")
        positions.append(offered.index(one))
    return positions


def listed(numbers: Sequence[int]) -> str:
    """Return numbers as words."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(str(number) for number in numbers)


def _checked_size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    if size is not None and not (len(size) == 2 and all(is_whole(side) and side >= 1 for side in size)):
        raise InputError(f"size is {size!r}; expected (width, height), whole numbers of pixels.")
    return size


def _packed(array: npt.NDArray[np.float32]) -> dict[str, Any]:
    data = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode()}


def _unpacked(record: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    data = np.frombuffer(base64.b64decode(record["float32"]), dtype="<f4")
    return data.reshape(record["shape"]).astype(np.float32)
