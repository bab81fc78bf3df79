"""A random LLaVA of ordinary proportions, the same prompt in two lengths, and the memory that a call takes.

On a CPU: 24 x 24 image tokens, 8 decoder layers of width 1024, float32. On a CUDA device: the proportions of
LLaVA-1.5-7B, in float16 or, with bitsandbytes, NF4. Weights are random: what they cost is what real ones
cost.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import isi_widget as isi
from isi_widget.stimulus import Stimulus
from isi_widget.vlm import VLM

VOCABULARY = 32064


def config(embedded: VLM, seven_billion: bool) -> LlavaConfig:
    """Return the configuration, with the special tokens of the embedded model's tokenizer."""
    tokenizer = embedded.tokenizer
    wide, layers, heads, inner = (4096, 32, 32, 11008) if seven_billion else (1024, 8, 16, 2816)
    vision, depth, looks = (1024, 24, 16) if seven_billion else (256, 2, 4)
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision,
            intermediate_size=4 * vision,
            num_hidden_layers=depth,
            num_attention_heads=looks,
            image_size=336,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=wide,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=4096,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_id=embedded.model.config.image_token_id,
    )


def processor(embedded: VLM) -> LlavaProcessor:
    """Return its processor: 576 image tokens, the embedded model's tokenizer."""
    images = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    return LlavaProcessor(
        images,
        embedded.tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=embedded.processor.chat_template,
        num_additional_image_tokens=1,
    )


def eight_by_eight(embedded: VLM) -> VLM:
    """Return a random LLaVA, 512 wide, with 8 layers of 8 heads, float32, on the CPU: for scans of heads."""
    shape = config(embedded, seven_billion=False)
    shape.text_config.hidden_size, shape.text_config.intermediate_size = 512, 1408
    shape.text_config.num_attention_heads = shape.text_config.num_key_value_heads = 8
    shape.text_config.head_dim = 64
    torch.manual_seed(0)
    return VLM(LlavaForConditionalGeneration(shape).eval(), processor(embedded), model_id="random 8 x 8")


def models() -> list[tuple[str, VLM]]:
    """Return the models to measure here, with their names: one on a CPU, two on a CUDA device."""
    embedded = isi.load_vlm()
    torch.manual_seed(0)
    if not torch.cuda.is_available():
        model = LlavaForConditionalGeneration(config(embedded, seven_billion=False)).eval()
        return [("mid-size random LLaVA, float32", VLM(model, processor(embedded), model_id="random"))]
    with torch.device("cuda"):
        torch.set_default_dtype(torch.float16)
        model = LlavaForConditionalGeneration(config(embedded, seven_billion=True)).eval()
        torch.set_default_dtype(torch.float32)
    found = [("random LLaVA-7B, float16", VLM(model, processor(embedded), model_id="random"))]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor(embedded).save_pretrained(folder)
        found.append(("random LLaVA-7B, nf4", isi.load_vlm(Path(folder), quantization="nf4")))
    return found


def stimulus(vlm: VLM, tokens: int) -> Stimulus:
    """Return a scene whose prompt has `tokens` tokens, or one or two fewer, by the length of its context."""
    bare = isi.datasets.scenes()[0].stimulus()
    words = ["There", "is", "a", "red", "star", "on", "the", "left", "of", "the", "large", "square", "."]
    low, high = 1, tokens
    while high - low > 1:  # the prompt grows with every word
        middle = (low + high) // 2
        text = " ".join(words[index % len(words)] for index in range(middle))
        fits = len(vlm.encode(bare.with_context(text))) <= tokens
        low, high = (middle, high) if fits else (low, middle)
    return bare.with_context(" ".join(words[index % len(words)] for index in range(low)))


def inputs(vlm: VLM, stimulus: Stimulus) -> dict[str, torch.Tensor]:
    """Return what transformers' own `generate` and forward are given, on the model's device."""
    prompt = vlm.encode(stimulus)
    images = {name: value.to(vlm.device) for name, value in prompt.images.items()}
    return {
        "input_ids": prompt.input_ids.to(vlm.device),
        **{
            name: value.to(vlm.dtype) if value.is_floating_point() else value
            for name, value in images.items()
        },
    }


def peak_memory(call: Callable[[], object]) -> float:
    """Return MB that a call needs at its peak, beyond what is held before it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    _give_back()
    before = peak = _resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, _resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return (peak - before) / 1e6


def _resident() -> float:
    return 4096.0 * int(Path("/proc/self/statm").read_text().split()[1])


def _give_back() -> None:
    """Let freed tensors leave the process, so that the next call's memory is its own (Linux)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD: larger blocks are mapped, and unmapped when freed
        libc.malloc_trim(0)
