"""Results token by token, and the history: restored, noted, compared, exported, deleted; in JupyterLab."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from harness import Notebook, Probe
from looking import bring_axe, look_at, resize, settle
from playwright.sync_api import expect

from isi_widget import Trial
from isi_widget.trial.reports import open_report


@pytest.fixture
def run(bench: Notebook, probe: Probe) -> Probe:
    """Two trials: of the picture as it is, and with a box and a context."""
    bench.execute("probe.run(samples=4, max_new_tokens=8)")
    bench.execute("probe.stimulus = obs.stimulus().box(200, 100, 120, 90).with_context('There is a sun.')")
    bench.execute("probe.run(samples=4, max_new_tokens=8)")
    expect(probe.part("trial-2")).to_have_attribute("aria-pressed", "true")
    return probe


def test_tokens_tell_what_else_might_have_stood_there(bench: Notebook, run: Probe) -> None:
    run.part("token-0").hover()
    expect(run.part("token-told")).to_be_visible()
    best = bench.value("probe.trial.answer.alternatives[0][0][0].strip()")
    expect(run.part("token-told")).to_contain_text(best or "(end)")
    run.part("token-0").click()
    shares = bench.value("probe.trial.attention.per_token()[0]")
    for segment in ("image", "question", "other"):
        expect(run.part(f"attention-{segment}").locator("strong")).to_have_text(f"{shares[segment]:.2f}")
    run.part("attention-token").click()
    expect(run.part("attention-image").locator("strong")).to_have_text(
        f"{bench.value('probe.trial.attention.absolute()')['image']:.2f}"
    )
    # The page's token buttons are one stop of the Tab key: the next one leaves the answer.
    run.part("token-0").focus()
    run.page.keyboard.press("Tab")
    assert not run.page.evaluate("() => document.activeElement.dataset.testid.startsWith('token-')")


def test_restoring_undoing_noting_and_deleting(bench: Notebook, run: Probe) -> None:
    run.part("trial-1").click()
    run.part("trial-restore").click()
    bench.until("probe.stimulus == probe.trials[0].stimulus")
    expect(run.part("status")).to_have_attribute("data-state", "current")
    expect(run.part("trial-restore")).to_have_attribute("aria-disabled", "true")
    run.part("undo").click()
    bench.until("probe.stimulus == probe.trials[1].stimulus")
    run.part("trial-note").fill("as it is")
    run.part("trial-note").press("Enter")
    bench.until("dict(probe.notes) == {1: 'as it is'}")
    expect(run.part("trial-1")).to_contain_text("as it is")
    run.part("trial-delete").click()
    run.part("trial-delete").click()
    bench.until("len(probe.trials) == 1 and not probe.notes")
    expect(run.part("trial-1")).to_have_count(0)
    expect(run.part("trial-2")).to_have_attribute("aria-pressed", "true")


def test_comparing_and_exporting(bench: Notebook, run: Probe, tmp_path: Path) -> None:
    run.part("trial-1-pin").click()
    run.part("trial-2-pin").click()
    run.part("compare").click()
    expect(run.part("compare-panel")).to_contain_text("There is a sun.")
    expect(run.part("compare-panel").locator("mark").filter(has_text="There is a sun.")).to_be_visible()
    # bars of one measure have one scale: as long, whatever else is in their columns
    bars = run.part("compare-panel").locator(".isi-bar")
    widths = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert len(widths) > 4 and max(widths) - min(widths) < 0.5 and min(widths) > 100, widths
    box, root = run.part("compare-panel").bounding_box(), run.root.bounding_box()
    assert box is not None and root is not None
    assert root["x"] <= box["x"] and box["x"] + box["width"] <= root["x"] + root["width"] + 1
    run.page.keyboard.press("Escape")
    expect(run.part("compare-panel")).to_have_count(0)
    files: dict[str, bytes] = {}
    for kind in ("json", "csv", "pdf", "html"):
        run.part("export").click()
        with run.page.expect_download() as download:
            run.part(f"export-{kind}").click()
        assert download.value.suggested_filename == f"trials-1-2.{kind}"
        path = tmp_path / kind
        download.value.save_as(path)
        files[kind] = path.read_bytes()
    keys = bench.value("[trial.stimulus.key for trial in probe.trials]")
    entries = json.loads(files["json"])["trials"]
    assert [Trial.from_dict(entry["trial"]).stimulus.key for entry in entries] == keys
    assert [row["stimulus_key"] for row in csv.DictReader(io.StringIO(files["csv"].decode()))] == keys
    for kind in ("pdf", "html"):
        reported = open_report(files[kind])
        assert isinstance(reported, list) and [trial.stimulus.key for trial in reported] == keys


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(bench: Notebook, run: Probe, theme: str) -> None:
    bring_axe(bench.page)
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    bench.page.evaluate(change, f"JupyterLab {theme}")
    expect(run.root).to_have_attribute("data-theme", theme.lower())
    found: list[str] = []

    def look(state: str) -> None:
        settle(run)
        found.extend(f"{state}: {line}" for line in look_at(run.root, "violations"))
        found.extend(f"{state}: {line}" for line in look_at(run.root, "sticksOut"))

    try:
        bench.execute("probe.note(1, 'as it is, at length: ' + 'x' * 80); probe.shown = 1")
        run.part("trial-1-pin").click()
        run.part("trial-2-pin").click()
        for width in (320, 760, 1600):
            resize(run, width)
            run.part("token-0").focus()
            expect(run.part("token-told")).to_be_visible()
            look(f"{width} px, alternatives")
            run.part("token-0").click()
            expect(run.part("attention-token")).to_be_visible()
            look(f"{width} px, one token")
            run.part("attention-token").click()
            for opener in ("compare", "export"):
                run.part(opener).click()
                expect(run.part(f"{opener}-panel")).to_be_visible()
                look(f"{width} px, {opener}")
                run.page.keyboard.press("Escape")
                expect(run.part(f"{opener}-panel")).to_have_count(0)
                expect(run.part(opener)).to_be_focused()
    finally:
        bench.page.evaluate(change, "JupyterLab Light")
    assert found == [], "\n".join(found)
