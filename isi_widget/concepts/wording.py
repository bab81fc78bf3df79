"""Which words differ between two texts. Not for tokens, which depend on a model (see `pair_tokens`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

#: A word, or one other character; white space belongs to what is before it.
_PIECE = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")


@dataclass(frozen=True)
class Wording:
    """A piece of two texts: equal in both, or what stands in its place.

    clean : piece of the first text; "" if it has none there.
    corrupt : piece of the second text; "" if it has none there.
    """

    clean: str
    corrupt: str

    @property
    def same(self) -> bool:
        """Whether the piece is equal in both."""
        return self.clean == self.corrupt


def compared(clean: str, corrupt: str) -> tuple[Wording, ...]:
    """Split two texts into pieces that are equal or differ; their concatenation gives the texts."""
    one, two = _PIECE.findall(clean), _PIECE.findall(corrupt)
    matcher = SequenceMatcher(None, one, two, autojunk=False)
    return tuple(Wording("".join(one[a:b]), "".join(two[c:d])) for _, a, b, c, d in matcher.get_opcodes())
