"""Loads an entailment classifier by name, with one clear error for each failure.

Not for running the model (see `entailment`). Torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.pretrained.devices import choose_device
from isi_widget.pretrained.hub import Cancel, Progress, find, progress_bars
from isi_widget.pretrained.quantization import check_quantization, keep_layout, quantization_config
from isi_widget.pretrained.weights import INDEX, named_in
from isi_widget.uncertainty._deberta import use_fast_positions
from isi_widget.uncertainty._files import Files, fetch

REFERENCE = "microsoft/deberta-v2-xlarge-mnli"
"""The model of Farquhar et al. (Nature 630, 2024), for answers in natural language."""

_LABELS = ("contradict", "neutral", "entail")
_DTYPES = ("float32", "bfloat16", "float16")
_HEADS = ["classifier", "classification_head", "score", "pooler"]  # small, and the labels depend on them


def label_order(id2label: Mapping[int, str], name: str) -> tuple[int, int, int]:
    """Return the index of contradiction, neutral and entailment among a model's labels; refuse a
    configuration without them.
    """
    found = []
    for stem in _LABELS:
        # "not_entailment" of two-way models is not entailment
        hits = [i for i, label in id2label.items() if str(label).lower().startswith(stem)]
        if len(hits) != 1 or len(id2label) != 3:
            raise InputError(
                f"{name} has the labels {list(id2label.values())}; expected contradiction, neutral and "
                "entailment. Choose an MNLI-style checkpoint, or put the names into id2label of its config."
            )
        found.append(int(hits[0]))
    return found[0], found[1], found[2]


def longest_input(model: Any, tokenizer: Any) -> int:
    """Return the number of tokens of a pair that the classifier can read."""
    limit = int(min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512)))
    for name, part in model.named_modules():
        # RoBERTa counts positions from padding_idx + 1, so its table holds fewer tokens than rows
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            limit = min(limit, part.num_embeddings - part.padding_idx - 1)
    return limit


def load_classifier(
    source: str | Path,
    name: str,
    *,
    quantization: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    use_safetensors: bool = True,
    quiet: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    files: Files | None = None,
) -> tuple[Any, Any]:
    """Load (model, tokenizer) of transformers, on the device, in eval mode; see `entailment.load_entailment`.

    files : checkpoint in the local cache; if given, the hub is not contacted. Default None.
    """
    place = choose_device(device, preferred=("cuda",))
    check_quantization(quantization, place)
    _check_dtype(dtype)
    import torch
    from transformers import AutoModelForSequenceClassification

    # Only this name finds the hub's own conversion of pickled weights to safetensors.
    where: dict[str, Any] = {"revision": revision or "main"}
    if files is not None:
        pass
    elif Path(source).expanduser().exists():
        source = _checked_folder(Path(source).expanduser(), use_safetensors)
    elif isinstance(source, Path) or str(source).count("/") > 1 or str(source)[:1] in (".", "/", "~", ""):
        raise InputError(
            f"No entailment model could be loaded: there is no folder {str(source)!r}. Give an existing "
            f"folder or a name on the Hugging Face hub, for example {REFERENCE!r}; load_entailment() without "
            "a name needs neither."
        )
    else:
        # Check first: transformers itself tries for 20 seconds to reach an unreachable hub.
        found = find(str(source), revision)
        if found is not None and use_safetensors:
            files = fetch(found, progress, cancel)
    weights = source
    if files is not None:
        source, weights, where = files.folder, files.weights, {}
    if Path(weights).is_dir():
        _check_index(Path(weights), use_safetensors)
    arguments: dict[str, Any] = {**where, "use_safetensors": use_safetensors, "output_loading_info": True}
    arguments["dtype"] = "float32" if dtype == "auto" and place.type == "cpu" else dtype
    if quantization is not None:
        arguments |= _quantized(quantization, place, dtype)
    try:
        config = _config(source, name, where)
        label_order(config.id2label, name)  # before anything large is fetched
        tokenizer = _tokenizer(source, name, where)
        with progress_bars(shown=not quiet and progress is None):
            model, report = AutoModelForSequenceClassification.from_pretrained(
                weights, config=config, **arguments
            )
        if files is not None:
            model.config._commit_hash = files.commit
    except torch.OutOfMemoryError:
        raise InputError(
            f"{name} does not fit into the memory of {place}. Load it with quantization='nf4', or with "
            "device='cpu'."
        ) from None
    except InputError:
        raise
    except Exception as error:  # hub, network, safetensors and transformers raise different errors
        raise InputError(_reason(name, revision, error)) from error
    if missing := sorted({*report["missing_keys"], *map(str, report.get("mismatched_keys", ()))}):
        raise InputError(
            f"The checkpoint {name} lacks {len(missing)} weights or has them in another shape "
            f"({', '.join(missing[:3])}); they would be random. Choose a checkpoint trained on MNLI, or "
            "download it again."
        )
    if quantization is None:
        model = model.to(place)
    else:
        keep_layout(model)
    use_fast_positions(model)
    return model.eval(), tokenizer


def _check_index(folder: Path, use_safetensors: bool) -> None:
    """Refuse an index that names pickles or files outside its folder, before any of them is
    fetched or read.
    """
    if (folder / INDEX).is_file() and not (folder / "model.safetensors").is_file():
        named_in(folder / INDEX, allow_pickle=not use_safetensors)


def _checked_folder(folder: Path, use_safetensors: bool) -> str:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"No entailment model could be loaded: {str(folder)!r} is no folder with a config.json. Give the "
            "folder of a Hugging Face sequence classifier."
        )
    if use_safetensors and not any(folder.glob("*.safetensors")):
        other = ", ".join(sorted(p.name for g in ("*.bin", "*.pt", "*.pth") for p in folder.glob(g)))
        found = f"; it has {other}, which can run code when loaded" if other else ""
        hint = " or allow them with use_safetensors=False if you trust them" if other else ""
        raise InputError(
            f"The folder {str(folder)!r} has no safetensors weights{found}. Convert them with "
            f"save_pretrained of transformers{hint}."
        )
    return str(folder)


def _config(source: str | Path, name: str, where: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, **where)
    if not getattr(config, "id2label", None):
        raise InputError(
            f"{name} ({config.model_type}) has no labels; expected a sequence classifier of contradiction, "
            "neutral and entailment."
        )
    return config


def _tokenizer(source: str | Path, name: str, where: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
    except (ImportError, ValueError) as error:
        needed = [p for p in ("sentencepiece", "google.protobuf") if not _installed(p)]
        if needed and any(word in str(error).lower() for word in ("sentencepiece", "tiktoken", "protobuf")):
            # transformers names an unrelated package here, whichever one is missing
            raise InputError(
                f"{name} comes with a SentencePiece tokenizer, which cannot be read without "
                f"{' and '.join(p.removeprefix('google.') for p in needed)}. Install both with: "
                "pip install 'isi-widget[entailment]'"
            ) from error
        raise
    if tokenizer("yes")["input_ids"] == tokenizer("no")["input_ids"]:
        # If its files are missing, transformers makes a tokenizer that knows no word
        raise InputError(
            f"The tokenizer of {name} does not distinguish 'yes' from 'no': its files are missing or broken. "
            "Download the checkpoint again."
        )
    return tokenizer


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False


def _reason(name: str, revision: str | None, error: Exception) -> str:
    """Explain why a checkpoint could not be loaded and what to do: one sentence each."""
    from huggingface_hub import errors as hub

    causes: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in causes:
        causes.append(link)
        link = link.__cause__ or link.__context__
    at = f" at revision {revision!r}" if revision else ""
    start = f"No entailment model could be loaded from {name!r}{at}: "
    # In this order: the hub's error for a gated repository is a subclass of that for a missing one.
    told: tuple[tuple[type[BaseException], str], ...] = (
        (
            hub.GatedRepoError,
            "it is gated. Accept its terms on its page, then log in with `hf auth login` or set HF_TOKEN.",
        ),
        (hub.RevisionNotFoundError, "there is no such revision."),
        (
            hub.RepositoryNotFoundError,
            "there is no such model on the Hugging Face hub (or it is private), nor a folder of that name.",
        ),
        (
            hub.HFValidationError,
            f"it is neither an existing folder nor a valid hub name, such as {REFERENCE!r}.",
        ),
        (
            hub.LocalEntryNotFoundError,
            "it is not in the local cache and the Hugging Face hub cannot be reached. Check the network, or "
            "give a folder; load_entailment() without a name works offline.",
        ),
        (
            hub.OfflineModeIsEnabled,
            "it is not in the local cache and offline mode is on (HF_HUB_OFFLINE). Give a folder; "
            "load_entailment() without a name works offline.",
        ),
    )
    for kind, text in told:
        if any(isinstance(cause, kind) for cause in causes):
            return start + text
    line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if "safetensors" in line and "does not appear to have" in line:
        return (
            f"{start}it has no safetensors weights, only pickled ones, which can run code when loaded. "
            "Convert them with save_pretrained of transformers, or allow them with use_safetensors=False if "
            "you trust their source."
        )
    return (
        f"{start}{line}. Expected a local folder or the name of a sequence classifier on the Hugging Face "
        "hub; load_entailment() without a name needs neither."
    )


# ------------------------------------------------------------------------------------ device and precision
def _check_dtype(dtype: str) -> None:
    if str(dtype).removeprefix("torch.") not in ("auto", *_DTYPES):
        raise InputError(f"dtype is {dtype!r}; choose 'auto', {', '.join(map(repr, _DTYPES))}.")


def _quantized(quantization: str, place: Any, dtype: str) -> dict[str, Any]:
    """Return the arguments of `from_pretrained`; embeddings, norms, pooler and classifier are not
    quantised.
    """
    import torch

    if dtype != "auto":
        compute = getattr(torch, str(dtype).removeprefix("torch."))
    elif place.type == "cuda":
        compute = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    else:
        compute = torch.float32
    config = quantization_config(quantization, compute, _HEADS)
    return {"quantization_config": config, "device_map": {"": place}, "dtype": compute}
