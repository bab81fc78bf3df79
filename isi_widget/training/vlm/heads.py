"""Deep supervision, dropped at export: heads on patches, nouns and questions, and the oracle that replaces
the vision tower.

Without these heads, yes/no questions stayed at chance in all trials: the signal of one answer token is too
weak to learn the path from a word to its patches.

The oracle gives one token per thing and per label, the sum of one embedding per property. Where the picture
leaves something open, it gives the mean of the possible embeddings by their probability. A projector fitted
to these tokens by squared error gives just this mean, so the decoder meets the same uncertainty in both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isi_widget.datasets.grammar import COLOURS, NUMBERS, SIZES
from isi_widget.training.vlm.build import SEEING, SIDE, WIDTH
from isi_widget.training.vlm.targets import OUTPUTS, WHAT

NOUN = {"count": len(NUMBERS), "what": len(WHAT), "colour": len(COLOURS), "size": len(SIZES)}
QUESTION = {"truth": 2, "what": len(WHAT), "colour": len(COLOURS), "count": len(NUMBERS)}
_MARKS = ("centre", "label")  # patches at the centre of a thing, of a label


class Heads(nn.Module):
    """All heads; one linear layer each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = _head(
            SEEING, sum(OUTPUTS.values()) + len(_MARKS) + 4
        )  # and x, y of thing and label's end
        self.noun = _head(WIDTH, sum(NOUN.values()) + 2)  # and x, y
        self.question = _head(WIDTH, sum(QUESTION.values()) + 2)  # and dx, dy
        tables = {name: nn.Embedding(size, WIDTH) for name, size in OUTPUTS.items()}
        self.oracle = nn.ModuleDict(tables)
        self.where = nn.Linear(2, WIDTH)
        for table in tables.values():
            # above the noise of the oracle stage, not far above word embeddings
            nn.init.normal_(table.weight, std=0.3)

    def oracle_tokens(self, targets: dict[str, Tensor]) -> Tensor:
        """Return the output of a perfect vision tower and projector, [B, patches, width]: each thing at the
        patch of its centre, each label at the patch of its own centre with the place that it points to.

        targets : class ids [B, patches, possibilities] by property, with "chance" [B, patches, possibilities]
            that each holds; "centre" and "label" [B, patches], 0 to 1; "xy", "to" [B, patches, 2].
        """
        thing = self.where(4 * (targets["xy"] - 0.5))
        for name in ("what", "colour", "size"):
            thing = thing + (self.oracle[name](targets[name]) * targets["chance"][..., None]).sum(-2)
        label = self.oracle["word"](targets["word"][..., 0]) + self.where(4 * (targets["to"] - 0.5))
        return thing * targets["centre"][..., None] + label * targets["label"][..., None]


def _head(width: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))


def patch_loss(heads: Heads, hidden: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of the per-patch heads and, for the log, their accuracies at the centres of things and
    of labels.
    """
    parts = heads.patch(hidden).float().split([*OUTPUTS.values(), len(_MARKS), 4], dim=-1)
    centre, label = targets["centre"], targets["label"]
    thing = (targets["what"][..., 0] > 0).float()
    weight = 0.25 + 0.75 * thing + 3 * centre
    loss = hidden.new_zeros((), dtype=torch.float32)
    measured: dict[str, float] = {}
    for (name, size), logits in zip(OUTPUTS.items(), parts[:-2], strict=True):
        wanted = targets[name][..., 0]
        each = F.cross_entropy(logits.reshape(-1, size), wanted.reshape(-1), reduction="none").view_as(weight)
        written = name == "word"
        here = 0.25 + 0.75 * (wanted > 0).float() + 3 * label if written else weight
        loss = loss + (each * here).sum() / here.sum()
        where = label > 0 if written else centre > 0
        if bool(where.any()):
            measured[name] = float((logits.argmax(-1) == wanted)[where].float().mean())
    marks, places = parts[-2:]
    for number, (name, place, inside) in enumerate(
        (("centre", "xy", thing), ("label", "to", (targets["word"][..., 0] > 0).float()))
    ):
        mark = targets[name]
        loss = loss + F.binary_cross_entropy_with_logits(marks[..., number], mark, weight=1 + 4 * mark)
        miss = (places[..., 2 * number : 2 * number + 2] - 4 * (targets[place] - 0.5)).abs().sum(-1)
        here = inside + 3 * mark
        loss = loss + (miss * here).sum() / here.sum().clamp(min=1)
        if bool((mark > 0).any()):
            measured[f"{name} pixels off"] = float((miss.detach() * mark).sum() / mark.sum()) * SIDE / 8
            found = marks[..., number] > 0
            measured[f"{name} found"] = float(found[mark > 0].float().mean())
            measured[f"{name} false"] = float((found & (mark == 0)).sum() / mark.sum())
    return loss, measured


def noun_loss(heads: Heads, hidden: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss at each noun of a question: how many things match; if one, its looks and place.
    `hidden` [N, width], `rows` from `collate`.
    """
    parts = heads.noun(hidden).float().split([*NOUN.values(), 2], dim=-1)
    loss, measured = _classes(NOUN, parts, rows[:, 2:])
    return loss + _regression(parts[-1], rows[:, -2:]), measured


def question_loss(heads: Heads, hidden: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss at the end of a question: its truth or value; for two things the direction from one
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
