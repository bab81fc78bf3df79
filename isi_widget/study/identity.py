"""Identity of models: the part of `VLM.info()` that distinguishes one model from another.

Not for where a model runs (device) nor how it was loaded: these do not make it another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isi_widget.interventions import from_dicts, summary

if TYPE_CHECKING:
    from isi_widget.vlm.protocol import VLMLike

_LOADED = (
    "name",
    "family",
    "parameters",
    "dtype",
    "quantization",
    "compute_dtype",
    "revision",
    "fingerprint",
)
# What else may make it another one; where there is none of it, it is left out. Of a loaded one the
# fingerprint knows it too; here it has a name.
_GIVEN = ("adapter", "processor_args", "system", "history", "set_in_place", "interventions")
# Not a server's own fingerprint: some change it from one request to the next.
_SERVED = ("name", "family", "server", "served", "fields", "extra_body")
#: Entries that a server reports only with its first answer.
_LEARNED = ("served",)


def identity(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of `VLM.info()` that identify a model; JSON-ready."""
    known = {name: info.get(name) for name in (_SERVED if info.get("server") else _LOADED)}
    return {**known, **{name: info[name] for name in _GIVEN if info.get(name)}}


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two models, each as `VLM.info()` or its `identity`, are known to be the same.

    Loaded ones need a fingerprint of their weights: a name, or a folder, may hold other weights tomorrow.
    """
    known = one.get("fingerprint") or one.get("server")
    return bool(known) and identity(one) == identity(other)


def differences(one: Mapping[str, Any], other: Mapping[str, Any], *, early: bool = False) -> Iterator[str]:
    """Yield each thing in which two identities differ: "name='a', not 'b'".

    `early`: before the first answer, when a server has not reported everything.
    """
    for name in dict.fromkeys([*one, *other]):
        mine, theirs = one.get(name), other.get(name)
        if mine == theirs or (early and name in _LEARNED and not (mine and theirs)):
            continue
        yield f"{name}={mine!r}, not {theirs!r}"


def label_of(model: VLMLike) -> str:
    """Return the label that a model has in a study which names none: its name and its interventions."""
    changed = summary(from_dicts(list(model.info().get("interventions", ()))))
    return f"{model.model_id}, {changed}" if changed else model.model_id
