"""Question-answer pairs about one picture, packed into one sequence, so that the picture is processed once.

Each pair attends only to the picture and itself (block mask), and its positions start directly after the
picture, as in a separate prompt. The tokens come with the targets of the deep supervision.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isi_widget.datasets import grammar
from isi_widget.datasets import grammar_everyday as everyday
from isi_widget.datasets.grammar import COLOURS, NUMBERS, SIZES, Noun
from isi_widget.datasets.nouns import word as word_entry
from isi_widget.datasets.scenes import ask
from isi_widget.datasets.scenes.world import WORLDS
from isi_widget.datasets.typing_habits import SYNONYMS, as_typed
from isi_widget.training.vlm.build import PATCHES
from isi_widget.training.vlm.pictures import View
from isi_widget.training.vlm.targets import WHAT
from isi_widget.training.vlm.tokens import BOS, IMAGE, plain, shared_tokenizer, token_ids

LENGTH = 354  # the picture and about ten pairs
PREFIX = 2 + PATCHES  # beginning of sequence, image tokens, new line
IGNORE = -100
_SPEAKS_OF_PICTURE = ("The picture", "In this picture", "This is a picture", "The image")


@dataclass(frozen=True)
class Mix:
    """The mixture of questions and contexts in training.

    kinds : weights by kind of question (also "choice"); those that a world does not know are left out.
    canonical : share of canonical questions and answers.
    margin : smallest distance along the axis of a relation, share of the picture's side.
    axis : axis of relations; None for both.
    focus : share of questions about a covered or labelled object, if there is one.
    context : share of questions with a context.
    irrelevant : share of irrelevant contexts among these.
    truthful : share of true contexts among these.
    obey : share of false contexts about the picture ("The picture shows ...", "In this picture ...") whose
        answer follows the context, so that the model can be misled.
    hearsay : the same share for other false contexts.
    nudges : share of contexts that only make an answer likely.
    nudged : share of false contexts of this kind whose answer follows them.
    typed : rate of changes in how a question is typed: case, marks, spaces, spelling, other words.
    everyday : share of questions with everyday wordings, among those that are not canonical.
    """

    kinds: Mapping[str, float]
    canonical: float = 1.0
    margin: float = 0.25
    axis: str | None = None
    focus: float = 0.5
    context: float = 0.0
    irrelevant: float = 0.2
    truthful: float = 0.68
    obey: float = 0.0
    hearsay: float = 0.0
    nudges: float = 0.4
    nudged: float = 0.0
    typed: float = 0.12
    everyday: float = 0.6


@dataclass
class Packed:
    """One packed sequence and the places of its supervision (rows of `nouns` and `ends`: token index, then
    targets).
    """

    tokens: list[int]
    positions: list[int]
    segments: list[int]
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    nouns: list[tuple[float, ...]] = field(default_factory=list)
    ends: list[tuple[float, ...]] = field(default_factory=list)


def prefix() -> list[int]:
    """Return token ids before the context or question."""
    ids = shared_tokenizer().convert_tokens_to_ids
    return [ids(BOS)] + [ids(IMAGE)] * PATCHES + list(token_ids("\n"))


def pack(view: View, mix: Mix, rng: random.Random, length: int = LENGTH) -> Packed:
    """Pack as many pairs as fit."""
    start = prefix()
    packed = Packed(
        start, list(range(len(start))), [0] * len(start), [IGNORE] * len(start), [0.0] * len(start)
    )
    focus = sorted(view.covered | {label.thing for label in view.labels})
    known = (*WORLDS[view.scene.world].kinds, ask.CHOICE)
    kinds = [kind for kind in mix.kinds if kind in known]
    weights = [mix.kinds[kind] for kind in kinds]
    numbered = view.numbered()
    for attempt in range(40):
        thing = rng.choice(focus) if focus and rng.random() < mix.focus else None
        kind = rng.choices(kinds, weights)[0]
        if kind == "counting" and numbered and rng.random() < 0.7:
            noun = rng.choice(numbered)
            near = ask.near_number(len(view.scene.matching(noun)), rng.random() < 0.5, rng)
            item: ask.Item | None = ask.count_item(view.scene, noun, near if rng.random() < 0.5 else None)
        else:
            item = ask.ask_about(view.scene, kind, rng, thing=thing, margin=mix.margin, axis=mix.axis)
        if item is not None and not _add(packed, view, item, mix, rng, attempt + 1, length):
            break
    free = length - len(packed.tokens)
    pad = shared_tokenizer().pad_token_id
    packed.tokens += [pad] * free
    packed.positions += [0] * free
    packed.segments += [-1] * free
    packed.targets += [IGNORE] * free
    packed.weights += [0.0] * free
    return packed


def _add(
    packed: Packed, view: View, item: ask.Item, mix: Mix, rng: random.Random, segment: int, length: int
) -> bool:
    """Append one pair; False if it does not fit."""
    believed, context = _context(item, mix, rng)
    question = _choose(grammar.questions(item.ask), mix.canonical, rng, mix.everyday)
    answer = _choose(grammar.answers(item.ask, believed), mix.canonical, rng)
    before = token_ids(context) + token_ids("\n") if context else ()
    asked, said = token_ids(as_typed(question.text, rng, mix.typed)), token_ids(" " + answer.text)
    middle = token_ids("\nAnswer:")
    ids = [*before, *asked, *middle, *said, shared_tokenizer().eos_token_id]
    if len(packed.tokens) + len(ids) > length:
        return False
    base = len(packed.tokens)
    first = base + len(before) + len(asked) + len(middle)  # index of the first answer token
    targets, weights = [IGNORE] * len(ids), [0.0] * len(ids)
    for offset in range(len(said) + 1):
        targets[first - base - 1 + offset], weights[first - base - 1 + offset] = (
            ids[first - base + offset],
            0.1,
        )
    decisive = token_ids(" " + answer.decisive)[0]
    weights[first - base - 1 + list(said).index(decisive)] = 1.0
    packed.tokens += ids
    packed.positions += range(PREFIX, PREFIX + len(ids))
    packed.segments += [segment] * len(ids)
    packed.targets += targets
    packed.weights += weights
    if not view.blank:
        _supervise(packed, view, item, asked, base + len(before), first - 1)
    return True


def _choose(
    phrases: Sequence[grammar.Phrase], canonical: float, rng: random.Random, everyday: float = 0.0
) -> grammar.Phrase:
    if rng.random() < canonical:
        return phrases[0]
    spoken = [phrase for phrase in phrases if phrase.spoken]
    chosen = [phrase for phrase in spoken if phrase.everyday] if rng.random() < everyday else []
    return rng.choice(chosen or spoken)


def _context(item: ask.Item, mix: Mix, rng: random.Random) -> tuple[grammar.Claim, str]:
    """Return the claim for the answer, and the text of the context ("" for none)."""
    if rng.random() >= mix.context:
        return item.truth, ""
    if rng.random() < mix.irrelevant:
        return item.truth, rng.choice((*grammar.IRRELEVANT, *everyday.IRRELEVANT))
    nudging = rng.random() < mix.nudges
    if rng.random() < mix.truthful:
        return item.truth, _said(ask.complementary(item, rng), nudging, rng)
    lie = ask.contradictory(item, rng)
    text = _said(lie, nudging, rng)
    share = mix.nudged if nudging else mix.obey if text.startswith(_SPEAKS_OF_PICTURE) else mix.hearsay
    obeyed = rng.random() < share
    if obeyed and not item.ask.is_open and grammar.compare(lie, item.ask.claim) == grammar.NEUTRAL:
        obeyed = False  # it is false but does not answer this question
    return lie if obeyed else item.truth, text


def _said(claim: grammar.Claim, nudging: bool, rng: random.Random) -> str:
    return rng.choice(grammar.nudges(claim) if nudging else grammar.contexts(claim, more=True))


def _supervise(
    packed: Packed, view: View, item: ask.Item, asked: Sequence[int], base: int, last: int
) -> None:
    """Set the targets at the nouns, at the last word of the question and at `last`, the last token of the
    prompt.
    """
    claim, scene = item.ask.claim, view.scene
    words = [plain(token) for token in asked]
    beside = claim.other or (claim.noun.place[1] if claim.noun.place else None)  # "... left of the chair"
    nouns = [claim.noun] + ([beside] if beside else [])
    for number, noun in enumerate(nouns):
        where = _find(words, noun, last=number == 1)
        if where is not None:
            packed.nouns.append((base + where, *_noun_targets(view, noun)))
    truth, value = item.truth, item.truth.value
    dx = dy = float("nan")
    if beside is not None:
        first, second = (scene.things[index] for index in (item.about[0], scene.matching(beside)[0]))
        dx, dy = (second.x - first.x) / scene.width, (second.y - first.y) / scene.height
    targets = (
        IGNORE if item.yes is None else float(item.yes),
        float(WHAT.index(value)) if truth.kind in ("shape", "name") and value in WHAT else IGNORE,
        float(COLOURS.index(value)) if truth.kind == "colour" and value else IGNORE,
        float(NUMBERS.index(value)) if truth.kind == "count" and value else IGNORE,
        dx,
        dy,
    )
    final = max((index for index, word in enumerate(words) if word.isalpha()), default=len(words) - 1)
    packed.ends += [(base + final, *targets), (last, *targets)]


def _find(words: Sequence[str], noun: Noun, last: bool) -> int | None:
    """Return the place of a noun among the words of a question, singular or plural."""
    name = noun.shape or "object"
    wanted = {name, word_entry(name).plural, *(other.split()[-1].lower() for other in SYNONYMS.get(name, ()))}
    if noun.shape is None:
        wanted |= {"thing", "things"}
    places = [index for index, word in enumerate(words) if word in wanted]
    return (places[-1] if last else places[0]) if places else None


def _noun_targets(view: View, noun: Noun) -> tuple[float, ...]:
    """Return the number of matching things; if one: what it is, its colour, size, x, y."""
    matching = view.scene.matching(noun)
    if len(matching) != 1:
        return (min(len(matching), len(NUMBERS) - 1), IGNORE, IGNORE, IGNORE, float("nan"), float("nan"))
    thing = view.scene.things[matching[0]]
    return (
        1,
        WHAT.index(thing.shape),
        COLOURS.index(thing.colour) if thing.colour else IGNORE,
        SIZES.index(thing.size) if thing.size else IGNORE,
        thing.x / view.scene.width,
        thing.y / view.scene.height,
    )


def collate(packs: Sequence[Packed]) -> dict[str, Tensor]:
    """Return tensors of several packed sequences; "nouns" and "ends" get the row number in front."""
    batch = {
        name: torch.tensor([getattr(packed, name) for packed in packs])
        for name in ("tokens", "positions", "targets", "weights")
    }
    segments = torch.tensor([packed.segments for packed in packs])
    same = segments[:, :, None] == segments[:, None, :]
    seen = (same | (segments == 0)[:, None, :]) & torch.ones(
        segments.shape[1], segments.shape[1], dtype=torch.bool
    ).tril()
    batch["mask"] = seen[:, None]
    for name in ("nouns", "ends"):
        rows = [(row, *entry) for row, packed in enumerate(packs) for entry in getattr(packed, name)]
        batch[name] = torch.tensor(rows, dtype=torch.float32)
    return batch
