"""The probe in a real JupyterLab: what is done with mouse and keys is what the kernel holds, and the reverse.

Expectations on the kernel are asked of the kernel; expectations on the page wait for the page. Nothing
sleeps.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable

from harness import ROOT, Notebook, Probe
from playwright.sync_api import expect

SLOW = """
import threading
from isi_widget.vlm import VLM
class Slow(VLM):
    "The model, but its samples take as long as one lets them: until `gate` is set, polling as decoding does."
    gate = threading.Event()
    def sample(self, stimulus, *args, cancel=None, on_token=None, **keywords):
        while not self.gate.wait(0.01):
            if cancel is not None and cancel():
                raise isi.Cancelled("cancelled between tokens")
        return super().sample(stimulus, *args, cancel=cancel, on_token=on_token, **keywords)
slow = Slow.__new__(Slow)
slow.__dict__.update(vlm.__dict__)
"""
SPEAKING = """
class Speaking(VLM):
    "The model, but each of its samples waits until it is let go."
    go = threading.Semaphore(0)
    def sample(self, stimulus, n=10, *args, on_answer=None, cancel=None, **keywords):
        def ended(row, answer):
            while not self.go.acquire(timeout=0.01):
                if cancel():
                    raise isi.Cancelled("cancelled between tokens")
            on_answer(row, answer)
        return super().sample(stimulus, n, *args, on_answer=ended, cancel=cancel, **keywords)
    def let(self, samples):
        for _ in range(samples):
            self.go.release()
speaking = Speaking.__new__(Speaking)
speaking.__dict__.update(vlm.__dict__)
"""
# A folder with a tiny random LLaVA: it loads like any other checkpoint.
TINY = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import tiny_models
model, processor = tiny_models.llava()
model.save_pretrained("tiny-llava")
processor.save_pretrained("tiny-llava")
"""
FAILING = """
class Failing(type(vlm)):
    fails = True
    def prefill(self, *args, **keywords):
        if self.fails:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().prefill(*args, **keywords)
failing = Failing.__new__(Failing)
failing.__dict__.update(vlm.__dict__)
"""


def fresh(bench: Notebook, model: str, setup: str = "") -> Probe:
    bench.run_cell(1, f"{setup}\nprobe = isi.Probe({model}, obs)\nprobe")
    return bench.probe().ready()


# ---- drawing
def test_a_box_drawn_with_the_mouse_is_the_stimulus(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 80), (260, 200))
    bench.until("len(probe.stimulus.operations) == 1")
    assert bench.value("[op.to_dict() for op in probe.stimulus.operations]") == [
        {
            "op": "box",
            "x": 100,
            "y": 80,
            "width": 160,
            "height": 120,
            "color": "#000000",
            "fill": True,
            "line_width": 3,
        }
    ]
    assert bench.value("probe.stimulus == obs.stimulus().box(100, 80, 160, 120)")
    assert bench.value("probe.stimulus.render().getpixel((180, 140))") == [0, 0, 0]


def test_every_tool_draws_its_operation(bench: Notebook, probe: Probe) -> None:
    for number, tool in enumerate(("box", "ellipse", "line", "arrow", "noise")):
        probe.draw(tool, (40 + 60 * number, 60), (90 + 60 * number, 140))
    bench.until("len(probe.stimulus.operations) == 5")
    assert bench.value("[op.op for op in probe.stimulus.operations]") == [
        "box",
        "ellipse",
        "line",
        "arrow",
        "noise",
    ]
    assert bench.value("probe.stimulus.operations[4].region") == [280, 60, 50, 80]
    assert bench.value("[probe.stimulus.operations[3].start, probe.stimulus.operations[3].end]") == [
        [220, 60],
        [270, 140],
    ]
    probe.part("tool-text").click()
    before = probe.paints()
    x, y = probe.on_screen(60, 300)
    probe.page.mouse.click(x, y)
    probe.part("text-input").fill("a cat")
    probe.part("text-input").press("Control+Enter")
    probe.root.press("Escape")
    bench.until("len(probe.stimulus.operations) == 6")
    assert bench.value("probe.stimulus.operations[5].text") == "a cat"
    probe.painted_since(before)


def test_a_shape_is_selected_moved_resized_and_deleted(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 100), (200, 180))
    bench.until("len(probe.stimulus.operations) == 1")
    probe.part("tool-select").click()
    probe.drag((150, 140), (190, 170))
    bench.until("(probe.stimulus.operations[0].x, probe.stimulus.operations[0].y) == (140, 130)")
    probe.drag((240, 210), (300, 260))  # the handle of the lower right corner
    bench.until("(probe.stimulus.operations[0].width, probe.stimulus.operations[0].height) == (160, 130)")
    probe.part("delete").click()
    bench.until("probe.stimulus == obs.stimulus()")
    assert bench.value("len(probe.document['past'])") == 4  # drawn, moved, resized, deleted: each one step


def test_undo_and_redo_on_both_sides(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 100), (200, 180))
    probe.draw("ellipse", (220, 100), (300, 180))
    bench.until("len(probe.stimulus.operations) == 2")
    probe.part("undo").click()
    bench.until("len(probe.stimulus.operations) == 1")
    expect(probe.part("layer-1")).to_have_count(0)
    bench.execute("probe.undo()")
    expect(probe.part("layer-0")).to_have_count(0)
    expect(probe.part("undo")).to_have_attribute("aria-disabled", "true")
    probe.part("redo").click()
    bench.until("len(probe.stimulus.operations) == 1")
    bench.execute("probe.redo()")
    expect(probe.part("layer-1")).to_be_attached()
    assert bench.value("[op.op for op in probe.stimulus.operations]") == ["box", "ellipse"]


def test_the_picture_that_is_painted_is_the_render(bench: Notebook, probe: Probe) -> None:
    """Python draws, the page shows it: a red box in the middle of the canvas."""
    before = probe.paints()
    bench.execute("probe.stimulus = obs.stimulus().box(200, 200, 80, 80, color='red')")
    probe.painted_since(before)
    pixel = probe.part("canvas").evaluate(
        """(canvas, at) => {
          const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
          return [...canvas.getContext('2d').getImageData((at[0] - box.x) * ratio, (at[1] - box.y) * ratio, 1,
          1).data];
        }""",
        list(probe.on_screen(240, 240)),
    )
    assert pixel[0] > 220 and pixel[1] < 40 and pixel[2] < 40


# ---- keyboard
def test_the_keyboard_alone(bench: Notebook, probe: Probe) -> None:
    bench.execute("probe.stimulus = obs.stimulus().box(100, 100, 60, 40)")
    expect(probe.part("layer-0")).to_be_attached()
    x, y = probe.on_screen(130, 120)
    probe.page.mouse.click(x, y)
    expect(probe.part("handle-se")).to_be_attached()
    probe.root.focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        probe.page.keyboard.press(key)
    bench.until("(probe.stimulus.operations[0].x, probe.stimulus.operations[0].y) == (102, 110)")
    probe.page.keyboard.press("Delete")
    bench.until("len(probe.stimulus.operations) == 0")
    probe.page.keyboard.press("Control+z")
    bench.until("len(probe.stimulus.operations) == 1")
    probe.page.keyboard.press("Control+Shift+z")
    bench.until("len(probe.stimulus.operations) == 0")
    probe.page.keyboard.press("b")
    expect(probe.part("tool-box")).to_have_attribute("aria-pressed", "true")
    probe.page.keyboard.press("Escape")
    expect(probe.part("tool-select")).to_have_attribute("aria-pressed", "true")
    # Keys of the notebook sleep meanwhile: d d would have deleted the cell, b added one.
    probe.page.keyboard.press("d")
    probe.page.keyboard.press("d")
    assert probe.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length") == 2
    probe.page.keyboard.press("Control+Enter")
    probe.finished(1)
    assert bench.value("len(probe.trials)") == 1


# ---- texts, presets, observations
def test_texts_and_presets(bench: Notebook, probe: Probe) -> None:
    probe.part("context-contradictory").click()
    bench.until("probe.stimulus.context_preset == 'contradictory'")
    expect(probe.part("context")).to_have_value(bench.value("obs.contexts['contradictory']"))
    probe.part("image-annotated").click()
    bench.until("probe.stimulus.current_image == obs.annotated")
    expect(probe.part("truth")).to_have_attribute("data-truth", bench.value("obs.answer"))
    probe.part("question").fill("Is there a circle?")
    probe.part("question").press("Tab")
    bench.until("probe.stimulus.current_question == 'Is there a circle?'")
    expect(probe.part("truth")).to_have_attribute("data-truth", "")
    probe.part("context").fill("")
    probe.part("context").press("Tab")
    bench.until("probe.stimulus.current_context == ''")
    probe.part("image-random").click()
    bench.until("probe.stimulus.image_preset == 'random'")
    assert bench.value("probe.stimulus.current_image != obs.image")


def test_another_observation_by_search(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 100), (200, 180))
    question = bench.value("isi.datasets.scenes()[7].question")
    probe.part("observation-picker").click()
    probe.part("observation-search").fill(question)
    probe.part("observation-7").click()
    bench.until("probe.stimulus == isi.datasets.scenes()[7].stimulus()")
    expect(probe.part("question")).to_have_value(question)
    expect(probe.part("layer-0")).to_have_count(0)


def test_an_image_of_ones_own(bench: Notebook, probe: Probe) -> None:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (640, 360), "orange").save(out, "PNG")
    probe.part("file").set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": out.getvalue()})
    bench.until("probe.stimulus.render().size == (640, 360)")
    assert bench.value("probe.stimulus.render().getpixel((5, 5))") == [255, 165, 0]
    expect(probe.part("image-annotated")).to_have_attribute("aria-disabled", "true")
    expect(probe.part("truth")).to_have_attribute("data-truth", "")
    probe.draw("box", (10, 10), (200, 100))
    bench.until("[drawn.width for drawn in probe.stimulus.operations] == [190]")
    probe.part("file").set_input_files(
        {"name": "text.png", "mimeType": "image/png", "buffer": b"no image at all"}
    )
    expect(probe.part("error-message")).to_contain_text("text.png")
    assert bench.value("len(probe.stimulus.operations)") == 1


def test_a_large_file_comes_whole_and_undo_brings_back_what_was_there(bench: Notebook, probe: Probe) -> None:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(3).integers(0, 256, (1500, 2200, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=0)
    assert len(out.getvalue()) > 9.8e6
    probe.draw("box", (100, 100), (200, 180))
    bench.until("len(probe.stimulus.operations) == 1")
    probe.part("file").set_input_files(
        {"name": "noise.png", "mimeType": "image/png", "buffer": out.getvalue()}
    )
    bench.until("probe.stimulus.image.size == (2200, 1500)")
    bench.execute("import hashlib")
    kernel = bench.value("hashlib.sha256(probe.stimulus.image.array().tobytes()).hexdigest()")
    assert kernel == hashlib.sha256(noise.tobytes()).hexdigest()
    expect(probe.part("error")).to_be_hidden()
    # its truth is typed, and it stays in the list
    expect(probe.part("observation-picker")).to_contain_text("Own image")
    probe.part("truth-field").fill("no")
    probe.part("truth-field").press("Enter")
    bench.until("probe.truth == 'No'")
    expect(probe.part("truth")).to_have_attribute("data-truth", "No")
    for _ in range(2):  # Ctrl+Z as in any editor; and forward again
        probe.root.focus()
        probe.page.keyboard.press("Control+z")
        bench.until("len(probe.stimulus.operations) == 1 and probe.observation_index == 0")
        expect(probe.part("layer-0")).to_be_attached()
        probe.page.keyboard.press("Control+Shift+z")
        bench.until("probe.stimulus.image.size == (2200, 1500)")
    probe.part("undo").click()
    bench.until("probe.observation_index == 0")
    probe.part("observation-picker").click()
    probe.part("observation-search").fill("noise.png")
    probe.part("observation-list").get_by_role("option").first.click()
    bench.until("probe.truth == 'No'")


def test_pictures_of_other_pages(bench: Notebook, probe: Probe) -> None:
    """As a browser hands them over when they are dragged from another tab."""
    drop = """(root, [type, text]) => {
      const data = new DataTransfer();
      data.setData(type, text);
      const stage = root.querySelector('[data-testid=stage]');
      for (const name of ['dragover', 'drop']) {
        stage.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    }"""
    small = base64.b64encode(_png(12, 8)).decode()
    probe.root.evaluate(drop, ["text/html", f'<p><img src="data:image/png;base64,{small}"></p>'])
    bench.until("probe.stimulus.image.size == (12, 8)")
    probe.root.evaluate(drop, ["text/uri-list", "https://example.org/cat.jpg"])
    expect(probe.part("error-message")).to_contain_text("https://example.org/cat.jpg")
    expect(probe.part("error-hint")).to_contain_text("Save it")
    blob = """(_, text) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return URL.createObjectURL(new Blob([bytes], { type: 'image/png' }));
    }"""
    address = probe.root.evaluate(blob, base64.b64encode(_png(14, 9)).decode())
    probe.root.evaluate(drop, ["text/uri-list", address])
    bench.until("probe.stimulus.image.size == (14, 9)")


def _png(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (width, height), "orange").save(out, "PNG")
    return out.getvalue()


# ---- runs
def test_run_everything(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 80), (260, 200))
    probe.part("run").click()
    probe.finished(1)
    seen = bench.value(
        "[probe.trial.stimulus == probe.stimulus, probe.trial.answer.text,"
        " probe.trial.uncertainty.semantic_entropy,"
        " probe.trial.attention.absolute(),"
        " probe.trial.attention.relative()]"
    )
    assert seen[0] is True
    expect(probe.part("answer")).to_contain_text(seen[1])
    expect(probe.part("entropy-semantic_entropy")).to_contain_text(f"{seen[2]:.2f}")
    for mode, shares in (("absolute", seen[3]), ("relative", seen[4])):
        probe.part(f"attention-{mode}").click()
        for segment in ("image", "question"):
            expect(probe.part(f"attention-{segment}")).to_contain_text(f"{shares[segment]:.2f}")
    assert bench.value("isi.load_vlm().answer(probe.trial.stimulus, max_new_tokens=64).text") == seen[1]
    # A change marks the result as another input's.
    probe.draw("ellipse", (300, 300), (400, 400))
    expect(probe.part("results")).to_have_attribute("data-stale", "true")
    probe.part("run-answer").click()
    probe.finished(2)
    assert bench.value("[probe.trial.uncertainty is None, len(probe.trial.stimulus.operations)]") == [True, 2]
    probe.part("trial-1").click()
    bench.until("probe.trial is probe.trials[0]")
    expect(probe.part("results")).to_have_attribute("data-trial", "1")


def test_a_python_run_is_shown_too(bench: Notebook, probe: Probe) -> None:
    bench.execute("t = probe.run('answer')")
    probe.finished(1)
    expect(probe.part("answer")).to_contain_text(bench.value("t.answer.text"))


def test_cancel_a_long_run(bench: Notebook, probe: Probe) -> None:
    probe = fresh(bench, "slow", SLOW)
    probe.part("run").click()
    expect(probe.part("status")).to_have_attribute("data-state", "running")
    probe.draw("box", (100, 80), (260, 200))  # the page is free meanwhile, and so is the kernel
    bench.until("len(probe.stimulus.operations) == 1")
    bench.run_cell(0, None)
    probe.part("cancel").click()
    expect(probe.part("status")).to_have_attribute("data-state", "empty")
    assert bench.value("[probe.status['state'], len(probe.trials), probe.error]") == ["idle", 0, None]
    bench.execute("slow.gate.set()")
    probe.part("run").click()
    probe.finished(1)


def test_a_second_run_is_queued_visibly_and_escape_cancels_both(bench: Notebook, probe: Probe) -> None:
    probe = fresh(bench, "slow", SLOW)
    probe.part("run").click()
    expect(probe.part("status")).to_have_attribute("data-state", "running")
    bench.until("probe.status['stage'] == 'samples'")
    probe.part("run-answer").click()
    expect(probe.part("queued")).to_contain_text("1")
    probe.root.focus()
    probe.page.keyboard.press("Escape")
    expect(probe.part("status")).to_have_attribute("data-state", "empty")
    bench.until("probe.status['state'] == 'idle'")
    assert bench.value("[len(probe.trials), probe.error]") == [0, None]
    bench.execute("slow.gate.set()")
    probe.part("run-answer").click()
    probe.finished(1)


def test_texts_stream_in_while_they_come(bench: Notebook, probe: Probe) -> None:
    probe.part("run").click()
    probe.finished(1)
    height = probe.part("uncertainty-panel").evaluate("panel => panel.offsetHeight")
    probe = fresh(bench, "speaking", SLOW + SPEAKING)
    probe.part("settings").click()
    probe.part("settings-samples").fill("5")
    probe.part("settings-samples").press("Enter")
    probe.root.press("Escape")
    bench.until("probe.settings['samples'] == 5")
    probe.part("run").click()
    expect(probe.part("answer-partial")).to_have_text(re.compile(r"\w"))
    expect(probe.part("samples-partial")).to_have_count(0)
    bench.execute("speaking.let(3)")
    expect(probe.part("samples-partial")).to_contain_text("3 samples so far")
    counts = probe.part("samples-partial").locator(".isi-figure").all_inner_texts()
    assert sum(int(count) for count in counts) == 3
    assert probe.part("uncertainty-panel").evaluate("panel => panel.offsetHeight") <= height
    shown = probe.part("answer-partial").inner_text()
    bench.execute("speaking.let(2)")
    probe.finished(1)
    expect(probe.part("answer-partial")).to_have_count(0)
    expect(probe.part("samples-partial")).to_have_count(0)
    expect(probe.part("answer")).to_have_text(shown.strip())
    # The second run stands over the first; cancelled, it leaves the first as it was.
    high = probe.part("uncertainty-panel").evaluate("panel => panel.offsetHeight")
    probe.part("run").click()
    bench.execute("speaking.let(1)")
    expect(probe.part("samples-partial")).to_contain_text("1 sample so far")
    assert probe.part("uncertainty-panel").evaluate("panel => panel.offsetHeight") == high
    expect(probe.part("sent")).to_contain_text("of trial 1")
    probe.part("cancel").click()
    probe.finished(1)
    expect(probe.part("samples-partial")).to_have_count(0)
    assert bench.value("[len(probe.trials), probe.error]") == [1, None]


# ---- models
def test_typing_stays_in_its_field_when_the_notebook_takes_the_focus(bench: Notebook, probe: Probe) -> None:
    take = "root => root.closest('.jp-Cell').focus()"
    probe.part("model").click()
    search = probe.part("model-search")
    expect(search).to_be_focused()
    expect(probe.part("model-embedded")).to_be_visible()
    for word in ("llava ", "mistral"):
        probe.root.evaluate(take)
        probe.page.keyboard.insert_text(word)
    expect(search).to_have_value("llava mistral")
    expect(probe.part("model-list").locator("[role=option]")).to_have_count(1)
    # A person goes where they want: into the cell's editor, and with the key to the cell itself.
    probe.page.locator(".jp-Notebook .jp-Cell .cm-content").nth(1).click()
    expect(probe.root).not_to_contain_text("Search models")
    assert probe.root.evaluate("root => document.activeElement.closest('.cm-editor') !== null")
    probe.part("question").focus()
    probe.page.keyboard.press("Escape")
    probe.root.evaluate(take)
    assert probe.root.evaluate("root => document.activeElement.matches('.jp-Cell')")


def test_another_model_by_the_list(bench: Notebook, probe: Probe) -> None:
    bench.execute(TINY)
    probe.part("run-answer").click()
    probe.finished(1)
    probe.part("model").click()
    expect(probe.part("model-embedded")).to_have_attribute("aria-selected", "true")
    expect(probe.part("model-search")).to_be_focused()
    names = bench.value("[one.name for one in isi.models()]")
    expect(probe.part("model-list").locator("[role=option]")).to_have_count(len(names))
    probe.part("model-search").fill("llava mistral")
    expect(probe.part("model-search")).to_have_value("llava mistral")
    expect(probe.part("model-list").locator("[role=option]")).to_have_count(1)
    expect(probe.part("model-llava-hf/llava-v1.6-mistral-7b-hf")).to_contain_text("needs")
    # Any folder or name may be given.
    probe.part("model-other").fill("tiny-llava")
    probe.part("model-other").press("Enter")
    expect(probe.part("model")).to_contain_text("tiny-llava")
    bench.until("probe.vlm.model_id == 'tiny-llava' and probe.status['state'] == 'idle'")
    expect(probe.part("status")).to_have_attribute("data-state", "other-model")
    expect(probe.part("status")).to_contain_text("embedded")
    expect(probe.part("trial-1")).to_contain_text("embedded")
    assert "load_vlm('tiny-llava'" in bench.value("probe.code()")
    probe.part("rerun").click()
    probe.finished(2)
    expect(probe.part("answer")).to_have_text(bench.value("probe.trial.answer.text"))
    assert bench.value("[t.model['name'] for t in probe.trials]") == ["embedded", "tiny-llava"]
    # Back by the keyboard alone.
    probe.part("model").focus()
    probe.page.keyboard.press("Enter")
    expect(probe.part("model-embedded")).to_be_visible()  # from then on what is typed is searched
    probe.page.keyboard.type("embedded")
    expect(probe.part("model-search")).to_have_value("embedded")
    expect(probe.part("model-list").locator("[role=option]")).to_have_count(1)
    probe.page.keyboard.press("Enter")
    bench.until("probe.vlm.is_embedded and probe.status['state'] == 'idle'")
    expect(probe.part("model")).to_contain_text("embedded")


def test_a_model_that_is_not_there_leaves_the_old_one_in_place(bench: Notebook, probe: Probe) -> None:
    probe.part("model").click()
    probe.part("model-other").fill("./no-such-folder")
    probe.part("model-load").click()
    expect(probe.part("error-message")).to_contain_text("no-such-folder")
    expect(probe.part("model")).to_contain_text("embedded")
    probe.part("error-dismiss").click()
    probe.part("run-answer").click()
    probe.finished(1)


def test_a_model_that_does_not_fit_says_so(bench: Notebook, probe: Probe) -> None:
    bench.execute(
        "from isi_widget.widget import models as _models\n"
        "_free, _models.free_memory = _models.free_memory, lambda device: 11 * 2**30"
    )
    probe.part("model").click()
    large = probe.part("model-llava-hf/llava-v1.6-34b-hf")
    expect(large).to_have_attribute("aria-disabled", "true")
    expect(large).to_contain_text("does not fit")
    large.click(force=True)  # Playwright itself would wait until it is enabled
    small = probe.part("model-llava-hf/llava-1.5-7b-hf")
    expect(small).to_contain_text("bit it would")
    probe.part("precision-nf4").click()
    expect(small).not_to_contain_text("does not fit")
    expect(small).not_to_have_attribute("aria-disabled", "true")
    probe.root.press("Escape")
    expect(probe.part("model-list")).to_have_count(0)
    bench.execute("_models.free_memory = _free")
    assert bench.value("probe.vlm.is_embedded")


def test_loading_can_be_cancelled_on_the_page(bench: Notebook, probe: Probe) -> None:
    bench.execute(
        "from isi_widget.widget import models as _models\n"
        "def _slow(name=None, *, progress, cancel, **_):\n"
        "    import time\n"
        "    progress(0.4, f'reading the weights of {name}')\n"
        "    while not cancel(): time.sleep(0.01)\n"
        "    raise isi.Cancelled('cancelled')\n"
        "_load, _models.load_vlm = _models.load_vlm, _slow"
    )
    probe.part("model").click()
    probe.part("model-other").fill("./somewhere")
    probe.part("model-load").click()
    expect(probe.part("status")).to_contain_text("reading the weights of ./somewhere")
    expect(probe.part("model-progress")).to_have_attribute("value", "40")
    probe.draw("box", (100, 80), (260, 200))  # the page is free meanwhile
    probe.part("cancel").click()
    bench.until("probe.status['state'] == 'idle'")
    expect(probe.part("model-progress")).to_have_count(0)
    expect(probe.part("error")).to_be_hidden()
    bench.execute("_models.load_vlm = _load")
    probe.part("run-answer").click()
    probe.finished(1)
    assert bench.value("probe.trial.model['name']") == "embedded"


def test_what_a_model_cannot_give_is_disabled_and_noted(bench: Notebook, probe: Probe) -> None:
    blind = (
        "class Blind(type(vlm)):\n"
        "    unavailable = {'attention': 'its layers take no recorder.'}\n"
        "blind = Blind.__new__(Blind)\n"
        "blind.__dict__.update(vlm.__dict__)"
    )
    probe = fresh(bench, "blind", blind)
    expect(probe.part("run-attention")).to_have_attribute("aria-disabled", "true")
    expect(probe.part("run-attention")).to_have_attribute("title", re.compile("take no recorder"))
    probe.part("run").click()
    probe.finished(1)
    expect(probe.part("notes")).to_contain_text("its layers take no recorder")
    assert bench.value("[probe.trial.attention, probe.trial.uncertainty is None]") == [None, False]


def test_a_failing_model_gives_an_error_and_a_working_widget(bench: Notebook, probe: Probe) -> None:
    probe = fresh(bench, "failing", FAILING)
    probe.part("run").click()
    expect(probe.part("error-message")).to_contain_text("out of memory")
    expect(probe.part("error-hint")).to_contain_text("nf4")
    assert "Failing" in bench.value("probe.last_traceback") or "prefill" in bench.value(
        "probe.last_traceback"
    )
    probe.part("error-dismiss").click()
    expect(probe.part("error")).to_be_hidden()
    bench.until("probe.error is None")
    probe.draw("box", (100, 80), (260, 200))
    bench.execute("Failing.fails = False")
    probe.part("run").click()
    probe.finished(1)


def test_bad_messages_give_an_error_and_a_working_widget(bench: Notebook, probe: Probe) -> None:
    """What a faulty page would send, sent through the real comm."""
    send = """async (state) => {
      const panel = window.jupyterapp.shell.currentWidget;
      const kernel = panel.sessionContext.session.kernel;
      const comm = [...kernel._comms.values()].find((c) => c.commId === state.id);
      comm.send(state.data, undefined, undefined, []);
    }"""
    id = bench.value("probe.model_id")
    probe.draw("box", (100, 80), (260, 200))
    bench.until("len(probe.stimulus.operations) == 1")
    bad = {"version": 1, "operations": [{"op": "explode"}], "past": [], "future": []}
    for data, words in (
        ({"method": "custom", "content": {"kind": "explode"}}, "explode"),
        ({"method": "custom", "content": {"kind": "run", "id": "x", "measures": ["dance"]}}, "dance"),
        ({"method": "update", "state": {"document": bad}, "buffer_paths": []}, "explode"),
        ({"method": "update", "state": {"observation_index": 12345}, "buffer_paths": []}, "12345"),
    ):
        bench.page.evaluate(send, {"id": id, "data": data})
        bench.until(f"probe.error is not None and {words!r} in probe.error['message']")
        expect(probe.part("error-message")).to_contain_text(words)
        probe.part("error-dismiss").click()
        bench.until("probe.error is None")
    expect(probe.part("layer-0")).to_be_attached()
    probe.draw("ellipse", (300, 300), (400, 400))
    bench.until("[op.op for op in probe.stimulus.operations] == ['box', 'ellipse']")
    probe.part("run-answer").click()
    probe.finished(1)


def test_the_widget_works_while_a_cell_runs(bench: Notebook, probe: Probe) -> None:
    """JupyterLab hands comm messages to a sub-shell: a box and a run from the page while a cell waits for
    them.
    """
    wait = (
        "import time\nend = time.time() + 60\n"
        "while probe.trial is None and time.time() < end: time.sleep(0.01)"
    )
    bench.run_cell(0, f"{wait}\nassert len(probe.trial.stimulus.operations) == 1", wait=False)
    bench.busy()
    probe.draw("box", (100, 80), (260, 200))
    probe.part("run-answer").click()
    probe.finished(1)
    bench.idle()
    assert bench.errors(0) == []


def test_a_run_in_a_cell_can_be_cancelled_on_the_page(bench: Notebook, probe: Probe) -> None:
    probe = fresh(bench, "slow", SLOW)
    bench.run_cell(0, "try:\n    probe.run()\nexcept isi.Cancelled:\n    stopped = True", wait=False)
    expect(probe.part("status")).to_have_attribute("data-state", "running")
    probe.part("cancel").click()
    bench.idle()
    assert bench.errors(0) == [] and bench.value("[stopped, probe.status['state']]") == [True, "idle"]


# ---- copy as Python
def test_copy_as_python(bench: Notebook, probe: Probe) -> None:
    probe.draw("box", (100, 80), (260, 200))
    bench.until("len(probe.stimulus.operations) == 1")
    probe.part("copy-code").click()
    expect(probe.part("code")).to_have_value(re.compile(r"\.box\(100, 80, 160, 120\)"))
    code = probe.part("code").input_value()
    names = bench.value(f"(lambda names: (exec({code!r}, names), names['s'] == probe.stimulus)[1])({{}})")
    assert names is True


def test_insert_cell_below(open_notebook: Callable[..., Notebook]) -> None:
    """The cell stands below the probe's, and running it gives the same pixels and the same results."""
    notebook = open_notebook("import isi_widget as isi\nprobe = isi.Probe()", "probe", "last = True")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.draw("box", (100, 80), (260, 200))
    notebook.until("len(probe.stimulus.operations) == 1")
    probe.part("run").click()
    probe.finished(1)
    probe.part("copy-code").click()
    probe.part("insert-cell").click()
    expect(probe.part("code-panel")).to_have_count(0)
    sources = notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells.map(cell => cell.source)"
    )
    assert sources[2] == notebook.value("probe.code()") and sources[3] == "last = True"
    notebook.run_cell(2)
    assert notebook.value("s == probe.stimulus and s.render().tobytes() == probe.stimulus.render().tobytes()")
    assert notebook.value("trial.answer == probe.trial.answer and trial.attention == probe.trial.attention")
    assert notebook.value("trial.uncertainty == probe.trial.uncertainty")


# ---- numbers
def test_numbers_are_taken_on_enter_and_by_a_run(bench: Notebook, probe: Probe) -> None:
    bench.execute("probe.stimulus = probe.stimulus.box(10, 10, 50, 50)")
    probe.part("layer-0").locator("button").first.click()
    for key, expected in (("Enter", 33), ("Escape", 33)):
        probe.part("place-w").fill(str(expected) if key == "Enter" else "99")
        probe.page.keyboard.press(key)
        bench.until(f"probe.stimulus.operations[0].width == {expected}")
    expect(probe.part("place-w")).to_have_value("33")
    probe.part("settings").click()
    probe.part("settings-samples").fill("3")
    probe.page.keyboard.press("Control+Enter")
    probe.finished(1)
    assert bench.value("probe.trial.settings.samples") == 3


# ---- the kernel goes
def test_after_a_restart_the_probe_says_so_and_shows_what_there_is(
    open_notebook: Callable[..., Notebook],
) -> None:
    notebook = open_notebook("import isi_widget as isi\nprobe = isi.Probe()", "probe")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.part("run-answer").click()
    probe.finished(1)
    answer = probe.part("answer").inner_text()
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(probe.part("error-message")).to_contain_text("The kernel of this probe is gone")
    expect(probe.part("still")).to_be_visible()
    expect(probe.part("answer")).to_have_text(answer)
    for part in ("run", "tool-box", "trial-restore", "export"):
        expect(probe.part(part)).to_have_count(0)
    expect(probe.part("copy-code")).to_have_attribute("aria-disabled", "true")
    # The cell again: a probe that works.
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.part("run-answer").click()
    probe.finished(1)


# ---- several views, reload, saved notebooks
def test_two_views_of_one_probe_stay_in_step(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("import isi_widget as isi\nprobe = isi.Probe()", "probe", "probe")
    notebook.run_all()
    one, two = notebook.probe(0).ready(), notebook.probe(1).ready()
    one.draw("box", (100, 80), (260, 200))
    expect(two.part("layer-0")).to_be_attached()
    expect(two.part("shape-0")).to_have_attribute("data-op", "box")
    two.ready()
    two.draw("ellipse", (300, 300), (400, 400))
    expect(one.part("layer-1")).to_be_attached()
    one.part("undo").click()
    expect(two.part("layer-1")).to_have_count(0)
    two.part("run-answer").click()
    two.finished(1)
    one.finished(1)
    expect(one.part("answer")).to_have_text(two.part("answer").inner_text())
    notebook.until("[op.op for op in probe.stimulus.operations] == ['box']")


def test_a_reload_with_a_live_kernel_brings_everything_back(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("import isi_widget as isi\nprobe = isi.Probe()", "probe")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.draw("box", (100, 80), (260, 200))
    probe.draw("arrow", (300, 300), (400, 400))
    probe.part("undo").click()
    probe.part("run").click()
    probe.finished(1)
    answer = probe.part("answer").inner_text()
    notebook.save()
    notebook.load()
    probe = notebook.probe().ready()
    probe.finished(1)
    expect(probe.part("answer")).to_have_text(answer)
    expect(probe.part("shape-0")).to_have_attribute("data-op", "box")
    probe.part("redo").click()
    notebook.until("[op.op for op in probe.stimulus.operations] == ['box', 'arrow']")
    probe.part("run-answer").click()
    probe.finished(2)


def test_a_saved_notebook_shows_the_last_picture_and_results_without_its_kernel(
    open_notebook: Callable[..., Notebook],
) -> None:
    """With the widget state saved in the notebook, as JupyterLab's setting has it."""
    notebook = open_notebook("import isi_widget as isi\nprobe = isi.Probe()", "probe")
    notebook.run_all()
    probe = notebook.probe().ready()
    probe.draw("box", (100, 80), (260, 200))
    probe.part("run").click()
    probe.finished(1)
    answer = probe.part("answer").inner_text()
    notebook.save()
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.load()
    probe = notebook.probe()
    probe.finished(1)
    expect(probe.part("answer")).to_have_text(answer)
    # Without a kernel there is no editor, which is not saved: the picture stands still, drawings and all.
    expect(probe.part("still").locator("canvas")).to_be_visible()
    middle = "canvas => [...canvas.getContext('2d').getImageData(180, 140, 1, 1).data]"
    assert probe.part("still").locator("canvas").evaluate(middle) == [0, 0, 0, 255]
    expect(probe.part("entropy-semantic_entropy")).to_be_attached()
