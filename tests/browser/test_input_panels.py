"""The input panels in a real JupyterLab: pictures in the list of observations, token counts, runs that follow
changes, every setting, a large upload and the camera.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import Lab, Notebook, Probe, find_chromium
from PIL import Image
from playwright.sync_api import Browser, expect


def pictures(probe: Probe) -> int:
    """How many of the rows that are drawn have a picture that the browser could read."""
    found: int = probe.part("observation-list").evaluate(
        "list => [...list.querySelectorAll('img')].filter((x) => x.naturalWidth === 96).length"
    )
    return found


def test_observations_are_seen_filtered_and_stepped_through(bench: Notebook, probe: Probe) -> None:
    probe.part("observation-picker").click()
    expect(probe.part("observation-2").locator("img")).to_be_visible()
    probe.page.wait_for_function(
        "list => list.querySelectorAll('img').length >= 8",
        arg=probe.part("observation-list").element_handle(),
    )
    assert pictures(probe) >= 8
    probe.part("observation-list").locator("ul").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    expect(probe.part("observation-99").locator("img")).to_be_visible()
    expect(probe.part("observation-0")).to_have_count(0)
    probe.part("filter-level-counting").click()
    probe.part("filter-answer-No").click()
    wanted = bench.value(
        "[i for i, o in enumerate(isi.datasets.scenes()) if (o.level, o.answer) == ('counting', 'No')]"
    )
    rows = probe.part("observation-list").locator("[role=option]")
    expect(rows).to_have_count(len(wanted))
    probe.page.keyboard.press("Escape")
    for index in wanted[:2]:
        probe.part("observation-next").click()
        bench.until(f"probe.observation_index == {index}")
    probe.part("observation-back").click()
    bench.until(f"probe.observation_index == {wanted[0]}")
    assert "thumb" not in bench.execute("print(sorted(probe.get_state()))")


def test_another_random_context_each_time(bench: Notebook, probe: Probe) -> None:
    probe.part("context-random").click()
    bench.until("probe.stimulus.context_preset == 'random'")
    seen = [bench.value("probe.stimulus.current_context")]
    for _ in range(4):
        probe.part("context-reshuffle").click()
        bench.until(f"probe.stimulus.current_context != {seen[-1]!r}")
        seen.append(bench.value("probe.stimulus.current_context"))
        expect(probe.part("context")).to_have_value(seen[-1])
    assert len(set(seen)) == 5


def test_tokens_are_counted_beside_the_fields(bench: Notebook, probe: Probe) -> None:
    count = "vlm.encode(probe.stimulus).token_counts()"
    expect(probe.part("tokens-context")).to_have_text("0 tokens")
    expect(probe.part("tokens-question")).to_have_text(f"{bench.value(count)['question']} tokens")
    probe.part("context").fill("There is a red star, and another one.")
    probe.part("context").press("Enter")
    bench.until("probe.stimulus.current_context != ''")
    expect(probe.part("tokens-context")).to_have_text(f"{bench.value(count)['context']} tokens")
    probe.part("context").fill("A star. " * 900)
    expect(probe.part("prompt-problem")).to_contain_text("reads at most 1024")
    expect(probe.part("tokens-context")).to_have_text("")


def test_results_follow_what_is_drawn(bench: Notebook, probe: Probe) -> None:
    bench.execute("probe.settings = {'samples': 3, 'max_new_tokens': 8}")
    probe.part("run-on-change").check()
    probe.finished(1)
    assert bench.value("probe.run_on_change")
    probe.draw("box", (20, 20), (200, 200))
    probe.finished(2)
    expect(probe.part("results")).to_have_attribute("data-stale", "false")
    assert bench.value("probe.trial.stimulus == probe.stimulus")
    bench.execute("probe.run_on_change = False")
    expect(probe.part("run-on-change")).not_to_be_checked()
    probe.part("context-contradictory").click()
    expect(probe.part("stale")).to_be_visible()
    bench.until("probe.stimulus.context_preset == 'contradictory'")
    assert bench.value("len(probe.trials)") == 2


def test_settings_of_every_kind_reach_the_run(bench: Notebook, probe: Probe) -> None:
    probe.part("settings").click()
    for name, value in {"top_k": "5", "top_p": "0.9", "max_new_tokens": "6"}.items():
        probe.part(f"settings-{name}").fill(value)
        probe.part(f"settings-{name}").press("Enter")
    probe.part("settings-answer-beams").click()
    probe.part("settings-likelihood-sampled").click()
    probe.part("settings-prepend_question").uncheck()
    bench.until("probe.settings['prepend_question'] is False")
    expect(probe.part("default-top_k")).to_have_text("default 0")
    probe.part("run-answer").click()
    probe.finished(1)
    got = bench.value("probe.trial.settings.changed() | {'measures': None}")
    assert got == {
        "measures": None,
        "top_k": 5,
        "top_p": 0.9,
        "max_new_tokens": 6,
        "num_beams": 4,
        "likelihood": "sampled",
        "prepend_question": False,
    }
    probe.part("settings").click()
    probe.part("settings-reset").click()
    bench.until("probe.settings['num_beams'] == 1 and probe.settings['top_k'] == 0")


def test_a_large_photograph_comes_as_it_is(bench: Notebook, probe: Probe, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (4500, 6000, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=60)
    assert len(out.getvalue()) > 8 * 2**20
    large = tmp_path / "large.jpg"
    large.write_bytes(out.getvalue())
    probe.part("file").set_input_files(large)
    bench.until("probe.stimulus.image.width > 1000")
    assert bench.value("probe.stimulus.image.size") == [6000, 4500]
    expect(probe.part("error")).to_be_hidden()


def test_files_that_cannot_be_read_are_refused_with_what_to_do(bench: Notebook, probe: Probe) -> None:
    heic = b"\0\0\0\x18ftypheic" + bytes(200)
    files = [
        ("IMG_1.HEIC", heic, "JPEG"),
        ("cut.jpg", b"\xff\xd8\xff\xe0 cut off", "save it again as PNG or JPEG"),
    ]
    for name, data, hint in files:
        probe.part("file").set_input_files({"name": name, "mimeType": "", "buffer": data})
        expect(probe.part("error-message")).to_contain_text(name)
        expect(probe.part("error-hint")).to_contain_text(hint)
        probe.part("error-dismiss").click()
        bench.until("probe.error is None")  # before the next one comes
    assert bench.value("probe.observation_index") == 0


@pytest.fixture
def filmed(lab: Lab, browser: Browser) -> Iterator[Notebook]:
    """A notebook in a browser whose camera shows a test picture."""
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    other = browser.browser_type.launch(executable_path=find_chromium(), args=flags)
    notebook = lab.open(other, lab.notebook(["import isi_widget as isi\nprobe = isi.Probe()\nprobe"]))
    notebook.run_all()
    yield notebook
    notebook.close()
    other.close()


def test_a_picture_from_the_camera(filmed: Notebook) -> None:
    probe = filmed.probe().ready()
    probe.part("camera").click()
    expect(probe.part("camera-take")).not_to_have_attribute("aria-disabled", "true")
    playing = "video => video.srcObject.getVideoTracks()[0].readyState"
    track = probe.part("camera-video").evaluate_handle("video => video.srcObject.getVideoTracks()[0]")
    assert probe.part("camera-video").evaluate(playing) == "live"
    size = probe.part("camera-video").evaluate("video => [video.videoWidth, video.videoHeight]")
    probe.part("camera-take").click()
    filmed.until(f"list(probe.stimulus.render().size) == {size}")
    assert track.evaluate("track => track.readyState") == "ended"
    red, green, blue = filmed.value("probe.stimulus.render().resize((1, 1)).getpixel((0, 0))")
    assert green > 90 > red and green > blue  # Chromium's test picture is green
    assert filmed.value("probe.observation['id']") == "camera.jpg"
