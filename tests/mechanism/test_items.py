"""Items of scans and the tokens of their answers, for tokenizers of every family."""

from __future__ import annotations

from dataclasses import replace

import planted_models
import pytest
import tiny_models
import torch
from tiny_models import BUILDERS, Shown

import isi_widget as isi
from isi_widget.errors import InputError
from isi_widget.mechanism.items import Item, aim_of, first_token, items_of
from isi_widget.mechanism.targets import TARGETS, target_of

SHOWN = Shown(size=(90, 40))


def scene(answer="Yes", level=None):
    picture = SHOWN.render()
    return isi.Observation(picture, "Is there a star?", answer=answer, level=level, id="a")


def test_observations_tuples_and_pairs_are_items():
    yes, colour = scene(level="object"), scene("Blue")
    stimulus = yes.stimulus()
    pair = isi.Pair(stimulus, scene("No").stimulus(), "object", "")
    found = items_of([yes, colour, (stimulus, "red", "green"), (yes, "no"), pair, stimulus])
    assert [(item.answer, item.wrong, item.level) for item in found] == [
        ("Yes", "No", "object"),
        ("Blue", None, None),
        ("red", "green", None),
        ("no", "Yes", "object"),
        ("Yes", "No", "object"),
        ("Yes", "No", None),
    ]
    assert found[0].name == "a" and found[2].stimulus == stimulus
    assert items_of(yes) == items_of([yes])
    assert items_of((stimulus, "red"))[0].answer == "red"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one"),
        ("text", "a sequence"),
        ([3], "type int"),
        ([scene(None)], "no true answer"),
        ([(scene(), "")], "not empty"),
        ([(scene(), "a", 3)], "not empty"),
    ],
)
def test_what_is_no_item_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        items_of(given)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_first_token_is_the_form_that_the_model_prefers(name):
    vlm = tiny_models.vlm(name)
    tokenizer = vlm.tokenizer
    forms = {
        text: tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ("Yes", " Yes", "yes", " yes")
    }
    usable = {text: ids for text, ids in forms.items() if tokenizer.decode(ids[:1]).strip()}
    item = Item(SHOWN, "yes", "no")
    for text, ids in usable.items():
        logits = torch.zeros(len(tokenizer))
        logits[ids[0]] = 1
        aim = aim_of(vlm, item, logits)
        assert aim.right == ids[0] and aim.answer_ids[0] == ids[0] and not aim.chosen
        assert text.strip().startswith(aim.right_text.strip()) and aim.wrong_text.strip().lower() in "no"
        assert first_token(vlm, "yes", logits) == ids[0]


def test_without_a_wrong_answer_it_is_the_models_most_probable_other_word():
    planted = planted_models.planted("one_hop")
    vlm = planted.vlm()
    item = items_of((planted.observations(1)[0], "Yes"))[0]
    open_item = Item(item.stimulus, "Yes", None)
    logits = vlm.prefill(item.stimulus).logits
    aim = aim_of(vlm, open_item, logits)
    best = [token for token in logits.argsort(descending=True).tolist() if token != aim.right]
    assert aim.chosen and aim.wrong in best[:10]
    assert aim.wrong_text.strip().lower() != "yes"


def test_answers_with_the_same_first_token_are_refused():
    vlm = tiny_models.vlm()
    with pytest.raises(InputError, match="same token"):
        aim_of(vlm, Item(SHOWN, "red", "red"), torch.zeros(len(vlm.tokenizer)))


def test_targets_are_the_formulas():
    vlm = tiny_models.vlm()
    logits = torch.randn(3, 2, len(vlm.tokenizer), generator=torch.manual_seed(0))
    aim = aim_of(vlm, Item(SHOWN, "yes", "no"), logits[0, 0])
    p = logits.softmax(-1)
    assert torch.allclose(TARGETS["p"].value(logits, aim), p[:, 0, aim.right])
    difference = TARGETS["logit_difference"].value(logits, aim)
    assert torch.equal(difference, logits[:, 0, aim.right] - logits[:, 0, aim.wrong])
    two = replace(aim, answer_ids=(aim.right, 7))
    expected = p[:, 0, aim.right].log() + p[:, 1, 7].log()
    assert torch.allclose(TARGETS["log_p_answer"].value(logits, two), expected, atol=1e-5)
    with pytest.raises(InputError, match="must be one of"):
        target_of("accuracy")
