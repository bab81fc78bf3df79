"""The notebook of the ISI protocol: its statements for all observations, and the same cells on other data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiny_models

import isi_widget as isi

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_isi_protocol.ipynb"
SHARED = Path(os.environ.get("ISI_SHARED", Path(__file__).parents[3] / "shared"))
PHOTOGRAPHS = SHARED / "data" / "isi-vqa"
ENTROPY = "bayesian_semantic_entropy"


def cells():
    """The code cells by their names."""
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}


def run(names, only=("conditions", "table", "figure", "differences", "warning")):
    """Run cells with some variables in place of the first cell; returns all variables."""
    import matplotlib as mpl

    mpl.use("agg")
    every = cells()
    for name in only:
        exec(every[name], names)
    return names


@pytest.fixture(scope="module")
def shown():
    """All variables for all observations."""
    before = os.environ.pop("ISI_OBSERVATIONS", None)
    try:
        names: dict[str, object] = {}
        exec(cells()["data"], names)
        return run(names)
    finally:
        if before is not None:
            os.environ["ISI_OBSERVATIONS"] = before


@pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(),
    reason=f"the ISI VQA data are not at {PHOTOGRAPHS}; set ISI_SHARED to the folder above data/isi-vqa",
)
def test_the_same_cells_run_on_the_photographs_of_isi_with_a_llava():
    names = run(
        {
            "isi": isi,
            "data": isi.datasets.isi_vqa(PHOTOGRAPHS),
            "vlm": tiny_models.vlm("llava"),
            "observations": 3,
            "samples": 2,
        }
    )
    study = names["study"]
    assert len(study) == 60 and not len(study.failed) and study.data == "isi-vqa"
    boxed = study.frame(["row", "condition"]).query("condition == 'boxed object, empty'")["row"].iloc[0]
    stimulus = study.stimulus(int(boxed))
    box, width, height = stimulus.operations[0], stimulus.image.width, stimulus.image.height
    assert (box.x, box.y) == (width / 3, height / 3) and (box.width, box.height) == (width / 3, height / 3)
    assert names["table"].shape == (20, 5) and len(names["figure"].get_axes()) == 4
    assert (names["means"].loc["natural, empty", "same answer"]) == 1


def test_the_last_cells_need_no_model_so_the_notebook_is_changed_in_one_cell():
    for name, source in cells().items():
        if name not in ("data", "conditions"):
            assert "load_vlm" not in source and "run_study" not in source
        if name != "data":
            assert "datasets" not in source


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_what_is_found_is_what_the_cells_show(shown):
    """Each number in the last cell of the notebook."""
    study, means = shown["study"], shown["means"]
    assert len(study) == 2000 and len(study.failed) == 4
    assert set(study.failed["condition"]) == {f"annotated, {name}" for name in shown["CONTEXTS"]}
    accuracy = means["accuracy"].round(2)
    for name, expected in {
        "natural, empty": 0.88, "natural, contradictory": 0.69, "natural, complementary": 0.96,
        "boxed object, empty": 0.48, "boxed object, complementary": 0.86, "boxed object, contradictory": 0.25,
        "noise, empty": 0.82, "annotated, empty": 0.97,
    }.items():  # fmt: skip
        assert accuracy[name] == expected, name
    assert means.loc[[name for name in means.index if "random" in name], "accuracy"].isna().all()
    entropy = means[ENTROPY].round(2)
    for name, expected in {
        "natural, empty": 0.27, "natural, contradictory": 0.63, "boxed object, empty": 0.76,
        "noise, empty": 0.37, "natural, random": 0.54,
    }.items():  # fmt: skip
        assert entropy[name] == expected, name
    image = means["attention_relative_image"].round(2)
    assert (image[["natural, empty", "boxed object, empty", "random image, empty"]] == 0.48).all()
    context = means["attention_relative_context"]
    assert context[[name for name in means.index if not name.endswith("empty")]].between(0.12, 0.24).all()
    assert round(means.loc["random image, empty", "same answer"], 2) == 0.31
    assert entropy["random image, empty"] == 0.48
    answers = shown["rows"].groupby("condition")["answer"].value_counts(normalize=True)
    before, after = answers["natural, empty"], answers["random image, empty"]
    assert round(before["No"], 2) == 0.32 and round(after["No"], 2) == 0.54
    assert round(sum(before * after.reindex(before.index).fillna(0.0)), 2) == 0.23


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_which_differences_hold_and_where_entropy_warns(shown):
    table = shown["differences"]
    right = table[table["column"] == "correct"].set_index("condition")["p_holm"].round(2)
    assert right["natural, contradictory"] < 0.01 and right["natural, complementary"] == 0.08
    assert right["noise, empty"] > 0.05 and right["annotated, empty"] == 0.17
    assert right["boxed object, empty"] < 0.01 and right["boxed object, contradictory"] < 0.01
    auroc = shown["warns"].set_index("condition")
    assert auroc["auroc"].round(2)["natural, empty"] == 0.89
    assert auroc["auroc"].round(2)["natural, contradictory"] == 0.61
    covered = auroc.loc["boxed object, contradictory"]
    assert round(covered["auroc"], 2) == 0.43 and covered["low"] < 0.5 < covered["high"]
    assert covered["wrong"] == 75
