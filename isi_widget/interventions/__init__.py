"""Interventions on the inside of a model, as data: what is changed, in which layer, for which tokens.

`VLM.intervene(*interventions)` applies them. An intervention is immutable, equal by content and has a JSON
form, so that a trial can record it and print it as Python. No torch here: `isi_widget.vlm.inside` runs them.

- `heads`: the output of a single attention head is scaled or replaced. `gates`: of all heads at once.
- `attention`: attention between groups of tokens is cut, scaled or redistributed.
- `patching`: activations are taken from a run on another stimulus.
- `steering`: a direction is added to the residual stream.
- `contrastive`: the logits are contrasted with those for a worse input.
- `tokens`: the groups of tokens.

A new kind is a subclass of `Intervention` under `@register`, and its counterpart in `vlm.inside.editing`.
"""

from isi_widget.interventions.attention import AttentionReplace, AttentionScale, Knockout
from isi_widget.interventions.base import (
    Intervention,
    checked,
    code,
    digest,
    from_dict,
    from_dicts,
    keyed,
    summary,
    to_dicts,
)
from isi_widget.interventions.contrastive import ContrastiveDecoding
from isi_widget.interventions.gates import HeadGates
from isi_widget.interventions.heads import HeadReplace, HeadScale
from isi_widget.interventions.patching import SITES, ActivationPatch
from isi_widget.interventions.steering import Steer, SteeringDirection
from isi_widget.interventions.tokens import GROUPS, ImageTokens

__all__ = [
    "GROUPS",
    "SITES",
    "ActivationPatch",
    "AttentionReplace",
    "AttentionScale",
    "ContrastiveDecoding",
    "HeadGates",
    "HeadReplace",
    "HeadScale",
    "ImageTokens",
    "Intervention",
    "Knockout",
    "Steer",
    "SteeringDirection",
    "checked",
    "code",
    "digest",
    "from_dict",
    "from_dicts",
    "keyed",
    "summary",
    "to_dicts",
]
