"""The scenes drawn by someone else: seeded, true to their things, balanced; they share no code."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import foreign_scenes
import numpy as np
from foreign_scenes import NUMBERS, foreign, right


def test_shares_no_code_with_the_package():
    tree = ast.parse(Path(foreign_scenes.__file__).read_text())
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith("isi_widget") for name in top)


def test_seeded_and_spread():
    one, two = list(foreign(12)), list(foreign(12))
    assert [item.question for item in one] == [item.question for item in two]
    assert all(a.image.tobytes() == b.image.tobytes() for a, b in zip(one, two, strict=True))
    many = list(foreign(120, seed=1))
    assert {item.group for item in many} == {"shapes", "glyphs", "sketches"}
    assert len({item.ground for item in many}) == 6 and len({item.kind for item in many}) == 5
    for kind in ("existence", "attribute", "relation"):
        yes = [item.answer == "Yes" for item in many if item.kind == kind]
        assert 0.2 < sum(yes) / len(yes) < 0.8, kind
    levels = [np.asarray(item.image.resize((20, 20))).mean() for item in many]
    assert min(levels) < 60 and max(levels) > 220


def test_answers_are_true_of_the_things():
    for item in foreign(80, seed=2):
        names = Counter(thing.name for thing in item.things)
        words = item.question.lower().rstrip("?.").split()
        if item.kind in ("existence", "counting"):
            asked = [n for n in names if any(w in (n, n + "s", n + "es", n[:-1] + "ies") for w in words)]
            if item.kind == "existence":
                assert bool(asked) == (item.answer == "Yes")
            else:
                assert [NUMBERS[names[name]].capitalize() for name in asked] == [item.answer]
        elif item.kind in ("attribute", "colour"):
            thing = next(t for t in item.things if t.name in words)
            assert names[thing.name] == 1
            if item.kind == "colour":
                assert thing.colour.capitalize() == item.answer
            else:
                assert (thing.colour in words) == (item.answer == "Yes")
        else:
            first, second = (next(t for t in item.things if t.name == w) for w in words if w in names)
            true = {
                "left": first.x < second.x,
                "right": first.x > second.x,
                "above": first.y < second.y,
                "below": first.y > second.y,
            }
            side = next(word for word in words if word in true)
            assert true[side] == (item.answer == "Yes")


def test_right():
    assert right("Yes, there is a dog.", "Yes") and not right("No", "Yes") and not right("", "No")
    assert right("The star is red.", "Red") and right("3", "Three") and not right("Two", "Three")
    assert right("Zero.", "Zero")
