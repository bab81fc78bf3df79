"""`modality`: what each of image and context contributes, from conditions that take one of them away.

Five measures, each with its source in the table. A measure whose conditions are missing is refused with the
reason, not replaced by a similar one:

- importance (modality importance score): accuracy with both inputs minus accuracy without one of them;
- dominance (modality dominance index) and efficiency (attention share over token share): what the attention
  reads, which is not what the answer depends on;
- interference: how often an irrelevant input of one modality changes the answer to a question about the
  other;
- dilution: the same for relevant text of growing length that does not answer.

"Without the image" is an unrelated picture (the preset "random"), since a VLM expects a picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.segments import INPUTS
from isi_widget.study.statistics.intervals import share_interval
from isi_widget.study.statistics.paired import paired, pairs_of
from isi_widget.study.statistics.rows import Ints, Rows, codes, first_of_conditions, sums
from isi_widget.study.statistics.table import table
from isi_widget.text.correctness import is_correct
from isi_widget.text.wording import HOW_MANY, asks_how_many, normalised
from isi_widget.uncertainty.bootstrap import check_level

if TYPE_CHECKING:
    import pandas as pd

SOURCES = {
    "importance": "Modality importance score: accuracy with the modality minus accuracy without it.",
    "dominance": "Modality dominance index: attention per text token over attention per image token.",
    "efficiency": "Attention efficiency index: share of the inputs' attention over share of their tokens.",
    "interference": "Modality interference: rate of answers that an irrelevant input changes.",
    "dilution": "Cross-modal dilution: rate of answers that growing text without an answer changes.",
}
BOTH, IMAGE_ONLY, CONTEXT_ONLY = "image and context", "image only", "context only"
_WANTED = {
    BOTH: "the natural image with an answering context (preset 'complementary')",
    IMAGE_ONLY: "the natural image without a context (preset 'empty')",
    CONTEXT_ONLY: "an unrelated image (preset 'random') with the same context",
}

#: Columns whose values in the first row of a condition show what it is.
_OF_CONDITION = (
    *("group", "parameter", "level", "image_preset", "context_preset", "context", "stimulus"),
    "interventions",
)


def modality(
    frame: pd.DataFrame,
    baseline: str | None = None,
    *,
    both: str | None = None,
    image_only: str | None = None,
    context_only: str | None = None,
    references: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return importance, dominance, efficiency, interference and dilution of image and context.

    Parameters
    ----------
    frame : rows of a study.
    baseline : condition that changed answers are compared with; None (default) for the first condition.
    both : condition with image and context; None (default) finds the one whose presets are natural and
        complementary, without drawings and interventions. The same for the next two.
    image_only : condition with the image and no context.
    context_only : condition with an unrelated image and the context of `both`.
    references : the condition that each condition of interference and dilution is compared with;
        default the condition that has the name of their group, then the one that differs only in the
        irrelevant input, then the baseline.
    level : level of the intervals; default 0.95.

    Returns
    -------
    One row per model and number: measure; of ("image", "context", "question", "text" or "answer"); condition;
    reference; value with low and high; rows that were compared; source; note, the reason where a measure
    cannot be computed (its value is NaN).

    An answer under an unrelated image is compared with the true answer of the original picture.
    """
    from isi_widget.study.statistics.tables import Table

    check_level(level)
    rows = Rows(frame)
    conditions = first_of_conditions(frame, _OF_CONDITION)
    baseline = next(iter(conditions), None) if baseline is None else baseline
    roles = _roles(conditions, {BOTH: both, IMAGE_ONLY: image_only, CONTEXT_ONLY: context_only})
    named = _references(conditions, baseline, references or {})
    found: list[dict[str, Any]] = []
    for part in (
        _importance(rows, roles, level),
        _attention(frame, level),
        _changes(rows, "interference", _interfering(conditions, named), level),
        _changes(rows, "dilution", _diluting(conditions, named), level),
    ):
        found += [row | {"source": SOURCES[row["measure"]]} for row in part]
    columns = ["model", "measure", "of", "condition", "reference", "value", "low", "high", "rows"]
    every = [{name: row.get(name) for name in (*columns, "source", "note")} for row in found]
    sources = [f"{name}: {SOURCES[name]}" for name in dict.fromkeys(row["measure"] for row in found)]
    return Table(every, "What image and context contribute", ("source",), sources)


# ---- which condition is what
def _is_clean(row: Mapping[str, Any]) -> bool:
    """Return whether a condition changes nothing but image and context, by presets."""
    operations = _listed(row.get("stimulus"))
    drawn = any(item.get("op") not in ("image", "context") for item in operations if isinstance(item, dict))
    return not drawn and not _listed(row.get("interventions"))


def _listed(text: Any) -> list[Any]:
    try:
        found = json.loads(text) if isinstance(text, str) and text else []
    except ValueError:
        return []
    if isinstance(found, dict):
        found = found.get("operations", [])
    return found if isinstance(found, list) else []


def _roles(
    conditions: Mapping[str, Mapping[str, Any]], given: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the condition of each role, given or found by its presets; None where there is none."""
    presets = {BOTH: ("natural", "complementary"), CONTEXT_ONLY: ("random", "complementary")}
    found: dict[str, str | None] = {}
    for role, name in given.items():
        if name is not None:
            found[role] = name if name in conditions else None
            continue
        fitting = []
        for condition, row in conditions.items():
            image, context = row.get("image_preset"), row.get("context_preset")
            empty = context == "empty" or (not isinstance(context, str) and not row.get("context"))
            fits = (image, context) == presets[role] if role in presets else image == "natural" and empty
            if fits and _is_clean(row):
                fitting.append(condition)
        found[role] = fitting[0] if fitting else None
    return found


def _references(
    conditions: Mapping[str, Mapping[str, Any]], baseline: str | None, given: Mapping[str, str]
) -> dict[str, str | None]:
    return {
        name: given.get(name) or (row["group"] if row.get("group") in conditions else baseline)
        for name, row in conditions.items()
    }


def _interfering(
    conditions: Mapping[str, Mapping[str, Any]], references: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Return conditions with an irrelevant input beside one that answers, each with its reference.

    An irrelevant image interferes only where the context answers: without one, the needed image is missing.
    """
    found = []
    for name, row in conditions.items():
        reference = references[name]
        if not _interferes(row, conditions.get(str(reference), {})):
            reference = next(
                (
                    other
                    for other, candidate in conditions.items()
                    if _is_clean(candidate) and _interferes(row, candidate)
                ),
                None,
            )
        if reference is not None and reference != name and _is_clean(row):
            found.append((name, reference))
    return found


def _interferes(row: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    image, context = row.get("image_preset"), row.get("context_preset")
    before, beside = reference.get("image_preset"), reference.get("context_preset")
    if image == "random":
        return before == "natural" and context == beside == "complementary"
    return (
        context in ("random", "irrelevant")
        and image == before == "natural"
        and (beside == "empty" or (not isinstance(beside, str) and not reference.get("context")))
    )


def _diluting(
    conditions: Mapping[str, Mapping[str, Any]], references: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    return [
        (name, reference)
        for name, row in conditions.items()
        if "dilution" in (row.get("group"), row.get("parameter"))
        and (reference := references[name]) is not None
        and reference != name
        and reference in conditions
    ]


# ---- the measures
def _importance(rows: Rows, roles: Mapping[str, str | None], level: float) -> list[dict[str, Any]]:
    found = []
    for of, without in (("image", CONTEXT_ONLY), ("context", IMAGE_ONLY)):
        missing = [_WANTED[role] for role in (BOTH, without) if roles[role] is None]
        if missing:
            found.append(_refused("importance", of, f"No condition has {', nor '.join(missing)}."))
            continue
        one, other = str(roles[BOTH]), str(roles[without])
        chosen = rows.frame[rows.frame["condition"].isin((one, other))]
        chosen = chosen.assign(correct=_agreement(chosen, rows.frame))
        if "truth" not in chosen or chosen["correct"].isna().all():
            found.append(_refused("importance", of, "No answer could be judged under these conditions."))
            continue
        for row in paired(chosen, other, "correct", level=level).to_dict("records"):
            found.append(
                {
                    "model": row["model"],
                    "measure": "importance",
                    "of": of,
                    "condition": one,
                    "reference": other,
                    "value": row["difference"],
                    "low": row["low"],
                    "high": row["high"],
                    "rows": row["pairs"],
                    "note": "" if row["pairs"] else "No answer could be judged under both conditions.",
                }
            )
    return found


def _agreement(chosen: pd.DataFrame, frame: pd.DataFrame) -> pd.Series[Any]:
    """Return whether each answer agrees with the true answer of the original input: "correct" where it is
    known, else the answer against the truth of another row of the same observation and question.
    """
    own = chosen["correct"].astype(object).where(chosen["correct"].notna(), None)
    needed = ("truth", "question", "answer")
    if any(name not in frame for name in needed):
        return own
    open_rows = chosen["correct"].isna() & chosen["answer"].notna() & chosen["error"].isna()
    open_rows &= chosen["truth"].isna()
    if not open_rows.any():
        return own
    keys = ["index", "question"]
    truths = frame.loc[frame["truth"].notna(), [*keys, "truth"]].drop_duplicates(keys)
    asked = chosen.loc[open_rows, [*keys, "answer"]].merge(truths, on=keys, how="left")
    cases = asked[["answer", "truth", "question"]].drop_duplicates()
    judged = {
        (answer, truth, question): is_correct(answer, truth, question)
        for answer, truth, question in cases.itertuples(index=False)
        if isinstance(truth, str)
    }
    triples = zip(asked["answer"], asked["truth"], asked["question"], strict=True)
    own[open_rows] = np.array([judged.get(triple) for triple in triples], dtype=object)
    return own


def _attention(frame: pd.DataFrame, level: float) -> list[dict[str, Any]]:
    """Return dominance and efficiency of every condition."""
    measured = {f"attention_relative_{name}" for name in INPUTS} | {f"tokens_{name}" for name in INPUTS}
    missing = [name for name in sorted(measured) if name not in frame or frame[name].isna().all()]
    refused = (
        f"Missing or empty columns: {', '.join(missing)}. Run the study with measures=('answer', "
        "'attention')."
    )
    found = []
    if "modality_dominance_index" in frame and frame["modality_dominance_index"].notna().any():
        found += _means(frame, "dominance", {"modality_dominance_index": "text"}, level)
    else:
        found.append(
            _refused(
                "dominance",
                "text",
                "No attention was measured: run the study with measures=('answer', 'attention').",
            )
        )
    if missing:
        return [*found, *(_refused("efficiency", name, refused) for name in INPUTS)]
    tokens = frame[[f"tokens_{name}" for name in INPUTS]].to_numpy(dtype=np.float64)
    shares = frame[[f"attention_relative_{name}" for name in INPUTS]].to_numpy(dtype=np.float64)
    total = tokens.sum(axis=1, keepdims=True)
    expected = np.divide(tokens, total, out=np.full(tokens.shape, np.nan), where=total > 0)
    index = np.divide(shares, expected, out=np.full(tokens.shape, np.nan), where=expected > 0)
    made = frame.assign(**{f"efficiency_{name}": index[:, place] for place, name in enumerate(INPUTS)})
    return found + _means(made, "efficiency", {f"efficiency_{name}": name for name in INPUTS}, level)


def _means(
    frame: pd.DataFrame, measure: str, columns: Mapping[str, str], level: float
) -> list[dict[str, Any]]:
    found = []
    for row in table(frame, list(columns), level=level).to_dict("records"):
        for column, of in columns.items():
            nothing = math.isnan(row[column])
            found.append(
                {
                    "model": row["model"],
                    "measure": measure,
                    "of": of,
                    "condition": row["condition"],
                    "value": row[column],
                    "low": row[f"{column}_low"],
                    "high": row[f"{column}_high"],
                    "rows": row["rows"],
                    "note": f"Under this condition the prompts have no {of} tokens." if nothing else "",
                }
            )
    return found


def _changes(
    rows: Rows, measure: str, compared: Sequence[tuple[str, str]], level: float
) -> list[dict[str, Any]]:
    """Return the share of answers whose wording differs from that under the reference."""
    if "answer" not in rows.frame or "question" not in rows.frame:
        return [_refused(measure, "answer", "No answers were measured.")]
    if not compared:
        return [_refused(measure, "answer", _MISSING[measure])]
    found = []
    for name, reference in compared:
        chosen = Rows(rows.frame[rows.frame["condition"].isin((name, reference))])
        answers = _wordings(chosen.frame)
        for model, condition, pairs in pairs_of(chosen, reference):
            own, other = answers[pairs.own], answers[pairs.other]
            differs = np.where((own < 0) | (other < 0), np.nan, own != other)
            totals, numbers = sums(differs[:, None], pairs.case)
            low, high = share_interval(totals[:, 0], numbers[:, 0], level)
            number = int(numbers.sum())
            found.append(
                {
                    "model": model,
                    "measure": measure,
                    "of": "answer",
                    "condition": condition,
                    "reference": reference,
                    "value": float(totals.sum()) / number if number else math.nan,
                    "low": low,
                    "high": high,
                    "rows": number,
                    "note": "" if number else "No answers are known under both conditions.",
                }
            )
    return found


_MISSING = {
    "interference": (
        "No condition has an unrelated image (preset 'random') beside the same answering context "
        "('complementary'), nor an irrelevant context ('random', 'irrelevant') beside the natural image with "
        "the 'empty' one. isi.conditions.interference() makes them."
    ),
    "dilution": "No condition is of the group 'dilution'. isi.conditions.dilution() makes them.",
}


def _wordings(frame: pd.DataFrame) -> Ints:
    """Return a number for each answer, equal for answers with the same wording; -1 without an answer."""
    answer, texts = codes(frame["answer"])
    question, questions = codes(frame["question"])
    # A wording depends on the question only in whether it asks how many: so few pairs are normalised
    counts = np.array([isinstance(text, str) and asks_how_many(text) for text in questions])[question]
    pairs, place = np.unique(2 * answer + counts, return_inverse=True)
    numbers: dict[tuple[str, ...], int] = {}
    found = np.full(len(pairs), -1, dtype=np.int64)
    for number, pair in enumerate(pairs):
        text = texts[pair // 2]
        if isinstance(text, str):
            words = normalised(text, HOW_MANY if pair % 2 else "")
            found[number] = numbers.setdefault(words, len(numbers))
    return np.where(frame["error"].notna().to_numpy(), -1, found[place])


def _refused(measure: str, of: str, reason: str) -> dict[str, Any]:
    nothing = {"value": math.nan, "low": math.nan, "high": math.nan, "rows": 0}
    return {"model": None, "measure": measure, "of": of, **nothing, "note": reason}
