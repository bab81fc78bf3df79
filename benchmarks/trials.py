"""One answer and one whole trial of the embedded models, every time on an image that was not seen before."""

import torch

import isi_widget as isi
from benchmarks.timing import Row, in_turn, ratios, repeat, report
from isi_widget.trial import run_trial


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
