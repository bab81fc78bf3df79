"""The parts of the tiny LLaVA: tokenizer, image processor, processor, configuration. Untrained: see `loop`
for its training.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from isi_widget.training.vlm.tokens import BOS, EOS, IMAGE, PAD, families, shared_tokenizer

SIDE, PATCH = 192, 16  # labels can be read at 192 pixels; patches of 16 keep the picture at 144 tokens
GRID = SIDE // PATCH
PATCHES = GRID * GRID
SEEING, SEEING_LAYERS, SEEING_HEADS = 256, 4, 4  # vision tower: width, layers, heads
WIDTH, LAYERS, HEADS = 192, 4, 6  # decoder

# An empty context adds no token. The user's part is the image, the context and the question; the rest is
# template.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' and part['text'] %}"
    "{{ '\n' + part['text'] }}{% endif %}{% endfor %}"
    "{% else %}{{ '\nAnswer: ' + message['content'][0]['text'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\nAnswer:' }}{% endif %}"
)


def prompt(context: str, question: str) -> str:
    """Return the text of a prompt; the processor expands `<image>`."""
    return IMAGE + (f"\n{context}" if context else "") + f"\n{question}\nAnswer:"


def image_processor() -> CLIPImageProcessorPil:
    """Return the image processor: resizes the whole picture to 192 x 192, nearest pixel.

    Nearest pixel instead of averaging: averaging two or three pixels each way would remove most Gaussian
    noise before the model sees it, so sigma would have a different effect on people and on the model.
    """
    return CLIPImageProcessorPil(
        do_resize=True,
        size={"height": SIDE, "width": SIDE},
        resample=0,
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        do_convert_rgb=True,
    )


def processor(tokenizer: PreTrainedTokenizerFast | None = None) -> LlavaProcessor:
    """Return the processor: image processor and tokenizer with the chat template."""
    return LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=tokenizer or shared_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,  # the class token, which "default" drops again
    )


def config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """Return the configuration of the vision-language model, about 5 million parameters."""
    ids = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in (("bos", BOS), ("eos", EOS), ("pad", PAD))
    }
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=SEEING,
            intermediate_size=3 * SEEING,
            num_hidden_layers=SEEING_LAYERS,
            num_attention_heads=SEEING_HEADS,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=SEEING,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=512,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=ids["bos"],
            eos_token_id=ids["eos"],
            pad_token_id=ids["pad"],
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["pad"],
    )


def model(seed: int, tokenizer: PreTrainedTokenizerFast | None = None) -> LlavaForConditionalGeneration:
    """Return an untrained model, float32."""
    tokenizer = tokenizer or shared_tokenizer()
    torch.manual_seed(seed)
    built = LlavaForConditionalGeneration(config(tokenizer))
    _share_forms(built.model.language_model.embed_tokens.weight)
    text = built.config.text_config
    built.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=24,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    )
    return built


def _share_forms(table: torch.Tensor) -> None:
    """Start the forms of a word ("dog", " Dog", " DOG") from nearly the same embedding."""
    with torch.no_grad():
        for ids in families():
            table[list(ids)] = table[ids[0]] + 0.25 * table[list(ids)]


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 [B, H, W, 3] at 192 x 192 to the image processor's output, float [B, 3, H, W]."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def save(trained: Any, folder: str) -> None:
    """Write the model (fp16 safetensors) and the processor in the format of transformers."""
    half = LlavaForConditionalGeneration(trained.config)
    half.load_state_dict(trained.state_dict())
    half.generation_config = trained.generation_config
    half.half().save_pretrained(folder)
    processor(shared_tokenizer()).save_pretrained(folder)
