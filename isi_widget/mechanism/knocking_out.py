"""`knockout_curve`: measures a `KnockoutCurve`. Not for the record itself (see `knockout`).

One pass reads the uncut prompt. A cut runs only the layers from its window on, and only the tokens from the
first query on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair import Pair
from isi_widget.errors import InputError
from isi_widget.interventions import Knockout
from isi_widget.interventions.tokens import Tokens
from isi_widget.mechanism import token_groups
from isi_widget.mechanism.arguments import Steps, check_inside, check_windows
from isi_widget.mechanism.gating import identity_of
from isi_widget.mechanism.items import Aim, Item, aim_of, items_of, usable
from isi_widget.mechanism.knockout import TARGETS, KnockoutCurve
from isi_widget.mechanism.scan_store import Store
from isi_widget.mechanism.targets import Target, target_of
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    from isi_widget.running.stages import Cancel
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.rerun import Clean
    from isi_widget.vlm.prompts.prompt import Prompt

#: The cuts that are made if none are given: (queries, keys).
USUAL = (("question", "image"), ("last", "image"), ("last", "question"))
_MOST_DRAWS = 100


@with_bar
@at_the_model
def knockout_curve(
    vlm: VLM,
    stimuli: Any,
    cuts: Any = USUAL,
    *,
    window: int = 1,
    layers: Sequence[int] | None = None,
    target: str = "p",
    controls: int = 1,
    seed: int = 0,
    on_error: str = "raise",
    progress: Shown = True,
    cancel: Cancel | None = None,
    store: str | Path | None = None,
) -> KnockoutCurve:
    """Cut attention between groups of tokens over sliding windows of layers.

    Parameters
    ----------
    vlm
        The model, with its interventions.
    stimuli
        Observations with an answer, (stimulus, answer) or (stimulus, answer, wrong answer) tuples, or pairs,
        whose clean side is cut.
    cuts
        Pairs of groups (queries, keys), or {name: (queries, keys)}: the tokens that read and those that
        they no longer read. A group is one that interventions take; of pairs also "edited region", "other
        image" and "edited words". Default: question to image, last to image, last to question.
    window
        Number of layers in which attention is cut together, from the first on; default 1.
    layers
        First layers of the windows, counted from 0; None: every layer.
    target
        "p" (default): probability of the first token of the true answer; "logit_difference".
    controls
        Number of draws of as many random other keys, of the same segments where these have enough; default 1.
    seed
        Seed of the draws; default 0.
    on_error
        "raise" (default), or "skip": items that cannot be used (a damaged picture, too long a text, no known
        answer) are left out, with a warning, and listed in `KnockoutCurve.notes`. Each item is then read
        once more.
    progress
        True (default) shows the time left; or a function, called as progress("knockout", done, total).
    cancel
        Polled between cuts; if it returns True, `Cancelled` is raised. What is in the store stays.
    store
        File (JSON lines) or folder with the results so far. The same call goes on from there.

    Raises
    ------
    InputError
        If no item has the tokens of a cut, the inside of the model is not available, or a value is wrong.
    """
    check_inside(vlm, "A knock-out curve")
    wanted = _checked_cuts(cuts)
    checks.one_of(target, "knockout_curve: target", TARGETS)
    starts, wide = check_windows(vlm, layers, window, "knockout_curve")
    draws = checks.integer(controls, "knockout_curve: controls", low=0, high=_MOST_DRAWS)
    checks.integer(seed, "knockout_curve: seed", low=0)
    stimuli, skipped = usable(vlm, stimuli, on_error, "knockout_curve", cancel)
    items = items_of(stimuli)
    pairs = _pairs(stimuli, len(items))
    shape = (1 + draws, len(items), len(wanted), len(starts))
    values, flips = np.full(shape, np.nan), np.full(shape, np.nan)
    base, keys = np.zeros(len(items)), np.zeros((len(items), len(wanted)))
    kept = Store(
        store,
        {
            **identity_of(vlm, items),
            "pairs": [None if pair is None else pair.corrupt.key for pair in pairs],
            "cuts": {name: [repr(group) for group in cut] for name, cut in wanted.items()},
            "layers": [list(starts), wide],
            "target": target,
            "controls": [draws, seed],
        },
        "knockout",
    )
    shapes = {"base": (), "keys": (), "values": values[:, 0, 0].shape, "flips": flips[:, 0, 0].shape}
    cells = len(items) * len(wanted)
    step = Steps("knockout", "The knock-out curve", cells, called(progress), cancel, kept.kept)
    for at, (item, pair) in enumerate(zip(items, pairs, strict=True)):
        run = None
        for cut, (queries, read) in enumerate(wanted.values()):
            step.one()
            found = kept.get(f"cut {cut}", at, shapes)
            if found is None:
                run = run or _Uncut.of(vlm, item, pair, target_of(target))
                random = np.random.default_rng([seed, at, cut])
                found = _measured(run, (queries, read), draws, [range(s, s + wide) for s in starts], random)
                kept.keep(f"cut {cut}", at, found)
            base[at], keys[at, cut] = found["base"], found["keys"]
            values[:, at, cut], flips[:, at, cut] = found["values"], found["flips"]
    step.one()
    missing = [name for cut, name in enumerate(wanted) if not np.isfinite(values[0, :, cut]).any()]
    if missing:
        raise InputError(
            f"There is nothing to cut for {missing[0]!r}: no item has tokens of which the first group reads "
            "the second. Leave it out, or add a context."
        )
    notes = [
        f"{name}: the prompts have too few other tokens for as many random keys."
        for cut, name in enumerate(wanted)
        if draws and not np.isfinite(values[1:, :, cut]).any()
    ]
    return KnockoutCurve(
        model=vlm.model_id,
        cuts=tuple(wanted),
        layers=starts,
        window=wide,
        target=target,
        items=tuple(item.name for item in items),
        base=base,
        values=values[0],
        flips=flips[0],
        controls=values[1:],
        control_flips=flips[1:],
        keys=tuple(float(counts[counts > 0].mean()) for counts in keys.T),
        notes=(*notes, *skipped),
    )


def _measured(
    run: _Uncut,
    cut: tuple[Tokens, Tokens],
    draws: int,
    windows: Sequence[range],
    random: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    """Return the target and the flips of a cut of one item, [1 + draws, windows], the cut itself first; NaN
    where there is nothing to cut. With the target of the uncut run, and the number of keys.
    """
    values, flips = (np.full((1 + draws, len(windows)), np.nan) for _ in range(2))
    found = run.positions(cut[0]), run.positions(cut[1])
    there = all(found) and run.reads(*found)
    for draw in range(1 + draws if there else 0):
        chosen = run.random_keys(found, random) if draw else found[1]
        for row, window in enumerate(windows if chosen else ()):
            values[draw, row], flips[draw, row] = run.cut(found[0], chosen, window)
    keys = len(found[1]) if there else 0
    return {"values": values, "flips": flips, "base": np.asarray(run.base), "keys": np.asarray(keys)}


def _checked_cuts(cuts: Any) -> dict[str, tuple[Tokens, Tokens]]:
    named = isinstance(cuts, Mapping)
    given = list(cuts.values()) if named else cuts
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        given = [given]
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        got = "none" if isinstance(given, Sequence) and not given else f"{given!r:.80}"
        raise InputError(
            "knockout_curve: cuts are pairs of groups (tokens that read, tokens no longer read), such as "
            f'[("last", "image")]; got {got}.'
        )
    found: dict[str, tuple[Tokens, Tokens]] = {}
    for at, cut in enumerate(given):
        if not isinstance(cut, Sequence) or isinstance(cut, str) or len(cut) != 2:
            raise InputError(f"knockout_curve: a cut is a pair (queries, keys); got {cut!r:.80}.")
        queries, keys = (token_groups.check_group(group, "knockout_curve: cuts") for group in cut)
        usual = f"{token_groups.title(queries)} ↛ {token_groups.title(keys)}"
        found[str(list(cuts)[at]) if named else usual] = (queries, keys)
    if len(found) < len(given):
        raise InputError("knockout_curve: two cuts have the same name; give them as {name: (queries, keys)}.")
    return found


def _pairs(stimuli: Any, number: int) -> list[Pair | None]:
    """Return the pair of each item; None for an item without."""
    given = [stimuli] if isinstance(stimuli, Pair) else stimuli
    found: list[Pair | None] = []
    for at in range(number):
        value = given[at] if isinstance(given, Sequence) and at < len(given) else None
        first = value[0] if isinstance(value, tuple) else value
        found.append(first if isinstance(first, Pair) else None)
    return found


@dataclass(frozen=True, eq=False)
class _Uncut:
    """The uncut run of one item."""

    vlm: VLM
    clean: Clean
    aim: Aim
    target: Target
    pair: Pair | None
    other: Prompt | None

    @classmethod
    def of(cls, vlm: VLM, item: Item, pair: Pair | None, target: Target) -> _Uncut:
        """Read an item."""
        from isi_widget.vlm.inside.rerun import capture

        with vlm.lock:
            clean = capture(vlm, vlm.encode(item.stimulus))
            aim = aim_of(vlm, item, clean.logits[0])
            return cls(vlm, clean, aim, target, pair, None if pair is None else vlm.encode(pair.corrupt))

    @property
    def base(self) -> float:
        """The target of the uncut run."""
        return self._value(self.clean.logits)

    def _value(self, logits: Any) -> float:
        assert self.target.value is not None  # `TARGETS` has no others
        return float(self.target.value(logits[None], self.aim)[0])

    def positions(self, group: Tokens) -> list[int]:
        """Return the positions of a group."""
        return token_groups.positions(self.vlm, self.clean.prompt, group, self.pair, self.other)

    def reads(self, queries: list[int], keys: list[int]) -> bool:
        """Return whether any of the queries may read any of the keys: tokens before it, but for prefixes in
        which all read all.
        """
        return max(queries) >= min(keys) or not self.clean.alone(min(keys))

    def random_keys(self, cut: tuple[list[int], list[int]], random: np.random.Generator) -> list[int]:
        """Return as many random other keys that the queries may read; empty where there are too few."""
        queries, keys = cut
        prompt = self.clean.prompt
        others = [at for at in range(max(queries)) if at not in {*keys, *queries}]
        labels = () if prompt.unavailable else prompt.labels
        kinds = {labels[at] for at in keys} if labels else set()
        same = [at for at in others if labels and labels[at] in kinds]
        pool = same if len(same) >= len(keys) else others
        if len(pool) < len(keys):
            return []
        return sorted(map(int, random.choice(pool, len(keys), replace=False)))

    def cut(self, queries: list[int], keys: list[int], layers: range) -> tuple[float, float]:
        """Return the target, and whether the answer changes, with attention cut in some layers."""
        import torch

        knockout = Knockout(tuple(queries), tuple(keys), layers=tuple(layers))
        with self.vlm.lock, torch.no_grad(), self.vlm.explained("cutting attention"):
            view = self.vlm.intervene(knockout)
            editing = view.inside.editing(view, self.clean.prompt)
            logits = self.clean.under(editing).run_from(layers.start, batch=1, first=min(queries))[0]
        return self._value(logits), float(logits[0].argmax() != self.clean.logits[0].argmax())
