"""Where each image token lies in the original image: boxes through resize, crop, padding, tiles and merging.

One function per family, `(processor, config, size, images) -> boxes`: `size` is the original image's (width,
height), `images` what the image processor made of it. The result is float64 [image tokens, 4]: left, top,
right, bottom in original pixels, in the order of the image placeholders; a row is NaN where a token has no
place (a newline or class token, a patch that shows only padding, a learned query).

A box says which pixels a token is made from before attention. Inside the vision tower every patch then reads
every other, so a box is where a token comes from, not all that it knows. Resampling filters reach a little
further. Sizes are computed by transformers' own functions wherever it has them; what cannot be established is
refused. Not for drawing, and no model runs here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError

Boxes = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

#: Image processors that only resize, crop and pad; a backend's suffix ("Pil", "Fast") is left out.
PLAIN = (
    "CLIPImageProcessor",
    "SiglipImageProcessor",
    "BlipImageProcessor",
    "ViTImageProcessor",
    "LlavaImageProcessor",
)
# A strip of the image thinner than this (in pixels) is rounding, not something shown.
_NOTHING = 1e-6


# Geometry ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A processed picture and where it comes from; every step gives a new one.

    Attributes
    ----------
    width, height : size in processed pixels.
    window : positions of its edges in original pixels; beyond the image if it was padded.
    shown : visible part of the original.
    """

    width: int
    height: int
    window: Box
    shown: Box

    @classmethod
    def whole(cls, size: tuple[int, int]) -> View:
        """Return the original image of (width, height) pixels."""
        width, height = size
        if width < 1 or height < 1:
            raise InputError(f"An image has at least one pixel; its size was given as {width} x {height}.")
        return cls(width, height, (0.0, 0.0, float(width), float(height)), (0.0, 0.0, width, height))

    def resize(self, width: int, height: int) -> View:
        """Return the same picture in width x height pixels."""
        return replace(self, width=width, height=height)

    def crop(self, left: int, top: int, width: int, height: int) -> View:
        """Return the part from (left, top) on; pads where it reaches beyond the picture."""
        xs = self._x(np.array([left, left + width]))
        ys = self._y(np.array([top, top + height]))
        window = (float(xs[0]), float(ys[0]), float(xs[1]), float(ys[1]))
        return View(width, height, window, _intersection(self.shown, window))

    def boxes(self, cell_width: int, cell_height: int) -> Boxes:
        """Boxes [rows, columns, 4] of its cells, clipped to the visible part; cells without visible pixels
        are NaN.

        Pixels right and below of the last whole cell belong to none, as for a convolution without padding.
        """
        xs = self._x(np.arange(self.width // cell_width + 1) * cell_width)
        ys = self._y(np.arange(self.height // cell_height + 1) * cell_height)
        xs = np.clip(xs, self.shown[0], self.shown[2])
        ys = np.clip(ys, self.shown[1], self.shown[3])
        boxes = np.empty((len(ys) - 1, len(xs) - 1, 4))
        boxes[..., 0], boxes[..., 2] = xs[:-1], xs[1:]
        boxes[..., 1], boxes[..., 3] = ys[:-1, None], ys[1:, None]
        empty = (boxes[..., 2:] - boxes[..., :2] < _NOTHING).any(axis=-1)
        boxes[empty] = np.nan
        return boxes

    def _x(self, x: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(self.window[0] + x * ((self.window[2] - self.window[0]) / self.width), np.float64)

    def _y(self, y: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(self.window[1] + y * ((self.window[3] - self.window[1]) / self.height), np.float64)


def _intersection(a: Box, b: Box) -> Box:
    left, top = max(a[0], b[0]), max(a[1], b[1])
    return left, top, max(left, min(a[2], b[2])), max(top, min(a[3], b[3]))


def tiles(view: View, rows: int, columns: int) -> list[View]:
    """Return a view cut into rows x columns equal tiles, row by row."""
    width, height = view.width // columns, view.height // rows
    return [
        view.crop(column * width, row * height, width, height)
        for row in range(rows)
        for column in range(columns)
    ]


# Families ---------------------------------------------------------------------------------------------------


def llava(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """LLaVA-1.5 and the embedded model: pad to a square, resize, centre crop, each if switched on; one grid.

    Raises
    ------
    InputError
        If the image processor is not one of `PLAIN`, or its pixels have not the size that follows from its
        settings.
    """
    view = _prepared(View.whole(size), _image_processor(processor, *PLAIN))
    _check_size(view, images)
    return _selected(_grid(view, *_patch(config)), processor, config)


def llava_next(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """LLaVA-NeXT: the whole image, then all tiles as one grid, un-padded, with a newline after each row.

    Raises
    ------
    InputError
        As `llava`; and if processor and model disagree on the tiles.
    """
    from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
    from transformers.models.llava_next.modeling_llava_next import unpad_image

    images_of = _image_processor(processor, "LlavaNextImageProcessor")
    width, height = size
    if tuple(int(side) for side in images["image_sizes"][0]) != (height, width):
        raise InputError(
            f"The prompt was not made from an image of {width} x {height} pixels. Give the size of the image "
            "that the processor was given."
        )
    cell = _patch(config)
    # The whole image, stretched to a square: its aspect ratio is not kept.
    edge = images_of.size.get("shortest_edge")
    square = (edge, edge) if edge else (images_of.size["width"], images_of.size["height"])
    base = _prepared(View.whole(size).resize(*square), images_of, pad=False)
    _check_size(base, images)
    # The tiles: resized with the aspect ratio kept, padded to the best of the resolutions, then cut.
    best = select_best_resolution((height, width), images_of.image_grid_pinpoints)
    new_height, new_width = get_patch_output_size(_blank(size), best, input_data_format="channels_first")
    resized = View.whole(size).resize(new_width, new_height)
    padded = resized.crop(-((best[1] - new_width) // 2), -((best[0] - new_height) // 2), best[1], best[0])
    tile = images_of.crop_size["height"] if images_of.crop_size else square[1]
    rows, columns = best[0] // tile, best[1] // tile
    if tuple(images["pixel_values"].shape)[-4] != rows * columns + 1:
        raise InputError(
            f"An image of {width} x {height} pixels has {rows} x {columns} tiles after the processor's "
            "image_grid_pinpoints, but the prompt holds another number. Use the processor that made it."
        )
    parts = np.stack(
        [_prepared(part, images_of, pad=False).boxes(*cell) for part in tiles(padded, rows, columns)]
    )
    down, across = parts.shape[1:3]
    whole = parts.reshape(rows, columns, down, across, 4).transpose(4, 0, 2, 1, 3)
    # The model's own un-padding, applied to the boxes in place of the features.
    kept = unpad_image(whole.reshape(4, rows * down, columns * across), (height, width)).transpose(1, 2, 0)
    newline = np.full((len(kept), 1, 4), np.nan)
    fine = np.concatenate([kept, newline], axis=1).reshape(-1, 4)
    coarse = _selected(_grid(base, *cell), processor, config)
    if len(coarse) != down * across:
        raise InputError(
            "Tiles can only be laid out without a class token: vision_feature_select_strategy must be "
            '"default" for a tower with one and "full" for a tower without.'
        )
    return np.concatenate([coarse, fine])


def queries(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """InstructBLIP: NaN. Its tokens are learned queries of a Q-Former; each reads the whole image."""
    return np.full((int(config.num_query_tokens), 4), np.nan)


def qwen_vl(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """Qwen2-VL, Qwen2.5-VL, Qwen3-VL: resized to whole cells of merged patches, row by row.

    The patches come in blocks and, in Qwen2.5-VL, pass through the tower in windows; both are undone before
    the features reach the language model.

    Raises
    ------
    InputError
        If the prompt holds more than one image or a video.
    """
    grids = images["image_grid_thw"].tolist()
    if len(grids) != 1 or grids[0][0] != 1:
        raise InputError(f"Boxes are for one still image; the prompt's image_grid_thw is {grids}.")
    merge = int(config.vision_config.spatial_merge_size)
    rows, columns = grids[0][1] // merge, grids[0][2] // merge
    # The resized image is exactly this many cells, so a cell may be counted as one pixel.
    return _grid(View.whole(size).resize(columns, rows), 1, 1)


def paligemma(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """PaliGemma: a plain resize, one grid.

    Raises
    ------
    InputError
        As `llava`.
    """
    view = _prepared(View.whole(size), _image_processor(processor, *PLAIN))
    _check_size(view, images)
    return _grid(view, *_patch(config))


def idefics3(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """Idefics3, SmolVLM: tiles row by row, then the whole image; each a grid of pixel-shuffled cells.

    Tiles and whole image are resized to whole frames: a single image is never padded.

    Raises
    ------
    InputError
        Different image processor, or a number of frames that does not match its settings.
    """
    from transformers.models.idefics3.image_processing_pil_idefics3 import get_resize_output_image_size

    images_of = _image_processor(processor, "Idefics3ImageProcessor", "SmolVLMImageProcessor")
    side = int(images_of.max_image_size["longest_edge"])
    width, height = size
    if images_of.do_resize:
        longest = images_of.size.get("longest_edge")
        height, width = (
            get_resize_output_image_size(_blank(size), longest)
            if longest
            else (images_of.size["height"], images_of.size["width"])
        )
    rows = columns = 1
    if images_of.do_image_splitting:
        # The longer side is rounded up to whole frames; the other follows it, then is rounded up too.
        ratio = width / height
        if width >= height:
            columns = math.ceil(width / side)
            rows = math.ceil(int(columns * side / ratio) / side)
        else:
            rows = math.ceil(height / side)
            columns = math.ceil(int(rows * side * ratio) / side)
    whole = View.whole(size)
    frames = [whole.resize(side, side)]
    if rows * columns > 1:
        frames = tiles(whole.resize(columns * side, rows * side), rows, columns) + frames
    _check_frames(frames, images)
    scale = int(config.scale_factor)
    return _merged(frames, _patch(config), scale)


def internvl(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """InternVL: tiles row by row, then the thumbnail (none if there is one tile); pixel-shuffled cells.

    Raises
    ------
    InputError
        As `idefics3`.
    """
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

    images_of = _image_processor(processor, "GotOcr2ImageProcessor")
    side = (images_of.size["width"], images_of.size["height"])
    whole = View.whole(size)
    frames = [whole.resize(*side)]
    if len(images["pixel_values"]) > 1:
        columns, rows = get_optimal_tiled_canvas(
            size[::-1], side[::-1], images_of.min_patches, images_of.max_patches
        )
        frames = tiles(whole.resize(columns * side[0], rows * side[1]), rows, columns) + frames
    _check_frames(frames, images)
    return _merged(frames, _patch(config), round(1 / config.downsample_ratio))


def gemma3(processor: Any, config: Any, size: tuple[int, int], images: Mapping[str, Any]) -> Boxes:
    """Gemma 3: a plain resize, patches averaged in square cells; with pan and scan, then each crop likewise.

    Crops lie side by side along the longer side.

    Raises
    ------
    InputError
        As `llava`.
    """
    images_of = _image_processor(processor, "Gemma3ImageProcessor")
    width, height = size
    whole = View.whole(size)
    views = [whole]
    crops = len(images["pixel_values"]) - 1
    if crops:
        columns, rows = (crops, 1) if width >= height else (1, crops)
        across, down = math.ceil(width / columns), math.ceil(height / rows)
        # The last one ends with the image.
        views += [
            whole.crop(left, top, min(across, width - left), min(down, height - top))
            for top in range(0, down * rows, down)
            for left in range(0, across * columns, across)
        ]
    frames = [_prepared(view, images_of) for view in views]
    _check_frames(frames, images)
    vision = config.vision_config
    pooled = (vision.image_size // vision.patch_size) // math.isqrt(config.mm_tokens_per_image)
    return _merged(frames, _patch(config), pooled)


# Steps that families share ----------------------------------------------------------------------------------


def _image_processor(processor: Any, *known: str) -> Any:
    """Return the image processor, if its class is one whose steps are known."""
    images_of = processor.image_processor
    name = type(images_of).__name__
    if name.removesuffix("Pil").removesuffix("Fast") not in known:
        raise InputError(
            f"Where image tokens lie in the image is not known for the image processor {name}. For this "
            f"family it is known for {', '.join(known)}."
        )
    return images_of


def _prepared(view: View, images_of: Any, pad: bool = True) -> View:
    """After pad to square, resize, centre crop and pad, as switched on."""
    from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio

    pads = pad and bool(images_of.do_pad)
    squares = hasattr(images_of, "pad_to_square")
    if pads and squares:
        side = max(view.width, view.height)
        view = view.crop(-((side - view.width) // 2), -((side - view.height) // 2), side, side)
    if images_of.do_resize:
        size = images_of.size
        shortest, longest = size.get("shortest_edge"), size.get("longest_edge")
        if shortest and longest:
            height, width = get_size_with_aspect_ratio((view.height, view.width), shortest, longest)
        elif shortest:
            height, width = get_resize_output_image_size(
                _blank((view.width, view.height)),
                shortest,
                default_to_square=False,
                input_data_format="channels_first",
            )
        elif size.get("height") and size.get("width"):
            height, width = size["height"], size["width"]
        else:
            raise InputError(f"Where image tokens lie is not known for an image processor of size {size}.")
        view = view.resize(width, height)
    if images_of.do_center_crop:
        width, height = images_of.crop_size["width"], images_of.crop_size["height"]
        # Floor division, also of negative numbers: then the crop pads.
        view = view.crop((view.width - width) // 2, (view.height - height) // 2, width, height)
    if pads and not squares and images_of.pad_size:
        view = view.crop(0, 0, images_of.pad_size["width"], images_of.pad_size["height"])
    return view


def _selected(boxes: Boxes, processor: Any, config: Any) -> Boxes:
    """With a NaN row for each token before the patches; the "default" strategy then drops the first."""
    extra = np.full((int(processor.num_additional_image_tokens), 4), np.nan)
    skipped = 1 if config.vision_feature_select_strategy == "default" else 0
    return np.concatenate([extra, boxes])[skipped:]


def _merged(frames: list[View], cell: tuple[int, int], factor: int) -> Boxes:
    """Return the grids of several frames, one after the other; factor x factor patches make one token."""
    return np.concatenate([_grid(frame, cell[0] * factor, cell[1] * factor) for frame in frames])


def _grid(view: View, cell_width: int, cell_height: int) -> Boxes:
    return view.boxes(cell_width, cell_height).reshape(-1, 4)


def _patch(config: Any) -> tuple[int, int]:
    """(width, height) of a patch in processed pixels."""
    patch = config.vision_config.patch_size
    if isinstance(patch, int):
        return patch, patch
    height, width = patch
    return int(width), int(height)


def _blank(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return a picture [3, height, width] without memory, for functions that want its shape only."""
    return np.broadcast_to(np.uint8(0), (3, size[1], size[0]))


def _check_size(view: View, images: Mapping[str, Any]) -> None:
    height, width = tuple(images["pixel_values"].shape)[-2:]
    if (width, height) != (view.width, view.height):
        raise InputError(
            f"The image processor gave {width} x {height} pixels where its settings say {view.width} x "
            f"{view.height}: where image tokens lie cannot be established. Use the processor that made the "
            "prompt."
        )


def _check_frames(frames: list[View], images: Mapping[str, Any]) -> None:
    _check_size(frames[0], images)
    given = tuple(images["pixel_values"].shape)[-4]
    if given != len(frames):
        raise InputError(
            f"The image processor gave {given} frames where its settings say {len(frames)}: where image "
            "tokens lie cannot be established. Use the processor that made the prompt."
        )
