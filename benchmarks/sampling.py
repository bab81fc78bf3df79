"""Ten samples: one shared prefill against sequential generation, transformers' own batch, and the bare
forward passes that cannot be avoided.

With the embedded model, whose prompt is short, and with a random LLaVA of ordinary proportions (576 image
tokens, 700 in all), where the prompt is what costs.
"""

from collections.abc import Callable

import torch

import isi_widget as isi
from benchmarks import midsize
from benchmarks.timing import Row, in_turn, ratios, report
from isi_widget.stimulus import Stimulus
from isi_widget.vlm import VLM

SAMPLES, TOKENS = 10, 16


def ways(vlm: VLM, stimulus: Stimulus) -> dict[str, Callable[[], None]]:
    """Return the ways, with the same number of tokens for all: no answer may end early. The image is encoded
    anew in each.
    """
    inputs = midsize.inputs(vlm, stimulus)
    length = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}

    def shared() -> None:
        vlm.image_features.clear()
        vlm.sample(stimulus, n=SAMPLES, temperature=0.9, **length)

    def generate(sequences: int) -> None:
        vlm.model.generate(
            **inputs,
            do_sample=True,
            temperature=0.9,
            top_k=0,
            num_return_sequences=sequences,
            pad_token_id=vlm.tokenizer.pad_token_id,
            **length,
        )

    def sequential() -> None:
        for _ in range(SAMPLES):
            generate(1)

    @torch.no_grad()
    def bare() -> None:
        output = vlm.model(**inputs, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        cache.batch_repeat_interleave(SAMPLES)
        token = torch.full((SAMPLES, 1), 7, device=vlm.device)
        for _ in range(TOKENS):
            vlm.model(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return {
        "shared": shared,
        "sequential": sequential,
        "generate": lambda: generate(SAMPLES),
        "bare": bare,
    }


def rows() -> list[Row]:
    if not torch.cuda.is_available():
        torch.set_num_threads(2)
    embedded = isi.load_vlm()
    found = []
    for name, vlm, repeats, prompt in (
        ("embedded model", embedded, 9, None),
        *((name, vlm, 3, 700) for name, vlm in midsize.models()),
    ):
        stimulus = isi.datasets.scenes()[0].stimulus() if prompt is None else midsize.stimulus(vlm, prompt)
        aims = dict.fromkeys(("sequential", "generate", "bare"))
        if prompt is not None:
            aims = {"sequential": 0.22, "generate": 0.36, "bare": 1.05}
        chosen = ways(vlm, stimulus)
        times = in_turn(chosen, repeats)
        tokens = len(vlm.encode(stimulus))
        found += [
            Row(f"{SAMPLES} samples of {TOKENS} tokens ({name}, prompt of {tokens} tokens)", times["shared"]),
            *(
                Row(f"the same / {words}", ratios(times, "shared", way), "ratio", aims[way])
                for way, words in (
                    ("sequential", f"{SAMPLES} times generate"),
                    ("generate", f"generate(num_return_sequences={SAMPLES})"),
                    ("bare", f"one prefill and {TOKENS} forwards of batch {SAMPLES} alone"),
                )
            ),
        ]
        if prompt is not None:
            memory = {
                way: tuple(midsize.peak_memory(chosen[way]) for _ in range(3))
                for way in ("shared", "generate")
            }
            found += [
                Row("peak memory of the samples", memory["shared"], "MB"),
                Row(
                    f"the same / generate(num_return_sequences={SAMPLES})",
                    ratios(memory, "shared", "generate"),
                    "ratio",
                    0.5,
                ),
            ]
    return found


if __name__ == "__main__":
    report(rows())
