"""Effects of heads and of states by captum on plain transformers, for `test_mechanism_oracles`.

Nothing is taken from `isi_widget.vlm.inside` or `isi_widget.mechanism`; the family names the layers. A score
is a function of logits [rows, vocabulary] to [rows].
"""

from __future__ import annotations

from contextlib import ExitStack

import torch


class Model:
    """A plain forward pass over one prompt, as captum takes it: any number of equal rows.

    Parameters
    ----------
    inputs
        What the processor makes of the prompt.
    score
        From logits [rows, vocabulary] of the last prompt token to [rows].
    """

    def __init__(self, vlm, inputs, score):
        self.model, self.inputs, self.score = vlm.model, dict(inputs), score
        self.layers = vlm.family.layers(vlm.model)
        self.heads = vlm.model.config.text_config.num_attention_heads

    def __call__(self, ids):
        others = {name: value for name, value in self.inputs.items() if name != "input_ids"}
        if "pixel_values" in others:
            others["pixel_values"] = others["pixel_values"].expand(len(ids), -1, -1, -1)
        if "attention_mask" in others:
            others["attention_mask"] = others["attention_mask"].expand(len(ids), -1)
        return self.score(self.model(input_ids=ids, **others).logits[:, -1])

    @property
    def ids(self):
        return self.inputs["input_ids"]


def _gated(model, by):
    """The score [rows] as a function of gates [rows, layers * heads], by hooks on the output projections.

    A gate of 0 puts a replacement in place of a head: zeros, or the mean of the other heads.
    """
    count = len(model.layers)

    def score(gates):
        gates = gates.reshape(len(gates), count, 1, model.heads, 1)
        with ExitStack() as stack:
            for number, layer in enumerate(model.layers):

                def change(_, given, number=number):
                    own = given[0].unflatten(-1, (model.heads, -1))
                    others = (own.sum(-2, keepdim=True) - own) / (model.heads - 1)
                    new = others if by == "mean" else torch.zeros_like(own)
                    return (new + gates[:, number] * (own - new)).flatten(-2)

                stack.callback(layer.self_attn.o_proj.register_forward_pre_hook(change).remove)
            return model(model.ids.expand(len(gates), -1))

    return score, count


def gate_gradient(model, gates, by="zero"):
    """Gradient of the score by the gates [layers, heads] of all heads, in the same shape."""
    from captum.attr import Saliency

    score, _ = _gated(model, by)
    point = torch.as_tensor(gates, dtype=torch.float32).reshape(1, -1).requires_grad_()
    return Saliency(score).attribute(point, abs=False).detach().reshape(-1, model.heads)


def gate_integrals(model, member, by="zero", steps=20):
    """Integrated gradients of the score while the gates of a group of heads go from 0 to 1: [layers, heads].

    `member` [layers, heads] marks the group; the gates of all other heads stay 1.
    """
    from captum.attr import IntegratedGradients

    score, count = _gated(model, by)
    closed = 1 - torch.as_tensor(member, dtype=torch.float32).reshape(1, -1)
    found = IntegratedGradients(score).attribute(
        torch.ones_like(closed), baselines=closed, n_steps=steps, method="gausslegendre"
    )
    return found.detach().reshape(count, model.heads)


def patched(model, layer, places, states):
    """By how much other states of some places in the input of a layer lower the score.

    `states` [1, tokens, width] are those of the input of the layer in another pass.
    """
    from captum.attr import LayerFeatureAblation

    mask = torch.zeros(1, model.ids.shape[1], 1, dtype=torch.long)
    mask[:, places] = 1
    with torch.no_grad():
        found = LayerFeatureAblation(model, model.layers[layer]).attribute(
            model.ids,
            layer_mask=mask.expand_as(states),
            layer_baselines=states,
            attribute_to_layer_input=True,
        )
    return float(found[0, places[0], 0])


def states(model, layer):
    """Input of a layer in the plain pass, [1, tokens, width]."""
    from captum.attr import LayerActivation

    with torch.no_grad():
        return LayerActivation(model, model.layers[layer]).attribute(model.ids, attribute_to_layer_input=True)


def integrated_states(model, layer, clean, other, steps=8, method="riemann_middle"):
    """Integrated gradients of the score in the input of a layer, from `other` states to `clean`: [tokens].

    With `steps` None, the gradient at `other` alone, times the difference.
    """
    from captum.attr import IntegratedGradients, Saliency

    def inserted(given):
        handle = model.layers[layer].register_forward_pre_hook(lambda _, old: (given, *old[1:]))
        with handle:
            return model(model.ids.expand(len(given), -1))

    if steps is None:
        start = other.clone().requires_grad_()
        found = Saliency(inserted).attribute(start, abs=False) * (clean - other)
    else:
        found = IntegratedGradients(inserted).attribute(clean, baselines=other, n_steps=steps, method=method)
    return found.detach()[0].sum(-1)
