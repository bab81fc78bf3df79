"""LoRA adapters: found, checked, and put on a loaded model by peft, which is an optional extra.

The adapter's matrices stay beside those of the model, which may be quantised. Weights are safetensors,
always. Not for training adapters.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.pretrained import hub
from isi_widget.pretrained.quantization import quieten
from isi_widget.pretrained.weights import PICKLES, json_object
from isi_widget.vlm.loading.configuration import check_sizes, first_line

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_MAX_RANK = 2**14


@dataclass(frozen=True)
class Adapter:
    """An adapter that is on this machine.

    Attributes
    ----------
    name : given name; for the hub with its commit, "owner/name@commit", which loads the same adapter again.
    folder : folder of its files.
    """

    name: str
    folder: Path


def find_adapter(
    name: object, progress: hub.Progress | None = None, cancel: hub.Cancel | None = None
) -> Adapter:
    """Return an adapter by folder or hub name ("owner/name", "owner/name@revision"), checked but not read.

    Raises
    ------
    InputError
        If peft is missing, or it is not there, not a LoRA adapter, or not in safetensors.
    Cancelled
    """
    if not isinstance(name, str | Path) or not str(name).strip():
        raise InputError(
            f"adapter is {name!r}; give a folder, or a name on the Hugging Face hub ('owner/name')."
        )
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            "adapter=... needs peft, which is not installed. Install it with: pip install "
            "'isi-widget[adapter]'."
        )
    found = _located(name, progress, cancel)
    _check(found)
    return found


def _located(name: str | Path, progress: hub.Progress | None, cancel: hub.Cancel | None) -> Adapter:
    text, folder = str(name), Path(name).expanduser()
    if folder.exists():
        return Adapter(text, folder)
    repository, _, revision = text.partition("@")
    if isinstance(name, Path) or repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise InputError(
            f"There is no adapter folder {text!r}. Give an existing folder, or a name on the Hugging Face "
            f"hub ('owner/name', 'owner/name@revision')."
        )
    found = hub.find(repository, revision or None)
    if found.folder is not None:
        return Adapter(f"{repository}@{found.commit}", found.folder)
    _check_names(f"The adapter {text!r}", list(found.files))
    where = hub.fetch(found, [CONFIG, WEIGHTS], progress=progress, cancel=cancel)
    return Adapter(f"{repository}@{found.commit}", where)


def _check(adapter: Adapter) -> None:
    folder, subject = adapter.folder, f"The adapter {adapter.name!r}"
    if not folder.is_dir():
        raise InputError(f"{subject} is a file. Give the folder that holds {CONFIG} and {WEIGHTS}.")
    _check_names(subject, [path.name for path in folder.iterdir()])
    record = json_object(folder / CONFIG)
    kind = str(record.get("peft_type"))
    if kind != "LORA":
        raise InputError(f"{subject} is of type {kind!r}; only LoRA adapters ('LORA') are supported.")
    for field, title in (("megatron_config", "for Megatron"), ("use_dora", "with DoRA")):
        if record.get(field):
            raise InputError(f"{subject} is made {title} ({field}), which is not supported; plain LoRA is.")
    check_sizes(record, adapter.name, CONFIG)
    pattern = record.get("rank_pattern")
    ranks = [record.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    if wrong := [
        r for r in ranks if isinstance(r, bool) or not isinstance(r, int) or not 1 <= r <= _MAX_RANK
    ]:
        raise InputError(
            f"{subject} has the rank {wrong[0]!r}; expected a whole number from 1 to {_MAX_RANK}."
        )


def _check_names(subject: str, files: list[str]) -> None:
    if CONFIG not in files:
        raise InputError(
            f"{subject} has no {CONFIG}: it is not an adapter of peft, or its download is incomplete."
        )
    if WEIGHTS not in files:
        other = sorted(file for file in files if file.startswith("adapter") and file.endswith(PICKLES))
        why = f": it has {other[0]}, a pickle, which can run code when it is read" if other else ""
        raise InputError(
            f"{subject} has no {WEIGHTS}{why}. Save it again with save_pretrained(..., "
            f"safe_serialization=True) "
            "of peft, from a source that you trust."
        )


def put_on(model: Any, adapter: Adapter, label: str) -> None:
    """Put an adapter on a loaded model, in place, for inference.

    Raises
    ------
    InputError
        If it does not fit this model in every matrix, or peft refuses it.
    """
    quieten()
    try:
        report = model.load_adapter(str(adapter.folder), use_safetensors=True, hotswap=False)
    except Exception as error:  # peft and torch each have errors of their own
        # transformers names a setting here that nobody has set
        shapes = "mismatched_sizes" in str(error)
        why = "its matrices have other shapes than those of the model" if shapes else first_line(error)
        raise InputError(
            f"The adapter {adapter.name!r} cannot be put on {label}: {why}. Use an adapter that was "
            "trained on this model."
        ) from error
    lost = [*report.missing_keys, *report.unexpected_keys, *map(str, report.mismatched_keys)]
    if lost or not any("lora_" in name for name, _ in model.named_parameters()):
        named = f": {sorted(map(str, lost))[0]}, ..." if lost else ""
        raise InputError(
            f"The adapter {adapter.name!r} does not fit {label}: {len(report.missing_keys)} of its matrices "
            f"are missing, {len(report.unexpected_keys)} have no place, {len(report.mismatched_keys)} have "
            f"another shape{named}. Use an adapter that was trained on this model."
        )
    if any("lora_" in name and weight.is_meta for name, weight in model.named_parameters()):
        raise InputError(
            f"The adapter {adapter.name!r} changes parts of {label} that device_map offloads, which peft "
            f"cannot do. "
            "Offload other parts, such as the vision side."
        )
    model.eval()
