"""`measure_heads`: the contribution of every attention head to the answers of a model, by intervention.

One item after the other, in this process; it can be stopped and go on later. Not for the methods themselves
(`head_methods`), nor for the result (`head_contributions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism import head_methods as methods
from isi_widget.mechanism.arguments import check_inside
from isi_widget.mechanism.gating import check_gradient
from isi_widget.mechanism.head_agreement import agreement, compared
from isi_widget.mechanism.head_contributions import HeadContributions
from isi_widget.mechanism.head_entropy import entropy_drops
from isi_widget.mechanism.head_methods import METHODS, POSITIONS, REPLACEMENTS, Scan
from isi_widget.mechanism.items import Aim, Item, aim_of, items_of
from isi_widget.mechanism.scan_store import Store, stacked
from isi_widget.mechanism.targets import target_of
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel, Progress
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.rerun import Clean

Found = dict[str, npt.NDArray[Any]]
#: Clean passes that are kept between two stages may take this many bytes.
_KEPT = 1 << 29
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
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | None = None,
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
    progress
        True (default) shows the time left; or a function, called as progress("heads", done, total).
    cancel
        Polled between layers; if it returns True, `Cancelled` is raised. What is in the store stays.
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
    run = _Run(
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
    run.store = Store(store, run.identity())
    return run.result(own_reference=replace == "reference" and reference is None)


def items_of_any(stimuli: Any) -> tuple[Item, ...]:
    """Return stimuli as items; answers are not needed."""
    plain = [stimuli] if not isinstance(stimuli, Sequence) else stimuli
    return items_of([value if isinstance(value, tuple) else (value, "-") for value in plain])


def _shape(vlm: VLM) -> tuple[int, int]:
    from isi_widget.vlm.inside import sites

    found = sites(vlm.model, vlm.family)
    return len(found.layers), found.heads


@dataclass(eq=False)
class _Run:
    """One scan on its way."""

    vlm: VLM
    items: tuple[Item, ...]
    scan: Scan
    method: str
    k: int
    steps: int
    totals: bool
    check: int
    check_heads: int | None
    seed: int
    size: tuple[int, int]
    progress: Progress | None
    cancel: Cancel | None
    store: Store = field(default_factory=lambda: Store(None, {}))

    def __post_init__(self) -> None:
        self._done, self._kept = 0, {}  # type: tuple[int, dict[int, tuple[Clean, Aim]]]
        self._checked = False
        self._gradients = self.method != "exact"
        layers, checked = self.size[0], min(self.check, len(self.items)) if self._gradients else 0
        again = {"exact": layers, "screened": 1 + layers, "integrated": self.steps, "gradient": 1}[
            self.method
        ]
        if self._gradients and self.totals and self.method != "screened":
            again += layers
        self._total = len(self.items) * again + checked * layers

    # Progress -----------------------------------------------------------------------------------------------

    def step(self, count: int = 1) -> None:
        """Count steps, and stop if the caller asks for it."""
        if self.cancel is not None and self.cancel():
            raise Cancelled(f"The scan of heads was cancelled. {self.store.kept}")
        self._done += count
        if self.progress is not None:
            self.progress("heads", min(self._done, self._total), self._total)

    def identity(self) -> dict[str, Any]:
        """Return what is scanned, for the store."""
        reference = self.scan.reference
        return {
            "model": str(self.vlm.info().get("fingerprint")),
            "items": [[item.stimulus.key, item.answer, item.wrong] for item in self.items],
            "target": self.scan.target.name,
            "replace": self.scan.replace,
            "reference": None if reference is None else float(reference.double().abs().sum()),
            "positions": self.scan.positions,
            "steps": self.steps if self.method == "integrated" else 0,
            "seed": self.seed if self.method == "integrated" else 0,
        }

    # The stages ---------------------------------------------------------------------------------------------

    def result(self, own_reference: bool) -> HeadContributions:
        """Run what is missing, and return the contributions."""
        self.step(0)
        chosen = None
        shortlist = np.zeros((0, 0, 0))
        if self.method == "screened":
            found = [self.stored("gradient", index, self.gradient) for index in range(len(self.items))]
            shortlist = stacked(found, "drops")
            order = np.argsort(-np.abs(shortlist).mean(axis=0), axis=None, kind="stable")[: self.k]
            chosen = [divmod(int(place), self.size[1]) for place in order]
        if self.method in ("gradient", "integrated"):
            work = self.gradient if self.method == "gradient" else self.integrated
            found = [self.stored(self.method, index, work) for index in range(len(self.items))]
        else:
            found = [self.exact(index, chosen, self.totals) for index in range(len(self.items))]
        drops = stacked(found, "drops")
        totals = stacked(found, "totals") if "totals" in found[0] else np.full(drops.shape[:2], np.nan)
        if self.totals and self._gradients and self.method != "screened":
            totals = stacked([self.exact(i, [], True) for i in range(len(self.items))], "totals")
        ids = [item["ids"] for item in found]
        result = HeadContributions(
            drops=drops,
            totals=totals,
            baseline=stacked(found, "baseline"),
            correct=np.array([bool(item["correct"]) for item in found]),
            names=tuple(item.name for item in self.items),
            answers=tuple(item.answer for item in self.items),
            wrong=tuple(
                item.wrong or self.text(int(pair[1])) for item, pair in zip(self.items, ids, strict=True)
            ),
            levels=tuple(item.level or "" for item in self.items),
            target=self.scan.target.name,
            method=self.method,
            replace=self.scan.replace,
            positions=self.scan.positions,
            model=self.vlm.info(),
            seed=self.seed,
            steps={"integrated": self.steps, "screened": self.k}.get(self.method, 0),
            shortlist=shortlist,
            agreement=self.agreement(drops, shortlist),
            notes=self.notes(found, own_reference),
        )
        if self.progress is not None:
            self.progress("heads", self._total, self._total)
        return result

    def text(self, token: int) -> str:
        """Return the text of a token."""
        if token < 0:
            return ""
        return str(self.vlm.tokenizer.decode([token], clean_up_tokenization_spaces=False)).strip()

    def stored(self, stage: str, index: int, work: Any) -> Found:
        """Return what the store has of an item, or measure and keep it."""
        found: Found | None = self.store.get(stage, index)
        if found is None:
            self.step(0)
            with self.vlm.lock:
                found = work(index)
            self.store.keep(stage, index, found)
            self.step(0 if stage == "integrated" else 1)
        else:
            self.step(self.steps if stage == "integrated" else 1)
        return found

    def exact(self, index: int, heads: Sequence[tuple[int, int]] | None, totals: bool) -> Found:
        """Return the exact drops of an item; heads None: of all."""
        names = "all" if heads is None else " ".join(f"{layer}.{head}" for layer, head in sorted(heads))
        stage = f"exact {names}{' totals' * totals}"
        found: Found | None = self.store.get(stage, index)
        if found is not None:
            self.step(self.size[0])
            return found
        if self.scan.target.value is None:
            found = entropy_drops(
                self.vlm, self.items[index], self.scan, self.size, self.totals, self.step, self.cancel
            )
        else:
            with self.vlm.lock:
                clean, aim = self.captured(index, graph=False)
                drops, together = methods.replaced_one_by_one(clean, self.scan, aim, heads, totals, self.step)
            found = {"drops": drops, "totals": together, **self.facts(clean, aim)}
        self.store.keep(stage, index, found)
        return found

    def gradient(self, index: int) -> Found:
        """Return the first-order drops of an item."""
        clean, aim = self.captured(index, graph=True)
        self.check_once(clean, aim)
        drops = methods.slopes(clean, self.scan, aim)
        self.remember(index, clean, aim)
        return {"drops": drops, **self.facts(clean, aim)}

    def integrated(self, index: int) -> Found:
        """Return the drops of an item by integrated gradients."""
        clean, aim = self.captured(index, graph=True)
        self.check_once(clean, aim)
        at_one = methods.slopes(clean, self.scan, aim)
        self.step()
        seed = [self.seed, index]  # other groups for each item, so that what they share averages out
        drops = methods.integrated(clean, self.scan, aim, at_one, self.steps, seed, self.step)
        return {"drops": drops, **self.facts(clean, aim)}

    def check_once(self, clean: Clean, aim: Aim) -> None:
        """Refuse a quantised or low-precision model whose gradients are wrong; tried on the first item."""
        if self._checked:
            return
        self._checked = True
        import torch

        from isi_widget.vlm.inside.hooks import without_gradients

        if self.vlm.quantization or self.vlm.dtype != torch.float32:
            with without_gradients(self.vlm.model):
                check_gradient(clean, lambda logits: self.scan.value(logits, aim), torch.ones(self.size))

    # Passes -------------------------------------------------------------------------------------------------

    def captured(self, index: int, graph: bool) -> tuple[Clean, Aim]:
        """Return the clean pass over an item, and its tokens."""
        from isi_widget.vlm.inside.hooks import without_gradients
        from isi_widget.vlm.inside.rerun import capture

        if not graph and index in self._kept:
            return self._kept.pop(index)
        item = self.items[index]
        prompt = self.vlm.encode(item.stimulus)
        aim, fed = None, ()  # type: tuple[Aim | None, tuple[int, ...]]
        if self.scan.target.whole_answer:
            aim = aim_of(self.vlm, item, self.vlm.read(prompt).logits)
            fed = aim.answer_ids
        with without_gradients(self.vlm.model):
            clean = capture(self.vlm, prompt, fed, graph=graph)
        return clean, aim or aim_of(self.vlm, item, clean.logits[0].detach())

    def remember(self, index: int, clean: Clean, aim: Aim) -> None:
        """Keep a clean pass for the exact stage, while there is room."""
        if self.method != "screened":
            return
        states = clean.inputs[0]
        size = 8 * states.numel() * states.element_size() * clean.layers * (len(self._kept) + 1)
        if size <= _KEPT:
            self._kept[index] = clean.detached(), aim

    def facts(self, clean: Clean, aim: Aim) -> Found:
        """Return what is kept of the unchanged run."""
        logits = clean.logits.detach()
        return {
            "baseline": np.asarray(float(self.scan.value(logits[None], aim))),
            "correct": np.asarray(int(logits[0].argmax()) == aim.right),
            "ids": np.array([aim.right, aim.wrong]),
        }

    def reference(self, stimuli: Sequence[Any]) -> torch.Tensor:
        """Return the mean output of each head over all positions of prompts, [layers, heads, head_dim]."""
        import torch

        from isi_widget.vlm.inside.rerun import capture

        total, tokens = None, 0
        for stimulus in stimuli:
            self.step(0)
            with self.vlm.lock:
                clean = capture(self.vlm, self.vlm.encode(stimulus))
            sums = torch.stack(
                [clean.heads_of(layer)[0].double().sum(dim=0).cpu() for layer in range(clean.layers)]
            )
            total, tokens = (sums if total is None else total + sums), tokens + clean.tokens
        assert total is not None
        return (total / tokens).float()

    # Remarks ------------------------------------------------------------------------------------------------

    def agreement(self, drops: methods.Floats, shortlist: methods.Floats) -> dict[str, float | None]:
        """Return how an estimate agrees with exact drops of some items."""
        if not self._gradients or not self.check:
            return {}
        chosen = np.unique(np.linspace(0, len(self.items) - 1, min(self.check, len(self.items))).astype(int))
        screened = self.method == "screened"
        estimate = (shortlist if screened else drops)[chosen].mean(axis=0)
        heads = compared(estimate, self.check_heads, self.seed)
        exact = stacked([self.exact(int(index), heads, False) for index in chosen], "drops").mean(axis=0)
        found = agreement(estimate, exact, self.k, np.isfinite(drops[0]) if screened else None)
        return {"items": float(len(chosen)), **found}

    def notes(self, found: Sequence[Found], own_reference: bool) -> tuple[str, ...]:
        """Return the limits of the result."""
        notes = []
        if self.method == "gradient":
            notes.append(
                "One gradient is a shortlist of heads to look at, not a measurement of their effect."
            )
        open_items = sum(item.wrong is None for item in self.items)
        if open_items and self.scan.target.name == "logit_difference":
            notes.append(
                f"Where no wrong answer is known ({open_items} of {len(self.items)} items of the scan), it "
                "is the model's own most probable other first token."
            )
        if self.scan.target.value is not None and not self.scan.target.whole_answer:
            first = {
                item.answer: self.text(int(of["ids"][0])) for item, of in zip(self.items, found, strict=True)
            }
            cut = [answer for answer, token in first.items() if token.lower() != answer.lower()]
            if cut:
                notes.append(
                    f"Of answers of several tokens only the first one is compared ({first[cut[0]]!r} of "
                    f'{cut[0]!r:.60}); target="log_p_answer" scores whole answers.'
                )
        if own_reference:
            notes.append("The reference means are those of the scanned items themselves.")
        return tuple(notes)
