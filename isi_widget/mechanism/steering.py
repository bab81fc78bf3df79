"""`steering_direction`: a direction in the residual stream, from pairs that differ in one thing.

The mean over pairs of (state of the clean side - state of the corrupt side), at the output of one layer: the
difference of means of Rimsky et al. (ACL 2024) and, for vision-language models, of Liu et al. (VTI, ICLR
2025). It points from what the corrupt side shows to what the clean side shows, as far as these pairs share
it. That it steers answers must be shown (`isi.Steer`), beside a random direction of the same norm
(`SteeringDirection.random`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.concepts.pair import Pair, stimulus_of
from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.interventions import SteeringDirection
from isi_widget.interventions.tokens import Tokens, check_tokens, words
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.gating import check_cancel, shape_of
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.stimulus import Stimulus
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM


@with_bar
@at_the_model
def steering_direction(
    vlm: VLM,
    pairs: Sequence[Any] | Pair,
    layer: int,
    *,
    tokens: Any = "last",
    progress: Shown = True,
    cancel: Cancel | None = None,
) -> SteeringDirection:
    """Return the mean difference of the residual stream between the sides of pairs.

    Parameters
    ----------
    pairs
        `isi.Pair` objects, or tuples of two stimuli or observations: the direction points to the first.
    layer
        The layer at whose output states are compared, counted from 0.
    tokens
        Where: a group of tokens, positions in the prompt, or `ImageTokens(region)`; the mean over the group
        is taken. "last" (default): the token that predicts the first answer token.
    progress, cancel
        True (default) shows the time left; or called with ("pairs", done, total). `cancel` is
        polled between forward passes.

    Returns
    -------
    SteeringDirection
        For `isi.Steer`; `made` gives the number of pairs and how well their differences agree (mean cosine
        with their mean: 1 for one pair, near 0 for unrelated differences).

    Raises
    ------
    InputError
        Without pairs, for a layer that the model does not have, or an empty group of tokens.
    Cancelled
        If `cancel` returned True.
    """
    import torch

    check_inside(vlm, "A direction")
    found = _pairs(pairs)
    group = check_tokens(tokens, "tokens")
    layers, _ = shape_of(vlm)
    checks.integer(layer, "layer", low=0, high=layers - 1, hint="Layers are counted from 0.")
    differences = []
    report = called(progress)
    if report is not None:
        report("pairs", 0, len(found))
    for index, (clean, corrupt) in enumerate(found):
        states = []
        for side in (clean, corrupt):
            check_cancel(cancel)
            states.append(_state(vlm, side, layer, group))
        differences.append(states[0] - states[1])
        if report is not None:
            report("pairs", index + 1, len(found))
    stacked = torch.stack(differences)
    mean = stacked.mean(dim=0)
    if not bool(mean.any()):
        raise InputError(
            "The two sides of the pairs have the same states at these tokens, so there is no direction from "
            "one to the other. Give pairs that differ there, or a later layer."
        )
    agreement = float(torch.nn.functional.cosine_similarity(stacked, mean[None], dim=-1).mean())
    made = (
        f"mean of {len(found)} {'difference' if len(found) == 1 else 'differences'}, clean - corrupt, at "
        f"{words(group)}, {vlm.model_id}; mean cosine {agreement:.2f}"
    )
    return SteeringDirection(tuple(mean.tolist()), layer, made)


def _state(vlm: VLM, stimulus: Stimulus, layer: int, group: Tokens) -> torch.Tensor:
    """Return the mean state [hidden], float64 on the CPU, of a group of tokens at the output of a layer."""
    from isi_widget.vlm.inside.groups import span_of
    from isi_widget.vlm.inside.rerun import capture

    with vlm.lock:
        prompt = vlm.encode(stimulus)
        span = span_of(group, prompt, lambda: vlm.boxes(prompt)).prompt
        if not bool(span.any()):
            raise InputError(f"A prompt has no token of the group {words(group)}; a state is the mean of it.")
        clean = capture(vlm, prompt)
    states = clean.output(layer)
    return states[0, span.to(states.device)].double().mean(dim=0).cpu()


def _pairs(pairs: Any) -> list[tuple[Stimulus, Stimulus]]:
    one = isinstance(pairs, Pair) or (
        isinstance(pairs, tuple)
        and len(pairs) == 2
        and all(isinstance(side, Stimulus | Observation) for side in pairs)
    )
    given = [pairs] if one else pairs
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"pairs must be a sequence of isi.Pair objects; got {type(given).__name__}.")
    found = []
    for index, pair in enumerate(given):
        sides = (pair.clean, pair.corrupt) if isinstance(pair, Pair) else pair
        if not isinstance(sides, tuple | list) or len(sides) != 2:
            raise InputError(
                f"pairs[{index}] must be an isi.Pair or a tuple of two stimuli or observations; "
                f"got {type(pair).__name__}."
            )
        one_side, other = (stimulus_of(side, f"pairs[{index}][{at}]") for at, side in enumerate(sides))
        found.append((one_side, other))
    if not found:
        raise InputError("A direction needs at least one pair; got none.")
    return found
