"""A trial whose uncertainty is enumerated: run, record, code, every picture of it; refused for servers."""

import io
import json
import math

import pypdf
import pytest

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.trial.settings import Settings
from isi_widget.vlm import VLM


@pytest.fixture(scope="module")
def trial(vlm):
    stimulus = isi.datasets.scenes()[3].stimulus().noise(0.6, seed=1)
    return isi.run_trial(vlm, stimulus, method="enumerated", temperature=1.0, mass=0.97)


def test_it_is_exact_and_needs_no_seed(vlm, trial):
    u = trial.uncertainty
    assert u.method == "enumerated" and u.rest <= 0.03 and trial.answer is not None
    low, high = u.interval("bayesian_semantic_entropy")
    assert low <= u.bayesian_semantic_entropy <= high < low + 0.2
    other = isi.measure_uncertainty(
        vlm, trial.stimulus, method="enumerated", temperature=1.0, mass=0.97, seed=99
    )
    assert other.probabilities == u.probabilities and other.cluster_ids == u.cluster_ids
    drawn = isi.measure_uncertainty(vlm, trial.stimulus, samples=400, temperature=1.0)
    shares = {name: n / 400 for name, n in zip(drawn.cluster_names, drawn.cluster_counts, strict=True)}
    for name, p in zip(u.cluster_names, u.cluster_probabilities, strict=True):
        assert shares.get(name, 0.0) == pytest.approx(p, abs=0.1)


def test_it_is_kept_and_repeated(vlm, trial):
    again = isi.Trial.from_dict(json.loads(json.dumps(trial.to_dict(), allow_nan=False)))
    assert again == trial and again.settings.method == "enumerated"
    assert "mass=0.97" in trial.code() and "method='enumerated'" in trial.code()
    space = {}
    exec(trial.code(), space)
    assert space["trial"].uncertainty == trial.uncertainty
    old = trial.to_dict()
    for name in ("method", "mass", "budget"):
        del old["settings"][name]
    assert isi.Trial.from_dict(old).settings.method == "sampled"


def test_pictures_show_probabilities_and_no_counts(trial):
    view = trial.view()["uncertainty"]
    assert [entropy["name"] for entropy in view["entropies"]] == [
        "bayesian_semantic_entropy",
        "rao_quadratic_entropy",
    ]
    assert (
        view["curve"] is None
        and f"{1 - trial.uncertainty.rest:.1%}" in view["basis"]
        and view["intervals"] == "bounds"
    )
    assert all(cluster["count"] is None for cluster in view["clusters"])
    assert sum(cluster["share"] for cluster in view["clusters"]) == pytest.approx(1 - trial.uncertainty.rest)
    for cluster in view["clusters"]:
        masses = [answer["probability"] for answer in cluster["answers"]]
        assert masses == sorted(masses, reverse=True)
        assert sum(masses) == pytest.approx(cluster["probability"])
    static = trial._repr_html_()
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(trial.report())).pages)
    drawn = " ".join(item.get_text() for axis in trial.plot().axes for item in (*axis.texts, axis.title))
    share = view["clusters"][0]["share"]
    for shown in (static, text):
        assert "samples at temperature" not in shown and f"{share:.2f}" in shown
        assert "of the probability at temperature 1" in " ".join(shown.split())
    assert f"{share:.3f}" in drawn and "None" not in static + text + drawn and "count" not in drawn
    both = isi.compare([trial.stimulus], isi.load_vlm(), method="enumerated", mass=0.9)
    assert "bounds" in both._repr_html_()


def test_the_frame_has_no_wrong_number(trial):
    (row,) = trial.to_frame().to_dict("records")
    assert row["method"] == "enumerated" and row["mass"] == 0.97 and row["budget"] == 512
    assert row["rest"] == trial.uncertainty.rest and row["bayesian_semantic_entropy_low"] > 0
    for name in ("discrete_semantic_entropy", "semantic_entropy", "predictive_entropy", "lexical_similarity"):
        assert math.isnan(row[name]), name


def test_progress_texts_and_stops(vlm, trial):
    steps, texts = [], []
    isi.run_trial(
        vlm,
        trial.stimulus,
        measures=["uncertainty"],
        method="enumerated",
        progress=lambda *step: steps.append(step),
        on_text=lambda *event: texts.append(event),
    )
    samples = [(done, total) for stage, done, total in steps if stage == "samples"]
    assert samples[0] == (0, 100) and samples[-1] == (100, 100) and samples == sorted(samples)
    assert len(samples) > 4 and any(kind == "sample" for kind, _, _ in texts)
    with pytest.raises(isi.Cancelled):
        isi.measure_uncertainty(vlm, trial.stimulus, method="enumerated", cancel=lambda: len(steps) > 0)


def test_answers_that_are_too_long_are_said_so(vlm):
    stimulus = isi.datasets.scenes()[18].stimulus().noise(0.6, seed=1)
    u = isi.measure_uncertainty(vlm, stimulus, method="enumerated", temperature=1.5, budget=30)
    assert u.rest > 0.05 and any("too long or too many" in caveat for caveat in u.caveats)
    nothing = isi.run_trial(vlm, stimulus, method="enumerated", budget=1, top_p=0.5)
    assert nothing.uncertainty is None and nothing.answer is not None
    assert any("no answer ended there" in note for note in nothing.notes)


def test_a_model_that_cannot_is_refused_before_it_is_asked(vlm, trial):
    class Server(VLM):
        unavailable = {"enumeration": "A server shows only text."}  # noqa: RUF012

        def prefill(self, *args, **kwargs):
            raise AssertionError("asked")

    server = Server.__new__(Server)
    server.__dict__.update(vlm.__dict__, model_id="far")
    for run in (isi.run_trial, isi.measure_uncertainty):
        with pytest.raises(InputError, match=r"not possible with far. A server shows only text.*'sampled'"):
            run(server, trial.stimulus, method="enumerated")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "guessed"}, "'sampled' or 'enumerated'"),
        ({"mass": 0}, "mass must be"),
        ({"mass": 1.5}, "mass must be"),
        ({"budget": 0}, "budget must be"),
        ({"budget": 10**6}, "budget must be"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        Settings(**change)
    assert Settings(method="enumerated", mass=1, budget=3).enumerating() == {
        "mass": 1.0,
        "budget": 3,
        "temperature": 0.9,
        "top_k": 0,
        "top_p": 1.0,
        "max_new_tokens": 64,
    }


def test_averages_can_be_enumerated(vlm):
    data = isi.datasets.scenes()[:2]
    made = isi.averages(vlm, data, method="enumerated", mass=0.95)
    assert made.settings.method == "enumerated" and made.mean("bayesian_semantic_entropy") >= 0
    assert math.isnan(made.mean("discrete_semantic_entropy"))
