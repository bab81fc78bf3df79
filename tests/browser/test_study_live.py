"""A study in a real JupyterLab: it runs while its view is used, is cancelled and resumed, a row opens in a
probe; it is kept in the notebook; it is legible for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import Notebook, Probe
from looking import bring_axe, look_at, settle
from playwright.sync_api import Locator, expect

CELLS = (
    "import isi_widget as isi\nvlm = isi.load_vlm()\ndata = isi.datasets.things()[:12]\n"
    "conditions = [isi.condition('plain'), isi.condition('noise').noise(isi.grid(sigma=[.2, .6])),\n"
    "              isi.condition('other context').with_context(preset='contradictory')]",
    # after ten rows a run waits until `go_on` is set or it is stopped, so that no page is too slow to stop it
    "import threading\nfrom isi_widget.study.live import Run\nrow, go_on = Run.row, threading.Event()\n"
    "def held(run, found, **given):\n    row(run, found, **given)\n"
    "    while run._fresh == 10 and not run.stopping() and not go_on.wait(0.01):\n        pass\n"
    "Run.row = held",
    "study = isi.run_study(vlm, data, conditions, samples=2, wait=False)\nstudy",
)


def view_of(notebook: Notebook, nth: int = 0) -> Locator:
    """The nth view of a study in the outputs."""
    panel = notebook.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    return panel.get_by_test_id("isi-study").nth(nth)


def test_a_study_is_watched_cancelled_resumed_and_opened(open_notebook) -> None:
    notebook = open_notebook(*CELLS)
    notebook.run_all()
    view = view_of(notebook)
    part = view.get_by_test_id
    expect(part("title")).to_have_text("4 conditions × 12 observations")
    expect(part("row-0")).to_be_visible()  # rows come while it runs, the cell is free
    part("cancel").click()
    notebook.until("study._run.state == 'cancelled'")
    done = notebook.value("len(study)")
    assert 0 < done < 48
    notebook.execute("go_on.set()")
    expect(part("facts")).to_contain_text(f"{done} of 48 rows")
    expect(part("summary-note")).to_contain_text("95% intervals")
    part("resume").click()
    notebook.until("study._run.state == 'finished'")
    expect(part("facts")).to_contain_text("48 rows")
    assert notebook.value("len(study)") == 48

    # what is shown is what Python has
    expect(part("summary-note")).to_contain_text("over 12 observations")
    means = notebook.value("study.table().set_index('condition')['accuracy'].to_dict()")
    for condition, mean in means.items():
        cell = part(f"condition-{condition}").locator('[data-label="Accuracy"] strong')
        expect(cell).to_have_text(f"{mean:.2f}")
    expect(part("differences").locator("svg")).to_have_count(3)
    part("plot-curves").click()
    expect(part("curves").locator("circle")).to_have_count(2)

    # rows: filtered by the kernel, walked through by keys, opened by Enter
    part("show-wrong").click()
    wrong = notebook.value("study.rows.query('correct == False')['row'].tolist()")
    expect(view.locator("tr[data-verdict]")).to_have_count(len(wrong))
    assert len(wrong) >= 2
    part(f"row-{wrong[0]}").locator("button").focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Enter")
    expect(part("opened")).to_have_attribute("data-row", str(wrong[1]))
    probe = notebook.probe().ready()
    probe.finished(1)
    row = notebook.value(f"study.rows.set_index('row').loc[{wrong[1]}, ['question', 'answer']].tolist()")
    expect(probe.part("question")).to_have_value(row[0])
    expect(probe.part("results")).to_contain_text(row[1])
    expect(probe.part("trial-1")).to_contain_text(row[1])

    # the page is loaded again: the kernel has all of it
    notebook.save()
    notebook.load()
    view, part = view_of(notebook), view_of(notebook).get_by_test_id
    expect(part("facts")).to_contain_text("48 rows")
    expect(part(f"row-{wrong[1]}")).to_have_class("isi-chosen")
    expect(notebook.probe().part("trial-1")).to_contain_text(row[1])
    expect(notebook.page.locator(".isi-kept[data-study]")).to_be_hidden()
    part("close-row").click()
    expect(notebook.probe().root).to_have_count(0)

    # in a new kernel it stands as it was, and says what to do
    notebook.save()
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.load()
    part = view_of(notebook).get_by_test_id
    expect(part("problem")).to_contain_text("There is no kernel for this study")
    expect(part("facts")).to_contain_text("48 rows")
    expect(part("condition-plain")).to_contain_text(f"{means['plain']:.2f}")
    expect(part("show-all")).to_have_attribute("aria-disabled", "true")
    assert not [line for line in notebook.console if line.startswith("pageerror")]


def test_a_waiting_cell_shows_its_progress_and_an_interrupt_stops_it(open_notebook) -> None:
    notebook = open_notebook(*CELLS[:2], "whole = isi.run_study(vlm, data, conditions, samples=2)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    shown = notebook.page.locator(".isi-study-run")
    expect(shown).to_contain_text("rows/s")
    expect(shown.locator("table")).to_contain_text("plain")
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
    )
    notebook.idle()
    expect(shown).to_contain_text("cancelled; the finished rows are kept")
    [error] = notebook.errors(2)
    assert error.startswith("Cancelled")
    done = notebook.value("len(__import__('sys').last_value.study)")
    assert 0 < done < 48
    notebook.execute("go_on.set()")
    notebook.run_cell(2)  # again, to its end
    expect(shown).to_contain_text("48 rows finished")


@pytest.fixture
def view(bench: Notebook) -> Iterator[Locator]:
    """A finished study with long names, names from right to left and rows that failed."""
    bench.run_cell(
        1,
        "def broken(obs):\n"
        "    if obs.id.endswith('3'):\n"
        "        raise ValueError('the sky is missing ' + 'x' * 200)\n"
        "    return obs.stimulus()\n"
        "long = 'a name that is much longer than it is useful ' + 'y' * 60\n"
        "study = isi.run_study(vlm, isi.datasets.things()[:6], [isi.condition('plain'),\n"
        "    isi.condition('noise').noise(isi.grid(sigma=[.2, .6])), isi.condition(long).apply(broken),\n"
        "    isi.condition('תנאי אחר').with_context('x')], samples=2, seeds=(0, 1), max_failing=1)\n"
        "study",
    )
    found = view_of(bench)
    expect(found.get_by_test_id("summary-note")).to_contain_text("95% intervals")
    expect(found.get_by_test_id("list")).to_be_visible()
    expect(found.get_by_test_id("plot")).to_be_visible()
    yield found
    bench.execute("probe = None; study = None")
    bench.run_cell(1, "probe = None")


def test_a_view_is_legible_for_everybody(bench: Notebook, view: Locator) -> None:
    bring_axe(bench.page)
    part = view.get_by_test_id
    part("failures").locator("summary").click()
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    found: list[str] = []
    try:
        for theme in ("Dark", "Light"):
            bench.page.evaluate(change, f"JupyterLab {theme}")
            expect(view).to_have_attribute("data-theme", theme.lower())
            for plot in ("curves", "differences"):
                part(f"plot-{plot}").click()
                expect(part(plot)).to_be_visible()
                for width in (360, 700, 1600):
                    view.evaluate("(root, width) => { root.style.width = `${width}px`; }", width)
                    settle(Probe(bench.page, view))
                    looks = ["sticksOut", "overlaps"] if theme == "Light" else []
                    for look in ("violations", *looks):
                        found += [f"{theme} {plot} {width} {look}: {line}" for line in look_at(view, look)]
    finally:
        bench.page.evaluate(change, "JupyterLab Light")
    assert not found, "\n".join(found)
