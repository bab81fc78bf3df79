"""The training of the VLM: what the model is taught agrees with what it is shown, and the command runs and
resumes.
"""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import Claim, Noun
from isi_widget.datasets.scenes.splits import cases, make_case
from isi_widget.training.__main__ import main
from isi_widget.training.vlm import build, evaluate, loop, oracle, pictures, stages, targets, tokens, workers
from isi_widget.training.vlm.network import Network
from isi_widget.training.vlm.pictures import Show, View
from isi_widget.training.vlm.questions import IGNORE, PREFIX, Mix, collate, pack, prefix

ALL = {
    "existence": 1.0,
    "attribute": 1.0,
    "colour": 1.0,
    "shape": 1.0,
    "name": 1.0,
    "relation": 1.0,
    "counting": 1.0,
    "choice": 1.0,
}


def view(seed, **show):
    return pictures.question_view(random.Random(seed), Show(**show))


def single(text):
    return len(tokens.token_ids(text)) == 1


def test_words_of_both_worlds_are_single_tokens_however_they_are_written():
    names = {"dog", "dogs", "umbrella", "umbrellas", "strawberries", "vehicle", "cross", "crosses"}
    assert names <= set(tokens.words())
    for word in tokens.words():
        if word.isalpha():
            for form in (word, word.capitalize(), word.upper()):
                assert single(form) and single(" " + form), form
    for text in grammar.vocabulary():
        assert all(
            single(" " + word) for word in text.replace(",", "").rstrip(".?").split() if word.isalpha()
        )


def test_forms_of_a_word_start_alike():
    table = build.model(0).model.language_model.embed_tokens.weight
    dog, shouted, cat = (table[tokens.token_ids(word)[0]] for word in (" dog", "DOG", " cat"))
    assert torch.cosine_similarity(dog, shouted, dim=0) > 0.8 > torch.cosine_similarity(dog, cat, dim=0)


def test_any_text_can_be_encoded():
    tokenizer = tokens.shared_tokenizer()
    for text in ("Ist da ein Stern?", "日本語 ✓", "x = {1}\n\ttab"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_pixels_are_those_of_the_image_processor():
    processor = build.image_processor()
    for seed in range(20):
        shown = view(seed, labels=1.0, cover=0.5)
        shown.quality = 0
        picture = shown.scene
        full = pictures.draw_scene(picture)
        for drawing in shown.drawings:
            drawing.draw(full)
        expected = processor(images=full, return_tensors="pt")["pixel_values"]
        mine = build.normalise(torch.from_numpy(shown.pixels(np.random.default_rng(0)))[None])
        assert torch.equal(mine, expected)


def test_noise_before_or_after_the_reduction_is_the_same():
    """Nearest pixels of independent noise: equal mean and spread, to sampling error."""
    case = make_case("validation", 3)
    from isi_widget.stimulus.drawing import GaussianNoise
    from isi_widget.stimulus.rendering import paint

    clean = np.asarray(case.picture().resize((192, 192), 0)).astype(float)
    before = np.asarray(paint(case.picture(), [GaussianNoise(0.1, 1)]).resize((192, 192), 0)) - clean
    shown = View(case.scene, noise=0.1)
    after = shown.pixels(np.random.default_rng(1)) - clean
    assert before.std() == pytest.approx(after.std(), rel=0.03)
    assert before.mean() == pytest.approx(after.mean(), abs=0.5)
    for low, high in ((0, 100), (100, 200), (200, 230), (230, 256)):  # clipping depends on the level
        inside = (clean >= low) & (clean < high)
        if inside.sum() > 3000:
            assert before[inside].std() == pytest.approx(after[inside].std(), rel=0.05)


def test_patch_targets_find_every_thing_and_label():
    for seed in range(60):
        shown = view(seed, cover=0.5, labels=0.5)
        found, scene = targets.patch_targets(shown), shown.scene
        middles = {}
        for index, thing in enumerate(scene.things):
            column, row = (
                min(11, 12 * at // side) for at, side in ((thing.x, scene.width), (thing.y, scene.height))
            )
            middles.setdefault(row * 12 + column, []).append(index)
        assert found["centre"].sum() == len(middles)
        for patch, here in middles.items():
            thing = scene.things[here[-1]]  # the one in front
            told = {label.text for label in shown.labels if label.thing == here[-1]}
            hidden = here[-1] in shown.covered and thing.shape not in told
            expected = targets.COVERED["what"] if hidden else 1 + targets.WHAT.index(thing.shape)
            assert found["what"][patch].tolist() == [expected, expected]
            place = thing.x / scene.width, thing.y / scene.height
            assert found["xy"][patch] == pytest.approx(place, abs=1e-5)
        for label in shown.labels:
            here = found["word"][:, 0] == 1 + targets.WORDS.index(label.text)
            thing = scene.things[label.thing]
            place = np.array([thing.x / scene.width, thing.y / scene.height])
            assert (np.abs(found["to"][here] - place).max(1) < 1e-5).any() or len(shown.labels) > 1
            assert (found["label"][here] == 1).any()


def test_chances_of_the_oracle_are_honest():
    """Of things that are there with chance p, a share p is there; true looks have their chance."""
    rng, sure, faint = random.Random(0), [], []
    for _ in range(1500):
        shown = oracle.oracle_view(rng, Show(), doubt=0.5, faint=0.3)
        sure += [(doubt.truth, True) for doubt in shown.doubts.values()]
        sure += [(1 - doubt.truth, False) for doubt in shown.doubts.values()]
        faint += [(chance, True) for chance in shown.presence.values()]
        faint += [(ghost.presence, False) for ghost in shown.ghosts]
    for given in (sure, faint):
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            here = [(chance, real) for chance, real in given if low <= chance < low + 0.2]
            share, expected = np.mean([real for _, real in here]), np.mean([chance for chance, _ in here])
            assert len(here) > 100 and share == pytest.approx(expected, abs=0.08)


def test_oracle_tokens_are_means_by_chance():
    heads = Network(0, compiled=False).heads
    shown = View(pictures.question_scene(random.Random(2), pictures.SHAPE_WORLD))
    patch = targets.patch_of(
        *(np.array([shown.scene.things[-1].x, shown.scene.things[-1].y]) / shown.scene.width)
    )

    def token(**changes):
        found = {name: torch.from_numpy(value)[None] for name, value in targets.patch_targets(shown).items()}
        found["chance"][..., 0], found["chance"][..., 1] = changes.get("chances", (1, 0))
        found["colour"] = found["colour"].clone()
        found["colour"][..., 0], found["colour"][..., 1] = changes["colours"]
        with torch.no_grad():
            return heads.oracle_tokens(found)[0, patch]

    red, blue, both = (
        token(colours=(1, 2)),
        token(colours=(2, 1)),
        token(colours=(1, 2), chances=(0.25, 0.75)),
    )
    assert not torch.allclose(red, blue) and torch.allclose(both, 0.25 * red + 0.75 * blue, atol=1e-5)


def test_packed_pairs_read_as_prompts():
    """Each segment, after the shared prefix, is exactly the tokens of a prompt of its own, and starts at its
    position.
    """
    tokenizer = tokens.shared_tokenizer()
    packed = pack(view(5), Mix(ALL, canonical=0.3, margin=0.125, context=0.5), random.Random(1))
    ids, segments, positions = (
        np.array(packed.tokens),
        np.array(packed.segments),
        np.array(packed.positions),
    )
    assert ids[:PREFIX].tolist() == prefix()
    numbers = sorted(set(packed.segments) - {-1, 0})
    assert len(numbers) >= 6
    for number in numbers:
        here = segments == number
        assert positions[here].tolist() == list(range(PREFIX, PREFIX + here.sum()))
        text = tokenizer.decode(ids[here])
        before, said = text.split("\nAnswer:")
        lines = before.split("\n")
        context, question = lines if len(lines) == 2 else ("", lines[0])
        whole = tokenizer.encode(build.prompt(context, question) + said.removesuffix(tokens.EOS))
        image = tokenizer.convert_tokens_to_ids(tokens.IMAGE)
        expected = [token for token in whole if token != image]
        assert expected == [ids[0], *ids[145:PREFIX], *ids[here][:-1]]


def test_targets_are_the_next_tokens_and_one_decides():
    packed = pack(view(5), Mix(ALL, canonical=0.3, margin=0.125), random.Random(2))
    ids, weights = packed.tokens, packed.weights
    for index, target in enumerate(packed.targets):
        if target != IGNORE:
            assert target == ids[index + 1] and packed.segments[index] == packed.segments[index + 1]
    decisive = [packed.segments[i] for i, weight in enumerate(weights) if weight == 1]
    assert decisive == sorted(set(packed.segments) - {-1, 0})


def test_block_mask():
    batch = collate([pack(view(seed), Mix(ALL), random.Random(seed)) for seed in range(2)])
    mask, segments = batch["mask"][0, 0], torch.tensor(pack(view(0), Mix(ALL), random.Random(0)).segments)
    for query in range(0, 354, 13):
        for key in range(354):
            same = segments[query] == segments[key] or segments[key] == 0
            assert bool(mask[query, key]) == bool(same and key <= query)


def test_packed_logits_equal_those_of_the_exported_model(tmp_path):
    """One packed forward against the plain model on each prompt: what is trained is what is shipped."""
    network = Network(3, compiled=False).eval()
    shown = view(8)
    packed = pack(shown, Mix(ALL, margin=0.125, context=0.5), random.Random(3))
    batch = collate([packed])
    drawn = torch.from_numpy(shown.pixels(np.random.default_rng(0)))[None]
    pixels = build.normalise(drawn)
    with torch.no_grad():
        images = network.project(network.patches(drawn))
        states = network.decode(images, batch["tokens"], batch["positions"], batch["mask"])
        logits = network.llava.lm_head(states[-1])[0]
    for number in (min(set(packed.segments) - {-1, 0}), max(packed.segments)):
        here = [i for i, segment in enumerate(packed.segments) if segment == number]
        ids = torch.tensor([packed.tokens[:PREFIX] + [packed.tokens[i] for i in here]])
        with torch.no_grad():
            plain = network.llava(
                input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)
            ).logits[0]
        assert torch.allclose(logits[here], plain[PREFIX:], atol=2e-4)


def test_contexts_are_obeyed_only_where_they_answer():
    mix = Mix(
        {"existence": 1.0}, context=1.0, irrelevant=0.0, truthful=0.0, obey=1.0, hearsay=1.0, nudges=0.0
    )
    tokenizer = tokens.shared_tokenizer()
    for seed in range(20):
        packed = pack(view(seed), mix, random.Random(seed))
        for number in set(packed.segments) - {-1, 0}:
            text = tokenizer.decode(
                [t for t, s in zip(packed.tokens, packed.segments, strict=True) if s == number]
            )
            context = text.split("\n")[0]
            denied = any(sign in context for sign in (" no ", "Nobody", "n't", "without"))
            assert text.split("Answer: ")[1].startswith("No" if denied else "Yes")


def test_meaning_and_truth_of_answers():
    for case in (case for case, _ in zip(cases("validation"), range(200), strict=False)):
        for phrase in grammar.answers(case.item.ask, case.item.truth):
            if phrase.spoken:
                assert evaluate.meaning(case.item.ask, phrase.text) == evaluate.wanted(case), phrase.text
    ask = grammar.Ask("colour", Claim("colour", Noun("star")))
    assert evaluate.meaning(ask, "The star is blue.") == "blue" and evaluate.meaning(ask, "Hm.") is None


@pytest.mark.parametrize(("right", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (98, 100, 0.9300, 0.9945)])
def test_wilson_against_published_values(right, n, low, high):
    assert evaluate.wilson(right, n) == pytest.approx((low, high), abs=5e-4)


def test_boxes_hide_what_is_asked():
    for case in (case for case, _ in zip(cases("validation"), range(120), strict=False)):
        boxed = evaluate.paint(case.picture(), evaluate._boxes(case))
        pixels = np.asarray(boxed)
        hidden = [pixels[t.y, t.x].max() == 0 for t in case.scene.things]
        about = case.item.about
        if case.item.kind in ("counting", "existence") and not (
            case.item.kind == "existence" and case.item.yes
        ):
            assert sum(hidden) == 1 and (not about or hidden.index(True) in about)
        else:
            assert [i for i, h in enumerate(hidden) if h] == sorted(about)


@pytest.mark.slow
def test_command_runs_every_stage_resumes_and_exports(tmp_path, capsys):
    folder, exported = tmp_path / "checkpoints", tmp_path / "model"
    options = ["vlm", "--checkpoints", str(folder), "--scale", "0.001", "--images", "2", "--eager"]
    options += ["--workers", "0"]
    main([*options, "--export", str(exported)])
    names = [stage.name for stage in stages.stages()]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [record["stage"] for record in log if "validation" in record] == names
    assert not list(folder.glob("*.part.pt"))
    model = AutoModelForImageTextToText.from_pretrained(exported)
    AutoProcessor.from_pretrained(exported)
    assert model.dtype == torch.float16
    main([*options, "--export", str(exported)])  # everything is done: nothing is trained again
    assert len((folder / "log.jsonl").read_text().splitlines()) == len(log)
    main(
        [
            "evaluate",
            "--model",
            str(exported),
            "--split",
            "validation",
            "--limit",
            "12",
            "--entropy-limit",
            "6",
        ]
    )
    main(["card", "--model", str(exported)])
    card = (exported / "README.md").read_text()
    assert "| noise 0.6 |" in card and "12 questions" in card and " nan" not in card


def test_a_resumed_stage_ends_like_an_uninterrupted_one(tmp_path):
    """Stopped in the middle and resumed: the same parameters, bit for bit."""
    from dataclasses import replace

    stage = replace(stages.stages(0.001, 1)[0], validate=lambda network: {})

    class Stop(Exception):
        pass

    def interrupted(rng, generator, calls=[0]):  # noqa: B006 - counts over the calls
        calls[0] += 1
        if calls[0] == 3:
            raise Stop
        return stage.batch(rng, generator)

    whole = loop.run_stage(stage, tmp_path / "whole", seed=1, compiled=False)
    with pytest.raises(Stop):
        loop.run_stage(
            replace(stage, batch=interrupted), tmp_path / "parts", seed=1, compiled=False, save_every=0.0
        )
    assert (tmp_path / "parts" / "see.part.pt").exists()
    resumed = loop.run_stage(stage, tmp_path / "parts", seed=1, compiled=False)
    one, two = (torch.load(path, weights_only=True)["network"] for path in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_batches_made_in_advance_are_the_same_in_the_same_order():
    stage = stages.stages(0.002, 1)[1]
    with workers.Ahead(1, 0.002, 1, seed=4) as ahead:
        for step, batch in enumerate(ahead.batches(stage, 0)):
            expected = loop.make_batch(stage, 4, step)
            assert batch.keys() == expected.keys()
            for name, value in expected.items():
                assert torch.allclose(batch[name].double(), value.double(), rtol=0, atol=0, equal_nan=True)
    assert step == stage.steps - 1
