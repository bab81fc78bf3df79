"""Beam search over a shared prefill, as transformers' `generate` does it by default.

That is: length_penalty 1, early_stopping False. A hypothesis that ends is scored by its mean log-probability,
the end-of-sequence token counted, as `generate` does. The search stops when the best open beam, by its mean
so far, is no better than the worst of `num_beams` finished ones. Not for sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from isi_widget import checks
from isi_widget.vlm.decoding.cache import fork
from isi_widget.vlm.decoding.loop import Cancel, Prefill, Row, next_logits, poll


@dataclass(frozen=True)
class _Beam:
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    score: float  # sum of log-probabilities
    end_logprob: float | None = None


@torch.no_grad()
def beam_search(
    prefill: Prefill,
    *,
    num_beams: int,
    eos_ids: frozenset[int],
    max_new_tokens: int,
    min_new_tokens: int = 0,
    cancel: Cancel | None = None,
) -> Row:
    """Return the best answer of a beam search, with the model's raw log-probabilities.

    Raises
    ------
    InputError
        If `num_beams` is not a whole number from 2 to 64.
    """
    checks.integer(num_beams, "num_beams", low=2, high=64, hint="1 is greedy decoding.")
    device = prefill.logits.device
    ends = torch.tensor(sorted(eos_ids), dtype=torch.long, device=device)
    # Enough candidates that `num_beams` open ones remain if all others end here.
    width = max(2, 1 + len(eos_ids)) * num_beams
    open_beams = [_Beam((), (), 0.0)]
    finished: list[tuple[float, _Beam, bool]] = []  # mean log-probability, beam, ended by itself
    logits, cache = prefill.logits[None], None
    for position in range(max_new_tokens):
        poll(cancel)
        logprobs = logits.log_softmax(dim=-1)
        scores = logprobs.clone()
        if position < min_new_tokens:
            scores[:, ends] = float("-inf")
        totals = scores + torch.tensor([[beam.score] for beam in open_beams], device=device)
        best = totals.flatten().topk(min(width, totals.numel()))
        parents, tokens = best.indices // totals.shape[1], best.indices % totals.shape[1]
        last = position + 1 == max_new_tokens
        survivors: list[tuple[int, _Beam]] = []
        for rank, (total, parent, token) in enumerate(
            zip(best.values.tolist(), parents.tolist(), tokens.tolist(), strict=True)
        ):
            if total == float("-inf"):
                continue
            beam, ended = open_beams[parent], token in eos_ids
            if not ended:
                logprob = float(logprobs[parent, token])
                beam = _Beam((*beam.ids, token), (*beam.logprobs, logprob), total)
            else:
                beam = replace(beam, end_logprob=float(logprobs[parent, ends].logsumexp(0)))
            if ended or last:
                # Only the best `num_beams` candidates may finish: the others are reserves.
                if rank < num_beams:
                    finished.append((total / (position + 1), beam, ended))
            elif len(survivors) < num_beams:
                survivors.append((parent, beam))
        finished = sorted(finished, key=lambda item: -item[0])[:num_beams]
        if last or not survivors:
            break
        if len(finished) == num_beams and survivors[0][1].score / (position + 1) <= finished[-1][0]:
            break
        chosen = torch.tensor([parent for parent, _ in survivors], device=device)
        if cache is None:
            cache = fork(prefill.cache, len(survivors))
        else:
            cache.reorder_cache(chosen)
        open_beams = [beam for _, beam in survivors]
        logits = next_logits(
            prefill, torch.tensor([[beam.ids[-1]] for beam in open_beams], device=device), cache
        )
    _, beam, ended = finished[0]
    return Row(0, list(beam.ids), list(beam.logprobs), finished=ended, end_logprob=beam.end_logprob)
