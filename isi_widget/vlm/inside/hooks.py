"""Module hooks, and switches of gradients, that exist only inside a block; only those of the caller.

For what the attention twin does not see: inputs and outputs of single modules (see `sites`). Order of
registration is order of execution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

#: (module, "input" or "output", function). The function is given the module and its first input, or its
#: output, and returns a replacement or None.
Hook = tuple[torch.nn.Module, str, Callable[[torch.nn.Module, Any], Any]]


@contextmanager
def hooked(*hooks: Hook) -> Iterator[None]:
    """Register hooks; all are removed on leaving, also after an exception. Those of others stay."""
    with ExitStack() as stack:
        for module, place, function in hooks:
            if place == "input":
                handle = module.register_forward_pre_hook(_on_input(function))
            else:
                handle = module.register_forward_hook(_on_output(function))
            stack.callback(handle.remove)
        yield


def _on_input(function: Callable[[torch.nn.Module, Any], Any]) -> Callable[..., Any]:
    def hook(module: torch.nn.Module, arguments: tuple[Any, ...]) -> Any:
        changed = function(module, arguments[0])
        return None if changed is None else (changed, *arguments[1:])

    return hook


def _on_output(function: Callable[[torch.nn.Module, Any], Any]) -> Callable[..., Any]:
    def hook(module: torch.nn.Module, _: Any, output: Any) -> Any:
        return function(module, output)

    return hook


@contextmanager
def called(
    module: torch.nn.Module, function: Callable[[Any, dict[str, Any]], dict[str, Any] | None]
) -> Iterator[None]:
    """Let `function` see the first input and the keyword arguments of each call of a module; what it returns,
    unless None, are the keyword arguments that the module is given. Removed on leaving.
    """

    def hook(
        _: torch.nn.Module, inputs: tuple[Any, ...], arguments: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        states = inputs[0] if inputs else arguments["hidden_states"]
        changed = function(states, arguments)
        return None if changed is None else (inputs, changed)

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def without_gradients(model: Any) -> Iterator[None]:
    """Within it, parameters take no gradients, so that those of activations cost neither time nor memory
    for them. Restored on leaving.
    """
    taking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in taking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in taking:
            parameter.requires_grad_(True)
