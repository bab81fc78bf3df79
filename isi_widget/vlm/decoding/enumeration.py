"""Answers in the order of their probability, without sampling: a best-first search over prefixes.

Every prefix of an answer has a known probability, and its next token's distribution splits that probability
exactly: into the answer that ends here, and longer prefixes. So the probabilities of the found answers and
the remaining probability always sum to 1. The most probable prefixes are evaluated first, many in one forward
pass over the shared prompt; common parts of answers are computed and stored once (`cache.PrefixCache`).

Suitable for short answers: long free texts are too many to list, and the record gives the remaining
probability. Not for sampling, nor for a single answer (see `loop`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from isi_widget.pretrained.out_of_memory import forget, is_out_of_memory
from isi_widget.setting import BUDGET, MASS
from isi_widget.vlm.decoding.cache import PrefixCache
from isi_widget.vlm.decoding.loop import (
    ROWS_AT_ONCE,
    Cancel,
    Prefill,
    Row,
    Sampler,
    poll,
)
from isi_widget.vlm.nan import checked_logits

#: Smallest number of prefixes per batch, if available: a pass over fewer costs as much.
ROWS_AT_LEAST = 4
#: A forward pass costs about as much as this number of additional tokens in a pass.
PASS_TOKENS = 48
#: Share of the allowed rest for answers of tiny probability, which are not listed.
UNLISTED = 0.01

_MOST = BUDGET.maximum or 1  # most answers in a list
_FRONTIER = np.dtype([("mass", "f8"), ("parent", "i8"), ("token", "i8"), ("logprob", "f8"), ("q", "f8")])


def check_enumeration(mass: float, budget: int) -> None:
    """Refuse an invalid mass or budget."""
    MASS.check("mass", mass)
    BUDGET.check("budget", budget)


def unlisted(mass: float) -> float:
    """Return the probability of tiny answers that may stay in the rest."""
    return UNLISTED * (1.0 - mass)


@dataclass(eq=False)
class Found:
    """A decoded row and its probability."""

    row: Row
    probability: float


@dataclass
class Search:
    """Result of a search. `prefixes` is the number of evaluated prefixes, `batches` the number of forward
    passes.
    """

    found: list[Found] = field(default_factory=list)
    prefixes: int = 0
    batches: int = 0

    @property
    def mass(self) -> float:
        """Probability of all answers found."""
        return math.fsum(item.probability for item in self.found)


class _Tree:
    """The evaluated prefixes; number 0 is the empty one."""

    def __init__(self) -> None:
        self.parent, self.token, self.depth = [-1], [-1], [0]
        self.logprob, self.sampled, self.mass = [0.0], [0.0], [1.0]

    def add(self, child: np.void) -> int:
        parent = int(child["parent"])
        self.parent.append(parent)
        self.token.append(int(child["token"]))
        self.depth.append(self.depth[parent] + 1)
        self.logprob.append(float(child["logprob"]))
        self.sampled.append(math.log(child["q"]))
        self.mass.append(float(child["mass"]))
        return len(self.parent) - 1

    def path(self, node: int) -> list[int]:
        """Return the nodes from the first token to this one."""
        nodes = []
        while node > 0:
            nodes.append(node)
            node = self.parent[node]
        return nodes[::-1]

    def row(self, node: int, end: float | None, sampled_end: float | None) -> Row:
        path = self.path(node)
        return Row(
            index=0,
            ids=[self.token[i] for i in path],
            logprobs=[self.logprob[i] for i in path],
            sampled_logprobs=[self.sampled[i] for i in path],
            finished=end is not None,
            end_logprob=end,
            sampled_end_logprob=sampled_end,
        )


@torch.no_grad()
def search(
    prefill: Prefill,
    *,
    mass: float,
    budget: int,
    temperature: float,
    top_k: int,
    top_p: float,
    eos_ids: frozenset[int],
    max_new_tokens: int,
    rows_at_once: int = ROWS_AT_ONCE,
    on_found: Callable[[Found], None] | None = None,
    on_batch: Callable[[int, float], None] | None = None,
    cancel: Cancel | None = None,
) -> Search:
    """Search prefixes, most probable first, until answers of a total probability `mass` are found.

    Parameters
    ----------
    budget : largest number of evaluated prefixes. mass, temperature, ... : see `VLM.enumerate_answers`.
    rows_at_once : largest number of prefixes in one forward pass; halved if memory runs out.
    on_found : function called with each answer, in the order of discovery.
    on_batch : function called with the number of prefixes and the mass found, after each forward pass.
    """
    distribution = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=0).probabilities
    tree, result, keys = _Tree(), Search(), PrefixCache(prefill.cache)
    ends = torch.tensor(sorted(eos_ids), dtype=torch.long, device=prefill.logits.device)
    goal = mass + unlisted(mass)
    frontier = np.empty(0, _FRONTIER)
    known = 0.0

    def note(node: int, probability: float, end: float | None, sampled_end: float | None) -> None:
        nonlocal known
        if probability > 0:
            known += probability
            result.found.append(Found(tree.row(node, end, sampled_end), probability))
            if on_found is not None:
                on_found(result.found[-1])

    def open_up(nodes: list[int], logits: torch.Tensor) -> npt.NDArray[np.void]:
        """Note the answers that end at these nodes; returns their children, from logits [nodes, V]."""
        result.prefixes += len(nodes)
        total = logits.logsumexp(dim=-1)
        q = distribution(logits)
        raw_ends = (logits[:, ends].logsumexp(dim=-1) - total).tolist()
        q_ends = q[:, ends.to(q.device)].sum(dim=-1).tolist()
        for node, raw, of_end in zip(nodes, raw_ends, q_ends, strict=True):
            if of_end > 0:
                note(node, tree.mass[node] * of_end, raw, math.log(of_end))
        q[:, ends.to(q.device)] = 0.0
        # At most `budget` of them can be evaluated
        best = q.topk(min(max(budget - result.prefixes, 1), q.shape[1]), dim=-1)
        chosen = logits.gather(1, best.indices.to(logits.device)) - total[:, None]
        children = np.empty(best.values.shape, _FRONTIER)
        children["q"] = best.values.cpu().numpy()
        children["token"] = best.indices.cpu().numpy()
        children["logprob"] = chosen.double().cpu().numpy()
        children["parent"] = np.array(nodes)[:, None]
        children["mass"] = children["q"] * np.array([tree.mass[node] for node in nodes])[:, None]
        # The least probable, whose total is negligible, are never evaluated
        behind = children["mass"][:, ::-1].cumsum(axis=1)[:, ::-1]
        return children[(behind > unlisted(mass) / _MOST) & (children["mass"] > 0)]

    poll(cancel)
    fresh = open_up([0], prefill.logits[None])
    while True:
        left = budget - result.prefixes
        frontier = np.concatenate([frontier, fresh])
        frontier = frontier[np.argsort(-frontier["mass"], kind="stable")][: max(left, 0)]
        if on_batch is not None:
            on_batch(result.prefixes, known)
        if known >= goal or not len(frontier):
            break
        poll(cancel)
        count = min(_needed(frontier["mass"], goal - known), rows_at_once)
        chosen = [tree.add(child) for child in frontier[:count]]
        frontier = frontier[count:]
        for leaf in (node for node in chosen if tree.depth[node] == max_new_tokens):
            result.prefixes += 1
            note(leaf, tree.mass[leaf], None, None)
        nodes = [node for node in chosen if tree.depth[node] < max_new_tokens]
        batches = _passes(nodes, tree, keys.shares)
        fresh = np.empty(0, _FRONTIER)
        while batches:
            batch = batches.pop()
            try:
                logits = _read(prefill, tree, keys, batch)
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
                forget(error)
                rows_at_once = len(batch) // 2
                batches += [batch[rows_at_once:], batch[:rows_at_once]]
                continue
            result.batches += 1
            fresh = np.concatenate([fresh, open_up(batch, logits)])
    return result


def listed(found: list[Found], mass: float) -> list[Found]:
    """Return the answers to list, by decreasing probability: all but the least probable, within
    `unlisted`.
    """
    ranked = sorted(found, key=lambda item: -item.probability)
    behind = 0.0
    while ranked and behind + ranked[-1].probability <= unlisted(mass):
        behind += ranked.pop().probability
    return ranked


def _needed(masses: npt.NDArray[np.float64], missing: float) -> int:
    """Return how many of the open prefixes, most probable first, to evaluate next; `missing` is the mass
    still to find.

    These are all prefixes except the least probable ones that may stay in the rest: each must be evaluated
    sooner or later, since evaluating one only splits it into smaller ones. The number does not depend on the
    budget, so that a larger budget never finds less.
    """
    needed = int(np.searchsorted(masses.cumsum(), missing)) + 1
    return min(len(masses), max(needed, ROWS_AT_LEAST))


def _passes(nodes: list[int], tree: _Tree, shares: bool) -> list[list[int]]:
    """Split the prefixes by length into passes, so that little padding is needed."""
    by_depth = sorted(nodes, key=lambda node: tree.depth[node])
    depths = [tree.depth[node] for node in by_depth]
    starts = [i for i in range(len(depths)) if i == 0 or depths[i] != depths[i - 1]] + [len(depths)]
    # best[k]: fewest tokens, and where the last pass begins, for the prefixes of the first k lengths
    best: list[tuple[int, int]] = [(0, 0)]
    for k in range(1, len(starts)):
        longest = depths[starts[k] - 1]
        best.append(
            min(
                (
                    best[j][0]
                    + PASS_TOKENS
                    + (starts[k] - starts[j]) * (longest - (depths[starts[j]] - 1 if shares else 0)),
                    j,
                )
                for j in range(k)
            )
        )
    passes, k = [], len(starts) - 1
    while k:
        j = best[k][1]
        passes.append(by_depth[starts[j] : starts[k]])
        k = j
    return passes


def _read(prefill: Prefill, tree: _Tree, keys: PrefixCache, nodes: list[int]) -> torch.Tensor:
    """Raw logits [nodes, vocabulary] after each prefix, in one pass.

    The shared part of the cache is not read again. Shorter rows are padded on the right, which earlier tokens
    do not attend to.
    """
    paths = [tree.path(node) for node in nodes]
    depths = [len(path) for path in paths]
    shared = min(depths) - 1 if keys.shares else 0
    device, width = prefill.logits.device, max(depths) - shared
    tokens = torch.tensor(
        [
            [tree.token[i] for i in path[shared:]] + [tree.token[path[-1]]] * (shared + width - len(path))
            for path in paths
        ],
        device=device,
    )
    cache = keys.fork([path[:shared] for path in paths], device)
    same = min(depths) == max(depths)
    output = prefill.resume(
        input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1 if same else width
    )
    rows = torch.arange(len(nodes), device=device)
    last = torch.tensor(depths, device=device) - 1
    keys.keep(nodes, cache, last)
    return checked_logits(output.logits[:, -1] if same else output.logits[rows, last - shared])
