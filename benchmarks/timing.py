"""The stopwatch of the benchmarks: repeats, medians, and ratios of two ways that are run in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, all its repeats, their unit, the target if there is one."""

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    target: float | None = None

    @property
    def median(self) -> float:
        """The middle of all repeats."""
        return statistics.median(self.values)

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return name, median, range, number of repeats, target and whether it is met."""
        target = ""
        if self.target is not None:
            met = "met" if self.median <= self.target else "NOT met"
            target = f"<= {_show(self.target, self.unit)}: {met}"
        low, high = (_show(value, self.unit) for value in (min(self.values), max(self.values)))
        return self.name, _show(self.median, self.unit), f"{low} to {high}", str(len(self.values)), target


def _show(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"
    return f"{value:.2f}" if unit in ("ratio", "IoU") else f"{value:.1f} {unit}"


def repeat(function: Callable[[int], object], repeats: int, warm_up: int = 1) -> tuple[float, ...]:
    """Return seconds of each call; `function` gets the number of the call, to vary its input."""
    for number in range(warm_up):
        function(-1 - number)
    return tuple(seconds(lambda number=number: function(number)) for number in range(repeats))


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(
    ways: dict[str, Callable[[], object]], repeats: int, warm_up: int = 1
) -> dict[str, tuple[float, ...]]:
    """Return seconds of several ways to do the same, run in turn."""
    for _ in range(warm_up):
        for way in ways.values():
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(seconds(way))
    return {name: tuple(values) for name, values in times.items()}


def ratios(times: dict[str, tuple[float, ...]], way: str, reference: str) -> tuple[float, ...]:
    """Return time of one way over the time of another, repeat by repeat."""
    return tuple(a / b for a, b in zip(times[way], times[reference], strict=True))


def fresh(code: str, repeats: int) -> list[list[float]]:
    """Run `code` in fresh interpreters; each prints numbers on its last line."""
    found = []
    for _ in range(repeats):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found.append([float(number) for number in result.stdout.split("\n")[-2].split()])
    return found


def report(rows: Sequence[Row]) -> None:
    """Print the rows of a benchmark module: one JSON line per row."""
    for row in rows:
        print(json.dumps(asdict(row)))
