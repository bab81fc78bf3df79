"""BEAF: outcomes and measures against a table worked out by hand and a brute-force count; end to end."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.errors import Cancelled, InputError
from isi_widget.study.before_after import BeforeAfter, outcome_of
from isi_widget.uncertainty.shares import wilson


def row(before, after, truths=("Yes", "No"), related=True, level="object", pictures=None):
    outcome = outcome_of(before, after, truths, related)
    return BeforeAfter(
        "Is there a star?", before, after, truths, related, outcome, level, "", pictures or ("", "")
    )


def test_the_four_cells_of_a_related_question():
    assert outcome_of("Yes", "No, I see no star.", ("Yes", "No"), True) == "true understanding"
    assert outcome_of("No", "Yes.", ("Yes", "No"), True) == "ignorance"
    assert outcome_of("Yes", "Yes", ("Yes", "No"), True) == "stubborn yes"
    assert outcome_of("No", "Nope.", ("Yes", "No"), True) == "stubborn no"
    assert outcome_of("No", "Yes", ("No", "Yes"), True) == "true understanding"
    assert outcome_of("Yes", "Perhaps", ("Yes", "No"), True) == "unclear"
    assert outcome_of("Yes", "No", ("Yes", "Yes"), False) == "indecision"
    assert outcome_of("No", "No", ("Yes", "Yes"), False) == "decided"


@pytest.fixture
def table():
    """10 related: 5 understood, 1 ignorant, 3 stubborn yes, 1 stubborn no. 8 unrelated: 2 undecided."""
    related = [("Yes", "No")] * 5 + [("No", "Yes")] + [("Yes", "Yes")] * 3 + [("No", "No")]
    unrelated = [("Yes", "No")] * 2 + [("Yes", "Yes")] * 6
    rows = [row(*answers, pictures=(str(n), "")) for n, answers in enumerate(related)]
    rows += [
        row(*answers, truths=("Yes", "Yes"), related=False, pictures=(str(n % 4), ""))
        for n, answers in enumerate(unrelated)
    ]
    return isi.Beaf("by hand", tuple(rows))


def test_measures_by_hand(table):
    values = {name: table.value(name) for name in ("TU", "IG", "SB", "SB yes", "SB no", "ID")}
    assert values == {"TU": 0.5, "IG": 0.1, "SB": 0.4, "SB yes": 0.3, "SB no": 0.1, "ID": 0.25}
    assert table.value("F1") == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert table.value("TU") + table.value("IG") + table.value("SB") == pytest.approx(1)
    assert table.interval("TU") == wilson(5, 10)
    low, high = table.interval("ID")
    assert low <= 0.25 <= high
    low, high = table.interval("F1")
    assert 0.2 < low < table.value("F1") < high < 0.95
    assert (table.count(), table.count(related=False), table.unclear) == (10, 8, 0)


def test_every_combination_against_brute_force():
    said = ("Yes", "No", "A star.")
    rows, expected = [], {"both right": 0, "both wrong": 0, "same": 0, "clear": 0}
    for n, (one, two, flip) in enumerate(itertools.product(said, said, (False, True))):
        truths = ("No", "Yes") if flip else ("Yes", "No")
        rows.append(row(one, two, truths, level=("object", "attribute")[n % 2], pictures=(str(n), "")))
        if "A star." in (one, two):
            continue
        right = (one == truths[0], two == truths[1])
        expected["clear"] += 1
        expected["both right"] += all(right)
        expected["both wrong"] += not any(right)
        expected["same"] += sum(right) == 1
    made = isi.Beaf("brute force", tuple(rows))
    assert made.count() == expected["clear"] == 8 and made.unclear == 10
    assert made.value("TU") == expected["both right"] / 8
    assert made.value("IG") == expected["both wrong"] / 8
    assert made.value("SB") == expected["same"] / 8
    assert np.isnan(made.value("ID")) and all(map(np.isnan, made.interval("F1")))
    of_levels = [made.value("TU", level) * made.count(level) for level in ("object", "attribute")]
    assert sum(of_levels) == expected["both right"]


def test_records_and_views(table):
    again = isi.Beaf.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    frame, wide = table.table(), table.to_frame()
    assert set(frame["level"]) == {"object", "all"} and len(frame) == 14 and len(wide) == 18
    assert frame.set_index(["level", "measure"]).loc[("all", "SB yes"), "value"] == 0.3
    assert "0.50" in table._repr_html_() and "TU 0.50" in repr(table)
    with pytest.raises(InputError, match="outcome"):
        isi.Beaf.from_dict({"model": "x", "rows": [{**table.to_dict()["rows"][0], "outcome": "guessed"}]})
    with pytest.raises(InputError, match="TU, IG, SB"):
        table.value("accuracy")


# ---- end to end
@pytest.fixture(scope="module")
def removals():
    return isi.datasets.minimal_pairs(
        isi.datasets.scenes()[:60], "object", way="remove", yes_no=True, unrelated=2
    )


def test_removals_of_the_built_in_scenes(vlm, removals):
    pairs, unrelated = removals
    assert len(pairs) >= 10 and len(unrelated) >= 20
    done = []
    made = isi.beaf(vlm, pairs, unrelated, progress=lambda stage, at, of: done.append((at, of)))
    assert made.model == vlm.model_id and len(made.rows) == len(pairs) + len(unrelated)
    assert done[0] == (0, len(made.rows)) and done[-1] == (len(made.rows),) * 2
    for pair, found in zip(pairs, made.rows, strict=False):
        assert found.before == vlm.answer(pair.clean).text and found.after == vlm.answer(pair.corrupt).text
    assert made.value("TU") > 0.7 and made.value("ID") < 0.2  # a trained model sees what was removed
    assert made.value("TU") + made.value("IG") + made.value("SB") == pytest.approx(1)


def test_a_model_that_always_says_yes(vlm, removals):
    class Yes:
        """The embedded model, but for its answers."""

        def __getattr__(self, name):
            return getattr(vlm, name)

        def answer(self, stimulus, **settings):
            return SimpleNamespace(text="Yes")

    made = isi.beaf(Yes(), *removals)
    assert made.value("SB yes") == 1 and made.value("TU") == made.value("IG") == made.value("ID") == 0
    assert made.value("F1") == 0


def test_edited_pictures_take_their_own_truth(vlm, removals):
    clean = removals[0][0].clean
    edited = clean.box(0, 0, clean.image.width, clean.image.height, "white")
    with pytest.raises(InputError, match=r"truths 'Yes' and None.*isi\.Stimulus\(edited\.render"):
        isi.beaf(vlm, [isi.Pair(clean, edited)])
    told = isi.Stimulus(edited.render(), clean.question, true_answer="No")
    made = isi.beaf(vlm, [isi.Pair(clean, told)], [isi.Pair(clean, clean.noise(0.01))])
    assert made.count() == made.count(related=False) == 1 and made.value("ID") == 0
    alone = isi.beaf(vlm, [isi.Pair(clean, told)], None)
    assert "ID 0.00" in repr(made) and "ID" not in repr(alone) and alone.count(related=False) == 0


def test_refusals(vlm, removals):
    pairs, unrelated = removals
    with pytest.raises(InputError, match="at least one pair"):
        isi.beaf(vlm, [], unrelated)
    with pytest.raises(
        InputError, match=r"pairs: item 1 must be a yes/no question whose true answer changes"
    ):
        isi.beaf(vlm, [pairs[0], unrelated[0]])
    with pytest.raises(InputError, match=r"unrelated: item 0 must be a question whose true answer stays"):
        isi.beaf(vlm, pairs, [pairs[0]])
    with pytest.raises(InputError, match=r"must be a Pair, got str"):
        isi.beaf(vlm, ["star"])
    with pytest.raises(InputError, match="beaf needs a VLM"):
        isi.beaf("llava", pairs)
    with pytest.raises(Cancelled):
        isi.beaf(vlm, pairs, cancel=lambda: True)
    own = isi.Observation(np.zeros((20, 20, 3), np.uint8), "Is there a star?")
    with pytest.raises(InputError, match=r"No minimal pair could be made.*no scene graph"):
        isi.datasets.minimal_pairs([own])
    with pytest.raises(InputError, match="data must be observations, got 3"):
        isi.datasets.minimal_pairs([3])
