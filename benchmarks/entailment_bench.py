"""Judging sampled answers: buckets of different pairs, against one ordered pair after the other.

A random DeBERTa-v2 of base size (12 layers of width 768) with the embedded entailment model's tokenizer; the
numbers say nothing about what it judges. The reference asks for every ordered pair of answers, equal ones
too, one pair per forward pass of transformers' own model. A whole round of that takes minutes, so a random
share of its pairs is run and the time scaled to all; so are the buckets of fifty different answers. The names
of the rows say so.
"""

import copy
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from benchmarks.timing import Row, ratios, report
from isi_widget.uncertainty import EntailmentModel, load_entailment
from isi_widget.uncertainty._deberta import use_fast_positions

QUESTION = "How many red circles are in the picture?"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FORMS = (
    "{}",
    "There are {} red circles.",
    "I see {} red circles in the picture.",
    "{} red circles",
    "There are {} large red circles and a small green star in the picture.",
)
#: Ten answers as they are sampled: five wordings, some often.
SAMPLED_10 = (4, 3, 1, 1, 1)
#: Fifty answers as they are sampled: twelve wordings.
SAMPLED_50 = (14, 9, 7, 5, 4, 3, 2, 2, 1, 1, 1, 1)


def different(n: int) -> list[str]:
    """Return n answers that are all different, short and long in turn."""
    return [FORMS[k % len(FORMS)].format(NUMBERS[k // len(FORMS)]) for k in range(n)]


def repeated(counts: Sequence[int]) -> list[str]:
    """Return as many different answers as there are counts, each repeated by its count."""
    return [text for text, count in zip(different(len(counts)), counts, strict=True) for _ in range(count)]


def base_size(device: str) -> tuple[Any, EntailmentModel]:
    """Return a random DeBERTa-v2 with the sizes of deberta-v3-base, plain and as `load_entailment` prepares
    it.
    """
    tokenizer = load_entailment().tokenizer
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=tokenizer.pad_token_id,
        id2label={0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"},
    )
    torch.manual_seed(0)
    plain = DebertaV2ForSequenceClassification(config).eval().to(device)
    prepared = copy.deepcopy(plain)
    use_fast_positions(prepared)
    return plain, EntailmentModel(prepared, tokenizer, "random")


def one_by_one(plain: Any, tokenizer: Any, answers: Sequence[str], share: int = 1) -> Callable[[], float]:
    """Return seconds of every ordered pair in a forward pass of its own; of one in `share`, scaled to all."""
    texts = [f"{QUESTION} {answer}" for answer in answers]
    n = len(texts)
    pairs = [(texts[i], texts[j]) for i in range(n) for j in range(n) if i != j]
    chosen = random.Random(0).sample(pairs, len(pairs) // share)

    def run() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for premise, hypothesis in chosen:
                inputs = tokenizer(premise, hypothesis, return_tensors="pt").to(plain.device)
                torch.softmax(plain(**inputs).logits, dim=-1).cpu()
        return (time.perf_counter() - start) * len(pairs) / len(chosen)

    return run


def in_buckets(model: EntailmentModel, answers: Sequence[str]) -> Callable[[], float]:
    """Return seconds of what `uncertainty_of` asks for, nothing known from before."""

    def run() -> float:
        model._cache.clear()
        start = time.perf_counter()
        model.probabilities(QUESTION, answers)
        return time.perf_counter() - start

    return run


def some_buckets(model: EntailmentModel, answers: Sequence[str], share: int) -> Callable[[], float]:
    """Return the same from every `share`-th bucket, scaled by the number of pairs."""
    texts = [f"{QUESTION} {answer}" for answer in answers]
    pairs = [(a, b) for a in texts for b in texts if a != b]
    lengths = [len(ids) for ids in model.tokenizer(*map(list, zip(*pairs, strict=True)))["input_ids"]]
    buckets = [[pairs[k] for k in bucket] for bucket in model._buckets(lengths)[share // 2 :: share]]
    asked = sum(map(len, buckets))

    def run() -> float:
        model._cache.clear()
        start = time.perf_counter()
        for bucket in buckets:
            model.pairs(bucket)
        return (time.perf_counter() - start) * len(pairs) / asked

    return run


def rows(repeats: int = 3, device: str = "cpu") -> list[Row]:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    plain, model = base_size(device)
    ten, fifty = different(10), different(50)
    cases = [
        (f"10 answers, {len(SAMPLED_10)} wordings", repeated(SAMPLED_10), None, 5, 0.30),
        ("10 answers, all different", ten, None, 5, 0.30),
        (f"50 answers, {len(SAMPLED_50)} wordings", repeated(SAMPLED_50), None, 120, 0.15),
        ("50 answers, all different", fifty, 16, 120, 0.15),
    ]
    found = []
    for name, answers, buckets, share, target in cases:
        fast = in_buckets(model, answers) if buckets is None else some_buckets(model, answers, buckets)
        slow = one_by_one(plain, model.tokenizer, answers, share)
        times: dict[str, tuple[float, ...]] = {"buckets": (), "pairs": ()}
        one_by_one(plain, model.tokenizer, answers[:2])()
        for _ in range(repeats):
            times["buckets"] += (fast(),)
            times["pairs"] += (slow(),)
        part = "" if buckets is None else f" (1 in {buckets} buckets, scaled)"
        found += [
            Row(f"{name}: judged{part}", times["buckets"]),
            Row(
                f"{name}: the same / pair by pair (1 in {share} pairs, scaled)",
                ratios(times, "buckets", "pairs"),
                "ratio",
                target,
            ),
        ]
    known = in_buckets(model, ten)
    known()
    again = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.probabilities(QUESTION, ten)
        again.append(time.perf_counter() - start)
    return [*found, Row("10 answers, all different: judged once more (kept by content)", tuple(again))]


if __name__ == "__main__":
    report(rows())
