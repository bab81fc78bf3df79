"""Edits of things in a real JupyterLab: a thing is selected, removed, recoloured, moved, swapped, copied.

What the page did is a stimulus that its code makes again, pixel for pixel, and a reopened notebook keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from conftest import SETUP
from harness import Notebook, Probe
from playwright.sync_api import expect

#: Centres and radii of things of the first built-in scene.
STAR, CIRCLE = (323, 368, 59), (75, 150, 61)


def select(probe: Probe, thing: tuple[int, int, int]) -> None:
    """Drag a box around a thing and wait for its outline."""
    x, y, reach = thing
    probe.part("tool-segment").click()
    probe.drag((x - reach - 8, y - reach - 8), (x + reach + 8, y + reach + 8))
    expect(probe.part("selection-outline")).to_be_attached()


def done(notebook: Notebook, *ops: str) -> None:
    """Wait until the stimulus has these operations, all of them painted."""
    notebook.until(
        f"[op.op for op in probe.stimulus.operations] == {list(ops)!r} and "
        "all(getattr(op, 'pixels', 1) is not None for op in probe.stimulus.operations)"
    )


def shift(notebook: Notebook, thing: tuple[int, int, int]) -> float:
    """Mean difference, 0 to 255, of the pixels in the middle of a thing from those of the original."""
    x, y, _ = thing
    box = (x - 9, y - 9, x + 9, y + 9)
    notebook.execute("import numpy as np")
    made, original = f"probe.stimulus.render().crop({box})", f"obs.image.pil().crop({box})"
    return float(
        notebook.value(f"float(np.abs(np.asarray({made}, float) - np.asarray({original}, float)).mean())")
    )


def test_a_thing_is_removed_recoloured_moved_and_swapped_by_hand(bench: Notebook, probe: Probe) -> None:
    expect(probe.part("truth")).to_have_attribute("data-holds", "true")
    select(probe, STAR)
    probe.part("act-remove").click()
    done(bench, "remove")
    expect(probe.part("truth")).to_contain_text("truth of the original picture")
    assert shift(bench, STAR) > 40  # the ground is where the star was
    # Undo brings thing and selection back; the colour is the next one's.
    probe.part("undo").click()
    bench.until("probe.stimulus.operations == ()")
    expect(probe.part("selection-outline")).to_be_attached()
    probe.part("act-recolor").click()
    done(bench, "recolor")
    probe.part("color-blue").click()
    bench.until("probe.stimulus.operations[0].color == '#2166ac'")
    # Dragged with its colour; the arrows bring it on.
    probe.drag(STAR[:2], (STAR[0] - 40, STAR[1] - 150))
    done(bench, "recolor", "move")
    to = bench.value("list(probe.stimulus.operations[1].to)")
    probe.page.keyboard.press("ArrowRight")
    bench.until(f"list(probe.stimulus.operations[1].to) == {[to[0] + 1, to[1]]}")
    assert shift(bench, STAR) > 40
    select(probe, CIRCLE)
    probe.part("act-swap").click()
    expect(probe.part("second-hint")).to_be_visible()
    select(probe, (STAR[0] - 40, STAR[1] - 150, STAR[2]))
    probe.part("second").click()
    done(bench, "recolor", "move", "swap")
    # Every step goes back and comes again, to the same pixels.
    bench.execute("made = probe.stimulus")
    for _ in range(3):
        probe.part("undo").click()
    bench.until("len(probe.stimulus.operations) <= 1")
    for _ in range(3):
        probe.part("redo").click()
    bench.until("probe.stimulus == made")


def test_the_code_of_edits_makes_an_equal_stimulus_and_equal_pixels(bench: Notebook, probe: Probe) -> None:
    select(probe, CIRCLE)
    probe.page.keyboard.press("Control+c")
    probe.page.keyboard.press("Delete")
    done(bench, "remove")
    paste = "new ClipboardEvent('paste', {bubbles: true, cancelable: true, composed: true})"
    probe.root.evaluate(f"root => root.dispatchEvent({paste})")
    done(bench, "remove", "insert")
    assert shift(bench, CIRCLE) < 20  # the circle again, ten pixels on
    select(probe, STAR)
    probe.part("act-resize").click()
    done(bench, "remove", "insert", "resize")
    probe.part("layer-2").locator("button").first.click()
    probe.part("edit-factor").fill("0.5")
    probe.part("edit-factor").press("Enter")
    bench.until("probe.stimulus.operations[2].factor == 0.5")
    probe.part("copy-code").click()
    expect(probe.part("code")).to_have_value(re.compile(r"\.resize\(mask_\d, 0\.5\)"))
    bench.execute("scope = {}; exec(probe.code(), scope)")
    made = "next(v for v in scope.values() if isinstance(v, isi.Stimulus) and v.operations)"
    assert bench.value(f"{made} == probe.stimulus")
    assert bench.value(f"{made}.render().tobytes() == probe.stimulus.render().tobytes()")


def test_a_picture_is_inserted_and_a_texture_taken_from_an_observation(bench: Notebook, probe: Probe) -> None:
    probe.part("tool-segment").click()
    probe.part("insert").click()
    probe.part("insert-of-1").click()
    done(bench, "insert")
    assert bench.value("probe.stimulus.operations[0].picture == isi.datasets.scenes()[1].image")
    probe.part("undo").click()
    bench.until("probe.stimulus.operations == ()")
    select(probe, CIRCLE)
    probe.part("act-retexture").click()
    probe.part("texture").click()
    probe.part("texture-of-2").click()
    done(bench, "retexture")
    assert bench.value("probe.stimulus.operations[0].picture == isi.datasets.scenes()[2].image")


def test_a_reopened_notebook_shows_the_edits(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SETUP, "probe = isi.Probe(vlm, obs)\nprobe")
    notebook.run_all()
    probe = notebook.probe().ready()
    select(probe, STAR)
    probe.part("act-remove").click()
    done(notebook, "remove")
    expect(probe.part("layer-0")).to_contain_text("Remove")
    key = notebook.value("probe.stimulus.key")
    notebook.save()
    notebook.load()
    probe = notebook.probe().ready()
    expect(probe.part("layer-0")).to_contain_text("Remove")
    expect(probe.part("layer-0-fill")).to_have_count(0)
    assert notebook.value("probe.stimulus.key") == key
    probe.part("undo").click()
    notebook.until("probe.stimulus.operations == ()")
