"""Measuring an `AttentionMap`: the recorded rows of one answer over single prompt tokens, and their boxes.

Not for the record itself (see `maps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from isi_widget.attribution.attention import check_answer
from isi_widget.attribution.maps import AttentionMap, listed
from isi_widget.checks import is_whole
from isi_widget.errors import InputError
from isi_widget.vlm.at_model import at_the_model
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    from isi_widget.answer import Answer
    from isi_widget.vlm import VLM
    from isi_widget.vlm.protocol import StimulusLike

#: A record of more bytes keeps the mean over the heads instead of each head.
LARGEST = 2**28
TEXTS = ("context", "question")
_DECODED_AT_ONCE = 32


@at_the_model
def measure_attention_map(
    vlm: VLM,
    stimulus: StimulusLike,
    answer: Answer | None = None,
    *,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | Literal["mean"] | None = None,
) -> AttentionMap:
    """Measure the attention of each answer token over each image token, and the positions of these in the
    picture.

    The prompt is read once and the answer is fed back in one pass. Weights are float32, whatever the model
    computes in, for the rows that predict answer tokens only; they agree with `measure_attention` of the same
    answer: over all image tokens they sum to its image mass.

    Parameters
    ----------
    vlm : the model.
    stimulus : input of the model.
    answer : the answer to measure. None: the greedy answer.
    layers, heads : which to keep, counted from 0. None: all. heads="mean": their mean alone. With heads=None
        a record of more than 256 MiB keeps the mean over the heads too (a 7B model of 32 layers and 32 heads
        with 576 image tokens: from about 110 answer tokens on); `AttentionMap.heads` is then empty.

    Raises
    ------
    InputError
        If the model's attention or the places of its image tokens are not available (with the reason from
        `vlm.unavailable`), there is no such layer or head, the record would be too large all the same, the
        answer has no tokens or was given to another prompt.
    """
    import torch

    from isi_widget.vlm.inside.attention import TokenRecorder

    _check_available(vlm)
    text = getattr(vlm.model.config, vlm.family.text_config)
    every_head = range(int(text.num_attention_heads))
    kept_layers = _wanted("layers", layers, range(int(text.num_hidden_layers)))
    kept_heads = every_head if isinstance(heads, str) else _wanted("heads", heads, every_head)
    if isinstance(heads, str) and heads != "mean":
        raise InputError(f'heads is {heads!r}; expected numbers of heads, "mean", or None for all.')
    with vlm.lock:
        prompt = vlm.encode(stimulus)
        boxes = vlm.token_boxes(stimulus)
        size = stimulus.render().size
        image = prompt.indices("image")
        texts = [(place, name) for name in TEXTS for place in prompt.indices(name)]
        recorder = TokenRecorder(
            torch.tensor([*image, *(place for place, _ in texts)], dtype=torch.long),
            frozenset(kept_layers),
            None if heads is None or heads == "mean" else tuple(kept_heads),
        )
        prefill = vlm.read(prompt, recorder)
        mass = recorder.mass()
        if recorder.layers != tuple(kept_layers):
            missing = sorted(set(kept_layers) - set(recorder.layers))
            raise InputError(
                f"Layer {listed(missing)} of this model has no attention that can be recorded; choose other "
                "layers with layers=[...]."
            )
        if answer is None:
            answer = vlm.answer(prefill)
        check_answer(answer, prefill)
        one_head = 4 * len(answer.token_ids) * len(kept_layers) * (len(image) + len(texts))
        recorder.average = _averages(heads, one_head, len(kept_heads))
        if recorder.average:
            mass = mass.mean(dim=2, keepdim=True)
        if len(answer.token_ids) > 1:
            vlm.feed(prefill, answer.token_ids[:-1], recorder)
            mass = torch.cat([mass, recorder.mass()])
        words = [word for name in TEXTS for word in _words(vlm, prompt.segment_token_ids(name))]
    found = mass.numpy()
    return AttentionMap(
        mass=found[..., : len(image)],
        boxes=boxes,
        image_size=size,
        tokens=tuple(answer.tokens),
        layers=tuple(kept_layers),
        heads=() if recorder.average else tuple(kept_heads),
        text_mass=found[..., len(image) :],
        text_tokens=tuple(words),
        text_segments=tuple(name for _, name in texts),
    )


def _words(vlm: VLM, ids: Sequence[int]) -> list[str]:
    """Return the text of each token of a segment. Decoding restarts from time to time, since each step
    decodes from the start.
    """
    from isi_widget.vlm.decoding.loop import Pieces

    words: list[str] = []
    shown, begun = Pieces(vlm.tokenizer), 0
    for place, token in enumerate(ids):
        words.append(shown.push(token))
        fresh = Pieces(vlm.tokenizer)
        # from a token that is whole by itself, so that the space before the next one is not lost
        if place - begun >= _DECODED_AT_ONCE and words[-1] and fresh.push(token):
            shown, begun = fresh, place
    return words


def _check_available(vlm: VLM) -> None:
    check_vlm_like(vlm, "An attention map needs")
    for name in ("attention", "image_map"):
        if reason := vlm.unavailable.get(name):
            raise InputError(f"An attention map is not available from {vlm.model_id}: {reason}")


def _wanted(name: str, chosen: Sequence[int] | None, offered: range) -> Sequence[int]:
    if chosen is None:
        return offered
    if not isinstance(chosen, Sequence) or not chosen or not all(is_whole(one) for one in chosen):
        raise InputError(f"{name} is {chosen!r}; expected a list of whole numbers, or None for all.")
    if unknown := sorted(set(chosen) - set(offered)):
        raise InputError(
            f"This model has no {name} {listed(unknown)}; its {name} are numbered {listed(offered)}."
        )
    return sorted(set(chosen))


def _averages(heads: Sequence[int] | str | None, one_head: int, number: int) -> bool:
    """Return whether to store the mean over the heads; one head takes `one_head` bytes."""
    average = heads == "mean" or (heads is None and one_head * number > LARGEST)
    needed = one_head * (1 if average else number)
    if needed > LARGEST:
        raise InputError(
            f"This attention map would take {needed / 2**20:.0f} MiB; the limit is "
            f"{LARGEST / 2**20:.0f} MiB. Choose fewer layers=[...] or heads=[...]."
        )
    return average
