"""How much memory a VLM needs.

Estimates come from the checkpoint's configuration alone: the model is built without weights (on torch's meta
device) and its matrices are counted. Not for what is free (see `pretrained/machine.py`) nor for refusing what
does not fit (see `fitting.py`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.pretrained import hub
from isi_widget.pretrained.out_of_memory import is_out_of_memory
from isi_widget.pretrained.quantization import check_name, is_quantized
from isi_widget.vlm.loading.configuration import configuration, family_of_checkpoint, first_line
from isi_widget.vlm.loading.quantization import is_kept, kept_modules

__all__ = [
    "MemoryNeed",
    "answers_bytes",
    "cache_bytes",
    "entailment_bytes",
    "estimate",
    "model_bytes",
    "packed_bytes",
    "size",
    "skeleton",
    "weight_bytes",
    "weights_bytes",
]

#: Default workload of an estimate: see `estimate`.
PROMPT_TOKENS, SAMPLES, NEW_TOKENS = 1024, 10, 64
GIB = 2**30


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a model and its work need on one device.

    Attributes
    ----------
    weights : parameters and buffers; quantised matrices with their scales, the rest at full width.
    cache : key-value cache at its largest: of the prompt, and of the answers beside it (`answers_bytes`).
    entailment : the entailment model, if it was to be counted.
    working : activations of the prefill and logits of the samples; a rough figure, the only one here.
    """

    weights: int
    cache: int = 0
    entailment: int = 0
    working: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.entailment + self.working

    def __str__(self) -> str:
        parts = {
            "weights": self.weights,
            "key-value cache": self.cache,
            "entailment model": self.entailment,
            "activations": self.working,
        }
        named = ", ".join(f"{name} {size(part)}" for name, part in parts.items() if part)
        return f"{size(self.total)} ({named})"


def size(count: float) -> str:
    """Bytes as people read them."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:.1f} MiB"


# Estimates --------------------------------------------------------------------------------------------------


def estimate(
    source: Any,
    *,
    quantization: str | None = None,
    dtype: torch.dtype | None = None,
    quantize_vision: bool = False,
    prompt_tokens: int = PROMPT_TOKENS,
    samples: int = SAMPLES,
    new_tokens: int = NEW_TOKENS,
    entailment: str | Path | None = None,
    trust_remote_code: bool = False,
) -> MemoryNeed:
    """Estimate the memory of a checkpoint from its configuration alone.

    Parameters
    ----------
    source : a folder, a hub name (only its config.json is fetched), a configuration of transformers, or a
        model (with or without weights) that is not quantised.
    dtype : number type of the cache and of parts that are not quantised; None (default): bfloat16.
    prompt_tokens : image, text and template; see docs/which_model.md for what an image costs.
    samples : number of answers decoded at once (0: only the prompt is read).
    new_tokens : number of tokens of each answer.
    entailment : "embedded", or a folder or hub name of an entailment model, counted in float32; None: none.

    Raises
    ------
    InputError
        If the configuration cannot be read, or no model can be built from it.
    """
    check_name(quantization)
    if min(prompt_tokens, samples, new_tokens) < 0:
        raise InputError("prompt_tokens, samples and new_tokens count things: give numbers of at least 0.")
    dtype = dtype or torch.bfloat16
    is_model = isinstance(source, torch.nn.Module)
    model: Any = source if is_model else skeleton(source, dtype, trust_remote_code)
    try:
        return _counted(
            model, quantization, dtype, quantize_vision, prompt_tokens, samples, new_tokens, entailment
        )
    except InputError:
        raise
    except Exception as error:  # a configuration may say anything
        raise InputError(
            f"What a model of type {model.config.model_type!r} needs is not clear from its configuration, "
            f"whose sizes do not go together: {first_line(error)}."
        ) from error


def _counted(
    model: Any,
    quantization: str | None,
    dtype: torch.dtype,
    quantize_vision: bool,
    prompt_tokens: int,
    samples: int,
    new_tokens: int,
    entailment: str | Path | None,
) -> MemoryNeed:
    text = model.config.get_text_config(decoder=True)
    prompt = cache_bytes(model.config, prompt_tokens, dtype)
    answers = answers_bytes(model.config, prompt_tokens, new_tokens, samples, dtype)
    return MemoryNeed(
        weights=weight_bytes(model, quantization, dtype, quantize_vision),
        cache=prompt + answers,
        entailment=0 if entailment is None else entailment_bytes(entailment),
        working=_working_bytes(text, dtype, prompt_tokens, samples),
    )


def skeleton(source: Any, dtype: torch.dtype, trust_remote_code: bool = False) -> Any:
    """Return the model without weights: every tensor on the meta device, nothing allocated."""
    from transformers import AutoModelForImageTextToText

    config = _config(source, trust_remote_code)
    if config is not source:
        family_of_checkpoint(config, str(source))
    try:
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(
                copy.deepcopy(config), dtype=dtype, trust_remote_code=trust_remote_code
            )
    except Exception as error:  # sizes that do not go together fail in many ways
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"transformers builds no image-text-to-text model from a configuration of type "
            f"{getattr(config, 'model_type', None)!r}: {first_line(error)}."
        ) from None


def _config(source: Any, trust_remote_code: bool) -> Any:
    from transformers import PretrainedConfig

    if isinstance(source, PretrainedConfig):
        return source
    folder = Path(source).expanduser()
    if not folder.exists():
        folder = hub.fetch(hub.find(str(source)), ["config.json"])
    return configuration(folder, str(source), trust_remote_code)


def weight_bytes(model: Any, quantization: str | None, dtype: torch.dtype, quantize_vision: bool) -> int:
    """Bytes of parameters and buffers once loaded, from a model that is not quantised."""
    return sum(weights_bytes(model, quantization, dtype, quantize_vision).values())


def weights_bytes(
    model: Any, quantization: str | None, dtype: torch.dtype, quantize_vision: bool
) -> dict[str, int]:
    """Return the same for each parameter and buffer, by name; one that is shared counts once."""
    kept = kept_modules(model, quantize_vision)
    seen: set[int] = set()
    found: dict[str, int] = {}
    for name, module in model.named_modules():
        # bitsandbytes replaces plain linear layers only, not what is derived from them.
        packed = quantization is not None and type(module) is torch.nn.Linear and not is_kept(name, kept)
        for key, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if id(tensor) in seen:
                continue
            seen.add(id(tensor))
            path = f"{name}.{key}" if name else key
            if packed and key == "weight":
                rows, columns = tensor.shape
                found[path] = packed_bytes(rows, columns, str(quantization))
            else:
                is_weight = isinstance(tensor, torch.nn.Parameter) and tensor.is_floating_point()
                found[path] = tensor.numel() * (dtype.itemsize if is_weight else tensor.element_size())
    return found


def packed_bytes(rows: int, columns: int, quantization: str) -> int:
    """Bytes of one quantised matrix with its scales, as bitsandbytes keeps it.

    int8: one byte a weight, a float32 scale a row. nf4: half a byte a weight, a float32 scale for 64 weights,
    the 16 code values. nf4-double: the scales as one byte, with a float32 scale for 256 of them, their 256
    code values and their mean.
    """
    count = rows * columns
    if quantization == "int8":
        return count + 4 * rows
    blocks = math.ceil(count / 64)
    data = math.ceil(count / 2) + 16 * 4
    if quantization == "nf4":
        return data + 4 * blocks
    return data + blocks + 4 * math.ceil(blocks / 256) + 256 * 4 + 4


def cache_bytes(config: Any, tokens: int, dtype: torch.dtype) -> int:
    """Bytes of the key-value cache of one row.

    Layers with a sliding window of w keep the last w - 1 tokens, as transformers' own cache does.
    """
    return sum(_layers_bytes(config, tokens, dtype))


def answers_bytes(config: Any, prompt_tokens: int, new_tokens: int, samples: int, dtype: torch.dtype) -> int:
    """Bytes that answers side by side need beside the prompt's own cache, at their peak.

    A single answer grows a copy of the prompt's cache. Several share the prompt (see `cache.py`): each holds
    its own tokens, in layers with a sliding window the whole window, and one layer at a time is joined for
    all.
    """
    whole = _layers_bytes(config, prompt_tokens + new_tokens, dtype)
    if samples <= 1:
        return samples * sum(whole)
    own = _layers_bytes(config, new_tokens, dtype)
    windows = [kept is not None for kept in _windows(config)]
    held = sum(full if sliding else new for full, new, sliding in zip(whole, own, windows, strict=True))
    return samples * (held + max(whole))


def _windows(config: Any) -> list[int | None]:
    """Return the sliding window of each layer, as transformers' own cache has it, or None."""
    from transformers import DynamicCache

    text = config.get_text_config(decoder=True)
    # Without layer types in its config the cache is made on the fly, one plain layer per decoder layer.
    layers = DynamicCache(config=config).layers or [None] * text.num_hidden_layers
    return [getattr(layer, "sliding_window", None) for layer in layers]


def _layers_bytes(config: Any, tokens: int, dtype: torch.dtype) -> list[int]:
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    shared = getattr(text, "num_key_value_heads", None) or heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    kept = [tokens if window is None else min(tokens, window - 1) for window in _windows(config)]
    return [2 * shared * width * count * dtype.itemsize for count in kept]


def _working_bytes(text: Any, dtype: torch.dtype, prompt_tokens: int, samples: int) -> int:
    """Activations of one decoder layer over the prompt, and float32 logits of all samples four times.

    (Raw, warped, log-softmax, cumulated.)
    """
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return (
        prompt_tokens * (6 * text.hidden_size + 3 * inner) * dtype.itemsize
        + max(1, samples) * text.vocab_size * 4 * 4
    )


def entailment_bytes(name: str | Path) -> int:
    """Bytes of an entailment model's weights in float32."""
    if str(name) == "embedded":
        from safetensors import safe_open

        with safe_open(embedded.ENTAILMENT / "model.safetensors", "pt") as weights:
            return sum(4 * math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(_config(name, False), dtype=torch.float32)
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def model_bytes(model: Any, device: torch.device | None = None) -> int:
    """Bytes that a loaded model holds: parameters, buffers, and the scales of what bitsandbytes quantised.

    Tensors that share memory count once. With `device`, what it holds there.
    """
    tensors: list[torch.Tensor] = [t for t in (*model.parameters(), *model.buffers()) if not t.is_meta]
    for module in model.modules():
        if is_quantized(module):
            tensors += _scales(module)
    if device is not None:
        tensors = [tensor for tensor in tensors if tensor.device == device]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def _scales(module: Any) -> list[torch.Tensor]:
    holders = [module.weight, getattr(module, "state", None), getattr(module.weight, "quant_state", None)]
    holders.append(getattr(holders[-1], "state2", None))
    names = ("CB", "SCB", "absmax", "code", "offset")
    found = [getattr(holder, name, None) for holder in holders for name in names]
    return [tensor for tensor in found if isinstance(tensor, torch.Tensor)]
