"""Conditions with an example each, data, failed rows and a sample of rows, for the report of a study.

Not for statistics (`report_tables`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.report.blocks import Block, Example, Grid, Heading, Pairs, Words
from isi_widget.report.pdf.words import interventions
from isi_widget.report.pictures import thumbnail
from isi_widget.report.studies import words_of
from isi_widget.study.report_tables import number
from isi_widget.uncertainty.bootstrap import LEADING

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.study.condition import Condition
    from isi_widget.study.study import Study

#: Conditions with an example, rows of the sample, reasons of failures, and letters of a text in a cell.
MOST_EXAMPLES, _SAMPLE, _REASONS, _LONGEST = 40, 20, 60, 300
_PIXELS = 360
#: Failed rows in the file of their table.
_FILED = 1000
_EXAMPLE = ("row", "question", "context", "answer", "truth", "correct")


def conditions(study: Study, _: float) -> list[Block]:
    """Return each condition: how it is made, and an example of what the model was shown."""
    shown = study.conditions[:MOST_EXAMPLES]
    examples = _examples(study)
    found: list[Block] = [
        Words(
            f"{counted(len(study.conditions), 'condition')}. The pictures are of one observation, as far "
            "as it has a finished row.",
            True,
        )
    ]
    found += [_example(study, condition, examples.get(condition.name)) for condition in shown]
    if left := len(study.conditions) - len(shown):
        found.append(Words(f"{counted(left, 'more condition')}: see the code below."))
    return found


def _examples(study: Study) -> dict[str, int]:
    """Return the number of a finished row of each condition, of the observation that most of them have."""
    frame = study.frame(["row", "condition", "index", "error"])
    frame = frame[frame["error"].isna() & frame["index"].notna()]
    if not len(frame):
        return {}
    counts = frame.groupby("index")["condition"].nunique()
    best = int(counts.index[int(counts.to_numpy().argmax())])
    frame = frame.assign(away=(frame["index"] != best).astype(int)).sort_values(["away", "row"])
    numbers = frame.groupby("condition")["row"].first()
    return {str(name): int(row) for name, row in zip(numbers.index, numbers.to_numpy(), strict=True)}


def _example(study: Study, condition: Condition, number: int | None) -> Example:
    code, name = condition.code(), condition.name
    inside = "; ".join(str(item.label) for item in condition.interventions if hasattr(item, "label"))
    about = [("changed inside the model", inside, "")]
    if number is None:
        return Example(
            name, code, None, [("example", "none: no row of it ended without an error", ""), *about]
        )
    (row,) = study.frame(list(_EXAMPLE), numbers=[number]).to_dict("records")
    picture: bytes | None = None
    done = ""
    try:
        stimulus = study.stimulus(number)
        picture = thumbnail(stimulus, _PIXELS, 85)
        done = "; ".join(interventions(stimulus)) or "none"
    except (InputError, OSError) as error:
        about.append(("picture", f"not available: {error}", ""))
    judged = {True: " (right)", False: " (wrong)"}.get(row["correct"], "")
    return Example(
        name,
        code,
        picture,
        [
            ("question", _short(row["question"]), ""),
            ("context", _short(row["context"]), ""),
            ("changes of the input", _short(done), ""),
            *about,
            ("answer in this row", f"{_short(row['answer'])}{judged}", ""),
            ("true answer", _short(row["truth"]), ""),
            ("row", str(number), ""),
        ],
    )


def _short(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def data(study: Study, _: float) -> list[Block]:
    """Return what the data are: name, size, digest, levels and truths."""
    about = study.header["data"]
    frame = study.frame(["index", "semantic_level", "truth", "observation"]).drop_duplicates("index")
    rows = [
        ("name", str(about["name"]), ""),
        ("observations", f"{about['size']:,}", f"{len(frame):,} with a finished row"),
        (
            "digest of the texts",
            str(about["digest"]),
            "Equal for the same ids, questions, contexts and true answers.",
        ),
    ]
    for title, name in (("semantic levels", "semantic_level"), ("true answers", "truth")):
        if name in frame and frame[name].notna().any():
            counts = frame[name].dropna().value_counts()
            listed = ", ".join(f"{value} ({count:,})" for value, count in counts.head(12).items())
            more = f", and {len(counts) - 12} others" if len(counts) > 12 else ""
            rows.append((title, listed + more, ""))
    if study.store is not None:
        rows.append(("folder of the rows", study.store.name, "isi.open_study reads it."))
    return [Pairs(rows)]


def failed(study: Study, _: float) -> list[Block]:
    """Return how many rows failed or were not judged, and why."""
    found: list[Block] = []
    rows = study.failed
    if len(rows):
        grouped = rows.groupby(["error_type", "error", "condition"], sort=False)["row"].agg(["size", "first"])
        grouped = grouped.reset_index().sort_values("size", ascending=False)
        cells = [
            [
                str(item["condition"]),
                str(item["error_type"]),
                _short(item["error"]),
                f"{item['size']:,}",
                str(item["first"]),
            ]
            for item in grouped.head(_REASONS).to_dict("records")
        ]
        found += [
            Heading("Failed", f"{counted(len(rows), 'row')}, in no mean"),
            Grid(
                ["condition", "kind", "reason", "rows", "first row"],
                cells,
                frozenset({0, 1, 2}),
                name="failed",
                frame=rows.head(_FILED),
            ),
        ]
        if len(rows) > _FILED:
            found.append(Words(f"The file of this table has the first {_FILED:,} of them.", True))
        if len(grouped) > _REASONS:
            found.append(Words(f"{len(grouped) - _REASONS:,} more reasons: study.failed lists all.", True))
    unjudged = study.unjudged()
    if len(unjudged):
        cells = [
            [str(item["condition"]), _short(item["reason"]), f"{item['rows']:,}"]
            for item in unjudged.sort_values("rows", ascending=False).head(_REASONS).to_dict("records")
        ]
        found += [
            Heading("Not judged", "neither right nor wrong"),
            Grid(["condition", "reason", "rows"], cells, frozenset({0, 1}), name="unjudged", frame=unjudged),
        ]
    return found or [Words("No row failed, and every answer was judged.")]


def sample(study: Study, _: float) -> list[Block]:
    """Return some rows, drawn by chance, or all if they are few."""
    names = [
        "row",
        "model",
        "condition",
        "observation",
        "question",
        "context",
        "answer",
        "truth",
        "correct",
        "error",
        LEADING,
    ]
    numbers = study.frame(["row"])["row"].to_numpy()
    few = len(numbers) <= _SAMPLE
    picked = numbers if few else np.sort(np.random.default_rng(0).choice(numbers, _SAMPLE, replace=False))
    frame: pd.DataFrame = study.frame(names, numbers=[int(number) for number in picked])
    several = frame["model"].nunique() > 1
    heads = [
        "row",
        *(["model"] if several else []),
        "condition",
        "observation",
        "question",
        "answer",
        "truth",
        "judged",
    ]
    measured = LEADING in frame
    cells = []
    for row in frame.to_dict("records"):
        judged = {True: "right", False: "wrong"}.get(row["correct"], "")
        answer = (
            f"failed: {_short(row['error'])[:120]}"
            if isinstance(row["error"], str)
            else _short(row["answer"])
        )
        cells.append(
            [
                str(row["row"]),
                *([str(row["model"])] if several else []),
                str(row["condition"]),
                str(row["observation"]),
            ]
            + [_short(row["question"])[:160], answer, _short(row["truth"]), judged]
            + ([number(row[LEADING])] if measured else [])
        )
    total = (
        "All rows."
        if few
        else f"{len(picked)} of {counted(len(numbers), 'row')}, drawn by chance: a sample, not a result."
    )
    return [
        Words(total),
        Grid(
            [*heads, *([words_of(LEADING)] if measured else [])],
            cells,
            frozenset(range(len(heads))),
            name="sample" if not few else "rows",
            frame=frame,
        ),
    ]
