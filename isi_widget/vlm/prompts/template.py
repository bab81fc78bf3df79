"""`ChatTemplate`: the text around context and question, and the text's pieces between them.

A template is a program that comes with the checkpoint: it may refuse, change or repeat what it is given, or
never end. Each of these is one clear error. Not for tokens (see `encoder.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from isi_widget.errors import InputError
from isi_widget.running.attended import within
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.prompts.turns import History

# Private-use characters: they mark where the chat template puts the texts, and never reach the tokenizer.
_CONTEXT_MARK, _QUESTION_MARK = "\ue0c0\ue0c1\ue0c0", "\ue0d0\ue0d1\ue0d0"
_MARKS = re.compile("\ue0c0[\ue0c1\ue100-\ue4ff]\ue0c0|\ue0d0\ue0d1\ue0d0")
#: Seconds that a chat template may take; the known ones take some milliseconds.
TEMPLATE_SECONDS = 10.0


class ChatTemplate:
    """The chat template of one checkpoint, with a system prompt and earlier turns.

    Parameters
    ----------
    processor : processor of the checkpoint.
    family : adapter of its family; its own template is used where the checkpoint has none.
    placeholder : text that stands for the image.
    system : system prompt; None for none.
    history : earlier turns.

    Raises
    ------
    InputError
        Without a template, or with one that has no place for the system prompt or the earlier turns.
    """

    def __init__(
        self, processor: Any, family: Family, placeholder: str, system: str | None, history: History
    ) -> None:
        self.processor, self.family, self.placeholder = processor, family, placeholder
        self.system, self.history = system, history
        #: The texts before the user's turn, in the order of the prompt.
        self.earlier = (*([system] if system else []), *(text for turn in history for text in turn))
        own = getattr(processor, "chat_template", None)
        found = own or getattr(processor.tokenizer, "chat_template", None)
        if isinstance(found, dict):
            found = found.get("default")
        self._template = found or family.chat_template
        if not self._template:
            raise InputError(
                f"This checkpoint of type {family.model_type!r} has no chat template, so it cannot be asked "
                "anything. Give its processor a chat_template, or register a family with one "
                "(docs/add_your_vlm.md)."
            )
        #: Whether the turns of system and model are given as parts, as those of the user are, or as texts.
        self._as_parts = True
        self._check_places()

    def messages(
        self, user_text: str, *, image: Image.Image | None = None, marked: bool = False
    ) -> list[Any]:
        """Return the conversation as chat templates take it.

        Parameters
        ----------
        user_text : text of the last turn, which has the image.
        image : text in place of the image; None: only the placeholder.
        marked : True writes marks in place of the earlier texts.
        """
        texts = [_mark(number) if marked else text for number, text in enumerate(self.earlier)]
        roles = (["system"] if self.system else []) + ["user", "assistant"] * len(self.history)
        turns: list[Any] = []
        for role, text in zip(roles, texts, strict=True):
            parts = self._as_parts or role == "user"
            turns.append({"role": role, "content": [{"type": "text", "text": text}] if parts else text})
        return [*turns, _user_turn(user_text, image)]

    def render(self, user_text: str, *, marked: bool = False) -> str:
        """Return the chat template around the user's turn with one image, ending where the answer begins."""
        return self._rendered(self.messages(user_text, marked=marked))

    def _rendered(self, turns: Sequence[Any]) -> str:
        def run() -> str:
            return str(
                self.processor.apply_chat_template(
                    list(turns), chat_template=self._template, add_generation_prompt=True, tokenize=False
                )
            )

        try:
            # A template is a program, and some never end.
            return within(TEMPLATE_SECONDS, run, _EndlessTemplate)
        except _EndlessTemplate:
            raise InputError(
                f"The chat template of this checkpoint had not ended after {TEMPLATE_SECONDS:g} seconds and "
                f"was given "
                "up. Give its processor another chat_template."
            ) from None
        except Exception as error:  # whatever an unknown template raises
            raise InputError(
                "The chat template of this checkpoint cannot place an image and a text "
                f"({described(error)}). It may be made for text alone: give the processor another "
                "chat_template."
            ) from error

    def _check_places(self) -> None:
        """Find out how the template takes a system prompt and earlier turns, and refuse what it has no place
        for.
        """
        if not self.earlier:
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
        """Return the template around some turns; "" if it refuses them."""
        try:
            return self._rendered(turns)
        except InputError:
            return ""

    def pieces(self, with_context: bool) -> tuple[str, ...]:
        """Return the template's text before, between and after the texts of the conversation."""
        rendered = self.render(
            self.family.user_text(_CONTEXT_MARK if with_context else "", _QUESTION_MARK), marked=True
        )
        earlier = [_mark(number) for number in range(len(self.earlier))]
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


class _EndlessTemplate(Exception):
    """A template took too long."""


def check_marks(text: str, name: str) -> None:
    """Refuse a text that holds the characters which mark places in a template."""
    if _MARKS.search(text):
        raise InputError(
            f"The {name} contains reserved private-use characters (U+E0C0 to U+E4FF). Remove them."
        )


def _mark(number: int) -> str:
    """Return the mark of an earlier text, by its number."""
    return f"\ue0c0{chr(0xE100 + number)}\ue0c0"


def _user_turn(text: str, image: Image.Image | None = None) -> dict[str, Any]:
    place = {"type": "image"} if image is None else {"type": "image", "image": image}
    return {"role": "user", "content": [place, {"type": "text", "text": text}]}


def described(error: Exception) -> str:
    """Return an error's type and message."""
    return f"{type(error).__name__}: {str(error).strip().rstrip('.')}"
