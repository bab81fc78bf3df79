"""A study of 10^6 rows, simulated: store, resume after a kill, statistics and plots, with peak memory.

    python -m benchmarks.scale [rows]            # store, kill, resume, read: each in a process of its own
    python -m benchmarks.scale workers [rows]    # real trials of the embedded model by 1 and 2 Ray workers
    python -m benchmarks.scale gpus              # least GPU hours of 10^6 rows, from data sheets

The stub model runs no network: each row is a real trial of the embedded model (ten samples, all measures)
with other numbers in it, so that rows have real sizes. Conditions, units, the store and the statistics are
those of every study. Written for docs/scale.md; not a part of `python -m benchmarks`, since it takes minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import isi_widget as isi
from isi_widget.study.rows import input_of
from isi_widget.study.work import Unit, rows_of
from isi_widget.vlm.cluster import Session

ROOT = Path(__file__).resolve().parents[1]
#: Bytes that no step may need.
LIMIT = 4 * 2**30
SIGMAS = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6]
CONDITIONS = (isi.condition("plain"), isi.condition("noise").noise(isi.grid(sigma=SIGMAS)))


class Stub:
    """An engine with a stub model: rows of one real trial, with other answers and numbers.

    Parameters
    ----------
    kill_at : number of new rows after which this process kills itself; None for never.
    """

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.first: float | None = None

    def run(self, plan: Any, take: Callable[[dict[str, Any]], None]) -> None:
        """Run every unit with missing rows; see `isi_widget.study.engines.Engine`."""
        vlm = isi.load_vlm()
        source = plan.sources[0]
        plan.meet(source.label, vlm.info(), "stub")
        template: dict[str, Any] = {}
        taken = 0
        for unit in plan.units(source.label):
            template = template or next(iter(rows_of(vlm, unit)))
            for row in made(unit, template):
                take(row)
                self.first = self.first or time.perf_counter()
                taken += 1
                if taken == self.kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)


def made(unit: Unit, template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a unit: right answers grow rare and entropies large with the noise."""
    for task in unit.tasks:
        for number, seed in task.rows:
            random = np.random.default_rng(number)
            level = task.columns["level"] or 0.0
            correct = bool(random.random() < 0.95 - 0.6 * level)
            assert task.stimulus is not None
            row = {**template, **unit.columns, **task.columns, **input_of(task.stimulus)}
            row |= {"row": number, "seed": seed}
            row["correct"] = correct
            row["answer"] = row["truth"] if correct else "Something else."
            for name, value in template.items():
                if isinstance(value, float) and name not in ("level", "seconds"):
                    row[name] = abs(value) * (1 + 0.1 * level + 0.05 * float(random.random()))
            row["answers"] = [
                {**answer, "log_likelihood": -float(random.random())} for answer in template["answers"]
            ]
            yield row


def observations(number: int) -> list[isi.Observation]:
    """Return observations that share the pictures of the built-in scenes."""
    scenes = isi.datasets.scenes()
    return [
        isi.Observation(
            scene.image, scene.question, scene.context, scene.answer, id=f"{number:07d}", level=scene.level
        )
        for number, scene in ((number, scenes[number % len(scenes)]) for number in range(number))
    ]


def study(folder: str, rows: int, engine: Any) -> isi.Study:
    """Run a study of a number of rows, as far as it is missing."""
    data = observations(rows // 10)
    return isi.run_study("embedded", data, CONDITIONS, store=folder, engine=engine, samples=10)


# ---- steps, each in a process of its own
def write(folder: str, rows: int) -> dict[str, Any]:
    """Write half of the rows; this process is killed by SIGKILL in the middle of a part."""
    study(folder, rows, Stub(kill_at=rows // 2 + 77))
    raise AssertionError("it was to be killed")


def resume(folder: str, rows: int) -> dict[str, Any]:
    """Make the same call again, to the end."""
    begun, engine = time.perf_counter(), Stub()
    done = study(folder, rows, engine)
    numbers = done.frame(["row"])["row"].to_numpy()
    assert len(numbers) == rows and (numbers == np.arange(rows)).all(), "a row is missing or doubled"
    return {"until the first new row": (engine.first or 0) - begun}


def read(folder: str, rows: int) -> dict[str, Any]:
    """Open the finished study and look at it as a person would."""
    import matplotlib

    matplotlib.use("Agg")
    found = isi.open_study(folder)
    steps: dict[str, Callable[[], Any]] = {
        "table()": found.table,
        "paired()": found.paired,
        "curves()": found.curves,
        "auroc()": found.auroc,
        "plot()": found.plot,
        "one row as a stimulus": lambda: found.frame(["stimulus"]).iloc[rows // 2],
    }
    seconds = {}
    for name, step in steps.items():
        begun = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - begun
    parts = list((Path(folder) / "parts").glob("*.parquet"))
    size = sum(part.stat().st_size for part in parts)
    return {**seconds, "parts": len(parts), "bytes a row": size / rows}


STEPS = {"write": write, "resume": resume, "read": read}


def step(name: str, folder: str, rows: int) -> dict[str, Any]:
    """Run a step in a process of its own; return its seconds, processor seconds and peak memory."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.scale", "step", name, folder, str(rows)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    expected = signal.SIGKILL if name == "write" else 0
    if os.waitstatus_to_exitcode(status) != -expected:
        raise RuntimeError(f"The step {name!r} ended with {os.waitstatus_to_exitcode(status)}:\n{output}")
    lines = [line for line in output.splitlines() if line.startswith("{")]
    measured: dict[str, Any] = {
        "step": name,
        "seconds": time.perf_counter() - begun,
        "processor seconds": usage.ru_utime + usage.ru_stime,
        "peak GiB": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30,
        **(json.loads(lines[-1]) if lines else {}),
    }
    assert measured["peak GiB"] * 2**30 < LIMIT, measured
    return measured


def simulate(rows: int) -> None:
    """Print each step as a line of JSON."""
    with tempfile.TemporaryDirectory(prefix="isi-scale-") as folder:
        for name in STEPS:
            print(json.dumps(step(name, f"{folder}/run", rows), default=float), flush=True)


# ---- real trials by Ray workers
def of_workers() -> tuple[float, float]:
    """Return the processor seconds of all workers of Ray, and the memory of the largest, in MiB."""
    import psutil

    seconds, largest = 0.0, 0.0
    for process in psutil.process_iter():
        try:
            if "StudyWorker" in " ".join(process.cmdline()):
                used = process.cpu_times()
                seconds += used.user + used.system
                largest = max(largest, process.memory_info().rss / 2**20)
        except psutil.Error:
            continue
    return seconds, largest


def workers(rows: int) -> None:
    """Print what 1 and 2 workers do a second, and what they and the driving process spend on a row.

    The clock starts with the first row, when a model is loaded; the workers are those of a Ray in this
    machine. 1 and 2 workers are run in turn. On a busy machine only processor seconds mean something: rows
    for each processor second of a worker should be as many with 2 workers as with 1.
    """
    import torch

    torch.set_num_threads(1)
    data = isi.datasets.scenes()[: max(2, rows // 20)]
    session = Session.open(isi.RayCluster())  # one Ray for all runs
    for number in (1, 2, 1, 2):
        stamps: list[tuple[float, float, int, float, float]] = []

        def progress(stage: str, done: int, total: int, stamps: Any = stamps) -> None:
            if done and (not stamps or done == total):
                stamps.append((time.perf_counter(), time.process_time(), done, *of_workers()))

        engine = isi.RayEngine(workers=number)
        made = isi.run_study(
            "embedded", data, CONDITIONS, engine=engine, samples=10, progress=progress, seeds=range(2)
        )
        first, last = stamps
        count = last[2] - first[2]
        print(
            json.dumps(
                {
                    "workers": number,
                    "rows": count,
                    "rows per second": count / (last[0] - first[0]),
                    "processor seconds of the driver per row": (last[1] - first[1]) / count,
                    "processor seconds of the workers per row": (last[3] - first[3]) / count,
                    "MiB of a worker": last[4],
                    "seconds of a trial": float(made.rows["seconds"].median()),
                    "load average": os.getloadavg()[0],
                }
            ),
            flush=True,
        )
    session.close()
    vlm = isi.load_vlm()
    isi.run_study(vlm, data[:1], CONDITIONS, samples=10)
    begun = time.process_time()
    here = isi.run_study(vlm, data[1:], CONDITIONS, samples=10, seeds=range(2))
    spent = (time.process_time() - begun) / len(here.rows)
    print(json.dumps({"in this process": len(here.rows), "processor seconds per row": spent}))


# ---- from data sheets
#: Dense half-precision operations per second and bytes per second of memory, from the vendor's data sheets.
GPUS = {
    "T4 (16 GB)": (65e12, 320e9),
    "L4 (24 GB)": (121e12, 300e9),
    "A100 SXM (80 GB)": (312e12, 2039e9),
    "H100 SXM (80 GB)": (989e12, 3350e9),
    "H200 SXM (141 GB)": (989e12, 4800e9),
}


def least_seconds(
    operations: float, bandwidth: float, parameters: float, size: float, prompt: int, answer: int
) -> float:
    """Return the seconds of a row that no software can be faster than, for one worker on a whole GPU.

    The prompt is read once, at the peak of the arithmetic. The shown answer, and the samples side by side,
    are two times `answer` steps, each of which reads all weights at the peak of the memory.

    Parameters
    ----------
    operations, bandwidth : peaks of the GPU, per second.
    parameters : number of parameters of the language model.
    size : bytes of a parameter.
    prompt, answer : tokens of the prompt and of the longest answer.
    """
    return 2 * parameters * prompt / operations + 2 * answer * parameters * size / bandwidth


def gpus(rows: int = 1_000_000) -> None:
    """Print the least GPU hours of LLaVA-1.5 7B (6.7e9 parameters of the language model, 640 tokens)."""
    for name, (operations, bandwidth) in GPUS.items():
        for kind, size in (("float16", 2.0), ("nf4", 0.56)):
            if kind == "float16" and name.startswith("T4"):
                continue  # 13.5 GB of weights leave no room for a batch of caches
            hours = [
                rows / 3600 * least_seconds(operations, bandwidth, 6.74e9, size, 640, answer)
                for answer in (4, 32)
            ]
            print(f"| {name} | {kind} | {hours[0]:.0f} | {hours[1]:.0f} |")


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["step"]:
        print(json.dumps(STEPS[given[1]](given[2], int(given[3])), default=float))
    elif given[:1] == ["gpus"]:
        gpus()
    elif given[:1] == ["workers"]:
        workers(int(given[1]) if len(given) > 1 else 200)
    else:
        simulate(int(given[0]) if given else 1_000_000)
