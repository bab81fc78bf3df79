"""The probe in a real JupyterLab and Chromium: first paint, frames while dragging, the way to the kernel's
picture and back, and twenty probes in one notebook. Needs Chromium, as the browser tests do.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row, report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "browser"))

SHAPES, PROBES, DRAGS = 200, 20, 15
SETUP = """import numpy as np
from PIL import Image
import isi_widget as isi
vlm = isi.load_vlm()
def photograph(width, height):
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    grain = random.integers(-3, 4, (height, width, 1))
    return isi.Observation(np.clip(smooth + grain, 0, 255).astype(np.uint8), "Is there a star?")
small, large = photograph(1024, 768), photograph(4000, 3000)
"""

# From the moment that a view is put into the page to its first paint of the picture, for every view.
FIRST_PAINT = """
window.firstPaints = [];
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes) {
    const own = node.dataset?.testid === 'isi-probe' ? node : null;
    const root = own ?? node.querySelector?.('[data-testid=isi-probe]');
    if (!root || root.seen) continue;
    root.seen = performance.now();
    const look = () => {
      const stage = root.querySelector('[data-testid=stage]');
      const painted = stage?.dataset.picture && Number(root.dataset.paints) > 0;
      if (painted) window.firstPaints.push(performance.now() - root.seen);
      else requestAnimationFrame(look);
    };
    look();
  }
}).observe(document, { childList: true, subtree: true });
"""

# Milliseconds between frames until stopped.
FRAMES = """() => {
  window.frames_ = [];
  let last = performance.now();
  const frame = (now) => {
    window.frames_.push(now - last);
    last = now;
    if (!window.stopped_) requestAnimationFrame(frame);
  };
  window.stopped_ = false;
  requestAnimationFrame(frame);
}"""

# From the release of the pointer to the kernel's picture of it on the page.
ROUND_TRIP = """root => {
  window.trips = [];
  const stage = root.querySelector('[data-testid=stage]');
  let up = null;
  root.addEventListener('pointerup', () => (up = performance.now()), true);
  new MutationObserver(() => {
    if (up === null) return;
    const since = up;
    up = null;
    requestAnimationFrame(() => window.trips.push(performance.now() - since));
  }).observe(stage, { attributes: true, attributeFilter: ['data-picture'] });
}"""


def rows() -> list[Row]:
    from harness import chromium, jupyterlab

    with (
        tempfile.TemporaryDirectory() as temporary,
        chromium() as browser,
        jupyterlab(Path(temporary)) as lab,
    ):
        notebook = lab.open(
            browser, lab.notebook([SETUP, "probe = None"]), viewport={"width": 1500, "height": 1100}
        )
        page = notebook.page
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run_all()
        page.evaluate(f"() => {{ {FIRST_PAINT} }}")
        found: list[Row] = []
        paints: list[float] = []
        for _ in range(7):
            page.evaluate("() => { window.firstPaints.length = 0 }")
            notebook.run_cell(1, "probe = isi.Probe(vlm, small)\nprobe")
            notebook.probe().ready()
            page.wait_for_function("() => window.firstPaints.length > 0")
            paints.append(page.evaluate("() => window.firstPaints.at(-1)") / 1000)
        found.append(Row("from the view's creation to its first picture", tuple(paints[1:]), target=0.3))
        for name, target in (("small", 0.08), ("large", 0.15)):
            notebook.run_cell(1, f"probe = isi.Probe(vlm, {name})\nprobe")
            probe = notebook.probe().ready()
            size = notebook.value("probe.stimulus.image.size")
            page.evaluate(ROUND_TRIP, probe.root.element_handle())
            width, height = size
            for number in range(DRAGS):
                probe.part("tool-box").click()
                x, y = width * (0.1 + 0.05 * number), height * 0.3
                probe.drag((x, y), (x + width * 0.04, y + height * 0.2))
                page.wait_for_function("n => window.trips.length > n", arg=number)
            trips = tuple(milliseconds / 1000 for milliseconds in page.evaluate("() => window.trips"))
            what = f"pointer up to the kernel's picture, a box on {width} x {height}"
            found.append(Row(what, trips[2:], target=target))
        notebook.execute(
            "s = large.stimulus()\n"
            "r = np.random.default_rng(1)\n"
            f"for x, y in r.uniform(0, 1, ({SHAPES}, 2)):\n"
            "    s = s.box(3600 * x, 2600 * y, 200, 150, color='red', fill=bool(x > .5))\n"
            "probe.stimulus = s"
        )
        probe.root.page.wait_for_function(
            "([root, n]) => root.querySelectorAll('.isi-shape').length === n",
            arg=[probe.root.element_handle(), SHAPES],
        )
        page.wait_for_timeout(1500)
        overlay = probe.part("overlay")
        overlay.scroll_into_view_if_needed()
        x, y, h = notebook.value("[float(getattr(s.operations[-1], n)) for n in ('x', 'y', 'height')]")
        page.mouse.move(*probe.on_screen(x + 1, y + h / 2))
        page.mouse.down()
        page.evaluate(FRAMES)
        for step in range(120):
            page.mouse.move(*probe.on_screen(2000 + 1200 * (step % 40) / 40, 1500 + 8 * step))
        page.evaluate("() => { window.stopped_ = true }")
        page.mouse.up()
        frames = sorted(page.evaluate("() => window.frames_")[2:])
        found.append(
            Row(
                f"frame while dragging among {SHAPES} shapes on 4000 x 3000",
                tuple(ms / 1000 for ms in frames),
            )
        )
        late = frames[int(0.95 * len(frames))] / 1000
        found.append(Row("the same, 95th percentile of the frames", (late,), target=0.033))
        notebook.close()

        cells = [SETUP, *(f"isi.Probe(vlm, isi.datasets.scenes()[{n}])" for n in range(PROBES))]
        name = lab.notebook(cells)
        many = lab.open(browser, name, viewport={"width": 1500, "height": 1100})
        many.run_all()
        last = many.probe(PROBES - 1).ready()
        last.part("run-answer").click()
        last.finished(1)
        many.save()
        saved = json.loads((lab.folder / name).read_text(encoding="utf-8"))
        state = json.dumps(saved.get("metadata", {}).get("widgets", {}))
        found.append(
            Row(f"saved notebook with {PROBES} probes, for each probe", (len(state) / PROBES / 1000,), "KB")
        )
        many.close()
    return found


if __name__ == "__main__":
    report(rows())
