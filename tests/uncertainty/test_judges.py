"""Which entailment model compares the meanings, what is taken from the disk, and what is said of it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForSequenceClassification, DebertaV2Config, RobertaConfig

from isi_widget import embedded
from isi_widget.answer import Answer
from isi_widget.errors import Cancelled, InputError
from isi_widget.uncertainty import (
    EntailmentModel,
    Judge,
    Uncertainty,
    entailment_models,
    load_entailment,
    uncertainty_of,
)
from isi_widget.uncertainty import judges as room
from isi_widget.uncertainty._files import fetch, on_disk
from isi_widget.uncertainty.judge import RuleJudge, compare
from isi_widget.uncertainty.judges import choose

BASE, SMALL = "cross-encoder/nli-deberta-v3-base", "cross-encoder/nli-deberta-v3-xsmall"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def answers_of(*texts):
    return [Answer(text, (1,), ("t",), (-0.5,)) for text in texts]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, and no model that an earlier test has loaded."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(room, "_loaded", {})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def put(cache, name, commit=COMMIT, *, weights=True, reference="main", files=("config.json", "tokenizer")):
    """The embedded classifier, in the cache as if it were a checkpoint of the hub."""
    home = cache / f"models--{name.replace('/', '--')}"
    folder = home / "snapshots" / commit
    folder.mkdir(parents=True)
    for file in embedded.ENTAILMENT.iterdir():
        if file.name.startswith(files) or (weights and file.suffix == ".safetensors"):
            (folder / file.name).write_bytes(file.read_bytes())
    noted = home / "refs" / reference
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_text(commit)
    return folder


# ------------------------------------------------------------------------------------------- the list
_DEBERTA = {
    "vocab_size": 128_100,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "num_labels": 3,
}


def deberta(width, inner, heads, layers, **more):
    sizes = {"hidden_size": width, "pooler_hidden_size": width, "intermediate_size": inner}
    return DebertaV2Config(
        **{**_DEBERTA, **sizes, "num_attention_heads": heads, "num_hidden_layers": layers, **more}
    )


#: As in each checkpoint's config.json.
CONFIGS = {
    "microsoft/deberta-v2-xlarge-mnli": deberta(1536, 6144, 24, 24, conv_kernel_size=3, conv_act="gelu"),
    "FacebookAI/roberta-large-mnli": RobertaConfig(
        vocab_size=50_265,
        hidden_size=1024,
        intermediate_size=4096,
        num_attention_heads=16,
        num_hidden_layers=24,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=3,
    ),
    BASE: deberta(768, 3072, 12, 12),
    "MoritzLaurer/mDeBERTa-v3-base-mnli-xnli": deberta(768, 3072, 12, 12, vocab_size=251_000),
    SMALL: deberta(384, 1536, 6, 12),
}


def test_the_list_counts_what_the_configurations_say():
    listed = {known.name: known for known in entailment_models()}
    assert list(listed) == ["embedded", *CONFIGS]
    for name, config in CONFIGS.items():
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config)
        known = listed[name]
        assert known.parameters == sum(weight.numel() for weight in model.parameters()), name
        # as 16 or as 32 bit, and what a file has beside the weights
        assert any(abs(known.download / (width * known.parameters) - 1) < 0.02 for width in (2, 4)), name
    assert listed["embedded"].parameters == sum(w.numel() for w in load_entailment().model.parameters())


def test_an_entry_says_size_licence_and_where_it_is(cache):
    known = {one.name: one for one in entailment_models()}
    assert known["embedded"].state == "shipped" and known[SMALL].state == "to be downloaded"
    assert "283 MB" in str(known[SMALL]) and "apache-2.0" in str(known[SMALL])
    put(cache, SMALL)
    assert known[SMALL].state == "on disk" and "on disk" in str(known[SMALL])
    choose(SMALL, scenes=False)
    assert known[SMALL].state == "loaded"


# ----------------------------------------------------------------------------------------- the choice
def test_the_embedded_vlm_is_judged_by_the_embedded_model(cache):
    put(cache, BASE)
    for given in ("auto", None):
        chosen = choose(given, scenes=True)
        assert chosen.model is load_entailment() and chosen.automatic and not chosen.foreign


def test_any_other_by_the_best_that_is_on_the_disk(cache):
    assert choose("auto", scenes=False).model.name == "rules"
    put(cache, SMALL)
    first = choose("auto", scenes=False)
    assert (first.model.name, first.model.revision, first.automatic) == (SMALL, COMMIT, True)
    assert first.label == f"{SMALL}@{COMMIT[:12]}"
    put(cache, BASE)
    assert choose("auto", scenes=False).model.name == BASE
    assert choose("auto", scenes=False).model is choose(BASE, scenes=False).model  # loaded once


def test_what_does_not_fit_or_cannot_be_read_is_passed_over_and_named(cache):
    put(cache, SMALL)
    put(cache, BASE)
    chosen = choose("auto", scenes=False, free=lambda device: 500_000_000)
    assert chosen.model.name == SMALL and f"{BASE} needs 959 MB, and 500 MB are free" in chosen.reason
    (put(cache, "FacebookAI/roberta-large-mnli") / "model.safetensors").write_bytes(b"no weights")
    chosen = choose("auto", scenes=False)
    assert chosen.model.name == BASE and "roberta-large-mnli" in chosen.reason
    none = choose("auto", scenes=False, free=lambda device: 1000)
    assert none.model.name == BASE  # it is loaded: its memory is spent already


def test_nothing_is_downloaded_unless_it_is_named(cache, monkeypatch):
    asked = []
    monkeypatch.setattr("isi_widget.uncertainty._loading.find", lambda name, revision: asked.append(name))
    assert choose("auto", scenes=False).model.name == "rules" and asked == []
    with pytest.raises(InputError):
        choose(SMALL, scenes=False)
    assert asked == [SMALL]


def test_a_checkpoint_is_on_the_disk_only_if_it_is_whole(cache):
    assert on_disk(SMALL) is None
    folder = put(cache, SMALL, weights=False)
    assert on_disk(SMALL) is None
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "one.safetensors"}}))
    assert on_disk(SMALL) is None  # a shard is missing
    (folder / "one.safetensors").write_bytes(b"")
    assert on_disk(SMALL) is not None
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../x.safetensors"}})
    )
    assert on_disk(SMALL) is None
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").unlink()
    assert on_disk(SMALL) is None


def test_the_conversion_of_the_hubs_bot_counts_as_the_checkpoints_weights(cache):
    put(cache, SMALL, weights=False)
    put(cache, SMALL, commit="f" * 40, reference="refs/pr/3", files=("config.json",))
    model = choose("auto", scenes=False).model
    assert (model.name, model.revision) == (SMALL, COMMIT)
    wanted = load_entailment().probabilities("Is it red?", ["yes", "It is blue."])
    assert model.probabilities("Is it red?", ["yes", "It is blue."]) == pytest.approx(wanted, abs=1e-5)


class Hub:
    """The hub's side: what it lists, and what is fetched."""

    def __init__(self, monkeypatch, cache, files, requests=()):
        from types import SimpleNamespace

        from isi_widget.pretrained import hub

        self.fetched = []

        def fake(repository, names, progress=None, cancel=None):
            self.fetched += [f"{repository.commit}/{name}" for name in names]
            if progress is not None:
                progress(0.5, "downloading")
            return cache / repository.commit

        monkeypatch.setattr("isi_widget.uncertainty._files.hub.fetch", fake)
        monkeypatch.setattr(
            "isi_widget.uncertainty._files.hub.find",
            lambda name, revision: hub.Repository(name, revision, "pr", {"config.json": 1, **files[1]}),
        )
        api = "huggingface_hub.HfApi"
        monkeypatch.setattr(f"{api}.get_repo_discussions", lambda *_, **__: iter(requests))
        monkeypatch.setattr(
            f"{api}.list_repo_commits",
            lambda *_, **__: [SimpleNamespace(commit_id="pr"), SimpleNamespace(commit_id="main")],
        )
        self.found = hub.Repository(SMALL, None, "main", {"config.json": 1, "spm.model": 9, **files[0]})


def test_weights_are_fetched_with_progress_from_main_or_from_the_conversion(monkeypatch, cache):
    from types import SimpleNamespace

    told = []
    whole = Hub(
        monkeypatch, cache, ({"model.safetensors": 9, "pytorch_model.bin": 9, "onnx/config.json": 1}, {})
    )
    files = fetch(whole.found, progress=lambda part, text: told.append(part))
    assert files.commit == "main" and files.folder == files.weights and told == [0.5]
    assert "main/model.safetensors" in whole.fetched and "main/spm.model" in whole.fetched
    assert not any("onnx" in name or name.endswith(".bin") for name in whole.fetched)

    request = SimpleNamespace(num=3, title="Adding `safetensors` variant of this model")
    pickled = ({"pytorch_model.bin": 9}, {"model.safetensors": 9})
    converted = Hub(monkeypatch, cache, pickled, [request])
    files = fetch(converted.found)
    assert (files.folder.name, files.weights.name, files.commit) == ("main", "pr", "main")
    assert "pr/model.safetensors" in converted.fetched

    other = SimpleNamespace(num=4, title="Better weights")
    assert fetch(Hub(monkeypatch, cache, pickled, [other]).found) is None
    assert fetch(Hub(monkeypatch, cache, pickled).found) is None


def test_names_folders_and_objects(cache, tmp_path):
    assert isinstance(choose("rules", scenes=True).model, RuleJudge)
    assert choose("embedded", scenes=False).foreign and not choose("embedded", scenes=True).foreign
    assert choose(load_entailment(), scenes=False).foreign
    folder = str(embedded.ENTAILMENT)
    assert choose(folder, scenes=False).model.name == folder
    with pytest.raises(InputError, match="entailment must be a name"):
        choose(3, scenes=False)
    with pytest.raises(InputError, match="local_files_only=True asks no network"):
        load_entailment("someone/else", local_files_only=True)


def test_a_load_that_waits_for_another_can_be_cancelled(cache):
    with room._lock, pytest.raises(Cancelled):
        choose(str(embedded.ENTAILMENT), scenes=False, cancel=lambda: True)


def test_progress_is_told_only_where_something_is_loaded(cache):
    put(cache, SMALL)
    told = []
    for _ in range(2):
        choose(SMALL, scenes=False, progress=lambda part, text: told.append(part))
    assert told[0] == 0.0 and told[-1] == 1.0 and told.count(1.0) == 1


# -------------------------------------------------------------------------------- what is said of it
SCENE = "Is there a red star?"


def judged(question, texts, entailment="embedded", scenes=True, **settings):
    return uncertainty_of(answers_of(*texts), question, choose(entailment, scenes=scenes), **settings)


def test_in_its_own_language_the_embedded_model_raises_no_doubt():
    u = judged(SCENE, ["Yes", "There is a red star.", "I see no red star", "No."])
    assert u.judge.asked > 0 and u.judge.doubts == () and u.cluster_ids == (0, 0, 1, 1)


def test_words_that_it_does_not_know_raise_one():
    u = judged("Which city is it?", ["Paris", "London", "Paris.", "It's Paris."])
    assert u.cluster_ids == (0, 1, 0, 0)
    assert "paris" in " ".join(u.judge.unknown).lower() and "does not know" in u.caveats[0]
    known = judged("Which city is it?", ["Paris", "Paris.", "It's Paris."])
    assert known.judge.asked == 0 and known.judge.doubts == ()  # settled by the wording


@pytest.mark.parametrize("times", [1, 14, 200])
@pytest.mark.parametrize("filler", ["Consider the picture carefully. ", "红色的圆 ", "Zwei Sterne? "])
def test_long_prompts_never_make_one_meaning_of_yes_and_no(times, filler):
    u = judged(filler * times + SCENE, ["Yes", "No"] * 5)
    assert u.cluster_ids == (0, 1) * 5 and u.discrete_semantic_entropy == pytest.approx(np.log(2))
    assert u.judge.doubts == ()


def test_a_long_prompt_is_read_from_its_end_and_said():
    long = "I see the picture, it shows a shape. " * 40 + SCENE
    u = judged(long, ["There is a red star.", "I see no red star."])
    assert u.cluster_ids == (0, 1) and u.judge.long == 1
    assert "66 tokens" in " ".join(u.caveats) and len(u.judge.doubts) == 1


def test_the_embedded_model_judging_another_vlm_raises_one():
    u = judged(SCENE, ["There is a red star.", "I see no red star."], scenes=False)
    assert "knows the built-in scenes only" in u.caveats[0] and u.judge.foreign


def test_rules_alone_raise_one_for_what_they_leave_open():
    u = judged("What is it?", ["cat", "It's a cat.", "A cat", "This is a cat"], "rules", scenes=False)
    assert u.number_of_clusters == 1 and u.judge.doubts == () and u.entailment == "rules"
    u = judged("What is it?", ["cat", "A feline.", "A cat"], "rules", scenes=False)
    assert u.cluster_ids == (0, 1, 0) and (u.judge.asked, u.judge.pairs) == (
        2,
        3,
    )  # "cat" and "A cat" are two
    assert "(!) No entailment model" in repr(u) and "No entailment model" in u._repr_html_()
    assert "2 of 3 pairs" in u.caveats[0] and "entailment_models" in u.caveats[0]
    u = judged("¿Hay un perro?", ["Sí.", "Sí", "Si, claro"], "rules", scenes=False)
    assert u.cluster_ids == (0, 0, 1) and u.judge.asked == 2  # Spanish is left open, and said


def test_a_model_made_for_english_raises_one_for_other_letters(cache):
    put(cache, SMALL)
    u = judged("图中有什么？", ["一只猫在这里", "一只狗在那里"], "auto", scenes=False)
    assert u.judge.other_script and "other letters" in " ".join(u.caveats)
    assert not judged("What is it?", ["A cat here", "A dog there"], "auto", scenes=False).judge.other_script


def test_equal_tokens_entail_each_other_but_unknown_words_are_not_equal():
    model = load_entailment()
    p = model.probabilities(SCENE, ["there is a red star", "There's a red star!", "Paris", "London"])
    assert (p[0, 1] == (0, 0, 1)).all() and (p[1, 0] == (0, 0, 1)).all()
    assert (p[2, 3] == (0, 1, 0)).all()  # both are [UNK] to it: it cannot tell
    p = model.probabilities("Tell me, is a red star evident?", ["Evident", "evident.", "EVIDENT!", "Hidden"])
    assert (p[:3, :3] == (0, 0, 1)).all()  # unknown words, but the same ones
    assert (p[:3, 3] == (0, 1, 0)).all() and (p[3, :3] == (0, 1, 0)).all()
    p = model.probabilities(SCENE, ["Paris London London", "Paris Paris London", "😀", "😡"])
    assert (p[0, 1] == (0, 1, 0)).all() and (p[2, 3] == (0, 1, 0)).all()
    p = model.probabilities(
        "Could you tell me the colour of the star?", ["It is red", "it is red.", "It is blue"]
    )
    assert (p[0, 1] == (0, 0, 1)).all() and p[0, 2].argmax() == 0  # the question's are in all
    long = "there is a red star " * 40
    p = model.probabilities(SCENE, [long + "red", long + "blue"])
    assert (p[0, 1] == (0, 1, 0)).all()  # cut before they differ


class FirstLetter:
    """Answers with the same first letter entail each other; counts what it is asked."""

    name = "first letter"

    def __init__(self):
        self.asked = []

    def probabilities(self, question, answers):
        self.asked.append((question, tuple(answers)))
        return np.array(
            [[[0, 0, 1] if a[:1] == b[:1] else [1, 0, 0] for b in answers] for a in answers], float
        )


def test_the_rules_come_first_unless_they_are_off():
    judge = FirstLetter()
    texts = ["Yes", "No", "yes.", "Paris", "paris!"]
    ours, ruled = compare("Is it?", texts, judge)
    assert ours[0, 2].tolist() == [0, 0, 1] and ours[0, 1].tolist() == [1, 0, 0] and ours[3, 4, 2] == 1
    assert (ruled.pairs, ruled.by_rule) == (10, 4) and ruled.doubts == ()
    theirs, plain = compare("Is it?", texts, judge, rules=False)
    assert (theirs == FirstLetter().probabilities("", texts)).all() and plain.by_rule == 0
    assert uncertainty_of(answers_of(*texts), "Is it?", judge, rules=False).number_of_clusters == 5
    judge.asked.clear()
    compare("Is it?", ["Yes", "No", "no."], judge)
    assert judge.asked == []  # nothing was left open
    compare("Is it?", ["Yes", "Maybe"], judge, prepend_question=False)
    assert judge.asked[-1][0] == ""


def test_the_judge_is_kept_with_the_result(cache):
    put(cache, SMALL)
    u = judged("What is it?", ["A cat", "Paris and more"], "auto", scenes=False)
    again = Uncertainty.from_dict(json.loads(json.dumps(u.to_dict())))
    assert again == u and again.judge == u.judge and again.caveats == u.caveats
    assert (again.entailment, again.judge.revision, again.judge.automatic) == (SMALL, COMMIT, True)
    old = {key: value for key, value in u.to_dict().items() if key != "judge"}
    assert Uncertainty.from_dict(old).judge is None
    for wrong in (
        {"name": 3},
        {"name": "x", "new": 1},
        {"reason": ""},
        {"name": "x", "pairs": "3"},
        ["x"],
        "x",
    ):
        with pytest.raises(InputError, match="record of who compared"):
            Judge.from_dict(wrong)


def test_every_doubt_has_a_caveat_and_none_stands_without_an_open_pair():
    doubtful = Judge(
        "rules", pairs=3, by_rule=1, unknown=("a",), long=1, longest=9, foreign=True, other_script=True
    )
    assert len(doubtful.doubts) == len(doubtful.caveats) == 5
    assert (
        dataclasses.replace(doubtful, by_rule=3).doubts
        == dataclasses.replace(doubtful, by_rule=3).caveats
        == ()
    )


def test_a_plain_model_knows_no_revision():
    assert isinstance(load_entailment(), EntailmentModel) and load_entailment().revision is None
