"""`logit_lens`: measures a `LogitLens` in one forward pass. Not for the record itself (see `lens`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from isi_widget import checks
from isi_widget.concepts.pair import stimulus_of
from isi_widget.errors import InputError
from isi_widget.interventions.tokens import Tokens, check_tokens
from isi_widget.mechanism.arguments import Steps, check_inside, check_names
from isi_widget.mechanism.compared import token_text
from isi_widget.mechanism.items import first_token
from isi_widget.mechanism.lens import STREAMS, LogitLens
from isi_widget.running.bar import Shown, called, with_bar
from isi_widget.vlm.at_model import at_the_model

if TYPE_CHECKING:
    import torch

    from isi_widget.running.stages import Cancel
    from isi_widget.stimulus import Stimulus
    from isi_widget.vlm import VLM
    from isi_widget.vlm.inside.rerun import Clean

#: Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
_AT_ONCE = 256
_MOST_WORDS = 50


@with_bar
@at_the_model
def logit_lens(
    vlm: VLM,
    stimulus: Any,
    *,
    tokens: Tokens = ("image", "last"),
    streams: Sequence[str] = ("residual",),
    words: Sequence[str] = (),
    top: int = 5,
    progress: Shown = True,
    cancel: Cancel | None = None,
) -> LogitLens:
    """Read the states of every layer through the model's own final norm and un-embedding.

    One forward pass, under the interventions of the VLM. The last layer of "residual" at the last token is
    the model's own distribution of the first answer token.

    Parameters
    ----------
    vlm
        The model.
    stimulus
        What it reads; an observation stands for its unchanged stimulus.
    tokens
        Where it is read: a group of tokens or several; default the image tokens and the last token. The last
        token is always among them.
    streams
        What is read, of "residual" (after the layer; default), "middle" (after its attention), "attention"
        and "mlp" (what these add). What these add is read alone: it is no state that the model ends in.
    words
        Words whose probability is kept for every layer and token, each by its first token, as it begins an
        answer. The word that the model answers with, and the true answer, are kept anyway.
    top
        Number of most probable words to keep, 1 to 50; default 5.
    progress
        True (default) shows the time left; or a function, called as progress("layers", done, total).
    cancel
        Polled between layers; if it returns True, `Cancelled` is raised.

    Raises
    ------
    InputError
        If the inside of the model is not available, a group has no tokens in the prompt, or a value is wrong.
    """
    import torch

    from isi_widget.vlm.inside.rerun import capture

    check_inside(vlm, "A logit lens")
    shown = stimulus_of(stimulus, "logit_lens: stimulus")
    wanted = check_tokens(tokens, "logit_lens: tokens")
    kinds = check_names(streams, "logit_lens: streams", STREAMS)
    given = (words,) if isinstance(words, str) else words
    if not isinstance(given, Sequence):
        raise InputError(f"logit_lens: words must be a list of words; got {words!r:.60}.")
    extra = [checks.text(word, "logit_lens: words").strip() for word in given]
    if not all(extra):
        raise InputError("logit_lens: a word is empty or blank; leave it out.")
    number = checks.integer(top, "logit_lens: top", low=1, high=_MOST_WORDS)
    with vlm.lock, torch.no_grad(), vlm.explained("reading words inside the model"):
        prompt = vlm.encode(shown)
        positions = _positions(vlm, prompt, wanted)
        middles: list[torch.Tensor] = []
        with _middles(vlm, middles) if set(kinds) - {"residual"} else nullcontext():
            clean = capture(vlm, prompt)
        kept = _kept_words(vlm, clean, shown, extra)
        reader = _Rows(clean, positions, list(kept.values()), number)
        found: dict[tuple[str, int], tuple[Any, ...]] = {}
        step = Steps("layers", "The lens", len(kinds) * clean.layers, called(progress), cancel)
        for layer in range(clean.layers):
            states = _states(clean, middles, layer)
            for kind in kinds:
                step.one()
                found[kind, layer] = reader.read(states[kind]())
        step.one()
        parts = [
            np.stack(
                [np.stack([found[kind, layer][part] for layer in range(clean.layers)]) for kind in kinds]
            )
            for part in range(4)
        ]
        boxes, unplaced = _boxes(vlm, prompt, positions)
        image = set(prompt.indices("image")) if not prompt.unavailable else set()
        return LogitLens(
            stimulus=shown,
            model=vlm.model_id,
            streams=kinds,
            positions=tuple(positions),
            tokens=tuple("" if at in image else token_text(vlm, prompt.ids[at]) for at in positions),
            boxes=boxes,
            ids=parts[0],
            probabilities=parts[1],
            entropy=parts[2],
            words=tuple(kept),
            chosen=parts[3],
            vocabulary={int(word): token_text(vlm, int(word)) for word in np.unique(parts[0])},
            unplaced=unplaced,
        )


class _Rows:
    """Reads states of some positions: the most probable words, the entropy, and chosen words."""

    def __init__(self, clean: Clean, positions: Sequence[int], chosen: Sequence[int], top: int) -> None:
        self._clean, self._positions, self._chosen, self._top = clean, list(positions), list(chosen), top

    def read(self, states: torch.Tensor) -> tuple[npt.NDArray[Any], ...]:
        """Return ids and probabilities [T, k], entropy [T], chosen [T, words] of states [1, tokens, w]."""
        import torch

        parts = []
        for start in range(0, len(self._positions), _AT_ONCE):
            rows = states[0, self._positions[start : start + _AT_ONCE]]
            logs = self._clean.logits_of(rows).log_softmax(dim=-1)
            probabilities = logs.exp()
            top = logs.topk(min(self._top, logs.shape[-1]), dim=-1)
            # 0 times -inf is 0 here
            entropy = -(probabilities * logs.clamp(min=torch.finfo(logs.dtype).min)).sum(dim=-1)
            chosen = probabilities[:, self._chosen]
            parts.append((top.indices.int(), top.values.exp(), entropy, chosen))
        return tuple(torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))


def _states(clean: Clean, middles: Sequence[torch.Tensor], layer: int) -> dict[str, Any]:
    """Return functions that give the states [1, tokens, width] of a layer, by stream."""

    def after() -> torch.Tensor:
        return clean.inputs[layer + 1] if layer + 1 < clean.layers else clean.final

    def added() -> torch.Tensor:
        # What the layer itself gives: what a decoder adds after it (deepstack) is not its MLP's.
        return clean.output(layer) - middles[layer].to(after().device)

    return {
        "residual": after,
        "middle": lambda: middles[layer],
        "attention": lambda: middles[layer] - clean.inputs[layer].to(middles[layer].device),
        "mlp": added,
    }


@contextmanager
def _middles(vlm: VLM, found: list[torch.Tensor]) -> Iterator[None]:
    """Within it, the residual stream between attention and MLP of each layer is kept, in order."""
    from isi_widget.vlm.inside.hooks import hooked
    from isi_widget.vlm.inside.sites import sites

    parts = sites(vlm.model, vlm.family)
    with hooked(
        *(
            (parts.before_mlp(layer), "input", lambda _, states: found.append(states))
            for layer in range(len(parts.layers))
        )
    ):
        yield


def _positions(vlm: VLM, prompt: Any, tokens: Tokens) -> list[int]:
    from isi_widget.vlm.inside.groups import span_of

    member = span_of(tokens, prompt, lambda: vlm.boxes(prompt)).prompt
    return [*member[:-1].nonzero().squeeze(1).tolist(), len(prompt) - 1]


def _boxes(vlm: VLM, prompt: Any, positions: Sequence[int]) -> tuple[npt.NDArray[np.float64], str]:
    """Return the boxes [positions, 4], NaN for tokens of text, and why they are not known."""
    found = np.full((len(positions), 4), np.nan)
    if reason := vlm.unavailable.get("image_map", ""):
        return found, reason
    try:
        boxes = vlm.boxes(prompt)
    except InputError as error:
        return found, str(error)
    image = np.flatnonzero(np.array(prompt.ids) == prompt.image_token_id).tolist()
    row_of = {position: row for row, position in enumerate(image)}
    for place, position in enumerate(positions):
        if position in row_of:
            found[place] = boxes[row_of[position]]
    return found, ""


def _kept_words(vlm: VLM, clean: Clean, stimulus: Stimulus, words: Sequence[str]) -> dict[str, int]:
    """Return the kept words and their tokens: the model's own, the true answer, and those given."""
    logits = clean.logits[0]
    own = int(logits.argmax())
    found = {token_text(vlm, own): own}
    with suppress(InputError):  # no token of this vocabulary may begin the true answer
        truth = stimulus.truth or ""
        token = first_token(vlm, truth, logits)
        if token != own:
            found[truth] = token
    found |= {word: first_token(vlm, word, logits) for word in words}
    return found
