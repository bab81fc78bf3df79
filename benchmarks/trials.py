"""One answer and one whole trial of the embedded models, every time on an image that was not seen before."""

import time
from contextlib import contextmanager
from typing import Any

import torch

import isi_widget as isi
from benchmarks.timing import Row, in_turn, ratios, repeat, report
from isi_widget.trial import run_trial


@contextmanager
def clocked(*models: Any):
    """Add up, in the list it yields, the seconds spent in the forward passes of some models and in the first
    one's vision tower: what a trial cannot do without.
    """
    spent = [0.0]
    inside = [0]

    def clock(forward):
        def timed(*args, **kwargs):
            inside[0] += 1
            start = time.perf_counter()
            try:
                return forward(*args, **kwargs)
            finally:
                inside[0] -= 1
                if not inside[0]:
                    spent[0] += time.perf_counter() - start

        return timed

    places = [(model, "forward") for model in models] + [(models[0], "get_image_features")]
    before = [getattr(model, name) for model, name in places]
    for (model, name), function in zip(places, before, strict=True):
        setattr(model, name, clock(function))
    try:
        yield spent
    finally:
        for model, name in places:
            delattr(model, name)  # the method of the class shows again


def against_bare(vlm, stimuli) -> tuple[float, ...]:
    """Return seconds of whole trials over the seconds of the model calls in them."""
    entailment = isi.uncertainty.load_entailment()
    found = []
    for stimulus in stimuli:
        with clocked(vlm.model, entailment.model) as spent:
            start = time.perf_counter()
            run_trial(vlm, stimulus, entailment=entailment)
            found.append((time.perf_counter() - start) / spent[0])
    return tuple(found[3:])


def rows(repeats: int = 30) -> list[Row]:
    torch.set_num_threads(2)
    vlm = isi.load_vlm()
    observations = isi.datasets.scenes()
    shown = [observation.stimulus() for observation in observations]
    contexts = [stimulus.with_context(preset="contradictory") for stimulus in shown]
    answer = repeat(lambda number: vlm.answer(shown[number]), repeats, warm_up=3)
    trials = []
    whole = repeat(lambda number: trials.append(run_trial(vlm, contexts[number])), repeats, warm_up=3)
    stages = {
        stage: tuple(trial.seconds[stage] for trial in trials[3:])
        for stage in ("prompt", "answer", "attention", "samples", "clusters")
    }
    fresh = [stimulus.with_context(preset="complementary") for stimulus in shown[: repeats + 3]]
    attended = in_turn(
        {
            "without": lambda: vlm.answer(shown[0]),
            "with": lambda: vlm.answer(shown[0], attention=True),
        },
        repeats,
    )
    trial = trials[-1]
    record = repeat(lambda _: isi.Trial.from_dict(trial.to_dict()), 9)
    page = repeat(lambda _: trial._repr_html_(), 9)
    return [
        Row("one answer (greedy)", answer, target=0.1),
        Row("one whole trial (answer, 10 samples, clusters, attention)", whole, target=0.5),
        *(Row(f"of which {stage}", values) for stage, values in stages.items()),
        Row("one whole trial / the model calls in it", against_bare(vlm, fresh), "ratio", 1.15),
        Row(
            "answer with attention recorded / without (same image)",
            ratios(attended, "with", "without"),
            "ratio",
        ),
        Row("trial to a dict and back", record),
        Row("static page of a trial", page),
    ]


if __name__ == "__main__":
    report(rows())
