"""Rows of a study, made by chance with known truths, with exactly the columns of a stored study.

The law behind them, for a condition of accuracy a: each observation has an ease u, uniform on [0, 1] and the
same under all conditions and models; its answer is right with probability p, the u-quantile of
Beta(8 a, 8 (1 - a)), drawn anew for each seed. So:

- the accuracy is a; the seeds of one observation are no independent cases; conditions are paired;
- answer_probability is p, so it is calibrated;
- the logarithm of every entropy is normal with deviation 1, its mean `SHIFT` higher where the answer is
  wrong: the area under the ROC curve of any entropy for a wrong answer is `AUROC`;
- half of the truths are "Yes".

`as_read` gives the frame the types that a Parquet file has when pandas reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

ENTROPIES = (
    "bayesian_semantic_entropy",
    "discrete_semantic_entropy",
    "semantic_entropy",
    "predictive_entropy",
    "rao_quadratic_entropy",
)
SHIFT = 1.0
AUROC = 0.5 * (1 + math.erf(SHIFT / 2))  # Phi(SHIFT / sqrt 2)
FAILED = "The picture cannot be read."
UNJUDGED = "Not judged: the truth is unknown."
#: Columns that every study has, in order; those of measures stand between "error_type" and "answers".
FIRST = (
    *("row", "model", "condition", "group", "parameter", "level", "parameters"),
    *("observation", "index", "semantic_level", "seed"),
    *("question", "context", "image", "image_preset", "context_preset"),
    *("stimulus", "stimulus_key", "interventions"),
    *("truth", "truth_holds", "answer", "correct", "unjudged", "error", "error_type"),
)
MEASURED = (
    *("answer_log_likelihood", "answer_tokens", "answer_probability", "p_yes", "p_no", "p_rest"),
    *ENTROPIES,
    "clusters",
    *(f"attention_{name}" for name in ("image", "context", "question", "other")),
    *(f"attention_relative_{name}" for name in ("image", "context", "question")),
    *(f"tokens_{name}" for name in ("image", "context", "question", "other")),
    "modality_dominance_index",
)
LAST = ("answers", "notes", "seconds", "created")
COLUMNS = (*FIRST, *MEASURED, *LAST)


@dataclass(frozen=True)
class Made:
    """One condition: its name, its accuracy, and what the columns hold of it."""

    name: str
    accuracy: float
    group: str = ""
    parameter: str | None = None
    level: float | None = None
    image_preset: str | None = "natural"
    context_preset: str | None = "empty"
    image_attention: float = 0.4


CONDITIONS = (
    Made("plain", 0.85),
    Made("noise sigma=0.1", 0.8, "noise", "sigma", 0.1),
    Made("noise sigma=0.3", 0.7, "noise", "sigma", 0.3),
    Made("noise sigma=0.6", 0.55, "noise", "sigma", 0.6),
    Made("complementary", 0.95, context_preset="complementary", image_attention=0.2),
    Made("contradictory", 0.4, context_preset="contradictory", image_attention=0.2),
    Made("random image", 0.5, image_preset="random"),
)


def made_rows(
    observations: int = 100,
    conditions: Sequence[Made] = CONDITIONS,
    models: Sequence[str] = ("embedded",),
    seeds: Sequence[int] = (0,),
    rng: np.random.Generator | int = 0,
    *,
    failing: float = 0.0,
    unjudged: float = 0.0,
    yes_bias: float = 0.0,
    answers: int = 2,
) -> pd.DataFrame:
    """Return the rows of a study, in the order of the plan: model, observation, condition, seed.

    Parameters
    ----------
    observations : number of observations.
    conditions : the conditions.
    models : labels of the models, all with the same law.
    seeds : the seeds, a row each.
    rng : generator, or its seed.
    failing : share of rows that failed, drawn by chance.
    unjudged : share of rows whose answer could not be judged, drawn by chance.
    yes_bias : share of the answers that are replaced by "Yes", whatever is true.
    answers : number of sampled answers in each row; 0 for none, which is faster.
    """
    from scipy import stats

    rng = np.random.default_rng(rng)
    counts = (len(models), observations, len(conditions), len(seeds))
    model, index, which, seed = (place.ravel() for place in np.indices(counts))
    n = len(index)
    accuracies = np.array([made.accuracy for made in conditions])
    ease = rng.random(observations)
    p_of = stats.beta.ppf(ease[:, None], 8 * accuracies, 8 * (1 - accuracies))  # [observations, conditions]
    p = np.clip(p_of[index, which], 1e-6, 1 - 1e-6)
    correct = rng.random(n) < p
    truth = index % 2 == 0  # yes
    says_yes = np.where(correct, truth, ~truth)
    if yes_bias:
        says_yes |= rng.random(n) < yes_bias
        correct = says_yes == truth
    failed = rng.random(n) < failing
    lost = ~failed & (rng.random(n) < unjudged)
    words = np.array(["No", "Yes"], dtype=object)
    presets = {name: _of(conditions, name)[which] for name in ("image_preset", "context_preset")}
    ids, names = (np.array([f"{text}{i}" for i in range(observations)], dtype=object) for text in "oq")
    levels = np.array(["object", "attribute", "relation"], dtype=object)
    image = np.array([made.image_attention for made in conditions])[which]
    context = np.where(presets["context_preset"] == "empty", 0.0, 0.2)
    tokens = np.where(context > 0, 20, 0)
    columns: dict[str, object] = {
        "row": np.arange(n),
        "model": np.array(models, dtype=object)[model],
        "condition": _of(conditions, "name")[which],
        "group": _of(conditions, "group")[which],
        "parameter": _of(conditions, "parameter")[which],
        "level": np.array([np.nan if made.level is None else made.level for made in conditions])[which],
        "parameters": np.array(
            ["{}" if c.parameter is None else f'{{"{c.parameter}": {c.level}}}' for c in conditions],
            dtype=object,
        )[which],
        "observation": ids[index],
        "index": index,
        "semantic_level": levels[index % 3],
        "seed": np.array(seeds)[seed],
        "question": names[index],
        "context": np.where(context > 0, "A context.", ""),
        "image": np.array([f"{i:064x}" for i in range(observations)], dtype=object)[index],
        **presets,
        "stimulus": "[]",
        "stimulus_key": np.array(
            [f"{i:032x}{j:032x}" for i in range(observations) for j in range(len(conditions))], dtype=object
        )[index * len(conditions) + which],
        "interventions": "[]",
        "truth": words[truth.astype(int)],
        "truth_holds": True,
        "answer": words[says_yes.astype(int)],
        "correct": _or_none(correct, ~failed & ~lost),
        "unjudged": np.where(lost, UNJUDGED, None),
        "error": np.where(failed, FAILED, None),
        "error_type": np.where(failed, "InputError", None),
        "answer_log_likelihood": np.log(p),
        "answer_tokens": np.ones(n),
        "answer_probability": p,
        "p_yes": np.where(says_yes, p, 1 - p),
        "p_no": np.where(says_yes, 1 - p, p),
        "p_rest": np.zeros(n),
    }
    for name in ENTROPIES:
        columns[name] = 0.1 * np.exp(rng.normal(size=n) + SHIFT * ~correct)
    columns["clusters"] = 1.0 + rng.integers(0, 3, n)
    inputs = image + context + 0.3
    shares = {"image": image, "context": context, "question": np.full(n, 0.3), "other": 0.7 - image - context}
    columns |= {f"attention_{name}": share for name, share in shares.items()}
    columns |= {
        f"attention_relative_{name}": shares[name] / inputs for name in ("image", "context", "question")
    }
    columns |= {
        "tokens_image": np.full(n, 144),
        "tokens_context": tokens,
        "tokens_question": np.full(n, 6),
        "tokens_other": np.full(n, 5),
        "modality_dominance_index": ((context + 0.3) / (tokens + 6)) / (image / 144),
        "answers": _answers(says_yes, answers),
        "notes": [[] for _ in range(n)],
        "seconds": np.full(n, 0.01),
        "created": "2026-01-02T00:00:00.000+00:00",
    }
    frame = pd.DataFrame(columns)
    for name in ("answer", *MEASURED):  # nothing was measured where a row failed
        frame[name] = frame[name].where(~failed)
    return as_read(frame[list(COLUMNS)])


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with None for texts and truth values that are missing."""
    frame = frame.copy()
    for name in ("answer", "truth", "unjudged", "error", "error_type", "parameter", "semantic_level"):
        column = frame[name].astype(object)
        frame[name] = column.where(column.notna(), None)
    return frame


def _of(conditions: Sequence[Made], name: str) -> np.ndarray:
    return np.array([getattr(made, name) for made in conditions], dtype=object)


def _or_none(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    found = np.full(len(values), None, dtype=object)
    found[known] = values[known]
    return found


def _answers(says_yes: np.ndarray, count: int) -> list[list[dict[str, object]]]:
    if not count:
        return [[]] * len(says_yes)
    kinds = [
        [{"text": text, "cluster": 0, "log_likelihood": -0.1, "tokens": 1} for _ in range(count)]
        for text in ("No", "Yes")
    ]
    return [kinds[int(yes)] for yes in says_yes]
