"""Segment Anything (SAM, SAM 2) of transformers as segmenters: any checkpoint, local or on the hub.

Kirillov et al. 2023, "Segment Anything"; Ravi et al. 2024, "SAM 2". Pictures are prepared here, with Pillow
and PyTorch alone: the processor of SAM 2 in transformers needs torchvision. A checkpoint is loaded once, and
the features of the last picture are kept, so that a refinement takes milliseconds. Torch is imported at first
use. Not for tracking in videos.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget.concepts.segmenters import Found, Prompt, Segmenter
from isi_widget.errors import InputError
from isi_widget.pretrained.devices import choose_device
from isi_widget.pretrained.hub import fetch, find, progress_bars

if TYPE_CHECKING:
    import torch

# Mean and standard deviation of each channel, as in every published checkpoint.
_MEAN, _STD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=np.float32)
_EXAMPLES = {"sam": "facebook/sam-vit-base", "sam2": "facebook/sam2.1-hiera-tiny"}
_POINTS_OF_A_STROKE = 3
_lock = threading.RLock()
_loaded: dict[tuple[str, str, str], _Loaded] = {}


class Sam(Segmenter):
    """SAM of transformers.

    checkpoint : local folder or name on the hub; None (default): given with each call.
    device : device of the model; default "auto".
    """

    name: ClassVar[str] = "sam"
    title: ClassVar[str] = "Segment Anything"
    options: ClassVar[tuple[str, ...]] = ("checkpoint", "device")

    def __init__(self, checkpoint: str | Path | None = None, device: str = "auto") -> None:
        self.checkpoint, self.device = checkpoint, device

    def find(self, pixels: NDArray[np.uint8], prompt: Prompt, **options: Any) -> Found:
        """Find the object in a box, at points, or both. Strokes count as points along them."""
        checkpoint = options.get("checkpoint") or self.checkpoint
        if not isinstance(checkpoint, (str, Path)):
            example = _EXAMPLES[self.name]
            raise InputError(
                f'back_end "{self.name}" needs a checkpoint, a local folder or a name on the hub: '
                f"checkpoint={example!r}."
            )
        box = prompt.box
        if box is None and prompt.mask is not None and prompt.mask.any():
            rows, columns = np.flatnonzero(prompt.mask.any(axis=1)), np.flatnonzero(prompt.mask.any(axis=0))
            box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        points, labels = _points(prompt)
        if box is None and not any(labels):
            raise InputError(
                f'back_end "{self.name}" needs a box, or a point or stroke of the object; where it is not, '
                "alone, does not say where it is."
            )
        with _lock:
            loaded = _load(self.name, str(checkpoint), str(options.get("device") or self.device))
            inside = loaded.find(pixels, box, points, labels)
        if prompt.strokes:
            marks = prompt.marked(pixels.shape[:2])
            inside = (inside | marks.object) & ~marks.other
        return Found(inside)


class Sam2(Sam):
    """SAM 2 of transformers; parameters as for `Sam`."""

    name: ClassVar[str] = "sam2"
    title: ClassVar[str] = "Segment Anything 2"


def _points(prompt: Prompt) -> tuple[list[tuple[float, float]], list[int]]:
    """Return a few points along each stroke, and for each 1 (object) or 0 (not)."""
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    for stroke in prompt.strokes:
        count = min(_POINTS_OF_A_STROKE, len(stroke.points))
        places = np.linspace(0, len(stroke.points) - 1, count + 2)[1:-1] if count > 1 else [0]
        points += [stroke.points[round(float(place))] for place in places]
        labels += [int(stroke.object)] * count
    return points, labels


@dataclass
class _Loaded:
    """A loaded model with the features of the last picture."""

    kind: str
    model: Any
    side: int  # pixels of a side of the model's input
    seen: tuple[str, Any] = field(default=("", None))

    def find(
        self,
        pixels: NDArray[np.uint8],
        box: tuple[int, int, int, int] | None,
        points: list[tuple[float, float]],
        labels: list[int],
    ) -> NDArray[np.bool_]:
        """Return the pixels of the object, bool [height, width]."""
        import torch

        high, wide = pixels.shape[:2]
        resized = self._resized(wide, high)
        scale = np.array([resized[0] / wide, resized[1] / high], dtype=np.float32)
        given: dict[str, Any] = {}
        if points:
            given["input_points"] = self._tensor((np.array(points, np.float32) * scale)[None, None])
            given["input_labels"] = self._tensor(np.array(labels, np.int64)[None, None])
        if box is not None:
            given["input_boxes"] = self._tensor(
                (np.array(box, np.float32).reshape(2, 2) * scale).reshape(1, 1, 4)
            )
        several = box is None and len(points) == 1  # one point alone may mean a part or the whole
        with torch.inference_mode():
            features = self._features(pixels, resized)
            output = self.model(image_embeddings=features, multimask_output=several, **given)
            best = int(output.iou_scores[0, 0].argmax())
            found = output.pred_masks[:, :1, best].float()
            if self.kind == "sam":  # the picture fills only a part of the square input
                side = (self.side, self.side)
                found = torch.nn.functional.interpolate(found, side, mode="bilinear", align_corners=False)
                found = found[..., : resized[1], : resized[0]]
            found = torch.nn.functional.interpolate(found, (high, wide), mode="bilinear", align_corners=False)
            inside: NDArray[np.bool_] = (found[0, 0] > 0).cpu().numpy()
        return inside

    def _resized(self, wide: int, high: int) -> tuple[int, int]:
        """Return the size of the picture in the model's input: SAM keeps its proportions, SAM 2 does not."""
        if self.kind == "sam2":
            return self.side, self.side
        scale = self.side / max(wide, high)
        return max(1, int(wide * scale + 0.5)), max(1, int(high * scale + 0.5))

    def _features(self, pixels: NDArray[np.uint8], resized: tuple[int, int]) -> Any:
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        key = digest.hexdigest()
        if self.seen[0] != key:
            small = Image.fromarray(pixels).resize(resized, Image.Resampling.BILINEAR)
            values = (np.asarray(small, dtype=np.float32) / 255 - _MEAN) / _STD
            whole = np.zeros((self.side, self.side, 3), dtype=np.float32)
            whole[: resized[1], : resized[0]] = values
            shown = self._tensor(whole.transpose(2, 0, 1)[None].copy())
            self.seen = (key, self.model.get_image_embeddings(shown))
        return self.seen[1]

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        import torch

        return torch.from_numpy(values).to(self.model.device)


def _load(kind: str, checkpoint: str, device: str) -> _Loaded:
    """Load a checkpoint, once per device; the one before it is freed."""
    place = choose_device(device)
    key = (kind, checkpoint, str(place))
    if key in _loaded:
        return _loaded[key]
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        folder = _downloaded(checkpoint)
    model = _model(kind, folder, checkpoint).to(place).eval()
    config = model.config
    side = config.vision_config.image_size if kind == "sam" else config.prompt_encoder_config.image_size
    if not isinstance(side, int):
        side = int(side[0])
    _loaded.clear()
    _loaded[key] = _Loaded(kind, model, side)
    return _loaded[key]


def _downloaded(name: str) -> Path:
    repository = find(name)
    wanted = [
        file
        for file in repository.files
        if file == "config.json" or (file.startswith("model") and ".safetensors" in file)
    ]
    if repository.files and not any(file.endswith(".safetensors") for file in wanted):
        raise InputError(f"{name!r} has no weights as safetensors; choose a checkpoint that has.")
    return fetch(repository, sorted(wanted))


def _model(kind: str, folder: Path, name: str) -> Any:
    import torch
    import transformers

    maker = transformers.SamModel if kind == "sam" else transformers.Sam2Model
    try:
        with progress_bars(shown=False):
            model, report = maker.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{name!r} is no checkpoint for back_end {kind!r}: {error}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise InputError(
            f"{name!r} is no checkpoint for back_end {kind!r}: it lacks {len(missing)} weights, such as "
            f"{missing[0]}. Give a {'SAM' if kind == 'sam' else 'SAM 2'} checkpoint such as "
            f"{_EXAMPLES[kind]!r}."
        )
    return model
