"""What was set on a model and its processor after both were made, such as
`vlm.processor.image_processor.do_normalize = False` or a norm's `eps`.

Such settings are no weights, and change results all the same: they belong to the fingerprint and to what is
kept beside a result. Compared with how the model came: what a checkpoint says is no change. Not for weights,
hooks and adapters (see `fingerprint.py` and `isi_widget.pretrained.state`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isi_widget.pretrained import state

_LONGEST = 200


class SetInPlace:
    """The settings of one model and processor, as they came.

    Parameters
    ----------
    model : model of transformers.
    processor : its processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._tree = model, state.Tree(model)
        self._named: dict[int, str] = {}
        self._walked: list[Any] = []
        self._first = self._read(processor)

    def __call__(self, processor: Any) -> dict[str, str]:
        """Return the settings that differ by now, and their values as text; empty where none does."""
        now = self._read(processor)
        return {
            name: repr(value) if len(repr(value)) <= _LONGEST else f"{repr(value)[: _LONGEST - 3]}..."
            for name, value in sorted(now.items())
            if name in self._first and self._first[name] != value
        }

    def _read(self, processor: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        _add(found, "processor", vars(processor) if hasattr(processor, "__dict__") else {})
        image = getattr(processor, "image_processor", None)
        _add(found, "image_processor", getattr(image, "__dict__", {}), holders=True)
        tokenizer = getattr(processor, "tokenizer", None)
        found["tokenizer.chat_template"] = getattr(tokenizer, "chat_template", None)
        configs: dict[int, tuple[str, Any]] = {}
        for name, module in self._modules():
            attributes = vars(module)
            _add(found, name, attributes)
            if (config := attributes.get("config")) is not None and hasattr(config, "__dict__"):
                configs.setdefault(id(config), (f"{name}.config", config))
        for name, config in configs.values():
            _add(found, name, vars(config), holders=True)
        return found

    def _modules(self) -> Iterable[tuple[str, Any]]:
        """Yield each module with its name; names are looked up again only after the tree has changed."""
        walked = self._tree.modules()
        if walked is not self._walked:
            self._named = {id(module): name or "model" for name, module in self._model.named_modules()}
            self._walked = walked
        for module in walked:
            if "rotary" not in type(module).__name__.lower():  # they adapt to the length of a prompt
                yield self._named.get(id(module), "model"), module


def _add(found: dict[str, Any], owner: str, attributes: Mapping[str, Any], *, holders: bool = False) -> None:
    """Add the plain attributes of an object, and with `holders` also lists and the like as text."""
    for name in attributes.keys() - state.LEFT_OUT:
        value = attributes[name]
        if name[0] == "_":
            continue
        if type(value) in state.PLAIN:
            found[f"{owner}.{name}"] = value
        elif holders and isinstance(value, (tuple, list, Mapping)):
            found[f"{owner}.{name}"] = str(value)
