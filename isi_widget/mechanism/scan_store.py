"""A file with the results of a measurement so far, so that it can be stopped and go on later.

JSON lines: the first states what is measured, each other line holds the arrays of one item and stage. A line
that was cut off by a crash is measured again. Not for finished results (`HeadContributions.save`).
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
#: Kind of measurement -> its name in the file. A folder holds one file of each kind, named by the kind.
KINDS = {
    "heads": "isi_widget scan of heads",
    "ablation": "isi_widget ablation of heads",
    "gates": "isi_widget fit of gates",
    "trace": "isi_widget causal trace",
    "knockout": "isi_widget knock-out curve",
}


class Store:
    """Results by stage and item.

    Parameters
    ----------
    path
        File, or a folder that a file such as "heads.jsonl" goes into; None: nothing is stored.
    identity
        What is measured, JSON-ready; a file of anything else is refused.
    kind
        One of `KINDS`; default "heads".

    Raises
    ------
    InputError
        If the file is of another run, is no such file, or cannot be written.
    """

    def __init__(self, path: str | Path | None, identity: Mapping[str, Any], kind: str = "heads") -> None:
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        if path is not None and not isinstance(path, str | PathLike):
            raise InputError(f"store must be the path of a file or folder; got {type(path).__name__}.")
        self._path = None if path is None else Path(path)
        if self._path is None:
            return
        if self._path.is_dir() or not self._path.suffix:
            self._path = self._path / f"{kind}.jsonl"
        header = json.loads(json.dumps({"kind": KINDS[kind], **identity}))
        try:
            if self._path.exists() and self._path.stat().st_size:
                self._read(header)
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._write(header)
        except OSError as error:
            raise InputError(f"The store {self._path} cannot be used: {error}.") from None

    def begin(self, stage: str, item: int, arrays: Arrays) -> None:
        """Hold the arrays of an item as if they had been measured before; nothing is written."""
        self._found[stage, item] = {name: packed(np.asarray(value)) for name, value in arrays.items()}

    @property
    def kept(self) -> str:
        """What stays of a measurement that is cancelled, as a sentence."""
        return "Nothing was kept." if self._path is None else "What is in its store stays."

    def get(
        self, stage: str, item: int, shapes: Mapping[str, tuple[int | None, ...]]
    ) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays of an item; None if it was not measured yet, or its line was changed.

        shapes : names that the arrays must have, with the shape of each; None for a size that is not known.
        """
        record = self._found.get((stage, item))
        if record is None:
            return None
        found = {name: unpacked(value, name) for name, value in record.items()}
        return found if all(_fits(found.get(name), shape) for name, shape in shapes.items()) else None

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
        text = self._path.read_text(encoding="utf-8", errors="replace")
        first, *others = text.split("\n")
        try:
            stored = json.loads(first)
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, dict) or stored.get("kind") not in KINDS.values():
            raise InputError(f"{self._path} is no store of a measurement. Choose another file.")
        if stored["kind"] != header["kind"] or stored.keys() != header.keys():
            raise InputError(
                f"{self._path} is the store of another kind of measurement. Choose another file."
            )
        differ = sorted(name for name in header if stored[name] != header[name])
        if differ:
            raise InputError(
                f"{self._path} is the store of a different run (not the same {', '.join(differ)}). Choose "
                "another file, or delete this one to begin again."
            )
        for line in others:
            try:
                record = json.loads(line)
                place = str(record["stage"]), int(record["item"])
                for name, value in record["arrays"].items():
                    unpacked(value, name)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                continue  # cut off, or damaged: measured again
            self._found[place] = record["arrays"]
        if not text.endswith("\n"):  # what a crash left must not swallow the next line
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n")


def _fits(array: npt.NDArray[Any] | None, shape: tuple[int | None, ...]) -> bool:
    if array is None or array.ndim != len(shape):
        return False
    return all(wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True))


def stacked(found: list[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[np.float64]:
    """Return the arrays of all items as one.

    Raises
    ------
    InputError
        If their shapes differ: a store was changed by hand.
    """
    arrays = [np.asarray(item[name], dtype=np.float64) for item in found]
    if len({array.shape for array in arrays}) > 1:
        raise InputError(f"The store holds values {name!r} of different shapes: delete it to begin again.")
    return np.stack(arrays)
