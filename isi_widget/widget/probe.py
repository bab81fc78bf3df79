"""`Probe`: the widget. A picture to draw on, texts to change, buttons that run the model, and the results.

The class combines parts from separate files. Base classes: `traits.py` (synced traits), `sync.py` (updates
between page and Python), `input_twins.py`, `trial_twins.py` and `inside_twins.py` (Python twins of the page's
buttons). Members:
`runs.py` (runs and loads), `requests.py` (messages of a page) and `outputs.py` (saved notebook output). These
use `editor.py` (observation, stimulus), `controller.py` (the model's thread), `protocol.py` and `messages.py`
(checks of a page's values and messages) and `preview.py` (pictures).
"""

from __future__ import annotations

import os
import uuid
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets as t

from isi_widget.concepts.registry import DEFAULT, find_segmenter
from isi_widget.concepts.segmenters import Segmenter
from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.interventions import to_dicts
from isi_widget.trial import Settings, Trial
from isi_widget.trial.code import trial_code
from isi_widget.uncertainty.judge import Entailment
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm import VLM, load_vlm
from isi_widget.vlm.protocol import is_vlm
from isi_widget.widget import editor as ed
from isi_widget.widget import judges, protocol
from isi_widget.widget.input_twins import InputTwins
from isi_widget.widget.inside import InsideJobs
from isi_widget.widget.inside_twins import InsideTwins, awaited
from isi_widget.widget.models import ModelSlot, Source
from isi_widget.widget.outputs import Bundle, Outputs
from isi_widget.widget.requests import Requests
from isi_widget.widget.runs import Runs
from isi_widget.widget.session.keeper import Keeper
from isi_widget.widget.session.reading import Kept
from isi_widget.widget.session.restoring import restore
from isi_widget.widget.session.twins import SessionTwins
from isi_widget.widget.shells import take_any_shell
from isi_widget.widget.traits import Followed
from isi_widget.widget.trial_twins import TrialTwins

#: What a page sends when somebody works on it: traits, and kinds of messages.
_WORK = frozenset(
    {"document", "observation_index", "run", "load", "upload", "undo", "redo", "cut", "reshuffle", "truth"}
    | {"restore", "delete", "note"}
)
_FOLLOWED = ("stimulus", "interventions", "trial", "selected", "tool", "busy")


class Probe(InputTwins, TrialTwins, InsideTwins, SessionTwins):
    """The interactive probe: change the input of a VLM and see the effect.

    Every click has a Python twin, and both change the same state: `probe.stimulus = s` redraws the page,
    drawing in the page changes `probe.stimulus`. `probe.observe(f, "stimulus")` and `probe.observe(f,
    "trial")` call `f` at each change (possibly in a different thread than the notebook's). Exceptions of `f`
    are shown under the widget and logged; they stop no run and no click.

    Parameters
    ----------
    vlm : model; None (default): the embedded one.
    observation : first observation; None (default): the first of `data`.
    data : observations in the drop-down; None (default): the observation's own data set, or the built-in
        scenes of things.
    entailment : entailment model for the meanings of sampled answers: "auto" (default), "rules", a name from
        `isi.entailment_models()` or the hub, a folder, or a loaded `EntailmentModel`; see `run_trial`.
    session : folder in which all work is kept as it happens: drawings with their undo history, trials, notes,
        pins, settings. What it holds comes back first, after a restart of the kernel, too; `observation`
        begins a new session. None (default): the work lives as long as the kernel. Raises `InputError` if
        another probe keeps it, or if it is damaged or of a newer version.

    Attributes
    ----------
    stimulus : stimulus on the canvas; set it to change the canvas.
    interventions : changes inside the model that the next run is made under (gates of heads, cuts of
        attention, ...), a tuple in the order in which they act, after those of `vlm` itself. Set it to change
        the panel "Inside"; `undo` takes it back. Raises `InputError` for what the model does not have.
    trial : shown trial, or None.
    trials : all trials of this probe, oldest first. The page numbers them from 1; numbers do not change when
        others are deleted.
    notes : {number of the trial: text of `note`}; read-only.
    vlm : model; set it to use a different one, or `load` one by name.
    entailment : entailment model, as in `run_trial`; set it to change the model of the next run.
    segmenter : segmenter for boxes and strokes on the page: "grabcut" (default), or another `back_end` of
        `isi.segment`.
    settings : settings of the next run: all of `isi_widget.Settings` except the measures; set some of them by
        a dict.
    run_on_change : True runs the measures of the shown trial (or everything) automatically, a moment after
        the last change of input, settings or model. A run of this kind for an older input is cancelled.
    tool : the tool of the canvas; set it to choose one in every view.
    pinned : numbers of the trials that are pinned, to be compared or exported on the page; set it to pin.
    selected : selected drawings, as indices into `probe.document["operations"]`; set it to select.
    busy : whether the model runs or is loaded (read-only).
    last_traceback : traceback of the last failure, as text.
    """

    #: Whether somebody has worked with it on its page.
    worked_with = False
    parts: tuple[Any, ...] = ()  # no further widgets are freed with it
    _segmenter: str | Segmenter = DEFAULT

    def __init__(
        self,
        vlm: VLM | None = None,
        observation: Observation | None = None,
        *,
        data: Dataset | Sequence[Observation] | None = None,
        entailment: Entailment | str | Path | None = AUTO,
        session: str | Path | None = None,
    ) -> None:
        judge = judges.checked(entailment)
        if vlm is not None:
            _checked_vlm(vlm)
        if observation is not None or data is not None:
            ed.check_observation(observation, data)
        keeper, kept = _opened(session)
        try:
            self._make(vlm, observation, data, judge, keeper, kept)
        except BaseException:
            if keeper is not None:
                keeper.give_up()
            raise

    @classmethod
    def _received(
        cls,
        kept: Kept,
        vlm: VLM | None,
        *,
        data: Dataset | Sequence[Observation] | None,
        entailment: Entailment | str | Path | None,
        session: str | Path | None,
    ) -> Probe:
        """Return a probe with the work of a file."""
        received: Any = Received(kept, session)
        return cls(vlm, data=data, entailment=entailment, session=received)

    def _make(
        self,
        vlm: VLM | None,
        observation: Observation | None,
        data: Dataset | Sequence[Observation] | None,
        judge: Entailment | str,
        keeper: Keeper | None,
        kept: Kept | None,
    ) -> None:
        if observation is None and data is None and kept is not None:
            data = kept.data()
        first, choice = ed.check_observation(observation, data)
        model = load_vlm() if vlm is None else vlm
        self._prepare()
        self._prepare_editor(first, choice)
        self._runs = Runs(self, ModelSlot(model))
        self._runs.controller.entailment = judge
        self.set_trait("judge", judges.name_of(judge))
        self._jobs = InsideJobs(self)
        self._requests = Requests(self)
        self._outputs = Outputs(self)
        self._watched: weakref.WeakSet[Followed] = weakref.WeakSet()
        self._runs.show_model()
        told = [] if kept is None else restore(self, kept)
        self._begin()
        self._follow_files()
        super().__init__()
        self.set_trait("widget_id", self.model_id or "")
        take_any_shell(self.comm)
        self._listen()
        changes = ["stimulus", "interventions", "settings", "model", "judge", "run_on_change"]
        self._observe_inside(self._runs.input_changed, changes)
        self.on_msg(self._receive)
        self._keep_in(keeper, kept, told)

    def _keep_in(self, keeper: Keeper | None, kept: Kept | None, told: list[str]) -> None:
        """Keep the work from now on, and state what is to be known about what was restored."""
        if keeper is None:
            notes = told
        else:
            self._keeper, keeper.notes = keeper, told
            keeper.follow(self, fresh=kept is None or kept.is_empty or kept.received)
            notes = [*([keeper.problem] if keeper.problem else []), *told]
        if told and keeper is None:
            self.set_trait("kept", {"folder": "", "problem": "", "note": " ".join(told)})
        if notes:
            warnings.warn(" ".join(notes), UserWarning, stacklevel=4)

    @property
    def vlm(self) -> VLM:
        """The model; set it to use a different one.

        A running trial finishes with the old model; a running load is cancelled.
        """
        return self._runs.slot.vlm

    @vlm.setter
    def vlm(self, vlm: VLM) -> None:
        self._runs.controller.put(_checked_vlm(vlm))
        self._runs.show_model()

    @property
    def segmenter(self) -> str | Segmenter:
        """What finds the object in a box that is drawn on the page, as `back_end` of `isi.segment`."""
        return self._segmenter

    @segmenter.setter
    def segmenter(self, segmenter: str | Segmenter) -> None:
        find_segmenter(segmenter)
        self._segmenter = segmenter

    @property
    def entailment(self) -> Entailment | str:
        """The entailment model, as it was set.

        A named model is loaded with the next run that needs it, and downloaded if it is not on the disk.
        Raises `InputError` for anything but a name or an entailment model.
        """
        return self._runs.controller.entailment

    @entailment.setter
    def entailment(self, entailment: Entailment | str | Path | None) -> None:
        judge = judges.checked(entailment)
        self._runs.controller.entailment = judge
        with self._exclusive():
            self.set_trait("judge", judges.name_of(judge))

    # ---- Python twins of the page
    def run(
        self, measures: str | Sequence[str] = "everything", *, plain: bool = False, **settings: Any
    ) -> Trial:
        """Run the model on the current stimulus, as the buttons do, and wait for the result.

        Parameters
        ----------
        measures
            Some of "answer", "uncertainty", "attention" and the registered measures, or "everything".
        plain
            Whether to run the model without `probe.interventions`; default False.
        **settings : any of `isi_widget.Settings` (samples, temperature, seed, ...), for this run only; others
            as in `probe.settings`.

        Raises
        ------
        InputError : wrong measure or setting.
        Cancelled : the run was cancelled on the page, or replaced by a newer run. Errors of the model are
            raised, too.
        """
        if self._runs.controller.inside or self._mine:
            raise RuntimeError(
                "probe.run() waits for the model: it cannot be called by an observer of the probe."
            )
        checked = protocol.check_settings(settings, self.settings)
        job = self._runs.start(uuid.uuid4().hex, protocol.check_measures(measures), checked, plain=plain)
        trial: Trial = awaited(job)
        return trial

    def load(self, name: str | Path | None = None, quantization: str | None = None, **arguments: Any) -> VLM:
        """Load a different model, like the page's list of models, and wait until it is ready.

        If it cannot be loaded, or is cancelled on the page, the old model stays. Trials stay, too: each names
        its model. To save memory the old model may be released first, and loaded again if the new one fails;
        a model made by hand stays until the new one is ready.

        Parameters
        ----------
        name, quantization, **arguments : as in `isi_widget.load_vlm`; None: the embedded model.

        Raises
        ------
        InputError : and other errors of `load_vlm`.
        Cancelled : the load was cancelled, or replaced by a newer load before it began.
        """
        if self._runs.controller.inside or self._mine:
            raise RuntimeError("probe.load() waits: it cannot be called by an observer of the probe.")
        source = Source(name, {"quantization": quantization, **arguments})
        vlm: VLM = awaited(self._runs.load(uuid.uuid4().hex, source))
        return vlm

    def cancel(self) -> None:
        """Stop the running run at its next token, and the waiting one."""
        self._runs.controller.cancel()

    def watch(self, name: str) -> Followed:
        """Return a widget without a view whose `value` follows a trait ("stimulus", "interventions", "trial",
        "selected", "tool", "busy"): for `ipywidgets.interactive(f, trial=probe.watch("trial"))`.
        """
        if name not in _FOLLOWED:
            raise InputError(f"{name!r} cannot be watched; these can: {', '.join(_FOLLOWED)}.")
        followed = Followed()
        self._watched.add(followed)
        t.dlink((self, name), (followed, "value"))
        return followed

    def code(self, trial: int | Trial | None = None) -> str:
        """Return Python that makes the current stimulus and runs it with the current settings, or that
        repeats a trial; paste it into a cell, or run it elsewhere.

        It uses the loaded model. Your own picture without a file, if too large for the code, is written to
        the folder `isi_pictures` next to the notebook. Raises `InputError` if the trial does not exist, or
        the picture cannot be written.
        """
        if trial is None:
            stimulus = self._current()
            changed = to_dicts(self._runs.interventions)
            model = {**self.model, "interventions": changed} if changed else self.model
            found = Trial(stimulus, {}, model, Settings(**self.settings))
        else:
            found = self._trial(self._history.number(trial))
        observation = self._editor.expression(found.stimulus)
        return trial_code(found, observation, self.judge, write_pictures=True, reuse=True)

    # ---- pages
    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Apply changes from a page; see `Synced.set_state`."""
        self._runs.controller.watched = True
        self.worked_with = self.worked_with or not _WORK.isdisjoint(sync_data)
        super().set_state(sync_data)

    def _receive(self, _: Any, content: Any, buffers: Sequence[Any]) -> None:
        """Handle one custom message of a page."""
        kind = content.get("kind") if isinstance(content, Mapping) else None
        self.worked_with = self.worked_with or (isinstance(kind, str) and kind in _WORK)
        self._requests.receive(content, buffers)

    def close(self) -> None:
        """Stop all runs and remove the widget from the page; results stay in Python.

        Then the probe, its trials and pictures are freed with the last variable that names it. Displaying it
        opens it again. A notebook frees a probe automatically when each cell that showed it has been run
        again and nothing else holds it; see `cells.py`.
        """
        if hasattr(self, "_outputs"):  # missing if `__init__` refused its arguments
            for part in (self._runs, self._requests, self._outputs, self._painter):
                part.release()
            if self._keeper is not None:
                self._keeper.close()
            for followed in list(self._watched):
                followed.close()
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def _rest(self) -> None:
        """End the threads that have no work now: they hold the probe."""
        for part in (self._runs.controller, self._requests, self._outputs, self._painter):
            part.rest()
        if self._keeper is not None:
            self._keeper.rest()

    def __repr__(self) -> str:
        done = f"operations: {len(self.stimulus.operations)}, trials: {len(self.trials)}"
        return f"Probe({self.stimulus.current_question!r}, {done}, model: {self.model.get('name')!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Return the widget, with a still picture and a line of text for places without widgets."""
        return self._outputs.beside(super()._repr_mimebundle_(**kwargs))

    def _ipython_display_(self) -> None:
        """Display the widget and its still; a closed widget opens again."""
        if self.comm is None:
            self.__dict__.pop("_repr_mimebundle_", None)  # `Widget.close` puts it there
            self.layout.open()
            self.open()
            take_any_shell(self.comm)
            if self._keeper is not None:
                self._keeper.reopen()
        self._outputs.show(super()._repr_mimebundle_())


def _checked_vlm(vlm: Any) -> VLM:
    if not is_vlm(vlm):
        raise InputError(
            f"vlm must come from isi.load_vlm(), or be None (embedded); got {type(vlm).__name__}."
        )
    model: VLM = vlm
    return model


@dataclass(frozen=True)
class Received:
    """The content of a file, and the folder in which the work goes on, or None."""

    kept: Kept
    session: str | Path | None


def _opened(session: str | Path | Received | None) -> tuple[Keeper | None, Kept | None]:
    """Return what keeps the work, and what was kept."""
    received = session.kept if isinstance(session, Received) else None
    folder = session.session if isinstance(session, Received) else session
    if folder is None:
        return None, received
    if not isinstance(folder, str | os.PathLike) or not str(folder).strip():
        raise InputError(f"session must be the path of a folder, not {protocol.short(folder)}.")
    keeper = Keeper(Path(folder))
    kept = keeper.open()
    if received is None:
        return keeper, kept
    if not kept.is_empty:
        keeper.give_up()
        raise InputError(
            f"{str(folder)!r} holds a session already. Give another folder for the work on the opened file, "
            "or open that session: isi.open_probe(folder)."
        )
    keeper.begin_with_nothing()
    return keeper, received
