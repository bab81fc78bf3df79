"""One small adapter per model family, registered by `config.model_type`.

To add one: a file here that subclasses `Family`.
"""

from isi_widget.vlm.families import (  # noqa: F401  (importing registers them)
    gemma3,
    idefics3,
    instructblip,
    internvl,
    llava,
    llava_next,
    paligemma,
    qwen2_5_vl,
    qwen2_vl,
    qwen3_vl,
    smolvlm,
)
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.registry import family_of, register_family, supported_families

__all__ = ["Family", "family_of", "register_family", "supported_families"]
