"""The store of a study: a folder that is readable by other tools, and complete after a kill or a crash.

    study.json                  what was run: see `header`
    parts/000001.parquet        finished rows, complete files only
    open.jsonl                  rows that are in no part yet, one line each
    observations.jsonl          texts and truth of each observation, one line each
    images/<sha256>.png         original pictures and those of operations
    lock                        held by the process that writes

A row is a line of `open.jsonl` first; every 512 rows become a part. A killed process loses no written line; a
line that is also in a part counts once. Schema: docs/studies.md. Not for what a row holds (`rows`). Longer
than other modules because reading and writing share the folder's state.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import filelock

from isi_widget import checks
from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.files.paths import path_of_user
from isi_widget.files.writing import write_file
from isi_widget.stimulus import Picture, load_image
from isi_widget.study.store_reading import (
    FORMAT,
    HEADER,
    IMAGES,
    LOCK,
    OBSERVATIONS,
    OPEN,
    PARTS,
    SCHEMA,
    fits,
    lines,
    read_header,
    refuse_links,
)
from isi_widget.study.table import grown, numbered, parquet_of, schema_of, table_of, together
from isi_widget.text.halves import repaired

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a part.
PART = 512
#: Parts from which on the memory that reading needs is estimated first.
_MANY = 100
#: Columns that every row has a value of.
_ALWAYS = ("row", "model", "condition", "observation", "index", "seed")
#: Most rows of a store that is read, for each row of its study, and most bytes: of each row, and beside them.
_COPIES, _BYTES_OF_ROW, _BYTES = 4, 1_000_000, 100_000_000
#: Seconds after which written rows are forced to the disk: a power loss costs at most these.
_SYNC = 1.0


class Store:
    """Rows in a folder.

    Parameters
    ----------
    path : the folder.
    columns : columns of a new store.

    Raises
    ------
    InputError
        The folder holds something else, or a study of a newer schema.
    """

    def __init__(self, path: str | Path, columns: Mapping[str, str] | None = None) -> None:
        if not isinstance(path, str | os.PathLike) or not str(path):
            raise InputError(f"store must be the path of a folder; got {checks.shown(path)}.")
        self.path = path_of_user(path, "store")
        self._lock: filelock.BaseFileLock | None = None
        self._file: IO[bytes] | None = None
        self._pending: list[dict[str, Any]] = []
        self._kept: set[str] = set()
        self._observed: set[int] | None = None
        self._synced = 0.0
        self.header: dict[str, Any] = {}
        self.columns = dict(columns or {})
        if holds_study(self.path):
            self.header = self._read_header()
            self.columns = dict(self.header["columns"])
        elif self.path.exists() and (not self.path.is_dir() or self._foreign()):
            raise InputError(
                f"{str(self.path)!r} holds no study, but something else. Name a new folder as store=."
            )

    @property
    def is_new(self) -> bool:
        """Whether there is nothing yet."""
        return not self.header

    def _foreign(self) -> list[str]:
        """Return the names of files that are not of an unfinished store."""
        known = {OPEN, PARTS, IMAGES, LOCK, OBSERVATIONS}
        return [item.name for item in self.path.iterdir() if item.name not in known and item.name[0] != "."]

    def _read_header(self) -> dict[str, Any]:
        refuse_links(self.path)
        try:
            return read_header(self.path)
        except FileNotFoundError as error:  # deleted meanwhile
            raise InputError(f"The store {str(self.path)!r} cannot be read: {error.strerror}.") from None

    # ---- writing
    def open(self) -> list[dict[str, Any]]:
        """Prepare for writing; return the rows that are in no part.

        Raises
        ------
        InputError
            The folder cannot be made, or another process writes to it.
        """
        try:
            (self.path / PARTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"The store {str(self.path)!r} cannot be made: {error.strerror}. Name a folder that can be "
                "written to."
            ) from None
        refuse_links(self.path)
        lock = filelock.FileLock(self.path / LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"Another run writes to the store {str(self.path)!r}. Wait for its end or stop it, or name "
                "another folder. isi.open_study reads its finished rows meanwhile."
            ) from None
        except OSError as error:
            raise InputError(
                f"The store {str(self.path)!r} cannot be written to: {error.strerror}."
            ) from None
        try:
            if (self.path / HEADER).exists():  # written by another run since
                self.header = self._read_header()
                self.columns = dict(self.header["columns"])
            stored = set(self._stored())
            pending = list(self._lines(stored))
            if self.is_new and (pending or stored):
                raise InputError(
                    f"The store {str(self.path)!r} has rows, but its file {HEADER} is missing, so it is not "
                    "known what they are of. Put that file back, or name another folder."
                )
            self._rewrite_parts()
            self._pending = pending
            self._rewrite_open()
        except BaseException:
            self._pending = []
            lock.release()
            raise
        self._lock = lock
        return self._pending

    def write_header(self, header: Mapping[str, Any]) -> None:
        """Write what was run, at once or not at all."""
        self.header = {
            "format": FORMAT,
            "schema": SCHEMA,
            **{name: item for name, item in header.items() if name not in ("format", "schema", "columns")},
            "columns": self.columns,
        }
        text = repaired(json.dumps(self.header, ensure_ascii=False, indent=1, allow_nan=False))
        with _writing(self.path):
            write_file(self.path / HEADER, text + "\n")

    def add(self, row: dict[str, Any]) -> None:
        """Write a row; it is there after a kill of this process from now on.

        Raises
        ------
        InputError
            It cannot be written; the rows before it are kept.
        """
        columns = grown(self.columns, row)
        if columns != self.columns:
            self._change_columns(columns)
        line = (repaired(json.dumps(row, ensure_ascii=False, default=str)) + "\n").encode()
        with _writing(self.path):
            file = self._opened()
            end = file.tell()
            try:
                file.write(line)
                file.flush()
                now = time.monotonic()
                if now - self._synced > _SYNC:
                    os.fsync(file.fileno())
                    self._synced = now
            except BaseException:  # half a line must not stand before the next one
                self._cut(file, end)
                raise
        self._pending.append(row)
        if len(self._pending) >= PART:
            self._compact()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = (self.path / OPEN).open("ab", buffering=0)
        return self._file

    def _cut(self, file: IO[bytes], end: int) -> None:
        try:
            os.ftruncate(file.fileno(), end)
        except OSError:
            return

    def keep(self, pictures: Mapping[str, Picture]) -> None:
        """Write pictures that are not there yet."""
        for digest, picture in pictures.items():
            if digest in self._kept:
                continue
            path = self.path / IMAGES / f"{digest}.png"
            if not path.exists():
                with _writing(self.path):
                    path.parent.mkdir(exist_ok=True)
                    write_file(path, picture.png())
            self._kept.add(digest)

    def observe(self, record: Mapping[str, Any]) -> None:
        """Write an observation that is not there yet."""
        if self._observed is None:
            self._observed = set(self._observations())
        if record["index"] in self._observed:
            return
        line = repaired(json.dumps(record, ensure_ascii=False)) + "\n"
        path = self.path / OBSERVATIONS
        with _writing(self.path), path.open("ab") as file:
            end = file.tell()
            if end and not _ends_line(path):
                line = "\n" + line  # half a line, of a killed run
            file.write(line.encode())
        self._observed.add(record["index"])

    def _observations(self) -> dict[int, dict[str, Any]]:
        """Return the observations by index; half a line is left out."""
        found = lines(self.path / OBSERVATIONS, whole=False)
        return {record["index"]: record for record in found if is_whole(record.get("index"))}

    def observation(self, index: int) -> dict[str, Any] | None:
        """Return an observation as it was written; None where it is not known."""
        return self._observations().get(index)

    def _compact(self) -> None:
        """Move the open rows into a part."""
        if self._pending:
            ordered = sorted(self._pending, key=lambda row: int(row["row"]))
            number = max((int(path.stem) for path in self._part_files()), default=0) + 1
            with _writing(self.path):
                content = parquet_of(table_of(ordered, self.columns))
                write_file(self.path / PARTS / f"{number:06d}.parquet", content)
            self._pending = []
        self._rewrite_open()

    def _rewrite_open(self) -> None:
        """Write the open rows as a new file; none without any."""
        if self._file is not None:
            self._file.close()
            self._file = None
        path = self.path / OPEN
        with _writing(self.path):
            if self._pending:
                lines = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in self._pending)
                write_file(path, repaired("".join(lines)))
            else:
                path.unlink(missing_ok=True)

    def _change_columns(self, columns: dict[str, str]) -> None:
        """Write every part again with more columns, or with texts where there were numbers."""
        before = self.columns
        self.columns = columns
        try:
            self.write_header(self.header)  # first: old parts can be read by the new columns, not vice versa
        except BaseException:
            self.columns = before
            raise
        self._rewrite_parts()

    def _rewrite_parts(self) -> None:
        """Write each part whose columns are not those of the header again; a killed run may leave some."""
        from pyarrow import parquet

        schema = schema_of(self.columns)
        for path in self._part_files():
            if not parquet.read_schema(path).equals(schema):
                rows = parquet.read_table(path).to_pylist()
                with _writing(self.path):
                    write_file(path, parquet_of(table_of(rows, self.columns)))

    def drop_failed(self) -> None:
        """Remove the rows that failed, so that they are run again."""
        from pyarrow import compute, parquet

        if any(row.get("error") is not None for row in self._pending):
            self._pending = [row for row in self._pending if row.get("error") is None]
            self._rewrite_open()
        for path in self._part_files():
            failed = parquet.read_table(path, columns=["error"]).column("error").is_valid()
            if not compute.any(failed).as_py():
                continue
            kept = parquet.read_table(path).filter(compute.invert(failed))
            with _writing(self.path):
                if kept.num_rows:
                    write_file(path, parquet_of(kept))
                else:
                    path.unlink()

    def close(self) -> None:
        """Move the open rows into a part and release the folder."""
        if self._lock is None:
            return
        try:
            self._compact()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._lock.release()
            self._lock = None

    # ---- reading
    def _part_files(self) -> list[Path]:
        found = (self.path / PARTS).glob("*.parquet")
        return sorted(path for path in found if path.stem.isascii() and path.stem.isdigit())

    def _stored(self) -> list[int]:
        """Return the numbers of the rows in parts."""
        files = self._part_files()
        if not files:
            return []
        import pyarrow as pa

        try:
            found: list[int] = self._dataset(files).to_table(columns=["row"]).column("row").to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        return found

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"A part of the store {str(self.path)!r} is damaged: {error!s:.300}. Remove that file, and run "
            "the study again with the same store: only its rows are made again."
        )

    def _dataset(self, files: Sequence[Path]) -> Any:
        from pyarrow import dataset

        return dataset.dataset([str(path) for path in files], schema=schema_of(self.columns))

    def _lines(self, stored: set[int]) -> Iterator[dict[str, Any]]:
        """Yield the open rows that are in no part; half a line at the end is left out."""
        for row in lines(self.path / OPEN, whole=True):
            if fits(row, self.columns) and row["row"] not in stored:
                stored.add(row["row"])
                yield row

    def table(self, columns: Sequence[str] | None = None, numbers: Sequence[int] | None = None) -> pa.Table:
        """Return the finished rows, or some of their columns, or those with some numbers, sorted by number;
        also during a run.

        Raises
        ------
        InputError
            A file of the store is damaged.
        """
        try:
            return self._table(columns, numbers)
        except (InputError, ValueError):  # a writing process may have changed the columns since
            if self._lock is not None or self.columns == (columns_now := self._read_header()["columns"]):
                raise
            self.columns = dict(columns_now)
            return self._table(columns, numbers)

    def _table(self, columns: Sequence[str] | None, numbers: Sequence[int] | None) -> pa.Table:
        import pyarrow as pa

        known = self.columns
        wanted = None if columns is None else [n for n in dict.fromkeys(["row", *columns]) if n in known]
        tables = []
        open_before = list(self._lines(set()))  # first: a row moves from here into a part, never back
        if numbers is not None:
            open_before = [row for row in open_before if row["row"] in set(numbers)]
        if files := self._part_files():
            try:
                only = None if numbers is None else numbered(numbers)
                parts = self._dataset(files)
                self._check_size(parts)
                tables.append(parts.to_table(columns=wanted, filter=only))
            except (pa.ArrowException, OSError) as error:
                raise self._damaged(error) from None
            self._check_whole(tables[0])
        stored = set() if not tables or not open_before else set(tables[0].column("row").to_pylist())
        pending = [row for row in open_before if row["row"] not in stored]
        return together([*tables, table_of(pending, self.columns)], self.columns, columns)

    def _check_size(self, parts: Any) -> None:
        """Refuse parts with far more rows or bytes than the study can have, before they are in memory."""
        if self._lock is not None or self.is_new:
            return  # they were written here
        groups = [group for part in parts.get_fragments() for group in part.row_groups]
        found = sum(group.num_rows for group in groups)
        size = sum(group.total_byte_size for group in groups)
        rows = math.prod(self.header["shapes"][-1])
        if found > _COPIES * rows:  # or the study has grown since
            self.header = self._read_header()
            rows = math.prod(self.header["shapes"][-1])
        if found > _COPIES * rows or size > _BYTES + _BYTES_OF_ROW * found:
            raise InputError(
                f"The store {str(self.path)!r} is damaged: its parts have {found:,} rows and "
                f"{size >> 20:,} MB, its study has {rows:,} rows."
            )

    def _check_whole(self, table: pa.Table) -> None:
        """Refuse parts with rows that do not state what they are of."""
        for name in _ALWAYS:
            if name in table.column_names and table.column(name).null_count:
                raise self._damaged(ValueError(f"rows without a {name!r}"))

    def size_of(self, columns: Sequence[str]) -> tuple[int, int]:
        """Return about how many rows are finished, and the bytes of some of their columns in memory.

        A store of less than 100 parts counts as none: it fits.
        """
        files = self._part_files()
        if len(files) < _MANY:
            return 0, 0
        import pyarrow as pa

        wanted = [name for name in columns if name in self.columns]
        try:
            first = self._dataset(files[:1]).to_table(columns=wanted)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        return len(files) * PART, first.nbytes * len(files) * PART // max(1, first.num_rows)

    @property
    def version(self) -> Any:
        """A value that changes with the rows."""
        try:
            size = (self.path / OPEN).stat().st_size
        except OSError:
            size = 0
        return len(self._part_files()), size

    def picture(self, digest: str) -> Picture | None:
        """Return a picture by its hash; None where it is not kept or damaged."""
        if not (len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
            return None
        path = self.path / IMAGES / f"{digest}.png"
        if not path.exists():
            return None
        found = load_image(path)
        return found if found.sha256 == digest else None


def holds_study(path: Path) -> bool:
    """Return whether a folder is the store of a study."""
    return (path / HEADER).exists()


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class _writing:
    """Turns a failed write into one clear error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise InputError(
                f"The store {str(self._path)!r} cannot be written: {error.strerror or error}. The finished "
                "rows before this are kept; make room on the disk, and the same call goes on from there."
            ) from None
