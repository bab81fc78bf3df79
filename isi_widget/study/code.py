"""A study as Python that repeats it. Not for a single trial (`isi_widget.trial.code`)."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.interventions import code as interventions_code
from isi_widget.interventions import from_dicts
from isi_widget.study.data_code import data_code
from isi_widget.study.identity import label_of
from isi_widget.study.steps import UNNAMED, Function
from isi_widget.trial.code import load_lines
from isi_widget.trial.code_pictures import PictureCode
from isi_widget.trial.literals import NoLiteral, call, literal

if TYPE_CHECKING:
    from isi_widget.study.arguments import Arguments
    from isi_widget.study.condition import Condition
    from isi_widget.study.plan import Source

_RUN = "study = isi.run_study(vlm, data, conditions)"


def conditions_code(conditions: Sequence[Condition], write_pictures: bool = False) -> str:
    """Write Python for a list of conditions.

    Parameters
    ----------
    conditions : the conditions.
    write_pictures : True writes pictures that are too large for the code to the folder `isi_pictures`;
        default False.
    """
    imports, lines = _conditions(conditions, PictureCode(write_pictures))
    plain = any(condition.changes_nothing for condition in conditions)
    run = _RUN if plain else _RUN.replace("conditions", "[isi.condition('plain'), *conditions]")
    return "\n".join([*imports, "import isi_widget as isi", "", *lines, f"# {run}"])


def _conditions(conditions: Sequence[Condition], pictures: PictureCode) -> tuple[list[str], list[str]]:
    """Return the imports that a list of conditions needs, and the lines that make it."""
    held = {digest: item for condition in conditions for digest, item in condition.pictures.items()}
    entries = ", ".join(f"{digest!r}: {pictures.of(picture)}" for digest, picture in held.items())
    imports = [f"import {name}" for name in sorted(pictures.imports)]
    made = [f"    {condition.code()}," for condition in conditions]
    lines = [
        *pictures.comments,
        *([f"pictures = {{{entries}}}"] if held else []),
        *("conditions = [", *made, "]"),
    ]
    return [*imports, ""] if imports else [], lines


def study_code(given: Arguments, store: str | Path | None = None, **others: Any) -> str:
    """Write Python that repeats a study and ends in it.

    Data made by hand whose pictures have no file, and functions without source code, are comments that state
    what to define.
    """
    pictures = PictureCode(False)
    keeps = store is not None and others.get("keep_images", True)
    data = data_code(given.data, pictures, Path(str(store)) / "images" if keeps else None)
    imports, conditions = _conditions(given.given, pictures)
    model, loading = _models(given.sources)
    arguments = _settings(given)
    if given.baseline != _usual_baseline(given):
        arguments["baseline"] = given.baseline
    if given.seeds != (0,):
        arguments["seeds"] = given.seeds
    if store is not None:
        arguments["store"] = str(store)
    arguments |= others
    shown = "".join(f", {name}={literal(value)}" for name, value in arguments.items())
    return "\n".join(
        [
            *imports,
            "import isi_widget as isi",
            "",
            *loading,
            *data,
            *_functions(given),
            *conditions,
            f"study = isi.run_study({model}, data, conditions{shown})",
            "study",
        ]
    )


def _usual_baseline(given: Arguments) -> str:
    names = [condition.name for condition in given.conditions if condition.changes_nothing]
    return names[0] if names else given.conditions[0].name


def _settings(given: Arguments) -> dict[str, Any]:
    """Return the settings that differ from their defaults."""
    found = given.settings.changed()
    found.pop("seed", None)
    if given.how.measures is None:
        found.pop("measures", None)
    if isinstance(given.how.entailment, str) and given.how.entailment != "auto":
        found["entailment"] = given.how.entailment
    return {name: _as_data(value) for name, value in found.items()}


def _as_data(value: Any) -> Any:
    if hasattr(value, "items"):
        return {name: _as_data(item) for name, item in value.items()}
    return value


def _models(sources: Sequence[Source]) -> tuple[str, list[str]]:
    """Return the expression of the models and the lines that make them."""
    if len(sources) == 1 and sources[0].vlm is not None and sources[0].label == label_of(sources[0].vlm):
        made, lines = _model(sources[0])
        return ("vlm", [*lines, *([] if made == "vlm" else [f"vlm = {made}"])])
    lines = ["models = {}"]
    for source in sources:
        made, loading = _model(source)
        lines += [*loading, f"models[{source.label!r}] = {made}"]
    return "models", lines


def _model(source: Source) -> tuple[str, list[str]]:
    """Return the expression of one model and the lines that make it."""
    if source.vlm is None:
        given = dict(source.arguments or {})
        try:
            return literal({name: _text(item) for name, item in given.items()}), []
        except NoLiteral:
            return call("dict", name=str(given.get("name"))), ["# further arguments of load_vlm:"]
    info = source.vlm.info()
    changes = from_dicts(list(info.get("interventions", ())))
    return interventions_code(changes), load_lines(info)


def _text(value: Any) -> Any:
    """Return a value of an argument of `load_vlm` as data."""
    if isinstance(value, dict):
        return {name: _text(item) for name, item in value.items()}
    return (
        value if value is None or isinstance(value, bool | int | float | str | list | tuple) else str(value)
    )


def _functions(given: Arguments) -> list[str]:
    """Write the source of the functions of the conditions, or a comment where it is not known."""
    lines: list[str] = []
    for function in dict.fromkeys(
        step.function for item in given.given for step in item.steps if isinstance(step, Function)
    ):
        name = getattr(function, "__name__", "")
        if function is None or getattr(function, "__module__", "") == "isi_widget.study.conditions":
            continue
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError):
            source = ""
        if source.startswith("def ") and not (getattr(function, "__closure__", None) or ()):
            lines += source.rstrip().split("\n")
        else:
            name = name if name.isidentifier() else UNNAMED
            lines.append(f"# define the function {name!r} here, as it was in the study")
    return lines
