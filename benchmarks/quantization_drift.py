"""What quantisation costs in exactness: each kind against full precision, on this machine.

With the embedded model on scenes (trained weights, one-word answers), and with a random LLaVA of ordinary
proportions (576 image tokens), whose weights no training has made robust: the worst case. Times are those of
the processor, on one thread, so that other programs do not count. Prints the table of docs/which_model.md:
python -m benchmarks.quantization_drift
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration

import isi_widget as isi
from benchmarks import midsize
from isi_widget.pretrained.quantization import QUANTIZATIONS
from isi_widget.stimulus import Stimulus
from isi_widget.vlm import VLM
from isi_widget.vlm.check.drift import quantization_drift
from isi_widget.vlm.loading.memory import model_bytes

TOKENS = 8
#: (quantisation, type of what is not quantised and of the multiplication; "auto": as load_vlm chooses)
KINDS = [*((kind, "auto") for kind in QUANTIZATIONS), ("nf4", "float32"), (None, "bfloat16")]


def midsize_folder(folder: Path, embedded: VLM) -> Path:
    """Return a saved mid-size LLaVA."""
    torch.manual_seed(0)
    config = midsize.config(embedded, seven_billion=False)
    config.text_config.initializer_range = 0.1  # large enough to be sure of something: answers then differ
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    midsize.processor(embedded).save_pretrained(folder)
    return folder


def milliseconds(vlm: VLM, stimulus: Stimulus) -> tuple[float, float]:
    """Return processor time of one prefill, and of one further token; medians."""
    prefills, tokens = [], []
    for _ in range(3):
        start = time.process_time()
        prefill = vlm.prefill(stimulus, attention=False)
        read = time.process_time()
        answer = vlm.answer(prefill, 1 + TOKENS, min_new_tokens=1 + TOKENS)
        prefills.append(read - start)
        tokens.append((time.process_time() - read) / len(answer.token_ids))
    return 1000 * statistics.median(prefills), 1000 * statistics.median(tokens)


def rows(title: str, source: Path | None, stimuli: list[Stimulus]) -> list[str]:
    """Return lines of the table for one model."""
    reference = isi.load_vlm(source, dtype="float32")
    full = model_bytes(reference.model)
    prefill, token = milliseconds(reference, stimuli[0])
    found = [f"| {title}, float32 | {full / 2**20:.1f} MiB | | | | {prefill:.0f} ms | {token:.1f} ms |"]
    for kind, dtype in KINDS:
        vlm = isi.load_vlm(source, quantization=kind, dtype=dtype)
        drift = quantization_drift(vlm, reference, stimuli, max_new_tokens=TOKENS)
        prefill, token = milliseconds(vlm, stimuli[0])
        how = f"{kind}, multiplied in {vlm.info()['compute_dtype']}" if kind else dtype
        found.append(
            f"| {title}, {how} | {model_bytes(vlm.model) / 2**20:.1f} MiB | {drift.token_agreement:.1%} of "
            f"{drift.tokens} | {drift.max_logit_difference:.2f} | {drift.mean_logit_difference:.3f} | "
            f"{prefill:.0f} ms | {token:.1f} ms |"
        )
    return found


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    embedded = isi.load_vlm()
    scenes = isi.datasets.scenes()
    print("| model | weights | tokens that agree | largest logit difference | mean | prefill | a token |")
    print("|---|---|---|---|---|---|---|")
    for line in rows("embedded", None, [scenes[index].stimulus() for index in range(100)]):
        print(line, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source = midsize_folder(Path(folder), embedded)
        for line in rows("random LLaVA", source, [scenes[index].stimulus() for index in range(3)]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
