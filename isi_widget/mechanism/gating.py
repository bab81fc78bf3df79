"""Items run under many sets of head gates: one clean pass an item, the sets as one batch above it.

    scores = score(vlm, items, sets)        sets [sets, layers, heads]: a factor for each head

The layers below the lowest gate that differs from 1 are computed once for all sets (`vlm.inside.rerun`). A
set of ones is the clean pass itself. Not for one answer under one set (`VLM.intervene(HeadGates(...))`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.items import Aim, Item, aim_of
from isi_widget.mechanism.scan_store import Store

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel, Progress
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.rerun import Clean

#: Step and number of directions of finite differences.
_STEP, _DIRECTIONS = 0.02, 3
_STORED = ("p", "difference", "right")
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scores:
    """How items come out under sets of gates.

    Attributes
    ----------
    p
        [sets, items] probability of the first token of the true answer.
    difference
        [sets, items] its logit - that of the wrong answer's first token.
    right
        [sets, items] whether it is the most likely of all tokens.
    """

    p: Floats
    difference: Floats
    right: Bools


def score(
    vlm: VLM,
    items: Sequence[Item],
    sets: Floats,
    *,
    stage: str = "items",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    store: Store | None = None,
) -> Scores:
    """Run items under sets of gates.

    Parameters
    ----------
    sets
        [sets, layers, heads] factors; 1 changes nothing.
    stage
        Name of the stage in the progress.
    progress, cancel
        Called with (stage, items done, items); polled between forward passes.
    store
        Results so far, under the name of the stage; None: nothing is stored.

    Raises
    ------
    InputError
        What reading an item or finding the tokens of its answers raises.
    Cancelled
        If `cancel` returned True.
    """
    import torch

    kept = Store(None, {}) if store is None else store
    shapes = {name: (len(sets),) for name in _STORED}
    known = {index: kept.get(stage, index, shapes) for index in range(len(items))}
    found = {index: made for index, made in known.items() if made is not None}
    for index, clean, aim in passes(vlm, items, stage, progress, cancel, done=found):
        with torch.no_grad():
            logits = gated_logits(clean, torch.from_numpy(np.asarray(sets, dtype=np.float32)))[:, 0]
        found[index] = {
            "p": logits.double().softmax(dim=-1)[:, aim.right].cpu().numpy(),
            "difference": (logits[:, aim.right] - logits[:, aim.wrong]).double().cpu().numpy(),
            "right": (logits.argmax(dim=-1) == aim.right).cpu().numpy(),
        }
        kept.keep(stage, index, found[index])
    arrays = (np.stack([found[index][name] for index in range(len(items))], axis=1) for name in _STORED)
    return Scores(*arrays)


def identity_of(vlm: VLM, items: Sequence[Item], *arrays: Floats) -> dict[str, Any]:
    """Return what a run is of, for a store: model, items, and a digest of arrays of numbers."""
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
    return {
        "model": str(vlm.info().get("fingerprint")),
        "items": [[item.stimulus.key, item.answer, item.wrong] for item in items],
        "numbers": digest,
    }


def passes(
    vlm: VLM,
    items: Sequence[Item],
    stage: str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    done: Container[int] = (),
) -> Iterator[tuple[int, Clean, Aim]]:
    """Yield the number of each item that is not done, its clean pass and the tokens of its answers; the model
    is locked meanwhile.
    """
    from isi_widget.vlm.inside.rerun import capture

    if progress is not None:
        progress(stage, 0, len(items))
    for index, item in enumerate(items):
        check_cancel(cancel)
        if index not in done:
            with vlm.lock, vlm.explained(f"running {stage}"):
                clean = capture(vlm, vlm.encode(item.stimulus))
                check_cancel(cancel)
                yield index, clean, aim_of(vlm, item, clean.logits[0])
        if progress is not None:
            progress(stage, index + 1, len(items))


def check_cancel(cancel: Cancel | None) -> None:
    """Raise `Cancelled` if the caller asks for it."""
    if cancel is not None and cancel():
        raise Cancelled("The run was cancelled. What is in its store, if it has one, stays.")


def gated_logits(clean: Clean, sets: torch.Tensor) -> torch.Tensor:
    """Return the logits [sets, rows, vocabulary] of a prompt under sets of gates [sets, layers, heads].

    Differentiable with respect to the gates, where gradients are on.
    """
    from isi_widget.vlm.inside.rerun import Edit

    changed = (sets.detach() != 1).flatten(2).any(dim=2).any(dim=0)
    changed |= bool(sets.requires_grad)
    layers: list[int] = changed.nonzero().squeeze(1).tolist()
    if not layers:
        return clean.logits.expand(len(sets), -1, -1)

    def gate(layer: int) -> Edit:
        def function(states: torch.Tensor, chunk: range) -> torch.Tensor:
            factors = sets[chunk.start : chunk.stop, layer].to(states.device)
            wide = factors.repeat_interleave(states.shape[-1] // factors.shape[1], dim=1)
            return (states * wide[:, None]).to(states.dtype)

        return Edit(layer, "heads", function)

    return clean.run_from(layers[0], edits=list(map(gate, layers)), batch=len(sets))


def check_gradient(clean: Clean, value: Callable[[torch.Tensor], torch.Tensor], gates: torch.Tensor) -> None:
    """Compare the gradient of a value with respect to gates with finite differences, in a few directions.

    Kernels of quantised weights may lose gradients silently (bitsandbytes repacks 4-bit weights on some
    processors).

    Parameters
    ----------
    value
        Function from logits [sets, rows, vocabulary] to values [sets].
    gates
        [layers, heads] where the gradient is taken.

    Raises
    ------
    InputError
        If they differ by more than rounding and curvature.
    """
    import torch

    with torch.enable_grad():
        at = gates.detach().clone().requires_grad_(True)
        logits = gated_logits(clean, at[None])
        (gradient,) = torch.autograd.grad(value(logits)[0], [at])
    stream = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (_DIRECTIONS, *gates.shape), generator=stream) * 2.0 - 1.0
    with torch.no_grad():
        moved = value(gated_logits(clean, torch.cat([gates + _STEP * signs, gates - _STEP * signs])))
    measured = (moved[:_DIRECTIONS] - moved[_DIRECTIONS:]).cpu() / (2 * _STEP)
    expected = (gradient.cpu() * signs).flatten(1).sum(dim=1)
    off, size = (measured - expected).norm(), max(measured.norm(), expected.norm())
    rounding = torch.finfo(clean.final.dtype).eps * float(logits.detach().abs().max()) / _STEP
    if not off <= 0.3 * size + 8 * rounding:
        raise InputError(
            f"Gradients of this model are wrong: where the output changes by {measured.tolist()}, they "
            f"give {expected.tolist()}. Some kernels of quantised weights lose them. Load the model with "
            'load_vlm, or without quantization, or use method="contributions".'
        )


def shape_of(vlm: VLM) -> tuple[int, int]:
    """Return (layers, heads) of a model."""
    from isi_widget.vlm.inside.sites import sites

    found = sites(vlm.model, vlm.family)
    return len(found.layers), found.heads
