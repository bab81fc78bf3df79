"""Activation patching by plain hooks on a model's own modules: two whole forward passes for each patch."""

from __future__ import annotations

from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked


def patched_by_hand(vlm, site, layers, rows, source, base, partners=None):
    """Logits after the prompt of `base`, with rows of `source` in place at a site of some layers.

    `partners` are the rows of the source; the same ones if not given.
    """
    parts = sites(vlm.model, vlm.family)
    find = {"residual": lambda at: parts.layers[at], "attention": parts.attention, "mlp": parts.mlp}[site]
    place, kept = ("input" if site == "residual" else "output"), {}

    def states(found):
        return found[0] if isinstance(found, tuple) else found

    def keep(layer):
        def hook(_, found):
            kept[layer] = states(found).clone()

        return hook

    def put(layer):
        def hook(_, found):
            changed = states(found).clone()
            changed[:, rows] = kept[layer][:, rows if partners is None else partners]
            return (changed, *found[1:]) if isinstance(found, tuple) else changed

        return hook

    with hooked(*((find(layer), place, keep(layer)) for layer in layers)):
        vlm.prefill(source)
    with hooked(*((find(layer), place, put(layer)) for layer in layers)):
        return vlm.prefill(base).logits
