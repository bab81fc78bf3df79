"""`Presets`: the images and contexts that an observation offers for its presets.

Not for choosing among the observations of a data set: `isi_widget.datasets` passes in functions for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.operations import CONTEXT_PRESETS
from isi_widget.stimulus.picture import Picture

#: A picture, or a function without arguments that loads it when first needed.
LazyPicture: TypeAlias = "Picture | Callable[[], Picture]"

_NAMED_IMAGES = ("annotated",)
_NAMED_CONTEXTS = tuple(name for name in CONTEXT_PRESETS if name not in ("empty", "random"))


class Presets:
    """Immutable holder of named images and contexts. The presets "natural", "custom" and "empty" need no
    entry.

    Parameters
    ----------
    images : {"annotated": picture or function}; a missing name disables that preset.
    contexts : texts under "complementary", "contradictory", "irrelevant", "nudging"; a missing or empty text
        disables that preset.
    random_image : function from a seed to the picture of another observation; not part of equality, JSON or
        pickles.
    random_context : function from a seed to a context of another observation; not part of equality, JSON or
        pickles.
    """

    __slots__ = ("_contexts", "_images", "_random_context", "_random_image")

    _images: dict[str, LazyPicture]
    _contexts: dict[str, str]
    _random_image: Callable[[int], Picture] | None
    _random_context: Callable[[int], str] | None

    def __init__(
        self,
        images: Mapping[str, LazyPicture] | None = None,
        contexts: Mapping[str, str] | None = None,
        random_image: Callable[[int], Picture] | None = None,
        random_context: Callable[[int], str] | None = None,
    ) -> None:
        for name, item in (images or {}).items():
            checks.one_of(name, "The name of an image preset", _NAMED_IMAGES)
            if not isinstance(item, Picture) and not callable(item):
                raise InputError(
                    f"The image preset {name!r} must be a Picture or a function, got {type(item).__name__}."
                )
        texts = {}
        for name, text in (contexts or {}).items():
            checks.one_of(name, "The name of a context preset", _NAMED_CONTEXTS)
            texts[name] = checks.text(text, f"The context preset {name!r}")
        object.__setattr__(self, "_images", dict(images or {}))
        object.__setattr__(self, "_contexts", {name: text for name, text in texts.items() if text})
        object.__setattr__(self, "_random_image", random_image)
        object.__setattr__(self, "_random_context", random_context)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Presets cannot be changed; make new ones.")

    @property
    def image_names(self) -> tuple[str, ...]:
        """The image presets that can be chosen, "natural" first."""
        named = tuple(name for name in _NAMED_IMAGES if name in self._images)
        return ("natural", *named, *(("random",) if self._random_image else ()))

    @property
    def context_names(self) -> tuple[str, ...]:
        """The context presets that can be chosen, "empty" first."""
        named = tuple(name for name in _NAMED_CONTEXTS if name in self._contexts)
        return ("empty", *named, *(("random",) if self._random_context else ()))

    @property
    def contexts(self) -> dict[str, str]:
        """The named contexts (a copy)."""
        return dict(self._contexts)

    @property
    def images(self) -> dict[str, Picture]:
        """The named images, loaded (a copy)."""
        return {name: self.image(name) for name in self._images}

    def image(self, name: str, seed: int | None = None) -> Picture:
        """Return the picture of "annotated", or of "random" with a seed.

        Raises
        ------
        InputError : this observation does not have that preset.
        """
        if name == "random" and self._random_image is not None:
            return self._random_image(0 if seed is None else seed)
        if name not in self._images:
            raise InputError(
                f"This observation has no image preset {name!r}; it has {', '.join(self.image_names)}."
            )
        item = self._images[name]
        if not isinstance(item, Picture):
            item = self._images[name] = item()  # same content, now loaded
        return item

    def context(self, name: str, seed: int | None = None) -> str:
        """Return the text of a preset; "empty" is always available.

        Raises
        ------
        InputError : this observation does not have that preset.
        """
        if name == "empty":
            return ""
        if name == "random" and self._random_context is not None:
            return self._random_context(0 if seed is None else seed)
        if name not in self._contexts:
            raise InputError(
                f"This observation has no context preset {name!r}; it has {', '.join(self.context_names)}."
            )
        return self._contexts[name]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Presets):
            return NotImplemented
        return self._contexts == other._contexts and self.images == other.images

    def __hash__(self) -> int:
        return hash(frozenset(self._contexts.items()))  # without pictures: hashing must not load them

    def __repr__(self) -> str:
        return f"Presets(images {', '.join(self.image_names)}; contexts {', '.join(self.context_names)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Presets, (self.images, self._contexts)
