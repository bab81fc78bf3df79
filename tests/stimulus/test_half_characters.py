"""Halves of characters are joined or replaced where a text comes in, so that nothing behind it ever stops."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import isi_widget as isi
from isi_widget import datasets
from isi_widget.stimulus import Stimulus
from isi_widget.text import all_repaired, held_half, repaired
from isi_widget.trial import Trial, run_trial

HALF, OTHER, FACE, GONE = "\ud83d", "\ude00", "\U0001f600", "\ufffd"
any_text = st.text(st.characters(exclude_categories=()))  # with halves


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        ("plain", "plain"),
        (FACE, FACE),
        (HALF + OTHER, FACE),
        (HALF, GONE),
        (OTHER, GONE),
        (OTHER + HALF, GONE + GONE),
        (f"a{HALF}b{HALF}{OTHER}c{OTHER}", f"a{GONE}b{FACE}c{GONE}"),
    ],
)
def test_repaired(text, wanted):
    assert repaired(text) == wanted


@given(any_text)
def test_what_is_repaired_can_be_written_and_stays_as_it_is(text):
    found = repaired(text)
    assert found.encode().decode() == found == repaired(found)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert found == text


@given(any_text)
def test_chunks_with_held_halves_are_the_whole(text):
    chunks, held = [], ""
    for letter in text:
        said, held = held_half(held + letter)
        chunks.append(repaired(said))
    assert "".join(chunks) + repaired(held) == repaired(text)


def test_records_are_repaired_through_and_through():
    record = {HALF: [HALF, {"a": (OTHER, 1, None, True, 2.5)}], "b": b"bytes"}
    assert all_repaired(record) == {GONE: [GONE, {"a": (GONE, 1, None, True, 2.5)}], "b": b"bytes"}


def written(value):
    return json.dumps(value, ensure_ascii=False).encode()


def test_an_observation_of_halves():
    obs = isi.Observation(
        Image.new("RGB", (40, 30)),
        f"q{HALF}{OTHER}",
        context=f"c{HALF}",
        answer=f"a{OTHER}",
        contexts={"complementary": f"d{HALF}"},
        level=f"l{HALF}",
        id=f"i{HALF}",
        metadata={f"k{HALF}": [f"v{HALF}"]},
    )
    assert (obs.question, obs.context, obs.answer) == (f"q{FACE}", f"c{GONE}", f"a{GONE}")
    assert (obs.level, obs.id, dict(obs.metadata)) == (f"l{GONE}", f"i{GONE}", {f"k{GONE}": [f"v{GONE}"]})
    written(obs.stimulus().with_context(preset="complementary").to_dict())


def test_a_stimulus_of_halves():
    s = Stimulus(Image.new("RGB", (40, 30)), f"q{HALF}", f"c{HALF}", f"a{HALF}")
    s = s.with_context(f"x{HALF}{OTHER}").with_question(f"y{HALF}").text(1, 2, f"t{HALF}")
    s = s.arrow((1, 2), (20, 20), label=f"z{HALF}")
    assert (s.current_context, s.current_question) == (f"x{FACE}", f"y{GONE}")
    written(s.to_dict())
    assert Stimulus.from_json(s.to_json()) == s
    assert s.key == Stimulus.from_dict(json.loads(json.dumps(s.to_dict()))).key
    s.render()


def test_records_that_hold_halves_are_read():
    trial = run_trial(isi.load_vlm(), datasets.scenes()[0].stimulus(), measures=("answer",))
    record = json.loads(json.dumps(trial.to_dict()))
    record["results"]["answer"]["text"] += HALF
    record["notes"] = [HALF]
    record["stimulus"]["question"] += HALF
    found = Trial.from_dict(record)
    written(found.to_dict())
    assert found.answer.text.endswith(GONE)
    found._repr_html_().encode()
    assert Trial.from_dict(json.loads(written(found.to_dict()))) == found


def test_a_table_of_halves(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    table = tmp_path / "t.csv"
    table.write_bytes(f"image,question,more\na.png,q{FACE},{FACE}\n".encode())
    data = datasets.from_csv(table, images=tmp_path, name=f"n{HALF}")
    assert (data.name, data[0].question, data[0].metadata["more"]) == (f"n{GONE}", f"q{FACE}", FACE)
    table.write_bytes(b"image,question\na.png,q\xed\xa0\xbd\n")  # a half as other programs write it
    with pytest.raises(isi.InputError, match="UTF-8"):
        datasets.from_csv(table, images=tmp_path)
