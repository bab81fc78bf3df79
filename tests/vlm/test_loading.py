"""Loading: the same model from disk, whatever the quantisation, and one clear error for each failure."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, Shown
from transformers import AutoProcessor
from transformers.utils import logging

from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.pretrained import hub as isi_hub
from isi_widget.vlm import load_vlm
from isi_widget.vlm.families import family_of
from isi_widget.vlm.loading.load import EMBEDDED

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


def test_a_processor_is_built_from_its_parts(folder):
    """Old checkpoints have a preprocessor_config.json and no processor_config.json."""
    record = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    write(folder / "preprocessor_config.json", json.dumps(record["image_processor"]))
    with pytest.raises((ValueError, TypeError, OSError, AttributeError)):
        AutoProcessor.from_pretrained(folder)(images=SHOWN.render(), text="<image>")
    vlm = load_vlm(folder)
    expected = tiny_models.vlm(vlm.family.model_type).encode(SHOWN)
    assert vlm.encode(SHOWN).token_counts()["image"] == expected.token_counts()["image"]


@pytest.mark.parametrize("name", ["qwen2_vl", "internvl"])
def test_the_processors_own_template_is_used_where_the_processor_is_built_from_its_parts(name, tmp_path):
    """Older checkpoints have it in chat_template.json, which tokenizers do not read."""
    model, processor = BUILDERS[name]()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    expected = load_vlm(tmp_path).encode(SHOWN)
    template = (tmp_path / "chat_template.jinja").read_text()
    (tmp_path / "chat_template.jinja").unlink()
    write(tmp_path / "chat_template.json", json.dumps({"chat_template": template}))
    assert load_vlm(tmp_path).encode(SHOWN).text == expected.text
    # A template for text alone, of the language model that it was made from.
    for_text = "{% for message in messages %}Q: {{ message['content'] }}{% endfor %}A:"
    record = json.loads((tmp_path / "tokenizer_config.json").read_text())
    write(tmp_path / "tokenizer_config.json", json.dumps(record | {"chat_template": for_text}))
    assert load_vlm(tmp_path).encode(SHOWN).text == expected.text


def test_a_template_is_not_guessed_where_a_family_has_several(folder):
    (folder / "chat_template.jinja").unlink()
    if json.loads((folder / "config.json").read_text())["model_type"] == "llava":  # there is one only
        assert load_vlm(folder).encode(SHOWN).text.startswith("USER: <image>")
    else:
        with pytest.raises(InputError, match="has no chat template"):
            load_vlm(folder)


def test_a_package_that_a_processor_needs_is_named(tmp_path, monkeypatch):
    def needs(self, *parts):
        raise ImportError("\nProcessor requires the Torchvision library but it was not found.\nMore.")

    model, processor = BUILDERS["qwen2_vl"]()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    monkeypatch.setattr(type(family_of(model.config)), "make_processor", needs)
    with pytest.raises(InputError, match=r"requires the Torchvision library.* Install what is missing\.$"):
        load_vlm(tmp_path)


def test_missing_packages_are_named(checkpoint, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"needs bitsandbytes and accelerate.*pip install 'isi-widget\[quant\]'"
    ):
        load_vlm(checkpoint[1], quantization="nf4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "fp4"}, "choose None, 'int8', 'nf4' or 'nf4-double'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"dtype": torch.int8}, "dtype is torch.int8"),
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"device": "meta"}, "Unknown device 'meta'"),
        ({"device": None}, "Unknown device 'None'"),
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
    "broken generation config": (lambda f: write(f / "generation_config.json", "{"), "is not valid JSON"),
    "config of another shape": (lambda f: edit(f, text_config="x"), "configuration of .* cannot be read"),
    "missing package": (
        lambda f: edit(f, quantization_config={"quant_method": "gptq", "bits": 4}),
        "requires .* Install what is missing",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no safetensors weights"),
    "pickled weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "has pytorch_model.bin, which can run code",
    ),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]),
        "weights of .* cannot be loaded",
    ),
    "short weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        "weights of .* cannot be loaded",
    ),
    "index of another shape": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            write(f / "model.safetensors.index.json", '{"weight_map": ["model.safetensors"]}'),
        ),
        "does not say which file holds which weight",
    ),
    "empty index": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            write(f / "model.safetensors.index.json", '{"weight_map": {}}'),
        ),
        "lacks every file of its index",
    ),
    "broken index": (
        lambda f: ((f / "model.safetensors").unlink(), write(f / "model.safetensors.index.json", "[")),
        "index.json' is not valid JSON",
    ),
    "config without an object": (lambda f: write(f / "config.json", "[]"), "it holds list, not an object"),
    "code of its own": (
        lambda f: edit(f, model_type="martian", auto_map={"AutoConfig": "configuration_martian.Martian"}),
        "comes with code of its own.*trust_remote_code=True",
    ),
    "missing shard": (
        lambda f: (
            (f / "model.safetensors").unlink(),
            write(f / "model.safetensors.index.json", '{"weight_map": {"a": "model-2.safetensors"}}'),
        ),
        "lacks model-2.safetensors",
    ),
    "other task": (lambda f: edit(f, model_type="bert"), "'bert' are not supported.*LLaVA-1.5.*LLaVA-NeXT"),
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


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Answers(BaseHTTPRequestHandler):
    """Answers as the hub does: with one error, or with the files of a folder."""

    status, code = 200, ""
    folder: Path | None = None
    #: Called with the name of a file when half of it has been sent.
    halfway = staticmethod(lambda name: None)

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        body, status = b"", self.status
        name = self.path.partition("/resolve/")[2].partition("/")[2]  # after the revision
        if status == 200 and self.path.startswith("/api/models/"):
            body = json.dumps(self.listing()).encode()
        elif status == 200 and name and (self.folder / name).is_file():
            body = (self.folder / name).read_bytes()
        elif status == 200:
            status = 404
        self.send_response(status)
        if self.code:
            self.send_header("X-Error-Code", self.code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.halfway(name)
            self.wfile.write(body[len(body) // 2 :])

    def listing(self):
        files = [
            {"rfilename": path.name, "size": path.stat().st_size}
            for path in self.folder.iterdir()
            if path.is_file()
        ]
        return {"id": "owner/model", "sha": COMMIT, "siblings": files}

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A local stand-in for the hub: (how it answers, its server)."""
    answers = type("Answer", (Answers,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield answers, server
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


def closed(server):
    server.shutdown()
    server.server_close()


def test_without_a_network_it_says_at_once_what_works(hub, monkeypatch):
    def wait(seconds):
        raise AssertionError(f"waits for {seconds} s before it tries again")

    monkeypatch.setattr("time.sleep", wait)  # huggingface_hub waits 23 seconds in all
    closed(hub[1])
    with pytest.raises(InputError, match=r"cannot be reached.*works offline"):
        load_vlm("owner/model")


def test_a_hub_that_never_answers_is_given_up(monkeypatch):
    """A network that swallows everything: the connection stands, nothing comes back."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(
            huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_HUB_ETAG_TIMEOUT", raising=False)
        assert isi_hub.PATIENCE <= 5
        monkeypatch.setattr(isi_hub, "PATIENCE", 0.2)
        with pytest.raises(InputError, match=r"cannot be reached.*HF_HUB_ETAG_TIMEOUT"):
            load_vlm("owner/model")


def test_an_adapter_of_the_hub_is_recorded_with_its_commit(hub, checkpoint, tmp_path):
    peft = pytest.importorskip("peft")
    answers, _ = hub
    model, _ = BUILDERS[checkpoint[0]]()
    settings = peft.LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
    peft.get_peft_model(model, settings).save_pretrained(tmp_path / "adapter")
    answers.folder = tmp_path / "adapter"
    vlm = load_vlm(checkpoint[1], adapter="owner/model@main")
    assert vlm.info()["adapter"] == f"owner/model@{COMMIT}"
    again = load_vlm(checkpoint[1], adapter=vlm.info()["adapter"])
    assert again.info()["fingerprint"] == vlm.info()["fingerprint"]
    (answers.folder / "adapter_model.safetensors").rename(answers.folder / "adapter_model.bin")
    with pytest.raises(InputError, match=r"has adapter_model\.bin, a pickle"):
        load_vlm(checkpoint[1], adapter="owner/model@other")


def test_a_checkpoint_of_the_hub_is_fetched_once_and_then_works_offline(hub, checkpoint):
    answers, server = hub
    answers.folder = checkpoint[1]
    told = []
    vlm = load_vlm("owner/model", progress=lambda fraction, text: told.append((fraction, text)))
    assert vlm.answer(SHOWN, 4) == tiny_models.vlm(checkpoint[0]).answer(SHOWN, 4)
    assert (vlm.model_id, vlm.revision) == ("owner/model", COMMIT)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert any("downloading owner/model" in text for _, text in told)
    assert any("reading the weights" in text for _, text in told)
    assert min(fraction for fraction, text in told if "reading" in text) >= 0.8
    closed(server)
    again = load_vlm("owner/model")
    assert again.revision == COMMIT and again.answer(SHOWN, 4) == vlm.answer(SHOWN, 4)


def test_a_download_can_be_cancelled_within_a_file(hub, checkpoint, monkeypatch, tmp_path):
    answers, _ = hub
    answers.folder = checkpoint[1]
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    half, go_on = threading.Event(), threading.Event()

    def stop_at_the_weights(name):
        if name == "model.safetensors":
            half.set()
            go_on.wait(120)

    answers.halfway = staticmethod(stop_at_the_weights)

    def cancel():
        if half.is_set():
            threading.Timer(0.3, go_on.set).start()  # after the download has been told to stop
        return half.is_set()

    with pytest.raises(Cancelled, match="Downloading owner/model was cancelled"):
        load_vlm("owner/model", cancel=cancel)
    snapshot = next((tmp_path / "cache").glob("*/snapshots/*"))
    assert (snapshot / "config.json").is_file() and not (snapshot / "model.safetensors").exists()


def test_pickled_weights_are_read_only_if_asked_for(folder):
    from safetensors.torch import load_file

    expected = load_vlm(folder).answer(SHOWN, 4)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has pytorch_model.bin, which can run code.*allow_pickle=True"):
        load_vlm(folder)
    assert load_vlm(folder, allow_pickle=True).answer(SHOWN, 4) == expected


def allocated():
    """Bytes of all tensors that live in this process."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_a_cancelled_load_leaves_nothing_allocated(checkpoint, quantization):
    if quantization is not None:
        pytest.importorskip("bitsandbytes")
    load_vlm(checkpoint[1], quantization=quantization)  # libraries and their caches
    before, steps = allocated(), []

    def progress(fraction, text):
        steps.append(fraction)

    with pytest.raises(Cancelled) as caught:
        load_vlm(
            checkpoint[1],
            quantization=quantization,
            progress=progress,
            cancel=lambda: len(steps) > 10,
        )
    assert 0 < steps[-1] < 1
    assert allocated() == before, caught.value
    assert logging.set_tqdm_hook(None) is None  # nobody listens any more
    load_vlm(checkpoint[1], quantization=quantization)


def test_releases_of_transformers_that_do_not_tell_their_progress(checkpoint, monkeypatch):
    monkeypatch.delattr(logging, "set_tqdm_hook")
    told = []
    load_vlm(checkpoint[1], progress=lambda fraction, text: told.append(fraction), cancel=lambda: False)
    assert told == [1]


def test_a_failed_load_leaves_nothing_allocated(folder):
    before = allocated()
    edit(folder, vision_feature_layer=-1)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError) as caught:
        load_vlm(folder)
    assert allocated() == before, caught.value


def test_out_of_memory_while_loading_is_one_error(checkpoint, monkeypatch):
    def forbid(*args, **kwargs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: ...")

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", forbid)
    with pytest.raises(OutOfMemory, match=r"while loading .*quantization='nf4'.*isi.models"):
        load_vlm(checkpoint[1])


def test_what_it_was_loaded_with_loads_it_again(checkpoint):
    vlm = load_vlm(checkpoint[1], dtype="bfloat16")
    again = load_vlm(**vlm.loaded_with)
    assert again.answer(SHOWN, 4) == vlm.answer(SHOWN, 4)


def test_what_families_derive():
    for name in ("llava", "llava_next"):
        vlm = tiny_models.vlm(name)
        family = family_of(vlm.model.config)
        assert len(family.layers(vlm.model)) == vlm.model.config.text_config.num_hidden_layers
        assert family.image_token_id(vlm.model) == vlm.processor.image_token_id


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
        assert prompt.token_counts()["image"] == 144 and prompt.straddling == 0
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
