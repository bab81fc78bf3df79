"""The probe for everybody: axe-core finds nothing, the keyboard reaches everything and leaks nothing, every
width and zoom shows everything, and so do forced colours, reduced motion and texts from right to left.

What is looked at here is the page: runs give a result made by hand, whose texts are long, unbroken or from
right to left. Not for what the probe does (test_jupyterlab.py).
"""

from __future__ import annotations

import io
import string
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from harness import ROOT, Notebook, Probe
from looking import POPOVERS, WITH_RESULTS, bring_axe, look_at, resize, settle
from PIL import Image
from playwright.sync_api import Locator, expect

HEBREW, ARABIC = "האם יש כוכב אדום?", "هل توجد نجمة حمراء؟"
MADE = f"""
import dataclasses, sys
sys.path.insert(0, {str(ROOT / "tests" / "report")!r})
from made_trials import make_trial
from isi_widget.study.compare import Comparison
from isi_widget.widget import controller as _controller
LONG = "incomprehensibilities " * 12 + "x" * 200
HEBREW, ARABIC = {HEBREW!r}, {ARABIC!r}
TEXTS = (HEBREW[::-1], HEBREW[::-1], ARABIC, LONG, "No.")
_run_trial = _controller.run_trial
def _made(vlm, stimulus, **_):
    trial = make_trial(texts=TEXTS, question=stimulus.current_question, context=stimulus.current_context)
    return dataclasses.replace(trial, stimulus=stimulus, model=vlm.info(), notes=(LONG,))
_controller.run_trial = _made
"""
RUNNING = "{'state': 'running', 'id': 'a', 'what': ['answer'], 'stage': 'answer', 'note': '', 'done': 1, "
RUNNING += "'total': 3, 'queued': 1}"


@pytest.fixture(scope="module", autouse=True)
def made_results(bench: Notebook) -> Iterator[None]:
    bench.execute(MADE)
    yield
    bench.execute("_controller.run_trial = _run_trial")


@pytest.fixture(scope="module")
def axe(bench: Notebook) -> None:
    """axe-core in the page."""
    bring_axe(bench.page)


@contextmanager
def opened(probe: Probe, opener: str) -> Iterator[None]:
    """With a pop-over open."""
    probe.part(opener).click()
    expect(probe.part(WITH_RESULTS[opener])).to_be_visible()
    if opener == "model":
        expect(probe.part("model-embedded")).to_be_visible()
    settle(probe)
    yield
    probe.page.keyboard.press("Escape")
    expect(probe.part(WITH_RESULTS[opener])).to_have_count(0)


def with_everything(bench: Notebook, probe: Probe) -> None:
    """Results, an opened cluster, a selected box, texts from right to left, two trials, both pinned."""
    bench.execute(
        "probe.stimulus = obs.stimulus().box(60, 60, 200, 120, color='red', fill=False)"
        ".with_question(HEBREW).with_context(ARABIC); t = probe.run(); t = probe.run()"
    )
    probe.finished(2)
    probe.part("cluster-0-toggle").click()
    probe.part("trial-1-pin").click()
    probe.part("trial-2-pin").click()
    probe.part("layer-0").locator("button").first.press("Enter")
    expect(probe.part("handle-se")).to_be_attached()


# ---- axe-core


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing(bench: Notebook, probe: Probe, axe: None, theme: str) -> None:
    found: list[str] = []

    def look(state: str) -> None:
        settle(probe)
        found.extend(f"{state}: {line}" for line in look_at(probe.root, "violations"))

    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    bench.page.evaluate(change, f"JupyterLab {theme}")
    expect(probe.root).to_have_attribute("data-theme", theme.lower())
    try:
        look("before a run")
        for opener in POPOVERS:
            with opened(probe, opener):
                look(opener)
        for tool in ("box", "line", "text", "noise"):
            probe.part(f"tool-{tool}").click()
            look(f"the tool {tool}")
        bench.execute(
            f"probe.set_trait('status', {RUNNING});"
            "probe.send({'kind': 'partial', 'id': 'a', 'answer': 'It is', 'samples': ['a', 'b']})"
        )
        expect(probe.part("answer-partial")).to_be_visible()
        look("while it runs")
        bench.execute("probe.set_trait('status', dict(_controller.IDLE))")
        with_everything(bench, probe)
        look("results")
        for opener in WITH_RESULTS:
            with opened(probe, opener):
                look(f"results, {opener}")
        for width in (320, 1600):
            resize(probe, width)
            look(f"{width} px")
            with opened(probe, "model"):
                look(f"{width} px, models")
        resize(probe, None)
        bench.execute(
            "probe.error = {'message': 'It failed.', 'hint': 'Try again.', 'id': None}; probe.undo()"
        )
        expect(probe.part("error-hint")).to_be_visible()
        expect(probe.part("results")).to_have_attribute("data-stale", "true")
        look("an error, and results that are stale")
        bench.execute("probe.set_trait('preview', {}); probe.set_trait('base_preview', {})")
        expect(probe.part("stage-empty")).to_be_visible()
        look("empty")
    finally:
        bench.page.evaluate(change, "JupyterLab Light")
    assert found == [], "\n".join(found)


# ---- keyboard


def test_tab_reaches_everything_in_order_and_is_seen(bench: Notebook, probe: Probe) -> None:
    with_everything(bench, probe)
    probe.part("tool-box").click()  # its properties are the fullest
    border = "root => getComputedStyle(root).borderTopColor"
    unfocused = probe.root.evaluate(border)
    stops = look_at(probe.root, "stops")
    assert len(stops) > 40 and {"run", "question", "context", "copy-code", "undo", "color-red"} <= set(stops)
    probe.root.evaluate("root => root.focus({ focusVisible: true })")
    assert probe.root.evaluate(border) != unfocused
    visited = []
    while (here := look_at(probe.root, "focused")) is not None and len(visited) <= len(stops):
        visited.append(here)
        probe.page.keyboard.press("Tab")
    assert [here["stop"] for here in visited] == list(range(len(stops)))  # all, in their order, and out again
    assert [here["name"] for here in visited if not here["seen"]] == []
    probe.page.keyboard.press("Shift+Tab")
    back = look_at(probe.root, "focused")
    assert back is not None and back["stop"] == len(stops) - 1


def test_a_popover_gives_the_focus_back_to_its_button(bench: Notebook, probe: Probe) -> None:
    with_everything(bench, probe)
    for opener, panel in WITH_RESULTS.items():
        probe.part(opener).focus()
        probe.page.keyboard.press("Enter")
        expect(probe.part(panel)).to_be_visible()
        probe.page.keyboard.press("Escape")
        expect(probe.part(panel)).to_have_count(0)
        expect(probe.part(opener)).to_be_focused()


CELLS = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const kernel = panel.sessionContext.session.kernel;
  return JSON.stringify([
    panel.content.widgets.map(({ model: m }) => [m.type, m.sharedModel.getSource(), m.executionCount]),
    panel.content.activeCellIndex, kernel.id, window.jupyterapp.shell.leftCollapsed,
    [...document.querySelectorAll('.jp-Dialog, .lm-Menu, .lm-CommandPalette:not(.lm-mod-hidden)')].length,
  ]);
}"""
KEYS = [
    *string.ascii_lowercase,
    *(f"Shift+{letter}" for letter in string.ascii_uppercase),
    *string.digits,
    *("d d", "0 0", "i i", "Shift+Enter", "Enter", "Space", "Shift+Space", "Backspace", "Delete"),
    *("ArrowUp", "ArrowDown", "Shift+ArrowUp", "Shift+ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End"),
    *("Control+c", "Control+x", "Control+v", "Control+a", "Control+b", "Control+d", "Control+Shift+c"),
]


def press(probe: Probe, keys: list[str]) -> None:
    for key in keys:
        for stroke in key.split():
            probe.page.keyboard.press(stroke)


def test_no_key_leaks_to_the_notebook(bench: Notebook, probe: Probe) -> None:
    # what another test has copied is of another picture, and to paste it here would be an error
    probe.page.evaluate("() => { delete window['isi_widget copied']; }")
    before = probe.page.evaluate(CELLS)
    for focus in ("root", "tool-select", "layers"):
        (probe.root if focus == "root" else probe.part(focus)).evaluate("e => { e.tabIndex = 0; e.focus(); }")
        for key in KEYS:
            press(probe, [key])
            assert probe.page.evaluate(CELLS) == before, f"{key} on {focus}"
            probe.page.keyboard.press("Escape")
            if not probe.root.evaluate("root => root.contains(document.activeElement)"):
                probe.root.focus()
    # Nor after a click, from which on the notebook would take its keys for commands.
    for part in ("tool-box", "run-answer", "run-on-change", "copy-code", "trials"):
        probe.part(part).click()
        for key in ("d", "d", "m", "j", "ArrowDown", "Shift+M"):
            probe.page.keyboard.press(key)
            assert probe.page.evaluate(CELLS) == before, f"{key} after a click on {part}"
        probe.page.keyboard.press("Escape")
    # Such a key does reach the notebook where nothing tells it to sleep.
    probe.root.evaluate("root => { root.focus(); root.removeAttribute('data-lm-suppress-shortcuts'); }")
    probe.page.keyboard.press("k")
    probe.page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex === 0")


def test_the_focus_stays_when_what_had_it_goes_away(bench: Notebook, probe: Probe) -> None:
    root = probe.root.element_handle()
    inside = "root => root.contains(document.activeElement)"
    bench.execute("probe.stimulus = probe.stimulus.box(10, 10, 50, 50).box(90, 90, 50, 50)")
    expect(probe.part("layer-1")).to_be_attached()
    probe.part("layer-1-delete").focus()
    probe.page.keyboard.press("Enter")
    expect(probe.part("layer-1")).to_have_count(0)
    probe.page.wait_for_function(inside, arg=root)
    probe.part("observation-picker").click()
    probe.page.keyboard.press("ArrowDown")
    probe.page.keyboard.press("Enter")
    bench.until("probe.observation_index == 1")
    expect(probe.part("layer-0")).to_have_count(0)
    probe.page.wait_for_function(inside, arg=root)
    # Tab and a click elsewhere do leave it.
    bench.page.locator(".jp-Cell .cm-content").first.click()
    probe.page.wait_for_function("root => !root.contains(document.activeElement)", arg=root)


def test_what_happens_is_spoken(bench: Notebook, probe: Probe) -> None:
    spoken = probe.part("spoken")
    expect(spoken).to_have_attribute("aria-live", "polite")
    probe.draw("box", (100, 80), (260, 200))
    bench.until("len(probe.stimulus.operations) == 1")
    probe.root.focus()
    probe.page.keyboard.press("Control+z")
    expect(spoken).to_have_text("Undone")
    bench.until("probe.stimulus == obs.stimulus()")
    probe.page.keyboard.press("Control+Enter")
    probe.finished(1)
    expect(spoken).to_contain_text(bench.value("'Answer: ' + probe.trial.answer.text"))
    expect(spoken).to_contain_text(
        bench.value("f'{probe.trial.uncertainty.bayesian_semantic_entropy:.2f} nats'")
    )
    bench.execute("probe.error = {'message': 'It failed.', 'hint': '', 'id': None}")
    expect(probe.root.get_by_role("alert")).to_contain_text("It failed.")
    assert spoken.evaluate("e => e.getBoundingClientRect().width") <= 1  # for ears only


# ---- sizes


def misplaced(probe: Probe, state: str) -> list[str]:
    settle(probe)
    lines = [*look_at(probe.root, "sticksOut"), *look_at(probe.root, "overlaps")]
    return [f"{state}: {line}" for line in lines]


def test_nothing_sticks_out_or_overlaps_from_320_to_3840_pixels(bench: Notebook, probe: Probe) -> None:
    with_everything(bench, probe)
    found: list[str] = []
    for width in (320, 360, 480, 699, 760, 1060, 1600, 3840):
        resize(probe, width)
        assert probe.root.evaluate("root => root.offsetWidth") == width
        found += misplaced(probe, f"{width} px")
        for opener in WITH_RESULTS:
            with opened(probe, opener):
                found += misplaced(probe, f"{width} px, {opener}")
        if width in (320, 699, 1060):
            for tip in probe.root.locator(".isi-tip").all():
                tip.evaluate("tip => tip.focus({ preventScroll: true })")
                name = tip.get_attribute("data-testid")
                found += [f"{width} px, {name}: {line}" for line in look_at(probe.root, "sticksOut")]
            probe.root.focus()
    assert found == [], "\n".join(found)


def test_zoomed_to_200_percent_it_shows_everything_and_draws_where_one_points(
    bench: Notebook, probe: Probe
) -> None:
    """What the browser's own zoom does: half as many CSS pixels, each of twice as many device pixels."""
    zoom = bench.page.context.new_cdp_session(bench.page)
    metrics = {"width": 750, "height": 550, "deviceScaleFactor": 2, "mobile": False}
    zoom.send("Emulation.setDeviceMetricsOverride", metrics)
    try:
        settle(probe)
        probe.draw("box", (100, 80), (260, 200))
        bench.until(
            "[(o.x, o.y, o.width, o.height) for o in probe.stimulus.operations] == [(100, 80, 160, 120)]"
        )
        sharp = "canvas => canvas.width / canvas.getBoundingClientRect().width"
        assert abs(probe.part("canvas").evaluate(sharp) - 2) < 0.02
        with_everything(bench, probe)
        assert misplaced(probe, "200 %") == []
    finally:
        zoom.send("Emulation.clearDeviceMetricsOverride")
        zoom.detach()


# ---- scripts from right to left


def test_texts_from_right_to_left(bench: Notebook, probe: Probe) -> None:
    bench.execute(
        "probe.stimulus = obs.stimulus().with_question(HEBREW).with_context(ARABIC); t = probe.run()"
    )
    probe.finished(1)
    cells = [probe.part(name) for name in ("question", "context", "answer", "sent-question", "sent-context")]
    cells += [
        probe.part("trial-1").locator("[dir=auto]").first,
        probe.part("cluster-0-toggle").locator("[dir=auto]"),
    ]
    cells += [probe.part("observation-picker").locator(".isi-cut")]
    probe.part("cluster-0-toggle").click()
    cells += [probe.part("cluster-0-answers").locator("[dir=auto]").first]
    for cell in cells[:-2] + cells[-1:]:
        assert look_at(cell, "direction") == ["rtl", True], cell
    bench.execute(
        "probe.stimulus = obs.stimulus().with_question('Is there a star?').with_context('There is.')"
    )
    expect(probe.part("question")).to_have_value("Is there a star?")
    for cell in cells[:2]:
        assert look_at(cell, "direction") == ["ltr", True]
    # Static pages have the same texts.
    page = bench.value("t._repr_html_() + Comparison((t, t), ('a', 'b'))._repr_html_()")
    show = "html => { document.body.insertAdjacentHTML('beforeend', `<div id=rtl>${html}</div>`); }"
    probe.page.evaluate(show, page)
    directions = """(texts) => texts.map((text) => [...document.querySelectorAll('#rtl *')]
      .filter((e) => e.textContent === text).map((e) => getComputedStyle(e).direction).includes('rtl'))"""
    try:
        assert probe.page.evaluate(directions, [HEBREW, ARABIC]) == [True, True]
    finally:
        probe.page.evaluate("() => document.getElementById('rtl').remove()")


# ---- what the system asks for


def test_forced_colours_leave_every_state_and_colour_to_be_seen(bench: Notebook, probe: Probe) -> None:
    with_everything(bench, probe)
    probe.part("context-contradictory").click()
    expect(probe.part("context-contradictory")).to_have_attribute("aria-pressed", "true")
    probe.part("trial-2-pin").click()
    fill = "e => getComputedStyle(e).fill"
    value = probe.part("attention-image").locator(".isi-value")
    back = "e => getComputedStyle(e).backgroundColor"
    before = value.evaluate(fill), probe.part("color-red").evaluate(back)
    bench.page.emulate_media(forced_colors="active")
    try:
        assert (value.evaluate(fill), probe.part("color-red").evaluate(back)) == before  # they mean something
        swatches = [probe.part(f"color-{name}").evaluate(back) for name in ("black", "white", "red", "blue")]
        assert len(set(swatches)) == 4
        pairs = [
            ("tool-select", "tool-box"),
            ("color-red", "color-blue"),
            ("attention-absolute", "attention-relative"),
            ("trial-2", "trial-1"),
            ("trial-1-pin", "trial-2-pin"),
            ("context-contradictory", "context-complementary"),
            ("undo", "redo"),
        ]
        assert look_at(probe.root, "alike", pairs) == []
        with opened(probe, "observation-picker"):
            rows = [("observation-0", "observation-1")]
            assert look_at(probe.root, "alike", rows) == []
        for scheme in ("light", "dark"):
            bench.page.emulate_media(forced_colors="active", color_scheme=scheme)
            ink = probe.root.evaluate("root => getComputedStyle(root).color")
            for line in (".isi-whisker line", ".isi-usual", ".isi-layer .isi-icon", ".isi-name .isi-icon"):
                stroke = "(root, line) => getComputedStyle(root.querySelector(line)).stroke"
                assert probe.root.evaluate(stroke, line) == ink, (scheme, line)
            for button in probe.root.locator(".isi-button[aria-pressed=true]").all():
                assert contrast(button) > 4.5, (scheme, button.get_attribute("data-testid"))
    finally:
        bench.page.emulate_media(forced_colors="none", color_scheme="light")


def contrast(button: Locator) -> float:
    """The contrast (WCAG) of the brightest and the darkest pixel inside the border of a button."""
    image = Image.open(io.BytesIO(button.screenshot())).convert("RGB")
    inner = np.asarray(image, float)[4:-4, 4:-4] / 255
    linear = np.where(inner <= 0.04045, inner / 12.92, ((inner + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return float((luminance.max() + 0.05) / (luminance.min() + 0.05))


def test_reduced_motion_stops_everything_that_moves(bench: Notebook, probe: Probe) -> None:
    partial = "{'kind': 'partial', 'id': 'a', 'answer': 'It', 'samples': []}"
    bench.execute(f"probe.set_trait('status', {RUNNING}); probe.send({partial})")
    expect(probe.part("answer-partial")).to_be_visible()
    assert look_at(probe.root, "moving") == 2  # the spinner, and the caret of the growing answer
    bench.page.emulate_media(reduced_motion="reduce")
    try:
        assert look_at(probe.root, "moving") == 0
    finally:
        bench.page.emulate_media(reduced_motion="no-preference")
        bench.execute("probe.set_trait('status', dict(_controller.IDLE))")
