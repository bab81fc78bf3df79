"""`Pair`: two stimuli that should differ in one concept, and what differs between them.

A minimal pair is the corrupt input of causal tracing without noise: it stays a natural input, and one concept
changes between clean and corrupt (NOTICE: Golovanevsky et al., What Do VLMs NOTICE?, 2024). Nothing here runs
a model; `Pair.tokens` asks one only for its prompts. Not for making pairs from a scene graph (see
`isi_widget.datasets.scenes.counterfactual`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair_tokens import TokenDifference, difference
from isi_widget.concepts.wording import Wording, compared
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.segments import INPUTS
from isi_widget.stimulus import Stimulus
from isi_widget.stimulus.mask import Mask

#: The semantic levels of a change; "counting" is a level of questions, not of changes.
LEVELS = ("object", "attribute", "relation")
#: Inputs that are texts.
TEXTS = ("context", "question")


@dataclass(frozen=True, repr=False)
class Pair:
    """Two stimuli, clean and corrupt, and what differs between them.

    Parameters
    ----------
    clean : stimulus, or an observation, whose unchanged stimulus is taken.
    corrupt : the same with one concept changed.
    level : semantic level of the change: "object", "attribute" or "relation"; None (default) if unknown.
    change : the change in a few words, such as "the red star becomes a blue star"; default "".

    Raises
    ------
    InputError
        If one of them is no stimulus, or the level is unknown.
    """

    clean: Stimulus
    corrupt: Stimulus
    level: str | None = None
    change: str = ""

    def __post_init__(self) -> None:
        for name in ("clean", "corrupt"):
            object.__setattr__(self, name, stimulus_of(getattr(self, name), f"Pair: {name}"))
        if self.level is not None:
            checks.one_of(self.level, "Pair: level", LEVELS)
        checks.text(self.change, "Pair: change")

    # What differs --------------------------------------------------------------------------------------

    @cached_property
    def pixels(self) -> npt.NDArray[np.bool_] | None:
        """Which pixels differ, bool [height, width], read-only; None if the pictures have different sizes."""
        if self.same_pixels:
            width, height = self.clean.current_image.size
            found = np.zeros((height, width), dtype=np.bool_)
        elif self.clean.current_image.size != self.corrupt.current_image.size:
            return None
        else:
            one, two = (np.asarray(item.render()) for item in (self.clean, self.corrupt))
            found = (one != two).any(axis=2)
        found.flags.writeable = False
        return found

    @cached_property
    def same_pixels(self) -> bool:
        """Whether both pictures are equal, pixel by pixel."""
        one, two = self.clean, self.corrupt
        if one.current_image == two.current_image and one.drawings == two.drawings:
            return True
        return one.current_image.size == two.current_image.size and (
            one.render().tobytes() == two.render().tobytes()
        )

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Smallest box (x, y, width, height) around the pixels that differ; None without such pixels or if
        the pictures have different sizes.
        """
        if self.pixels is None or not self.pixels.any():
            return None
        rows, columns = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y

    @cached_property
    def mask(self) -> Mask | None:
        """The pixels that differ as a `Mask`, for `isi.ImageTokens(pair.mask)` and as a region of effects;
        None as for `box`.

        Raises
        ------
        InputError : they are scattered over a large picture, more than a mask can hold.
        """
        if self.box is None:
            return None
        try:
            return Mask.from_array(self.pixels)
        except InputError:
            raise InputError(
                "The pixels that differ are scattered over the picture, more than a Mask can hold. Use "
                "pair.box as the region, or pair.pixels as an array."
            ) from None

    @property
    def share(self) -> float | None:
        """Share of the pixels that differ, 0 to 1; None if the pictures have different sizes."""
        return None if self.pixels is None else float(self.pixels.mean())

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Which inputs differ, any of "image", "context", "question".

        Texts are compared as a model reads them: without white space at both ends.
        """
        differs = {
            "image": not self.same_pixels,
            "context": self.clean.current_context.strip() != self.corrupt.current_context.strip(),
            "question": self.clean.current_question.strip() != self.corrupt.current_question.strip(),
        }
        return tuple(name for name in INPUTS if differs[name])

    def wording(self, name: str) -> tuple[Wording, ...]:
        """Compare a text word by word.

        Parameters
        ----------
        name : "context" or "question".

        Returns
        -------
        The text in pieces, in order; a piece is equal in both texts, or differs.
        """
        checks.one_of(name, "Pair.wording: name", TEXTS)
        one, two = (getattr(item, f"current_{name}").strip() for item in (self.clean, self.corrupt))
        return compared(one, two)

    @property
    def truths(self) -> tuple[str | None, str | None]:
        """The true answers of clean and corrupt; None where unknown or where an edit may have changed it."""
        one, two = (item.truth if item.truth_holds else None for item in (self.clean, self.corrupt))
        return one, two

    @property
    def flips(self) -> bool | None:
        """Whether the true answer changes; None if one of the two is unknown."""
        one, two = self.truths
        return None if one is None or two is None else one != two

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Reasons why this may be no minimal pair, one sentence each; empty if there are none."""
        found = []
        if not self.inputs:
            found.append("Nothing differs: the model is shown the same twice.")
        if len(self.inputs) > 1:
            found.append(
                f"{' and '.join(self.inputs)} differ at once, so an effect belongs to no single one of them."
            )
        one, two = self.clean.current_image.size, self.corrupt.current_image.size
        if one != two:
            found.append(
                f"The pictures have different sizes, {one[0]} x {one[1]} and {two[0]} x {two[1]} pixels, so "
                "no pixel of one corresponds to a pixel of the other."
            )
        if self.flips is False:
            found.append(f"The true answer is {self.truths[0]!r} for both.")
        return tuple(found)

    def tokens(self, vlm: Any) -> TokenDifference:
        """Compare the prompts of both for a model.

        Parameters
        ----------
        vlm : model whose tokenizer and image processor are used; it is not run.

        Raises
        ------
        InputError
            If the model refuses one of the two, or is behind a server, which shows no tokens.
        """
        return difference(self.clean, self.corrupt, self.pixels, vlm, self.warnings)

    # Forms ---------------------------------------------------------------------------------------------

    def swapped(self) -> Pair:
        """Return the pair with clean and corrupt exchanged; `change` still describes the original way."""
        return Pair(self.corrupt, self.clean, self.level, self.change)

    def to_dict(self, *, embed: bool = True) -> dict[str, Any]:
        """Return a JSON-ready record; `embed` (default True) includes the pictures as PNG in base64."""
        return {
            "clean": self.clean.to_dict(embed=embed),
            "corrupt": self.corrupt.to_dict(embed=embed),
            "level": self.level,
            "change": self.change,
        }

    @classmethod
    @records.reader("a pair")
    def from_dict(cls, record: Mapping[str, Any], pictures: Mapping[str, Any] | None = None) -> Pair:
        """Rebuild from the record of `to_dict`; pass `pictures` (by SHA-256) if they are not embedded.

        Raises
        ------
        InputError
            For any other record.
        """
        return cls(
            Stimulus.from_dict(record["clean"], pictures),
            Stimulus.from_dict(record["corrupt"], pictures),
            record.get("level"),
            record.get("change", ""),
        )

    def __repr__(self) -> str:
        parts = [repr(self.clean.current_question), f"{self.truths[0]} -> {self.truths[1]}"]
        parts += [self.change] * bool(self.change)
        parts += [f"differs: {', '.join(self.inputs) or 'nothing'}"]
        if self.share:
            parts.append(f"{100 * self.share:.2g} % of the pixels")
        return f"Pair({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from isi_widget.concepts.pair_html import pair_html

        return pair_html(self)


def stimulus_of(value: Any, name: str) -> Stimulus:
    """Return a stimulus, or the unchanged stimulus of an observation.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(value, Stimulus):
        return value
    made = value.stimulus() if callable(getattr(value, "stimulus", None)) else None
    if not isinstance(made, Stimulus):
        raise InputError(f"{name} must be a Stimulus or an Observation; got {type(value).__name__}.")
    return made
