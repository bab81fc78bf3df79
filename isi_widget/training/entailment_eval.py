"""Measures of the embedded entailment model and its model card: `python -m isi_widget.training
evaluate-entailment`.

The numbers of the card are those of the file `evaluation.json` beside it, which this command writes. Every
pair comes from a question of its own, so that Wilson's interval for independent trials holds. Not for
training, nor for choosing between models: use the validation pairs of `entailment` for that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isi_widget import embedded
from isi_widget.datasets import grammar
from isi_widget.training import entailment_data as data
from isi_widget.training.entailment_natural import compare
from isi_widget.training.entailment_objects import Draw, draw_ask, draw_truths
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entailment import EntailmentModel, load_entailment
from isi_widget.uncertainty.shares import wilson

SETS: dict[str, data.Forms] = {
    "new draws": "tidy",
    "with unknown words": "training",
    "held-out templates": "held out",
    "new wordings": "new",
}
EXAMPLES = (
    (
        "Is there a red star?",
        ("yes", "Yes, there is a red star.", "YES", "There is a red star!", "I see a red star"),
        ("no", "No.", "No, there is no red star.", "I see no red star", "NO!"),
    ),
    (
        "How many circles are there?",
        ("2", "two", "Two.", "There are two circles.", "I see 2 circles"),
        ("3", "There are three circles."),
    ),
    (
        "What colour is the star?",
        ("red", "Red.", "The star is red.", "It is red"),
        ("Blue", "It is blue."),
    ),
    (
        "Is the star left of the ring?",
        ("Yes", "The star is left of the ring.", "The ring is right of the star."),
        ("No", "The ring is left of the star.", "It is right of the ring."),
    ),
    (
        "What animal is in the picture?",
        ("dog", "Dog.", "A dog.", "It's a dog", "I see a dog."),
        ("Cat", "A cat.", "It is a cat."),
    ),
    (
        "Is there a bike?",
        ("yes", "Yes, there is a bicycle.", "YES", "I see a bike"),
        ("no", "There is no bicycle.", "No, there are no bikes."),
    ),
    (
        "What do you see left of the chair?",
        ("Lorry", "A truck.", "It is a truck.", "the object left of the chair is a truck"),
        ("BUS", "a bus", "I see a bus."),
    ),
)


THING_KINDS = tuple(kind for kind in data.QUESTION_KINDS if kind not in grammar.KINDS)
BY_HAND = Path(__file__).parent / "entailment_by_hand.txt"


@dataclass(frozen=True)
class Written:
    """Two answers to a question, written by hand, and what the first says about the second (0, 1, 2)."""

    half: str
    kind: str
    question: str
    premise: str
    hypothesis: str
    label: int


def by_hand() -> list[Written]:
    """Return all pairs of `BY_HAND`, in both directions; the file explains its lines."""
    found: list[Written] = []
    half = kind = question = ""
    for line in BY_HAND.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            head, question = line[2:].split(" | ")
            half, kind = head.split()
        elif line and not line.startswith("#"):
            one, two, relations = line.split(" | ")
            for first, second, relation in ((one, two, relations[0]), (two, one, relations[1])):
                found.append(Written(half, kind, question, first, second, "CNE".index(relation)))
    return found


def score_by_hand(model: EntailmentModel) -> dict[str, dict[str, list[int]]]:
    """Return {half: {kind: [right, all]}} over the pairs written by hand."""
    scores: dict[str, dict[str, list[int]]] = {}
    pairs = by_hand()
    texts = [(f"{p.question} {p.premise}", f"{p.question} {p.hypothesis}") for p in pairs]
    found = model.pairs(texts)
    for pair, text in zip(pairs, texts, strict=True):
        score = scores.setdefault(pair.half, {}).setdefault(pair.kind, [0, 0])
        score[0] += int(np.argmax(found[text])) == pair.label
        score[1] += 1
    return scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the evaluation command."""
    parser.add_argument("--model", type=Path, default=embedded.ENTAILMENT, help="folder of the model")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of each kind in each set")
    parser.add_argument("--sets", type=int, default=50, help="sets of ten answers of each kind to cluster")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--training",
        type=Path,
        nargs="*",
        default=None,
        help="logs of the training (log.jsonl) in their order, for the card; where the first went on from "
        "the model measured before, that one's training stays in the card",
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluate a model, write evaluation.json and README.md beside it, print the card."""
    import torch

    torch.set_num_threads(arguments.threads)
    measured = evaluate(arguments.model, arguments.pairs, arguments.sets)
    target = arguments.model / "evaluation.json"
    before = json.loads(target.read_text(encoding="utf-8")).get("training", {}) if target.exists() else {}
    measured["training"] = before  # unchanged by a new evaluation
    if arguments.training:
        stages = [training_facts(log) for log in arguments.training]
        first = [] if stages[0]["begun"] == 0 else before.get("stages", [])
        measured["training"] = {**before, "stages": [*first, *stages]}
    target.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    text = card(measured)
    (arguments.model / "README.md").write_text(text, encoding="utf-8")
    print(text)


def evaluate(folder: Path, pairs: int, sets: int) -> dict[str, Any]:
    """Return all measures of a model, as a JSON-ready dict."""
    model = load_entailment(folder)  # with the imports of its libraries
    started = time.process_time()
    load_entailment(folder)
    loading, clustering = time.process_time() - started, milliseconds(model)
    model.batch_size = 128  # many pairs at once: faster, same numbers
    accuracy = {
        name: {kind: score_pairs(model, kind, forms, pairs) for kind in data.PAIR_KINDS}
        for name, forms in SETS.items()
    }
    return {
        "pairs_per_kind": pairs,
        "accuracy": accuracy,
        "by_hand": score_by_hand(model),
        "clustering": {
            f"{world}, {name}": score_clusters(model, forms, sets, kinds)
            for world, kinds in (("shapes", grammar.KINDS), ("things", THING_KINDS))
            for name, forms in SETS.items()
        },
        "examples": {
            question: list(relations_hold(model, question, *groups)) for question, *groups in EXAMPLES
        },
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "vocabulary": len(model.tokenizer),
        "bytes": sum(f.stat().st_size for f in folder.iterdir() if f.suffix != ".md"),
        "seconds_to_load": round(loading, 3),
        "milliseconds_for_10_answers": clustering,
    }


def score_pairs(model: EntailmentModel, kind: str, forms: data.Forms, number: int) -> list[int]:
    """Return [right, all] over pairs of one kind, each from a separate question."""
    draw, right = Draw(f"evaluation:{kind}:{forms}"), 0
    table: list[data.Pair] = []
    while len(table) < number:
        table += data.draw_pairs(draw, kind, forms)[:1]
    texts = [
        (f"{p.question} {p.premise.text}".strip(), f"{p.question} {p.hypothesis.text}".strip()) for p in table
    ]
    found = model.pairs(texts)
    for pair, text in zip(table, texts, strict=True):
        right += int(np.argmax(found[text])) == pair.label
    return [right, number]


def draw_set(draw: Draw, kind: str, forms: data.Forms, size: int = 10) -> tuple[str, list[data.Statement]]:
    """Draw a question of one kind and answers to it like a model's samples: one meaning is more likely than
    the others.
    """
    ask = draw_ask(draw, data.enter(draw, kind))
    truths = draw_truths(draw, ask)
    weights = [draw.random() ** 2 + 0.05 for _ in truths]
    statements = [data.draw_answer(draw, ask, t, forms) for t in draw.choices(truths, weights, k=size)]
    return data.draw_question(draw, ask, forms), [data.vary(draw, s, forms) for s in statements]


def score_clusters(
    model: EntailmentModel, forms: data.Forms, number: int, kinds: Sequence[str] = data.QUESTION_KINDS
) -> dict[str, list[int]]:
    """Return {rule: [right, all]} over sets of ten answers of every kind of question: whether the clusters
    agree with logic.
    """
    right = {"strict": 0, "non-strict": 0}
    for kind in kinds:
        draw = Draw(f"clusters:{kind}:{forms}")
        for _ in range(number):
            question, statements = draw_set(draw, kind, forms)
            found = model.relations(question, [s.text for s in statements])
            logic = [[compare(a.claims, b.claims) for b in statements] for a in statements]
            for rule in right:
                right[rule] += _clusters(found.tolist(), rule) == _clusters(logic, rule)
    return {rule: [count, number * len(kinds)] for rule, count in right.items()}


def _clusters(relations: list[list[int]], rule: str) -> list[int]:
    return cluster(lambda i, j: relations[i][j], len(relations), rule == "strict")


def relations_hold(
    model: EntailmentModel, question: str, one: tuple[str, ...], other: tuple[str, ...]
) -> tuple[int, int]:
    """Return (right, all): within each group entailment both ways, between the groups contradiction both
    ways.
    """
    relations = model.relations(question, one + other)
    group = [0] * len(one) + [1] * len(other)
    wanted = np.where(np.equal.outer(group, group), 2, 0)
    return int((relations == wanted).sum() - len(group)), len(group) * (len(group) - 1)


def milliseconds(model: EntailmentModel, repeats: int = 15) -> float:
    """Return the median processor time of the relations between ten different answers, both ways (90 pairs),
    nothing cached.
    """
    found = []
    for repeat in range(repeats):
        question, statements = draw_set(Draw(f"time:{repeat}"), "relation", "training")
        answers = [f"{s.text} {i}" for i, s in enumerate(statements)]
        started = time.process_time()
        model.probabilities(question, answers)
        found.append(time.process_time() - started)
    return round(1000 * sorted(found)[repeats // 2], 1)


def training_facts(log: Path) -> dict[str, Any]:
    """Return the facts about the training for the model card, from its log."""
    begun, *rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    minutes, last = 0.0, 0.0
    for row in rows:  # the clock starts again when a run is continued
        minutes += (row["seconds"] - (last if row["seconds"] >= last else 0.0)) / 60
        last = row["seconds"]
    done = rows[-1]["step"] - begun["begun"]
    return {"begun": begun["begun"], "steps": done, "minutes": round(minutes, 1)}


def card(measured: dict[str, Any]) -> str:
    """Return the model card as Markdown; a function of the measures alone."""
    training = measured.get("training") or {}
    kinds = list(next(iter(measured["accuracy"].values())))
    header = (
        "| pairs | " + " | ".join(measured["accuracy"]) + " |\n|---|" + "---|" * len(measured["accuracy"])
    )
    rows = [
        f"| {kind} | " + " | ".join(_share(found[kind]) for found in measured["accuracy"].values()) + " |"
        for kind in kinds
    ]
    clusters = [
        f"| {name} | {_share(found['strict'])} | {_share(found['non-strict'])} |"
        for name, found in measured["clustering"].items()
    ]
    examples = [
        f"| {question} | {right} of {number} |" for question, (right, number) in measured["examples"].items()
    ]
    halves = measured["by_hand"]
    written = ["| pairs | " + " | ".join(halves) + " |\n|---|" + "---|" * len(halves)]
    for kind in dict.fromkeys(kind for found in halves.values() for kind in found):
        cells = [_share(found[kind]) if kind in found else "" for found in halves.values()]
        written.append(f"| {kind} | " + " | ".join(cells) + " |")
    sums = [[sum(column) for column in zip(*found.values(), strict=True)] for found in halves.values()]
    written.append("| all | " + " | ".join(map(_share, sums)) + " |")
    stages = [f"{stage['steps']} steps in {stage['minutes']} minutes" for stage in training.get("stages", [])]
    blends = [" : ".join(f"{weight:g}" for weight in weights) for weights in training.get("blends", [])]
    return _CARD.format(
        blend=blends[0] if blends else "?",
        later_blend=_LATER_BLEND.format(blends[1]) if len(blends) > 1 else "",
        parameters=f"{measured['parameters'] / 1e6:.2f}",
        megabytes=f"{measured['bytes'] / 1e6:.2f}",
        vocabulary=measured["vocabulary"],
        stages=", then ".join(stages) or "?",
        written="\n".join(written),
        lines=sum(number for _, number in sums) // 2,
        number=measured["pairs_per_kind"],
        sets=next(iter(measured["clustering"].values()))["strict"][1],
        accuracy="\n".join([header, *rows]),
        clusters="\n".join(clusters),
        examples="\n".join(examples),
        loading=measured["seconds_to_load"],
        milliseconds=measured["milliseconds_for_10_answers"],
    )


def _share(found: list[int]) -> str:
    low, high = wilson(*found)
    return f"{found[0] / found[1]:.4f} [{low:.3f}, {high:.3f}]"


_LATER_BLEND = """The model is the blend of the last two stages, {}.
"""
_CARD = """---
license: bsd-3-clause
library_name: transformers
pipeline_tag: text-classification
---

# The embedded entailment model of isi_widget

Says of two answers to one question whether the first contradicts the second (0), says nothing of it (1) or
entails it (2). It knows the answers to questions about the rendered pictures of `isi_widget.datasets`, of
shapes and of everyday things, and nothing else: for answers in natural language use
`load_entailment("microsoft/deberta-v2-xlarge-mnli")`.

A `DebertaV2ForSequenceClassification` (128 wide, 3 layers, 4 heads; {parameters} M parameters, {megabytes} MB
on disk in fp16 with its tokenizer), trained from nothing. Input: "question answer" as premise and again as
hypothesis. The tokenizer knows {vocabulary} lower-case words; punctuation is dropped, "2" is read as "two",
plurals and synonyms of things as the name of the thing ("bikes" as "bicycle"), any other word is [UNK].

## Training

{stages},
on one thread of two cores shared with other work; 128, later 64, pairs a step, drawn from the grammar
(`isi_widget/training/entailment_data.py`) and from answers as people word them
(`entailment_natural.py`); labels by logic from the meanings of both answers. While it learns, linear heads on
its [CLS] output name the values and objects of both answers and compare them; they are dropped at export.
Again: `python -m isi_widget.training entailment`, then `python -m isi_widget.training evaluate-entailment`.

**Shapes.** The first stage (seed 0) is a single run whose recipe was corrected at checkpoints while it ran:
mixture of kinds, further sentences, rates, targets of the heads for relations, groups without a question.
After step 6800 of 8000 the errors on the held-out templates and on the new wordings below were read, and
training sentences with the value first ("red is the star") were added. The next three stages go on from its
weights (`--start`, `--begin`) and add answers as people word them: ellipsis, contrasts, corrections after a
no, number words, synonyms. Before the last of them the errors of the stage before on the tuning half of the
pairs written by hand, and on other draws of the held-out templates and new wordings, were read, and sentences
with unknown verbs ("no star can be ...", "does not ...") were added; none of the evaluated sentences was. The
final half of the pairs written by hand was only counted, not read.

Later stages forget a part of what the first one knew, so the model of shapes is a blend of the weights at the
end of the first, the third and the fourth stage, {blend}
(`python -m isi_widget.training blend-entailment`; WiSE-FT, Wortsman et al., CVPR 2022; model soups, Wortsman
et al., ICML 2022): the best of 17 blends and single stages by the mean of two shares, that of the tuning half
of the pairs written by hand, and that of held-out templates in other draws than those below (there the mean
of pairs, strict and non-strict clusters).

**Shapes and things.** The fifth and sixth stage go on from that blend, with the words of 44 things and their
three categories, 60 % of the questions about things. A new noun starts as the mean of the shapes' embeddings
plus a random combination of the differences between them, so that it is compared as they are; any other new
word starts as [UNK]. Words that occur only in held-out sentences are trained as fillers without meaning. With
the model of shapes in BEFORE:

    python -m isi_widget.training entailment --start BEFORE --begin 0.25 --steps 4000 --stop 2400 --seed 12 \\
        --output runs/words
    python -m isi_widget.training entailment --start runs/words/model --begin 0.75 --steps 3200 --seed 13 \\
        --output runs/both

Blends of it with the model of shapes (0.25, 0.4 or 0.5 of that) read new wordings about shapes better and
names of things worse in other draws than those below, and were not taken.

**Answers about nothing in the picture.** It had become worse at new wordings about shapes and at irrelevant
sentences. Its errors on other draws of the held-out templates and new wordings were read: words of the 15
irrelevant sentences ("The teacher reads a long book.") were known, and made any sentence irrelevant; of other
irrelevant sentences, a "nobody" or an "up" was taken for an answer. Now words that occur in no other sentence
are [UNK], and most irrelevant sentences are made of invented words with pronouns, past tenses, numbers and
negations ("My rakuq has not bofuq two tamiq."; none has the known words of an evaluated sentence in their
places). Also new: another attribute of the object after yes or no (to "Is the square purple?", "No, the
square is small." also says no), more short answers of two words, values first with an invented noun, half of
the questions about shapes again. The last two stages start with these from the stage before, BOTH; between
them the errors were read again, and more subjects and verbs of irrelevant sentences were added:

    python -m isi_widget.training entailment --start BOTH --begin 0.25 --steps 4000 --seed 14 \\
        --output runs/off-topic
    python -m isi_widget.training entailment --start runs/off-topic/model --begin 0.72 --steps 4000 \\
        --seed 15 --output runs/final

{later_blend}Without `--start` the command follows the final recipe for both worlds from its first step; that
run has not been made: expect similar numbers, not the same weights.

## Measured

Share of pairs whose relation is found, with Wilson's 95 % interval; {number} pairs per cell, each of another
question; the first nine kinds are about shapes. "New draws" are pairs of the training templates; "with
unknown words" adds made-up words as in training; "held-out templates" are templates of the grammar that were
never trained on, for both answers and the question, with lead-ins never trained on; "new wordings" are
further sentences ("the number of stars is two", "red is the colour of the star") for the evaluation only. The
short held-out answers ("That is true.") consist of words that occur in other training sentences: no model
trained from nothing knows a word that it has never met.

{accuracy}

{lines} pairs of answers written by hand (`isi_widget/training/entailment_by_hand.txt`), in both directions;
no template made them and none was trained on, though short answers ("None.") are the same wherever they come
from. Those about things were only counted:

{written}

Sets of ten random answers whose clusters are exactly those that logic gives ({sets} sets per cell, all six
kinds of questions of each world):

| answers | strict | non-strict |
|---|---|---|
{clusters}

Pairs of the examples below that are right (within a group entailment both ways, between groups contradiction
both ways):

| question | right |
|---|---|
{examples}

Loading takes {loading} s, the 90 pairs of ten different answers {milliseconds} ms (processor time, one
thread).

## Limits

- English sentences about shapes, 44 things, three categories of them, colours, sizes, positions and numbers
  up to five. Everything else is [UNK]: two sentences of unknown words come out as neutral unless they are the
  same words.
- Sentences that have nothing to do with the question are not always neutral ("There is no time to lose.").
- Answers that name different things contradict each other, also where one could be called both: "Duck" and
  "Bird" are two names in this world. Only the categories (animal, vehicle, fruit) cover other things.
- "The star is red" and "there is a red star" count as neutral, as the grammar has it: claims of different
  kinds are not derived from each other, except existence from counts.
- "Not left of" counts as "right of": questions about positions are asked only where the axis decides.
- An answer about another object than the one asked about is neutral to all others and makes a cluster of its
  own.
"""
