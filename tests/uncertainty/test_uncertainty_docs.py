"""What docs/uncertainty.md and docs/measures.md show and say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.uncertainty import OrderDependence, Uncertainty, kernel_language_entropy
from isi_widget.uncertainty.bootstrap import NAMES
from isi_widget.uncertainty.lexical import WITHOUT_CLUSTERS

DOCS = Path(__file__).resolve().parents[2] / "docs"
MEASURES = (DOCS / "measures.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "uncertainty.md").read_text(encoding="utf-8")


def test_the_examples_run():
    space = {}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, space)
    assert isinstance(space["u"], Uncertainty) and len(space["u"].answers) == 10
    assert space["exact"].method == "enumerated" and space["exact"].rest <= 0.01


def test_every_number_has_its_formula():
    for name in (*NAMES, *WITHOUT_CLUSTERS):
        stem = re.sub("_contra$", "", name)
        assert f"`{name}`" in MEASURES or (stem != name and f"`{stem}_entail`, `_contra`" in MEASURES), name
    for name in ("changed", "disagreement", "entropy_low", "entropy_high", "permutations"):
        assert name in {f.name for f in dataclasses.fields(OrderDependence)} and f"`{name}`" in MEASURES
    for kind, names in (
        (Answer, ("logprobs", "sampled_logprobs", "log_likelihood")),
        (Uncertainty, ("log_likelihoods",)),
        (AttentionShares, ("mass", "absolute()", "relative()", "modality_dominance_index")),
    ):
        for name in names:
            plain = name.removesuffix("()")
            assert hasattr(kind, plain) or plain in {f.name for f in dataclasses.fields(kind)}
            assert re.search(rf"`({kind.__name__}\.)?{re.escape(name)}`", MEASURES), name


def test_kernel_entropies_of_ten_equal_answers():
    equal = np.zeros((10, 10, 3)) + (0, 0, 1)
    apart = np.where(np.eye(10)[..., None] == 1, (0, 0, 1), (1.0, 0, 0))
    heat, low, high = re.search(r"ten equal answers: ([\d.]+) with heat, ([\d.]+)", MEASURES).groups() + (
        re.search(r"ten answers: [\d.]+ to ([\d.]+)\)", MEASURES).group(1),
    )
    assert kernel_language_entropy(equal) == pytest.approx(float(heat), abs=0.005)
    assert kernel_language_entropy(equal, "matern") == pytest.approx(float(low), abs=0.005)
    assert kernel_language_entropy(apart, "matern") == pytest.approx(float(high), abs=0.005)


def test_links_between_the_pages_lead_somewhere():
    for text in (MEASURES, GUIDE):
        for page, anchor in re.findall(r"\]\(([a-z_]+\.md)(?:#([a-z-]+))?\)", text):
            target = (DOCS / page).read_text(encoding="utf-8")
            headings = {
                re.sub(r"[^a-z ]", "", h.lower()).replace(" ", "-")
                for h in re.findall(r"^#+ (.*)$", target, re.M)
            }
            assert not anchor or anchor in headings, (page, anchor)
