"""As much of Ray as `RayEngine` uses, in threads of this process: actors, results, killing, a connection.

Arguments and results go through pickles, as they do in Ray. Tests of order, back-pressure and lost processes
need no cluster with it; `test_on_ray.py` has one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from typing import Any

from ray import cloudpickle
from ray.exceptions import ActorDiedError


class Reference:
    """A result on its way."""

    def __init__(self, future: Future[bytes]) -> None:
        self.future = future

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.future is other.future

    def __hash__(self) -> int:
        return hash(self.future)


class Actor:
    """An object in a thread of its own."""

    def __init__(self, ray: FakeRay, made: Any) -> None:
        self.ray, self.made = ray, made
        self.pool = ThreadPoolExecutor(1)
        self.dead = threading.Event()
        self.open: list[Reference] = []

    def __getattr__(self, name: str) -> Any:
        return Method(self, name)

    def kill(self) -> None:
        """End it: what it has not finished is lost."""
        self.dead.set()
        for reference in self.open:
            if not reference.future.done():
                reference.future.set_exception(ActorDiedError())
        self.pool.shutdown(wait=False, cancel_futures=True)


class Method:
    def __init__(self, actor: Actor, name: str) -> None:
        self.actor, self.name = actor, name

    def remote(self, *arguments: Any) -> Reference:
        actor, ray = self.actor, self.actor.ray
        sent = cloudpickle.dumps([item.value if isinstance(item, Put) else item for item in arguments])
        reference = Reference(Future())
        actor.open.append(reference)
        ray.called(self.name)

        def work() -> None:
            try:
                call()
            except BaseException as error:
                if not reference.future.done():
                    reference.future.set_exception(error)

        def call() -> None:
            if actor.dead.is_set():
                return
            ray.before(actor, self.name, cloudpickle.loads(sent))
            if actor.dead.is_set():
                return
            with ray.loading if self.name == "load" else nullcontext():
                result = cloudpickle.dumps(getattr(actor.made, self.name)(*cloudpickle.loads(sent)))
            ray.returned(self.name)
            if not reference.future.done():
                reference.future.set_result(result)

        if actor.dead.is_set():
            reference.future.set_exception(ActorDiedError())
        else:
            actor.pool.submit(work)
        return reference


class Put:
    def __init__(self, value: Any) -> None:
        self.value = value


class FakeRay:
    """The module `ray`, as far as it is used.

    Attributes
    ----------
    before : called as before(actor, method, arguments) in the actor's thread, ahead of each call.
    actors : every actor that was ever made.
    under_way, most : units that were given and not returned, now and at most.
    """

    def __init__(self) -> None:
        self.before: Callable[[Actor, str, Any], None] = lambda actor, method, arguments: None
        self.actors: list[Actor] = []
        self.under_way = self.most = 0
        self._lock = threading.Lock()
        self.loading = threading.Lock()  # a model that is read puts other functions in place for a moment

    def called(self, method: str) -> None:
        with self._lock:
            self.under_way += method == "rows"
            self.most = max(self.most, self.under_way)

    def returned(self, method: str) -> None:
        with self._lock:
            self.under_way -= method == "rows"

    def remote(self, cls: Any) -> Any:
        ray = self

        class Made:
            def options(self, **options: Any) -> Made:
                return self

            def remote(self) -> Actor:
                actor = Actor(ray, cls())
                ray.actors.append(actor)
                return actor

        return Made()

    def put(self, value: Any) -> Put:
        return Put(value)

    def get(self, reference: Reference, timeout: float | None = None) -> Any:
        return cloudpickle.loads(reference.future.result(timeout))

    def wait(self, references: Sequence[Reference], num_returns: int, timeout: float) -> Any:
        wait([item.future for item in references], timeout, FIRST_COMPLETED)
        return [Reference(item.future) for item in references if item.future.done()], []  # as Ray Client

    def kill(self, actor: Actor) -> None:
        actor.kill()
        actor.pool.shutdown(wait=True)  # a thread, unlike a process, goes on until its call has ended


class FakeSession:
    """A connection to `FakeRay`."""

    def __init__(self, ray: FakeRay, cores: int = 2) -> None:
        self.ray, self.cores, self.closed = ray, cores, False

    @contextmanager
    def entered(self) -> Iterator[FakeRay]:
        yield self.ray

    def resources(self) -> dict[str, float]:
        return {"CPU": float(self.cores)}

    def close(self) -> None:
        self.closed = True
