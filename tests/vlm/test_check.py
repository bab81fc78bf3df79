"""check_vlm: passes where isi_widget does what transformers does, and fails where it does not."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
import torch
from tiny_models import VLM, Shown

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.vlm import check_vlm, load_vlm, reading
from isi_widget.vlm.check.report import FAILED, NOT_AVAILABLE, PASSED, CheckReport, CheckRow
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.families import registry
from isi_widget.vlm.inside.attention import AttentionRecorder
from isi_widget.vlm.inside.editing import LayerEdits
from isi_widget.vlm.inside.steering import Steered
from isi_widget.vlm.plain import TOLERANCES

ALL = {**tiny_models.BUILDERS, **tiny_models.UNLISTED}
quantised = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is an optional extra"
)


def failed(report):
    return {row.name for row in report.rows if row.status == FAILED}


def saved(name, folder):
    """A tiny model as a checkpoint without a processor of its own."""
    model, processor = tiny_models.BUILDERS[name]()
    model.save_pretrained(folder)
    processor.tokenizer.chat_template = processor.chat_template
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_family_passes(name):
    vlm = tiny_models.vlm(name)
    report = check_vlm(vlm, max_new_tokens=5)
    assert report.ok, str(report)
    assert report.precision == "float32"
    without = {row.name for row in report.rows if row.status == NOT_AVAILABLE}
    named = {
        "image_map": {"image map"},
        "segments": {"segments", "attention knock-out"},
        "attention": {"attention shares"},
    }
    assert without == {row for measure in vlm.unavailable for row in named[measure]}
    # Tiny models must be closer than what is granted to large ones.
    for row in report.rows:
        assert row.difference is None or row.difference < 1e-5, row


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["llava", "paligemma"])
def test_half_precision_passes_within_its_own_tolerance(name, dtype):
    model, processor = tiny_models.BUILDERS[name]()
    report = check_vlm(VLM(model.to(getattr(torch, dtype)), processor, model_id="half"), max_new_tokens=5)
    assert report.ok, str(report)
    assert report.precision == dtype
    assert report["attention shares"].tolerance == TOLERANCES[dtype][1]
    assert 1e-5 < report["attention shares"].difference < TOLERANCES[dtype][1]


@quantised
@pytest.mark.parametrize(
    ("quantization", "precisions"), [("nf4", {"bfloat16", "float32"}), ("int8", {"int8"})]
)
def test_quantised_models_pass(quantization, precisions, tmp_path):
    vlm = load_vlm(saved("qwen2_vl", tmp_path), quantization=quantization)
    report = check_vlm(vlm, max_new_tokens=5)
    assert report.ok, str(report)
    assert report.precision in precisions
    assert quantization in str(report)


def test_a_stimulus_of_ones_own():
    report = check_vlm(tiny_models.vlm("llava_next"), Shown("Is it so?", size=(200, 40)), max_new_tokens=3)
    assert report.ok
    tokens = len(tiny_models.vlm("llava_next").encode(Shown("Is it so?", size=(200, 40))))
    assert report["prompt ids"].note == f"{tokens} tokens"


# What is wrong is found -------------------------------------------------------------------------------------


def broken(name, **changes):
    """A tiny model whose adapter has one thing changed."""
    vlm = VLM(*tiny_models.BUILDERS[name](), model_id="broken")
    family = type("Broken", (type(vlm.family),), changes)()
    family.model_type = vlm.family.model_type
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FAMILIES, family.model_type, family)
        return VLM(vlm.model, vlm.processor, model_id="broken")


def test_a_lost_input_is_found():
    report = check_vlm(broken("gemma3", token_inputs=()), max_new_tokens=4)
    assert {"first logits", "log-probabilities of samples", "attention shares"} <= failed(report)
    assert not report.ok and report["first logits"].difference > 0.01


def test_lost_state_is_found():
    report = check_vlm(broken("qwen2_vl", state=lambda self, model: []), Shown(size=(200, 40)))
    assert "another image in between" in failed(report)


def test_a_changed_prompt_is_found(monkeypatch):
    vlm = VLM(*tiny_models.llava(), model_id="broken")
    encode = vlm.encode

    def changed(stimulus):
        prompt = encode(stimulus)
        return replace(prompt, ids=(*prompt.ids[:-1], prompt.ids[-1] + 1))

    monkeypatch.setattr(vlm, "encode", changed)
    report = check_vlm(vlm, max_new_tokens=3)
    assert {"prompt ids", "first logits"} <= failed(report)
    assert report["prompt ids"].difference == 1


def test_wrong_segments_are_found(monkeypatch):
    vlm = VLM(*tiny_models.llava(), model_id="broken")
    label = type(vlm.encoder)._label

    def shifted(self, *arguments):
        ids, straddling = label(self, *arguments)
        return (*ids[1:], ids[-1]), straddling

    monkeypatch.setattr(type(vlm.encoder), "_label", shifted)
    report = check_vlm(vlm, max_new_tokens=3)
    assert {"segments", "attention shares"} & failed(report) == {"segments"}
    assert "reads" in report["segments"].note


def test_wrong_attention_is_found(monkeypatch):
    record = AttentionRecorder.record

    def softened(self, layer, queries, weights):
        record(self, layer, queries, lambda rows: (weights(rows).log() * 0.9).softmax(dim=-1))

    monkeypatch.setattr(AttentionRecorder, "record", softened)
    assert failed(check_vlm(tiny_models.vlm("qwen2_vl"), max_new_tokens=3)) == {"attention shares"}


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ("outputs", {"scaled head", "attention knock-out", "answer under interventions"}),
        ("weights", {"attention knock-out"}),
    ],
)
def test_wrong_interventions_are_found(monkeypatch, part, rows):
    wrong = {
        "outputs": lambda self, output: output * 1.01,
        "weights": lambda self, logits, queries, keys: logits.softmax(dim=-1),
    }
    monkeypatch.setattr(LayerEdits, part, wrong[part])
    assert failed(check_vlm(tiny_models.vlm(), max_new_tokens=3)) == rows


@pytest.mark.parametrize(
    ("place", "wrong", "row"),
    [
        (Steered, ("__call__", lambda self, states, positions: states * 1.01), "steered layer"),
        (reading, ("contrasted", lambda prefill, worse, item: worse), "contrastive decoding"),
    ],
)
def test_wrong_steering_and_contrasts_are_found(monkeypatch, place, wrong, row):
    monkeypatch.setattr(place, *wrong)
    assert failed(check_vlm(tiny_models.vlm(), max_new_tokens=3)) == {row}


def test_a_view_with_interventions_is_checked_as_the_plain_model():
    assert check_vlm(tiny_models.vlm().intervene(isi.HeadScale(0, 0, 0)), max_new_tokens=3).ok


def test_wrong_tokens_are_found(monkeypatch):
    monkeypatch.setattr(decoding, "greedy", lambda scores, rows: (scores.topk(2).indices[:, 1], None))
    report = check_vlm(tiny_models.vlm(), max_new_tokens=3)
    assert failed(report) == {"greedy tokens"}
    assert report["greedy tokens"].note.startswith("equal up to token 0")


def test_tokens_that_tie_may_differ(monkeypatch):
    model, processor = tiny_models.llava()
    vlm = VLM(model, processor, model_id="tie")
    shown = Shown()
    first = vlm.answer(shown, 1).token_ids[0]
    twin = (first + 1) % 400
    with torch.no_grad():
        model.lm_head.weight[twin] = model.lm_head.weight[first]

    def last_of_equals(scores, rows):
        return scores.shape[-1] - 1 - scores.flip(-1).argmax(-1), None

    monkeypatch.setattr(decoding, "greedy", last_of_equals)
    report = check_vlm(vlm, shown, max_new_tokens=3)
    row = report["greedy tokens"]
    assert row.status == PASSED and row.difference < 1e-6 and "equal up to token 0" in row.note


def test_an_error_is_a_row_and_not_the_end(monkeypatch):
    vlm = VLM(*tiny_models.llava(), model_id="broken")

    def fails(*arguments):
        raise RuntimeError("out of order\nwith details")

    monkeypatch.setattr(vlm, "teacher_force", fails)
    report = check_vlm(vlm, max_new_tokens=3)
    assert failed(report) == {"attention shares"}
    assert report["attention shares"].note == "RuntimeError: out of order"


def test_settings_of_the_checkpoint_do_not_matter_and_are_left_alone():
    model, processor = tiny_models.llava()
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.suppress_tokens = [
        VLM(model, processor, model_id="x").answer(Shown(), 1).token_ids[0]
    ]
    settings, implementation = model.generation_config, model.config.text_config._attn_implementation
    hooks = sum(len(module._forward_hooks) for module in model.modules())
    assert check_vlm(VLM(model, processor, model_id="x"), Shown(), max_new_tokens=6).ok
    assert model.generation_config is settings and settings.repetition_penalty == 5.0
    assert model.config.text_config._attn_implementation == implementation
    assert sum(len(module._forward_hooks) for module in model.modules()) == hooks


# The report -------------------------------------------------------------------------------------------------


REPORT = CheckReport(
    {"name": "a/b", "family": "LLaVA-1.5", "dtype": "float32", "quantization": None},
    "float32",
    (
        CheckRow("one", PASSED, 1.5e-6, 1e-4, "8 tokens"),
        CheckRow("two <b>", FAILED, 0.25, 1e-4),
        CheckRow("three", NOT_AVAILABLE, note="No segments & so on."),
    ),
)


def test_a_report_prints_as_a_table():
    assert str(REPORT).splitlines() == [
        "a/b: LLaVA-1.5, float32, computes in float32",
        "check    result         difference  tolerance  note",
        "one      passed         1.5e-06     0.0001     8 tokens",
        "two <b>  failed         0.25        0.0001",
        "three    not available                         No segments & so on.",
        "Checks failed: do not trust what they name.",
    ]
    assert not REPORT.ok
    assert REPORT["three"].status == NOT_AVAILABLE
    with pytest.raises(KeyError):
        REPORT["four"]


def test_a_report_shows_itself_in_a_notebook():
    page = REPORT._repr_html_()
    assert page.count("<tr>") == 4
    assert "two &lt;b&gt;" in page and "No segments &amp; so on." in page and "<b>" not in page


def test_a_report_is_json_ready():
    record = json.loads(json.dumps(REPORT.to_dict()))
    assert record["ok"] is False and record["rows"][0]["difference"] == 1.5e-6


@pytest.mark.parametrize("vlm", ["a name", tiny_models.Shown()])
def test_only_a_loaded_model_can_be_checked(vlm):
    with pytest.raises(InputError, match="compares a loaded model"):
        check_vlm(vlm)


# The page ---------------------------------------------------------------------------------------------------


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    """Every Python block of docs/add_your_vlm.md, in order, on a tiny Aya Vision."""
    page = Path(__file__).parents[2] / "docs" / "add_your_vlm.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    adapter = blocks[0]
    assert len(blocks) >= 3 and len([line for line in adapter.splitlines() if line.strip()]) <= 20
    model, processor = tiny_models.aya_vision()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("CohereLabs/aya-vision-8b", str(tmp_path)), names)
    assert "aya_vision" in registry.supported_families()
    vlm, report = names["vlm"], names["report"]
    assert vlm.family.title == "Aya Vision" and report.ok
    assert "image_map" not in vlm.unavailable or report["image map"].status == NOT_AVAILABLE
    assert "No check failed." in capsys.readouterr().out
