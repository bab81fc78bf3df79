"""Texts of data, models and users are texts everywhere: in the probe, in a trial's page, in nbconvert's HTML.

The payload runs when it is set as markup (one test shows that), so a page that it could break out on has
`window.pwned`. Not for what a page may send to the kernel (tests/widget/test_security_messages.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from harness import ROOT, SECONDS, Lab, Notebook, Probe
from looking import look_at
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

PWNED = "window.pwned=1"
PAYLOAD = (
    f"</textarea></title></script></style>\"'><script>{PWNED}</script><img src=x onerror={PWNED}>"
    f"<svg onload={PWNED}></svg><style>*{{display:none!important}}</style>"
    f"<iframe srcdoc='<script>parent.pwned=1</script>'></iframe><a href=javascript:{PWNED}>a</a> $x^2$ {{b}}"
)
NAME = f"<img src=x onerror={PWNED}>.png"  # a file's name: without a slash
HOSTILE = f"""
import csv, dataclasses, sys
from pathlib import Path as _Path
from PIL import Image as _Image
sys.path.insert(0, {str(ROOT / "tests" / "report")!r})
from made_trials import make_trial
from isi_widget.study.compare import Comparison
from isi_widget.widget import controller as _controller
H, NAME = {PAYLOAD!r}, {NAME!r}
class Hostile(type(vlm)):
    "The model, but what it says of itself is markup."
    unavailable = {{"attention": H}}
    def info(self):
        return {{**super().info(), "name": H, "note": H}}
hostile = Hostile.__new__(Hostile)
hostile.__dict__.update(vlm.__dict__)
_Path("hostile").mkdir(exist_ok=True)
_Image.new("RGB", (64, 48), "orange").save(_Path("hostile") / NAME)
_fields = ["image", "question", "answer", "context", "complementary", "level", "id", "more"]
with open("hostile.csv", "w", newline="", encoding="utf-8") as _file:
    _rows = csv.writer(_file)
    _rows.writerow(_fields)
    _rows.writerow([NAME, *[H] * 7])
    _rows.writerow([NAME, *[H] * 5, NAME, H])
data = isi.datasets.from_csv("hostile.csv", images="hostile", name=H)
_run_trial = _controller.run_trial
def _made(vlm, stimulus, **_):
    trial = make_trial((H, H, "No."), stimulus.current_question, stimulus.current_context)
    told = {{"model": vlm.info(), "notes": (H,), "created": H, "versions": {{H: H}}}}
    return dataclasses.replace(trial, stimulus=stimulus, **told)
def _failing(*_, **__):
    raise RuntimeError(H)
_controller.run_trial = _made
"""


@pytest.fixture(scope="module")
def hostile(bench: Notebook) -> Iterator[Notebook]:
    bench.execute(HOSTILE)
    yield bench
    bench.execute("_controller.run_trial = _run_trial")


@pytest.fixture
def probe(hostile: Notebook) -> Iterator[Probe]:
    """A probe of a hostile model on a hostile data set."""
    hostile.run_cell(1, "probe = isi.Probe(hostile, data[0], data=data)\nprobe")
    hostile.page.evaluate("() => { delete window.pwned; }")
    made = hostile.probe().ready()
    yield made
    safe(made)
    hostile.execute("probe.cancel(); probe.close()")


def safe(probe: Probe) -> None:
    """Nothing ran, nothing but the probe's own elements is in it, and it is still to be seen."""
    probe.page.wait_for_timeout(20)  # an image that cannot be loaded tells so a moment later
    assert probe.page.evaluate("() => window.pwned") is None
    assert look_at(probe.root, "injected") == []
    expect(probe.root).to_be_visible()


def test_the_payload_runs_where_a_text_becomes_markup(hostile: Notebook) -> None:
    hostile.page.evaluate(
        "text => { const div = document.createElement('div'); div.id = 'p'; document.body.append(div);"
        " div.innerHTML = text.replace('<style>*', '<style>#none'); }",
        PAYLOAD,
    )
    hostile.page.wait_for_function("() => window.pwned === 1")
    found = look_at(hostile.page.locator("#p"), "injected")
    assert len(found) >= 4
    hostile.page.evaluate("() => { document.getElementById('p').remove(); delete window.pwned; }")


def test_questions_contexts_cells_and_model_names_are_texts(hostile: Notebook, probe: Probe) -> None:
    expect(probe.part("question")).to_have_value(PAYLOAD)
    expect(probe.part("context")).to_have_value(PAYLOAD)
    expect(probe.part("truth")).to_have_attribute("data-truth", PAYLOAD)
    expect(probe.part("truth")).to_contain_text(PAYLOAD)
    expect(probe.part("observation-picker")).to_contain_text(PAYLOAD)
    expect(probe.part("model")).to_contain_text(PAYLOAD)
    expect(probe.part("model-note")).to_have_text(PAYLOAD)
    probe.part("observation-picker").click()
    expect(probe.part("observation-list").locator("[role=option]")).to_have_count(2)
    expect(probe.part("observation-1")).to_contain_text(PAYLOAD)
    probe.root.press("Escape")
    probe.part("model").click()
    probe.part("model-other").fill(f"./{PAYLOAD}")
    probe.part("model-load").click()
    expect(probe.part("error-message")).to_contain_text(f"onerror={PWNED}")
    safe(probe)
    hostile.execute("probe.stimulus = data[0].stimulus().text(2, 2, H, size=8)")
    expect(probe.part("layer-0")).to_contain_text(PAYLOAD)
    x, y = probe.on_screen(4, 6)
    probe.page.mouse.dblclick(x, y)
    expect(probe.part("text-input")).to_have_value(PAYLOAD)
    probe.part("text-input").press("Escape")
    probe.part("copy-code").click()
    expect(probe.part("code")).to_have_value(hostile.value("probe.code()"))
    names = "(lambda names: (exec(probe.code().split('vlm =')[0], names), 'pwned' in names)[1])({})"
    assert hostile.value(names) is False


def test_answers_notes_and_errors_are_texts(hostile: Notebook, probe: Probe) -> None:
    running = "'state': 'running', 'id': 'a', 'what': [H], 'stage': H, 'note': H, "
    running += "'done': 0, 'total': 0, 'queued': 0"
    hostile.execute(f"probe.set_trait('status', {{{running}}})")
    hostile.execute("probe.send({'kind': 'partial', 'id': 'a', 'answer': H, 'samples': [H]})")
    expect(probe.part("answer-partial")).to_have_text(PAYLOAD)
    expect(probe.part("sample-0")).to_contain_text(PAYLOAD)
    expect(probe.part("status")).to_contain_text(PAYLOAD)
    safe(probe)
    hostile.execute("probe.set_trait('status', dict(_controller.IDLE))")
    probe.part("run").click()
    expect(probe.part("answer")).to_have_text(PAYLOAD)
    expect(probe.part("notes")).to_have_text(PAYLOAD)
    for name in ("sent-context", "sent-question"):
        expect(probe.part(name)).to_have_text(PAYLOAD)
    expect(probe.part("trial-1")).to_contain_text(PAYLOAD)
    expect(probe.part("spoken")).to_contain_text(PAYLOAD)
    probe.part("cluster-0-toggle").click()
    expect(probe.part("cluster-0-answers")).to_contain_text(PAYLOAD)
    expect(probe.part("run-attention")).to_have_attribute("title", f"{attention_label(probe)}{PAYLOAD}")
    safe(probe)
    hostile.execute("_controller.run_trial = _failing")
    try:
        probe.part("run").click()
        expect(probe.part("error-message")).to_contain_text(f"RuntimeError: {PAYLOAD}")
    finally:
        hostile.execute("_controller.run_trial = _made")


def attention_label(probe: Probe) -> str:
    title = probe.part("run-attention").get_attribute("title") or ""
    return title[: title.index("</textarea>")]


def test_file_names_are_texts(hostile: Notebook, probe: Probe) -> None:
    probe.part("file").set_input_files({"name": NAME, "mimeType": "image/png", "buffer": b"<svg onload=x>"})
    expect(probe.part("error-message")).to_contain_text(NAME)
    safe(probe)
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' onload='{PWNED}'><script>{PWNED}</script></svg>".encode()
    probe.part("file").set_input_files({"name": "a.svg", "mimeType": "image/svg+xml", "buffer": svg})
    expect(probe.part("error-message")).to_contain_text("a.svg")
    before = hostile.value("probe.stimulus.key")
    assert before == hostile.value("data[0].stimulus().key")


# ---- static pages
@pytest.fixture(scope="module")
def saved(hostile: Notebook, lab: Lab) -> dict[str, Any]:
    """The notebook as JupyterLab saves it: a probe, a trial, a comparison, all hostile, and widget state."""
    hostile.run_cell(
        1,
        "probe = isi.Probe(hostile, data[0], data=data)\nt = probe.run()\n"
        "display(t, Comparison((t, t), (H, 'b')), probe)",
    )
    probe = hostile.probe().ready()
    expect(probe.part("answer")).to_have_text(PAYLOAD)
    output = hostile.page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-output")
    for part in (".isi-trial", ".isi-comparison"):
        expect(output.locator(f"div{part}").first).to_contain_text(PAYLOAD)
        assert look_at(output.locator(f"div{part}").first, "injected") == []
    assert hostile.page.evaluate("() => window.pwned") is None
    hostile.save()
    name = hostile.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")
    book: dict[str, Any] = nbformat.read(lab.folder / name, as_version=4)
    hostile.execute("probe.close()")
    return book


def converted(book: dict[str, Any], folder: Path, page: Page) -> None:
    """What nbconvert makes of it, opened from disk."""
    html, _ = HTMLExporter().from_notebook_node(book)
    path = folder / "page.html"
    path.write_text(html, "utf-8")
    page.goto(path.as_uri())
    page.wait_for_timeout(200)  # for whatever would run a moment later


def test_nbconvert_html_runs_nothing(saved: dict[str, Any], browser: Any, tmp_path: Path) -> None:
    state = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any("</script>" in str(model["state"].get("model", "")) for model in state.values())
    page = browser.new_context(offline=True).new_page()
    try:
        converted(saved, tmp_path, page)
        assert page.evaluate("() => window.pwned") is None
        for shown in page.locator("div.isi-trial").all():  # the trial's own, and the one in the probe's still
            expect(shown).to_contain_text(PAYLOAD)
        expect(page.locator("div.isi-comparison")).to_contain_text(PAYLOAD)
        for part in ("div.isi-trial", "div.isi-comparison"):
            assert look_at(page.locator(part).first, "injected") == []
        # The same file with one text that is not escaped does run.
        outputs = saved["cells"][1]["outputs"]
        broken = nbformat.from_dict({**saved, "cells": [nbformat.v4.new_code_cell("", outputs=outputs)]})
        broken = nbformat.reads(nbformat.writes(broken), as_version=4)
        trial = next(
            o for o in broken["cells"][0]["outputs"] if "isi-trial" in o["data"].get("text/html", "")
        )
        trial["data"]["text/html"] += f"<img src=x onerror={PWNED}>"
        converted(broken, tmp_path, page)
        page.wait_for_function("() => window.pwned === 1", timeout=SECONDS * 1000)
    finally:
        page.context.close()
