"""`Observation`: one image with a question, its truth and its presets. `Dataset`: an immutable sequence of
them.

Not for where they come from (`csv_data`, `isi_vqa`, `scenes`) nor for changing what is shown
(`isi_widget.stimulus`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, overload

import numpy as np

from isi_widget.errors import InputError
from isi_widget.stimulus import ImageSource, Picture, Presets, Stimulus, checks, load_image
from isi_widget.text import all_repaired

#: An image, or a function without arguments that makes one when it is first needed.
LazyImage: TypeAlias = "ImageSource | Callable[[], ImageSource]"


class _Lazy:
    """An image that is made when needed and kept only as long as somebody uses it, so that large data sets
    stay small.
    """

    __slots__ = ("_make", "_picture", "_seen")

    def __init__(self, source: LazyImage) -> None:
        self._picture: Picture | None = None
        self._make: Callable[[], ImageSource] | None = None
        if callable(source):
            self._make = source
        else:
            self._picture = load_image(source)
        self._seen: weakref.ref[Picture] | None = None

    @property
    def source(self) -> LazyImage:
        """What it was made from, to be pickled."""
        if self._make is not None:
            return self._make
        assert self._picture is not None
        return self._picture

    def get(self) -> Picture:
        """Return the picture."""
        if self._picture is not None:
            return self._picture
        picture = self._seen() if self._seen is not None else None
        if picture is None:
            assert self._make is not None
            picture = load_image(self._make())
            self._seen = weakref.ref(picture)
        return picture


class Observation:
    """One image with a question, immutable.

    Parameters
    ----------
    image : a path, bytes, file object, base64 text, Pillow image, NumPy array or Picture (see `load_image`),
        or a function without arguments that returns one (lazy).
    question, context : texts; an empty context is a valid condition.
    answer : the true answer: yes/no in any spelling, a bool, 0 / 1 (of NumPy and pandas too), other text, or
        None.
    annotated : the same image with annotations drawn on it, or None; may be a function too.
    contexts : {"complementary" | "contradictory" | "irrelevant": text}; absent or empty disables that
        preset.
    level : semantic level, for example "object", "attribute", "relation", "counting".
    id : name of the observation in its data set.
    metadata : anything else, JSON-ready.

    What a table has in an empty cell (NaN, NA) counts as not given, except for image and question.
    """

    __slots__ = (
        "_annotated",
        "_contexts",
        "_dataset",
        "_image",
        "_index",
        "_metadata",
        "answer",
        "context",
        "id",
        "level",
        "question",
    )

    question: str
    context: str
    answer: str | None
    level: str | None
    id: str | None
    _image: _Lazy
    _annotated: _Lazy | None
    _contexts: dict[str, str]
    _metadata: Mapping[str, Any]
    _dataset: Dataset | None
    _index: int

    def __init__(
        self,
        image: LazyImage,
        question: str,
        context: str = "",
        answer: str | bool | int | None = None,
        annotated: LazyImage | None = None,
        contexts: Mapping[str, str] | None = None,
        level: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if contexts is not None:
            contexts = {name: text for name, text in contexts.items() if not checks.missing(text)}
        presets = Presets(contexts=contexts)  # checks names and texts
        values: dict[str, Any] = {
            "question": checks.text(question, "question"),
            "context": "" if checks.missing(context) else checks.text(context, "context"),
            "answer": checks.truth(answer),
            "level": None if checks.missing(level) else checks.text(level, "level"),
            "id": None if checks.missing(id) else checks.text(id, "id"),
            "_image": _Lazy(image),
            "_annotated": None if annotated is None or checks.missing(annotated) else _Lazy(annotated),
            "_contexts": presets.contexts,
            "_metadata": MappingProxyType(all_repaired(dict(metadata or {}))),
            "_dataset": None,
            "_index": -1,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("An Observation cannot be changed; make a new one.")

    @property
    def image(self) -> Picture:
        """The image; a lazy one is made now."""
        return self._image.get()

    @property
    def annotated(self) -> Picture | None:
        """The annotated image, or None."""
        return None if self._annotated is None else self._annotated.get()

    @property
    def contexts(self) -> dict[str, str]:
        """The context presets that are not empty (a copy)."""
        return dict(self._contexts)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Anything else that is known (read-only)."""
        return self._metadata

    @property
    def dataset(self) -> Dataset | None:
        """The data set that it belongs to; its other observations serve the random presets."""
        return self._dataset

    @property
    def index(self) -> int:
        """Its index there, -1 if it belongs to none."""
        return self._index

    @property
    def code(self) -> str | None:
        """Python that gets it, such as "isi.datasets.scenes()[3]"; None if its data set was made by hand."""
        code = None if self._dataset is None else self._dataset.code
        return None if code is None else f"{code}[{self._index}]"

    @property
    def presets(self) -> Presets:
        """The presets that can be chosen, without loading any image."""
        others = self._dataset is not None and len(self._dataset) > 1
        return Presets(
            images={} if self._annotated is None else {"annotated": self._annotated.get},
            contexts=self._contexts,
            random_image=self._random_image if others else None,
            random_context=self._random_context if others else None,
        )

    def stimulus(self) -> Stimulus:
        """Return what a VLM is shown if nothing is changed."""
        return Stimulus(self.image, self.question, self.context, self.answer, self.presets)

    def with_texts(
        self, question: str, context: str = "", answer: str | bool | int | None = None
    ) -> Observation:
        """Return the same picture with other texts and another truth; it belongs to no data set."""
        make, arguments = self.__reduce__()
        image, _, _, _, *rest = arguments
        made: Observation = make(image, question, context, answer, *rest)
        return made

    def _random_image(self, seed: int) -> Picture:
        """Return the image of another observation, of other content."""
        own = self.image
        for other in self._others(seed):
            picture = other._picture()
            if picture is not None and picture != own:
                return picture
        raise InputError(
            "The random image preset needs a data set with another image; every image here is the same."
        )

    def _random_context(self, seed: int) -> str:
        """Return a context of another observation, about another image."""
        own, image = {self.context, *self._contexts.values(), ""}, self.image
        for other in self._others(seed):
            texts = [text for text in (*other._contexts.values(), other.context) if text not in own]
            if texts and other._picture() != image:
                return texts[int(np.random.default_rng([seed, 1]).integers(len(texts)))]
        raise InputError(
            "The random context preset needs a data set with another context; there is none here."
        )

    def _picture(self) -> Picture | None:
        """Return the image; None if it cannot be loaded, which is no matter of the observation that asks."""
        try:
            return self.image
        except InputError:
            return None

    def _others(self, seed: int) -> Iterable[Observation]:
        """Yield the other observations of the data set, in random order by seed."""
        if self._dataset is None:
            return
        for index in np.random.default_rng(seed).permutation(len(self._dataset)):
            if int(index) != self._index:
                yield self._dataset[int(index)]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Observation):
            return NotImplemented
        return (
            self._texts() == other._texts()
            and self._metadata == other._metadata
            and self.image == other.image
            and self.annotated == other.annotated
        )

    def __hash__(self) -> int:
        return hash((self.question, self.context, self.answer, self.id))

    def _texts(self) -> tuple[Any, ...]:
        return (self.question, self.context, self.answer, self._contexts, self.level, self.id)

    def __repr__(self) -> str:
        named = "" if self.id is None else f"{self.id!r}: "
        return f"Observation({named}{self.question!r}, answer {self.answer!r}, level {self.level!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the data set; a pickled data set takes its observations in again."""
        arguments = (
            self._image.source,
            self.question,
            self.context,
            self.answer,
            None if self._annotated is None else self._annotated.source,
            self._contexts,
            self.level,
            self.id,
            dict(self._metadata),
        )
        return Observation, arguments

    def _placed(self, dataset: Dataset, index: int) -> Observation:
        """Return the same observation as a member of a data set."""
        copy = object.__new__(Observation)
        for name in self.__slots__:
            object.__setattr__(copy, name, getattr(self, name))
        object.__setattr__(copy, "_dataset", dataset)
        object.__setattr__(copy, "_index", index)
        return copy


class Dataset(Sequence[Observation]):
    """An immutable, named sequence of observations.

    Parameters
    ----------
    observations : its members. One that belongs to another data set already (as in a slice) keeps drawing
        its random presets from that one.
    name : for tables and menus.
    skipped : what was left out when it was read, and why; one text each.
    code : Python that makes it again, if any does.
    """

    __slots__ = ("_code", "_name", "_observations", "_skipped")

    def __init__(
        self,
        observations: Iterable[Observation],
        name: str,
        skipped: Iterable[str] = (),
        code: str | None = None,
    ) -> None:
        self._name = checks.text(name, "name")
        self._code = code
        self._skipped = tuple(skipped)
        self._observations = tuple(
            item if item.dataset is not None else item._placed(self, index)
            for index, item in enumerate(observations)
        )

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def code(self) -> str | None:
        """Python that makes it again, such as "isi.datasets.scenes()"; None if it was made by hand."""
        return self._code

    @property
    def skipped(self) -> tuple[str, ...]:
        """What was left out when it was read, and why: `from_csv(..., on_error="skip")`."""
        return self._skipped

    def __len__(self) -> int:
        return len(self._observations)

    @overload
    def __getitem__(self, index: int) -> Observation: ...

    @overload
    def __getitem__(self, index: slice) -> Dataset: ...

    def __getitem__(self, index: int | slice) -> Observation | Dataset:
        if isinstance(index, slice):
            return Dataset(self._observations[index], self._name)
        try:
            return self._observations[index]
        except IndexError:
            raise self._no_such(index) from None

    def _no_such(self, index: int) -> IndexError:
        return IndexError(
            f"There is no observation {index}: {self._name!r} has {len(self)}, from 0 to {len(self) - 1}."
            if len(self)
            else f"There is no observation {index}: {self._name!r} is empty."
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Dataset):
            return NotImplemented
        return self._name == other._name and self._observations == other._observations

    def __hash__(self) -> int:
        return hash((self._name, self._observations))

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (list(self._observations), self._name, self._skipped, self._code)

    def __repr__(self) -> str:
        skipped = f", {len(self._skipped)} skipped" if self._skipped else ""
        return f"Dataset({self._name!r}, {len(self)} observations{skipped})"
