"""`ModelActor`: the process on the cluster that holds one model. It takes records and returns records.

Several threads call it: one runs the model, others fetch the events of the run (tokens, progress) or cancel
it. It knows no Ray: `link.py` makes an actor of it.
"""

from __future__ import annotations

import platform
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isi_widget import errors
from isi_widget._version import __version__
from isi_widget.errors import InputError
from isi_widget.interventions import from_dicts
from isi_widget.stimulus import Picture
from isi_widget.vlm.at_model import named
from isi_widget.vlm.cluster import wire
from isi_widget.vlm.cluster.wire import Decoder, Encoder, Missing

#: Pixels of the pictures that are kept, and how many prefills and views with interventions. A prefill holds a
#: cache in the GPU.
_PIXELS, _PREFILLS, _VIEWS = 150_000_000, 2, 8
#: Requests that are remembered; many more than can run at a time.
_JOBS = 100
#: Methods of a VLM that can be called.
METHODS = ("answer", "sample", "enumerate_answers", "yes_no", "teacher_force", "token_boxes", "encode")
#: Errors that are raised again as they are; others become a RuntimeError that names them.
_KNOWN = {
    kind.__name__: kind
    for kind in (
        errors.InputError,
        errors.OutOfMemory,
        errors.Cancelled,
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
        NotImplementedError,
    )
}


class _Job:
    """One request while it runs: what it has reported, and whether it is cancelled."""

    def __init__(self) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self.fetched = 0
        self.cancelled = threading.Event()

    def fetch(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return the events since the last call."""
        new = self.events[self.fetched :]
        self.fetched += len(new)
        return new


class ModelActor:
    """Holds one model; made by `Link`, in a process of the cluster.

    Parameters
    ----------
    load
        Function that loads it: `load_vlm`.
    """

    def __init__(self, load: Callable[..., Any]) -> None:
        self._load = load
        self._vlm: Any = None
        self._views: OrderedDict[str, Any] = OrderedDict()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._prefills: OrderedDict[str, Any] = OrderedDict()
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def hello(self) -> dict[str, Any]:
        """Return the versions, to compare them."""
        return {"isi_widget": __version__, "wire": wire.VERSION, "python": platform.python_version()}

    def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request asks, to the end.

        Parameters
        ----------
        request
            id; do (name of a method below, without "_do_"); arguments (record); interventions (JSON);
            listen (names of callbacks); pictures ({SHA-256: PNG}).

        Returns
        -------
        {"value": record}, {"error": ...} or {"missing": SHA-256 of pictures}, with the last "events".
        """
        job = self._job(request["id"])
        try:
            sent = {digest: wire.picture_of(data) for digest, data in request.get("pictures", {}).items()}
            known = {**self._pictures, **sent}  # all at hand, however few are kept after this
            arguments = Decoder(known.get).decode(request["arguments"])
            self._keep(sent)
            work: Callable[..., Any] = getattr(self, f"_do_{request['do']}")
            value = work(self._listening(job, request), request.get("interventions", ()), **arguments)
            reply = {"value": Encoder().encode(value)}
        except Missing as missing:
            reply = {"missing": list(missing.digests)}
        except BaseException as error:  # an exception of a library may not be known where the caller is
            reply = {"error": failure_record(error)}
        finally:
            with self._lock:
                self._jobs.pop(request["id"], None)
        return {**reply, "events": job.fetch()}

    def events(self, id: str) -> list[tuple[str, tuple[Any, ...]]]:
        """Return what a running request has reported since the last call: [(callback, arguments)]."""
        with self._lock:
            job = self._jobs.get(id)
        return [] if job is None else job.fetch()

    def cancel(self, id: str) -> None:
        """Cancel a running request, between two tokens."""
        self._job(id).cancelled.set()  # it may arrive before the request itself

    # ---- what can be requested
    def _do_load(
        self, listening: dict[str, Any], interventions: Sequence[Any], **given: Any
    ) -> dict[str, Any]:
        """Load the model; returns the facts about it."""
        from isi_widget.pretrained.out_of_memory import free_caches

        self._vlm = None
        self._views.clear()
        self._prefills.clear()
        free_caches()
        self._vlm = self._load(**given, **listening)
        return self._facts(self._vlm)

    def _do_view(self, listening: dict[str, Any], interventions: Sequence[Any]) -> dict[str, Any]:
        """Check interventions; returns the facts about the model that is seen with them."""
        return self._facts(self._view(interventions))

    def _do_method(
        self,
        listening: dict[str, Any],
        interventions: Sequence[Any],
        method: str,
        arguments: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call a method of the VLM."""
        if method not in METHODS:
            raise InputError(f"A model on a cluster has no method {method!r}.")
        vlm = self._view(interventions)
        shown, *rest = arguments
        with vlm.lock:
            given = self._prefill(vlm, shown) if isinstance(shown, dict) else shown
            return getattr(vlm, method)(given, *rest, **named, **listening)

    def _do_prefill(
        self, listening: dict[str, Any], interventions: Sequence[Any], spec: dict[str, Any]
    ) -> dict[str, Any]:
        """Read a stimulus and keep what was read under its id; returns the prompt."""
        vlm = self._view(interventions)
        made = self._prefill(vlm, spec)
        self._prefills[spec["id"]] = made
        while len(self._prefills) > _PREFILLS:
            self._prefills.popitem(last=False)
        return {"prompt": made.prompt}

    def _do_function(
        self,
        listening: dict[str, Any],
        interventions: Sequence[Any],
        function: str,
        arguments: Sequence[Any],
        named_arguments: Mapping[str, Any],
    ) -> Any:
        """Run a marked function of this package with the model as its first argument."""
        vlm = self._view(interventions)
        return named(function)(vlm, *arguments, **named_arguments, **listening)

    # ---- parts
    def _job(self, id: str) -> _Job:
        with self._lock:
            job = self._jobs.setdefault(id, _Job())
            while len(self._jobs) > _JOBS:  # cancelled ones that had ended
                del self._jobs[next(iter(self._jobs))]
            return job

    def _listening(self, job: _Job, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the callbacks of a request: each notes its arguments as an event."""

        def note(name: str) -> Callable[..., None]:
            def noted(*arguments: Any) -> None:
                job.events.append((name, tuple(Encoder().encode(item) for item in arguments)))

            return noted

        callbacks: dict[str, Any] = {name: note(name) for name in request["listen"] if name != "cancel"}
        if "cancel" in request["listen"]:
            callbacks["cancel"] = job.cancelled.is_set
        return callbacks

    def _keep(self, pictures: Mapping[str, Picture]) -> None:
        with self._lock:
            self._pictures.update(pictures)
            while sum(item.width * item.height for item in self._pictures.values()) > _PIXELS:
                self._pictures.popitem(last=False)

    def _view(self, interventions: Sequence[Any]) -> Any:
        """Return the model, seen with interventions."""
        if self._vlm is None:
            raise InputError("No model is loaded here. Connect again with vlm.reconnect().")
        if not interventions:
            return self._vlm
        key = repr(interventions)
        with self._lock:
            found = self._views.pop(key, None)
        if found is None:
            found = self._vlm.intervene(*from_dicts(interventions))
        with self._lock:
            self._views[key] = found
            while len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        return found

    def _prefill(self, vlm: Any, spec: Mapping[str, Any]) -> Any:
        """Return a prefill that is kept, or read it again: the same stimulus gives the same one."""
        id, shown = spec["id"], spec["shown"]
        found = self._prefills.get(id)
        if found is not None and found.owner == vlm.identity:
            self._prefills.move_to_end(id)
            return found
        return vlm.prefill(shown, attention=spec["attention"])

    def _facts(self, vlm: Any) -> dict[str, Any]:
        from isi_widget.vlm.inside.sites import sites

        facts = {
            "model_id": vlm.model_id,
            "is_embedded": vlm.is_embedded,
            "unavailable": dict(vlm.unavailable),
            "info": vlm.info(),
            "shape": {},
        }
        if "interventions" not in facts["unavailable"]:
            found = sites(vlm.model, vlm.family)
            facts["shape"] = {"layers": len(found.layers), "heads": found.heads}
        return facts


def failure_record(error: BaseException) -> dict[str, Any]:
    """Return an exception as a record."""
    kind = next((base.__name__ for base in type(error).__mro__ if base.__name__ in _KNOWN), "")
    text = str(error)
    if not kind or (kind in ("RuntimeError", "ValueError") and type(error) is not _KNOWN[kind]):
        text = f"{type(error).__name__}: {text}"
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    where = "".join(traceback.format_exception(error))
    return {"kind": kind or "RuntimeError", "text": text, "notes": notes, "traceback": where[-20_000:]}


def raised(failure: Mapping[str, Any], where: str) -> BaseException:
    """Return the exception of a record; its traceback at the other side is a note."""
    error: BaseException = _KNOWN.get(failure["kind"], RuntimeError)(failure["text"])
    for note in failure["notes"]:
        error.add_note(note)
    if failure["kind"] not in ("InputError", "OutOfMemory", "Cancelled"):
        error.add_note(f"Raised on {where}:\n{failure['traceback']}")
    return error
