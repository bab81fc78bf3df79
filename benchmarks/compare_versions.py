"""Two checkouts of isi_widget side by side: how much longer does the second take?

    python -m benchmarks.compare_versions BEFORE AFTER [--rounds 15] [--only answer,pdf]

One process per checkout does the same tasks in turn, so that whatever else the machine does falls on both.
Times are those of the processor (user and system), which other programs change least; the ratio is the
median of the rounds' own ratios. Only names that both versions have are used. Not for the figures of
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMPORTS = {
    "import isi_widget": "import isi_widget",
    "first model in a process": "import isi_widget as isi; isi.load_vlm()",
}
#: Task -> how often it is done in one round, so that a round takes some tenths of a second.
TASKS = {
    "load again": 3,
    "answer": 10,
    "sample 10": 5,
    "attention": 8,
    "attention map": 8,
    "whole trial": 4,
    "trial with beams": 3,
    "view": 20,
    "to_dict and from_dict": 10,
    "frame": 20,
    "code": 20,
    "figure of a trial": 1,
    "html": 20,
    "PDF": 1,
    "render": 3,
    "compare": 2,
}


def tasks() -> dict[str, Callable[[int], Any]]:
    """Return the tasks of this process's checkout; each takes a number that no earlier call had."""
    import inspect
    import warnings

    import matplotlib

    import isi_widget as isi

    warnings.simplefilter("ignore")
    matplotlib.use("Agg")
    vlm = isi.load_vlm()
    scenes = isi.datasets.scenes()
    strict = (
        "strict_entailment"
        if "strict_entailment" in inspect.signature(isi.run_trial).parameters
        else "strict"
    )
    kept = isi.run_trial(vlm, scenes[5].stimulus().box(40, 30, 60, 80), samples=10, seed=1)

    def new(number: int) -> Any:
        """Return a stimulus that no cache holds."""
        return scenes[number % 100].stimulus().noise(0.1, seed=number)

    def drawn(number: int) -> Any:
        stimulus = new(number).blur(3).erase((40, 40, 120, 90), "inpaint").pixelate(12, (200, 200, 90, 90))
        return (
            stimulus.box(9, 9, 80, 60).text(30, 200, f"number {number}", 24).arrow((9, 9), (90, 90)).render()
        )

    def figure(number: int) -> None:
        from matplotlib import pyplot

        kept.plot()
        pyplot.close("all")

    return {
        "load again": lambda number: isi.load_vlm(),
        "answer": lambda number: vlm.answer(new(number)),
        "sample 10": lambda number: vlm.sample(new(number), n=10, temperature=0.9, seed=number),
        "attention": lambda number: isi.measure_attention(vlm, new(number)),
        "attention map": lambda number: isi.measure_attention_map(vlm, new(number)),
        "whole trial": lambda number: isi.run_trial(vlm, new(number), samples=10, seed=number),
        "trial with beams": lambda number: isi.run_trial(
            vlm, new(number).with_context(preset="contradictory"), samples=20, num_beams=3, **{strict: True}
        ),
        "view": lambda number: json.dumps(kept.view()),
        "to_dict and from_dict": lambda number: isi.Trial.from_dict(kept.to_dict()),
        "frame": lambda number: kept.to_frame(),
        "code": lambda number: kept.code(),
        "figure of a trial": figure,
        "html": lambda number: kept._repr_html_(),
        "PDF": lambda number: kept.report(),
        "render": drawn,
        "compare": lambda number: isi.compare([new(number), new(number + 1)], vlm, samples=4)._repr_html_(),
    }


def work() -> None:
    """Do the tasks that are named on the input, and write the processor's seconds of each."""
    known, number = tasks(), 0
    print("ready", flush=True)
    for line in sys.stdin:
        name, times = json.loads(line)
        begun = time.process_time()
        for _ in range(times):
            number += 2
            known[name](number)
        print(json.dumps((time.process_time() - begun) / times), flush=True)


class Checkout:
    """One version: a process that does tasks, and fresh processes for its imports."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--work"],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while (line := self._read()) != "ready":
            print(f"{folder.name}: {line}", file=sys.stderr)

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"The process of {self._folder} ended; its message stands above.")
        return line.strip()

    def seconds(self, name: str, times: int) -> float:
        """Seconds of the processor for one task."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, times]) + "\n")
        self._process.stdin.flush()
        while True:  # what a task prints is no number
            try:
                return float(self._read())
            except ValueError:
                continue

    def import_seconds(self, code: str) -> float:
        """Seconds of the processor for some Python in a process of its own."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=self._folder,
            env=self._environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compare(
    measure: Callable[[Checkout], float], both: tuple[Checkout, Checkout], rounds: int
) -> tuple[float, ...]:
    """Medians of both and of their ratio, and the quartiles of the ratio; who is first changes by turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for at in (0, 1) if turn % 2 else (1, 0):
            found[at].append(measure(both[at]))
    ratios = [after / before for before, after in zip(*found, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
    return (*map(statistics.median, found), middle, low, high)


def main() -> None:
    """Print one line per task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default=",".join([*IMPORTS, *TASKS]))
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := [name for name in wanted if name not in [*IMPORTS, *TASKS]]:
        sys.exit(f"There is no task {unknown}; there are: {[*IMPORTS, *TASKS]}.")
    both = Checkout(given.before.resolve()), Checkout(given.after.resolve())
    print("| task | before, ms | after, ms | after / before | middle half |\n|---|---|---|---|---|")
    for name in wanted:
        if name in IMPORTS:
            code = IMPORTS[name]
            found = compare(lambda one, code=code: one.import_seconds(code), both, given.rounds)
        else:
            for one in both:  # once before it counts
                one.seconds(name, 1)
            found = compare(lambda one, name=name: one.seconds(name, TASKS[name]), both, given.rounds)
        before, after, ratio, low, high = found
        cells = (
            name,
            f"{1000 * before:.2f}",
            f"{1000 * after:.2f}",
            f"{ratio:.2f}",
            f"{low:.2f} to {high:.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    for one in both:
        one.close()


if __name__ == "__main__":
    work() if sys.argv[1:] == ["--work"] else main()
