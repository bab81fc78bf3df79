"""Which files hold the weights of a checkpoint, and that they are what they should be: safetensors, in its
folder.

Nothing is opened here but an index, which is JSON. A pickle can run code when it is read; a path that leads
out of the folder reads what the checkpoint's maker chose on this machine. Not for reading weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from isi_widget.errors import InputError

INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def json_object(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file of a checkpoint."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError(f"it holds {type(record).__name__}, not an object")
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(
            f"{str(path)!r} is not valid JSON ({error}). Download the checkpoint again."
        ) from None
    return record


def named_in(index: Path, *, allow_pickle: bool = False) -> list[str]:
    """Return the files that an index names, checked by `check_names`."""
    named = json_object(index).get("weight_map", {})
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
        raise InputError(
            f"{str(index)!r} does not say which file holds which weight. Download the checkpoint again."
        )
    files = sorted(set(named.values()))
    check_names(files, index, allow_pickle=allow_pickle)
    return files


def check_names(files: Iterable[str], index: Path, *, allow_pickle: bool = False) -> None:
    """Refuse an index that names pickles, or files outside its folder.

    Raises
    ------
    InputError
        It names the file. Links count as what they lead to, but those of the Hugging Face cache into its own
        `blobs` folder.
    """
    folder = index.parent
    for file in files:
        if _leads_out(file) or not _stays_inside(folder, file):
            raise InputError(
                f"{str(index)!r} names {file!r}, which is outside the folder of the checkpoint. Nothing was "
                f"read. Use a checkpoint whose files are all in its folder."
            )
        if not file.endswith(".safetensors") and not (allow_pickle and file.endswith(PICKLES)):
            what = (
                "a pickle, which can run code when it is read" if file.endswith(PICKLES) else "no safetensors"
            )
            raise InputError(
                f"{str(index)!r} names {file!r}, {what}. Nothing was read. Convert the weights to "
                f"safetensors (save_pretrained of transformers), or use a checkpoint that has them."
            )


def _leads_out(file: str) -> bool:
    """Whether a name is anything but a plain path downwards, on any system."""
    ways = (PurePosixPath(file), PureWindowsPath(file))
    return (
        not file or "\0" in file or any(way.is_absolute() or way.drive or ".." in way.parts for way in ways)
    )


def _stays_inside(folder: Path, file: str) -> bool:
    """Whether a file, if it is there, really lies in its folder."""
    try:
        target = (folder / file).resolve()
        inside = [folder.resolve()]
    except (OSError, RuntimeError):  # a loop of links
        return False
    if folder.resolve().parent.name == "snapshots":  # the hub's cache: links into the repository's blobs
        inside.append(folder.resolve().parent.parent / "blobs")
    return any(target.is_relative_to(place) for place in inside)
