"""What the panel "Inside" shows of models whose inside is known: attention beside the effect of each head."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fake_page import Page, idle
from planted_models import Planted, planted
from scipy.stats import spearmanr

from isi_widget.widget import Probe


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Iterator[tuple[Planted, np.ndarray, np.ndarray]]:
    """The model, and what the page gets: attention on the image and effect, both [layers, heads]."""
    made = planted(request.param)
    probe = Probe(made.vlm(), made.observation(True))
    probe.run(["answer", "attention"], max_new_tokens=4)
    page = Page(probe)
    page.send({"kind": "heads", "id": "h", "trial": 1})
    page.wait(lambda page: bool(page.of_kind("done")) and idle(page))
    trial = page.state["trials"][0]
    attention = np.array(trial["view"]["attention"]["by_head"])
    yield made, attention, np.array(trial["inside"]["contribution"]["values"])
    probe.close()


def place(matrix: np.ndarray) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(np.abs(matrix).argmax(), matrix.shape))


@pytest.mark.parametrize("shown", ["decoys"], indirect=True)
def test_attention_is_not_importance(shown: tuple[Planted, np.ndarray, np.ndarray]) -> None:
    """The page ranks attention against the size of the effect, as here; it then names both heads."""
    made, attention, effect = shown
    assert spearmanr(attention.ravel(), np.abs(effect).ravel()).statistic < -0.4
    assert place(attention) not in made.causal and effect[place(attention)] == 0
    assert place(effect) in made.causal and attention[place(effect)] < 0.01


@pytest.mark.parametrize("shown", ["one_hop"], indirect=True)
def test_sometimes_they_agree(shown: tuple[Planted, np.ndarray, np.ndarray]) -> None:
    made, attention, effect = shown
    assert place(attention) == place(effect) == made.causal[0]
