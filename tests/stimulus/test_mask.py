"""Masks: runs against NumPy, distances against a brute loop, effects that change nothing outside."""

from __future__ import annotations

import json
import pickle
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.report.pdf.words import in_words
from isi_widget.stimulus import (
    Blur,
    Downscale,
    Erase,
    GaussianNoise,
    Jpeg,
    Mask,
    Pixelate,
    Stimulus,
    load_image,
    operation_from_dict,
)
from isi_widget.stimulus import mask as module
from isi_widget.stimulus.serial import schema

WIDTH, HEIGHT = 23, 17
NOISE = load_image(np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
arrays = hnp.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans(), fill=st.booleans())
any_arrays = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
feathers = st.sampled_from([0, 0.5, 1, 2.5, 6])
effects = st.sampled_from(
    [
        lambda region: GaussianNoise(0.5, 3, region),
        lambda region: Blur(2.0, region),
        lambda region: Pixelate(4, region),
        lambda region: Downscale(9, region),
        lambda region: Jpeg(10, region),
        lambda region: Erase(region),
        lambda region: Erase(region, "inpaint"),
        lambda region: Erase(region, "#12ab34"),
    ]
)


def distances(inside: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one inside, by trying all."""
    ys, xs = np.nonzero(inside)
    if not ys.size:
        return np.full(inside.shape, np.inf)
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]]
    return np.sqrt(((y[..., None] - ys) ** 2 + (x[..., None] - xs) ** 2).min(axis=2))


@given(any_arrays, feathers)
def test_an_array_comes_back_from_runs_json_text_code_and_pickle(array: np.ndarray, feather: float) -> None:
    mask = Mask.from_array(array, feather)
    np.testing.assert_array_equal(mask.array(), array)
    assert mask.size == array.shape[::-1]
    assert sum(mask.runs) == array.size and all(run > 0 for run in mask.runs[1:])
    assert mask.area == array.sum()
    for same in (
        Mask(mask.size, mask.runs, feather),
        Mask(mask.size, np.array(mask.runs), feather),
        Mask.from_dict(json.loads(json.dumps(mask.to_dict()))),
        Mask.from_text(mask.size, mask.to_text(), feather),
        pickle.loads(pickle.dumps(mask)),
    ):
        assert same == mask and hash(same) == hash(mask)


@given(any_arrays)
def test_box_is_that_of_the_pixels_inside(array: np.ndarray) -> None:
    ys, xs = np.nonzero(array)
    box = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) if ys.size else (0, 0, 0, 0)
    assert Mask.from_array(array).box == box


@given(arrays, st.data())
def test_a_part_of_the_array_is_that_part(array: np.ndarray, data: st.DataObject) -> None:
    left, right = sorted((data.draw(st.integers(0, WIDTH)), data.draw(st.integers(0, WIDTH))))
    top, bottom = sorted((data.draw(st.integers(0, HEIGHT)), data.draw(st.integers(0, HEIGHT))))
    mask = Mask.from_array(array, data.draw(feathers))
    bounds = (left, top, right, bottom)
    np.testing.assert_array_equal(mask.array(bounds), array[top:bottom, left:right])
    np.testing.assert_array_equal(mask.alpha(bounds), mask.alpha()[top:bottom, left:right])


@given(arrays, arrays)
def test_sets_agree_with_numpy(a: np.ndarray, b: np.ndarray) -> None:
    one, two = Mask.from_array(a, 3), Mask.from_array(b)
    for found, expected in ((one | two, a | b), (one & two, a & b), (one - two, a & ~b), (~one, ~a)):
        np.testing.assert_array_equal(found.array(), expected)
        assert found.feather == 3
        assert found == Mask(found.size, found.runs, 3)


@given(arrays, st.sampled_from([0, 1, 1.5, 2, 3, 7]))
def test_grow_agrees_with_a_brute_loop(array: np.ndarray, pixels: float) -> None:
    mask = Mask.from_array(array)
    np.testing.assert_array_equal(mask.grow(pixels).array(), distances(array) <= pixels)
    if pixels:
        np.testing.assert_array_equal(mask.grow(-pixels).array(), array & (distances(~array) > pixels))


@given(arrays, feathers)
def test_the_soft_edge_falls_within_its_width(array: np.ndarray, feather: float) -> None:
    mask = Mask.from_array(array, feather)
    far, alpha = distances(array), mask.alpha()
    assert (alpha[array] == 255).all()
    edge = np.maximum(far - 0.5, 0)
    expected = 255 * (np.clip(1 - edge / feather, 0, 1) if feather else array)
    np.testing.assert_allclose(alpha, expected, atol=0.51)
    assert (alpha[edge >= max(feather, 0.5)] == 0).all()
    left, top, right, bottom = mask.bounds
    outside = np.ones_like(array)
    outside[top:bottom, left:right] = False
    assert (alpha[outside] == 0).all()


@given(arrays, feathers, effects)
def test_outside_of_a_mask_nothing_changes(array: np.ndarray, feather: float, effect: Any) -> None:
    stimulus = Stimulus(NOISE, "q?").with_operations([effect(Mask.from_array(array, feather))])
    changed = (np.asarray(stimulus.render()) != NOISE.array()).any(axis=2)
    alpha = Mask.from_array(array, feather).alpha()
    assert not changed[alpha == 0].any()
    back = Stimulus.from_json(stimulus.to_json())
    assert back == stimulus and back.key == stimulus.key
    jsonschema.Draft202012Validator(schema()).validate(stimulus.to_dict())


def test_a_hard_mask_of_a_rectangle_acts_as_the_rectangle() -> None:
    box = (4, 3, 9, 8)
    plain, mask = Stimulus(NOISE, "q?"), Mask.from_box(NOISE.size, box)
    assert mask.box == box
    for drawn in (
        lambda region: plain.noise(0.3, seed=5, region=region),
        lambda region: plain.blur(3, region=region),
        lambda region: plain.pixelate(3, region=region),
        lambda region: plain.erase(region, fill="inpaint"),
    ):
        np.testing.assert_array_equal(np.asarray(drawn(box).render()), np.asarray(drawn(mask).render()))


def test_a_soft_edge_blends() -> None:
    mask = Mask.from_box(NOISE.size, (8, 6, 5, 5), feather=4)
    alpha = mask.alpha()[..., None] / 255
    seen = np.asarray(Stimulus(NOISE, "q?").erase(mask, fill="white").render(), dtype=float)
    np.testing.assert_allclose(seen, 255 * alpha + NOISE.array() * (1 - alpha), atol=1)


def test_the_printed_python_makes_the_same_masks_again() -> None:
    ragged = Mask.from_array(np.random.default_rng(4).random((HEIGHT, WIDTH)) > 0.5, feather=1.5)
    few = Mask.from_box(NOISE.size, (2, 2, 4, 3))
    obs = isi.Observation(NOISE, "q?")
    once = obs.stimulus().noise(0.3, region=few)
    assert once.code().startswith("mask = isi.Mask((23, 17), [48, 4, 19, 4, 19, 4, 293])\ns = (")
    assert "\nmask_s = (" in once.code("mask_s")
    several = once.erase(ragged, fill="inpaint").blur(2, region=few)
    assert several.code().count("isi.Mask") == 2
    for stimulus in (once, several):
        for name in ("s", "mask", "region_1"):
            space: dict[str, Any] = {"isi": isi, "obs": obs}
            exec(stimulus.code(name), space)
            assert space[name] == stimulus
    assert max(map(len, several.code().splitlines())) <= 110


def test_a_mask_of_another_image_is_refused_with_one_message() -> None:
    mask = Mask.from_box((50, 40), (1, 1, 5, 5))
    plain = Stimulus(NOISE, "q?")
    expected = "erase: the mask belongs to an image of 50 x 40 pixels, but the image here has 23 x 17"
    for call in (
        lambda: plain.erase(mask),
        lambda: plain.with_operations([{"op": "erase", "region": mask.to_dict()}]),
        lambda: Stimulus(NOISE, "q?", operations=(Erase(mask, hidden=True),)),
    ):
        with pytest.raises(InputError, match=expected):
            call()


def test_on_a_replaced_image_of_another_size_a_mask_paints_nothing() -> None:
    mask = Mask.from_box(NOISE.size, (1, 1, 5, 5))
    large = load_image(np.zeros((40, 50, 3), np.uint8))
    drawn = Stimulus(NOISE, "q?").erase(mask, fill="red")
    moved = drawn.with_image(large)
    assert moved.drawings == () and moved.key == moved.without(0).key
    np.testing.assert_array_equal(np.asarray(moved.render()), large.array())
    assert Stimulus.from_json(moved.to_json()) == moved
    with pytest.warns(UserWarning, match="has a mask of another image's size"):
        moved.replace(0, Erase(mask, "blue"))
    assert moved.undo() == drawn
    with pytest.warns(UserWarning, match="has a mask of another image's size"):
        later = Stimulus(NOISE, "q?").with_image(large).erase(mask)
    assert later.drawings == ()


def test_an_empty_mask_paints_nothing_and_warns() -> None:
    empty = Mask((WIDTH, HEIGHT), [WIDTH * HEIGHT])
    with pytest.warns(UserWarning, match="paints nothing"):
        stimulus = Stimulus(NOISE, "q?").noise(0.5, region=empty)
    np.testing.assert_array_equal(np.asarray(stimulus.render()), NOISE.array())
    assert empty.grow(5) == empty and (~empty).grow(-5) == ~empty


def test_the_words_of_the_report_give_area_and_box() -> None:
    mask = Mask.from_box(NOISE.size, (2, 3, 4, 5), feather=2)
    assert in_words(Blur(2, mask).to_dict()).endswith(
        "in a mask of 20 px within 4 \N{MULTIPLICATION SIGN} 5 px at (2, 3), soft edge of 2 px"
    )


WRONG: list[tuple[Any, str]] = [
    ({"size": [2, 2]}, "missing key 'runs'"),
    ({"size": [2, 2], "runs": [4], "colour": 1}, "unknown key 'colour'"),
    ({"size": [2, 2], "runs": [3]}, '"runs" must sum to 2 x 2 = 4 pixels, got 3'),
    ({"size": [2, 2], "runs": [5]}, "got 5"),
    ({"size": [2, 2], "runs": []}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": "4"}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": None}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": {"0": 4}}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": [1.5, 2.5]}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": [True, 3]}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": [[1], [3]]}, '"runs" must be a list of whole numbers'),
    ({"size": [2, 2], "runs": [1, 0, 3]}, "must be from 1 to"),
    ({"size": [2, 2], "runs": [-1, 5]}, "must be from 1 to"),
    ({"size": [2, 2], "runs": [10**30]}, "must be from 1 to"),
    ({"size": [2, 2], "runs": [-(10**30), 4]}, "must be from 1 to"),
    ({"size": [2, 2], "runs": [10**8] * 5}, "must sum to"),
    ({"size": [0, 2], "runs": [0]}, '"size" must be'),
    ({"size": [2], "runs": [4]}, '"size" must be'),
    ({"size": [2, 2.0], "runs": [4]}, '"size" must be'),
    ({"size": [60_000, 60_000], "runs": [3_600_000_000]}, "together at most 100 megapixels"),
    ({"size": [10**30, 1], "runs": [10**30]}, '"size" must be'),
    ({"size": "22", "runs": [4]}, '"size" must be'),
    ({"size": [2, 2], "runs": [4], "feather": -1}, '"feather" must be a number from 0 to 1000'),
    ({"size": [2, 2], "runs": [4], "feather": 1e9}, '"feather" must be a number from 0 to 1000'),
    ({"size": [2, 2], "runs": [4], "feather": None}, '"feather" must be a number from 0 to 1000'),
    ([4], "A mask must be"),
]


@pytest.mark.parametrize(("record", "message"), WRONG)
def test_wrong_json_gets_one_message(record: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        operation_from_dict({"op": "erase", "region": {"mask": record}})
    assert message in str(caught.value) and len(str(caught.value)) < 400


def test_hostile_masks_are_refused_before_they_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at most 1000000 numbers, got 1000001"):
        Mask((10_000, 10_000), [1] * 1_000_001)
    with pytest.raises(InputError, match="A mask must be"):
        operation_from_dict({"op": "erase", "region": {"mask": {}, "more": 1}})
    monkeypatch.setattr(module, "MOST_RUNS", 100)
    checks = np.indices((20, 20)).sum(axis=0) % 2 > 0
    with pytest.raises(InputError, match="at most 100 runs, got 381"):
        Mask.from_array(checks)


def test_all_masks_of_a_stimulus_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isi_widget.stimulus.effort.MOST_RUNS", 20)
    stimulus = Stimulus(NOISE, "q?").noise(region=Mask.from_box(NOISE.size, (2, 2, 4, 4)))
    with pytest.raises(InputError, match="at most 20 runs in all, got 24"):
        stimulus.noise(region=Mask.from_box(NOISE.size, (2, 2, 4, 7)))


@pytest.mark.parametrize("text", ["", "AAAA", "x", 5, "eJxjYGBgAAAABAAC"])
def test_damaged_text_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match="the text is damaged"):
        Mask.from_text((2, 2), text)


def test_text_that_unpacks_to_far_more_is_refused() -> None:
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(InputError, match="the text is damaged"):
        Mask.from_text((2, 2), bomb)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="an array of bool"):
        Mask.from_array([[True], [True, False]])


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(InputError, match=r"bool \[height, width\] that is not empty, got uint8 \[2, 2\]"):
        Mask.from_array(np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match="of the same size combine, got 2 x 2 and 3 x 2"):
        Mask((2, 2), [4]) | Mask((3, 2), [6])
    with pytest.raises(InputError, match="combines with another mask only, got int"):
        Mask((2, 2), [4]) | 5  # type: ignore[operator]
    with pytest.raises(AttributeError, match="cannot be changed"):
        Mask((2, 2), [4]).feather = 3  # type: ignore[misc]


def test_a_mask_of_twelve_megapixels_stays_small() -> None:
    y, x = np.ogrid[:3000, :4000]
    mask = Mask.from_array((y - 1500) ** 2 + (x - 2000) ** 2 < 1_400**2)
    assert mask.run_count < 6000
    assert len(mask.to_text()) < 8_000
    assert mask.area == pytest.approx(np.pi * 1_400**2, rel=1e-3)
