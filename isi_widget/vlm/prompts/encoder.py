"""From a stimulus to the exact tokens a model reads, each labelled with the segment it belongs to.

Labels come from character offsets of the fast tokenizer and from the image-token id; never from fixed offsets
or from tokenising the parts on their own. Not for running the model (see `vlm/model.py`).

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

from collections.abc import Mapping
from typing import Any

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.segments import ALWAYS, BEFORE
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.prompts.prompt import Prompt
from isi_widget.vlm.prompts.samples import drawing
from isi_widget.vlm.prompts.template import ChatTemplate, check_marks, described
from isi_widget.vlm.prompts.turns import History
from isi_widget.vlm.protocol import StimulusLike

_TEMPLATE, _IMAGE, _CONTEXT, _QUESTION = range(len(ALWAYS))
#: How vocabularies write a lone space: SentencePiece, byte-level BPE, plain.
_SPACES = ("\u2581", "\u0120", " ")


class PromptEncoder:
    """Turns stimuli into prompts for one processor and family; holds the parsed chat template.

    Parameters
    ----------
    max_length : tokens that the model can read.
    limits : the same for other outputs of the processor, see `Family.limits`.
    system, history : system prompt and earlier turns before every question, see
        `isi_widget.vlm.prompts.turns`.

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
        self.segments = (
            *ALWAYS,
            *(name for name, given in zip(BEFORE, (system, history), strict=True) if given),
        )
        self.image_token = ""
        if image_token_id is not None:
            self.image_token = str(self.tokenizer.convert_ids_to_tokens(image_token_id))
        self.placeholder = family.placeholder(processor, self.image_token)
        self._reserved = self._reserved_strings()
        self._spaces: dict[int, bool] = {}
        system = self._checked(system, "system prompt") if system else None
        history = tuple(
            (self._checked(a, "earlier turn"), self._checked(b, "earlier turn")) for a, b in history
        )
        self.template = ChatTemplate(processor, family, self.placeholder, system, history)
        named = ["system"] * bool(system) + ["history"] * 2 * len(history)
        #: The texts before the user's turn with the index of their segment.
        self._before = tuple(zip(self.template.earlier, map(self.segments.index, named), strict=True))
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
        self._pieces = {with_context: self.template.pieces(with_context) for with_context in (False, True)}

    def _reserved_strings(self) -> tuple[str, ...]:
        special = {str(token) for token in self.tokenizer.all_special_tokens}
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        special |= {token.content for token in added.values() if token.special}
        special |= {self.image_token, self.placeholder}
        # Longest first, so that a message names the whole token.
        return tuple(sorted(special - {""}, key=lambda token: (-len(token), token)))

    def _checked(self, text: str, name: str) -> str:
        for token in self._reserved:
            if token in text:
                raise InputError(
                    f"The {name} contains {token!r}, which this model reads as a control token and not as "
                    "text. Remove or reword it."
                )
        check_marks(text, name)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"The {name} is not valid Unicode text ({error.reason}). Remove the broken characters."
            ) from None
        return text.strip()

    def encode(self, stimulus: StimulusLike) -> Prompt:
        """Return the prompt of a stimulus.

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
        text = self.template.render(self.family.user_text(context, question))
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
            stimulus=stimulus,
        )

    def _process(self, image: Image.Image, text: str, add_special_tokens: bool) -> Any:
        """Return the processor's outputs for one text and one image."""
        # Newer processors report the text that they write in place of the image (tile and row markers).
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
                f"{width} x {height} pixels: {described(error)}."
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
