"""`DiffusionInpainter`: in-painting by a pipeline of diffusers (extra `isi-widget[inpaint]`).

The pipeline gets the hole with its surroundings, resized to the size that it was trained for, and works for
any picture. Source of the method: Rombach et al., "High-resolution image synthesis with latent diffusion
models" (CVPR 2022). Torch and diffusers are imported at first use. Not for painting the result (see
`isi_widget.stimulus.holes`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isi_widget import checks
from isi_widget.errors import Cancelled, InputError
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus.inpainting import Inpainter, check_name, register_inpainter

_LEAST_MARGIN = 32  # pixels
_STAGE = "inpainting"
_SETTINGS = {"title", "steps", "guidance", "strength", "negative_prompt", "size"}


class DiffusionInpainter(Inpainter):
    """An in-painter made of a diffusers pipeline. Slow: its pixels are computed when requested, and
    then stored.

    Parameters
    ----------
    pipeline : pipeline of diffusers with the arguments `prompt`, `image` and `mask_image`, such as
        `StableDiffusionInpaintPipeline`.
    name : name of the in-painter.
    title : name on the page; default the name.
    steps : number of denoising steps; default 30.
    guidance : weight of the prompt (classifier-free guidance); default 7.5.
    strength : share of the noise that the hole starts with, above 0 and at most 1; default 1.
    negative_prompt : description of what the hole should not show; default "".
    size : longer side that pictures are resized to for the pipeline, pixels; None (default): its own.
    """

    quick, prompt = False, True

    def __init__(
        self,
        pipeline: Any,
        name: str,
        *,
        title: str | None = None,
        steps: int = 30,
        guidance: float = 7.5,
        strength: float = 1.0,
        negative_prompt: str = "",
        size: int | None = None,
    ) -> None:
        self.name = check_name(name, "name")
        self.title = title or name
        self.pipeline = pipeline
        self.steps = checks.integer(steps, "steps", low=1, high=1000)
        self.guidance = checks.number(guidance, "guidance", low=0, high=100)
        self.strength = checks.number(strength, "strength", low=0.01, high=1)
        self.negative_prompt = checks.text(negative_prompt, "negative_prompt")
        self._multiple = int(getattr(pipeline, "vae_scale_factor", 8))
        self.size = _own_size(pipeline) if size is None else checks.integer(size, "size", low=8, high=4096)
        self._lock = threading.Lock()

    def margin(self, width: int, height: int) -> int:
        """Return half of the longer side of the hole: the pipeline needs to see what is around it."""
        return max(_LEAST_MARGIN, max(width, height) // 2)

    def fill(
        self,
        image: NDArray[np.uint8],
        hole: NDArray[np.bool_],
        *,
        prompt: str = "",
        seed: int = 0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[np.uint8]:
        """Return the image with its hole filled.

        Raises
        ------
        Cancelled : `cancel` returned True.
        OutOfMemory : the device has too little memory for the pipeline.
        """
        import torch

        from isi_widget.pretrained.out_of_memory import out_of_memory_as_error

        height, width = hole.shape
        target = _resized(width, height, self.size, self._multiple)
        picture = Image.fromarray(image).resize(target, Image.Resampling.LANCZOS)
        mask = Image.fromarray(hole.astype(np.uint8) * np.uint8(255)).resize(target, Image.Resampling.BOX)
        mask = mask.point(lambda value: 255 if value else 0)
        total = max(1, min(self.steps, int(self.steps * self.strength)))

        def step(pipeline: Any, done: int, _: Any, values: dict[str, Any]) -> dict[str, Any]:
            if cancel is not None and cancel():
                raise Cancelled("The in-painting was cancelled; nothing was changed.")
            if progress is not None:
                progress(_STAGE, min(done + 1, total), total)
            return values

        if progress is not None:
            progress(_STAGE, 0, total)
        advice = "Give a smaller size=..., or device='cpu' when loading the in-painter."
        with self._lock, out_of_memory_as_error("in-painting", advice):
            if cancel is not None and cancel():
                raise Cancelled("The in-painting was cancelled; nothing was changed.")
            made = self.pipeline(
                prompt=prompt,
                negative_prompt=self.negative_prompt,
                image=picture,
                mask_image=mask,
                width=target[0],
                height=target[1],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                strength=self.strength,
                generator=torch.Generator("cpu").manual_seed(seed),
                callback_on_step_end=step,
            )
        found = made.images[0].convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        return np.array(found, dtype=np.uint8)


def load_inpainter(
    checkpoint: str | Path,
    name: str | None = None,
    *,
    device: str = "auto",
    revision: str | None = None,
    **settings: Any,
) -> DiffusionInpainter:
    """Load an in-painting pipeline of diffusers and register it, also for the page.

    Parameters
    ----------
    checkpoint : local folder or name on the hub, such as
        "stable-diffusion-v1-5/stable-diffusion-inpainting"; weights are read as safetensors only.
    name : name of the in-painter; None (default): the last part of `checkpoint`.
    device : device; "auto" (default) is a GPU if there is one.
    revision : commit or branch on the hub; None (default): its main branch.
    settings : `title`, `steps`, `guidance`, `strength`, `negative_prompt`, `size` of `DiffusionInpainter`.

    Raises
    ------
    InputError : the extra is not installed, or the checkpoint cannot be loaded.
    """
    if not isinstance(checkpoint, (str, Path)) or not str(checkpoint):
        raise InputError(f"checkpoint must be a folder or a name on the hub, got {checks.shown(checkpoint)}.")
    unknown = sorted(set(settings) - _SETTINGS)
    if unknown:
        raise InputError(
            f"load_inpainter has no setting {unknown[0]!r}; it has {', '.join(sorted(_SETTINGS))}."
        )
    title = check_name(Path(checkpoint).name if name is None else name, "name")
    try:
        from diffusers import AutoPipelineForInpainting
    except ImportError as error:
        raise InputError(
            f"In-painting by a diffusion model needs diffusers ({error}): pip install 'isi-widget[inpaint]'. "
            'The in-painters "membrane", "telea" and "navier-stokes" need nothing more.'
        ) from None
    import torch

    from isi_widget.pretrained.devices import choose_device

    chosen = choose_device(device)
    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(
            str(checkpoint),
            revision=revision,
            use_safetensors=True,
            **({} if chosen.type == "cpu" else {"torch_dtype": torch.float16}),
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{str(checkpoint)!r} cannot be loaded as an in-painting pipeline of diffusers: {error} Give a "
            "folder or a name on the hub that has a model_index.json and safetensors."
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    made = DiffusionInpainter(pipeline.to(chosen), title, **settings)
    register_inpainter(made)
    return made


def _own_size(pipeline: Any) -> int:
    """Return the side of the pictures that a pipeline was trained for."""
    inner = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    side = getattr(getattr(inner, "config", None), "sample_size", None)
    return int(side) * int(getattr(pipeline, "vae_scale_factor", 8)) if isinstance(side, int) else 512


def _resized(width: int, height: int, side: int, multiple: int) -> tuple[int, int]:
    """Return width and height with the longer side `side`, both multiples of 8 and of `multiple`."""
    step = int(np.lcm(8, multiple))
    scale = side / max(width, height)
    return max(step, round(width * scale / step) * step), max(step, round(height * scale / step) * step)
