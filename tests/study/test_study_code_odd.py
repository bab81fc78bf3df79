"""Code of studies with lambdas and labels; figures of a study in every width; saving what is no stimulus."""

from __future__ import annotations

import pytest
from stub_vlm import StubVLM

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.study.steps import UNNAMED

COLUMNS = ["model", "condition", "question", "stimulus_key", "answer"]


def test_code_with_a_lambda_says_what_to_define():
    conditions = {"soft": lambda s: s.noise(0.2), "plain": isi.condition("x")}
    study = isi.run_study(StubVLM(), isi.datasets.scenes()[:1], conditions, measures="answer")
    compile(study.code(), "code", "exec")
    assert f"# define the function {UNNAMED!r} here" in study.code() and f".apply({UNNAMED})" in study.code()


def test_code_keeps_the_label_of_a_single_model(vlm):
    data = isi.datasets.scenes()[:1]
    for models, label in (({"mine": vlm}, "mine"), (vlm, vlm.model_id)):
        study = isi.run_study(models, data, measures="answer")
        made = {}
        exec(study.code(), made)
        assert made["study"].rows[COLUMNS].equals(study.rows[COLUMNS])
        assert set(study.rows["model"]) == {label}


@pytest.mark.parametrize("width", ["column", "page", "slide", 2])
def test_a_figure_of_a_study_in_every_width(tmp_path, width):
    conditions = [isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.4]))]
    measures = ["answer", "yes_no"]
    study = isi.run_study(StubVLM(), isi.datasets.scenes()[:4], conditions, measures=measures)
    for kind in ("table", "paired", "curves"):
        path = isi.save_figure(study, tmp_path / f"{kind}.svg", kind=kind, width=width)
        assert path.stat().st_size > 1000


def test_only_a_stimulus_is_saved_as_an_observation(tmp_path):
    observation = isi.datasets.scenes()[0]
    for wrong in (observation, tmp_path):
        with pytest.raises(InputError, match="takes a folder and a stimulus"):
            isi.datasets.save_observation(tmp_path, wrong)
    saved = isi.datasets.save_observation(tmp_path / "a", observation.stimulus(), id="\ud800")
    assert saved.id == "\ufffd"
