"""System prompts and earlier turns: segments of their own, placed by the chat template, or refused."""

from __future__ import annotations

import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, VLM, Shown

from isi_widget import Observation, run_trial
from isi_widget.attribution import AttentionShares, measure_attention
from isi_widget.errors import InputError
from isi_widget.vlm import check_vlm, load_vlm
from isi_widget.vlm.prompts.turns import checked_history

SYSTEM = "You are careful. Answer briefly."
HISTORY = [("What is this?", "A picture."), ("Is it large?", "No, it is small.")]
SHOWN = Shown(current_context="The star is red.")
#: Their templates have no turns.
ONE_TURN = ("paligemma", "paligemma2", "instructblip")
WITH_TURNS = [name for name in BUILDERS if name not in ONE_TURN]


def made(family="llava", **given):
    model, processor = (BUILDERS | tiny_models.UNLISTED)[family]()
    return VLM(model, processor, model_id="tiny", **given)


def decoded(vlm, prompt, segment):
    return "".join(vlm.tokenizer.decode(list(prompt.segment_token_ids(segment))).split())


@pytest.mark.parametrize("family", [*WITH_TURNS, "aya_vision"])
def test_the_prompt_is_the_processors_own_and_each_text_a_segment(family):
    vlm = made(family, system=SYSTEM, history=HISTORY)
    prompt = vlm.encode(SHOWN)
    turns = [{"role": "system", "content": [{"type": "text", "text": SYSTEM}]}]
    for asked, answered in HISTORY:
        turns += [
            {"role": "user", "content": [{"type": "text", "text": asked}]},
            {"role": "assistant", "content": [{"type": "text", "text": answered}]},
        ]
    text = "The star is red.\nIs there a red star?"
    parts = [{"type": "image", "image": SHOWN.render()}, {"type": "text", "text": text}]
    own = vlm.processor.apply_chat_template(
        [*turns, {"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert prompt.input_ids.equal(own["input_ids"])
    assert prompt.segments == ("template", "image", "context", "question", "system", "history")
    assert decoded(vlm, prompt, "system") == SYSTEM.replace(" ", "")
    assert decoded(vlm, prompt, "history") == "".join(a + b for a, b in HISTORY).replace(" ", "")
    assert decoded(vlm, prompt, "context") == "Thestarisred."
    assert decoded(vlm, prompt, "question") == "Istherearedstar?"
    assert sum(prompt.token_counts().values()) == len(prompt)
    without = made(family).encode(SHOWN)
    assert prompt.token_counts()["image"] == without.token_counts()["image"]
    assert prompt.segment_token_ids("context") == without.segment_token_ids("context")


@pytest.mark.parametrize("given", [{"system": SYSTEM}, {"history": HISTORY}])
def test_only_what_is_given_is_a_segment(given):
    prompt = made(**given).encode(SHOWN)
    assert prompt.segments[4:] == tuple(given)
    assert prompt.groups == ("image", "context", "question", *given, "other")


def test_without_either_nothing_changes():
    vlm = made()
    assert vlm.encode(SHOWN).segments == ("template", "image", "context", "question")
    assert measure_attention(vlm, SHOWN).segments == ("image", "context", "question", "other")
    assert not {"system", "history"} & vlm.info().keys()


def test_attention_and_the_check_know_them():
    vlm = made("qwen2_vl", system=SYSTEM, history=HISTORY)
    report = check_vlm(vlm, SHOWN, max_new_tokens=3)
    assert report.ok, report
    shares = measure_attention(vlm, SHOWN)
    assert shares.segments == ("image", "context", "question", "system", "history", "other")
    assert sum(shares.absolute().values()) == pytest.approx(1, abs=1e-5)
    assert min(shares.absolute().values()) > 0
    assert shares.relative().keys() == {"image", "context", "question"}
    assert shares.token_counts["system"] == vlm.encode(SHOWN).token_counts()["system"]
    assert AttentionShares.from_dict(shares.to_dict()) == shares
    index = (shares.absolute()["context"] + shares.absolute()["question"]) / (
        shares.token_counts["context"] + shares.token_counts["question"]
    )
    image = shares.absolute()["image"] / shares.token_counts["image"]
    assert shares.modality_dominance_index == pytest.approx(index / image)


def test_they_change_the_answer_and_the_fingerprint():
    plain, one, other = made(), made(system=SYSTEM), made(system="Say no.")
    assert not torch.equal(plain.prefill(SHOWN).logits, one.prefill(SHOWN).logits)
    prints = {vlm.info()["fingerprint"] for vlm in (plain, one, other, made(history=HISTORY))}
    assert len(prints) == 4
    assert made(system=SYSTEM).info()["fingerprint"] == one.info()["fingerprint"]


@pytest.mark.parametrize("family", ONE_TURN)
@pytest.mark.parametrize(
    ("given", "words"),
    [({"system": SYSTEM}, "a system prompt"), ({"history": HISTORY}, "earlier turns")],
)
def test_a_template_without_a_place_is_one_clear_refusal(family, given, words):
    with pytest.raises(InputError, match=f"has no place for {words}. Leave out {next(iter(given))}="):
        made(family, **given)


def test_a_role_that_a_template_writes_as_another_is_no_place():
    """The embedded model's template has questions and answers: a system prompt would stand there as an
    answer.
    """
    with pytest.raises(InputError, match=r"no place for a system prompt"):
        load_vlm(system=SYSTEM)
    vlm = load_vlm(history=[("Is there a star?", "Yes.")])
    assert vlm.encode(SHOWN).text == (
        "\nIs there a star?\nAnswer: Yes.<image>\nThe star is red.\nIs there a red star?\nAnswer:"
    )


def test_templates_that_take_plain_texts_get_them():
    model, processor = tiny_models.llava()
    processor.chat_template = (
        "{% for message in messages %}{% if message['role'] == 'user' %}"
        "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}"
        "{% endfor %}{% else %}[{{ message['role'] }}]{{ message['content'] }}{% endif %}\n{% endfor %}"
    )
    vlm = VLM(model, processor, model_id="tiny", system=SYSTEM, history=HISTORY)
    assert vlm.encode(SHOWN).text.startswith(f"[system]{SYSTEM}What is this?[assistant]A picture.")


def test_a_text_of_the_system_prompt_is_data():
    with pytest.raises(InputError, match="system prompt contains '<image>'"):
        made(system="Look at <image>.")
    with pytest.raises(InputError, match="earlier turn contains '</s>'"):
        made(history=[("a", "b</s>")])
    text = "ASSISTANT: [INST]"
    assert decoded(made(system=text), made(system=text).encode(SHOWN), "system") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"system": ""}, "system is ''"),
        ({"system": 3}, "system is 3"),
        ({"history": "hello"}, "history is str"),
        ({"history": [("a",)]}, "Turn 0 of history"),
        ({"history": [("a", "b"), ("c", "")]}, "Turn 1 of history"),
        ({"history": [{"role": "user", "content": "a"}]}, "roles 'user'; expected user and assistant"),
        ({"history": [("a", "b")] * 201}, "has 201 turns"),
    ],
)
def test_other_forms_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        load_vlm(**given)


def test_messages_are_pairs_too():
    messages = [
        {"role": role, "content": text}
        for turn in HISTORY
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    assert checked_history(messages) == checked_history(HISTORY) == tuple(HISTORY)


def test_the_record_the_code_and_the_table_have_them(tmp_path):
    model, processor = tiny_models.llava()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    vlm = load_vlm(tmp_path, system=f"  {SYSTEM} ", history=HISTORY)
    assert (vlm.info()["system"], vlm.info()["history"]) == (SYSTEM, [list(turn) for turn in HISTORY])
    shown = Observation(SHOWN.render(), "Is there a red star?", context="The star is red.").stimulus()
    trial = run_trial(vlm, shown, measures=("answer", "attention"), max_new_tokens=2)
    code = trial.code()
    assert f"system={SYSTEM!r}" in code and "history=[['What is this?', 'A picture.']" in code
    assert load_vlm(**vlm.loaded_with).answer(shown, 2) == vlm.answer(shown, 2)
    assert trial.view()["model"].endswith("system prompt, 2 earlier turns")
    assert trial.view()["attention"]["segments"][3:] == ["system", "history", "other"]
    row = trial.to_frame().iloc[0]
    assert row["model_system"] == SYSTEM and "A picture." in row["model_history"]
    page = trial._repr_html_()
    assert f"system prompt: {SYSTEM}" in page and "earlier turn: What is this? | A picture." in page
    assert type(trial).from_dict(trial.to_dict()) == trial
    assert trial.plot() and trial.report().startswith(b"%PDF")
