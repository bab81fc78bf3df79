"""Deep supervision, dropped at export: heads on patches, nouns and questions, and the oracle that replaces
the vision tower.

Without these heads, yes/no questions stayed at chance in all trials: the signal of one answer token is too
weak to learn the path from a word to its patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isi_widget.datasets.grammar import COLOURS, NUMBERS, SHAPES, SIZES
from isi_widget.training.vlm.build import WIDTH
from isi_widget.training.vlm.pictures import OUTPUTS

NOUN = {"count": len(NUMBERS), "shape": len(SHAPES), "colour": len(COLOURS), "size": len(SIZES)}
QUESTION = {"truth": 2, "shape": len(SHAPES), "colour": len(COLOURS), "count": len(NUMBERS)}


class Heads(nn.Module):
    """All heads; one linear layer each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = _head(sum(OUTPUTS.values()) + 3)  # and centre, x, y
        self.noun = _head(sum(NOUN.values()) + 2)  # and x, y
        self.question = _head(sum(QUESTION.values()) + 2)  # and dx, dy
        tables = {name: nn.Embedding(OUTPUTS[name], WIDTH) for name in ("shape", "colour", "size", "digit")}
        self.oracle = nn.ModuleDict(tables)
        self.where = nn.Linear(2, WIDTH)
        for table in tables.values():
            # above the noise of the oracle stage, not far above word embeddings
            nn.init.normal_(table.weight, std=0.3)

    def oracle_tokens(self, targets: dict[str, Tensor]) -> Tensor:
        """Return the output of a perfect vision tower and projector, [B, 64, width]: each object at the patch
        of its centre.
        """
        whole = torch.stack([table(targets[name]) for name, table in self.oracle.items()]).sum(0)
        whole = whole + self.where(4 * (targets["xy"] - 0.5))
        return whole * targets["centre"][..., None]


def _head(outputs: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs))


def patch_loss(heads: Heads, hidden: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of the per-patch heads and, for the log, their accuracies at the centres of things (and
    of words on labels).
    """
    parts = heads.patch(hidden).float().split([*OUTPUTS.values(), 3], dim=-1)
    centre = targets["centre"]
    thing = (targets["shape"] > 0).float()
    weight = 0.25 + 0.75 * thing + 3 * centre
    loss = hidden.new_zeros((), dtype=torch.float32)
    measured: dict[str, float] = {}
    for (name, size), logits in zip(OUTPUTS.items(), parts[:-1], strict=True):
        wanted = targets[name]
        each = F.cross_entropy(logits.reshape(-1, size), wanted.reshape(-1), reduction="none").view_as(weight)
        here = weight + 2 * (wanted > 0).float() if name in ("word", "digit") else weight
        loss = loss + (each * here).sum() / here.sum()
        where = wanted > 0 if name in ("word", "digit") else centre > 0
        if bool(where.any()):
            measured[name] = float((logits.argmax(-1) == wanted)[where].float().mean())
    place = parts[-1]
    loss = loss + F.binary_cross_entropy_with_logits(place[..., 0], centre, weight=1 + 4 * centre)
    miss = (place[..., 1:] - 4 * (targets["xy"] - 0.5)).abs().sum(-1)
    loss = loss + (miss * (thing + 3 * centre)).sum() / (thing + 3 * centre).sum().clamp(min=1)
    measured["pixels off"] = float((miss.detach() * centre).sum() / centre.sum().clamp(min=1)) * 12
    measured["centre"] = float(((place[..., 0] > 0) == (centre > 0)).float().mean())
    return loss, measured


def noun_loss(heads: Heads, hidden: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss at each noun of a question: how many objects match; if one, its looks and place.
    `hidden` [N, width], `rows` from `collate`.
    """
    parts = heads.noun(hidden).float().split([*NOUN.values(), 2], dim=-1)
    loss, measured = _classes(NOUN, parts, rows[:, 2:])
    return loss + _regression(parts[-1], rows[:, -2:]), measured


def question_loss(heads: Heads, hidden: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss at the end of a question: its truth or value; for two objects the direction from one
    to the other.
    """
    parts = heads.question(hidden).float().split([*QUESTION.values(), 2], dim=-1)
    loss, measured = _classes(QUESTION, parts, rows[:, 2:])
    return loss + _regression(parts[-1], rows[:, -2:]), measured


def _classes(
    sizes: dict[str, int], parts: tuple[Tensor, ...], wanted: Tensor
) -> tuple[Tensor, dict[str, float]]:
    loss = wanted.new_zeros(())
    measured = {}
    for column, name in enumerate(sizes):
        target = wanted[:, column].long()
        known = target >= 0
        if bool(known.any()):
            loss = loss + F.cross_entropy(parts[column][known], target[known])
            measured[name] = float((parts[column][known].argmax(-1) == target[known]).float().mean())
    return loss, measured


def _regression(given: Tensor, wanted: Tensor) -> Tensor:
    known = ~wanted[:, 0].isnan()
    return (
        2 * F.smooth_l1_loss(given[known], 2 * wanted[known]) if bool(known.any()) else wanted.new_zeros(())
    )
