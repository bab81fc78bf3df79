"""A checkpoint's processor: from its own files, or from tokenizer and image processor; with arguments by
name.

Not for making prompts with it (see `vlm/prompts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from isi_widget.errors import InputError, OutOfMemory
from isi_widget.pretrained.out_of_memory import is_out_of_memory
from isi_widget.pretrained.weights import json_object
from isi_widget.vlm.families import Family
from isi_widget.vlm.loading.configuration import check_sizes, first_line
from isi_widget.vlm.loading.elsewhere import about_processor
from isi_widget.vlm.prompts.samples import SmallStimulus

if TYPE_CHECKING:
    from isi_widget.vlm.model import VLM

_FILES = ("preprocessor_config.json", "processor_config.json")
#: Of a call, or of the record, and none of the processor's own settings.
_NOT_SETTINGS = {
    "data_format",
    "device",
    "disable_grouping",
    "image_processor_type",
    "input_data_format",
    "processor_class",
    "return_row_col_info",
    "return_tensors",
}


def load_processor(folder: Path, label: str, family: Family, config: Any, trust_remote_code: bool) -> Any:
    """Return the checkpoint's processor; from tokenizer and image processor if it cannot be loaded as one.

    Raises
    ------
    InputError
        If there is no usable one.
    """
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin

    for file in _FILES:
        if (folder / file).is_file():
            check_sizes(json_object(folder / file), label, file)
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
            advice = (
                "Install what is missing."
                if isinstance(error, ImportError)
                else "Download the checkpoint again."
            )
            why = about_processor(folder) or f"{first_line(error)}. {advice}"
            raise InputError(
                f"{label!r} has no usable processor (tokenizer and image processor): {why}"
            ) from error
    family.complete_processor(processor, config)
    return processor


def checked_arguments(arguments: object) -> dict[str, Any]:
    """Arguments for a processor, as a dict of JSON values.

    Raises
    ------
    InputError
        If they are something else.
    """
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise InputError(
            f"processor_args is {arguments!r}; give names and values, such as {{'max_pixels': 512 * 512}}."
        )
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(arguments), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"processor_args must hold plain values (numbers, texts, lists): {error}.") from None
    return plain


def known_arguments(image_processor: Any) -> tuple[str, ...]:
    """Return the settings that an image processor has, in alphabetical order."""
    from transformers.processing_utils import ImagesKwargs

    own = getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", {})
    common = ImagesKwargs.__annotations__
    return tuple(sorted((set(image_processor.to_dict()) | (set(own) - set(common))) - _NOT_SETTINGS))


def set_arguments(processor: Any, arguments: Mapping[str, Any], label: str) -> None:
    """Give a processor's image half other settings, in place; it is made anew with them.

    Raises
    ------
    InputError
        For a name that it does not have, and values that it refuses.
    """
    if not arguments:
        return
    old = processor.image_processor
    known = known_arguments(old)
    if unknown := sorted(set(arguments) - set(known)):
        raise InputError(
            f"The processor of {label} has no {' and no '.join(map(repr, unknown))}. processor_args may hold "
            f"{', '.join(known)}."
        )
    check_sizes(dict(arguments), label, "processor_args")
    try:
        processor.image_processor = type(old).from_dict({**old.to_dict(), **arguments})
    except Exception as error:  # each processor checks in its own way
        raise InputError(
            f"The processor of {label} refuses {_written(arguments)}: {first_line(error)}."
        ) from error


def try_reading(vlm: VLM, arguments: Mapping[str, Any], *, offloaded: bool = False) -> None:
    """Let a model whose processor was set otherwise, or whose parts are offloaded, read a small picture at
    once.

    Raises
    ------
    InputError
        If it cannot; nobody has to find out in the middle of a run.
    """
    if not arguments and not offloaded:
        return
    shown = SmallStimulus(Image.linear_gradient("L").resize((160, 112)).convert("RGB"), "Is it red?")
    try:
        if offloaded:
            vlm.prefill(shown, attention=False)
        else:
            vlm.image_features.inputs(vlm.encode(shown))
    except OutOfMemory:
        raise
    except Exception as error:  # any model's forward
        if is_out_of_memory(error):
            raise
        if arguments:
            given = f"With processor_args {_written(arguments)}, {vlm.model_id} cannot read a picture"
            advice = "Choose values that its vision side was made for."
        else:
            given = f"{vlm.model_id} cannot read a picture with parts of it offloaded as device_map says"
            advice = "Keep its vision side on a device that computes, and offload decoder layers only."
        raise InputError(f"{given}: {first_line(error)}. {advice}") from error
    finally:
        vlm.image_features.clear()


def _written(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
