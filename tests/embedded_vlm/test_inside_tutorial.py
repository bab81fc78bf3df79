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


def test_cuts_in_two_layers_and_one_head_turn_a_certain_yes_into_a_certain_no(shown):
    answers, entropy, _ = rows(shown["existence"])
    wrong = {name for name, answer in answers.items() if answer == "No"}
    assert wrong == {"image cut in layer 0", "image cut in layer 1", "head 0 of layer 1 off"}
    assert {answers[name] for name in answers.keys() - wrong} == {"Yes"}
    assert max(entropy.values()) < 0.1
    fluent = {answer.text for answer in shown["existence"]["head 0 of layer 1 off"].uncertainty.answers}
    assert fluent == {"No", "No, I see no purple triangle.", "No, that is not right."}


def test_of_the_relation_only_the_entropy_shows_the_cut(shown):
    answers, entropy, p_yes = rows(shown["relation"])
    assert set(answers.values()) == {"Yes"}
    assert entropy["plain"] < 0.1 and 0.6 < entropy["image cut in layer 0"] < 0.75
    assert p_yes["plain"] > 0.99 and p_yes["image cut in layer 0"] == pytest.approx(0.88, abs=0.01)
    assert p_yes["head 0 of layer 1 off"] > 0.9
    assert all(entropy[f"image cut in layer {layer}"] < 0.1 for layer in (1, 2, 3))


def test_the_image_reaches_the_answer_through_the_question_in_the_first_two_layers(shown):
    changed, number = dict(shown["changed"]), len(shown["stimuli"])
    assert number == 10 and min(changed.pop(("question", layer)) for layer in (0, 1)) >= 9
    assert changed.pop(("head", 0)) >= 8
    assert set(changed.values()) == {0} and len(changed) == 11


def test_every_tenth_scene_asks_whether_something_is_there(shown):
    questions = [stimulus.question for stimulus in shown["stimuli"]]
    assert all(question.startswith("Is there a") for question in questions)
