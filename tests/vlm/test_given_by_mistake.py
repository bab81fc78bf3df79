"""What people give in place of a vision-language model is named for what it is. The kind: errors that name
the wrong cause.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_models

from isi_widget.errors import InputError
from isi_widget.vlm import load_vlm
from isi_widget.vlm.loading.elsewhere import about_type

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1234\n"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "llava"
    model, processor = tiny_models.BUILDERS["llava"]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def edited(folder: Path, *parts: str, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    inside = config
    for part in parts:
        inside = inside[part]
    inside.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def emptied(folder: Path, *files: str) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("{}")


CASES = {
    "llama.cpp": (lambda f: emptied(f, "llava-Q4.gguf"), r"llama\.cpp.*isi\.connect"),
    "ONNX": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "onnx").mkdir(), (f / "onnx/a.onnx").touch()),
        "ONNX Runtime",
    ),
    "diffusers": (lambda f: emptied(f, "model_index.json"), "pipeline of diffusers"),
    "folder above a checkpoint": (lambda f: emptied(f, "checkpoint-9/config.json"), "checkpoint-9' has"),
    "folder of the hub's cache": (lambda f: emptied(f, "snapshots/abc/config.json"), "abc' has: give that"),
    "training state": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "optimizer.pt").touch()),
        "state of a training run only",
    ),
    "DeepSpeed": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "zero_to_fp32.py").touch()),
        "DeepSpeed in parts",
    ),
    "text alone": (
        lambda f: (f / "config.json").write_text(
            json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
        ),
        "language model alone",
    ),
    "vision alone": (
        lambda f: (f / "config.json").write_text(json.dumps({"model_type": "clip_vision_model"})),
        "vision side alone",
    ),
    "newer": (
        lambda f: edited(f, model_type="qwen9_vl", transformers_version="99.0.0"),
        r"saved by transformers 99\.0\.0. Upgrade",
    ),
    "pointer for weights": (lambda f: (f / "model.safetensors").write_text(LFS), "git lfs pull"),
    "pointer for a tokenizer": (lambda f: (f / "tokenizer.json").write_text(LFS), "git lfs pull"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer.*copy these files"),
    "no image processor": (lambda f: (f / "processor_config.json").unlink(), r"no image processor.*copy"),
    "another config": (
        lambda f: edited(f, "text_config", intermediate_size=256),
        r"other shapes than its config\.json says",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_is_named_for_what_it_is(checkpoint, tmp_path, case):
    folder = tmp_path / "given"
    shutil.copytree(checkpoint, folder)
    spoil, words = CASES[case]
    spoil(folder)
    with pytest.raises(InputError, match=words) as caught:
        load_vlm(folder)
    assert "Download the checkpoint again." not in str(caught.value) or case == "another config"


def test_a_model_that_compares_is_named():
    record = {"model_type": "clip", "architectures": ["CLIPModel"], "vision_config": {}, "text_config": {}}
    assert "compares pictures with texts" in about_type(record, "a/clip")
    assert about_type({"model_type": "bert", "architectures": ["BertModel"]}, "a/bert") == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://huggingface.co/llava-hf/llava-1.5-7b-hf", r"load_vlm\('llava-hf/llava-1.5-7b-hf'\)"),
        ("https://example.com/model", r"is an address.*isi\.connect"),
        ("llava:7b", r"isi\.connect\('http://localhost:11434/v1', 'llava:7b'\)"),
        ("gpt-4o", r"model of a service.*isi\.connect"),
        ("C:\\models\\llava", "no model folder"),
    ],
)
def test_a_name_is_named_for_what_it_is(name, words):
    with pytest.raises(InputError, match=words):
        load_vlm(name)


def test_a_file_of_another_program(tmp_path):
    file = tmp_path / "llava-Q4.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"llama\.cpp.*isi\.connect"):
        load_vlm(file)
