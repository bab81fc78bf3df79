"""What a scan looks at: a stimulus with its true answer and a wrong one, and their tokens for one model.

`items_of` reads observations, pairs or tuples; no model is needed. `aim_of` finds the tokens of both answers
as one model words them. Not for what is measured of them (`targets`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isi_widget.concepts.pair import Pair
from isi_widget.datasets import Observation
from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.stimulus import Stimulus, checks
from isi_widget.text.wording import yes_or_no

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM

_OPPOSITE = {"yes": "No", "no": "Yes"}
_GIVE = (
    "Give observations with an answer, (stimulus, answer) or (stimulus, answer, wrong answer) tuples, or "
    "isi.Pair objects."
)


@dataclass(frozen=True)
class Item:
    """One stimulus of a scan.

    Attributes
    ----------
    stimulus
        What the model is shown.
    answer
        The true answer.
    wrong
        A wrong answer that it is compared with; None: the model's own most probable other first token.
    level
        Semantic level ("object", "attribute", "relation", ...); None if unknown.
    name
        Name of the item, for tables and messages.
    """

    stimulus: Stimulus
    answer: str
    wrong: str | None = None
    level: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Aim:
    """The tokens of an item's answers in the vocabulary of one model.

    Attributes
    ----------
    right, wrong
        Ids of the first tokens of the true and of the wrong answer.
    right_text, wrong_text
        Their texts.
    answer_ids
        Token ids of the whole true answer.
    chosen
        Whether the wrong token is the model's own choice, not the first of a given answer.
    """

    right: int
    wrong: int
    right_text: str
    wrong_text: str
    answer_ids: tuple[int, ...]
    chosen: bool = False


def items_of(stimuli: Any) -> tuple[Item, ...]:
    """Return the items of a scan.

    Parameters
    ----------
    stimuli
        A data set or a sequence of observations, stimuli with a known truth, (stimulus, answer) or
        (stimulus, answer, wrong answer) tuples, or pairs (their clean side; the wrong answer is that of the
        corrupt side). One of these alone counts as a sequence of one.

    Raises
    ------
    InputError
        Without items, for anything else, or where the true answer is not known.
    """
    one = isinstance(stimuli, Observation | Stimulus | Pair) or (
        isinstance(stimuli, tuple) and len(stimuli) in (2, 3) and isinstance(stimuli[1], str)
    )
    given = [stimuli] if one else stimuli
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"The stimuli of a scan are a sequence; got {type(given).__name__}. {_GIVE}")
    if not len(given):
        raise InputError(f"A scan needs at least one stimulus; got none. {_GIVE}")
    return tuple(_item(value, index) for index, value in enumerate(given))


def usable(
    vlm: VLM, stimuli: Any, on_error: str, function: str, cancel: Cancel | None = None
) -> tuple[Any, tuple[str, ...]]:
    """Return the stimuli that a scan can use, and with on_error="skip" why the others are left out.

    Each is read once by the model for that: its picture may be damaged, its text too long, its answer
    unknown or of no token, its logits NaN.

    Raises
    ------
    InputError
        None is left.

    Warns
    -----
    UserWarning
        Some are left out.
    """
    checks.on_error(on_error)
    if on_error == "raise" or isinstance(stimuli, str | tuple) or not isinstance(stimuli, Sequence):
        return stimuli, ()
    left: list[Any] = []
    skipped: list[str] = []
    for index, value in enumerate(stimuli):
        if cancel is not None and cancel():
            raise Cancelled(f"{function} was cancelled.")
        try:
            item = _item(value, index)
            aim_of(vlm, item, vlm.prefill(item.stimulus, attention=False).logits)
            left.append(value)
        except (Cancelled, OutOfMemory):
            raise
        except (InputError, RuntimeError) as error:
            skipped.append(f"{_name(value, str(index))} was left out: {error}")
    if not left and skipped:
        raise InputError(f"{function}: no item can be used. The first, {skipped[0]}")
    if skipped:
        count = f"{len(skipped)} of {len(stimuli)} items {'was' if len(skipped) == 1 else 'were'} left out"
        warnings.warn(f"{function}: {count}. {' '.join(skipped[:3])}", UserWarning, stacklevel=4)
    return left, tuple(skipped)


def _item(value: Any, index: int) -> Item:
    name = str(index)
    if isinstance(value, Pair):
        answer, wrong = value.truths
        return Item(value.clean, _known(answer, name), wrong, value.level, name)
    if isinstance(value, tuple) and len(value) in (2, 3):
        item = _item(value[0], index) if isinstance(value[0], Pair) else None
        stimulus = item.stimulus if item else _stimulus(value[0], name)
        answer, wrong = value[1], (value[2] if len(value) == 3 else None)
        for text in (answer, *([] if wrong is None else [wrong])):
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"Item {name}: an answer is a text that is not empty; got {text!r}.")
        level = item.level if item else _level(value[0])
        return Item(stimulus, answer.strip(), _counterpart(answer, wrong), level, _name(value[0], name))
    stimulus = _stimulus(value, name)
    name = _name(value, name)
    answer = _known(stimulus.truth if stimulus.truth_holds else None, name)
    return Item(stimulus, answer, _counterpart(answer, None), _level(value), name)


def _stimulus(value: Any, name: str) -> Stimulus:
    if isinstance(value, Stimulus):
        return value
    if isinstance(value, Observation):
        return value.stimulus()
    raise InputError(f"Item {name} is of type {type(value).__name__}. {_GIVE}")


def _known(answer: str | None, name: str) -> str:
    if answer is None or not answer.strip():
        raise InputError(
            f"Item {name} has no true answer, or an edit may have changed it. Give (stimulus, answer) "
            "instead."
        )
    return answer.strip()


def _name(value: Any, name: str) -> str:
    return str(getattr(value, "id", None) or name)


def _level(value: Any) -> str | None:
    level = value.level if isinstance(value, Observation) else None
    return None if level is None else str(level)


def _counterpart(answer: str, wrong: str | None) -> str | None:
    """Return the wrong answer: the given one, "No" for yes, "Yes" for no, else None."""
    if wrong is not None:
        return wrong.strip()
    verdict = yes_or_no(answer)
    return None if verdict is None else _OPPOSITE[verdict]


# Tokens -----------------------------------------------------------------------------------------------------


def aim_of(vlm: VLM, item: Item, logits: torch.Tensor) -> Aim:
    """Return the tokens of an item's answers, as the model words them.

    An answer may begin with or without a space and with a capital or a small letter. Of these forms the one
    is taken whose first token has the highest logit.

    Parameters
    ----------
    logits
        [vocabulary], of the last position of the item's prompt, unchanged.

    Raises
    ------
    InputError
        If no token begins an answer, or both answers begin with the same token.
    """
    right = _best(vlm, item, item.answer, logits)
    if item.wrong is not None:
        wrong = _best(vlm, item, item.wrong, logits)[0]
    else:
        wrong = _other(vlm, {ids[0] for ids in _forms(vlm.tokenizer, item.answer)}, logits)
    if wrong == right[0]:
        raise InputError(
            f"Item {item.name}: {item.answer!r} and {item.wrong!r} begin with the same token "
            f"{_text(vlm.tokenizer, wrong)!r}, so their logits cannot be compared. Give answers that "
            "differ in their first token."
        )
    texts = (_text(vlm.tokenizer, right[0]), _text(vlm.tokenizer, wrong))
    return Aim(right[0], wrong, *texts, right, item.wrong is None)


def first_token(vlm: VLM, word: str, logits: torch.Tensor) -> int:
    """Return the first token of a word as the model words it at a position with these logits [vocabulary].

    Raises
    ------
    InputError
        If no token begins it.
    """
    return _best(vlm, None, word, logits)[0]


def _best(vlm: VLM, item: Item | None, word: str, logits: torch.Tensor) -> tuple[int, ...]:
    forms = _forms(vlm.tokenizer, word)
    if not forms:
        where = "" if item is None else f"Item {item.name}: "
        raise InputError(f"{where}no token of {vlm.model_id} begins the answer {word!r}.")
    return max(forms, key=lambda ids: float(logits[ids[0]]))


def _forms(tokenizer: Any, word: str) -> list[tuple[int, ...]]:
    """Return the token ids of a word with and without a space before it, with a capital or a small letter."""
    found: dict[tuple[int, ...], None] = {}
    word = word.strip()
    for form in dict.fromkeys((word, word[:1].upper() + word[1:], word[:1].lower() + word[1:], word.lower())):
        for text in (f" {form}", form):
            ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
            begins = _text(tokenizer, ids[0]).strip() if ids else ""
            # the first token may be a part of a character alone: then all of them must give the word
            part = "\N{REPLACEMENT CHARACTER}" in begins and _text(tokenizer, *ids).strip() == form
            if begins and (form.startswith(begins) or part):
                found[ids] = None
    return list(found)


def _other(vlm: VLM, taken: set[int], logits: torch.Tensor) -> int:
    """Return the most probable token that begins a word and is none of the true answer's."""
    special = set(vlm.tokenizer.all_special_ids) | set(vlm.eos_ids)
    for token in logits.topk(min(len(logits), len(taken) + len(special) + 64)).indices.tolist():
        if token not in taken and token not in special and _text(vlm.tokenizer, token).strip().isalnum():
            return int(token)
    raise InputError("No other answer was found among the model's most probable tokens. Give a wrong answer.")


def _text(tokenizer: Any, *tokens: int) -> str:
    return str(tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))
