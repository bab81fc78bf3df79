"""Symmetric token replacement: words of a text replaced by others that have as many tokens.

Then every later token keeps its position, so clean and corrupt prompts can be compared token by token (idea
of NOTICE: Golovanevsky et al., What Do VLMs NOTICE?, 2024). Tokens are counted where the words stand, in the
whole prompt of a model: the same word may have different tokens elsewhere. Not for the meaning of the new
words, nor for the true answer after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from isi_widget import checks
from isi_widget.concepts.pair import TEXTS, Pair, stimulus_of
from isi_widget.errors import InputError
from isi_widget.readable import html_table
from isi_widget.stimulus import Stimulus

_MOST = 10_000  # candidates


@dataclass(frozen=True)
class Replacement:
    """One candidate in the place of a word.

    Attributes
    ----------
    new : the candidate.
    tokens : tokens of the old and of the new words, without tokens at either end that are equal.
    counts : tokens of the whole text with the old and with the new words.
    reason : why the model refuses the text with it (the new numbers are then 0); "" if it does not.
    """

    new: str
    tokens: tuple[int, int]
    counts: tuple[int, int]
    reason: str = ""

    @property
    def symmetric(self) -> bool:
        """Whether both have as many tokens, so that no other token moves."""
        return not self.reason and self.counts[0] == self.counts[1]


@dataclass(frozen=True, repr=False)
class TokenReplacements:
    """Candidates in the place of a word, with their numbers of tokens.

    Attributes
    ----------
    stimulus : the stimulus with the old words.
    old : the words that are replaced.
    part : "question" or "context".
    model : name of the model whose tokens are counted.
    found : one `Replacement` per candidate, in the given order.
    """

    stimulus: Stimulus
    old: str
    part: str
    model: str
    found: tuple[Replacement, ...]

    @property
    def symmetric(self) -> tuple[str, ...]:
        """The candidates with as many tokens as the old words."""
        return tuple(item.new for item in self.found if item.symmetric)

    def pair(self, new: str | None = None) -> Pair:
        """Return the pair of the stimulus and the one with the new words.

        Parameters
        ----------
        new : one of the symmetric candidates; None (default) for the first.

        Raises
        ------
        InputError
            If it is not symmetric, or no candidate is.
        """
        if new not in (None, *self.symmetric) or not self.symmetric:
            counted = "; ".join(map(_counted, self.found[:20]))
            raise InputError(
                f"{'No candidate has' if new is None else f'{new!r} has not'} as many tokens as "
                f"{self.old!r} in this {self.part} for {self.model}: {counted}. Choose other words, or "
                "replace words of any length by stimulus.replace_words."
            )
        chosen = new or self.symmetric[0]
        corrupt = self.stimulus.replace_words(self.old, chosen, self.part)
        return Pair(self.stimulus, corrupt, None, f"{self.old!r} becomes {chosen!r} in the {self.part}")

    def __repr__(self) -> str:
        return (
            f"TokenReplacements({self.old!r} in the {self.part}, {self.model}; symmetric: "
            f"{', '.join(map(repr, self.symmetric)) or 'none'}; of {len(self.found)})"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                item.new,
                *(map(str, item.tokens) if not item.reason else ("", "")),
                item.reason or ("symmetric" if item.symmetric else "positions after it move"),
            )
            for item in self.found
        ]
        title = f"In place of \u201c{self.old}\u201d in the {self.part}, tokens of {self.model}"
        return html_table(title, ("candidate", "tokens of the old", "tokens of the new", ""), rows)


def token_replacements(
    vlm: Any, stimulus: Any, old: str, candidates: Iterable[str], *, part: str = "question"
) -> TokenReplacements:
    """Count the tokens of words that could replace others, in their place in the prompt.

    Parameters
    ----------
    vlm : model whose tokenizer counts; it is not run.
    stimulus : stimulus or observation.
    old : the words to replace, which stand once in the text.
    candidates : words that could stand in their place.
    part : text that holds them, "question" (default) or "context".

    Raises
    ------
    InputError
        If the old words do not stand exactly once in the text, there is no candidate, or the model cannot
        show its tokens.
    """
    checks.one_of(part, "part", TEXTS)
    shown = stimulus_of(stimulus, "stimulus")
    given = (candidates,) if isinstance(candidates, str) else tuple(candidates)
    if not 1 <= len(given) <= _MOST:
        raise InputError(f"Give from 1 to {_MOST} candidates for {old!r}; got {len(given)}.")
    changed = [shown.replace_words(old, new, part) for new in given]
    if not callable(getattr(vlm, "token_boxes", None)):
        raise InputError(f"Tokens need a VLM, as load_vlm() returns it; got {type(vlm).__name__}.")
    before = vlm.encode(shown).segment_token_ids(part)
    found = tuple(
        _counts(vlm, before, stimulus, new, part) for new, stimulus in zip(given, changed, strict=True)
    )
    return TokenReplacements(shown, old, part, vlm.model_id, found)


def replace_tokens(vlm: Any, stimulus: Any, old: str, new: str, *, part: str = "question") -> Pair:
    """Replace words by others with as many tokens, and return the pair; refuse others.

    Parameters
    ----------
    vlm : model whose tokenizer counts; it is not run.
    stimulus : stimulus or observation.
    old : the words to replace, which stand once in the text.
    new : the words in their place.
    part : text that holds them, "question" (default) or "context".

    Raises
    ------
    InputError
        If the numbers of tokens differ; the message holds both. `stimulus.replace_words` replaces words of
        any length, and `token_replacements` counts several candidates at once.
    """
    return token_replacements(vlm, stimulus, old, (new,), part=part).pair(new)


def _counts(vlm: Any, before: Sequence[int], changed: Stimulus, new: str, part: str) -> Replacement:
    try:
        after = vlm.encode(changed).segment_token_ids(part)
    except InputError as error:
        return Replacement(new, (0, 0), (len(before), 0), str(error))
    shortest = min(len(before), len(after))
    start = next((at for at in range(shortest) if before[at] != after[at]), shortest)
    end = next((at for at in range(shortest - start) if before[-1 - at] != after[-1 - at]), shortest - start)
    differ = (len(before) - start - end, len(after) - start - end)
    return Replacement(new, differ, (len(before), len(after)))


def _counted(item: Replacement) -> str:
    return f"{item.new!r} {item.reason or f'{item.tokens[1]} instead of {item.tokens[0]}'}"
