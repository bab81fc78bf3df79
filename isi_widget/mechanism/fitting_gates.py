"""`fit_gates`: head gates that make a model more often right, and whether they do on items never used to fit.

"contributions": V-SEAM's rule (Wang, Hu, Jiang, EMNLP 2025), gates = clip(1 + strength * score, 0, 2), where
score is the signed contribution of each head on `train`, divided by the largest absolute one. (The raw
contributions are so small that strength 1 changes nothing; hence normalised, with the strength chosen.)
"gradient": the gates themselves are optimised on `train` by gradient descent on -log p(true answer), weights
untouched, with a penalty that keeps them near 1.

The strength, or how long to train, is chosen on `validation`, no change among the choices. What is reported
is measured on a third set, beside random gates of the same size: the fitted factors given to random heads.
The published code fits and tests on the same items, where any gates gain; here no item may be in two sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.interventions import HeadGates
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.gate_fit import GateFit
from isi_widget.mechanism.gating import (
    Scores,
    check_gradient,
    gated_logits,
    identity_of,
    passes,
    score,
    shape_of,
)
from isi_widget.mechanism.items import Item, items_of, usable
from isi_widget.mechanism.measuring_heads import measure_heads
from isi_widget.mechanism.recorded import matrix
from isi_widget.mechanism.scan_store import Store
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM

METHODS = ("contributions", "gradient")
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
#: What the two halves of `validation` are called where there is no test set.
HALVES = ("the first half of validation", "its second half")
_BATCH = 8
_RATE = 0.05
_LOW, _HIGH = 0.0, 2.0
Floats = npt.NDArray[np.float64]


@with_bar
@at_the_model
def fit_gates(
    vlm: VLM,
    train: Any,
    validation: Any,
    test: Any = None,
    *,
    method: str = "contributions",
    contributions: Any = None,
    strengths: Sequence[float] = STRENGTHS,
    epochs: int = 5,
    penalty: float = 0.1,
    random: int = 20,
    seed: int = 0,
    on_error: str = "raise",
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | None = None,
) -> GateFit:
    """Fit gates of all heads, and report their accuracy before and after on a held-out split.

    Parameters
    ----------
    train
        Items that the gates are fitted on, as for `measure_heads`.
    validation
        Items that the strength (or the number of epochs) is chosen on.
    test
        Held-out items for the report. None: `validation` is split in two by `seed`, one half to choose and
        one to report.
    method
        "contributions" (default) or "gradient".
    contributions
        With "contributions": `HeadContributions` of `train`; default: they are measured (exact, target
        "logit_difference").
    strengths
        With "contributions": strengths to choose from, beside 0 (no change).
    epochs
        With "gradient": passes over `train`, at most; default 5.
    penalty
        With "gradient": weight of the mean squared distance of the gates from 1; default 0.1.
    random
        Number of random gates of the same size; default 20.
    seed
        Seed of the split, of the order of items and of the random gates; default 0.
    on_error
        "raise" (default), or "skip": items that cannot be used (a damaged picture, too long a text, no known
        answer) are left out, with a warning. Each item is then read once more.
    progress, cancel
        True (default) shows the time left; or called with (stage, done, total). `cancel` is
        polled between forward passes.
    store
        File (JSON lines) or folder with the results so far. The same call goes on from there. Contributions
        that are measured here are not in it: give them, with a store of their own.

    Returns
    -------
    GateFit
        With `gates` (an intervention: `vlm.intervene(fit.gates)`), `gain`, its interval and p-value, and
        `verdict` in words. A gain that is not there is reported as not there.

    Raises
    ------
    InputError
        For empty sets, an item (equal stimulus and answer) in more than one of them, too few validation items
        to split, settings without meaning, or a quantised model whose gradients are wrong.
    Cancelled
        If `cancel` returned True.
    """
    check_inside(vlm, "A fit of gates")
    checks.one_of(method, "fit_gates: method", METHODS)
    if contributions is not None and method != "contributions":
        raise InputError(f'fit_gates: contributions belong to method="contributions"; got method={method!r}.')
    seed = checks.integer(seed, "fit_gates: seed", low=0)
    draws = checks.integer(random, "random", low=1, high=1000)
    train, validation, test = (
        None if one is None else usable(vlm, one, on_error, "fit_gates", cancel)[0]
        for one in (train, validation, test)
    )
    fitted_on = items_of(train)
    chosen_on, held_out = _splits(validation, test, seed)
    names_of = ("train", "validation", "test") if test is not None else ("train", *HALVES)
    _check_disjoint(dict(zip(names_of, (fitted_on, chosen_on, held_out), strict=True)))
    common: dict[str, Any] = {"progress": called(progress), "cancel": cancel}
    every = (*fitted_on, *chosen_on, *held_out)
    if method == "contributions":
        candidates, names = _by_rule(vlm, train, contributions, strengths, common)
        kept = Store(
            store, {"method": method, "draws": [draws, seed], **identity_of(vlm, every, candidates)}, "gates"
        )
    else:
        settings = np.array([checks.number(penalty, "penalty", low=0), draws, seed])
        kept = Store(store, {"method": method, **identity_of(vlm, every, settings)}, "gates")
        candidates, names = _by_gradient(vlm, fitted_on, epochs, penalty, seed, common, kept)
    common["store"] = kept
    found = score(vlm, chosen_on, candidates, stage=f"choosing of {len(names)}", **common)
    best = _best(found)
    gates = candidates[best]
    stream = np.random.default_rng(seed)
    shuffled = [stream.permutation(gates.ravel()).reshape(gates.shape) for _ in range(draws)]
    sets = np.stack([np.ones_like(gates), gates, *shuffled])
    result = score(vlm, held_out, sets, stage=f"testing {names[best]}", **common)
    return GateFit(
        gates=HeadGates(tuple(map(tuple, gates.tolist()))),
        method=method,
        chosen=names[best],
        choices=tuple(names),
        choice_accuracy=tuple(found.right.mean(axis=1).tolist()),
        before=result.right[0],
        after=result.right[1],
        p_before=result.p[0],
        p_after=result.p[1],
        random=result.right[2:],
        counts=(len(fitted_on), len(chosen_on), len(held_out)),
        model=vlm.model_id,
        seed=seed,
    )


def _splits(validation: Any, test: Any, seed: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return the items to choose on, and those to report on."""
    items = items_of(validation)
    if test is not None:
        return items, items_of(test)
    if len(items) < 4:
        raise InputError(
            f"{len(items)} validation items cannot be split into a half to choose on and one to report on. "
            "Give more, or a test set."
        )
    order = np.random.default_rng(seed).permutation(len(items))
    half = len(items) // 2
    parts = [tuple(items[place] for place in sorted(part)) for part in (order[:half], order[half:])]
    return parts[0], parts[1]


def _check_disjoint(sets: Mapping[str, tuple[Item, ...]]) -> None:
    """Refuse items that stand in more than one of the named sets."""

    def identity(item: Item) -> tuple[str, str]:
        return item.stimulus.key, item.answer.casefold()

    found = []
    for (one, items), (other, others) in combinations(sets.items(), 2):
        known = {identity(item) for item in items}
        if shared := [item for item in others if identity(item) in known]:
            number = "1 item" if len(shared) == 1 else f"{len(shared)} items"
            found.append(f"{one} and {other} share {number} (such as {shared[0].name!r} of {other})")
    if found:
        raise InputError(
            f"fit_gates: {', '.join(found)}: equal stimulus and answer. Any gates gain on the items that "
            "they were fitted or chosen on, so give every item to one set only."
        )


def _best(found: Scores) -> int:
    """Return the candidate that is most often right; of equals the one with the highest p, then the first."""
    rows = zip(found.right.mean(axis=1), found.p.mean(axis=1), strict=True)
    keys = [(float(right), round(float(p), 9)) for right, p in rows]
    return max(range(len(keys)), key=lambda place: (*keys[place], -place))


# V-SEAM's rule ----------------------------------------------------------------------------------------------


def rule(signed: Floats, strength: float) -> Floats:
    """Return gates [layers, heads] = clip(1 + strength * signed / max |signed|, 0, 2)."""
    largest = float(np.abs(signed).max())
    scores = signed / largest if largest else np.zeros_like(signed)
    found: Floats = np.clip(1.0 + strength * scores, _LOW, _HIGH)
    return found


def _by_rule(
    vlm: VLM, train: Any, contributions: Any, strengths: Any, common: dict[str, Any]
) -> tuple[Floats, list[str]]:
    if isinstance(strengths, str) or not isinstance(strengths, Sequence | np.ndarray) or not len(strengths):
        raise InputError(f"strengths must be a list of numbers, such as (0.5, 1, 2); got {strengths!r:.60}.")
    numbers = [checks.number(strength, "strengths", above=0) for strength in strengths]
    if contributions is None:
        contributions = measure_heads(vlm, train, **common)
    signed = matrix(contributions, "signed")
    if signed.shape != (shape := shape_of(vlm)):
        raise InputError(f"The contributions have the shape {signed.shape}; this model has {shape}.")
    sets = [np.ones_like(signed), *(rule(signed, strength) for strength in numbers)]
    return np.stack(sets), ["no change", *(f"strength {strength:g}" for strength in numbers)]


# Gradient ---------------------------------------------------------------------------------------------------


def _by_gradient(
    vlm: VLM,
    items: tuple[Item, ...],
    epochs: Any,
    penalty: Any,
    seed: int,
    common: dict[str, Any],
    store: Store,
) -> tuple[Floats, list[str]]:
    """Return the gates before training and after each epoch; finished epochs are taken from the store."""
    import torch

    from isi_widget.vlm.inside.hooks import without_gradients

    epochs = checks.integer(epochs, "epochs", low=1, high=1000)
    penalty = checks.number(penalty, "penalty", low=0)
    gates = torch.ones(shape_of(vlm), requires_grad=True)
    optimizer = torch.optim.Adam([gates], lr=_RATE)
    found = [np.ones(gates.shape)]
    stored = {"step": (), **{name: tuple(gates.shape) for name in ("gates", "exp_avg", "exp_avg_sq")}}
    stream = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = [items[place] for place in stream.permutation(len(items))]
        if (state := store.get("epoch", epoch, stored)) is not None:
            _restore(optimizer, gates, state)
            found.append(gates.detach().double().numpy().copy())
            continue
        with without_gradients(vlm.model):
            for index, clean, aim in passes(vlm, order, f"epoch {epoch + 1} of {epochs}", **common):
                if not epoch and not index:
                    check_gradient(clean, _loss_of(aim.right), gates.detach())
                with torch.enable_grad():
                    loss = _loss_of(aim.right)(gated_logits(clean, gates[None]))[0]
                    loss = loss + penalty * (gates - 1).square().mean()
                    (gradient,) = torch.autograd.grad(loss, [gates])
                gates.grad = gradient if gates.grad is None else gates.grad + gradient
                if (index + 1) % _BATCH == 0 or index + 1 == len(order):
                    gates.grad /= index % _BATCH + 1
                    optimizer.step()
                    optimizer.zero_grad()
                    with torch.no_grad():
                        gates.clamp_(_LOW, _HIGH)
        moments = {name: value.numpy() for name, value in optimizer.state[gates].items()}
        store.keep("epoch", epoch, {"gates": gates.detach().numpy(), **moments})
        found.append(gates.detach().double().numpy().copy())
    return np.stack(found), ["no change", *(f"epoch {epoch + 1}" for epoch in range(epochs))]


def _restore(optimizer: torch.optim.Adam, gates: torch.Tensor, state: Mapping[str, Any]) -> None:
    """Set gates and the optimizer's moments to those after an epoch."""
    import torch

    values = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    with torch.no_grad():
        gates.copy_(values.pop("gates"))
    optimizer.state[gates] = values


def _loss_of(right: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from logits [sets, rows, vocabulary] to -log p of a token [sets]."""
    return lambda logits: -logits[:, 0].log_softmax(dim=-1)[:, right]
