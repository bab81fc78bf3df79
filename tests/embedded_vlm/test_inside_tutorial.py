"""What the tutorial's section on the inside of the embedded model states is what its cells show."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import isi_widget as isi

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_probing_by_hand.ipynb"


@pytest.fixture(scope="module")
def shown(vlm):
    """The variables after the cells of the section."""
    data = isi.datasets.scenes()
    names = {"isi": isi, "data": data, "probe": SimpleNamespace(vlm=vlm), "plain": data[62].stimulus()}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code" and cell["id"].startswith("inside-"):
            exec("".join(cell["source"]), names)
    return names


def rows(comparison):
    frame = comparison.to_frame().set_index("condition")
    return frame["answer"].to_dict(), frame["bayesian_semantic_entropy"].to_dict(), frame["p_yes"].to_dict()


def test_a_cut_in_layer_1_turns_a_certain_yes_into_a_certain_no(shown):
    answers, entropy, _ = rows(shown["existence"])
    assert answers.pop("image cut in layer 1") == "No" and set(answers.values()) == {"Yes"}
    high = entropy.pop("head 5 of layer 0 off")
    assert high > 1 and max(entropy.values()) < 0.1
    broken = [answer.text for answer in shown["existence"]["head 5 of layer 0 off"].uncertainty.answers]
    assert "Yes, is purple object is a purple object.." in broken
    fluent = {answer.text for answer in shown["existence"]["image cut in layer 1"].uncertainty.answers}
    assert fluent == {"No", "No, I see no purple triangle.", "No, the picture shows no purple triangle."}


def test_of_the_relation_only_the_entropy_shows_the_cut(shown):
    answers, entropy, p_yes = rows(shown["relation"])
    assert set(answers.values()) == {"Yes"}
    assert entropy["plain"] < 0.1 and 0.6 < entropy["image cut in layer 1"] < 0.75
    assert p_yes["plain"] > 0.99 and p_yes["image cut in layer 1"] == pytest.approx(0.8, abs=0.05)
    assert all(entropy[f"image cut in layer {layer}"] < 0.1 for layer in (0, 2, 3))


def test_the_image_reaches_the_answer_through_the_question_in_layer_1(shown):
    changed = shown["changed"]
    assert changed.pop(("question", 1)) == len(shown["stimuli"]) == 10
    assert set(changed.values()) == {0} and len(changed) == 7


def test_no_single_head_of_layer_1_is_responsible(shown, vlm):
    for head in range(6):
        edited = vlm.intervene(isi.HeadScale(1, head, 0))
        for stimulus in (shown["data"][20].stimulus(), shown["plain"]):
            assert edited.answer(stimulus).text == "Yes"
