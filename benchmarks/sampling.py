"""Ten samples: one shared prefill against ten runs from the start, and against transformers' own generate.

With the embedded model, whose prompt is short, and with a random LLaVA of ordinary proportions (576 image
tokens), where the prompt is what costs.
"""

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
from benchmarks.timing import Row, in_turn, ratios, report
from isi_widget.stimulus import Stimulus
from isi_widget.vlm import VLM

SAMPLES, TOKENS = 10, 16


def ordinary(embedded: VLM) -> VLM:
    """A random LLaVA: 24 x 24 image tokens, 8 decoder layers of width 768; the embedded model's tokenizer."""
    tokenizer = embedded.tokenizer
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=336,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=8,
            num_attention_heads=12,
            num_key_value_heads=12,
            max_position_embeddings=2048,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_id=embedded.model.config.image_token_id,
    )
    torch.manual_seed(0)
    images = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=embedded.processor.chat_template,
        num_additional_image_tokens=1,
    )
    return VLM(LlavaForConditionalGeneration(config).eval(), processor, model_id="random")


def ways(vlm: VLM, stimulus: Stimulus):
    """The three ways, with the same number of tokens for all: no answer may end early."""
    settings = {"temperature": 0.9, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS}

    def shared() -> None:
        vlm.sample(stimulus, n=SAMPLES, **settings)

    def sequential() -> None:
        for seed in range(SAMPLES):
            vlm.sample(stimulus, n=1, seed=seed, **settings)

    def generate() -> None:
        prompt = vlm.encode(stimulus)
        with torch.no_grad():
            vlm.model.generate(
                input_ids=prompt.input_ids,
                **prompt.images,
                do_sample=True,
                top_k=0,
                num_return_sequences=SAMPLES,
                **settings,
            )

    return {"shared": shared, "sequential": sequential, "generate": generate}


def rows() -> list[Row]:
    torch.set_num_threads(2)
    embedded = isi.load_vlm()
    stimulus = isi.datasets.scenes()[0].stimulus()
    found = []
    for name, vlm, repeats in (
        ("embedded", embedded, 9),
        ("random LLaVA, 576 image tokens", ordinary(embedded), 3),
    ):
        times = in_turn(ways(vlm, stimulus), repeats)
        found += [
            Row(f"{SAMPLES} samples of {TOKENS} tokens, shared prefill ({name})", times["shared"]),
            Row(
                f"the same / {SAMPLES} runs from the start ({name})",
                ratios(times, "shared", "sequential"),
                "ratio",
            ),
            Row(f"the same / transformers' generate ({name})", ratios(times, "shared", "generate"), "ratio"),
        ]
    return found


if __name__ == "__main__":
    report(rows())
