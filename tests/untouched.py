"""Whether a call left a model as it found it: hooks, switches, gradients, weights, attention function."""

from __future__ import annotations

from contextlib import contextmanager

import torch

from isi_widget.vlm.inside.attention import _ACTIVE

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
)


def hooks(model):
    """Every hook of every module: {(module, kind): ids in order}; modules without hooks are left out."""
    found = {
        (name, kind): tuple(getattr(module, kind, {}))
        for name, module in model.named_modules()
        for kind in _HOOKS
    }
    return {place: ids for place, ids in found.items() if ids}


def facts(model):
    """What a call must leave as it is."""
    return {
        "hooks": hooks(model),
        "training": [name for name, module in model.named_modules() if module.training],
        "overridden": {
            name: sorted(vars(module).keys() & {"forward", "__call__"})
            for name, module in model.named_modules()
            if vars(module).keys() & {"forward", "__call__"}
        },
        "gradients on": [name for name, value in model.named_parameters() if value.requires_grad],
        "gradients": [name for name, value in model.named_parameters() if value.grad is not None],
        "versions": {name: (value.data_ptr(), value._version) for name, value in model.named_parameters()},
        "attention": {
            name: part._attn_implementation
            for name, part in (("text", model.config.get_text_config()), ("all", model.config))
        },
        "active": _ACTIVE.get(),
        "grad mode": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "random": torch.get_rng_state().tolist(),
    }


@contextmanager
def untouched(model):
    """Within it, whatever runs, or fails, must leave the model as it found it."""
    before = facts(model)
    try:
        yield
    finally:
        after = facts(model)
        changed = [name for name in before if before[name] != after[name]]
        assert not changed, {
            name: (before[name], after[name]) for name in changed if name != "random"
        } or changed
