"""Whose entailment model judged a trial: chosen, kept, repeated in code, and said beside each number."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from isi_widget import averages, compare, datasets, embedded, load_vlm, measure_uncertainty, run_trial
from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.report.making import report
from isi_widget.study import for_trial
from isi_widget.trial import Trial
from isi_widget.trial.view import trial_view
from isi_widget.uncertainty import uncertainty_of
from isi_widget.uncertainty.judge import RuleJudge

DOUBT = "No entailment model compared the answers, only rules of wording."
QUICK = {"samples": 3, "max_new_tokens": 3}


@pytest.fixture(scope="module")
def other():
    """The same weights from a folder, as somebody's own model."""
    return load_vlm(embedded.VLM)


@pytest.fixture(autouse=True)
def _nothing_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def doubted(trial):
    """A trial whose meanings were compared by rules, which left something open."""
    answers = [Answer(text, (1,), ("t",), (-0.5,)) for text in ("cat", "A cat.", "a feline", "dog")]
    return trial.with_results(uncertainty=uncertainty_of(answers, "What is it?", RuleJudge()))


def test_the_embedded_vlm_is_judged_by_the_embedded_model(vlm, stimulus):
    trial = run_trial(vlm, stimulus, measures="uncertainty", **QUICK)
    judge = trial.uncertainty.judge
    assert (judge.name, judge.automatic, judge.foreign, judge.doubts) == ("embedded", True, False, ())
    assert "entailment" not in trial.code()


def test_any_other_vlm_never_by_the_embedded_model_unless_it_is_named(other, stimulus):
    trial = run_trial(other, stimulus, measures="uncertainty", **QUICK)
    assert trial.uncertainty.judge.name == "rules" and trial.uncertainty.judge.automatic
    assert "entailment='rules'" in trial.code()
    named = run_trial(other, stimulus, measures="uncertainty", entailment="embedded", **QUICK)
    assert named.uncertainty.judge.foreign and "entailment='embedded'" in named.code()
    assert measure_uncertainty(other, stimulus, **QUICK).entailment == "rules"
    assert (
        compare([stimulus], other, measures="uncertainty", **QUICK).trials[0].uncertainty.entailment
        == "rules"
    )


def test_a_model_that_is_loaded_is_a_stage_of_its_own(other, stimulus):
    told = []
    folder = str(embedded.ENTAILMENT)
    for _ in range(2):
        run_trial(
            other,
            stimulus,
            measures="uncertainty",
            entailment=folder,
            progress=lambda *step: told.append(step),
            **QUICK,
        )
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["entailment", "prompt", "samples", "clusters"]
    assert [step for step in told if step[0] == "entailment"] == [
        ("entailment", 0, 100),
        ("entailment", 100, 100),
    ]


def test_a_wrong_name_is_refused_before_anything_is_sampled(other, stimulus):
    for run in (run_trial, measure_uncertainty):
        with pytest.raises(InputError, match="there is no folder"):
            run(other, stimulus, entailment="./nowhere")
    with pytest.raises(InputError, match="there is no folder"):
        averages(other, datasets.scenes()[:1], entailment="./nowhere")


def test_averages_are_of_one_judge_and_shown_only_beside_trials_of_the_same(other, stimulus, tmp_path):
    store = tmp_path / "averages.json"
    ruled = averages(other, datasets.scenes()[:2], samples=3, store=store)
    assert ruled.entailment == "rules"
    with pytest.raises(InputError, match="entailment='rules', not 'embedded'"):
        averages(other, datasets.scenes()[:2], samples=3, store=store, entailment="embedded")
    ruled.use()
    try:
        same = for_trial(run_trial(other, stimulus, measures="uncertainty", samples=3))
        assert same["semantic_entropy"] is not None
        judged = run_trial(other, stimulus, measures="uncertainty", samples=3, entailment="embedded")
        different = for_trial(judged)
        assert different["semantic_entropy"] is None and different["predictive_entropy"] is not None
        assert "entailment embedded (not rules)" in different["note"]
    finally:
        ruled.use(False)


def test_the_doubt_stands_beside_the_number_wherever_it_is_shown(doubted, trial):
    view = trial_view(doubted)["uncertainty"]
    assert view["judge"]["doubts"] == [DOUBT] and any("5 of 6 pairs" in text for text in view["caveats"])
    html = doubted._repr_html_()
    assert html.index(DOUBT) < html.index("nats")  # above the numbers, as text, not as a tool-tip
    frame = doubted.to_frame().iloc[0]
    assert frame["entailment_doubts"] == DOUBT and "5 of 6 pairs" in frame["caveats"]
    assert trial.to_frame().iloc[0]["entailment_doubts"] == ""

    figure = doubted.plot()
    assert any("(!)" in axis.get_xlabel() for axis in figure.axes)
    assert not any("(!)" in axis.get_xlabel() for axis in trial.plot().axes)

    from isi_widget.study.compare import Comparison

    both = Comparison((trial, doubted), ("sure", "doubted"))
    side = both._repr_html_()
    assert "meanings compared by" in side and side.count("(!)") >= 5 and DOUBT in side
    assert "(!)" not in Comparison((trial,), ("sure",))._repr_html_()
    (spread,) = [axis for axis in both.plot().axes if "(!)" in axis.get_xlabel()]
    assert [tick.get_text() for tick in spread.get_yticklabels()] == ["sure", "doubted (!)"]


def test_the_repr_marks_the_number(doubted, trial):
    assert "bayesian_semantic_entropy=" in repr(doubted) and "(!) see uncertainty.caveats" in repr(doubted)
    assert "(!)" not in repr(trial)


def test_reports_say_it_too(doubted, trial):
    import io

    from pypdf import PdfReader

    def text_of(trials):
        pages = PdfReader(io.BytesIO(report(trials))).pages
        return " ".join(" ".join(page.extract_text() for page in pages).split())

    assert f"(!) {DOUBT}" in text_of(doubted)
    together = text_of([trial, doubted])
    assert "(!):" in together and DOUBT in together


def test_it_comes_back_from_the_record(doubted):
    again = Trial.from_dict(doubted.to_dict())
    assert again.uncertainty.judge == doubted.uncertainty.judge and again.view() == doubted.view()
