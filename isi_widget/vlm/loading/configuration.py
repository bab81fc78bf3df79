"""A checkpoint's config.json, read with care: original formats are named, absurd sizes refused, before
anything is built from it.

Not for the other files of a checkpoint (see `files.py`) nor for building models (see `memory.skeleton`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isi_widget.errors import InputError
from isi_widget.pretrained.weights import json_object
from isi_widget.vlm.families import Family, family_of
from isi_widget.vlm.loading.elsewhere import about_file, about_folder, about_type, check_pointers

#: Bytes of a config.json; the longest known ones have some 100 KB.
_LONGEST = 8 * 2**20


@dataclass(frozen=True)
class Original:
    """A format in which authors published their checkpoints, for their own code.

    Attributes
    ----------
    title : the name people know.
    model_types : pattern of `config.model_type`.
    architectures : pattern of `config.architectures`.
    conversions : pattern of the checkpoint's name -> what to load in its place; "" is for any other.
    field : a field that only such configs have.
    """

    title: str
    model_types: str
    architectures: str
    conversions: Mapping[str, str]
    field: str = ""

    def fits(self, model_type: str, architecture: str, record: Mapping[str, Any]) -> bool:
        """Whether a config is of this format: by its architecture, its type, or a field that it has."""
        named = ((self.architectures, architecture), (self.model_types, model_type))
        known = any(re.fullmatch(pattern, name, re.IGNORECASE) for pattern, name in named)
        return known or (self.field != "" and self.field in record)

    def instead(self, name: str) -> str:
        """Return the checkpoint to load in place of the checkpoint of this name."""
        return next(
            use for pattern, use in self.conversions.items() if re.search(pattern, name, re.IGNORECASE)
        )


_ONEVISION = {
    r"0\.5b": "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
    "72b": "llava-hf/llava-onevision-qwen2-72b-ov-hf",
    "": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
}
#: Where the same types are known to transformers too, the architecture decides: its own name is none of
#: these.
ORIGINALS = (
    Original("LLaVA-OneVision", "llava_qwen", "LlavaQwen.*", _ONEVISION),
    Original(
        "Video-LLaVA",
        "llava_(llama_)?video|video_?llava_llama",
        "Video_?Llava.*(?<!ForConditionalGeneration)",
        {"": "LanguageBind/Video-LLaVA-7B-hf"},
    ),
    Original(
        "LLaVA",
        "llava_(llama|mistral|mpt|gemma|phi|mixtral|stablelm)",
        "(Tiny|Share)?Llava(Llama|Mistral|MPT|Gemma|Phi|Mixtral|StableLM)?(ForCausalLM|Model)",
        {
            r"1\.6.*34b": "llava-hf/llava-v1.6-34b-hf",
            r"1\.6.*mistral": "llava-hf/llava-v1.6-mistral-7b-hf",
            r"1\.6.*13b": "llava-hf/llava-v1.6-vicuna-13b-hf",
            r"1\.6|next": "llava-hf/llava-v1.6-vicuna-7b-hf",
            "13b": "llava-hf/llava-1.5-13b-hf",
            "": "llava-hf/llava-1.5-7b-hf",
        },
        "mm_vision_tower",
    ),
    Original(
        "InternVL",
        "internvl(_chat)?_?[0-9.]*(?<!internvl)",
        "InternVLChat.*|InternVL_C",
        {
            r"3[._]5.*14b": "OpenGVLab/InternVL3_5-14B-HF",
            r"3[._]5.*8b": "OpenGVLab/InternVL3_5-8B-HF",
            r"3[._]5.*4b": "OpenGVLab/InternVL3_5-4B-HF",
            r"3[._]5.*2b": "OpenGVLab/InternVL3_5-2B-HF",
            r"3[._]5": "OpenGVLab/InternVL3_5-1B-HF",
            r"14b": "OpenGVLab/InternVL3-14B-hf",
            r"\b[12]b": "OpenGVLab/InternVL3-2B-hf",
            "": "OpenGVLab/InternVL3-8B-hf",
        },
    ),
    Original("Qwen-VL (the first)", "qwen", "QWenLMHeadModel", {"": "Qwen/Qwen2.5-VL-7B-Instruct"}),
    Original(
        "DeepSeek-VL and Janus",
        "multi_modality",
        "MultiModalityCausalLM",
        {"janus": "deepseek-community/Janus-Pro-1B", "": "deepseek-community/deepseek-vl-1.3b-chat"},
    ),
    Original(
        "Ovis", "ovis.*(?<!ovis2)", "Ovis(?!2ForConditionalGeneration).*", {"": "thisisiron/Ovis2-1B-hf"}
    ),
    Original("Phi-3 Vision", "phi3_v", "Phi3VForCausalLM", {"": ""}),
    Original("MiniCPM-V", "minicpm_?[vo]", "MiniCPM-?[VO].*(?<!ForConditionalGeneration)", {"": ""}),
    Original("CogVLM and GLM-4V", "cogvlm.*|chatglm", "CogVLM.*|ChatGLM.*", {"": ""}),
    Original("Molmo", "molmo", "MolmoForCausalLM", {"": ""}),
    Original("VILA", "vila|llava_topdown.*", "LlavaTopDown.*|VILAForCausalLM", {"": ""}),
)
_ANY_LISTED = "Choose a checkpoint in the format of transformers: isi.models() lists some that load here."

#: Largest values that make sense, by the kind of a field; the first pattern that a name matches counts. What
#: is not matched (ids of tokens, positions, base frequencies, limits of lengths) may be any number.
_KINDS = (
    (r"(_id|_ids|_index|_idx|_token|_theta|_base|_seed|_offset|_pixels|window.*|max_.*)$", None),
    (r"experts?(_per_to\w+)?$", 4_096),
    (r"layers?$|^depths?$|_depths?$|blocks?$|stages?$|cycles?$|recurrent_steps$", 1_000),
    (r"heads?$|groups?$", 16_384),
    (r"vocab(ulary)?_size(_.*)?$", 2**25),
    (r"(seq_len(gth)?|_tokens|queries|latents|frames|crops|tiles|patches|per_image)$", 2**18),
    (r"(size|dim|dims|width|height|channels|rank|features|inner|d_.*|n_embd|n_inner|stride)$", 2**20),
)


def configuration(folder: Path, label: str, trust_remote_code: bool = False) -> Any:
    """Return the configuration of transformers for a checkpoint.

    Parameters
    ----------
    folder : folder of the checkpoint.
    label : name of the checkpoint, for messages.
    trust_remote_code : run code that comes with it.

    Raises
    ------
    InputError
        If there is none, it cannot be read, is of an authors' own format, or has sizes that cannot be meant.
    """
    from transformers import AutoConfig

    _check_folder(folder)
    record = json_object(folder / "config.json")
    refuse_original(record, label)
    check_sizes(record, label)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # configurations validate themselves, each in its own way
        if not trust_remote_code and "trust_remote_code" in str(error):
            raise InputError(
                f"{label} comes with code of its own. If you trust its source, pass trust_remote_code=True."
            ) from None
        if not record.get("model_type"):
            raise InputError(
                f"The configuration of {label!r} cannot be read: it has no model_type."
            ) from None
        # An unknown model_type: say which are supported rather than what transformers knows.
        if about := about_type(record, label):
            raise InputError(f"{about} {_ANY_LISTED}") from None
        family_of(_Named(record.get("model_type")))
        raise InputError(f"The configuration of {label!r} cannot be read: {first_line(error)}.") from None
    return config


def family_of_checkpoint(config: Any, label: str) -> Family:
    """Return the adapter for a checkpoint's configuration, as `family_of`.

    Raises
    ------
    InputError
        If it is of no VLM; the message names what it is of, where that is known.
    """
    try:
        return family_of(config)
    except InputError:
        if about := about_type(config.to_dict(), label):
            raise InputError(f"{about} {_ANY_LISTED}") from None
        raise


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(about_file(folder))
    file = folder / "config.json"
    if not file.is_file():
        if (folder / "adapter_config.json").is_file():
            raise InputError(
                f"The folder {str(folder)!r} holds an adapter, not a model. Load the model that it was "
                f"trained on, with it: load_vlm(model, adapter={str(folder)!r})."
            )
        if (folder / "params.json").is_file():
            raise InputError(
                f"The folder {str(folder)!r} has params.json and no config.json: it is in its authors' "
                f"original format. {_ANY_LISTED}"
            )
        raise InputError(about_folder(folder))
    check_pointers(folder, ["config.json"])
    if (count := file.stat().st_size) > _LONGEST:
        raise InputError(
            f"{str(file)!r} has {count / 2**20:.0f} MiB; a configuration has some kilobytes. Download the "
            "checkpoint again."
        )


class _Named:
    """Just enough of a config to look up a family."""

    def __init__(self, model_type: object) -> None:
        self.model_type = model_type


# Original formats -------------------------------------------------------------------------------------------


def refuse_original(record: Mapping[str, Any], label: str) -> None:
    """Refuse a checkpoint that was published for its authors' own code, and say what to load in its place.

    transformers would take some of them for a type of its own, with sizes that are not theirs.

    Raises
    ------
    InputError
    """
    model_type, names = str(record.get("model_type", "")), record.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else ""
    own = record.get("auto_map")
    offered = [name for name in own if name.startswith("AutoModel")] if isinstance(own, dict) else []
    if "AutoModelForImageTextToText" in offered:
        return
    packed = record.get("quantization")
    if isinstance(packed, dict) and "group_size" in packed and "quantization_config" not in record:
        raise InputError(
            f"{label} is in the format of MLX, for its own program on Apple's chips. Load the checkpoint "
            f"that it was "
            "made from."
        )
    if _in_transformers(architecture):
        return
    found = next((one for one in ORIGINALS if one.fits(model_type, architecture, record)), None)
    if found is not None:
        kind = f"architecture {architecture!r}" if architecture else f"type {model_type!r}"
        instead = found.instead(label)
        what = f"Load its conversion in its place: {instead!r}." if instead else _ANY_LISTED
        raise InputError(
            f"{label} is in the original format of {found.title} ({kind}), which transformers cannot load. "
            f"{what}"
        )
    if offered and not _known_type(model_type):
        raise InputError(
            f"{label} comes with code of its own, which offers {' and '.join(offered)} but no "
            "AutoModelForImageTextToText: trust_remote_code=True does not help, and nothing of it was run. "
            f"{_ANY_LISTED}"
        )


def _in_transformers(architecture: str) -> bool:
    """Whether transformers has a model of this name; asked without importing it."""
    import transformers

    # the same names as dir(transformers), which takes a tenth of a second
    return architecture in transformers.__all__ or architecture in vars(transformers)


def _known_type(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES


# Sizes ------------------------------------------------------------------------------------------------------


def check_sizes(record: Mapping[str, Any], label: str, file: str = "config.json") -> None:
    """Refuse sizes that no model has: building 10^6 layers takes hours, even without weights.

    Raises
    ------
    InputError
        It names the field.
    """
    for path, name, value in _numbers(record):
        most = next((most for pattern, most in _KINDS if re.search(pattern, name, re.IGNORECASE)), None)
        if most is not None and value > most:
            raise InputError(
                f"The {file} of {label} says {path} = {value:,.0f}; no model has more than {most:,}. "
                f"Nothing was "
                "built. The file is damaged or not meant to be loaded: download the checkpoint again."
            )


def _numbers(value: Any, path: str = "", name: str = "") -> Iterator[tuple[str, str, float]]:
    """Each number of a configuration: where it stands, the name of its field, and itself."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}" if path else str(key), str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, path, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, name, value


def first_line(error: BaseException) -> str:
    """Return the message of an error, in one line without a full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
