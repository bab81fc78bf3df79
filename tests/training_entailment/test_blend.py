"""The mean of the weights of several models: by word, with a vocabulary that has grown; the command."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

from isi_widget.errors import InputError
from isi_widget.training import __main__ as command
from isi_widget.training.entailment import export
from isi_widget.training.entailment_blend import blend
from isi_widget.training.entailment_model import Network

WORDS = "deberta.embeddings.word_embeddings.weight"
EARLY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "star"]
LATE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "nah", "red", "round", "star"]  # two more; the rest has moved


def exported(folder, words, seed):
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    network = Network(len(words), seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return export(network, fast, folder)


def weights_of(folder):
    return DebertaV2ForSequenceClassification.from_pretrained(folder, dtype=torch.float32).state_dict()


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("early"), EARLY, 0)


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("late"), LATE, 1)


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("later"), LATE, 2)


def test_a_blend_is_the_mean_of_all_weights_and_words_are_found_by_name(early, late, later, tmp_path):
    blended = weights_of(blend([early, late, later], [0.2, 0.5, 0.3], tmp_path))
    one, two, three = (weights_of(folder) for folder in (early, late, later))
    close = {"rtol": 2e-3, "atol": 2e-3}  # fp16
    for name in set(blended) - {WORDS}:
        torch.testing.assert_close(
            blended[name], 0.2 * one[name] + 0.5 * two[name] + 0.3 * three[name], **close
        )
    for place, word in enumerate(LATE):
        wanted = 0.5 * two[WORDS][place] + 0.3 * three[WORDS][place]
        if word in EARLY:
            wanted = wanted + 0.2 * one[WORDS][EARLY.index(word)]
        else:
            wanted = wanted / 0.8  # the first model does not know it
        torch.testing.assert_close(blended[WORDS][place], wanted, **close)
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path).get_vocab() == {w: i for i, w in enumerate(LATE)}
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (tmp_path / name).read_text("utf-8") == (late / name).read_text("utf-8")
    assert (tmp_path / "model.safetensors").stat().st_size == (late / "model.safetensors").stat().st_size


def test_a_word_of_a_model_without_weight_has_an_embedding_all_the_same(early, late, tmp_path):
    assert torch.equal(weights_of(blend([early, late], [0.0, 1.0], tmp_path))[WORDS], weights_of(late)[WORDS])


@pytest.mark.parametrize(
    ("weights", "wrong"),
    [
        ([1.0], "as many weights"),
        ([0.5, 0.6], "of sum 1"),
        ([-0.5, 1.5], "none below 0"),
        ([float("nan"), 1.0], "of sum 1"),
        ([1.0, 0.0], "above 0"),
    ],
)
def test_weights_that_are_none_are_refused(early, late, tmp_path, weights, wrong):
    with pytest.raises(InputError, match=wrong):
        blend([early, late], weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_that_do_not_fit_each_other_are_refused(early, late, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"does not \(nah, round\).*order of their training"):
        blend([late, early], [0.5, 0.5], tmp_path / "out")
    config = json.loads((early / "config.json").read_text(encoding="utf-8"))
    other = DebertaV2ForSequenceClassification.config_class(**{**config, "num_hidden_layers": 1})
    DebertaV2ForSequenceClassification(other).save_pretrained(tmp_path)
    PreTrainedTokenizerFast.from_pretrained(early).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="other layers"):
        blend([tmp_path, late], [0.5, 0.5], tmp_path / "out")


def test_the_command_notes_the_weights_for_the_card(early, late, tmp_path):
    stages = [{"begun": 0, "steps": 10, "minutes": 1.0}]
    noted = json.dumps({"accuracy": {}, "training": {"stages": stages}})
    (late / "evaluation.json").write_text(noted, encoding="utf-8")
    out = tmp_path / "out"
    given = [str(early), str(late), "--weights", "0.25", "0.75", "--output", str(out)]
    command.main(["blend-entailment", *given])
    found = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert found == {"training": {"stages": stages, "blends": [[0.25, 0.75]]}}
    with pytest.raises(SystemExit, match="of sum 1"):
        command.main(["blend-entailment", *given[:3], "1", "1", "--output", str(tmp_path / "no")])
