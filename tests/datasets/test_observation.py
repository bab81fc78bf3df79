"""Observation and Dataset: lazy images, truth in its normal form, random presets."""

from __future__ import annotations

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError


def grey(value: int) -> np.ndarray:
    return np.full((6, 8), value, np.uint8)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (True, "Yes"),
        (False, "No"),
        (1, "Yes"),
        (0, "No"),
        (np.bool_(True), "Yes"),
        ("yes", "Yes"),
        (" NO ", "No"),
    ]
    + [("three", "three"), ("1", "1"), ("", None), (None, None)]
    + [(np.float64(1.0), "Yes"), (np.int8(0), "No"), (np.array(1.0), "Yes"), (np.str_("yes"), "Yes")]
    + [(Decimal(1), "Yes"), (np.nan, None), (float("nan"), None), (np.float32("nan"), None)]
    + [(pd.NA, None), (pd.NaT, None), (pd.Series([True, None], dtype="boolean")[0], "Yes")]
    + [("NA", "NA"), ("nan", "nan"), ("None", "None")],
)
def test_truth_in_its_normal_form(given: object, normal: str | None) -> None:
    assert Observation(grey(0), "q", answer=given).answer == normal


@pytest.mark.parametrize("value", [3, 0.5, np.float64(3.0), np.inf, -1])
def test_a_count_as_a_number_is_refused(value: float) -> None:
    with pytest.raises(InputError, match='pass a count as text, as in "3"'):
        Observation(grey(0), "q", answer=value)


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, pd.NaT])
def test_an_empty_cell_of_a_frame_counts_as_not_given(empty: object) -> None:
    obs = Observation(
        grey(0), "q", empty, empty, empty, contexts={"irrelevant": empty}, level=empty, id=empty
    )
    assert (obs.context, obs.answer, obs.annotated, obs.contexts) == ("", None, None, {})
    assert (obs.level, obs.id) == (None, None)
    with pytest.raises(InputError, match="question must be text"):
        Observation(grey(0), empty)


def test_an_index_that_is_not_there_says_how_many_there_are() -> None:
    data = Dataset([Observation(grey(i), "q") for i in range(3)], "mine")
    for index in (3, -4, 10**9):
        with pytest.raises(IndexError, match=f"no observation {index}: 'mine' has 3, from 0 to 2"):
            data[index]
    assert len(list(iter(data))) == len(list(reversed(data))) == 3  # iteration ends
    with pytest.raises(IndexError, match="is empty"):
        data[:0][0]


def test_a_random_preset_passes_over_a_picture_that_cannot_be_loaded() -> None:
    def broken() -> np.ndarray:
        raise InputError("truncated")

    data = Dataset([Observation(grey(1), "a"), Observation(broken, "b"), Observation(grey(2), "c")], "d")
    for seed in range(10):
        assert data[0].stimulus().with_image(preset="random", seed=seed).current_image.array()[0, 0, 0] == 2
    with pytest.raises(InputError, match="truncated"):
        data[1].stimulus()


def test_lazy_images_are_made_when_needed_and_shared_while_in_use() -> None:
    calls: list[int] = []

    def make() -> np.ndarray:
        calls.append(1)
        return grey(5)

    obs = Observation(make, "q", annotated=make)
    assert not calls
    stimulus = obs.stimulus()
    assert len(calls) == 1  # the annotated one is not needed yet
    assert obs.image is stimulus.image and len(calls) == 1
    assert stimulus.with_image(preset="annotated").current_image == obs.image
    assert len(calls) == 2


def test_random_presets_never_give_the_same_observation_nor_the_same_image() -> None:
    data = Dataset(
        [
            Observation(grey(value), f"q{i}", contexts={"complementary": f"c{i}"})
            for i, value in enumerate([1, 1, 2, 3])
        ],
        "d",
    )
    for obs in data:
        stimulus = obs.stimulus()
        images = {
            stimulus.with_image(preset="random", seed=seed).current_image.array()[0, 0, 0]
            for seed in range(40)
        }
        contexts = {stimulus.with_context(preset="random", seed=seed).current_context for seed in range(40)}
        own = int(obs.image.array()[0, 0, 0])
        assert images == {1, 2, 3} - {own}
        assert contexts == {other.contexts["complementary"] for other in data if other.image != obs.image}
        assert stimulus.with_image(preset="random", seed=3) == stimulus.with_image(preset="random", seed=3)


def test_random_presets_need_other_observations() -> None:
    assert Observation(grey(1), "q").presets.image_names == ("natural",)
    same = Dataset([Observation(grey(1), "a"), Observation(grey(1), "b")], "d")
    with pytest.raises(InputError, match="every image here is the same"):
        same[0].stimulus().with_image(preset="random", seed=1)


def test_a_data_set_is_a_sequence_whose_slices_keep_their_pool() -> None:
    data = Dataset([Observation(grey(i), f"q{i}", id=str(i)) for i in range(5)], "d")
    assert len(data) == 5 and data[-1].id == "4" and [obs.id for obs in data[1:3]] == ["1", "2"]
    assert data[1:2].name == "d" and data[1:2][0].presets.image_names == ("natural", "random")
    assert data[2] in data and data.index(data[3]) == 3


def black() -> np.ndarray:
    return grey(0)


def test_data_sets_and_observations_can_be_pickled_lazy_images_and_all() -> None:
    data = Dataset(
        [Observation(black, "a", annotated=grey(3), metadata={"k": 1}), Observation(grey(9), "b")], "d"
    )
    again = pickle.loads(pickle.dumps(data))
    assert again == data and again.name == "d" and hash(again) == hash(data)
    assert again[0].stimulus() == data[0].stimulus()
    assert again[0].stimulus().with_image(preset="random", seed=0).current_image == data[1].image
    alone = pickle.loads(pickle.dumps(data[0]))
    assert alone == data[0] and alone.dataset is None
    assert Observation(black, "a") != Observation(grey(1), "a")


def test_an_observation_cannot_be_changed() -> None:
    obs = Observation(grey(1), "q", metadata={"a": 1})
    with pytest.raises(AttributeError):
        obs.question = "other"
    with pytest.raises(TypeError):
        obs.metadata["a"] = 2
    obs.contexts["complementary"] = "x"
    assert obs.contexts == {}
