"""From a stimulus to the exact tokens a model reads, each labelled with the segment it belongs to.

Labels come from character offsets of the fast tokenizer and from the image-token id; never from fixed offsets
or from tokenising the parts on their own. Not for running the model (see `model.py`).

The rules
- Context and question are stripped of white space at both ends; an empty context is zero tokens.
- A token belongs to the user's text if it covers at least one of its characters, else to the template (BOS,
  turn markers, separators). The separators of the LLaVA families are line breaks, which their tokenizers keep
  apart; where a tokenizer joins template characters to the user's text, `Prompt.straddling` counts these
  tokens. A token that covers both context and question is refused.
- Text that spells a special token ("<image>", "</s>", ...) is refused: the model would read it as a control
  token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import torch
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.vlm.families.base import Family

SEGMENTS = ("template", "image", "context", "question")
_TEMPLATE, _IMAGE, _CONTEXT, _QUESTION = range(4)
# Private-use characters: they mark where the chat template puts context and question, and never reach the
# tokenizer.
_CONTEXT_MARK, _QUESTION_MARK = "\ue0c0\ue0c1\ue0c0", "\ue0d0\ue0d1\ue0d0"


class StimulusLike(Protocol):
    """What a model needs of a stimulus (`isi_widget.stimulus.Stimulus` has it)."""

    @property
    def current_question(self) -> str:
        """The question as asked."""

    @property
    def current_context(self) -> str:
        """The context; "" for none."""

    @property
    def key(self) -> str:
        """Equal for stimuli that show the model the same."""

    def render(self) -> Image.Image:
        """The exact RGB pixels."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """The prompt of one stimulus for one model.

    Attributes
    ----------
    text : the rendered chat template, with one image placeholder.
    context, question : as placed in it (stripped).
    ids : T token ids, the image placeholder expanded to one token per visual embedding.
    segment_ids : T indices into `segments`.
    images : the image processor's outputs (pixel values and what goes with them), on the CPU.
    key : `Stimulus.key` of the stimulus it was made from.
    straddling : number of tokens that hold template characters beside the user's.
    """

    segments: ClassVar[tuple[str, ...]] = SEGMENTS

    text: str
    context: str
    question: str
    ids: tuple[int, ...]
    segment_ids: tuple[int, ...]
    images: Mapping[str, torch.Tensor]
    key: str
    straddling: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def input_ids(self) -> torch.Tensor:
        """Token ids [1, T], int64, on the CPU."""
        return torch.tensor([self.ids], dtype=torch.long)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The segment name of each token."""
        return tuple(self.segments[index] for index in self.segment_ids)

    def indices(self, segment: str) -> tuple[int, ...]:
        """Positions of a segment's tokens in the prompt."""
        if segment not in self.segments:
            raise InputError(
                f"Unknown segment {segment!r}; the segments of a prompt are {', '.join(self.segments)}."
            )
        wanted = self.segments.index(segment)
        return tuple(position for position, index in enumerate(self.segment_ids) if index == wanted)

    def segment_token_ids(self, segment: str) -> tuple[int, ...]:
        """Token ids of a segment, in order."""
        return tuple(self.ids[position] for position in self.indices(segment))

    def token_counts(self) -> dict[str, int]:
        """Number of tokens of each segment."""
        return {name: self.segment_ids.count(index) for index, name in enumerate(self.segments)}


class PromptEncoder:
    """Turns stimuli into prompts for one processor and family; holds the parsed chat template."""

    def __init__(
        self, processor: Any, family: Family, image_token_id: int, max_length: int | None = None
    ) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.family = family
        self.image_token_id = image_token_id
        self.max_length = max_length
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError(
                "This checkpoint has only a slow tokenizer, which gives no character offsets, so prompt "
                "segments cannot be "
                "established. Use a checkpoint that ships tokenizer.json."
            )
        self.image_token = str(self.tokenizer.convert_ids_to_tokens(image_token_id))
        self._reserved = self._reserved_strings()
        self._pieces = {with_context: self._parse_template(with_context) for with_context in (False, True)}

    def _reserved_strings(self) -> tuple[str, ...]:
        special = {str(token) for token in self.tokenizer.all_special_tokens}
        special |= {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        # Longest first, so that a message names the whole token.
        return tuple(sorted((special | {self.image_token}) - {""}, key=lambda token: (-len(token), token)))

    def render_template(self, user_text: str) -> str:
        """The chat template around one user turn with one image, ending where the answer begins."""
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": user_text}]}
        template = self.processor.chat_template or getattr(self.tokenizer, "chat_template", None)
        rendered = self.processor.apply_chat_template(
            [turn], chat_template=template or self.family.chat_template, add_generation_prompt=True
        )
        return str(rendered)

    def _parse_template(self, with_context: bool) -> tuple[str, ...]:
        """The template's text before, (between) and after the user's texts."""
        rendered = self.render_template(
            self.family.user_text(_CONTEXT_MARK if with_context else "", _QUESTION_MARK)
        )
        marks = (_CONTEXT_MARK, _QUESTION_MARK) if with_context else (_QUESTION_MARK,)
        pieces, rest = [], rendered
        for mark in marks:
            before, found, rest = rest.partition(mark)
            if not found or mark in rest:
                raise InputError(
                    "The chat template of this checkpoint does not place context and question exactly once, "
                    "so prompt segments "
                    "cannot be established."
                )
            pieces.append(before)
        pieces.append(rest)
        if sum(piece.count(self.image_token) for piece in pieces) != 1:
            raise InputError(
                f"The chat template of this checkpoint does not place the image token {self.image_token!r} "
                f"exactly once: {rendered!r}."
            )
        return tuple(pieces)

    def _checked(self, text: str, name: str) -> str:
        for token in self._reserved:
            if token in text:
                raise InputError(
                    f"The {name} contains {token!r}, which this model reads as a control token and not as "
                    "text. Remove or reword it."
                )
        if any(mark in text for mark in (_CONTEXT_MARK, _QUESTION_MARK)):
            raise InputError(
                f"The {name} contains reserved private-use characters (U+E0C0 to U+E0D1). Remove them."
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"The {name} is not valid Unicode text ({error.reason}). Remove the broken characters."
            ) from None
        return text.strip()

    def encode(self, stimulus: StimulusLike) -> Prompt:
        """The prompt of a stimulus.

        Raises
        ------
        InputError
            If the question is empty, a text spells a control token, the prompt is longer than the model can
            read, or segments cannot be established with certainty.
        """
        context = self._checked(stimulus.current_context, "context")
        question = self._checked(stimulus.current_question, "question")
        if not question:
            raise InputError(
                "The question is empty. Give the model a question, for example with "
                "stimulus.with_question('...')."
            )
        pieces = self._pieces[bool(context)]
        texts = (context, question) if context else (question,)
        text = pieces[0] + "".join(part + piece for part, piece in zip(texts, pieces[1:], strict=True))
        if text != self.render_template(self.family.user_text(context, question)):
            raise InputError(
                "The chat template of this checkpoint changes the text it is given, so prompt segments "
                "cannot be established for this "
                "context and question."
            )
        # As transformers' own apply_chat_template(tokenize=True) does: no second BOS where the template
        # already wrote one.
        bos = self.tokenizer.bos_token
        add_special_tokens = not (bos and text.startswith(bos))
        inputs = self.processor(
            images=stimulus.render(), text=text, return_tensors="pt", add_special_tokens=add_special_tokens
        )
        ids = tuple(int(token) for token in inputs["input_ids"][0])
        if self.max_length is not None and len(ids) >= self.max_length:
            raise InputError(
                f"The prompt has {len(ids)} tokens and this model reads at most {self.max_length}. Shorten "
                "the context or the question."
            )
        segment_ids, straddling = self._label(ids, pieces, texts, add_special_tokens)
        images = {name: inputs[name] for name in self.family.image_inputs}
        return Prompt(text, context, question, ids, segment_ids, images, stimulus.key, straddling)

    def _label(
        self, ids: tuple[int, ...], pieces: tuple[str, ...], texts: tuple[str, ...], add_special_tokens: bool
    ) -> tuple[tuple[int, ...], int]:
        """Segment index of each token; number of tokens shared by the template and the user's text."""
        count = ids.count(self.image_token_id)
        expanded, spans = "", []
        names = (_CONTEXT, _QUESTION) if len(texts) == 2 else (_QUESTION,)
        for piece, part, name in zip(pieces, (*texts, ""), (*names, _TEMPLATE), strict=True):
            expanded += piece.replace(self.image_token, self.image_token * count)
            spans.append((len(expanded), len(expanded) + len(part), name))
            expanded += part
        encoded = self.tokenizer(expanded, return_offsets_mapping=True, add_special_tokens=add_special_tokens)
        if tuple(encoded["input_ids"]) != ids:
            raise InputError(
                "The processor's token ids differ from the tokenizer's for the same text, so prompt segments "
                "cannot be established."
            )
        labels: list[int | None] = []
        straddling = 0
        for token, (start, end) in zip(ids, encoded["offset_mapping"], strict=True):
            touched = [(low, high, name) for low, high, name in spans if start < high and end > low]
            if token == self.image_token_id:
                labels.append(_IMAGE)
            elif len(touched) > 1:
                raise InputError(
                    f"The token {expanded[start:end]!r} covers the end of the context and the start of the "
                    "question at once. "
                    "End the context with a full stop or a word."
                )
            elif touched:
                low, high, name = touched[0]
                straddling += start < low or end > high
                labels.append(name)
            else:
                # Zero width: BOS, or white space that the tokenizer trims from its offsets; the latter is
                # settled below.
                labels.append(_TEMPLATE if end > start else None)
        return tuple(_settle(labels)), straddling


def _settle(labels: list[int | None]) -> list[int]:
    """Tokens without characters of their own belong to the segment that surrounds them, or the template."""
    settled: list[int] = []
    for position, label in enumerate(labels):
        if label is None:
            before = settled[-1] if settled else _TEMPLATE
            after = next((later for later in labels[position + 1 :] if later is not None), _TEMPLATE)
            label = before if before == after and before != _IMAGE else _TEMPLATE
        settled.append(label)
    return settled
