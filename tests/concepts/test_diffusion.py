"""In-painting by a diffusers pipeline, with a tiny random one built from its settings, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.concepts.diffusion import DiffusionInpainter, _resized, load_inpainter
from isi_widget.errors import Cancelled, InputError
from isi_widget.stimulus import Mask, Stimulus
from isi_widget.stimulus import inpainting as ip

WIDTH, HEIGHT = 53, 37
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
START = Stimulus(NOISE, "?")
HOLE = Mask.from_box((WIDTH, HEIGHT), (20, 12, 9, 7), feather=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with random weights, saved as a checkpoint."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pipeline")
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary += [f"{letter}</w>" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (path / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(vocabulary)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=77)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=32,
    )
    made = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(num_train_timesteps=100, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(path / "tiny", safe_serialization=True)
    return path / "tiny"


@pytest.fixture
def painter(folder: Path) -> Any:
    yield load_inpainter(folder, device="cpu", steps=4, guidance=2.0, negative_prompt="blur")
    ip._known.pop("tiny", None)


def test_it_fills_the_hole_by_prompt_and_seed_and_nothing_else_changes(painter: DiffusionInpainter) -> None:
    assert painter.name == "tiny" and painter.size == 32 and isi.inpainters()["tiny"] is painter
    made = START.remove(HOLE, "tiny", prompt="a dog", seed=3)
    after = np.asarray(made.render())
    outside = HOLE.alpha() == 0
    assert (after[outside] == NOISE[outside]).all() and (after[~outside] != NOISE[~outside]).any()
    again = painter.fill(NOISE, HOLE.array(), prompt="a dog", seed=3)
    assert (again == painter.fill(NOISE, HOLE.array(), prompt="a dog", seed=3)).all()
    assert (again != painter.fill(NOISE, HOLE.array(), prompt="a dog", seed=4)).any()
    assert (again != painter.fill(NOISE, HOLE.array(), prompt="zzzz", seed=3)).any()
    ip._known.pop("tiny")  # a stored result needs no pipeline
    assert Stimulus.from_json(made.to_json()).render().tobytes() == made.render().tobytes()


@pytest.mark.parametrize("size", [(9, 40), (64, 5), (131, 77)])
def test_pictures_of_any_size(painter: DiffusionInpainter, size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 120, dtype=np.uint8)
    made = Stimulus(image, "?").remove((1, 1, 4, 3), painter)
    assert made.render().size == size and not made.pending


def test_progress_and_cancel(painter: DiffusionInpainter) -> None:
    steps: list[tuple[str, int, int]] = []
    painter.fill(NOISE, HOLE.array(), progress=lambda *step: steps.append(step))
    assert steps == [("inpainting", done, 4) for done in range(5)]
    calls = []

    def cancel() -> bool:
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        painter.fill(NOISE, HOLE.array(), cancel=cancel)
    assert len(calls) == 3


def test_sizes_are_multiples_and_keep_the_form() -> None:
    assert _resized(100, 50, 512, 8) == (512, 256)
    assert _resized(30, 30, 32, 2) == (32, 32)
    assert _resized(1000, 3, 64, 8) == (64, 8)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"checkpoint": None}, "checkpoint must be a folder or a name on the hub, got None"),
        ({"checkpoint": ""}, "checkpoint must be a folder"),
        ({"checkpoint": "a/b", "stesp": 3}, "no setting 'stesp'; it has guidance"),
        ({"checkpoint": "a/b", "name": 3}, "name must be a text"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_inpainter(**given)
    assert words in str(caught.value)


def test_errors_are_clear(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model_index.json"):
        load_inpainter(tmp_path, device="cpu")
    with pytest.raises(InputError, match="built-in"):
        load_inpainter(folder, "membrane", device="cpu")
    with pytest.raises(InputError, match="steps"):
        load_inpainter(folder, device="cpu", steps=0)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"isi-widget\[inpaint\]"):
        load_inpainter(folder)
