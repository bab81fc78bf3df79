"""Which tokens differ between the prompts of two stimuli, for one model: by segment, and by place for images.

The ids of image tokens are equal for all pictures, so an image token differs where the pixels in its box do.
Image processors resize the picture, so a token beside such a box may change by a little, too; only differing
pixels count here. Not for running the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.readable import counted
from isi_widget.segments import TEMPLATE, group_of, groups_of
from isi_widget.stimulus import Stimulus


class PromptLike(Protocol):
    """A prompt, as this module uses it (`isi_widget.vlm.prompts.Prompt` has it)."""

    @property
    def ids(self) -> Sequence[int]:
        """Token ids."""

    @property
    def labels(self) -> Sequence[str]:
        """Segment of each token; raises `InputError` where segments are unknown."""

    @property
    def image_token_id(self) -> int | None:
        """Id of an image token."""


@dataclass(frozen=True)
class TokenDifference:
    """Tokens that differ between the prompts of a pair.

    Attributes
    ----------
    model : name of the model.
    lengths : number of tokens of the clean and the corrupt prompt.
    clean : {segment: positions in the clean prompt of its tokens that differ}, for image, context, question,
        "other" (the template), and "system" and "history" where the model has them. An image token differs
        if a pixel in its box does.
    corrupt : the same in the corrupt prompt.
    counts : {segment: number of tokens in the clean and in the corrupt prompt}.
    unplaced : number of image tokens of the clean prompt that belong to no part of the picture, such as those
        of a query transformer; they are not compared.
    warnings : reasons why the prompts cannot be compared token by token, one sentence each.
    """

    model: str
    lengths: tuple[int, int]
    clean: Mapping[str, tuple[int, ...]]
    corrupt: Mapping[str, tuple[int, ...]]
    counts: Mapping[str, tuple[int, int]]
    unplaced: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def same_length(self) -> bool:
        """Whether each segment has the same number of tokens in both prompts."""
        return all(one == two for one, two in self.counts.values())

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments in which tokens differ."""
        return tuple(name for name in self.counts if self.clean[name] or self.corrupt[name])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return asdict(self)

    @classmethod
    @records.reader("a difference of tokens")
    def from_dict(cls, record: Mapping[str, Any]) -> TokenDifference:
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        return cls(
            record["model"],
            _two(record["lengths"]),
            {name: tuple(places) for name, places in record["clean"].items()},
            {name: tuple(places) for name, places in record["corrupt"].items()},
            {name: _two(numbers) for name, numbers in record["counts"].items()},
            record.get("unplaced", 0),
            tuple(record.get("warnings", ())),
        )

    def __repr__(self) -> str:
        one, two = self.lengths
        length = f"{counted(one, 'token')} each" if one == two else f"{one} and {counted(two, 'token')}"
        differ = [f"{_number(self.clean[name], self.corrupt[name])} {name}" for name in self.segments]
        notes = "".join(f"\n  {warning}" for warning in self.warnings)
        return f"TokenDifference({self.model}: {length}; differ: {', '.join(differ) or 'none'}){notes}"


def difference(
    clean: Stimulus,
    corrupt: Stimulus,
    pixels: npt.NDArray[np.bool_] | None,
    vlm: Any,
    warnings: Sequence[str] = (),
) -> TokenDifference:
    """Compare the prompts of two stimuli.

    Parameters
    ----------
    clean, corrupt : the stimuli.
    pixels : which pixels differ, bool [height, width]; None if the pictures have different sizes.
    vlm : model; it is not run.
    warnings : sentences to begin the warnings with; default none.

    Raises
    ------
    InputError
        If the model cannot show its tokens or refuses a stimulus.
    """
    if not (callable(getattr(vlm, "encode", None)) and callable(getattr(vlm, "token_boxes", None))):
        raise InputError(f"Pair.tokens needs a VLM, as load_vlm() returns it; got {type(vlm).__name__}.")
    one, two = vlm.encode(clean), vlm.encode(corrupt)
    groups = groups_of((*one.labels, *two.labels, TEMPLATE))
    places = {name: (_places(one, name), _places(two, name)) for name in groups}
    found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    notes, unplaced = list(warnings), 0
    for name, (first, second) in places.items():
        if name == "image":
            found[name], unplaced, said = _image(clean, first, second, pixels, vlm)
            notes += said
        else:
            found[name] = _text(one.ids, two.ids, first, second)
        if len(first) != len(second):
            notes.append(
                f"The {name} has {counted(len(first), 'token')} in the clean prompt and {len(second)} in "
                "the corrupt one, so positions after it do not correspond."
            )
    return TokenDifference(
        vlm.model_id,
        (len(one.ids), len(two.ids)),
        {name: positions[0] for name, positions in found.items()},
        {name: positions[1] for name, positions in found.items()},
        {name: (len(first), len(second)) for name, (first, second) in places.items()},
        unplaced,
        tuple(notes),
    )


def _places(prompt: PromptLike, group: str) -> tuple[int, ...]:
    return tuple(at for at, label in enumerate(prompt.labels) if group_of(label) == group)


def _text(
    one: Sequence[int], two: Sequence[int], first: Sequence[int], second: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions that differ: token by token if the number of tokens is equal, else by the longest common
    parts.
    """
    mine, theirs = [one[at] for at in first], [two[at] for at in second]
    if len(mine) == len(theirs):
        differ = [index for index, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
        return tuple(first[index] for index in differ), tuple(second[index] for index in differ)
    removed: list[int] = []
    added: list[int] = []
    for kind, a, b, c, d in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if kind != "equal":
            removed += first[a:b]
            added += second[c:d]
    return tuple(removed), tuple(added)


def _image(
    clean: Stimulus,
    first: Sequence[int],
    second: Sequence[int],
    pixels: npt.NDArray[np.bool_] | None,
    vlm: Any,
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], int, list[str]]:
    """Return the image tokens that differ, the number of tokens without a place, and warnings."""
    if pixels is None:
        return (tuple(first), tuple(second)), 0, []
    if not pixels.any():
        return ((), ()), 0, []
    if reason := vlm.unavailable.get("image_map"):
        return ((), ()), len(first), [f"Which image tokens differ is unknown: {reason}"]
    boxes = np.asarray(vlm.token_boxes(clean), dtype=np.float64)
    touched = touches(boxes, pixels)
    unplaced = int(np.isnan(boxes).any(axis=1).sum())
    said = []
    if not touched.any() and not unplaced:
        said.append("The pixels that differ lie in no image token's box: the model does not see them.")
    chosen = np.flatnonzero(touched).tolist()
    return (tuple(first[at] for at in chosen), tuple(second[at] for at in chosen)), unplaced, said


def touches(boxes: npt.NDArray[np.float64], pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which boxes overlap at least one marked pixel.

    Parameters
    ----------
    boxes : left, top, right, bottom [N, 4] in pixels; NaN for a token without a place, which touches none.
    pixels : bool [height, width].
    """
    height, width = pixels.shape
    total = np.zeros((height + 1, width + 1), dtype=np.int64)
    total[1:, 1:] = pixels.cumsum(axis=0).cumsum(axis=1)
    placed: npt.NDArray[np.bool_] = np.logical_not(np.isnan(boxes).any(axis=1))
    safe = np.where(placed[:, None], boxes, 0)
    left, right = (
        np.clip(edge, 0, width).astype(int) for edge in (np.floor(safe[:, 0]), np.ceil(safe[:, 2]))
    )
    top, bottom = (
        np.clip(edge, 0, height).astype(int) for edge in (np.floor(safe[:, 1]), np.ceil(safe[:, 3]))
    )
    inside = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    found: npt.NDArray[np.bool_] = placed & (inside > 0)
    return found


def _two(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _number(one: Sequence[int], two: Sequence[int]) -> str:
    return str(len(one)) if len(one) == len(two) else f"{len(one)}/{len(two)}"
