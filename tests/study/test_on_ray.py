"""A real Ray cluster with two cores: the model of a probe, and a study, through Ray Client; processes that
are killed.

One cluster and one connection serve all tests. `test_cluster_vlm.py` and `test_ray_engine.py` test the rest
without Ray. Slow: a cluster takes half a minute to start on two cores, and a broken connection as long to be
given up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from ray_cluster import Head, ray_head  # first: Ray reads the environment when it is imported

pytest.importorskip("ray")
if sys.platform != "linux":
    pytest.skip("processes of Ray are found by /proc", allow_module_level=True)

import isi_widget as isi
from isi_widget.vlm.cluster import ClusterVLM, ConnectionLost

pytestmark = pytest.mark.slow

#: What two runs never share.
OF_THE_RUN = ["seconds", "created"]
CONDITIONS = (isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=[0.1, 0.6])))
GIVEN: dict[str, Any] = {"samples": 3, "seeds": (0, 5)}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads as the workers have: the last digits depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as made:
        yield made


@pytest.fixture(scope="module")
def there(head: Head) -> Iterator[ClusterVLM]:
    made: Any = isi.load_vlm(on=head.client)
    yield made
    made.close()


@pytest.fixture(scope="module")
def stimulus() -> isi.Stimulus:
    return isi.datasets.scenes()[3].stimulus().box(10, 10, 30, 30)


def rows_of(trial: isi.Trial) -> Any:
    return trial.to_frame().drop(columns=OF_THE_RUN)


def test_a_trial_is_the_same_as_here(vlm: Any, there: ClusterVLM, stimulus: isi.Stimulus) -> None:
    texts: list[str] = []
    mine = isi.run_trial(vlm, stimulus, samples=3)
    theirs = isi.run_trial(there, stimulus, samples=3, on_text=lambda *text: texts.append(text[2]))
    assert rows_of(mine).equals(rows_of(theirs)) and texts


def test_a_killed_process_is_one_clear_error_and_comes_back(
    head: Head, there: ClusterVLM, stimulus: isi.Stimulus
) -> None:
    before = there.answer(stimulus)
    probe = isi.Probe(there, isi.datasets.scenes()[3])  # type: ignore[arg-type]
    head.kill_one("ModelActor")
    with pytest.raises(ConnectionLost, match=r"ended\. .* vlm\.reconnect\(\)"):
        there.answer(stimulus)
    with pytest.raises(ConnectionLost):
        probe.run(measures="answer")
    assert probe.vlm.reconnect() is there
    assert there.answer(stimulus) == before and probe.run(measures="answer").answer is not None
    probe.close()


def test_a_broken_connection_is_one_clear_error_and_comes_back(
    head: Head, there: ClusterVLM, stimulus: isi.Stimulus
) -> None:
    before = there.answer(stimulus)
    for process in head.clients():
        process.kill()
    for _ in range(2):
        with pytest.raises(ConnectionLost, match=r"vlm\.reconnect\(\)"):
            there.answer(stimulus)
    there.reconnect()
    assert there.answer(stimulus) == before
    there.close()


def test_a_study_gives_the_same_rows_though_a_worker_is_killed(vlm: Any, head: Head, tmp_path: Any) -> None:
    data = isi.datasets.scenes()[:8]
    killed: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        if done and not killed:
            killed.append(head.kill_one("StudyWorker"))

    engine = isi.RayEngine(head.client, workers=2, in_flight=1)
    store = tmp_path / "a"
    study = isi.run_study(vlm, data, CONDITIONS, engine=engine, store=store, progress=progress, **GIVEN)
    here = isi.run_study(vlm, data, CONDITIONS, **GIVEN)
    assert killed and study.rows.drop(columns=OF_THE_RUN).equals(here.rows.drop(columns=OF_THE_RUN))
    assert isi.open_study(store) == study and not head.find("StudyWorker")


def test_nothing_answers(head: Head) -> None:
    with pytest.raises(ConnectionLost, match=r"cannot be reached: .* Check the address"):
        isi.load_vlm(on="ray://127.0.0.1:9")


def test_ray_in_this_machine_in_a_script(tmp_path: Any) -> None:
    """`engine="ray"` and `on="ray"` start a Ray and end it."""
    import os
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "import isi_widget as isi\n"
        "data = isi.datasets.scenes()[:3]\n"
        "study = isi.run_study('embedded', data, engine='ray', measures='answer')\n"
        "assert len(study.rows) == 3 and study.rows['error'].isna().all()\n"
        "vlm = isi.load_vlm(on='ray')\n"
        "print(vlm.answer(data[0].stimulus()).text)\n"
        "vlm.close()\n"
    )
    before = set(_of_ray())
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0 and ran.stdout.strip(), ran.stderr
    until = time.monotonic() + 120  # its agents look for their node now and then
    while (left := set(_of_ray()) - before) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left


def _of_ray() -> Iterator[int]:
    """Yield the ids of the processes of any Ray in this machine."""
    for process in psutil.process_iter():
        if any(name in " ".join(_command(process)) for name in ("ray::", "raylet", "gcs_server")):
            yield process.pid


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
