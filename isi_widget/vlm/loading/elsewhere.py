"""What was given in place of a vision-language model: one sentence each, with what to do.

Folders of other programs, parts of a model, models of other tasks, names of servers and web pages, files that
stand for others. Only names, sizes and first bytes are looked at. Not for authors' own formats of
vision-language models (see `configuration.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError

#: Endings of weights of other programs, and their names.
FOREIGN = {
    ".gguf": "llama.cpp and Ollama",
    ".ggml": "llama.cpp",
    ".onnx": "ONNX Runtime",
    ".npz": "JAX",
    ".msgpack": "JAX",
    ".h5": "TensorFlow",
    ".tflite": "TensorFlow",
    ".engine": "TensorRT",
    ".mlmodel": "Core ML",
}
#: Pickles beside weights: the state of a training run, none of the model.
TRAINING = ("optimizer.", "scheduler.", "rng_state", "training_args.", "scaler.", "global_step")
_SERVE = (
    "A server such as llama.cpp or Ollama can run it: isi.connect(base_url, model) uses a server in place of "
    "a loaded model."
)
_LFS = b"version https://git-lfs.github.com/spec/"
_PARTS = {"tokenizer": "a tokenizer", "processor": "an image processor"}
_VISION = r"vision_model$|vit|siglip|dino|convnext|swin|^clip$|^beit|^resnet|_vision$"


def about_file(file: Path) -> str:
    """Return what to do with a file that was given in place of a folder."""
    program = FOREIGN.get(file.suffix.lower())
    if program is None:
        return f"{str(file)!r} is a file. Give the folder that holds config.json and the safetensors weights."
    more = f" {_SERVE}" if file.suffix.lower() == ".gguf" else ""
    return (
        f"{str(file)!r} has weights for {program}, which transformers does not load here. Give the folder of "
        f"the checkpoint in safetensors that it was made from.{more}"
    )


def about_folder(folder: Path) -> str:
    """Return what a folder without config.json is, as far as its names show, and what to do."""
    subject = f"The folder {str(folder)!r}"
    names = sorted(path.name for path in folder.iterdir())
    if "model_index.json" in names:
        return (
            f"{subject} holds a pipeline of diffusers (model_index.json), which makes pictures and answers "
            "no questions. isi.load_inpainter takes it if it fills in pictures."
        )
    inside = sorted(path.parent for path in _below(folder))
    if inside:
        more = f" (there are {len(inside)})" if len(inside) > 1 else ""
        return f"{subject} has no config.json, but {str(inside[-1])!r} has{more}: give that folder."
    foreign = next((name for name in names if Path(name).suffix.lower() in FOREIGN), None)
    if foreign is not None:
        return f"{subject} has no config.json. {about_file(folder / foreign)}"
    return (
        f"{subject} has no config.json: it is not a Hugging Face checkpoint, or its download is incomplete."
    )


def _below(folder: Path) -> Iterable[Path]:
    """Return the config.json one or two folders below: checkpoints of a training run, the hub's snapshots."""
    yield from folder.glob("*/config.json")
    yield from folder.glob("snapshots/*/config.json")


def about_weights(files: Iterable[str]) -> str:
    """Return why a folder with config.json has no usable weights; "" if its names show nothing."""
    names = sorted(files)
    top = [name for name in names if "/" not in name and not name.startswith(TRAINING)]
    pickles = [name for name in top if name.endswith((".bin", ".pt", ".pth"))]
    if pickles:
        return (
            f" It has {', '.join(pickles[:3])}, which can run code when loaded: convert it to safetensors, "
            "or pass allow_pickle=True if you trust its source."
        )
    foreign = next((name for name in names if Path(name).suffix.lower() in FOREIGN), None)
    if foreign is not None:
        more = f" {_SERVE}" if foreign.lower().endswith(".gguf") else ""
        return (
            f" It has {foreign}, which is for another program ({FOREIGN[Path(foreign).suffix.lower()]}): "
            f"choose a checkpoint for transformers.{more}"
        )
    if "zero_to_fp32.py" in names or any(name.startswith("global_step") for name in names):
        return (
            " It is a checkpoint of DeepSpeed in parts: put them together with its zero_to_fp32.py "
            "(--safe_serialization)."
        )
    if any(name.startswith(TRAINING) for name in names):
        return " It has the state of a training run only: save the model with save_pretrained."
    return ""


def about_type(record: Mapping[str, Any], label: str) -> str:
    """Return what a configuration is of, if its type is no vision-language model; "" if nothing is known."""
    kind = str(record.get("model_type"))
    newer = _newer(record)
    if newer:
        return (
            f"{label} is of type {kind!r}, which the installed transformers does not know, and was saved by "
            f"transformers {newer}. Upgrade it: pip install -U transformers."
        )
    names = record.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else ""
    if architecture.endswith(("CLIPModel", "SiglipModel", "Siglip2Model", "AlignModel", "BlipModel")):
        return f"{label} ({kind}) compares pictures with texts; it gives no answers."
    if "vision_config" in record:
        return ""
    if re.search(_VISION, kind):
        return f"{label} ({kind}) is a vision side alone: without a language model it gives no answers."
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return f"{label} ({kind}) is a language model alone: it has no vision side and sees no picture."
    return ""


def _newer(record: Mapping[str, Any]) -> str:
    """Return the version of transformers that saved a configuration of an unknown type, if it is newer."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    saved = str(record.get("transformers_version", ""))
    if record.get("model_type") in CONFIG_MAPPING_NAMES:
        return ""
    return saved if _version(saved) > _version(metadata.version("transformers")) else ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


def about_name(text: str) -> str:
    """Return what a name is that is neither a folder nor owner/name; "" if it may be one of these."""
    page = re.match(r"(?:hf://|https?://(?:www\.)?(?:huggingface\.co|hf\.co)/)([\w.-]+/[\w.-]+)", text)
    if page is not None:
        return f"{text!r} is an address. Give the name alone: load_vlm({page[1]!r})."
    if "://" in text:
        return (
            f"{text!r} is an address. Give a folder or a name on the Hugging Face hub; for a model behind a "
            "server, isi.connect(base_url, model)."
        )
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?:[\w.-]+", text) and not re.fullmatch(r"[A-Za-z]:.*", text):
        return (
            f"{text!r} is a name of Ollama. Let it serve the model: "
            f"isi.connect('http://localhost:11434/v1', {text!r})."
        )
    if re.match(r"(openai/|anthropic/|google/)?(gpt-|chatgpt|o[1-9]\b|claude|gemini)", text, re.IGNORECASE):
        return f"{text!r} is a model of a service. Connect to it: isi.connect(base_url, {text!r})."
    return ""


def check_pointers(folder: Path, files: Iterable[str]) -> None:
    """Refuse files that only stand for others: what `git clone` leaves without Git LFS.

    Raises
    ------
    InputError
    """
    for name in files:
        file = folder / name
        if file.is_file() and file.stat().st_size < 1024 and file.read_bytes()[: len(_LFS)] == _LFS:
            raise InputError(
                f"{str(file)!r} is a pointer of Git LFS, not the file itself. Run 'git lfs pull' in that "
                "folder, or load the checkpoint by its name on the hub."
            )


def about_processor(folder: Path) -> str:
    """Return which parts of a processor a folder lacks, and what to do; "" if it has both."""
    names = [path.name for path in folder.iterdir()]
    has = {
        "tokenizer": any(
            name == "tokenizer.json" or name.endswith((".model", ".tiktoken")) or name.startswith("vocab")
            for name in names
        ),
        "processor": any(name in ("preprocessor_config.json", "processor_config.json") for name in names),
    }
    lacks = [_PARTS[part] for part, there in has.items() if not there]
    if not lacks:
        return ""
    return (
        f"it has no {' and no '.join(part.split(' ', 1)[1] for part in lacks)} (tokenizer.json, "
        "preprocessor_config.json). Training often saves the weights alone: copy these files from the "
        "checkpoint that it was trained from (processor.save_pretrained)."
    )
