"""Network, fast attention, a short training that is interrupted and continued, export, model card."""

import copy
import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from isi_widget import embedded
from isi_widget.training import entailment, entailment_eval
from isi_widget.training import entailment_data as data
from isi_widget.training.entailment_attention import use_fast_attention
from isi_widget.training.entailment_model import HEADS, Network, build_tokenizer, encode, heads_loss, targets
from isi_widget.uncertainty import load_entailment


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(0)


def some_pairs(number, kind="relation"):
    draw, pairs = data.Draw(kind), []
    while len(pairs) < number:
        pairs += data.draw_pairs(draw, kind)
    return pairs[:number]


def test_tokenizer_drops_what_must_not_matter(tokenizer):
    def words(text):
        return tokenizer.tokenize(text)

    assert (
        words("Yes, there's 2 STARS!")
        == words("yes there is two stars")
        == ["yes", "there", "is", "two", "stars"]
    )
    assert words("It isn’t red; can't lean") == words("it is not red cannot") + ["[UNK]"]
    assert words("I'd say it can not be") == ["i", "would", "say", "it", "cannot", "be"]
    assert words("What color is it?") == ["what", "colour", "is", "it", "?"]
    assert words("zebra") == ["[UNK]"] and words("20") == ["[UNK]"] and words("") == []
    assert "indeed" in tokenizer.get_vocab() and "contains" not in tokenizer.get_vocab()  # evaluation only


@pytest.mark.parametrize("buckets", [32, -1])
def test_fast_attention_is_the_attention_of_transformers(tokenizer, buckets):
    plain = Network(len(tokenizer), 0)
    for layer in plain.classifier.deberta.encoder.layer:
        layer.attention.self.position_buckets = buckets
        layer.attention.self.pos_ebd_size = 32
        layer.attention.self.max_relative_positions = 512 if buckets > 0 else 32
    plain.classifier.deberta.encoder.position_buckets = buckets
    plain.classifier.deberta.encoder.max_relative_positions = 512 if buckets > 0 else 32
    for parameter in plain.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    fast = copy.deepcopy(plain)
    use_fast_attention(fast)
    batch = encode(tokenizer, some_pairs(6))
    assert batch["input_ids"].shape[1] > 20  # beyond the buckets that hold one distance each
    for one, two in zip(plain(batch), fast(batch), strict=True):
        assert (one - two).abs().max() < 1e-4 * one.abs().max()
    gradients = []
    for network in (plain, fast):
        network.zero_grad()
        sum(out.square().sum() for out in network(batch)).backward()
        gradients.append({n: p.grad for n, p in network.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        assert (gradient - gradients[1][name]).abs().max() <= 1e-3 * gradient.abs().max() + 1e-5, name


def test_heads_and_their_targets():
    pairs = [p for kind in data.PAIR_KINDS for p in some_pairs(20, kind)]
    wanted = torch.tensor([targets(p) for p in pairs])
    assert wanted.shape == (len(pairs), len(HEADS))
    for column, (_, classes) in enumerate(HEADS):
        assert wanted[:, column].max() < classes and (wanted[:, column] >= -100).all()
    sizes = [classes for _, classes in HEADS]
    perfect = torch.full((len(pairs), sum(sizes)), -30.0)
    for row, goal in enumerate(wanted):
        for column, value in enumerate(goal):
            if value >= 0:
                perfect[row, sum(sizes[:column]) + value] = 30.0
    assert heads_loss(perfect, wanted) < 1e-6
    uniform = sum(weight * np.log(classes) for weight, classes in HEADS)
    assert float(heads_loss(torch.zeros_like(perfect), wanted)) == pytest.approx(uniform, rel=1e-5)


def test_batches_depend_on_seed_and_step_alone():
    whole = dict(entailment.batches(0, 0, 30))
    assert list(whole) == list(range(30)) and [len(b) for b in whole.values()] == [128] * 12 + [64] * 18
    assert all(whole[step] == batch for step, batch in entailment.batches(0, 17, 30))
    assert whole[0] != dict(entailment.batches(1, 0, 1))[0]


def test_schedules():
    rates = [entailment.learning_rate(share, 200) for share in (0, 0.59, 0.61, 0.69, 0.7, 1.0)]
    assert rates == pytest.approx([1, 1, 0.3, 0.3, 0.3, 0.01]) and entailment.learning_rate(0.0, 0) == 0.01
    heads = [entailment.heads_weight(share) for share in (0, 0.6, 0.66, 0.72, 1.0)]
    assert heads == pytest.approx([1, 1, 0.5, 0, 0])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(entailment, "BATCH", 12)
    monkeypatch.setattr(entailment, "POOL", 3)
    monkeypatch.setattr(entailment, "CHECKPOINT", 4)
    monkeypatch.setattr(entailment, "VALIDATION", 6)


def test_an_interrupted_training_ends_like_an_uninterrupted_one(small, tmp_path, monkeypatch):
    whole = entailment.train(tmp_path / "whole", 6, seed=3)
    real = entailment.batches

    def interrupted(seed, first, steps):
        for step, pairs in real(seed, first, steps):
            if step == 5:  # after the checkpoint at 4
                raise KeyboardInterrupt
            yield step, pairs

    monkeypatch.setattr(entailment, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        entailment.train(tmp_path / "parts", 6, seed=3)
    monkeypatch.setattr(entailment, "batches", real)
    parts = entailment.train(tmp_path / "parts", 6, seed=3)
    one, two = (AutoModelForSequenceClassification.from_pretrained(f).state_dict() for f in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(SystemExit, match="another run"):
        entailment.train(tmp_path / "whole", 8, seed=3)


def test_export_is_a_plain_checkpoint_that_says_what_the_network_says(small, tmp_path, tokenizer):
    network = Network(len(tokenizer), 0)
    for parameter in network.parameters():
        parameter.data *= 3
    pairs = some_pairs(5)
    with torch.no_grad():
        wanted = torch.softmax(network(encode(tokenizer, pairs))[0].double(), dim=-1).numpy()
    folder = entailment.export(network, tokenizer, tmp_path)
    assert "heads" not in " ".join(AutoModelForSequenceClassification.from_pretrained(folder).state_dict())
    assert AutoTokenizer.from_pretrained(folder).tokenize("A star, 2") == ["a", "star", "two"]
    texts = [(f"{p.question} {p.premise.text}", f"{p.question} {p.hypothesis.text}") for p in pairs]
    found = load_entailment(folder).pairs(texts)
    assert [found[t] for t in texts] == pytest.approx(wanted, abs=5e-3)  # fp16


@pytest.mark.parametrize(
    ("right", "number", "low", "high"), [(10, 10, 0.7225, 1.0), (0, 10, 0, 0.2775), (50, 100, 0.4038, 0.5962)]
)
def test_wilson(right, number, low, high):
    assert entailment_eval.wilson(right, number) == pytest.approx((low, high), abs=1e-4)


MEASURED = embedded.ENTAILMENT / "evaluation.json"
trained = pytest.mark.skipif(not MEASURED.exists(), reason="the embedded model has not been measured yet")


@trained
def test_card_is_made_from_the_measures():
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert (embedded.ENTAILMENT / "README.md").read_text(encoding="utf-8") == entailment_eval.card(measured)


@trained
@pytest.mark.parametrize("kind", data.PAIR_KINDS)
def test_embedded_model_on_fresh_pairs(kind):
    """New draws and held-out templates of a fresh seed: within chance of the 98 % that is asked for; 97 % of
    answers about other things, and sentences about nothing in the picture.
    """
    model = load_entailment()
    for forms in ("tidy", "held out"):
        draw, pairs = data.Draw(f"test:{kind}:{forms}"), []
        while len(pairs) < 150:
            pairs += data.draw_pairs(draw, kind, forms)[:1]
        sides = [(p.question, p.premise.text, p.hypothesis.text) for p in pairs]
        texts = [(f"{q} {one}".strip(), f"{q} {two}".strip()) for q, one, two in sides]
        found = model.pairs(texts)
        right = sum(int(np.argmax(found[t])) == p.label for t, p in zip(texts, pairs, strict=True))
        asked = 0.97 if kind == "things: neutral" else 0.98
        assert entailment_eval.wilson(right, len(pairs))[1] >= asked, (forms, right)


@trained
def test_embedded_model_clusters_answers_in_held_out_templates():
    """Learning new wordings once cost a third of these sets; questions with unknown words are among them."""
    scores = entailment_eval.score_clusters(load_entailment(), "held out", 4)
    assert scores.keys() == {"strict", "non-strict"}
    assert all(right >= 0.9 * number for right, number in scores.values()), scores
