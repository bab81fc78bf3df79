"""Edits of things, attributes and relations: what they change and what not, stored pixels, truth.

Longer than other files because all of it shares the pictures, the random regions and the slow in-painter.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from isi_widget.errors import Cancelled, InputError
from isi_widget.report.pdf.words import in_words
from isi_widget.stimulus import (
    Inpainter,
    Mask,
    Picture,
    Presets,
    Recolor,
    Remove,
    Stimulus,
    completing,
    inpainters,
    load_image,
    register_inpainter,
)
from isi_widget.stimulus import inpainting as ip
from isi_widget.stimulus.oklab import from_oklab, lightness, shades, to_oklab

WIDTH, HEIGHT = 31, 23
NOISE = load_image(np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
OTHER = load_image(np.random.default_rng(5).integers(0, 256, (12, 9, 3), dtype=np.uint8))
START = Stimulus(NOISE, "Is there a dog?", true_answer="Yes")
BOX = (4, 5, 9, 8)
ROUND = Mask.from_array(
    (np.mgrid[:HEIGHT, :WIDTH][0] - 10) ** 2 + (np.mgrid[:HEIGHT, :WIDTH][1] - 8) ** 2 < 25
)

arrays = hnp.arrays(np.bool_, (HEIGHT, WIDTH), elements=st.booleans(), fill=st.booleans())
masks = st.builds(Mask.from_array, arrays.filter(np.any), st.sampled_from([0, 1, 2.5]))
corners = st.tuples(st.integers(-5, WIDTH + 5), st.integers(-5, HEIGHT + 5))
rectangles = st.tuples(st.integers(-5, 25), st.integers(-5, 18), st.integers(1, 30), st.integers(1, 25))
polygons = st.lists(corners, min_size=3, max_size=6).map(tuple)
regions = rectangles | polygons | masks


class Slow(Inpainter):
    """Fills the hole with one grey value; counts its calls and reports progress."""

    title, prompt = "Slow", True

    def __init__(self, name: str = "slow", value: int = 77) -> None:
        self.name, self.value, self.calls = name, value, 0

    def fill(self, image, hole, *, prompt="", seed=0, progress=None, cancel=None):
        self.calls += 1
        for step in range(3):
            if cancel is not None and cancel():
                raise Cancelled("cancelled")
            if progress is not None:
                progress("inpainting", step, 3)
        return np.full_like(image, self.value + seed)


@pytest.fixture
def slow() -> Any:
    painter = Slow()
    register_inpainter(painter)
    yield painter
    ip._known.pop("slow", None)


def covered(region: Any) -> np.ndarray:
    """Pixels that a region may change, by trying all."""
    if isinstance(region, Mask):
        return region.alpha() > 0
    if region is None:
        return np.ones((HEIGHT, WIDTH), dtype=bool)
    probe = np.asarray(START.erase(region, "#000000").render()) == 0
    return probe.all(axis=2) & (np.asarray(START.erase(region, "#ffffff").render()) == 255).all(axis=2)


def shifted(inside: np.ndarray, x: int, y: int) -> np.ndarray:
    """Inside, moved by (x, y); what leaves the image is dropped."""
    result = np.zeros_like(inside)
    for row, column in zip(*np.nonzero(inside), strict=True):
        if 0 <= row + y < HEIGHT and 0 <= column + x < WIDTH:
            result[row + y, column + x] = True
    return result


def changed(stimulus: Stimulus) -> np.ndarray:
    return (np.asarray(stimulus.render()) != NOISE.array()).any(axis=2)


def box_of(region: Any) -> tuple[int, int, int, int]:
    if isinstance(region, Mask):
        x, y, width, height = region.box
        return x, y, x + width, y + height
    if isinstance(region[0], tuple):
        xs, ys = zip(*region, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    x, y, width, height = region
    return x, y, x + width, y + height


# ---- outside nothing changes
@settings(max_examples=25)
@given(regions, st.sampled_from(["membrane", "telea", "navier-stokes"]))
@pytest.mark.filterwarnings("ignore:.*paints nothing")
def test_remove_recolor_retexture_and_mirror_change_nothing_outside(region: Any, inpainter: str) -> None:
    inside = covered(region)
    for made in (
        START.remove(region, inpainter),
        START.recolor(region, "red"),
        START.retexture(region, OTHER),
    ):
        assert not (changed(made) & ~inside).any()
    for vertical, direction in enumerate(["horizontal", "vertical"]):
        made = START.mirror(region, direction, inpainter)
        left, top, right, bottom = box_of(region)
        there = np.zeros_like(inside)
        for row, column in zip(*np.nonzero(inside), strict=True):
            to = (top + bottom - 1 - row, column) if vertical else (row, left + right - 1 - column)
            if 0 <= to[0] < HEIGHT and 0 <= to[1] < WIDTH:
                there[to] = True
        plain = not isinstance(region, Mask) and not isinstance(region[0], tuple)
        assert not (changed(made) & ~(inside if plain else inside | there)).any()


@settings(max_examples=25)
@given(regions, regions, corners)
@pytest.mark.filterwarnings("ignore:.*paints nothing")
def test_move_and_swap_change_only_the_former_and_new_places(one: Any, two: Any, to: Any) -> None:
    first, second = covered(one), covered(two)
    left, top, right, bottom = box_of(one)
    moved = START.move(one, to)
    assert not (changed(moved) & ~(first | shifted(first, to[0] - left, to[1] - top))).any()
    a, b, c, d = box_of(two)
    x = int(np.floor((a + c) / 2 - (left + right) / 2 + 0.5))
    y = int(np.floor((b + d) / 2 - (top + bottom) / 2 + 0.5))
    places = first | second | shifted(first, x, y) | shifted(second, -x, -y)
    assert not (changed(START.swap(one, two)) & ~places).any()


@settings(max_examples=25)
@given(regions, st.floats(0.05, 6), st.tuples(*[st.integers(-20, 30)] * 2), st.sampled_from([0, 1, 3.5]))
@pytest.mark.filterwarnings("ignore:.*paints nothing")
def test_resize_and_insert_stay_in_their_boxes(region: Any, factor: float, at: Any, feather: float) -> None:
    inside = covered(region)
    made = START.resize(region, factor)
    if inside.any():
        left, top, right, bottom = box_of(region)
        x, y = (left + right) / 2, (top + bottom) / 2
        a, b, c, d = region.bounds if isinstance(region, Mask) else (left, top, right, bottom)
        a, b, c, d = max(a, 0), max(b, 0), min(c, WIDTH), min(d, HEIGHT)
        new = [x + (a - x) * factor, y + (b - y) * factor, x + (c - x) * factor, y + (d - y) * factor]
        a, b, c, d = np.floor(np.array(new) + 0.5)
        ys, xs = np.mgrid[:HEIGHT, :WIDTH]
        there = (xs >= a) & (xs < max(c, a + 1)) & (ys >= b) & (ys < max(d, b + 1))
        assert not (changed(made) & ~(inside | there)).any()
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    place = (xs >= at[0]) & (xs < at[0] + 9) & (ys >= at[1]) & (ys < at[1] + 12)
    assert not (changed(START.insert(OTHER, at, feather=feather)) & ~place).any()


# ---- what each does
def test_a_moved_thing_is_copied_exactly_and_its_hole_is_that_of_remove() -> None:
    made = np.asarray(START.move(BOX, (20, 12)).render())
    hole = np.asarray(START.remove(BOX).render())
    assert (made[12:20, 20:29] == NOISE.array()[5:13, 4:13]).all()
    assert (made[5:12, 4:13] == hole[5:12, 4:13]).all()
    assert (hole[5:13, 4:13] != NOISE.array()[5:13, 4:13]).any(axis=2).mean() > 0.9


def test_a_swap_exchanges_the_pixels_and_a_second_one_brings_them_back() -> None:
    one, two = (2, 3, 7, 6), (18, 12, 7, 6)
    made = START.swap(one, two)
    after, before = np.asarray(made.render()), NOISE.array()
    assert (after[3:9, 2:9] == before[12:18, 18:25]).all()
    assert (after[12:18, 18:25] == before[3:9, 2:9]).all()
    assert made.swap(one, two).render().tobytes() == NOISE.pil().tobytes()
    sizes = START.swap((2, 3, 4, 4), (18, 10, 9, 9))  # centres (4, 5) and (22.5, 14.5)
    after = np.asarray(sizes.render())
    assert (after[13:17, 21:25] == before[3:7, 2:6]).all()
    assert (after[:9, :8] == before[10:19, 19:27]).all()  # its left column is outside


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_mirror_twice_gives_the_picture_back(direction: str) -> None:
    once = START.mirror(direction=direction)
    way = Image.Transpose.FLIP_LEFT_RIGHT if direction == "horizontal" else Image.Transpose.FLIP_TOP_BOTTOM
    assert once.render().tobytes() == NOISE.pil().transpose(way).tobytes()
    assert once.mirror(direction=direction).render().tobytes() == NOISE.pil().tobytes()
    part = START.mirror(BOX, direction)
    assert part.mirror(BOX, direction).render().tobytes() == NOISE.pil().tobytes()
    assert part.operations[0].pixels is None and not part.pending


def test_a_mirrored_mask_turns_the_thing_and_fills_the_rest() -> None:
    inside = np.zeros((HEIGHT, WIDTH), dtype=bool)
    inside[5:15, 4], inside[14, 4:12] = True, True  # the letter L
    made = START.mirror(Mask.from_array(inside))
    after, before = np.asarray(made.render()), NOISE.array()
    assert (after[5:15, 11] == before[5:15, 4]).all() and (after[14, 4:12] == before[14, 4:12][::-1]).all()
    assert made.operations[0].pixels is not None
    assert (after[5:14, 4] != before[5:14, 4]).any(axis=1).all()


def test_resize_by_one_is_nothing_and_by_two_doubles() -> None:
    assert START.resize(BOX, 1).render().tobytes() == NOISE.pil().tobytes()
    flat = np.full((40, 40, 3), 200, dtype=np.uint8)
    flat[15:25, 15:25] = (180, 20, 30)
    plain = Stimulus(flat, "?")
    for factor, side in ((2, 20), (0.5, 5)):
        after = np.asarray(plain.resize((15, 15, 10, 10), factor).render()).astype(int)
        red = (np.abs(after - (180, 20, 30)).max(axis=2) <= 2).sum()
        assert abs(red - side**2) <= 4 * side
        assert (np.abs(after - 200).max(axis=2) <= 2).sum() >= 1600 - (side + 2) ** 2


@pytest.mark.parametrize("color", ["red", "blue", "yellow", "black", "white", "grey", "#30a0ff"])
@pytest.mark.parametrize("thing", [(200, 40, 30), (20, 20, 22), (245, 244, 240), (40, 160, 70)])
def test_recolor_gives_the_colour_and_keeps_the_shading(thing: tuple[int, int, int], color: str) -> None:
    ramp = np.linspace(0.7, 1.0, 40)[None, :, None]
    image = np.rint(np.array(thing) * np.ones((10, 40, 1)) * ramp).astype(np.uint8)
    after = np.asarray(Stimulus(image, "?").recolor((0, 0, 40, 10), color).render())
    wanted = np.array(Image.new("RGB", (1, 1), color).getpixel((0, 0)), dtype=np.uint8)
    target, found = to_oklab(wanted), to_oklab(after[5, 20])
    assert abs(found[0] - min(max(target[0], 0.12), 0.96)) < 0.03  # in the middle of the ramp
    assert np.abs(found[1:] - target[1:]).max() < 0.05
    light = lightness(after[5])
    assert (np.diff(light) >= -0.01).all() and light[-1] > light[0]  # the order of shades stays
    if color in ("black", "white", "grey"):
        assert np.ptp(after[5].astype(int), axis=1).max() <= 2


def test_oklab_agrees_with_published_values_and_inverts() -> None:
    """Values of the reference implementation (Ottosson 2020)."""
    known = {
        (255, 255, 255): (1.0, 0, 0),
        (255, 0, 0): (0.62796, 0.22486, 0.12585),
        (0, 255, 0): (0.86644, -0.23389, 0.17950),
        (0, 0, 255): (0.45201, -0.03246, -0.31153),
    }
    for rgb, lab in known.items():
        assert np.abs(to_oklab(np.array(rgb, dtype=np.uint8)) - lab).max() < 2e-4
    values = NOISE.array()
    assert np.abs(from_oklab(to_oklab(values)).astype(int) - values).max() <= 1
    table = shades(0.2, 0.1)
    assert (np.diff(lightness(table)) > -0.004).all() and table[0].max() == 0 and table[-1].min() >= 254


def test_retexture_takes_the_texture_and_keeps_light_and_dark() -> None:
    ramp = np.repeat(np.linspace(60, 200, 64), 64).reshape(64, 64).astype(np.uint8)
    stripes = np.zeros((8, 8, 3), dtype=np.uint8)
    stripes[:, ::2] = (200, 60, 40)
    stripes[:, 1::2] = (120, 30, 20)
    plain = Stimulus(np.stack([ramp] * 3, axis=2), "?")
    after = np.asarray(plain.retexture((0, 0, 64, 64), stripes).render())
    light = lightness(after)
    assert light[:8].mean() + 0.2 < light[-8:].mean()  # shading
    there = np.tile(np.concatenate([stripes[0], stripes[0, ::-1]]), (4, 1))  # every second copy is mirrored
    assert np.abs(after[32].astype(int) - there).max() <= 2
    lab = to_oklab(after[20:44])
    assert lab[..., 1].mean() > 0.08  # red


def test_a_transparent_picture_is_inserted_without_its_background() -> None:
    cutout = np.zeros((6, 8, 4), dtype=np.uint8)
    cutout[1:5, 2:6] = (250, 10, 20, 255)
    for source in (cutout, Image.fromarray(cutout), _png(cutout)):
        made = START.insert(source, (10, 7))
        after = np.asarray(made.render())
        assert changed(made).sum() == 16 and (after[7:11, 10:14] == (250, 10, 20)).all()
        assert json.loads(made.to_json())["operations"][0]["place"] == [10, 7]


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_feathered_insert_falls_from_its_middle_to_its_edge() -> None:
    plain = Stimulus(np.zeros((30, 30, 3), dtype=np.uint8), "?")
    white = np.full((20, 20, 3), 255, dtype=np.uint8)
    row = np.asarray(plain.insert(white, (5, 5), feather=4).render())[15, :, 0].astype(int)
    assert row[4] == 0 and row[25] == 0 and row[15] == 255
    assert (np.diff(row[5:16]) >= 0).all() and list(row[5:9]) == [51, 102, 153, 204]
    edge = np.asarray(plain.insert(white, (0, 5), feather=4).render())[15, :, 0]
    assert edge[0] == 255  # the border of the image is no outline


def test_a_copied_mask_comes_from_the_picture_as_it_is_then() -> None:
    made = START.recolor(ROUND, "blue").insert(None, (20, 2), ROUND)
    after = np.asarray(made.render())
    x, y, width, height = ROUND.box
    inside = ROUND.array()[y : y + height, x : x + width]
    assert (
        after[2 : 2 + height, 20 : 20 + width][inside] == after[y : y + height, x : x + width][inside]
    ).all()
    assert (
        after[2 : 2 + height, 20 : 20 + width][~inside]
        == NOISE.array()[2 : 2 + height, 20 : 20 + width][~inside]
    ).all()


# ---- stored pixels
def every_edit() -> Stimulus:
    soft = ROUND.with_feather(2)
    return (
        START.remove(soft, "telea")
        .move((12, 2, 6, 6), (20, 15))
        .resize(soft, 1.4)
        .swap((0, 0, 5, 5), (25, 17, 5, 5), "navier-stokes")
        .mirror(ROUND)
        .insert(OTHER, (2, 12, 6, 9), (1, 1, 6, 8), 1.5)
        .recolor(soft, "orange")
        .retexture((15, 3, 9, 9), OTHER)
    )


def test_json_renders_the_same_in_a_fresh_process_without_in_painters(tmp_path: Path) -> None:
    stimulus = every_edit()
    path = tmp_path / "stimulus.json"
    path.write_text(stimulus.to_json(), encoding="utf-8")
    program = (
        "import hashlib, pathlib, sys\n"
        "import isi_widget.stimulus.inpainting as ip\n"
        "def never(*a, **k): raise AssertionError('in-painted again')\n"
        "ip.inpaint = never\n"
        "ip._known.clear()\n"
        "from isi_widget.stimulus import Stimulus\n"
        "s = Stimulus.from_json(pathlib.Path(sys.argv[1]).read_text('utf-8'))\n"
        "print(s.key, hashlib.sha256(s.render().tobytes()).hexdigest())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert found == [stimulus.key, hashlib.sha256(stimulus.render().tobytes()).hexdigest()]


def test_edits_come_back_from_json_and_printed_python_with_names_in_words() -> None:
    stimulus = every_edit()
    assert Stimulus.from_json(stimulus.to_json()) == stimulus
    import isi_widget as isi

    scope: dict[str, Any] = {"isi": isi, "obs": _Observed(), "pictures": stimulus.pictures}
    exec(stimulus.code(), scope)
    assert scope["s"] == stimulus
    assert stimulus.undo().undo().operations == stimulus.operations[:-2]
    for operation in stimulus.operations:
        words = in_words(operation.to_dict())
        assert "pixels" not in words and "runs" not in words and len(words) < 300


class _Observed:
    def stimulus(self) -> Stimulus:
        return START


def test_pixels_are_computed_again_when_the_picture_beneath_changes() -> None:
    plain = START.remove(BOX)
    below = START.box(0, 0, 20, 20, color="red")
    expected = below.remove(BOX)
    assert expected.operations[1].pixels != plain.operations[0].pixels
    for made in (
        below.with_operations([*below.operations, *plain.operations]),
        plain.box(0, 0, 20, 20, color="red").reorder(1, 0),
        START.box(0, 0, 20, 20, color="blue").remove(BOX).replace(0, below.operations[0]),
        replace(START, operations=(*below.operations, *plain.operations)),
    ):
        assert made == expected and made.render().tobytes() == expected.render().tobytes()
    assert expected.without(0) == plain
    hidden = replace(below.operations[0], hidden=True)
    assert expected.replace(0, hidden).operations[1] == plain.operations[0]
    other = START.with_image(OTHER)
    assert plain.with_image(OTHER).render().tobytes() == other.remove(BOX).render().tobytes()
    assert plain.with_image(OTHER).undo() == plain


def test_other_places_of_the_same_hole_take_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    made = START.move(BOX, (20, 12))
    monkeypatch.setattr(ip, "inpaint", lambda *a, **k: pytest.fail("in-painted again"))
    dragged = made.replace(0, replace(made.operations[0], to=(3, 3)))
    assert dragged.operations[0].pixels == made.operations[0].pixels
    monkeypatch.undo()
    larger = made.replace(0, replace(made.operations[0], region=(4, 5, 10, 9)))
    assert larger == START.move((4, 5, 10, 9), (20, 12))


def test_a_slow_in_painter_runs_once_and_never_shows_stale_pixels(slow: Slow) -> None:
    made = START.remove(BOX, "slow", prompt="grass", seed=3)
    assert slow.calls == 1 and (np.asarray(made.render())[5:13, 4:13] == 80).all()
    assert Stimulus.from_json(made.to_json()) == made and slow.calls == 1
    stale = made.with_operations([*START.box(0, 0, 3, 3).operations, *made.operations])
    assert slow.calls == 1 and stale.pending == (1,) and stale.operations[1].pixels is None
    with pytest.raises(InputError, match=r"completed\(\)"):
        stale.render()
    above = stale.remove((20, 2, 4, 4))  # a quick one on top completes what is beneath
    assert above.pending == () and slow.calls == 2
    assert stale.completed().pending == () and slow.calls == 2  # these pixels are known by now
    other = stale.with_operations([*START.box(0, 0, 9, 9).operations, *made.operations])
    with pytest.raises(Cancelled):
        other.completed(cancel=lambda: True)
    steps: list[tuple[str, int, int]] = []
    done = other.completed(progress=lambda *step: steps.append(step))
    assert done.pending == () and steps[0] == ("inpainting", 0, 3) and done.completed() is done
    ip._known.pop("slow")
    assert Stimulus.from_json(made.to_json()).render().tobytes() == made.render().tobytes()
    assert "pixels=pictures[" in made.code()
    import isi_widget as isi

    scope: dict[str, Any] = {"isi": isi, "obs": _Observed(), "pictures": made.pictures}
    exec(made.code(), scope)
    assert scope["s"] == made
    with pytest.raises(InputError, match="register_inpainter"):
        START.apply(Remove((1, 2, 3, 4), inpainter="slow")).completed()


def test_undo_brings_stored_pixels_back_although_nothing_here_can_make_them(slow: Slow) -> None:
    made = START.box(0, 0, 3, 3).remove(BOX, "slow", seed=11)
    text, shown = made.to_json(), made.render().tobytes()
    ip._known.pop("slow")
    completing._memory.clear()  # as in a fresh process
    read = Stimulus.from_json(text)
    hidden = read.replace(0, replace(read.operations[0], hidden=True))
    assert hidden.pending == (1,)
    again = hidden.replace(0, read.operations[0])
    assert again == read and again.render().tobytes() == shown
    other = read.with_image(OTHER)
    assert other.undo().render().tobytes() == shown


def test_quick_edits_above_a_pending_one_wait_for_it(slow: Slow) -> None:
    stimulus = START.with_operations([Remove(BOX, inpainter="slow"), Remove((3, 3, 20, 15))])
    assert stimulus.pending == (0, 1)
    assert stimulus.completed() == START.remove(BOX, "slow").remove((3, 3, 20, 15))
    register_inpainter(Slow(value=5))  # pixels of the former one are not used for it
    assert (np.asarray(START.remove(BOX, "slow").render())[5:13, 4:13] == 5).all()


def test_an_in_painter_object_is_registered_and_its_result_checked() -> None:
    painter = Slow("mine", 10)
    try:
        assert (np.asarray(START.remove(BOX, painter).render())[5:13, 4:13] == 10).all()
        assert inpainters()["mine"] is painter
        painter.fill = lambda image, hole, **k: image[:-1]  # type: ignore[method-assign,assignment]
        with pytest.raises(InputError, match="must return uint8"):
            START.remove((5, 5, 3, 3), "mine")
        for margin in (-100, 1.5, None):
            painter.margin = lambda width, height, margin=margin: margin  # type: ignore[method-assign,misc]
            with pytest.raises(InputError, match="margin of the in-painter 'mine' must be a whole number"):
                START.remove((5, 5, 3, 3), "mine")
    finally:
        ip._known.pop("mine", None)


@pytest.mark.parametrize("name", ["membrane", "telea", "navier-stokes"])
def test_in_painters_fill_a_hole_of_any_size_and_nothing_else(name: str) -> None:
    ys, xs = np.mgrid[:700, :900]
    image = np.stack([xs / 4, ys / 4, (xs + ys) / 8], axis=2).astype(np.uint8)  # a ramp
    for hole in ((xs - 400) ** 2 + (ys - 300) ** 2 < 30**2, (xs > 100) & (xs < 800) & (ys > 50) & (ys < 640)):
        filled = ip.inpaint(image, hole, ip.find(name))
        assert (filled[~hole] == image[~hole]).all()
        error = np.abs(filled[hole].astype(int) - image[hole]).mean()
        assert error < (2 if hole.sum() < 10_000 else 60)
    everything = ip.inpaint(image[:20, :20], np.ones((20, 20), dtype=bool), ip.find(name))
    assert (everything == np.rint(image[:20, :20].reshape(-1, 3).mean(axis=0))).all()


# ---- truth
def test_operations_say_whether_the_truth_survives() -> None:
    assert START.truth_holds is True
    keeps = (
        START.noise(0.3)
        .blur(2)
        .pixelate(3)
        .downscale(15)
        .jpeg(20)
        .text(1, 1, "dog")
        .arrow((0, 0), (9, 9))
        .line((0, 0), (9, 5))
    )
    keeps = keeps.box(2, 2, 20, 15, fill=False, line_width=2).with_context("A dog is here.")
    assert keeps.truth_holds is True and all(item.truth == "keeps" for item in keeps.operations)
    for made in (
        START.box(2, 2, 5, 5),
        START.box(2, 2, 5, 5, fill=False, line_width=5),
        START.ellipse(2, 2, 5, 5),
        START.line((2, 2), (12, 12), width=8),
        START.arrow((2, 2), (12, 12), width=8),
        START.polygon([(0, 0), (5, 0), (5, 5)]),
        START.erase(BOX),
        START.patch((0, 0, 5, 5), 9, 9),
        START.remove(BOX),
        START.insert(OTHER, (3, 3)),
        START.recolor(BOX, "red"),
        START.retexture(BOX, OTHER),
        START.resize(BOX, 2),
        START.move(BOX, (9, 9)),
        START.swap(BOX, (20, 12, 5, 5)),
        START.mirror(),
    ):
        assert made.truth_holds is None and made.operations[0].truth == "may change"
    assert START.box(2, 2, 5, 5).undo().truth_holds is True


def test_the_truth_survives_apart_from_what_the_question_is_about() -> None:
    about = replace(START, about=(ROUND, (20, 2, 5, 5)))
    assert about.box(26, 10, 4, 4).remove((18, 15, 6, 6)).truth_holds is True
    assert about.recolor((26, 10, 4, 4), "red").truth_holds is True
    x, y, _, _ = ROUND.box
    assert about.box(x, y, 1, 1).truth_holds is True  # a corner of the box that is not in the mask
    assert about.box(8, 10, 2, 2).truth_holds is None
    assert about.erase((22, 3, 1, 1)).truth_holds is None
    assert about.move((26, 10, 4, 4), (20, 3)).truth_holds is None  # moved over it
    assert about.insert(OTHER, (25, 15, 3, 3)).truth_holds is None  # perhaps a second one
    assert replace(START, about=()).box(0, 0, 30, 20).truth_holds is True
    again = Stimulus.from_json(about.to_json())
    assert again == about and again.about == about.about
    assert "about" not in START.to_dict()


# ---- errors
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: START.remove(None), '"region" must be a rectangle'),
        (lambda: START.remove(BOX, "nothing"), "no in-painter 'nothing'"),
        (lambda: START.remove(BOX, ""), "text of 1 to 100 characters"),
        (lambda: START.recolor(BOX, "no colour"), "must be a colour"),
        (lambda: START.resize(BOX, 0), '"factor" must be'),
        (lambda: START.move(BOX, (1, 2, 3)), r'"to" must be \[x, y\]'),
        (lambda: START.mirror(BOX, "diagonal"), '"direction" must be'),
        (lambda: START.insert(OTHER, (1, 2, 3)), '"place" must be'),
        (lambda: START.insert(OTHER, (1, 2), (50, 50, 3, 3)), "lies outside the picture"),
        (lambda: START.insert(OTHER, (1, 2), ROUND), "mask of an image of 31 x 23"),
        (lambda: START.retexture(BOX, OTHER, ROUND), "mask of an image of 31 x 23"),
        (lambda: START.insert(OTHER, (1, 2), feather=-1), '"feather" must be'),
        (lambda: START.remove(BOX, pixels=OTHER), "pixels must have the size"),
        (lambda: register_inpainter(Slow("membrane")), "built-in"),
        (lambda: register_inpainter("sd"), "subclass of Inpainter"),  # type: ignore[arg-type]
        (
            lambda: START.with_operations([{"op": "remove", "region": list(BOX), "pixels": "0" * 64}]),
            "is not known here",
        ),
        (
            lambda: START.with_operations([{"op": "remove", "region": list(BOX), "beneath": "short"}]),
            '"beneath" must be a SHA-256',
        ),
    ],
)
def test_errors_say_what_was_wrong(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_damaged_pixels_are_computed_again_not_shown() -> None:
    made = START.remove(BOX)
    record = json.loads(made.to_json())
    wrong = Picture(Image.new("RGB", (2, 2)))
    record["operations"][0]["pixels"] = wrong.sha256
    again = Stimulus.from_dict(record, {wrong.sha256: wrong})
    assert again == made


def test_a_transparent_picture_is_refused() -> None:
    with pytest.raises(InputError, match="transparent everywhere"):
        START.insert(Image.new("RGBA", (4, 4)), (1, 1))


def test_edits_outside_the_image_paint_nothing_and_warn() -> None:
    with pytest.warns(UserWarning, match="paints nothing"):
        made = START.apply(Recolor((100, 100, 5, 5), "red"))
    assert made.render().tobytes() == NOISE.pil().tobytes()
    with pytest.warns(UserWarning, match="paints nothing"):
        assert START.remove((-20, -20, 5, 5)).pending == ()


def test_what_a_question_is_about_belongs_to_the_original_image() -> None:
    about = replace(START, about=((1, 1, 5, 5),), presets=Presets({"annotated": OTHER}))
    assert about.box(20, 12, 4, 4).truth_holds is True
    assert about.with_image(preset="annotated").box(6, 6, 3, 3).truth_holds is None  # of another size
    for wrong, words in (
        ((Mask((2, 2), [4]),), "belongs to an image of 2 x 2 pixels, but the image has 31 x 23"),
        (ROUND, "about must be a list of regions"),
        ("x", "about must be a list of regions"),
        ([3], "about must be"),
    ):
        with pytest.raises(InputError, match=words):
            replace(START, about=wrong)


def test_scenes_know_what_their_questions_are_about() -> None:
    from isi_widget import datasets
    from isi_widget.datasets.grammar import COLOURS

    for observation in datasets.scenes()[:40]:
        stimulus, kind = observation.stimulus(), observation.metadata["kind"]
        things = observation.metadata["things"]
        about = set(observation.metadata["about"])
        told_apart = any(f"the {word} " in observation.question for word in (*COLOURS, "small", "large"))
        known = kind != "counting" and (kind != "existence" or observation.answer == "Yes") and not told_apart
        assert (stimulus.about is not None) is known
        for index, thing in enumerate(things):
            inside = (thing["x"] - 2, thing["y"] - 2, 4, 4)
            keeps = stimulus.remove(inside).truth_holds
            assert keeps is (True if known and index not in about else None), (observation.id, index)
        assert Stimulus.from_json(stimulus.to_json()).about == stimulus.about
