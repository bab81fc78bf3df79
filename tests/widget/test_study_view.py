"""The view of a study: what its page is sent while it runs and after, and what a page may ask."""

import gc
import json
import threading
import time
import weakref

import numpy as np
import pandas as pd
import pytest
from fake_page import Page
from made_study import MadeStudy
from study.made_studies import CONDITIONS, FAILED, Made, made_rows

from isi_widget.errors import Cancelled, InputError
from isi_widget.study.live import Run
from isi_widget.study.statistics import paired, table
from isi_widget.widget import StudyView
from isi_widget.widget.study import view as views
from isi_widget.widget.study.pages import SIZE, Pages
from isi_widget.widget.study.query import Query


class Work:
    """Gives the rows of a made study one after the other, up to a gate."""

    def __init__(self, study: MadeStudy) -> None:
        self.study, self.upto, self.more = study, 0, threading.Condition()
        study.finished = 0
        study._run = Run(self, study.size)

    def allow(self, rows: int) -> None:
        with self.more:
            self.upto = rows
            self.more.notify_all()

    def __call__(self, run: Run) -> None:
        while self.study.finished < self.study.size:
            with self.more:
                while self.study.finished >= self.upto and not run.stopping():
                    self.more.wait(0.01)
            if run.stopping():
                raise Cancelled("cancelled")
            row = self.study.whole.iloc[self.study.finished].to_dict()
            self.study.finished += 1
            run.row({name: None if value is None or value != value else value for name, value in row.items()})


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def rows():
    return made_rows(observations=30, failing=0.05, unjudged=0.05, answers=0)


@pytest.fixture
def opened(rows):
    """View of a finished study that is not run here."""
    view = StudyView(MadeStudy(rows))
    until(lambda: view._page.page and view._page.plots.get("plots"))
    yield view
    view.close()


@pytest.fixture
def quick(monkeypatch):
    """Looks at a run all the time, and reads as often as there is something new."""
    monkeypatch.setattr(views, "_PAUSE", 0.01)
    for name in ("_TABLE", "_READ", "_STATISTICS", "_STILL", "_SHARE"):
        monkeypatch.setattr(views, name, 0.0)


# ---- a study that is over
def test_counts_and_means_are_those_of_the_statistics(opened, rows):
    page, expected = opened._page, table(rows).set_index("condition")
    assert page.progress["state"] == "finished" and page.progress["resumable"] is False
    assert page.progress["done"] == page.progress["total"] == len(rows) == 210
    assert page.progress["failed"] == rows["error"].notna().sum() > 0
    assert page.progress["unjudged"] == (rows["correct"].isna() & rows["error"].isna()).sum() > 0
    names = [column["name"] for column in page.table["columns"]]
    assert names[:2] == ["correct", "bayesian_semantic_entropy"]
    assert [group["condition"] for group in page.table["groups"]] == [made.name for made in CONDITIONS]
    for group in page.table["groups"]:
        want = expected.loc[group["condition"]]
        cell = dict(zip(names, group["cells"], strict=True))
        assert cell["correct"]["value"] == pytest.approx(want["accuracy"])
        assert cell["correct"]["low"] == pytest.approx(want["accuracy_low"])
        assert cell["attention_relative_image"]["value"] == pytest.approx(want["attention_relative_image"])
        assert group["majority"] == pytest.approx(want["majority"])
        assert (group["failed"], group["unjudged"]) == (want["failed"], want["unjudged"])
    assert "30 observations" in page.table["intervals"]


def test_differences_and_curves_are_those_of_the_statistics(opened, rows):
    page = opened._page
    names = [plot["column"]["name"] for plot in page.plots["plots"]]
    expected = pd.concat([paired(rows, "plain"), paired(rows, "plain", names[2:])])
    assert names[2:] == [f"attention_relative_{name}" for name in ("image", "context", "question")]
    for plot in page.plots["plots"]:
        want = expected[expected["column"] == plot["column"]["name"]].set_index("condition")
        assert [item["condition"] for item in plot["differences"]] == [made.name for made in CONDITIONS[1:]]
        for item in plot["differences"]:
            assert item["value"] == pytest.approx(want.loc[item["condition"], "difference"])
            assert item["p"] == pytest.approx(want.loc[item["condition"], "p_holm"])
    [curve] = page.plots["plots"][0]["curves"]
    assert (curve["parameter"], [point["level"] for point in curve["points"]]) == ("sigma", [0.1, 0.3, 0.6])
    accuracy = rows[rows["condition"] == "noise sigma=0.3"]["correct"].dropna().astype(float).mean()
    assert curve["points"][1]["value"] == pytest.approx(accuracy)


def test_failures_are_listed_with_their_first_row(opened, rows):
    [reason] = opened._page.failures["reasons"]
    failed = rows[rows["error"].notna()]
    assert (reason["reason"], reason["rows"]) == (FAILED, len(failed))
    assert reason["first"] == failed["row"].iloc[0]


def test_what_a_page_is_sent_is_plain_json_and_small(opened):
    page = Page(opened._page)
    state = {name: value for name, value in page.state.items() if not name.startswith("_")}
    assert len(json.dumps(state, allow_nan=False)) < 60_000
    assert len(state["page"]["rows"]) == SIZE


# ---- rows
def shown(view):
    return [row["row"] for row in view._page.page["rows"]]


def test_a_page_asks_for_rows_by_verdict_condition_order_and_place(opened, rows):
    page = Page(opened._page)
    wrong = rows[(rows["correct"] == False) & (rows["condition"] == "contradictory")]  # noqa: E712
    order = wrong.sort_values("bayesian_semantic_entropy", ascending=False, kind="stable")["row"].tolist()
    query = {"condition": "contradictory", "verdict": "wrong", "sort": "bayesian_semantic_entropy"}
    page.set(query={**query, "descending": True, "start": 0, "model": ""})
    until(lambda: opened._page.page["query"]["verdict"] == "wrong")
    assert shown(opened) == order[:SIZE] and opened._page.page["total"] == len(order)
    assert opened._page.page["counts"]["wrong"] == len(order)
    assert opened._page.page["counts"]["all"] == (rows["condition"] == "contradictory").sum()
    assert {row["verdict"] for row in opened._page.page["rows"]} == {"wrong"}
    opened.query = Query(start=10_000)
    until(lambda: opened._page.page["total"] == len(rows))
    assert opened._page.page["start"] == 200 and shown(opened) == list(range(200, 210))


def test_rows_that_failed_or_were_not_judged_say_why(opened, rows):
    opened.query = Query(verdict="failed")
    until(lambda: opened._page.page["query"]["verdict"] == "failed")
    row = opened._page.page["rows"][0]
    assert row["reason"] == f"InputError: {FAILED}" and row["values"] == [None] * len(row["values"])
    opened.query = Query(verdict="unjudged")
    until(lambda: opened._page.page["query"]["verdict"] == "unjudged")
    assert "truth is unknown" in opened._page.page["rows"][0]["reason"]


def test_rows_without_a_judged_answer_have_their_measures_too(rows):
    unjudged = rows.assign(correct=None)
    page = Pages(unjudged[Pages.needed(list(unjudged))]).page(Query())
    assert page["columns"][0]["name"] == "bayesian_semantic_entropy"
    assert {row["verdict"] for row in page["rows"]} <= {"unjudged", "failed"}


@pytest.mark.parametrize("sort", ["row", "condition", "observation", "answer", "bayesian_semantic_entropy"])
def test_each_order_is_that_of_a_stable_sort(rows, sort):
    pages = Pages(rows[Pages.needed(list(rows))])
    want = rows.sort_values(sort, kind="stable", na_position="last")["row"].tolist()
    found = [
        row["row"]
        for start in range(0, len(rows), SIZE)
        for row in pages.page(Query(sort=sort, start=start))["rows"]
    ]
    assert found == want


def test_a_large_study_sends_one_page(monkeypatch):
    rows = made_rows(observations=2000, answers=0)
    large = pd.concat([rows] * 8, ignore_index=True)
    large["row"] = np.arange(len(large))
    pages = Pages(large[Pages.needed(list(large))])
    page = pages.page(Query(sort="bayesian_semantic_entropy", start=90_000))
    assert page["total"] == len(large) == 112_000 and len(page["rows"]) == SIZE
    entropy = np.sort(large["bayesian_semantic_entropy"])
    assert page["rows"][0]["values"][0] == pytest.approx(entropy[90_000])
    sorts = []
    monkeypatch.setattr(Pages, "_keys", lambda self, name: sorts.append(name))
    assert pages.page(Query(sort="bayesian_semantic_entropy", start=40))["start"] == 40
    assert sorts == []  # a turn of the page sorts nothing


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {"verdict": "good"},
        {"sort": 3},
        {"start": -1},
        {"start": 1.5},
        {"start": True},
        {"descending": "yes"},
        {"condition": "x" * 20_000},
        {"sort": "stimulus"},
        {"sort": "error"},
    ],
)
def test_queries_without_sense_are_refused_and_shown(opened, wrong):
    page = Page(opened._page)
    page.set(query=wrong)
    until(lambda: page.state["error"] is not None)
    assert page.state["error"]["message"]
    page.probe._handle_msg(
        {"content": {"data": {"method": "custom", "content": {"kind": "dismiss"}}}, "buffers": []}
    )
    until(lambda: page.state["error"] is None)


def test_a_page_may_set_nothing_else(opened):
    page = Page(opened._page)
    before = dict(opened._page.progress)
    page.set(progress={"state": "running"})
    until(lambda: page.state["error"] is not None)
    assert "may not set" in page.state["error"]["message"] and opened._page.progress == before
    assert page.state["progress"] == before  # it is set right


# ---- a row in a probe
def ask(view, **content):
    view._page._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_a_row_opens_below_and_is_replaced_by_the_next(opened):
    ask(opened, kind="open", row=7)
    until(lambda: opened.study.opened == [7, ["answer"]])
    assert opened._page.opened["state"] == "open" and opened._page.opened["row"] == 7
    stored = opened.study.stored(7)
    message = opened._page.opened["message"]
    assert message.startswith("Stored: ") and stored["answer"] in message
    assert f"{stored['bayesian_semantic_entropy']:.3f} nats" in message
    until(lambda: opened._page.opened["message"].endswith("all stored results agree."))
    opened.study.differ = {"answer": ("Yes", "No"), "semantic_entropy": (0.25, 0.75)}
    opened.open_row(9)
    message = opened._page.opened["message"]
    assert "it gives other results: answer No (stored Yes); " in message and "0.75 (stored 0.25)" in message
    opened.study.differ = {}
    opened.open_row(7)
    opened.study.opened[:] = [7, ["answer"]]
    first = opened.probe
    assert opened.children == (opened._page, first)
    assert opened.open_row(8) is opened.probe is not first
    assert opened.children == (opened._page, opened.probe) and first.comm is None
    ask(opened, kind="open", row=-1)
    until(lambda: opened.probe is None)
    assert opened.children == (opened._page,) and opened._page.opened["state"] == ""


def test_a_probe_that_somebody_worked_with_comes_back_with_its_row(opened):
    first = opened.open_row(7)
    first.worked_with = True
    second = opened.open_row(8)
    assert first.comm is not None and opened.probes == {7: first} and opened.worked_with
    assert opened.open_row(7) is first and second.comm is None
    assert opened.study.opened == [7, ["answer"], 8, ["answer"]]  # it is not run again
    opened.close()
    assert first.comm is None


def test_what_ends_the_run_of_an_opened_row_is_left_to_its_probe(opened, monkeypatch):
    made = opened.study.probe

    def probe(row):
        found = made(row)

        def run(measures):
            raise Cancelled("The run was cancelled.")

        found.run = run
        return found

    monkeypatch.setattr(opened.study, "probe", probe)
    ask(opened, kind="open", row=7)
    until(lambda: opened._page.opened["state"] == "open" and not opened._workers["open"].running)
    assert opened._page.error is None


def test_a_row_that_cannot_be_opened_says_why(opened):
    ask(opened, kind="open", row=999)
    until(lambda: opened._page.opened["state"] == "error")
    assert "no finished row 999" in opened._page.opened["message"] and opened._page.error is None
    with pytest.raises(InputError, match="no finished row 999"):
        opened.open_row(999)


WITHOUT_SENSE = [{"kind": "open"}, {"kind": "open", "row": "1"}, {"kind": "run"}, {}, "x"]


@pytest.mark.parametrize("content", WITHOUT_SENSE)
def test_messages_without_sense_are_shown(opened, content):
    opened._page._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert "There is no message" in opened._page.error["message"]


# ---- a study that runs
def test_a_run_is_followed_cancelled_and_resumed(rows, quick):
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()
    page = view._page
    assert page.progress["state"] == "running" and page.progress["resumable"]
    work.allow(70)
    until(lambda: page.progress["done"] == 70 and sum(g["rows"] for g in page.table["groups"]) == 70)
    until(lambda: page.page.get("total") == 70)
    part = rows.iloc[:70]
    [plain] = [group for group in page.table["groups"] if group["condition"] == "plain"]
    mine = part[part["condition"] == "plain"]
    assert plain["cells"][0]["value"] == pytest.approx(mine["correct"].dropna().astype(float).mean())
    assert page.table["intervals"] == "" and plain["cells"][0]["low"] is None
    ask(view, kind="cancel")
    until(lambda: page.progress["state"] == "cancelled")
    assert page.progress["done"] == 70
    until(lambda: page.table["intervals"] != "")  # of the rows there are
    ask(view, kind="resume")
    until(lambda: page.progress["state"] == "running")
    work.allow(1000)
    until(lambda: page.progress["state"] == "finished" and page.page["total"] == 210)
    until(lambda: page.table["intervals"] != "" and sum(g["rows"] for g in page.table["groups"]) == 210)
    view.close()


def test_a_run_that_is_resumed_at_once_is_still_followed(rows, quick, monkeypatch):
    """The view's thread waits while the run ends, and learns of it only when the run goes on again."""
    study = MadeStudy(rows)
    work = Work(study)
    waited, hold, inside = Run.wait, threading.Event(), threading.Event()

    def wait(run, seconds=None):
        if not (run is study._run and hold.is_set()):
            return waited(run, seconds)
        hold.clear()
        inside.set()
        over = waited(run, 120)
        assert run.state == "cancelled"
        run.start()
        return over

    # before there is a view: its thread may never wait in the unchanged way
    monkeypatch.setattr(Run, "wait", wait)
    study._compute(wait=False)
    view = study.view()
    work.allow(70)
    until(lambda: study.finished == 70)
    hold.set()
    until(inside.is_set)
    study.cancel()
    work.allow(140)
    until(lambda: view._page.progress["state"] == "running" and view._page.progress["done"] == 140)
    work.allow(1000)
    until(lambda: view._page.progress["state"] == "finished")
    assert study._run.error is None and view._page.progress["done"] == 210
    view.close()


def test_a_look_at_a_run_is_not_replaced_by_an_older_one(rows, quick, monkeypatch):
    """The kernel's thread looks at a run that is stopping, and is slow to send it to the page."""
    study, stop = MadeStudy(rows), threading.Event()

    def work(run):
        stop.wait(120)
        raise Cancelled("cancelled")

    study._run = Run(work, study.size)
    study._compute(wait=False)
    view = study.view()
    record = view._progress_record

    def slow():
        found = record()
        if threading.current_thread() is threading.main_thread():
            stop.set()
            assert found["stopping"] and study.wait(120)
            time.sleep(0.1)  # enough for the view's thread, if it could send the end now
        return found

    monkeypatch.setattr(view, "_progress_record", slow)
    ask(view, kind="cancel")
    until(lambda: not view._watching and view._page.progress["state"] == "cancelled")
    assert not view._page.progress["stopping"]
    view.close()


def test_a_closed_view_follows_no_run(rows, quick):
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()
    assert view._watching
    view.close()
    until(lambda: not view._watching)
    study.cancel()
    assert study.wait(120)
    study.resume()
    until(lambda: not view._watching)
    work.allow(1000)
    assert study.wait(120) and study._run.state == "finished"


def test_what_fails_in_a_look_is_shown_and_the_run_is_followed_further(rows, quick, monkeypatch):
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()

    def broken(tally):
        raise OSError("The table is broken.")

    with monkeypatch.context() as patched:
        patched.setattr(views, "running_table", broken)
        work.allow(70)
        until(lambda: view._page.error is not None)
    assert "table is broken" in view._page.error["message"] and view._watching
    work.allow(1000)
    until(lambda: view._page.progress["state"] == "finished" and view._page.table["groups"])
    view.close()


def test_a_run_that_starts_after_its_view_is_followed(rows, quick):
    study = MadeStudy(rows)
    work = Work(study)
    view = study.view()
    assert view._page.progress["state"] == "waiting" and view._page.progress["total"] == 210
    work.allow(1000)
    study._run.start()
    until(lambda: view._page.progress["state"] == "finished")
    view.close()


def test_a_run_that_fails_says_why(rows, quick):
    study = MadeStudy(rows)

    def work(run):
        raise InputError("More than 20 % of the rows failed.")

    study._run = Run(work, 210)
    view = study.view()
    study._run.start()
    until(lambda: view._page.progress["state"] == "failed")
    assert "20 %" in view._page.progress["error"]
    view.close()


def test_few_messages_are_sent_while_it_runs(rows):
    """At most four a second and trait, however fast the rows come."""
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()
    page = Page(view._page)
    begun = time.monotonic()
    for upto in range(0, 211, 2):
        work.allow(upto)
        time.sleep(0.01)
    until(lambda: view._page.progress["state"] == "finished")
    looks = (time.monotonic() - begun) / views._PAUSE + 2
    assert sum("progress" in update for update in page.updates) <= looks
    assert sum("table" in update for update in page.updates) <= looks
    assert len(study.read) <= 2 * looks / 4 + 6  # rows are read once a second at most, and at the end
    view.close()


def test_a_forgotten_view_is_freed_while_its_study_runs(rows, quick):
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()
    kept = weakref.ref(view)
    view.close()
    del view
    until(lambda: gc.collect() is not None and kept() is None)
    work.allow(1000)
    assert study.wait(120)


# ---- in a notebook
def test_what_a_notebook_keeps_is_a_static_page(opened, monkeypatch):
    displayed = []
    monkeypatch.setattr(views, "display", lambda data, **how: displayed.append((data, how)))
    opened.show()
    (widget, _), (still, how) = displayed
    assert "application/vnd.jupyter.widget-view+json" in widget
    html = still["text/html"]
    assert "noise sigma=0.6" in html and "Accuracy" in html and "<script" not in html
    assert f'data-study="{opened._page.widget_id}"' in html and opened._page.widget_id
    assert "Run All Above Selected Cell" in html
    opened._keep()
    data, updated = displayed[-1]
    assert updated == {**how, "update": True}
    assert f'data-still="{opened._page.stills}"' in data["text/html"] and opened._page.stills > 1


def test_a_page_with_an_older_still_is_sent_the_newest(opened, monkeypatch):
    sent = []
    monkeypatch.setattr(opened._page, "send", sent.append)
    opened._receive(None, {"kind": "still"}, [])
    until(lambda: sent)
    assert sent[0]["kind"] == "still" and f'data-still="{sent[0]["number"]}"' in sent[0]["data"]["text/html"]


def test_the_still_follows_a_run(rows, quick, monkeypatch):
    displayed = []
    monkeypatch.setattr(views, "display", lambda data, **how: displayed.append(data.get("text/html", "")))
    study = MadeStudy(rows)
    work = Work(study)
    study._compute(wait=False)
    view = study.view()
    view.show()
    work.allow(5)
    until(lambda: f"5 of {study.size} rows" in displayed[-1])
    work.allow(1000)
    assert study.wait(20)
    until(lambda: "rows finished" in displayed[-1])
    assert FAILED in displayed[-1]  # why rows failed
    view.close()


def test_texts_in_the_static_page_are_escaped(monkeypatch):
    rows = made_rows(observations=4, conditions=[Made("plain", 0.9), Made("<img src=x>", 0.5)], answers=0)
    view = StudyView(MadeStudy(rows))
    until(lambda: view._page.table.get("intervals"))
    assert "<img" not in view._still()["text/html"] and "&lt;img" in view._still()["text/html"]
    view.close()
