"""The ISI VQA set: its facts, and every one of its 200 photographs through loading, rendering and all
interventions.

It lies in ``isi-vqa`` under the shared data folder (``ISI_SHARED``, by default ../shared beside the
repository).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from isi_widget.datasets import Dataset, download, isi_data, isi_vqa
from isi_widget.datasets.download import Manifest
from isi_widget.errors import InputError
from isi_widget.stimulus import Arrow, Box, Ellipse, GaussianNoise, Line, Stimulus, Text, load_image, paint

SHARED = Path(os.environ.get("ISI_SHARED") or Path(__file__).parents[3] / "shared")
FOLDER = SHARED / "data" / "isi-vqa"
needs_data = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"the ISI VQA set is not at {FOLDER}; set ISI_SHARED to the folder above data/isi-vqa",
)
PATHS = sorted(FOLDER.glob("*_images/*.*")) if FOLDER.is_dir() else []


@pytest.fixture(scope="module")
def data() -> Dataset:
    return isi_vqa(FOLDER)


@needs_data
def test_the_facts_of_the_set(data: Dataset) -> None:
    assert len(data) == 100 and len(PATHS) == 200
    assert [obs.answer for obs in data].count("No") == 57 and [obs.answer for obs in data].count("Yes") == 43
    assert len({obs.id for obs in data}) == 100
    for obs in data:
        assert set(obs.contexts) == {"complementary", "contradictory"}
        texts = [obs.question, *obs.contexts.values()]
        assert all(text and text == text.strip() for text in texts)
        assert obs.metadata["img_text_description"]
        assert obs.id == obs.metadata["image"]


@needs_data
def test_the_full_file_name_is_the_key(data: Dataset) -> None:
    by_name = {obs.id: obs for obs in data}
    assert by_name["new_york.jpg"].image != by_name["new_york.png"].image
    for name in ("new_york.jpg", "new_york.png"):
        assert by_name[name].image == load_image(FOLDER / "natural_images" / name)
        assert by_name[name].annotated == load_image(FOLDER / "annotated_images" / name)


@needs_data
def test_random_presets_show_another_photograph(data: Dataset) -> None:
    for obs in data[::25]:
        for seed in range(3):
            changed = (
                obs.stimulus().with_image(preset="random", seed=seed).with_context(preset="random", seed=seed)
            )
            assert changed.current_image != obs.image and changed.truth is None
            assert changed.current_context not in {*obs.contexts.values(), ""}


def pillow_rgb(path: Path) -> np.ndarray:
    """Pillow's own conversion after orientation and profile; transparency does not occur in the set."""
    image = ImageOps.exif_transpose(Image.open(path))
    profile = image.info.get("icc_profile")
    image = image if image.mode == "L" else image.convert("RGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
    # One file is RGB with a profile for grey images, which cannot apply.
    if source and source.profile.xcolor_space.strip() == {"L": "GRAY"}.get(image.mode, "RGB"):
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.asarray(image.convert("RGB"))


def interventions(width: int, height: int) -> list:
    return [
        Box(width * 0.2, height * 0.3, width * 0.25, height * 0.2, "#d55e00"),
        Ellipse(width * 0.5, height * 0.1, width * 0.3, height * 0.4, "yellow", fill=False, line_width=4),
        Line((3, 3), (width * 0.4, height * 0.9), "white", 3),
        Arrow((width * 0.9, height * 0.9), (width * 0.6, height * 0.6), "red", 5),
        Text(width * 0.1, height * 0.8, "What is this?", 24, "lime"),
        GaussianNoise(0.2, 1, (width * 0.1, height * 0.1, 90, 60)),
    ]


def check(path: Path) -> None:
    expected = pillow_rgb(path)
    picture = load_image(path)
    stimulus = Stimulus(picture, "q")
    assert np.array_equal(np.asarray(stimulus.render()), expected)
    every = interventions(*picture.size)
    for item in every:
        after = np.array(paint(picture.pil(), [item]))
        left, top, right, bottom = item.bounds(picture.size)
        assert not np.array_equal(after, expected), item
        after[top:bottom, left:right] = expected[top:bottom, left:right]
        assert np.array_equal(after, expected), item
    together = stimulus.apply(*every, GaussianNoise(0.1, 2)).render()
    assert together.size == picture.size and together.mode == "RGB"


@needs_data
# One of them has a profile that does not fit its kind, which a warning says.
@pytest.mark.filterwarnings("ignore:.*fracture.jpg.*does not fit:UserWarning")
@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_photograph_loads_and_renders(path: Path) -> None:
    check(path)


@needs_data
def test_the_manifest_pins_exactly_these_files() -> None:
    manifest = Manifest.read(isi_data.MANIFEST)
    files = {path for path in FOLDER.rglob("*") if path.is_file() and path.name != ".DS_Store"}
    assert {FOLDER / name for name in manifest.files} == files and len(files) == 201
    for name, (size, digest) in manifest.files.items():
        body = (FOLDER / name).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (size, digest), name
    assert manifest.is_complete(FOLDER)


def test_the_manifest_names_the_pinned_commit() -> None:
    manifest = Manifest.read(isi_data.MANIFEST)
    commit = "536245ae6c7e1d38fb57de4602c5e1ac1b28bd00"
    assert manifest.base == f"https://raw.githubusercontent.com/IML-DKFZ/isi-vlm/{commit}/dash_app/assets/"
    assert commit in manifest.source and commit.startswith(manifest.version)


def test_a_download_says_that_there_is_no_licence_and_then_works_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = tmp_path / "upstream"
    for folder in (isi_data.IMAGES, isi_data.ANNOTATED):
        (upstream / folder).mkdir(parents=True)
        for i, name in enumerate(["a.png", "b.png"]):
            Image.new("RGB", (4, 4), (i, 0, 0)).save(upstream / folder / name)
    (upstream / isi_data.TABLE).write_text(
        "image,question,contradictory,complementary,answer,img_text_description\n"
        "a.png, Is it? ,no hint,hint,1,text\nb.png,Why?,,,0,\n"
    )
    files = {
        str(path.relative_to(upstream)): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in upstream.rglob("*.*")
    }
    shipped = tmp_path / "manifest.json"
    record = {
        "name": "isi-vqa",
        "version": "v",
        "source": "https://example.org/x",
        "base": upstream.as_uri() + "/",
    }
    shipped.write_text(json.dumps(record | {"files": files}))
    monkeypatch.setattr(isi_data, "MANIFEST", shipped)
    monkeypatch.setenv("ISI_WIDGET_CACHE", str(tmp_path / "cache"))
    data = isi_vqa(progress=False)
    said = capsys.readouterr().out
    assert "state no licence" in said and "https://example.org/x" in said and str(tmp_path / "cache") in said
    assert [(obs.question, obs.answer) for obs in data] == [("Is it?", "Yes"), ("Why?", "No")]
    upstream.rename(tmp_path / "gone")
    assert len(isi_vqa(progress=False)) == 2 and capsys.readouterr().out == ""
    assert not replace(Manifest.read(shipped), version="w").is_complete(
        download.cache_folder() / "isi-vqa" / "w"
    )


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"does not have the ISI layout; missing: vlm_dataset.csv, natural_images, annotated_",
    ):
        isi_vqa(tmp_path)


def test_a_row_without_its_photograph_can_be_left_out(tmp_path: Path) -> None:
    for folder in ("natural_images", "annotated_images"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 3)).save(tmp_path / folder / "a.png")
    (tmp_path / "vlm_dataset.csv").write_text("image,question,answer\na.png,Is it?,1\nlost.png,Is it?,0\n")
    with pytest.raises(InputError, match=r"there is no file 'lost\.png'"):
        isi_vqa(tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 rows was skipped"):
        data = isi_vqa(tmp_path, on_error="skip")
    assert len(data) == 1 and all("row 3" in line for line in data.skipped)
