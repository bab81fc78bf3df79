"""`load_vlm`: from a name to a `VLM`; each thing that can go wrong is one clear error.

A checkpoint of the hub is brought into the local cache first (see `pretrained.hub`), so that everything is
loaded from a folder. Not for using the model (see `model.py`).
"""

from __future__ import annotations

import importlib.util
import re
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from isi_widget import embedded
from isi_widget.errors import Cancelled, InputError
from isi_widget.pretrained import hub, placement
from isi_widget.pretrained.devices import choose_device
from isi_widget.pretrained.listening import heard, warnings_wait
from isi_widget.pretrained.out_of_memory import forget, is_out_of_memory, out_of_memory_as_error
from isi_widget.pretrained.placement import DeviceMap, checked_map
from isi_widget.pretrained.quantization import (
    QUANTIZATIONS,
    check_quantization,
    keep_layout,
    quantization_config,
)
from isi_widget.running.attended import Call, attended
from isi_widget.vlm.cluster import RayCluster, load_on
from isi_widget.vlm.loading import files, memory
from isi_widget.vlm.loading.adapters import find_adapter, put_on
from isi_widget.vlm.loading.checkpoints import models
from isi_widget.vlm.loading.configuration import configuration, family_of_checkpoint, first_line
from isi_widget.vlm.loading.elsewhere import about_name
from isi_widget.vlm.loading.fitting import check_fits
from isi_widget.vlm.loading.processors import checked_arguments, load_processor, set_arguments, try_reading
from isi_widget.vlm.loading.quantization import compute_dtype, kept_modules
from isi_widget.vlm.model import VLM
from isi_widget.vlm.prompts.turns import checked_history, checked_system

EMBEDDED = embedded.VLM
#: One model is loaded at a time, because free memory is checked first. The waiting caller holds this lock,
#: never the loading thread, so that a hanging load does not block other loads.
_loading = threading.RLock()
#: Seconds that a load which was cancelled has to end by itself (a download says what it keeps) before it is
#: given up.
_PATIENCE = 1.0
#: Arguments that are of the call, not of the model.
_OF_THE_CALL = ("progress", "cancel", "check_memory")


def load_vlm(
    name: str | Path | None = None,
    *,
    quantization: str | None = None,
    quantize_vision: bool = False,
    device: str | torch.device = "auto",
    device_map: str | Mapping[str, int | str | torch.device] | None = None,
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    adapter: str | Path | None = None,
    processor_args: Mapping[str, Any] | None = None,
    system: str | None = None,
    history: Sequence[Any] | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    check_memory: bool = True,
    reuse: bool = False,
    on: str | RayCluster | None = None,
    progress: hub.Progress | None = None,
    cancel: hub.Cancel | None = None,
) -> VLM:
    """Load a vision-language model.

    Parameters
    ----------
    name : None or "embedded" for the embedded model (offline, at once), a folder, or a name on the Hugging
        Face hub.
    quantization : None, "int8", "nf4" or "nf4-double" (bitsandbytes, an optional extra), on CUDA or the CPU.
    quantize_vision : quantise the matrices of the vision side too. What is not quantised stands in
        `vlm.info()["not_quantized"]`.
    device : "auto" (CPU for the embedded model; else CUDA, else Apple's MPS, else CPU) or any torch device.
    device_map : spread the model over several devices (accelerate, an optional extra): "auto", "balanced",
        "balanced_low_0", "sequential", or module -> device (0, "cuda:1", "cpu", "disk"; "" for the rest).
    dtype : "auto" (float32 on CPU and for the embedded model, else bfloat16, or float16 where the device
        lacks it) or a torch dtype. 4-bit matrices are multiplied in it too; with "auto", on a CPU that has
        bfloat16 instructions, in bfloat16.
    revision : branch, tag or commit on the hub.
    adapter : a LoRA adapter for it (peft, an optional extra): a folder, "owner/name" or
        "owner/name@revision"; safetensors only.
    processor_args : settings of the image processor by name, such as {"max_pixels": 512 * 512} for Qwen-VL.
    system : system prompt; default none. It comes before every question as a segment of its own, never
        counted as context.
    history : earlier turns, pairs (user, model) or messages; default none. Placed like `system`.
    trust_remote_code : run code that comes with the checkpoint. Off unless the caller says otherwise.
    allow_pickle : read pickled weights where there is no safetensors file. They can run code: only from a
        trusted source.
    check_memory : refuse, before the weights are read, a model that is too large for the memory that is free.
    reuse : take a model that was loaded in this process and is still there, if these arguments fit it,
        instead of loading it a second time: what code does that is copied from a probe.
    on : place of the model. None (default): this process. "ray://host:port": on a Ray cluster, by Ray
        Client; "ray": in a process of its own in this machine; an `isi.RayCluster` sets GPUs and cores, too.
        The result is then a `ClusterVLM`, see docs/cluster.md; names and folders are those of the cluster.
    progress : called with a fraction between 0 and 1 and a text, in this thread.
    cancel : polled all the time; once it returns True, `Cancelled` is raised, whatever the load is at.

    Raises
    ------
    InputError
        Missing or broken folder, unknown or gated name, no network, unsupported family or original format,
        missing package, unavailable device, a setting that the processor or the chat template has no place
        for, an adapter that does not fit, too little memory (`OutOfMemory` if it ran out all the same).
    Cancelled
        After either, nothing stays allocated.
    """
    asked = dict(locals())
    del asked["reuse"], asked["on"]
    given = {
        **asked,
        "device_map": checked_map(device_map, device),
        "processor_args": checked_arguments(processor_args),
        "system": checked_system(system),
        "history": checked_history(history),
    }
    if on is not None:
        if reuse and (there := _there(asked, on)) is not None:
            return there
        sent = {key: value for key, value in asked.items() if key not in ("progress", "cancel")}
        connected = cast(VLM, load_on(on, sent, load_vlm, progress, cancel))
        _loaded[id(connected)] = connected
        return connected
    while not _loading.acquire(timeout=0.2):
        _poll(cancel, name)
    try:
        if reuse and (there := _there(asked, None)) is not None:
            return there
        with out_of_memory_as_error(
            f"loading {name}",
            "Try quantization='nf4', a smaller checkpoint (isi.models()), or device='cpu'.",
        ):
            vlm = _load_here(given) if cancel is None else _load_attended(given)
    except BaseException as error:
        # A half-loaded model must not live on in the frames of an error that somebody keeps.
        forget(error)
        raise
    finally:
        _loading.release()
    vlm.loaded_with = {key: value for key, value in asked.items() if key not in _OF_THE_CALL}
    _loaded[id(vlm)] = vlm
    return vlm


def _load_here(given: Mapping[str, Any]) -> VLM:
    with warnings_wait():
        return _load(**given)


def _load_attended(given: Mapping[str, Any]) -> VLM:
    """Load in a thread that can be given up; `progress` and `cancel` are called in this one."""
    name, progress, cancel = given["name"], given["progress"], given["cancel"]
    _poll(cancel, name)
    since: list[float] = []  # time of the cancel request

    def asked() -> bool:
        if not since and cancel():
            since.append(time.monotonic())
        return bool(since)

    def attend() -> None:
        if asked() and time.monotonic() - since[0] > _PATIENCE:
            _poll(lambda: True, name)

    def work(call: Call) -> VLM:
        def told(part: float, text: str) -> None:
            call(lambda: progress(part, text))

        mine: dict[str, Any] = {"cancel": lambda: bool(call(asked))}
        mine["progress"] = None if progress is None else told
        return _load_here({**given, **mine})

    return attended(work, attend, f"loading {name}")


#: Those that are still there, by their `id`.
_loaded: weakref.WeakValueDictionary[int, VLM] = weakref.WeakValueDictionary()


def _there(asked: dict[str, Any], on: str | RayCluster | None) -> VLM | None:
    """Return a loaded model that fits these arguments of `load_vlm`: it was loaded by the same, or has
    the given revision, precision and device, in the same place.
    """
    for vlm in reversed(list(_loaded.values())):  # the latest is most likely the one that is meant
        info, given = vlm.info(), vlm.loaded_with or {}
        if on not in (given.get("on"), info.get("on")):
            continue
        same = all(
            _plain(value) in (_plain(given[key]), _plain(info.get(key)))
            for key, value in asked.items()
            if key in given and key != "name" and (key, value) != ("device", "auto")
        )
        if same and str(asked["name"] or "embedded") == str(info["name"]):
            return vlm
    return None


def _plain(value: Any) -> str:
    return str(value).removeprefix("torch.")


def _load(
    name: str | Path | None,
    quantization: str | None,
    quantize_vision: bool,
    device: str | torch.device,
    device_map: DeviceMap | None,
    dtype: str | torch.dtype,
    revision: str | None,
    adapter: str | Path | None,
    processor_args: dict[str, Any],
    system: str | None,
    history: tuple[tuple[str, str], ...],
    trust_remote_code: bool,
    allow_pickle: bool,
    check_memory: bool,
    progress: hub.Progress | None,
    cancel: hub.Cancel | None,
) -> VLM:
    _poll(cancel, name)
    is_embedded = name is None or str(name) == "embedded"
    place = choose_device("cpu" if is_embedded and str(device) == "auto" else device)
    if device_map is not None:
        place = placement.main_device(device_map)
    check_quantization(quantization, place)
    number_type = _dtype(dtype, place, is_embedded)
    found = _locate(None if is_embedded else name, revision)
    put = None if adapter is None else find_adapter(adapter, cancel=cancel)
    label = "embedded" if is_embedded else str(name)
    folder = found if isinstance(found, Path) else hub.fetch(found, files.needed(found, ["config.json"]))
    config = configuration(folder, label, trust_remote_code)
    family = family_of_checkpoint(config, label)
    stored = _stored_quantization(config)
    if stored is not None and quantization is not None:
        raise InputError(
            f"{label} is quantised already ({stored}). Load it without quantization={quantization!r}, or "
            "name the checkpoint that it was made from."
        )
    if stored in QUANTIZATIONS:
        check_quantization(stored, place)
    bare: Any = None
    if quantization is not None or isinstance(device_map, dict) or (check_memory and stored is None):
        bare = memory.skeleton(config, number_type, trust_remote_code)
    if isinstance(device_map, dict):
        device_map = placement.apart(device_map, bare)
    if check_memory and bare is not None and stored is None:
        check_fits(
            label,
            bare,
            place,
            quantization=quantization,
            dtype=number_type,
            quantize_vision=quantize_vision,
            device_map=device_map,
        )
    share = 0.0
    if not isinstance(found, Path):
        share = files.download(found, trust_remote_code, allow_pickle, progress, cancel)
    files.check_folder(folder, label, allow_pickle)
    processor = load_processor(folder, label, family, config, trust_remote_code)
    set_arguments(processor, processor_args, label)
    arguments: dict[str, Any] = {"dtype": number_type, "trust_remote_code": trust_remote_code}
    arguments["use_safetensors"] = None if allow_pickle else True
    if device_map is not None:
        arguments["device_map"] = device_map
    if quantization is not None:
        compute = compute_dtype(number_type, place, chosen=dtype != "auto")
        kept = kept_modules(bare, quantize_vision)
        arguments["quantization_config"] = quantization_config(quantization, compute, kept)
    quiet = is_embedded or progress is not None

    def report(fraction: float) -> None:
        _poll(cancel, label)
        if progress is not None:
            progress(share + (1 - share) * fraction, f"reading the weights of {label}")

    with heard(report), hub.progress_bars(shown=not quiet):
        model = _model(folder, label, place, arguments)
        if put is not None:
            _poll(cancel, label)
            put_on(model, put, label)
    if progress is not None:
        progress(1.0, f"loaded {label}")
    vlm = VLM(
        model,
        processor,
        model_id=label,
        revision=None if isinstance(found, Path) else found.commit,
        quantization=quantization or stored,
        is_embedded=is_embedded,
        system=system,
        history=history,
        processor_args=processor_args,
        adapter=None if put is None else put.name,
    )
    vlm.try_out()
    try_reading(vlm, processor_args, offloaded=any(weight.is_meta for weight in model.parameters()))
    return vlm


def _poll(cancel: hub.Cancel | None, name: object) -> None:
    if cancel is not None and cancel():
        raise Cancelled(f"Loading {'embedded' if name is None else name} was cancelled.")


def _locate(name: str | Path | None, revision: str | None) -> Path | hub.Repository:
    """Return the location of a checkpoint: an existing folder, or a repository of the hub."""
    if name is None:
        if not (EMBEDDED / "config.json").is_file():
            raise InputError(
                f"The embedded model is missing from this installation ({EMBEDDED}). Reinstall isi-widget, "
                "or name a model: load_vlm('...')."
            )
        return EMBEDDED
    text = str(name)
    folder = Path(text).expanduser()
    if text.strip() and folder.exists():
        return folder
    if about := about_name(text):
        raise InputError(about)
    if re.fullmatch(r"[\w.-]+", text) and not text.startswith(".") and not isinstance(name, Path):
        raise InputError(_without_owner(text))
    if (
        isinstance(name, Path)
        or text.startswith((".", "/", "~"))
        or text.count("/") > 1
        or "\\" in text
        or not text.strip()
    ):
        raise InputError(
            f"There is no model folder {text!r}. Give an existing folder, or a name on the Hugging Face hub "
            "('owner/model')."
        )
    return hub.find(text, revision)


def _without_owner(name: str) -> str:
    """Return the message for a name without an owner, which is no folder."""
    known = [one.name for one in models(name) if one.name != "embedded"]
    close = (
        f"You may mean {' or '.join(map(repr, known[:3]))}" if known else "'llava-hf/llava-1.5-7b-hf' is one"
    )
    search = f"isi.models({name!r})" if known else "isi.models()"
    return (
        f"{name!r} is neither an existing folder nor a valid hub name: those read 'owner/name'. {close}; "
        f"{search} "
        "lists the known ones."
    )


def _stored_quantization(config: Any) -> str | None:
    """How the weights of a checkpoint are quantised already; None if they are not."""
    stored = getattr(config, "quantization_config", None)
    if not stored:
        return None
    said = stored if isinstance(stored, dict) else stored.to_dict()
    if said.get("load_in_8bit"):
        return "int8"
    if said.get("load_in_4bit") and said.get("bnb_4bit_quant_type") == "nf4":
        return "nf4-double" if said.get("bnb_4bit_use_double_quant") else "nf4"
    return str(said.get("quant_method", "unknown method"))


def _model(folder: Path, label: str, device: torch.device, arguments: dict[str, Any]) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    # Without accelerate the weights go by way of the machine's memory.
    straight = device.type != "cpu" and importlib.util.find_spec("accelerate") is not None
    if "device_map" not in arguments and (straight or "quantization_config" in arguments):
        arguments = {**arguments, "device_map": {"": device}}
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, output_loading_info=True, **arguments
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, ImportError, EOFError) as error:
        if isinstance(error, Cancelled) or is_out_of_memory(error):
            raise
        if "dispatched on the CPU or the disk" in str(error):
            raise InputError(
                f"{label} does not fit quantised on the GPUs of device_map, and quantised parts stay on "
                f"GPUs. Load "
                "it with a stronger quantization, or without one and with device_map."
            ) from error
        if "ignore_mismatched_sizes" in str(error):  # a setting of transformers that nobody here can set
            raise InputError(
                f"The weights of {label!r} have other shapes than its config.json says: the two do not "
                "belong together. Download the checkpoint again, or give the config.json that it was saved "
                "with."
            ) from error
        raise InputError(
            f"The weights of {label!r} cannot be loaded: {first_line(error)}. {_advice(error)}"
        ) from error
    missing = sorted(report["missing_keys"])
    wrong = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or wrong:
        named = ", ".join((missing + wrong)[:3])
        own = [
            name
            for name in getattr(model.config, "architectures", None) or ()
            if name != type(model).__name__
        ]
        raise InputError(
            f"The checkpoint {label!r} lacks {len(missing)} weights and has {len(wrong)} of the wrong shape "
            f"({named}, ...). They would be random: "
            + (
                f"it was saved by another program as {own[0]!r}, so look for a conversion to the format of "
                "transformers."
                if own and report.get("unexpected_keys")
                else "download the checkpoint again."
            )
        )
    model.eval()
    keep_layout(model)
    # A quantised model is where it is: bitsandbytes refuses some moves; and so is one that is spread.
    return model if "device_map" in arguments else model.to(device)


def _dtype(dtype: str | torch.dtype, device: torch.device, is_embedded: bool) -> torch.dtype:
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        return dtype
    if dtype == "auto":
        if device.type == "cpu" or is_embedded:
            return torch.float32
        return (
            torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16
        )
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if not isinstance(dtype, str) or dtype not in names:
        raise InputError(
            f"dtype is {dtype!r}; choose 'auto', {', '.join(map(repr, names))} or a floating torch dtype."
        )
    return names[dtype]


def _advice(error: BaseException) -> str:
    missing = isinstance(error, ImportError)
    return "Install what is missing." if missing else "Download the checkpoint again."
