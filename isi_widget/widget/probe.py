"""`Probe`: the widget. A picture to draw on, texts to change, buttons that run the model, and what comes out.

This file keeps the synced traits (`traits.py`) and their Python twins in step; what they mean is decided
elsewhere: `editor.py` (observation, stimulus), `controller.py` (runs), `protocol.py` (what a page may send),
`preview.py` (pictures), `js/` (the page).
"""

from __future__ import annotations

import base64
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, overload

import traitlets as t
from IPython.display import display

from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.report.code import trial_code
from isi_widget.report.compare import Comparison
from isi_widget.report.labels import model_label as label
from isi_widget.settings import WHAT, Settings
from isi_widget.stimulus import ImageSource, Stimulus, load_image
from isi_widget.stimulus.lettering import FONT
from isi_widget.stimulus.loading import noting
from isi_widget.study import for_trial
from isi_widget.trial import Trial
from isi_widget.uncertainty.judge import EMBEDDED, RULES, Entailment
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm import VLM, load_vlm
from isi_widget.widget import document as doc
from isi_widget.widget import editor as ed
from isi_widget.widget import judges, messages, protocol
from isi_widget.widget import preview as pictures
from isi_widget.widget import trials as tr
from isi_widget.widget.assets import asset
from isi_widget.widget.automatic import Automatic
from isi_widget.widget.controller import Controller, explain, format_traceback
from isi_widget.widget.counts import Counts
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.maps import Maps
from isi_widget.widget.models import ModelSlot, Source, offer
from isi_widget.widget.shells import take_any_shell
from isi_widget.widget.still import Still, still_picture
from isi_widget.widget.traits import Followed, PageState
from isi_widget.widget.uploads import ImageFile, Parts
from isi_widget.writing import write_file

_FROM_PAGE = frozenset(
    {
        "document",
        "edit",
        "observation_index",
        "settings",
        "shown",
        "pinned",
        "error",
        "tool",
        "selected",
        "run_on_change",
    }
)
_FOLLOWED = ("stimulus", "trial", "selected", "tool", "busy")


class Probe(PageState):
    """The interactive probe: change what a VLM is shown, and see what that does.

    Every click has a Python twin, and both change the same state: `probe.stimulus = s` redraws the page,
    drawing in the page changes `probe.stimulus`. `probe.observe(f, "stimulus")` and `probe.observe(f,
    "trial")` tell of changes (`f` may be called in another thread than the notebook's). What `f` raises is
    shown under the widget and logged; no run and no click is lost by it.

    Parameters
    ----------
    vlm : the model; None: the embedded one.
    observation : what to look at first; None: the first of `data`.
    data : what the drop-down offers; None: the observation's own data set, or the built-in scenes.
    entailment : which model compares the meanings of sampled answers: "auto", "rules", a name of
        `isi.entailment_models()`, another hub name, a folder, or a loaded `EntailmentModel`; see `run_trial`.

    Attributes
    ----------
    stimulus : what is on the canvas now; set it to change it.
    trial : the trial that is shown, or None.
    trials : every trial of this probe, oldest first. The page numbers them from 1; a number stays when
        others are deleted.
    notes : {number: what `note` was told of a trial}; read-only.
    vlm : the model; set it to probe another, or `load` one by name.
    entailment : which model compares the meanings of sampled answers, as `run_trial` takes it; set it to
        choose another for the next run.
    settings : of the next run: all of `isi_widget.Settings` but what to measure; set some of them by a dict.
    run_on_change : True runs the measures of the shown trial (or everything) by themselves a moment after the
        last change of input, settings or model. A run of this kind for an older input is cancelled.
    tool : the tool of the canvas; set it to choose one in every view.
    pinned : numbers of the trials that are pinned, to be compared or exported on the page; set it to pin.
    selected : the drawings that are selected, as places in `probe.document["operations"]`; set it to select.
    busy : whether the model runs or is loaded (read-only).
    last_traceback : where the last failed run failed, as text.
    """

    def __init__(
        self,
        vlm: VLM | None = None,
        observation: Observation | None = None,
        *,
        data: Dataset | Sequence[Observation] | None = None,
        entailment: Entailment | str | Path | None = AUTO,
    ) -> None:
        first, choice = ed.check_observation(observation, data)
        judge = judges.checked(entailment)
        model = load_vlm() if vlm is None else _checked_vlm(vlm)
        self._prepare()
        self.last_traceback = ""
        self._editor = ed.Editor(first, choice)
        self._slot = ModelSlot(model)
        self._controller = Controller(
            self._slot, self._show_status, self._add_trial, self._tell, self._show_model, self._fail
        )
        self._vouched: doc.Document | None = None  # the last document that was checked
        self._controller.entailment = judge
        self.set_trait("judge", judges.name_of(judge))
        self._maps = Maps()
        self._counts = Counts()
        self._looking = False  # at a trial that was chosen on the page while a run goes on
        self._painter = Worker("isi-preview")
        self._loader = Worker("isi-upload")
        self._parts = Parts()
        self._keeper = Worker("isi-still")
        self._kept = uuid.uuid4().hex  # by which a notebook's outputs name the still
        self._shown_somewhere = False
        self._stills = 0
        self._following = threading.local()
        self._automatic = Automatic(self._run_or_tell, self._controller.cancel)
        self._pictured = ""  # what the picture of the document is, and how many were painted
        self._paintings = 0
        self._show_model()
        self.set_trait("observations", self._editor.rows())
        self.stimulus = self._editor.base
        self._refresh(wait=True)
        super().__init__()
        self.set_trait("widget_id", self.model_id or "")
        take_any_shell(self.comm)
        self._observe_inside(self._stimulus_set, "stimulus")
        self._observe_inside(self._state_set, ["document", "observation_index", "shown"])
        self._observe_inside(self._input_changed, ["stimulus", "settings", "model", "judge", "run_on_change"])
        self.on_msg(self._receive)

    @property
    def vlm(self) -> VLM:
        """The model that is probed; set it to probe another.

        A run that is going ends with the one it has; a load that is going is cancelled.
        """
        return self._slot.vlm

    @vlm.setter
    def vlm(self, vlm: VLM) -> None:
        self._controller.put(_checked_vlm(vlm))
        self._show_model()

    @property
    def entailment(self) -> Entailment | str:
        """Which model compares the meanings, as it was set.

        A name is loaded with the next run that needs it, and downloaded where it is not on the disk. Raises
        `InputError` for what is neither a name nor an entailment model.
        """
        return self._controller.entailment

    @entailment.setter
    def entailment(self, entailment: Entailment | str | Path | None) -> None:
        judge = judges.checked(entailment)
        self._controller.entailment = judge
        with self._exclusive():
            self.set_trait("judge", judges.name_of(judge))

    # ---- Python twins of the page
    def run(self, what: str | Sequence[str] = "everything", **settings: Any) -> Trial:
        """Run the model on the current stimulus, as the buttons do, and wait for the result.

        Parameters
        ----------
        what : some of "answer", "uncertainty" and "attention", or "everything".
        **settings : any of `isi_widget.Settings` (samples, temperature, seed, ...), for this run only; others
            as in `probe.settings`.

        Raises
        ------
        InputError : `what` or a setting is wrong.
        Cancelled : it was cancelled in the page, or replaced by a newer run. Any error of the model is
            raised, too.
        """
        if self._controller.inside or self._mine:
            raise RuntimeError(
                "probe.run() waits for the model: it cannot be called by an observer of the probe."
            )
        checked = protocol.check_settings(settings, self.settings)
        job = self._start(uuid.uuid4().hex, protocol.check_what(what), checked)
        trial: Trial = _awaited(job)
        return trial

    def load(self, name: str | Path | None = None, quantization: str | None = None, **arguments: Any) -> VLM:
        """Load another model, as the page's list of models does, and wait until it is in place.

        If it cannot be loaded, or is cancelled on the page, the old model stays. Trials stay, too: each says
        which model it is of. To save memory the old model may go first and come back if the new one fails;
        one that was made by hand stays until the new one is there.

        Parameters
        ----------
        name, quantization, **arguments : as in `isi_widget.load_vlm`; None: the embedded model.

        Raises
        ------
        InputError : and whatever else `load_vlm` raises.
        Cancelled : it was cancelled, or replaced by a newer load before it began.
        """
        if self._controller.inside or self._mine:
            raise RuntimeError("probe.load() waits: it cannot be called by an observer of the probe.")
        source = Source(name, {"quantization": quantization, **arguments})
        vlm: VLM = _awaited(self._load(uuid.uuid4().hex, source))
        return vlm

    def cancel(self) -> None:
        """Stop the run that is going, at its next token, and the one that waits."""
        self._controller.cancel()

    def undo(self) -> None:
        """Take back the last gesture, whether it was made in the page or in Python."""
        past = self.document["past"]
        if past and "observation" in past[-1]:
            self._cross(past[-1])
        else:
            self._set(document=doc.undo(self.document))

    def redo(self) -> None:
        """Make the gesture again that was taken back last."""
        future = self.document["future"]
        if future and "observation" in future[0]:
            self._cross(future[0])
        else:
            self._set(document=doc.redo(self.document))

    def open_image(
        self,
        image: ImageSource,
        question: str | None = None,
        context: str | None = None,
        answer: str | bool | int | None = None,
        name: str | None = None,
    ) -> Observation:
        """Look at a picture of your own, as Open, drop and paste on the page do. It stays among the
        observations that can be chosen; `undo` brings back what was there before, with all that was drawn.

        Parameters
        ----------
        image : a path, bytes of an image file, a Pillow image, a NumPy array or a Picture.
        question, context : None: those that are shown now.
        answer : the true answer, or None; `truth` tells it later.
        name : in the list of observations; None: the name of the file.

        Raises
        ------
        InputError : the image cannot be read, or a text is none.
        """
        now = self._editor.resolve(self.document)
        if name is None and isinstance(image, str | os.PathLike):
            name = Path(image).name
        observation = Observation(
            image,
            now.current_question if question is None else question,
            now.current_context if context is None else context,
            answer,
            id=name or "own",
        )
        self._show_own(observation)
        return observation

    @property
    def truth(self) -> str | None:
        """The true answer to what is shown now, or None; of a picture of your own it can be set, as on the
        page. `InputError`: the observation is one of the data set.
        """
        return self._editor.resolve(self.document).truth

    @truth.setter
    def truth(self, answer: str | bool | int | None) -> None:
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.tell_truth(answer, self.document)
            self._refresh(wait=True)
        self._follow()

    def choose(self, index: int) -> None:
        """Look at another observation of the data set, or at a picture of your own (numbered after them), as
        it is. What was done to it before (or to the present one, if that is chosen again) is one `undo` away.
        """
        protocol.check_index(index, self._editor.count)
        if index == self._editor.index:
            self._set(document=self._editor.bare(self.document))
        else:
            self._set(observation_index=index)

    def reshuffle(self, part: str = "context") -> None:
        """Another random "image" or "context" of the data set, never the one that is shown.

        Raises
        ------
        InputError : there is none.
        """
        operation = self._editor.reshuffled(self._editor.resolve(self.document), protocol.check_part(part))
        kept = [item for item in self.document["operations"] if item["op"] != part]
        self._set(document=doc.step(self.document, [*kept, operation]))

    def watch(self, name: str) -> Followed:
        """A widget without a view whose `value` follows a trait ("stimulus", "trial", "selected", "tool",
        "busy"): for `ipywidgets.interactive(f, trial=probe.watch("trial"))`.
        """
        if name not in _FOLLOWED:
            raise InputError(f"{name!r} cannot be watched; these can: {', '.join(_FOLLOWED)}.")
        followed = Followed()
        t.dlink((self, name), (followed, "value"))
        return followed

    def code(self, trial: int | Trial | None = None) -> str:
        """Python that makes the current stimulus and runs it with the current settings, or that repeats a
        trial; to be pasted into a cell, or run elsewhere.

        It takes the model that is loaded already. A picture of your own that came from no file and is too
        large to stand in the code is written to the folder `isi_pictures`, beside the notebook. Raises
        `InputError` if there is no such trial, or that cannot be written.
        """
        if trial is None:
            stimulus = self._editor.resolve(self.document)
            found = Trial(stimulus, None, None, None, self.model, Settings(**self.settings))
        else:
            found = self._trial(self._history.number(trial))
        observation = self._editor.expression(found.stimulus)
        return trial_code(found, observation, self.judge, write_pictures=True, reuse=True)

    # ---- trials, each named by its number or given as itself
    def restore(self, trial: int | Trial) -> Stimulus:
        """Make the input of a trial the present one, and show the trial: "Restore input" of the page.

        One step that undo takes back, where the trial is of the observation that is there; else the
        trial's own observation is chosen. Raises `InputError` if there is no such trial.
        """
        number = self._history.number(trial)
        stimulus = self._trial(number).stimulus
        with self._exclusive(), self.hold_sync():
            if stimulus != self._editor.resolve(self.document):
                self.document = self._editor.adopt(stimulus, self.document)
            self.shown = number
            self._refresh(wait=True)
        self._follow()
        return stimulus

    def cut(self, operation: int, observation: int) -> Stimulus:
        """Cut a patch that is drawn from the image of another observation of the data set ("of observation"
        on the page): the region of one image in the other.

        operation : the number of the patch among `stimulus.operations`. observation : its number in the data
        set; the present one cuts from the image itself. Raises `InputError` if there is no such one.
        """
        with self._exclusive():
            self.stimulus = self._editor.cut(self._editor.resolve(self.document), operation, observation)
        return self.stimulus

    def delete(self, trial: int | Trial) -> Trial:
        """Take a trial and its note off the probe; returns the trial. `InputError`: there is none such."""
        removed = self._remove_entry(self._history.number(trial))
        self._keep()
        self._follow()
        return removed

    def note(self, trial: int | Trial, text: str) -> None:
        """Remember a sentence on a trial, shown and saved beside it; an empty one takes the note away.

        `probe.notes` has them all. Raises `InputError` if there is no such trial, or for a text of more than
        2,000 characters.
        """
        self._write_note(self._history.number(trial), protocol.check_note(text))
        self._keep()

    def compare(self, trials: Iterable[int | Trial] | None = None) -> Comparison:
        """Trials (None: all) side by side, as the page's Compare shows them; the first is what the others are
        compared with. Raises `InputError` if there is no such trial, or none at all.
        """
        numbers = self._history.numbers(trials)
        found = tuple(self._trial(number) for number in numbers)
        return Comparison(found, tuple(f"trial {number}" for number in numbers))

    @overload
    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf"] | None = None,
        path: None = None,
    ) -> bytes: ...
    @overload
    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf"] | None = None,
        *,
        path: str | Path,
    ) -> Path: ...
    def export(
        self,
        trials: int | Trial | Iterable[int | Trial] | None = None,
        format: Literal["json", "csv", "pdf"] | None = None,
        path: str | Path | None = None,
    ) -> bytes | Path:
        """Some trials (None: all) as one file, as the page's Export does.

        Parameters
        ----------
        format : "json": {"schema", "trials": [{"id", "note", "trial"}]}, without loss; `Trial.from_dict(
            entry["trial"])` gives a trial back. "csv": a table, one row per trial. "pdf": a report. None:
            as the name of the file says; "json" without one.
        path : the file to write, at once or not at all; None: the bytes are returned.

        Raises
        ------
        InputError : no such trial or format, a file that is named as another format, or one that cannot be
            written.
        """
        numbers = self._history.numbers(trials)
        made = self._file(numbers, protocol.check_export(format, path))
        if path is None:
            return made
        try:
            write_file(path, made)
        except OSError as error:
            raise InputError(
                f"The trials cannot be written to {path}: {error.strerror or error}. Give a file in a folder "
                "that exists and may be written to."
            ) from None
        return Path(path)

    def _trial(self, number: int) -> Trial:
        """The trial of a number that was there a moment ago."""
        found = self._history.get(number)
        if found is None:
            raise InputError(f"There is no trial {number} any more: it was deleted.")
        return found

    def _file(self, numbers: Sequence[int], format: str) -> bytes:
        return tr.file_of({number: self._trial(number) for number in numbers}, self.notes, format)

    # ---- keeping everything in step
    def _set(self, **state: Any) -> None:
        """Set synced traits and what follows from them: one update for the page."""
        with self._exclusive(), self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
            self._settle()
        self._follow()

    def _settle(self, wait: bool = True) -> None:
        """Bring everything synced in step with document, observation_index and shown."""
        with self._exclusive(), self.hold_sync():
            index = self.observation_index
            if index not in (self._editor.index, ed.OWN):
                self._editor.leave(self.document)
                try:
                    self._editor.choose(index)
                except Exception:
                    self.observation_index = self._editor.index
                    raise
                self.document, wait = self._editor.arrive(), True
            self._refresh(wait)

    def _cross(self, step: Mapping[str, Any]) -> None:
        """Undo or redo a step that goes to another observation."""
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.cross(step, self.document)
            self._refresh(wait=True)
        self._follow()

    def _show_own(self, observation: Observation) -> None:
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.open(observation, self.document)
            self.error = None
            self._refresh(wait=True)
        self._follow()

    def _refresh(self, wait: bool) -> None:
        """Everything synced that follows from the editor and the document."""
        stimulus = self._editor.resolve(self.document)
        picture = pictures.key(stimulus)
        stale, self._pictured = picture != self._pictured, picture
        with self._exclusive(), self.hold_sync():
            if self._editor.rows_changed():
                self.set_trait("observations", self._editor.rows())
            self.observation_index = self._editor.index
            self.set_trait("observation", self._editor.record())
            self.set_trait("inputs", {**ed.inputs(stimulus), "edit": self.edit})
            drawings = [i for i, op in enumerate(self.document["operations"]) if protocol.is_drawing(op)]
            self.selected = [index for index in self.selected if index in drawings]
            if stale and wait:
                self._paint()
        if stale and not wait:  # the newest document wins, older ones are skipped
            self._painter.submit(Job("paint", lambda job: self._paint_or_tell()))

    def _follow(self) -> None:
        """Bring the traits that are Python objects in step, outside the lock: their observers are the user's.

        Repeated until nothing is left, since another thread may change the document in between.
        """
        while self.stimulus != (stimulus := self._editor.resolve(self.document)):
            self._following.stimulus = stimulus
            self.stimulus = stimulus
        while self.trial is not (trial := self._history.get(self.shown)):
            self.set_trait("trial", trial)

    def _paint(self) -> None:
        """The previews of the document; if it changes meanwhile, another painting follows anyway."""
        stimulus = self._editor.resolve(self.document)
        picture, image, base = pictures.key(stimulus), stimulus.current_image, None
        record = pictures.preview(pictures.shown(stimulus), picture)
        if self.base_preview.get("key") != image.sha256:
            base = {
                **(pictures.preview(image.pil(), "") if stimulus.drawings else record),
                "key": image.sha256,
            }
        with self._exclusive(), self.hold_sync():
            if self._pictured == picture:
                if base is not None:
                    self.set_trait("base_preview", base)
                self._paintings += 1  # an equal picture (undone at once) is sent too: the page waits for it
                self.set_trait("preview", {**record, "turn": self._paintings})

    def _paint_or_tell(self) -> None:
        try:
            self._paint()
        except BaseException as error:  # in the painter's thread, as above
            self._fail(error)

    def _checked(self, name: str, value: Any, document: Mapping[str, Any] | None = None) -> Any:
        """The value of a trait that page and Python may both set, or `InputError`; `document` is the one
        that comes with it.
        """
        if name == "document":
            if value is self._vouched:
                return value
            document = protocol.check_document(value, known=self.document)
            self._editor.resolve(document)
            self._vouched = document
            return document
        if name == "settings":
            return {**protocol.SETTINGS, **self.settings, **protocol.check_settings(value, self.settings)}
        if name == "edit":
            return protocol.check_edit(value)
        if name == "tool":
            return protocol.check_tool(value)
        if name == "selected":
            return protocol.check_selected(value, (document or self.document)["operations"])
        if name == "observation_index":
            if value == self._editor.index:
                return value
            return protocol.check_index(value, self._editor.count)
        if name == "shown":
            return protocol.check_shown(value, list(self._history))
        if name == "pinned":
            return protocol.check_pinned(value, list(self._history))
        return value

    @t.validate(  # type: ignore[untyped-decorator]
        "document", "settings", "observation_index", "shown", "pinned", "tool", "selected"
    )
    def _valid(self, proposal: Any) -> Any:
        return self._checked(proposal["trait"].name, proposal["value"])

    @t.validate("stimulus")  # type: ignore[untyped-decorator]
    def _stimulus_valid(self, proposal: Any) -> Stimulus:
        stimulus: Stimulus = proposal["value"]
        protocol.check_operations([operation.to_dict() for operation in stimulus.operations])
        return stimulus

    def _stimulus_set(self, change: Any) -> None:
        if change["new"] is getattr(self._following, "stimulus", None):
            return
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.adopt(change["new"], self.document)
            self._refresh(wait=True)
        self._follow()

    def _state_set(self, change: Any) -> None:
        if not self._mine:
            self._settle()
            self._follow()

    # ---- from the page
    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """What the page changed. A value that makes no sense is refused: it never becomes a trait, and the
        page is set right.
        """
        self._controller.watched = True
        with self._for_page():
            self._take_state(sync_data)

    def _take_state(self, sync_data: Mapping[str, Any]) -> None:
        accepted: dict[str, Any] = {}
        refused: dict[str, BaseException] = {}
        stray = False
        with self._exclusive():
            for name, value in sorted(sync_data.items(), key=lambda item: item[0] != "document"):
                try:
                    if name == "document" and (change := protocol.check_news(value)) is not None:
                        stray = (whole := self._revisions.read(change, self.document)) is None
                        value = doc.on_top(self.document, change) if whole is None else whole
                    accepted[name] = self._from_page(name, value, accepted.get("document"))
                except Exception as error:  # whatever a page sends, the widget stays usable
                    refused[name] = error
            self._looking = self._looking or ("shown" in accepted and self.busy)
            try:
                if "document" in accepted and stray:
                    self.document = accepted.pop("document")
                elif "document" in accepted:
                    base = sync_data["document"].get("base")
                    self._put_of_page(accepted.pop("document"), base)
                super().set_state(accepted)
            except Exception as error:  # of the widget framework's own traits: they check themselves
                refused.update(dict.fromkeys(accepted, error))
            if stray or "document" in refused:  # the page does not have what it should have
                self._send_whole_document()
            known = [name for name in refused if name in self.keys and name != "document"]
            if known:
                self.send_state(known)
        for reason in dict.fromkeys(refused.values()):
            self._fail(reason)
        try:
            self._settle(wait=False)
            self._follow()
        except Exception as error:
            self._fail(error)

    def _from_page(self, name: str, value: Any, document: Mapping[str, Any] | None = None) -> Any:
        if name in self.keys and name not in PageState.__dict__ and not name.startswith("_"):
            return value  # of the widget framework: layout and the like
        if name not in _FROM_PAGE:
            raise InputError(f"The page may not set {name!r}.")
        if name == "error" and value is not None:
            raise InputError("The page may only dismiss an error, by setting it to null.")
        if name == "run_on_change" and not isinstance(value, bool):
            raise InputError(f"run_on_change must be true or false, not {value!r:.60}.")
        return self._checked(name, value, document)

    def _receive(self, _: Any, content: Any, buffers: Sequence[Any]) -> None:
        """One custom message of the page. Hands over and returns: this may be the kernel's only thread, or a
        sub-shell's.
        """
        id = content.get("id") if isinstance(content, Mapping) else None
        id = id if isinstance(id, str) and len(id) <= 200 else None
        try:
            self._controller.watched = True
            message = messages.parse_message(content, buffers)
            with self._for_page():
                getattr(self, f"_on_{type(message).__name__.lower()}")(message)
        except Exception as error:
            self._fail(error, id)

    def _on_run(self, asked: messages.Run) -> None:
        self._start(asked.id, asked.what, asked.settings or {})

    def _on_cancel(self, asked: messages.Cancel) -> None:
        self._controller.cancel(asked.id)

    def _on_upload(self, asked: messages.Upload) -> None:
        data = self._parts.add(asked)
        if data is not None:
            self._loader.submit(Job("upload", lambda job: self._upload(asked.name, data)))

    def _on_undo(self, asked: messages.Undo) -> None:
        self._later("undo", self.undo)

    def _on_redo(self, asked: messages.Redo) -> None:
        self._later("redo", self.redo)

    def _on_truth(self, asked: messages.Truth) -> None:
        self.truth = asked.text.strip() or None

    def _on_code(self, asked: messages.Code) -> None:
        self._later("code", lambda: self._send_code(asked), asked.id)

    def _on_editor(self, asked: messages.Editor) -> None:
        self.send({"kind": "editor", "text": asset("editor.js").read_text(encoding="utf-8")})

    def _on_still(self, asked: messages.Still) -> None:
        self._later("still", self._send_still)

    def _on_font(self, asked: messages.Font) -> None:
        self.send({"kind": "font"}, buffers=[FONT.read_bytes()])

    def _on_color(self, asked: messages.Color) -> None:
        # a kind of its own: the pointer's questions must not push out that of a click
        self._later(f"color {asked.id}", lambda: self._tell_color(asked))

    def _on_models(self, asked: messages.Models) -> None:
        self._later("models", lambda: self.send({"kind": "models", **offer(self._slot)}))

    def _on_load(self, asked: messages.Load) -> None:
        self._load(asked.id, Source(asked.name, {"quantization": asked.quantization}))

    def _on_history(self, asked: messages.History) -> None:
        with self._exclusive():
            self._send_whole_document()

    def _on_judges(self, asked: messages.Judges) -> None:
        self._later("judges", lambda: self.send({"kind": "judges", **judges.offer(self.vlm)}))

    def _on_judge(self, asked: messages.Judge) -> None:
        def take() -> None:
            self.entailment = asked.name

        if asked.name in (AUTO, RULES, EMBEDDED):
            take()
            return
        with self._exclusive():
            self.error = None
        self._controller.load_judge(asked.id, asked.name, take)

    def _on_restore(self, asked: messages.Restore) -> None:
        self.restore(asked.trial)

    def _on_delete(self, asked: messages.Delete) -> None:
        self.delete(asked.trial)

    def _on_note(self, asked: messages.Note) -> None:
        self.note(asked.trial, asked.text)

    def _on_export(self, asked: messages.Export) -> None:
        numbers = self._history.numbers(asked.trials)
        self._later("export", lambda: self._send_file(asked, numbers), asked.id)

    def _on_cut(self, asked: messages.Cut) -> None:
        self._later("cut", lambda: self.cut(asked.operation, asked.observation))

    def _on_detail(self, asked: messages.Detail) -> None:
        self._later("detail", lambda: self._send_detail(asked))

    def _on_map(self, asked: messages.Map) -> None:
        self._later("map", lambda: self._send_map(asked), asked.id)

    def _on_thumbnails(self, asked: messages.Thumbnails) -> None:
        self._later("thumbnails", lambda: self._send_thumbnails(asked.indexes))

    def _on_tokens(self, asked: messages.Tokens) -> None:
        self._later("tokens", self._send_tokens)

    def _on_reshuffle(self, asked: messages.Reshuffle) -> None:
        self._later("reshuffle", lambda: self.reshuffle(asked.part))

    def _later(self, kind: str, work: Callable[[], object], id: str | None = None) -> None:
        """Do what a page asked for in the worker, and tell of what goes wrong; the newest of a kind waits."""

        def told(job: Job) -> None:
            try:
                work()
            except BaseException as error:  # in the loader's thread: nobody else would learn of it
                self._fail(error, id)

        self._loader.submit(Job(id or kind, told, kind=kind))

    def _tell_color(self, asked: messages.Color) -> None:
        """The colour of a pixel of the stimulus as it is now; outside of it there is none."""
        image = pictures.shown(self.stimulus)
        if asked.x < image.width and asked.y < image.height:
            red, green, blue = cast(tuple[int, int, int], image.getpixel((asked.x, asked.y)))
            self.send({"kind": "color", "id": asked.id, "color": f"#{red:02x}{green:02x}{blue:02x}"})

    def _upload(self, name: str, data: bytes) -> None:
        try:
            with noting() as notes:
                picture = load_image(data)
            now = self._editor.resolve(self.document)
            image = ImageFile(data, picture)
            self._show_own(Observation(image, now.current_question, now.current_context, id=name or "own"))
        except Exception as error:
            # What Pillow cannot read is most often read by what made it.
            hint = "Open it in an image program and save it again as PNG or JPEG."
            self._fail(error, message=f"{name}: {error}", hint=hint)
            return
        if notes:
            told = f"{name}: {'; '.join(notes)}."
            self.send({"kind": "notice", "message": told, "hint": "This is what the model is shown."})

    def _send_detail(self, asked: messages.Detail) -> None:
        """A part of the picture in its own pixels; nothing, where there is none."""
        stimulus = self.stimulus
        found = pictures.detail(pictures.shown(stimulus), asked.region, asked.width)
        if found is not None:
            data, region = found
            record = {"id": asked.id, "region": list(region), "key": pictures.key(stimulus)}
            self.send({"kind": "detail", **record}, buffers=[data])

    def _send_map(self, asked: messages.Map) -> None:
        trial = self._history.get(asked.trial)
        if trial is None:
            raise InputError(f"There is no trial {asked.trial}.")
        layer, share, peak = self._maps.layer(trial, self.vlm, asked.token)
        self.send({"kind": "map", "id": asked.id, "share": share, "peak": peak}, buffers=[layer])

    def _send_file(self, asked: messages.Export, numbers: list[int]) -> None:
        made = self._file(numbers, asked.format)
        name = tr.file_name(numbers, asked.format)
        if len(made) > protocol.MAX_UPLOAD:
            raise InputError(
                f"{name} has {len(made) >> 20} MB; at most {protocol.MAX_UPLOAD >> 20} MB travel to a "
                f"page. Write it from a cell: probe.export({numbers}, {asked.format!r}, path={name!r})."
            )
        record = {"kind": "export", "id": asked.id, "name": name, "type": protocol.FORMATS[asked.format]}
        self.send(record, buffers=[made])

    def _send_thumbnails(self, indexes: Sequence[int]) -> None:
        """Small pictures of observations, for the rows that the page shows: never a trait, never saved."""
        found = [self._editor.thumbnail(index) for index in indexes]
        self.send({"kind": "thumbnails", "indexes": list(indexes)}, found)

    def _send_code(self, asked: messages.Code) -> None:
        self.send({"kind": "code", "id": asked.id, "text": self.code(asked.trial)})

    def _send_still(self) -> None:
        still = self._still()
        self.send({"kind": "still", "number": still.number, "data": still.bundle()})

    def _send_tokens(self) -> None:
        """How many tokens the prompt has by segment, or why the model would refuse it.

        Nothing while the model is busy: the page asks again when it is free.
        """
        if self._controller.status()["state"] != "idle":
            return
        stimulus = self._editor.resolve(self.document)
        counts, problem = None, ""
        if stimulus.current_question.strip() and "segments" not in self._slot.unavailable:
            counts, problem = self._counts.of(stimulus, self._slot.vlm)
        told = {"key": stimulus.key, "model": self.model["label"], "counts": counts, "problem": problem}
        self.send({"kind": "tokens", **told})

    # ---- models
    def _load(self, id: str, source: Source) -> Job:
        with self._exclusive():
            self.error = None
        return self._controller.load(id, source)

    def _show_model(self) -> None:
        info = self._slot.vlm.info()
        model = {**info, "label": label(info), "unavailable": self._slot.unavailable}
        with self._exclusive():
            self.set_trait("model", model)

    # ---- runs
    def _start(
        self, id: str, what: Sequence[str], settings: Mapping[str, Any], automatic: bool = False
    ) -> Job:
        with self._exclusive():
            self.error = None
            stimulus = self._editor.resolve(self.document)
        self._looking = False
        return self._controller.start(id, stimulus, what, {**self.settings, **settings}, automatic)

    def _input_changed(self, change: Any) -> None:
        """Something that a result depends on is another now."""
        old, new = change["old"], change["new"]
        if change["name"] == "model" and old.get("label") == new.get("label"):
            return  # the same model, of which more is known
        if self.run_on_change:
            self._automatic.changed(change["name"])
        else:
            self._automatic.stop()

    def _run_by_itself(self, changed: frozenset[str]) -> Job | None:
        """The run that follows changes, unless the shown trial is of what there is now."""
        stimulus, trial = self._editor.resolve(self.document), self.trial
        if not self.run_on_change or not stimulus.current_question.strip():
            return None
        if trial is not None and trial.stimulus.key == stimulus.key:
            same = label(trial.model) == self.model["label"]
            if "judge" in changed and trial.uncertainty is not None:
                same = False
            if "settings" in changed:
                same = same and all(
                    getattr(trial.settings, name) == value for name, value in self.settings.items()
                )
            if same:
                return None
        what = WHAT if trial is None else trial.settings.what
        if set(what) != set(WHAT):
            what = tuple(name for name in what if name not in self._slot.unavailable) or WHAT
        return self._start(uuid.uuid4().hex, what, {}, automatic=True)

    def _run_or_tell(self, changed: frozenset[str]) -> Job | None:
        try:
            return self._run_by_itself(changed)
        except BaseException as error:  # in a thread of its own: nobody else would learn of it
            self._fail(error)
            return None

    def _show_status(self) -> None:
        with self._exclusive(), self.hold_sync():
            status = self._controller.status()
            if status == self.status:
                return
            self.set_trait("status", status)
            self.set_trait("busy", status["state"] != "idle")
        if status["stage"]:
            self.send({"kind": "progress", **{key: status[key] for key in ("id", "stage", "done", "total")}})

    def _tell(self, id: str, answer: str | None, samples: list[str]) -> None:
        self.send({"kind": "partial", "id": id, "answer": answer, "samples": samples})

    def _add_trial(self, trial: Trial, id: str) -> None:
        view = trial.view()
        averages = for_trial(trial, view)
        entry = {
            "key": trial.stimulus.key,
            "view": {
                **view,
                **({} if averages is None else {"averages": averages}),
                "model": label(trial.model),
                "code": trial.code(self._editor.expression(trial.stimulus), reuse=True),
            },
            "thumbnail": pictures.thumbnail(pictures.shown(trial.stimulus)),
        }
        # Who has chosen another trial meanwhile goes on looking at that one.
        number = self._add_entry(trial, entry, show=not self._looking)
        self._looking = False
        self._show_model()  # a server has told more of itself by answering
        self.send({"kind": "result", "id": id, "trial": number})
        self._keep()
        self._follow()

    def _fail(
        self,
        error: BaseException,
        id: str | None = None,
        message: str | None = None,
        hint: str = "",
        what: str = "",
    ) -> None:
        """Show a failure under the widget, after `what` it is of; the state stays as it was before."""
        self.last_traceback = format_traceback(error)
        found, otherwise = explain(error)
        found = f"{what}: {found}" if what else found
        failure = {"message": message or found, "hint": hint or otherwise, "id": id}
        with self._exclusive():
            self.error = failure
        self.send({"kind": "error", **failure})

    # ---- elsewhere
    def close(self) -> None:
        """Stop what runs and take the widget off the page; results stay in Python.

        Nothing keeps it alive then: with the last variable that names it, its trials and pictures go.
        """
        if hasattr(self, "_automatic"):  # not if `__init__` refused its arguments
            self._automatic.stop()
            self.cancel()
            for worker in (self._painter, self._loader, self._keeper):
                worker.release()
            self._controller.release()
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def __repr__(self) -> str:
        done = f"operations: {len(self.stimulus.operations)}, trials: {len(self.trials)}"
        return f"Probe({self.stimulus.current_question!r}, {done}, model: {self.model.get('name')!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and beside it a still picture and a line of text for where no widget runs."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        self._controller.watched = True
        still = still_picture(self.stimulus, self.trial)
        return {**data, "image/png": base64.b64encode(still).decode(), "text/plain": repr(self)}, metadata

    def _ipython_display_(self) -> None:
        """Two outputs: the widget, and its still, which a notebook saves and which `_keep` brings up to date.

        Not one output with several forms: where the widget of a saved notebook is not found, JupyterLab says
        so instead of taking another form.
        """
        data, metadata = super()._repr_mimebundle_()
        self._controller.watched = self._shown_somewhere = True
        display({**data, "text/plain": repr(self)}, metadata=metadata, raw=True)
        display(self._still().bundle(), display_id=self._kept, raw=True)

    def _still(self) -> Still:
        with self._exclusive():
            self._stills += 1
            entries, notes, shown = self._history.entries, dict(self.notes), self.shown
            stimulus = self._editor.resolve(self.document)
            trial = self._history.get(shown)
            number = self._stills
        return Still(self.model_id or "", number, stimulus, trial, entries, shown, notes)

    def _keep(self) -> None:
        """Bring the stills in the notebook's outputs up to date, the newest only, in a thread of its own."""

        def keep(job: Job) -> None:
            try:
                still = self._still()
                display(still.bundle(), display_id=self._kept, update=True, raw=True)
                self.send({"kind": "still", "number": still.number})
            except Exception as error:
                self._fail(error)

        if self._shown_somewhere:
            self._keeper.submit(Job("still", keep, kind="still"))


def _checked_vlm(vlm: Any) -> VLM:
    if not callable(getattr(vlm, "prefill", None)):
        raise InputError(
            f"vlm must come from isi.load_vlm(), or be None (embedded); got {type(vlm).__name__}."
        )
    model: VLM = vlm
    return model


def _awaited(job: Job) -> Any:
    """The result of a job, or its exception raised here; the notebook's interrupt cancels the job."""
    try:
        while not job.wait(0.2):  # a wait without end cannot be interrupted everywhere
            pass
    except KeyboardInterrupt:
        job.cancel()
        raise
    if job.error is not None:
        raise job.error
    return job.result
