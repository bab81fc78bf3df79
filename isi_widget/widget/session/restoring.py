"""Puts the values of a session into a probe that is being made, before any of it is sent to a page.

Observations are looked for in the probe's data by their content; those that are not in it come after it, like
pictures of the user's own. So documents and steps of the undo history are numbered anew. Not for reading
(`reading.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isi_widget.errors import InputError
from isi_widget.interventions import from_dicts
from isi_widget.trial.labels import plain_label
from isi_widget.uncertainty.judge import EMBEDDED, RULES
from isi_widget.uncertainty.judges import AUTO, entailment_models
from isi_widget.widget import document as doc
from isi_widget.widget.editor import OWN
from isi_widget.widget.notes import Notes
from isi_widget.widget.session.reading import Kept
from isi_widget.widget.trials import KEPT

if TYPE_CHECKING:
    from isi_widget.widget.probe import Probe


def restore(probe: Probe, kept: Kept) -> list[str]:
    """Put a session into a probe; returns what its user must know, one sentence each.

    Raises
    ------
    InputError : the documents do not fit their pictures.
    """
    told = list(kept.problems)
    if kept.state:
        _restore_input(probe, kept, told)
        _restore_settings(probe, kept.state, told)
    _restore_trials(probe, kept, told)
    return told


# ---- the input
def _restore_input(probe: Probe, kept: Kept, told: list[str]) -> None:
    editor, state = probe._editor, kept.state
    places = _places(probe, kept)
    documents = {
        places[int(index)]: _renumbered(document, places) for index, document in state["documents"].items()
    }
    now = places[state["current"]]
    own = [kept.seen[index].observation for index in sorted(places) if places[index] >= len(editor.data)]
    document = documents.pop(now)
    editor.put_back(own, {index: item for index, item in documents.items() if index != OWN}, kept.pictures)
    if now == OWN:
        seen = kept.seen[OWN]
        editor.show(seen.base, seen.observation.id or "own")
    else:
        editor.choose(now)
    inside = doc.inside(document)
    if inside:
        try:
            probe._runs.slot.vlm.intervene(*from_dicts(inside))
        except InputError as error:
            document = doc.step(document, document["operations"], [])
            told.append(
                f"The interventions inside the model are left out, since this model refuses them: {error}"
            )
    probe.document = document


def _places(probe: Probe, kept: Kept) -> dict[int, int]:
    """Return the index of each observation of the session in the probe."""
    editor = probe._editor
    places: dict[int, int] = {}
    count = len(editor.data)
    for index, seen in sorted(kept.seen.items()):
        found = OWN
        if not seen.own and index >= 0:
            found = _in_data(probe, index, seen.base)
        if found == OWN and index != OWN:
            found, count = count, count + 1
        places[index] = found
    return places


def _in_data(probe: Probe, index: int, base: Any) -> int:
    data = probe._editor.data
    if index < len(data) and data[index].question == base.question and data[index].stimulus() == base:
        return index
    found = probe._editor.find(base)
    return found if found < len(data) else OWN


def _renumbered(document: doc.Document, places: Mapping[int, int]) -> doc.Document:
    """Return a document whose steps go to the observations where they are now; history ends at a step to one
    that is not there.
    """
    past = _reachable(reversed(document["past"]), places)
    return {**document, "past": past[::-1], "future": _reachable(document["future"], places)}


def _reachable(steps: Iterable[doc.Step], places: Mapping[int, int]) -> list[doc.Step]:
    found: list[doc.Step] = []
    for step in steps:
        if "observation" in step:
            place = places.get(step["observation"], OWN)
            if place == OWN:
                break
            step = {**step, "observation": place}
        found.append(step)
    return found


# ---- settings and the model
def _restore_settings(probe: Probe, state: Mapping[str, Any], told: list[str]) -> None:
    probe.settings = state["settings"]
    probe.run_on_change = state["run_on_change"]
    if state["traced"] is not None:
        probe.set_trait("traced", state["traced"])
    probe.lens_on = state.get("lens_on", False)
    judge = state["judge"]
    if probe.judge == AUTO and judge != AUTO:
        if judge in (RULES, EMBEDDED) or judge in {known.name for known in entailment_models()}:
            probe._runs.controller.entailment = judge
            probe.set_trait("judge", judge)
        else:
            told.append(
                f"Meanings were compared by {judge!r}, which is not loaded from the name in a session: set "
                "probe.entailment to use it again."
            )
    model, now = state["model"], probe.model
    label = model.get("label", "")
    if label and label != plain_label(now):
        told.append(
            f"This session was made with {label}; the model here is {plain_label(now)}. Its trials name "
            "their model; "
            "new runs use the model here."
        )
    elif model.get("fingerprint") and now.get("fingerprint") not in (None, model["fingerprint"]):
        told.append(
            f"This session was made with other weights or another precision of {label}. Its trials keep "
            "their fingerprints; new runs use the model here."
        )


# ---- trials
def _restore_trials(probe: Probe, kept: Kept, told: list[str]) -> None:
    state, trials = kept.state, dict(kept.trials)
    entries: dict[int, Mapping[str, Any]] = {}
    for number in sorted(trials)[-KEPT:]:
        try:
            entries[number] = probe._runs.entry(trials[number], kept.contributions.get(number))
        except Exception as error:  # a record that anyone may have made; nothing else depends on it
            told.append(f"Trial {number} cannot be shown and is left out: {error!s:.300}")
            del trials[number]
    last = state.get("last", 0)
    deleted = set(state.get("deleted", ()))
    probe._unread = set(range(1, max([last, *kept.trials, 0]) + 1)) - deleted - set(trials)
    probe._jobs.contributions.update(
        {number: found for number, found in kept.contributions.items() if number in trials}
    )
    probe._put_back_trials(trials, entries, last)
    notes = {number: text for number, text in state.get("notes", {}).items() if number in trials and text}
    probe.set_trait("notes", Notes(notes))
    probe.pinned = [number for number in state.get("pinned", ()) if number in trials]
    shown = state.get("shown", -1)
    known = shown in trials or (shown == -1 and bool(state))
    probe.shown = shown if known else max(trials, default=-1)
