"""Which model a probe has, which it could have, and how it goes from one to the other.

`Source` says how a model was loaded, so that it can be loaded again; `ModelSlot` holds the present model and
exchanges it; `offer` lists what the page can choose from. Not for loading itself (`load_vlm`) nor for threads
(`controller.py`).
"""

from __future__ import annotations

import gc
import inspect
import math
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from isi_widget import embedded
from isi_widget.errors import Cancelled, InputError
from isi_widget.vlm import VLM, load_vlm, models
from isi_widget.widget import protocol

EMBEDDED = "embedded"  # what `VLM.info()` calls the model of this package, and the page too

Progress = Callable[[float, str], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Source:
    """How a model is loaded: the arguments of `load_vlm`."""

    name: str | Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quantization(self) -> str | None:
        """None, or the name of the quantisation."""
        return self.arguments.get("quantization")

    @property
    def title(self) -> str:
        """The name for a sentence."""
        return EMBEDDED if self.name is None else str(self.name)

    def load(self, progress: Progress, cancel: Cancel) -> VLM:
        """Load it now; raises what `load_vlm` raises, and `Cancelled`."""
        vlm: VLM = load_vlm(self.name, **self.arguments, **_listeners(progress, cancel))
        if cancel():
            raise Cancelled(f"Loading {self.title} was cancelled.")
        return vlm

    @classmethod
    def named(cls, name: str | Path | None, **arguments: Any) -> Source:
        """From what a page or a user gives: "embedded" is the embedded model."""
        given = {key: value for key, value in arguments.items() if value is not None}
        return cls(None if name == EMBEDDED else name, given)

    @classmethod
    def of(cls, vlm: VLM) -> Source | None:
        """How a model came about that somebody else loaded; None if it was made by hand."""
        known = getattr(vlm, "loaded_with", None)
        return None if known is None else cls(known["name"], {k: v for k, v in known.items() if k != "name"})


def _listeners(progress: Progress, cancel: Cancel) -> dict[str, Any]:
    known = inspect.signature(load_vlm).parameters
    return {"progress": progress, "cancel": cancel} if "progress" in known else {}


class ModelSlot:
    """The place of the one model that a probe has.

    Raises `InputError` where the model is asked for while there is none: between the old one, which had to
    make room, and the new one.
    """

    def __init__(self, vlm: VLM, source: Source | None) -> None:
        self._lock = threading.Lock()
        self._vlm: VLM | None = vlm
        self._source = source
        self._turn = 0
        self._lost = ""

    @property
    def vlm(self) -> VLM:
        """The present model."""
        vlm = self._vlm
        if vlm is None:
            raise InputError(self._lost or "The model is being exchanged. Wait until the new one is loaded.")
        return vlm

    @property
    def unavailable(self) -> dict[str, str]:
        """What the present model cannot give: measure -> reason."""
        return dict(getattr(self._vlm, "unavailable", {}))

    def put(self, vlm: VLM, source: Source | None) -> None:
        """Make it the present model."""
        with self._lock:
            self._vlm, self._source, self._lost = vlm, source, ""
            self._turn += 1

    def held(self, device: torch.device) -> int:
        """Bytes of `device` that become free if the present model makes room; 0 if it never does."""
        vlm = self._vlm
        if vlm is None or self._source is None or _place(vlm) != device:
            return 0
        footprint = getattr(getattr(vlm, "model", None), "get_memory_footprint", None)
        return int(footprint()) if callable(footprint) else 0

    def exchange(self, source: Source, progress: Progress, cancel: Cancel) -> VLM:
        """Load a model and make it the present one; if that fails, the old one is in place as before.

        Where memory has room for both, the old one stays until the new one is there. Where it has not, and
        the old one can be loaded again, it goes first, and comes back if the new one fails. (What somebody
        else holds too, such as a variable of the notebook, is not freed by letting it go.)
        """
        needed, device = estimate(source), _target(source)
        free, held = free_memory(device), self.held(device)
        if needed is None or free is None or not free < needed <= free + held:
            vlm = source.load(progress, cancel)
        else:
            vlm = self._make_room_for(source, progress, cancel)
        self.put(vlm, source)
        return vlm

    def _make_room_for(self, source: Source, progress: Progress, cancel: Cancel) -> VLM:
        before, turn = self._source, self._turn
        assert before is not None and self._vlm is not None
        old = weakref.ref(self._vlm)
        self._vlm = None
        _release()
        try:
            return source.load(progress, cancel)
        except BaseException as error:
            failure = error
        # Outside the handler, and with its frames cleared: what was half loaded is gone before the old comes.
        traceback.clear_frames(failure.__traceback__)
        _release()
        again = old()
        try:
            if again is None:
                again = before.load(lambda part, _: progress(part, f"{before.title} again"), lambda: False)
        except Exception as second:
            reason = "It was cancelled" if isinstance(failure, Cancelled) else str(failure)
            self._lost = (
                f"{source.title} was not loaded: {reason.rstrip('.')}. {before.title}, which had made room, "
                f"could not be loaded again: {str(second).rstrip('.')}. Choose another model."
            )
            raise InputError(self._lost) from failure
        with self._lock:
            if self._turn == turn:  # nobody put another one there meanwhile
                self._vlm = again
        raise failure


# ------------------------------------------------------------------------------------------ what there is
def offer(slot: ModelSlot) -> dict[str, Any]:
    """What the page can choose from: `models`, and `free` memory of the `device` they would be loaded on.

    `held` is what the present model would leave on that device.
    """
    device = _target(Source("any"))
    listed = [
        {
            "name": checkpoint.name,
            "family": checkpoint.family,
            "parameters": checkpoint.parameters,
            "licence": checkpoint.licence,
            "memory": {kind or "none": checkpoint.memory(kind) for kind in protocol.QUANTIZATIONS},
        }
        for checkpoint in models()
        if checkpoint.name != EMBEDDED
    ]
    return {
        "models": [_embedded_entry(), *listed],
        "free": free_memory(device),
        "held": slot.held(device),
        "device": str(device),
    }


def label(info: Mapping[str, Any]) -> str:
    """The name of a model beside a result: a quantised one is another one."""
    return " ".join(str(info[key]) for key in ("name", "quantization") if info.get(key))


@cache
def _embedded_entry() -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(embedded.VLM / "model.safetensors", "pt") as weights:
        names: list[str] = list(weights.keys())
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    return {
        "name": EMBEDDED,
        "family": "Embedded",
        "parameters": parameters,
        "licence": "BSD-3-Clause",
        "memory": {"none": 4 * parameters},  # float32; there is nothing to gain from less
    }


# ------------------------------------------------------------------------------------------------ memory
def estimate(source: Source) -> int | None:
    """Bytes that a model will take, or None where nothing is known of it before it is loaded."""
    if source.name is None:
        return int(_embedded_entry()["memory"]["none"])
    for checkpoint in models():
        if checkpoint.name == str(source.name):
            return checkpoint.memory(source.quantization)
    return None


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where that is not to be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return None


def _target(source: Source) -> torch.device:
    """Where `load_vlm` will put a model."""
    asked = str(source.arguments.get("device", "auto"))
    if asked != "auto":
        return _indexed(torch.device(asked))
    if source.name is None:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return _indexed(torch.device("cuda"))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _place(vlm: Any) -> torch.device | None:
    device = getattr(vlm, "device", None)
    return None if device is None else _indexed(torch.device(device))


def _indexed(device: Any) -> torch.device:
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)


def _release() -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
