"""The tokens that read yes or no. Not for the model's probabilities of them (see `VLM.yes_no`)."""

from __future__ import annotations

from typing import Any

from isi_widget.errors import InputError
from isi_widget.text.wording import yes_or_no
from isi_widget.vlm.decoding.loop import decode


def yes_no_ids(tokenizer: Any, model_id: str) -> dict[str, tuple[int, ...]]:
    """Return the ids of all single tokens that read yes, and of those that read no.

    Raises
    ------
    InputError
        If the tokenizer has none of either.
    """
    found: dict[str, list[int]] = {"yes": [], "no": []}
    special = set(tokenizer.all_special_ids)
    for token in sorted(set(tokenizer.get_vocab().values()) - special):
        said = yes_or_no(decode(tokenizer, [token]))
        if said is not None:
            found[said].append(token)
    for word, ids in found.items():
        if not ids:
            raise InputError(
                f"The tokenizer of {model_id} has no single token for {word!r}: yes_no() is not available."
            )
    return {word: tuple(ids) for word, ids in found.items()}
