"""What the tutorial on paths and directions inside the embedded model states is what its cells show."""

from __future__ import annotations

import numpy as np
import pytest
from tutorials import variables_of


@pytest.fixture(scope="module")
def shown():
    """The variables after the cells of the tutorial."""
    names = variables_of("05_paths_and_lens.ipynb")
    yield names
    names["probe"].close()


def recovery(trace, group, site="residual"):
    return np.array([trace.recovery[trace.index(layer, group, site)] for layer in trace.layers])


def words(token):
    return [found[0][0].strip() for found in token.words]


def test_the_model_answers_both_sides_right(shown):
    vlm, pair = shown["vlm"], shown["pair"]
    assert pair.truths == ("Yes", "No") == tuple(vlm.answer(side).text for side in (pair.clean, pair.corrupt))


def test_the_colour_goes_from_the_star_to_the_question_to_the_last_token(shown):
    trace = shown["trace"]
    star, other, question, last = (recovery(trace, group) for group in shown["GROUPS"])
    assert min(star[:2]) > 0.9 and max(abs(star[2:])) < 0.05 and max(abs(other)) < 0.05
    assert max(abs(question[:2])) < 0.1 and question[2] > 0.5 > last[2] and last[3] > 0.5 > question[3]
    for layer, group in ((1, "edited region"), (2, "question")):
        assert abs(trace.control[trace.index(layer, group, "residual")]) < 0.05
    patched = shown["patched"].answer(shown["pair"].corrupt)
    assert patched.text == "Yes" and len(trace.positions[0][0]) == 13


def test_attention_of_layer_1_fetches_it_and_the_last_mlps_matter_most_at_the_last_token(shown):
    parts = shown["parts"]
    assert parts.top(2)[0][3] > 0.5
    question, last, mlp = (
        recovery(parts, *place)
        for place in (("question", "attention"), ("last", "attention"), ("last", "mlp"))
    )
    assert question.argmax() == 1 and question[1] > 0.5
    assert min(mlp[2:]) > 2 * max(last[2:]) and max(abs(mlp[:2])) < 0.1


def test_what_is_needed_adds_up_to_more_than_1(shown):
    question, last = (recovery(shown["needed"], group) for group in ("question", "last"))
    assert question[2] > 0.7 and last[3] > 0.7 and question[3] + last[3] > 1.05
    assert min(recovery(shown["needed"], "edited region")[:2]) > 0.9


def test_one_gradient_finds_next_to_nothing(shown):
    found = shown["estimated"].agreement
    assert abs(found["gradient"]["correlation"]) < 0.3 and found["gradient"]["largest_difference"] > 0.9
    assert found["integrated"]["correlation"] > 0.9
    assert abs(shown["estimated"].estimates["gradient"]).max() < 0.15


def test_the_cut_hurts_in_layer_1_alone_and_random_keys_cost_nothing(shown):
    curve = shown["curve"]
    edited, rest, image, _ = curve.mean
    assert curve.n == 8 and 0.4 < edited[1] < 0.6 and min(np.delete(edited, 1)) > 0.95
    assert np.nanmin(curve.control) > 0.95 and np.isnan(curve.control[1:3]).all()
    assert image[1] < 0.75 and min(np.delete(image, 1)) > 0.95 and rest[0] < 0.9
    assert any("too few other tokens" in note for note in curve.notes)


def test_blue_stands_on_the_star_and_yes_comes_out_last(shown):
    lens, (x, y, width, height) = shown["lens"], shown["pair"].box
    star = lens.at(x + width / 2, y + height / 2)
    assert words(star)[:2] == ["blue", "blue"] and max(star.words[layer][0][1] for layer in (0, 1)) < 0.1
    heat = lens.heat("blue", 1)
    inside = heat[y : y + height, x : x + width]
    assert np.nanmean(inside) > 5 * np.nanmean(heat) and np.nanmax(inside) == np.nanmax(heat)
    answer = words(lens.answer)
    assert answer[0] == "star" and answer.index("Yes") == 3


def test_the_direction_turns_every_answer_and_a_random_one_does_not(shown):
    counts = shown["counts"]
    assert (
        counts["no change"]
        == {"Yes": 5, "No": 5, "other": 0}
        == counts["random direction 1"]
        == counts["random direction 2"]
    )
    assert (
        counts["towards Yes"]["Yes"]
        == counts["towards No"]["No"]
        == 10
        == counts["random direction 0"]["other"]
    )


def test_the_probe_gives_the_same(shown):
    probe, trace = shown["probe"], shown["trace"]
    again = probe.trace_between(1, 2)
    assert again.recovery[again.index(1, "edited region", "residual")] == pytest.approx(
        trace.recovery[trace.index(1, "edited region", "residual")], abs=1e-4
    )
    assert probe.pinned == [1, 2]
