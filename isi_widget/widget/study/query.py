"""Which rows of a study a page asks for, checked.

Not for finding them (`pages`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from isi_widget.checks import is_whole
from isi_widget.errors import InputError

#: Kinds of rows, in the order of their buttons; "all" are all of them.
VERDICTS = ("all", "right", "wrong", "unjudged", "failed")
_LONGEST = 10_000  # characters of a name


@dataclass(frozen=True)
class Query:
    """Rows to show, and their order.

    Parameters
    ----------
    model, condition : only rows of these; "" for all.
    verdict : one of `VERDICTS`.
    sort : column by which rows are sorted, "row" by default; rows without a value come last.
    descending : whether the largest come first.
    start : number of rows before the page.
    """

    model: str = ""
    condition: str = ""
    verdict: str = "all"
    sort: str = "row"
    descending: bool = False
    start: int = 0

    @classmethod
    def of(cls, content: Any) -> Query:
        """Read what a page has sent. Raises `InputError`."""
        if not isinstance(content, Mapping):
            raise InputError("A query for rows must be a record.")
        query = cls(**{name: content[name] for name in cls.__dataclass_fields__ if name in content})
        texts = (query.model, query.condition, query.verdict, query.sort)
        if not all(isinstance(text, str) and len(text) <= _LONGEST for text in texts):
            raise InputError("The names in a query for rows must be texts.")
        if query.verdict not in VERDICTS:
            raise InputError(f"verdict is {query.verdict!r:.60}; expected one of {', '.join(VERDICTS)}.")
        if not isinstance(query.descending, bool):
            raise InputError("descending must be true or false.")
        if not is_whole(query.start) or not 0 <= query.start < 2**53:
            raise InputError("start must be a whole number of at least 0.")
        return query

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)
