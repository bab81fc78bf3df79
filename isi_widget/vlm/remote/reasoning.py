"""Separates reasoning, which a model writes into its answer in tags, from the answer itself.

`<think>...</think>`, other names and other brackets; also a closing tag without an opening one, since chat
templates write the opening tag into the prompt; also reasoning that never ends. Not for reasoning that a
server sends in a field of its own (see `replies.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Markers that are no tags of a name: (opening, closing).
_MARKS = (
    ("[THINK]", "[/THINK]"),
    (
        "\N{WHITE LEFT-POINTING TRIANGLE}think\N{WHITE RIGHT-POINTING TRIANGLE}",
        "\N{WHITE LEFT-POINTING TRIANGLE}/think\N{WHITE RIGHT-POINTING TRIANGLE}",
    ),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<unused94>thought", "<unused95>"),
    ("<start_of_thought>", "<end_of_thought>"),
)
_NAME = r"[\w:.-]*(?:think|thought|reason|reflect|scratchpad|rationale|analysis)[\w:.-]*"
_OPEN = re.compile(
    "|".join(
        [
            rf"<(?P<name>{_NAME})(?: [^<>]*)?>",
            *(f"(?P<m{k}>{re.escape(a)})" for k, (a, _) in enumerate(_MARKS)),
        ]
    ),
    re.IGNORECASE,
)
#: "<|end|>" ends other things too: it closes only what was opened.
_CLOSE = re.compile(
    "|".join([f"</{_NAME}>", *(re.escape(b) for _, b in _MARKS if b != "<|end|>")]), re.IGNORECASE
)
#: What some models put around the answer that follows.
_WRAPPED = (
    re.compile(
        r"\s*<(answer|final_answer|final|response|solution)>(?P<inner>.*?)(?:</\1>\s*)?\Z", re.I | re.S
    ),
    re.compile(r"\s*<\|begin_of_(box|solution)\|>(?P<inner>.*?)(?:<\|end_of_\1\|>\s*)?\Z", re.S),
    re.compile(r"\s*<\|START_RESPONSE\|>(?P<inner>.*?)(?:<\|END_RESPONSE\|>\s*)?\Z", re.S),
    re.compile(
        r"\s*(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>(?P<inner>.*?)"
        r"(?:<\|(?:return|end)\|>\s*)?\Z",
        re.S,
    ),
)
_LONGEST_TAG = 48  # characters


@dataclass(frozen=True)
class Told:
    """A text taken apart.

    Attributes
    ----------
    answer, reasoning : both without white space around them.
    spans : positions of the answer in the text, (start, end) in characters, ascending.
    """

    answer: str
    reasoning: str
    spans: tuple[tuple[int, int], ...]


def _closing(opened: re.Match[str]) -> re.Pattern[str]:
    name = opened.group("name")
    if name is not None:
        return re.compile(f"</{re.escape(name)}>", re.IGNORECASE)
    mark = next(b for k, (_, b) in enumerate(_MARKS) if opened.group(f"m{k}") is not None)
    return re.compile(re.escape(mark), re.IGNORECASE)


def split_reasoning(text: str) -> Told:
    """Return the answer and the reasoning of a finished text."""
    spans: list[tuple[int, int]] = []
    thoughts: list[str] = []
    position = 0
    opened, closed = _OPEN.search(text), _CLOSE.search(text)
    if closed is not None and (opened is None or closed.start() < opened.start()):
        thoughts.append(text[: closed.start()])
        position = closed.end()
        opened = _OPEN.search(text, position)
    while opened is not None:
        spans.append((position, opened.start()))
        end = _closing(opened).search(text, opened.end())
        thoughts.append(text[opened.end() : end.start() if end else len(text)])
        position = end.end() if end else len(text)
        opened = _OPEN.search(text, position)
    spans.append((position, len(text)))
    spans = [span for span in (_stripped(text, *span) for span in spans) if span[0] < span[1]]
    if len(spans) == 1:
        spans = [_unwrapped(text, *spans[0])]
    return Told(
        "\n".join(text[start:end] for start, end in spans).strip(),
        "\n".join(filter(None, (thought.strip() for thought in thoughts))),
        tuple(spans),
    )


def starts_reasoning(text: str) -> bool:
    """Whether a text, which may be cut, begins with an opening tag."""
    return _OPEN.match(text.lstrip()) is not None


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _unwrapped(text: str, start: int, end: int) -> tuple[int, int]:
    for form in _WRAPPED:
        if found := form.match(text[start:end]):
            return _stripped(text, start + found.start("inner"), start + found.end("inner"))
    return start, end


class Speech:
    """Of a text that is still coming, what is answer and can be shown at once.

    Reasoning at the start is left out. What looks like the start of a tag is held back until it is known.
    `split_reasoning` has the last word when the text is complete.
    """

    def __init__(self) -> None:
        self._held, self._speaks = "", False
        self._closing: re.Pattern[str] | None = None

    def feed(self, text: str) -> str:
        """Return the part of the text that can be shown; "" while the model reasons."""
        if self._speaks:
            return text
        self._held += text
        if self._closing is None:
            head = self._held.lstrip()
            if (opened := _OPEN.match(head)) is None:
                if _may_open(head):
                    return ""
                said, self._held, self._speaks = self._held, "", True
                return said
            self._closing = _closing(opened)
            self._held = head[opened.end() :]
        if (end := self._closing.search(self._held)) is None:
            self._held = self._held[-_LONGEST_TAG:]
            return ""
        rest, self._held, self._closing = self._held[end.end() :], "", None
        return self.feed(rest.lstrip())

    @property
    def reasons(self) -> bool:
        """Whether an opening tag has come, and no answer yet."""
        return self._closing is not None


def _may_open(head: str) -> bool:
    """Whether an opening tag may still come of this start."""
    low = head.lower()
    if len(head) > _LONGEST_TAG:
        return False
    return re.fullmatch(r"<[\w:.-]*", head) is not None or any(a.lower().startswith(low) for a, _ in _MARKS)
