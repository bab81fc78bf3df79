"""Small parts that results of this room share: files, records that hold arrays, equality, heads by score."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.files.writing import write_for_user
from isi_widget.mechanism.packing import packed, unpacked


class Saved:
    """A result with `to_dict` and `from_dict` that is written to a file and read back."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild from the record of `to_dict`."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write it to a JSON file, at once or not at all; returns the path.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
        return write_for_user(type(self).__name__, path, text)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read, or holds something else.
        """
        title = f"The file {str(path)!r}"
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{title} cannot be read: {error.strerror}.") from None
        record = records.parse_json(content, title)
        try:
            return cls.from_dict(record)
        except InputError as error:
            raise InputError(f"{title} holds no {cls.__name__}: {error}") from None


def to_record(result: Any) -> dict[str, Any]:
    """Return the JSON-ready record of a dataclass: arrays packed, tuples as lists."""
    record = {}
    for item in fields(result):
        value = getattr(result, item.name)
        if isinstance(value, np.ndarray):
            value = packed(value)
        elif hasattr(value, "to_dict"):
            value = value.to_dict()
        elif isinstance(value, tuple):
            value = list(value)
        record[item.name] = value
    return record


def from_record(record: Mapping[str, Any], arrays: Collection[str], title: str) -> dict[str, Any]:
    """Return the arguments of a dataclass from its record: arrays unpacked, lists as tuples.

    Parameters
    ----------
    arrays
        Names of the fields that are arrays.
    title
        What the record is of, in messages.

    Raises
    ------
    InputError
        If an array is none.
    """
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    return found | {name: unpacked(record[name], f"{title}: {name}") for name in arrays}


def equal(one: Any, other: Any) -> bool:
    """Return whether two results of one dataclass have equal fields."""
    pairs = ((getattr(one, item.name), getattr(other, item.name)) for item in fields(one))
    return all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else a == b
        for a, b in pairs
    )


# Heads by score ---------------------------------------------------------------------------------------------


def matrix(contributions: Any, name: str) -> npt.NDArray[np.float64]:
    """Return a matrix [layers, heads] of head contributions by its name: signed, positive, negative.

    Heads that were not measured have 0, and so has a matrix that no item belongs to (negative contributions
    are those to items that the unchanged model answers wrongly).

    Raises
    ------
    InputError
        If it is no result of `measure_heads`.
    """
    found = getattr(contributions, name, None)
    values = np.asarray(np.nan if found is None else found)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fi" or np.isinf(values).any():
        raise InputError(
            "contributions must be the HeadContributions of isi.measure_heads; "
            f"got {type(contributions).__name__} without a matrix {name!r}."
        )
    return np.nan_to_num(values.astype(np.float64), nan=0.0)


def order_of(contributions: Any, kind: str) -> tuple[tuple[int, int], ...]:
    """Return (layer, head) of all heads, the largest positive or negative contribution first.

    Of equals (and of all, where no item belongs to the matrix) those with the largest, for "negative" the
    smallest, signed contribution first.
    """
    sign = {"positive": 1.0, "negative": -1.0}[kind]
    return ranked(matrix(contributions, kind), sign * matrix(contributions, "signed"))


def ranked(
    values: npt.NDArray[np.float64], then: npt.NDArray[np.float64] | None = None
) -> tuple[tuple[int, int], ...]:
    """Return (layer, head) of all heads, largest value first; of equals, the largest `then` first, and else
    in the order of layers and heads.
    """
    second = np.zeros_like(values) if then is None else then
    order = np.lexsort((-second.ravel(), -values.ravel()))
    return tuple(divmod(int(place), values.shape[1]) for place in order)
