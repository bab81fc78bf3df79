"""SmolVLM and SmolVLM2 (256M, 500M, 2.2B): Idefics3's design with smaller parts.

    SmolVLMForConditionalGeneration
    |-- model: SmolVLMModel
    |   |-- vision_model: SmolVLMVisionTransformer    pixel_values [1, tiles + 1, 3, H, W],
    |   |                                             pixel_attention_mask [1, tiles + 1, H, W]
    |   |-- connector                                 pixel shuffle, linear -> [tiles + 1, tokens, hidden]
    |   `-- text_model: LlamaModel
    |       `-- layers[i].self_attn: q_proj, k_proj, v_proj, o_proj
    `-- lm_head

Its own processor wants num2words and a video processor; Idefics3's writes the same text for an image.
"""

from __future__ import annotations

from isi_widget.vlm.families.idefics3 import Idefics3
from isi_widget.vlm.families.registry import register_family


@register_family("smolvlm")
class SmolVLM(Idefics3):
    """SmolVLM: "<|im_start|>User:<image>...<end_of_utterance>\nAssistant:"."""

    title = "SmolVLM"
