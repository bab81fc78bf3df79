"""A file with the results of a scan so far, so that it can be stopped and go on later.

JSON lines: the first states what is scanned, each other line holds the arrays of one item and stage. A line
that was cut off by a crash is measured again. Not for finished results (`HeadContributions.to_dict`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.mechanism.packing import packed, unpacked

Arrays = Mapping[str, npt.NDArray[Any]]
_KIND = "isi_widget scan of heads"


class Store:
    """Results by stage and item.

    Parameters
    ----------
    path
        File, or a folder that the file "heads.jsonl" goes into; None: nothing is stored.
    identity
        What is scanned, JSON-ready; a file of anything else is refused.

    Raises
    ------
    InputError
        If the file is of another scan, is no such file, or cannot be written.
    """

    def __init__(self, path: str | Path | None, identity: Mapping[str, Any]) -> None:
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        if path is not None and not isinstance(path, str | PathLike):
            raise InputError(f"store must be the path of a file or folder; got {type(path).__name__}.")
        self._path = None if path is None else Path(path)
        if self._path is None:
            return
        if self._path.is_dir() or not self._path.suffix:
            self._path = self._path / "heads.jsonl"
        header = json.loads(json.dumps({"kind": _KIND, **identity}))
        try:
            if self._path.exists() and self._path.stat().st_size:
                self._read(header)
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._write(header)
        except OSError as error:
            raise InputError(f"The store {self._path} cannot be used: {error}.") from None

    def get(self, stage: str, item: int) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of an item; None if it was not measured yet."""
        found = self._found.get((stage, item))
        return None if found is None else {name: unpacked(value, name) for name, value in found.items()}

    def keep(self, stage: str, item: int, arrays: Arrays) -> None:
        """Keep the arrays of an item."""
        if self._path is not None:
            self._write(
                {"stage": stage, "item": item, "arrays": {name: packed(v) for name, v in arrays.items()}}
            )

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._path is not None
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _read(self, header: Mapping[str, Any]) -> None:
        assert self._path is not None
        text = self._path.read_text(encoding="utf-8")
        first, *others = text.split("\n")
        try:
            stored = json.loads(first)
        except ValueError:
            stored = None
        if not isinstance(stored, dict) or stored.get("kind") != _KIND:
            raise InputError(f"{self._path} is no store of a scan of heads. Choose another file.")
        differ = [name for name in {**stored, **header} if stored.get(name) != header.get(name)]
        if differ:
            raise InputError(
                f"{self._path} holds a scan with another {', '.join(sorted(differ))}. Choose another file, "
                "or delete this one to begin again."
            )
        for line in others:
            try:
                record = json.loads(line)
                place = str(record["stage"]), int(record["item"])
                for name, value in record["arrays"].items():
                    unpacked(value, name)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut off, or damaged: measured again
            self._found[place] = record["arrays"]
        if not text.endswith("\n"):  # what a crash left must not swallow the next line
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n")


def stacked(found: list[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[np.float64]:
    """Return the arrays of all items as one."""
    return np.stack([np.asarray(item[name], dtype=np.float64) for item in found])
