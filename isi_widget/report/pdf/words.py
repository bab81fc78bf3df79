"""Texts of the PDF report: interventions in words, and names of the properties of a model.

Definitions of measures come with what is drawn. Not for drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.stimulus.mask import Mask

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus

_TIMES = "\N{MULTIPLICATION SIGN}"
_REPLACES = ("image", "context", "question")


# ------------------------------------------------------------------------------------- interventions
def interventions(stimulus: Stimulus) -> list[str]:
    """Return one line for each operation, oldest first; replaced operations are marked."""
    records = [operation.to_dict() for operation in stimulus.operations]
    last = {record["op"]: index for index, record in enumerate(records) if record["op"] in _REPLACES}
    lines = []
    for index, record in enumerate(records):
        line = in_words(record)
        if last.get(record["op"], index) != index:
            line += " (replaced by a later one)"
        if record.get("hidden"):
            line += " (hidden: the model was not shown it)"
        lines.append(line)
    return lines


def in_words(record: Mapping[str, Any]) -> str:
    """Return an operation, given as its JSON form, as a phrase with every parameter; pixels of the image."""
    op = str(record.get("op", "operation"))
    writer = _WRITERS.get(op)
    if writer is None:  # a kind that is newer than this module
        rest = {key: value for key, value in record.items() if key not in ("op", "hidden", "locked")}
        return ", ".join([op, *(f"{key} {_value(value)}" for key, value in rest.items())])
    return ", ".join(part for part in writer(record) if part)


def _number(value: Any) -> str:
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_value, value)) + ")"
    return _number(value)


def _point(point: Sequence[Any]) -> str:
    return f"({_number(point[0])}, {_number(point[1])})"


def _extent(x: Any, y: Any, width: Any, height: Any) -> str:
    return f"{_number(width)} {_TIMES} {_number(height)} px at {_point((x, y))}"


def _outline(points: Sequence[Sequence[Any]]) -> str:
    """Return a few corners one by one, or many as the box around them."""
    if len(points) <= 6:
        return "corners " + " ".join(map(_point, points))
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points) for axis in (0, 1))
    return f"{len(points)} corners within {_extent(left, top, right - left, bottom - top)}"


def _region(region: Any) -> str:
    if region is None:
        return "whole image"
    if isinstance(region, Mapping):
        mask = Mask.from_dict(region)
        soft = f", soft edge of {_number(mask.feather)} px" if mask.feather else ""
        return f"in a mask of {mask.area} px within {_extent(*mask.box)}{soft}"
    if region and isinstance(region[0], list | tuple):
        return f"in a polygon, {_outline(region)}"
    return f"in {_extent(*region)}"


def _painted(record: Mapping[str, Any]) -> str:
    color = record.get("color", "")
    if "fill" not in record:
        return str(color)
    return f"filled {color}" if record["fill"] else f"outline {color}, {_number(record['line_width'])} px"


def _turned(record: Mapping[str, Any]) -> str:
    return f"turned by {_number(record['angle'])}\N{DEGREE SIGN}" if record.get("angle") else ""


def _shape(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['op']} of {_extent(*(record[key] for key in ('x', 'y', 'width', 'height')))}"
    yield _painted(record)
    yield _turned(record)


def _polygon(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"polygon, {_outline(record['points'])}"
    yield _painted(record)


def _stroke(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['op']} from {_point(record['start'])} to {_point(record['end'])}"
    yield f"{record['color']}, {_number(record['width'])} px"
    if record.get("label"):
        yield f"label “{record['label']}”, {_number(record.get('size', 16))} px"


def _text(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"text “{record['text']}” at {_point((record['x'], record['y']))}"
    yield f"{_number(record['size'])} px, {record['color']}"
    yield _turned(record)


def _noise(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Gaussian noise, sigma {_number(record['sigma'])} of the full range, seed {record['seed']}"
    yield _region(record["region"])


def _blur(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Gaussian blur, standard deviation {_number(record['radius'])} px"
    yield _region(record["region"])


def _pixelate(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"pixelated in blocks of {_number(record['size'])} px"
    yield _region(record["region"])


def _downscale(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"reduced to {_number(record['size'])} px and enlarged again"
    yield _region(record["region"])


def _jpeg(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"JPEG artefacts of quality {record['quality']}"
    yield _region(record["region"])


def _erase(record: Mapping[str, Any]) -> Iterator[str]:
    fill = record["fill"]
    how = {"mean": "the image's mean colour", "inpaint": "in-painting from around it"}.get(fill, fill)
    yield f"erased and filled with {how}"
    yield _region(record["region"])


def _patch(record: Mapping[str, Any]) -> Iterator[str]:
    image = record.get("image")
    whence = "this image" if image is None else f"image {str(image)[:8]}"
    yield f"patch of {whence}, {_extent(*record['source'])}"
    yield f"pasted as {_extent(*(record[key] for key in ('x', 'y', 'width', 'height')))}"


def _remove(record: Mapping[str, Any]) -> Iterator[str]:
    yield "removed"
    yield _region(record["region"])
    yield _inpainted(record)


def _move(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"moved to {_point(record['to'])}"
    yield _region(record["region"])
    yield _inpainted(record)


def _resize(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"resized by a factor of {_number(record['factor'])}"
    yield _region(record["region"])
    yield _inpainted(record)


def _swap(record: Mapping[str, Any]) -> Iterator[str]:
    yield "places exchanged"
    yield f"{_region(record['region'])} and {_region(record['other'])}"
    yield _inpainted(record)


def _mirror(record: Mapping[str, Any]) -> Iterator[str]:
    ways = {"vertical": "top and bottom"}
    yield f"mirrored, {ways.get(record['direction'], 'left and right')} exchanged"
    yield _region(record["region"])
    if record.get("pixels"):
        yield _inpainted(record)


def _inpainted(record: Mapping[str, Any]) -> str:
    prompt = f", prompt “{record['prompt']}”, seed {record.get('seed', 0)}" if record.get("prompt") else ""
    return f"in-painted by {record['inpainter']}{prompt}"


def _insert(record: Mapping[str, Any]) -> Iterator[str]:
    place = record["place"]
    yield f"inserted at {_point(place)}" if len(place) == 2 else f"inserted as {_extent(*place)}"
    yield _part(record)
    if record["feather"]:
        yield f"soft edge of {_number(record['feather'])} px"


def _recolor(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"recoloured {record['color']}"
    yield _region(record["region"])


def _retexture(record: Mapping[str, Any]) -> Iterator[str]:
    yield "given a different texture"
    yield _region(record["region"])
    yield _part(record)


def _part(record: Mapping[str, Any]) -> str:
    """Return where inserted pixels or a texture come from."""
    image, source = record.get("image"), record.get("source")
    whence = "this image" if image is None else f"image {str(image)[:8]}"
    return f"from {whence}" + ("" if source is None else f", {_region(source)}")


def _image(record: Mapping[str, Any]) -> Iterator[str]:
    own = record["preset"] == "custom"
    yield f"custom image ({str(record['image'])[:8]})" if own else f"image: preset {record['preset']}"
    yield _seed(record)


def _context(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"context: preset {record['preset']}" if record["preset"] else "custom context"
    yield _seed(record)


def _question(record: Mapping[str, Any]) -> Iterator[str]:
    yield "another question"


def _seed(record: Mapping[str, Any]) -> str:
    return "" if record.get("seed") is None else f"seed {record['seed']}"


_WRITERS = {
    "box": _shape, "ellipse": _shape, "polygon": _polygon, "line": _stroke, "arrow": _stroke, "text": _text,
    "noise": _noise, "blur": _blur, "pixelate": _pixelate, "downscale": _downscale, "jpeg": _jpeg,
    "erase": _erase, "patch": _patch,
    "remove": _remove, "move": _move, "resize": _resize, "swap": _swap, "mirror": _mirror,
    "insert": _insert, "recolor": _recolor, "retexture": _retexture,
    "image": _image, "context": _context, "question": _question,
}  # fmt: skip

# --------------------------------------------------------------------------------------- names
LAYERS = "Mean share of each segment over answer tokens and heads, layer by layer, first to last."
RELATIVE = "of the inputs: the share in what image, context and question receive together."

MODEL = {
    "name": "model",
    "family": "family",
    "parameters": "parameters",
    "device": "device",
    "dtype": "data type",
    "quantization": "quantisation",
    "not_quantized": "not quantised",
    "compute_dtype": "computes in",
    "revision": "revision",
    "adapter": "adapter",
    "processor_args": "processor",
    "system": "system prompt",
    "history": "earlier turns",
    "device_map": "devices of its parts",
    "loaded_with": "loaded with",
    "note": "what it is for",
}
