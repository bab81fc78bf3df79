"""Concepts in a picture and a text: minimal pairs, which differ in one of them.

Works without torch. Not for running models: rooms above take what is made here.
"""

from isi_widget.concepts.pair import Pair
from isi_widget.concepts.pair_tokens import TokenDifference
from isi_widget.concepts.replacing import (
    Replacement,
    TokenReplacements,
    replace_tokens,
    token_replacements,
)

__all__ = [
    "Pair",
    "Replacement",
    "TokenDifference",
    "TokenReplacements",
    "replace_tokens",
    "token_replacements",
]
