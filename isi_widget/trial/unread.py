"""`Unread`: the record of a measure that this process does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unread:
    """The record of a measure that is not known in this process, as the plain data that it was."""

    data: Any

    def to_dict(self) -> Any:
        """Return the data."""
        return self.data
