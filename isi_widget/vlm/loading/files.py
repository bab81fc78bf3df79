"""The files of a checkpoint: which are needed, bringing them from the hub, whether a folder has them all.

Not for the hub itself (see `isi_widget.pretrained.hub`) nor for reading weights (see `load.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from isi_widget.errors import InputError
from isi_widget.pretrained import hub
from isi_widget.pretrained.weights import INDEX, json_object, named_in
from isi_widget.vlm.loading.elsewhere import about_weights, check_pointers

#: What a processor and a tokenizer are made of; also in sub-folders (InstructBLIP has two tokenizers).
_SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_SMALL_BYTES = 64 * 2**20
_IDLE = ("onnx/", "original/", "openvino/", "runs/")


def needed(found: hub.Repository, files: list[str]) -> list[str]:
    """Return the files, if the repository has them."""
    if found.folder is None:
        for file in files:
            if file not in found.files:
                raise InputError(
                    f"The model {found.name!r} has no {file}: it is not a checkpoint that transformers can "
                    "load."
                )
    return files


def download(
    found: hub.Repository,
    trust_remote_code: bool,
    allow_pickle: bool,
    progress: hub.Progress | None,
    cancel: hub.Cancel | None,
) -> float:
    """Bring everything else into the cache; returns the share of the whole progress that this was."""
    if found.folder is not None:
        return 0.0
    suffixes = (*_SMALL, ".py") if trust_remote_code else _SMALL
    small = [
        file
        for file, count in found.files.items()
        if file.endswith(suffixes)
        and not file.startswith(_IDLE)
        and (count or 0) <= _SMALL_BYTES
        # transformers would put an adapter that lies beside a model on it, unasked
        and file != "adapter_config.json"
    ]
    folder = hub.fetch(found, _first("config.json", small), cancel=cancel)
    weights = _weights(folder, found.files, allow_pickle)
    if weights is None:
        raise InputError(_no_weights(f"The model {found.name!r}", found.files))
    if all(hub.is_cached(found, file) for file in weights):
        return 0.0
    share = 0.8
    part = None if progress is None else lambda fraction, text: progress(share * fraction, text)
    hub.fetch(found, needed(found, weights), progress=part, cancel=cancel)
    return share


def _first(file: str, files: list[str]) -> list[str]:
    return [file, *(other for other in files if other != file)]


def _weights(folder: Path, files: Mapping[str, object], allow_pickle: bool) -> list[str] | None:
    """Return the files that hold the weights, as transformers would choose them; None if there are none."""
    kinds = [("model.safetensors", INDEX)]
    if allow_pickle:
        kinds.append(("pytorch_model.bin", "pytorch_model.bin.index.json"))
    for single, index in kinds:
        if single in files:
            return [single]
        if index in files:
            return named_in(folder / index, allow_pickle=allow_pickle)
    return None


def _no_weights(subject: str, files: Iterable[str]) -> str:
    return f"{subject} has no safetensors weights.{about_weights(files)}"


def check_folder(folder: Path, label: str, allow_pickle: bool) -> None:
    """Refuse a folder that lacks weights named in its index, or has an unreadable generation config.

    transformers would pass over a broken one, and with it over the tokens that end an answer.
    """
    check_pointers(folder, [path.name for path in folder.iterdir()])
    if (folder / "generation_config.json").is_file():
        json_object(folder / "generation_config.json")
    files = {path.name: None for path in folder.iterdir()}
    if "adapter_config.json" in files:
        raise InputError(
            f"The folder {str(folder)!r} holds a model and an adapter, which transformers would put on it "
            f"unasked. "
            "Move adapter_config.json and adapter_model.safetensors to a folder of their own, and load the "
            "model with adapter=<that folder>, or without it."
        )
    weights = _weights(folder, files, allow_pickle)
    if weights is None:
        below = [path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_file()]
        raise InputError(_no_weights(f"The folder {str(folder)!r}", [*files, *below]))
    missing = [file for file in weights if not (folder / file).is_file()]
    if missing or not weights:
        lacks = ", ".join(missing[:3]) or "every file of its index"
        raise InputError(
            f"The folder {str(folder)!r} lacks {lacks}: the download of {label} is incomplete. Download it "
            "again."
        )
