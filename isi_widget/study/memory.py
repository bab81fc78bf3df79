"""The rows of a study without a store, in this process only. Not for rows in a folder (`store`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.study.table import grown, numbered, table_of, together

if TYPE_CHECKING:
    import pyarrow as pa

    from isi_widget.stimulus import Picture

#: Rows of one table.
PART = 512


class Memory:
    """Rows that are kept in this process only."""

    path: Path | None = None

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = dict(columns)
        self.header: dict[str, Any] = {}
        self._tables: list[pa.Table] = []
        self._rows: list[dict[str, Any]] = []

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Keep what was run."""
        self.header = dict(header)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.columns = grown(self.columns, row)
        self._rows.append(row)
        if len(self._rows) >= PART:
            self._tables.append(table_of(self._rows, self.columns))
            self._rows = []

    def size_of(self, columns: Sequence[str]) -> tuple[int, int]:
        """Return no rows and no bytes: what is in memory fits."""
        return 0, 0

    def keep(self, pictures: Mapping[str, Picture]) -> None:
        """Keep no picture: they are in the data."""

    @property
    def version(self) -> Any:
        """A value that changes with the rows."""
        return len(self._tables), len(self._rows)

    def table(self, columns: Sequence[str] | None = None, numbers: Sequence[int] | None = None) -> pa.Table:
        """Return the rows, or some of their columns, or those with some numbers, sorted by number."""
        pending, tables = list(self._rows), list(self._tables)
        if numbers is not None:
            pending = [row for row in pending if row["row"] in set(numbers)]
            tables = [table.filter(numbered(numbers)) for table in tables]
        return together([*tables, table_of(pending, self.columns)], self.columns, columns)

    def observe(self, record: Mapping[str, Any]) -> None:
        """Keep no observation: it is in the data."""

    def picture(self, digest: str) -> Picture | None:
        """Return no picture."""
        return None

    def observation(self, index: int) -> dict[str, Any] | None:
        """Return no observation."""
        return None

    def close(self) -> None:
        """Do nothing."""
