"""Groups of tokens of a pair: those that interventions name, and what its change of picture or text concerns.

    edited region    image tokens that show a pixel in which the two pictures differ
    other image      the other image tokens
    edited words     tokens of context and question that differ between the two prompts

Not for groups of one prompt alone (`isi_widget.interventions.tokens`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from isi_widget.concepts.pair import TEXTS, Pair
from isi_widget.concepts.pair_tokens import touches
from isi_widget.errors import InputError
from isi_widget.interventions.tokens import GROUPS, Tokens, check_tokens, words

if TYPE_CHECKING:
    from isi_widget.vlm import VLM
    from isi_widget.vlm.prompts.prompt import Prompt

EDITED, OTHER, WORDS = "edited region", "other image", "edited words"
#: The groups that belong to a pair.
OF_PAIRS = (EDITED, OTHER, WORDS)
#: Name -> a group of a pair, or tokens as interventions take them.
Groups: TypeAlias = "Mapping[str, Tokens]"


def check_groups(value: Any, name: str) -> dict[str, Tokens]:
    """Return groups by name.

    Parameters
    ----------
    value
        A group, several groups, or {name: group}. A group is one of `OF_PAIRS`, or tokens as interventions
        take them: a name, positions, `ImageTokens(region)`. Inside a mapping, a group may also be several
        names together.

    Raises
    ------
    InputError
        If one of them is no group, or none is given.
    """
    if isinstance(value, Mapping):
        found = {str(key): check_group(item, name) for key, item in value.items()}
    else:
        items = [value] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
        if items and all(isinstance(item, int | np.integer) for item in items):
            items = [tuple(items)]
        checked = [check_group(item, name) for item in items]
        found = {title(item): item for item in checked}
        if len(found) < len(checked):
            raise InputError(f"{name}: two groups have the same name; give them as {{name: group}}.")
    if not found:
        raise InputError(f"{name} is empty: give at least one group of tokens.")
    return found


def title(group: Tokens) -> str:
    """Return the name of a group that was given without one."""
    return words(group)


def check_group(value: Any, name: str) -> Tokens:
    """Return one group of tokens in its normal form; see `check_groups`."""
    if isinstance(value, str) and value in OF_PAIRS:
        return value
    if isinstance(value, str) and value not in GROUPS:
        raise InputError(f"{name} must be of {', '.join((*OF_PAIRS, *GROUPS))}; got {value!r:.60}.")
    return check_tokens(value, name)


def positions(vlm: VLM, prompt: Prompt, group: Tokens, pair: Pair | None, other: Prompt | None) -> list[int]:
    """Return the positions of a group in a prompt of a pair, sorted; empty if it has none there.

    Parameters
    ----------
    prompt
        The prompt of one side.
    pair
        The pair; None where there is only one stimulus, which has none of `OF_PAIRS`.
    other
        The prompt of the other side.

    Raises
    ------
    InputError
        If it cannot be known which tokens belong to the group, with the reason.
    """
    from isi_widget.vlm.inside.groups import span_of

    if not isinstance(group, str) or group not in OF_PAIRS:
        found = span_of(group, prompt, lambda: vlm.boxes(prompt)).prompt
        return [int(at) for at in found.nonzero().squeeze(1)]
    if pair is None or other is None:
        raise InputError(f"{group!r} is a group of a pair, clean and corrupt; here is one stimulus alone.")
    if group == WORDS:
        return _edited_words(prompt, other)
    return _image(vlm, prompt, pair, edited=group == EDITED)


def _image(vlm: VLM, prompt: Prompt, pair: Pair, *, edited: bool) -> list[int]:
    """Return the image tokens that show a pixel that differs, or the others."""
    image = prompt.indices("image")
    if pair.pixels is None:
        raise InputError(
            'The two pictures have different sizes, so the edited region is not known. Use the group "image" '
            "or isi.ImageTokens(region)."
        )
    if reason := vlm.unavailable.get("image_map", ""):
        raise InputError(f"Which image tokens show the edited region is not known: {reason}")
    inside = touches(vlm.boxes(prompt), pair.pixels)
    return [at for at, member in zip(image, inside, strict=True) if bool(member) == edited]


def _edited_words(prompt: Prompt, other: Prompt) -> list[int]:
    """Return the tokens of the texts that differ; of texts of different length none: none corresponds."""
    found = []
    for name in TEXTS:
        mine, theirs = prompt.indices(name), other.indices(name)
        if len(mine) == len(theirs):
            found += [one for one, two in zip(mine, theirs, strict=True) if prompt.ids[one] != other.ids[two]]
    return sorted(found)


def usual(vlm: VLM, pair: Pair, prompt: Prompt) -> dict[str, Tokens]:
    """Return the groups of a trace that was given none: parts of picture and texts, and the last token."""
    found: list[Tokens] = ["image"]
    if not pair.same_pixels and pair.pixels is not None and not vlm.unavailable.get("image_map", ""):
        found = [EDITED, OTHER]
    if prompt.indices("context"):
        found.append("context")
    if set(pair.inputs) & set(TEXTS):
        found.append(WORDS)
    return {title(group): group for group in [*found, "question", "last"]}
