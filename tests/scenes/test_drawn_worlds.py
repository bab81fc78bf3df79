"""Both worlds as drawn: artwork and colours, grounds, exact masks, what a plan promises."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from isi_widget.datasets.nouns import COLOURS, THINGS, word
from isi_widget.datasets.scenes.arrange import Plan, arrange
from isi_widget.datasets.scenes.draw import (
    RGB,
    coverage,
    draw_scene,
    stamp,
    touched,
    veiled,
    visible,
    visible_shares,
)
from isi_widget.datasets.scenes.graph import Repeat, Scene, Thing
from isi_widget.datasets.scenes.grounds import PLACES, STYLES, draw_ground, floor_line
from isi_widget.datasets.scenes.sprites import FONT, art, glyph, silhouette
from isi_widget.datasets.scenes.world import SHAPE_WORLD, THING_WORLD, WORLDS

PLANS = (
    Plan(3),
    Plan(6, (24, 60), hidden=0.3, crowd=0.4, alike=0.5),
    Plan(4, (40, 90), hidden=0.55, crowd=0.8),
    Plan(5, (11, 22)),
    Plan(3, (80, 140), hidden=0.4, haze=(0.4, 0.8)),
)


def scenes(world, number=8):
    rng = random.Random(11)
    return [arrange(rng, world, plan) for plan in PLANS for _ in range(number)]


def test_the_font_holds_each_glyph_and_little_else():
    from fontTools.ttLib import TTFont

    assert set(TTFont(FONT).getBestCmap()) == {ord(entry.glyph) for entry in THINGS.values()}
    assert FONT.stat().st_size < 200_000
    assert "SIL OPEN FONT LICENSE" in (FONT.parent / "LICENSE_NOTO_EMOJI").read_text()


def test_every_thing_looks_different():
    small = {name: np.asarray(glyph(name).resize((20, 20)), dtype=float) for name in THINGS}
    for one, two in itertools.combinations(small, 2):
        assert np.abs(small[one] - small[two]).mean() > 8, (one, two)


@pytest.mark.parametrize("name", [name for name in THINGS if THINGS[name].colours])
def test_a_coloured_thing_has_mostly_its_colour(name):
    """The nearest of the eight colours, over the pixels that the colour changes."""
    palette = np.array([RGB[colour] for colour in COLOURS], dtype=float)
    looks = {colour: np.asarray(glyph(name, colour), dtype=float) for colour in THINGS[name].colours}
    changed = np.ptp([look[..., :3] for look in looks.values()], axis=0).max(-1) > 40
    assert changed.mean() > 0.08
    for colour, look in looks.items():
        away = np.abs(look[changed][:, None, :3] - palette).sum(-1)
        assert (away.argmin(1) == COLOURS.index(colour)).mean() > 0.55, (name, colour)


def test_mirrored_and_turned():
    assert glyph("car", "red", True).tobytes() == glyph("car", "red").transpose(0).tobytes()
    upright, _ = art("bus", "blue", 40)
    turned, _ = art("bus", "blue", 40, 90)
    assert max(upright.size) == 80 and abs(turned.height - upright.width) <= 2
    for name, radius, angle in itertools.product(("dog", "bus"), (9, 40, 120), (0, 7, 90)):
        drawn = art(name, "", radius, angle, True)[0]
        assert silhouette(name, radius, angle, True).tobytes() == drawn.tobytes()
    assert np.asarray(turned).sum() == pytest.approx(np.asarray(upright).sum(), rel=0.02)


@pytest.mark.parametrize("style", STYLES)
def test_grounds_are_seeded_and_differ(style):
    drawn = [draw_ground(style, seed, 90, 60) for seed in range(6)]
    assert all(picture.size == (90, 60) and picture.mode == "RGB" for picture in drawn)
    assert draw_ground(style, 3, 90, 60).tobytes() == drawn[3].tobytes()
    assert len({picture.tobytes() for picture in drawn}) == 6
    drawn[0].paste("red", (0, 0, 90, 60))
    assert draw_ground(style, 0, 90, 60).tobytes() != drawn[0].tobytes()  # no shared picture was changed


def test_grounds_are_light_and_dark():
    for style in set(STYLES) - {"paper", *PLACES}:
        light = [np.asarray(draw_ground(style, seed, 60, 60)).mean() for seed in range(40)]
        assert min(light) < 70 and max(light) > 185, style


@pytest.mark.parametrize("name", WORLDS)
def test_masks_against_pixels(name):
    """Leaving out one object changes no pixel outside its mask; the visible shares explain the picture."""
    for scene in scenes(WORLDS[name], 3):
        scene = replace(scene, haze=0.0)
        whole, shown = coverage(scene), visible(scene)
        picture = np.asarray(draw_scene(scene)).astype(int)
        for index, thing in enumerate(scene.things):
            rest = replace(scene, things=scene.things[:index] + scene.things[index + 1 :])
            changed = (np.asarray(draw_scene(rest)).astype(int) != picture).any(-1)
            assert not (changed & (whole[index] == 0)).any()
            x, y, width, height = touched(thing)
            outside = np.ones_like(changed)
            outside[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = False
            assert not whole[index][outside].any()
            alone = np.asarray(draw_scene(replace(scene, things=(thing,)))).astype(int)
            clear = shown[index] >= 254
            assert np.abs(alone - picture)[clear].max(initial=0) <= 2
        exact, quick = visible_shares(scene), visible_shares(scene, 4)
        assert np.abs(np.subtract(exact, quick)).max() < 0.16
        for share, seen, thing in zip(exact, shown, scene.things, strict=True):
            full = np.asarray(stamp(thing)[0]).sum(dtype=float)
            assert share == pytest.approx(seen.sum(dtype=float) / full, abs=0.01)


@pytest.mark.parametrize("name", WORLDS)
def test_a_plan_is_kept(name):
    world = WORLDS[name]
    rng = random.Random(3)
    for plan in PLANS:
        for _ in range(12):
            scene = arrange(rng, world, plan)
            assert scene.world == name and 1 <= len(scene.things) <= plan.count
            assert min(visible_shares(scene)) > 1 - plan.hidden - 0.12
            assert plan.haze[0] <= scene.haze <= plan.haze[1]
            for thing in scene.things:
                assert thing.shape in world.nouns
                assert (thing.colour in world.colours(thing.shape)) or not (
                    thing.colour or world.colours(thing.shape)
                )
                radius = thing.radius / scene.unit
                assert plan.radii[0] - 1 <= radius <= plan.radii[1] + 1
                if name == "scenes":
                    assert thing.size == ("small" if radius < 45 else "large")
                    assert not 41.5 < radius < 54.5
            if not plan.hidden:
                for one, two in itertools.combinations(scene.things, 2):
                    assert math.hypot(one.x - two.x, one.y - two.y) > one.radius + two.radius


def test_same_seed_same_scene():
    for plan in PLANS:
        one, two = (arrange(random.Random(7), THING_WORLD, plan) for _ in range(2))
        assert one == two and draw_scene(one).tobytes() == draw_scene(two).tobytes()


def test_repeats_are_exact():
    rng = random.Random(4)
    for repeat in (Repeat(3, "dog"), Repeat(2, "animal"), Repeat(2, "car", "red"), Repeat(0, "vehicle")):
        for _ in range(10):
            scene = arrange(rng, THING_WORLD, Plan(5, (20, 40), repeat=repeat))
            assert len(scene.matching(repeat.noun)) == repeat.count
    scene = arrange(rng, SHAPE_WORLD, Plan(5, (20, 34), repeat=Repeat(4, colour="red")))
    assert len(scene.matching(Repeat(4, colour="red").noun)) == 4


def test_things_stand_on_the_floor():
    rng = random.Random(9)
    for _ in range(60):
        scene = arrange(rng, THING_WORLD, Plan(4, grounds=PLACES))
        line = floor_line(scene.ground, scene.texture) * scene.height
        bottoms = [touched(thing)[1] + touched(thing)[3] for thing in scene.things]
        for thing, bottom in zip(scene.things, bottoms, strict=True):
            assert word(thing.shape).flies or bottom > line
        assert all(one <= two + 3 for one, two in itertools.pairwise(bottoms))  # nearer ones in front


def test_coloured_objects_stand_out():
    for world in WORLDS.values():
        for scene in scenes(world):
            ground = draw_ground(scene.ground, scene.texture, scene.width, scene.height)
            for thing in scene.things:
                if thing.colour:
                    x, y = min(max(thing.x, 0), scene.width - 1), min(max(thing.y, 0), scene.height - 1)
                    box = (max(0, x - 12), max(0, y - 12), x + 12, y + 12)
                    behind = np.asarray(ground.crop(box), dtype=float).mean((0, 1))
                    assert np.abs(behind - RGB[thing.colour]).sum() > 60, (scene.ground, thing)


def test_haze_lowers_contrast_only():
    scene = Scene(200, 200, (Thing("dog", "", "", 100, 100, 60),), 5, "plain", 0.0, "things")
    clear, dim = (np.asarray(draw_scene(replace(scene, haze=h)), dtype=float) for h in (0.0, 0.8))
    assert dim.std() == pytest.approx(0.2 * clear.std(), rel=0.1)
    assert isinstance(veiled(Image.new("RGB", (4, 4)), replace(scene, haze=0.5)), Image.Image)
