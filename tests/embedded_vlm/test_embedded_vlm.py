"""The shipped model: it is small, plain transformers load it, it answers, it looks at the picture, and its
card is true to it.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from isi_widget.datasets.scenes.splits import cases
from isi_widget.embedded import VLM
from isi_widget.training.vlm import card
from isi_widget.training.vlm.build import prompt
from isi_widget.training.vlm.evaluate import CONDITIONS, Model, meaning, wanted

BY_NAME = {condition.name: condition for condition in CONDITIONS}


@pytest.fixture(scope="module")
def model():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Model(VLM)
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sample():
    """A fixed part of the validation split: every kind equally often."""
    return list(itertools.islice(cases("validation"), 240))


@pytest.fixture(scope="module")
def few(sample):
    """Its first half, for what makes a large difference."""
    return sample[:120]


@pytest.fixture(scope="module")
def empty(model, sample):
    """Whether each answer is right without a context."""
    return right(model, sample, BY_NAME["empty"])


def share(model, sample, condition):
    return float(np.mean(right(model, sample, condition)))


def right(model, sample, condition):
    found = []
    for start in range(0, len(sample), 60):
        part = sample[start : start + 60]
        found += [
            meaning(c.item.ask, t) == wanted(c)
            for c, t in zip(part, model.greedy(part, condition), strict=True)
        ]
    return found


def test_files_and_size():
    names = {file.name for file in VLM.iterdir()}
    needed = {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "README.md",
    }
    assert needed <= names and not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    assert sum(file.stat().st_size for file in VLM.iterdir()) <= 14_000_000
    config = json.loads((VLM / "config.json").read_text())
    assert config["model_type"] == "llava" and "auto_map" not in config


def test_weights_are_half_precision_and_finite():
    from safetensors.torch import load_file

    tensors = load_file(VLM / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert not any(
        "head" in name and "lm_head" not in name for name in tensors
    )  # the training heads are gone


def test_answers_the_validation_sample(empty):
    assert np.mean(empty) >= 0.95


def test_blank_picture_gives_chance(model, few):
    polar = [case for case in few if case.item.yes is not None]
    assert 0.35 < share(model, polar, BY_NAME["blank"]) < 0.65
    assert share(model, [case for case in few if case.item.yes is None], BY_NAME["blank"]) < 0.35


def test_it_looks_at_the_picture(model, sample):
    """The same questions over the mirrored picture: left and right change places, above and below do not."""
    relations = [case for case in sample if case.item.kind == "relation"]
    mirrored = replace(
        BY_NAME["empty"], picture=lambda case: case.picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    )
    plain = model.greedy(relations, BY_NAME["empty"])
    turned = model.greedy(relations, mirrored)
    for axis, same in ((("left of", "right of"), False), (("above", "below"), True)):
        pairs = [
            meaning(c.item.ask, a) == meaning(c.item.ask, b)
            for c, a, b in zip(relations, plain, turned, strict=True)
            if c.item.truth.value in axis
        ]
        assert np.mean(pairs) > 0.9 if same else np.mean(pairs) < 0.1


def test_noise_and_false_contexts_make_it_worse(model, few, empty):
    plain = np.mean(empty[: len(few)])
    assert share(model, few, BY_NAME["noise 0.6"]) < plain - 0.1
    assert share(model, few, BY_NAME["contradictory"]) < plain - 0.03
    assert share(model, few, BY_NAME["complementary"]) >= plain - 0.02


def test_the_template_is_the_prompt(model):
    def content(*texts):
        return [
            {
                "role": "user",
                "content": [{"type": "image"}, *({"type": "text", "text": text} for text in texts)],
            }
        ]

    for context in ("", "There is a star."):
        given = model.processor.apply_chat_template(
            content(context, "Is there a star?"), add_generation_prompt=True
        )
        assert given == prompt(context, "Is there a star?")


def test_empty_context_costs_no_token(model):
    picture = Image.new("RGB", (480, 480))
    ids = model.processor(images=picture, text=prompt("", "Is there a star?"), return_tensors="pt")[
        "input_ids"
    ][0]
    image = model.net.config.image_token_index
    assert (ids == image).sum() == 144
    rest = model.processor.decode(ids[ids != image])
    assert rest == "<s>\nIs there a star?\nAnswer:"


def test_card_is_written_from_the_measured_numbers():
    found = json.loads((VLM / "evaluation.json").read_text())
    assert (VLM / "README.md").read_text() == card.write(found, VLM)
    assert found["split"] == "test" and found["questions"] == 2000
