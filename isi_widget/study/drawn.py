"""A condition from what was drawn: the operations of a stimulus as steps that fit any observation.

Not for the other way round: a condition is called with an observation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.interventions import Intervention
from isi_widget.stimulus import CopiedPatch, Drawing, ReplaceContext, ReplaceImage, ReplaceQuestion, Stimulus
from isi_widget.stimulus.operations import Operation
from isi_widget.study.condition import Condition

#: Fields that belong to the picture that was drawn on, or to the page.
_LEFT_OUT = ("hidden", "locked", "pixels", "beneath")


def condition_of(stimulus: Stimulus, name: str, interventions: Iterable[Intervention] = ()) -> Condition:
    """Return a condition with the operations of a stimulus.

    Hidden drawings are left out. Presets stay presets, so that every observation gets its own. In-painted
    pixels are computed for each picture. Regions stay where they are, in pixels; a mask fits only pictures of
    its size.

    Parameters
    ----------
    stimulus : the stimulus.
    name : name of the condition.
    interventions : interventions on the inside of the model; default none.
    """
    if not isinstance(stimulus, Stimulus):
        raise InputError(f"A condition is made of a Stimulus; got {type(stimulus).__name__}.")
    made = Condition(checks.text(name, "name"))
    for operation in stimulus.operations:
        if not (isinstance(operation, Drawing) and operation.hidden):
            method, positional, named = _call(operation)
            made = getattr(made, method)(*positional, **named)
    changes = tuple(interventions)
    return made.intervene(*changes) if changes else made


def _call(operation: Operation) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the method of a stimulus that appends an operation, and its arguments."""
    if isinstance(operation, ReplaceQuestion):
        return "with_question", [operation.text], {}
    if isinstance(operation, ReplaceContext | ReplaceImage):
        method = "with_image" if isinstance(operation, ReplaceImage) else "with_context"
        if operation.preset not in (None, "custom"):
            seed = {} if operation.seed is None else {"seed": operation.seed}
            return method, [], {"preset": operation.preset, **seed}
        return method, [operation.picture if isinstance(operation, ReplaceImage) else operation.text], {}
    if isinstance(operation, CopiedPatch):
        size = {"width": operation.width, "height": operation.height}
        image = {} if operation.picture is None else {"image": operation.picture}
        return "patch", [operation.source, operation.x, operation.y], {**size, **image}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name in _LEFT_OUT:
            continue
        if item.default is MISSING:
            positional.append(value)
        elif value != item.default:
            named[item.name] = value
    return operation.op, positional, named
