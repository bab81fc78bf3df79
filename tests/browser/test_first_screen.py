"""The first screen in a JupyterLab with its side bar open: what one needs is in sight, nothing moves, nothing
is cut off. Where things are is measured in the page; not for what they do (test_jupyterlab.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from harness import Lab, Notebook, Probe
from looking import WITH_RESULTS, resize, settle
from playwright.sync_api import Browser, expect

SIZES = [(1366, 768), (1600, 1000)]
NEEDED = ("stage", "question", "run", "answer-panel")
OTHERS = ("image-natural", "context", "run-on-change", "layers", "sent", "status", "uncertainty-panel")
# Pictures of every shape, a long context, a question of the usual length.
CELLS = (
    "import numpy as np\nimport isi_widget as isi\nvlm = isi.load_vlm()\n"
    "sizes = [(320, 240), (1200, 90), (90, 1200), (64, 64)]\n"
    "obs = [isi.Observation(np.full((h, w, 3), 200, np.uint8), f'Is there a star in number {i}?',\n"
    "                       context='There is a red star. ' * (6 * i), answer='No')\n"
    "       for i, (w, h) in enumerate(sizes)]\n"
    "def fail(id):\n    probe.error = {'message': 'It failed. ' * 12, 'hint': 'Try again.', 'id': id}",
    "probe = isi.Probe(vlm, obs[0], data=obs)\nprobe",
)

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: "{}x{}".format(*size))
def screen(lab: Lab, browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Notebook, Probe]]:
    """A notebook in a window of that size, its probe at the top of what is seen of the notebook."""
    width, height = request.param
    notebook = lab.open(browser, lab.notebook(CELLS), viewport={"width": width, "height": height})
    notebook.run_all()
    assert not notebook.page.evaluate("() => window.jupyterapp.shell.leftCollapsed")
    yield notebook, notebook.probe().ready()
    notebook.close()


@pytest.fixture
def notebook(screen: tuple[Notebook, Probe]) -> Notebook:
    return screen[0]


@pytest.fixture
def probe(screen: tuple[Notebook, Probe]) -> Probe:
    to_top(screen[1])
    return screen[1]


def pin_two(notebook: Notebook) -> None:
    while notebook.value("len(probe.trials)") < 2:
        notebook.execute("t = probe.run()")
    notebook.execute("probe.pinned = [1, 2]")


def to_top(probe: Probe) -> None:
    probe.root.evaluate("root => root.scrollIntoView({ block: 'start' })")
    settle(probe)


def boxes(probe: Probe, *names: str) -> dict[str, Box]:
    """Where parts are: left, top, right, bottom in the window."""
    found = {}
    for name in names:
        box = probe.part(name).bounding_box()
        assert box is not None, name
        found[name] = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
    return found


def dismiss(notebook: Notebook, probe: Probe) -> None:
    """Close the error, on both sides: a message of the page that comes late would take the next one away."""
    probe.part("error-dismiss").click()
    expect(probe.part("error")).to_be_hidden()
    notebook.until("probe.error is None")


def within(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0] - 0.5
        and inner[1] >= outer[1] - 0.5
        and inner[2] <= outer[2] + 0.5
        and inner[3] <= outer[3] + 0.5
    )


def test_picture_question_run_and_answer_are_on_one_screen(notebook: Notebook, probe: Probe) -> None:
    rect = """root => { const r = root.closest('.jp-WindowedPanel-outer').getBoundingClientRect();
      return [r.left, r.top, r.right, r.bottom]; }"""
    frame = probe.root.evaluate(rect)

    def hidden() -> dict[str, Box]:
        return {name: box for name, box in boxes(probe, *NEEDED).items() if not within(box, frame)}

    assert hidden() == {}
    notebook.execute("t = probe.run()")
    probe.finished(notebook.value("probe.shown"))
    settle(probe)
    assert hidden() == {}
    left, top, right, bottom = boxes(probe, "stage")["stage"]
    assert right - left >= 400 and bottom - top >= 290  # and the picture is no stamp


def test_nothing_is_cut_off_in_the_first_line(probe: Probe) -> None:
    name = probe.part("model").locator(".isi-cut")
    assert name.evaluate("e => e.scrollWidth <= e.clientWidth"), name.inner_text()
    note = probe.part("model-note")
    assert note.evaluate("e => e.parentElement.scrollHeight <= e.parentElement.clientHeight + 1")


def test_the_corner_that_resizes_a_text_is_the_corner_of_its_field(probe: Probe) -> None:
    for name in ("context", "question"):
        text = probe.part(name)
        field = text.locator("xpath=..").bounding_box()
        box, count = text.bounding_box(), probe.part(f"tokens-{name}").bounding_box()
        assert box and field and count
        assert box["x"] + box["width"] >= field["x"] + field["width"] - 1.5
        padding = text.evaluate("e => parseFloat(getComputedStyle(e).paddingInlineEnd)")
        assert box["x"] + box["width"] - padding <= count["x"]  # and no word runs under the count


def test_nothing_moves(notebook: Notebook, probe: Probe) -> None:
    before = boxes(probe, *NEEDED, *OTHERS)
    moved: list[str] = []

    def look(state: str, act: Callable[[], None]) -> None:
        act()
        settle(probe)
        for name, now in boxes(probe, *before).items():
            if max(abs(a - b) for a, b in zip(before[name], now, strict=True)) > 0.5:
                moved.append(f"{state}: {name} from {before[name]} to {now}")

    def point() -> None:
        probe.part("overlay").hover()
        expect(probe.part("pixel")).to_contain_text("#")

    def observe(index: int) -> None:
        notebook.execute(f"probe.choose({index})")
        expect(probe.part("question")).to_have_value(notebook.value(f"obs[{index}].question"))

    def fail(id: str | None) -> None:
        notebook.execute(f"fail({id!r})")
        expect(probe.part("error-message")).to_be_visible()

    def run() -> None:
        probe.part("run").click()
        notebook.until("not probe.busy and len(probe.trials) > 0")
        probe.finished(notebook.value("probe.shown"))

    look("the pointer enters the picture", point)
    for index in (1, 2, 3, 0):
        look(f"observation {index}", lambda index=index: observe(index))  # type: ignore[misc]
    for place in ("a", None):
        look(f"an error of {place}", lambda place=place: fail(place))  # type: ignore[misc]
        dismiss(notebook, probe)
    before.pop("uncertainty-panel")  # it grows with its result
    look("a result", run)
    look("a token is chosen", lambda: probe.part("answer-panel").locator("[data-token]").first.click())
    probe.part("answer-panel").locator("[data-token]").first.click()
    assert moved == [], "\n".join(moved)


def test_an_error_stands_over_what_it_is_about(notebook: Notebook, probe: Probe) -> None:
    for id, over in (("a", "results"), (None, "stage")):
        notebook.execute(f"fail({id!r})")
        expect(probe.part("error-message")).to_be_visible()
        settle(probe)
        found = boxes(probe, "error", over)
        assert within(found["error"], found[over]) or over == "stage", found
        (left, top, right, _), (a, b, c, d) = found["error"], found[over]
        assert left < c and right > a and b - 40 < top < d, found  # it lies over it, at its upper edge
        dismiss(notebook, probe)
    resize(probe, 600)
    try:
        notebook.execute("fail('a')")
        expect(probe.part("error-message")).to_be_visible()
        settle(probe)
        found = boxes(probe, "error", "results")
        assert within(found["error"], found["results"])
        dismiss(notebook, probe)
    finally:
        resize(probe, None)


def test_what_a_tick_or_a_token_says_is_in_the_window(notebook: Notebook, probe: Probe) -> None:
    notebook.execute("scene = isi.Probe(vlm, isi.datasets.scenes()[3])")
    notebook.run_cell(1, "scene")
    shown = notebook.probe().ready()
    shown.part("run").click()
    shown.finished(1)
    to_top(shown)
    size = shown.page.viewport_size
    assert size is not None
    window = (0.0, 0.0, float(size["width"]), float(size["height"]))
    ticks = shown.root.locator(".isi-tick")
    expect(ticks.nth(3)).to_be_attached()  # the averages of the embedded model are shipped
    for tick in (ticks.first, ticks.last):
        tick.hover()
        bubble = tick.locator(".isi-bubble")
        expect(bubble).to_be_visible()
        expect(bubble).to_contain_text("Average")
        box = bubble.bounding_box()
        assert box is not None
        edges = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        assert within(edges, window), edges
    to_top(shown)
    token = shown.part("answer-panel").locator("[data-token]").first
    token.hover()
    expect(shown.part("token-told")).to_be_visible()
    told, at = boxes(shown, "token-told")["token-told"], token.bounding_box()
    assert at is not None and within(told, window)
    assert abs(told[0] - at["x"]) < 240 and abs(told[3] - at["y"]) < 12  # beside its token
    notebook.execute("scene.close()")
    notebook.run_cell(1, "probe")
    notebook.probe().ready()


def test_the_table_of_trials_scrolls_below_their_numbers(notebook: Notebook, probe: Probe) -> None:
    pin_two(notebook)
    before = probe.page.viewport_size
    assert before is not None
    probe.page.set_viewport_size({"width": before["width"], "height": 500})
    try:
        probe.part("compare").scroll_into_view_if_needed()
        probe.part("compare").click()
        panel, table = probe.part("compare-panel"), probe.part("compare-panel").locator(".isi-scroll")
        expect(panel).to_be_visible()
        settle(probe)
        box, head = table.bounding_box(), probe.part("compare-2").bounding_box()
        assert box and head and table.evaluate("e => e.scrollHeight > e.clientHeight + 100")
        # It takes the window, if neither side of its button has room; and has a shade where it goes on.
        assert panel.evaluate("e => e.offsetHeight > 0.9 * innerHeight")
        assert "gradient" in table.evaluate("e => getComputedStyle(e).backgroundImage")
        probe.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        probe.page.mouse.wheel(0, 100)
        probe.page.wait_for_function("e => e.scrollTop === 100", arg=table.element_handle())
        settle(probe)
        settle(probe)
        assert table.evaluate("e => e.scrollTop") == 100  # and it stays there
        after = probe.part("compare-2").bounding_box()
        assert after and abs(after["y"] - head["y"]) < 1
    finally:
        probe.page.keyboard.press("Escape")
        probe.page.set_viewport_size(before)


def test_popovers_and_tips_are_never_cut_off(notebook: Notebook, probe: Probe) -> None:
    pin_two(notebook)
    size = probe.page.viewport_size
    assert size is not None
    window = (0.0, 0.0, float(size["width"]), float(size["height"]))
    cut: list[str] = []

    def look(state: str, panel: str) -> None:
        settle(probe)
        box = boxes(probe, panel)[panel]
        if not within(box, window):
            cut.append(f"{state}: {panel} at {box}")
        # What is on top at its corners is the panel itself: no cell, bar or output area covers it.
        inside = """e => { const r = e.getBoundingClientRect();
          return [[r.left + 3, r.top + 3], [r.right - 3, r.bottom - 3], [r.left + 3, r.bottom - 3]]
            .every(([x, y]) => e.contains(document.elementFromPoint(x, y))); }"""
        if not probe.part(panel).evaluate(inside):
            cut.append(f"{state}: {panel} is covered")

    try:
        for width in (None, 700, 420, 320):
            resize(probe, width)
            for opener, panel in WITH_RESULTS.items():
                for block in ("start", "center", "end"):
                    probe.part(opener).evaluate("(e, block) => e.scrollIntoView({ block })", block)
                    probe.part(opener).click()
                    expect(probe.part(panel)).to_be_visible()
                    look(f"{width} px, opened at its {block}", panel)
                    probe.page.keyboard.press("Escape")
                    expect(probe.part(panel)).to_have_count(0)
    finally:
        resize(probe, None)
    assert cut == [], "\n".join(cut)
