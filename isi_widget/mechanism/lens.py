"""`LogitLens`: the words that a layer would answer with, at the last token and at each image token.

The states of a layer go through the model's own final norm and un-embedding (nostalgebraist, Interpreting
GPT: the logit lens, 2020; for image tokens of a VLM: Neo et al., Towards Interpreting Visual Information
Processing in Vision-Language Models, ICLR 2025; for attention, middle and MLP as well: V-SEAM, EMNLP 2025).
The last layer gives the logits of the model itself, soft cap included. `reading_lens` measures it.

A lens reads states with a decoder that was trained for the last layer. Where it finds no word, information
may be there all the same, in another form; what it finds need not be used. Not for what is used: `isi.trace`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.attribution.token_boxes import TokenBoxes
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.mechanism.packing import frozen, packed, unpacked
from isi_widget.mechanism.recorded import Saved
from isi_widget.readable import html_table
from isi_widget.stimulus import Stimulus

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from PIL import Image

#: What is read: the residual stream after a layer; after its attention ("middle"); what its attention and
#: what its MLP add to it.
STREAMS = ("residual", "middle", "attention", "mlp")


@dataclass(frozen=True)
class TokenLens:
    """The words of one token, layer by layer.

    Attributes
    ----------
    position : its position in the prompt.
    text : the token itself; "" for an image token.
    box : left, top, right, bottom in pixels of the picture; None for a token of text.
    words : for each layer the most probable words, each with its probability.
    entropy : for each layer the entropy over all words, nats.
    """

    position: int
    text: str
    box: tuple[float, float, float, float] | None
    words: tuple[tuple[tuple[str, float], ...], ...]
    entropy: tuple[float, ...]

    def __str__(self) -> str:
        place = "" if self.box is None else " at ({:.0f}, {:.0f}) to ({:.0f}, {:.0f})".format(*self.box)
        lines = [f"token {self.position}{place}{f' {self.text!r}' if self.text else ''}"]
        for layer, (words, entropy) in enumerate(zip(self.words, self.entropy, strict=True)):
            listed = ", ".join(f"{word!r} {probability:.2f}" for word, probability in words)
            lines.append(f"  after layer {layer}: {listed} (entropy {entropy:.2f} nats)")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class LogitLens(Saved):
    """The words of each layer at some tokens of one prompt.

    Attributes
    ----------
    stimulus : input of the model.
    model : its name.
    streams : streams that were read, of `STREAMS`.
    positions : the tokens: T positions in the prompt; the last one predicts the first answer token.
    tokens : the text of each; "" for an image token.
    boxes : their boxes [T, 4] in pixels of the picture; NaN without a place.
    ids : the most probable tokens, int32 [streams, layers, T, k], best first.
    probabilities : their probabilities, float32, same shape.
    entropy : over all tokens of the vocabulary, nats, float32 [streams, layers, T].
    words : words whose probability was kept everywhere.
    chosen : their probabilities, float32 [streams, layers, T, words].
    vocabulary : text of each id in `ids`.
    unplaced : why boxes are not known; "" if they are.
    """

    stimulus: Stimulus
    model: str
    streams: tuple[str, ...]
    positions: tuple[int, ...]
    tokens: tuple[str, ...]
    boxes: npt.NDArray[np.float64]
    ids: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    entropy: npt.NDArray[np.float32]
    words: tuple[str, ...]
    chosen: npt.NDArray[np.float32]
    vocabulary: Mapping[int, str]
    unplaced: str = ""

    def __post_init__(self) -> None:
        for name, kind in _ARRAYS.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind))
        shape = (len(self.streams), self.layers, len(self.positions))
        right = (
            self.ids.ndim == 4
            and self.ids.shape[:3] == self.entropy.shape == shape
            and self.probabilities.shape == self.ids.shape
            and self.chosen.shape == (*shape, len(self.words))
            and self.boxes.shape == (len(self.positions), 4)
            and len(self.tokens) == len(self.positions)
            and set(self.ids.reshape(-1).tolist()) <= set(self.vocabulary)
        )
        if not right:
            raise InputError("The parts of this logit lens do not belong together: their shapes differ.")

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self.ids.shape[1]) if self.ids.ndim > 1 else 0

    # Words ----------------------------------------------------------------------------------------------

    def token(self, position: int, stream: str | None = None) -> TokenLens:
        """Return the words of a token.

        Parameters
        ----------
        position
            Position in the prompt; negative ones count from its end, so -1 is the last.
        stream
            One of `streams`; default "residual", or the first one if that was not measured.

        Raises
        ------
        InputError
            If this token or stream was not measured.
        """
        place, row = self._place(position), self._stream(stream)
        words = tuple(
            tuple(
                (self.vocabulary[int(word)], float(probability))
                for word, probability in zip(ids, probabilities, strict=True)
            )
            for ids, probabilities in zip(
                self.ids[row, :, place], self.probabilities[row, :, place], strict=True
            )
        )
        box = self.boxes[place]
        found = None if np.isnan(box).any() else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        return TokenLens(
            self.positions[place],
            self.tokens[place],
            found,
            words,
            tuple(map(float, self.entropy[row, :, place])),
        )

    @property
    def answer(self) -> TokenLens:
        """The words at the last token of the prompt, where the model begins its answer."""
        return self.token(-1)

    def at(self, x: float, y: float, stream: str | None = None) -> TokenLens:
        """Return the words of the image token at a point of the picture.

        Where several tokens show the point (a model that also reads tiles), the smallest box is taken.

        Parameters
        ----------
        x, y
            Pixels of the picture that the model was shown.
        stream
            As for `token`.

        Raises
        ------
        InputError
            If no image token lies there, or it is not known where they lie.
        """
        x, y = checks.number(x, "logit lens: x"), checks.number(y, "logit lens: y")
        if self.unplaced:
            raise InputError(f"Which image token lies at ({x:g}, {y:g}) is not known: {self.unplaced}")
        left, top, right, bottom = self.boxes.T
        inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
        if not inside.any():
            raise InputError(
                f"No measured image token lies at ({x:g}, {y:g}). The picture has "
                f"{' x '.join(map(str, self.stimulus.current_image.size))} pixels; parts of it may be "
                'cropped away by the image processor, and tokens=(...) must contain "image".'
            )
        areas = np.where(inside, (right - left) * (bottom - top), math.inf)
        return self.token(self.positions[int(areas.argmin())], stream)

    def probability(self, word: str, stream: str | None = None) -> npt.NDArray[np.float32]:
        """Return the probability of a word, [layers, T].

        Parameters
        ----------
        word
            One of `words`; spaces around it may be left out.
        stream
            As for `token`.

        Raises
        ------
        InputError
            If the word was not kept: measure with words=[...].
        """
        alike = [kept for kept in self.words if kept.strip() == str(word).strip()]
        if word not in self.words and len(alike) == 1:
            (word,) = alike
        if word not in self.words:
            raise InputError(
                f"The probability of {word!r} was not kept; kept are {', '.join(map(repr, self.words))}. "
                f"Measure it with logit_lens(vlm, stimulus, words=[{word!r}])."
            )
        found: npt.NDArray[np.float32] = self.chosen[self._stream(stream), :, :, self.words.index(word)]
        return found

    def heat(self, word: str, layer: int, stream: str | None = None) -> npt.NDArray[np.float64]:
        """Return the probability of a word over the picture, [height, width]; NaN where no image token lies.

        Where several tokens show a pixel, their mean.
        """
        if self.unplaced:
            raise InputError(f"Where the image tokens lie is not known: {self.unplaced}")
        layer = self._layer(layer)
        width, height = self.stimulus.current_image.size
        boxes = TokenBoxes(self.boxes, width, height)
        areas = (self.boxes[:, 2] - self.boxes[:, 0]) * (self.boxes[:, 3] - self.boxes[:, 1])
        values = self.probability(word, stream)[layer].astype(np.float64)
        total, count = boxes.spread(values * areas), boxes.spread(areas)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: npt.NDArray[np.float64] = np.where(count > 0, total / count, np.nan)
        return found

    def _place(self, position: int) -> int:
        if not isinstance(position, int | np.integer) or isinstance(position, bool):
            raise InputError(f"position is {position!r}; expected the number of a token, or -1 for the last.")
        wanted = self.positions[-1] + 1 + position if position < 0 else position
        if wanted not in self.positions:
            raise InputError(
                f"Token {position} was not measured. Measured are {len(self.positions)} tokens from "
                f"{self.positions[0]} to {self.positions[-1]}; measure others with tokens=(...)."
            )
        return self.positions.index(wanted)

    @property
    def _usual(self) -> str:
        """The stream that is shown by default."""
        return "residual" if "residual" in self.streams else self.streams[0]

    def _stream(self, stream: str | None) -> int:
        return self.streams.index(checks.one_of(stream or self._usual, "logit lens: stream", self.streams))

    def _layer(self, layer: int) -> int:
        if not isinstance(layer, int | np.integer) or not -self.layers <= layer < self.layers:
            raise InputError(f"layer is {layer!r}; expected 0 to {self.layers - 1}, or -1 for the last.")
        return int(layer) % self.layers

    # Views ----------------------------------------------------------------------------------------------

    def to_frame(self, stream: str | None = None) -> pd.DataFrame:
        """Return a table: one row per layer, token and word, with its rank, probability and the entropy."""
        import pandas as pd

        row = self._stream(stream)
        _, layers, tokens, ranks = self.ids.shape
        layer, token, rank = (axis.reshape(-1) for axis in np.indices((layers, tokens, ranks)))
        boxes = self.boxes[token]
        return pd.DataFrame(
            {
                "stream": self.streams[row],
                "layer": layer,
                "position": np.array(self.positions)[token],
                "token": np.array(self.tokens, dtype=object)[token],
                "rank": rank,
                "word": [self.vocabulary[int(word)] for word in self.ids[row].reshape(-1)],
                "probability": self.probabilities[row].reshape(-1),
                "entropy": self.entropy[row][layer, token],
                **{name: boxes[:, at] for at, name in enumerate(("left", "top", "right", "bottom"))},
            }
        )

    def overlay(
        self,
        word: str | None = None,
        layer: int = -1,
        stream: str | None = None,
        *,
        full: float | None = None,
        opacity: float = 0.8,
    ) -> Image.Image:
        """Return the picture with the heat of a word over it; without a word, with the most probable word of
        each image token in its box, enlarged so that it can be read.

        Parameters
        ----------
        word
            One of `words`; None (default): the most probable word of each token.
        layer
            Layer; default the last.
        stream
            One of `streams`.
        full
            Probability with full colour, of a word; default its largest over the picture.
        opacity
            Alpha of the full colour of a word, 0 to 1; default 0.8.

        Raises
        ------
        InputError
            If it is not known where the image tokens lie, or a word, layer or stream was not measured.
        """
        from isi_widget.mechanism import lens_figures

        stream = stream or self._usual
        self._stream(stream)
        if word is None:
            return lens_figures.words_over(self, self._layer(layer), stream)
        return lens_figures.heat_over(self, word, self._layer(layer), stream, full, opacity)

    def plot(
        self,
        word: str | None = None,
        layer: int = -1,
        position: int = -1,
        stream: str | None = None,
        *,
        words: bool = False,
    ) -> Figure:
        """Return a figure: without a word, layers x words of one token (at most 10); with one, its heat over
        the picture.

        Parameters
        ----------
        word
            One of `words`.
        layer
            Layer of the heat; default the last.
        position
            Token of the table; default the last.
        stream
            One of `streams`.
        words
            Whether to draw the picture with the most probable word of each image token; default False.
        """
        from isi_widget.mechanism import lens_figures

        stream = stream or self._usual
        self._stream(stream)
        if words:
            return lens_figures.plot_words(self, self._layer(layer), stream)
        if word is not None:
            return lens_figures.plot_heat(self, word, self._layer(layer), stream)
        return lens_figures.plot_token(self, position, stream)

    def __str__(self) -> str:
        first = f"LogitLens of {self.model}: {len(self.positions)} tokens, {self.layers} layers"
        named = "" if self._usual == "residual" else f" ({self._usual})"
        lines = [f"{first}{named}", str(self.answer)]
        for word in self.words:
            shown = ", ".join(f"{value:.2f}" for value in self.probability(word)[:, -1])
            lines.append(f"  {word.strip()!r} after layers 0 to {self.layers - 1}: {shown}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        found = self.answer
        rows = [
            (str(layer), *(f"{word!r} {value:.2f}" for word, value in words), f"{entropy:.2f}")
            for layer, (words, entropy) in enumerate(zip(found.words, found.entropy, strict=True))
        ]
        ranks = [str(rank + 1) for rank in range(len(found.words[0]))]
        named = "" if self._usual == "residual" else f" ({self._usual})"
        return html_table(
            f"Logit lens of {self.model}{named}: words at the last token",
            ("after layer", *ranks, "entropy (nats)"),
            rows,
            (
                f"{len(self.positions)} tokens were read. lens.at(x, y) gives the words of an image token, "
                "lens.plot(word) its heat over the picture.",
            ),
        )

    # Record ---------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record, with the stimulus and its picture; `from_dict` restores it exactly."""
        return {
            "stimulus": self.stimulus.to_dict(),
            "vocabulary": {str(key): text for key, text in self.vocabulary.items()},
            **{name: packed(getattr(self, name)) for name in _ARRAYS},
            **{name: getattr(self, name) for name in ("model", "unplaced")},
            **{name: list(getattr(self, name)) for name in ("streams", "positions", "tokens", "words")},
        }

    @classmethod
    @records.reader("a logit lens", values=False)
    def from_dict(cls, record: Mapping[str, Any]) -> LogitLens:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        records.check_values(cls, "a logit lens", {**record, "vocabulary": {}})
        values: dict[str, Any] = {
            **{name: unpacked(record[name], f"logit lens: {name}") for name in _ARRAYS},
            **{name: record.get(name, "") for name in ("model", "unplaced")},
            **{name: tuple(record[name]) for name in ("streams", "positions", "tokens", "words")},
        }
        return cls(
            stimulus=Stimulus.from_dict(record["stimulus"]),
            vocabulary={int(key): str(text) for key, text in record["vocabulary"].items()},
            **values,
        )

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, LogitLens) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content[:2])

    @cached_property
    def _content(self) -> tuple[Any, ...]:
        plain = [getattr(self, item.name) for item in fields(self) if item.name not in _ARRAYS]
        return (self.model, self.positions, plain, *(getattr(self, name).tobytes() for name in _ARRAYS))


_ARRAYS: dict[str, Any] = {
    "boxes": np.float64,
    "ids": np.int32,
    "probabilities": np.float32,
    "entropy": np.float32,
    "chosen": np.float32,
}
