"""Everyday things in the entailment model: its words, what it starts from, and that it tells things apart."""

import itertools
import random

import numpy as np
import pytest
import torch

from isi_widget import datasets, embedded
from isi_widget.datasets import grammar
from isi_widget.datasets.grammar import NUMBERS, RELATIONS, Ask, Claim, Noun
from isi_widget.datasets.nouns import CATEGORIES, COLOURS, SHAPES, THINGS, is_a, word
from isi_widget.datasets.scenes.graded import cases
from isi_widget.datasets.scenes.world import THING_WORLD
from isi_widget.datasets.typing_habits import SYNONYMS, as_typed
from isi_widget.training import entailment_data as data
from isi_widget.training import entailment_model
from isi_widget.training.entailment_noise import QUIET
from isi_widget.uncertainty import load_entailment
from isi_widget.uncertainty.clusters import cluster

NAMES = tuple(THINGS)


def asks(noun):
    """Every kind of question about a noun, with the claims that may answer it."""
    other = Noun("chair" if noun.shape != "chair" else "dog")
    yield Ask("existence", Claim("exists", noun)), [Claim("exists", noun)]
    for value in (*COLOURS, *grammar.SIZES):
        claim = Claim("colour" if value in COLOURS else "size", noun, value)
        yield Ask("attribute", claim), [claim]
    for value in RELATIONS:
        claim = Claim("relation", noun, value, other)
        yield Ask("relation", claim), [claim]
    for axis, values in (("horizontal", RELATIONS[:2]), ("vertical", RELATIONS[2:])):
        ask = Ask("relation", Claim("relation", noun, None, other), axis)
        yield ask, [Claim("relation", noun, value, other) for value in values]
    yield Ask("colour", Claim("colour", noun)), [Claim("colour", noun, value) for value in COLOURS]
    yield Ask("counting", Claim("count", noun)), [Claim("count", noun, value) for value in NUMBERS]
    for value in NUMBERS:
        yield Ask("counting", Claim("count", noun, value)), [Claim("count", noun, value)]
    if noun.shape in SHAPES:
        described = Noun(None, "red")
        yield Ask("shape", Claim("shape", described)), [Claim("shape", described, noun.shape)]
    if noun.shape in NAMES:
        category = word(noun.shape).category or None
        for place in (None, *((value, other) for value in RELATIONS)):
            for shape in {None, category}:
                described = Noun(shape, place=place)
                yield Ask("name", Claim("name", described)), [Claim("name", described, noun.shape)]


def test_every_answer_of_the_grammar_about_both_worlds_has_known_words_only():
    model, texts = load_entailment(), set()
    for noun in (*map(Noun, (*SHAPES, *NAMES, *CATEGORIES, "thing", None)), Noun("bus", "red", "small")):
        for ask, truths in asks(noun):
            texts.update(phrase.text for phrase in grammar.questions.__wrapped__(ask))
            for truth in truths:
                for told in {truth, truth if ask.is_open else truth.denied()}:
                    texts.update(phrase.text for phrase in grammar.answers.__wrapped__(ask, told))
    assert len(texts) > 20_000
    unknown = model.tokenizer.unk_token_id
    missing = {
        text
        for text, ids in zip(texts, model.tokenizer(list(texts))["input_ids"], strict=True)
        if unknown in ids
    }
    assert not missing


def test_built_in_observations_have_known_words_however_they_are_typed():
    model, rng = load_entailment(), random.Random(5)
    said = [
        (obs.question, obs.answer) for built_in in (datasets.scenes, datasets.things) for obs in built_in()
    ]
    said += [(case.question, case.item.answer) for case in itertools.islice(cases(THING_WORLD, "test"), 60)]
    for question, answer in said:
        typed = [as_typed(answer, rng, 0.5), as_typed(f"The answer is {answer.lower()}.", rng, 0.5)]
        for asked in (question, as_typed(question, rng, 0.5)):
            assert model.read(asked, [answer, *typed]).unknown == ((),) * 3, asked


def test_plurals_and_synonyms_are_read_as_the_name_of_the_thing():
    tokenizer = load_entailment().tokenizer
    for name in (*NAMES, *CATEGORIES):
        plural = word(name).plural
        for text in (name, plural, name.upper(), plural.capitalize(), *SYNONYMS.get(name, ())):
            assert tokenizer.tokenize(text) == [name], text
    for text, name in {
        "bikes": "bicycle",
        "lorries": "truck",
        "Coffee cups": "cup",
        "T shirts": "shirt",
    }.items():
        assert tokenizer.tokenize(text) == [name]
    assert tokenizer.tokenize("alarm") == ["[UNK]"] and tokenizer.tokenize("carpets") == ["[UNK]"]
    reading = load_entailment().read("Is there an alarm clock?", ["An alarm clock", "A blue alarm"])
    assert reading.unknown == ((), ("alarm",))


def test_no_two_things_are_taken_for_one_another():
    model = load_entailment()
    for question in ("What is in the picture?", "What is left of the chair?"):
        relations = model.relations(question, [name.capitalize() for name in NAMES])
        assert (relations == np.where(np.eye(len(NAMES), dtype=bool), 2, 0)).mean() > 0.99
    for category in CATEGORIES:
        members = [name for name in NAMES if is_a(name, category)]
        answers = [form for name in members for form in (name, f"It is {grammar.with_article(name)}.")]
        found = model.relations(f"What {category} is in the picture?", answers)
        ids = cluster(lambda i, j, found=found: int(found[i, j]), len(answers), True)
        assert ids == [index // 2 for index in range(len(answers))]


@pytest.mark.parametrize(
    ("question", "one", "two", "labels"),
    [
        ("Is there an animal?", "Yes, there is a dog.", "Yes", (2, 1)),
        ("Is there a dog?", "No, there are no animals.", "No", (2, 1)),
        ("Is there a dog?", "No, that is a cat.", "Yes", (0, 0)),
        ("is there a bike", "THERE IS A BICYCLE", "no", (0, 0)),
        ("What is above the boat?", "A plane", "It's an airplane.", (2, 2)),
        ("How many mugs are there?", "two cups", "3", (0, 0)),
    ],
)
def test_categories_and_other_words(question, one, two, labels):
    assert load_entailment().relations(question, [one, two])[[0, 1], [1, 0]].tolist() == list(labels)


def test_new_nouns_start_between_the_known_ones_and_other_new_words_as_unknown(tmp_path, monkeypatch):
    tokenizer = entailment_model.build_tokenizer(0)
    network = entailment_model.Network(len(tokenizer), 3)
    vocabulary = tokenizer.get_vocab()
    old = {name: index for name, index in vocabulary.items() if name not in (*NAMES, *CATEGORIES, *QUIET)}
    start = entailment_model.Network(len(vocabulary), 4)

    class Known:
        @staticmethod
        def from_pretrained(_):
            return Known

        @staticmethod
        def get_vocab():
            return old

    start.classifier.save_pretrained(tmp_path)
    monkeypatch.setattr(entailment_model, "PreTrainedTokenizerFast", Known)
    entailment_model.start_from(network, tokenizer, tmp_path)
    table = network.classifier.deberta.embeddings.word_embeddings.weight
    before = start.classifier.deberta.embeddings.word_embeddings.weight
    assert torch.equal(table[vocabulary["red"]], before[old["red"]])
    assert all(torch.equal(table[vocabulary[quiet]], before[old["[UNK]"]]) for quiet in QUIET)
    nouns = before[[old[shape] for shape in SHAPES]]
    spread = (nouns - nouns.mean(0)).norm(dim=1).mean()
    things = table[[vocabulary[name] for name in NAMES]] - nouns.mean(0)
    assert (things.norm(dim=1) < 3 * spread).all() and (torch.pdist(things) > 0.3 * spread).all()


def test_the_words_of_held_out_sentences_are_fillers_without_meaning():
    assert "visible" in QUIET and not {"true", "wrong", "not", "left", "dog"} & set(QUIET)
    draw, said = data.Draw(0), []
    for _ in range(80):
        said += [pair.premise.text.lower() for pair in data.draw_pairs(draw, "things: neutral")]
    assert any("visible" in text.split() for text in said) and not any("is visible" in text for text in said)


def test_the_model_stays_small():
    files = [file for file in embedded.ENTAILMENT.iterdir() if file.suffix != ".md"]
    assert sum(file.stat().st_size for file in files) <= 1_200_000
