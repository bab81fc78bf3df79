"""The Python in docs/trial.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

from isi_widget.study.compare import Comparison
from isi_widget.trial import Trial

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "trial.md"


def test_the_examples_run(capsys):
    mpl.use("agg")
    space = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S):
        exec(block, space)
    assert isinstance(space["trial"], Trial) and len(space["trial"].uncertainty.answers) == 10
    together = space["together"]
    assert isinstance(together, Comparison)
    assert together.labels == (
        "original",
        "context: complementary",
        "context: contradictory",
        "noise 0.3",
        "box",
    )
    assert "isi.run_trial(vlm, s)" in capsys.readouterr().out


def test_every_column_of_a_frame_is_documented(trial):
    text = DOCUMENT.read_text(encoding="utf-8")
    prefixes = ("attention_", "tokens_", "model_", "version_")
    between = {"temperature", "top_k", "top_p", "seed", "max_new_tokens", "strict_entailment", "do_sample"}
    for column in trial.to_frame().columns:
        name = re.sub("_(low|high)$", "", column)
        assert name in text or name.startswith(prefixes) or name in between, column
