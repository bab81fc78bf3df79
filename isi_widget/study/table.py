"""Rows of a study as Arrow tables: schema, Parquet files, data frames. Not for a folder of them (`store`)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.errors import InputError
from isi_widget.study.rows import FIRST, LAST, type_of
from isi_widget.text.halves import repaired

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """Return the Arrow schema of columns, {name: type}."""
    import pyarrow as pa

    answer = pa.struct(
        [
            ("text", pa.string()),
            ("cluster", pa.int64()),
            ("log_likelihood", pa.float64()),
            ("tokens", pa.int64()),
        ]
    )
    types = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "str": pa.string(),
        "answers": pa.list_(answer),
        "texts": pa.list_(pa.string()),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def table_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pa.Table:
    """Return rows as a table with the given columns; what a row lacks is missing."""
    import pyarrow as pa

    made = {
        name: pa.array([typed(row.get(name), kind) for row in rows], type=field.type)
        for (name, kind), field in zip(columns.items(), schema_of(columns), strict=True)
    }
    return pa.table(made)


def typed(value: Any, kind: str) -> Any:
    """Return a value as the type of its column; numbers in a column of texts are written out."""
    if value is None:
        return [] if kind in ("answers", "texts") else None
    if kind == "float64":
        return float(value)
    if kind == "str":
        return repaired(value) if isinstance(value, str) else repr(value)
    return int(value) if kind == "int64" else value


def parquet_of(table: pa.Table) -> bytes:
    """Return a table as a Parquet file (Zstandard)."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def joined(known: Mapping[str, str], found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return columns with further ones before the last; one with numbers and texts becomes one of texts."""
    middle = {name: kind for name, kind in known.items() if name not in FIRST and name not in LAST}
    for name, kind in found:
        if name in FIRST or name in LAST:
            continue
        before = middle.get(name, kind)
        middle[name] = before if before == kind else "str" if "str" in (before, kind) else "float64"
    return {**FIRST, **middle, **LAST}


def in_order(table: pa.Table) -> pa.Table:
    """Return a table sorted by the number of the row."""
    import pyarrow.compute as pc

    numbers = table.column("row").to_numpy()
    if len(numbers) < 2 or bool((numbers[1:] > numbers[:-1]).all()):
        return table
    return table.take(pc.sort_indices(table, sort_keys=[("row", "ascending")]))


def once(table: pa.Table) -> pa.Table:
    """Return a table, sorted by the number of the row, with the first row of each number: a file that was
    copied within a store doubles nothing.
    """
    numbers = table.column("row").to_numpy()
    first = np.ones(len(numbers), dtype=np.bool_)
    first[1:] = numbers[1:] != numbers[:-1]
    return table if first.all() else table.filter(first)


def numbered(numbers: Sequence[int]) -> Any:
    """Return the expression that is true for the rows with these numbers."""
    import pyarrow.compute as pc

    return pc.field("row").isin([int(number) for number in numbers])


def grown(columns: dict[str, str], row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that a row needs: those of the table itself, as long as it fits."""
    further = [
        (name, type_of(value))
        for name, value in row.items()
        if name not in columns
        or (columns[name] in ("int64", "float64") and isinstance(value, str))
        or (columns[name] == "int64" and isinstance(value, float))
    ]
    return joined(columns, further) if further else columns


def together(tables: Sequence[pa.Table], known: Mapping[str, str], columns: Sequence[str] | None) -> pa.Table:
    """Return tables as one with some of the known columns, sorted by the number of the row, each row once."""
    import pyarrow as pa

    wanted = list(known) if columns is None else list(dict.fromkeys(columns))
    picked = [name for name in dict.fromkeys(["row", *wanted]) if name in known]
    schema = schema_of({name: known[name] for name in picked})
    fitting = [_fitted(table, schema) for table in tables]
    return once(in_order(pa.concat_tables(fitting))).select([name for name in wanted if name in known])


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with exactly the columns of a schema; what it lacks is missing."""
    import pyarrow as pa

    arrays = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return a table as a data frame. Numbers and texts that are missing are NaN, truth values None."""
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    return frame


#: Memory that reading takes at most, in sizes of the table that is read: measured on a million rows.
_PEAK = 3


def refuse_too_large(rows: int, size: int, store: Path | None) -> None:
    """Refuse to read more than fits into the free memory of this machine.

    Parameters
    ----------
    rows, size : number of rows, and bytes of the wanted columns in memory; 0 for a small store.
    store : its folder, for the message.

    Raises
    ------
    InputError
        Reading would need more than is free.
    """
    if not rows:
        return
    from isi_widget.pretrained.machine import free_memory  # loads torch

    free = free_memory("cpu")
    if free is not None and _PEAK * size > free:
        needed, there = (f"{number / 2**30:.1f} GiB" for number in (_PEAK * size, free))
        raise InputError(
            f"About {rows:,} rows need {needed} of memory with these columns, and {there} are free. Read "
            'fewer columns, such as study.frame(["condition", "observation", "correct"]), some rows, '
            f"study.frame(numbers=range(100_000)), or {store}/parts/*.parquet with Polars or DuckDB, "
            "which read what they need. study.table(), paired() and the other statistics do that, too."
        )
