"""Entailment models: loading, label order, both directions, buckets, cache; tiny random and embedded ones."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.uncertainty import EntailmentModel, load_entailment
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entailment import label_order

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "there", "is", "a", "star", "red", "not", ".", "?"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MNLI = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")


def tiny_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def tiny(family, labels=MNLI, **changes):
    torch.manual_seed(1)
    settings = SIZES | {
        "vocab_size": len(WORDS),
        "id2label": dict(enumerate(labels)),
        "num_labels": len(labels),
    }
    if family == "bert":
        model = BertForSequenceClassification(BertConfig(**settings, **changes))
    else:
        deberta = {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 8,
            "type_vocab_size": 2,
        }
        model = DebertaV2ForSequenceClassification(
            DebertaV2Config(**settings | deberta, pooler_hidden_size=32, **changes)
        )
    for parameter in model.parameters():  # far from uniform, so that a wrong order or direction shows
        parameter.data *= 6
    return model.eval()


QUESTION, ANSWERS = (
    "is there a star ?",
    ["yes", "no", "there is a red star .", "yes", " yes ", "", "a star is not red"],
)


def by_hand(model, tokenizer, premise, hypothesis):
    with torch.no_grad():
        logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
    return torch.softmax(logits.double(), dim=-1).numpy()


@pytest.mark.parametrize("family", ["bert", "deberta"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_each_pair_is_what_the_model_says_of_it_alone(family, batch_size):
    model, tokenizer = tiny(family), tiny_tokenizer()
    found = EntailmentModel(model, tokenizer, "tiny", batch_size).probabilities(QUESTION, ANSWERS)
    assert found.shape == (7, 7, 3)
    texts = [f"{QUESTION} {a.strip()}".strip() for a in ANSWERS]
    for i, one in enumerate(texts):
        for j, two in enumerate(texts):
            wanted = [0, 0, 1] if one == two else by_hand(model, tokenizer, one, two)
            assert found[i, j] == pytest.approx(wanted, abs=1e-5), (one, two)


def test_directions_differ_and_relations_are_the_likeliest():
    model = EntailmentModel(tiny("deberta"), tiny_tokenizer(), "tiny")
    p = model.probabilities(QUESTION, ANSWERS)
    assert abs(p[0, 1] - p[1, 0]).max() > 1e-3
    assert (model.relations(QUESTION, ANSWERS) == p.argmax(axis=2)).all()


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_label_order_is_read_from_the_configuration(order, tmp_path):
    plain, turned = tiny("deberta"), tiny("deberta", [MNLI[k].lower() for k in order])
    turned.load_state_dict(plain.state_dict())
    turned.classifier.weight.data = plain.classifier.weight.data[list(order)]
    turned.classifier.bias.data = plain.classifier.bias.data[list(order)]
    turned.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    loaded = load_entailment(tmp_path)
    assert loaded.name == str(tmp_path)
    wanted = EntailmentModel(plain, tiny_tokenizer(), "plain").probabilities(QUESTION, ANSWERS)
    assert loaded.probabilities(QUESTION, ANSWERS) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        ("LABEL_0", "LABEL_1", "LABEL_2"),
        ("entailment", "not_entailment"),
        ("contradiction", "neutral", "entailment", "other"),
        ("contradiction", "contradiction", "entailment"),
        ("positive", "neutral", "negative"),
    ],
)
def test_unclear_labels_are_refused(labels, tmp_path):
    with pytest.raises(InputError, match="expected contradiction, neutral and entailment"):
        label_order(dict(enumerate(labels)), "it")
    tiny("bert", labels).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path)):
        load_entailment(tmp_path)


class Counting(torch.nn.Module):
    """Counts the pairs that reach the model, and the padding among them."""

    def __init__(self, model):
        super().__init__()
        self.inner, self.config, self.device, self.pairs, self.padding = (
            model,
            model.config,
            model.device,
            0,
            0,
        )

    def forward(self, **inputs):
        self.pairs += len(inputs["input_ids"])
        self.padding += int((inputs["attention_mask"] == 0).sum())
        return self.inner(**inputs)


def test_equal_strings_are_not_asked_and_pairs_are_asked_once():
    counting = Counting(tiny("bert"))
    model = EntailmentModel(counting, tiny_tokenizer(), "tiny")
    model.probabilities(QUESTION, ["yes"] * 10)
    assert counting.pairs == 0
    first = model.probabilities(QUESTION, ["yes"] * 5 + ["no"] * 5)
    assert counting.pairs == 2
    assert (model.probabilities(QUESTION, ["no", "yes"])[0, 1] == first[5, 0]).all() and counting.pairs == 2
    model.probabilities("is a star red ?", ["no", "yes"])
    assert counting.pairs == 4  # another question is another pair


def test_buckets_hold_pairs_of_similar_length():
    answers = [*("yes", "no", "red", "star"), *("a " * 40 + w for w in ("yes", "no", "red", "star"))]
    small = Counting(tiny("bert"))
    EntailmentModel(small, tiny_tokenizer(), "tiny", batch_size=12).probabilities("", answers)
    large = Counting(tiny("bert"))
    EntailmentModel(large, tiny_tokenizer(), "tiny", batch_size=100).probabilities("", answers)
    assert small.padding < 0.35 * large.padding


def test_cache_is_bounded_and_content_addressed(monkeypatch):
    monkeypatch.setattr("isi_widget.uncertainty.entailment._CACHED_PAIRS", 3)
    counting = Counting(tiny("bert"))
    model = EntailmentModel(counting, tiny_tokenizer(), "tiny")
    before = model.probabilities("", ["yes", "no", "red"])  # six pairs: more than are kept
    assert counting.pairs == 6 and len(model._cache) == 3
    assert model.probabilities("", ["yes", "no", "red"]) == pytest.approx(before, abs=1e-6)
    assert counting.pairs == 9


def test_threads_share_one_model():
    model = EntailmentModel(tiny("deberta"), tiny_tokenizer(), "tiny")
    wanted = EntailmentModel(tiny("deberta"), tiny_tokenizer(), "tiny").probabilities(QUESTION, ANSWERS)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(model.probabilities(QUESTION, ANSWERS)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(np.allclose(f, wanted, atol=1e-6) for f in found)


def test_long_answers_are_cut_not_refused():
    model = EntailmentModel(tiny("bert", max_position_embeddings=24), tiny_tokenizer(), "tiny")
    found = model.probabilities(QUESTION, ["star " * 100, "red " * 100])
    assert np.isfinite(found).all()


def test_nan_is_an_error():
    model = tiny("bert")
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        EntailmentModel(model, tiny_tokenizer(), "tiny").probabilities("", ["yes", "no"])


def test_bad_input(tmp_path):
    model = EntailmentModel(tiny("bert"), tiny_tokenizer(), "tiny")
    for answers, message in (([], "At least one"), ("yes", "list of strings"), ([1], "list of strings")):
        with pytest.raises(InputError, match=message):
            model.probabilities("", answers)
    with pytest.raises(InputError, match="No entailment model could be loaded"):
        load_entailment(tmp_path / "nothing")


def test_importing_needs_no_torch():
    code = "import sys, isi_widget.uncertainty; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


needs_embedded = pytest.mark.skipif(
    not (embedded.ENTAILMENT / "config.json").exists(), reason="not trained yet"
)


@needs_embedded
@pytest.mark.parametrize("strict", [True, False])
def test_embedded_model_tells_yes_from_no(strict):
    model = load_entailment()
    assert model is load_entailment() and model.name == "embedded"
    yes = [
        "yes",
        "Yes, there is a red star.",
        "YES!",
        "Yes.",
        "yes, there is a red star",
        "There is a red star.",
    ]
    no = ["no", "No.", "No, there is no red star.", "I see no red star"]
    relations = model.relations("Is there a red star?", yes + no)
    assert cluster(lambda i, j: int(relations[i, j]), len(relations), strict) == [0] * len(yes) + [1] * len(
        no
    )


@needs_embedded
def test_embedded_model_counts():
    answers = ["2", "two", "There are two circles.", "Two.", "3", "There are three circles."]
    relations = load_entailment().relations("How many circles are there?", answers)
    assert cluster(lambda i, j: int(relations[i, j]), len(answers)) == [0, 0, 0, 0, 1, 1]


@needs_embedded
def test_embedded_model_takes_anything():
    answers = ["", "Yes", "The sky over Paris is blue 🌍", "x" * 5000, "No\n\nno", "..."]
    p = load_entailment().probabilities("Is there a star?", answers)
    assert np.isfinite(p).all() and p.sum(axis=2) == pytest.approx(np.ones((6, 6)))


@needs_embedded
def test_embedded_model_is_small():
    assert sum(f.stat().st_size for f in embedded.ENTAILMENT.iterdir()) <= 4e6
