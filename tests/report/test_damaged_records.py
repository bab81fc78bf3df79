"""Records that were changed by chance or by somebody: each is refused by an `InputError`, or can be shown."""

from __future__ import annotations

import copy
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from made_trials import HOSTILE, make_silent_trial, make_trial

import isi_widget as isi
from isi_widget import InputError, Stimulus, Trial
from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.files.records import parse_json
from isi_widget.study.compare import Comparison
from isi_widget.study.record import Averages, Row
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty import Uncertainty
from isi_widget.uncertainty.order import OrderDependence

SCRIPT = '<script>alert(1)</script><img src=x onerror="alert(1)">\''
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    7,
    2**63,
    10**400,
    1e308,
    -0.5,
    "",
    "nan",
    "-inf",
    SCRIPT,
    "\ud800",
    "a\x00b\u202e",
    "x" * 5000,
    [],
    {},
    [[]],
    ["a", 1, None],
    {"float": "nan"},
    {"float": "abc"},
    {"a": {"b": [1]}},
    [float("nan")],
    [0] * 50,
]


def deep(depth: int) -> Any:
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a record, of long lists the first ones."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:3]):
            yield from places(item, (*at, index))


def mutated(record: Any, chance: random.Random) -> Any:
    """The record with one thing, seldom two, changed."""
    made = copy.deepcopy(record)
    if chance.random() < 0.03:
        *way, last = chance.choice(list(places(made)))
        holder = made
        for step in way:
            holder = holder[step]
        holder[last] = deep(5000)
        return made
    for _ in range(1 + (chance.random() < 0.2)):
        *way, last = chance.choice(list(places(made)))
        holder = made
        for step in way:
            holder = holder[step]
        how = chance.random()
        if how < 0.65:
            holder[last] = copy.deepcopy(chance.choice(ODD))
        elif how < 0.8:
            del holder[last]
        elif how < 0.9 and isinstance(holder, dict):
            holder[chance.choice(["shadow", SCRIPT, "float", ""])] = copy.deepcopy(chance.choice(ODD))
        elif isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(holder[last]))
    return made


# ---- what is shown of each
class Tags(HTMLParser):
    """Refuses what could run."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form")
        for name, value in attributes:
            assert not name.startswith("on") and "javascript:" not in (value or "")
            assert name not in ("src", "href") or (value or "").startswith("data:image/")


def clean(html: str) -> None:
    Tags().feed(html)
    html.encode()


def show_trial(trial: Trial, whole: bool) -> None:
    json.dumps(trial.view(), allow_nan=False)
    json.dumps(trial.to_dict(), allow_nan=False)
    clean(trial._repr_html_())
    assert len(trial.to_frame()) == 1 and repr(trial) and hash(trial) is not None
    compile(trial.code(), "code", "exec")
    if whole:
        trial.plot().clear()
        assert trial.report()[:5] == b"%PDF-"


def show_comparison(comparison: Comparison, whole: bool) -> None:
    clean(comparison._repr_html_())
    comparison.to_frame()
    if whole:
        assert isi.report(comparison)[:5] == b"%PDF-"


def show_averages(averages: Averages, whole: bool) -> None:
    clean(averages._repr_html_())
    assert repr(averages) and len(averages.to_frame()) == len(averages)
    json.dumps(averages.to_dict(), allow_nan=False)


def show_stimulus(stimulus: Stimulus, whole: bool) -> None:
    stimulus.render()
    json.dumps(stimulus.to_dict(), allow_nan=False)
    assert stimulus.code() and stimulus.key


def show_uncertainty(uncertainty: Uncertainty, whole: bool) -> None:
    json.dumps(uncertainty.to_dict())
    assert repr(uncertainty) and isinstance(uncertainty.caveats, tuple) and uncertainty.cluster_names


def show_shares(shares: AttentionShares, whole: bool) -> None:
    json.dumps(shares.to_dict())
    shares.relative(), shares.per_layer(), shares.modality_dominance_index


def show_any(record: Any, whole: bool) -> None:
    json.dumps(record.to_dict())
    assert repr(record) and hash(record) is not None


def _trial() -> Any:
    return make_trial(context=HOSTILE, operations=[{"op": "text", "x": 1, "y": 2, "text": "a", "size": 9}])


def _stimulus() -> Any:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    plain = Stimulus(pixels, "Is there a star?", "A context.", "Yes").box(1, 1, 2, 2).arrow((0, 0), (5, 5))
    return plain.polygon([(0, 0), (3, 1), (2, 4)]).noise(0.2, 1, (0, 0, 3, 3)).with_context("b").blur(1)


def _averages() -> Any:
    rows = tuple(
        Row.of(trial, name, "object") for trial, name in ((_trial(), "a"), (make_silent_trial(), HOSTILE))
    )
    model = {
        "name": HOSTILE,
        "family": "LLaVA-1.5",
        "dtype": "float32",
        "fingerprint": "0123",
        "revision": None,
    }
    return Averages(
        model, Settings(), "my data", rows, "a condition", "embedded", ("a note",), {"python": "3"}, "2026"
    )


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any, bool], None], int]] = {
    "trial": (_trial, Trial.from_dict, show_trial, 250),
    "silent trial": (make_silent_trial, Trial.from_dict, show_trial, 80),
    "uncertainty": (lambda: _trial().uncertainty, Uncertainty.from_dict, show_uncertainty, 300),
    "order": (lambda: OrderDependence(0.1, 0.2, 0.3, 0.4, 5, True), OrderDependence.from_dict, show_any, 80),
    "answer": (lambda: _trial().answer, Answer.from_dict, show_any, 200),
    "settings": (lambda: Settings(samples=3), Settings.from_dict, show_any, 200),
    "attention": (lambda: _trial().attention, AttentionShares.from_dict, show_shares, 200),
    "stimulus": (_stimulus, Stimulus.from_dict, show_stimulus, 250),
    "comparison": (
        lambda: Comparison((_trial(), make_silent_trial()), ("a", "b")),
        Comparison.from_dict,
        show_comparison,
        40,
    ),
    "averages": (_averages, Averages.from_dict, show_averages, 250),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_record_is_refused_or_shown(kind: str) -> None:
    make, read, show, times = KINDS[kind]
    record = json.loads(json.dumps(make().to_dict()))
    show(read(copy.deepcopy(record)), True)
    refused = 0
    for seed in range(times):
        changed = mutated(record, random.Random(f"{kind} {seed}"))
        try:
            found = read(changed)
        except InputError as error:
            assert len(str(error)) < 1500
            refused += 1
            continue
        try:
            show(found, seed % 40 == 0)
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: taken, and then cannot be shown") from error
    assert refused > times / 10


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 1e308, -1e308, 5.0])
@pytest.mark.parametrize("name", ["end_logprob", "sampled_end_logprob", "sampled_logprobs", "logprobs"])
def test_an_odd_probability_of_an_answer_is_refused_or_shown(name: str, number: float) -> None:
    make, read, show, _ = KINDS["trial"]
    record = copy.deepcopy(make().to_dict())
    for answer in record["results"]["uncertainty"]["answers"]:
        answer["sampled_logprobs"] = answer["logprobs"]
        answer["end_logprob"] = answer["sampled_end_logprob"] = -0.1 if answer["finished"] else None
        answer[name] = [number] * len(answer["logprobs"]) if name.endswith("s") else number
    try:
        found = read(record)
    except InputError:
        return
    show(found, False)
    _ = found.uncertainty.posterior, found.uncertainty.drawn_probabilities


# ---- files
def test_a_changed_report_is_refused_or_read() -> None:
    trial = _trial()
    whole = isi.report([trial, make_silent_trial()])
    chance = random.Random(0)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3, 30])):
            at = chance.randrange(len(data))
            how = chance.random()
            if how < 0.6:
                data[at] = chance.randrange(256)
            elif how < 0.8:
                del data[at : at + chance.randrange(1, 400)]
            else:
                data[at:at] = data[at : at + 50]
        try:
            read = isi.open_report(bytes(data))
        except InputError:
            continue
        for found in read if isinstance(read, list) else [read]:
            show_trial(found, False)


def with_attachments(**files: bytes) -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    for name, content in files.items():
        writer.add_attachment(name.replace("_", "-") + ".json", content)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "inside it is no JSON"),
        (b"7", "must be a dict"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"schema": NaN}', "NaN"),
        (b"9" * 10_000, "is no JSON"),
        (b'{"schema": 1}', "lacks"),
    ],
)
def test_what_is_attached_is_checked(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        isi.open_report(with_attachments(trial=content))


def test_a_report_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from isi_widget.files import records
    from isi_widget.trial import reports as pdf

    text = json.dumps(_trial().to_dict()).encode()
    several = with_attachments(trial_01=text, trial_02=text, trial_03=text)
    read = isi.open_report(several)
    assert isinstance(read, list) and len(read) == 3
    assert read[0].stimulus.image is read[2].stimulus.image  # held once
    for module, name, value, words in (
        (pdf, "_LARGEST", 2 * len(text), "MB of trials inside"),
        (pdf, "_MOST", 2, "report of 3 trials"),
        (pdf, "_MOST_PIXELS", 100, "megapixels"),
        (records, "MOST_VALUES", 50, "values; at most"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            with pytest.raises(InputError, match=words):
                isi.open_report(several)


def test_the_pictures_of_a_stimulus_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from isi_widget.stimulus import serial

    text = _stimulus().to_json()
    monkeypatch.setattr(serial, "_MOST_PIXELS", 10)
    with pytest.raises(InputError, match="megapixels"):
        Stimulus.from_json(text)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 10_000, '{"a": Infinity}', "7", '"\\ud800"', "{"])
def test_a_damaged_file_is_one_input_error(text: str, tmp_path: Any) -> None:
    with pytest.raises(InputError):
        Stimulus.from_json(text)
    path = tmp_path / "averages.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="holds no averages"):
        Averages.load(path)


def test_halves_of_characters_are_repaired() -> None:
    record = json.loads(json.dumps(_trial().to_dict()))
    record["results"]["answer"]["text"] = "a\ud83d"
    record["notes"] = ["\ud83d\ude00", "\udc00"]
    trial = Trial.from_dict(record)
    assert trial.answer is not None and trial.answer.text == "a\ufffd"
    assert trial.notes == ("\U0001f600", "\ufffd")
    show_trial(trial, True)
    averages = json.loads(json.dumps(_averages().to_dict()))
    averages["condition"] = averages["versions"]["python"] = averages["model"]["family"] = "a\ud800"
    found = Averages.from_dict(averages)
    assert found.condition == "a\ufffd"
    show_averages(found, True)
    labelled = {**Comparison((trial,), ("a",)).to_dict(), "labels": ["a\ud800"]}
    show_comparison(Comparison.from_dict(labelled), True)


@pytest.mark.parametrize("number", ["1e999", "-1E+400", f"{'9' * 400}.0"])
def test_numbers_that_are_read_as_infinite_are_refused(number: str) -> None:
    with pytest.raises(InputError, match="too large"):
        parse_json(f'{{"a": [{number}]}}', "The file")
    assert parse_json('{"a": [1e299, 1.5e-400]}', "The file") == {"a": [1e299, 0.0]}


def test_halves_of_characters_in_a_text_of_json_are_repaired() -> None:
    assert parse_json('{"a\\udc00": ["\\ud83d\\ude00", "\\ud83d"]}', "The file") == {
        "a\ufffd": ["\U0001f600", "\ufffd"]
    }


def test_a_new_field_is_covered_by_its_annotation() -> None:
    import dataclasses

    from isi_widget.files import records

    @dataclasses.dataclass
    class Made:
        name: str
        values: tuple[float, ...] = ()
        pair: tuple[int, str] | None = None

        @classmethod
        @records.reader("what was made")
        def from_dict(cls, record: Any) -> Any:
            return cls(**record)

    assert Made.from_dict({"name": "a", "values": [1, 2.5], "pair": [1, "b"]}).name == "a"
    for bad, words in (
        ({"name": 7}, "'name' must be a text, not 7"),
        ({}, "lacks name"),
        ({"name": "a", "more": 1}, "not known here: more"),
        ({"name": "a", "values": [1, "b"]}, "'values' must be a number, not 'b'"),
        ({"name": "a", "values": [True]}, "a number, not True"),
        ({"name": "a", "pair": [1]}, "a list of 2 or null"),
        ({"name": "a", "pair": [1, None]}, "'pair'"),
        ([], "must be a dict"),
    ):
        with pytest.raises(InputError, match=re.escape(words)):
            Made.from_dict(bad)
