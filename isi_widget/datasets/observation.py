"""`Observation`: one image with a question, its truth and its presets. `Dataset`: an immutable sequence of
them.

Not for loading data sets (`csv_data`, `isi_vqa`, `scenes`), nor for changing the input
(`isi_widget.stimulus`). Longer than other modules because the two public classes know each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import Any, Protocol, overload

import numpy as np

from isi_widget.concepts import Pair
from isi_widget.datasets.lazy import LazyImage, LazyPicture
from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.stimulus import LabelledBox, Mask, Picture, Presets, Stimulus, checks
from isi_widget.stimulus.labelled_boxes import BoxLike
from isi_widget.stimulus.labelled_boxes import checked as checked_boxes
from isi_widget.stimulus.regions import Region
from isi_widget.text import all_repaired


class Graph(Protocol):
    """What a built-in world can do with an observation of its own: change the scene and draw it again, and
    give the masks of its objects.
    """

    def masks(self) -> dict[str, Mask]:
        """Return the exact mask of each object, by its name."""

    def mask(self, name: str | None) -> Mask:
        """Return the mask of the objects of a name; None: of those that the question is about."""

    def levels(self) -> tuple[str, ...]:
        """Return the semantic levels at which a change of the scene changes the true answer."""

    def about(self) -> tuple[Region, ...] | None:
        """Return the parts of the image that decide the true answer; None if unknown."""

    def counterfactual(self, level: str, way: str | None, seed: int) -> tuple[Observation, str]:
        """Return the observation of a changed scene, whose true answer differs, and the change in words."""

    def unrelated(
        self, level: str, way: str | None, seed: int, n: int
    ) -> tuple[str, list[tuple[Observation, Observation]]]:
        """Return the change in words, and other questions about both scenes whose true answers are equal."""


class Observation:
    """One image with a question, immutable.

    Parameters
    ----------
    image : path, bytes, file object, base64 text, Pillow image, NumPy array or Picture (see `load_image`), or
        a function without arguments that returns one (lazy).
    question : question about the image.
    context : text beside the image; "" (default) is a valid condition.
    answer : true answer: yes/no in any spelling, a bool, 0 / 1 (also from NumPy and pandas; a count where the
        question asks for something else than yes or no), other text, a
        list of accepted answers (["red", "crimson"], kept as "red | crimson"; ten answers of ten people keep
        their repeats, as in VQA), or None (default).
    annotated : the same image with annotations drawn on it, or a function that returns it; None (default) if
        there is none.
    contexts : {"complementary" | "contradictory" | "irrelevant" | "nudging": text}; a nudging text makes an
        answer likely without stating it. A missing or empty text disables that preset.
    level : semantic level, for example "object", "attribute", "relation", "counting".
    id : name of the observation in its data set.
    metadata : further values, JSON-ready.
    graph : the scene graph behind the image, of a built-in world; None (default) for other images.
    boxes : boxes around things of the image, with their names: `LabelledBox`, (x, y, width, height) or
        (x, y, width, height, label) in pixels; default none. `from_coco` and `from_yolo` read them from
        files.

    Values of empty table cells (NaN, NA) count as not given, except for image and question.
    """

    __slots__ = (
        "_annotated",
        "_boxes",
        "_contexts",
        "_dataset",
        "_graph",
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
    _image: LazyPicture
    _annotated: LazyPicture | None
    _boxes: tuple[LabelledBox, ...]
    _contexts: dict[str, str]
    _metadata: Mapping[str, Any]
    _dataset: Dataset | None
    _graph: Graph | None
    _index: int

    def __init__(
        self,
        image: LazyImage,
        question: str,
        context: str = "",
        answer: str | bool | int | Sequence[str] | None = None,
        annotated: LazyImage | None = None,
        contexts: Mapping[str, str] | None = None,
        level: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        graph: Graph | None = None,
        boxes: Iterable[BoxLike] = (),
    ) -> None:
        if contexts is not None:
            contexts = {name: text for name, text in contexts.items() if not checks.missing(text)}
        presets = Presets(contexts=contexts)  # checks names and texts
        values: dict[str, Any] = {
            "question": checks.text(question, "question"),
            "context": "" if checks.missing(context) else checks.text(context, "context"),
            "answer": checks.truth(answer, question=question if isinstance(question, str) else ""),
            "level": None if checks.missing(level) else checks.text(level, "level"),
            "id": None if checks.missing(id) else checks.text(id, "id"),
            "_image": LazyPicture(image),
            "_annotated": None if annotated is None or checks.missing(annotated) else LazyPicture(annotated),
            "_boxes": checked_boxes(boxes),
            "_contexts": presets.contexts,
            "_metadata": MappingProxyType(all_repaired(dict(metadata or {}))),
            "_dataset": None,
            "_graph": graph,
            "_index": -1,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("An Observation cannot be changed; make a new one.")

    @property
    def image(self) -> Picture:
        """The image; a lazy image is loaded now."""
        return self._image.get()

    @property
    def annotated(self) -> Picture | None:
        """The annotated image, or None."""
        return None if self._annotated is None else self._annotated.get()

    @property
    def boxes(self) -> tuple[LabelledBox, ...]:
        """The boxes around things of the image, with their names. Of a built-in scene they are the boxes
        around the exact masks of its objects. `obs.stimulus().with_boxes(obs.boxes)` draws them.
        """
        if self._boxes or self._graph is None:
            return self._boxes
        found = ((name, mask.bounds) for name, mask in self._graph.masks().items())
        return tuple(
            LabelledBox(left, top, right - left, bottom - top, name)
            for name, (left, top, right, bottom) in found
        )

    @property
    def is_scene(self) -> bool:
        """Whether it is of a built-in world, whose scene graph is known."""
        return self._graph is not None

    @property
    def contexts(self) -> dict[str, str]:
        """The non-empty context presets (a copy)."""
        return dict(self._contexts)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Further values (read-only)."""
        return self._metadata

    @property
    def dataset(self) -> Dataset | None:
        """Its data set; the random presets draw from the other observations in it."""
        return self._dataset

    @property
    def index(self) -> int:
        """Its index in the data set; -1 without a data set."""
        return self._index

    @property
    def code(self) -> str | None:
        """Python code for it, such as "isi.datasets.scenes()[3]"; None if its data set was made by hand."""
        code = None if self._dataset is None else self._dataset.code
        return None if code is None else f"{code}[{self._index}]"

    @property
    def presets(self) -> Presets:
        """The available presets; loads no image."""
        others = self._dataset is not None and len(self._dataset) > 1
        return Presets(
            images={} if self._annotated is None else {"annotated": self._annotated.get},
            contexts=self._contexts,
            random_image=self._random_image if others else None,
            random_context=self._random_context if others else None,
        )

    def stimulus(self) -> Stimulus:
        """Return the unchanged stimulus."""
        about = None if self._graph is None else self._graph.about()
        return Stimulus(self.image, self.question, self.context, self.answer, self.presets, about=about)

    def with_texts(
        self, question: str, context: str = "", answer: str | bool | int | None = None
    ) -> Observation:
        """Return an observation of the same picture with different texts and truth, outside any data set."""
        make, arguments = self.__reduce__()
        image, _, _, _, *rest, _, boxes = arguments  # the graph answers the former question
        made: Observation = make(image, question, context, answer, *rest, boxes=boxes)
        return made

    @property
    def masks(self) -> dict[str, Mask]:
        """The mask of each object by its name, such as "red star"; further ones of a name are "cat 2", ...

        Of a built-in scene they are exact: the pixels that an object covers by half or more, less those that
        others hide. For another image they are those of its `boxes` with an outline, as in files of segments.
        """
        if self._graph is not None:
            return self._graph.masks()
        found: dict[str, Mask] = {}
        for box in (box for box in self._boxes if box.outline):
            name, number = box.label, 1
            while name in found:
                number += 1
                name = f"{box.label} {number}"
            found[name] = box.mask(self.image.size)
        return found

    def mask(self, name: str | None = None) -> Mask:
        """Return the mask of objects by their name, as a region for effects and edits.

        Parameters
        ----------
        name : name of one object, as in `masks`, or, of a built-in scene, words that describe several:
            "stars", "red objects", "animals"; of another image the label of its boxes: what is inside their
            outlines, or the boxes themselves. None (default): the objects that the question is about, of a
            built-in scene.

        Raises
        ------
        InputError
            No object has the name, the question is about no object of the picture, or no object is known:
            then use `isi.segment`.
        """
        if self._graph is None and self._boxes and name is not None:
            every = [box.mask(self.image.size) for box in self._boxes if box.label == name]
            if every:
                return reduce(or_, every)
            if name in self.masks:
                return self.masks[name]
            known = dict.fromkeys([*(box.label for box in self._boxes), *self.masks])
            raise InputError(f"There is no object {name!r:.80} here; expected one of {', '.join(known)}.")
        if self._graph is None:
            raise InputError(
                "This observation has no scene graph, so the masks of its objects are not known. Find an "
                "object with isi.segment(observation, box=(x, y, width, height))."
            )
        return self._graph.mask(name)

    @property
    def counterfactual_levels(self) -> tuple[str, ...]:
        """The semantic levels at which `counterfactual` can change the true answer; empty for an image
        without a scene graph.
        """
        return () if self._graph is None else self._graph.levels()

    def counterfactual(self, level: str, *, way: str | None = None, seed: int = 0) -> Pair:
        """Change one concept of a built-in scene so that the true answer changes, and draw it again.

        Everything else stays: the pixels outside the changed things, the order of things that overlap, the
        question, the context. The annotated picture and the context presets are made for the changed scene.

        Parameters
        ----------
        level : "object" (a thing is removed, added, or becomes another thing), "attribute" (its colour or
            size changes) or "relation" (it moves).
        way : how. object: "remove", "insert", "replace" or "exchange" (two things change identities);
            attribute: "recolor", "resize" or "exchange" (of colours); relation: "move" or "swap". None
            (default): the first of these that changes the answer.
        seed : seed of random choices, such as the new colour; default 0.

        Returns
        -------
        `Pair` of the unchanged stimulus and that of the changed scene.

        Raises
        ------
        InputError
            Without a scene graph, or if no such change changes the answer; the message lists what does.
        """
        changed, words = self._scene_graph().counterfactual(level, way, seed)
        return self._pair(self, changed, level, words)

    def unrelated(self, level: str, *, way: str | None = None, seed: int = 0, n: int = 3) -> tuple[Pair, ...]:
        """Ask other questions about the two pictures of `counterfactual`: those whose answer does not change.

        Parameters
        ----------
        level, way, seed : as for `counterfactual`; the pictures are the same.
        n : number of questions, at most; default 3. A scene of few things has fewer.

        Returns
        -------
        A pair for each question, all with a yes/no answer, about things that the change does not touch.

        Raises
        ------
        InputError
            As for `counterfactual`.
        """
        n = checks.integer(n, "unrelated: n", low=0, high=1000)
        words, found = self._scene_graph().unrelated(level, way, seed, n)
        return tuple(self._pair(one, two, level, words) for one, two in found)

    def _scene_graph(self) -> Graph:
        if self._graph is None:
            raise InputError(
                "This observation has no scene graph, so no changed scene can be drawn: only the "
                "observations of the built-in worlds have one, such as isi.datasets.scenes()[0], with their "
                "own question. "
                "For another picture, edit its stimulus and make isi.Pair(clean, corrupt)."
            )
        return self._graph

    def _pair(self, clean: Observation, corrupt: Observation, level: str, words: str) -> Pair:
        if self._dataset is not None:  # for the random presets
            clean, corrupt = (item._placed(self._dataset, self._index) for item in (clean, corrupt))
        return Pair(clean.stimulus(), corrupt.stimulus(), level, words)

    def _random_image(self, seed: int) -> Picture:
        """Return the image of another observation, with different content."""
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
            "The random context preset needs a data set with another context; this one has none."
        )

    def _picture(self) -> Picture | None:
        """Return the image; None if it cannot be loaded, since other observations must not fail because of
        it.
        """
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
            and self._boxes == other._boxes
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
        """Pickle without the data set; unpickling a data set adds its observations again."""
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
            self._graph,
            self._boxes,
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
    observations : members of the data set. A member of another data set (as in a slice) still draws its
        random presets from that data set.
    name : name in tables and menus.
    skipped : reasons for the rows left out on reading, one text each.
    code : Python code that loads it again; None (default) if there is none.
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
        """Python code that loads it again, such as "isi.datasets.scenes()"; None if it was made by hand."""
        return self._code

    @property
    def skipped(self) -> tuple[str, ...]:
        """Reasons for the rows left out on reading, with `from_csv(..., on_error="skip")`."""
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
        return f"Dataset({self._name!r}, {counted(len(self), 'observation')}{skipped})"
