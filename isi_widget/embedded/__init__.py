"""The shipped tiny models: nothing but their folders.

Each holds safetensors, a tokenizer, configurations and a model card.
"""

from __future__ import annotations

from pathlib import Path

VLM = Path(__file__).parent / "vlm"
"""A `LlavaForConditionalGeneration` that knows the built-in scenes only, of shapes and of everyday things."""

ENTAILMENT = Path(__file__).parent / "entailment"
"""A `DebertaV2ForSequenceClassification` for answers: 0 contradiction, 1 neutral, 2 entailment."""
