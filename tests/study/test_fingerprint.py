"""The fingerprint of a model: the same for the same weights, another for any other."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from isi_widget import load_vlm
from isi_widget.pretrained import state
from isi_widget.vlm import fingerprint as module
from isi_widget.vlm.fingerprint import Fingerprint, fingerprint


def net(seed=0, width=8):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))


@pytest.fixture(params=["whole", "in part"])
def read(request, monkeypatch):
    """Read as a small model is, and as a large one is."""
    if request.param == "in part":
        monkeypatch.setattr(state, "_WHOLE_BYTES", 0)


def test_the_same_weights_have_the_same_fingerprint_others_another(read):
    assert fingerprint(net()) == fingerprint(net()) and len(fingerprint(net())) == 16
    halves = copy.deepcopy(net()).to(torch.bfloat16)
    renamed = nn.ModuleDict({"a": net()})
    assert len({fingerprint(m) for m in (net(), net(1), halves, renamed)}) == 4


@pytest.mark.parametrize("axis", [0, 1])
def test_a_row_or_a_column_that_is_set_to_zero_is_seen_in_a_large_matrix(axis, read):
    model = nn.Linear(512, 256, bias=False)
    before = fingerprint(model)
    with torch.no_grad():
        model.weight.select(axis, 77).zero_()
    assert fingerprint(model) != before


def test_weights_are_read_again_only_after_a_change(monkeypatch):
    model, reads = net(), []
    monkeypatch.setattr(module, "fingerprint", lambda m: reads.append(m) or fingerprint(m))
    of = Fingerprint(model)
    first = of()
    assert of() == first and len(reads) == 1
    with torch.no_grad():
        model[0].weight[3, 4] += 0.5
    changed = of()
    assert changed != first and len(reads) == 2
    model[0].weight = nn.Parameter(net()[0].weight.detach().clone())
    assert of() == first and len(reads) == 3
    model.half()
    assert of() not in (first, changed) and len(reads) == 4


def test_weights_that_cannot_be_read_have_none():
    assert fingerprint(net().to("meta")) is None


def test_it_stands_in_what_is_known_of_a_loaded_model():
    vlm = load_vlm()
    assert vlm.info()["fingerprint"] == fingerprint(vlm.model) == load_vlm().info()["fingerprint"]
    assert load_vlm(dtype="bfloat16").info()["fingerprint"] != vlm.info()["fingerprint"]
