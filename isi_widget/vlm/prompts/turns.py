"""What a conversation holds before the question: a system prompt, and earlier turns of user and model.

Both are the same for every stimulus that a model meets, so they belong to the model, not to the stimulus.
Not for placing them in a prompt (see `template.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isi_widget.errors import InputError

#: Earlier turns, each what the user said and what the model answered.
History = tuple[tuple[str, str], ...]
_LONGEST = 200
_FORMS = (
    "Give pairs of texts, [('What do you see?', 'A scene.'), ...], or messages "
    "{'role': 'user' | 'assistant', 'content': 'text'} in turn."
)


def checked_system(system: object) -> str | None:
    """Return a system prompt, stripped; None if there is none.

    Raises
    ------
    InputError
        If it is no text, or an empty one.
    """
    if system is None:
        return None
    if not isinstance(system, str) or not system.strip():
        raise InputError(f"system is {system!r}; give the text of a system prompt, or None for none.")
    return system.strip()


def checked_history(history: object) -> History:
    """Earlier turns as pairs (user, model), stripped, oldest first.

    Parameters
    ----------
    history : None, pairs of texts, or messages with `role` and `content`, user and assistant in turn.

    Raises
    ------
    InputError
        For another form, an empty text, or more than 200 turns.
    """
    if history is None:
        return ()
    if isinstance(history, str | Mapping) or not isinstance(history, Sequence):
        raise InputError(f"history is {type(history).__name__}. {_FORMS}")
    items: list[Any] = list(history)
    pairs = _pairs(items) if items and all(isinstance(item, Mapping) for item in items) else items
    if len(pairs) > _LONGEST:
        raise InputError(f"history has {len(pairs)} turns; at most {_LONGEST} are taken.")
    return tuple(_turn(number, pair) for number, pair in enumerate(pairs))


def _pairs(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    roles = [message.get("role") for message in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        named = ", ".join(map(repr, roles[:4]))
        raise InputError(
            f"The messages of history have the roles {named}{', ...' if len(roles) > 4 else ''}; expected "
            f"user and "
            "assistant in turn, ending with the assistant. A system prompt goes into system=."
        )
    texts = [message.get("content") for message in messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _turn(number: int, pair: object) -> tuple[str, str]:
    texts = list(pair) if isinstance(pair, Sequence) and not isinstance(pair, str) else []
    if len(texts) != 2 or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"Turn {number} of history is {pair!r}. {_FORMS}")
    return texts[0].strip(), texts[1].strip()
