"""`compare`: the same question under several conditions, side by side, with the same settings and seeds.

A few conditions to look at, not a study: differences are marked so that they are seen, not tested.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isi_widget import records
from isi_widget.errors import Cancelled, InputError
from isi_widget.report.html import picture_html, shares_of, verdict
from isi_widget.report.labels import labels_of
from isi_widget.report.style import NEUTRAL, SEGMENT_COLORS, SEGMENTS
from isi_widget.report.svg import NO_FORMULAS, QUIET, TABLE, bar, escape, stack
from isi_widget.report.view import doubts_of
from isi_widget.stimulus import Stimulus, checks
from isi_widget.text import all_repaired
from isi_widget.trial import Trial, run_trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.vlm import VLM

#: A probability, or a share of attention, that differs by at least this much is marked.
SHARE_DIFFERENCE = 0.05
_CELL = (
    "padding:3px 12px 3px 0;border:none;background:none;vertical-align:top;text-align:start;max-width:22em;"
    "overflow-wrap:anywhere;white-space:normal"
)
_MARK = "background:rgba(230,159,0,.3);box-decoration-break:clone;padding:0 3px;font-weight:600"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Trials of several conditions, side by side; the first is what the others are compared with.

    Attributes
    ----------
    trials, labels : one label per trial, all different.
    skipped : (label, reason) of each condition that could not be run.
    """

    trials: tuple[Trial, ...]
    labels: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.trials or len(self.trials) != len(self.labels):
            raise InputError(
                "A Comparison needs at least one trial and one label per trial; "
                f"got {len(self.trials)} trials and {len(self.labels)} labels."
            )

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, key: int | str) -> Trial:
        """A trial by its place or its label."""
        if isinstance(key, str):
            if key not in self.labels:
                raise KeyError(f"{key!r}; the conditions are: {', '.join(self.labels)}")
            return self.trials[self.labels.index(key)]
        return self.trials[key]

    def to_frame(self) -> pd.DataFrame:
        """One row per condition, its label first."""
        import pandas as pd

        frame = pd.concat([trial.to_frame() for trial in self.trials], ignore_index=True)
        frame.insert(0, "condition", list(self.labels))
        return frame

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dict, without loss."""
        record: dict[str, Any] = {
            "labels": list(self.labels),
            "trials": [trial.to_dict() for trial in self.trials],
        }
        if self.skipped:
            record["skipped"] = [list(item) for item in self.skipped]
        return record

    @classmethod
    @records.reader("a comparison", names=False)
    def from_dict(cls, record: Mapping[str, Any]) -> Comparison:
        """The inverse of `to_dict`. Raises `InputError` if it is no such record."""
        skipped = tuple((str(label), str(reason)) for label, reason in record.get("skipped", ()))
        trials, labels = record["trials"], tuple(all_repaired(record["labels"]))
        if len(trials) != len(labels):
            raise InputError(
                f"A comparison needs a label for each of {len(trials)} trials; got {len(labels)}."
            )
        return cls(tuple(map(Trial.from_dict, trials)), labels, skipped)

    def plot(self) -> Figure:
        """Thumbnails above, semantic entropies with intervals and relative attention shares below."""
        from isi_widget.report.charts import plot_comparison

        return plot_comparison(self.trials, self.labels)

    def __repr__(self) -> str:
        lines = [f"  {label}: {trial!r}\n" for label, trial in self._pairs()]
        lines += [f"  {label}: skipped, {reason}\n" for label, reason in self.skipped]
        return "Comparison(\n" + "".join(lines) + ")"

    def _repr_html_(self) -> str:
        return comparison_html(self)

    def _pairs(self) -> list[tuple[str, Trial]]:
        return list(zip(self.labels, self.trials, strict=True))


def compare(
    stimuli: Iterable[Stimulus] | Mapping[str, Stimulus],
    vlm: VLM,
    *,
    labels: Sequence[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Callable[[str, int, int], None] | None = None,
    **settings: Any,
) -> Comparison:
    """Run one trial per stimulus with the same settings and the same seed.

    stimuli is a list of them, or a dict {label: stimulus}; without labels, labels come from the operations
    ("box", "noise 0.3", "context: contradictory"). progress is called as progress("label: stage", done,
    total). settings are those of `run_trial`; `cancel` among them stops the whole comparison. With
    on_error="skip" a condition that cannot be run is left out, with a warning, and listed in
    `Comparison.skipped`.
    """
    checks.on_error(on_error)
    if isinstance(stimuli, Mapping):
        if labels is not None:
            raise InputError(
                "compare got labels twice: as keys of the dict and as labels=. Give one of them."
            )
        labels = [str(label) for label in stimuli]
        stimuli = stimuli.values()
    if isinstance(stimuli, Stimulus):
        raise InputError(
            "compare needs several stimuli: compare([a, b], vlm). For one: run_trial(vlm, stimulus)."
        )
    given: Any = stimuli  # anything, until it is checked
    if not isinstance(given, Iterable):
        first = type(given).__name__
        raise InputError(f"compare needs stimuli, then the model: compare([a, b], vlm). {first} came first.")
    listed = list(stimuli)
    wrong = [type(item).__name__ for item in listed if not isinstance(item, Stimulus)]
    if wrong or not listed:
        found = ", ".join(wrong) or "an empty list"
        raise InputError(f"compare needs a list of at least one Stimulus; got {found}.")
    names = labels_of(listed) if labels is None else [str(label) for label in labels]
    if len(names) != len(listed) or len(set(names)) != len(names):
        raise InputError(
            f"compare needs one label per stimulus, all different; got {len(listed)} stimuli and {names}."
        )
    trials: dict[str, Trial] = {}
    skipped: dict[str, str] = {}
    for name, stimulus in zip(names, listed, strict=True):
        report = None if progress is None else _prefixed(progress, name)
        try:
            trials[name] = run_trial(vlm, stimulus, progress=report, **settings)
        except Cancelled:
            raise
        except Exception as error:
            if on_error == "raise":
                error.add_note(f"at the condition {name!r}")
                raise
            skipped[name] = str(error) or type(error).__name__
    if skipped:
        every = "; ".join(f"{name!r}: {reason}" for name, reason in skipped.items())
        if not trials:
            raise InputError(f"None of the {len(listed)} conditions could be run. {every}")
        warnings.warn(
            f"{len(skipped)} of {len(listed)} conditions skipped. {every}", UserWarning, stacklevel=2
        )
    return Comparison(tuple(trials.values()), tuple(trials), tuple(skipped.items()))


def _prefixed(progress: Callable[[str, int, int], None], name: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


# --------------------------------------------------------------------------------------- static page
def comparison_html(comparison: Comparison) -> str:
    """A table with one column per condition; what differs from the first is marked."""
    views = [trial.view() for trial in comparison.trials]
    first = views[0]
    rows = [_row("", [f"<b>{escape(label)}</b>" for label in comparison.labels])]
    if any(view["model"] != first["model"] for view in views):
        rows.append(_row("model", [escape(view["model"]) for view in views]))
    rows += [
        _row("", [picture_html(trial.stimulus, 160) for trial in comparison.trials]),
        _row("question", [_text(view["question"], view["question"] != first["question"]) for view in views]),
        _row("context", [_text(view["context"], view["context"] != first["context"]) for view in views]),
    ]
    if any(view["answer"] for view in views):
        rows.append(_row("answer", [_answer(view["answer"], first["answer"]) for view in views]))
        rows.append(_row("", [_judged(view) for view in views]))
        if any(view["answer"] and view["answer"]["yes_no"] for view in views):
            rows.append(_row("p(yes), p(no)", [_yes_no(view["answer"], first["answer"]) for view in views]))
    if any(view["uncertainty"] for view in views):
        for index, entropy in enumerate(
            next(view["uncertainty"] for view in views if view["uncertainty"])["entropies"]
        ):
            unit = f" ({entropy['unit']})" if entropy["unit"] else ""
            rows.append(
                _row(
                    entropy["label"] + unit,
                    [_entropy(view, first, index) for view in views],
                    entropy["definition"],
                )
            )
        rows.append(_row("meanings compared by", [_judge(view, first) for view in views]))
        rows.append(
            _row(
                "clusters",
                [str(len(view["uncertainty"]["clusters"])) if view["uncertainty"] else "" for view in views],
            )
        )
    if any(view["attention"] for view in views):
        rows.append(
            _row(
                "attention on the inputs",
                [_attention(view["attention"], first["attention"]) for view in views],
            )
        )
    legend = " ".join(
        f'<span style="border-left:8px solid {color};padding-left:4px">{name}</span>'
        for name, color in ((name, SEGMENT_COLORS[name]) for name in SEGMENTS)
        if name != "other"
    )
    notes = dict.fromkeys(note for view in views for note in view["notes"])
    notes |= dict.fromkeys(f"Skipped: {label}. {reason}" for label, reason in comparison.skipped)
    below = "".join(f'<div style="{QUIET}">{escape(line)}</div>' for line in (caption(views), *notes))
    return (
        f'<div class="isi-comparison {NO_FORMULAS}" style="overflow-x:auto;color:inherit">'
        f'<table style="{TABLE}"><tbody>{"".join(rows)}</tbody></table>'
        f"<div>{legend}</div>{below}</div>"
    )


def caption(views: Sequence[dict[str, Any]]) -> str:
    """What holds for all conditions, how the entropies were sampled, and what the marks mean."""
    first = views[0]
    if all(view["model"] == first["model"] and view["settings"] == first["settings"] for view in views):
        parts = [f"Same settings and seed ({first['settings']['seed']}) for all, model {first['model']}."]
    else:
        parts = ["Not all have the same model and settings."]
    runs = [view["uncertainty"] for view in views if view["uncertainty"]]
    bases = {run["basis"] for run in runs}
    if runs:
        kinds = dict.fromkeys(run["intervals"] for run in runs)
        parts.append(f"{', '.join(sorted(bases))}; in brackets {' or '.join(kinds)}.")
    if doubts := doubts_of(views):
        parts.append(f"(!): {' '.join(doubts)}")
    parts.append(
        "Marked: another text than the first's; an entropy whose interval does not meet the first's; a "
        f"probability or a share of attention at least {SHARE_DIFFERENCE} away."
    )
    if runs:
        parts.append(runs[0]["scale_note"])
    return " ".join(parts)


def _row(name: str, cells: Sequence[str], note: str = "") -> str:
    title = f' title="{escape(note)}"' if note else ""
    head = f'<th scope="row" style="{_CELL};font-weight:400;min-width:9em;{QUIET}"{title}>{escape(name)}</th>'
    body = "".join(f'<td dir="auto" style="{_CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="background:none;border:none">{head}{body}</tr>'


def _mark(text: str, marked: bool) -> str:
    return f'<mark style="{_MARK};color:inherit">{text}</mark>' if marked else text


def _text(text: str, marked: bool) -> str:
    return _mark(escape(text) if text.strip() else "(empty)", marked)


def _answer(answer: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    if answer is None:
        return ""
    return _text(answer["text"], first is not None and answer["text"] != first["text"])


def _judged(view: dict[str, Any]) -> str:
    return escape(verdict(view["answer"])) if view["answer"] else ""


def _yes_no(answer: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    shares, others = answer and answer["yes_no"], first and first["yes_no"]
    if not shares:
        return ""
    away = max(abs(shares[name] - others[name]) for name in ("yes", "no")) if others else 0.0
    return _mark(f"{shares['yes']:.2f}, {shares['no']:.2f}", away >= SHARE_DIFFERENCE)


def _entropy(view: dict[str, Any], first: dict[str, Any], index: int) -> str:
    if not view["uncertainty"]:
        return ""
    entropy = view["uncertainty"]["entropies"][index]
    value, low, high = entropy["value"], entropy["low"], entropy["high"]
    if value is None:
        return str(entropy["missing"])
    if low is None or high is None:
        doubted = " (!)" if doubts_of([view]) else ""
        return f"{value:.2f}{doubted}" + bar(value, entropy["scale"], NEUTRAL)
    other = first["uncertainty"]["entropies"][index] if first["uncertainty"] else entropy
    apart = (
        other["low"] is not None
        and other["high"] is not None
        and (low > other["high"] or high < other["low"])
    )
    doubted = " (!)" if doubts_of([view]) else ""
    shown = bar(value, entropy["scale"], NEUTRAL, low, high)
    return _mark(f"{value:.2f}", apart) + f"{doubted} [{low:.2f}, {high:.2f}]" + shown


def _judge(view: dict[str, Any], first: dict[str, Any]) -> str:
    """Who compared the meanings, and why not to rely on it."""
    if not view["uncertainty"]:
        return ""
    judge = view["uncertainty"]["judge"]
    other = first["uncertainty"]["judge"] if first["uncertainty"] else judge
    doubts = "".join(f"<div>(!) {escape(doubt)}</div>" for doubt in judge["doubts"])
    return _mark(escape(judge["label"]), judge["label"] != other["label"]) + doubts


def _attention(attention: dict[str, Any] | None, first: dict[str, Any] | None) -> str:
    if attention is None:
        return ""
    relative = attention["relative"]
    reference = first["relative"] if first else relative
    parts = []
    for name, share in relative.items():
        if share is not None:
            apart = reference[name] is not None and abs(share - reference[name]) >= SHARE_DIFFERENCE
            parts.append(_mark(f"{name} {share:.2f}", apart))
    return stack(shares_of(relative)) + ", ".join(parts)
