"""One small adapter per model family, registered by `config.model_type`.

To add one: a file here that subclasses `Family`.
"""

from isi_widget.vlm.families import llava, llava_next  # noqa: F401  (importing registers them)
from isi_widget.vlm.families.base import Family, family_of, register_family, supported_families

__all__ = ["Family", "family_of", "register_family", "supported_families"]
