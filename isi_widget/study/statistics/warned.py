"""`warnings_of`: the sentences that warn of the numbers of a statistic, for tables, plots and reports."""

from __future__ import annotations

from typing import Any

#: How a note begins that is shown wherever the numbers are.
WARNING = "(!)"


def warnings_of(result: Any) -> tuple[str, ...]:
    """Return the sentences that warn of the numbers of a table or another result of `statistics`."""
    notes = getattr(result, "_notes", ()) or getattr(result, "warnings", ())
    return tuple(note for note in notes if note.startswith(WARNING))
