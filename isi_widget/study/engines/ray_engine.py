"""`RayEngine`: the units of a study run in processes of a Ray cluster, each with a model of its own.

Conditions are resolved here, one unit at a time; a few units are under way at any moment, and no more. Rows
come back here and are written here. A process that ends is started again, and its units are run again: the
same seeds give the same rows. Not for what a process does (`ray_worker`).
"""

from __future__ import annotations

import io
import pickle
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget._version import __version__
from isi_widget.errors import Cancelled, InputError
from isi_widget.stimulus import Picture
from isi_widget.study.engines.ray_worker import Description, StudyWorker
from isi_widget.study.identity import differences, identity
from isi_widget.study.work import Unit, failed_rows
from isi_widget.trial import measures as known
from isi_widget.vlm.cluster import RayCluster, Session
from isi_widget.vlm.cluster.actor import raised
from isi_widget.vlm.cluster.connecting import listed, reason_of
from isi_widget.vlm.cluster.wire import picture_of

if TYPE_CHECKING:
    from isi_widget.study.plan import Plan, Source
    from isi_widget.study.work import Take

#: Seconds between two looks at `cancel`.
_PAUSE = 0.2
#: Seconds until the first process must have started.
_START = 600.0


class WorkerLost(RuntimeError):
    """The process that ran a unit ended each time that it was tried."""


@dataclass(frozen=True)
class RayEngine(RayCluster):
    """Runs a study on a Ray cluster: `isi.run_study(..., engine=isi.RayEngine("ray://host:port"))`.

    Parameters
    ----------
    address, cpus, gpus, runtime_env
        As for `RayCluster`; cpus and gpus are those of each worker.
    workers
        Number of processes with a model; None (default): as many as the cluster has room for. Never more than
        there are units.
    in_flight
        Units that each worker has at a time, the running one among them; default 2. A unit is one observation
        under all conditions and seeds, with its pictures.
    retries
        How often a unit whose process ended is run again; default 2. After that its rows fail.
    """

    workers: int | None = None
    in_flight: int = 2
    retries: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None:
            checks.integer(self.workers, "RayEngine: workers", low=1)
        checks.integer(self.in_flight, "RayEngine: in_flight", low=1)
        checks.integer(self.retries, "RayEngine: retries", low=0)

    def run(self, plan: Plan, take: Take) -> None:
        """Run every unit with missing rows; see `Engine`.

        Raises
        ------
        Cancelled
            `plan.cancel` returned True.
        InputError
            Ray is missing, nothing answers at the address or the connection is lost (`ConnectionLost`), a
            model cannot be loaded by a worker, or workers end again and again.
        """
        described = [
            (source, description(source, plan, local=self.is_local))
            for source in plan.sources
            if plan.missing(source.label)
        ]
        if not described:
            return
        session = Session.open(self)
        try:
            for source, given in described:
                _Turn(self, session, plan, source, given, take).run()
        finally:
            session.close()


def description(source: Source, plan: Plan, *, local: bool) -> Description:
    """Return how a worker makes a model.

    Raises
    ------
    InputError
        A worker could not make the same model, with the reason.
    """
    how, vlm = plan.how, source.vlm
    if how.entailment is not None and not isinstance(how.entailment, str | Path):
        raise InputError(
            "A worker loads its entailment model itself: give its name or folder as entailment=..., not "
            f"{type(how.entailment).__name__}."
        )
    own = tuple(made for made in known.registered().values() if made not in known.OWN)
    if vlm is None:
        arguments = dict(source.arguments or {})
        if arguments.get("on") is not None:
            raise InputError(
                f"The model {source.label!r} has on={arguments['on']!r}: the engine says where models are. "
                "Leave one of the two out."
            )
        return Description(_placed(arguments, local), None, (), how, own)
    if vlm.info().get("server"):
        return Description(None, vlm, (), how, own)
    if vlm.loaded_with is None:
        raise InputError(
            f"The model {source.label!r} was made by hand, so a worker cannot load it again. Give its name "
            "or folder, or a dict of arguments of load_vlm."
        )
    if vlm.info().get("fingerprint") is None:
        raise InputError(
            f"The model {source.label!r} has hooks or functions of its own, or its weights cannot be read: a "
            "worker would load a different one. Use interventions (vlm.intervene, condition.intervene), or "
            "run it in this process (engine=None)."
        )
    arguments = {name: value for name, value in vlm.loaded_with.items() if name != "on"}
    return Description(_placed(arguments, local), None, tuple(vlm.interventions), how, own)


def _placed(arguments: Mapping[str, Any], local: bool) -> dict[str, Any]:
    """Return arguments for a process with another working directory."""
    given = dict(arguments)
    for name in ("name", "adapter"):
        value = given.get(name)
        if local and isinstance(value, str | Path) and Path(value).expanduser().exists():
            given[name] = str(Path(value).expanduser().resolve())
    return given


@dataclass(eq=False)
class _Sent:
    """A unit on its way, and how often its process has ended."""

    unit: Unit
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    """One process: its actor, its model once it is loaded, and the units it has, oldest first."""

    actor: Any
    loading: Any
    running: OrderedDict[Any, _Sent] = field(default_factory=OrderedDict)

    @property
    def ready(self) -> bool:
        """Whether it can take units."""
        return self.loading is None


class _Turn:
    """The units of one model."""

    def __init__(
        self,
        engine: RayEngine,
        session: Session,
        plan: Plan,
        source: Source,
        given: Description,
        take: Take,
    ) -> None:
        self._engine, self._session, self._plan, self._source = engine, session, plan, source
        self._given, self._take = given, take
        self._workers: list[_Worker] = []
        self._again: deque[_Sent] = deque()
        self._units: Iterator[Unit] = plan.units(source.label)
        self._next: _Sent | None = None
        self._expected = None if source.vlm is None else source.vlm.info()
        self._info: Mapping[str, Any] | None = None
        self._deaths = 0
        self._begun = time.monotonic()

    def run(self) -> None:
        """Run all units; no worker is left at the end."""
        with self._session.entered() as ray:
            wanted = self._engine.resources(self._session, self._given.arguments or {"device": "cpu"})
            self._limit = self._plan.open_units(self._source.label, self._most(wanted))
            self._plan.note(f"loading {self._source.label} in {_counted(self._limit)}")
            options = {**wanted, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 1}
            self._make = ray.remote(StudyWorker).options(**options)
            self._wanted = wanted
            try:
                description_there = ray.put(self._given)
                while self._fill(description_there):
                    self._look(ray)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                if not any(word in str(error) for word in ("pickle", "serialize")):
                    raise
                raise InputError(
                    f"A measure or a condition cannot be sent to the workers: {error}. Define it in a "
                    "module, without open files, locks or models in it."
                ) from error
            finally:
                for worker in self._workers:
                    _kill(ray, worker)

    def _most(self, wanted: Mapping[str, float]) -> int:
        """Return how many workers there may be."""
        if self._engine.workers is not None:
            return self._engine.workers
        whole = self._session.resources()
        rooms = [
            int(whole.get(name, 0.0) / wanted[key])
            for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus"))
            if wanted[key] > 0
        ]
        return max(1, min(rooms, default=1))

    # ---- giving units
    def _fill(self, given: Any) -> bool:
        """Start workers, and give units to those that have room; return whether anything is under way."""
        if self._plan.cancel is not None and self._plan.cancel():
            raise Cancelled("The study was cancelled.")
        while len(self._workers) < self._limit and self._more():
            actor = self._make.remote()
            self._workers.append(_Worker(actor, actor.load.remote(given)))
        while self._more():
            free = [worker for worker in self._workers if worker.ready]
            worker = min(free, key=lambda worker: len(worker.running), default=None)
            if worker is None or len(worker.running) >= self._engine.in_flight:
                break
            sent = self._pop()
            worker.running[worker.actor.rows.remote(self._packed(sent.unit))] = sent
        return self._more() or any(worker.running for worker in self._workers)

    def _more(self) -> bool:
        """Return whether a unit waits; at most one is made before a worker has room for it."""
        if not self._again and self._next is None:
            unit = next(self._units, None)
            self._next = None if unit is None else _Sent(unit)
        return bool(self._again) or self._next is not None

    def _pop(self) -> _Sent:
        if self._again:
            return self._again.popleft()
        sent, self._next = self._next, None
        assert sent is not None
        return sent

    def _packed(self, unit: Unit) -> bytes:
        return packed(unit, png=self._engine.is_client)

    # ---- taking results
    def _look(self, ray: Any) -> None:
        """Wait a moment for results, and take those that have come."""
        awaited = {
            reference: worker
            for worker in self._workers
            for reference in ([worker.loading] if worker.loading is not None else worker.running)
        }
        done, _ = ray.wait(list(awaited), num_returns=1, timeout=_PAUSE)
        if not done and self._info is None and time.monotonic() - self._begun > _START:
            raise InputError(
                f"{self._engine.title} did not start a worker with {listed(self._wanted)} within "
                f"{_START:.0f} s: others use them. Try again later, or ask for less "
                "(isi.RayEngine(address, cpus=..., gpus=...))."
            )
        for reference in done:
            worker = awaited[reference]
            if worker not in self._workers:
                continue
            try:
                reply = ray.get(reference)
            except Exception as error:
                if not _has_ended(error):
                    raise
                self._lost(ray, worker, error)
                continue
            if reference == worker.loading:  # equal, not the same object, through Ray Client
                self._loaded(worker, reply)
            else:
                del worker.running[reference]
                self._finished(reply)

    def _loaded(self, worker: _Worker, reply: Mapping[str, Any]) -> None:
        if reply["version"] != __version__:
            raise InputError(
                f"{self._engine.title} has isi_widget {reply['version']}, and here is {__version__}. Install "
                'the same version, or send it along: isi.RayEngine(address, runtime_env={"py_modules": '
                "[isi_widget]})."
            )
        if "error" in reply:
            raise raised(reply["error"], self._engine.title)
        info = reply["info"]
        for other in (self._expected, self._info):
            if other is not None and (wrong := list(differences(identity(other), identity(info)))):
                raise InputError(
                    f"A worker loaded a different model than {self._source.label!r}: "
                    f"{'; '.join(wrong)}. Give the model by name with dtype=... and "
                    "revision=..., or run it in this process."
                )
        if self._info is None:
            self._info = info
            self._plan.meet(self._source.label, info, reply["judge"])
        worker.loading = None
        ready = sum(other.ready for other in self._workers)
        self._plan.note(f"{self._source.label} in {_counted(ready)}")

    def _finished(self, reply: Mapping[str, Any]) -> None:
        if "error" in reply:
            raise raised(reply["error"], self._engine.title)
        self._deaths = 0
        for row in reply["rows"]:
            self._take(row)

    def _lost(self, ray: Any, worker: _Worker, error: Exception) -> None:
        """Put the units of a worker that has ended back; the running one fails after its last try."""
        self._workers.remove(worker)
        _kill(ray, worker)
        self._deaths += 1
        again = list(worker.running.values())
        if again:
            again[0].deaths += 1
            if again[0].deaths > self._engine.retries:
                given_up = again.pop(0)
                self._deaths = 0
                failure = WorkerLost(
                    f"The process of this row ended {given_up.deaths} times. The last time: "
                    f"{reason_of(error)}"
                )
                for row in failed_rows(given_up.unit, failure):
                    self._take(row)
        self._again.extendleft(reversed(again))
        if self._deaths > (self._engine.retries + 1) * self._limit:
            raise InputError(
                f"The workers of {self._source.label!r} ended {self._deaths} times without one finished "
                f"unit. The last time: {reason_of(error)} Give each more memory, or use fewer "
                "(isi.RayEngine(workers=...))."
            ) from error


def _has_ended(error: Exception) -> bool:
    """Return whether a process of a worker has ended, or its result is lost with its machine."""
    from ray import exceptions

    return isinstance(
        error,
        exceptions.RayActorError
        | exceptions.WorkerCrashedError
        | exceptions.NodeDiedError
        | exceptions.OutOfMemoryError
        | exceptions.ObjectLostError,
    )


def _kill(ray: Any, worker: _Worker) -> None:
    """End the process of a worker, wherever it is."""
    try:
        ray.kill(worker.actor)
    except Exception:  # it has ended, or the connection has
        return


def packed(unit: Unit, *, png: bool) -> bytes:
    """Return a pickled unit: its pictures as PNG (through Ray Client, over a network), or as their pixels."""
    from ray import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if png and isinstance(value, Picture):
                return picture_of, (value.png(),)
            return super().reducer_override(value)

    buffer = io.BytesIO()
    Pickler(buffer).dump(unit)
    return buffer.getvalue()


def _counted(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"
