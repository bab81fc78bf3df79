"""From the server's replies, whole or in chunks, to `Answer`s. Nothing in a reply is taken on trust.

Not for sending requests (see `server.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from isi_widget.answer import Answer
from isi_widget.text import held_half, repaired
from isi_widget.text.wording import yes_or_no
from isi_widget.vlm.remote.errors import BadReply, ContentFiltered, ServerFailed
from isi_widget.vlm.remote.reasoning import Speech, Told, split_reasoning

#: "Very unlikely, not among the most likely tokens": the protocol's stand-in, not a measured number.
_NOT_TOLD = -9999.0
#: Most UTF-8 bytes of a token; most characters of an answer per requested token, and in addition.
_LONGEST_TOKEN = 4096
_CHARACTERS, _MORE_CHARACTERS, _MOST_REASONING = 256, 10_000, 2_000_000

# Why an answer ended, as servers word it; lower case, "_" for "-".
_GOES_ON = {"null", "none"}
_STOP = {"stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "done", "complete", "completed"}
_CUT = {"length", "max_tokens", "max_length", "model_length", "max_output_tokens", "max_new_tokens"}
_CUT |= {"token_limit", "incomplete"}
_WITHHELD = {"content_filter", "safety", "refusal", "recitation", "blocklist", "prohibited_content", "spii"}
_WITHHELD |= {"sensitive"}
_FAILED = {"tool_calls", "tool_call", "tool_use", "function_call", "error", "abort", "aborted", "cancelled"}
_FAILED |= {"canceled", "malformed_function_call", "insufficient_system_resource"}
#: Parts of words that are not listed: a limit that was reached, and a failure.
_CUT_PARTS, _FAILED_PARTS = ("length", "limit", "max_", "truncat"), ("error", "fail", "timeout", "timed_out")
_UNREADABLE = object()
#: Where servers put reasoning, beside the content.
_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought", "reasoning_details")


@dataclass(frozen=True)
class Token:
    """One token from the server.

    Attributes
    ----------
    text : text of the token.
    spelling : UTF-8 bytes of the token (a part of a character has no text).
    logprob : natural log-probability; NaN if not reported.
    top : (text, spelling, log-probability) of the most likely tokens at its position; empty if not reported.
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
    index : number of the answer in the request.
    text : added text; may end in half a character.
    tokens : tokens of the text, or None if the server reports no log-probabilities.
    finish : why the answer ended ("stop", "length"); None while it goes on; "" where the server gives an
        empty reason: it may go on, and has ended by itself if nothing more comes.
    reasoning : added reasoning before the answer, if the server sends it separately.
    unknown : the server's word for the end of the answer, if it is unknown.
    """

    index: int
    text: str
    tokens: tuple[Token, ...] | None
    finish: str | None
    reasoning: str = ""
    unknown: str = ""


def read(reply: Any, *, streamed: bool) -> Iterator[Piece]:
    """Return the pieces of a reply of the `openai` client: a completion, or a chunk of a streamed one.

    Raises
    ------
    BadReply, ContentFiltered
    """
    choices = _get(reply, "choices")
    if not choices and (failure := _failure(reply)):
        raise ServerFailed(f"The server reports an error in place of an answer: {failure}")
    if choices is None and streamed and not isinstance(reply, int | float | str | list):
        return  # the last chunk of a stream may carry nothing but the usage
    if not isinstance(choices, list):
        raise BadReply(_other_protocol(reply) or f"The reply has no list of choices: {_shown(reply)}.")
    if not choices and not streamed:
        raise BadReply("The reply has no choices: the server gave no answer.")
    for choice in choices:
        given = _get(choice, "index")
        index = 0 if given is None and len(choices) == 1 else _index(given)
        # Some servers send whole messages in a stream, or the texts of the older completions.
        message = _get(choice, "delta" if streamed else "message") or _get(
            choice, "message" if streamed else "delta"
        )
        content = _content(_get(choice, "text") if message is None else _get(message, "content"))
        finish = _word(_get(choice, "finish_reason"))
        if index is None or content is None or finish is _UNREADABLE:
            raise BadReply(f"A choice of the reply cannot be read: {_shown(choice)}.")
        if refusal := _get(message, "refusal"):
            raise ContentFiltered(f"The server gave a refusal in place of an answer: {_shown(refusal)}.")
        if _get(message, "tool_calls") or _get(message, "function_call"):
            raise BadReply("The model called a tool in place of an answer; none was offered.")
        text, reasoning = content
        reasoning += next((t for name in _REASONING if (t := _thought(_get(message, name)))), "")
        # Tokens beside nothing but reasoning are those of the reasoning.
        tokens = () if reasoning and not text else _tokens(choice)
        ended, unknown = _finish(finish, streamed)
        yield Piece(index, text, tokens, ended, reasoning, unknown)


def _finish(reason: str | None, streamed: bool) -> tuple[str | None, str]:
    """(why it ended, as `Piece.finish`; the reason itself where it is not known)."""
    word = "" if reason is None else reason.strip().lower().replace("-", "_").replace(" ", "_")
    word = re.sub(r"^finish_?reason[._]", "", word)  # "FinishReason.STOP", the name of an enumeration
    if reason is None or word in _GOES_ON:
        return None, ""
    if not word:  # some servers send it with every chunk
        return "" if streamed else "stop", ""
    if word in _WITHHELD:
        raise ContentFiltered(
            "The server's content filter withheld an answer. Change the image, the context or the "
            "question. The other answers of this call are dropped: they would be a biased sample."
        )
    known = word in _STOP or word in _CUT
    if word in _FAILED or (not known and any(part in word for part in _FAILED_PARTS)):
        raise BadReply(f"The answer ended by {_shown(reason)}; expected 'stop' or 'length'.")
    if word in _CUT or (not known and any(part in word for part in _CUT_PARTS)):
        return "length", ""
    return "stop", "" if known else repaired(reason.strip()[:40])


def _word(reason: Any) -> Any:
    """Return the word of a reason as servers send it: a text, an object with its name, or another plain value
    as text; `_UNREADABLE` for others.
    """
    if reason is None or isinstance(reason, str):
        return reason
    if isinstance(reason, int | float):
        return str(reason)
    named = (_get(reason, name) for name in ("type", "reason", "name", "value"))
    return next((name for name in named if isinstance(name, str)), _UNREADABLE)


def _index(index: Any) -> int | None:
    """Return the number of an answer, also as a text or as 0.0; None for what is none."""
    if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) < 10:
        return int(index)
    if isinstance(index, float) and index.is_integer():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _failure(reply: Any) -> str:
    """Return the server's words in a reply that is an error and has no choices; "" for others."""
    names = ("error", "detail", "message") if _get(reply, "object") != "error" else ("message", "error")
    for name in names:
        told = _get(reply, name)
        if name != "message" and told is not None and not isinstance(told, str):
            told = _get(told, "message") or _shown(told)
        if isinstance(told, str) and told.strip():
            return _shown_text(told)
    return ""


def _other_protocol(reply: Any) -> str:
    """Return what a reply without choices is, with what to do; "" if it is not known."""
    if isinstance(reply, str):
        start = reply.lstrip().lower()
        if start.startswith("<"):
            return web_page(reply)
        if start.startswith(("data:", "event:", ":")):
            return "The server streams its reply though none was requested: connect with stream=True."
        return ""
    first = reply[0] if isinstance(reply, list) and reply else reply
    known = (
        ("Ollama's own API", _get(first, "done") is not None),
        ("Anthropic's API", _get(first, "type") == "message"),
        ("the Responses API", _get(first, "object") == "response"),
        ("Text Generation Inference", _get(first, "generated_text") is not None),
    )
    title = next((title for title, fits in known if fits), "")
    return title and (
        f"The reply is in the form of {title}, not of chat completions. Give the base_url of the "
        "OpenAI-compatible API of this server: it often ends in /v1."
    )


def web_page(text: str) -> str:
    """Return the message for a page for people in place of a reply."""
    shown = " ".join(text.split())[:160]
    return (
        f"The server sent a web page in place of an answer: {shown!r}. Check base_url: it often ends in /v1, "
        "and a page to log in may stand before the server."
    )


def _content(content: Any) -> tuple[str, str] | None:
    """(text, reasoning) of a content: a text, nothing, one part or a list of them; None for others.

    A part is a text, or an object with a text; reasoning has a type of its own. Parts without words
    (encrypted reasoning, references) add nothing.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        content = [content]
    text = reasoning = ""
    for part in content:
        kind, told = _get(part, "type"), _get(part, "text")
        if isinstance(part, str):
            text += part
        elif kind in ("thinking", "reasoning"):
            reasoning += _thought(_get(part, kind)) or _thought(told)
        elif isinstance(told, str) and kind in (None, "text", "output_text"):
            text += told
        elif not isinstance(kind, str) or kind in ("text", "output_text"):
            return None
    return text, reasoning


def _thought(told: Any) -> str:
    """Reasoning as servers send it: a text, an object that holds one, or a list of these; "" for others."""
    if isinstance(told, str):
        return told
    if isinstance(told, list):
        return "".join(map(_thought, told))
    return next((t for name in ("text", "content", "summary") if isinstance(t := _get(told, name), str)), "")


def _get(part: Any, name: str) -> Any:
    """Return a field of a reply; the client does not check its objects, so anything may be missing."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


def _shown(part: Any) -> str:
    return _shown_text(repr(part))


def _shown_text(text: str) -> str:
    text = repaired(text)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _tokens(choice: Any) -> tuple[Token, ...] | None:
    told = _get(_get(choice, "logprobs"), "content")
    if not isinstance(told, list):
        return None
    tokens = []
    for entry in told:
        top = _get(entry, "top_logprobs") or ()
        if not isinstance(top, list | tuple):
            raise BadReply(f"A token of the reply cannot be read: {_shown(entry)}.")
        tokens.append(Token(*_token(entry), tuple(_token(other) for other in top)))
    return tuple(tokens)


def _token(entry: Any) -> tuple[str, bytes, float]:
    text, spelling, logprob = (_get(entry, name) for name in ("token", "bytes", "logprob"))
    number = isinstance(logprob, int | float | None) and not isinstance(logprob, bool)
    if not isinstance(text, str) or not number or (logprob is not None and logprob > 1e-3):
        raise BadReply(f"A token of the reply cannot be read: {_shown(entry)}.")
    told = logprob is not None and logprob > _NOT_TOLD
    # a list of bytes: a number would be taken for a length
    listed = isinstance(spelling, list) and len(spelling) <= _LONGEST_TOKEN
    if not (spelling is None or (listed and all(type(b) is int and 0 <= b < 256 for b in spelling))):
        raise BadReply(f"The bytes of a token cannot be read: {_shown(spelling)}.")
    data = text.encode("utf-8", "surrogatepass") if spelling is None else bytes(spelling)
    return repaired(text), data, min(float(logprob), 0.0) if told else math.nan


@dataclass
class Reply:
    """One answer while it comes in.

    Attributes
    ----------
    most_tokens : number of requested tokens; a reply that is far longer is abandoned. None: no bound.
    """

    most_tokens: int | None = None
    pieces: list[Piece] = field(default_factory=list)
    _speech: Speech = field(default_factory=Speech)
    _half: str = ""
    _said: int = 0  # characters
    _thought: int = 0
    _finish: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the server has said why the answer ended."""
        return bool(self._finish)

    def close(self) -> None:
        """Nothing more comes: an empty reason, if it was the last word, was the end."""
        if self._finish == "":
            self._finish = "stop"

    def add(self, piece: Piece) -> list[tuple[str, float]]:
        """Take in one more piece; returns what of it can be shown, (text, log-probability or NaN) each.

        Raises
        ------
        BadReply
            It comes after the end, or is far longer than requested.
        """
        adds = bool(piece.text or piece.tokens or piece.reasoning)
        if self.complete:
            if adds:
                raise BadReply("The server added text to an answer after it had ended it.")
            return []
        if not adds and piece.finish is None:
            return []
        self._finish = piece.finish
        text, self._half = held_half(self._half + piece.text)
        if piece.finish and self._half:
            text, self._half = text + self._half, ""
        text = repaired(text)
        self._said += len(text)
        self._thought += len(piece.reasoning)
        self._check_length()
        self.pieces.append(
            Piece(piece.index, text, piece.tokens, piece.finish, piece.reasoning, piece.unknown)
        )
        if piece.tokens:
            told = [(self._speech.feed(token.text), token.logprob) for token in piece.tokens]
        else:
            told = [(self._speech.feed(text), math.nan)] if text else []
        return [(said, logprob) for said, logprob in told if said]

    def _check_length(self) -> None:
        if self.most_tokens is None:
            return
        most = _CHARACTERS * self.most_tokens + _MORE_CHARACTERS
        if self._said > most + _MOST_REASONING * self._speech.reasons or self._thought > _MOST_REASONING:
            raise BadReply(
                f"The server went on far beyond max_new_tokens={self.most_tokens}; its answer was left. If "
                "it knows that setting by another name: connect(..., fields={'max_new_tokens': "
                "'max_completion_tokens'})."
            )

    @property
    def text(self) -> str:
        """The text so far, reasoning in tags included."""
        return "".join(piece.text for piece in self.pieces) + repaired(self._half)

    @property
    def reasons(self) -> bool:
        """Whether it has begun to reason, and said nothing yet."""
        return self._speech.reasons or (not self.text.strip() and any(p.reasoning for p in self.pieces))

    def tokens(self) -> list[Token] | None:
        """Return the tokens with their log-probabilities, without the end of sequence; None if not reported.

        Tokens that do not spell the text (those of a hidden chain of thought, say) are not those of the
        answer, and are not used.
        """
        if any(piece.tokens is None and piece.text for piece in self.pieces):
            return None
        tokens = [token for piece in self.pieces for token in piece.tokens or ()]
        text = self.text
        if self._finish == "stop" and tokens and not (tokens[-1].spelling and _spells(tokens, text)):
            tokens = tokens[:-1]  # some servers list the end-of-sequence token too, empty or by its name
        told = _spells(tokens, text) and not any(math.isnan(token.logprob) for token in tokens)
        return tokens if told else None

    def answer(self) -> Answer:
        """Return the finished answer. Token ids are -1; log-probabilities are NaN if they are not reported.

        Reasoning is kept apart, whether the server does so or the model wrote it in tags; tokens and
        log-probabilities are those of the answer alone, given the reasoning.
        """
        text = self.text
        told = split_reasoning(text)
        tokens = self.tokens()
        if tokens is not None and told.answer != text.strip():
            tokens = _of_answer(tokens, text, told)
        if tokens is not None:
            texts, logprobs = tuple(t.text for t in tokens), tuple(t.logprob for t in tokens)
        else:
            chunks = [piece.text for piece in self.pieces if piece.text]
            whole = told.answer == text.strip()
            texts = tuple(chunks) if whole else (told.answer,) * bool(told.answer)
            logprobs = (math.nan,) * len(texts)
        apart = repaired("".join(piece.reasoning for piece in self.pieces)).strip()
        return Answer(
            text=told.answer,
            token_ids=(-1,) * len(texts),
            tokens=texts,
            logprobs=logprobs,
            finished=self._finish == "stop",
            reasoning="\n".join(filter(None, (apart, told.reasoning))),
        )


def _spells(tokens: list[Token], text: str) -> bool:
    """Whether the tokens make up the text, up to white space around it, which some servers strip."""
    return b"".join(token.spelling for token in tokens).strip() == text.encode().strip()


def _of_answer(tokens: list[Token], text: str, told: Told) -> list[Token] | None:
    """Of the tokens that spell the whole text those of its answer; None where the two do not part cleanly."""
    spelled = b"".join(token.spelling for token in tokens)
    # the tokens may have white space before the text that the server has stripped, or the other way round
    shift = (len(spelled) - len(spelled.lstrip())) - (len(text.encode()) - len(text.lstrip().encode()))
    places = [tuple(len(text[:at].encode()) + shift for at in span) for span in told.spans]
    found, position = [], 0
    for token in tokens:
        end = position + len(token.spelling)
        if any(position < high and end > low for low, high in places):
            found.append(token)
        position = end
    return found if _spells(found, told.answer) else None


def yes_no_of(first: Token) -> dict[str, float]:
    """Return the probabilities of yes, no and the rest from the likeliest first tokens."""
    told = list(first.top)
    if all((text, spelling) != (first.text, first.spelling) for text, spelling, _ in told):
        told.append((first.text, first.spelling, first.logprob))  # drawn, but not among the likeliest
    found = {"yes": 0.0, "no": 0.0}
    for text, _, logprob in told:
        word = yes_or_no(text)
        if word is not None and not math.isnan(logprob):
            found[word] += math.exp(logprob)
    return {**found, "rest": max(0.0, 1.0 - found["yes"] - found["no"])}
