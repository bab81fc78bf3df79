"""A probe with a session beside one without: seconds of a gesture, of its way to the disk, bytes, opening."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import Row, in_turn, ratios, repeat, report, seconds
from isi_widget import Probe, datasets, load_vlm
from isi_widget.widget import document as doc

STEPS, TRIALS = 10_000, 100
BOX = {
    "op": "box",
    "x": 5,
    "y": 5,
    "width": 40,
    "height": 30,
    "color": "#000000",
    "fill": True,
    "line_width": 3,
}


def drawing(probe: Probe) -> Callable[[], None]:
    """Return a function that makes one gesture: a box in another place."""
    numbers = itertools.count()

    def draw() -> None:
        probe.stimulus = probe.stimulus.with_operations([]).box(next(numbers) % 300, 1, 40, 30)

    return draw


def with_history(probe: Probe) -> None:
    document = probe.document
    for number in range(STEPS):
        document = doc.step(document, [{**BOX, "x": number % 300}])
    probe.document = document


def rows(repeats: int = 100) -> list[Row]:
    vlm, observation = load_vlm(), datasets.things()[0]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "session"
        kept, plain = Probe(vlm, observation, session=folder), Probe(vlm, observation)
        times = in_turn({"kept": drawing(kept), "plain": drawing(plain)}, repeats)
        found = [
            Row("gesture in Python, with a session", times["kept"]),
            Row("the same, over one without a session", ratios(times, "kept", "plain"), "ratio"),
        ]
        with_history(kept)
        kept.keep()
        draw, sizes, ways = drawing(kept), [], []
        for _ in range(repeats):
            before = size(folder)
            draw()
            ways.append(seconds(kept.keep))
            sizes.append(float(size(folder) - before))
        name = f"after {STEPS:,} steps of history"
        found.append(Row(f"a gesture to the disk, {name}", tuple(ways[1:])))
        found.append(Row(f"its size, {name}", tuple(sizes[1:]), "bytes", target=4000.0))
        trial = kept.run(samples=10)
        for _ in range(TRIALS - 1):
            kept._runs._add_trial(trial, "")
        kept.keep()
        files = [float(path.stat().st_size) / 1000 for path in (folder / "trials").iterdir()]
        found.append(Row("a trial of 10 samples, without its pictures", tuple(files), "KB"))

        def reopen(_: int) -> None:
            nonlocal kept
            kept.close()
            kept = Probe(vlm, observation, session=folder)

        found.append(Row(f"open a session of {TRIALS} trials and {STEPS:,} steps", repeat(reopen, 5)))
        found.append(Row("save it as one file", repeat(lambda _: kept.save(), 5)))
        kept.close()
        plain.close()
    return found


def size(folder: Path) -> int:
    path = folder / "changes.jsonl"
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    report(rows())
