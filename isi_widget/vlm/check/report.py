"""What `check_vlm` found: a record that prints as a table. Not for the checks themselves (see `check.py`)."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PASSED, FAILED, NOT_AVAILABLE = "passed", "failed", "not available"


@dataclass(frozen=True)
class CheckRow:
    """One check.

    Attributes
    ----------
    name : name of the comparison.
    status : "passed", "failed" or "not available".
    difference : largest measured difference; None if nothing was measured.
    tolerance : largest allowed difference.
    note : explanation of a difference, or why the row is not available.
    """

    name: str
    status: str
    difference: float | None = None
    tolerance: float | None = None
    note: str = ""


@dataclass(frozen=True)
class CheckReport:
    """What `check_vlm` found; prints as a table.

    Attributes
    ----------
    model : `VLM.info()`.
    precision : number type of the computation, which sets the tolerances.
    rows : the checks.
    """

    model: Mapping[str, Any]
    precision: str
    rows: tuple[CheckRow, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed; one that is not available has not."""
        return not any(row.status == FAILED for row in self.rows)

    def __getitem__(self, name: str) -> CheckRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "model": dict(self.model),
            "precision": self.precision,
            "ok": self.ok,
            "rows": [vars(row) for row in self.rows],
        }

    def _title(self) -> str:
        kind = self.model["quantization"] or self.model["dtype"]
        return f"{self.model['name']}: {self.model['family']}, {kind}, computes in {self.precision}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (row.name, row.status, _number(row.difference), _number(row.tolerance), row.note)
            for row in self.rows
        ]

    def __str__(self) -> str:
        cells = [_HEADER, *self._cells()]
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]])
            for line in cells
        ]
        verdict = "No check failed." if self.ok else "Checks failed: do not trust what they name."
        return "\n".join([self._title(), *(line.rstrip() for line in lines), verdict])

    def _repr_html_(self) -> str:
        def cell(kind: str, text: str) -> str:
            return f'<{kind} style="text-align:left;padding:2px 10px 2px 0">{html.escape(text)}</{kind}>'

        head = "".join(cell("th", name) for name in _HEADER)
        body = "".join(
            f"<tr>{''.join(cell('td', text) for text in (name, _MARKS[status] + status, *rest))}</tr>"
            for name, status, *rest in self._cells()
        )
        return (
            f"<p>{html.escape(self._title())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


_HEADER = ("check", "result", "difference", "tolerance", "note")
_MARKS = {PASSED: "\N{CHECK MARK} ", FAILED: "\N{BALLOT X} ", NOT_AVAILABLE: "\N{EN DASH} "}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
