"""The adapters by `config.model_type`: registering one, finding that of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from isi_widget.errors import InputError
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.families.unlisted import UnlistedFamily, is_image_text_to_text

_FAMILIES: dict[str, Family] = {}
F = TypeVar("F", bound=type[Family])


def register_family(model_type: str) -> Callable[[F], F]:
    """Class decorator: the adapter of the models whose `config.model_type` is `model_type`.

    Raises
    ------
    InputError
        If it is used without a model_type, or on something else than a subclass of `Family`.
    """
    if not isinstance(model_type, str):
        raise InputError("register_family needs the config.model_type: @register_family('aya_vision').")

    def register(cls: F) -> F:
        if not (isinstance(cls, type) and issubclass(cls, Family)):
            raise InputError(f"register_family needs a subclass of isi_widget.vlm.Family; got {cls!r}.")
        family = cls()
        family.model_type = model_type
        _FAMILIES[model_type] = family
        return cls

    return register


def supported_families() -> tuple[str, ...]:
    """Return the registered `model_type`s, in alphabetical order."""
    return tuple(sorted(_FAMILIES))


def family_of(config: Any) -> Family:
    """Return the adapter for a model's config: its family's, or one that uses its chat template.

    Raises
    ------
    InputError
        If no family is registered for `config.model_type` and transformers does not know it as an
        image-text-to-text model; the message names the families that are registered.
    """
    model_type = str(getattr(config, "model_type", None))
    if model_type in _FAMILIES:
        return _FAMILIES[model_type]
    if is_image_text_to_text(config):
        return UnlistedFamily(model_type)
    known = ", ".join(f"{_FAMILIES[name].title} ({name!r})" for name in supported_families())
    raise InputError(
        f"Models of type {model_type!r} are not supported. Supported families: {known}; any other "
        "image-text-to-text model of transformers is tried through its chat template. "
        "Choose a checkpoint of one of these, for example 'llava-hf/llava-1.5-7b-hf'."
    )
