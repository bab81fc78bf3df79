"""Measure the path of information through the embedded model; prints the tables of docs/inside.md.

Usage: python docs/make_paths.py        (some minutes on one core)

Pairs are drawn from the built-in worlds: those whose two answers the model gives right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import isi_widget as isi
from isi_widget.mechanism.compared import compared
from isi_widget.vlm.inside.rerun import Edit, capture, without_gradients

GROUPS = ("edited region", "other image", "question", "last")
CUTS = [("question", "edited region"), ("question", "other image"), ("last", "image"), ("last", "question")]
PAIRS = 24
LEVELS = ("attribute", "relation")
WORLDS = {"shapes": isi.datasets.scenes, "things": isi.datasets.things}


def pairs(vlm: isi.VLM, world: str, level: str, number: int = PAIRS) -> list[isi.Pair]:
    """Return the first pairs of a world and level that the model answers right on both sides."""
    found = []
    for observation in WORLDS[world]("validation"):
        try:
            pair = observation.counterfactual(level)
        except isi.InputError:
            continue  # no change at this level changes the answer
        answers = tuple(vlm.answer(side).text.lower() for side in (pair.clean, pair.corrupt))
        if answers == tuple(str(truth).lower() for truth in pair.truths):
            found.append(pair)
        if len(found) == number:
            break
    return found


def traced(title: str, trace: isi.CausalTrace) -> Iterator[str]:
    """Yield the rows of a trace: recovery in percent, with its interval over the pairs."""
    low, high = trace.interval()
    for layer in trace.layers:
        cells = []
        for group in GROUPS:
            at = trace.index(layer, group, "residual")
            values = (trace.recovery[at], low[at], high[at], trace.control[at])
            cells.append("{:z.0f} [{:z.0f}, {:z.0f}] ({:z.0f})".format(*(100 * value for value in values)))
        yield f"| {title} | {layer} | " + " | ".join(cells) + " |"


def cut(title: str, curve: isi.KnockoutCurve) -> Iterator[str]:
    """Yield the rows of a knock-out curve: share of changed answers, that of the control in brackets."""
    for layer in curve.layers:
        pairs = zip(curve.flipped[:, layer], curve.control_flipped[:, layer], strict=True)
        cells = (f"{100 * flipped:.0f} ({100 * control:.0f})" for flipped, control in pairs)
        yield f"| {title} | {layer} | " + " | ".join(cells) + " |"


def agreement(title: str, found: list[isi.Pair], vlm: isi.VLM) -> str:
    """Return the correlation of the estimates with all exact cells of some pairs."""
    trace = isi.trace(vlm, found, groups=GROUPS, beside=("integrated", "gradient"))
    exact = trace.each.reshape(-1)
    parts = []
    embeddings = [between_embeddings(vlm, trace, number) for number in range(trace.n)]
    for name, values in {**trace.estimates, "integrated between embeddings": np.stack(embeddings)}.items():
        both = np.isfinite(exact) & np.isfinite(values.reshape(-1))
        r = np.corrcoef(exact[both], values.reshape(-1)[both])[0, 1]
        parts.append(f"{name} {r:.2f}")
    return f"{title}: {trace.n} pairs, {np.isfinite(exact).sum()} cells: {', '.join(parts)}"


def between_embeddings(vlm: isi.VLM, trace: isi.CausalTrace, number: int, steps: int = 8) -> np.ndarray:
    """Return estimates [sites, layers, groups] from gradients at points on the way from the corrupt to the
    clean input of the first layer, for all places in one backward pass a point (EAP-IG, Hanna et al., 2024).
    """
    pair, places = trace.pairs[number], [(site, layer) for site in trace.sites for layer in trace.layers]
    clean, corrupt = (capture(vlm, vlm.encode(one), parts=True) for one in (pair.clean, pair.corrupt))
    target = compared(vlm, pair, clean.logits[0], corrupt.logits[0], trace.target)
    states: dict[tuple[str, int], torch.Tensor] = {}

    def keeper(place: tuple[str, int]) -> Edit:
        def keep(found: torch.Tensor, _: range) -> torch.Tensor:
            states[place] = found
            return found

        return Edit(place[1], place[0], keep)

    share = ((torch.arange(steps) + 0.5) / steps)[:, None, None]
    with torch.enable_grad(), without_gradients(vlm.model):
        start = (corrupt.inputs[0] + share * (clean.inputs[0] - corrupt.inputs[0])).requires_grad_()
        logits = corrupt.run_from(0, start, edits=list(map(keeper, places)), at_once=steps)
        value = target.value(logits).sum()
        found = torch.autograd.grad(value, [states[place] for place in places], allow_unused=True)
    sides = {"residual": "inputs", "attention": "attention", "mlp": "mlp"}
    cells = np.zeros((len(places), len(trace.groups)))
    for row, ((site, layer), gradient) in enumerate(zip(places, found, strict=True)):
        change = (getattr(clean, sides[site])[layer] - getattr(corrupt, sides[site])[layer])[0]
        if gradient is None:
            continue
        mean = torch.zeros_like(change)
        mean[-gradient.shape[1] :] = gradient.mean(dim=0)
        by_token = (mean * change).sum(dim=-1).detach()
        for column, rows in enumerate(trace.positions[number]):
            cells[row, column] = float(by_token[list(rows)].sum()) if rows else np.nan
    whole = trace.clean_values[number] - trace.corrupt_values[number]
    return cells.reshape(len(trace.sites), len(trace.layers), -1) / whole


def seen(title: str, found: list[isi.Pair], vlm: isi.VLM) -> Iterator[str]:
    """Yield for each layer how often the lens finds the answer at the last token, and at image tokens."""
    ranks, inside, outside = [], [], []
    for pair in found:
        lens, colour = isi.logit_lens(vlm, pair.clean, top=1), str(pair.truths[0]).lower()
        found_words = [words[0][0] for words in lens.answer.words]
        ranks.append([word.strip().lower() == colour for word in found_words])
        region = isi.trace(vlm, pair, sites="residual", layers=[0], groups="edited region").positions[0][0]
        at = np.isin(lens.positions, region)
        image = np.array([token == "" for token in lens.tokens])
        tops = np.array(
            [[lens.vocabulary[int(i)].strip().lower() == colour for i in row[:, 0]] for row in lens.ids[0]]
        )
        inside.append(tops[:, at].any(axis=1))
        outside.append(tops[:, image & ~at].any(axis=1))
    for layer, cells in enumerate(
        zip(*(np.mean(values, axis=0) for values in (ranks, inside, outside)), strict=True)
    ):
        yield f"| {title} | {layer} | " + " | ".join(f"{100 * cell:.0f}" for cell in cells) + " |"


def main() -> None:
    """Print the tables."""
    vlm = isi.load_vlm()
    sets = {(w, level): pairs(vlm, w, level) for w in WORLDS for level in LEVELS}
    print({key: len(value) for key, value in sets.items()})
    print("\n| pairs | layer | " + " | ".join(GROUPS) + " |")
    for (world, level), found in sets.items():
        trace = isi.trace(vlm, found, sites="residual", groups=GROUPS, controls=2)
        print(*traced(f"{world}, {level}", trace), sep="\n", flush=True)
    print("\n| pairs | layer | " + " | ".join(f"{query} -/-> {key}" for query, key in CUTS) + " |")
    for (world, level), found in sets.items():
        print(
            *cut(f"{world}, {level}", isi.knockout_curve(vlm, found, CUTS, controls=2)), sep="\n", flush=True
        )
    print("\nEstimates against exact cells (3 sites)")
    for key, found in sets.items():
        print(agreement(", ".join(key), found[:8], vlm), flush=True)
    print("\n| pairs | after layer | answer at the last token | colour in the region | colour elsewhere |")
    for world in WORLDS:
        asked = [
            pair
            for pair in pairs(vlm, world, "attribute", 60)
            if pair.clean.question.startswith("What colour")
        ]
        print(*seen(f"{world}, {len(asked)} colours", asked, vlm), sep="\n", flush=True)


if __name__ == "__main__":
    main()
