"""What is copied as Python runs as it is pasted: in a fresh namespace, over all kinds of observations and
models; it ends in the trial, and loads no second model where one is there.
"""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_page import Page
from PIL import Image

from isi_widget import Observation, Probe, Trial, datasets, load_vlm
from isi_widget.vlm import VLM
from isi_widget.vlm.loading import load as loading


def executed(code: str) -> dict[str, Any]:
    """As a cell runs it: the names, and what the last expression shows."""
    body = ast.parse(code)
    last = body.body[-1]
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(ast.Module(body.body[:-1], []), "cell", "exec"), names)
    names["shown"] = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return names


def noise(width: int, height: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def files(folder: Path, count: int = 3) -> Path:
    """Images and annotated ones in two folders, and a table of them with awkward texts."""
    for part in ("natural_images", "annotated_images"):
        (folder / part).mkdir()
        for number in range(count):
            Image.fromarray(noise(40, 30, number + 10 * len(part))).save(folder / part / f"{number}.png")
    with (folder / "vlm_dataset.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer", "complementary", "id"])
        for number in range(count):
            writer.writerow(
                [f"{number}.png", f'Is "it" {number}\\?', "Yes", f"It's {number}.", f"row {number}"]
            )
    return folder


def of_scene(folder: Path) -> Observation:
    return datasets.scenes("validation")[7]


def of_csv(folder: Path) -> Observation:
    files(folder)
    return datasets.from_csv("vlm_dataset.csv", "natural_images", "annotated_images", name="mine")[2]


def of_slice(folder: Path) -> Observation:
    files(folder)
    return datasets.from_csv(folder / "vlm_dataset.csv", folder / "natural_images")[1:][0]


def of_vqa(folder: Path) -> Observation:
    return datasets.isi_vqa(files(folder))[1]


def of_path(folder: Path) -> Observation:
    Image.fromarray(noise(300, 200)).save(folder / "it's.png")
    return Observation("it's.png", 'Is "it"\\?\nYes?', context="It's.", answer="Yes")


def of_changed_path(folder: Path) -> Observation:
    """The file is another picture by now."""
    made = of_path(folder)
    Image.fromarray(noise(20, 20, 5)).save(folder / "it's.png")
    return made


def of_bytes(folder: Path) -> Observation:
    out = io.BytesIO()
    Image.fromarray(noise(30, 20)).save(out, "PNG")
    return Observation(out.getvalue(), "Is it?")


def of_pil(folder: Path) -> Observation:
    return Observation(Image.new("RGB", (900, 700), "orange"), "Is it?", contexts={"irrelevant": "It's."})


def of_numpy(folder: Path) -> Observation:
    return Observation(noise(300, 200), "Is it?", annotated=noise(300, 200, 1))


KINDS = (of_scene, of_csv, of_slice, of_vqa, of_path, of_changed_path, of_bytes, of_pil, of_numpy)


@pytest.fixture
def folder(tmp_path: Path, vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run copied code in, as in a notebook that has loaded this one model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "_loaded", {id(vlm): vlm})
    return tmp_path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_of_every_kind_of_observation(vlm: VLM, folder: Path, kind: Any) -> None:
    observation = kind(folder)
    probe = Probe(vlm, observation)
    probe.stimulus = (
        probe.stimulus.box(1, 2, 10, 8, color="#ff0000").text(2, 2, "it's").with_context('Not "it".')
    )
    probe.settings = {"samples": 2, "max_new_tokens": 4}
    names = executed(probe.code())
    assert isinstance(names["shown"], Trial) and names["shown"] is names["trial"]
    assert names["trial"].stimulus.key == probe.stimulus.key
    assert names["trial"].stimulus.truth == probe.stimulus.truth
    assert names["vlm"] is vlm
    trial = probe.run("answer")
    probe.note(trial, "a note")
    again = executed(probe.code(trial))["shown"]
    assert again.answer.text == trial.answer.text and again.stimulus.key == trial.stimulus.key  # type: ignore[union-attr]
    if "annotated" in observation.presets.image_names:
        probe.stimulus = probe.stimulus.with_image(preset="annotated")
        assert executed(probe.code())["trial"].stimulus.key == probe.stimulus.key
    if observation.dataset is not None and observation.dataset.code:
        assert not (folder / "isi_pictures").exists()  # its own files do
        assert observation.code is not None and observation.code in probe.code()
    probe.close()


@pytest.mark.parametrize("size", [(12, 9), (300, 200)])
def test_of_a_pasted_picture_from_the_page(vlm: VLM, folder: Path, size: tuple[int, int]) -> None:
    probe = Probe(vlm, datasets.scenes()[0])
    page, out = Page(probe), io.BytesIO()
    Image.fromarray(noise(*size)).save(out, "PNG")
    page.send({"kind": "upload", "name": "pasted.png"}, out.getvalue())
    page.wait(lambda page: page.state["observation_index"] == 100)
    page.draw({"op": "question", "text": "Is there a cat?"})
    probe.truth = "No"
    trial = probe.run("answer")
    probe.choose(0)
    for number, asked in enumerate(({"id": "c0", "trial": 1}, {"id": "c1", "trial": 1}), start=1):
        page.send({"kind": "code", **asked})
        page.wait(lambda page, number=number: len(page.of_kind("code")) == number)
        code = page.of_kind("code")[-1]["text"]
        again = executed(code)["shown"]
        assert again.stimulus.key == trial.stimulus.key and again.answer.text == trial.answer.text  # type: ignore[union-attr]
        assert again.stimulus.true_answer == "No"
    assert (folder / "isi_pictures").exists() == (size[0] > 100)
    probe.close()


def test_of_pictures_from_elsewhere_and_random_ones(vlm: VLM, folder: Path) -> None:
    data = [Observation(noise(50, 40, i), f"Is it {i}?", context=f"It is {i}.") for i in range(4)]
    probe = Probe(vlm, data=data)
    probe.stimulus = probe.stimulus.patch((0, 0, 20, 20), 5, 5).with_image(noise(200, 150, 9))
    probe.cut(0, 2)
    code = probe.code()
    assert executed(code)["trial"].stimulus.key == probe.stimulus.key
    probe.choose(1)
    probe.reshuffle("image")
    probe.reshuffle("context")
    assert executed(probe.code())["trial"].stimulus.key == probe.stimulus.key
    probe.close()


def test_no_second_model_is_loaded_where_one_is(
    vlm: VLM, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(**_: Any) -> VLM:
        raise AssertionError("loaded again")

    probe = Probe(vlm, datasets.scenes()[0])
    code = probe.code()
    with monkeypatch.context() as patched:
        patched.setattr(loading, "_load", never)
        assert executed(code)["vlm"] is vlm
        with pytest.raises(AssertionError, match="loaded again"):
            load_vlm()  # without `reuse` as ever
        with pytest.raises(AssertionError, match="loaded again"):
            load_vlm(dtype="float64", reuse=True)  # another one
    probe.close()


def test_without_one_it_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    monkeypatch.setattr(loading, "_loaded", weakref.WeakValueDictionary())
    probe = Probe(load_vlm(), datasets.scenes()[0])
    code = probe.code()
    monkeypatch.setattr(loading, "_loaded", weakref.WeakValueDictionary())  # a new kernel
    names = executed(code)
    assert names["vlm"] is not probe.vlm and names["trial"].answer is not None
    probe.close()


def test_a_picture_that_cannot_be_written_is_said(
    vlm: VLM, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "isi_pictures").write_text("a file in the way")
    probe = Probe(vlm, Observation(noise(300, 200), "Is it?"))
    page = Page(probe)
    page.send({"kind": "code", "id": "c"})
    page.wait(lambda page: page.state["error"] is not None)
    assert "isi_pictures" in page.state["error"]["message"]
    probe.close()


def test_a_trial_alone_writes_nothing_and_says_what_would(vlm: VLM, folder: Path) -> None:
    import isi_widget as isi

    trial = isi.run_trial(vlm, Observation(noise(300, 200), "Is it?").stimulus(), measures="answer")
    code = trial.code()
    assert "# isi_pictures/image-" in code and "write_pictures=True" in code
    assert code.endswith("\ntrial") and not (folder / "isi_pictures").exists()
    assert executed(trial.code(write_pictures=True))["shown"].stimulus.key == trial.stimulus.key


def test_of_a_model_in_a_local_folder(folder: Path) -> None:
    import tiny_models

    model, processor = tiny_models.llava()
    model.save_pretrained("it's a model")
    processor.save_pretrained("it's a model")
    tiny = load_vlm("it's a model")
    probe = Probe(tiny, Observation(noise(30, 20), "Is it?"))
    probe.settings = {"samples": 2, "max_new_tokens": 2}
    names = executed(probe.code())
    assert names["vlm"] is tiny and names["trial"].stimulus.key == probe.stimulus.key
    probe.close()


def test_of_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    from scripted_server import Script, serving

    import isi_widget as isi

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with serving(Script()) as address:
        probe = Probe(isi.connect(address, "seer"), Observation(noise(30, 20), "Is it?"))
        probe.settings = {"samples": 2, "max_new_tokens": 4}
        trial = probe.run("answer")
        again = executed(probe.code(trial))["shown"]
        assert again.answer.text == trial.answer.text  # type: ignore[union-attr]
        probe.close()
