"""Attribution patching: estimates of every cell of a trace from gradients, for each token by itself.

The recovery of a token is estimated as (source state - base state) . gradient of the target.

- "gradient": the gradient of the base run, for all places in one backward pass (attribution patching: Nanda,
  2023; AtP*: Kramar et al., 2024). The model is sure of its answer there, so the gradient is close to 0 and
  misses much of the effect.
- "integrated": the mean gradient at 8 points on the way from the base to the source states of a place
  (integrated gradients: Sundararajan et al., 2017; between activations: Marks et al., Sparse Feature
  Circuits, 2024). Over all tokens of a place it sums to what patching all of them does. Points on the way
  between the embeddings alone (EAP-IG: Hanna et al., 2024) need fewer passes and are less exact.

Correlation with exact cells on the embedded model, four kinds of pairs: .93 to .98, between embeddings .86 to
.96, of one gradient .56 to .64 (docs/make_paths.py).

Weights keep no gradients. Not for exact values (see `tracing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import InputError
from isi_widget.pretrained.quantization import computes_in

if TYPE_CHECKING:
    import torch

    from isi_widget.mechanism.trace_runs import Runs

#: Points on the way from base to source.
STEPS = 8
#: Step of a finite difference, as a share of the way.
_STEP = 0.02
Place = tuple[str, int]


def attributions(
    runs: Runs, sites: Sequence[str], layers: Sequence[int], method: str
) -> npt.NDArray[np.float64]:
    """Return the estimated recovery of each token alone, [sites, layers, prompt tokens of the base run].

    Parameters
    ----------
    method
        "integrated" or "gradient".

    Raises
    ------
    InputError
        If gradients of a quantised model are lost (`check_gradient`).
    """
    if computes_in(runs.base.vlm.model) is not None:
        check_gradient(runs)
    places = [(site, layer) for site in sites for layer in layers]
    if method == "gradient":
        found = _at_base(runs, places)
    else:
        found = {place: _integrated(runs, place) for place in places}
    tokens, shares = len(runs.base.prompt), []
    for place in places:
        change = _change(runs, *place)
        products = (found[place].double() * change[0, -len(found[place]) :].double()).sum(dim=-1).cpu()
        each = np.zeros(runs.base.tokens)
        each[-len(products) :] = products.numpy()
        shares.append(each[:tokens])
    whole = np.stack(shares).reshape(len(sites), len(layers), tokens)
    return whole / (runs.source_value - runs.base_value)


def check_gradient(runs: Runs) -> None:
    """Compare the slope of the target, from the base towards the source, with a finite difference.

    Kernels of quantised weights may lose gradients silently (bitsandbytes repacks 4-bit weights on some
    processors).

    Raises
    ------
    InputError
        If they differ by more than rounding and curvature.
    """
    import torch

    base, change = runs.base, _change(runs, "residual", 0)
    gradient = _at_base(runs, [("residual", 0)])["residual", 0]
    expected = float((gradient.double() * change[0].double()).sum())
    steps = torch.tensor([_STEP, -_STEP]).to(change)[:, None, None]
    moved = runs.compared.value(base.run_from(0, base.inputs[0] + steps * change)).double()
    measured = float(moved[0] - moved[1]) / (2 * _STEP)
    rounding = torch.finfo(change.dtype).eps * float(base.logits.abs().max()) / _STEP
    if not abs(measured - expected) <= 0.3 * max(abs(measured), abs(expected)) + 8 * rounding:
        raise InputError(
            f"Gradients of this model are wrong: they give a slope of {expected:.3g} where the target "
            f"changes by {measured:.3g}. Some kernels of quantised weights lose them. Load the model with "
            'load_vlm, or without quantization, or use method="exact".'
        )


def _change(runs: Runs, site: str, layer: int) -> torch.Tensor:
    """Return source minus base states [1, T, width]; 0 for tokens that do not correspond."""
    import torch

    base, source = (runs.states(run, site, layer) for run in (runs.base, runs.source))
    change = torch.zeros_like(base)
    rows = [row for row, partner in enumerate(runs.alignment.partners) if partner >= 0]
    partners = [runs.alignment.partners[row] for row in rows]
    change[0, rows] = source[0, partners].to(base) - base[0, rows]
    return change


def _integrated(runs: Runs, place: Place) -> torch.Tensor:
    """Return the mean gradient [T, width] on the way from the base to the source states of a place."""
    import torch

    from isi_widget.vlm.inside.rerun import Edit

    site, layer = place
    base, change = runs.states(runs.base, site, layer), _change(runs, site, layer)
    points = (torch.arange(STEPS) + 0.5) / STEPS
    total = torch.zeros_like(base[0])
    size = max(1, runs.base.at_once() // runs.base.layers)  # the states of all layers are held
    for start in range(0, STEPS, size):
        part = points[start : start + size, None, None].to(base)
        with torch.enable_grad():
            states = (base + part * change).detach().requires_grad_()
            logits = runs.base.run_from(
                layer, edits=[Edit(layer, site, _given(states))], batch=len(part), at_once=len(part)
            )
            (gradient,) = torch.autograd.grad(runs.compared.value(logits).sum(), [states])
        total += gradient.sum(dim=0)
    return total / STEPS


def _given(states: torch.Tensor) -> Any:
    """Return an edit that puts states in place of those of a run, as far as it has their tokens."""
    return lambda found, chunk: states[:, -found.shape[1] :]


def _at_base(runs: Runs, places: Sequence[Place]) -> dict[Place, torch.Tensor]:
    """Return the gradients [T or fewer last tokens, width] of the base run at all places."""
    import torch

    from isi_widget.vlm.inside.rerun import Edit

    states: dict[Place, torch.Tensor] = {}

    def keeper(place: Place) -> Any:
        def keep(found: torch.Tensor, chunk: range) -> torch.Tensor:
            states[place] = found
            return found

        return keep

    with torch.enable_grad():
        start = runs.base.inputs[0].detach().clone().requires_grad_()
        edits = [Edit(layer, site, keeper((site, layer))) for site, layer in places]
        logits = runs.base.run_from(0, start, edits=edits)
        total = runs.compared.value(logits).sum()
        found = torch.autograd.grad(total, [states[place] for place in places], allow_unused=True)
    return {
        place: torch.zeros_like(states[place][0]) if gradient is None else gradient[0]
        for place, gradient in zip(places, found, strict=True)
    }
