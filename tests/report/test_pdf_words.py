"""Interventions in words: every kind, with every parameter, as the stimulus itself knows them."""

from __future__ import annotations

import numpy as np
import pytest

import isi_widget as isi
from isi_widget.report.pdf.words import _WRITERS, in_words, interventions
from isi_widget.stimulus.operations import OPERATIONS


@pytest.fixture
def plain():
    return isi.Stimulus(np.zeros((60, 90, 3), np.uint8), "Is there a star?", "A star.", "Yes")


def test_every_kind_of_operation_has_its_words():
    assert set(_WRITERS) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.box(40, 30.5, 12, 8), "box of 12 × 8 px at (40, 30.5), filled #000000"),
        (
            lambda s: s.ellipse(1, 2, 3, 4, color="red", fill=False, line_width=2.5, angle=30),
            "ellipse of 3 × 4 px at (1, 2), outline #ff0000, 2.5 px, turned by 30°",
        ),
        (
            lambda s: s.polygon([(1, 2), (30, 4), (5, 60)], color="blue"),
            "polygon, corners (1, 2) (30, 4) (5, 60), filled #0000ff",
        ),
        (
            lambda s: s.polygon([(x, x * x % 50) for x in range(10, 50)]),
            "polygon, 40 corners within 39 × 49 px at (10, 0), filled #000000",
        ),
        (lambda s: s.line((1, 2), (3, 4)), "line from (1, 2) to (3, 4), #000000, 2 px"),
        (
            lambda s: s.arrow((1, 2), (30, 40), label="here", size=12),
            "arrow from (1, 2) to (30, 40), #000000, 2 px, label “here”, 12 px",
        ),
        (lambda s: s.text(1, 2, "cat", angle=-90), "text “cat” at (1, 2), 16 px, #000000, turned by -90°"),
        (
            lambda s: s.noise(0.25, seed=3),
            "Gaussian noise, sigma 0.25 of the full range, seed 3, whole image",
        ),
        (
            lambda s: s.noise(0.1, region=(1, 2, 3, 4)),
            "Gaussian noise, sigma 0.1 of the full range, seed 0, in 3 × 4 px at (1, 2)",
        ),
        (
            lambda s: s.blur(4, region=[(0, 0), (9, 0), (0, 9)]),
            "Gaussian blur, standard deviation 4 px, in a polygon, corners (0, 0) (9, 0) (0, 9)",
        ),
        (lambda s: s.pixelate(8), "pixelated in blocks of 8 px, whole image"),
        (lambda s: s.downscale(24), "reduced to 24 px and enlarged again, whole image"),
        (lambda s: s.jpeg(5), "JPEG artefacts of quality 5, whole image"),
        (
            lambda s: s.erase((1, 2, 3, 4)),
            "erased and filled with the image's mean colour, in 3 × 4 px at (1, 2)",
        ),
        (
            lambda s: s.erase((1, 2, 30, 40), fill="inpaint"),
            "erased and filled with in-painting from around it, in 30 × 40 px at (1, 2)",
        ),
        (
            lambda s: s.erase((1, 2, 3, 4), fill="red"),
            "erased and filled with #ff0000, in 3 × 4 px at (1, 2)",
        ),
        (
            lambda s: s.patch((1, 2, 3, 4), 5, 6, 7, 8),
            "patch of this image, 3 × 4 px at (1, 2), pasted as 7 × 8 px at (5, 6)",
        ),
        (lambda s: s.with_context(preset="empty"), "context: preset empty"),
        (lambda s: s.with_context("own"), "custom context"),
        (lambda s: s.with_question("What?"), "another question"),
        (lambda s: s.with_image(preset="natural"), "image: preset natural"),
    ],
)
def test_an_operation_in_words(plain, change, words):
    assert interventions(change(plain)) == [words]


def test_an_image_of_ones_own_is_named_by_its_digest(plain):
    changed = plain.with_image(np.full((60, 90, 3), 9, np.uint8))
    assert interventions(changed) == [f"custom image ({changed.current_image.sha256[:8]})"]


def test_what_is_no_longer_in_force_says_so(plain):
    changed = plain.with_context("a").box(1, 1, 2, 2).with_context("b").with_question("Q?")
    assert interventions(changed) == [
        "custom context (replaced by a later one)",
        "box of 2 × 2 px at (1, 1), filled #000000",
        "custom context",
        "another question",
    ]
    hidden = plain.with_operations([{"op": "box", "x": 1, "y": 1, "width": 2, "height": 2, "hidden": True}])
    assert interventions(hidden)[0].endswith("(hidden: the model was not shown it)")


def test_a_kind_that_is_not_known_loses_nothing():
    words = in_words({"op": "swirl", "angle": 3.14159, "centre": [1, 2], "locked": True})
    assert words == "swirl, angle 3.14, centre (1, 2)"
