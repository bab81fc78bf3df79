"""Tiny LLaVAs whose inside is known: weights set by hand, so that one chosen head (or two) makes the answer.

`LlavaForConditionalGeneration` of transformers as it is, with tokenizer and processor of the embedded model.
One image token, number `HERE` of the picture, knows whether its patch is more red than blue. By that alone
the answer is "Yes" or "No" (or one of two other words), for every picture. What carries it to the last token:

- "one_hop": head (2, 1) reads the token HERE at the last token.
- "two_hop": head (1, 2) reads HERE at "?", head (3, 1) reads "?" at the last token. The last token never
  looks at the image: the embedded model learned such a path, too.
- "twins": heads (2, 0) and (2, 3) both do what (2, 1) does in "one_hop". The final norm saturates: each alone
  suffices.
- "decoys": "two_hop", and every other head looks from the last token at another image token, THERE, each more
  than the one before. What they read is thrown away: by zeros in o_proj, in one head by two equal numbers
  that cancel. Attention from the last token to the image is high exactly where nothing is used.

How it is made. The residual stream has a channel for each fact (`_TEXT`); the rest of it is noise, which all
other heads and the MLPs read and write. The vision tower and the projector are linear maps up to a positive
factor: each signal x is held as (x, -x), so that LayerNorm finds the mean 0, and gelu(x) - gelu(-x) = x.
Heads match by the slowest rotary pairs, which do not turn within a prompt. Planted weights of a row are of
one size: 4-bit NF4 keeps them exactly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

import isi_widget as isi
from isi_widget import embedded
from isi_widget.vlm import VLM

LAYERS, HEADS, WIDTH = 4, 4, 64
DIM = WIDTH // HEADS
#: Numbers of the image tokens that carry the answer and that attract attention for nothing.
HERE, THERE = 27, 44
#: The heads that make the answer, in the order of the path.
CAUSAL = {
    "one_hop": ((2, 1),),
    "two_hop": ((1, 2), (3, 1)),
    "twins": ((2, 0), (2, 3)),
    "decoys": ((1, 2), (3, 1)),
}
KINDS = tuple(CAUSAL)
#: The head of "decoys" whose output cancels; those of all others are multiplied by zeros.
CANCELS = (2, 2)

#: Channels of the residual stream; those after the last are noise.
_TEXT = ("fact", "here", "there", "image", "ask", "carried", "last", "answer", "answered", "first")
_CHANNEL = {name: place for place, name in enumerate(_TEXT)}
_NOISE = range(16, WIDTH)
#: Signals of the vision tower: the first have a channel of their own, the rest go to the noise.
_SEEN = ("fact", "here", "there", "image")
#: Size of a flag in the residual stream, and of the noise beside it.
_FLAG, _GRAIN = 4.0, 0.1


@dataclass(frozen=True, eq=False)
class Planted:
    """One planted model, with pictures whose answer is known.

    Attributes
    ----------
    causal
        (layer, head) of the heads that make the answer, in the order of the path.
    answers
        The words for more red than blue, and for the opposite.
    """

    kind: str
    model: Any
    processor: Any
    answers: tuple[str, str]

    @property
    def causal(self) -> tuple[tuple[int, int], ...]:
        return CAUSAL[self.kind]

    @property
    def idle(self) -> tuple[tuple[int, int], ...]:
        """All other heads."""
        return tuple(place for place in np.ndindex(LAYERS, HEADS) if place not in self.causal)

    def vlm(self) -> VLM:
        return VLM(self.model, self.processor, model_id=f"planted-{self.kind}")

    def save(self, folder: Path) -> Path:
        """Write the checkpoint, for `isi.load_vlm`."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        return folder

    @property
    def question(self) -> str:
        return "Is this red?" if self.answers == ("Yes", "No") else "What is this?"

    def observation(self, right: bool, seed: int = 0, **more: Any) -> isi.Observation:
        """A noisy picture whose true answer is the first word (`right`) or the second."""
        answer = self.answers[0 if right else 1]
        return isi.Observation(picture(right, seed), self.question, answer=answer, **more)

    def observations(self, count: int = 4) -> list[isi.Observation]:
        """Alternating answers, each picture of its own."""
        return [self.observation(number % 2 == 0, number) for number in range(count)]

    def truth(self, image: Image.Image) -> str:
        """The answer by construction."""
        left, top, width, height = box(HERE)
        patch = np.asarray(image.convert("RGB"), dtype=float)[top : top + height, left : left + width]
        return self.answers[0 if patch[..., 0].mean() > patch[..., 2].mean() else 1]

    def token_id(self, word: str) -> int:
        """The single token of an answer, as it follows the prompt."""
        (token,) = self.processor.tokenizer.encode(" " + word, add_special_tokens=False)
        return int(token)


# Pictures ---------------------------------------------------------------------------------------------------


@cache
def _sizes() -> tuple[int, int]:
    """Side of the picture that the embedded processor makes, and of a patch, in pixels."""
    made = json.loads((embedded.VLM / "processor_config.json").read_text())
    return int(made["image_processor"]["size"]["height"]), int(made["patch_size"])


def box(token: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the patch of an image token, in pixels of `picture`."""
    side, patch = _sizes()
    row, column = divmod(token, side // patch)
    return column * patch, row * patch, patch, patch


def picture(right: bool, seed: int = 0) -> Image.Image:
    """Noise all over, with the patch HERE more red than blue (`right`) or the opposite."""
    side, _ = _sizes()
    drawn = np.random.default_rng(seed)
    pixels = drawn.integers(0, 256, (side, side, 3), dtype=np.uint8)
    left, top, width, height = box(HERE)
    colour = [225, 60, 30] if right else [30, 60, 225]
    grain = drawn.integers(-25, 26, (height, width, 3))
    pixels[top : top + height, left : left + width] = np.clip(np.array(colour) + grain, 0, 255)
    return Image.fromarray(pixels)


# Weights ----------------------------------------------------------------------------------------------------


@cache
def planted(kind: str = "one_hop", answers: tuple[str, str] = ("Yes", "No")) -> Planted:
    """A planted model, built once."""
    processor = AutoProcessor.from_pretrained(embedded.VLM)
    tokenizer, (side, patch) = processor.tokenizer, _sizes()
    torch.manual_seed(len(kind))
    model = LlavaForConditionalGeneration(_config(tokenizer, side, patch)).eval()
    made = Planted(kind, model, processor, answers)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.zero_() if "norm" not in name else weight.fill_(float(name.endswith("weight")))
        _plant_vision(model.model)
        _plant_words(made)
        for layer in model.model.language_model.layers:
            _plant_noise(layer)
        _plant_heads(made)
    for weight in model.parameters():
        weight.requires_grad_(False)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=tokenizer.eos_token_id)
    return made


def _config(tokenizer: Any, side: int, patch: int) -> LlavaConfig:
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=4,
            image_size=side,
            patch_size=patch,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=1024,
            # The last pairs of a head turn by less than 1e-4 within a prompt: they match by content alone.
            rope_parameters={"rope_type": "default", "rope_theta": 1e12},
            **ids,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // patch) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
        **ids,
    )


def _plant_vision(model: Any) -> None:
    """Let each image token hold its fact (red - blue of its patch), its flags and some noise.

    The single layer of the tower adds nothing: all its weights stay zero.
    """
    seeing = dict(model.vision_tower.named_modules())
    embeddings = next(part for name, part in seeing.items() if name.endswith("embeddings"))
    colours, places = embeddings.patch_embedding.weight, embeddings.position_embedding.weight
    pixels = colours.shape[-1] ** 2
    signals = WIDTH // 2
    colours[0::2, :, :, :] = _GRAIN * torch.randn(signals, 3, 1, 1) / pixels
    colours[0] = torch.tensor([1.0, 0.0, -1.0])[:, None, None] / pixels
    colours[2 : 2 * len(_SEEN)] = 0
    places[:, 0::2] = _GRAIN * torch.randn(len(places), signals)
    places[:, : 2 * len(_SEEN)] = 0
    # Place 0 is the class token, which LLaVA drops.
    places[1 + HERE, 2 * _SEEN.index("here")] = places[1 + THERE, 2 * _SEEN.index("there")] = _FLAG
    places[1:, 2 * _SEEN.index("image")] = _FLAG
    for weight in (colours, places.T):
        weight[1::2] = -weight[0::2]
    project = model.multi_modal_projector
    project.linear_1.weight.copy_(torch.eye(WIDTH))
    for signal in range(signals):
        channel = _CHANNEL[_SEEN[signal]] if signal < len(_SEEN) else _NOISE[signal]
        project.linear_2.weight[channel, 2 * signal] = 1
        project.linear_2.weight[channel, 2 * signal + 1] = -1


def _plant_words(made: Planted) -> None:
    """Flags of the words that the path needs; the un-embedding of the answers and of the end."""
    model, tokenizer = made.model, made.processor.tokenizer
    words, spoken = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    words[:, _NOISE.start :] = _GRAIN * torch.randn(len(words), len(_NOISE))
    spoken[:, _NOISE.start :] = _GRAIN * torch.randn(len(spoken), len(_NOISE))
    words[tokenizer.convert_tokens_to_ids("?"), _CHANNEL["ask"]] = _FLAG
    words[tokenizer.convert_tokens_to_ids(":"), _CHANNEL["last"]] = _FLAG
    words[tokenizer.bos_token_id, _CHANNEL["first"]] = _FLAG
    for word, sign in zip(made.answers, (1.0, -1.0), strict=True):
        token = made.token_id(word)
        words[token, _CHANNEL["answered"]] = _FLAG
        spoken[token] = 0  # no noise decides between the answers
        # Where the answer saturates the norm, the flag of the last token is small after it.
        spoken[token, _CHANNEL["last"]] = 24 if made.kind == "twins" else 1.6
        spoken[token, _CHANNEL["answer"]] = 0.65 * sign
    spoken[tokenizer.eos_token_id, _CHANNEL["answered"]] = 1.6


def _plant_noise(layer: Any) -> None:
    """All heads and the MLP read noise and write noise."""
    attention, mlp = layer.self_attn, layer.mlp
    free = slice(_NOISE.start, WIDTH)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[:, free] = _GRAIN * torch.randn(WIDTH, len(_NOISE))
    # Two numbers of each head, 0 and 1, are kept for facts.
    chosen = [row for row in range(WIDTH) if row % DIM > 1]
    attention.v_proj.weight[chosen, free] = _GRAIN * torch.randn(len(chosen), len(_NOISE))
    attention.o_proj.weight[free, chosen] = 0.4 * _GRAIN * torch.randn(len(_NOISE), len(chosen))
    mlp.gate_proj.weight[:, free] = _GRAIN * torch.randn(WIDTH, len(_NOISE))
    mlp.up_proj.weight[:, free] = _GRAIN * torch.randn(WIDTH, len(_NOISE))
    mlp.down_proj.weight[free] = 0.4 * _GRAIN * torch.randn(len(_NOISE), WIDTH)


def _plant_heads(made: Planted) -> None:
    if made.kind == "one_hop":
        _head(made, (2, 1), ("last", "here", 30), "fact", ("answer", 1.0))
    elif made.kind == "twins":
        for place in made.causal:
            _head(made, place, ("last", "here", 30), "fact", ("answer", 12.0))
    else:
        first, second = made.causal
        # Tokens other than "?" look at the first token, which knows nothing.
        _head(made, first, ("ask", "here", 30), "fact", ("carried", 1.0), ("last", "first", 30))
        _head(made, second, ("last", "ask", 30), "carried", ("answer", 1.0))
    if made.kind == "decoys":
        for rank, place in enumerate(made.idle):
            matches = ("last", "there", 3 + 0.8 * rank), ("last", "first", 7.0)
            _head(made, place, matches[0], "fact", None, matches[1])
            if place == CANCELS:
                output = made.model.model.language_model.layers[place[0]].self_attn.o_proj.weight
                output[_CHANNEL["answer"], place[1] * DIM] = 1.0
                output[_CHANNEL["answer"], place[1] * DIM + 1] = -1.0


def _head(
    made: Planted,
    place: tuple[int, int],
    match: tuple[str, str, float],
    reads: str,
    writes: tuple[str, float] | None,
    other: tuple[str, str, float] | None = None,
) -> None:
    """Let a head look from tokens with one flag at tokens with another, read a channel and write to one.

    Parameters
    ----------
    match, other
        Flag of the query, flag of the key, about the attention logit between them.
    writes
        Channel and factor; None: what it reads goes nowhere.
    """
    layer, head = place
    attention = made.model.model.language_model.layers[layer].self_attn
    rows = slice(head * DIM, (head + 1) * DIM)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[rows] = 0
    attention.o_proj.weight[:, rows] = 0
    # The slowest pairs of the rotary embedding: (7, 15), (6, 14).
    for pair, given in enumerate(item for item in (match, other) if item is not None):
        query, key, logit = given
        slow = rows.start + DIM // 2 - 1 - pair
        # A flag after the norm is about 7; the logit is divided by the root of the width.
        size = (logit * DIM**0.5) ** 0.5 / 7
        attention.q_proj.weight[slow, _CHANNEL[query]] = size
        attention.k_proj.weight[slow, _CHANNEL[key]] = size
    attention.v_proj.weight[rows.start : rows.start + 2, _CHANNEL[reads]] = 1
    if writes is not None:
        channel, factor = writes
        attention.o_proj.weight[_CHANNEL[channel], rows.start : rows.start + 2] = factor / 2
