"""`measure_heads`: the contribution of every attention head to the answers of a model, by intervention.

Checks what it is given. Not for running it (`head_scan`), nor for the methods themselves (`head_methods`),
nor for the result (`head_contributions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.head_contributions import HeadContributions
from isi_widget.mechanism.head_methods import METHODS, POSITIONS, REPLACEMENTS, Scan
from isi_widget.mechanism.head_scan import HeadScan
from isi_widget.mechanism.items import Item, items_of, usable
from isi_widget.mechanism.scan_store import Store
from isi_widget.mechanism.targets import target_of
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM

_ENTROPY = (
    "The semantic entropy is that of whole answers, measured with each head replaced: it needs "
    'method="exact" and positions="all".'
)


@with_bar
@at_the_model
def measure_heads(
    vlm: VLM,
    stimuli: Any,
    target: str = "logit_difference",
    replace: str = "mean",
    positions: str = "all",
    method: str = "exact",
    *,
    k: int = 8,
    steps: int = 8,
    totals: bool | None = None,
    check: int = 3,
    check_heads: int | None = None,
    reference: Any = None,
    seed: int = 0,
    on_error: str = "raise",
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | Store | None = None,
) -> HeadContributions:
    """Measure what each attention head does to the true answer: replace it, and see the target drop.

    The definitions are those of Wang, Hu & Jiang (V-SEAM, EMNLP 2025), see `HeadContributions`. Use items
    with balanced answers, or pairs: where all answers are "yes", a head that favours yes looks like one that
    sees.

    Parameters
    ----------
    vlm
        The model; interventions that it is seen with stay in force.
    stimuli
        Observations, (stimulus, answer) or (stimulus, answer, wrong answer) tuples, or pairs.
    target
        "logit_difference" (default): logit of the true answer's first token minus that of a wrong one. "p":
        probability of the true answer's first token. "log_p_answer": log-probability of the whole true
        answer. "semantic_entropy": over the meanings of all probable answers; exact only, and slow.
    replace
        What takes the place of a head's output: "mean" of the layer's other heads at the same position
        (default), "zero", or "reference", its mean over the prompts of `reference`.
    positions
        "all" (default), or "last": at the last token of the prompt alone, which costs almost nothing.
    method
        "exact" (default): a run for each head, with everything shared that can be. "integrated": integrated
        gradients. "screened": exact for the k heads with the largest gradients. "gradient": one backward
        pass, a shortlist and no measurement. See `head_methods`.
    k
        Number of heads that "screened" measures, at most all; default 8.
    steps
        Gradients for each item of "integrated", at most one more than heads; default 8.
    totals
        Whether to measure whole layers, too; default: with "exact" only.
    check
        Number of items on which an estimate is compared with exact drops; default 3, 0: none.
    check_heads
        Number of heads that are compared on these items: half with the largest estimate, half drawn at
        random. Default None: all.
    reference
        Stimuli for replace="reference" only; default: those of the scan.
    seed
        Seed of groups, intervals and p-values; default 0.
    on_error
        "raise" (default), or "skip": items that cannot be used (a damaged picture, too long a text, no known
        answer) are left out, with a warning, and listed in
        `HeadContributions.notes`. Each item is then read once more.
    progress
        True (default) shows the time left; or a function, called as progress("heads", done, total).
    cancel
        Polled between forward passes; if it returns True, `Cancelled` is raised. What is in the store stays.
        `Cancelled.partial` is the result over the items that were finished. Where none was, it is that of the
        first item, with NaN for the heads that were not measured (method="exact"); else None.
    store
        File (JSON lines) or folder with the results so far. The same call goes on from there.

    Raises
    ------
    InputError
        For values out of range, items without a true answer, a model whose inside is not available (behind a
        server), a store of another scan, and gradients that a quantised model does not give.
    Cancelled
        `cancel` returned True.
    """
    check_inside(vlm, "A scan of heads")
    checks.one_of(replace, "measure_heads: replace", REPLACEMENTS)
    checks.one_of(positions, "measure_heads: positions", POSITIONS)
    checks.one_of(method, "measure_heads: method", METHODS)
    wanted = target_of(target)
    if wanted.value is None and (method != "exact" or positions != "all"):
        raise InputError(_ENTROPY)
    layers, heads = _shape(vlm)
    if replace == "mean" and heads == 1:
        raise InputError('replace="mean" needs layers with other heads; this model has one. Use "zero".')
    if reference is not None and replace != "reference":
        raise InputError(f'reference belongs to replace="reference" only; got replace={replace!r}.')
    stimuli, skipped = usable(vlm, stimuli, on_error, "measure_heads", cancel)
    run = HeadScan(
        vlm=vlm,
        items=items_of(stimuli),
        scan=Scan(wanted, replace, positions),
        method=method,
        k=min(checks.integer(k, "measure_heads: k", low=1), layers * heads),
        steps=min(checks.integer(steps, "measure_heads: steps", low=2), 1 + layers * heads),
        totals=method == "exact" if totals is None else checks.flag(totals, "measure_heads: totals"),
        check=checks.integer(check, "measure_heads: check", low=0),
        check_heads=(
            None if check_heads is None else checks.integer(check_heads, "measure_heads: check_heads", low=2)
        ),
        seed=checks.integer(seed, "measure_heads: seed", low=0),
        size=(layers, heads),
        progress=called(progress),
        cancel=cancel,
    )
    if replace == "reference":
        given = run.items if reference is None else items_of_any(reference)
        run.scan = Scan(wanted, replace, positions, run.reference([item.stimulus for item in given]))
    run.store = store if isinstance(store, Store) else Store(store, run.identity())
    run.own_reference = replace == "reference" and reference is None
    found = run.result()
    return replaced(found, notes=(*found.notes, *skipped)) if skipped else found


def items_of_any(stimuli: Any) -> tuple[Item, ...]:
    """Return stimuli as items; answers are not needed."""
    plain = [stimuli] if not isinstance(stimuli, Sequence) else stimuli
    return items_of([value if isinstance(value, tuple) else (value, "-") for value in plain])


def _shape(vlm: VLM) -> tuple[int, int]:
    from isi_widget.vlm.inside import sites

    found = sites(vlm.model, vlm.family)
    return len(found.layers), found.heads
