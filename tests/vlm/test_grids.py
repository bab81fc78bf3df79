"""Boxes of image tokens, against the real image processors and the models themselves.

Two independent witnesses, for every family:
- A ramp: an image whose red and green are its own x and y. With the vision tower's attention switched off,
  the gradient of one image feature tells which processed pixels it is made of; the colours of these pixels,
  as the real image processor left them, tell where in the original they come from. No size or order is
  derived here.
- A spot: a grey image with one white spot. Through the whole tower, attention included, the image feature
  that changes most is the token whose box holds the spot.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
import transformers as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import SizeDict
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from isi_widget.errors import InputError
from isi_widget.vlm.families import grids

SIZES = {"square": (64, 64), "wide": (150, 40), "tall": (37, 160), "tiny": (5, 7), "odd": (63, 41)}
SIDE = 32
TEXT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 4,
    # Large enough that attention matters where it is not switched off.
    "initializer_range": 0.1,
}
SQUARE = {"height": SIDE, "width": SIDE}
#: Below 255: where a filter swings over at the border of the padding, it is seen to be off.
BLUE = 200
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}


@dataclass(frozen=True)
class Built:
    """A tiny model, what stands for its processor, and the function under test."""

    model: Any
    processor: Any
    function: Callable[..., np.ndarray]
    inputs: tuple[str, ...] = ("pixel_values",)
    options: tuple[tuple[str, Any], ...] = ()
    #: Tokens of each grid of an image with n tokens, newline tokens left where they are.
    chunks: Callable[[int], list[slice]] = lambda n: [slice(0, n)]

    def process(self, image: Image.Image) -> dict[str, torch.Tensor]:
        images = self.processor.image_processor(image, return_tensors="pt", **dict(self.options))
        return {name: images[name] for name in self.inputs}

    def boxes(self, size: tuple[int, int]) -> np.ndarray:
        return self.function(self.processor, self.model.config, size, self.process(plain(size)))


def features(model: Any, images: dict[str, torch.Tensor]) -> torch.Tensor:
    """Image features [image tokens, hidden], as the model places them."""
    output = model.get_image_features(**images, return_dict=True).pooler_output
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in output])


def plain(size: tuple[int, int], level: int = 128) -> Image.Image:
    return Image.new("RGB", size, (level,) * 3)


def model_of(kind: type, config: Any) -> Any:
    torch.manual_seed(0)
    return kind(config).eval()


def calm(model: Any) -> Any:
    """SigLIP's own initialisation lets attention drown the patches: less of it, so that a spot is local."""
    for path, module in model.named_modules():
        if path.endswith("self_attn.out_proj"):
            module.weight.data *= 0.1
    return model


def only(image_processor: Any, **more: Any) -> Any:
    """A processor as far as the boxes are concerned."""
    return SimpleNamespace(image_processor=image_processor, num_additional_image_tokens=0, **more)


def llava(image_processor: Any = None, strategy: str = "default") -> Built:
    model, processor = tiny_models.llava()
    model.config.vision_feature_select_strategy = strategy
    if image_processor is not None:
        processor.image_processor = image_processor
    return Built(model, processor, grids.llava)


def llava_next(**changes: Any) -> Built:
    model, processor = tiny_models.llava_next()
    pinpoints = model.config.image_grid_pinpoints
    if changes:
        processor.image_processor = LlavaNextImageProcessorPil(
            **{"crop_size": SQUARE, "image_grid_pinpoints": pinpoints} | changes
        )
    side = (tiny_models.IMAGE_SIZE // tiny_models.PATCH) ** 2
    return Built(
        model,
        processor,
        grids.llava_next,
        ("pixel_values", "image_sizes"),
        chunks=lambda n: [slice(0, side), slice(side, n)],
    )


def paligemma() -> Built:
    config = tf.PaliGemmaConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model", "patch_size": 8},
        text_config={**TEXT, "model_type": "gemma"},
        projection_dim=32,
    )
    model = calm(model_of(tf.PaliGemmaForConditionalGeneration, config))
    return Built(model, only(SiglipImageProcessorPil(size=SQUARE)), grids.paligemma)


def qwen(name: str) -> Built:
    vision = {
        "depth": 2,
        "num_heads": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": 0.1,
        "hidden_size": 32,
    }
    extra = {
        "Qwen2": {"embed_dim": 32, "mlp_ratio": 2},
        "Qwen2_5_": {
            "intermediate_size": 64,
            "out_hidden_size": 32,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        "Qwen3": {
            "intermediate_size": 64,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
    }[name]
    config = getattr(tf, f"{name}VLConfig")(
        vision_config={**vision, **extra}, text_config={**TEXT, "rope_parameters": ROPE}
    )
    model = model_of(getattr(tf, f"{name}VLForConditionalGeneration"), config)
    images = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    )
    return Built(model, only(images), grids.qwen_vl, ("pixel_values", "image_grid_thw"))


def idefics(name: str, splitting: bool = True, longest: int = 128) -> Built:
    config = getattr(tf, f"{name}Config")(vision_config=VISION, text_config={**TEXT, "model_type": "llama"})
    model = model_of(getattr(tf, f"{name}ForConditionalGeneration"), config)
    kind = {"Idefics3": Idefics3ImageProcessorPil, "SmolVLM": SmolVLMImageProcessorPil}[name]
    images = kind(
        size={"longest_edge": longest}, max_image_size={"longest_edge": SIDE}, do_image_splitting=splitting
    )
    return Built(
        model,
        only(images),
        grids.idefics3,
        ("pixel_values", "pixel_attention_mask"),
        chunks=lambda n: [slice(0, n - 16), slice(n - 16, n)] if n > 16 else [slice(0, n)],
    )


def internvl(crop: bool = True) -> Built:
    vision = {**VISION, "image_size": [SIDE, SIDE], "patch_size": [4, 4]}
    config = tf.InternVLConfig(vision_config=vision, text_config={**TEXT, "model_type": "qwen2"})
    model = model_of(tf.InternVLForConditionalGeneration, config)
    images = GotOcr2ImageProcessorPil(size=SQUARE, max_patches=6)
    return Built(
        model,
        only(images),
        grids.internvl,
        # As the processor calls it.
        options=(("crop_to_patches", crop),),
        chunks=lambda n: [slice(0, n - 16), slice(n - 16, n)] if n > 16 else [slice(0, n)],
    )


def gemma3(pan_and_scan: bool = False) -> Built:
    config = tf.Gemma3Config(
        vision_config={**VISION, "model_type": "siglip_vision_model"},
        text_config=TEXT,
        mm_tokens_per_image=16,
    )
    model = calm(model_of(tf.Gemma3ForConditionalGeneration, config))
    # A fresh projector is all zeros.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)
    options = {
        "do_pan_and_scan": pan_and_scan,
        "pan_and_scan_min_crop_size": 16,
        "pan_and_scan_max_num_crops": 4,
        "pan_and_scan_min_ratio_to_activate": 1.2,
    }
    return Built(
        model,
        only(Gemma3ImageProcessorPil(size=SQUARE)),
        grids.gemma3,
        options=tuple(options.items()),
        chunks=lambda n: [slice(0, 16), slice(16, n)] if n > 16 else [slice(0, n)],
    )


BUILDERS: dict[str, Callable[[], Built]] = {
    "llava": llava,
    "llava-plain": lambda: llava(CLIPImageProcessorPil(size=SQUARE, do_center_crop=False)),
    "llava-full": lambda: llava(strategy="full"),
    "llava-padded": lambda: llava(
        LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SQUARE, do_pad=True)
    ),
    "llava-crop-beyond": lambda: llava(CLIPImageProcessorPil(size={"shortest_edge": 21}, crop_size=SQUARE)),
    "llava_next": llava_next,
    "llava_next-zoomed": lambda: llava_next(size={"shortest_edge": 40}),
    "paligemma": paligemma,
    "qwen2_vl": lambda: qwen("Qwen2"),
    "qwen2_5_vl": lambda: qwen("Qwen2_5_"),
    "qwen3_vl": lambda: qwen("Qwen3"),
    "idefics3": lambda: idefics("Idefics3"),
    "idefics3-whole": lambda: idefics("Idefics3", splitting=False),
    "idefics3-odd-edge": lambda: idefics("Idefics3", longest=90),
    "smolvlm": lambda: idefics("SmolVLM"),
    "internvl": internvl,
    "internvl-whole": lambda: internvl(crop=False),
    "gemma3": gemma3,
    "gemma3-pan-and-scan": lambda: gemma3(pan_and_scan=True),
}
#: These pad before they resize, so that image and padding run into each other at the border.
PADDED_FIRST = ("llava-padded", "llava_next-zoomed")
build = cache(lambda name: BUILDERS[name]())
everywhere = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
every_family = pytest.mark.parametrize("name", BUILDERS)


# The two witnesses ------------------------------------------------------------------------------------------


@cache
def without_attention(name: str) -> Any:
    """A copy of the model whose patches do not see each other: attention adds nothing."""
    model = copy.deepcopy(build(name).model)
    silenced = 0
    for path, module in model.named_modules():
        parts = path.split(".")
        if "vis" in path and "att" in path and parts[-1] in ("out_proj", "proj", "projection_layer"):
            module.weight.data.zero_()
            if module.bias is not None:
                module.bias.data.zero_()
            silenced += 1
    assert silenced >= 2
    return model.requires_grad_(False)


def by_channel(values: torch.Tensor) -> torch.Tensor:
    """Pixel values as [pieces, 3, height, width]; Qwen's pieces are its patches, each there twice."""
    if values.dim() == 2:
        return values.reshape(len(values), 3, -1, 8)
    return values.reshape(-1, *values.shape[-3:])


def sources(name: str, images: dict[str, torch.Tensor], tokens: list[int]) -> list[np.ndarray]:
    """For each token: the pixels [pieces, height, width] it is made of, by gradient."""
    pixels = images["pixel_values"].clone().requires_grad_()
    made = features(without_attention(name), {**images, "pixel_values": pixels})
    direction = torch.randn(made.shape[-1], generator=torch.Generator().manual_seed(0))
    found = []
    for token in tokens:
        # A newline token is a parameter: its gradient with respect to the pixels is zero.
        gradient = torch.autograd.grad(made[token] @ direction, pixels, retain_graph=True)[0]
        found.append((by_channel(gradient) != 0).any(dim=1).numpy())
    return found


def ramp(size: tuple[int, int]) -> Image.Image:
    """Red: x from 0 to 255; green: y; blue: the same everywhere, so that it tells image from padding."""
    width, height = size
    pixels = np.full((height, width, 3), float(BLUE))
    pixels[..., 0] = np.arange(width) * 255 / (width - 1)
    pixels[..., 1] = np.arange(height)[:, None] * 255 / (height - 1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def original_positions(built: Built, size: tuple[int, int], images: dict[str, torch.Tensor]) -> Any:
    """x, y [pieces, height, width] in original pixels of every processed pixel; where the image is shown."""
    images_of = built.processor.image_processor
    mean, std = (torch.tensor(value)[:, None, None] for value in (images_of.image_mean, images_of.image_std))
    colours = (by_channel(images["pixel_values"]) * std + mean).numpy()
    # The centre of original pixel k lies at k + 0.5.
    x, y = (colours[:, axis] * (size[axis] - 1) + 0.5 for axis in (0, 1))
    return x, y, abs(colours[:, 2] - BLUE / 255) < 0.01


def step_of(place: np.ndarray, shown: np.ndarray, axis: int) -> float:
    """How many original pixels one processed pixel is, along an axis of the processed image."""
    ahead = np.diff(place, axis=axis)
    both = np.minimum(np.delete(shown, 0, axis), np.delete(shown, -1, axis))
    return float(np.median(ahead[both])) if both.any() else 0.0


@every_family
@everywhere
def test_box_is_where_the_tokens_pixels_come_from(name, size):
    built = build(name)
    images = built.process(ramp(size))
    boxes = built.function(built.processor, built.model.config, size, images)
    x, y, shown = original_positions(built, size, images)
    tokens = sorted(np.random.default_rng(0).permutation(len(boxes))[:60].tolist())
    for token, source in zip(tokens, sources(name, images, tokens), strict=True):
        box, seen = boxes[token], source & shown
        if np.isnan(box).any():
            assert np.isnan(box).all()
            assert not seen.any(), f"token {token} shows the image but has no box"
            continue
        pieces = source.any(axis=(1, 2))
        for side, place, axis in ((0, x, 2), (1, y, 1)):
            low, high, step = box[side], box[side + 2], step_of(place[pieces], shown[pieces], axis)
            # Half a processed pixel; half an original one where the resampling filter stops at the border;
            # the ramp's 8 bits. Where the processor pads before it resizes, the border itself is blurred.
            slack = 0.5 * step + 0.5 + size[side] / 510 + (2.5 * step if name in PADDED_FIRST else 0)
            if not seen.any():
                thin = min(box[2] - box[0], box[3] - box[1])
                assert thin <= slack, f"token {token} shows nothing but has the box {box}"
                continue
            values = place[seen]
            about = f"token {token}, {'xy'[side]}: box {low:.2f} to {high:.2f}, step {step:.2f}"
            assert values.mean() == pytest.approx((low + high) / 2, abs=slack), about
            assert values.min() == pytest.approx(low + step / 2, abs=slack), about
            assert values.max() == pytest.approx(high - step / 2, abs=slack), about


def pair(built: Built, size: tuple[int, int], spot: tuple[int, int, int]) -> Any:
    """Processor's outputs of a grey image, and of the same with a white spot (left, top, side)."""
    with_spot = plain(size)
    left, top, side = spot
    with_spot.paste((255,) * 3, (left, top, left + side, top + side))
    return built.process(plain(size)), built.process(with_spot)


def spots(size: tuple[int, int], count: int = 10) -> list[tuple[int, int, int]]:
    """Spots at random places, in two corners and in the middle; large enough to survive the resizing."""
    side = max(1, max(size) // 16)
    high = (size[0] - side + 1, size[1] - side + 1)
    random = np.random.default_rng(sum(size)).integers(0, high, (count, 2))
    fixed = np.array([[0, 0], [high[0] - 1, high[1] - 1], [size[0] // 2, size[1] // 2]])
    return [(int(left), int(top), side) for left, top in np.concatenate([fixed, random])]


def touches(box: np.ndarray, spot: tuple[int, int, int], slack: tuple[float, float]) -> bool:
    """Whether a box and a spot overlap, give or take one resampling pixel."""
    return all(
        spot[axis] + spot[2] > box[axis] - slack[axis] and spot[axis] < box[axis + 2] + slack[axis]
        for axis in (0, 1)
    )


def resampling_pixel(built: Built, boxes: np.ndarray) -> tuple[float, float]:
    """At least one original pixel; at most what one processed pixel covers (a box is 8 of them or more)."""
    widest = np.nanmax(boxes[:, 2:] - boxes[:, :2], axis=0)
    return max(1.0, widest[0] / 8), max(1.0, widest[1] / 8)


@every_family
@everywhere
def test_the_feature_that_changes_most_is_where_the_spot_is(name, size):
    built = build(name)
    boxes = built.boxes(size)
    seen = 0
    for spot in spots(size):
        before, after = pair(built, size, spot)
        with torch.no_grad():
            change = (features(built.model, after) - features(built.model, before)).norm(dim=-1).numpy()
        swing = (after["pixel_values"] - before["pixel_values"]).abs().max()
        if swing == 0:
            # Cropped away: no box may claim to show it.
            assert not any(touches(box, spot, (-1, -1)) for box in boxes)
        # From grey to white is 127 of 255. Much less of it left: most of the spot is cropped away.
        if swing * max(built.processor.image_processor.image_std) < 0.5 * 127 / 255:
            continue
        seen += 1
        for index, chunk in enumerate(built.chunks(len(boxes))):
            hot = chunk.start + int(np.argmax(change[chunk]))
            # The first grid shows all of the image that is seen (unless each tile is cropped); another may
            # lack the spot (LLaVA-NeXT's un-padding cuts a strip off) or hold only its blurred edge.
            if (index == 0 and name != "llava_next-zoomed") or change[hot] > 0.5 * change.max():
                slack = resampling_pixel(built, boxes[chunk])
                assert touches(boxes[hot], spot, slack), f"{spot} is not in {boxes[hot]}, token {hot}"
    assert seen >= 2


# Properties -------------------------------------------------------------------------------------------------


@every_family
@everywhere
def test_boxes_of_a_grid_tile_what_the_model_sees(name, size):
    built = build(name)
    boxes = built.boxes(size)
    placed = boxes[~np.isnan(boxes).any(axis=1)]
    assert (placed[:, :2] >= 0).all() and (placed[:, 2:] <= size).all()
    assert (placed[:, :2] < placed[:, 2:]).all()
    for chunk in built.chunks(len(boxes)):
        grid = boxes[chunk]
        grid = grid[~np.isnan(grid).any(axis=1)]
        # Between any two neighbouring edges every point lies in exactly one box: neither overlap nor hole.
        middle = [
            (edges[1:] + edges[:-1]) / 2
            for edges in (np.unique(grid[:, axis::2].round(6)) for axis in (0, 1))
        ]
        in_x = (grid[:, 0, None] < middle[0]) & (middle[0] < grid[:, 2, None])
        in_y = (grid[:, 1, None] < middle[1]) & (middle[1] < grid[:, 3, None])
        count = np.einsum("bx,by->xy", in_x.astype(int), in_y.astype(int))
        assert count.max() == 1
        # Tiles that are cropped after they were cut leave strips between them.
        assert count.min() == 1 or name == "llava_next-zoomed"
    images = built.process(ramp(size))
    *places, shown = original_positions(built, size, images)
    for axis in (0, 1):
        step = step_of(places[axis], shown, 2 - axis)
        slack = step + 0.5 + size[axis] / 255 + (2.5 * step if name in PADDED_FIRST else 0)
        assert placed[:, axis].min() == pytest.approx(places[axis][shown].min() - step / 2, abs=slack)
        assert placed[:, axis + 2].max() == pytest.approx(places[axis][shown].max() + step / 2, abs=slack)


@every_family
@settings(max_examples=15)
@given(size=st.tuples(st.integers(2, 300), st.integers(2, 300)))
def test_one_row_per_image_feature_at_any_size(name, size):
    assume(max(size) <= 12 * min(size))
    built = build(name)
    boxes = built.boxes(size)
    with torch.no_grad():
        assert len(boxes) == len(features(built.model, built.process(plain(size))))
    assert boxes.dtype == np.float64 and not np.isnan(boxes).all()


@settings(max_examples=150)
@given(size=st.tuples(st.integers(2, 300), st.integers(2, 300)), longest=st.sampled_from([90, 100, 128]))
def test_rows_and_columns_of_idefics_tiles_are_the_processors(size, longest):
    assume(max(size) <= 12 * min(size))
    built = build_idefics(longest)
    images = built.processor.image_processor(plain(size), return_tensors="pt", return_row_col_info=True)
    rows, columns = images["rows"][0][0], images["cols"][0][0]
    boxes = built.function(built.processor, built.model.config, size, images)
    tiles = boxes[:-16] if rows else boxes
    assert len(np.unique(tiles[:, 0].round(6))) == 4 * max(columns, 1)
    assert len(np.unique(tiles[:, 1].round(6))) == 4 * max(rows, 1)


build_idefics = cache(lambda longest: idefics("Idefics3", longest=longest))


def settings_of(image_processor: Any, patch: Any = 14, **config: Any) -> tuple[Any, Any]:
    """An image processor with a checkpoint's settings, and what its config says of the layout."""
    vision = SimpleNamespace(patch_size=patch, **config.pop("vision", {}))
    return only(image_processor), SimpleNamespace(vision_config=vision, **config)


#: The settings of checkpoints on the hub, and their number of tokens for 640 x 480 pixels, by hand.
CHECKPOINTS = {
    "LLaVA-1.5": (
        lambda: settings_of(
            CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
            vision_feature_select_strategy="full",
        ),
        grids.llava,
        24 * 24,
    ),
    # 672 x 672 holds 672 x 504: 36 of 48 token rows, and a newline after each.
    "LLaVA-NeXT": (
        lambda: settings_of(
            LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
            vision_feature_select_strategy="full",
        ),
        grids.llava_next,
        24 * 24 + 36 * (48 + 1),
    ),
    # 640 / 28 = 22.9 and 480 / 28 = 17.1.
    "Qwen2-VL": (
        lambda: settings_of(Qwen2VLImageProcessorPil(), vision={"spatial_merge_size": 2}),
        grids.qwen_vl,
        23 * 17,
    ),
    "Qwen3-VL": (
        lambda: settings_of(Qwen2VLImageProcessorPil(patch_size=16), vision={"spatial_merge_size": 2}),
        grids.qwen_vl,
        20 * 15,
    ),
    "PaliGemma": (lambda: settings_of(SiglipImageProcessorPil()), grids.paligemma, 16 * 16),
    # 1456 x 1092: 4 x 3 tiles of 364 and the whole image; 26 x 26 patches, 2 x 2 to a token.
    "Idefics3": (
        lambda: settings_of(Idefics3ImageProcessorPil(), scale_factor=2),
        grids.idefics3,
        (4 * 3 + 1) * 13 * 13,
    ),
    # 2048 x 1536: 4 x 3 tiles of 512; 32 x 32 patches, 4 x 4 to a token.
    "SmolVLM": (
        lambda: settings_of(
            SmolVLMImageProcessorPil(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}),
            patch=16,
            scale_factor=4,
        ),
        grids.idefics3,
        (4 * 3 + 1) * 8 * 8,
    ),
    # 4 x 3 of at most 12 tiles; 32 x 32 patches, 2 x 2 to a token.
    "InternVL": (
        lambda: settings_of(
            GotOcr2ImageProcessorPil(size={"height": 448, "width": 448}, crop_to_patches=True),
            patch=[14, 14],
            downsample_ratio=0.5,
        ),
        grids.internvl,
        (4 * 3 + 1) * 16 * 16,
    ),
    "Gemma 3": (
        lambda: settings_of(
            Gemma3ImageProcessorPil(size={"height": 896, "width": 896}),
            vision={"image_size": 896},
            mm_tokens_per_image=256,
        ),
        grids.gemma3,
        16 * 16,
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_settings_of_the_checkpoints(name):
    make, function, tokens = CHECKPOINTS[name]
    processor, config = make()
    boxes = function(
        processor, config, (640, 480), processor.image_processor(plain((640, 480)), return_tensors="pt")
    )
    assert len(boxes) == tokens
    placed = boxes[~np.isnan(boxes).any(axis=1)]
    # LLaVA-1.5 crops to the middle square.
    left = 80 if name == "LLaVA-1.5" else 0
    edges = [*placed[:, :2].min(axis=0), *placed[:, 2:].max(axis=0)]
    np.testing.assert_allclose(edges, [left, 0, 640 - left, 480], atol=1e-9)


def test_only_the_expected_tokens_have_no_place():
    nan = {name: np.isnan(build(name).boxes((64, 64))).any(axis=1) for name in BUILDERS}
    # A square image needs no padding where the processor has a square to offer.
    assert nan["llava-full"].tolist() == [True] + [False] * 16  # the class token
    fine = nan["llava_next"][16:].reshape(8, 9)
    assert fine[:, -1].all() and not fine[:, :-1].any()  # the newline tokens
    unplaced = {name for name, rows in nan.items() if rows.any()}
    assert unplaced == {"llava-full", "llava_next", "llava_next-zoomed"}


def test_queries_have_no_place_because_each_reads_every_pixel():
    config = tf.InstructBlipConfig(
        vision_config={**VISION, "patch_size": 8},
        qformer_config={
            "vocab_size": 64,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "encoder_hidden_size": 32,
        },
        text_config={**TEXT, "model_type": "llama"},
        num_query_tokens=5,
    )
    model = model_of(tf.InstructBlipForConditionalGeneration, config)
    pixels = BlipImageProcessorPil(size=SQUARE)(plain((50, 40)), return_tensors="pt")["pixel_values"]
    pixels.requires_grad_()
    text = torch.tensor([[5, 6, 7]])
    made = model.get_image_features(pixels, qformer_input_ids=text, return_dict=True).pooler_output
    made = torch.cat(list(made)) if isinstance(made, (tuple, list)) else made.reshape(-1, made.shape[-1])
    assert len(made) == 5
    boxes = grids.queries(None, config, (50, 40), {"pixel_values": pixels})
    assert boxes.shape == (5, 4) and np.isnan(boxes).all()
    for query in made:
        gradient = torch.autograd.grad(query.square().sum(), pixels, retain_graph=True)[0]
        assert (gradient != 0).all()


# Geometry ---------------------------------------------------------------------------------------------------


def test_view_by_hand():
    # 100 x 50 pixels, halved, then 5 processed pixels of padding left and right, cells of 10 x 25.
    view = grids.View.whole((100, 50)).resize(50, 25).crop(-5, 0, 60, 25)
    assert view.window == (-10, 0, 110, 50)
    edges = view.boxes(10, 25)[0, :, [0, 2]].T
    assert edges.tolist() == [[0, 10], [10, 30], [30, 50], [50, 70], [70, 90], [90, 100]]
    # What was cropped away does not come back as something shown.
    back = grids.View.whole((10, 10)).crop(2, 2, 6, 6).crop(-2, -2, 10, 10).boxes(1, 1)
    assert np.isnan(back[0, 5]).all() and np.isnan(back[5, 9]).all()
    assert back[2, 7].tolist() == [7, 2, 8, 3]
    # 384 pixels hold 27 patches of 14; the last 6 pixels belong to none.
    assert grids.View.whole((384, 384)).boxes(14, 14).shape == (27, 27, 4)
    assert np.nanmax(grids.View.whole((384, 384)).boxes(14, 14)) == 378


steps = st.lists(
    st.one_of(
        st.tuples(st.just("resize"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("crop"), st.integers(-4, 6), st.integers(-4, 6)),
    ),
    max_size=4,
)


@given(size=st.tuples(st.integers(2, 9), st.integers(2, 9)), steps=steps, cell=st.integers(1, 3))
def test_view_follows_every_pixel(size, steps, cell):
    """Brute force: for each column and row, the left and right edge of what it shows; NaN for padding."""
    view = grids.View.whole(size)
    edges = [np.stack([np.arange(n), np.arange(n) + 1.0]) for n in size]
    for step, a, b in steps:
        if step == "resize":
            view = view.resize(view.width * a, view.height * b)
            edges = [split(axis, factor) for axis, factor in zip(edges, (a, b), strict=True)]
        else:
            view = view.crop(a, b, 6, 6)
            padded = [np.pad(axis, ((0, 0), (8, 16)), constant_values=np.nan) for axis in edges]
            edges = [axis[:, 8 + start : 14 + start] for axis, start in zip(padded, (a, b), strict=True)]
    boxes = view.boxes(cell, cell)
    columns, rows = (
        [axis[:, k * cell : (k + 1) * cell] for k in range(axis.shape[1] // cell)] for axis in edges
    )
    assert boxes.shape == (len(rows), len(columns), 4)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if np.isnan(row).all() or np.isnan(column).all():
                assert np.isnan(boxes[i, j]).all()
            else:
                expected = [np.nanmin(column[0]), np.nanmin(row[0]), np.nanmax(column[1]), np.nanmax(row[1])]
                np.testing.assert_allclose(boxes[i, j], expected, atol=1e-9)


def split(edges: np.ndarray, factor: int) -> np.ndarray:
    """Every column becomes `factor` columns."""
    low, high = edges
    parts = np.linspace(0, 1, factor + 1)[:, None]
    cuts = low + parts * (high - low)
    return np.stack([cuts[:-1].T.ravel(), cuts[1:].T.ravel()])


# Refusals ---------------------------------------------------------------------------------------------------


class Unknown(CLIPImageProcessorPil):
    """Does with the image nobody knows what."""


def test_what_is_not_known_is_refused():
    unknown = llava(Unknown(size=SQUARE, crop_size=SQUARE))
    with pytest.raises(InputError, match="not known for the image processor Unknown"):
        unknown.boxes((50, 40))
    with pytest.raises(InputError, match="at least one pixel"):
        grids.View.whole((0, 5))


def test_a_processor_that_did_not_make_the_prompt_is_refused():
    def call(name, made_from, **changes):
        built = build(name)
        images = built.process(plain(made_from))
        other = copy.copy(built.processor.image_processor)
        for key, value in changes.items():
            setattr(other, key, value)
        processor = SimpleNamespace(
            image_processor=other, num_additional_image_tokens=built.processor.num_additional_image_tokens
        )
        return built.function(processor, built.model.config, (150, 40), images)

    with pytest.raises(InputError, match="was not made from an image of 150 x 40"):
        call("llava_next", (40, 150))
    with pytest.raises(InputError, match="image_grid_pinpoints"):
        call("llava_next", (150, 40), image_grid_pinpoints=[[32, 32]])
    with pytest.raises(InputError, match="32 x 32 pixels where its settings say 48 x 48"):
        call("paligemma", (150, 40), size=SizeDict(height=48, width=48))
    with pytest.raises(InputError, match="frames where its settings say"):
        call("idefics3", (150, 40), do_image_splitting=False)
    with pytest.raises(InputError, match="frames where its settings say"):
        call("internvl", (150, 40), max_patches=2)
    with pytest.raises(InputError, match="not known for an image processor of size"):
        call("paligemma", (150, 40), size=SizeDict(max_height=48, max_width=48))


def test_layouts_that_the_model_cannot_have_are_refused():
    built = llava_next()
    built.model.config.vision_feature_select_strategy = "full"
    with pytest.raises(InputError, match="without a class token"):
        built.boxes((50, 40))
    images = build("qwen2_vl").process(plain((50, 40)))
    images["image_grid_thw"] = images["image_grid_thw"].repeat(2, 1)
    with pytest.raises(InputError, match="one still image"):
        grids.qwen_vl(None, build("qwen2_vl").model.config, (50, 40), images)


# In the house -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(tiny_models.BUILDERS))
@everywhere
def test_vlm_token_boxes(family, size):
    vlm = tiny_models.vlm(family)
    shown = tiny_models.Shown(size=size)
    boxes = vlm.token_boxes(shown)
    prompt = vlm.encode(shown)
    assert boxes.shape == (len(prompt.indices("image")), 4)
    with torch.no_grad():
        assert len(boxes) == len(vlm.family.image_features(vlm.model, prompt.images))
    placed = boxes[~np.isnan(boxes).any(axis=1)]
    assert (placed[:, :2] >= 0).all() and (placed[:, 2:] <= size).all()
    assert (len(placed) == 0) == (family == "instructblip")


def test_vlm_token_boxes_with_pan_and_scan():
    model, processor = tiny_models.gemma3()
    processor.images_kwargs = {
        **processor.images_kwargs,
        "do_pan_and_scan": True,
        "pan_and_scan_min_crop_size": 16,
    }
    vlm = tiny_models.VLM(model, processor, model_id="tiny")
    shown = tiny_models.Shown(size=(150, 40))
    boxes = vlm.token_boxes(shown)
    # The whole image, then four crops of 38, 38, 38 and 36 pixels; 2 x 2 tokens each.
    assert len(boxes) == len(vlm.encode(shown).indices("image")) == 5 * 4
    assert boxes[4::4, 0].tolist() == [0, 38, 76, 114]
    assert boxes[5::4, 2].tolist() == [38, 76, 114, 150]


def test_vlm_refuses_places_that_do_not_fit_the_prompt():
    model, processor = tiny_models.llava()
    vlm = tiny_models.VLM(model, processor, model_id="tiny")
    processor.num_additional_image_tokens = 0
    shown = tiny_models.Shown()
    assert len(vlm.encode(shown).indices("image")) == 15
    model.config.vision_feature_select_strategy = "full"
    with pytest.raises(InputError, match="15 image tokens, but 16 places"):
        vlm.token_boxes(shown)


def test_the_embedded_models_boxes():
    from isi_widget.vlm import load_vlm

    shown = tiny_models.Shown(size=(240, 120))
    boxes = load_vlm().token_boxes(shown)
    assert boxes.reshape(12, 12, 4)[2, 3].tolist() == [60, 20, 80, 30]
