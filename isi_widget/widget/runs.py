"""`Runs`: how a probe starts its runs, and what happens when one has ended.

Between the controller, which runs the model in its own thread, and the traits. Not for running
(`controller.py`), nor for when a run starts by itself (`automatic.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget.interventions import Intervention, from_dicts, keyed, to_dicts
from isi_widget.study import for_trial
from isi_widget.trial import Trial
from isi_widget.trial import measures as known
from isi_widget.trial.labels import model_label as label
from isi_widget.trial.labels import plain_label
from isi_widget.widget import inside
from isi_widget.widget import preview as pictures
from isi_widget.widget.automatic import Automatic
from isi_widget.widget.controller import Controller
from isi_widget.widget.jobs import Job
from isi_widget.widget.models import ModelSlot, Source

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus
    from isi_widget.vlm import VLM
    from isi_widget.widget.probe import Probe


def offered(vlm: VLM) -> list[dict[str, Any]]:
    """Return what can be measured, for the buttons of the page, and why the model cannot give it."""
    every = known.by_default()
    return [
        {
            "name": name,
            "title": measure.title,
            "help": measure.help,
            "by_default": name in every,
            "unavailable": measure.unavailable(vlm),
        }
        for name, measure in known.registered().items()
        if name in every or not measure.with_answer
    ]


class Runs:
    """The runs of one probe.

    Attributes
    ----------
    controller : runs and loads in a thread of its own.
    automatic : starts runs after changes.
    slot : holds the model.
    """

    def __init__(self, probe: Probe, slot: ModelSlot) -> None:
        self._probe = probe
        self.slot = slot
        self.controller = Controller(
            slot,
            self._show_status,
            self._add_trial,
            self._tell,
            self.show_model,
            probe._fail,
            self._show_completed,
        )
        self.automatic = Automatic(self._run_or_tell, self.controller.cancel)
        known.follow_measures(self._show_measures)

    def start(
        self,
        id: str,
        measures: Sequence[str],
        settings: Mapping[str, Any],
        automatic: bool = False,
        plain: bool = False,
    ) -> Job:
        """Queue a run of the current stimulus, with `settings` over those of the probe; returns at once.

        plain : without the interventions of the probe; default with them.
        """
        with self._probe._exclusive():
            self._probe.error = None
            stimulus = self._probe._current()
            added = () if plain else self._probe._inside()
        self._probe._looking = False
        settings = {**self._probe.settings, **settings}
        return self.controller.start(id, stimulus, measures, settings, automatic, added)

    def load(self, id: str, source: Source) -> Job:
        """Queue the loading of a different model; returns at once."""
        with self._probe._exclusive():
            self._probe.error = None
        return self.controller.load(id, source)

    def complete(self, stimulus: Stimulus) -> Job:
        """Queue the computation of the pixels of pending edits; returns at once."""
        return self.controller.complete(uuid.uuid4().hex, stimulus)

    def _show_completed(self) -> None:
        """Put the computed pixels into the document."""
        self._probe._refresh(wait=False)
        self._probe._follow()

    def show_model(self) -> None:
        """Set the `model` trait to the description of the current model."""
        info = self.slot.vlm.info()
        model = {
            **info,
            "label": label(info),
            "plain_label": plain_label(info),
            "unavailable": self.slot.unavailable,
            **inside.shape(self.slot.vlm),
        }
        with self._probe._exclusive(), self._probe.hold_sync():
            before = self.interventions
            self._probe.set_trait("model", model)
            self._probe.set_trait("measures", offered(self.slot.vlm))
            changed = before != self.interventions
        if changed and self._probe.inputs:  # results with other interventions do not match the current input
            self._probe._refresh(wait=False)

    def _show_measures(self) -> None:
        """Offer the page the measures that are registered now."""
        with self._probe._exclusive():
            self._probe.set_trait("measures", offered(self.slot.vlm))

    @property
    def own_interventions(self) -> tuple[Intervention, ...]:
        """The interventions that the present model has by itself."""
        return from_dicts(self._probe.model.get("interventions", ()))

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """The interventions of the next run: those of the model, then those of the probe."""
        return (*self.own_interventions, *self._probe._inside())

    def added_by(self, trial: Trial) -> tuple[Intervention, ...]:
        """Return the interventions of a trial that the present model does not have by itself."""
        own, every = self.own_interventions, trial.interventions
        return every[len(own) :] if every[: len(own)] == own else every

    def seen_as(self, trial: Trial) -> VLM:
        """Return the present model, seen with the interventions of a trial."""
        vlm = self.slot.vlm
        if trial.interventions == vlm.interventions or "interventions" in vlm.unavailable:
            return vlm
        added = self.added_by(trial)
        seen: VLM = vlm.intervene(*added) if added else vlm
        return seen

    def input_changed(self, change: Any) -> None:
        """Note that an input of a result has changed."""
        old, new = change["old"], change["new"]
        if change["name"] == "model" and all(
            old.get(name) == new.get(name) for name in ("label", "interventions")
        ):
            return  # the same model, of which more is known
        if self._probe.run_on_change:
            self.automatic.changed(change["name"])
        else:
            self.automatic.stop()

    def release(self) -> None:
        """Stop all runs, and keep no thread without work from now on."""
        self.automatic.stop()
        self.controller.cancel()
        self.controller.release()

    def _run_by_itself(self, changed: frozenset[str]) -> Job | None:
        """Start the automatic run after changes, unless the shown trial matches the current input."""
        stimulus, trial = self._probe._current(), self._probe.trial
        if not self._probe.run_on_change or not stimulus.current_question.strip():
            return None
        if trial is not None and trial.key == keyed(stimulus.key, self.interventions):
            own = to_dicts(self.own_interventions)
            same = label({**trial.model, "interventions": own}) == self._probe.model["label"]
            if "judge" in changed and trial.uncertainty is not None:
                same = False
            if "settings" in changed:
                same = same and all(
                    getattr(trial.settings, name) == value for name, value in self._probe.settings.items()
                )
            if same:
                return None
        every = known.by_default()
        measures = every if trial is None else list(trial.settings.measures)
        if set(measures) != set(every):
            found = ((name, known.find_measure(name)) for name in measures)
            possible = [name for name, made in found if made and not made.unavailable(self.slot.vlm)]
            measures = possible or every
        return self.start(uuid.uuid4().hex, measures, {}, automatic=True)

    def _run_or_tell(self, changed: frozenset[str]) -> Job | None:
        try:
            return self._run_by_itself(changed)
        except BaseException as error:  # in a thread of its own: nobody else would learn of it
            self._probe._fail(error)
            return None

    def _show_status(self) -> None:
        with self._probe._exclusive(), self._probe.hold_sync():
            status = self.controller.status()
            if status == self._probe.status:
                return
            self._probe.set_trait("status", status)
            self._probe.set_trait("busy", status["state"] != "idle")
        if status["stage"]:
            self._probe.send(
                {"kind": "progress", **{key: status[key] for key in ("id", "stage", "done", "total")}}
            )

    def _tell(self, id: str, answer: str | None, samples: list[str]) -> None:
        self._probe.send({"kind": "partial", "id": id, "answer": answer, "samples": samples})

    def entry(self, trial: Trial, contributions: Any = None) -> dict[str, Any]:
        """Return what the page gets of a trial, and of the contributions of its heads (None: not
        measured).
        """
        view = trial.view(code=trial.code(self._probe._editor.expression(trial.stimulus), reuse=True))
        averages = for_trial(trial, view)
        entry = {
            "key": trial.key,
            "stimulus": trial.stimulus.key,
            "view": {**view, **({} if averages is None else {"averages": averages})},
            "thumbnail": pictures.thumbnail(pictures.shown(trial.stimulus)),
        }
        if contributions is not None:
            entry["inside"] = {"contribution": inside.contribution_view(contributions)}
        return entry

    def _add_trial(self, trial: Trial, id: str) -> None:
        entry = self.entry(trial)
        # If the user has chosen another trial during the run, it stays on screen.
        number = self._probe._add_entry(trial, entry, show=not self._probe._looking)
        self._probe._looking = False
        self.show_model()  # the answer of a server may have revealed more about it
        self._probe.send({"kind": "result", "id": id, "trial": number})
        self._probe._outputs.keep()
        self._probe._follow()
