"""`models()`: checkpoints on the hub that `load_vlm` is meant for. A list to choose from, not a limit."""

from __future__ import annotations

from dataclasses import dataclass

from isi_widget.errors import InputError
from isi_widget.vlm.families import supported_families

_BYTES_PER_WEIGHT = {None: 2.0, "int8": 1.0, "nf4": 0.5 + 4 / 64}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the hub.

    Attributes
    ----------
    name : hub name, as `load_vlm` takes it.
    family, model_type : title and `config.model_type` of its family.
    parameters : number of parameters.
    licence : of the weights, as the model card states it.
    """

    name: str
    family: str
    model_type: str
    parameters: int
    licence: str

    def memory(self, quantization: str | None = None) -> int:
        """Bytes of the weights alone: 16 bit, int8, or nf4 with one float32 scale per 64 weights.

        An estimate, as if every matrix were quantised; the cache and the entailment model come on top.
        """
        if quantization not in _BYTES_PER_WEIGHT:
            raise InputError(f"quantization is {quantization!r}; choose None, 'int8' or 'nf4'.")
        return int(self.parameters * _BYTES_PER_WEIGHT[quantization])

    def __str__(self) -> str:
        sizes = ", ".join(
            f"{kind or '16 bit'} {self.memory(kind) / 2**30:.0f} GiB" for kind in _BYTES_PER_WEIGHT
        )
        size = f"{self.parameters / 1e9:.1f} B parameters ({sizes})"
        return f"{self.name}: {self.family}, {size}, licence {self.licence}"


_KNOWN = (
    Checkpoint("llava-hf/llava-1.5-7b-hf", "LLaVA-1.5", "llava", 7_063_427_072, "llama2"),
    Checkpoint("llava-hf/llava-1.5-13b-hf", "LLaVA-1.5", "llava", 13_351_494_656, "llama2"),
    Checkpoint("llava-hf/llava-v1.6-vicuna-7b-hf", "LLaVA-NeXT", "llava_next", 7_063_431_168, "llama2"),
    Checkpoint("llava-hf/llava-v1.6-vicuna-13b-hf", "LLaVA-NeXT", "llava_next", 13_351_499_776, "llama2"),
    Checkpoint("llava-hf/llava-v1.6-mistral-7b-hf", "LLaVA-NeXT", "llava_next", 7_566_747_648, "apache-2.0"),
    Checkpoint("llava-hf/llava-v1.6-34b-hf", "LLaVA-NeXT", "llava_next", 34_752_083_968, "apache-2.0"),
)


def models() -> tuple[Checkpoint, ...]:
    """The known checkpoints of the supported families."""
    return tuple(checkpoint for checkpoint in _KNOWN if checkpoint.model_type in supported_families())
