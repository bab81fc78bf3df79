"""The input panels' kernel side: thumbnails, random presets, token counts, settings, traits to follow."""

from __future__ import annotations

import io
import random
from typing import Any

import ipywidgets
import numpy as np
import pytest
from fake_page import Page, idle
from PIL import Image
from scripted_runs import Script

from isi_widget import InputError, Observation, Probe, datasets
from isi_widget.datasets import Dataset
from isi_widget.stimulus import Polygon
from isi_widget.trial.settings import Settings
from isi_widget.vlm import VLM, load_vlm
from isi_widget.widget import editor, protocol

BOX = {"op": "box", "x": 10, "y": 20, "width": 100, "height": 50, "color": "#ff0000", "fill": True}


def image(shade: int) -> Image.Image:
    return Image.new("RGB", (40, 30), (shade, shade, shade))


def small(count: int, **texts: Any) -> Dataset:
    """A data set of so many observations, each with an image and a context of its own."""
    return Dataset(
        [
            Observation(image(20 * i), f"Is it {i}?", contexts={"irrelevant": f"It is {i}."}, **texts)
            for i in range(count)
        ],
        "small",
    )


class Listening(Page):
    """A page that keeps the buffers of custom messages, too."""

    def __init__(self, probe: Any) -> None:
        self.buffers: list[list[bytes]] = []
        super().__init__(probe)

    def _take(self, data: dict[str, Any], buffers: Any) -> None:
        if data["method"] == "custom":
            self.buffers.append([bytes(buffer) for buffer in buffers or []])
        super()._take(data, buffers)


# ---- thumbnails
def test_thumbnails_come_as_messages_and_are_never_saved(vlm: VLM) -> None:
    data = datasets.scenes()
    probe = Probe(vlm, data[0])
    page = Listening(probe)
    page.send({"kind": "thumbnails", "indexes": [7, 3]})
    page.wait(lambda page: page.of_kind("thumbnails"))
    assert page.of_kind("thumbnails") == [{"kind": "thumbnails", "indexes": [7, 3]}]
    for index, jpeg in zip([7, 3], page.buffers[-1], strict=True):
        shown = Image.open(io.BytesIO(jpeg)).convert("RGB")
        assert max(shown.size) == 96 and len(jpeg) < 10_000
        # Independent of how it was reduced: both come to the same mean colours.
        wanted = data[index].image.pil().resize((2, 2), Image.Resampling.BOX)
        got = shown.resize((2, 2), Image.Resampling.BOX)
        for at in ((0, 0), (0, 1), (1, 0), (1, 1)):
            a, b = wanted.getpixel(at), got.getpixel(at)
            assert isinstance(a, tuple) and isinstance(b, tuple)
            assert all(abs(x - y) < 6 for x, y in zip(a, b, strict=True))
    assert not any(jpeg in repr(probe.get_state()).encode() for jpeg in page.buffers[-1])
    assert page.updates == []
    probe.close()


def test_a_picture_that_cannot_be_made_is_an_empty_one(vlm: VLM) -> None:
    def broken() -> Image.Image:
        raise ZeroDivisionError("a loader of one's own")

    data = Dataset([Observation(image(9), "Is it?"), Observation(broken, "Is it?")], "two")
    probe = Probe(vlm, data[0])
    page = Listening(probe)
    page.send({"kind": "thumbnails", "indexes": [1, 0, 2, -1]})
    page.wait(lambda page: page.of_kind("thumbnails"))
    assert [bool(buffer) for buffer in page.buffers[-1]] == [False, True, False, False]
    assert page.state["error"] is None
    probe.close()


# ---- random presets
@pytest.mark.parametrize("part", ["image", "context"])
def test_a_random_item_is_never_the_shown_one_and_all_come_before_one_comes_again(
    vlm: VLM, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editor.secrets, "randbelow", random.Random(1).randrange)
    probe = Probe(vlm, small(4)[0])

    def shown() -> str:
        return probe.stimulus.current_image.sha256 if part == "image" else probe.stimulus.current_context

    own, items = shown(), []
    for _ in range(6):
        before = shown()
        probe.reshuffle(part)
        assert shown() != before
        items.append(shown())
    assert own not in items[:3] and len(set(items[:3])) == 3 and len(set(items)) <= 4
    (operation,) = probe.document["operations"]
    assert operation["op"] == part and operation["preset"] == "random"
    probe.undo()
    assert shown() == items[-2]
    probe.close()


def test_reshuffling_says_why_it_cannot(vlm: VLM) -> None:
    alone = Probe(vlm, Observation(image(9), "Is it?"))
    with pytest.raises(InputError, match="no random image here"):
        alone.reshuffle("image")
    with pytest.raises(InputError, match="'image' or 'context'"):
        alone.reshuffle("question")
    alone.close()
    two = Probe(vlm, small(2)[0])
    two.reshuffle("context")
    with pytest.raises(InputError, match="no other random context"):
        two.reshuffle("context")
    page = Page(two)
    page.send({"kind": "reshuffle", "part": "context"})
    page.wait(lambda page: page.state["error"])
    assert "no other random context" in page.state["error"]["message"]
    two.close()


def test_the_page_reshuffles_and_other_choices_stay(vlm: VLM) -> None:
    probe = Probe(vlm, small(5)[0])
    page = Page(probe)
    page.draw(BOX, {"op": "context", "preset": "random", "seed": 3})
    seen = [page.state["inputs"]["context"]]
    for _ in range(3):
        page.send({"kind": "reshuffle", "part": "context"})
        page.wait(lambda page: page.state["inputs"]["context"] != seen[-1])
        seen.append(page.state["inputs"]["context"])
    assert [op["op"] for op in page.operations()] == ["box", "context"]
    assert len(page.state["document"]["past"]) == 4
    probe.close()


def test_what_was_seen_is_forgotten_with_the_observation() -> None:
    data = small(3)
    made = editor.Editor(data[0])
    stimulus = made.base
    for _ in range(2):
        stimulus = stimulus.with_operations([made.reshuffled(stimulus, "context")])
    made.choose(1)
    assert made._seen_on is not made.base
    found = {
        made.base.with_operations([made.reshuffled(made.base, "context")]).current_context for _ in range(30)
    }
    assert found == {"It is 0.", "It is 2."}


# ---- tokens
def counted(page: Page) -> dict[str, Any]:
    before = len(page.of_kind("tokens"))
    page.send({"kind": "tokens"})
    page.wait(lambda page: len(page.of_kind("tokens")) > before)
    found = dict(page.of_kind("tokens")[-1])
    assert found.pop("kind") == "tokens"
    return found


def test_token_counts_are_the_models_own(probe: Probe) -> None:
    page = Page(probe)
    context = "There is a large red star in the picture."
    page.draw({"op": "context", "text": context, "preset": None})
    told = counted(page)
    tokenizer = probe.vlm.tokenizer
    assert told["key"] == page.state["inputs"]["key"] and told["model"] == page.state["model"]["label"]
    assert told["counts"]["context"] == len(tokenizer(context, add_special_tokens=False)["input_ids"])
    question = probe.stimulus.current_question
    assert told["counts"]["question"] == len(tokenizer(question, add_special_tokens=False)["input_ids"])
    assert told["problem"] == ""


def test_a_text_that_was_replaced_by_hand_is_counted_beside_its_original(probe: Probe) -> None:
    page = Page(probe)

    def count(text: str) -> int:
        return len(probe.vlm.tokenizer(text, add_special_tokens=False)["input_ids"])

    assert counted(page)["original"] == {}  # nothing is replaced
    question = probe.stimulus.question
    probe.stimulus = probe.stimulus.with_question("How many red stars are there?")
    told = counted(page)
    assert told["original"] == {"question": count(question)}
    assert told["counts"]["question"] == count("How many red stars are there?")
    probe.stimulus = probe.stimulus.with_context(preset="complementary")
    complementary = probe.stimulus.current_context
    assert set(counted(page)["original"]) == {"question"}  # a preset is no text by hand
    for text in (f"{complementary} So it is.", "It is."):
        probe.stimulus = probe.stimulus.with_context(text)
    assert counted(page)["original"] == {"question": count(question), "context": count(complementary)}
    probe.stimulus = probe.stimulus.with_context(complementary)
    assert set(counted(page)["original"]) == {"question"}  # typed back
    for _ in range(5):
        probe.undo()
    probe.stimulus = probe.stimulus.with_context("It is.")
    assert counted(page)["original"] == {"context": count(probe.stimulus.context)}


def test_a_prompt_that_is_too_long_is_said_before_it_is_run(probe: Probe) -> None:
    page = Page(probe)
    page.draw({"op": "context", "text": "A star. " * 1000, "preset": None})
    told = counted(page)
    assert told["counts"] is None
    assert "reads at most 1024" in told["problem"] and "Shorten" in told["problem"]
    assert page.state["error"] is None
    with pytest.raises(InputError, match="reads at most 1024"):
        probe.run("answer")


def test_without_a_question_or_without_segments_nothing_is_counted(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(probe)
    page.draw({"op": "question", "text": "  "})
    assert (counted(page)["counts"], counted(page)["problem"]) == (None, "")
    probe.undo()
    monkeypatch.setattr(type(probe._runs.slot), "unavailable", {"segments": "only text"})
    assert (counted(page)["counts"], counted(page)["problem"]) == (None, "")


def test_drawing_prepares_no_picture_for_the_model_again(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, encode, encoded = Page(probe), type(probe.vlm).encode, []
    monkeypatch.setattr(type(probe.vlm), "encode", lambda *args: encoded.append(args) or encode(*args))
    first = counted(page)
    page.draw({"op": "box", "x": 4, "y": 4, "width": 20, "height": 20})
    second = counted(page)
    assert second["counts"] == first["counts"] and second["key"] == probe.stimulus.key != first["key"]
    assert len(encoded) == 1
    probe.stimulus = probe.stimulus.with_question("How many red stars are there?")
    assert counted(page)["counts"]["question"] != first["counts"]["question"] and len(encoded) == 2
    probe.stimulus = probe.stimulus.with_image(image(90))
    counted(page)
    assert len(encoded) == 3
    counted(page)
    assert len(encoded) == 3
    probe.vlm = load_vlm()
    counted(page)
    # the current and the original question
    assert len(encoded) == 5 and all(vlm is probe.vlm for vlm, _ in encoded[3:])


def test_nothing_is_counted_while_the_model_is_busy(probe: Probe, script: Script) -> None:
    page = Page(probe)
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: not idle(page))
    page.send({"kind": "tokens"})
    script.go(3)
    page.wait(idle)
    assert page.of_kind("tokens") == []
    assert counted(page)["counts"]["question"] > 0


# ---- files
@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8\xff\xe0 cut off", b"no image", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)],
)
def test_files_that_cannot_be_read_say_what_to_do(probe: Probe, data: bytes) -> None:
    page = Page(probe)
    before = probe.stimulus
    page.send({"kind": "upload", "name": "IMG_1.HEIC"}, data)
    page.wait(lambda page: page.state["error"])
    assert page.state["error"]["message"].startswith("IMG_1.HEIC: ")
    assert "save it again as PNG or JPEG" in page.state["error"]["hint"]
    assert probe.stimulus is before


# ---- settings
def test_every_setting_goes_from_the_page_into_the_run(probe: Probe, script: Script) -> None:
    script.free = True
    page = Page(probe)
    wanted = {
        "samples": 3,
        "temperature": 0.5,
        "top_k": 7,
        "top_p": 0.8,
        "seed": 5,
        "max_new_tokens": 9,
        "strict_entailment": True,
        "do_sample": True,
        "num_beams": 1,
        "likelihood": "sampled",
        "prepend_question": False,
        "method": "enumerated",
        "mass": 0.9,
        "budget": 100,
    }
    assert set(wanted) == set(protocol.SETTINGS)
    page.set(settings=wanted)
    page.send({"kind": "run", "id": "r", "measures": ["answer"], "settings": wanted})
    page.wait(lambda page: page.of_kind("result"))
    page.wait(idle)
    assert script.settings[-1] == wanted == probe.settings
    assert probe.trials[-1].settings == Settings(measures="answer", **wanted)  # type: ignore[arg-type]
    assert "top_k=7" in probe.code()
    probe.settings = {"samples": 4}
    assert page.state["settings"] == {**wanted, "samples": 4}


def test_settings_of_one_run_in_python_are_checked_at_once(probe: Probe, script: Script) -> None:
    script.free = True
    probe.run("answer", num_beams=3, top_k=4)
    assert (script.settings[-1]["num_beams"], script.settings[-1]["top_k"]) == (3, 4)
    assert probe.settings == protocol.SETTINGS
    probe.settings = {"do_sample": True}
    with pytest.raises(InputError, match="exclude each other"):
        probe.run("answer", num_beams=3)
    with pytest.raises(InputError, match="exclude each other"):
        probe.settings = {"num_beams": 3}
    assert probe.settings == {**protocol.SETTINGS, "do_sample": True}
    assert len(script.begun) == 1


def test_settings_of_the_page_that_exclude_each_other_are_refused(probe: Probe) -> None:
    page = Page(probe)
    page.set(settings={**protocol.SETTINGS, "do_sample": True, "num_beams": 4})
    page.wait(lambda page: page.state["error"])
    assert "exclude each other" in page.state["error"]["message"]
    assert page.state["settings"] == probe.settings == protocol.SETTINGS


# ---- traits for reactive use
def test_tool_and_selection_go_both_ways(probe: Probe) -> None:
    page = Page(probe)
    page.draw(BOX, {"op": "question", "text": "Is it?"}, BOX)
    probe.tool, probe.selected = "ellipse", [2, 0]
    assert (page.state["tool"], page.state["selected"]) == ("ellipse", [0, 2])
    seen: list[Any] = []
    probe.observe(lambda change: seen.append(change["new"]), ["tool", "selected"])
    page.set(tool="noise")
    page.set(selected=[2])
    assert (probe.tool, probe.selected) == ("noise", [2]) and seen == ["noise", [2]]
    for state, words in (({"tool": "hammer"}, "tool must be"), ({"selected": ["1"]}, "whole numbers")):
        page.set(**state)
        assert words in page.state["error"]["message"]
        assert (page.state["tool"], page.state["selected"]) == ("noise", [2])
    with pytest.raises(InputError, match="is no drawing"):
        probe.selected = [9]
    assert probe.selected == [2]


def test_a_selection_of_an_older_document_is_no_error(probe: Probe) -> None:
    page = Page(probe)
    page.draw(BOX, {"op": "question", "text": "Is it?"}, BOX)
    page.set(selected=[2])
    probe.choose(1)  # while the next selection is on its way
    page.set(selected=[0, 2])
    assert page.state["error"] is None and probe.selected == [] == page.state["selected"]


def test_a_selection_comes_with_its_document_and_goes_with_its_drawing(probe: Probe) -> None:
    page = Page(probe)
    document = {
        "version": 1,
        "operations": [BOX],
        "past": [{"at": 0, "remove": 1, "insert": []}],
        "future": [],
    }
    page.set(selected=[0], document=document)
    assert page.state["error"] is None and probe.selected == [0]
    probe.undo()
    assert probe.selected == [] == page.state["selected"]
    page.draw(BOX)
    page.set(selected=[0])
    probe.choose(1)
    assert probe.selected == []


def test_busy_while_the_model_runs_and_not_to_be_set(probe: Probe, script: Script) -> None:
    page = Page(probe)
    seen: list[bool] = []
    probe.observe(lambda change: seen.append(change["new"]), "busy")
    page.send({"kind": "run", "id": "r", "measures": ["answer"]})
    page.wait(lambda page: page.state["busy"])
    script.go(3)
    page.wait(lambda page: not page.state["busy"])
    assert seen == [True, False]
    page.set(busy=True)
    assert "may not set 'busy'" in page.state["error"]["message"]
    assert probe.busy is False is page.state["busy"]
    with pytest.raises(Exception, match="read-only"):
        probe.busy = True


def test_interactive_and_links(probe: Probe, script: Script) -> None:
    script.free = True
    seen: list[Any] = []
    made = ipywidgets.interactive(
        lambda s, trial, selected: seen.append((s, trial, selected)),
        s=probe.watch("stimulus"),
        trial=probe.watch("trial"),
        selected=probe.watch("selected"),
    )
    made.update()
    assert seen[-1] == (probe.stimulus, None, [])
    Page(probe).draw(BOX)
    assert len(seen[-1][0].operations) == 1
    probe.selected = [0]
    assert seen[-1][2] == [0]
    trial = probe.run("answer")
    assert seen[-1][1] is trial
    with pytest.raises(InputError, match="cannot be watched"):
        probe.watch("vlm")
    button = ipywidgets.ToggleButton()
    link = ipywidgets.jslink((probe, "busy"), (button, "disabled"))
    assert link.source == (probe, "busy")
    choice = ipywidgets.Dropdown(options=protocol.TOOLS)
    ipywidgets.link((probe, "tool"), (choice, "value"))
    choice.value = "text"
    assert probe.tool == "text"
    for widget in (made, button, choice, link):
        widget.close()


# ---- what was drawn on an observation that was left
def test_what_was_drawn_is_an_undo_away_when_an_observation_is_looked_at_again(vlm: VLM) -> None:
    probe = Probe(vlm, data=small(3))
    drawn = probe.stimulus.box(1, 1, 5, 5).line((0, 0), (9, 9))
    probe.stimulus = drawn
    probe.choose(1)
    assert probe.stimulus.operations == () and not probe.document["past"]
    page = Page(probe)
    data = io.BytesIO()
    image(7).save(data, "PNG")
    page.send({"kind": "upload", "name": "own.png"}, data.getvalue())
    page.wait(lambda page: page.state["observation_index"] == 3)
    probe.choose(0)
    assert probe.stimulus.operations == ()
    probe.undo()
    assert probe.stimulus == drawn
    probe.undo()
    assert probe.stimulus.operations == ()
    probe.close()


def test_a_drawing_outside_the_picture_is_said(probe: Probe) -> None:
    page = Page(probe)
    key = page.state["inputs"]["key"]
    page.draw({"op": "box", "x": 5000, "y": 5, "width": 9, "height": 9})
    assert "Paints nothing, since it lies outside the picture" in page.state["inputs"]["warning"]
    assert page.state["inputs"]["key"] == key
    probe.undo()
    assert page.state["inputs"]["warning"] == ""


def test_drawings_that_would_take_minutes_are_refused_and_the_former_stay(probe: Probe) -> None:
    page = Page(probe)
    page.draw({"op": "box", "x": 5, "y": 5, "width": 9, "height": 9})
    before = probe.stimulus
    points = np.random.default_rng(0).random((10_000, 2)) * 480
    with pytest.raises(InputError, match="would take too long to paint"):
        probe.stimulus = before.apply(*[Polygon(points, fill=False)] * 5)
    assert probe.stimulus == before


def test_letters_that_the_font_has_not_are_said(probe: Probe) -> None:
    page = Page(probe)
    page.draw({"op": "text", "x": 5, "y": 5, "text": "Größe, שלום, قطة, e\u0301 \u200e", "size": 16})
    assert page.state["inputs"]["warning"] == ""
    page.draw({"op": "arrow", "start": [5, 5], "end": [50, 50], "label": "中文中", "size": 16})
    assert "no letters for 中文: the model is shown empty boxes" in page.state["inputs"]["warning"]
    probe.undo()
    assert page.state["inputs"]["warning"] == ""
