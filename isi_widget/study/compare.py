"""`compare`: the same question under several conditions, side by side, with the same settings and seeds.

A few conditions to look at, not a study: differences are marked so that they are seen, not tested.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isi_widget.errors import Cancelled, InputError
from isi_widget.files import records
from isi_widget.interventions import from_dicts, summary
from isi_widget.readable import counted
from isi_widget.stimulus import Stimulus, checks
from isi_widget.stimulus.labels import labels_of
from isi_widget.text import all_repaired
from isi_widget.trial import Trial, run_trial
from isi_widget.vlm.protocol import check_vlm_like

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.vlm.protocol import VLMLike


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
        """Return a trial by its index or its label."""
        if isinstance(key, str):
            if key not in self.labels:
                raise KeyError(f"{key!r}; the conditions are: {', '.join(self.labels)}")
            return self.trials[self.labels.index(key)]
        return self.trials[key]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per condition, its label first."""
        import pandas as pd

        frame = pd.concat([trial.to_frame() for trial in self.trials], ignore_index=True)
        frame.insert(0, "condition", list(self.labels))
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, without loss."""
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
        """Rebuild from the record of `to_dict`. Raises `InputError` for any other record."""
        skipped = tuple((str(label), str(reason)) for label, reason in record.get("skipped", ()))
        trials, labels = record["trials"], tuple(all_repaired(record["labels"]))
        if len(trials) != len(labels):
            raise InputError(
                f"A comparison needs a label for each of {len(trials)} trials; got {len(labels)}."
            )
        return cls(tuple(map(Trial.from_dict, trials)), labels, skipped)

    def plot(self, columns: int | None = None) -> Figure:
        """Return thumbnails above, semantic entropies with intervals and relative attention shares below.

        columns : number of thumbnails side by side; None (default): all. `isi.save_figure` writes it to a
            file.
        """
        from isi_widget.report.charts import plot_comparison

        return plot_comparison(self.trials, self.labels, columns)

    def __repr__(self) -> str:
        lines = [f"  {label}: {trial!r}\n" for label, trial in self._pairs()]
        lines += [f"  {label}: skipped, {reason}\n" for label, reason in self.skipped]
        return "Comparison(\n" + "".join(lines) + ")"

    def _repr_html_(self) -> str:
        from isi_widget.report.comparison import comparison_html

        return comparison_html(self)

    def _pairs(self) -> list[tuple[str, Trial]]:
        return list(zip(self.labels, self.trials, strict=True))


def compare(
    stimuli: Iterable[Stimulus] | Mapping[str, Stimulus],
    vlm: VLMLike | Sequence[VLMLike] | Mapping[str, VLMLike],
    *,
    labels: Sequence[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Callable[[str, int, int], None] | None = None,
    **settings: Any,
) -> Comparison:
    """Run one trial per stimulus, and per model, with the same settings and the same seed.

    stimuli is a list of them, or a dict {label: stimulus}; without labels, labels come from the operations
    ("box", "noise 0.3", "context: contradictory"). vlm is one model, or several, as a list or a dict {label:
    model}: every stimulus is shown to the first, then to the next; `[vlm, vlm.intervene(...)]` compares a
    model with itself under interventions. progress is called as progress("label: stage", done,
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
    for name, model, stimulus in _shown_to(vlm, names, listed):
        report = None if progress is None else _prefixed(progress, name)
        try:
            trials[name] = run_trial(model, stimulus, progress=report, **settings)
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
            raise InputError(f"None of {counted(len(listed), 'condition')} could be run. {every}")
        warnings.warn(
            f"{len(skipped)} of {counted(len(listed), 'condition')} skipped. {every}",
            UserWarning,
            stacklevel=2,
        )
    return Comparison(tuple(trials.values()), tuple(trials), tuple(skipped.items()))


def _shown_to(
    vlm: VLMLike | Sequence[VLMLike] | Mapping[str, VLMLike],
    names: Sequence[str],
    stimuli: Sequence[Stimulus],
) -> list[tuple[str, VLMLike, Stimulus]]:
    """Return a label, a model and a stimulus for each trial.

    Raises
    ------
    InputError
        Without a model, or with models whose labels are not all different.
    """
    if not isinstance(vlm, Sequence | Mapping):
        return [(name, vlm, stimulus) for name, stimulus in zip(names, stimuli, strict=True)]
    if isinstance(vlm, Mapping):
        models = {str(label): model for label, model in vlm.items()}
    else:
        for model in vlm:
            check_vlm_like(model, "compare needs")
        called = [_called(model) for model in vlm]
        if len(set(called)) != len(called):
            called = [f"{label} ({place})" for place, label in enumerate(called, 1)]
        models = dict(zip(called, vlm, strict=True))
    if not models:
        raise InputError("compare needs at least one model; got an empty list.")
    alone = len(stimuli) == 1
    return [
        (label if alone else f"{name}, {label}", model, stimulus)
        for label, model in models.items()
        for name, stimulus in zip(names, stimuli, strict=True)
    ]


def _called(model: VLMLike) -> str:
    """Return the label of a model beside others: its interventions, else its name."""
    return summary(from_dicts(model.info().get("interventions", ()))) or model.model_id


def _prefixed(progress: Callable[[str, int, int], None], name: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)
