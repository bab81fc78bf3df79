"""Differences of a trial from the baseline trial, in words: the rules of the marks of `compare`.

Two trials are looked at, not tested: a study has tests over many observations. Not for drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isi_widget.readable import counted, shortened
from isi_widget.report.marks import entropies_apart, shares_apart

_LONGEST = 300


def differences(view: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each difference; one that there is none, if there is none.

    Texts differ if they are not equal; entropies if their intervals do not overlap; probabilities and shares
    of attention by the rules of `marks`.

    Parameters
    ----------
    view : `Trial.view` of the trial.
    baseline : `Trial.view` of the trial it is compared with.
    """
    found = [*_inputs(view, baseline), *_answers(view, baseline), *_entropies(view, baseline)]
    found += _attention(view, baseline)
    return found or ["No difference that is marked: neither in the input nor in the results."]


def _inputs(view: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    for name, title in (("model", "model"), ("question", "question"), ("context", "context")):
        if view[name] != baseline[name]:
            yield f"The {title} is {_quoted(view[name])}, not {_quoted(baseline[name])}."
    if view["operations"] != baseline["operations"]:
        count = len(view["operations"])
        what = f"has {counted(count, 'intervention')}" if count else "is unchanged"
        yield f"The input {what}; that of the baseline has {len(baseline['operations']) or 'none'}."
    if view["intervention_lines"] != baseline["intervention_lines"]:
        now, was = (", ".join(of["intervention_lines"]) or "nothing" for of in (view, baseline))
        yield f"Changed inside the model: {now}, not {was}."
    own, other = view["settings"], baseline["settings"]
    changed = [name for name in own if own[name] != other.get(name)]
    if changed:
        yield "Settings: " + ", ".join(f"{name} {own[name]}, not {other.get(name)}" for name in changed) + "."


def _answers(view: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    own, other = view["answer"], baseline["answer"]
    if own is None or other is None:
        return
    if own["text"] != other["text"]:
        yield f"The answer is {_judged(own)}, not {_judged(other)}."
    if own["yes_no"] and other["yes_no"]:
        for name in ("yes", "no"):
            was, now = other["yes_no"][name], own["yes_no"][name]
            if shares_apart(now, was):
                yield f"p({name}) is {now:.3f}, not {was:.3f} ({now - was:+.3f})."


def _entropies(view: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    if not view["uncertainty"] or not baseline["uncertainty"]:
        return
    others = {entropy["name"]: entropy for entropy in baseline["uncertainty"]["entropies"]}
    for own in view["uncertainty"]["entropies"]:
        other = others.get(own["name"])
        if other is not None and None not in (own["value"], other["value"]) and entropies_apart(own, other):
            unit = f" {own['unit']}" if own["unit"] else ""
            yield (
                f"{own['label']} is {_interval(own)}{unit}, not {_interval(other)} "
                f"({own['value'] - other['value']:+.3f}); the intervals do not overlap."
            )


def _attention(view: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    if not view["attention"] or not baseline["attention"]:
        return
    for name, now in view["attention"]["relative"].items():
        was = baseline["attention"]["relative"].get(name)
        if shares_apart(now, was):
            yield f"Attention on {name}, of the inputs, is {now:.3f}, not {was:.3f} ({now - was:+.3f})."


def _interval(entropy: Mapping[str, Any]) -> str:
    return f"{entropy['value']:.3f} [{entropy['low']:.3f}, {entropy['high']:.3f}]"


def _judged(answer: Mapping[str, Any]) -> str:
    return _quoted(answer["text"]) + (f" ({answer['mark']})" if answer["mark"] else "")


def _quoted(text: str) -> str:
    short = shortened(" ".join(text.split()), _LONGEST)
    return f"\N{LEFT DOUBLE QUOTATION MARK}{short}\N{RIGHT DOUBLE QUOTATION MARK}" if short else "(empty)"
