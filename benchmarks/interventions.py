"""One answer and one whole trial under interventions against the same without, of the embedded model."""

import torch

import isi_widget as isi
from benchmarks.timing import Row, in_turn, ratios, report
from isi_widget.vlm import VLM
from isi_widget.vlm.inside import sites

CHANGES = {
    "a head scaled": (isi.HeadScale(0, 2, 0.0),),
    "attention knocked out": (isi.Knockout("question", "image"),),
    "both": (isi.HeadScale(0, 2, 0.0), isi.Knockout("question", "image")),
}


#: Those of `CHANGES` that need the width of the model, and those that read a second input.
STEERED, CONTRASTED = "a layer steered", "contrastive decoding (VCD)"


def rows(repeats: int = 15) -> list[Row]:
    """Return each way's time over that of the plain model; answers are of the same length."""
    torch.set_num_threads(2)
    vlm = isi.load_vlm()
    ways = {"plain": vlm, **{name: vlm.intervene(*changes) for name, changes in CHANGES.items()}}
    width = sites(vlm.model, vlm.family).hidden_size
    ways[STEERED] = vlm.intervene(isi.Steer((0.1,) * width, 1))
    ways[CONTRASTED] = vlm.intervene(isi.ContrastiveDecoding())
    stimulus = isi.datasets.scenes()[3].stimulus()
    # Answers of one length: the intervention is to be timed, not the longer answer that it may lead to.
    length = {"max_new_tokens": 8, "min_new_tokens": 8}

    def answer(model: VLM) -> object:
        return model.answer(stimulus, attention=True, **length)

    def trial(model: VLM) -> object:
        return isi.run_trial(model, stimulus, measures="attention")

    found = []
    for title, task in {"one answer of 8 tokens": answer, "one whole trial": trial}.items():
        calls = {name: (lambda model=model, task=task: task(model)) for name, model in ways.items()}
        times = in_turn(calls, repeats, warm_up=2)
        found.append(Row(f"{title}, no intervention", times["plain"]))
        found += [
            Row(f"{title}, {name} / no intervention", ratios(times, name, "plain"), "ratio")
            for name in ways
            if name != "plain"
        ]
    return found


if __name__ == "__main__":
    report(rows())
