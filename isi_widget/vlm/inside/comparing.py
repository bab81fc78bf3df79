"""Recorded attention compared with transformers' own eager attention, for a model of an unlisted family."""

from __future__ import annotations

from typing import Any

import torch

from isi_widget.pretrained.placement import input_device
from isi_widget.pretrained.quantization import computes_in
from isi_widget.segments import GROUPS
from isi_widget.vlm.families.base import Family
from isi_widget.vlm.inside.attention import AttentionRecorder, implementation, recording

_TOKENS = 8


def reason_against_unlisted(model: Any, family: Family) -> str:
    """Return why the attention of an unlisted model cannot be recorded, tried on a few text tokens; "" if it
    can.
    """
    if not family.text_config:
        return "The configuration has no sub-config of its language model."
    try:
        layers = family.layers(model)
    except (AttributeError, AssertionError, NotImplementedError):
        return "The decoder layers were not found."
    try:
        difference = _difference_from_eager(model, family, len(layers))
    except Exception as error:  # whatever an unknown model raises here is the reason
        return f"A recorded forward could not be compared with eager attention ({_first_line(error)})."
    exact = (computes_in(model) or str(model.dtype)).endswith("float32")
    tolerance = 1e-4 if exact else 2e-2
    if not difference <= tolerance:
        return f"Recorded attention differs from eager attention by {difference:.2g}."
    return ""


@torch.no_grad()
def _difference_from_eager(model: Any, family: Family, layers: int) -> float:
    """Return the largest difference of recorded masses from transformers' own attentions, on a few text
    tokens.
    """
    reserved = {
        value
        for name, value in model.config.to_dict().items()
        if name.endswith(("_token_id", "_token_index")) and isinstance(value, int)
    }
    free = [token for token in range(20, 200) if token not in reserved]
    ids = torch.tensor([free[:_TOKENS]], device=input_device(model))
    groups = torch.arange(_TOKENS) % len(GROUPS)
    recorder = AttentionRecorder(groups)
    recorder.begin(_TOKENS, rows=_TOKENS)
    state, previous = family.state(model), implementation(model, family.text_config)
    try:
        with recording(model, family.text_config, recorder):
            model(input_ids=ids, use_cache=True)
        if recorder.layers != tuple(range(layers)):
            raise ValueError(f"{len(recorder.layers)} of {layers} layers were seen")
        model.set_attn_implementation({family.text_config: "eager"})
        attentions = model(input_ids=ids, use_cache=True, output_attentions=True).attentions
    finally:
        model.set_attn_implementation({family.text_config: previous})
        family.restore(state)
    eager = torch.stack([layer[0].float().cpu() for layer in attentions])  # [layers, heads, rows, keys]
    sums = [eager[..., groups == group].sum(-1) for group in range(len(GROUPS))]
    return float((torch.stack(sums, dim=-1).permute(2, 0, 1, 3) - recorder.mass()).abs().max())


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:160]
