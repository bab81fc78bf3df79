"""`load_vlm`: from a name to a `VLM`; each thing that can go wrong is one clear error.

A checkpoint of the hub is brought into the local cache first (see `isi_widget.hub`), so that everything is
loaded from a folder. Not for using the model (see `model.py`).
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from isi_widget import hub
from isi_widget.devices import choose_device
from isi_widget.errors import Cancelled, InputError
from isi_widget.quantization import QUANTIZATIONS, check_quantization, keep_layout, quantization_config
from isi_widget.vlm import files, memory
from isi_widget.vlm.families import Family, family_of
from isi_widget.vlm.model import VLM
from isi_widget.vlm.quantization import compute_dtype, kept_modules

EMBEDDED = Path(__file__).resolve().parent.parent / "embedded" / "vlm"
#: One model is loaded at a time: what is free is looked up before, and one listens to transformers' progress.
_loading = threading.RLock()


def load_vlm(
    name: str | Path | None = None,
    *,
    quantization: str | None = None,
    quantize_vision: bool = False,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    check_memory: bool = True,
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
    dtype : "auto" (float32 on CPU and for the embedded model, else bfloat16, or float16 where the device
        lacks it) or a torch dtype. 4-bit matrices are multiplied in it too; with "auto", on a CPU that has
        bfloat16 instructions, in bfloat16.
    revision : branch, tag or commit on the hub.
    trust_remote_code : run code that comes with the checkpoint. Off unless the caller says otherwise.
    allow_pickle : read pickled weights where there is no safetensors file. They can run code: only from a
        trusted source.
    check_memory : refuse, before the weights are read, a model that is too large for the memory that is free.
    progress : called with a fraction between 0 and 1 and a text, in this thread.
    cancel : polled while files are downloaded and weights are read; if it returns True, `Cancelled` is
        raised.

    Raises
    ------
    InputError
        Missing or broken folder, unknown or gated name, no network, unsupported family, missing package,
        unavailable device, too little memory (`OutOfMemory` if it ran out all the same).
    Cancelled
        After either, nothing stays allocated.
    """
    asked = dict(locals())
    while not _loading.acquire(timeout=0.2):
        _poll(cancel, name)
    try:
        with memory.out_of_memory_as_error(
            f"loading {name}",
            "Try quantization='nf4', a smaller checkpoint (isi.models()), or device='cpu'.",
        ):
            vlm = _load(**asked)
    except BaseException as error:
        # A half-loaded model must not live on in the frames of an error that somebody keeps.
        memory.forget(error)
        raise
    finally:
        _loading.release()
    said = ("progress", "cancel", "check_memory")
    vlm.loaded_with = {key: value for key, value in asked.items() if key not in said}
    return vlm


def _load(
    name: str | Path | None,
    quantization: str | None,
    quantize_vision: bool,
    device: str | torch.device,
    dtype: str | torch.dtype,
    revision: str | None,
    trust_remote_code: bool,
    allow_pickle: bool,
    check_memory: bool,
    progress: hub.Progress | None,
    cancel: hub.Cancel | None,
) -> VLM:
    _poll(cancel, name)
    is_embedded = name is None or str(name) == "embedded"
    place = choose_device("cpu" if is_embedded and str(device) == "auto" else device)
    check_quantization(quantization, place)
    number_type = _dtype(dtype, place, is_embedded)
    found = _locate(None if is_embedded else name, revision)
    label = "embedded" if is_embedded else str(name)
    folder = found if isinstance(found, Path) else hub.fetch(found, files.needed(found, ["config.json"]))
    config = _config(folder, label, trust_remote_code)
    family = family_of(config)
    stored = _stored_quantization(config)
    if stored is not None and quantization is not None:
        raise InputError(
            f"{label} is quantised already ({stored}). Load it without quantization={quantization!r}, or "
            "name the checkpoint that it was made from."
        )
    if stored in QUANTIZATIONS:
        check_quantization(stored, place)
    bare = None
    if quantization is not None or (check_memory and stored is None):
        bare = memory.skeleton(config, number_type, trust_remote_code)
    if check_memory and bare is not None:
        memory.check_fits(
            label,
            bare,
            place,
            quantization=quantization,
            dtype=number_type,
            quantize_vision=quantize_vision,
        )
    share = 0.0
    if not isinstance(found, Path):
        share = files.download(found, trust_remote_code, allow_pickle, progress, cancel)
    files.check_folder(folder, label, allow_pickle)
    processor = _processor(folder, label, family, config, trust_remote_code)
    arguments: dict[str, Any] = {"dtype": number_type, "trust_remote_code": trust_remote_code}
    arguments["use_safetensors"] = None if allow_pickle else True
    if quantization is not None:
        compute = compute_dtype(number_type, place, chosen=dtype != "auto")
        kept = kept_modules(bare, quantize_vision)
        arguments["quantization_config"] = quantization_config(quantization, compute, kept)
    quiet = is_embedded or progress is not None
    with _heard(label, share, progress, cancel), hub.progress_bars(shown=not quiet):
        model = _model(folder, label, place, arguments)
    if progress is not None:
        progress(1.0, f"loaded {label}")
    return VLM(
        model,
        processor,
        model_id=label,
        revision=None if isinstance(found, Path) else found.commit,
        quantization=quantization or stored,
        is_embedded=is_embedded,
    )


def _poll(cancel: hub.Cancel | None, name: object) -> None:
    if cancel is not None and cancel():
        raise Cancelled(f"Loading {'embedded' if name is None else name} was cancelled.")


def _locate(name: str | Path | None, revision: str | None) -> Path | hub.Repository:
    """Where the checkpoint is: a folder that is there, or a repository of the hub."""
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


def _config(folder: Path, label: str, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    if not folder.is_dir():
        raise InputError(
            f"{str(folder)!r} is a file. Give the folder that holds config.json and the safetensors weights."
        )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"The folder {str(folder)!r} has no config.json: it is not a Hugging Face checkpoint, or its "
            "download is incomplete."
        )
    record = files.json_object(folder / "config.json")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # configurations validate themselves, each in its own way
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise InputError(
                f"{label} comes with code of its own. If you trust its source, pass trust_remote_code=True."
            ) from None
        # An unknown model_type: say which are supported rather than what transformers knows.
        family_of(_Named(record.get("model_type")))
        raise InputError(f"The configuration of {label!r} cannot be read: {_first_line(error)}.") from None


class _Named:
    """Just enough of a config to look up a family."""

    def __init__(self, model_type: object) -> None:
        self.model_type = model_type


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


def _processor(folder: Path, label: str, family: Family, config: Any, trust_remote_code: bool) -> Any:
    """The checkpoint's processor; from tokenizer and image processor if it cannot be loaded as one."""
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin

    where = {"trust_remote_code": trust_remote_code}
    try:
        processor = AutoProcessor.from_pretrained(folder, **where)
        if not hasattr(processor, "image_processor"):
            raise ValueError("no image processor")
    except (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError):
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **where)
            # Older checkpoints have the template in a file that only processors read (chat_template.json); a
            # tokenizer may carry another one, for text alone.
            own, _ = ProcessorMixin.get_processor_dict(folder)
            tokenizer.chat_template = own.get("chat_template") or tokenizer.chat_template
            image_processor = AutoImageProcessor.from_pretrained(folder, **where)
            processor = family.make_processor(config, tokenizer, image_processor)
        except Exception as error:
            raise InputError(
                f"{label!r} has no usable processor (tokenizer and image processor): {_first_line(error)}. "
                f"{_advice(error)}"
            ) from error
    family.complete_processor(processor, config)
    return processor


def _model(folder: Path, label: str, device: torch.device, arguments: dict[str, Any]) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    # Without accelerate the weights go by way of the machine's memory.
    straight = device.type != "cpu" and importlib.util.find_spec("accelerate") is not None
    if straight or "quantization_config" in arguments:
        arguments = {**arguments, "device_map": {"": device}}
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, output_loading_info=True, **arguments
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, ImportError, EOFError) as error:
        if isinstance(error, Cancelled) or memory.is_out_of_memory(error):
            raise
        raise InputError(
            f"The weights of {label!r} cannot be loaded: {_first_line(error)}. {_advice(error)}"
        ) from error
    missing = sorted(report["missing_keys"])
    wrong = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or wrong:
        named = ", ".join((missing + wrong)[:3])
        raise InputError(
            f"The checkpoint {label!r} lacks {len(missing)} weights and has {len(wrong)} of the wrong shape "
            f"({named}, ...). "
            "They would be random: download the checkpoint again."
        )
    model.eval()
    keep_layout(model)
    # A quantised model is where it is: bitsandbytes refuses some moves.
    return model if "device_map" in arguments else model.to(device)


@contextmanager
def _heard(
    label: str, done: float, progress: hub.Progress | None, cancel: hub.Cancel | None
) -> Iterator[None]:
    """Within it, transformers' own progress over the weights is passed on, and each step may be cancelled."""
    from transformers.utils import logging

    # Not in the first releases of transformers 5: then there is no progress, and no cancelling, here.
    set_hook = getattr(logging, "set_tqdm_hook", None)
    if set_hook is None or (progress is None and cancel is None):
        yield
        return
    thread = threading.get_ident()

    def report(fraction: float) -> None:
        _poll(cancel, label)
        if progress is not None:
            progress(done + (1 - done) * fraction, f"reading the weights of {label}")

    def hook(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bar = factory(*args, **kwargs) if previous is None else previous(factory, args, kwargs)
        items: Any = args[0] if args else kwargs.get("iterable")
        if threading.get_ident() != thread or not hasattr(items, "__len__"):
            return bar
        return _reported(bar, len(items), report)

    previous = set_hook(hook)
    try:
        yield
    finally:
        set_hook(previous)


def _reported(bar: Any, total: int, report: Any) -> Iterator[Any]:
    for index, item in enumerate(bar):
        report(index / total)
        yield item


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
