"""The notebooks as a stranger meets them: opened in JupyterLab, run, and then used with the mouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import Lab, Notebook
from playwright.sync_api import expect

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# What the model was given, taken down where the image processor takes it in.
RECORD = """
sent = []
processor = vlm.processor.image_processor
class Recording(type(processor)):
    def __call__(self, images, *args, **keywords):
        first = images[0] if isinstance(images, (list, tuple)) else images
        sent.append((first.size, first.convert("RGB").tobytes()))
        return super().__call__(images, *args, **keywords)
processor.__class__ = Recording
"""
# The same picture, drawn with Pillow alone.
EXPECTED = """
from PIL import ImageDraw
expected = obs.image.pil()
x, y, w, h = (int(v) for v in (box.x, box.y, box.width, box.height))
ImageDraw.Draw(expected).rectangle((x, y, x + w - 1, y + h - 1), fill=(0, 0, 0))
"""


def test_the_first_notebook_by_hand(lab: Lab, open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(name=lab.copy(NOTEBOOKS / "01_first_probe.ipynb"))
    notebook.run_all()
    # bars side by side are of one length, whatever the widths of their columns
    bars = notebook.page.locator(".isi-comparison svg")
    expect(bars.nth(20)).to_be_attached()
    assert set(bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")) == {180}
    probe = notebook.probe().ready()
    assert notebook.value("probe.stimulus == chained and len(probe.trials) == 1")
    expect(probe.part("layer-0")).to_be_attached()

    # Undo: the notebook set the stimulus in one step.
    probe.part("undo").click()
    notebook.until("probe.stimulus == plain")
    expect(probe.part("layer-0")).to_have_count(0)

    # A box over the object that the question is about, with the mouse.
    notebook.execute("thing = obs.metadata['things'][obs.metadata['about'][0]]")
    x, y, radius = notebook.value("[thing['x'], thing['y'], thing['radius']]")
    notebook.execute("cover = covered.operations[0]")
    left, top, width, height = notebook.value("[cover.x, cover.y, cover.width, cover.height]")
    assert left < x - radius < x + radius < left + width and top < y - radius < y + radius < top + height
    reach = radius + 16
    notebook.execute(RECORD)
    probe.draw("box", (x - reach, y - reach), (x + reach, y + reach))
    notebook.until("len(probe.stimulus.operations) == 1")
    notebook.execute("box = probe.stimulus.operations[0]")
    assert notebook.value("[box.op, box.x, box.y, box.width, box.height, box.color]") == [
        "box",
        x - reach,
        y - reach,
        2 * reach,
        2 * reach,
        "#000000",
    ]

    # Run everything: the pixels sent are the ones rendered, and what came out is on the page.
    probe.part("run").click()
    probe.finished(2)
    notebook.execute(EXPECTED)
    assert notebook.value("len(sent)") >= 1
    assert notebook.value("all(one == (expected.size, expected.tobytes()) for one in sent)")
    assert notebook.value("probe.stimulus.render().tobytes() == expected.tobytes()")
    assert notebook.value("probe.trial.stimulus == probe.stimulus and probe.trial is probe.trials[-1]")
    answer, entropy, attention = notebook.value(
        "[probe.trial.answer.text, probe.trial.uncertainty.semantic_entropy,"
        " probe.trial.attention.absolute()]"
    )
    expect(probe.part("answer")).to_contain_text(answer)
    expect(probe.part("entropy-semantic_entropy")).to_contain_text(f"{entropy:.2f}")
    probe.part("attention-absolute").click()
    for segment in ("image", "question"):
        expect(probe.part(f"attention-{segment}")).to_contain_text(f"{attention[segment]:.2f}")

    # Undo, and the result is marked as another input's.
    probe.part("undo").click()
    notebook.until("probe.stimulus == plain")
    expect(probe.part("results")).to_have_attribute("data-stale", "true")

    # Reload: the kernel lives on, and everything is there again.
    notebook.save()
    notebook.load()
    probe = notebook.probe().ready()
    expect(probe.part("answer")).to_contain_text(answer)
    probe.part("redo").click()
    notebook.until("probe.stimulus.operations == (box,)")
    probe.finished(2)
    assert notebook.errors() == []


def test_what_the_tutorial_says_to_do_by_hand_is_what_its_cells_do(
    lab: Lab, open_notebook: Callable[..., Notebook]
) -> None:
    notebook = open_notebook(name=lab.copy(NOTEBOOKS / "02_probing_by_hand.ipynb"))
    notebook.run_all()
    assert notebook.errors() == []
    probe = notebook.probe().ready()
    page = probe.page
    answers = notebook.value("[trial.answer.text for trial in probe.trials]")
    assert answers[:4] == ["Yes", "Yes", "Yes", "No"]

    # 3: erase both things, and bring each back in the other's place.
    notebook.execute(
        "probe.stimulus = plain; ring, heart = (tuple(map(float, box)) for box in (RING, HEART))"
    )
    expect(probe.part("layer-0")).to_have_count(0)
    for name in ("HEART", "RING"):
        x, y, width, height = notebook.value(name)
        probe.part("tool-erase").click()
        probe.part("erase-fill").select_option("inpaint")
        probe.drag((x, y), (x + width, y + height))
    for name, to in (("RING", (410, 40)), ("HEART", (150, 400))):
        x, y, width, height = notebook.value(name)
        probe.part("tool-patch").click()
        probe.drag((x, y), (x + width, y + height))
        # Alt: it does not snap to what is near.
        page.keyboard.down("Alt")
        probe.drag((x + width / 2, y + height / 2), (to[0] + width / 2, to[1] + height / 2))
        page.keyboard.up("Alt")
    notebook.until("len(probe.stimulus.operations) == 4")
    drawn = notebook.value("[op.to_dict() for op in probe.stimulus.operations]")
    asked = notebook.value("[op.to_dict() for op in swapped.operations]")
    for one, other in zip(drawn, asked, strict=True):
        assert one["op"] == other["op"]
        for key in ("region", "source"):  # by hand: a pixel of the screen is up to two of the image
            assert all(abs(a - b) <= 2 for a, b in zip(one.get(key, []), other.get(key, []), strict=True))
        assert abs(one.get("x", 0) - other.get("x", 0)) <= 3 and abs(one.get("y", 0) - other.get("y", 0)) <= 3
    probe.part("run-answer").click()
    probe.finished(len(answers) + 1)
    expect(probe.part("answer")).to_contain_text("No")

    # 5 and 6: back to the first input, a false context, and the two side by side.
    probe.part("trial-1").click()
    probe.part("trial-restore").click()
    notebook.until("probe.stimulus == plain")
    probe.part("context-contradictory").click()
    notebook.until("probe.stimulus.context_preset == 'contradictory'")
    probe.part("trial-1-pin").click()
    probe.part("trial-8-pin").click()
    probe.part("compare").click()
    expect(probe.part("compare-panel")).to_contain_text("The heart is below the ring.")
