"""A study over the model calls in it, and the size of its store. Processor time of one thread, in one run.

The model calls are those that the same trials make: `prefill`, `answer`, `sample` and `yes_no` of the model
(with rendering, tokens and decoding), and the comparisons of the entailment model. The rest of a study is
stimuli, clusters, intervals, records, rows and the store. Beside it: over the forward passes alone, which
contain neither tokens nor decoding.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import isi_widget as isi
from benchmarks import midsize
from benchmarks.timing import Row, report
from isi_widget.uncertainty import load_entailment

CONDITIONS = (
    isi.condition("plain"),
    isi.condition("noise").noise(isi.grid(sigma=[0.2, 0.5])),
    isi.condition("contradictory").with_context(preset="contradictory"),
)
POINTS = sum(len(condition.points()) for condition in CONDITIONS)


@contextmanager
def clocked(*places: tuple[Any, str]) -> Iterator[list[float]]:
    """Add up, in the list it yields, the processor time of some methods, calls within calls counted once."""
    spent, inside = [0.0], [0]

    def clock(function: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            inside[0] += 1
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                inside[0] -= 1
                if not inside[0]:
                    spent[0] += time.process_time() - start

        return timed

    before = [getattr(item, name) for item, name in places]
    for (item, name), function in zip(places, before, strict=True):
        setattr(item, name, clock(function))
    try:
        yield spent
    finally:
        for item, name in places:
            delattr(item, name)


CALLS, PASSES = "model calls", "forward passes"


def over_the_model(
    vlm: Any, observations: Any, folder: Path, what: str = CALLS, **settings: Any
) -> tuple[float, float]:
    """Return processor time of a study over that of its model calls, and bytes of its store for each row."""
    judge = load_entailment()
    places = [(vlm, name) for name in ("prefill", "answer", "sample", "yes_no")] + [(judge, "pairs")]
    if what == PASSES:
        places = [(vlm.model, "forward"), (vlm.model, "get_image_features"), (judge.model, "forward")]
    with clocked(*places) as spent:
        start = time.process_time()
        study = isi.run_study(vlm, observations, CONDITIONS, store=folder, entailment=judge, **settings)
        whole = time.process_time() - start
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "images")
    if len(study.failed):
        raise SystemExit(f"rows failed: {study.failed['error'].iloc[0]}")
    return whole / spent[0], sum(path.stat().st_size for path in files) / len(study)


def rows(repeats: int = 4) -> list[Row]:
    """Return the overheads and the size of a row."""
    torch.set_num_threads(1)
    embedded = isi.load_vlm()
    data = isi.datasets.scenes()
    isi.run_study(embedded, isi.datasets.things()[:2], CONDITIONS)  # imports, first use
    ((_, middle), *_) = midsize.models()
    found: dict[str, list[tuple[float, float]]] = {"embedded": [], "passes": [], "middle": [], "large": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(repeats):
            chosen = data[10 * number : 10 * number + 10]
            found["embedded"].append(over_the_model(embedded, chosen, folder / f"a{number}"))
            others = data[50 + 10 * number : 60 + 10 * number]  # not compared yet
            found["passes"].append(over_the_model(embedded, others, folder / f"p{number}", PASSES))
        for number in range(3):
            chosen = data[2 * number : 2 * number + 2]
            found["middle"].append(
                over_the_model(middle, chosen, folder / f"b{number}", max_new_tokens=12, samples=5)
            )
        found["large"].append(over_the_model(embedded, data, folder / "c", samples=4))
    trials = f"{POINTS} conditions, all measures"
    return [
        Row(
            f"study / the model calls in it, embedded model, {trials}",
            tuple(ratio for ratio, _ in found["embedded"]),
            "ratio",
            1.35,
        ),
        Row("the same / the forward passes alone", tuple(ratio for ratio, _ in found["passes"]), "ratio"),
        Row(
            f"study / the model calls in it, LLaVA of 8 layers of width 1024, {trials}",
            tuple(ratio for ratio, _ in found["middle"]),
            "ratio",
            1.1,
        ),
        Row(
            f"store without images, a row of a study of {POINTS * len(data)} rows, 4 samples",
            (found["large"][0][1] / 1024,),
            "KB",
            4.0,
        ),
    ]


if __name__ == "__main__":
    report(rows())
