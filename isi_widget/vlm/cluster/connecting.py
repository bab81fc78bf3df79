"""`RayCluster`: which Ray, and what one model gets there; `Session`: the connection to it, shared by address.

Every failure of a connection is one `ConnectionLost`. Not for what is sent (see `link.py`).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isi_widget import checks
from isi_widget.errors import InputError

#: Name of the Ray of this machine: that of this process, or a new one.
LOCAL = "ray"
_CLIENT = "ray://"
#: Port of Ray Client where an address names none; seconds to reach it.
_PORT, _REACH = 10001, 10.0
_INSTALL = 'Ray is not installed. Install it with: pip install "isi-widget[ray]"'
_TOKEN = (
    "If the cluster uses tokens (the default of new versions of Ray), set RAY_AUTH_MODE=token and put its "
    "token into RAY_AUTH_TOKEN or ~/.ray/auth_token before Python starts."
)


class ConnectionLost(InputError):
    """The connection to a cluster, or the process there that holds the model, has ended; nothing here has."""


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster, and what each model gets there.

    Parameters
    ----------
    address
        None or "ray": the Ray of this process, else a new one in this machine, which ends with its last user.
        "ray://host:port": a cluster, through Ray Client (usually port 10001). "auto" or "host:port": the
        cluster that this machine belongs to.
    cpus
        CPU cores for each model; default 1.
    gpus
        GPUs for each model; a fraction shares one GPU between models. None (default): 1 where the cluster has
        GPUs and the model is neither the embedded one nor put on the CPU, else 0. With `device_map`, as many
        as the model is spread over.
    runtime_env
        Runtime environment for the connection, as in `ray.init`; default none. `{"py_modules": [isi_widget]}`
        sends this version of isi_widget to the cluster.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float | None = None
    runtime_env: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.address is not None:
            text = checks.text(self.address, f"{name}: address").strip()
            if not text:
                raise checks.wrong(self.address, f"{name}: address", '"ray://host:port", "ray" or "auto"')
        checks.number(self.cpus, f"{name}: cpus", low=0)
        if self.gpus is not None:
            checks.number(self.gpus, f"{name}: gpus", low=0)
        if self.runtime_env is not None and not isinstance(self.runtime_env, Mapping):
            raise checks.wrong(self.runtime_env, f"{name}: runtime_env", "a dict, as for ray.init")

    @property
    def is_local(self) -> bool:
        """Whether it is the Ray of this process or machine."""
        return self.address in (None, LOCAL, "local")

    @property
    def is_client(self) -> bool:
        """Whether it is reached by Ray Client, over a network."""
        return self.address is not None and self.address.startswith(_CLIENT)

    @property
    def title(self) -> str:
        """Its name in a sentence."""
        return "Ray in this machine" if self.is_local else str(self.address)

    def resources(self, session: Session, arguments: Mapping[str, Any]) -> dict[str, float]:
        """Return the resources of a model that is loaded by these arguments of `load_vlm`.

        Raises
        ------
        InputError
            The cluster has less in all.
        """
        gpus, whole = self.gpus, session.resources()
        if gpus is None:
            embedded = arguments.get("name") is None or str(arguments["name"]) == "embedded"
            automatic = str(arguments.get("device", "auto")) == "auto"
            on_cpu = str(arguments.get("device", "auto")) == "cpu" or (embedded and automatic)
            gpus = 1.0 if not on_cpu and whole.get("GPU", 0) >= 1 else 0.0
        wanted = {"num_cpus": self.cpus, "num_gpus": gpus}
        has = {"num_cpus": whole.get("CPU", 0.0), "num_gpus": whole.get("GPU", 0.0)}
        if any(wanted[name] > has[name] for name in wanted):
            raise InputError(
                f"Each model needs {listed(wanted)}, but {self.title} has {listed(has)} in all. Ask for "
                f"less: isi.{type(self).__name__}(address, cpus=..., gpus=...)."
            )
        return wanted


def listed(resources: Mapping[str, float]) -> str:
    """Return resources in words."""
    names = {"num_cpus": "CPU cores", "num_gpus": "GPUs"}
    return " and ".join(f"{value:g} {names[name]}" for name, value in resources.items())


def checked_cluster(on: Any) -> RayCluster:
    """Return the cluster that `on=` or `engine=` names.

    Raises
    ------
    InputError
        If it is no address of a Ray.
    """
    if isinstance(on, RayCluster):
        return on
    known = isinstance(on, str) and (on in (LOCAL, "local", "auto") or on.startswith(_CLIENT))
    if not known or on == _CLIENT:
        raise checks.wrong(
            on,
            "on",
            '"ray://host:port", "ray" (Ray in this machine) or an isi.RayCluster',
            "A model behind an OpenAI-compatible server is isi.connect(address, model).",
        )
    return RayCluster(on)


class Session:
    """A connection to a Ray, shared by all of this process that use the same address.

    `open` counts its users, `close` disconnects with the last one.
    """

    _opened: dict[str, Session] = {}  # noqa: RUF012  (shared on purpose)
    _lock = threading.RLock()

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self._users = 0
        self._client: Any = None
        self._owned = False
        self.ray = _import_ray()

    @classmethod
    def open(cls, cluster: RayCluster) -> Session:
        """Return the connection to a cluster, a new one if there is none.

        Raises
        ------
        InputError
            Ray is missing.
        ConnectionLost
            Nothing answers at the address, or its version of Ray or Python is a different one.
        """
        key = f"{LOCAL if cluster.is_local else cluster.address} {cluster.runtime_env!r}"
        with cls._lock:
            found = cls._opened.get(key)
            if found is not None and not found._alive():
                found._disconnect()
                found = None
            if found is None:
                found = cls(cluster)
                found._connect()
                cls._opened[key] = found
            found._users += 1
            return found

    def close(self) -> None:
        """Count one user less; the last one disconnects."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            for key in [key for key, value in self._opened.items() if value is self]:
                del self._opened[key]
            self._disconnect()

    @contextmanager
    def entered(self) -> Iterator[Any]:
        """Within it, in this thread, `ray` speaks to this cluster. Failures of the connection are
        `ConnectionLost`.
        """
        before = None
        if self._client is not None:
            from ray.util.client import ray as stub

            before = stub.set_context(self._client)
        try:
            yield self.ray
        except InputError:
            raise
        except Exception as error:
            if is_lost(error):
                raise ConnectionLost(reason_of(error)) from error
            raise
        finally:
            if self._client is not None:
                stub.set_context(before)

    def resources(self) -> dict[str, float]:
        """Return the resources of the whole cluster, such as {"CPU": 8.0, "GPU": 2.0}."""
        with self.entered() as ray:
            return dict(ray.cluster_resources())

    def _connect(self) -> None:
        given: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self.cluster.runtime_env is not None:
            given["runtime_env"] = dict(self.cluster.runtime_env)
        address = self.cluster.address
        try:
            if address is not None and self.cluster.is_client:
                self._client = _connect_client(self.ray, address, given)
            elif self.ray.is_initialized():
                pass
            elif self.cluster.is_local:
                self.ray.init(address="local", include_dashboard=False, **given)
                self._owned = True
            else:
                self.ray.init(address=address, **given)
                self._owned = True
        except InputError:
            raise
        except Exception as error:
            if self.cluster.is_local:
                raise ConnectionLost(
                    f"Ray did not start in this machine: {reason_of(error)} Close other programs that need "
                    "its cores or memory, and try again."
                ) from error
            if isinstance(error, ConnectionAbortedError):
                raise ConnectionLost(
                    f"{self.cluster.title} answers, but opened no connection: {reason_of(error)} Its head "
                    "node may be too busy to start a server for a new connection within the 30 s that Ray "
                    "allows, or short of memory: try again later, or look into ray_client_server*.err in the "
                    f"folder /tmp/ray/session_latest/logs there. {_TOKEN}"
                ) from error
            raise ConnectionLost(
                f"{self.cluster.title} cannot be reached: {reason_of(error)} Check the address, that Ray "
                "runs there with the same version of Ray and Python as here, and that no firewall is in "
                f"between. {_TOKEN}"
            ) from error

    def _alive(self) -> bool:
        if self._client is not None:
            return bool(self._client.is_connected())
        return bool(self.ray.is_initialized())

    def _disconnect(self) -> None:
        try:
            if self._client is not None:
                self._client.disconnect()
            elif self._owned:
                self.ray.shutdown()
        except Exception as error:  # it ends in any case
            logging.getLogger(__name__).debug("disconnecting %s: %s", self.cluster.title, error)


def _connect_client(ray: Any, address: str, given: Mapping[str, Any]) -> Any:
    """Return the context of a new Ray Client connection."""
    from ray.util.client import ray as stub

    _check_port(address)
    quiet = logging.getLogger("ray.client_builder")
    level = quiet.level
    quiet.setLevel(logging.WARNING)
    try:
        try:
            opened = ray.init(address, allow_multiple=True, **given)
        except ConnectionAbortedError:  # the server of a connection has 30 s to start there: once more
            opened = ray.init(address, allow_multiple=True, **given)
    finally:
        quiet.setLevel(level)
    with opened:
        return stub.get_context()


def _check_port(address: str) -> None:
    """Connect to the port of Ray Client once: Ray itself tries for half a minute before it gives up.

    Raises
    ------
    ConnectionError
        Nothing listens there.
    """
    parts = urlsplit(address.partition("?")[0])
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _PORT), timeout=_REACH):
            return
    except (OSError, ValueError) as error:
        raise ConnectionError(f"nothing listens there ({error})") from error


def _import_ray() -> Any:
    """Return the module, imported so that it sends no usage statistics and finds the token of a cluster."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(_INSTALL)
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        has_token = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        if has_token or (Path.home() / ".ray" / "auth_token").is_file():
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # read once, when Ray is imported
    try:
        import ray
    except ImportError as error:
        raise InputError(f"Ray cannot be imported ({error}). {_INSTALL}") from error
    return ray


def is_lost(error: BaseException) -> bool:
    """Return whether an exception of Ray means that the connection, or the process at its end, has ended."""
    from ray import exceptions

    if isinstance(error, exceptions.GetTimeoutError | exceptions.RayTaskError):
        return False
    if isinstance(error, ConnectionError | exceptions.RayError):
        return True
    return type(error).__module__.startswith("grpc") or "Ray Client is not connected" in str(error)


def reason_of(error: BaseException) -> str:
    """Return what an exception of Ray means, in one sentence."""
    from ray import exceptions

    text = str(error)
    if "No module named 'isi_widget'" in text or "No module named 'ray'" in text:
        return (
            "isi_widget is not installed there. Install the same version, or send it along: "
            'isi.RayCluster(address, runtime_env={"py_modules": [isi_widget]}).'
        )
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in text.partition("Some common causes")[0]:
        return "The process there ran out of memory."
    if isinstance(error, exceptions.RayActorError):
        return "The process there that held the model has ended."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    short = (lines[0] if lines else type(error).__name__)[:300]
    if short.endswith(":") and len(lines) > 1:  # the cause follows: a sentence, or a traceback
        short = f"{short} {_cause_of(lines[1:])}"
    return f"{short.rstrip('.')}."


def _cause_of(lines: Sequence[str]) -> str:
    """Return the cause in a message of Ray: the exception at the end of a traceback, else its lines."""
    traced = any(line.startswith("Traceback (most recent call last)") for line in lines)
    causes = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Timeout\w*)\b", line)]
    return (causes[-1] if traced and causes else lines[-1] if traced else " ".join(lines[:4]))[:500]
