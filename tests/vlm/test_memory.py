"""Memory: estimates against the size of loaded models and of real caches; free memory; running out of it."""

from __future__ import annotations

import gc
import weakref

import known_checkpoints
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, Shown
from torch._subclasses import FakeTensor
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from isi_widget.errors import InputError, OutOfMemory
from isi_widget.pretrained import machine
from isi_widget.pretrained.out_of_memory import out_of_memory_as_error
from isi_widget.uncertainty.entailment import load_entailment
from isi_widget.vlm import load_vlm, models, supported_families
from isi_widget.vlm.decoding.cache import row_bytes
from isi_widget.vlm.loading import fitting, memory
from isi_widget.vlm.loading.fitting import check_fits
from isi_widget.vlm.loading.load import EMBEDDED

KINDS = [None, "int8", "nf4", "nf4-double"]
SHOWN = Shown(current_context="The star is red.", size=(90, 40))
GIB = 2**30


def config_of(name):
    record = dict(known_checkpoints.CONFIGS[name])
    return AutoConfig.for_model(record.pop("model_type"), **record)


# Weights ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a tiny checkpoint, as save_pretrained writes it."""
    folders = {}

    def folder(family):
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp(family)
            model, processor = BUILDERS[family]()
            model.save_pretrained(folders[family])
            processor.save_pretrained(folders[family])
        return folders[family]

    return folder


def allocated():
    """Bytes of all tensors that live in this process; the fake ones that torch traces with have none."""
    gc.collect()
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    tensors = [tensor for tensor in found if not isinstance(tensor, FakeTensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


@pytest.mark.parametrize("vision", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_as_estimated(saved, kind, vision):
    """Against every tensor that loading has left in the process."""
    if kind is not None:
        pytest.importorskip("bitsandbytes")
    arguments = {"quantization": kind, "quantize_vision": vision}
    load_vlm(saved("llava"), dtype="bfloat16", **arguments)  # libraries and their caches
    before = allocated()
    vlm = load_vlm(saved("llava"), dtype="bfloat16", **arguments)
    measured = allocated() - before
    need = memory.estimate(saved("llava"), dtype=torch.bfloat16, **arguments)
    assert memory.model_bytes(vlm.model) == pytest.approx(measured, rel=0.01)
    # A layer's 16 code values may be a shared table: 64 bytes each, which shows in so tiny a model.
    assert need.weights == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("kind", [None, "nf4"])
@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_weights_of_every_family(saved, family, kind):
    if kind is not None:
        pytest.importorskip("bitsandbytes")
    vlm = load_vlm(saved(family), dtype="float32", quantization=kind)
    need = memory.estimate(saved(family), dtype=torch.float32, quantization=kind)
    assert need.weights == pytest.approx(memory.model_bytes(vlm.model), rel=0.02)


@pytest.fixture(scope="module")
def middling(tmp_path_factory):
    """A LLaVA of 45 M parameters: two decoder layers of width 1024."""
    tok = tiny_models.tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=tiny_models.IMAGE_SIZE,
            patch_size=tiny_models.PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=8192,
            hidden_size=1024,
            intermediate_size=2752,
            num_hidden_layers=2,
            num_attention_heads=16,
        ),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("middling")
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    tiny_models.llava()[1].save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_a_middling_model_to_a_thousandth(middling, kind):
    if kind is not None:
        pytest.importorskip("bitsandbytes")
    vlm = load_vlm(middling, quantization=kind)
    need = memory.estimate(middling, quantization=kind, dtype=torch.float32)
    assert need.weights == pytest.approx(memory.model_bytes(vlm.model), rel=1e-3)


def test_a_model_and_a_configuration_will_do_too(middling):
    config = AutoConfig.from_pretrained(middling)
    plain = LlavaForConditionalGeneration(config).to(torch.bfloat16)
    by_folder, by_config, by_model = (memory.estimate(source) for source in (middling, config, plain))
    assert by_folder == by_config
    assert by_folder.weights == pytest.approx(by_model.weights, rel=1e-4)  # buffers were cast with the model
    assert by_folder.cache == by_model.cache
    assert by_model.weights == pytest.approx(memory.model_bytes(plain), rel=1e-3)


# Cache ------------------------------------------------------------------------------------------------------


def tensors_of(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_the_cache_is_as_estimated(family):
    """Against the cache of a real prefill, grouped-query attention and sliding windows included."""
    vlm = tiny_models.vlm(family)
    prefill = vlm.prefill(SHOWN)
    measured = sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(prefill.cache))
    tokens = len(prefill.prompt)
    if family == "instructblip":  # its cache holds nothing else either: the query tokens are in the prompt
        assert tokens == prefill.cache.layers[0].keys.shape[-2]
    assert memory.cache_bytes(vlm.model.config, tokens, torch.float32) == measured


@pytest.mark.parametrize("family", ["llava", "gemma3", "paligemma2"])
def test_answers_side_by_side_are_as_estimated(family):
    """Against what the decoding loop itself reckons with, which knows the tensors."""
    vlm = tiny_models.vlm(family)
    prefill = vlm.prefill(SHOWN)
    tokens, new = len(prefill.prompt), 5
    estimated = memory.answers_bytes(vlm.model.config, tokens, new, 4, torch.float32)
    # A window that is full does not grow with the answer; the loop reckons as if it did.
    assert estimated == pytest.approx(
        4 * row_bytes(prefill.cache, new), rel=0.35 if family != "llava" else 1e-3
    )


def test_samples_and_new_tokens_are_counted():
    config = config_of("llava-hf/llava-1.5-7b-hf")
    per_token = 2 * 32 * 32 * 128 * 2
    need = memory.estimate(config, prompt_tokens=700, samples=10, new_tokens=16)
    # The prompt once, ten answers of 16 tokens, and one of the 32 layers joined for all ten.
    assert need.cache == per_token * 700 + 10 * (per_token * 16 + per_token * 716 // 32)
    one = memory.estimate(config, prompt_tokens=700, samples=1, new_tokens=16)
    assert one.cache == per_token * (700 + 716)
    assert memory.estimate(config, prompt_tokens=700, samples=0).cache == per_token * 700
    assert need.total == need.weights + need.cache + need.entailment + need.working
    assert need.working > 0


def test_the_entailment_model_is_counted(tmp_path):
    loaded = sum(weight.numel() * 4 for weight in load_entailment().model.parameters())
    assert memory.entailment_bytes("embedded") == pytest.approx(loaded, rel=0.01)
    config = DebertaV2Config(
        vocab_size=300, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    config.num_labels = 3
    other = DebertaV2ForSequenceClassification(config)
    other.save_pretrained(tmp_path)
    expected = sum(weight.numel() * 4 for weight in other.parameters())
    assert memory.entailment_bytes(tmp_path) == expected
    need = memory.estimate(config_of("llava-hf/llava-1.5-7b-hf"), entailment=tmp_path)
    assert need.entailment == expected


def test_estimates_refuse_what_has_no_meaning(tmp_path):
    config = config_of("llava-hf/llava-1.5-7b-hf")
    with pytest.raises(InputError, match="choose None, 'int8', 'nf4' or 'nf4-double'"):
        memory.estimate(config, quantization="fp4")
    with pytest.raises(InputError, match="at least 0"):
        memory.estimate(config, samples=-1)
    with pytest.raises(
        InputError, match="builds no image-text-to-text model from a configuration of type 'llama'"
    ):
        memory.estimate(LlamaConfig())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        memory.estimate(tmp_path)


# Known checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(known_checkpoints.CONFIGS))
def test_known_checkpoints_are_what_their_configuration_gives(name):
    config = config_of(name)
    found = [checkpoint for checkpoint in models() if checkpoint.name == name]
    assert len(found) == 1, f"{name} is not listed"
    known = found[0]
    assert known.model_type == config.model_type
    bare = memory.skeleton(config, torch.bfloat16)
    assert known.parameters == sum(weight.numel() for weight in bare.parameters())
    for kind in KINDS:
        for vision, samples in ((False, 0), (True, 1), (False, 3)):
            work = {"quantize_vision": vision, "samples": samples, "prompt_tokens": 1500}
            exact = memory.estimate(bare, quantization=kind, **work)
            near = known.need(kind, **work)
            assert near.weights == pytest.approx(exact.weights, rel=5e-3)
            assert near.cache == exact.cache
            assert known.memory(kind, samples=samples) == known.need(kind, samples=samples).total


def test_known_checkpoints_are_listed_once_and_belong_to_a_family():
    known = models()
    assert [one.name for one in known if one.name not in known_checkpoints.CONFIGS] == ["embedded"]
    assert {one.model_type for one in known} <= set(supported_families())
    assert len({one.name for one in known}) == len(known) == len(known_checkpoints.CONFIGS) + 1
    for one in known[1:]:
        sizes = [one.memory(kind) for kind in ("nf4-double", "nf4", "int8", None)]
        assert sizes == sorted(sizes) and len(set(sizes)) == 4
        assert one.memory(number_bytes=4) == 2 * one.memory()
        assert one.gated == one.name.startswith("google/")


def test_checkpoints_are_found_by_text():
    assert [one.name for one in models("qwen3 4b")] == ["Qwen/Qwen3-VL-4B-Instruct"]
    assert {one.family for one in models("LLAVA-next 13B")} == {"LLaVA-NeXT"}
    assert all(one.licence == "apache-2.0" for one in models("apache-2.0")) and models("apache-2.0")
    assert models("no such model") == ()
    assert models()[0].name == "embedded" and "Embedded" in str(models("embedded")[0])
    with pytest.raises(InputError, match="searches for text; got int"):
        models(7)


@pytest.mark.skipif(not (EMBEDDED / "model.safetensors").is_file(), reason="not built yet")
def test_the_embedded_model_is_counted_from_its_file():
    known = models()[0]
    exact = memory.estimate(EMBEDDED, dtype=torch.float32, samples=3)
    assert known.need(samples=3).cache == exact.cache
    assert known.need().weights == pytest.approx(exact.weights, rel=0.01)
    for kind in KINDS[1:]:
        near = known.need(kind, quantize_vision=True).weights
        expected = memory.estimate(
            EMBEDDED, dtype=torch.float32, quantization=kind, quantize_vision=True
        ).weights
        assert near == pytest.approx(expected, rel=0.05)  # tables of code values weigh in so small a model


# Free memory ------------------------------------------------------------------------------------------------


def test_free_memory_of_this_machine():
    free = machine.free_memory("cpu")
    assert free is None or 0 <= free < 2**50
    assert machine.free_memory("meta") is None


def test_available_memory_is_the_systems(tmp_path):
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable:   64 kB\n")
    assert machine._available(info) == 64 * 1024


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(str(text))


def test_containers_limit_memory_version_2(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/user/job\n")
    group(
        root / "user/job",
        memory__max=1000,
        memory__current=700,
        memory__stat="anon 100\ninactive_file 50\nactive_file 9",
    )
    group(root / "user", memory__max="max", memory__current=900, memory__stat="inactive_file 1")
    assert [left for left in machine._group_limits(own, root) if left is not None] == [350]
    # In a container the process sees its own group at the top, whatever the path on the host.
    own.write_text("0::/elsewhere/on/the/host\n")
    group(root, memory__max=500, memory__current=100, memory__stat="inactive_file 20")
    assert [left for left in machine._group_limits(own, root) if left is not None] == [420]


def test_containers_limit_memory_version_1(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("9:name=systemd:/\n4:cpu,memory:/job\n0::/\n")
    group(
        root / "memory/job",
        memory__limit_in_bytes=2000,
        memory__usage_in_bytes=1500,
        memory__stat="inactive_file 1\ntotal_inactive_file 100",
    )
    group(
        root / "memory",
        memory__limit_in_bytes=9223372036854771712,
        memory__usage_in_bytes=5000,
        memory__stat="total_inactive_file 0",
    )
    assert [left for left in machine._group_limits(own, root) if left is not None] == [600]


def test_free_memory_is_the_tightest_limit(monkeypatch):
    monkeypatch.setattr(machine, "_available", lambda: 900)
    monkeypatch.setattr(machine, "_group_limits", lambda: iter([None, 400, 700]))
    assert machine.free_memory("cpu") == 400
    monkeypatch.setattr(machine, "_group_limits", lambda: iter([-5]))
    assert machine.free_memory("cpu") == 0
    monkeypatch.setattr(machine, "_available", lambda: None)
    monkeypatch.setattr(machine, "_group_limits", lambda: iter(()))
    assert machine.free_memory("cpu") is None


def test_free_memory_of_a_gpu_counts_what_torch_holds_unused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda place: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: 300)
    assert machine.free_memory("cuda") == 1200


# Too large --------------------------------------------------------------------------------------------------


def check(name, device, free, monkeypatch, host=None, **arguments):
    limits = {"cuda": free, "cpu": free if device == "cpu" else host}
    monkeypatch.setattr(fitting, "free_memory", lambda place: limits[torch.device(place).type])
    bare = memory.skeleton(config_of(name), torch.bfloat16)
    wanted = {"quantization": None, "dtype": torch.bfloat16, "quantize_vision": False} | arguments
    check_fits(name, bare, torch.device(device), **wanted)


def test_what_fits_passes(monkeypatch):
    check("llava-hf/llava-1.5-7b-hf", "cuda", 16 * GIB, monkeypatch)
    check("llava-hf/llava-1.5-7b-hf", "cuda", 6 * GIB, monkeypatch, quantization="nf4")
    check("llava-hf/llava-1.5-7b-hf", "cuda", None, monkeypatch)  # nobody knows


def test_too_large_says_what_would_fit(monkeypatch):
    with pytest.raises(InputError) as caught:
        check("llava-hf/llava-1.5-7b-hf", "cuda", 8.5 * GIB, monkeypatch, host=64 * GIB)
    said = str(caught.value)
    assert "llava-1.5-7b-hf needs about" in said and "weights 13.2 GiB" in said and "8.5 GiB are free" in said
    assert "quantization='int8'" in said and "device='cpu' (64.0 GiB free, slow)" in said
    assert "check_memory=False" in said and "\n" not in said
    with pytest.raises(InputError) as caught:
        check("llava-hf/llava-1.5-7b-hf", "cuda", 6 * GIB, monkeypatch, host=2 * GIB)
    said = str(caught.value)
    assert "quantization='nf4' (" in said and "int8" not in said and "device='cpu'" not in said


def test_too_large_names_a_smaller_checkpoint_that_does_fit(monkeypatch):
    with pytest.raises(InputError) as caught:
        check("llava-hf/llava-v1.6-34b-hf", "cuda", 10 * GIB, monkeypatch, host=GIB)
    said = str(caught.value)
    assert "quantization=" in said and "llava-v1.6-vicuna-13b-hf', quantization='nf4'" in said
    named = next(one for one in models() if one.name in said.partition("would fit")[2])
    assert named.model_type == "llava_next" and named.memory("nf4", samples=1) <= 10 * GIB
    with pytest.raises(InputError, match="SmolVLM"):  # none of its own family
        check("llava-hf/llava-v1.6-34b-hf", "cuda", 1.2 * GIB, monkeypatch, host=GIB)
    with pytest.raises(InputError, match="No known model fits but the embedded one"):
        check("llava-hf/llava-v1.6-34b-hf", "cuda", 0.1 * GIB, monkeypatch, host=GIB)


def test_loading_refuses_before_it_reads_and_can_be_told_to_go_on(saved, monkeypatch):
    monkeypatch.setattr(fitting, "free_memory", lambda place: 1000)
    with monkeypatch.context() as context:
        context.setattr(
            "transformers.AutoModelForImageTextToText.from_pretrained", lambda *a, **k: pytest.fail("read")
        )
        with pytest.raises(InputError, match=r"needs about .* are free on cpu.*check_memory=False"):
            load_vlm(saved("llava"))
    assert load_vlm(saved("llava"), check_memory=False).answer(SHOWN, 2)


# Out of memory ----------------------------------------------------------------------------------------------

#: As torch, NumPy and Python say it.
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:125] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
def test_out_of_memory_is_one_error(error):
    said = pytest.raises(OutOfMemory, match=r"Out of memory while drawing\. Try fewer samples")
    with said as caught, out_of_memory_as_error("drawing"):
        raise error
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), ValueError("out of memory"), KeyError()]
)
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, out_of_memory_as_error():
        raise error
    assert caught.value is error


def test_contexts_may_be_nested():
    with (
        pytest.raises(OutOfMemory, match="while reading"),
        out_of_memory_as_error("answering"),
        out_of_memory_as_error("reading"),
    ):
        raise MemoryError


class Held:
    """Stands for a large tensor."""


def test_what_the_failed_call_held_is_freed_though_the_error_is_kept():
    held = []

    def inner():
        large = Held()
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def outer():
        large = Held()
        held.append(weakref.ref(large))
        try:
            inner()
        except torch.OutOfMemoryError as error:
            raise RuntimeError("out of memory after all") from error

    with pytest.raises(OutOfMemory) as caught, out_of_memory_as_error():
        outer()
    assert len(held) == 2 and [one() for one in held] == [None, None], caught.value


def test_a_model_is_usable_after_it_ran_out(monkeypatch):
    """A forward that has room for two rows only."""
    vlm = tiny_models.vlm("llava")
    expected = vlm.sample(SHOWN, n=2, max_new_tokens=4)
    forward = vlm.model.forward

    def small(*args, **kwargs):
        if len(kwargs["input_ids"]) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return forward(*args, **kwargs)

    prefill = vlm.prefill(SHOWN)
    monkeypatch.setattr(vlm.model, "forward", small)
    with pytest.raises(OutOfMemory), out_of_memory_as_error("drawing answers"):
        vlm.model(input_ids=torch.zeros((3, 4), dtype=torch.long))
    assert vlm.sample(prefill, n=2, max_new_tokens=4) == expected


def test_the_known_checkpoints_show_as_a_table():
    every = models()
    assert isinstance(every, tuple) and every == tuple(every) and type(every[1:3]) is tuple
    heading, first, *others = repr(every).splitlines()
    assert heading.split()[:3] == ["name", "family", "parameters"] and first.startswith("embedded ")
    assert len(others) == len(every) - 1
    assert all(one.name in line for one, line in zip(every[1:], others, strict=True))
    page = every._repr_html_()
    assert page.count("<tr>") == len(every) + 1
    assert all(f">{one.name}</td>" in page for one in every) and "gated" in page
    assert "no known checkpoint matches" in repr(models("no such thing"))
    assert "no known checkpoint" in models("no such thing")._repr_html_()
