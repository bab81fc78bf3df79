"""A probe with a session: draw, run, note, pin, restart the kernel, run the cell; everything is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import Lab
from playwright.sync_api import expect

CELLS = (
    "import isi_widget as isi\nvlm = isi.load_vlm()",
    'probe = isi.Probe(vlm, isi.datasets.scenes()[3], session="work")\nprobe',
)
_RESTART = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  await kernel.restart();
  await kernel.info;
}"""


def test_everything_is_back_after_a_restart(lab: Lab, browser: Any, tmp_path: Path) -> None:
    notebook = lab.open(browser, lab.notebook(CELLS))
    try:
        notebook.run_all()
        probe = notebook.probe().ready()
        expect(probe.part("kept")).to_have_text("kept in work")
        probe.draw("box", (60, 40), (220, 200))
        probe.part("run-answer").click()
        probe.finished(1)
        probe.draw("ellipse", (250, 60), (330, 140))
        probe.part("run-answer").click()
        probe.finished(2)
        probe.part("trial-note").fill("the star is covered")
        probe.part("trial-note").press("Enter")
        probe.part("trial-1-pin").click()
        probe.part("question").fill("Is there a square?")
        probe.part("question").blur()
        asked = "probe.stimulus.current_question == 'Is there a square?'"
        notebook.until(f"{asked} and probe.notes and probe.pinned")
        shown = "[probe.document, dict(probe.notes), probe.pinned, [t.answer.text for t in probe.trials]]"
        before = notebook.value(shown)

        notebook.page.evaluate(_RESTART)
        notebook.run_all()
        probe = notebook.probe().ready()
        assert notebook.value(shown) == before
        expect(probe.part("trial-2")).to_be_visible()
        expect(probe.part("trial-note")).to_have_value("the star is covered")
        expect(probe.part("trial-1-pin")).to_have_attribute("aria-pressed", "true")
        expect(probe.part("question")).to_have_value("Is there a square?")
        expect(probe.part("kept")).to_have_text("kept in work")
        probe.part("undo").click()
        probe.part("undo").click()
        notebook.until(f"not {asked} and len(probe.stimulus.operations) == 1")
        probe.part("run-answer").click()
        probe.finished(3)

        with notebook.page.expect_download() as downloaded:
            probe.part("save").click()
        file = tmp_path / downloaded.value.suggested_filename
        downloaded.value.save_as(file)
        assert file.name == "work.isi"
        (lab.folder / "received.isi").write_bytes(file.read_bytes())
        opened = "[len(isi.open_probe('received.isi', vlm).trials), probe.save() is not None]"
        assert notebook.value(opened) == [3, True]

        # the cell again, in the same kernel: it takes its session over
        notebook.run_cell(1)
        probe = notebook.probe().ready()
        assert notebook.value("[len(probe.trials), probe.session.name]") == [3, "work"]
        expect(probe.part("trial-3")).to_be_visible()
    finally:
        notebook.close()
