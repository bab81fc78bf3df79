"""`Probe` from both sides, without a browser: what Python does is on the page, what the page does is in
Python.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import pytest
from fake_page import BOX, Page, idle
from PIL import Image
from scripted_runs import Script

from isi_widget import InputError, Mask, Observation, Probe, Stimulus, datasets
from isi_widget.attribution import heat_layer, measure_attention_map
from isi_widget.vlm import VLM
from isi_widget.widget.assets import STATIC


def picture(preview: dict[str, Any]) -> Any:
    return np.asarray(Image.open(io.BytesIO(preview["data"])).convert("RGB")).astype(int)


def shows(preview: dict[str, Any], stimulus: Stimulus) -> bool:
    """Whether a preview is the render of a stimulus, as far as JPEG keeps it."""
    wanted, got = np.asarray(stimulus.render()).astype(int), picture(preview)
    if got.shape != wanted.shape:
        return False
    height, width = (side // 4 * 4 for side in wanted.shape[:2])
    blocks = (got - wanted)[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
    return bool(abs(blocks).max() < 30)


# ---- construction
def test_without_arguments_it_is_the_embedded_model_on_the_first_scene() -> None:
    probe = Probe()
    assert probe.vlm.is_embedded
    assert probe.stimulus == datasets.things()[0].stimulus()
    assert probe.trial is None and probe.trials == ()
    probe.close()


@pytest.mark.parametrize(
    ("arguments", "keywords", "words"),
    [
        (("llava",), {}, "isi.load_vlm()"),
        ((None, "image.png"), {}, "must be an Observation"),
        ((None, datasets.things()), {}, "isi.Probe(vlm, data=data)"),
        ((None, None), {"data": []}, "empty"),
        ((None, None), {"data": [1]}, "observations"),
    ],
)
def test_bad_arguments(vlm: VLM, arguments: tuple[Any, ...], keywords: dict[str, Any], words: str) -> None:
    first = vlm if arguments[0] is None else arguments[0]
    with pytest.raises(InputError, match=re.escape(words)):
        Probe(first, *arguments[1:], **keywords)


def test_a_stimulus_is_not_an_observation(vlm: VLM) -> None:
    with pytest.raises(InputError, match=r"probe\.stimulus = s"):
        Probe(vlm, datasets.scenes()[0].stimulus())  # type: ignore[arg-type]


def test_unknown_keyword_arguments_are_rejected(vlm: VLM) -> None:
    with pytest.raises(TypeError, match="temprature"):
        Probe(vlm, temprature=1)  # type: ignore[call-arg]


def test_the_list_has_the_grades_of_difficulty(vlm: VLM) -> None:
    page = Page(Probe(vlm, datasets.things()[0]))
    grades = [row["difficulty"] for row in page.state["observations"]]
    assert set(grades) == {"easy", "middle", "hard"}
    assert "nudging" in page.state["observation"]["context_presets"]


def test_an_observation_of_ones_own(vlm: VLM) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    probe = Probe(vlm, Observation(image, "Is it dark?", answer="yes"))
    page = Page(probe)
    assert page.state["observations"] == [
        {"index": 0, "id": "0", "question": "Is it dark?", "answer": "Yes", "level": None}
    ]
    assert (page.state["observation"]["width"], page.state["observation"]["height"]) == (80, 60)
    assert page.state["observation"]["image_presets"] == []
    assert page.state["inputs"]["truth"] == "Yes"
    probe.close()


# ---- what the page is told
def test_the_first_state_is_complete(probe: Probe) -> None:
    page = Page(probe)
    state = page.state
    assert len(state["observations"]) == len(datasets.scenes())
    assert state["observation_index"] == 0 and state["observation"]["index"] == 0
    assert state["document"] == {"version": 1, "operations": [], "past": [], "future": []}
    assert (
        state["inputs"]["key"] == probe.stimulus.key
        and state["inputs"]["question"] == probe.stimulus.question
    )
    assert state["inputs"]["truth"] == probe.stimulus.true_answer
    assert shows(state["preview"], probe.stimulus) and shows(state["base_preview"], probe.stimulus)
    assert (state["preview"]["image_width"], state["preview"]["image_height"]) == probe.stimulus.image.size
    assert state["status"]["state"] == "idle" and state["error"] is None and state["shown"] == -1
    assert state["model"]["name"] and state["model"]["parameters"] > 0
    assert "annotated" in state["observation"]["image_presets"]
    assert "contradictory" in state["observation"]["context_presets"]
    assert "function" in state["_esm"] and state["_css"]


# ---- Python -> page
def test_setting_the_stimulus_redraws_the_page_in_one_update(probe: Probe) -> None:
    page = Page(probe)
    probe.stimulus = probe.stimulus.box(10, 20, 100, 50, color="red").with_context(preset="contradictory")
    assert page.operations()[0] == BOX
    assert page.operations()[1]["preset"] == "contradictory" and page.operations()[1]["text"]
    assert page.state["inputs"]["context"] == probe.stimulus.current_context
    assert page.state["inputs"]["key"] == probe.stimulus.key
    assert shows(page.state["preview"], probe.stimulus)
    assert not shows(page.state["base_preview"], probe.stimulus)
    assert len(page.updates) == 1  # nothing is ever half there


def test_python_steps_can_be_undone(probe: Probe) -> None:
    page, start = Page(probe), probe.stimulus
    probe.stimulus = one = start.box(1, 2, 30, 40)
    probe.stimulus = two = one.noise(0.2, seed=3)
    probe.undo()
    assert (
        probe.stimulus == one and page.state["inputs"]["key"] == one.key and shows(page.state["preview"], one)
    )
    probe.undo()
    probe.undo()  # one more than there is
    assert probe.stimulus == start and page.operations() == []
    probe.redo()
    probe.redo()
    probe.redo()
    assert probe.stimulus == two and shows(page.state["preview"], two)


def test_an_image_of_ones_own_from_python_survives_undo_and_redo(probe: Probe) -> None:
    own = probe.stimulus.with_image(np.full((30, 40, 3), 200, np.uint8)).box(1, 1, 5, 5)
    probe.stimulus = own
    probe.undo()
    assert probe.stimulus.image_preset == "natural"
    probe.redo()
    assert probe.stimulus == own and probe.stimulus.render().size == (40, 30)
    assert (probe.preview["image_width"], probe.preview["image_height"]) == (40, 30)


def test_a_stimulus_of_another_observation_brings_that_observation(probe: Probe) -> None:
    page, other = Page(probe), datasets.scenes()[7].stimulus().box(1, 2, 3, 4)
    probe.stimulus = other
    assert probe.stimulus == other
    assert page.state["observation_index"] == 7 == page.state["observation"]["index"]
    assert len(page.operations()) == 1 and page.state["document"]["past"] == []
    foreign = Stimulus(np.zeros((20, 30, 3), np.uint8), "Is it dark?").box(1, 1, 2, 2)
    probe.stimulus = foreign
    assert probe.stimulus == foreign
    assert page.state["observation_index"] == -1 and page.state["observation"]["question"] == "Is it dark?"


def test_choose(probe: Probe) -> None:
    page = Page(probe)
    probe.stimulus = probe.stimulus.box(1, 2, 3, 4)
    probe.choose(5)
    assert probe.stimulus == datasets.scenes()[5].stimulus()
    assert page.state["observation"]["index"] == 5 and page.operations() == []
    assert shows(page.state["base_preview"], probe.stimulus)
    for bad in (-1, 10**6, 1.5, "3"):
        with pytest.raises(InputError):
            probe.choose(bad)  # type: ignore[arg-type]
    assert page.state["observation"]["index"] == 5


def test_observers_of_stimulus_hear_both_sides_once(probe: Probe) -> None:
    page, heard = Page(probe), []
    probe.observe(lambda change: heard.append(change["new"]), "stimulus")
    probe.stimulus = one = probe.stimulus.box(1, 2, 3, 4)
    page.draw(BOX)
    two = probe.stimulus
    probe.undo()
    assert heard == [one, two, one]
    assert len(two.operations) == 2


def test_an_observer_may_change_the_stimulus_again(probe: Probe) -> None:
    def no_noise(change: Any) -> None:
        if any(operation.op == "noise" for operation in change["new"].operations):
            probe.stimulus = change["new"].without(len(change["new"].operations) - 1)

    page = Page(probe)
    probe.observe(no_noise, "stimulus")
    page.draw(BOX)
    page.draw({"op": "noise", "sigma": 0.2, "seed": 1, "region": None})
    assert [operation["op"] for operation in page.operations()] == ["box"]
    assert [operation.op for operation in probe.stimulus.operations] == ["box"]


@pytest.mark.parametrize("bad", [None, "x", 3])
def test_a_stimulus_must_be_one(probe: Probe, bad: Any) -> None:
    before = probe.stimulus
    with pytest.raises(Exception, match="Stimulus"):
        probe.stimulus = bad
    assert probe.stimulus is before


def test_settings_can_be_set_in_part_and_are_checked(probe: Probe) -> None:
    page = Page(probe)
    probe.settings = {"samples": 5}
    assert page.state["settings"]["samples"] == 5 and page.state["settings"]["temperature"] == 0.9
    with pytest.raises(InputError, match="samples"):
        probe.settings = {"samples": 0}
    with pytest.raises(InputError, match="beams"):
        probe.settings = {"beams": 2}
    assert probe.settings["samples"] == 5


def test_what_follows_from_the_page_cannot_be_set(probe: Probe) -> None:
    for name in ("trial", "trials", "inputs", "preview", "status", "observations"):
        with pytest.raises(Exception, match="read-only"):
            setattr(probe, name, getattr(probe, name))


def test_code_is_python_that_rebuilds_the_stimulus(probe: Probe) -> None:
    probe.choose(3)
    probe.stimulus = (
        probe.stimulus.box(10, 20, 30, 40, color="red").noise(0.1, seed=4).with_context(preset="irrelevant")
    )
    probe.settings = {"samples": 4}
    lines = probe.code().splitlines()
    assert lines[0] == "import isi_widget as isi" and "samples=4" in probe.code()
    names: dict[str, Any] = {}
    exec("\n".join(line for line in lines if not line.startswith("trial")), names)
    assert names["s"] == probe.stimulus
    assert names["vlm"].is_embedded


# ---- page -> Python
def test_drawing_on_the_page_changes_the_stimulus(probe: Probe) -> None:
    page, before = Page(probe), probe.stimulus
    page.draw(BOX)
    assert probe.stimulus == before.box(10, 20, 100, 50, color="red")
    assert page.state["inputs"]["key"] == probe.stimulus.key
    page.wait(lambda page: shows(page.state["preview"], probe.stimulus))
    assert page.state["error"] is None
    probe.undo()
    assert probe.stimulus == before and page.operations() == []


def test_presets_by_name_are_resolved(probe: Probe) -> None:
    page = Page(probe)
    page.draw({"op": "image", "preset": "annotated"}, {"op": "context", "preset": "complementary"})
    assert probe.stimulus.current_image == datasets.scenes()[0].annotated
    assert page.state["inputs"]["context"] == datasets.scenes()[0].contexts["complementary"]
    assert page.state["inputs"]["image_preset"] == "annotated"
    page.wait(lambda page: shows(page.state["base_preview"], probe.stimulus))
    page.draw({"op": "image", "preset": "random", "seed": 3})
    assert page.state["inputs"]["truth"] is None and probe.stimulus.image_preset == "random"


def test_texts_alone_do_not_send_the_picture_again(probe: Probe) -> None:
    page = Page(probe)
    page.draw({"op": "question", "text": "Is there a cat?"})
    page.draw(BOX)
    page.wait(lambda page: shows(page.state["preview"], probe.stimulus))
    assert sum("preview" in update for update in page.updates) == 1
    assert page.state["inputs"]["question"] == "Is there a cat?" and page.state["inputs"]["truth"] is None


def test_choosing_on_the_page(probe: Probe) -> None:
    page = Page(probe)
    page.draw(BOX)
    page.updates.clear()
    page.set(observation_index=9)
    assert probe.stimulus == datasets.scenes()[9].stimulus()
    update = page.updates[0]  # the new observation with its picture, never one without the other
    assert {"observation", "inputs", "document", "preview", "base_preview"} <= update.keys()
    assert page.operations() == [] and shows(page.state["base_preview"], probe.stimulus)


BAD_DOCUMENTS = [
    None,
    {"operations": []},
    {"version": 1, "operations": [{"op": "explode"}], "past": [], "future": []},
    {"version": 1, "operations": [{**BOX, "width": -5}], "past": [], "future": []},
    {"version": 1, "operations": [{**BOX, "color": "no colour"}], "past": [], "future": []},
    {"version": 1, "operations": [{**BOX, "x": 1e200}], "past": [], "future": []},
    {
        "version": 1,
        "operations": [{"op": "image", "preset": "custom", "image": "0" * 64}],
        "past": [],
        "future": [],
    },
    {
        "version": 1,
        "operations": [{"op": "noise", "sigma": 99, "seed": 0, "region": None}],
        "past": [],
        "future": [],
    },
]


@pytest.mark.parametrize("bad", BAD_DOCUMENTS)
def test_a_bad_document_is_refused_and_the_page_set_right(probe: Probe, bad: Any) -> None:
    page = Page(probe)
    page.draw(BOX)
    good, stimulus = page.state["document"], probe.stimulus
    page.set(document=bad)
    assert probe.stimulus == stimulus and probe.document == good
    assert page.state["document"] == good  # the page was told the last valid one
    assert page.state["error"]["message"] and len(page.of_kind("error")) == 1
    page.draw({**BOX, "x": 50})  # and it works on
    assert len(probe.stimulus.operations) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("observation_index", 10**6),
        ("observation_index", -1),
        ("observation_index", "first"),
        ("observation_index", None),
        ("settings", {"samples": -3}),
        ("settings", "fast"),
        ("shown", 12),
        ("shown", "last"),
        ("error", {"message": "hello"}),
        ("preview", {}),
        ("trials", []),
        ("model", {"name": "other"}),
        ("inputs", None),
        ("observation", {}),
        ("status", {"state": "running"}),
        ("_esm", "export default {}"),
        ("nonsense", 1),
    ],
)
def test_other_bad_values_are_refused(probe: Probe, name: str, value: Any) -> None:
    page, before = Page(probe), probe.get_state()
    page.set(**{name: value})
    changed = {key for key, old in before.items() if probe.get_state()[key] != old}
    assert changed == {"error"}
    if name in before and name != "error":
        assert page.state[name] == Page(probe).state[name]
    assert (
        name in page.state["error"]["message"]
        or "observation" in page.state["error"]["message"]
        or "amples" in (page.state["error"]["message"])
        or "ettings" in page.state["error"]["message"]
        or "dismiss" in page.state["error"]["message"]
    )
    page.draw(BOX)
    assert len(probe.stimulus.operations) == 1


def test_good_values_beside_a_bad_one_are_taken(probe: Probe) -> None:
    page = Page(probe)
    page.set(settings={**page.state["settings"], "samples": 3}, shown=99)
    assert probe.settings["samples"] == 3 and page.state["shown"] == -1 == probe.shown


def test_the_page_dismisses_an_error(probe: Probe) -> None:
    page = Page(probe)
    page.set(shown=99)
    assert probe.error is not None
    page.set(error=None)
    assert probe.error is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        "run",
        {"kind": "dance"},
        {"kind": "run", "id": "x"},
        {"kind": "run", "id": "x", "measures": ["?"]},
    ],
)
def test_a_bad_message_gives_one_error_and_a_working_widget(
    probe: Probe, script: Script, content: Any
) -> None:
    page = Page(probe)
    page.send(content)
    assert len(page.of_kind("error")) == 1 and page.state["error"]["message"]
    assert idle(page)
    script.free = True
    page.send({"kind": "run", "id": "good", "measures": ["answer"], "settings": {}})
    page.wait(lambda page: page.of_kind("result"))
    assert page.state["error"] is None  # a new run begins with a clean slate


def test_the_page_asks_for_code(probe: Probe) -> None:
    page = Page(probe)
    page.draw(BOX)
    page.send({"kind": "code", "id": "c1"})
    page.wait(lambda page: page.of_kind("code"))
    assert page.of_kind("code") == [{"kind": "code", "id": "c1", "text": probe.code()}]
    assert ".box(10, 20, 100, 50" in probe.code()


def test_an_observation_whose_image_cannot_be_read(vlm: VLM) -> None:
    """One error, and the one before stays, on the page as in Python."""

    def broken() -> bytes:
        raise InputError("photo-7.jpg cannot be read")

    good = Observation(np.full((40, 60, 3), 99, np.uint8), "Is it grey?")
    probe = Probe(vlm, data=[good, Observation(broken, "Is it there?")])
    page = Page(probe)
    page.draw({**BOX, "x": 1, "y": 1, "width": 5, "height": 5})
    before = probe.stimulus
    page.set(observation_index=1)
    assert "photo-7.jpg" in page.state["error"]["message"]
    assert (
        page.state["observation_index"] == 0 == page.state["observation"]["index"]
        and probe.stimulus == before
    )
    with pytest.raises(InputError, match=r"photo-7\.jpg"):
        probe.choose(1)
    assert probe.observation_index == 0 and probe.stimulus == before
    page.draw({**BOX, "x": 2, "y": 2, "width": 5, "height": 5})
    assert len(probe.stimulus.operations) == 2
    probe.close()


# ---- uploads
def png(width: int, height: int, color: str = "green") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, "PNG")
    return out.getvalue()


def test_an_upload_takes_the_place_of_the_observation(probe: Probe) -> None:
    page, question = Page(probe), probe.stimulus.question
    page.draw(BOX)
    page.send({"kind": "upload", "name": "garden.png"}, png(300, 200))
    page.wait(lambda page: page.state["observation_index"] == 100)
    assert page.state["observation"]["id"] == "garden.png" and page.state["observation"]["own"] is True
    assert page.state["observation"]["image_presets"] == [] and page.state["observation"][
        "context_presets"
    ] == ["empty"]
    assert page.state["inputs"]["truth"] is None and page.state["inputs"]["question"] == question
    assert page.operations() == []
    page.wait(lambda page: shows(page.state["base_preview"], probe.stimulus))
    page.draw(BOX, {"op": "noise", "sigma": 0.1, "seed": 1, "region": None})
    assert probe.stimulus.render().size == (300, 200) and len(probe.stimulus.operations) == 2
    probe.choose(0)
    assert page.state["observation_index"] == 0 and probe.stimulus == datasets.scenes()[0].stimulus()


def test_large_uploads_are_shown_reduced_and_kept_whole(probe: Probe) -> None:
    page = Page(probe)
    page.send({"kind": "upload", "name": "large.png"}, png(2000, 500))
    page.wait(lambda page: page.state["observation_index"] == 100)
    assert probe.stimulus.render().size == (2000, 500)
    preview = page.state["preview"]
    assert [preview[key] for key in ("width", "height", "image_width", "image_height")] == [
        1200,
        300,
        2000,
        500,
    ]


@pytest.mark.parametrize("data", [b"not an image", png(10, 10)[:40], b"\x00" * 1000])
def test_a_bad_upload_gives_an_error_and_changes_nothing(probe: Probe, data: bytes) -> None:
    page, before = Page(probe), probe.stimulus
    page.draw(BOX)
    page.send({"kind": "upload", "name": "broken.png"}, data)
    page.wait(lambda page: page.state["error"] is not None)
    assert "broken.png" in page.state["error"]["message"]
    assert page.state["observation_index"] == 0 and probe.stimulus == before.box(10, 20, 100, 50, color="red")


# ---- saved notebooks
def test_a_saved_notebook_shows_a_picture_and_a_line(probe: Probe) -> None:
    import base64

    probe.stimulus = probe.stimulus.box(0, 0, 200, 200, color="red")
    data, _ = probe._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == probe.model_id
    assert "Probe(" in data["text/plain"] and "operations: 1" in data["text/plain"]
    still = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    assert still.getpixel((20, 20))[0] > 200 and len(data["image/png"]) < 300_000


def test_the_whole_state_can_be_saved_and_is_small(probe: Probe) -> None:
    from ipywidgets import Widget

    state = Widget.get_manager_state()["state"][probe.model_id]
    assert len(str(state)) < 800_000
    assert state["state"]["document"] == probe.document


def test_the_editor_is_sent_to_a_page_that_asks_and_is_in_no_saved_state() -> None:
    probe = Probe()
    page = Page(probe)
    page.send({"kind": "editor"})
    page.wait(lambda page: page.of_kind("editor"))
    (message,) = page.of_kind("editor")
    assert message["text"].startswith("export default function(core){")
    assert message["text"] == (STATIC / "editor.js").read_text(encoding="utf-8")
    assert not [name for name, value in probe.get_state().items() if value == message["text"]]
    probe.close()


def test_the_colour_of_a_pixel_is_that_of_the_render() -> None:
    probe = Probe()
    page = Page(probe)
    probe.stimulus = probe.stimulus.box(10, 20, 30, 40, color="#123456")
    page.send({"kind": "color", "id": "a", "x": 12, "y": 25})
    page.send({"kind": "color", "id": "b", "x": 3, "y": 4})
    page.send({"kind": "color", "id": "c", "x": 100_000, "y": 4})  # outside: no answer, and no error
    page.wait(lambda page: len(page.of_kind("color")) == 2)
    there = "#{:02x}{:02x}{:02x}".format(*probe.stimulus.render().getpixel((3, 4)))
    assert {(one["id"], one["color"]) for one in page.of_kind("color")} == {("a", "#123456"), ("b", there)}
    assert probe.error is None
    probe.close()


def test_polygons_come_through_from_the_page() -> None:
    probe = Probe()
    page = Page(probe)
    points = [[10 + 80 * math.cos(t / 50) + 100, 10 + 80 * math.sin(t / 50) + 100] for t in range(300)]
    mask = {"op": "polygon", "points": points, "color": "#000000", "fill": True, "line_width": 3}
    page.draw(mask, {"op": "blur", "radius": 4, "region": [[0, 0], [90, 0], [0, 90]]})
    page.wait(lambda page: len(probe.stimulus.operations) == 2)
    assert probe.stimulus.render().getpixel((110, 110)) == (0, 0, 0)
    page.draw({**mask, "points": [[0, 0]] * 20_000})
    page.wait(lambda page: probe.error is not None)
    assert "points" in probe.error["message"]
    probe.close()


def test_masks_come_through_from_the_page() -> None:
    probe = Probe()
    page = Page(probe)
    width, height = probe.stimulus.image.size
    mask = Mask.from_box((width, height), (20, 30, 40, 50))
    cover = {"op": "erase", "fill": "#102030", "region": mask.to_dict()}
    page.draw(cover)
    page.wait(lambda page: len(probe.stimulus.operations) == 1)
    assert probe.stimulus.operations[0].region == mask
    assert probe.stimulus.render().getpixel((25, 35)) == (16, 32, 48)
    for bad in (
        {"runs": [1] * 1_000_001},
        {"runs": [1, "x"]},
        {"runs": [1, 5e12]},
        {"more": 1},
        {"feather": float("inf")},
        {"size": [[1]]},
    ):
        probe.error = None
        page.draw({**cover, "region": {"mask": {**mask.to_dict()["mask"], **bad}}})
        page.wait(lambda page: probe.error is not None)
        assert "region" in probe.error["message"]
    assert len(probe.stimulus.operations) == 1
    probe.close()


def test_the_attention_of_a_token_as_a_layer_over_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe()
    page = Page(probe)
    trial = probe.run("answer")
    assert trial.answer is not None
    page.send({"kind": "map", "id": "a", "trial": 1, "token": 0})
    page.wait(lambda page: page.of_kind("map"))
    (message,) = page.of_kind("map")
    (layer,) = page.attached[page.messages.index(message)]
    found = measure_attention_map(probe.vlm, trial.stimulus, trial.answer)
    assert message["share"] == pytest.approx(found.image_share(0))
    assert message["peak"] == pytest.approx(found.peak(0))
    sent = np.asarray(Image.open(io.BytesIO(layer)).convert("RGBA"))
    wanted = np.asarray(Image.open(io.BytesIO(heat_layer(found, 0))).convert("RGBA"))
    assert np.array_equal(sent, wanted)
    # Once read, it is not read again.
    monkeypatch.setattr("isi_widget.widget.maps.measure_attention_map", None)
    page.send({"kind": "map", "id": "b", "trial": 1, "token": len(trial.answer.token_ids) - 1})
    page.wait(lambda page: len(page.of_kind("map")) == 2)
    for asked, words in (
        ({"trial": 1, "token": 99}, "no token 99"),
        ({"trial": 7, "token": 0}, "no trial 7"),
    ):
        probe.error = None
        page.send({"kind": "map", "id": "c", **asked})
        page.wait(lambda page: probe.error is not None)
        assert words in probe.error["message"]
    probe.close()


def test_a_patch_is_cut_from_the_image_of_another_observation() -> None:
    probe = Probe()
    page = Page(probe)
    probe.stimulus = probe.stimulus.box(0, 0, 9, 9).patch((40, 50, 60, 70), 200, 100)
    before = probe.stimulus
    page.send({"kind": "cut", "operation": 1, "observation": 5})
    page.wait(lambda page: probe.stimulus != before)
    other = datasets.things()[5].image.array()
    assert np.array_equal(np.asarray(probe.stimulus.render())[100:170, 200:260], other[50:120, 40:100])
    assert probe.stimulus == before.undo().patch((40, 50, 60, 70), 200, 100, image=datasets.things()[5].image)
    cut = probe.stimulus
    probe.undo()
    assert probe.stimulus == before
    probe.redo()
    assert probe.stimulus == cut  # the page names the picture by its checksum
    probe.cut(1, 0)
    assert probe.stimulus == before
    for operation, observation, words in (
        (0, 5, "no patch"),
        (9, 5, "no patch"),
        (1, 100_000, "no observation"),
    ):
        with pytest.raises(InputError, match=words):
            probe.cut(operation, observation)
    probe.close()


def test_a_detail_belongs_to_the_picture_that_is_shown() -> None:
    probe = Probe()
    page = Page(probe)
    probe.stimulus = probe.stimulus.box(10, 20, 30, 40, color="#123456")
    page.send({"kind": "detail", "id": "a", "region": [5, 15, 20, 10], "width": 400})
    page.wait(lambda page: page.of_kind("detail"))
    (message,) = page.of_kind("detail")
    assert message["region"] == [5, 15, 20, 10] and message["key"] == probe.preview["key"]
    (data,) = page.attached[page.messages.index(message)]
    part = np.asarray(probe.stimulus.render().crop((5, 15, 25, 25)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), part)
    probe.close()


def test_the_page_learns_whether_the_truth_is_of_the_original_picture() -> None:
    probe = Probe()
    page = Page(probe)
    assert page.state["inputs"]["truth_holds"] is True
    x, y, width, height = probe.stimulus.about[0]
    over = {**BOX, "x": x, "y": y, "width": width, "height": height}
    page.set(document={**page.state["document"], "operations": [over]})
    page.wait(lambda page: page.state["inputs"]["truth_holds"] is None)
    assert page.state["inputs"]["truth"] == probe.stimulus.truth is not None
    probe.stimulus = probe.stimulus.without(0)
    assert page.state["inputs"]["truth_holds"] is True
    probe.close()


def test_the_page_learns_up_to_which_edit_its_inputs_are() -> None:
    probe = Probe()
    page = Page(probe)
    page.set(document={**page.state["document"], "operations": [BOX]}, edit=7)
    page.wait(lambda page: page.state["inputs"]["edit"] == 7)
    assert page.state["inputs"]["key"] == probe.stimulus.key
    # Undone: the same picture as at first, and still told.
    page.set(document={**page.state["document"], "operations": []}, edit=8)
    page.wait(lambda page: page.state["inputs"]["edit"] == 8)
    # Refused: the old document, and told as well.
    page.set(document={**page.state["document"], "operations": [{"op": "box"}]}, edit=9)
    page.wait(lambda page: page.state["inputs"]["edit"] == 9 and page.state["error"] is not None)
    assert probe.stimulus.operations == ()
    probe.close()
