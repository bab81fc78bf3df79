"""What a checkpoint says is not believed: original formats, absurd sizes, pickles and paths, programs that
hang.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
import warnings

import pytest
import tiny_models
import torch
from tiny_models import Shown

from isi_widget.errors import Cancelled, InputError
from isi_widget.pretrained.weights import INDEX, named_in
from isi_widget.running import attended as attending
from isi_widget.running.attended import attended, within
from isi_widget.uncertainty import load_entailment
from isi_widget.vlm import load_vlm
from isi_widget.vlm.loading import load as loading
from isi_widget.vlm.loading import memory
from isi_widget.vlm.loading.configuration import refuse_original
from isi_widget.vlm.prompts import template

SHOWN = Shown(current_context="The star is red.")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    model, processor = tiny_models.llava()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "model")


def edit(file, **changes):
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | changes))


# ---- original formats
ORIGINALS = {
    "liuhaotian/llava-v1.5-7b": (
        {"model_type": "llava_llama", "architectures": ["LlavaLlamaForCausalLM"]},
        "original format of LLaVA.*'llava-hf/llava-1.5-7b-hf'",
    ),
    "liuhaotian/llava-v1.5-13b": (
        {"model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"]},
        "'llava-hf/llava-1.5-13b-hf'",
    ),
    "liuhaotian/llava-v1.6-mistral-7b": (
        {"model_type": "llava_mistral", "architectures": ["LlavaMistralForCausalLM"]},
        "'llava-hf/llava-v1.6-mistral-7b-hf'",
    ),
    "me/tuned": ({"model_type": "llava", "mm_vision_tower": "openai/clip"}, "original format of LLaVA"),
    "lmms-lab/llava-onevision-qwen2-0.5b-ov": (
        {"model_type": "llava", "architectures": ["LlavaQwenForCausalLM"], "mm_vision_tower": "x"},
        "'llava-hf/llava-onevision-qwen2-0.5b-ov-hf'",
    ),
    "Qwen/Qwen-VL-Chat": (
        {
            "model_type": "qwen",
            "architectures": ["QWenLMHeadModel"],
            "auto_map": {"AutoModelForCausalLM": "a.B"},
        },
        r"original format of Qwen-VL \(the first\).*'Qwen/Qwen2.5-VL-7B-Instruct'",
    ),
    "OpenGVLab/InternVL3-8B": (
        {
            "model_type": "internvl_chat",
            "architectures": ["InternVLChatModel"],
            "auto_map": {"AutoModel": "a.B"},
        },
        "original format of InternVL.*'OpenGVLab/InternVL3-8B-hf'",
    ),
    "openbmb/MiniCPM-V-2_6": (
        {"model_type": "minicpmv", "architectures": ["MiniCPMV"], "auto_map": {"AutoModel": "a.B"}},
        "original format of MiniCPM-V.*isi.models",
    ),
    "deepseek-ai/Janus-Pro-1B": (
        {"model_type": "multi_modality", "architectures": ["MultiModalityCausalLM"]},
        "'deepseek-community/Janus-Pro-1B'",
    ),
    "mlx-community/llava": (
        {
            "model_type": "llava",
            "architectures": ["LlavaForConditionalGeneration"],
            "quantization": {"group_size": 64, "bits": 4},
        },
        "format of MLX",
    ),
    "someone/own": (
        {"model_type": "own", "architectures": ["OwnVL"], "auto_map": {"AutoModelForCausalLM": "a.B"}},
        "offers AutoModelForCausalLM but no AutoModelForImageTextToText: trust_remote_code=True does not "
        "help",
    ),
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_an_original_format_is_named_with_what_to_load(name):
    record, words = ORIGINALS[name]
    with pytest.raises(InputError, match=words) as caught:
        refuse_original(record, name)
    assert "needs" not in str(caught.value) and "download" not in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]},
        {"model_type": "internvl", "architectures": ["InternVLForConditionalGeneration"]},
        {"model_type": "video_llava", "architectures": ["VideoLlavaForConditionalGeneration"]},
        {"model_type": "llava"},
        {"model_type": "llava", "architectures": ["MyLlavaForConditionalGeneration"]},
        {"model_type": "own", "auto_map": {"AutoModelForImageTextToText": "a.B"}},
        {},
    ],
)
def test_other_checkpoints_go_on(record):
    refuse_original(record, "someone/other")


@pytest.mark.parametrize("trust", [False, True])
def test_it_is_said_before_anything_else(folder, capfd, trust):
    edit(folder / "config.json", model_type="llava_llama", architectures=["LlavaLlamaForCausalLM"])
    with pytest.raises(InputError, match="original format of LLaVA"):
        load_vlm(folder, trust_remote_code=trust)
    with pytest.raises(InputError, match="original format of LLaVA"):
        memory.estimate(folder)
    out, err = capfd.readouterr()
    assert out + err == ""


def test_a_name_without_its_owner():
    with pytest.raises(InputError, match=r"'llava' is neither .*'owner/name'.*'llava-hf/llava-1.5-7b-hf'"):
        load_vlm("llava")
    with pytest.raises(InputError, match=r"'unheard-of' is neither .*isi\.models\(\) lists"):
        load_vlm("unheard-of")


def test_weights_of_another_program_are_named(folder):
    (folder / "model.safetensors").rename(folder / "model-q4.gguf")
    with pytest.raises(InputError, match=r"It has model-q4\.gguf, which is for another program"):
        load_vlm(folder)


# ---- warnings
def test_no_warning_stands_before_an_error_of_ours(folder, capfd, monkeypatch):
    def talkative(*args, **kwargs):
        logging.getLogger("transformers.modeling_utils").warning("something about rope")
        warnings.warn("and about tokens", UserWarning, stacklevel=1)
        raise ValueError("broken")

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", talkative)
    with warnings.catch_warnings(record=True) as caught, pytest.raises(InputError, match="broken"):
        warnings.simplefilter("always")
        load_vlm(folder)
    assert not caught
    assert "rope" not in "".join(capfd.readouterr())


def test_warnings_of_a_load_that_succeeds_are_shown(folder, monkeypatch):
    from transformers import AutoModelForImageTextToText

    class Kept(logging.Handler):
        def emit(self, record):
            shown.append(record.getMessage())

    shown: list[str] = []
    handler = Kept()
    load = AutoModelForImageTextToText.from_pretrained

    def talkative(*args, **kwargs):
        logging.getLogger("transformers.modeling_utils").warning("something about rope")
        return load(*args, **kwargs)

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", talkative)
    logging.getLogger("transformers").addHandler(handler)
    try:
        load_vlm(folder)
        assert shown.count("something about rope") == 1
        assert not handler.filters
    finally:
        logging.getLogger("transformers").removeHandler(handler)


# ---- sizes
SIZES = [
    ("num_hidden_layers", 10**6),
    ("num_hidden_layers", 10**9),
    ("hidden_size", 10**9),
    ("intermediate_size", 10**12),
    ("num_attention_heads", 10**6),
    ("vocab_size", 10**10),
]


@pytest.mark.parametrize(("name", "value"), SIZES)
@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_sizes_that_no_model_has_are_refused_before_anything_is_built(folder, monkeypatch, part, name, value):
    def built(*args, **kwargs):
        raise AssertionError("it was built")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", built)
    record = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", **{part: record[part] | {name: value}})
    with pytest.raises(InputError, match=f"says {part}.{name} = {value:,}; no model has more"):
        load_vlm(folder)
    with pytest.raises(InputError, match="no model has more"):
        memory.estimate(folder)


@pytest.mark.parametrize(
    "changes",
    [{"depths": [2, 10**6]}, {"num_layers": 1e9}, {"extra": {"n_layer": 10**7}}, {"image_seq_length": 10**8}],
)
def test_every_field_that_is_a_size_is_looked_at(folder, changes):
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match="no model has more"):
        load_vlm(folder)


def test_sizes_of_a_processor_are_looked_at(folder):
    record = json.loads((folder / "processor_config.json").read_text())
    record["image_processor"]["size"] = {"height": 10**9, "width": 10**9}
    (folder / "processor_config.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"processor_config.json of .* says image_processor.size.height"):
        load_vlm(folder)


def test_a_config_that_is_too_deep_or_too_long_is_refused(folder):
    (folder / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(InputError, match="not valid JSON"):
        load_vlm(folder)
    (folder / "config.json").write_text('{"a": "' + "x" * (9 * 2**20) + '"}')
    with pytest.raises(InputError, match="9 MiB; a configuration has some kilobytes"):
        load_vlm(folder)


@pytest.mark.parametrize(
    ("name", "value"), [("num_attention_heads", 0), ("num_hidden_layers", -1), ("hidden_size", "big")]
)
def test_sizes_that_mean_nothing_are_one_error(folder, name, value):
    record = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", text_config=record["text_config"] | {name: value})
    with pytest.raises(InputError):
        load_vlm(folder)


# ---- files
@pytest.fixture
def sharded(folder):
    """(folder, index): the weights in one shard that an index names."""
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    from safetensors import safe_open

    with safe_open(folder / "model-1.safetensors", "pt") as weights:
        names = list(weights.keys())

    def write(file):
        record = {"metadata": {}, "weight_map": dict.fromkeys(names, file)}
        (folder / INDEX).write_text(json.dumps(record))

    write("model-1.safetensors")
    return folder, write


def test_an_index_of_files_in_its_folder_is_fine(sharded):
    folder, _ = sharded
    assert load_vlm(folder).answer(SHOWN, 3) == tiny_models.vlm().answer(SHOWN, 3)


OUTSIDE = [
    "../model-1.safetensors",
    "/etc/passwd.safetensors",
    "a/../../b.safetensors",
    "C:\\w.safetensors",
    "",
]
PICKLED = ["pytorch_model.bin", "weights.pt", "model.ckpt", "model.pkl", "weights"]


@pytest.mark.parametrize("file", [*PICKLED, *OUTSIDE])
def test_an_index_that_names_something_else_is_refused_unopened(sharded, monkeypatch, file):
    def opened(*args, **kwargs):
        raise AssertionError("it was opened")

    folder, write = sharded
    write(file)
    if file and file not in OUTSIDE:
        (folder / file).write_bytes(b"\x80\x04.")
    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", opened)
    monkeypatch.setattr("torch.load", opened)
    words = "outside the folder" if file in OUTSIDE else "pickle|no safetensors"
    with pytest.raises(InputError, match=words) as caught:
        load_vlm(folder)
    assert repr(file) in str(caught.value)


def test_links_out_of_the_folder_are_refused(sharded, tmp_path):
    folder, write = sharded
    (folder / "model-1.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (folder / "model-1.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(InputError, match="outside the folder"):
        load_vlm(folder)
    (folder / "inner").symlink_to(tmp_path)
    write("inner/elsewhere.safetensors")
    with pytest.raises(InputError, match="outside the folder"):
        load_vlm(folder)


def test_links_of_the_hubs_cache_are_fine(sharded, tmp_path):
    folder, _ = sharded
    snapshot, blobs = tmp_path / "models--a--b/snapshots/0123", tmp_path / "models--a--b/blobs"
    snapshot.parent.mkdir(parents=True)
    blobs.mkdir()
    shutil.copytree(folder, snapshot)
    (snapshot / "model-1.safetensors").rename(blobs / "abc")
    (snapshot / "model-1.safetensors").symlink_to("../../blobs/abc")
    assert named_in(snapshot / INDEX) == ["model-1.safetensors"]
    assert load_vlm(snapshot).answer(SHOWN, 2).token_ids


def test_pickles_named_by_an_index_need_a_yes(sharded):
    folder, write = sharded
    write("pytorch_model.bin")
    assert named_in(folder / INDEX, allow_pickle=True) == ["pytorch_model.bin"]
    write("../pytorch_model.bin")
    with pytest.raises(InputError, match="outside"):
        named_in(folder / INDEX, allow_pickle=True)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "../model.safetensors"])
def test_an_entailment_model_is_held_to_the_same(tmp_path, monkeypatch, file):
    from isi_widget import embedded

    def opened(*args, **kwargs):
        raise AssertionError("it was opened")

    folder = shutil.copytree(embedded.ENTAILMENT, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": file}}))
    monkeypatch.setattr("torch.load", opened)
    with pytest.raises(InputError, match=r"pickle|outside") as caught:
        load_entailment(str(folder))
    assert repr(file) in str(caught.value)


# ---- what hangs
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def hasty(monkeypatch):
    """What is given up ends at once."""
    monkeypatch.setattr(attending, "_GRACE", 0.05)
    monkeypatch.setattr(attending, "_BETWEEN", 0.05)
    monkeypatch.setattr(loading, "_PATIENCE", 0.1)


def ended(name, seconds=120.0):
    """Whether all threads of that name end."""
    until = time.monotonic() + seconds
    while any(name in thread.name for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(name in thread.name for thread in threading.enumerate())


def test_a_template_that_never_ends_is_given_up(folder, monkeypatch, hasty):
    (folder / "chat_template.jinja").write_text(ENDLESS)
    monkeypatch.setattr(template, "TEMPLATE_SECONDS", 0.3)
    with pytest.raises(InputError, match=r"chat template .* had not ended after 0.3 seconds"):
        load_vlm(folder)
    assert ended("isi_widget work")


def test_a_template_that_never_ends_for_one_question_only(monkeypatch, hasty):
    model, processor = tiny_models.llava()
    processor.chat_template = (
        "{% if 'forever' in messages[-1]['content'][1]['text'] %}"
        + ENDLESS
        + "{% endif %}"
        + tiny_models.VICUNA
    )
    vlm = tiny_models.VLM(model, processor, model_id="tiny")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="had not ended"):
        patch.setattr(template, "TEMPLATE_SECONDS", 0.3)
        vlm.encode(Shown("Will it take forever?"))
    assert vlm.answer(SHOWN, 2).token_ids  # nothing is held


@pytest.mark.parametrize("where", ["configuration", "skeleton", "weights", "template"])
def test_a_load_that_hangs_can_be_cancelled_and_others_go_on(folder, checkpoint, monkeypatch, hasty, where):
    hanging = threading.Event()

    def hang(*args, **kwargs):
        hanging.set()
        while True:
            sum(range(1000))

    targets = {
        "configuration": "transformers.AutoConfig.from_pretrained",
        "skeleton": "transformers.AutoModelForImageTextToText.from_config",
        "weights": "transformers.AutoModelForImageTextToText.from_pretrained",
    }
    with monkeypatch.context() as patch:
        if where == "template":
            (folder / "chat_template.jinja").write_text(ENDLESS)
            cancel_at = time.monotonic() + 1.5
            cancelled = lambda: time.monotonic() > cancel_at  # noqa: E731
        else:
            patch.setattr(targets[where], hang)
            cancelled = hanging.is_set
        with pytest.raises(Cancelled, match="was cancelled"):
            load_vlm(folder, cancel=cancelled)
    assert load_vlm(checkpoint).answer(SHOWN, 2).token_ids  # at once, while the other may still hang
    assert ended("loading")
    assert torch.get_default_dtype() == torch.float32


def test_callbacks_run_in_the_thread_that_waits(checkpoint):
    threads = set()

    def progress(part, text):
        threads.add(threading.get_ident())

    def cancel():
        threads.add(threading.get_ident())
        return False

    load_vlm(checkpoint, progress=progress, cancel=cancel)
    assert threads == {threading.get_ident()}


def test_a_callback_that_raises_ends_the_load(checkpoint, hasty):
    def progress(part, text):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        load_vlm(checkpoint, progress=progress, cancel=lambda: False)
    assert load_vlm(checkpoint) is not None


def test_attended_work_gives_its_result_and_its_error():
    assert attended(lambda call: call(lambda: 2) + 1, lambda: None) == 3
    with pytest.raises(ZeroDivisionError):
        attended(lambda call: 1 // 0, lambda: None)
    assert within(5, lambda: "done", TimeoutError) == "done"


# ---- an entailment model
def test_no_warning_of_transformers_before_an_error_of_an_entailment_model(tmp_path, capfd, monkeypatch):
    from isi_widget import embedded

    def talkative(*args, **kwargs):
        logging.getLogger("transformers.modeling_utils").warning("something about rope")
        raise ValueError("broken")

    folder = shutil.copytree(embedded.ENTAILMENT, tmp_path / "model")
    monkeypatch.setattr("transformers.AutoModelForSequenceClassification.from_pretrained", talkative)
    with pytest.raises(InputError, match="broken"):
        load_entailment(str(folder))
    assert "rope" not in "".join(capfd.readouterr())


# ---- NaN
def spoiled(dtype, value=float("nan")):
    model, processor = tiny_models.llava()
    with torch.no_grad():
        model.lm_head.weight[3, 3] = value
    return tiny_models.VLM(model.to(dtype), processor, model_id="spoiled")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_weights_are_named_and_no_dtype_is_advised(dtype):
    with pytest.raises(RuntimeError, match=r"weights hold NaN.*lm_head\.weight.*download") as caught:
        spoiled(dtype).answer(SHOWN, 2)
    assert "dtype='" not in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        (torch.float32, "look for what was put on the model"),
        (torch.bfloat16, r"Load it with dtype='float32'\.$"),
        (torch.float16, "dtype='bfloat16' or dtype='float32'"),
    ],
)
def test_nan_from_finite_weights_has_the_advice_of_its_dtype(dtype, advice):
    model, processor = tiny_models.llava()
    vlm = tiny_models.VLM(model.to(dtype), processor, model_id="hooked")
    model.lm_head.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    for ask in (vlm.answer, vlm.sample, vlm.yes_no):
        with pytest.raises(RuntimeError, match=advice):
            ask(SHOWN)
