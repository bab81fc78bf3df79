"""The panel "Inside" in JupyterLab: a gate is set, run, compared, undone, saved, and run again as Python;
a trace between two pinned trials; the lens; keys, themes and widths.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from harness import Notebook, Probe
from looking import bring_axe, look_at, resize, settle
from playwright.sync_api import Locator, expect


@pytest.fixture
def opened(bench: Notebook, probe: Probe) -> Probe:
    """One trial, and the panel open."""
    bench.execute("probe.run(samples=4, max_new_tokens=8)")
    probe.part("inside-toggle").click()
    expect(probe.part("inside-matrix")).to_be_visible()
    return probe


def cell(probe: Probe, layer: int, head: int) -> Locator:
    return probe.part("inside-matrix").locator(f'[data-at="{layer},{head}"]')


SHAPE = "(probe.model['layers'], probe.model['heads'])"
DIFFERING = """
for index in range(len(isi.datasets.scenes())):
    probe.choose(index)
    seen = probe.run("answer", max_new_tokens=1)
    probe.stimulus = probe.stimulus.box(0, 0, *probe.stimulus.image.size, color="white")
    covered = probe.run("answer", max_new_tokens=1)
    if seen.answer.text != covered.answer.text:
        break
probe.pinned = [len(probe.trials) - 1, len(probe.trials)]
"""


def test_a_gate_is_set_run_compared_undone_and_repeated_as_python(bench: Notebook, opened: Probe) -> None:
    bench.until("bool(probe._history.entries[-1].get('inside'))")  # what is measured at once is there
    # by pointer: a drag over two heads, and the slider by its keys
    first, second = cell(opened, 0, 0).bounding_box(), cell(opened, 0, 1).bounding_box()
    assert first is not None and second is not None
    mouse = opened.page.mouse
    mouse.move(first["x"] + 5, first["y"] + 5)
    mouse.down()
    mouse.move(second["x"] + 5, second["y"] + 5, steps=3)
    mouse.up()
    expect(opened.part("gate-heads")).to_have_text("2 heads")
    opened.part("gate-slider").focus()
    opened.page.keyboard.press("Home")
    bench.until("probe.interventions == (isi.HeadScale(0, 0, 0), isi.HeadScale(0, 1, 0))")
    expect(opened.part("inside-summary")).to_have_text("2 heads changed")
    opened.part("inside-run").click()
    opened.finished(2)
    expect(opened.part("trial-2")).to_contain_text("2 heads changed")
    expect(opened.part("inside-beside")).to_contain_text("unmodified, trial 1")
    expect(opened.part("inside-beside")).to_contain_text("2 heads changed, trial 2")
    # beside one another in the comparison
    opened.part("trial-1-pin").click()
    opened.part("trial-2-pin").click()
    opened.part("compare").click()
    expect(opened.part("compare-panel").locator("mark").filter(has_text="L0H0 × 0; L0H1 × 0")).to_be_visible()
    opened.page.keyboard.press("Escape")
    # undo takes the gates back, and the unmodified trial is that of the input again
    opened.part("undo").click()
    bench.until("probe.interventions == ()")
    expect(opened.part("inside-summary")).not_to_contain_text("changed")
    opened.part("trial-1").click()
    expect(opened.part("status")).to_have_attribute("data-state", "current")
    opened.part("redo").click()
    bench.until("len(probe.interventions) == 2")
    # copied as Python, it gives the same trial
    opened.part("trial-2").click()
    opened.part("trial-copy").click()
    gates = r"vlm\.intervene\(isi\.HeadScale\(0, 0, 0\.0\), isi\.HeadScale\(0, 1, 0\.0\)\)"
    expect(opened.part("code")).to_have_value(re.compile(gates))
    code = opened.part("code").input_value()
    bench.execute(f"names = {{}}\nexec({code!r}, names)")
    assert bench.value("names['trial'].key == probe.trials[1].key")
    assert bench.value("names['trial'].answer == probe.trials[1].answer")


def test_everything_by_keys(bench: Notebook, opened: Probe) -> None:
    keyboard = opened.page.keyboard
    opened.part("inside-toggle").click()
    opened.root.focus()
    keyboard.press("h")
    expect(cell(opened, 0, 0)).to_be_focused()
    keyboard.press("ArrowRight")
    keyboard.press("Shift+ArrowDown")
    expect(opened.part("gate-heads")).to_have_text("2 heads")
    keyboard.press("m")
    bench.until("probe.interventions == (isi.HeadReplace(0, 1), isi.HeadReplace(1, 1))")
    keyboard.press("1")
    bench.until("probe.interventions == ()")
    opened.part("cut-image").focus()
    keyboard.press("Space")
    bench.until("[item.kind for item in probe.interventions] == ['knockout']")
    opened.part("inside-run").focus()
    keyboard.press("Enter")
    opened.finished(2)
    assert bench.value("float(probe.trial.attention.absolute()['image'])") == 0


def test_contributions_come_at_once_and_stand_beside_attention(bench: Notebook, opened: Probe) -> None:
    bench.until("bool(probe._history.entries[-1].get('inside'))")
    opened.part("inside-contribution").click()
    bench.execute(
        "signed = probe.contributions().signed; at = divmod(int(abs(signed).argmax()), signed.shape[1])"
    )
    largest, value = bench.value("list(at)"), bench.value("float(signed[at])")
    digits = 2 if abs(value) >= 0.1 else 3 if abs(value) >= 0.01 else 4
    expect(cell(opened, *largest)).to_have_text(f"{round(value, 4):+.{digits}f}".replace("-", "−"))
    expect(opened.part("inside-correlation")).to_contain_text("Attention is not importance.")
    count = bench.value("probe.model['layers'] * probe.model['heads']")
    expect(opened.part("inside-scatter").locator("circle")).to_have_count(count)


def test_a_trace_between_two_pinned_trials_and_the_lens(bench: Notebook, opened: Probe) -> None:
    opened.part("lens").click()
    expect(opened.part("lens-words")).to_contain_text("L0")
    opened.part("lens-patch").focus()
    before = opened.part("lens-patch").get_attribute("data-index")
    opened.page.keyboard.press("ArrowRight")
    expect(opened.part("lens-patch")).not_to_have_attribute("data-index", before or "")
    opened.page.keyboard.press("Escape")
    expect(opened.part("lens-words")).to_have_count(0)
    bench.execute(DIFFERING)
    # The focus is in the matrix, and its cell in words below it: leaving it must not move the button.
    cell(opened, 0, 0).focus()
    expect(opened.part("trace")).to_contain_text(re.compile(r"\d into \d"))
    bench.until("bool(probe._history.entries[-1].get('inside'))")
    bench.until("probe.status['state'] == 'idle'")
    settle(opened)
    opened.part("trace").click()
    expect(opened.part("trace-matrix")).to_be_visible()
    found = opened.part("trace-matrix").locator("[role=gridcell]").first
    sentence = bench.value("probe.traced['sentences'][0][0]")
    expect(found).to_have_attribute("aria-label", sentence)
    found.hover()
    expect(opened.part("inside-trace")).to_contain_text(sentence)


def test_gates_of_all_heads_set_in_python_are_in_the_matrix(bench: Notebook, opened: Probe) -> None:
    bench.execute(f"probe.interventions = (isi.HeadGates.of({SHAPE}, {{(1, 2): 0}}),)")
    expect(cell(opened, 1, 2)).to_have_text("×0")
    expect(opened.part("inside-summary")).to_have_text("1 head changed")
    cell(opened, 0, 1).click()
    opened.page.keyboard.press("2")
    bench.until(f"probe.interventions == (isi.HeadGates.of({SHAPE}, {{(1, 2): 0, (0, 1): 2}}),)")
    expect(cell(opened, 0, 1)).to_have_text("×2")


def test_a_saved_notebook_shows_it_without_a_kernel(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(
        "import isi_widget as isi\nprobe = isi.Probe(isi.load_vlm(), isi.datasets.scenes()[0])",
        "probe.interventions = (isi.HeadScale(0, 0, 0.0),)\nprobe.run(samples=2, max_new_tokens=4)\n"
        "probe.contributions()\nprobe",
    )
    notebook.run_all()
    notebook.probe().ready()
    notebook.save()
    notebook.load()
    expect(notebook.probe().ready().part("inside-summary")).to_have_text("1 head changed")
    notebook.save()
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.load()  # without a kernel there is no editor, which is not saved
    probe = notebook.probe()
    probe.finished(1)
    probe.part("inside-toggle").click()
    expect(probe.part("inside-off")).to_contain_text("needs the kernel")
    expect(probe.part("inside")).to_contain_text("L0H0 × 0")
    probe.part("inside-contribution").click()
    cell(probe, 0, 0).focus()
    expect(probe.part("inside-cell")).to_contain_text("L0H0, contribution")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(bench: Notebook, opened: Probe, theme: str) -> None:
    bring_axe(bench.page)
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    bench.page.evaluate(change, f"JupyterLab {theme}")
    expect(opened.root).to_have_attribute("data-theme", theme.lower())
    found: list[str] = []
    try:
        cell(opened, 1, 1).click()
        opened.page.keyboard.press("0")
        opened.part("inside-run").click()
        opened.finished(2)
        opened.part("lens").click()
        for width in (360, 760, 1600):
            resize(opened, width)
            for shown in ("contribution", "gates", "image", "question"):
                opened.part(f"inside-{shown}").click()
                settle(opened)
                found.extend(f"{width} {shown}: {line}" for line in look_at(opened.root, "violations"))
                found.extend(f"{width} {shown}: {line}" for line in look_at(opened.root, "sticksOut"))
    finally:
        bench.page.evaluate(change, "JupyterLab Light")
        resize(opened, None)
    assert found == [], "\n".join(found)
