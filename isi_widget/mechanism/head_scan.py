"""`HeadScan`: one scan of heads on its way, in this process; it can be stopped and go on later.

One item after the other. Not for the methods themselves (`head_methods`), nor for the result
(`head_contributions`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget.errors import Cancelled
from isi_widget.mechanism import head_methods as methods
from isi_widget.mechanism.gating import check_gradient
from isi_widget.mechanism.head_agreement import agreement, compared
from isi_widget.mechanism.head_contributions import HeadContributions
from isi_widget.mechanism.head_entropy import entropy_drops
from isi_widget.mechanism.head_methods import Scan
from isi_widget.mechanism.items import Aim, Item, aim_of
from isi_widget.mechanism.scan_notes import scan_notes
from isi_widget.mechanism.scan_store import Store, stacked

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel, Progress
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.rerun import Clean

Found = dict[str, npt.NDArray[Any]]
_NONE = np.zeros((0, 0, 0))
#: Clean passes that are kept between two stages may take this many bytes.
_KEPT = 1 << 29
#: What is measured of an item on its way is stored that often, in seconds, under the name of its stage with
#: this behind it.
_EVERY, _SO_FAR = 5.0, " so far"


def begun(partial: HeadContributions) -> Store:
    """Return a store with which the exact scan of one item goes on from `Cancelled.partial`."""
    store = Store(None, {})
    measured = {"drops": partial.drops[0], "totals": partial.totals[0]}
    stage = _exact_stage(None, bool(np.isfinite(partial.totals).any()))
    store.begin(f"{stage}{_SO_FAR}", 0, measured)
    return store


def _exact_stage(heads: Sequence[tuple[int, int]] | None, totals: bool) -> str:
    """Return the name of a stage of exact drops; heads None: of all."""
    names = "all" if heads is None else " ".join(f"{layer}.{head}" for layer, head in sorted(heads))
    return f"exact {names}{' totals' * totals}"


@dataclass(eq=False)
class HeadScan:
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
    own_reference: bool = False

    def __post_init__(self) -> None:
        self._done, self._kept = 0, {}  # type: tuple[int, dict[int, tuple[Clean, Aim]]]
        self._checked, self._stored_at = False, time.monotonic()
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

    def result(self) -> HeadContributions:
        """Run what is missing, and return the contributions."""
        self.step(0)
        chosen = None
        shortlist = _NONE
        if self.method == "screened":
            found = [self.stored("gradient", index, self.gradient) for index in range(len(self.items))]
            shortlist = stacked(found, "drops")
            order = np.argsort(-np.abs(shortlist).mean(axis=0), axis=None, kind="stable")[: self.k]
            chosen = [divmod(int(place), self.size[1]) for place in order]
        if self.method in ("gradient", "integrated"):
            work = self.gradient if self.method == "gradient" else self.integrated
            found = self.each(lambda index: self.stored(self.method, index, work))
        else:
            found = self.each(lambda index: self.exact(index, chosen, self.totals), shortlist)
        if self.totals and self._gradients and self.method != "screened":
            again = [self.exact(index, [], True) for index in range(len(self.items))]
            found = [{**one, "totals": other["totals"]} for one, other in zip(found, again, strict=True)]
        agreement = self.agreement(stacked(found, "drops"), shortlist)
        result = self.contributions(found, shortlist, agreement)
        if self.progress is not None:
            self.progress("heads", self._total, self._total)
        return result

    def each(self, work: Callable[[int], Found], shortlist: methods.Floats = _NONE) -> list[Found]:
        """Return the results of all items. Where that is cancelled, `Cancelled.partial` gets those of the
        finished ones, or of the first item alone.
        """
        found: list[Found] = []
        try:
            for index in range(len(self.items)):
                found.append(work(index))
        except Cancelled as stop:
            part, stop.partial = stop.partial, None
            if found:
                made = self.contributions(found, shortlist[: len(found)])
                where = f"It was stopped after {len(found)} of {len(self.items)} items."
                stop.partial = replace(made, notes=(*made.notes, where))
            elif isinstance(part, dict):
                stop.partial = self.contributions([part], shortlist[:1])
            raise
        return found

    def contributions(
        self,
        found: list[Found],
        shortlist: methods.Floats,
        agreement: Mapping[str, float | None] | None = None,
    ) -> HeadContributions:
        """Return the contributions over the first items."""
        items, ids = self.items[: len(found)], [item["ids"] for item in found]
        drops = stacked(found, "drops")
        return HeadContributions(
            drops=drops,
            totals=stacked(found, "totals") if "totals" in found[0] else np.full(drops.shape[:2], np.nan),
            baseline=stacked(found, "baseline"),
            correct=np.array([bool(item["correct"]) for item in found]),
            names=tuple(item.name for item in items),
            answers=tuple(item.answer for item in items),
            wrong=tuple(item.wrong or self.text(int(pair[1])) for item, pair in zip(items, ids, strict=True)),
            levels=tuple(item.level or "" for item in items),
            target=self.scan.target.name,
            method=self.method,
            replace=self.scan.replace,
            positions=self.scan.positions,
            model=self.vlm.info(),
            seed=self.seed,
            steps={"integrated": self.steps, "screened": self.k}.get(self.method, 0),
            shortlist=shortlist,
            agreement=agreement or {},
            notes=scan_notes(
                items,
                [self.text(int(pair[0])) for pair in ids],
                self.scan,
                self.method,
                self.own_reference,
            ),
        )

    def text(self, token: int) -> str:
        """Return the text of a token."""
        if token < 0:
            return ""
        return str(self.vlm.tokenizer.decode([token], clean_up_tokenization_spaces=False)).strip()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what is stored of an item."""
        return {"drops": self.size, "baseline": (), "correct": (), "ids": (2,)}

    def stored(self, stage: str, index: int, work: Any) -> Found:
        """Return what the store has of an item, or measure and keep it."""
        found: Found | None = self.store.get(stage, index, self.shapes)
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
        stage = _exact_stage(heads, totals)
        found: Found | None = self.store.get(stage, index, {**self.shapes, "totals": self.size[:1]})
        if found is not None:
            self.step(self.size[0])
            return found
        if self.scan.target.value is None:
            found = entropy_drops(
                self.vlm, self.items[index], self.scan, self.size, self.totals, self.step, self.cancel
            )
        else:
            found = self.exactly(index, heads, totals, f"{stage}{_SO_FAR}")
        self.store.keep(stage, index, found)
        return found

    def exactly(self, index: int, heads: Sequence[tuple[int, int]] | None, totals: bool, stage: str) -> Found:
        """Measure the exact drops of an item; what a run before has measured of it is in the store."""
        drops, together = np.full(self.size, np.nan), np.full(self.size[0], np.nan)
        before = self.store.get(stage, index, {"drops": self.size, "totals": self.size[:1]})
        if before is not None:
            drops[:], together[:] = before["drops"], before["totals"]

        def pause() -> None:
            if time.monotonic() - self._stored_at >= _EVERY:
                self._stored_at = time.monotonic()
                self.store.keep(stage, index, {"drops": drops, "totals": together})
            self.step(0)

        with self.vlm.lock:
            clean, aim = self.captured(index, graph=False)
            facts = self.facts(clean, aim)
            try:
                methods.replaced_one_by_one(
                    clean,
                    self.scan,
                    aim,
                    heads,
                    totals,
                    self.step,
                    found=(drops, together),
                    pause=pause,
                )
            except Cancelled as stop:
                self.store.keep(stage, index, {"drops": drops, "totals": together})
                if np.isfinite(drops).any():
                    stop.partial = {"drops": drops, "totals": together, **facts}
                raise
        return {"drops": drops, "totals": together, **facts}

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
