"""Which model a probe has, which it could have, and how it goes from one to the other.

`Source` says how a model is loaded, so that it can be loaded again; `ModelSlot` holds the present model and
exchanges it; `offer` lists what the page can choose from. Not for loading itself (`load_vlm`), nor for
counting memory (`isi_widget.vlm.loading.memory`), nor for threads (`controller.py`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from isi_widget.errors import Cancelled, InputError
from isi_widget.interventions import Intervention
from isi_widget.pretrained import hub, placement
from isi_widget.pretrained.devices import choose_device
from isi_widget.pretrained.hub import Cancel, Progress
from isi_widget.pretrained.machine import free_memory
from isi_widget.pretrained.out_of_memory import free_caches
from isi_widget.running.attended import attended
from isi_widget.vlm import VLM, load_vlm, models
from isi_widget.vlm.loading import files, memory
from isi_widget.widget import messages

EMBEDDED = "embedded"  # what `VLM.info()` and `models()` call the model of this package, and the page too


@dataclass(frozen=True)
class Source:
    """How a model is loaded: the arguments of `load_vlm`, and the interventions that it is seen with."""

    name: str | Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    interventions: tuple[Intervention, ...] = ()

    @property
    def title(self) -> str:
        """The name for a sentence."""
        return EMBEDDED if self.name is None else str(self.name)

    def load(self, progress: Progress, cancel: Cancel, **more: Any) -> VLM:
        """Load it now; raises what `load_vlm` raises."""
        vlm = load_vlm(self.name, **{**self.arguments, **more}, progress=progress, cancel=cancel)
        return vlm.intervene(*self.interventions) if self.interventions else vlm

    @classmethod
    def of(cls, vlm: VLM) -> Source | None:
        """Return the `load_vlm` arguments of a model; None if it was made by hand."""
        known = dict(vlm.loaded_with or {})
        return cls(known.pop("name"), known, vlm.interventions) if known else None

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where `load_vlm` will put it, or its parts; empty for a model that a cluster holds."""
        if self.arguments.get("on") is not None:
            return ()
        device_map = self.arguments.get("device_map")
        if device_map is None:
            return (self.device,)
        return placement.devices(placement.checked_map(device_map, "auto") or "auto")

    @property
    def device(self) -> torch.device:
        """Where `load_vlm` will put it, or what its inputs go to."""
        if (device_map := self.arguments.get("device_map")) is not None:
            return _indexed(placement.main_device(placement.checked_map(device_map, "auto")))
        asked = self.arguments.get("device", "auto")
        return _indexed(choose_device("cpu" if str(asked) == "auto" and self.title == EMBEDDED else asked))

    def needed(self) -> int | None:
        """Return bytes that it needs to answer once, from its configuration, which is fetched where it is not
        here.

        None if unknown: loading it will report the reason.
        """
        if self.arguments.get("on") is not None:
            return None
        if self.title == EMBEDDED:
            return models()[0].memory(samples=1)
        said = {key: self.arguments[key] for key in _OF_ESTIMATE if self.arguments.get(key) is not None}
        dtype = self.arguments.get("dtype", "auto")
        if str(dtype) == "auto":
            dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        elif isinstance(dtype, str):
            dtype = getattr(torch, dtype, None)
        try:
            folder = Path(str(self.name)).expanduser()
            if not folder.exists():
                found = hub.find(str(self.name), self.arguments.get("revision"))
                wanted = files.needed(found, ["config.json"])
                folder = hub.fetch(found, wanted, progress=lambda part, text: None)
            return memory.estimate(folder, dtype=dtype, samples=1, **said).total
        except InputError:
            return None


_OF_ESTIMATE = ("quantization", "quantize_vision", "trust_remote_code")


class ModelSlot:
    """The place of the one model that a probe has."""

    def __init__(self, vlm: VLM) -> None:
        self._lock = threading.Lock()
        self._vlm: VLM | None = None
        self._lost = ""
        self.put(vlm)

    @property
    def vlm(self) -> VLM:
        """The present model.

        `InputError` while there is none: between the old one, which had to make room, and the new one.
        """
        vlm = self._vlm
        if vlm is None:
            raise InputError(self._lost or "The model is being exchanged. Wait until the new one is loaded.")
        return vlm

    @property
    def unavailable(self) -> dict[str, str]:
        """What the present model cannot give: measure -> reason."""
        return {} if self._vlm is None else dict(self._vlm.unavailable)

    def put(self, vlm: VLM) -> None:
        """Make it the present model."""
        with self._lock:
            self._vlm, self._lost = vlm, ""

    def held(self, device: torch.device) -> int:
        """Return the bytes of `device` that become free if the present model is released; 0 if it
        never is.
        """
        vlm = self._vlm
        source = None if vlm is None else Source.of(vlm)
        if vlm is None or source is None or not source.devices:
            return 0
        places = placement.devices_of(vlm.model)
        if device not in map(_indexed, places):
            return 0
        return memory.model_bytes(vlm.model) if len(places) == 1 else memory.model_bytes(vlm.model, device)

    def exchange(self, source: Source, progress: Progress, cancel: Cancel) -> VLM:
        """Load a model and make it the present one; if that fails, the old one is in place as before.

        Where memory has room for both, the old one stays until the new one is there. Where it has not, and
        the old one can be loaded again, it goes first, and comes back if the new one fails. (What somebody
        else holds too, such as a variable of the notebook, is not freed by letting it go.)
        """
        progress(0.0, f"loading {source.title}")
        needed, free, held = attended(lambda call: self._room(source), _polled(cancel, source))
        if needed is not None and free is not None and free < needed <= free + held:
            vlm = self._make_room_for(source, progress, cancel)
        else:
            vlm = source.load(progress, cancel)
        with self._lock:
            # As late as here: another one may have been put there meanwhile. Some model there must be.
            if cancel() and self._vlm is not None:
                raise Cancelled(f"{source.title} was loaded when it was no longer wanted.")
            self._vlm, self._lost = vlm, ""
        free_caches()
        return vlm

    def _room(self, source: Source) -> tuple[int | None, int | None, int]:
        """Return bytes that a model needs, that are free where it will be, and that the present one would
        leave there.
        """
        rooms = [free_memory(device) for device in source.devices]
        known = [room for room in rooms if room is not None]
        return source.needed(), sum(known) if known else None, sum(map(self.held, source.devices))

    def _make_room_for(self, source: Source, progress: Progress, cancel: Cancel) -> VLM:
        before = Source.of(self.vlm)
        assert before is not None
        old = weakref.ref(self.vlm)
        self._vlm = None
        free_caches()
        try:
            return source.load(progress, cancel)
        except BaseException as error:  # an interrupt, too, must not leave the probe without a model
            failure = error
        if self._vlm is not None:  # somebody put another one there meanwhile
            raise failure
        again = old()
        try:
            if again is None:
                again = before.load(_again(progress, before), lambda: False, check_memory=False)
        except Exception as second:
            reason = "it was cancelled" if isinstance(failure, Cancelled) else str(failure)
            self._lost = (
                f"{source.title} was not loaded: {reason.rstrip('.')}. {before.title}, which had made room "
                f"for it, could not be loaded again: {str(second).rstrip('.')}. Choose another model."
            )
            raise InputError(self._lost) from failure
        with self._lock:
            if self._vlm is None:  # nobody put another one there meanwhile
                self._vlm = again
        raise failure


def _polled(cancel: Cancel, source: Source) -> Callable[[], None]:
    def attend() -> None:
        if cancel():
            raise Cancelled(f"Loading {source.title} was cancelled.")

    return attend


def _again(progress: Progress, source: Source) -> Progress:
    return lambda part, _: progress(part, f"loading {source.title} again")


# ------------------------------------------------------------------------------------------ what there is
def offer(slot: ModelSlot) -> dict[str, Any]:
    """Return what the page can choose from: the models, and the `free` memory of the `device` they would come
    to.

    Each model has what it needs to answer once, in bytes, by quantisation; `held` is what the present model
    would leave.
    """
    device = Source("any").device
    return {
        "models": [_entry(checkpoint, device) for checkpoint in models()],
        "free": free_memory(device),
        "held": slot.held(device),
        "device": str(device),
    }


def _entry(checkpoint: Any, device: torch.device) -> dict[str, Any]:
    # Float32 is what a CPU gets. The embedded model is offered as it is: there is nothing to gain from less.
    kinds = (None,) if checkpoint.name == EMBEDDED else messages.QUANTIZATIONS
    width = 4 if device.type == "cpu" else None
    return {
        "name": checkpoint.name,
        "family": checkpoint.family,
        "parameters": checkpoint.parameters,
        "licence": f"{checkpoint.licence}, gated" if checkpoint.gated else checkpoint.licence,
        "memory": {kind or "none": checkpoint.memory(kind, samples=1, number_bytes=width) for kind in kinds},
    }


def _indexed(device: Any) -> torch.device:
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)
