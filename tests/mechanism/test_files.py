"""Results in files, measurements that go on from a store, and the line with the time left."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from planted_models import planted

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism import knocking_out, trace_runs
from isi_widget.running import bar

MADE = planted("one_hop")
DATA = MADE.observations(8)
VLM = MADE.vlm()
PAIR = isi.Pair(DATA[0], DATA[1])
HEADS = isi.measure_heads(VLM, DATA, method="integrated")
RESULTS = {
    "heads": lambda: HEADS,
    "ablation": lambda: isi.head_ablation(VLM, DATA[:2], HEADS, ks=[1]),
    "overlap": lambda: isi.head_overlap({"one": HEADS, "other": HEADS}),
    "divergence": lambda: isi.vision_divergence(VLM, DATA[:2]),
    "gates": lambda: isi.fit_gates(VLM, DATA[:2], DATA[2:4], DATA[4:6], contributions=HEADS, random=2),
    "trace": lambda: isi.trace(VLM, PAIR, beside="gradient", controls=1),
    "knock-out": lambda: isi.knockout_curve(VLM, DATA[:2]),
    "lens": lambda: isi.logit_lens(VLM, DATA[0], words=["No"]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_written_and_read_back(name, tmp_path):
    result = RESULTS[name]()
    path = result.save(tmp_path / "result.json")
    assert type(result).load(path) == result
    assert json.loads(path.read_text(), parse_constant=pytest.fail)  # no NaN: it is JSON
    with pytest.raises(InputError, match=r"cannot be written to .*no/result\.json"):
        result.save(tmp_path / "no" / "result.json")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        type(result).load(tmp_path / "other.json")
    path.write_text("{}")
    with pytest.raises(InputError, match=f"holds no {type(result).__name__}: "):
        type(result).load(path)
    path.write_text('{"a": NaN}')
    with pytest.raises(InputError, match="is no valid JSON"):
        type(result).load(path)


def test_a_correlation_that_is_unknown_has_a_record(tmp_path):
    given = {
        **HEADS.only([0]).to_dict(),
        "agreement": {"items": 1.0, "rank_correlation": None, "recall": 1.0},
    }
    found = isi.HeadContributions.from_dict({**given, "agreement": {**given["agreement"], "k": 1.0}})
    assert "rank correlation unknown; 100 % of the 1 heads" in found.remarks[0]
    assert type(found).load(found.save(tmp_path / "heads.json")) == found


# Stores -----------------------------------------------------------------------------------------------------


def after(polls):
    """A `cancel` that stops after some polls."""
    count = iter(range(polls))
    return lambda: next(count, None) is None


def trace(**given):
    return isi.trace(VLM, [PAIR, isi.Pair(DATA[2], DATA[3])], beside="integrated", controls=2, **given)


def curve(**given):
    return isi.knockout_curve(VLM, DATA[:3], [("last", "image"), ("question", "image")], controls=2, **given)


@pytest.mark.parametrize(
    ("measure", "module", "name", "polls", "file"),
    [
        (trace, trace_runs, "_cells", 7, "trace.jsonl"),
        (curve, knocking_out, "_measured", 4, "knockout.jsonl"),
    ],
)
def test_a_stopped_measurement_goes_on_from_its_store(
    measure, module, name, polls, file, tmp_path, monkeypatch
):
    whole = measure()
    with pytest.raises(Cancelled, match="What is in its store stays"):
        measure(store=tmp_path, cancel=after(polls))
    stored = len((tmp_path / file).read_text().splitlines()) - 1
    assert stored > 0
    ran, plain = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given: ran.append(1) or plain(*given))
    assert measure(store=tmp_path) == whole
    total = len((tmp_path / file).read_text().splitlines()) - 1
    estimates = 2 if measure is trace else 0
    assert len(ran) == total - stored - estimates > 0
    ran.clear()
    assert measure(store=tmp_path) == whole and not ran
    with pytest.raises(InputError, match=r"different run \(not the same controls\)"):
        measure(store=tmp_path, seed=1)
    with pytest.raises(InputError, match="another kind of measurement"):
        isi.measure_heads(VLM, DATA, store=tmp_path / file)


def test_a_store_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "store.bin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no store of a measurement"):
        isi.measure_heads(VLM, DATA, store=path)
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="no store of a measurement"):
        isi.measure_heads(VLM, DATA, store=path)


CHANGES = {
    "a shape": lambda line: {**line, "arrays": {**line["arrays"], "drops": line["arrays"]["baseline"]}},
    "a name": lambda line: {**line, "arrays": {}},
    "the depth": lambda line: "[" * 100_000,
    "the number": lambda line: json.dumps({**line, "item": 0}).replace('"item": 0', '"item": 1e999'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_line_that_was_changed_is_measured_again(change, tmp_path):
    path = tmp_path / "heads.jsonl"
    whole = isi.measure_heads(VLM, DATA[:2], store=path)
    first, line, *others = path.read_text().splitlines()
    made = CHANGES[change](json.loads(line))
    path.write_text("\n".join([first, made if isinstance(made, str) else json.dumps(made), *others, ""]))
    assert isi.measure_heads(VLM, DATA[:2], store=path) == whole


@pytest.mark.parametrize(("kind", "measure"), [("trace", lambda **a: isi.trace(VLM, PAIR, **a))])
def test_arrays_of_a_trace_that_were_changed_are_measured_again(kind, measure, tmp_path):
    whole = measure(store=tmp_path)
    path = tmp_path / f"{kind}.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[1])
    record["arrays"]["each"] = {"shape": [0], "type": "float64", "bytes": ""}
    path.write_text("\n".join([lines[0], json.dumps(record), *lines[2:], ""]))
    assert measure(store=tmp_path) == whole


# The line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test adds to it."""
    now = SimpleNamespace(time=1000.0)
    monkeypatch.setattr("tqdm.std.tqdm.__init__", _with_clock(now))
    return now


def _with_clock(now):
    from tqdm.std import tqdm

    plain = tqdm.__init__

    def init(self, *arguments, **named):
        plain(self, *arguments, **named)
        self._time = lambda: now.time
        self.start_t = self.last_print_t = now.time

    return init


def test_the_line_shows_the_time_left_and_goes(clock):
    place = io.StringIO()
    line = bar.Bar(place)
    line("heads", 0, 100)
    line("heads", 1, 100)
    assert not place.getvalue()  # what is over soon needs none
    for done in (20, 40):
        clock.time += 10
        line("heads", done, 100)
    shown = place.getvalue().split("\r")[-1]
    assert shown.startswith("heads:  40% |") and "40 of 100, 00:20 so far, 00:30 left" in shown
    line("testing", 0, 2)  # another stage has its own
    line.close()
    assert place.getvalue().split("\r")[-2].isspace()


def test_a_notebook_shows_the_line_in_its_cell(clock, monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data))
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data) or handle)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))

    @bar.with_bar
    def measure(*, progress=True, cancel=None):
        progress("pairs", 0, 4)
        clock.time += 5
        progress("pairs", 1, 4)
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        measure()
    assert shown[0]["text/plain"].startswith("pairs:  25% |") and "00:15 left" in shown[0]["text/plain"]
    assert shown[-1] == {"text/plain": "", "text/html": ""}


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_the_line_and_a_file_does_not(terminal, monkeypatch):
    place = io.StringIO()
    place.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", place)
    seen = []

    @bar.with_bar
    def measure(*, progress=True, cancel=None):
        seen.append(progress)

    measure()
    measure(progress=False)
    measure(progress=None)
    assert isinstance(seen[0], bar.Bar) is terminal and seen[1:] == [None, None]
    assert measure.__name__ == "measure"


@pytest.mark.parametrize("tool", ["measure_heads", "trace", "knockout_curve", "logit_lens", "fit_gates"])
def test_what_is_no_function_is_refused(tool):
    function = getattr(isi, tool)
    with pytest.raises(InputError, match=f"{tool}: progress must be True"):
        function(VLM, PAIR, progress="yes")
    with pytest.raises(InputError, match=f"{tool}: cancel must be a function"):
        function(VLM, PAIR, cancel=True)


def test_a_measurement_reports_to_a_function():
    calls = []
    isi.measure_heads(VLM, DATA[:2], progress=lambda *step: calls.append(step))
    assert calls[0] == ("heads", 0, 8) and calls[-1] == ("heads", 8, 8)
    assert isi.measure_heads(VLM, DATA[:2], progress=False) == isi.measure_heads(VLM, DATA[:2])
