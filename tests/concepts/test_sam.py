"""SAM and SAM 2 as segmenters, on tiny models with random weights: against transformers' own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sam_models
import torch
from transformers import Sam2Model, SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

import isi_widget as isi
from isi_widget.concepts import Sam, Sam2, sam

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
BOX, POINTS, LABELS = (20, 10, 60, 50), [(30.0, 20.0), (70.0, 50.0)], [1, 0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("sam")
    return {"sam": sam_models.sam(made / "sam"), "sam2": sam_models.sam2(made / "sam2")}


@pytest.fixture(autouse=True)
def none_loaded() -> Iterator[None]:
    sam._loaded.clear()
    yield
    sam._loaded.clear()


@pytest.mark.parametrize("prompt", ["box", "points", "both"])
def test_sam_gives_the_mask_of_transformers_own_pipeline(folders: dict[str, Path], prompt: str) -> None:
    processor = SamProcessor(
        SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    )
    model = SamModel.from_pretrained(folders["sam"]).eval()
    given: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    if prompt != "points":
        given["input_boxes"] = [[[20.0, 10.0, 80.0, 60.0]]]
        ours["box"] = BOX
    if prompt != "box":
        given["input_points"], given["input_labels"] = [[[list(point) for point in POINTS]]], [[LABELS]]
        ours.update(points=POINTS, labels=LABELS)
    inputs = processor(IMAGE, return_tensors="pt", **given)
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.inference_mode():
        output = model(**inputs, multimask_output=False)
    expected = processor.image_processor.post_process_masks(
        output.pred_masks, *sizes, pad_size={"height": 64, "width": 64}
    )[0][0, 0].numpy()
    found = isi.segment(IMAGE, **ours, back_end="sam", checkpoint=folders["sam"]).array()
    if prompt != "box":  # points are painted: they are surely in or out
        far = np.ones_like(found)
        for x, y in POINTS:
            far[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = False
        found, expected = found[far], expected[far]
    assert 0.02 < expected.mean() < 0.98
    assert (found == expected).mean() > 0.999


def test_sam2_gives_the_mask_of_the_model_itself(folders: dict[str, Path]) -> None:
    image = IMAGE[:64, :64]  # the size of the model's input: nothing is resized before it
    model = Sam2Model.from_pretrained(folders["sam2"]).eval()
    values = (
        torch.tensor(image).permute(2, 0, 1)[None] / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    )
    with torch.inference_mode():
        output = model(
            pixel_values=values / torch.tensor([0.229, 0.224, 0.225])[:, None, None],
            input_boxes=torch.tensor([[[8.0, 6.0, 40.0, 50.0]]]),
            multimask_output=False,
        )
        expected = (
            torch.nn.functional.interpolate(output.pred_masks[:, 0], (64, 64), mode="bilinear")[0, 0] > 0
        )
    found = isi.segment(image, (8, 6, 32, 44), back_end="sam2", checkpoint=folders["sam2"]).array()
    assert 0.02 < found.mean() < 0.98
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_any_picture_is_taken_and_the_checkpoint_is_loaded_once(
    folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, load = [], sam._model
    monkeypatch.setattr(sam, "_model", lambda *asked: loads.append(asked) or load(*asked))
    made = (Sam if kind == "sam" else Sam2)(folders[kind], device="cpu")
    for size in ((120, 90), (30, 200), (64, 64), (1, 1)):
        picture = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        mask = isi.segment(picture, points=[(0.5, 0.5)], back_end=made)
        assert mask.size == size and mask.array()[0, 0]
    assert len(loads) == 1
    first = isi.segment(IMAGE, BOX, back_end=made)
    features = sam._loaded[(kind, str(folders[kind]), "cpu")].seen[1]
    stroke = {"points": [[30, 20], [50, 40]], "object": False, "radius": 4}
    refined = isi.segment(IMAGE, mask=first if first.area else ~first, strokes=[stroke], back_end=made)
    assert not refined.array()[30, 40]
    assert sam._loaded[(kind, str(folders[kind]), "cpu")].seen[1] is features  # of the same picture: kept


def test_what_is_missing_or_wrong_gets_one_message(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(isi.InputError, match=r'"sam" needs a checkpoint.*sam-vit-base'):
        isi.segment(IMAGE, BOX, back_end="sam")
    with pytest.raises(isi.InputError, match="does not say where it is"):
        isi.segment(IMAGE, points=[(1, 1)], labels=[0], back_end="sam", checkpoint=folders["sam"])
    with pytest.raises(isi.InputError, match="no checkpoint for back_end 'sam2'"):
        isi.segment(IMAGE, BOX, back_end="sam2", checkpoint=folders["sam"])
    with pytest.raises(isi.InputError, match="no checkpoint for back_end 'sam'"):
        isi.segment(IMAGE, BOX, back_end="sam", checkpoint=folders["sam2"])
    with pytest.raises(isi.InputError, match="no checkpoint for back_end 'sam'"):
        isi.segment(IMAGE, BOX, back_end="sam", checkpoint=tmp_path)
    with pytest.raises(isi.InputError, match=r"device|cuda"):
        isi.segment(IMAGE, BOX, back_end="sam", checkpoint=folders["sam"], device="cuda:99")
