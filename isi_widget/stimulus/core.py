"""`Stimulus`: what a VLM is shown: the original image, question and context, and the operations applied to
them.

Immutable: every method returns a new Stimulus. Longer than other modules because it holds the whole public
class. Not for painting pixels (`drawing`), nor for reading JSON (`serial`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from PIL import Image

from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus import checks, completing, effort
from isi_widget.stimulus.code import stimulus_code
from isi_widget.stimulus.drawing import (
    Arrow,
    Blur,
    Box,
    CopiedPatch,
    Downscale,
    Drawing,
    Ellipse,
    Erase,
    GaussianNoise,
    Jpeg,
    Line,
    Pixelate,
    Polygon,
    Text,
)
from isi_widget.stimulus.edit_methods import EditMethods
from isi_widget.stimulus.labelled_boxes import BoxMethods
from isi_widget.stimulus.loading import ImageSource, load_image
from isi_widget.stimulus.operations import (
    CONTEXT_PRESETS,
    IMAGE_PRESETS,
    OPERATIONS,
    Operation,
    ReplaceContext,
    ReplaceImage,
    ReplaceQuestion,
    operation_from_dict,
    operation_kind,
    picture_fields,
    random_seed,
)
from isi_widget.stimulus.picture import Picture
from isi_widget.stimulus.presets import Presets
from isi_widget.stimulus.regions import Region
from isi_widget.stimulus.rendering import cache, check_masks, shown, warn_of
from isi_widget.stimulus.serial import parse_json, stimulus_from_dict, stimulus_to_dict
from isi_widget.stimulus.truth import check_about, truth_holds
from isi_widget.text.words import whole_words

_O = TypeVar("_O", bound=Operation)


@dataclass(frozen=True)
class Stimulus(EditMethods, BoxMethods):
    """An image, a question and a context, with the operations that change them.

    Of several image, context or question operations the last one counts. Drawings are painted in order on the
    current image. A mask of another size than the original image is refused. While the image is replaced by
    one of another size than the mask, the operation stays in the list but paints nothing (with a warning).

    Parameters
    ----------
    image : original image; anything that `load_image` accepts.
    question : original question.
    context : original context; "" (default) is a valid condition.
    true_answer : true answer to the original question about the original image; None (default) if unknown.
    presets : images and contexts that the presets use.
    operations : operations applied so far, oldest first.
    about : parts of the image that decide the true answer, as regions; None (default) if unknown. Used by
        `truth_holds` only, and not compared.
    """

    image: Picture
    question: str
    context: str = ""
    true_answer: str | None = None
    presets: Presets = field(default_factory=Presets, hash=False, repr=False)
    operations: tuple[Operation, ...] = ()
    about: tuple[Region, ...] | None = field(default=None, compare=False)
    #: Estimated cost of painting all operations so far.
    _load: ClassVar[effort.Load]

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", load_image(self.image))
        object.__setattr__(self, "question", checks.text(self.question, "question"))
        object.__setattr__(self, "context", checks.text(self.context, "context"))
        object.__setattr__(self, "true_answer", checks.truth(self.true_answer, "true_answer", self.question))
        if not isinstance(self.presets, Presets):
            raise InputError(f"presets must be a Presets, got {type(self.presets).__name__}.")
        object.__setattr__(self, "operations", tuple(self.operations))
        for operation in self.operations:
            _check(operation)
        if self.about is not None:
            object.__setattr__(self, "about", check_about(self.about, self.image.size))
        self._check_masks(self.operations)
        load = effort.load(len(self.operations), self._painted(), self.current_image.size)
        object.__setattr__(self, "_load", load)
        object.__setattr__(self, "operations", completing.completed(self.current_image, self.operations))

    # Interventions on the image ------------------------------------------------------------------------

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: str = "#000000",
        fill: bool = True,
        line_width: float = 3,
        angle: float = 0,
    ) -> Stimulus:
        """Add a box, filled or as an outline inside it. Position (top left) and size are pixels of the
        original image; `angle` turns it clockwise about its centre, in degrees.
        """
        return self.apply(Box(x, y, width, height, color, fill, line_width, angle))

    def ellipse(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: str = "#000000",
        fill: bool = True,
        line_width: float = 3,
        angle: float = 0,
    ) -> Stimulus:
        """Add the ellipse inside a box; parameters as for `box`."""
        return self.apply(Ellipse(x, y, width, height, color, fill, line_width, angle))

    def polygon(
        self,
        points: Sequence[tuple[float, float]],
        color: str = "#000000",
        fill: bool = True,
        line_width: float = 3,
    ) -> Stimulus:
        """Add a closed polygon of at least three points, filled (even-odd rule) or as a line centred on the
        points. A freehand mask is a polygon of many points.
        """
        return self.apply(Polygon(points, color, fill, line_width))

    def line(
        self, start: tuple[float, float], end: tuple[float, float], color: str = "#000000", width: float = 2
    ) -> Stimulus:
        """Add a straight line; `width` in pixels."""
        return self.apply(Line(start, end, color, width))

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        color: str = "#000000",
        width: float = 2,
        label: str = "",
        size: float = 16,
    ) -> Stimulus:
        """Add an arrow with its head at `end`. The head grows with `width` (pixels); `label` is text of font
        size `size` beyond the tail.
        """
        return self.apply(Arrow(start, end, color, width, label, size))

    def text(
        self, x: float, y: float, text: str, size: float = 16, color: str = "#000000", angle: float = 0
    ) -> Stimulus:
        """Add text with its top left at (x, y); `size` is the font size in pixels. `angle` turns it clockwise
        about its centre, in degrees.
        """
        return self.apply(Text(x, y, text, size, color, angle))

    def noise(self, sigma: float = 0.2, seed: int = 0, region: Region = None) -> Stimulus:
        """Add Gaussian noise of standard deviation `sigma` (intensity scale 0 to 1): everywhere, in a
        rectangle (x, y, width, height), in a polygon of points or in a `Mask`.
        """
        return self.apply(GaussianNoise(sigma, seed, region))

    def blur(self, radius: float, region: Region = None) -> Stimulus:
        """Blur with a Gaussian of standard deviation `radius` pixels; `region` as for `noise`."""
        return self.apply(Blur(radius, region))

    def pixelate(self, size: int, region: Region = None) -> Stimulus:
        """Replace squares of `size` x `size` pixels by their mean colours; `region` as for `noise`."""
        return self.apply(Pixelate(size, region))

    def downscale(self, size: int, region: Region = None) -> Stimulus:
        """Keep only the detail of a picture whose longer side has `size` pixels; `region` as for `noise`."""
        return self.apply(Downscale(size, region))

    def jpeg(self, quality: int, region: Region = None) -> Stimulus:
        """Add the artefacts of JPEG compression of quality 1 (worst) to 95; `region` as for `noise`. Pixels
        may differ by a few levels between versions of libjpeg.
        """
        return self.apply(Jpeg(quality, region))

    def erase(self, region: Region, fill: str = "mean") -> Stimulus:
        """Fill a region with the image's mean colour ("mean"), with the smooth continuation of its
        surroundings ("inpaint") or with a colour. A region of None is the whole image.
        """
        return self.apply(Erase(region, fill))

    def patch(
        self,
        source: tuple[float, float, float, float],
        x: float,
        y: float,
        width: float | None = None,
        height: float | None = None,
        image: ImageSource | None = None,
    ) -> Stimulus:
        """Copy the rectangle `source` of an image to (x, y).

        Parameters
        ----------
        source : (x, y, width, height) of the rectangle, pixels.
        x : left edge of the copy, pixels.
        y : top edge of the copy, pixels.
        width : width of the copy, pixels; None (default) keeps that of `source`.
        height : height of the copy, pixels; None (default) keeps that of `source`.
        image : image to cut from, for example another observation's; None (default) is the current image
            without its drawings.
        """
        picture = None if image is None else load_image(image)
        return self.apply(CopiedPatch(source, x, y, width, height, picture))

    def with_image(
        self, image: ImageSource | None = None, *, preset: str | None = None, seed: int | None = None
    ) -> Stimulus:
        """Show a custom image or a preset ("natural", "annotated", "random"). Drawings stay."""
        if (image is None) == (preset is None):
            raise InputError("with_image needs either an image or preset=..., and not both.")
        if image is not None:
            if seed is not None:
                raise InputError('with_image: a seed belongs to preset="random" only.')
            return self.apply(ReplaceImage("custom", load_image(image)))
        if preset == "custom":
            raise InputError("with_image: pass a custom image directly, with_image(image).")
        return self.apply(self._resolve({"op": "image", "preset": preset, "seed": seed}, {}))

    # Interventions on the texts ------------------------------------------------------------------------

    def with_context(
        self, text: str | None = None, *, preset: str | None = None, seed: int | None = None
    ) -> Stimulus:
        """Give a custom context or a preset ("empty", "complementary", ..., "random")."""
        if (text is None) == (preset is None):
            raise InputError("with_context needs either a text or preset=..., and not both.")
        if text is not None:
            return self.apply(ReplaceContext(text, None, seed))
        return self.apply(self._resolve({"op": "context", "preset": preset, "seed": seed}, {}))

    def with_question(self, text: str) -> Stimulus:
        """Ask a different question; the true answer is then unknown."""
        return self.apply(ReplaceQuestion(text))

    def replace_words(self, old: str, new: str, part: str = "question") -> Stimulus:
        """Replace words of the current question or context, which stand there exactly once.

        Parameters
        ----------
        old : whole words, in the same case.
        new : the words in their place; "" removes them.
        part : "question" (default) or "context".

        Raises
        ------
        InputError : the words stand there more than once, or not at all.
        """
        checks.one_of(part, "replace_words: part", ("question", "context"))
        checks.text(new, "replace_words: new")
        text = self.current_question if part == "question" else self.current_context
        found = whole_words(checks.text(old, "replace_words: old"), text)
        if len(found) != 1:
            hint = "Copy them from the text." if not found else "Give more words around them."
            raise InputError(
                f"{old!r} must stand once, as whole words, in the {part} {text!r:.200}; it stands there "
                f"{len(found)} times. {hint}"
            )
        start, end = found[0]
        changed = text[:start] + new + text[end:]
        return self.with_question(changed) if part == "question" else self.with_context(changed)

    # Editing the list of operations --------------------------------------------------------------------

    def apply(self, *operations: Operation) -> Stimulus:
        """Append operations. Warns about a drawing that paints nothing: it lies outside the image or has no
        size.
        """
        made = self._longer(operations)
        warn_of(operations, made.current_image.size)
        return made

    def _longer(self, operations: tuple[Operation, ...]) -> Stimulus:
        """Append operations and check only these, so that the cost does not grow with the list."""
        for operation in operations:
            _check(operation)
        every = (*self.operations, *operations)
        if any(isinstance(item, ReplaceImage) for item in operations):
            return replace(self, operations=every)  # the cost of drawings depends on the image size
        self._check_masks(operations)
        painted = [item for item in operations if isinstance(item, Drawing) and not item.hidden]
        load = effort.load(len(every), painted, self.current_image.size, self._load)
        every = completing.completed(self.current_image, every)
        made = object.__new__(type(self))
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        made.__dict__.update(values, operations=every, _load=load, current_image=self.current_image)
        return made

    def _check_masks(self, operations: tuple[Operation, ...]) -> None:
        """Refuse masks of another size than the image, unless that image is a replacement: it may be replaced
        again.
        """
        if self._last(ReplaceImage) is None:
            check_masks(operations, self.image.size)

    def undo(self) -> Stimulus:
        """Remove the last operation."""
        if not self.operations:
            raise InputError("There is nothing to undo: this stimulus has no operations.")
        return replace(self, operations=self.operations[:-1])

    def replace(self, index: int, operation: Operation) -> Stimulus:
        """Replace the operation at `index`; negative indices count from the end."""
        at = self._index(index)
        made = replace(self, operations=(*self.operations[:at], operation, *self.operations[at + 1 :]))
        warn_of([operation], made.current_image.size)
        return made

    def without(self, index: int) -> Stimulus:
        """Remove the operation at `index`."""
        at = self._index(index)
        return replace(self, operations=self.operations[:at] + self.operations[at + 1 :])

    def reorder(self, index: int, to: int) -> Stimulus:
        """Move the operation at `index` to index `to`."""
        at, new = self._index(index), self._index(to)
        rest = list(self.operations)
        rest.insert(new, rest.pop(at))
        return replace(self, operations=tuple(rest))

    def with_operations(
        self,
        operations: Iterable[Operation | Mapping[str, Any]],
        pictures: Mapping[str, Picture] | None = None,
    ) -> Stimulus:
        """Replace all operations by this list.

        Parameters
        ----------
        operations : operations, or their JSON forms as the page sends them. An image or context operation may
            hold only its preset (and seed); the content then comes from the presets.
        pictures : more pictures by SHA-256, for custom images and copied patches from pictures that this
            stimulus does not hold; default none.
        """
        if isinstance(operations, (str, bytes, Mapping)) or not isinstance(operations, Iterable):
            raise InputError(f"operations must be a list, got {type(operations).__name__}.")
        known = dict(pictures or {})
        resolved: list[Operation] = []
        for index, item in enumerate(operations):
            try:
                resolved.append(item if isinstance(item, Operation) else self._resolve(item, known))
            except InputError as error:
                raise InputError(f"operation {index}: {error}") from None
        return replace(self, operations=tuple(resolved))

    def completed(self, progress: Progress | None = None, cancel: Cancel | None = None) -> Stimulus:
        """Return the stimulus with the pixels of every edit; itself if none is pending.

        Parameters
        ----------
        progress : function called by slow in-painters as progress(stage, done, total); None (default) for
            none.
        cancel : function polled by slow in-painters; True raises `Cancelled`. None (default) for none.

        Raises
        ------
        InputError : an in-painter that is not registered here.
        """
        if not self.pending:
            return self
        made = completing.completed(
            self.current_image, self.operations, slow=True, progress=progress, cancel=cancel
        )
        return replace(self, operations=made)

    @property
    def pending(self) -> tuple[int, ...]:
        """Indices of edits without pixels: their in-painter is slow or not registered here. Such a stimulus
        cannot be rendered before `completed()`.
        """
        return completing.pending(self.current_image, self.operations)

    # The resolved image, texts and truth ---------------------------------------------------------------

    @cached_property
    def current_image(self) -> Picture:
        """The image under the drawings: the original or its last replacement."""
        last = self._last(ReplaceImage)
        return last.picture if last else self.image

    @property
    def current_context(self) -> str:
        """The context sent to the model."""
        last = self._last(ReplaceContext)
        return last.text if last else self.context

    @property
    def current_question(self) -> str:
        """The question sent to the model."""
        last = self._last(ReplaceQuestion)
        return last.text if last else self.question

    @property
    def image_preset(self) -> str:
        """The preset of the current image: "natural", "annotated", "random" or "custom"."""
        last = self._last(ReplaceImage)
        return last.preset if last else "natural"

    @property
    def context_preset(self) -> str | None:
        """The preset of the current context; None for the original or a custom text."""
        last = self._last(ReplaceContext)
        return last.preset if last else None

    @property
    def truth(self) -> str | None:
        """The true answer for the current input; None with a random or custom image, a random context or a
        changed question.
        """
        kept = (
            self.image_preset in ("natural", "annotated")
            and self.context_preset != "random"
            and self.current_question == self.question
        )
        return self.true_answer if kept else None

    @cached_property
    def truth_holds(self) -> bool | None:
        """True if the true answer of the original picture surely survives the operations; None if it may not.

        Noise, text, thin lines and outlines keep it. Operations that cover or change pixels may change it,
        unless they lie apart from all that the question is about (`about`, known for built-in scenes).
        """
        same = self.current_image.size == self.image.size  # `about` is in pixels of the original image
        return truth_holds(self.drawings, self.current_image.size, self.about if same else None)

    @cached_property
    def drawings(self) -> tuple[Drawing, ...]:
        """Drawings painted on the current image, in order. Without hidden drawings and those outside the
        image; a copied patch of the image itself holds that image.
        """
        return shown(self._painted(), self.current_image)

    def _painted(self) -> list[Drawing]:
        return [item for item in self.operations if isinstance(item, Drawing) and not item.hidden]

    @property
    def pictures(self) -> dict[str, Picture]:
        """The original image and every picture of the operations, by SHA-256."""
        used = (picture for item in self.operations for picture in item.pictures)
        return {picture.sha256: picture for picture in (self.image, *used)}

    def render(self) -> Image.Image:
        """Render the exact RGB pixels that a model is shown, at the size of the current image; returns a
        copy.
        """
        return cache.render(self.current_image, self.drawings).copy()

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything the model sees: image, drawings, question and context. Drawings that are
        hidden or outside the image do not change it.
        """
        seen = [
            self.current_image.sha256,
            [drawing.to_dict() for drawing in self.drawings],
            self.current_question,
            self.current_context,
        ]
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()

    # JSON and code -------------------------------------------------------------------------------------

    def to_dict(self, *, embed: bool = True) -> dict[str, Any]:
        """Return a JSON-ready record; `embed` (default True) includes the pictures as PNG in base64."""
        return stimulus_to_dict(self, embed=embed)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], pictures: Mapping[str, Picture] | None = None) -> Stimulus:
        """Rebuild from the record of `to_dict`; pass `pictures` (by SHA-256) if they are not embedded."""
        return stimulus_from_dict(cls, record, pictures)

    def to_json(self) -> str:
        """Write self-contained JSON text; `schema.json` beside this file describes it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Stimulus:
        """Rebuild from the record of `to_json`."""
        return cls.from_dict(parse_json(text))

    def code(self, name: str = "s") -> str:
        """Write Python that rebuilds this from `obs.stimulus()`; custom images come from a dict
        `pictures`.
        """
        return stimulus_code(self, name)

    def _repr_png_(self) -> bytes:
        return Picture(cache.render(self.current_image, self.drawings))._repr_png_()

    # Helpers -------------------------------------------------------------------------------------------

    def _last(self, kind: type[_O]) -> _O | None:
        return next((item for item in reversed(self.operations) if isinstance(item, kind)), None)

    def _index(self, index: int) -> int:
        count = len(self.operations)
        if not is_whole(index) or not -count <= index < count:
            raise InputError(f"There is no operation {index!r}; this stimulus has {count}, counted from 0.")
        return index % count

    def _resolve(self, record: Any, known: Mapping[str, Picture]) -> Operation:
        """Build an operation from its JSON form; presets are resolved."""
        has_preset = isinstance(record, Mapping) and isinstance(record.get("preset"), str)
        kind = operation_kind(record, optional=("image", "text") if has_preset else ("image",))
        if kind is ReplaceImage:
            return self._resolve_image(record, known)
        if any(record.get(name) is not None for name in picture_fields(kind)):
            return self._resolve_pictures(kind, record, known)
        if kind is ReplaceContext and "text" not in record:
            preset = checks.one_of(record["preset"], 'context: "preset"', CONTEXT_PRESETS)
            seed = random_seed(preset, record.get("seed"), "context")
            return ReplaceContext(self.presets.context(preset, seed), preset, seed)
        return operation_from_dict(record)

    def _resolve_image(self, record: Mapping[str, Any], known: Mapping[str, Picture]) -> ReplaceImage:
        preset = checks.one_of(record["preset"], 'image: "preset"', IMAGE_PRESETS)
        seed = random_seed(preset, record.get("seed"), "image")
        digest = record.get("image")
        if digest is not None:
            checks.text(digest, 'image: "image"')
        found = {**self.pictures, **known}.get(digest or "")
        # The truth depends on the presets "natural" and "annotated", so check that the picture is that
        # preset's.
        if preset == "natural" or (preset == "annotated" and "annotated" in self.presets.image_names):
            found = None
        if found is None and preset == "custom":
            raise InputError(
                'image: a custom image must be named by the SHA-256 of a known picture under "image"; '
                + ("none is given." if digest is None else f"{digest[:12]!r} is not known here.")
            )
        if found is None:
            found = self.image if preset == "natural" else self.presets.image(preset, seed)
        if digest is not None and found.sha256 != digest:
            raise InputError(
                f'image: the preset {preset!r} is not the picture {digest[:12]!r} that "image" names.'
            )
        return ReplaceImage(preset, found, seed)

    def _resolve_pictures(
        self, kind: type[Operation], record: Mapping[str, Any], known: Mapping[str, Picture]
    ) -> Operation:
        held = picture_fields(kind)
        values = {name: value for name, value in record.items() if name != "op" and name not in held}
        for name, of_class in held.items():
            digest, picture = record.get(name), None
            if digest is not None:
                checks.text(digest, f'{kind.op}: "{name}"')
                picture = {**self.pictures, **known}.get(digest) or next(
                    (item for item in self.presets.images.values() if item.sha256 == digest), None
                )
                if picture is None:
                    raise InputError(
                        f'{kind.op}: "{name}" must be null (the current image) or the SHA-256 of a known '
                        f"picture; {digest[:12]!r} is not known here."
                    )
            values[of_class] = picture
        return kind(**values)


def _check(operation: Any) -> None:
    if type(operation) not in OPERATIONS.values():
        raise InputError(
            f"An operation must be a Box, Arrow, ... of isi_widget.stimulus, got {type(operation).__name__}; "
            "JSON forms go through with_operations()."
        )
