"""What the PDF report says in words: interventions, and definitions that neither charts nor page need.

Labels and definitions of the entropies and of attention are in `style`. Not for drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.trial.terms import Measure
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus

_TIMES = "\N{MULTIPLICATION SIGN}"
_REPLACES = ("image", "context", "question")


# ------------------------------------------------------------------------------------- interventions
def interventions(stimulus: Stimulus) -> list[str]:
    """One line for each operation, oldest first; what is no longer in force says so."""
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
    """An operation, given as its JSON form, as a phrase with every parameter; pixels of the image."""
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
    """Few corners one by one, many by the box around them."""
    if len(points) <= 6:
        return "corners " + " ".join(map(_point, points))
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points) for axis in (0, 1))
    return f"{len(points)} corners within {_extent(left, top, right - left, bottom - top)}"


def _region(region: Any) -> str:
    if region is None:
        return "whole image"
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


def _image(record: Mapping[str, Any]) -> Iterator[str]:
    own = record["preset"] == "custom"
    yield f"image of one's own ({str(record['image'])[:8]})" if own else f"image: preset {record['preset']}"
    yield _seed(record)


def _context(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"context: preset {record['preset']}" if record["preset"] else "context of one's own"
    yield _seed(record)


def _question(record: Mapping[str, Any]) -> Iterator[str]:
    yield "another question"


def _seed(record: Mapping[str, Any]) -> str:
    return "" if record.get("seed") is None else f"seed {record['seed']}"


_WRITERS = {
    "box": _shape, "ellipse": _shape, "polygon": _polygon, "line": _stroke, "arrow": _stroke, "text": _text,
    "noise": _noise, "blur": _blur, "pixelate": _pixelate, "erase": _erase, "patch": _patch,
    "image": _image, "context": _context, "question": _question,
}  # fmt: skip

# --------------------------------------------------------------------------------------- definitions
_GRAPH_WORDS = {
    "kernel_language_entropy_heat": (
        "Kernel language entropy, heat kernel",
        "Von Neumann entropy of the answers' graph under a heat kernel (t = 0.3), at most ln(number of "
        "samples). Not 0 when all answers are equal: compare at an equal number of samples only.",
    ),
    "kernel_language_entropy_matern": (
        "Kernel language entropy, Matérn kernel",
        "The same under a Matérn kernel (nu = kappa = 1), which lives in a narrow range below "
        "ln(number of samples).",
    ),
    "laplacian_eigenvalues_entail": (
        "Sum of Laplacian eigenvalues, entailment",
        "A soft number of meanings, from the spectrum of the answers' graph, whose edges are how far two "
        "answers entail each other: 1 if all are alike, the number of samples if none are.",
    ),
    "laplacian_eigenvalues_contra": (
        "Sum of Laplacian eigenvalues, contradiction",
        "The same with edges of how far two answers do not contradict each other: answers that say nothing "
        "about each other count as alike.",
    ),
    "degree_matrix_entail": (
        "Degree matrix, entailment",
        "One minus the mean likeness of two answers by entailment: 0 if all are alike, near 1 if none are.",
    ),
    "degree_matrix_contra": (
        "Degree matrix, contradiction",
        "The same with likeness by not contradicting each other.",
    ),
    "eccentricity_entail": (
        "Eccentricity, entailment",
        "How far the answers lie from their centre in the leading eigenvectors of their graph: 0 if all are "
        "alike; it jumps where an eigenvalue crosses 0.9.",
    ),
    "eccentricity_contra": (
        "Eccentricity, contradiction",
        "The same with likeness by not contradicting each other.",
    ),
    "semantic_sets": (
        "Semantic sets",
        "Groups of answers joined by entailing each other more than they contradict each other, in both "
        "directions; a chain of neighbours is one group, though its ends may differ.",
    ),
    "lexical_similarity": (
        "Lexical similarity (ROUGE-L)",
        "How alike two answers are as strings of words, mean over all pairs: 1 if all have the same words in "
        "the same order, 0 if none has a word in common. It falls as they spread, and knows no meaning.",
    ),
}
#: The measures without clusters (Lin et al., TMLR 2024; Nikitin et al., NeurIPS 2024; ROUGE-L: Lin, 2004).
GRAPH = tuple(
    Measure(name, *_GRAPH_WORDS[name][:1], unit, _GRAPH_WORDS[name][1])
    for name, unit in WITHOUT_CLUSTERS.items()
)
GRAPH_SCOPE = (
    "From the entailment between the same answers, the last from their words alone; without likelihoods and "
    "clusters; no intervals."
)

ANSWER_SCOPE = (
    "Shade and number: the model's probability of each token of the shown answer, before temperature, top-k "
    "and top-p. Its logarithms add up to the answer's log-likelihood."
)
OTHERS = "In the line below: the likeliest other token at that place (end: the answer would have ended)."
YES_NO = (
    "Probability that the first answer token is a form of this word; it is not a share of sampled answers."
)
LAYERS = "Mean share of each segment over answer tokens and heads, layer by layer, first to last."
RELATIVE = "of the inputs: the share in what image, context and question receive together."

SETTINGS = {
    "measures": "what was measured",
    "samples": "sampled answers for the uncertainty",
    "temperature": "of the sampling",
    "top_k": "of the sampling; 0: off",
    "top_p": "of the sampling; 1: off",
    "seed": "of every random step",
    "max_new_tokens": "longest answer",
    "strict_entailment": "clusters: True only if each entails the other, False if they agree",
    "do_sample": "the shown answer is sampled; False: greedy or beams",
    "num_beams": "beams of the shown answer; 1: none",
    "likelihood": "log-probabilities that weigh the samples: the model's own (raw) or as sampled",
    "prepend_question": "the entailment model reads the question before the answer",
    "method": "answers for the uncertainty: sampled, or all probable ones enumerated",
    "mass": "probability to enumerate, where answers are",
    "budget": "beginnings of answers to look at, where answers are enumerated",
}
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
