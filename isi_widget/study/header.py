"""What was run, as the file `study.json` of a store: making it, and refusing a store of a different run.

Not for the rows.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.study.arguments import Arguments
from isi_widget.study.identity import differences, identity
from isi_widget.study.plan import Shape, data_digest
from isi_widget.study.steps import Function
from isi_widget.study.store import Store
from isi_widget.trial.run import _versions


class OtherRun(InputError):
    """The store belongs to a different run."""


def header_of(given: Arguments, code: str) -> dict[str, Any]:
    """Return the header of a new study, JSON-ready; the models are added when they are ready."""
    return {
        "settings": given.settings.to_dict(),
        "measures": None if given.how.measures is None else list(given.settings.measures),
        "entailment": entailment_name(given.how.entailment),
        "seeds": list(given.seeds),
        "conditions": [condition.to_dict() for condition in given.conditions],
        "baseline": given.baseline,
        "models": {source.label: {} for source in given.sources},
        "data": data_of(given.data),
        "shapes": [list(shape_of(given))],
        "versions": {**_versions(), "platform": platform.platform()},
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "code": code,
    }


def shape_of(given: Arguments) -> Shape:
    """Return the numbers of models, observations, conditions and seeds."""
    return len(given.sources), len(given.data), len(given.conditions), len(given.seeds)


def data_of(data: Sequence[Observation]) -> dict[str, Any]:
    """Return name, size and digest of the texts of a data set."""
    return {
        "name": getattr(data, "name", None) or f"{len(data)} observations",
        "named": bool(getattr(data, "name", None)),
        "size": len(data),
        "digest": _digest(data_digest(data)),
    }


def _digest(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def entailment_name(entailment: Any) -> str:
    """Return what was requested as entailment model, as text."""
    if entailment is None or isinstance(entailment, str):
        return str(entailment)
    label = getattr(entailment, "label", None) or getattr(entailment, "name", None)
    return str(label or entailment)


def continued(header: Mapping[str, Any], given: Arguments, where: str, code: str) -> dict[str, Any]:
    """Return the header of a run that continues a store.

    Further models, observations, conditions and seeds may stand at the end of each list; everything else must
    be as it was.

    Raises
    ------
    OtherRun
        Something else is different; the message lists it.
    """
    wrong = list(_differences(header, given))
    if wrong:
        raise OtherRun(
            f"The store {where} is of another run: {'; '.join(wrong)}. Name another folder, or delete this "
            "one to start again. A study may grow only at the end of its lists of models, observations, "
            "conditions and seeds."
        )
    fresh = header_of(given, code)
    made = dict(header) | {"versions": _together(header["versions"], fresh["versions"])}
    shapes = [list(shape) for shape in header["shapes"]]
    shape = list(shape_of(given))
    if shape == shapes[-1]:
        return made
    models = {label: header["models"].get(label, {}) for label in fresh["models"]}
    changed = {name: fresh[name] for name in ("seeds", "conditions", "data", "code")}
    return made | changed | {"models": models, "shapes": [*shapes, shape]}


def _differences(header: Mapping[str, Any], given: Arguments) -> Iterator[str]:
    now = given.settings.to_dict() | {"entailment": entailment_name(given.how.entailment)}
    then = {**header["settings"], "entailment": header["entailment"]}
    for record in (now, then):
        record.pop("seed", None)
    yield from differences(then, now)
    yield from _list("seeds", header["seeds"], given.seeds)
    names = [item["name"] for item in header["conditions"]]
    points = [condition.name for condition in given.conditions]
    yield from _list("conditions", names, points)
    for old, new in zip(header["conditions"], given.conditions, strict=False):
        fresh = new.to_dict()
        if old["name"] == new.name and old != fresh:
            parts = ", ".join(name for name in sorted({*old, *fresh}) if old.get(name) != fresh.get(name))
            yield f"its condition {new.name!r} was different ({parts})"
    if header["baseline"] != given.baseline:
        yield f"its baseline is {header['baseline']!r}, not {given.baseline!r}"
    yield from _list("models", list(header["models"]), [source.label for source in given.sources])
    for source in given.sources:
        if source.vlm is not None:
            yield from model_differences(header, source.label, source.vlm.info(), None, early=True)
    data, size = header["data"], header["data"]["size"]
    if len(given.data) < size:
        yield f"it has {counted(size, 'observation')}, not {len(given.data)}"
    elif _digest(data_digest(given.data[:size])) != data["digest"]:
        yield "its data have other ids, questions, contexts or true answers"
    name = getattr(given.data, "name", None)
    if name and data.get("named") and name != data["name"]:
        yield f"its data are {data['name']!r}, not {name!r}"


def check_inputs(store: Store, given: Arguments) -> None:
    """Refuse a store whose pictures, or stimuli made by functions, are different now.

    Looks at the pictures of up to 200 observations with rows, spread over the data, and at the stimuli of 8
    of them under each condition with a function. The texts of all observations are compared elsewhere.

    Raises
    ------
    OtherRun
        One is different.
    """
    rows = store.table(["row", "index", "condition", "image", "stimulus_key"])
    if not rows.num_rows:
        return
    pictures = dict(zip(rows["index"].to_pylist(), rows["image"].to_pylist(), strict=True))
    keys = {
        (index, name): key
        for index, name, key in zip(
            rows["index"].to_pylist(),
            rows["condition"].to_pylist(),
            rows["stimulus_key"].to_pylist(),
            strict=True,
        )
    }
    known = sorted(index for index, digest in pictures.items() if digest)
    functions = [item for item in given.conditions if any(isinstance(s, Function) for s in item.steps)]
    for index in _spread(known, 200):
        try:
            digest = given.data[index].image.sha256
        except InputError:
            digest = ""
        if digest != pictures[index]:
            raise _other(store, f"the picture of observation {index} is different or cannot be read")
    for index in _spread(known, 8):
        for condition in functions:
            before = keys.get((index, condition.name))
            if before and condition(given.data[index]).key != before:
                raise _other(store, f"observation {index} is different under {condition.name!r}")


def _spread(places: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of the places, evenly spread."""
    if len(places) <= most:
        return list(places)
    return [places[round(at * (len(places) - 1) / (most - 1))] for at in range(most)]


def _other(store: Store, reason: str) -> OtherRun:
    return OtherRun(
        f"The store {str(store.path)!r} is of another run: {reason}. Name another folder, or delete this "
        "one to start again."
    )


def _list(what: str, then: Sequence[Any], now: Sequence[Any]) -> Iterator[str]:
    """Yield a difference unless the former list is the beginning of the present one."""
    if list(now[: len(then)]) != list(then):
        yield f"its {what} are {list(then)!r:.300}, not {list(now)!r:.300}"


def model_differences(
    header: Mapping[str, Any],
    label: str,
    info: Mapping[str, Any],
    entailment: str | None,
    *,
    early: bool = False,
) -> Iterator[str]:
    """Yield each thing in which a model is not that of the earlier rows.

    `early` : before its first answer, when a server has not reported everything.
    """
    known = header["models"].get(label) or {}
    if not known:
        return
    found = differences(known["identity"], identity(info), early=early)
    yield from (f"{text} in the model {label!r}" for text in found)
    if entailment is not None and known.get("entailment", "") != entailment:
        yield f"its entailment model is {known.get('entailment')!r}, not {entailment!r}"


def _together(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of both, "1.0, 1.1" if they differ."""
    both = {}
    for name in dict.fromkeys([*before, *now]):
        every = [*before.get(name, "").split(", "), now.get(name, "")]
        both[name] = ", ".join(dict.fromkeys(version for version in every if version))
    return both
