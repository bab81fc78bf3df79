"""`trace`: which layers and tokens carry the difference between two inputs, by activation patching.

Causal tracing (Meng et al., Locating and Editing Factual Associations in GPT, NeurIPS 2022), with a minimal
pair in place of noise (NOTICE: Golovanevsky et al., 2024), over layers x token groups x components (FCCT:
Fine-grained Cross-modal Causal Tracing; V-SEAM: Wang, Hu & Jiang, EMNLP 2025).

One clean pass and one corrupt pass are made. A cell of the trace runs only the layers from its own on, and
only the tokens from the first patched one on; all groups of a layer run as one batch.

What a cell means. A high recovery: what is at these tokens in this layer is enough to change the answer. A
low one does not mean that it is not used: another path may carry the same (redundancy), and "noise" asks the
other question: which states the answer needs. A patch can also act through states that the model never has by
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.interventions import SITES
from isi_widget.mechanism import token_groups
from isi_widget.mechanism.arguments import Steps, check_inside, check_names, check_windows
from isi_widget.mechanism.causal_trace import DIRECTIONS, METHODS, CausalTrace
from isi_widget.mechanism.compared import LEAST, TARGETS
from isi_widget.mechanism.scan_store import Store
from isi_widget.mechanism.trace_runs import NoDifference, NoTokens, Plan, Traced, trace_pair
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM

Floats = npt.NDArray[np.float64]
#: Most random draws of tokens for each cell.
_MOST_DRAWS = 100


@with_bar
@at_the_model
def trace(
    vlm: VLM,
    clean: Any,
    corrupt: Any = None,
    *,
    sites: Sequence[str] = SITES,
    groups: Any = None,
    layers: Sequence[int] | None = None,
    window: int = 1,
    direction: str = "denoise",
    method: str = "exact",
    beside: Sequence[str] = (),
    target: str = "logit_difference",
    controls: int = 0,
    seed: int = 0,
    least: float | None = None,
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | None = None,
) -> CausalTrace:
    """Trace the difference between a clean and a corrupt input through a model.

    Parameters
    ----------
    vlm
        The model, with its interventions.
    clean
        A stimulus or an observation; or a `Pair`, or several of them, whose recoveries are averaged.
    corrupt
        The second stimulus; None where `clean` holds pairs.
    sites
        Where activations are patched: "residual" (input of the layer), "attention", "mlp"; default all.
    groups
        Tokens that are patched together: a group, several, or {name: group}. A group is "edited region",
        "other image", "edited words" (see `token_groups`) or what interventions take. Default: the parts of
        picture and texts, and the last token.
    layers
        First layers of the windows, counted from 0; None: every layer.
    window
        Number of layers patched together, from the first on; default 1.
    direction
        "denoise" (default): clean activations go into the corrupt run: which states are enough.
        "noise": corrupt ones go into the clean run: which are needed.
    method
        "exact" (default). "integrated": integrated gradients along the way from the base to the source states
        of each place, 8 steps; its cost does not grow with the number of groups, so that it can look at
        single tokens. "gradient": one gradient for all places (attribution patching: Nanda, 2023; AtP*:
        Kramar et al., 2024), which saturates: a shortlist. Both are compared with a few exact cells of each
        pair, see `CausalTrace.agreement`.
    beside
        With "exact": estimates to measure as well, "integrated" or "gradient".
    target
        "logit_difference" (default): logit of the first token of the true answer minus that of the corrupt
        side's; "p": probability of the former; "log_p_answer": log-probability of the whole clean answer.
    controls
        Number of draws of as many random tokens, of the same segments where these have enough; default 0.
    seed
        Seed of the draws; default 0.
    least
        Least difference of the target between the two runs; pairs below it are left out, since the recovery
        divides by it. Default 0.1, of probabilities 0.02.
    progress
        True (default) shows the time left; or a function, called as progress("trace", done, total).
    cancel
        Polled between the cells of two layers; if it returns True, `Cancelled` is raised. What is in the
        store stays.
    store
        File (JSON lines) or folder with the results so far. The same call goes on from there, after reading
        the two inputs of each pair again.

    Raises
    ------
    InputError
        If clean and corrupt do not differ in any pair (with the reasons), tokens of a single pair do not
        correspond, the inside of the model is not available, or a value is wrong.
    """
    check_inside(vlm, "A trace")
    plan = _plan(vlm, sites, groups, layers, window, direction, method, beside, target, controls, seed, least)
    every = _pairs(clean, corrupt)
    found: list[Traced] = []
    skipped: list[str] = []
    differs = False
    kept = Store(store, _identity(vlm, plan, every), "trace")
    step = Steps("trace", "The trace", len(every) * plan.steps, called(progress), cancel, kept.kept)
    for number, pair in enumerate(every):
        step.to(number * plan.steps)
        try:
            found.append(trace_pair(vlm, plan, pair, number, step, kept))
        except NoDifference as error:
            skipped.append(f"Pair {number} was left out: {error}" if len(every) > 1 else str(error))
            differs = differs or isinstance(error, NoTokens)
    step.to(step.total)
    if not found:
        beginning = "" if differs else "There is no difference to trace: "
        raise InputError(f"{beginning}{' '.join(skipped[:3])}")
    return _together(vlm, plan, found, skipped)


def _plan(
    vlm: VLM,
    sites: Any,
    groups: Any,
    layers: Any,
    window: Any,
    direction: str,
    method: str,
    beside: Any,
    target: str,
    controls: Any,
    seed: Any,
    least: Any,
) -> Plan:
    kinds = check_names(sites, "trace: sites", SITES)
    others = check_names(beside, "trace: beside", METHODS[1:], empty=True)
    checks.one_of(direction, "trace: direction", DIRECTIONS)
    checks.one_of(method, "trace: method", METHODS)
    checks.one_of(target, "trace: target", TARGETS)
    if others and method != "exact":
        raise InputError(f'trace: beside belongs to method="exact" only; got method={method!r}.')
    chosen, wide = check_windows(vlm, layers, window, "trace")
    if wide > 1 and (method != "exact" or others):
        raise InputError(
            "trace: gradients of several layers cannot be added up for a window, since layers of one window "
            'carry the same information. Use method="exact", or window=1.'
        )
    return Plan(
        kinds,
        None if groups is None else token_groups.check_groups(groups, "trace: groups"),
        chosen,
        wide,
        direction,
        method,
        others,
        target,
        checks.integer(controls, "trace: controls", low=0, high=_MOST_DRAWS),
        checks.integer(seed, "trace: seed", low=0),
        LEAST[target] if least is None else checks.number(least, "trace: least", low=0.0),
    )


def _pairs(clean: Any, corrupt: Any) -> tuple[Pair, ...]:
    if corrupt is not None:
        return (Pair(clean, corrupt),)
    if isinstance(clean, Pair):
        return (clean,)
    if isinstance(clean, Sequence) and clean and all(isinstance(item, Pair) for item in clean):
        return tuple(clean)
    got = f"{type(clean).__name__} alone"
    if isinstance(clean, list | tuple):
        kinds = ", ".join(dict.fromkeys(type(item).__name__ for item in clean)) or "nothing"
        got = f"a {type(clean).__name__} of {kinds}"
    raise InputError(
        "trace needs a clean and a corrupt stimulus, one isi.Pair or a list of them "
        f"([isi.Pair(clean, corrupt), ...]); got {got}."
    )


def _identity(vlm: VLM, plan: Plan, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what is traced, for a store."""
    return {
        "model": str(vlm.info().get("fingerprint")),
        "pairs": [[pair.clean.key, pair.corrupt.key, *pair.truths] for pair in pairs],
        "sites": plan.sites,
        "groups": None if plan.groups is None else {key: repr(group) for key, group in plan.groups.items()},
        "layers": plan.layers,
        "window": plan.window,
        "direction": plan.direction,
        "target": plan.target,
        "controls": [plan.controls, plan.seed],
    }


# All pairs --------------------------------------------------------------------------------------------------


def _together(vlm: VLM, plan: Plan, found: Sequence[Traced], skipped: Sequence[str]) -> CausalTrace:
    names = list(dict.fromkeys(name for one in found for name in one.groups))
    if plan.groups is None:  # groups of the usual order, the last token at the end
        names.sort(key=lambda name: name == "last")

    def placed(one: Traced, values: Floats) -> Floats:
        whole = np.full((*values.shape[:-1], len(names)), np.nan)
        whole[..., [names.index(name) for name in one.groups]] = values
        return whole

    estimates = {
        method: np.stack([placed(one, one.estimates[method]) for one in found]) for method in plan.beside
    }
    checked = [item for one in found for item in one.checked]
    return CausalTrace(
        pairs=tuple(one.pair for one in found),
        model=vlm.model_id,
        sites=plan.sites,
        layers=plan.layers,
        groups=tuple(names),
        window=plan.window,
        direction=plan.direction,
        method=plan.method,
        target=plan.target,
        words=tuple(one.compared.words for one in found),
        answers=tuple(one.answers for one in found),
        clean_values=np.array([one.clean for one in found]),
        corrupt_values=np.array([one.corrupt for one in found]),
        each=np.stack([placed(one, one.each) for one in found]),
        flips=np.stack([placed(one, one.flips) for one in found]),
        controls=np.stack([placed(one, one.controls) for one in found], axis=1),
        positions=tuple(tuple(one.groups.get(name, ()) for name in names) for one in found),
        estimates=estimates,
        agreement={
            method: _agreement([(a, b) for name, a, b in checked if name == method])
            for method in dict.fromkeys(name for name, _, _ in checked)
        },
        skipped=tuple(skipped),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _agreement(values: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """Return how estimates agree with exact values: Pearson's correlation (None without spread), difference.

    Most cells of a trace are near 0, so their ranks mean nothing.
    """
    one, two = np.array(values, dtype=np.float64).T
    spread = len(values) > 1 and min(np.ptp(one), np.ptp(two)) > 1e-9
    return {
        "cells": float(len(values)),
        "correlation": float(np.corrcoef(one, two)[0, 1]) if spread else None,
        "largest_difference": float(np.abs(one - two).max()),
    }
