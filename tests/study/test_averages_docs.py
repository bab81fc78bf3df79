"""The Python in docs/averages.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from isi_widget.study import METRICS, Averages
from isi_widget.study.beside import SHIPPED

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "averages.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S):
        exec(block, space)
    made, trial = space["made"], space["trial"]
    assert isinstance(made, Averages) and len(made) == 8
    assert Averages.load("averages.json").rows == Averages.load("runs/usual").rows == made.rows
    assert space["misled"].mean("attention_context") > 0
    assert space["averages_for"](trial.model) is made
    assert space["for_trial"](trial)["note"].startswith(
        "Averages of 8 observations (things demo), 10 samples"
    )


def test_every_measure_is_documented():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in METRICS:
        start = "attention_relative" if "relative" in name else name.split("_")[0]
        assert f"`{name}`" in text or (f"`{start}_image`" in text and f"`_{name.split('_')[-1]}`" in text), (
            name
        )


def test_the_shipped_numbers_are_as_written():
    text, shipped = DOCUMENT.read_text(encoding="utf-8"), Averages.load(SHIPPED)
    for name, digits in {
        "correct": 2,
        "bayesian_semantic_entropy": 3,
        "semantic_entropy": 3,
        "discrete_semantic_entropy": 3,
        "predictive_entropy": 3,
        "clusters": 2,
    }.items():
        mean, (low, high) = shipped.mean(name), shipped.interval(name)
        assert f"| {mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}] |" in text, name
    assert (
        ", ".join(f"{shipped.mean(f'attention_{name}'):.2f}" for name in ("image", "question", "other"))
        in text
    )
    zeros = int((shipped.values("semantic_entropy") == 0).sum())
    assert f"of {zeros} of the 100 is 0" in text
    assert f"percentile {shipped.percentile('semantic_entropy', 0):.0f} there" in text
    assert f", {round(SHIPPED.stat().st_size / 1000)} kB." in text
