"""Arrays in records: base64 of their little-endian bytes, without loss, NaN included.

Not for what a record must contain (`isi_widget.files.records`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError

#: Types of numbers that records hold.
_TYPES = ("float32", "float64", "int32", "int64", "bool")


def packed(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Return a JSON-ready record of an array: its shape, its type and its bytes."""
    kind = str(array.dtype)
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "shape": list(array.shape),
        "type": kind,
        "bytes": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def unpacked(record: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """Return the array of a record, read-only.

    Raises
    ------
    InputError
        If it is no such record; `name` stands in the message.
    """
    if not isinstance(record, Mapping) or record.get("type") not in _TYPES:
        raise InputError(
            f"{name} must be a packed array with a type of {', '.join(_TYPES)}, as to_dict() has made it."
        )
    data = np.frombuffer(
        base64.b64decode(record["bytes"], validate=True), dtype=np.dtype(record["type"]).newbyteorder("<")
    )
    array = data.reshape(record["shape"]).astype(record["type"])
    array.flags.writeable = False
    return array


def frozen(array: npt.ArrayLike, kind: Any) -> npt.NDArray[Any]:
    """Return a read-only copy of an array in a type."""
    made = np.array(array, dtype=kind)
    made.flags.writeable = False
    return made
