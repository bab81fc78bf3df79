"""The decoding loop: from one prefill to answers with the model's own exact log-probabilities.

One prefill serves any number of answers: its key-value cache is forked, never changed. Log-probabilities are
the float32 log-softmax of the raw logits; those of the distribution that a token was drawn from (temperature,
top-k, top-p) stand beside them. The end-of-sequence token is no answer token; its log-probability is kept
apart. Not for turning stimuli into prompts (see `vlm/prompts`) nor for beams (see `beams.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from isi_widget import checks
from isi_widget.errors import Cancelled
from isi_widget.setting import SAMPLES, TEMPERATURE, TOP_K, TOP_P
from isi_widget.vlm.decoding.cache import fork, row_bytes
from isi_widget.vlm.nan import checked_logits
from isi_widget.vlm.prompts.prompt import Prompt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Called after each answer token: row (0 for a single answer), text of the token, natural log-probability.
OnToken = Callable[[int, str, float], None]
Cancel = Callable[[], bool]
#: Rows decoded in one batch at most; each row has its own random stream, whatever the batch.
ROWS_AT_ONCE = 64
#: Share of the free memory that the caches of one batch may take; activations and logits need the rest.
SHARE_OF_MEMORY = 0.7
#: Bytes of caches that any machine has.
SMALL = 2**25
MAX_SAMPLES = 1000
#: Other tokens that are remembered beside each token of the shown answer.
ALTERNATIVES = 5


@dataclass(frozen=True, eq=False)
class Prefill:
    """A prompt that the model has read: what every answer to it starts from. Decoding changes nothing here.

    Attributes
    ----------
    prompt : the prompt.
    logits : [vocabulary], float32, raw logits of the first answer token.
    cache : key-value cache of the prompt, batch size 1.
    mass : [layers, heads, groups] attention of the row that predicts the first answer token, or None if it
        was not recorded.
    owner : `VLM.identity` of the VLM that made it.
    resume : the model's forward on further tokens of this prompt; it first gives the model back what it keeps
        of the prompt outside the cache, so that other prompts may be read in between.
    """

    prompt: Prompt
    logits: torch.Tensor
    cache: Any
    mass: npt.NDArray[np.float32] | None
    owner: str
    resume: Callable[..., Any]


def rows_at_once(cache: Any, new_tokens: int, free: int | None) -> int:
    """How many answers of at most `new_tokens` to decode side by side from a prompt's cache, `free` bytes of
    memory being left (None: not known).
    """
    if free is None:
        return ROWS_AT_ONCE
    return max(1, min(ROWS_AT_ONCE, int(SHARE_OF_MEMORY * free / row_bytes(cache, new_tokens))))


@dataclass
class Row:
    """One answer while it is being decoded."""

    index: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    sampled_logprobs: list[float] = field(default_factory=list)
    #: at each token the most likely others, best first: (id, log-probability)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    finished: bool = False
    #: log-probability of the end, over all tokens that end an answer; None until it has ended
    end_logprob: float | None = None
    sampled_end_logprob: float | None = None


class Pieces:
    """Text of each new token, such that the pieces joined are the decoded text.

    A character split over several tokens, or a space that only shows between tokens, comes out right. A token
    that completes nothing yet has the text "".
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = ""

    def push(self, token: int) -> str:
        """Return the text that this token adds."""
        self._ids.append(token)
        text = decode(self._tokenizer, self._ids)
        if text.endswith("\ufffd") or not text.startswith(self._shown):
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """Text of token ids, special tokens left out, white space as the tokens have it."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


#: Picks the next token of each row: (tokens [rows], probabilities [rows, vocabulary] that they were drawn
#: with, or None).
Choose = Callable[[torch.Tensor, list[Row]], tuple[torch.Tensor, torch.Tensor | None]]


def greedy(scores: torch.Tensor, rows: list[Row]) -> tuple[torch.Tensor, None]:
    """Return the most likely token of each row."""
    return scores.argmax(dim=-1), None


class Sampler:
    """Draws tokens after temperature, top-k and top-p, in transformers' order, by inverse transform.

    Each row has a `torch.Generator` of its own, seeded from (seed, row): the i-th answer is the same whatever
    the number of answers, the batch size, or the moment at which other rows end.
    """

    def __init__(self, *, temperature: float, top_k: int, top_p: float, seed: int) -> None:
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        check_sampling(temperature, top_k, top_p, seed)
        self._warpers: list[Any] = [TemperatureLogitsWarper(float(temperature))]
        if top_k > 0:
            self._warpers.append(TopKLogitsWarper(int(top_k)))
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(float(top_p)))
        self._seed = seed
        self._generators: dict[int, torch.Generator] = {}

    def _uniform(self, row: int) -> float:
        if row not in self._generators:
            self._generators[row] = torch.Generator().manual_seed(_mix(int(self._seed), row))
        return float(torch.rand((), generator=self._generators[row], dtype=torch.float64))

    def restart(self, rows: Sequence[int]) -> None:
        """Draw these rows again from their beginning."""
        for row in rows:
            self._generators.pop(row, None)

    def __call__(self, scores: torch.Tensor, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the drawn token of each row from scores [rows, vocabulary], and the probabilities
        [rows, vocabulary], float64, that it was drawn with.
        """
        probabilities = self.probabilities(scores)
        cumulated = probabilities.cumsum(dim=-1)
        total = cumulated[:, -1:]
        uniform = torch.tensor(
            [[self._uniform(row.index)] for row in rows], dtype=torch.float64, device=total.device
        )
        # Strictly below the total, so that the token found always has a positive probability.
        point = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
        tokens = torch.searchsorted(cumulated, point, right=True)
        return tokens.squeeze(1).to(scores.device), probabilities

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the distribution that tokens are drawn from, [rows, vocabulary], float64, from scores."""
        # The warpers take the ids so far for the sake of others of their kind; these three do not read them.
        ids = torch.empty((len(scores), 0), dtype=torch.long, device=scores.device)
        warped = scores
        for warper in self._warpers:
            warped = warper(ids, warped)
        # Apple's GPUs have no float64.
        exact = warped.cpu() if warped.device.type == "mps" else warped
        return exact.double().softmax(dim=-1)


def _mix(seed: int, row: int) -> int:
    """Return one seed for each (seed, row): two rounds of splitmix64 (Steele et al., OOPSLA 2014)."""
    state = seed & 0xFFFFFFFFFFFFFFFF
    for step in (row + 1, 1):
        state = (state + step * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def check_sampling(temperature: float, top_k: int, top_p: float, seed: int) -> None:
    """Refuse sampling settings that have no meaning."""
    TEMPERATURE.check("temperature", temperature)
    TOP_K.check("top_k", top_k)
    TOP_P.check("top_p", top_p)
    checks.integer(seed, "seed")


def check_lengths(max_new_tokens: int, min_new_tokens: int) -> None:
    """Refuse answer lengths that have no meaning."""
    most = checks.integer(max_new_tokens, "max_new_tokens", low=1)
    checks.integer(min_new_tokens, "min_new_tokens", low=0, high=most, hint="max_new_tokens is the limit.")


def check_samples(n: int) -> None:
    """Refuse a number of samples that has no meaning or would never end."""
    SAMPLES.check("The number of samples", n)


def poll(cancel: Cancel | None) -> None:
    """Raise `Cancelled` if the caller asks for it."""
    if cancel is not None and cancel():
        raise Cancelled("Generation was cancelled.")


@torch.no_grad()
def decode_rows(
    prefill: Prefill,
    rows: Sequence[int],
    choose: Choose,
    *,
    eos_ids: frozenset[int],
    max_new_tokens: int,
    min_new_tokens: int = 0,
    alternatives: int = 0,
    emit: Callable[[Row], None] | None = None,
    ended: Callable[[Row], None] | None = None,
    cancel: Cancel | None = None,
    step: Callable[[torch.Tensor, Any], torch.Tensor] | None = None,
) -> list[Row]:
    """Decode one batch of answers to the end.

    Parameters
    ----------
    rows : the index of each answer (its random stream).
    choose : picks the next token of each row from scores [rows, vocabulary].
    alternatives : how many of the most likely other tokens to remember at each place.
    emit : function called after each token appended to a row.
    ended : function called with each complete row.
    step : runs the model on new tokens [rows, 1] and a cache, giving logits [rows, vocabulary]; `next_logits`
        if None.
    """
    step = step or (lambda tokens, cache: next_logits(prefill, tokens, cache))
    answers = [Row(index) for index in rows]
    active = list(answers)
    logits = prefill.logits[None].expand(len(active), -1)
    cache: Any = None
    ends = torch.tensor(sorted(eos_ids), dtype=torch.long, device=logits.device)
    for position in range(max_new_tokens):
        poll(cancel)
        scores = logits
        if position < min_new_tokens:
            scores = logits.index_fill(1, ends, float("-inf"))
        tokens, drawn = choose(scores, active)
        chosen = logits.gather(1, tokens[:, None]).squeeze(1)
        total = logits.logsumexp(dim=-1)
        logprobs = (chosen - total).tolist()
        others = _others(logits, total, tokens, alternatives)
        drawn_logprobs: list[Any] = [None] * len(active)
        if drawn is not None:
            drawn_logprobs = drawn.gather(1, tokens[:, None].to(drawn.device)).squeeze(1).log().tolist()
        last = position + 1 == max_new_tokens
        for place, (row, token, logprob, sampled, other) in enumerate(
            zip(active, tokens.tolist(), logprobs, drawn_logprobs, others, strict=True)
        ):
            row.finished = token in eos_ids
            if row.finished:
                row.end_logprob = float(logits[place, ends].logsumexp(0) - total[place])
                if drawn is not None:
                    row.sampled_end_logprob = float(drawn[place, ends.to(drawn.device)].sum().log())
            else:
                row.ids.append(token)
                row.logprobs.append(logprob)
                if sampled is not None:
                    row.sampled_logprobs.append(sampled)
                if other is not None:
                    row.alternatives.append(other)
                if emit is not None:
                    emit(row)
            if ended is not None and (row.finished or last):
                ended(row)
        keep = [place for place, row in enumerate(active) if not row.finished]
        if not keep or last:
            break
        if cache is None:
            cache = fork(prefill.cache, len(keep))
        elif len(keep) < len(active):
            cache.batch_select_indices(torch.tensor(keep, device=logits.device))
        active = [active[place] for place in keep]
        logits = step(tokens[keep][:, None], cache)
    return answers


def _others(
    logits: torch.Tensor, total: torch.Tensor, tokens: torch.Tensor, number: int
) -> Sequence[list[tuple[int, float]] | None]:
    """For each row the most likely tokens except the one taken, with their log-probabilities."""
    if not number:
        return [None] * len(tokens)
    best = logits.topk(min(number + 1, logits.shape[1]), dim=-1)
    logprobs = (best.values - total[:, None]).tolist()
    return [
        [pair for pair in zip(ids, values, strict=True) if pair[0] != taken][:number]
        for ids, values, taken in zip(best.indices.tolist(), logprobs, tokens.tolist(), strict=True)
    ]


def next_logits(prefill: Prefill, tokens: torch.Tensor, cache: Any) -> torch.Tensor:
    """Raw logits [rows, vocabulary], float32, after feeding new tokens [rows, n]; the cache grows."""
    output = prefill.resume(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return checked_logits(output.logits[:, -1])
