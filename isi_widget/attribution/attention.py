"""Attention shares: how much of its attention a model spends on image, context and question while it answers.

For answer token t, layer l and head h the attention weights of the position that predicts t sum to 1 over all
earlier tokens; here they are summed over each segment's tokens. Exact, for the very answer that is shown.

What it is not: attention is where a model reads from, not what its answer depends on. A segment can be read
and ignored, and long segments draw attention by their length alone (hence the token counts beside it); many
heads park attention on the first token ("other"). To learn what an answer depends on, change the input and
compare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted, html_table
from isi_widget.segments import GROUPS as SEGMENTS
from isi_widget.segments import INPUTS

if TYPE_CHECKING:
    from isi_widget.answer import Answer
    from isi_widget.vlm import Prefill
    from isi_widget.vlm.protocol import StimulusLike, VLMLike


@dataclass(frozen=True, eq=False, repr=False)
class AttentionShares:
    """Attention mass of one answer, per answer token, layer, head and segment.

    Attributes
    ----------
    mass : [answer tokens, layers, heads, segments] float32, read-only; sums to 1 over segments.
    segments : names of the last axis: image, context, question, other; between the last two, where the model
        was given them, its system prompt ("system") and earlier turns ("history").
    token_counts : number of prompt tokens of each segment ("other": template and BOS).
    tokens : text of each answer token.
    """

    mass: npt.NDArray[np.float32]
    token_counts: Mapping[str, int]
    tokens: tuple[str, ...]
    segments: tuple[str, ...] = SEGMENTS

    def __post_init__(self) -> None:
        mass = np.array(self.mass, dtype=np.float32)
        if mass.ndim != 4 or 0 in mass.shape or mass.shape[3] != len(self.segments):
            raise InputError(
                "Attention mass needs the shape [answer tokens, layers, heads, segments], none empty, with "
                f"{len(self.segments)} segments; got {list(mass.shape)}."
            )
        if len(self.tokens) != len(mass):
            raise InputError(
                f"The answer has {counted(len(self.tokens), 'token')}, and its attention mass is of "
                f"{counted(len(mass), 'token')}; they must be the same."
            )
        total = mass.sum(axis=-1)
        # A query that interventions leave no key reads nothing.
        if not (np.isclose(total, 1, atol=1e-3) | (total == 0)).all():
            raise InputError("Attention mass must sum to 1 over the segments.")
        mass.flags.writeable = False
        object.__setattr__(self, "mass", mass)
        object.__setattr__(self, "token_counts", dict(self.token_counts))

    def __eq__(self, other: object) -> bool:
        """Return whether all fields are equal, bit by bit."""
        if not isinstance(other, AttentionShares):
            return NotImplemented
        mine, theirs = (
            (shares.segments, shares.tokens, shares.token_counts, shares.mass.shape, shares.mass.tobytes())
            for shares in (self, other)
        )
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.segments, self.tokens, self.mass.tobytes()))

    def __repr__(self) -> str:
        tokens, layers, heads, _ = self.mass.shape
        shares = ", ".join(f"{name} {share:.3f}" for name, share in self.absolute().items())
        size = f"{counted(tokens, 'answer token')} x {counted(layers, 'layer')} x {counted(heads, 'head')}"
        return f"AttentionShares({size}; {shares})"

    def _repr_html_(self) -> str:
        tokens, layers, heads, _ = self.mass.shape
        absolute, relative = self.absolute(), self.relative()
        rows = [
            (
                name,
                f"{absolute[name]:.3f}",
                f"{relative[name]:.3f}" if name in relative and not math.isnan(relative[name]) else "",
                str(self.token_counts.get(name, "")),
            )
            for name in self.segments
        ]
        return html_table(
            f"Attention shares of {counted(tokens, 'answer token')}",
            ("segment", "share", "of the inputs", "tokens"),
            rows,
            [
                f"Mean over answer tokens, {counted(layers, 'layer')} and {counted(heads, 'head')}; by "
                "layer: per_layer(), by token: per_token(), all of it: mass [answer tokens, layers, "
                "heads, segments].",
                "Attention says where the model read, not what its answer depends on.",
            ],
        )

    def _named(self, shares: npt.NDArray[Any]) -> dict[str, float]:
        return dict(zip(self.segments, shares.tolist(), strict=True))

    def absolute(self) -> dict[str, float]:
        """Return the mean share of each segment over answer tokens, layers and heads; with "other" they sum
        to 1.
        """
        return self._named(self.mass.mean(axis=(0, 1, 2), dtype=np.float64))

    def relative(self) -> dict[str, float]:
        """Return the share of each of the three inputs in their total; the shares sum to 1.

        NaN for each where the inputs receive nothing at all.
        """
        return _relative(self.absolute())

    def per_token(self) -> list[dict[str, float]]:
        """Return `absolute` of each answer token."""
        return [self._named(row) for row in self.mass.mean(axis=(1, 2), dtype=np.float64)]

    def per_layer(self) -> list[dict[str, float]]:
        """Return `absolute` of each layer, first to last."""
        return [self._named(row) for row in self.mass.mean(axis=(0, 2), dtype=np.float64)]

    def per_head(self) -> npt.NDArray[np.float64]:
        """Return the mean over answer tokens: [layers, heads, segments]."""
        mean: npt.NDArray[np.float64] = self.mass.mean(axis=0, dtype=np.float64)
        return mean

    @property
    def modality_dominance_index(self) -> float | None:
        """Attention per text token over attention per image token; above 1, text dominates.

        (A_text / tokens_text) / (A_image / tokens_image), with text = context and question and A the absolute
        shares. Every token of a segment counts alike, so the long image segment does not dominate by
        length. None
        where an image or a text token, or attention on the image, is missing.
        """
        share = self.absolute()
        text_tokens = self.token_counts["context"] + self.token_counts["question"]
        image_tokens = self.token_counts["image"]
        if not (text_tokens and image_tokens and share["image"] > 0):
            return None
        return ((share["context"] + share["question"]) / text_tokens) / (share["image"] / image_tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; `from_dict` restores it bit by bit."""
        return {
            "mass": self.mass.tolist(),
            "token_counts": dict(self.token_counts),
            "tokens": list(self.tokens),
            "segments": list(self.segments),
        }

    @classmethod
    @records.reader("attention shares", shown=("modality_dominance_index",))
    def from_dict(cls, record: Mapping[str, Any]) -> AttentionShares:
        """Rebuild from the record of `to_dict`."""
        mass = np.asarray(record["mass"], dtype=np.float32)
        segments, counts = record["segments"], record["token_counts"]
        if not set(INPUTS) <= set(segments) or len(set(segments)) < len(segments):
            raise InputError(f"Attention shares need the segments {', '.join(INPUTS)}, each once.")
        if set(segments) - set(counts) or not all(0 <= count < 2**53 for count in counts.values()):
            raise InputError("Attention shares need the number of tokens of each segment.")
        return cls(mass, record["token_counts"], tuple(record["tokens"]), tuple(record["segments"]))


def _relative(absolute: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(absolute[name] for name in INPUTS)
    return {name: absolute[name] / total if total > 0 else math.nan for name in INPUTS}


def measure_attention(
    vlm: VLMLike, stimulus: StimulusLike | Prefill, answer: Answer | None = None
) -> AttentionShares:
    """Measure the attention shares of a model's answer to a stimulus.

    Parameters
    ----------
    vlm : the model.
    stimulus : the stimulus, or a `Prefill` of it (then the prompt is not read again).
    answer : the answer to measure: it is teacher-forced, in one forward pass. With the result of
        `vlm.answer(stimulus, attention=True)` nothing is computed again. None: the greedy answer.

    Raises
    ------
    InputError
        If the answer has no tokens, was given to another prompt, or the model's attention cannot be recorded.
    """
    from isi_widget.vlm.decoding.answers import AttendedAnswer

    with vlm.lock:
        prefill = vlm.prefill(stimulus)
        if answer is None:
            answer = vlm.answer(prefill, attention=True)
        check_answer(answer, prefill)
        mass = None
        if isinstance(answer, AttendedAnswer) and answer.belongs_to(prefill):
            mass = answer.mass
        if mass is None:
            mass = vlm.teacher_force(prefill, answer.token_ids)[1]
        counts, segments = prefill.prompt.token_counts(), prefill.prompt.groups
    counts["other"] = counts.pop("template")
    return AttentionShares(mass, {name: counts[name] for name in segments}, tuple(answer.tokens), segments)


def check_answer(answer: Answer, prefill: Prefill) -> None:
    """Refuse an answer whose attention cannot be measured after this prompt: another prompt's, an empty one.

    Raises
    ------
    InputError
        If it was given to another prompt, or has no tokens.
    """
    if answer.prompt_ids and tuple(answer.prompt_ids) != prefill.prompt.ids:
        raise InputError(
            "This answer was given to another prompt. Pass the stimulus that was answered, or "
            "answer=None to measure the greedy answer."
        )
    if not answer.token_ids:
        raise InputError(
            "The answer has no tokens (the model ended it at once), so there is no attention to measure."
        )


def by_head(attention: AttentionShares, segment: str = "image") -> list[list[float]]:
    """Return share of one segment by layer and head, mean over answer tokens: [layers][heads], plain JSON
    numbers.

    Raises
    ------
    InputError
        If there is no such segment.
    """
    if segment not in attention.segments:
        raise InputError(f"segment is {segment!r}; expected one of {', '.join(attention.segments)}.")
    shares: list[list[float]] = attention.per_head()[..., attention.segments.index(segment)].tolist()
    return shares
