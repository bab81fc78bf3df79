"""`Synced`: what a probe shares with its page, kept in step: document, observation, pictures, shown trial.

What Python sets and what a page sends go through the same checks. What a document means is decided in
`editor.py`, what a page may send in `protocol.py`; not for its messages (`requests.py`) nor runs (`runs.py`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import traitlets as t

from isi_widget.datasets import Dataset, Observation
from isi_widget.errors import InputError
from isi_widget.interventions import Intervention, checked, from_dicts, to_dicts
from isi_widget.stimulus import Stimulus
from isi_widget.widget import document as doc
from isi_widget.widget import editor as ed
from isi_widget.widget import preview as pictures
from isi_widget.widget import protocol
from isi_widget.widget.inputs import inputs
from isi_widget.widget.jobs import Job, Worker
from isi_widget.widget.traits import PageState

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
        "lens_on",
    }
)


class Synced(PageState):
    """The editor of a probe, and the synced traits that follow from it and the document."""

    def _prepare_editor(self, observation: Observation, data: Dataset | None) -> None:
        """Prepare, before any trait is set, the first observation and the list of observations."""
        self._editor = ed.Editor(observation, data)
        self._vouched: doc.Document | None = None  # the last document that was checked
        self._painter = Worker("isi-preview")
        self._following = threading.local()
        self._pictured = ""  # what the picture of the document is, and how many were painted
        self._paintings = 0
        # Whether another trial was chosen on the page while a run goes on: it stays on screen.
        self._looking = False
        self._completing: tuple[str, ...] = ()  # the pending edits that a job was started for

    def _begin(self) -> None:
        """Complete the first state before it is sent."""
        self.set_trait("observations", self._editor.rows())
        self.stimulus = self._editor.base
        self._refresh(wait=True)
        self._follow()

    def _listen(self) -> None:
        """Follow what is set from now on."""
        self._observe_inside(self._stimulus_set, "stimulus")
        self._observe_inside(self._interventions_set, "interventions")
        self._observe_inside(self._state_set, ["document", "observation_index", "shown"])

    def _current(self) -> Stimulus:
        """Return the stimulus of the document."""
        return self._editor.resolve(self.document)

    def _inside(self) -> tuple[Intervention, ...]:
        """Return the interventions of the document."""
        return from_dicts(doc.inside(self.document))

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
                self.document, wait = self._editor.arrive(doc.inside(self.document)), True
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
        """Update every synced trait that depends on the editor and the document."""
        with self._exclusive(), self.hold_sync():
            document = self._editor.completed(self.document)
            if document is not self.document:
                self.document = document
        stimulus = self._current()
        self._complete_later(stimulus)
        picture = pictures.key(stimulus)
        stale, self._pictured = picture != self._pictured, picture
        with self._exclusive(), self.hold_sync():
            if self._editor.rows_changed():
                self.set_trait("observations", self._editor.rows())
            self.observation_index = self._editor.index
            self.set_trait("observation", self._editor.record())
            found = inputs(stimulus, self._runs.interventions, self._inside())
            self.set_trait("inputs", {**found, "edit": self.edit})
            drawings = [i for i, op in enumerate(self.document["operations"]) if protocol.is_drawing(op)]
            self.selected = [index for index in self.selected if index in drawings]
            if stale and wait:
                self._paint()
        if stale and not wait:  # the newest document wins, older ones are skipped
            self._painter.submit(Job("paint", lambda job: self._paint_or_tell()))

    def _complete_later(self, stimulus: Stimulus) -> None:
        """Have a slow in-painter compute the pixels of edits, once for each list of pending edits."""
        wanted = tuple(json.dumps(stimulus.operations[index].to_dict()) for index in stimulus.pending)
        started, self._completing = wanted == self._completing, wanted
        if wanted and not started:
            self._runs.complete(stimulus)

    def _follow(self) -> None:
        """Bring the traits that are Python objects in step, outside the lock: their observers are the user's.

        Repeated until nothing is left, since another thread may change the document in between.
        """
        while self.stimulus != (stimulus := self._current()):
            self._following.stimulus = stimulus
            self.stimulus = stimulus
        while self.interventions != (interventions := self._inside()):
            self.interventions = interventions
        while self.trial is not (trial := self._history.get(self.shown)):
            self.set_trait("trial", trial)

    def _paint(self) -> None:
        """Render the previews of the document; if it changes meanwhile, a new rendering follows anyway."""
        stimulus = self._current()
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

    def _stimulus_set(self, change: Any) -> None:
        if change["new"] is getattr(self._following, "stimulus", None):
            return
        with self._exclusive(), self.hold_sync():
            self.document = self._editor.adopt(change["new"], self.document)
            self._refresh(wait=True)
        self._follow()

    def _interventions_set(self, change: Any) -> None:
        inside = to_dicts(change["new"])
        if inside == doc.inside(self.document):
            return
        self._set(document=doc.step(self.document, self.document["operations"], inside))

    def _state_set(self, change: Any) -> None:
        if not self._mine:
            self._settle()
            self._follow()

    # ---- checks of what Python or a page sets
    def _checked(self, name: str, value: Any, document: Mapping[str, Any] | None = None) -> Any:
        """Return the value of a trait that page and Python may both set, or `InputError`; `document` is the
        one that comes with it.
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

    @t.validate("interventions")  # type: ignore[untyped-decorator]
    def _interventions_valid(self, proposal: Any) -> tuple[Intervention, ...]:
        interventions = checked(proposal["value"])
        if interventions and interventions != self._inside():
            self._runs.slot.vlm.intervene(*interventions)  # refuses what the model does not have
        return interventions

    @t.validate("stimulus")  # type: ignore[untyped-decorator]
    def _stimulus_valid(self, proposal: Any) -> Stimulus:
        stimulus: Stimulus = proposal["value"]
        protocol.check_operations([operation.to_dict() for operation in stimulus.operations])
        return stimulus

    # ---- what a page has changed
    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what a page has changed. A value that makes no sense is refused: it never becomes a trait, and
        the page is set right.
        """
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
            if "selected" in accepted and accepted["selected"] != sync_data["selected"]:
                known.append("selected")  # of an older document: the page does not have what it should have
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
        if name in ("run_on_change", "lens_on") and not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, not {value!r:.60}.")
        if name == "selected":
            value = protocol.still_selected(value, (document or self.document)["operations"])
        return self._checked(name, value, document)
