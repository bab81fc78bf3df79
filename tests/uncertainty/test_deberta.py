"""The faster position terms of DeBERTa against transformers' own, layer by layer and pair by pair."""

import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, DebertaV2Config, DebertaV2Model
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from isi_widget.uncertainty import load_entailment
from isi_widget.uncertainty._deberta import use_fast_positions

BASE = {
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "relative_attention": True,
    "initializer_range": 0.3,
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("terms", [["c2p", "p2c"], ["p2c", "c2p"], ["c2p"], ["p2c"], []])
@pytest.mark.parametrize(
    "positions",
    [
        {"position_buckets": 8, "max_position_embeddings": 64},  # far positions share a bucket
        {"position_buckets": 256, "max_position_embeddings": 512},
        {"position_buckets": -1, "max_relative_positions": 16},  # far positions are cut
    ],
)
def test_hidden_states_are_those_of_transformers(shared, terms, positions):
    torch.manual_seed(0)
    config = DebertaV2Config(**BASE, share_att_key=shared, pos_att_type=terms, **positions)
    plain = DebertaV2Model(config).eval()
    fast = copy.deepcopy(plain)
    assert use_fast_positions(fast) == 2 and use_fast_positions(plain.embeddings) == 0
    for length in (1, 2, 7, 40):
        ids = torch.randint(1, 50, (3, length))
        mask = torch.ones_like(ids)
        mask[0, length // 2 + 1 :] = 0
        with torch.inference_mode():
            wanted = plain(ids, attention_mask=mask, output_hidden_states=True).hidden_states
            found = fast(ids, attention_mask=mask, output_hidden_states=True).hidden_states
        for layer, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert torch.allclose(a[mask == 1], b[mask == 1], atol=1e-5), (length, layer)


def test_positions_matter_in_these_models():
    torch.manual_seed(0)
    model = DebertaV2Model(
        DebertaV2Config(**BASE, position_buckets=8, pos_att_type=["c2p", "p2c"], position_biased_input=False)
    ).eval()
    use_fast_positions(model)
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    with torch.inference_mode():
        forwards, backwards = model(ids).last_hidden_state, model(ids.flip(1)).last_hidden_state.flip(1)
    assert (forwards - backwards).abs().max() > 0.1


def test_other_models_and_another_transformers_are_left_alone(monkeypatch):
    sizes = {name: value for name, value in BASE.items() if name != "relative_attention"}
    assert use_fast_positions(BertForSequenceClassification(BertConfig(**sizes))) == 0
    model = DebertaV2Model(DebertaV2Config(**BASE, position_buckets=8, pos_att_type=["c2p"]))
    monkeypatch.setattr(DisentangledSelfAttention, "disentangled_attention_bias", lambda self, other: 0)
    assert use_fast_positions(model) == 0


def test_the_embedded_model_uses_them():
    model = load_entailment().model
    parts = [part for part in model.modules() if isinstance(part, DisentangledSelfAttention)]
    assert parts and all("disentangled_attention_bias" in vars(part) for part in parts)
