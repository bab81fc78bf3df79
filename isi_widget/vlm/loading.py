"""`load_vlm`: from a name to a `VLM`; each thing that can go wrong is one clear error.

Not for using the model (see `model.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from isi_widget.errors import InputError
from isi_widget.hub import progress_bars
from isi_widget.vlm.families import Family, family_of
from isi_widget.vlm.model import VLM
from isi_widget.vlm.quantization import check_quantization, keep_layout, quantization_config

EMBEDDED = Path(__file__).resolve().parent.parent / "embedded" / "vlm"


def load_vlm(
    name: str | Path | None = None,
    *,
    quantization: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> VLM:
    """Load a vision-language model.

    Parameters
    ----------
    name : None for the embedded model (offline, at once), a folder, or a name on the Hugging Face hub.
    quantization : None, "int8" or "nf4" (bitsandbytes, an optional extra).
    device : "auto" (CPU for the embedded model; else CUDA, else Apple's MPS, else CPU) or any torch device.
    dtype : "auto" (float32 on CPU and for the embedded model, else bfloat16, or float16 where the device
        lacks it) or a torch dtype.
    revision : branch, tag or commit on the hub.
    trust_remote_code : run code that comes with the checkpoint. Off unless the caller says otherwise.

    Raises
    ------
    InputError
        Missing or broken folder, unknown or gated name, no network, unsupported family, missing package,
        unavailable device.
    """
    check_quantization(quantization)
    is_embedded = name is None
    source, folder = _locate(name, revision)
    place = _device("cpu" if is_embedded and str(device) == "auto" else device)
    number_type = _dtype(dtype, place, is_embedded)
    config = _config(source, folder, revision, trust_remote_code)
    family = family_of(config)
    where = {"revision": revision, "trust_remote_code": trust_remote_code}
    processor = _processor(source, family, config, where)
    model = _model(source, folder, number_type, place, quantization, where, quiet=is_embedded)
    return VLM(
        model,
        processor,
        model_id="embedded" if is_embedded else source,
        revision=getattr(config, "_commit_hash", None) or revision,
        quantization=quantization,
        is_embedded=is_embedded,
    )


def _locate(name: str | Path | None, revision: str | None) -> tuple[str, Path | None]:
    """Where the checkpoint is: (source for transformers, its folder if it is local)."""
    if name is None:
        if not (EMBEDDED / "config.json").is_file():
            raise InputError(
                f"The embedded model is missing from this installation ({EMBEDDED}). Reinstall isi-widget, "
                "or name a model: load_vlm('...')."
            )
        return str(EMBEDDED), EMBEDDED
    text = str(name)
    folder = Path(text).expanduser()
    if text.strip() and folder.exists():
        _check_folder(folder)
        return str(folder), folder
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
    _check_hub(text, revision)
    return text, None


def _check_folder(folder: Path) -> None:
    """A folder must hold a readable config.json and safetensors weights."""
    if not folder.is_dir():
        raise InputError(
            f"{str(folder)!r} is a file. Give the folder that holds config.json and the safetensors weights."
        )
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(
            f"The folder {str(folder)!r} has no config.json: it is not a Hugging Face checkpoint, or its "
            "download is incomplete."
        )
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{str(config)!r} is not valid JSON ({error}). Download the checkpoint again."
        ) from None
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        other = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        found = (
            f" It has {', '.join(other)}, which can run code when loaded: convert it to safetensors."
            if other
            else ""
        )
        raise InputError(f"The folder {str(folder)!r} has no safetensors weights.{found}")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(named - {path.name for path in weights})
        if missing:
            raise InputError(
                f"The folder {str(folder)!r} lacks {', '.join(missing)}: the download is incomplete."
            )


def _check_hub(name: str, revision: str | None) -> None:
    """Ask the hub for the config first: its errors say exactly what is wrong."""
    from huggingface_hub import errors as hub
    from huggingface_hub import hf_hub_download

    at = f" at revision {revision!r}" if revision else ""
    try:
        hf_hub_download(name, "config.json", revision=revision)
    except hub.HFValidationError:
        message = (
            f"{name!r} is neither an existing folder nor a valid hub name. Hub names look like "
            "'llava-hf/llava-1.5-7b-hf'."
        )
    except hub.GatedRepoError:
        message = (
            f"The model {name!r} is gated: accept its terms on its page at huggingface.co, then log in "
            "with `hf auth login` or set HF_TOKEN."
        )
    except hub.RevisionNotFoundError:
        message = f"The model {name!r} has no revision {revision!r}."
    except hub.RepositoryNotFoundError:
        message = (
            f"There is no model {name!r} on the Hugging Face hub (or it is private and you are not "
            "logged in), nor a folder of that name."
        )
    except hub.LocalEntryNotFoundError:
        message = (
            f"The model {name!r}{at} is not in the local cache and the Hugging Face hub cannot be reached. "
            "Check the network, or give a folder; load_vlm() without a name works offline."
        )
    except hub.EntryNotFoundError:
        message = f"The model {name!r}{at} has no config.json: it is not a transformers checkpoint."
    except (OSError, hub.HfHubHTTPError) as error:
        message = (
            f"The Hugging Face hub did not deliver {name!r}{at}: {_first_line(error)}. Try again, or "
            "give a local folder."
        )
    else:
        return
    raise InputError(message)


def _config(source: str, folder: Path | None, revision: str | None, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=trust_remote_code)
    except (ValueError, KeyError, OSError) as error:
        if folder is not None:
            # An unknown model_type: say which are supported rather than what transformers knows.
            family_of(
                _Named(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type"))
            )
        raise InputError(f"The configuration of {source!r} cannot be read: {_first_line(error)}") from error


class _Named:
    """Just enough of a config to look up a family."""

    def __init__(self, model_type: object) -> None:
        self.model_type = model_type


def _processor(source: str, family: Family, config: Any, where: dict[str, Any]) -> Any:
    """The checkpoint's processor; from tokenizer and image processor if it cannot be loaded as one."""
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    try:
        processor = AutoProcessor.from_pretrained(source, **where)
        if not hasattr(processor, "image_processor"):
            raise ValueError("no image processor")
    except (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError):
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            image_processor = AutoImageProcessor.from_pretrained(source, **where)
            processor = family.make_processor(config, tokenizer, image_processor)
        except Exception as error:
            raise InputError(
                f"{source!r} has no usable processor (tokenizer and image processor): {_first_line(error)}. "
                "Download the checkpoint again."
            ) from error
    family.complete_processor(processor, config)
    return processor


def _model(
    source: str,
    folder: Path | None,
    dtype: torch.dtype,
    device: torch.device,
    quantization: str | None,
    where: dict[str, Any],
    *,
    quiet: bool,
) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    arguments: dict[str, Any] = {
        **where,
        "dtype": dtype,
        "use_safetensors": True,
        "output_loading_info": True,
    }
    if quantization is not None:
        arguments["quantization_config"] = quantization_config(quantization, dtype)
        arguments["device_map"] = {"": device}
    try:
        with progress_bars(shown=not quiet):
            model, report = AutoModelForImageTextToText.from_pretrained(source, **arguments)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        if folder is None or isinstance(error, torch.OutOfMemoryError):
            raise
        raise InputError(
            f"The weights in {source!r} cannot be loaded: {_first_line(error)}. Download the checkpoint "
            "again."
        ) from error
    missing = sorted(report["missing_keys"])
    wrong = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or wrong:
        named = ", ".join((missing + wrong)[:3])
        raise InputError(
            f"The checkpoint {source!r} lacks {len(missing)} weights and has {len(wrong)} of the wrong shape "
            f"({named}, ...). "
            "They would be random: download the checkpoint again."
        )
    model.eval()
    if quantization is None:
        model.to(device)
    else:
        keep_layout(model)
    return model


def _device(device: str | torch.device) -> torch.device:
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(
            f"Unknown device {str(device)!r}. Use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'."
        ) from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device='cuda' was asked for, but torch sees no CUDA device. Use device='cpu' or 'auto'."
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"There is no device {str(place)!r}; torch sees {torch.cuda.device_count()} CUDA device(s)."
        )
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            "device='mps' was asked for, but torch sees no Apple GPU. Use device='cpu' or 'auto'."
        )
    return place


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
