"""Loading: the same model from disk, whatever the quantisation, and one clear error for each failure."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import numpy as np
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, Shown
from transformers import AutoProcessor

from isi_widget.attribution import measure_attention
from isi_widget.errors import InputError
from isi_widget.vlm import load_vlm, models, supported_families
from isi_widget.vlm.families import family_of
from isi_widget.vlm.loading import EMBEDDED

SHOWN = Shown(current_context="The star is red.", size=(90, 40))


@pytest.fixture(scope="module", params=["llava", "llava_next"])
def checkpoint(request, tmp_path_factory):
    """A folder as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp(request.param)
    model, processor = BUILDERS[request.param]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return request.param, folder


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A copy of it that a test may break."""
    return shutil.copytree(checkpoint[1], tmp_path / "model")


def test_a_folder_gives_the_model_that_was_saved(checkpoint):
    family, folder = checkpoint
    vlm, original = load_vlm(folder), tiny_models.vlm(family)
    assert vlm.family.model_type == family
    assert (vlm.dtype, vlm.device.type, vlm.is_embedded) == (torch.float32, "cpu", False)
    assert vlm.answer(SHOWN, 6) == original.answer(SHOWN, 6)
    assert not vlm.model.training
    info = vlm.info()
    assert info["parameters"] == sum(weight.numel() for weight in original.model.parameters())
    assert info["name"] == str(folder)
    json.dumps(info)


def test_dtype_is_as_asked(checkpoint):
    vlm = load_vlm(checkpoint[1], dtype="bfloat16")
    assert vlm.dtype == torch.bfloat16
    assert vlm.prefill(SHOWN).logits.dtype == torch.float32
    assert load_vlm(checkpoint[1], dtype=torch.float16).dtype == torch.float16


@pytest.mark.parametrize("broken", ["processor_config.json"])
def test_a_processor_is_built_from_its_parts(folder, broken):
    """Old checkpoints have a preprocessor_config.json and no processor_config.json."""
    record = json.loads((folder / broken).read_text())
    (folder / broken).unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps(record["image_processor"]))
    with pytest.raises((ValueError, TypeError, OSError, AttributeError)):
        AutoProcessor.from_pretrained(folder)(images=SHOWN.render(), text="<image>")
    vlm = load_vlm(folder)
    expected = tiny_models.vlm(vlm.family.model_type).encode(SHOWN)
    assert vlm.encode(SHOWN).token_counts()["image"] == expected.token_counts()["image"]


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantised_models_answer_and_are_measured(checkpoint, quantization):
    pytest.importorskip("bitsandbytes")
    vlm = load_vlm(checkpoint[1], quantization=quantization)
    plain = load_vlm(checkpoint[1])
    layer = vlm.family.layers(vlm.model)[0].self_attn.q_proj
    assert type(layer).__name__ == {"nf4": "Linear4bit", "int8": "Linear8bitLt"}[quantization]
    prefill = vlm.prefill(SHOWN)
    # Quantised, so near the original, but not equal to it.
    alike = torch.nn.functional.cosine_similarity(prefill.logits, plain.prefill(SHOWN).logits, dim=0)
    assert 0.9 < alike < 0.99999
    answer = vlm.answer(prefill, 5, attention=True)
    shares = measure_attention(vlm, prefill, answer)
    np.testing.assert_allclose(shares.mass.sum(-1), 1, atol=1e-5)
    assert len(vlm.sample(prefill, n=3, max_new_tokens=4)) == 3
    assert vlm.info()["parameters"] == plain.info()["parameters"]
    assert vlm.info()["quantization"] == quantization


def test_4_bit_layers_are_never_repacked(checkpoint):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    vlm = load_vlm(checkpoint[1], quantization="nf4")
    layers = [module for module in vlm.model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert layers and not any(layer.support_avx512bf16_for_cpu for layer in layers)
    before = layers[0].weight.data.clone()
    vlm.answer(SHOWN, 2)
    assert layers[0].weight.data.equal(before)


def test_missing_packages_are_named(checkpoint, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"needs bitsandbytes and accelerate.*pip install 'isi-widget\[quant\]'"
    ):
        load_vlm(checkpoint[1], quantization="nf4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "fp4"}, "choose None, 'int8' or 'nf4'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"dtype": torch.int8}, "dtype is torch.int8"),
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"name": ""}, "no model folder ''"),
        ({"name": "./not/there"}, "no model folder './not/there'"),
        ({"name": "/not/there"}, "no model folder"),
        ({"name": "C:\\models\\llava"}, "no model folder"),
        ({"name": "not a name"}, "neither an existing folder nor a valid hub name"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        load_vlm(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_missing_gpu_is_said_so():
    with pytest.raises(InputError, match="torch sees no CUDA device"):
        load_vlm(device="cuda")


def write(path, text):
    path.write_text(text)


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", json.dumps(config | changes))


BREAKS = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "broken config": (lambda f: write(f / "config.json", "{"), "is not valid JSON"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no safetensors weights"),
    "pickled weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "has pytorch_model.bin, which can run code",
    ),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]),
        "weights in .* cannot be loaded",
    ),
    "missing shard": (
        lambda f: write(f / "model.safetensors.index.json", '{"weight_map": {"a": "model-2.safetensors"}}'),
        "lacks model-2.safetensors",
    ),
    "text model": (lambda f: edit(f, model_type="llama"), "'llama' are not supported.*LLaVA-1.5.*LLaVA-NeXT"),
    "unknown model": (lambda f: edit(f, model_type="martian"), "'martian' are not supported.*LLaVA-1.5"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no usable processor"),
    "no processor": (lambda f: (f / "processor_config.json").unlink(), "no usable processor"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_broken_folders_are_one_clear_error(folder, what):
    breaks, message = BREAKS[what]
    breaks(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_vlm(folder)
    assert "\n" not in str(caught.value)


def test_missing_and_misshapen_weights_are_not_made_up(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    removed = next(name for name in weights if "q_proj" in name and "language" in name)
    del weights[removed]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks 1 weights"):
        load_vlm(folder)


def test_a_file_is_not_a_folder(folder):
    with pytest.raises(InputError, match="is a file"):
        load_vlm(folder / "config.json")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A local stand-in for the hub that answers with one status and error code, as the real one does."""

    class Answer(BaseHTTPRequestHandler):
        status, code = 404, ""

        def do_HEAD(self):
            self.send_response(self.status)
            self.send_header("X-Error-Code", self.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield Answer, server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "RepoNotFound", "There is no model 'owner/model' on the Hugging Face hub"),
        (404, "RepoNotFound", "There is no model 'owner/model'"),
        (403, "GatedRepo", "is gated: accept its terms"),
        (404, "RevisionNotFound", "has no revision 'v9'"),
        (404, "EntryNotFound", "has no config.json"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_error(hub, status, code, message):
    answer, _ = hub
    answer.status, answer.code = status, code
    with pytest.raises(InputError, match=message):
        load_vlm("owner/model", revision="v9")


def test_without_a_network_it_says_what_works(hub, monkeypatch):
    monkeypatch.setattr(
        "time.sleep", lambda seconds: None
    )  # huggingface_hub waits longer and longer between tries
    _, server = hub
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"cannot be reached.*works offline"):
        load_vlm("owner/model")


def test_what_families_derive():
    for name in ("llava", "llava_next"):
        vlm = tiny_models.vlm(name)
        family = family_of(vlm.model.config)
        assert len(family.layers(vlm.model)) == vlm.model.config.text_config.num_hidden_layers
        assert family.image_token_id(vlm.model) == vlm.processor.image_token_id


def test_known_checkpoints_belong_to_supported_families():
    known = models()
    assert {checkpoint.model_type for checkpoint in known} <= set(supported_families())
    assert len({checkpoint.name for checkpoint in known}) == len(known)
    for checkpoint in known:
        assert checkpoint.memory("nf4") < checkpoint.memory("int8") < checkpoint.memory()


@pytest.mark.skipif(not (EMBEDDED / "model.safetensors").is_file(), reason="not built yet")
class TestEmbedded:
    """The shipped model goes through the same door."""

    def test_it_is_the_default(self):
        vlm = load_vlm()
        assert vlm.is_embedded and vlm.model_id == "embedded"
        assert "scenes" in vlm.info()["note"]
        assert (vlm.device.type, vlm.dtype) == ("cpu", torch.float32)

    def test_prompt_and_segments(self):
        vlm = load_vlm()
        prompt = vlm.encode(Shown("Is there a star?", "The star is red.", (480, 480)))
        assert prompt.text == "<image>\nThe star is red.\nIs there a star?\nAnswer:"
        for name, text in {"context": "The star is red.", "question": "Is there a star?"}.items():
            assert vlm.tokenizer.decode(list(prompt.segment_token_ids(name))) == text
        assert prompt.token_counts()["image"] == 64 and prompt.straddling == 0
        assert vlm.encode(Shown("Is there a star?")).text == "<image>\nIs there a star?\nAnswer:"

    def test_it_loads_with_plain_transformers_to_the_same_answer(self):
        from transformers import AutoModelForImageTextToText

        vlm = load_vlm()
        shown = Shown("Is there a star?", size=(480, 480))
        model = AutoModelForImageTextToText.from_pretrained(EMBEDDED, dtype=torch.float32)
        processor = AutoProcessor.from_pretrained(EMBEDDED)
        inputs = processor(
            images=shown.render(), text="<image>\nIs there a star?\nAnswer:", return_tensors="pt"
        )
        ids = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        answer = vlm.answer(shown, max_new_tokens=24)
        assert [token for token in ids.tolist() if token not in vlm.eos_ids] == list(answer.token_ids)
