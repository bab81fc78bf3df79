"""Trials of a model seen with interventions: record, key, code, frame, report, comparison, page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.beside import averages_for, for_trial
from isi_widget.vlm.inside import sites
from isi_widget.widget.maps import Maps

EDITS = (isi.HeadScale(2, 0, 0.0), isi.HeadReplace(1, 3), isi.Knockout("last", "image", layers=(2, 3)))
FAST = {"measures": ("answer",), "max_new_tokens": 4}


@pytest.fixture(scope="module")
def stimulus():
    return isi.datasets.scenes()[3].stimulus()


@pytest.fixture(scope="module")
def edited(vlm):
    return vlm.intervene(*EDITS)


@pytest.fixture(scope="module")
def trial(edited, stimulus):
    return isi.run_trial(edited, stimulus, samples=2, max_new_tokens=4)


def test_the_record_keeps_them(trial, vlm, stimulus):
    record = json.loads(json.dumps(trial.to_dict(), allow_nan=False))
    assert record["interventions"] == [item.to_dict() for item in EDITS]
    again = isi.Trial.from_dict(record)
    assert again == trial and again.interventions == trial.interventions == EDITS
    assert again.key == trial.key != stimulus.key
    assert "2 heads changed, attention cut" in repr(trial)
    plain = isi.run_trial(vlm, stimulus, **FAST)
    assert plain.interventions == () and plain.key == stimulus.key
    assert "interventions" not in plain.to_dict()
    assert isi.run_trial(vlm.intervene(*EDITS[::-1]), stimulus, **FAST).key not in (trial.key, plain.key)


@pytest.mark.parametrize(
    ("found", "words"),
    [({}, "must be a list"), ([{"kind": "x"}], '"kind" must be one of'), ([1], "must be an object")],
)
def test_a_damaged_record_is_refused(trial, found, words):
    with pytest.raises(InputError, match=words):
        isi.Trial.from_dict({**trial.to_dict(), "interventions": found})
    record = trial.to_dict()
    del record["interventions"]
    with pytest.raises(InputError, match=words):  # where `VLM.info` has them
        isi.Trial.from_dict({**record, "model": {**record["model"], "interventions": found}})


def test_interventions_have_one_place_in_a_record(trial):
    record = trial.to_dict()
    other = {**record, "model": {**record["model"], "interventions": [{"kind": "x"}]}}
    assert isi.Trial.from_dict(other) == trial
    known = record.pop("interventions")
    assert isi.Trial.from_dict({**record, "model": {**record["model"], "interventions": known}}) == trial
    assert isi.Trial.from_dict(record).interventions == ()


def test_its_code_repeats_it(trial):
    code = trial.code()
    assert "edited = vlm.intervene(" in code and "isi.run_trial(edited, s" in code
    space = {}
    exec(code, space)
    assert space["trial"].interventions == EDITS
    assert space["trial"].answer == trial.answer and space["trial"].key == trial.key
    assert space["trial"].attention == trial.attention


@pytest.mark.parametrize("contrast", [isi.ContrastiveDecoding(seed=1), isi.ContrastiveDecoding("m3id")])
def test_gates_steering_and_contrasts_are_recorded_and_repeated(vlm, stimulus, contrast):
    found = sites(vlm.model, vlm.family)
    gates = isi.HeadGates.of((len(found.layers), found.heads), {(0, 1): 0.5, (2, 3): 1.5})
    steer = isi.Steer(isi.SteeringDirection([0.1] * found.hidden_size, 1, "by hand"), tokens="last")
    trial = isi.run_trial(vlm.intervene(gates, steer, contrast), stimulus, samples=2, max_new_tokens=3)
    record = json.loads(json.dumps(trial.to_dict(), allow_nan=False))
    assert isi.Trial.from_dict(record) == trial and trial.interventions == (gates, steer, contrast)
    assert "2 heads changed, steered, contrastive decoding" in repr(trial)
    space = {}
    exec(trial.code(), space)
    again = space["trial"]
    assert again.interventions == trial.interventions and again.answer == trial.answer
    assert again.key == trial.key and again.uncertainty.answers == trial.uncertainty.answers


def test_frame_table_and_pdf_show_them(trial, tmp_path):
    row = trial.to_frame().iloc[0]
    assert json.loads(row["interventions"]) == [item.to_dict() for item in EDITS]
    assert row["key"] == trial.key != row["stimulus_key"]
    view = trial.view()
    assert view["interventions"] == "2 heads changed, attention cut"
    assert view["model"] == "embedded, 2 heads changed, attention cut"
    html = trial._repr_html_()
    assert "L2H0 × 0" in html and "L1H3 → mean" in html and "last ↛ image" in html
    path = trial.report(tmp_path / "trial.pdf")
    assert isi.open_report(path) == trial
    from pypdf import PdfReader

    text = " ".join("".join(page.extract_text() for page in PdfReader(path).pages).split())
    assert "2 heads changed" in text and "L2H0 × 0" in text


def test_a_comparison_marks_the_difference(vlm, edited, stimulus):
    found = isi.compare([stimulus], [vlm, edited], **FAST)
    assert found.labels == ("embedded", "2 heads changed, attention cut")
    html = found._repr_html_()
    assert "none" in html and "<mark" in html.split("L2H0 × 0")[0].rsplit("<td", 1)[1]
    assert [trial.interventions for trial in found.trials] == [(), EDITS]
    asked = [stimulus, stimulus.with_question("Is there a star?")]
    other = isi.compare(asked, {"a": vlm, "b": edited}, **FAST)
    assert len(other) == 4 and other.labels[0].endswith(", a") and other.labels[-1].endswith(", b")
    assert isi.report(found.trials)[:4] == b"%PDF"
    heads = [vlm.intervene(isi.HeadScale(0, head, 0)) for head in (0, 1)]
    two = isi.compare([stimulus], heads, **FAST)
    assert two.labels == ("1 head changed (1)", "1 head changed (2)")
    with pytest.raises(InputError, match="at least one model"):
        isi.compare([stimulus], [])
    with pytest.raises(InputError, match="compare needs a VLM"):
        isi.compare([stimulus], [vlm, 3])


def test_averages_of_the_plain_model_are_not_beside_it(trial, vlm, edited):
    assert averages_for(vlm) is not None
    assert averages_for(edited) is None and averages_for(trial.model) is None
    assert for_trial(trial, trial.view()) is None


def test_averages_are_made_under_interventions(edited):
    found = isi.averages(edited, isi.datasets.scenes()[:2], samples=2, max_new_tokens=3)
    assert found.model["interventions"] == [item.to_dict() for item in EDITS]
    found.use()
    try:
        assert averages_for(edited) == found
    finally:
        found.use(False)


def test_what_was_recorded_of_one_model_is_not_that_of_another(vlm, edited, stimulus):
    """An answer whose attention was recorded while decoding is measured again for another model."""
    answer = vlm.answer(stimulus, 3, attention=True)
    mine = isi.measure_attention(vlm, stimulus, answer)
    theirs = isi.measure_attention(edited, stimulus, answer)
    assert mine != theirs
    assert theirs == isi.measure_attention(edited, stimulus, answer.plain())


def test_everything_that_takes_a_vlm_takes_it(edited, stimulus):
    assert isi.measure_uncertainty(edited, stimulus, samples=2, max_new_tokens=3).answers
    assert isi.measure_attention_map(edited, stimulus).mass.size
    assert edited.enumerate_answers(stimulus, max_new_tokens=3).answers


def test_the_page_knows_what_the_input_is_seen_with(vlm, edited):
    probe = isi.Probe(edited, isi.datasets.scenes()[3])
    trial = probe.run("answer", max_new_tokens=3)
    assert probe.inputs["key"] == trial.key
    assert probe.model["label"].endswith("2 heads changed, attention cut")
    probe.vlm = vlm  # "the input has changed": the shown trial is of other interventions
    assert probe.inputs["key"] == trial.stimulus.key != trial.key
    probe.vlm = edited
    assert probe.inputs["key"] == trial.key
    assert "edited = vlm.intervene(" in probe.code()
    probe.close()


def test_a_map_needs_the_model_with_the_interventions_of_the_trial(vlm, edited, stimulus):
    plain, trial = (isi.run_trial(model, stimulus, measures="answer") for model in (vlm, edited))
    maps, other_head = Maps(), vlm.intervene(isi.HeadScale(0, 0, 0.5), isi.HeadScale(0, 1, 0.5))
    for one, model, words in (
        (trial, vlm, "with 2 heads changed, attention cut, not with none: .*vlm.intervene"),
        (plain, edited, "with no interventions, not with 2 heads changed, attention cut"),
        (
            isi.run_trial(other_head, stimulus, measures="answer"),
            vlm.intervene(*EDITS[:1]),
            "2 heads changed, not",
        ),
    ):
        with pytest.raises(InputError, match=words):
            maps.layer(one, model, 0)
        with pytest.raises(InputError, match=words.partition(":")[0]):
            isi.AttentionPlayer(one, vlm=model)
    assert maps.layer(trial, edited, 0)[1] != maps.layer(plain, vlm, 0)[1]
    assert isi.AttentionPlayer(trial).attention == isi.measure_attention_map(edited, stimulus, trial.answer)


def test_models_without_a_fingerprint_differ_by_their_interventions(vlm, edited, stimulus):
    hook = vlm.model.model.multi_modal_projector.register_forward_hook(lambda *_: None)
    try:
        trial = isi.run_trial(edited, stimulus, measures="answer")
        assert trial.model["fingerprint"] is None
        with pytest.raises(InputError, match=r"vlm\.intervene"):
            Maps().layer(trial, vlm, 0)
        with pytest.raises(InputError, match="is of other, 2 heads changed"):
            Maps().layer(replace(trial, model={**trial.model, "name": "other"}), edited, 0)
        before = replace(trial, model={**trial.model, "fingerprint": "0" * 16})
        with pytest.raises(InputError, match="with other weights, precision or hooks than it has now"):
            Maps().layer(before, edited, 0)
    finally:
        hook.remove()
