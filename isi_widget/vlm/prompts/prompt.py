"""From a stimulus to the exact tokens a model reads, each labelled with the segment it belongs to.

Labels come from character offsets of the fast tokenizer and from the image-token id; never from fixed offsets
or from tokenising the parts on their own. Not for running the model (see `model.py`).

The rules
- Context and question are stripped of white space at both ends; an empty context is zero tokens.
- A system prompt and earlier turns, which belong to the model and not to the stimulus, are segments of their
  own; the image stands in the last turn, with context and question.
- A token belongs to the user's text if it covers at least one of its characters, else to the template (BOS,
  turn markers, separators, row and tile markers around the image tokens). The separator is a line break,
  which most tokenizers keep apart; where one joins template characters to the user's text,
  `Prompt.straddling` counts these tokens. A token that covers both context and question is refused.
- Text that spells a special token ("<image>", "</s>", ...) is refused: the model would read it as a control
  token.
- The text with the image's tokens written out is tokenised again for the offsets, and must give the very ids
  that the processor gave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.running.attended import within
from isi_widget.segments import ALWAYS, BEFORE, group_of, groups_of
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.prompts.samples import drawing
from isi_widget.vlm.prompts.turns import History
from isi_widget.vlm.protocol import StimulusLike

_TEMPLATE, _IMAGE, _CONTEXT, _QUESTION = range(len(ALWAYS))
# Private-use characters: they mark where the chat template puts the texts, and never reach the tokenizer.
_CONTEXT_MARK, _QUESTION_MARK = "\ue0c0\ue0c1\ue0c0", "\ue0d0\ue0d1\ue0d0"
_MARKS = re.compile("\ue0c0[\ue0c1\ue100-\ue4ff]\ue0c0|\ue0d0\ue0d1\ue0d0")
#: Seconds that a chat template may take; the known ones take some milliseconds.
TEMPLATE_SECONDS = 10.0


def _mark(number: int) -> str:
    """The mark of an earlier text, by its number."""
    return f"\ue0c0{chr(0xE100 + number)}\ue0c0"


@dataclass(frozen=True, eq=False)
class Prompt:
    """The prompt of one stimulus for one model.

    Attributes
    ----------
    text : the rendered chat template, with one image placeholder.
    context, question : as placed in it (stripped).
    ids : T token ids, the image placeholder expanded to one token per visual embedding.
    segment_ids : T indices into `segments`.
    images : what the vision side takes (pixel values and what goes with them), on the CPU.
    token_inputs : what the prefill takes beside `ids`, one number per token [1, T], on the CPU.
    image_token_id : the placeholder's id, one per visual embedding; None if unknown.
    unavailable : why there are no segments (`segment_ids` is then empty); "" if there are.
    key : `Stimulus.key` of the stimulus it was made from.
    straddling : number of tokens that hold template characters beside the user's.
    segments : names of the segments: template, image, context, question, and "system" and "history" where the
        model was given a system prompt or earlier turns.
    size : (width, height) of the picture, in pixels.
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

    def token_counts(self) -> dict[str, int]:
        """Number of tokens of each segment."""
        return {name: self._established().count(index) for index, name in enumerate(self.segments)}


class PromptEncoder:
    """Turns stimuli into prompts for one processor and family; holds the parsed chat template.

    Parameters
    ----------
    max_length : tokens that the model can read.
    limits : the same for other outputs of the processor, see `Family.limits`.
    system, history : what stands before every question, see `isi_widget.vlm.prompts.turns`.

    Attributes
    ----------
    unavailable : why segments cannot be established with this checkpoint; "" if they can.

    Raises
    ------
    InputError
        Without a chat template, or with one that has no place for a system prompt or earlier turns that are
        given; and, for a strict family, if segments cannot be established.
    """

    def __init__(
        self,
        processor: Any,
        family: Family,
        image_token_id: int | None,
        max_length: int | None = None,
        *,
        limits: Mapping[str, int] | None = None,
        system: str | None = None,
        history: History = (),
    ) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        # A prompt that is too long is refused here; the tokenizer's own warning would come before that
        if isinstance(warned := getattr(self.tokenizer, "deprecation_warnings", None), dict):
            warned["sequence-length-is-longer-than-the-specified-maximum"] = True
        self.family = family
        self.image_token_id = image_token_id
        self.max_length, self.limits = max_length, dict(limits or {})
        self.system, self.history = system, history
        self.segments = (
            *ALWAYS,
            *(name for name, given in zip(BEFORE, (system, history), strict=True) if given),
        )
        template = getattr(processor, "chat_template", None) or getattr(self.tokenizer, "chat_template", None)
        if isinstance(template, dict):
            template = template.get("default")
        self._template = template or family.chat_template
        if not self._template:
            raise InputError(
                f"This checkpoint of type {family.model_type!r} has no chat template, so it cannot be asked "
                "anything. Give its processor a chat_template, or register a family with one "
                "(docs/add_your_vlm.md)."
            )
        self.image_token = ""
        if image_token_id is not None:
            self.image_token = str(self.tokenizer.convert_ids_to_tokens(image_token_id))
        self.placeholder = family.placeholder(processor, self.image_token)
        self._reserved = self._reserved_strings()
        self._spaces: dict[int, bool] = {}
        self._before = self._earlier_texts()
        #: Whether the turns of system and model are given as parts, as those of the user are, or as plain
        #: texts.
        self._as_parts = True
        self._check_places()
        self._pieces: dict[bool, tuple[str, ...]] = {}
        self.unavailable = ""
        try:
            self._establish()
            if not family.strict:
                self.encode(drawing(0))
        except InputError as error:
            if family.strict:
                raise
            self.unavailable = str(error)

    def _establish(self) -> None:
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError(
                "This checkpoint has only a slow tokenizer, which gives no character offsets, so prompt "
                "segments cannot be established. Use a checkpoint that ships tokenizer.json."
            )
        if self.image_token_id is None:
            raise InputError(
                "The configuration of this checkpoint does not say which token stands for the image, so "
                "prompt segments cannot be established."
            )
        self._pieces = {with_context: self._parse_template(with_context) for with_context in (False, True)}

    def _reserved_strings(self) -> tuple[str, ...]:
        special = {str(token) for token in self.tokenizer.all_special_tokens}
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        special |= {token.content for token in added.values() if token.special}
        special |= {self.image_token, self.placeholder}
        # Longest first, so that a message names the whole token.
        return tuple(sorted(special - {""}, key=lambda token: (-len(token), token)))

    def _earlier_texts(self) -> tuple[tuple[str, int], ...]:
        """The texts before the user's turn with the index of their segment, in the order of the prompt."""
        system = [(self.system, "system")] if self.system else []
        history = [(text, "history") for turn in self.history for text in turn]
        named = {"system": "system prompt", "history": "earlier turn"}
        return tuple(
            (self._checked(text, named[name]), self.segments.index(name))
            for text, name in (*system, *history)
        )

    def messages(
        self, user_text: str, *, image: Image.Image | None = None, marked: bool = False
    ) -> list[Any]:
        """The conversation as chat templates take it.

        Parameters
        ----------
        user_text : of the last turn, which has the image.
        image : written into its place; None: the place alone.
        marked : with marks in place of the earlier texts.
        """
        texts = [_mark(number) if marked else text for number, (text, _) in enumerate(self._before)]
        roles = (["system"] if self.system else []) + ["user", "assistant"] * len(self.history)
        turns: list[Any] = []
        for role, text in zip(roles, texts, strict=True):
            parts = self._as_parts or role == "user"
            turns.append({"role": role, "content": [{"type": "text", "text": text}] if parts else text})
        return [*turns, _user_turn(user_text, image)]

    def render_template(self, user_text: str, *, marked: bool = False) -> str:
        """The chat template around the user's turn with one image, ending where the answer begins."""
        return self._rendered(self.messages(user_text, marked=marked))

    def _rendered(self, turns: Sequence[Any]) -> str:
        def render() -> str:
            return str(
                self.processor.apply_chat_template(
                    list(turns), chat_template=self._template, add_generation_prompt=True, tokenize=False
                )
            )

        try:
            # A template is a program, and some never end.
            return within(TEMPLATE_SECONDS, render, _EndlessTemplate)
        except _EndlessTemplate:
            raise InputError(
                f"The chat template of this checkpoint had not ended after {TEMPLATE_SECONDS:g} seconds and "
                f"was given "
                "up. Give its processor another chat_template."
            ) from None
        except Exception as error:  # whatever an unknown template raises
            raise InputError(
                f"The chat template of this checkpoint cannot place an image and a text ({_said(error)}). It "
                "may be made for text alone: give the processor another chat_template."
            ) from error

    def _check_places(self) -> None:
        """Find out how the template takes a system prompt and earlier turns, and refuse what it has no place
        for.
        """
        if not self._before:
            return
        last, turns = [_user_turn(_QUESTION_MARK)], []
        for self._as_parts in (True, False):
            turns = self.messages(_QUESTION_MARK, marked=True)
            if self._places(turns):
                break
        system, history = turns[: 1 if self.system else 0], turns[1 if self.system else 0 : -1]
        lacks = []
        if system and not (
            self._places([*system, *last]) and self._tells_apart([*system, *last], 0, "assistant")
        ):
            lacks.append(("a system prompt", "system="))
        if history and not (
            self._places([*history, *last]) and self._tells_apart([*history, *last], 1, "user")
        ):
            lacks.append(("earlier turns", "history="))
        if not lacks and not self._places(turns):
            lacks.append(("a system prompt with earlier turns", "one of them"))
        if lacks:
            named, arguments = (" and ".join(words) for words in zip(*lacks, strict=True))
            raise InputError(
                f"The chat template of this checkpoint ({self.family.title}) has no place for {named}. "
                f"Leave out "
                f"{arguments}, or put the text into the context."
            )

    def _places(self, turns: Sequence[Any]) -> bool:
        """Whether the template writes each marked text of some turns once, in their order, and as text."""
        contents = [turn["content"] for turn in turns]
        texts = [content if isinstance(content, str) else content[-1]["text"] for content in contents]
        marks = [mark for text in texts for mark in _MARKS.findall(text)]
        rendered = self._tried(turns)
        return _MARKS.findall(rendered) == marks and "'type':" not in rendered

    def _tells_apart(self, turns: Sequence[Any], place: int, other: str) -> bool:
        """Whether a turn reads otherwise than in another role: what a template does not know, some write as
        that.
        """
        turn = {**turns[place], "role": other}
        return self._tried([*turns[:place], turn, *turns[place + 1 :]]) != self._tried(turns)

    def _tried(self, turns: Sequence[Any]) -> str:
        """The template around some turns; "" if it refuses them."""
        try:
            return self._rendered(turns)
        except InputError:
            return ""

    def _parse_template(self, with_context: bool) -> tuple[str, ...]:
        """The template's text before, between and after the texts of the conversation."""
        rendered = self.render_template(
            self.family.user_text(_CONTEXT_MARK if with_context else "", _QUESTION_MARK), marked=True
        )
        earlier = [_mark(number) for number in range(len(self._before))]
        marks = (*earlier, *((_CONTEXT_MARK,) if with_context else ()), _QUESTION_MARK)
        pieces, rest = [], rendered
        for mark in marks:
            before, found, rest = rest.partition(mark)
            if not found or mark in rest:
                raise InputError(
                    "The chat template of this checkpoint does not place context and question exactly once, "
                    "so prompt segments cannot be established."
                )
            pieces.append(before)
        pieces.append(rest)
        if sum(piece.count(self.placeholder) for piece in pieces) != 1:
            raise InputError(
                f"The chat template of this checkpoint does not place the image token {self.placeholder!r} "
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
        if _MARKS.search(text):
            raise InputError(
                f"The {name} contains reserved private-use characters (U+E0C0 to U+E4FF). Remove them."
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
            If it is no stimulus, the question is empty, a text spells a control token, the processor refuses
            the image, the prompt is longer than the model can read, or segments cannot be established with
            certainty.
        """
        if not callable(getattr(stimulus, "render", None)) or not hasattr(stimulus, "current_question"):
            hint = " Call .stimulus() on the observation." if hasattr(stimulus, "stimulus") else ""
            raise InputError(f"A model is shown a Stimulus; got {type(stimulus).__name__}.{hint}")
        context = self._checked(stimulus.current_context, "context")
        question = self._checked(stimulus.current_question, "question")
        if not question:
            raise InputError(
                "The question is empty. Give the model a question, for example with "
                "stimulus.with_question('...')."
            )
        image = stimulus.render()
        if not isinstance(image, Image.Image):
            raise InputError(
                f"A prompt holds one image; render() gave a {type(image).__name__}. Put several pictures "
                "side by side into one image."
            )
        text = self.render_template(self.family.user_text(context, question))
        texts = (
            *self._before,
            *(((context, _CONTEXT),) if context else ()),
            (question, _QUESTION),
        )
        pieces = self._pieces.get(bool(context), ())
        if not self.unavailable:
            placed = "".join(part + piece for (part, _), piece in zip(texts, pieces[1:], strict=True))
            if text != pieces[0] + placed:
                raise InputError(
                    "The chat template of this checkpoint changes the text it is given, so prompt segments "
                    "cannot be established for this context and question."
                )
        # As transformers' own apply_chat_template(tokenize=True) does: no second BOS where the template
        # already wrote one.
        bos = self.tokenizer.bos_token
        add_special_tokens = not (bos and text.startswith(bos))
        inputs = self._process(image, text, add_special_tokens)
        ids = tuple(int(token) for token in inputs["input_ids"][0])
        if self.max_length is not None and len(ids) >= self.max_length:
            raise InputError(
                f"The prompt has {len(ids)} tokens and this model reads at most {self.max_length}. Shorten "
                "the context or the question."
            )
        for name, most in self.limits.items():
            if (count := int(inputs[name].shape[-1])) > most:
                raise InputError(
                    f"{self.family.title} reads the text with a second tokenizer too, {most} tokens at "
                    f"most; this one "
                    f"has {count} there. Shorten the context or the question."
                )
        images, token_inputs = self.family.inputs(inputs)
        segment_ids: tuple[int, ...] = ()
        straddling = 0
        if not self.unavailable:
            written = inputs.get("text_replacement_offsets")
            expansion = written[0][0]["replacement"] if written and written[0] else None
            segment_ids, straddling = self._label(ids, pieces, texts, expansion, add_special_tokens)
        return Prompt(
            text=text,
            context=context,
            question=question,
            ids=ids,
            segment_ids=segment_ids,
            images=images,
            key=stimulus.key,
            straddling=straddling,
            token_inputs=token_inputs,
            image_token_id=self.image_token_id,
            unavailable=self.unavailable,
            segments=self.segments,
            size=image.size,
        )

    def _process(self, image: Image.Image, text: str, add_special_tokens: bool) -> Any:
        """The processor's outputs for one text and one image."""
        # Newer processors tell what they wrote in place of the image (tile and row markers).
        told = "return_text_replacement_offsets"
        extra = {told: True} if hasattr(type(self.processor), told) else {}
        try:
            return self.processor(
                images=image,
                text=self.family.processor_text(text, self.placeholder),
                return_tensors="pt",
                add_special_tokens=add_special_tokens,
                **extra,
            )
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            width, height = image.size
            raise InputError(
                f"The processor of this checkpoint cannot make a prompt of this text and this image of "
                f"{width} x {height} pixels: {_said(error)}."
            ) from error

    def _is_prefix(self, token: int, covered: str) -> bool:
        """Whether a token is the lone space that some tokenizers put before a text that has none.

        Its offsets cover the first character of the text, which it does not hold.
        """
        if covered[:1].isspace():
            return False
        if token not in self._spaces:
            self._spaces[token] = self.tokenizer.convert_ids_to_tokens(token) in _SPACES
        return self._spaces[token]

    def _label(
        self,
        ids: tuple[int, ...],
        pieces: tuple[str, ...],
        texts: tuple[tuple[str, int], ...],
        expansion: str | None,
        add_special_tokens: bool,
    ) -> tuple[tuple[int, ...], int]:
        """Segment index of each token; number of tokens shared by the template and the user's text."""
        image = expansion or self.image_token * ids.count(self.image_token_id)
        expanded, spans = "", []
        pieces = self.family.expand(pieces, self.placeholder, image, self.processor)
        for piece, (part, name) in zip(pieces, (*texts, ("", _TEMPLATE)), strict=True):
            expanded += piece
            spans.append((len(expanded), len(expanded) + len(part), name))
            expanded += part
        own, offsets = self.family.tokenize(self.processor, expanded, image, add_special_tokens)
        if tuple(own) != ids:
            raise InputError(
                "The processor's token ids differ from the tokenizer's for the same text, so prompt segments "
                "cannot be established."
            )
        labels: list[int | None] = []
        straddling = 0
        for token, (start, end) in zip(ids, offsets, strict=True):
            touched = [(low, high, name) for low, high, name in spans if start < high and end > low]
            if touched and self._is_prefix(token, expanded[start:end]):
                touched = []
            if token == self.image_token_id:
                labels.append(_IMAGE)
            elif len(touched) > 1:
                first, second = (self.segments[name] for _, _, name in touched[:2])
                raise InputError(
                    f"The token {expanded[start:end]!r} covers the end of the {first} and the start of the "
                    f"{second} at once. End the {first} with a full stop or a word."
                )
            elif touched:
                low, high, name = touched[0]
                straddling += start < low or end > high
                labels.append(name)
            else:
                # Zero width: BOS, or white space that the tokenizer trims from its offsets; the latter is
                # settled below.
                labels.append(_TEMPLATE if end > start else None)
        if _IMAGE not in labels:
            raise InputError(
                f"The image token {self.image_token!r} is not in the processor's prompt, so prompt segments "
                "cannot be established."
            )
        return tuple(_settle(labels)), straddling


class _EndlessTemplate(Exception):
    """A template took too long."""


#: How vocabularies write a lone space: SentencePiece, byte-level BPE, plain.
_SPACES = ("\u2581", "\u0120", " ")


def _user_turn(text: str, image: Image.Image | None = None) -> dict[str, Any]:
    place = {"type": "image"} if image is None else {"type": "image", "image": image}
    return {"role": "user", "content": [place, {"type": "text", "text": text}]}


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().rstrip('.')}"


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
