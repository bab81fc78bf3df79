"""Attention of one answer against the same answer without attribution, at two prompt lengths; transformers'
own `output_attentions` in eager mode beside it.
"""

import torch

from benchmarks import midsize
from benchmarks.timing import Row, in_turn, ratios, report
from isi_widget.vlm import VLM

TOKENS, LENGTHS = 16, (700, 2900)


def ways(vlm: VLM, tokens: int):
    """Return the ways to measure: answers of the same length, each from the start, without and with
    attention.
    """
    stimulus = midsize.stimulus(vlm, tokens)
    inputs = midsize.inputs(vlm, stimulus)
    length = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}

    def answer(attention: bool) -> None:
        vlm.image_features.clear()
        vlm.answer(stimulus, attention=attention, **length)

    def eager() -> None:
        vlm.model.set_attn_implementation({"text_config": "eager"})
        try:
            vlm.model.generate(
                **inputs,
                do_sample=False,
                output_attentions=True,
                return_dict_in_generate=True,
                pad_token_id=vlm.tokenizer.pad_token_id,
                **length,
            )
        finally:
            vlm.model.set_attn_implementation({"text_config": "sdpa"})

    return {"without": lambda: answer(False), "with": lambda: answer(True), "eager": eager}


def rows() -> list[Row]:
    if not torch.cuda.is_available():
        torch.set_num_threads(2)
    found = []
    for name, vlm in midsize.models():
        for tokens in LENGTHS:
            chosen = ways(vlm, tokens)
            times = in_turn(chosen, 3)
            memory = {way: tuple(midsize.peak_memory(call) for _ in range(2)) for way, call in chosen.items()}
            found += [
                Row(f"one answer of {TOKENS} tokens ({name}, prompt of {tokens} tokens)", times["without"]),
                Row("the same with attention / without", ratios(times, "with", "without"), "ratio", 1.05),
                Row("eager output_attentions / without", ratios(times, "eager", "without"), "ratio"),
                Row("peak memory without attention", memory["without"], "MB"),
                Row("the same with attention / without", ratios(memory, "with", "without"), "ratio", 1.1),
                Row("eager output_attentions / without", ratios(memory, "eager", "without"), "ratio"),
            ]
    return found


if __name__ == "__main__":
    report(rows())
