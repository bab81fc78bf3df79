"""From the server's replies, whole or in chunks, to `Answer`s. Nothing in a reply is taken on trust.

Not for sending requests (see `server.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from isi_widget.answer import Answer
from isi_widget.vlm.remote.errors import BadReply, ContentFiltered

#: "Very unlikely, not among the most likely tokens": the protocol's stand-in, not a measured number.
_NOT_TOLD = -9999.0


@dataclass(frozen=True)
class Token:
    """One token as the server tells it.

    Attributes
    ----------
    text : its text; spelling : its UTF-8 bytes (a part of a character has no text of its own).
    logprob : natural logarithm; NaN where not told.
    top : (text, spelling, log-probability) of the most likely tokens in its place; empty where not told.
    """

    text: str
    spelling: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """What one reply, or one chunk of a stream, adds to one answer.

    Attributes
    ----------
    index : which of the answers of the request. text : what is added.
    tokens : its tokens, or None where the server tells no log-probabilities.
    finish : why the answer ended ("stop", "length"), or None while it goes on.
    """

    index: int
    text: str
    tokens: tuple[Token, ...] | None
    finish: str | None


def read(reply: Any, *, streamed: bool) -> Iterator[Piece]:
    """The pieces of a reply of the `openai` client: a completion, or a chunk of a streamed one.

    Raises
    ------
    BadReply, ContentFiltered
    """
    choices = _get(reply, "choices")
    if not isinstance(choices, list):
        raise BadReply(f"The reply has no list of choices: {_shown(reply)}.")
    if not choices and not streamed:  # the last chunk of a stream may carry nothing but the usage
        raise BadReply("The reply has no choices: the server gave no answer.")
    for choice in choices:
        index, finish = _get(choice, "index"), _get(choice, "finish_reason")
        message = _get(choice, "delta" if streamed else "message")
        text = _get(message, "content")
        if index is None and len(choices) == 1:
            index = 0
        whole = isinstance(index, int) and not isinstance(index, bool)
        if not whole or not isinstance(text, str | None) or not isinstance(finish, str | None):
            raise BadReply(f"A choice of the reply cannot be read: {_shown(choice)}.")
        if finish == "content_filter":
            raise ContentFiltered(
                "The server's content filter withheld an answer. Change the image, the context or the "
                "question. The other answers of this call are dropped: what is left would be a biased sample."
            )
        if refusal := _get(message, "refusal"):
            raise ContentFiltered(f"The server gave a refusal in place of an answer: {_shown(refusal)}.")
        if finish not in (None, "stop", "length"):
            raise BadReply(f"The answer ended by {finish!r}; expected 'stop' or 'length'.")
        yield Piece(index, text or "", _tokens(choice), finish)


def _get(part: Any, name: str) -> Any:
    """A field of a reply; the client builds its objects without looking, so anything may be missing."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


def _shown(part: Any) -> str:
    text = repr(part)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _tokens(choice: Any) -> tuple[Token, ...] | None:
    told = _get(_get(choice, "logprobs"), "content")
    if not isinstance(told, list):
        return None
    return tuple(
        Token(*_token(entry), tuple(_token(other) for other in _get(entry, "top_logprobs") or ()))
        for entry in told
    )


def _token(entry: Any) -> tuple[str, bytes, float]:
    text, spelling, logprob = (_get(entry, name) for name in ("token", "bytes", "logprob"))
    number = isinstance(logprob, int | float | None) and not isinstance(logprob, bool)
    if not isinstance(text, str) or not number or (logprob is not None and logprob > 1e-3):
        raise BadReply(f"A token of the reply cannot be read: {_shown(entry)}.")
    told = logprob is not None and logprob > _NOT_TOLD
    try:
        data = text.encode() if spelling is None else bytes(spelling)
    except (TypeError, ValueError):
        raise BadReply(f"The bytes of a token cannot be read: {_shown(spelling)}.") from None
    return text, data, min(float(logprob), 0.0) if told else math.nan


@dataclass
class Reply:
    """One answer while it comes in."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the server has said why the answer ended."""
        return bool(self.pieces) and self.pieces[-1].finish is not None

    def add(self, piece: Piece) -> None:
        """Take in one more piece."""
        if not self.complete:
            self.pieces.append(piece)
        elif piece.text or piece.tokens:
            raise BadReply("The server added text to an answer after it had ended it.")

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(piece.text for piece in self.pieces)

    def tokens(self) -> list[Token] | None:
        """The tokens with their log-probabilities, without the end of sequence; None where not told.

        Tokens that do not spell the text (those of a hidden chain of thought, say) are not those of the
        answer, and are not used.
        """
        if any(piece.tokens is None and piece.text for piece in self.pieces):
            return None
        tokens = [token for piece in self.pieces for token in piece.tokens or ()]
        ended = self.complete and self.pieces[-1].finish == "stop"
        if ended and tokens and not (tokens[-1].spelling and _spells(tokens, self.text)):
            tokens = tokens[:-1]  # some servers list the end-of-sequence token too, empty or by its name
        told = _spells(tokens, self.text) and not any(math.isnan(token.logprob) for token in tokens)
        return tokens if told else None

    def answer(self) -> Answer:
        """The finished answer. Token ids are -1; log-probabilities are NaN where they are not told."""
        tokens = self.tokens()
        if tokens is None:
            texts = tuple(piece.text for piece in self.pieces if piece.text)
            logprobs: tuple[float, ...] = (math.nan,) * len(texts)
        else:
            texts, logprobs = tuple(t.text for t in tokens), tuple(t.logprob for t in tokens)
        return Answer(
            text=self.text.strip(),
            token_ids=(-1,) * len(texts),
            tokens=texts,
            logprobs=logprobs,
            finished=self.pieces[-1].finish == "stop",
        )


def _spells(tokens: list[Token], text: str) -> bool:
    """Whether the tokens make up the text, up to white space around it, which some servers strip."""
    return b"".join(token.spelling for token in tokens).strip() == text.encode().strip()
