"""Writes the model card from measured numbers; no number is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isi_widget.datasets.grammar import COLOURS, KINDS, SHAPES, THING_KINDS
from isi_widget.datasets.nouns import THINGS
from isi_widget.training.vlm.evaluate import SAMPLES, TEMPERATURE

_HEAD = """# isi_widget's embedded VLM

A LLaVA (`LlavaForConditionalGeneration`, {parameters:.2f} million parameters, {megabytes:.1f} MB in fp16)
trained from scratch on drawn pictures of two worlds, shapes and everyday things, so that the probe works
offline, at once and on any computer.
**It knows these two worlds and nothing else**: a photograph or a question about something else gets an
answer too, and a bad one.

    from transformers import AutoModelForImageTextToText, AutoProcessor
    # text: "<image>" + ("\\n" + context if context else "") + "\\n" + question + "\\nAnswer:"

## Data

- `isi_widget.datasets.scenes`: up to five objects of {shapes} shapes ({shape_names}), {colours} colours
  ({colour_names}) and two sizes.
- `isi_widget.datasets.things`: up to seven of {things} everyday things ({thing_names}), artwork of Noto Color
  Emoji (SIL Open Font Licence), some of them in these colours.

Both stand on any ground: plain, gradients, textures, places with a floor; tiny to huge, turned, partly
hidden, pale. Kinds of questions: {kinds}. Yes and no are equally frequent. The image processor reduces
any picture to 192 x 192 by the nearest pixel (not averaged, so that noise keeps its strength), 144 patches of
16 x 16. The training, validation and test splits come from different seeds; the validation splits served for
tuning.

## Training

`python -m isi_widget.training vlm`, on one CPU core: stages from seeing to answering, with deep supervision
that is dropped at export. The vision tower learns what each patch shows; the decoder learns all questions on
the output of a perfect vision tower with honest doubts; the projector joins the two; then everything learns
together, at last with contexts, noise, boxes, labels and blank pictures. Step counts, rates and data are in
`isi_widget/training/vlm/stages.py`. In the last stages some answers follow a false context: the model can be
misled on purpose, as a subject for the probe.

The shipped weights come from the run in which lengths and mixtures of the stages were settled, by the
validation of the stage before: `see` began with 400 steps of another optimiser, and short forms of questions
("Number of stars?") came with the last stage. The command therefore gives a model like this one, not this one
bit for bit.
"""


def write(found: Mapping[str, Any], folder: Path) -> str:
    """Return the whole card, Markdown."""
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    parts = [
        _HEAD.format(
            parameters=size / 2e6,
            megabytes=sum(file.stat().st_size for file in folder.iterdir() if file.name != "README.md") / 1e6,
            shapes=len(SHAPES),
            shape_names=", ".join(SHAPES),
            colours=len(COLOURS),
            colour_names=", ".join(COLOURS),
            things=len(THINGS),
            thing_names=", ".join(THINGS),
            kinds=", ".join(dict.fromkeys((*KINDS, *THING_KINDS))),
        ),
        f"Vision tower {_layers(config['vision_config'])}, decoder {_layers(config['text_config'])}.\n",
        "## Measured behaviour\n\nGreedy answers; per cent right with the 95 % interval (Wilson). Open "
        "questions count as right if the right value is named.\n",
        f"### Shapes\n\n{_split(found)} Half of the questions are paraphrased.\n",
        _accuracy(found),
        _where(found),
        _entropies(found),
        *_things(found),
        _robustness(found),
        _doubts(found),
        _LIMITS,
    ]
    return "\n".join(part for part in parts if part)


_CONDITION_NOTES = """
`blank`: a white picture. `chance`: the best constant answer to each form of question. `boxed`: a black box
over every thing that the question is about (counting: over one of the counted things; "is there" answered by
no: over one similar thing). `annotated`: labels with arrows at the things that the question is about.
Contexts are the observation's presets; where none is named the context is empty.
"""

_LIMITS = """## Limits

- These two worlds only; English sentences of `isi_widget.datasets.grammar` only; counts up to five.
- A false context misleads it. In training, wordings that speak of the picture ("The picture shows ...") were
  obeyed mostly, other statements and nudges less.
- Trained once: no spread over seeds is known.
- Attention, entropy and the effect of interventions are those of a very small model: they show how a probe is
  read, and are no evidence about large models.
"""


def _split(found: Mapping[str, Any]) -> str:
    return f"The {found['split']} split, {found['questions']:,} questions."


def _things(found: Mapping[str, Any]) -> list[str]:
    if "things" not in found:
        return []
    cells = found["things"]
    text = (
        "A third each is easy, middle and hard to see; a quarter asks in wordings that no training has used."
    )
    return [
        f"### Things\n\n{_split(cells)} {text}\n",
        _accuracy(cells),
        _where(cells),
        _entropies(cells),
    ]


def _robustness(found: Mapping[str, Any]) -> str:
    if "robustness" not in found:
        return ""
    worlds = found["robustness"]
    rows = [
        [name, *(_cell(cells[name]) for cells in worlds.values())] for name in next(iter(worlds.values()))
    ]
    number = next(iter(next(iter(worlds.values())).values()))["n"]
    return (
        f"### Other pictures and wordings\n\n{number} questions of all kinds for each row; what each means: "
        "`isi_widget/training/vlm/robust.py`.\n\n" + _table(["", *worlds], rows)
    )


def _doubts(found: Mapping[str, Any]) -> str:
    parts = []
    for split, cells in found.get("doubts", {}).items():
        rows = [
            [name, str(cell["n"]), _cell(cell), f"{cell['entropy']:.3f}"]
            for group in ("grades", "conditions")
            for name, cell in cells[group].items()
        ]
        area = cells["auroc"]
        separates = (
            ""
            if area is None
            else f" Area under the ROC curve of entropy for wrong answers: "
            f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]."
        )
        parts.append(
            f"### Things by difficulty, {split} split\n\n{cells['doubtful']} of {cells['questions']} "
            f"questions have a semantic entropy above 0.05 nats.{separates}\n\n"
            + _table(["pictures", "n", "right", "mean entropy"], rows)
        )
    return "\n".join(parts)


def _layers(config: Mapping[str, Any]) -> str:
    layers, width, heads = (
        config[f"{name}"] for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")
    )
    return f"{layers} layers of width {width} with {heads} heads"


def _accuracy(found: Mapping[str, Any]) -> str:
    kinds = tuple(found["chance"])
    rows = [["chance", *(_percent(found["chance"][kind]) for kind in kinds), ""]]
    for name, cells in found["accuracy"].items():
        rows.append([name, *(_cell(cells[kind]) for kind in (*kinds, "all"))])
    count = (
        found["accuracy"]["empty"] if "empty" in found["accuracy"] else next(iter(found["accuracy"].values()))
    )
    head = [
        "condition",
        *(f"{kind} (n = {count[kind]['n']})" for kind in kinds),
        f"all ({count['all']['n']})",
    ]
    return _table(head, rows) + _CONDITION_NOTES


def _where(found: Mapping[str, Any]) -> str:
    lines = []
    for name in ("annotated", "complementary"):
        cells = found.get(f"{name} where empty fails")
        if cells and cells["all"]["n"]:
            whole = cells["all"]
            lines.append(
                f"Of the {whole['n']} questions that the plain picture gets wrong, "
                f"{whole['right']} are right with the condition `{name}` ({_cell(whole)})."
            )
    return "\n".join(lines) + "\n" if lines else ""


def _entropies(found: Mapping[str, Any]) -> str:
    if not found["entropy"]:
        return ""
    kinds = tuple(found["chance"])
    rows = [
        [name, *(_mean(cells.get(kind)) for kind in (*kinds, "all"))]
        for name, cells in found["entropy"].items()
    ]
    number = next(iter(found["entropy"].values()))["all"]["n"]
    text = (
        f"Mean semantic entropy in nats with the 95 % interval of the mean: {SAMPLES} samples at temperature "
        f"{TEMPERATURE} for each of the first {number} questions, answers clustered by the meaning "
        "that the grammar gives them.\n\n"
    )
    return text + _table(["condition", *kinds, "all"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _cell(cell: Mapping[str, float]) -> str:
    return f"{100 * cell['share']:.1f} [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"


def _mean(cell: Mapping[str, float] | None) -> str:
    return "" if cell is None else f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"
