"""`Prompt`: the exact tokens that a model reads, each with the segment it belongs to. Not for making one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from isi_widget.errors import InputError
from isi_widget.segments import ALWAYS, group_of, groups_of
from isi_widget.vlm.protocol import StimulusLike


@dataclass(frozen=True, eq=False)
class Prompt:
    """The prompt of one stimulus for one model.

    Attributes
    ----------
    text : the rendered chat template, with one image placeholder.
    context, question : as placed in it (stripped).
    ids : T token ids, the image placeholder expanded to one token per visual embedding.
    segment_ids : T indices into `segments`.
    images : inputs of the vision side (pixel values and related tensors), on the CPU.
    token_inputs : inputs of the prefill besides `ids`, one number per token [1, T], on the CPU.
    image_token_id : the placeholder's id, one per visual embedding; None if unknown.
    unavailable : why there are no segments (`segment_ids` is then empty); "" if there are.
    key : `Stimulus.key` of the stimulus it was made from.
    straddling : number of tokens that hold template characters beside the user's.
    segments : names of the segments: template, image, context, question, and "system" and "history" where the
        model was given a system prompt or earlier turns.
    size : (width, height) of the picture, in pixels.
    stimulus : stimulus of the prompt, to make one with a changed picture; None: not kept.
    """

    text: str
    context: str
    question: str
    ids: tuple[int, ...]
    segment_ids: tuple[int, ...]
    images: Mapping[str, torch.Tensor]
    key: str
    straddling: int = 0
    token_inputs: Mapping[str, torch.Tensor] = field(default_factory=dict)
    image_token_id: int | None = None
    unavailable: str = ""
    segments: tuple[str, ...] = ALWAYS
    size: tuple[int, int] = (0, 0)
    stimulus: StimulusLike | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def input_ids(self) -> torch.Tensor:
        """Token ids [1, T], int64, on the CPU."""
        return torch.tensor([self.ids], dtype=torch.long)

    @property
    def image_tokens(self) -> int | None:
        """Number of image tokens; None if unknown."""
        return None if self.image_token_id is None else self.ids.count(self.image_token_id)

    def _established(self) -> tuple[int, ...]:
        if self.unavailable:
            raise InputError(f"This prompt has no segments: {self.unavailable}")
        return self.segment_ids

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The segment name of each token."""
        return tuple(self.segments[index] for index in self._established())

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that attention is summed over: the segments, with "other" last in place of the
        template.
        """
        return groups_of(self.segments)

    @property
    def group_ids(self) -> list[int]:
        """Index into `groups` of each token; empty without segments."""
        places = [self.groups.index(group_of(name)) for name in self.segments]
        return [places[index] for index in self.segment_ids]

    def indices(self, segment: str) -> tuple[int, ...]:
        """Positions of a segment's tokens in the prompt."""
        if segment not in self.segments:
            raise InputError(
                f"Unknown segment {segment!r}; the segments of a prompt are {', '.join(self.segments)}."
            )
        wanted = self.segments.index(segment)
        return tuple(position for position, index in enumerate(self._established()) if index == wanted)

    def segment_token_ids(self, segment: str) -> tuple[int, ...]:
        """Token ids of a segment, in order."""
        return tuple(self.ids[position] for position in self.indices(segment))

    def without_image(self) -> tuple[Prompt, tuple[int, ...]]:
        """Return the prompt without its image tokens and picture, and the positions that are kept.

        Markers of the template around the image stay.

        Raises
        ------
        InputError
            If it is not known which tokens stand for the image.
        """
        if self.image_token_id is None:
            raise InputError(
                "The configuration of this checkpoint does not say which token stands for the image, so that "
                "it cannot be left out of the prompt."
            )
        kept = tuple(place for place, token in enumerate(self.ids) if token != self.image_token_id)
        places = list(kept)
        short = replace(
            self,
            ids=tuple(self.ids[place] for place in places),
            segment_ids=tuple(self.segment_ids[place] for place in places) if self.segment_ids else (),
            images={},
            token_inputs={name: value[:, places] for name, value in self.token_inputs.items()},
            key=f"{self.key} without image",
            stimulus=None,
        )
        return short, kept

    def token_counts(self) -> dict[str, int]:
        """Return the number of tokens of each segment."""
        return {name: self._established().count(index) for index, name in enumerate(self.segments)}
