"""A Stimulus as a Python method chain, ready to paste into a cell.

Not for storing stimuli: use JSON (`serial`), which also holds the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.stimulus.drawing import CopiedPatch, Drawing
from isi_widget.stimulus.inpainting import inpainters
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.operations import Operation, ReplaceContext, ReplaceImage, ReplaceQuestion
from isi_widget.stimulus.picture import Picture

if TYPE_CHECKING:
    from isi_widget.stimulus.core import Stimulus

# Fields written by position, besides the required ones. All other fields are written by name, and omitted
# when they have their default.
_POSITIONAL = {"noise": "sigma", "erase": "region"}
# Fields that only the page uses, and the key of in-painted pixels, which is computed again.
_LEFT_OUT = {"hidden", "locked", "beneath"}
_LINE = 100  # characters of a line of a mask's text


def stimulus_code(stimulus: Stimulus, name: str = "s") -> str:
    """Write Python that rebuilds `stimulus` from `obs.stimulus()` under the name `name`.

    Custom images come from a dict `pictures`, keyed by SHA-256 (for example `stimulus.pictures`). Each mask
    gets a name of its own in the lines above. Hidden drawings are left out, and nothing is locked.
    """
    if not name.isidentifier():
        raise InputError(f"The name must be a Python name, got {name!r}.")
    seen = [operation for operation in stimulus.operations if not _hidden(operation)]
    names = _mask_names(seen, name)
    calls = [_call(stimulus, operation, names) for operation in seen]
    if not calls:
        return f"{name} = obs.stimulus()"
    masks = [line for mask, own in names.items() for line in _mask_lines(mask, own)]
    return "\n".join([*masks, f"{name} = (", "    obs.stimulus()", *(f"    {call}" for call in calls), ")"])


def _mask_names(operations: list[Operation], taken: str) -> dict[Mask, str]:
    """Return a name for each mask, in order of use: "mask" if there is one, else "mask_1", "mask_2", ..."""
    held = (getattr(item, field.name) for item in operations for field in fields(item))
    masks = list(dict.fromkeys(value for value in held if isinstance(value, Mask)))
    stem = "region" if taken.startswith("mask") else "mask"
    return {mask: stem if len(masks) == 1 else f"{stem}_{at}" for at, mask in enumerate(masks, 1)}


def _mask_lines(mask: Mask, name: str) -> list[str]:
    """Return the lines that make a mask again, exactly; long text is cut into several lines."""
    code = f"{name} = {mask.code()}"
    if len(code) <= _LINE or "'" not in code:
        return [code]
    before, text, after = code.split("'")  # isi.Mask.from_text((width, height), '...')
    call, size = before.rstrip(", ").split("(", 1)
    parts = [f"    {text[at : at + _LINE]!r}" for at in range(0, len(text), _LINE)]
    feather = [f"    {after[2:-1]},"] if after != ")" else []
    return [f"{call}(", f"    {size},", *parts[:-1], f"{parts[-1]},", *feather, ")"]


def _call(stimulus: Stimulus, operation: Operation, names: Mapping[Mask, str]) -> str:
    if isinstance(operation, ReplaceImage):
        if operation.preset == "custom":
            return f".with_image(pictures[{operation.picture.sha256!r}])"
        return f".with_image({_preset(operation)})"
    if isinstance(operation, ReplaceQuestion):
        return f".with_question({operation.text!r})"
    if isinstance(operation, ReplaceContext):
        if operation.preset is None:
            return f".with_context({operation.text!r})"
        if _is_what_the_preset_says(stimulus, operation):
            return f".with_context({_preset(operation)})"
        values = ", ".join(repr(getattr(operation, item.name)) for item in fields(operation))
        return f".apply(isi.stimulus.ReplaceContext({values}))"
    if isinstance(operation, CopiedPatch):
        return _patch(operation)
    arguments, named = [], []
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name in _LEFT_OUT or (item.name == "pixels" and _can_repeat(operation)):
            continue
        if item.default is MISSING or item.name == _POSITIONAL.get(operation.op):
            arguments.append(_literal(value, names))
        elif value != item.default:
            named.append(f"{item.name}={_literal(value, names)}")
    return f".{operation.op}({', '.join([*arguments, *named])})"


def _patch(patch: CopiedPatch) -> str:
    arguments = [_literal(patch.source), _literal(patch.x), _literal(patch.y)]
    if patch.width != patch.source[2]:
        arguments.append(f"width={_literal(patch.width)}")
    if patch.height != patch.source[3]:
        arguments.append(f"height={_literal(patch.height)}")
    if patch.picture is not None:
        arguments.append(f"image=pictures[{patch.picture.sha256!r}]")
    return f".patch({', '.join(arguments)})"


def _can_repeat(operation: Operation) -> bool:
    """Return whether an in-painter that is quick and registered here computes the pixels again."""
    painter = inpainters().get(getattr(operation, "inpainter", ""))
    return painter is not None and painter.quick


def _hidden(operation: Operation) -> bool:
    return isinstance(operation, Drawing) and operation.hidden


def _preset(operation: ReplaceImage | ReplaceContext) -> str:
    return f'preset="{operation.preset}"' + ("" if operation.seed is None else f", seed={operation.seed}")


def _is_what_the_preset_says(stimulus: Stimulus, operation: ReplaceContext) -> bool:
    """Return whether the preset would give this text again; True for a random preset that is
    not available.
    """
    assert operation.preset is not None
    if operation.preset not in stimulus.presets.context_names:
        return operation.preset == "random"
    return stimulus.presets.context(operation.preset, operation.seed) == operation.text


def _literal(value: Any, names: Mapping[Mask, str] = MappingProxyType({})) -> str:
    if isinstance(value, Mask):
        return names[value]
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Picture):
        return f"pictures[{value.sha256!r}]"
    return repr(value)
