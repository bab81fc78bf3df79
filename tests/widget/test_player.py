"""The player without a page: what it sends, drawn again from the messages, is the frame it says; and that
frame is what a composition by hand gives.
"""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
import sys
from functools import cache

import ipycanvas
import matplotlib
import numpy as np
import pytest
from ipycanvas.canvas import _CANVAS_MANAGER, COMMANDS
from PIL import Image

import isi_widget as isi
from isi_widget.attribution import AttentionMap, measure_attention_map
from isi_widget.errors import InputError
from isi_widget.widget import player as player_module
from isi_widget.widget.player import AttentionPlayer

NAMES = {number: name for name, number in COMMANDS.items()}


@cache
def measured():
    """A sampled answer of several tokens of the embedded model, and its map."""
    vlm, stimulus = isi.load_vlm(), isi.datasets.scenes()[3].stimulus()
    answers = vlm.sample(stimulus.with_question("What is there?"), n=20, temperature=3.0, seed=1)
    answer = max(answers, key=lambda one: len(one.token_ids))
    assert len(answer.token_ids) > 2
    asked = stimulus.with_question("What is there?")
    return vlm, asked, measure_attention_map(vlm, asked, answer)


@pytest.fixture
def players():
    made = []

    def make(*arguments, **settings):
        if not arguments:
            arguments = (measured()[2], measured()[1])
        made.append(AttentionPlayer(*arguments, **settings))
        return made[-1]

    yield make
    for player in made:
        player.close()


class Page:
    """Draws the messages to ipycanvas again, as its page does."""

    def __init__(self, monkeypatch):
        self.canvases, self.current, self.messages = {}, None, []
        monkeypatch.setattr(type(_CANVAS_MANAGER), "send", self.receive)

    def receive(self, content, buffers):
        commands = json.loads(bytes(buffers[0]))
        commands = commands if isinstance(commands[0], list) else [commands]
        self.messages.append([NAMES[command[0]] for command in commands])
        pictures = list(buffers[1:])
        for command in commands:
            name, arguments = NAMES[command[0]], command[1] if len(command) > 1 else []
            if name == "switchCanvas":
                self.current = arguments[0].removeprefix("IPY_MODEL_")
            elif name == "clear":
                self.canvases[self.current] = None
            elif name == "putImageData":
                assert arguments == [0, 0]
                picture = Image.open(io.BytesIO(bytes(pictures.pop(0))))
                assert (picture.format, picture.mode) == ("PNG", "RGBA"), "anything else loses colours"
                below = self.canvases.get(self.current)
                self.canvases[self.current] = Image.alpha_composite(below, picture) if below else picture
            else:
                pytest.fail(f"a command that is not expected: {name}")

    def seen(self, player):
        frame = None
        for canvas in player._canvas._canvases:
            layer = self.canvases[canvas.model_id]
            assert layer.size == (canvas.width, canvas.height)
            frame = Image.alpha_composite(frame, layer) if frame else layer
        return np.asarray(frame.convert("RGB"))


@pytest.fixture
def page(monkeypatch):
    _CANVAS_MANAGER._current_canvas = None
    yield Page(monkeypatch)
    _CANVAS_MANAGER._current_canvas = None


def heat_by_hand(found, step, full, opacity, size, *, over="tokens"):
    """RGBA in floats, box by box and pixel by pixel; for boxes with whole edges."""
    mass = found.mass[step] if over == "tokens" else found.mass[:, step]
    mass = mass.reshape(-1, mass.shape[-1]).mean(axis=0, dtype=np.float64)
    density = np.zeros(size[::-1])
    for share, (left, top, right, bottom) in zip(mass, found.boxes, strict=True):
        for row in range(round(top), round(bottom)):
            for column in range(round(left), round(right)):
                density[row, column] += share / ((right - left) * (bottom - top)) * size[0] * size[1]
    level = np.round(np.minimum(density / full, 1) * 255).astype(int)
    colors = (matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255)[level]
    return colors, level * opacity / 255


# Frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["tokens", "layers"])
@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_frames_equal_a_composition_by_hand(players, over, scale):
    _, stimulus, found = measured()
    player = players(over=over, scale=scale, opacity=0.6)
    assert player.steps == found.mass.shape[0 if over == "tokens" else 1]
    picture = np.asarray(stimulus.render(), float)
    size = picture.shape[1::-1]
    assert np.array_equal(found.boxes, np.round(found.boxes))

    def peak(step):  # boxes of one grid do not overlap: the fullest box is the peak
        mass = found.mass[step] if over == "tokens" else found.mass[:, step]
        mass = mass.reshape(-1, mass.shape[-1]).mean(axis=0, dtype=np.float64)
        area = (found.boxes[:, 2] - found.boxes[:, 0]) * (found.boxes[:, 3] - found.boxes[:, 1])
        return (mass / area).max() * size[0] * size[1]

    peaks = [peak(step) for step in range(player.steps)]
    assert max(peaks) > 1.5 * min(peaks), "else the two scales could not be told apart"
    for step in {0, int(np.argmin(peaks)), player.steps - 1}:
        full = max(peaks) if scale == "absolute" else peaks[step]
        colors, alpha = heat_by_hand(found, step, full, 0.6, size, over=over)
        expected = picture * (1 - alpha[..., None]) + colors * alpha[..., None]
        frame = np.asarray(player.frame(step), float)[: size[1]]
        assert np.abs(frame - expected).max() <= 2, "alpha and colours are rounded to 1/255 each"


def test_the_strip_shows_each_step_s_image_share(players):
    _, stimulus, found = measured()
    player = players(over="layers")
    height = stimulus.render().height
    blue, grey = np.array([0x00, 0x72, 0xB2]), np.array([190, 190, 190])
    for step in (0, player.steps - 1):
        strip = np.asarray(player.frame(step))[height + 64 :]
        each = (strip.shape[1] - 16) / player.steps
        for index in range(player.steps):
            middle = strip[:, int(8 + (index + 0.5) * each)]
            bar = (middle == (blue if index == step else grey)).all(axis=-1)
            assert abs(bar.sum() - max(2, 1 + 22 * found.image_share(layer=index))) <= 1


@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_the_heat_has_a_legend_with_numbers(players, scale):
    _, _, found = measured()
    player = players(over="layers", scale=scale, opacity=1.0)
    below = player.frame(0).height - 92 + 44
    line = np.asarray(player.frame(0))[below : below + 18].astype(int)
    full = line[(abs(line - (253, 231, 36)) <= 2).all(axis=-1)]  # the end of viridis
    assert len(full) >= 9
    peaks = [found.peak(layer=layer) for layer in found.layers]
    assert f"{player._end(0):.1f}" == f"{max(peaks) if scale == 'absolute' else peaks[0]:.1f}"


def test_the_caption_says_what_is_shown(players):
    _, _, found = measured()
    player = players(layer=1, head=[0, 2])
    assert player.caption(1) == (
        f"token 2 of {len(found.tokens)}: {found.tokens[1].strip()} · layer 1, head [0, 2] · "
        f"image {found.image_share(1, 1, [0, 2]):.2f} of its attention"
    )
    layers = players(over="layers")
    assert layers.caption(3).startswith("layer 3 of 0 to 3 · mean over tokens, mean over heads · image ")
    assert player._said.value == player.caption(0)
    assert repr(layers).startswith("AttentionPlayer(layer 0 of 0 to 3")


def test_marked_tokens_stay_in_sight_in_long_answers(players):
    """Only what fits is written, around the marked token; the strip is never drawn beyond."""
    words = tuple(f" word{index}" for index in range(60))
    found = AttentionMap(np.full((60, 1, 1, 1), 0.5), [[0, 0, 40, 30]], (40, 30), words, (0,), (0,))
    stimulus = isi.Observation(Image.new("RGB", (40, 30), "white"), "Is it so?").stimulus()
    player = players(found, stimulus)
    blue = np.array([0x00, 0x72, 0xB2])
    for step in (0, 31, 59):
        strip = np.asarray(player.frame(step))[-92:-68]
        marked = np.flatnonzero((strip == blue).all(axis=-1).sum(axis=0) > 8)
        assert len(marked) > 20 and marked.min() > 0 and marked.max() < strip.shape[1] - 1


# The page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["tokens", "layers"])
def test_what_is_sent_is_the_frame(players, page, over):
    player = players(over=over)
    np.testing.assert_array_equal(page.seen(player), np.asarray(player.frame(0)))
    for step in range(player.steps):
        player.step = step
        np.testing.assert_array_equal(page.seen(player), np.asarray(player.frame(step)))
    player.opacity = 0.3
    np.testing.assert_array_equal(page.seen(player), np.asarray(player.frame()))
    assert not np.array_equal(player.frame(), measured_frame(player, 0.8))


def measured_frame(player, opacity):
    before, player.opacity = player.opacity, opacity
    frame = np.asarray(player.frame())
    player.opacity = before
    return frame


def test_a_step_is_two_messages_and_the_picture_is_not_sent_again(players, page):
    player = players()
    page.messages.clear()
    player.step = 1
    assert page.messages == [["switchCanvas", "clear", "putImageData"]] * 2


def test_play_and_slider_move_together_on_the_page(players):
    player = players(interval=300)
    play, slider, _ = player.children[1].children
    assert player._link.source == (play, "value") and player._link.target == (slider, "value")
    assert (play.min, play.max, play.interval) == (slider.min, slider.max, 300) == (0, player.steps - 1, 300)
    slider.value = 1
    assert player.step == 1 and player._said.value == player.caption(1)


def test_a_page_that_opens_later_begins_with_the_present_frame(players):
    """Drawing commands are gone by then; `image_data` is in the widget's state, also in a saved notebook."""
    player = players()
    player.step = player.steps - 1
    frame = None
    for canvas in player._canvas._canvases:
        assert canvas.get_state("image_data")["image_data"] == canvas.image_data
        layer = Image.open(io.BytesIO(canvas.image_data))
        frame = Image.alpha_composite(frame, layer) if frame else layer
    np.testing.assert_array_equal(np.asarray(frame.convert("RGB")), np.asarray(player.frame()))
    assert not any(canvas.sync_image_data for canvas in player._canvas._canvases)


def test_where_no_widget_runs_a_picture_stands(players):
    player = players()
    player.step = 1
    data, _ = player._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == repr(player)
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(player.frame(1)))


def test_an_error_while_drawing_does_not_leave_drawing_off(players, page):
    player = players()
    canvas = player._canvas[1]
    with pytest.raises(ZeroDivisionError), player_module._held(canvas):
        canvas.clear()
        raise ZeroDivisionError
    assert not _CANVAS_MANAGER._caching and _CANVAS_MANAGER._commands_cache == []
    page.messages.clear()
    ipycanvas.Canvas().clear()
    assert [name for message in page.messages for name in message] == ["switchCanvas", "clear"]
    player.step = 1
    np.testing.assert_array_equal(page.seen(player), np.asarray(player.frame(1)))


def test_drawing_within_someone_elses_hold_is_theirs_to_send(players, page):
    player = players()
    with ipycanvas.hold_canvas():
        player.step = 1
        assert _CANVAS_MANAGER._caching
    assert not _CANVAS_MANAGER._caching
    np.testing.assert_array_equal(page.seen(player), np.asarray(player.frame(1)))


def test_closing_closes_every_part():
    player = AttentionPlayer(measured()[2], measured()[1])
    parts = [
        player,
        player._canvas,
        *player._canvas._canvases,
        *player.children,
        *player.children[1].children,
    ]
    assert all(part.comm is not None for part in parts)
    player.close()
    assert all(part.comm is None for part in parts)


# Pictures ---------------------------------------------------------------------------------------------------


def quarter(size, box, **changes):
    width, height = size
    found = AttentionMap([[[[0.5]]]], [box], size, ("Yes",), (0,), (0,))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return found, isi.Observation(pixels, "Is it so?").stimulus(), pixels


def test_what_the_model_did_not_see_is_faded(players):
    found, stimulus, pixels = quarter((400, 330), [0, 0, 200, 330])
    frame = np.asarray(players(found, stimulus, opacity=0).frame(), float)[:330]
    np.testing.assert_array_equal(frame[:, :200], pixels[:, :200])
    np.testing.assert_allclose(frame[:, 200:], 0.2 * pixels[:, 200:] + 0.8 * 235, atol=0.51)


def test_tiny_pictures_grow_by_whole_factors_and_large_ones_shrink(players):
    found, stimulus, pixels = quarter((60, 32), [0, 0, 60, 32])
    frame = np.asarray(players(found, stimulus, opacity=0).frame())
    np.testing.assert_array_equal(frame[: 32 * 6], pixels.repeat(6, axis=0).repeat(6, axis=1))
    found, stimulus, _ = quarter((1280, 300), [0, 0, 640, 300])
    player = players(found, stimulus)
    assert player.frame().size == (640, 150 + 92)
    assert player._canvas.layout.max_width == "100%"


# Sources ----------------------------------------------------------------------------------------------------


def test_a_model_and_a_stimulus(players):
    vlm, stimulus, _ = measured()
    player = players(vlm, stimulus)
    assert player.attention == measure_attention_map(vlm, stimulus)


def test_a_trial_brings_stimulus_and_answer(players):
    vlm, stimulus, _ = measured()
    trial = isi.run_trial(vlm, stimulus, measures=["answer"], do_sample=True, temperature=3.0, seed=5)
    greedy = measure_attention_map(vlm, stimulus)
    expected = measure_attention_map(vlm, stimulus, trial.answer)
    assert expected != greedy, "else it would not matter which answer is used"
    assert players(trial, vlm=vlm).attention == expected
    assert players(trial).attention == expected, "the embedded model is at hand"


def test_a_trial_of_another_model_is_refused():
    vlm, stimulus, _ = measured()
    trial = isi.run_trial(vlm, stimulus, measures=["answer"])
    record = trial.to_dict()
    record["model"]["name"] = "some/other"
    other = isi.Trial.from_dict(record)
    with pytest.raises(InputError, match=r"the model of the trial, some/other"):
        AttentionPlayer(other)
    with pytest.raises(InputError, match="This trial is of some/other, vlm is embedded"):
        AttentionPlayer(other, vlm=vlm)
    with pytest.raises(InputError, match="brings its own stimulus"):
        AttentionPlayer(trial, stimulus)


def test_advice_fits_the_case(monkeypatch):
    vlm, stimulus, _ = measured()
    trial = isi.run_trial(vlm, stimulus, measures=["answer"])
    probe = isi.Probe(vlm, isi.datasets.scenes()[0])
    for source, arguments, words in (
        (stimulus, {}, r"model comes first: AttentionPlayer\(vlm, stimulus\)"),
        (isi.datasets.scenes()[0], {}, r"AttentionPlayer\(vlm, observation\.stimulus\(\)\)"),
        (probe, {}, r"AttentionPlayer\(probe\.trial, vlm=probe\.vlm\)"),
        (vlm, {"stimulus": stimulus, "vlm": vlm}, r"AttentionPlayer\(vlm, stimulus\)"),
    ):
        with pytest.raises(InputError, match=words):
            AttentionPlayer(source, **arguments)
    probe.close()

    def of(**model):
        record = trial.to_dict()
        record["model"] |= model
        return isi.Trial.from_dict(record)

    with pytest.raises(InputError, match=r"a server shows only text. Load the model itself"):
        AttentionPlayer(of(server="http://a/v1", name="some-vlm"))
    with pytest.raises(InputError, match="This trial is of embedded nf4, vlm is embedded"):
        AttentionPlayer(of(quantization="nf4"), vlm=vlm)
    for given in ({"vlm": vlm}, {}):
        with pytest.raises(InputError, match="with other weights, precision or prompt than vlm has"):
            AttentionPlayer(of(fingerprint="0123456789abcdef"), **given)
    # what measure_attention_map advises is for itself: the player has no layers=
    monkeypatch.setattr("isi_widget.attribution.measuring.LARGEST", 10)
    with pytest.raises(
        InputError, match=r"AttentionPlayer\(isi\.measure_attention_map\(vlm, stimulus, layers="
    ):
        AttentionPlayer(vlm, stimulus)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"over": "heads"}, "over is 'heads'"),
        (
            {"token": 0},
            "plays over all tokens, so token=... has no meaning: leave it out, or play over='layers'",
        ),
        ({"over": "layers", "layer": 0}, "plays over all layers, so layer=.*over='tokens'"),
        ({"scale": "log"}, "scale is 'log'"),
        ({"opacity": 2}, "opacity is 2"),
        ({"interval": 0}, "interval is 0"),
        ({"layer": 9}, "no layer 9"),
        ({"vlm": 1}, "goes with a trial"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AttentionPlayer(measured()[2], measured()[1], **settings)


def test_other_inputs_are_refused(players):
    vlm, stimulus, found = measured()
    with pytest.raises(InputError, match=r"got Observation. Call .stimulus\(\)"):
        AttentionPlayer(vlm, isi.datasets.scenes()[0])
    with pytest.raises(InputError, match=r"needs a Stimulus beside .* got none"):
        AttentionPlayer(found)
    with pytest.raises(InputError, match=r"AttentionPlayer needs a VLM.*int"):
        AttentionPlayer(3)
    with pytest.raises(InputError, match="needs a VLM"):
        AttentionPlayer("embedded", stimulus)
    with pytest.raises(InputError, match="is of a picture of 480 x 480 pixels, the stimulus has 60 x 32"):
        AttentionPlayer(found, quarter((60, 32), [0, 0, 60, 32])[1])
    player = players()
    for step in (-1, player.steps, 0.5, True):
        with pytest.raises(InputError, match="step is"):
            player.step = step
        with pytest.raises(InputError, match="step is"):
            player.frame(step)
    with pytest.raises(InputError, match="opacity is"):
        player.opacity = math.inf


def test_without_ipycanvas_it_says_how_to_get_it():
    """In a process of its own: the name is there, only making one needs the package."""
    code = (
        "import sys; sys.modules['ipycanvas'] = None\n"
        "import isi_widget as isi\n"
        "try: isi.AttentionPlayer(None)\n"
        "except isi.InputError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "isi-widget[player]"' in said
