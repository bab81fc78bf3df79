"""What `load_vlm` is given beside a name: settings of the processor, a LoRA adapter, several devices."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, VLM, Shown

from isi_widget import Observation, run_trial
from isi_widget.attribution import measure_attention
from isi_widget.errors import InputError
from isi_widget.pretrained import placement
from isi_widget.trial.labels import model_label
from isi_widget.vlm import check_vlm, load_vlm
from isi_widget.vlm.loading import fitting, memory
from isi_widget.vlm.loading.fitting import check_fits
from isi_widget.widget.models import ModelSlot, Source

SHOWN = Shown(current_context="The star is red.", size=(200, 150))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of tiny models, by family, made when asked for."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            model, processor = BUILDERS[family]()
            model.save_pretrained(made[family])
            processor.save_pretrained(made[family])
        return made[family]

    return folder


def trial_of(vlm):
    shown = Observation(SHOWN.render(), "Is there a red star?").stimulus()
    return run_trial(vlm, shown, measures=("answer",), max_new_tokens=2)


# ---- settings of the processor
def test_fewer_pixels_are_fewer_tokens(folders):
    plain = load_vlm(folders("qwen2_vl"))
    small = load_vlm(folders("qwen2_vl"), processor_args={"max_pixels": 32 * 32})
    large = load_vlm(folders("qwen2_vl"), processor_args={"min_pixels": 96 * 96, "max_pixels": 128 * 128})
    counts = [vlm.encode(SHOWN).token_counts()["image"] for vlm in (small, plain, large)]
    assert counts == sorted(set(counts))
    assert len(small.token_boxes(SHOWN)) == counts[0]
    assert check_vlm(small, SHOWN, max_new_tokens=2).ok


@pytest.mark.parametrize(
    ("family", "arguments"),
    [
        ("idefics3", {"do_image_splitting": False}),
        ("idefics3", {"size": {"longest_edge": 128}}),
        ("internvl", {"max_patches": 1}),
        ("llava", {"image_mean": [0.1, 0.1, 0.1]}),
    ],
)
def test_every_setting_that_a_processor_has_can_be_given(folders, family, arguments):
    vlm = load_vlm(folders(family), processor_args=arguments)
    expected = vlm.processor.image_processor.to_dict()
    name, value = next(iter(arguments.items()))
    found = expected[name]
    if isinstance(value, dict):
        found = {key: found[key] for key in value}
    assert list(found) == value if isinstance(value, list) else found == value
    plain = load_vlm(folders(family))
    assert not torch.equal(vlm.prefill(SHOWN).logits, plain.prefill(SHOWN).logits)
    assert vlm.info()["fingerprint"] != plain.info()["fingerprint"]


@pytest.mark.parametrize(
    ("family", "arguments", "words"),
    [
        ("llava", {"max_pixels": 5}, "has no 'max_pixels'. processor_args may hold crop_size, .*size"),
        ("qwen2_vl", {"maxpixels": 5}, "has no 'maxpixels'.*max_pixels.*min_pixels"),
        ("qwen2_vl", {"max_pixels": "many"}, "max_pixels='many'"),
        ("qwen2_vl", {"max_pixels": -5}, "max_pixels=-5"),
        ("qwen2_vl", {"patch_size": 7}, "Choose values that its vision side was made for"),
        ("llava", {"crop_size": {"height": 64, "width": 64}}, r"64\*64.*doesn't match model"),
        ("qwen2_vl", {"size": {"height": 10**9}}, "no model has more"),
        ("qwen2_vl", [1], r"processor_args is \[1\]"),
        ("qwen2_vl", {"max_pixels": {1}}, "must hold plain values"),
    ],
)
def test_what_it_has_not_or_cannot_read_is_refused(folders, family, arguments, words):
    with pytest.raises(InputError, match=words):
        load_vlm(folders(family), processor_args=arguments)


def test_settings_are_in_record_code_and_label(folders):
    vlm = load_vlm(folders("qwen2_vl"), processor_args={"max_pixels": 1024})
    trial = trial_of(vlm)
    assert trial.model["processor_args"] == {"max_pixels": 1024}
    assert "processor_args={'max_pixels': 1024}" in trial.code()
    assert model_label(trial.model).endswith(", max_pixels 1024")
    assert json.loads(trial.to_frame().iloc[0]["model_processor_args"]) == {"max_pixels": 1024}
    again = load_vlm(**vlm.loaded_with)
    assert again.info()["fingerprint"] == vlm.info()["fingerprint"]


# ---- adapters
@pytest.fixture
def adapter(folders, tmp_path):
    """Makes a LoRA adapter for a family: (its folder, the model with it)."""
    peft = pytest.importorskip("peft")

    def make(family="llava", **settings):
        model, processor = BUILDERS[family]()
        torch.manual_seed(1)
        usual = {"target_modules": ["q_proj", "v_proj"], "r": 4, "init_lora_weights": False}
        wrapped = peft.get_peft_model(model, peft.LoraConfig(**usual | settings)).eval()
        wrapped.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter", VLM(wrapped.base_model.model, processor, model_id="with it")

    return make


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "gemma3", "instructblip"])
def test_an_adapter_gives_what_peft_gives(folders, adapter, family):
    folder, reference = adapter(family)
    vlm, plain = load_vlm(folders(family), adapter=folder), load_vlm(folders(family))
    logits = vlm.prefill(SHOWN).logits
    assert torch.allclose(logits, reference.prefill(SHOWN).logits, atol=1e-5)
    assert not torch.allclose(logits, plain.prefill(SHOWN).logits, atol=1e-2)
    assert vlm.info()["fingerprint"] != plain.info()["fingerprint"]
    assert type(vlm.model) is type(plain.model) and not vlm.model.training


def test_other_weights_of_an_adapter_have_another_fingerprint(folders, adapter):
    from safetensors.torch import load_file, save_file

    folder, _ = adapter()
    first = load_vlm(folders("llava"), adapter=folder)
    weights = load_file(folder / "adapter_model.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] + 1}, folder / "adapter_model.safetensors", {"format": "pt"})
    second = load_vlm(folders("llava"), adapter=folder)
    assert first.info()["fingerprint"] != second.info()["fingerprint"]


def test_an_adapter_is_checked_recorded_and_in_the_code(folders, adapter):
    folder, _ = adapter()
    vlm = load_vlm(folders("llava"), adapter=folder)
    assert check_vlm(vlm, SHOWN, max_new_tokens=2).ok
    assert measure_attention(vlm, SHOWN).absolute()["image"] > 0
    trial = trial_of(vlm)
    assert trial.model["adapter"] == str(folder)
    assert f"adapter={str(folder)!r}" in trial.code()
    assert model_label(trial.model).endswith(" + adapter")
    again = load_vlm(**vlm.loaded_with)
    assert again.info()["fingerprint"] == vlm.info()["fingerprint"]


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_an_adapter_on_quantised_weights(folders, adapter, quantization):
    pytest.importorskip("bitsandbytes")
    folder, _ = adapter()
    vlm = load_vlm(folders("llava"), adapter=folder, quantization=quantization)
    plain = load_vlm(folders("llava"), quantization=quantization)
    assert not torch.allclose(vlm.prefill(SHOWN).logits, plain.prefill(SHOWN).logits, atol=1e-2)
    one, other = vlm.info(), plain.info()
    assert one["fingerprint"] != other["fingerprint"]
    for name in ("not_quantized", "compute_dtype", "quantization"):
        assert one[name] == other[name]


def test_an_adapter_of_another_model_is_refused(folders, adapter):
    folder, _ = adapter("qwen2_vl")
    with pytest.raises(InputError, match=r"other shapes.*trained on this model"):
        load_vlm(folders("llava"), adapter=folder)
    folder, _ = adapter()
    edit(folder, target_modules=["k_proj"])
    with pytest.raises(
        InputError, match=r"does not fit .*: 10 of its matrices are missing, 20 have no place"
    ):
        load_vlm(folders("llava"), adapter=folder)


def edit(folder, **changes):
    record = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "IA3"}, "of type 'IA3'; only LoRA"),
        ({"peft_type": None}, "of type 'None'"),
        ({"r": 10**9}, "rank 1000000000"),
        ({"r": "4"}, "rank '4'"),
        ({"rank_pattern": {"q_proj": 0}}, "rank 0"),
        ({"use_dora": True}, "DoRA"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "Megatron"),
        ({"target_modules": ["nothing"]}, "cannot be put on"),
        ({"lora_alpha": "x"}, "cannot be put on"),
    ],
)
def test_an_adapter_that_is_none_is_one_error(folders, adapter, changes, words):
    folder, _ = adapter()
    edit(folder, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load_vlm(folders("llava"), adapter=folder)
    assert "\n" not in str(caught.value)


def test_a_pickled_adapter_is_refused_unopened(folders, adapter, monkeypatch):
    def opened(*args, **kwargs):
        raise AssertionError("it was opened")

    folder, _ = adapter()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    monkeypatch.setattr("torch.load", opened)
    for allow_pickle in (False, True):
        with pytest.raises(InputError, match=r"has adapter_model.bin, a pickle"):
            load_vlm(folders("llava"), adapter=folder, allow_pickle=allow_pickle)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nope", "no adapter folder 'nope'"),
        ("", "adapter is ''"),
        (3, "adapter is 3"),
        ("/not/there", "no adapter folder"),
    ],
)
def test_an_adapter_that_is_not_there(folders, name, words):
    with pytest.raises(InputError, match=words):
        load_vlm(folders("llava"), adapter=name)


def test_adapters_and_models_are_not_mistaken(folders, adapter, tmp_path):
    folder, _ = adapter()
    with pytest.raises(InputError, match=r"holds an adapter, not a model.*load_vlm\(model, adapter="):
        load_vlm(folder)
    with pytest.raises(InputError, match=r"has no adapter_config.json"):
        load_vlm(folders("llava"), adapter=folders("llava"))
    both = shutil.copytree(folders("llava"), tmp_path / "both")
    shutil.copy(folder / "adapter_config.json", both)
    with pytest.raises(InputError, match="holds a model and an adapter, which transformers would put on it"):
        load_vlm(both)


def test_a_missing_package_is_named(folders, adapter, monkeypatch):
    folder, _ = adapter()
    find = __import__("importlib.util").util.find_spec
    missing = {"peft", "accelerate"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else find(name))
    with pytest.raises(InputError, match=r"needs peft.*isi-widget\[adapter\]"):
        load_vlm(folders("llava"), adapter=folder)
    with pytest.raises(InputError, match=r"needs accelerate.*isi-widget\[accelerate\]"):
        load_vlm(folders("llava"), device_map="auto")


# ---- several devices: here the CPU and the files on the disk
MAPS = {
    "all": {"": "cpu"},
    "auto": "auto",
    "vision on disk": {"": "cpu", "model.vision_tower": "disk"},
    "all on disk": {"": "disk", "lm_head": "cpu"},
    "one layer on disk": {"": "cpu", "model.language_model.layers.1": "disk"},
}


@pytest.mark.parametrize("family", ["llava", "llava_next"])
@pytest.mark.parametrize("name", MAPS)
def test_a_model_in_parts_is_the_same_model(folders, family, name):
    plain = load_vlm(folders(family))
    vlm = load_vlm(folders(family), device_map=MAPS[name])
    assert vlm.answer(SHOWN, 3) == plain.answer(SHOWN, 3)
    assert vlm.sample(SHOWN, 2, max_new_tokens=2) == plain.sample(SHOWN, 2, max_new_tokens=2)
    assert (measure_attention(vlm, SHOWN).mass == measure_attention(plain, SHOWN).mass).all()
    assert vlm.device.type == "cpu" and vlm.dtype == torch.float32
    assert vlm.info()["fingerprint"] == plain.info()["fingerprint"] is not None
    split = isinstance(MAPS[name], dict) and len(set(MAPS[name].values())) > 1
    assert ("device_map" in vlm.info()) == split
    if split:
        assert set(vlm.info()["device_map"].values()) == {"cpu", "disk"}


def test_the_check_runs_on_a_model_in_parts(folders):
    vlm = load_vlm(folders("llava"), device_map=MAPS["one layer on disk"])
    assert check_vlm(vlm, SHOWN, max_new_tokens=2).ok
    trial = trial_of(vlm)
    assert f"device_map={MAPS['one layer on disk']!r}" in trial.code()
    assert trial.model["device_map"]["model.language_model.layers.1"] == "disk"


@pytest.mark.parametrize(
    ("device_map", "words"),
    [
        ({"model.nope": "cpu"}, r"has no 'model.nope'.*model.vision_tower"),
        ({"model.vision_tower": "cpu"}, r"does not say where .* goes \(\d+ weights"),
        ({"": "gpu7"}, "Unknown device 'gpu7'"),
        ({"": None}, "has the device None"),
        ({"": True}, "has the device True"),
        ({"": "meta"}, "Unknown device 'meta'"),
        ("fast", "device_map is 'fast'"),
        ({}, "device_map is {}"),
        ([0], r"device_map is \[0\]"),
    ],
)
def test_maps_without_meaning_are_refused(folders, device_map, words):
    with pytest.raises(InputError, match=words):
        load_vlm(folders("llava"), device_map=device_map)


def test_a_device_and_a_map_exclude_each_other(folders):
    with pytest.raises(InputError, match="exclude each other"):
        load_vlm(folders("llava"), device_map="auto", device="cpu")


def test_parts_that_cannot_be_offloaded_are_said_at_once(folders):
    with pytest.raises(InputError, match="cannot read a picture with parts of it offloaded"):
        load_vlm(folders("idefics3"), device_map={"": "cpu", "model.vision_model": "disk"})


def test_an_adapter_does_not_go_on_what_is_offloaded(folders, adapter):
    folder, _ = adapter()
    with pytest.raises(InputError, match="which peft cannot do"):
        load_vlm(folders("llava"), adapter=folder, device_map={"": "cpu", "model.language_model": "disk"})


def test_each_device_must_have_room_for_its_part(folders, monkeypatch):
    free = {"cpu": 10**12, "cuda:0": 10**5, "cuda:1": 10**12}
    monkeypatch.setattr(fitting, "free_memory", lambda device: free[str(device)])
    bare, _ = tiny_models.llava()
    spread = placement.apart({"": "cuda:0", "model.language_model": "cuda:1"}, bare)
    arguments = {"quantization": None, "dtype": torch.float32, "quantize_vision": False}
    with pytest.raises(InputError, match=r"What device_map puts of tiny on cuda:0 needs about .* free there"):
        check_fits("tiny", bare, torch.device("cuda:0"), device_map=spread, **arguments)
    free["cuda:0"] = 10**12
    check_fits("tiny", bare, torch.device("cuda:0"), device_map=spread, **arguments)
    monkeypatch.setattr(placement, "devices", lambda device_map: tuple(map(torch.device, free)))
    free |= dict.fromkeys(free, 10**5)
    with pytest.raises(InputError, match=r"0\.3 MiB are free on cpu, cuda:0 and cuda:1 together"):
        check_fits("tiny", bare, torch.device("cuda:0"), device_map="auto", **arguments)


def test_a_map_is_spelled_out_without_overlaps():
    model, _ = tiny_models.llava()
    layer = "model.language_model.layers.1"
    spread = placement.apart({"": "cpu", "model": "cuda:0", layer: "cuda:1"}, model)
    assert spread[layer] == "cuda:1" and spread["lm_head"] == "cpu"
    assert spread["model.vision_tower"] == spread["model.language_model.layers.0"] == "cuda:0"
    for one in spread:
        assert not any(other.startswith(f"{one}.") for other in spread)
    assert placement.main_device(spread) == torch.device("cuda:0")
    assert placement.devices(spread) == tuple(map(torch.device, ("cuda:0", "cuda:1", "cpu")))


def test_the_probe_switches_to_and_from_a_model_in_parts(folders):
    slot = ModelSlot(load_vlm(folders("llava"), device_map=MAPS["vision on disk"]))
    source = Source.of(slot.vlm)
    assert source is not None and source.device.type == "cpu" and source.needed()
    held = memory.model_bytes(slot.vlm.model)
    assert 0 < slot.held(torch.device("cpu")) == held < memory.model_bytes(load_vlm(folders("llava")).model)
    again = slot.exchange(source, lambda *_: None, lambda: False)
    assert again.info()["device_map"]["model.vision_tower"] == "disk"
    assert slot.exchange(Source(), lambda *_: None, lambda: False).is_embedded


# ---- InstructBLIP
def test_the_prefix_that_a_tokenizer_adds_is_template(folders):
    vlm = tiny_models.vlm("instructblip")
    text = "图中有星吗?"  # no character is in the vocabulary: 5 x 3 bytes and the question mark
    prompt = vlm.encode(Shown(text))
    assert prompt.token_counts()["question"] == 16
    assert vlm.tokenizer.decode(list(prompt.segment_token_ids("question"))) == text
    assert prompt.token_counts()["template"] == vlm.encode(Shown("吗")).token_counts()["template"]
    both = vlm.encode(Shown(text, text)).token_counts()
    assert both["context"] == both["question"] == 16


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("text", ["图中有星吗?", " 星", "é", "a b  c"])
def test_a_question_is_as_many_tokens_first_or_after_a_context(family, text):
    vlm = tiny_models.vlm(family)
    alone = vlm.encode(Shown(text))
    decoded = vlm.tokenizer.decode(list(alone.segment_token_ids("question")))
    assert decoded.strip() == text.strip()
    counts = [alone.token_counts()["question"], vlm.encode(Shown(text, "A.")).token_counts()["question"]]
    # a word that is in the vocabulary takes the space before it along, an unknown one has none to take
    assert counts[0] == counts[1] or (text == "a b  c" and abs(counts[0] - counts[1]) <= 1)


def test_what_the_qformer_cannot_read_is_said():
    vlm = tiny_models.vlm("instructblip", max_position_embeddings=8192)
    assert vlm.encode(Shown(current_context="a. " * 100))
    with pytest.raises(InputError, match=r"second tokenizer too, 512 tokens at most; this one has \d+ there"):
        vlm.encode(Shown(current_context="a. " * 400))
