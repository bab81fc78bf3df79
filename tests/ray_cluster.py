"""A small Ray cluster for tests: its head with Ray Client, in processes of its own, which surely end.

It is started as `ray start --head` on a real cluster, with a token of its own and two cores.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

#: Before Ray is imported: no statistics are sent, and a token that no file keeps.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
#: Seconds until a connection that broke is given up (usually 30).
os.environ["RAY_CLIENT_RECONNECT_GRACE_PERIOD"] = "2"
#: Memory of the object store, bytes.
STORE = 100 * 2**20
ROOT = Path(__file__).parent.parent


class Head:
    """The head of a cluster.

    Attributes
    ----------
    address, client : addresses for `ray.init` on this machine and for Ray Client.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="isi-ray-", dir="/tmp")  # sockets need short names
        ports = _free_ports(2)
        self.address, self.client = f"127.0.0.1:{ports[0]}", f"ray://127.0.0.1:{ports[1]}"
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += [
            "--node-ip-address=127.0.0.1",
            f"--port={ports[0]}",
            f"--ray-client-server-port={ports[1]}",
        ]
        command += ["--num-cpus=2", "--num-gpus=0", "--include-dashboard=false", "--disable-usage-stats"]
        command += [f"--object-store-memory={STORE}", f"--temp-dir={self._folder}"]
        self._log = (Path(self._folder) / "head.log").open("wb")
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for port in ports:
            self._await(port)

    def _await(self, port: int) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until and self._process.poll() is None:
            with closing(socket.socket()) as tried:
                tried.settimeout(1)
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        log = (Path(self._folder) / "head.log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"Ray did not start:\n{log[-4000:]}")

    def clients(self) -> list[psutil.Process]:
        """Return the processes that serve one Ray Client each."""
        return self.find("--mode=specific-server")

    def find(self, part: str) -> list[psutil.Process]:
        """Return the processes of the cluster with this in their command, such as the name of an actor."""
        found = psutil.Process(self._process.pid).children(recursive=True)
        return [process for process in found if part in " ".join(_command(process))]

    def kill_one(self, actor: str) -> int:
        """Kill the process of an actor, at once; return its id."""
        process = self.find(actor)[0]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        return int(process.pid)

    def stop(self) -> None:
        """End every process of the cluster, by its id."""
        with suppress(psutil.NoSuchProcess):
            head = psutil.Process(self._process.pid)
            every = [*head.children(recursive=True), head]
            for process in every:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(every, timeout=5)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=5)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def ray_head() -> Iterator[Head]:
    """Yield the head of a cluster; nothing of it is left at the end."""
    head = _started()
    try:
        yield head
    finally:
        head.stop()


def _started() -> Head:
    """Return a head; on a busy machine Ray may take longer than it allows itself."""
    for _ in range(2):
        with suppress(RuntimeError):
            return Head()
    return Head()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
