"""Entailment models: loading, label order, both directions, buckets, cache; tiny random and embedded ones."""

import importlib.util
import json
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
    RobertaConfig,
    RobertaForSequenceClassification,
)

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.pretrained.hub import PATIENCE
from isi_widget.uncertainty import EntailmentModel, load_entailment
from isi_widget.uncertainty.clusters import cluster
from isi_widget.uncertainty.entailment import REFERENCE, label_order

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "there", "is", "a", "star", "red", "not", ".", "?"]
# multiples of 64: the CPU kernels of 4-bit layers want that
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
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
    elif family == "roberta":
        model = RobertaForSequenceClassification(RobertaConfig(pad_token_id=0, **settings | changes))
    else:
        deberta = {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 8,
            "type_vocab_size": 2,
        }
        model = DebertaV2ForSequenceClassification(
            DebertaV2Config(**settings | deberta, pooler_hidden_size=64, **changes)
        )
    for parameter in model.parameters():  # far from uniform, so that a wrong order or direction shows
        parameter.data *= 4
    return model.eval()


def turned(family, order):
    """The same classifier with its labels in another order."""
    plain, other = tiny(family), tiny(family, [MNLI[k].lower() for k in order])
    other.load_state_dict(plain.state_dict())
    head = other.classifier.out_proj if family == "roberta" else other.classifier
    head.weight.data, head.bias.data = head.weight.data[list(order)], head.bias.data[list(order)]
    return other


def saved(model, folder):
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


QUESTION, ANSWERS = (
    "is there a star ?",
    ["yes", "no", "there is a red star .", "yes", " yes ", "", "a star is not red"],
)


def by_hand(model, tokenizer, premise, hypothesis):
    with torch.no_grad():
        logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
    return torch.softmax(logits.double(), dim=-1).numpy()


FAMILIES = ["bert", "roberta", "deberta"]


@pytest.mark.parametrize("family", FAMILIES)
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


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_label_order_is_read_from_the_configuration(family, order, tmp_path):
    loaded = load_entailment(saved(turned(family, order), tmp_path))
    assert loaded.name == str(tmp_path) and loaded.order == tuple(order.index(k) for k in range(3))
    assert next(loaded.model.parameters()).dtype == torch.float32 and not loaded.model.training
    wanted = EntailmentModel(tiny(family), tiny_tokenizer(), "plain").probabilities(QUESTION, ANSWERS)
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
    with pytest.raises(InputError, match=str(tmp_path)):
        load_entailment(saved(tiny("bert", labels), tmp_path))


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


def test_buckets_hold_pairs_of_similar_length(monkeypatch):
    monkeypatch.setattr("isi_widget.uncertainty.entailment._TOKENS_ON_CPU", 10**6)
    answers = [*("yes", "no", "red", "star"), *("a " * 40 + w for w in ("yes", "no", "red", "star"))]
    small = Counting(tiny("bert"))
    EntailmentModel(small, tiny_tokenizer(), "tiny", batch_size=12).probabilities("", answers)
    large = Counting(tiny("bert"))
    EntailmentModel(large, tiny_tokenizer(), "tiny", batch_size=100).probabilities("", answers)
    assert small.padding < 0.35 * large.padding


def test_long_pairs_run_in_smaller_buckets_on_the_cpu():
    model = EntailmentModel(tiny("bert"), tiny_tokenizer(), "tiny", batch_size=8)
    lengths = [int(x) for x in np.random.default_rng(0).integers(4, 300, 200)] + [600, 700]
    buckets = model._buckets(lengths)
    assert sorted(k for bucket in buckets for k in bucket) == list(range(202))
    sizes = [max(lengths[k] for k in bucket) for bucket in buckets]
    assert sizes == sorted(sizes)
    for bucket, longest, following in zip(buckets, sizes, [*buckets[1:], None], strict=True):
        assert len(bucket) == 1 or (len(bucket) <= 8 and len(bucket) * longest <= 512)
        if following is not None:  # as full as they may be
            assert len(bucket) == 8 or (len(bucket) + 1) * lengths[following[0]] > 512


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


@pytest.mark.parametrize(("family", "longest"), [("bert", 24), ("deberta", 24), ("roberta", 23)])
def test_long_answers_are_cut_not_refused(family, longest):
    model = EntailmentModel(tiny(family, max_position_embeddings=24), tiny_tokenizer(), "tiny")
    assert model.longest == longest  # RoBERTa's first position is the one after its padding
    found = model.probabilities(QUESTION, ["star " * 100, "red " * 100])
    assert np.isfinite(found).all()


def test_question_prepended_or_not():
    model, tokenizer = tiny("deberta"), tiny_tokenizer()
    judge = EntailmentModel(model, tokenizer, "tiny")
    bare = judge.probabilities(QUESTION, ["yes", "no"], prepend_question=False)
    assert bare[0, 1] == pytest.approx(by_hand(model, tokenizer, "yes", "no"), abs=1e-5)
    assert (bare == judge.probabilities("", ["yes", "no"])).all()
    assert abs(bare - judge.probabilities(QUESTION, ["yes", "no"])).max() > 1e-3


def test_nan_is_an_error():
    model = tiny("bert")
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        EntailmentModel(model, tiny_tokenizer(), "tiny").probabilities("", ["yes", "no"])


def test_bad_input():
    model = EntailmentModel(tiny("bert"), tiny_tokenizer(), "tiny")
    for answers, message in (([], "At least one"), ("yes", "list of strings"), ([1], "list of strings")):
        with pytest.raises(InputError, match=message):
            model.probabilities("", answers)


# ------------------------------------------------------------------------------------------------ loading
def test_broken_folders(tmp_path):
    def refused(message, **settings):
        with pytest.raises(InputError, match=message):
            load_entailment(folder, **settings)

    folder = tmp_path / "nothing"
    refused("there is no folder")
    folder.mkdir()
    refused("no folder with a config.json")
    saved(tiny("bert"), folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused("No entailment model could be loaded from")
    (folder / "model.safetensors").unlink()
    refused("no safetensors weights. Convert them")
    torch.save(tiny("bert").state_dict(), folder / "pytorch_model.bin")
    refused("it has pytorch_model.bin, which can run code")
    trusted = load_entailment(folder, use_safetensors=False)
    wanted = EntailmentModel(tiny("bert"), tiny_tokenizer(), "tiny").probabilities(QUESTION, ANSWERS)
    assert trusted.probabilities(QUESTION, ANSWERS) == pytest.approx(wanted, abs=1e-6)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "model.safetensors").write_bytes(weights)
    refused("does not distinguish 'yes' from 'no'")
    (folder / "config.json").write_text("{")
    refused("No entailment model could be loaded from")


def test_weights_that_would_be_random_are_refused(tmp_path):
    saved(tiny("bert"), tmp_path)
    tiny("bert").bert.save_pretrained(tmp_path)  # the encoder alone; its config knows the labels
    with pytest.raises(InputError, match=r"lacks 2 weights .*classifier\.bias, classifier\.weight"):
        load_entailment(tmp_path)


def test_a_model_without_such_a_head_is_refused(tmp_path):
    saved(tiny("bert"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "clip_vision_model"}))
    with pytest.raises(InputError, match="No entailment model could be loaded"):
        load_entailment(tmp_path)


def test_sentencepiece_is_named_when_it_is_missing(tmp_path, monkeypatch):
    tiny("deberta").save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "DebertaV2Tokenizer"}')
    (tmp_path / "spm.model").write_bytes(b"not read")
    find = importlib.util.find_spec
    missing = ("sentencepiece", "google.protobuf")
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in missing else find(n))
    with pytest.raises(InputError, match=r"pip install 'isi-widget\[entailment\]'"):
        load_entailment(tmp_path)


def hub_error(kind):
    from unittest import mock

    from huggingface_hub import errors

    response = mock.Mock(headers={}, status_code=404)
    if kind in ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"):
        return getattr(errors, kind)("long text of the hub", response=response)
    return getattr(errors, kind)("long text of the hub")


@pytest.fixture
def hub_answers(monkeypatch):
    """A hub that has whatever is asked for; the names it was asked."""
    names = []
    monkeypatch.setattr("isi_widget.uncertainty._loading.find", lambda name, revision: names.append(name))
    return names


def test_without_a_network_a_hub_name_is_one_error_after_one_look(monkeypatch):
    import httpx
    from huggingface_hub import HfApi

    asked = []

    def fail(self, name, **arguments):
        asked.append((name, arguments["timeout"]))
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(HfApi, "model_info", fail)
    with pytest.raises(InputError, match=r"'someone/not-here' is not in the local cache.*works offline"):
        load_entailment("someone/not-here")
    assert asked == [("someone/not-here", PATIENCE)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "it is gated"),
        ("RepositoryNotFoundError", "there is no such model"),
        ("RevisionNotFoundError", "at revision 'v9': there is no such revision"),
        ("LocalEntryNotFoundError", "hub cannot be reached"),
        ("OfflineModeIsEnabled", "offline mode is on"),
        ("HFValidationError", "nor a valid hub name"),
    ],
)
def test_errors_of_the_hub_become_one_sentence(kind, message, monkeypatch, hub_answers):
    import transformers

    def fail(*_, **__):
        raise OSError("We couldn't connect") from hub_error(kind)  # as transformers wraps them

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(InputError, match=message) as caught:
        load_entailment("someone/some-mnli", revision="v9")
    assert "\n" not in str(caught.value) and "long text" not in str(caught.value)


def test_hub_names_go_to_the_hub_with_the_wanted_revision(monkeypatch, tmp_path, hub_answers):
    import transformers

    saved(tiny("bert"), tmp_path)
    asked = []
    for auto in ("AutoConfig", "AutoTokenizer", "AutoModelForSequenceClassification"):
        cls = getattr(transformers, auto)

        def load(source, *, real=cls.from_pretrained, **settings):
            if source == REFERENCE:  # the real ones call each other
                asked.append((source, settings["revision"], settings.get("use_safetensors")))
            return real(tmp_path, **settings)

        monkeypatch.setattr(cls, "from_pretrained", load)
    assert load_entailment(REFERENCE).name == REFERENCE
    # "main", not None: only then does transformers look for the hub's own safetensors conversion
    assert asked == [(REFERENCE, "main", None)] * 2 + [(REFERENCE, "main", True)]
    load_entailment(REFERENCE, revision="abc")
    assert {revision for _, revision, _ in asked[3:]} == {"abc"}


def test_pickled_weights_of_the_hub_are_refused(monkeypatch, tmp_path, hub_answers):
    import transformers

    saved(tiny("bert"), tmp_path)
    real = transformers.AutoConfig.from_pretrained, transformers.AutoTokenizer.from_pretrained
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda *_, **__: real[0](tmp_path))
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: real[1](tmp_path))

    def fail(*_, **__):
        raise OSError("x/y does not appear to have a file named model.safetensors and thus cannot be loaded")

    monkeypatch.setattr(transformers.AutoModelForSequenceClassification, "from_pretrained", fail)
    with pytest.raises(InputError, match="no safetensors weights, only pickled ones"):
        load_entailment("x/y")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda:99"}, "CUDA device"),
        ({"device": "toaster"}, "Unknown device"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"quantization": "q4"}, "quantization is 'q4'"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_entailment(tmp_path, **settings)


def test_missing_packages_and_the_embedded_model_are_told(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="is not quantised"):
        load_entailment(quantization="nf4")
    find, missing = importlib.util.find_spec, "bitsandbytes"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(InputError, match="needs bitsandbytes, which is not installed"):
        load_entailment(tmp_path, quantization="nf4")


needs_quantization = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None or importlib.util.find_spec("accelerate") is None,
    reason="bitsandbytes and accelerate are an extra",
)


@needs_quantization
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("quantization", ["nf4", "nf4-double"])
def test_four_bits_compute_what_their_weights_say(family, quantization, tmp_path):
    """Every 4-bit matrix, written out as float32 into the plain model, gives the same probabilities."""
    import bitsandbytes as bnb

    plain = tiny(family)
    loaded = load_entailment(saved(plain, tmp_path), quantization=quantization)
    linear = {n for n, part in plain.named_modules() if isinstance(part, torch.nn.Linear)}
    small = {n for n, part in loaded.model.named_modules() if isinstance(part, bnb.nn.Linear4bit)}
    assert small and {n.split(".")[0] for n in linear - small} <= {"bert", "pooler", "classifier"}
    assert {n for n in linear - small if "pooler" not in n and "classifier" not in n} == set()
    for name in small:
        part = loaded.model.get_submodule(name)
        assert part.weight.quant_state.nested == (quantization == "nf4-double")
        written = bnb.functional.dequantize_4bit(part.weight.data, part.weight.quant_state).float()
        assert abs(written - plain.get_submodule(name).weight).max() > 0
        plain.get_submodule(name).weight.data = written
    wanted = EntailmentModel(plain, tiny_tokenizer(), "plain").probabilities(QUESTION, ANSWERS)
    for _ in range(2):  # the second forward is where a repacked layer would differ
        found = loaded.probabilities(QUESTION, ANSWERS)
        assert found == pytest.approx(wanted, abs=2e-3)
        loaded._cache.clear()


@needs_quantization
@pytest.mark.parametrize("family", FAMILIES)
def test_eight_bits_stay_near_the_full_model(family, tmp_path):
    import bitsandbytes as bnb

    loaded = load_entailment(saved(tiny(family), tmp_path), quantization="int8")
    assert any(isinstance(part, bnb.nn.Linear8bitLt) for part in loaded.model.modules())
    head = loaded.model.classifier
    assert type(getattr(head, "out_proj", head)) is torch.nn.Linear
    wanted = EntailmentModel(tiny(family), tiny_tokenizer(), "plain").probabilities(QUESTION, ANSWERS)
    found = loaded.probabilities(QUESTION, ANSWERS)
    assert found == pytest.approx(wanted, abs=0.1) and abs(found - wanted).max() > 0


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


@needs_embedded
@needs_quantization
@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "int8"])
def test_embedded_model_judges_alike_when_quantised(quantization):
    answers = ["Yes.", "No.", "Yes, there is a red star.", "No, there is no red star.", "I see no red star"]
    question = "Is there a red star?"
    small = load_entailment(embedded.ENTAILMENT, quantization=quantization)
    assert (small.relations(question, answers) == load_entailment().relations(question, answers)).all()
