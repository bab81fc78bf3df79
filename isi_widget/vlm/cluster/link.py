"""`Link`: the way to one `ModelActor`, which it makes, asks, cancels and makes again after it was lost.

Every request waits in a thread that can be given up, so that cancelling works while a connection hangs.
Callbacks are called in the caller's thread. Not for what the requests are (see `model.py`).
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isi_widget._version import __version__
from isi_widget.errors import Cancelled, InputError
from isi_widget.running.attended import Call, attended
from isi_widget.stimulus import Picture
from isi_widget.vlm.cluster import wire
from isi_widget.vlm.cluster.actor import ModelActor, raised
from isi_widget.vlm.cluster.connecting import ConnectionLost, RayCluster, Session, listed
from isi_widget.vlm.cluster.wire import Decoder, Encoder

#: Seconds between two looks at the events of a request; longer where nobody listens.
_PAUSE, _QUIET = 0.05, 1.0
#: Seconds that a cancelled request has to end by itself before it is given up.
_PATIENCE = 3.0
#: Requests that run at the same time, fetching events and cancelling included.
_THREADS = 8
#: Seconds to wait for the end of a process.
_LEAVING = 3.0
#: Seconds until the process of the model must have started: a cluster may have to start a machine for it.
_START = 600.0


class Link:
    """The way to one model on a cluster.

    Parameters
    ----------
    cluster
        Which Ray, and what the model gets there.
    arguments
        Arguments of `load_vlm`, plain data.
    load
        Function that loads it there: `load_vlm`.
    """

    def __init__(self, cluster: RayCluster, arguments: Mapping[str, Any], load: Callable[..., Any]) -> None:
        self.cluster, self.arguments, self._load = cluster, dict(arguments), load
        self._session: Session | None = None
        self._actor: Any = None
        self._lost = "It is not connected."
        self._closing: weakref.finalize[Any, Any] | None = None

    @property
    def title(self) -> str:
        """Name of the model and the place, for a sentence."""
        return f"{self.arguments.get('name') or 'embedded'} on {self.cluster.title}"

    def open(self, callbacks: Mapping[str, Callable[..., Any]], cancel: Callable[[], bool] | None) -> Any:
        """Connect, start the process of the model and load it; returns the facts about it.

        Raises
        ------
        InputError
            Whatever `load_vlm` raises there, a cluster without the resources, another version of isi_widget.
        ConnectionLost
            Nothing answers.
        Cancelled
            `cancel` returned True.
        """
        self.close()
        self._attended(lambda call: self._start(), cancel, None)
        try:
            return self.request("load", arguments=self.arguments, callbacks=callbacks, cancel=cancel)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process of the model. Another `open` starts a new one."""
        closing, self._closing, self._actor, self._session = self._closing, None, None, None
        self._lost = "It is closed."
        if closing is not None:
            closing()

    def request(
        self,
        do: str,
        *,
        arguments: Mapping[str, Any],
        interventions: Sequence[Any] = (),
        callbacks: Mapping[str, Callable[..., Any]] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Any:
        """Send a request and return its result; callbacks are called meanwhile.

        Raises
        ------
        ConnectionLost
            The connection or the process of the model has ended, now or since an earlier request.
        Cancelled
            `cancel` returned True.
        """
        if self._actor is None:
            raise self._gone(self._lost)
        encoder, id = Encoder(), uuid.uuid4().hex
        encoded = encoder.encode(dict(arguments))
        listen = [*(callbacks or {}), *(["cancel"] if cancel is not None else [])]
        request = {"id": id, "do": do, "arguments": encoded, "listen": listen}
        request["interventions"] = list(interventions)

        stop = threading.Event()

        def work(call: Call) -> Any:
            return self._exchange(request, encoder.pictures, callbacks or {}, call, stop)

        return self._attended(work, cancel, stop)

    # ---- parts
    def _start(self) -> None:
        session = Session.open(self.cluster)
        try:
            with session.entered() as ray:
                resources = self.cluster.resources(session, self.arguments)
                options = {**resources, "max_concurrency": _THREADS, "max_restarts": 0}
                actor = ray.remote(ModelActor).options(**options).remote(self._load)
                try:
                    there = ray.get(actor.hello.remote(), timeout=_START)
                except TimeoutError:
                    raise InputError(
                        f"{self.cluster.title} did not start a process with {listed(resources)} within "
                        f"{_START:.0f} s: others use them. Try again later, or ask for less "
                        "(isi.RayCluster(address, cpus=..., gpus=...))."
                    ) from None
        except ConnectionLost as error:
            session.close()
            raise ConnectionLost(f"{self.title} cannot be started: {error}") from error
        except BaseException:
            session.close()
            raise
        if there["isi_widget"] != __version__ or there["wire"] != wire.VERSION:
            session.close()
            raise InputError(
                f"{self.cluster.title} has isi_widget {there['isi_widget']}, and here is {__version__}. "
                "Install the same version, or send it along: isi.RayCluster(address, "
                'runtime_env={"py_modules": [isi_widget]}).'
            )
        self._session, self._actor = session, actor
        self._closing = weakref.finalize(self, _end, session, actor)
        self._closing.atexit = False

    def _exchange(
        self,
        request: dict[str, Any],
        pictures: Mapping[str, Picture],
        callbacks: Mapping[str, Callable[..., Any]],
        call: Call,
        stop: threading.Event,
    ) -> Any:
        """Send a request until the other side has all pictures; in the thread of the request."""
        actor, session = self._actor, self._session
        assert session is not None
        while True:
            try:
                with session.entered() as ray:
                    reply = self._wait(ray, actor, request, callbacks, call, stop)
            except ConnectionLost as error:
                self._lost, self._actor = str(error), None
                raise self._gone(str(error)) from error
            _deliver(reply["events"], callbacks, call)
            if "error" in reply:
                raise raised(reply["error"], self.cluster.title)
            if "missing" not in reply:
                return Decoder(pictures.get).decode(reply["value"])
            sent = {digest: wire.png(pictures[digest]) for digest in reply["missing"]}
            request["pictures"] = {**request.get("pictures", {}), **sent}

    def _wait(
        self,
        ray: Any,
        actor: Any,
        request: Mapping[str, Any],
        callbacks: Mapping[str, Callable[..., Any]],
        call: Call,
        stop: threading.Event,
    ) -> Any:
        """Return the reply to a request; cancel it there when it is stopped here."""
        running = actor.run.remote(request)
        stopped = False
        begun = time.monotonic()
        try:
            while True:
                # The events of a short request come with its reply
                quiet = not callbacks and ("cancel" not in request["listen"] or stopped)
                try:
                    return ray.get(running, timeout=_QUIET if quiet else _PAUSE)
                except TimeoutError:
                    pass
                if stop.is_set() and not stopped:
                    stopped = True
                    actor.cancel.remote(request["id"])
                if callbacks and time.monotonic() - begun > _PAUSE:
                    _deliver(ray.get(actor.events.remote(request["id"])), callbacks, call)
        except SystemExit:  # nobody waits for it any more
            if not stopped:
                actor.cancel.remote(request["id"])
            raise

    def _attended(
        self, work: Callable[[Call], Any], cancel: Callable[[], bool] | None, stop: threading.Event | None
    ) -> Any:
        since: list[float] = []

        def attend() -> None:
            if not since and cancel is not None and cancel():
                since.append(time.monotonic())
                if stop is not None:
                    stop.set()
            if since and (stop is None or time.monotonic() - since[0] > _PATIENCE):
                raise Cancelled(f"{self.title} was cancelled; the cluster did not answer any more.")

        return attended(work, attend, f"isi_widget: {self.title}")

    def _gone(self, reason: str) -> ConnectionLost:
        return ConnectionLost(
            f"The connection to {self.title} is lost. {reason.rstrip('.')}. Everything in this notebook is "
            "still there; connect and load the model again with vlm.reconnect() (of a probe: "
            "probe.vlm.reconnect())."
        )


def _deliver(
    events: Sequence[tuple[str, Sequence[Any]]], callbacks: Mapping[str, Callable[..., Any]], call: Call
) -> None:
    if not events:
        return
    read = Decoder(lambda digest: None)

    def deliver() -> None:
        for name, arguments in events:
            callbacks[name](*(read.decode(item) for item in arguments))

    call(deliver)


def _end(session: Session, actor: Any) -> None:
    """End the process of a model and leave the connection, in a thread: a dead connection takes its time."""

    def end() -> None:
        try:
            with session.entered() as ray:
                ray.kill(actor)
        except (InputError, RuntimeError, ValueError) as error:  # it ends in any case
            logging.getLogger(__name__).debug("leaving a cluster: %s", error)
        finally:
            session.close()

    thread = threading.Thread(target=end, name="isi_widget: leaving a cluster", daemon=True)
    thread.start()
    thread.join(_LEAVING)
