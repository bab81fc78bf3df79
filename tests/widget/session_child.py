"""A probe on a session in a process of its own, to be killed: `python session_child.py FOLDER SEED`.

It makes one gesture after the other, of every kind that is kept, and prints the number of each before and
after it. `states` makes the same gestures here: what a session may hold after a kill.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isi_widget import Answer, Probe, Settings, Trial, datasets
from isi_widget.vlm import VLM, load_vlm


def gesture(probe: Probe, number: int, rng: random.Random) -> None:
    """One of the things that a user does."""
    kind = rng.choice(
        ["box", "box", "noise", "trial", "trial", "note", "pin", "undo", "delete", "choose", "setting"]
    )
    numbers = list(probe._history)
    if kind == "box":
        probe.stimulus = probe.stimulus.box(number % 200, 10, 30, 20)
    elif kind == "noise":
        probe.stimulus = probe.stimulus.noise(0.1, seed=number)
    elif kind == "trial":
        made = Trial(
            probe.stimulus, {"answer": Answer("Yes", (5,), ("Yes",), (-0.1,))}, probe.vlm.info(), Settings()
        )
        probe._runs._add_trial(made, f"{number}")
    elif kind == "note" and numbers:
        probe.note(rng.choice(numbers), f"note {number}")
    elif kind == "pin" and numbers:
        probe.pinned = rng.sample(numbers, k=rng.randint(0, min(3, len(numbers))))
    elif kind == "undo":
        probe.undo()
    elif kind == "delete" and numbers and rng.random() < 0.5:
        probe.delete(rng.choice(numbers))
    elif kind == "choose":
        probe.choose(rng.randrange(4))
    else:
        probe.settings = {"samples": 1 + number % 40}


def seen(probe: Probe) -> dict[str, Any]:
    """Everything that a session keeps, to be compared."""
    return {
        "stimulus": probe.stimulus.key,
        "document": probe.document,
        "observation": probe.observation_index,
        "left": probe._editor.documents(probe.document),
        "trials": {number: _key(probe, number) for number in probe._history},
        "notes": dict(probe.notes),
        "pinned": list(probe.pinned),
        "settings": dict(probe.settings),
        "last": probe._history.last,
    }


def _key(probe: Probe, number: int) -> str:
    trial = probe._history.get(number)
    assert trial is not None
    return trial.stimulus.key


def states(vlm: VLM, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield what a probe holds after 0, 1, ..., `count` gestures."""
    probe = Probe(vlm, datasets.scenes()[0])
    rng = random.Random(seed)
    yield seen(probe)
    for number in range(1, count + 1):
        gesture(probe, number, rng)
        yield seen(probe)
    probe.close()


def main(folder: Path, seed: int, count: int) -> None:
    probe = Probe(load_vlm(), datasets.scenes()[0], session=folder)
    rng = random.Random(seed)
    probe.keep()
    print("begun", flush=True)
    for number in range(1, count + 1):
        gesture(probe, number, rng)
        probe.keep()  # the gesture in flight is on the disk now
        print(number, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
