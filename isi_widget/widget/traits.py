"""The traits that a probe shares with its page, their defaults, and changes to them from any thread.

Not for computing the values (`sync.py`), nor for checking messages of a page (`protocol.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anywidget
import traitlets as t
from ipywidgets import ValueWidget

from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial
from isi_widget.widget import document as doc
from isi_widget.widget import protocol
from isi_widget.widget.assets import source
from isi_widget.widget.controller import IDLE, explain, format_traceback
from isi_widget.widget.editor import OWN
from isi_widget.widget.guarded import Guarded
from isi_widget.widget.notes import Notes
from isi_widget.widget.revisions import Revisions
from isi_widget.widget.trials import KEPT, History

#: Names of the traits that hold the entries of trials, by index.
ENTRIES = tuple(f"_entry_{place}" for place in range(KEPT))


class _ByIdentity(t.TraitType[Any, Any]):
    """Trait compared by identity: comparing two trials by value would encode images."""

    def set(self, obj: Any, value: Any) -> None:
        new = self._validate(obj, value)
        old = obj._trait_values.get(self.name)
        obj._trait_values[self.name] = new
        if old is not new:
            obj._notify_trait(self.name, old, new)


class _Same(_ByIdentity, t.Instance):
    pass


class _Trials(_ByIdentity, t.Tuple):
    pass


class _Entry(_ByIdentity, t.Dict):
    pass


def _notes(notes: Mapping[int, str], page: PageState) -> dict[str, str]:
    return {str(number): text for number, text in notes.items()}


def _revision(_: int, page: PageState) -> int:
    return page._revisions.number(page.document)


_LOG = logging.getLogger(__name__)


class Followed(ValueWidget):
    """A widget without a view whose `value` is a trait of a probe, for `ipywidgets.interactive`."""

    value = t.Any()


class PageState(anywidget.AnyWidget):
    """The synced traits of a probe, and those that only Python sees: `stimulus`, `interventions`, `trial`."""

    _esm = source("widget.js")
    _css = source("widget.css")

    stimulus = t.Instance(Stimulus)
    interventions = t.Tuple()
    trial = _Same(Trial, allow_none=True, default_value=None, read_only=True)
    trials = _Trials(read_only=True)
    # The page's entry of each trial has its own trait: a new trial is sent alone, and a saved state or a
    # second page gets all.
    locals().update({name: _Entry(None, allow_none=True, read_only=True).tag(sync=True) for name in ENTRIES})
    notes = t.Instance(Notes, args=(), read_only=True).tag(sync=True, to_json=_notes)

    observations = t.List(read_only=True).tag(sync=True)
    observation_index = t.Int(OWN).tag(sync=True)
    observation = t.Dict(read_only=True).tag(sync=True)
    document = t.Dict(default_value=doc.empty()).tag(sync=True)
    # number of the document; sent with it, so never out of date on a page
    revision = t.Int(0, read_only=True).tag(sync=True, to_json=_revision)
    inputs = t.Dict(read_only=True).tag(sync=True)
    preview = t.Dict(read_only=True).tag(sync=True)
    base_preview = t.Dict(read_only=True).tag(sync=True)
    settings = t.Dict(default_value=dict(protocol.SETTINGS)).tag(sync=True)
    status = t.Dict(default_value=dict(IDLE), read_only=True).tag(sync=True)
    error = t.Dict(default_value=None, allow_none=True).tag(sync=True)
    shown = t.Int(-1).tag(sync=True)
    pinned = t.List(t.Int()).tag(sync=True)
    tool = t.Unicode("select").tag(sync=True)
    selected = t.List(t.Int()).tag(sync=True)
    busy = t.Bool(False, read_only=True).tag(sync=True)
    run_on_change = t.Bool(False).tag(sync=True)
    # number of the page's last edit; `inputs` names the edit that it includes
    edit = t.Int(0).tag(sync=True)
    model = t.Dict(read_only=True).tag(sync=True)
    # available measures, for the buttons of the page
    measures = t.List(read_only=True).tag(sync=True)
    # the last trace between two trials
    traced = t.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    # whether the lens is on the picture; a page that is opened later begins with it
    lens_on = t.Bool(False).tag(sync=True)
    # number of the newest still that the notebook was sent
    stills = t.Int(0, read_only=True).tag(sync=True)
    # name of the entailment model; "auto" or "rules"
    judge = t.Unicode("auto", read_only=True).tag(sync=True)
    # where the work is kept: "folder", "problem" (why it is not), "note" (about what was restored); or empty
    kept = t.Dict(read_only=True).tag(sync=True)
    # id of the widget in a notebook's outputs
    widget_id = t.Unicode(read_only=True).tag(sync=True)

    def _follow_files(self) -> None:
        """Watch files that a subclass names as `_esm` or `_css`, without the watcher keeping the probe alive.

        anywidget itself would connect a function that holds the widget, and never disconnect it.
        """
        for name, changed in (("_esm", self._esm_changed), ("_css", self._css_changed)):
            file: Any = getattr(self, name, None)
            if hasattr(file, "changed"):
                self.add_traits(**{name: t.Unicode(str(file)).tag(sync=True)})
                file.changed.connect(changed)  # psygnal keeps a weak reference to a method

    def _esm_changed(self, text: str) -> None:
        self._esm = text

    def _css_changed(self, text: str) -> None:
        self._css = text

    def _prepare(self) -> None:
        """Prepare before any trait is set: the first state, sent when the widget is created, must be
        complete.
        """
        # Lock of the synced traits: ipywidgets itself is not thread-safe.
        self._lock = threading.RLock()
        # The thread that changes several traits and updates the dependent ones itself.
        self._owner: int | None = None
        self._history = History()
        self._revisions = Revisions()
        self._replying = (
            False  # True while replying to a page that changed the document, which is not sent again
        )
        self._failing = threading.local()
        self.last_traceback = ""
        self._unsent: set[str] = set()  # names of synced values whose last message failed

    # ---- exceptions in foreign code stop nothing here
    def observe(self, handler: Any, names: Any = t.All, type: Any = "change") -> None:
        """Observe a trait, as `traitlets.HasTraits.observe`. An exception of the observer is shown under the
        widget and logged; it never stops a run or another observer.

        An interrupt or an exit is raised if the calling code itself has set the trait, in the main thread.
        """
        own = isinstance(handler, t.EventHandler)  # an observer of a class, by @observe
        super().observe(handler if own else Guarded(handler, self._observer_failed), names, type)

    def _observe_inside(self, handler: Any, names: Any) -> None:
        """Register an observer of the probe itself; its exceptions go to the caller."""
        super().observe(handler, names)

    def _observer_failed(self, error: BaseException, name: str) -> bool:
        """Show the failure of an observer of `name`; returns True if it must be raised anyway."""
        if not isinstance(error, Exception):
            inside = self.traits()[name].read_only or getattr(self._failing, "page", False)
            if threading.current_thread() is threading.main_thread() and not inside:
                return True
        _LOG.error("an observer of %r of the probe failed", name, exc_info=error)
        self._show_failure(error, f"An observer of {name!r} failed")
        return False

    def _send(self, msg: Any, buffers: Any = None) -> None:
        """Send a message to the page. A failure is logged and shown; lost values are sent later."""
        state = msg.get("state", {}) if msg.get("method") == "update" else {}
        try:
            super()._send(msg, buffers)
        except BaseException as error:
            self._unsent |= set(state)
            _LOG.error("a message to the page of the probe could not be sent", exc_info=error)
            self._show_failure(error, "A message to the page could not be sent")
            return
        lost, self._unsent = self._unsent - set(state), set()
        if lost:
            self.send_state(sorted(lost))

    def _show_failure(self, error: BaseException, what: str) -> None:
        """Show the failure, unless showing itself fails."""
        if getattr(self._failing, "now", False):
            return
        self._failing.now = True
        try:
            self._fail(error, what=what)
        finally:
            self._failing.now = False

    def _fail(
        self,
        error: BaseException,
        id: str | None = None,
        message: str | None = None,
        hint: str = "",
        what: str = "",
        request: str | None = None,
    ) -> None:
        """Show a failure under the widget; the state does not change.

        Parameters
        ----------
        error : failure.
        id : id of the run that it ended; None (default): no run.
        message, hint : texts shown instead of the error's own text.
        what : name of the failed action, placed before the message.
        request : id of the page's request that it answers; None (default): `id`.
        """
        self.last_traceback = format_traceback(error)
        found, otherwise = explain(error)
        found = f"{what}: {found}" if what else found
        failure = {"message": message or found, "hint": hint or otherwise, "id": id}
        with self._exclusive():
            self.error = failure
        self.send({"kind": "error", **failure, "id": request or id})

    @contextmanager
    def _for_page(self) -> Iterator[None]:
        """Mark the handling of a page's request: no exception belongs to a cell."""
        before, self._failing.page = getattr(self._failing, "page", False), True
        try:
            yield
        finally:
            self._failing.page = before

    # ---- the document, of which only additions are sent
    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state as `ipywidgets.Widget.get_state`: with all traits the whole document, alone only
        its changes.
        """
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is not None and "document" in state:
            state["document"], state["revision"] = self._revisions.update(self.document)
        return state

    def _should_send_property(self, key: str, value: Any) -> bool:
        if key == "document" and self._replying:
            return False
        return bool(super()._should_send_property(key, value))

    def _put_of_page(self, document: Mapping[str, Any], base: int | None) -> None:
        """Accept a document from a page and send it to all pages. Its own page ignores this echo while it
        makes the next document.
        """
        with self._lock:
            self._replying = True
            try:
                self.document = document
            finally:
                self._replying = False
            reply = {"document": self._revisions.reply(self.document, base)}
        self._send({"method": "echo_update", "state": reply, "buffer_paths": []})

    def _send_whole_document(self) -> None:
        self._revisions.forget_sent()
        self.send_state(["document"])

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Change synced traits without interference of other threads; the caller updates the
        dependent ones.
        """
        with self._lock:
            before, self._owner = self._owner, threading.get_ident()
            try:
                yield
            finally:
                self._owner = before

    @property
    def _mine(self) -> bool:
        """Whether the calling thread is changing traits exclusively."""
        return self._owner == threading.get_ident()

    def _add_entry(self, trial: Trial, entry: Mapping[str, Any], show: bool) -> int:
        """Append a trial and return its number, with one update for the page."""
        with self._exclusive(), self.hold_sync():
            number, place = self._history.add(trial, entry)
            self._set_entry(place)
            self.set_trait("trials", self._history.trials)
            if show:
                self.shown = number
        return number

    def _put_back_trials(
        self, trials: Mapping[int, Trial], entries: Mapping[int, Mapping[str, Any]], last: int
    ) -> None:
        """Take over the trials of a session with their numbers."""
        self._history.put_back(trials, entries, last)
        for place in range(KEPT):
            self._set_entry(place)
        self.set_trait("trials", self._history.trials)

    def _remove_entry(self, number: int) -> Trial:
        """Remove a trial and its note; if it was shown, show a neighbour."""
        with self._exclusive(), self.hold_sync():
            if self.shown == number:
                self.shown = self._history.neighbour(number)
            removed, place = self._history.remove(number)
            self.pinned = [other for other in self.pinned if other != number]
            if place is not None:
                self._set_entry(place)
            self.set_trait("trials", self._history.trials)
            self._write_note(number, "")
        return removed

    def _set_entry(self, place: int) -> None:
        self.set_trait(ENTRIES[place], self._history.entry(place))

    def _write_note(self, number: int, text: str) -> None:
        """Set the note of a trial; an empty text removes it."""
        with self._exclusive():
            rest = {other: note for other, note in self.notes.items() if other != number}
            notes = {**rest, number: text} if text else rest
            self.set_trait("notes", Notes(notes))
