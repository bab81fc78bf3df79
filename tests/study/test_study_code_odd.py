"""Code of studies with lambdas and labels; figures of a study in every width; saving what is no stimulus."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
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


def by_hand(tmp_path):
    """Observations made by hand: of a file, of a small picture, of a scene, of a large picture."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise[:64, :64]).save(tmp_path / "file.png")
    small = Image.new("RGB", (64, 48), "red")
    annotated = Image.new("RGB", (64, 48), "blue")
    boxes = [(1, 2, 30, 20, "red thing")]
    return [
        isi.Observation(tmp_path / "file.png", "Is there a star?", 'A "note"\n', answer="No", id="a"),
        isi.Observation(
            small, "Is it red?", answer=True, annotated=annotated, level="attribute", boxes=boxes
        ),
        isi.datasets.scenes()[3],
        isi.Observation(noise, "Is it noise?", contexts={"contradictory": "It is flat."}, metadata={"n": 1}),
    ]


def test_code_of_data_made_by_hand_repeats_the_study(vlm, tmp_path):
    data = isi.datasets.Dataset(by_hand(tmp_path), name='my "own"')
    store = tmp_path / "store"
    study = isi.run_study(vlm, data, measures="answer", store=store)
    made = {}
    exec(study.code(), made)
    assert made["study"].store == store and made["study"].data == study.data
    assert made["study"].rows[COLUMNS].equals(study.rows[COLUMNS])  # the same store goes on
    exec(study.code().replace(f", store={str(store)!r}", ""), made)
    again = made["study"]
    assert again.store is None and again.rows[COLUMNS].equals(study.rows[COLUMNS])
    assert [item.boxes for item in made["data"]] == [item.boxes for item in data]
    assert made["data"][1].annotated == data[1].annotated and made["data"][3].contexts == data[3].contexts


def test_code_of_data_that_cannot_be_written_says_why(tmp_path):
    study = isi.run_study(StubVLM(), by_hand(tmp_path), measures="answer")  # no store for the large picture
    compile(study.code(), "code", "exec")
    assert "data = ...  # 4 observations, made by hand: put them here (a picture is too large" in study.code()
    many = by_hand(tmp_path)[:1] * 201
    study = isi.run_study(StubVLM(), many, measures="answer")
    assert "more than 200 are not written out" in study.code()
    lazy = [isi.Observation(lambda: Image.new("RGB", (64, 48), "red"), "Is it red?")]
    study = isi.run_study(StubVLM(), lazy, measures="answer")
    assert "their pictures are made by functions" in study.code()


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
