"""The logit lens: against the model's own logits and plain hooks, on every family's tiny build."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import tiny_models
import torch

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.mechanism.lens import STREAMS, LogitLens
from isi_widget.vlm.inside import sites
from isi_widget.vlm.inside.hooks import hooked

QUICK = ("llava", "gemma3", "qwen3_vl", "paligemma2")
families = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in tiny_models.BUILDERS],
)


def stimulus(seed=0, answer=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return isi.Observation(pixels, "Is there a red star?", "There was a box.", answer=answer).stimulus()


SHOWN = stimulus()


@families
def test_the_last_layer_gives_the_logits_of_the_model(name):
    vlm = tiny_models.vlm(name)
    found = isi.logit_lens(vlm, SHOWN, streams=STREAMS, top=4)
    logs = vlm.prefill(SHOWN).logits.log_softmax(-1)
    top = logs.topk(4)
    assert found.ids[0, -1, -1].tolist() == top.indices.tolist()
    assert found.probabilities[0, -1, -1] == pytest.approx(top.values.exp().numpy(), abs=1e-6)
    assert found.entropy[0, -1, -1] == pytest.approx(-float((logs.exp() * logs).sum()), abs=1e-4)
    assert found.answer.words[-1][0][0] == found.words[0]
    assert found.probability(found.words[0])[-1, -1] == pytest.approx(float(top.values[0].exp()), abs=1e-6)
    assert found.positions == (*vlm.encode(SHOWN).indices("image"), len(vlm.encode(SHOWN)) - 1)


@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen3_vl"])
def test_the_streams_are_those_of_plain_hooks(name):
    """The residual stream is its input, plus attention, plus MLP; norms after them included."""
    vlm = tiny_models.vlm(name)
    parts, seen = sites(vlm.model, vlm.family), {}

    def keep(key):
        def hook(_, states):
            seen[key] = (states[0] if isinstance(states, tuple) else states).clone()

        return hook

    normed = name == "gemma3"
    hooks = []
    for at, layer in enumerate(parts.layers):
        attention = layer.post_attention_layernorm if normed else layer.self_attn
        mlp = layer.post_feedforward_layernorm if normed else layer.mlp
        hooks += [(layer, "input", keep(("in", at))), (attention, "output", keep(("attention", at)))]
        hooks += [(mlp, "output", keep(("mlp", at))), (layer, "output", keep(("out", at)))]
    with hooked(*hooks, (parts.norm, "input", keep(("in", len(parts.layers))))):
        vlm.prefill(SHOWN)
    found = isi.logit_lens(vlm, SHOWN, streams=STREAMS, tokens="all", top=3)
    for at in range(len(parts.layers)):
        states = {
            "residual": seen["in", at + 1],
            "middle": seen["in", at] + seen["attention", at],
            "attention": seen["attention", at],
            "mlp": seen["mlp", at],
        }
        for row, stream in enumerate(found.streams):
            with torch.no_grad():
                logits = parts.unembedding(parts.norm(states[stream]))[0].float()
            if cap := getattr(vlm.model.config.text_config, "final_logit_softcapping", None):
                logits = torch.tanh(logits / cap) * cap
            probabilities = logits.softmax(-1)
            expected = probabilities.gather(1, torch.from_numpy(found.ids[row, at].copy()).long())
            assert np.abs(found.probabilities[row, at] - expected.numpy()).max() < 1e-4
            assert found.probabilities[row, at][:, 0] == pytest.approx(
                probabilities.max(-1).values.numpy(), abs=1e-4
            )


def test_image_tokens_are_found_by_their_place():
    vlm = tiny_models.vlm()
    found = isi.logit_lens(vlm, SHOWN)
    boxes, image = vlm.token_boxes(SHOWN), vlm.encode(SHOWN).indices("image")
    for box, position in zip(boxes, image, strict=True):
        at = found.at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        assert at.position == position and at.box == pytest.approx(tuple(box)) and len(at.words) == 3
    with pytest.raises(InputError, match="No measured image token lies at"):
        found.at(-5, 3)
    text = isi.logit_lens(vlm, SHOWN, tokens="question")
    assert text.tokens[0].strip() == "Is" and np.isnan(text.boxes).all()
    with pytest.raises(InputError, match="No measured image token"):
        text.at(10, 10)
    blip = isi.logit_lens(tiny_models.vlm("instructblip"), SHOWN)
    with pytest.raises(InputError, match="is not known"):
        blip.at(10, 10)


def test_of_tiles_the_smallest_is_taken():
    vlm = tiny_models.vlm("llava_next")
    found = isi.logit_lens(vlm, SHOWN)
    boxes = vlm.token_boxes(SHOWN)
    x, y = 20.0, 12.0
    inside = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
    areas = np.where(inside, (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.inf)
    assert inside.sum() > 1
    assert found.at(x, y).position == vlm.encode(SHOWN).indices("image")[int(areas.argmin())]


def test_the_heat_of_a_word_lies_where_its_tokens_lie():
    vlm = tiny_models.vlm()
    found = isi.logit_lens(vlm, SHOWN, words=["star"])
    heat = found.heat("star", 1)
    assert heat.shape == (40, 50)
    for box, value in zip(found.boxes[:-1], found.probability("star")[1][:-1], strict=True):
        x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
        assert heat[y, x] == pytest.approx(float(value), rel=1e-5)
    found.plot("star", layer=1)
    with pytest.raises(InputError, match=r"words=\['box'\]"):
        found.heat("box", 1)
    with pytest.raises(InputError, match="expected 0 to 2"):
        found.heat("star", 3)


def test_interventions_are_seen():
    vlm = tiny_models.vlm()
    patched = vlm.intervene(isi.ActivationPatch("residual", 1, "all", stimulus(1)))
    one, other = isi.logit_lens(patched, SHOWN), isi.logit_lens(vlm, stimulus(1))
    assert np.abs(one.probabilities[0, 1:] - other.probabilities[0, 1:]).max() < 1e-5
    assert np.abs(one.probabilities[0, 0] - other.probabilities[0, 0]).max() > 1e-4


def test_the_embedded_model_decides_in_its_layers():
    scene = isi.datasets.scenes()[3]
    found = isi.logit_lens(isi.load_vlm(), scene)
    own = isi.load_vlm().answer(scene.stimulus())
    assert found.answer.words[-1][0][0].strip() == own.tokens[0].strip()
    assert found.answer.words[-1][0][1] == pytest.approx(np.exp(own.logprobs[0]), abs=1e-4)
    assert f"after layer {found.layers - 1}: {found.words[0]!r}" in str(found)
    named = isi.logit_lens(isi.load_vlm(), scene, words=["blue"])
    values = ", ".join(f"{value:.2f}" for value in named.probability("blue")[:, -1])
    assert f"'blue' after layers 0 to {named.layers - 1}: {values}" in str(named)
    assert "<table" in found._repr_html_()


def test_views_and_record(tmp_path):
    found = isi.logit_lens(tiny_models.vlm(), SHOWN, streams=("residual", "mlp"), words="box")
    again = LogitLens.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found and hash(again) == hash(found) and pickle.loads(pickle.dumps(found)) == found
    assert again.token(-1, "mlp") == found.token(-1, "mlp") and str(again) == str(found)
    frame = found.to_frame("mlp")
    assert len(frame) == found.ids[0].size and set(frame["layer"]) == {0, 1, 2}
    best = frame[(frame["position"] == found.positions[-1]) & (frame["rank"] == 0)]
    assert best["word"].tolist() == [words[0][0] for words in found.token(-1, "mlp").words]
    found.plot().savefig(tmp_path / "lens.png")
    with pytest.raises(InputError, match="lacks"):
        LogitLens.from_dict({})
    with pytest.raises(InputError, match="do not belong together"):
        dataclasses.replace(found, words=())
    with pytest.raises(ValueError, match="read-only"):
        found.entropy[0] = 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"streams": "head"}, "residual, middle, attention, mlp"),
        ({"streams": ()}, "is empty"),
        ({"top": 0}, "top"),
        ({"tokens": "sky"}, "tokens"),
    ],
)
def test_wrong_values_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        isi.logit_lens(tiny_models.vlm(), SHOWN, **arguments)


def test_a_layer_without_a_middle_is_refused():
    vlm = tiny_models.vlm("aya_vision")  # attention and MLP side by side
    assert isi.logit_lens(vlm, SHOWN).layers == 3
    with pytest.raises(InputError, match="no norm between attention and MLP"):
        isi.logit_lens(vlm, SHOWN, streams="middle")


def test_progress_and_cancel():
    seen = []
    isi.logit_lens(tiny_models.vlm(), SHOWN, progress=lambda *step: seen.append(step))
    assert seen == [("layers", done, 3) for done in range(4)]
    with pytest.raises(Cancelled):
        isi.logit_lens(tiny_models.vlm(), SHOWN, cancel=lambda: True)


def test_the_picture_with_its_lens_over_it(tmp_path):
    from PIL import Image

    vlm = isi.load_vlm()
    shown = isi.datasets.scenes()[3].stimulus()
    lens = isi.logit_lens(vlm, shown, words=["green"])
    over = lens.overlay("green", layer=2)
    assert over.mode == "RGB" and over.size == shown.render().size
    heat = np.nan_to_num(lens.heat("green", 2))
    warm, cold = (np.unravel_index(where, heat.shape) for where in (heat.argmax(), heat.argmin()))
    change = np.abs(np.asarray(over, float) - np.asarray(shown.render(), float)).sum(axis=-1)
    assert change[warm] > change[cold]
    words = lens.overlay(layer=2)
    assert words.mode == "RGB" and min(words.size) >= 1200
    figure = lens.plot(words=True, layer=2)
    placed = [place for place in range(len(lens.positions)) if not np.isnan(lens.boxes[place]).any()]
    texts = [text.get_text().rstrip("…") for text in figure.get_axes()[0].texts]
    assert len(texts) == len(placed)
    for text, place in zip(texts, placed, strict=True):
        assert lens.vocabulary[int(lens.ids[0, 2, place, 0])].strip().startswith(text) or text == "␣"
    for ending in ("png", "svg", "pdf"):
        path = isi.save_figure(lens, tmp_path / f"a.{ending}", width="column", dpi=60, words=True, layer=2)
        assert path.exists()
    assert Image.open(tmp_path / "a.png").width == pytest.approx(201, abs=1)
    with pytest.raises(InputError, match="was not kept"):
        lens.overlay("nothing")
    with pytest.raises(InputError, match="opacity"):
        lens.overlay("green", opacity=2)
    with pytest.raises(InputError, match="no image tokens with a place"):
        isi.logit_lens(vlm, shown, tokens="last").overlay()
