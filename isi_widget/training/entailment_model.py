"""The embedded entailment model: its tokenizer, its network, and the extra heads for training.

A DeBERTa-v2 of 3 layers trained from scratch does not learn that two of six or eight values are equal: pairs
about colours and shapes stay near chance. Linear heads on the [CLS] output solve this: they predict the
value, polarity and objects of both answers and compare them. They are dropped at export. Not for loading a
trained model (`isi_widget.uncertainty.entailment`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

from isi_widget.datasets.grammar import COLOURS, INVERSE, NUMBERS, RELATIONS, SHAPES, SIZES, Claim, Noun
from isi_widget.datasets.nouns import CATEGORIES, THINGS, is_a
from isi_widget.training.entailment_data import NATURAL, PAIR_KINDS, Pair, draw_pairs
from isi_widget.training.entailment_noise import QUIET
from isi_widget.training.entailment_objects import Draw
from isi_widget.training.entailment_phrases import CONTENT, OFF_TOPIC
from isi_widget.training.entailment_sentences import sentences
from isi_widget.training.entailment_words import OTHER_WORDS

LABELS = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_SPELLED = (  # contractions and digits, so that the model need not learn them
    (r"\bcan( not|not|'t)\b", "cannot"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"'(s|re|m)\b", " is"),
    (r"'d\b", " would"),
    (r"\bcolor", "colour"),
    *((rf"\b{number}\b", word) for number, word in enumerate(NUMBERS)),
    *OTHER_WORDS,
    (r"[^\w\s?]", " "),
)

_SLOT = re.compile(r"\{\w+\}")

_VALUES = ("none", *COLOURS, *SHAPES, *THINGS, *SIZES, *RELATIONS, *NUMBERS)
_TYPES = ("exists", "colour", "size", "shape", "name", "relation", "count", "irrelevant")
_SLOTS = (("shape", (*SHAPES, *THINGS, *CATEGORIES)), ("colour", COLOURS), ("size", SIZES))
_COMPARISONS = 6
# (weight of the loss, number of classes) of every head, in the order of `targets`
HEADS = (
    *((0.5, n) for _ in range(2) for n in (len(_VALUES), 2)),
    *((0.2, n) for _ in range(2) for n in (len(_TYPES), *(len(v) + 1 for _, v in _SLOTS * 2))),
    *((0.1, 2) for _ in range(_COMPARISONS)),
)


@cache
def build_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Build a lower-case word-level tokenizer from the words of the training sentences and of the grammar's
    questions and answers; other words are [UNK].

    Punctuation except "?" is dropped, digits become words, contractions are written out, things have one word
    each ("bikes" is read as "bicycle"), so that the model cannot depend on these differences.
    """
    draw, words = Draw(seed), {*THINGS, *CATEGORIES, *QUIET}
    draw.natural = NATURAL
    normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace("’", "'"),
            *(normalizers.Replace(Regex(pattern), text) for pattern, text in _SPELLED),
        ]
    )
    for kind in PAIR_KINDS:
        for _ in range(600):
            for pair in draw_pairs(draw, kind):
                answers = (pair.premise, pair.hypothesis)
                texts = (a.text for a in answers if a.claim.kind != "irrelevant")
                for text in (pair.question, *texts):
                    words.update(
                        w
                        for w in normalizer.normalize_str(text).replace("?", " ").split()
                        if not w.endswith("q")
                    )
    for form in (*CONTENT, *sentences(), *(part for parts in OFF_TOPIC for part in parts)):
        plain = normalizer.normalize_str(_SLOT.sub(" ", form)).replace("?", " ")
        words.update(plain.split())
    vocabulary = {word: index for index, word in enumerate((*_SPECIAL, "?", *sorted(words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


class Network(nn.Module):
    """The classifier and its extra heads.

    A DebertaV2ForSequenceClassification, 128 wide, 3 layers, 4 heads, relative attention content-to-position
    and back; the heads read its last [CLS] output, [batch, 128].
    """

    def __init__(self, vocabulary: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        config = DebertaV2Config(
            vocab_size=vocabulary,
            hidden_size=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=256,
            max_position_embeddings=512,
            relative_attention=True,
            position_buckets=32,
            pos_att_type=["c2p", "p2c"],
            share_att_key=True,
            norm_rel_ebd="layer_norm",
            position_biased_input=False,
            type_vocab_size=2,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pooler_dropout=0.0,
            pooler_hidden_size=128,
            pad_token_id=0,
            id2label=LABELS,
            label2id={name: index for index, name in LABELS.items()},
        )
        self.classifier = DebertaV2ForSequenceClassification(config)
        self.heads = nn.Linear(128, sum(classes for _, classes in HEADS))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Compute logits [batch, 3] of the relation, and the concatenated logits of all heads."""
        hidden = self.classifier.deberta(**batch).last_hidden_state
        return self.classifier.classifier(self.classifier.pooler(hidden)), self.heads(hidden[:, 0])


def start_from(network: Network, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Copy the weights of an exported model, except the heads.

    A word that it does not know starts as its [UNK], so that the model ignores it as before; a noun starts as
    a mean of nouns that it knows plus random differences between them, so that it compares nouns as before.
    """
    earlier = DebertaV2ForSequenceClassification.from_pretrained(folder, dtype=torch.float32).state_dict()
    known = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
    words = "deberta.embeddings.word_embeddings.weight"
    old, table = earlier[words], network.classifier.state_dict()[words].clone()
    fresh = _new_nouns(old[[known[shape] for shape in SHAPES]])
    for word, index in tokenizer.get_vocab().items():
        if word in known:
            table[index] = old[known[word]]
        else:
            table[index] = fresh[word] if word in fresh else old[known["[UNK]"]]
    network.classifier.load_state_dict({**earlier, words: table})


def _new_nouns(nouns: Tensor) -> dict[str, Tensor]:
    """Return embeddings of the things and their categories from those of known nouns [n, width]."""
    centre, random = nouns.mean(0), torch.Generator().manual_seed(0)
    differences = nouns - centre
    typical = differences.norm(dim=1).mean()

    def another() -> Tensor:
        within = torch.randn(len(nouns), generator=random) @ differences
        beyond = torch.randn(len(centre), generator=random)
        return typical * (within / within.norm() + 0.6 * beyond / beyond.norm())

    categories = {name: another() for name in CATEGORIES}
    found = {name: centre + difference for name, difference in categories.items()}
    for name in THINGS:
        shared = sum(0.4 * part for kind, part in categories.items() if is_a(name, kind))
        found[name] = centre + another() + shared
    return found


def heads_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Compute the weighted sum of the cross-entropies of all heads; `wanted` is int [batch, heads], -100 to
    skip a head.
    """
    total, start = logits.new_zeros(()), 0
    for column, (weight, classes) in enumerate(HEADS):
        part = nn.functional.cross_entropy(
            logits[:, start : start + classes], wanted[:, column], reduction="sum"
        )
        total = total + weight * part / (wanted[:, column] >= 0).sum().clamp(min=1)
        start += classes
    return total


def targets(pair: Pair) -> list[int]:
    """Return the targets of the heads for a pair, in the order of `HEADS`."""
    one, two = pair.premise.as_read, pair.hypothesis.as_read
    values = [v for claim in (one, two) for v in (_VALUES.index(claim.value or "none"), int(claim.positive))]
    slots = [v for claim in (one, two) for v in (_TYPES.index(claim.kind), *_nouns(claim))]
    same = [one.noun == two.noun, one.value == two.value, one.positive == two.positive, one.kind == two.kind]
    both = one.kind == two.kind == "relation"
    turned = both and one.noun == two.other and one.other == two.noun
    inverse = both and one.value == INVERSE[two.value or ""]
    return [*values, *slots, *map(int, same), int(turned) if both else -100, int(inverse) if both else -100]


def encode(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """Return padded inputs [batch, tokens] of "question answer" twice."""
    return dict(
        tokenizer(
            [f"{p.question} {p.premise.text}".strip() for p in pairs],
            [f"{p.question} {p.hypothesis.text}".strip() for p in pairs],
            padding=True,
            return_tensors="pt",
        )
    )


def _nouns(claim: Claim) -> list[int]:
    found: list[int] = []
    nouns: tuple[Any, ...] = (claim.noun, claim.other or Noun())
    for noun in nouns:
        found += [0 if (v := getattr(noun, name)) is None else 1 + values.index(v) for name, values in _SLOTS]
    return found
