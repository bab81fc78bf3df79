"""`Trial`: the record of one stimulus, one VLM and what came out.

It holds what it takes to read the result again without the model, and to repeat it: stimulus, settings,
seeds, model, versions, times. Not for making it (`isi_widget.trial.run`), for drawing (`isi_widget.report`)
nor for several trials side by side (`isi_widget.study.compare`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isi_widget import checks
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import Intervention, from_dicts, keyed, summary, to_dicts
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.text.correctness import Judgement, judge
from isi_widget.trial.measures import find_measure
from isi_widget.trial.packing import packed, unpacked
from isi_widget.trial.settings import Settings
from isi_widget.trial.unread import Unread

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.answer import Answer
    from isi_widget.attribution import AttentionShares
    from isi_widget.uncertainty import Uncertainty

SCHEMA = 2


def _check_parts(record: Mapping[str, Any]) -> None:
    """Refuse what of a trial's own fields could not be shown; its other parts check themselves."""
    for name, seconds in record.get("seconds", {}).items():
        if not 0 <= seconds < math.inf:
            raise InputError(
                f"This record of a trial is damaged: it took {seconds!r:.40} seconds for {name!r:.40}."
            )
    records.check_model("a trial", record["model"])


@dataclass(frozen=True, repr=False, eq=False)
class Trial:
    """Everything of one run of one stimulus through one VLM, made by `run_trial`.

    Immutable, picklable, equal by content.

    Attributes
    ----------
    stimulus
        What the model was shown.
    results
        The records of the measures by name: "answer" (`Answer`), "yes_no" (the probabilities of "yes", "no"
        and "rest" as first token), "uncertainty" (`Uncertainty`), "attention" (`AttentionShares`), and those
        of other measures. The record of a measure that is not registered in this process is an `Unread`,
        which keeps its data.
    model
        `VLM.info()` at the time: name, family, parameters, device, dtype, quantization, revision, how it was
        loaded, note.
    settings
        How it was run.
    seconds
        Wall-clock seconds of each stage, and "total".
    versions
        Versions of python, isi_widget, torch, transformers, numpy, pillow.
    created
        When it ended, ISO 8601 in UTC.
    notes
        What could not be measured with this VLM, and why; one sentence each.
    received
        Whether it was read from a record or a report, which somebody else may have made: `code` then only
        comments on what could do harm. Not part of the record nor of equality.
    """

    stimulus: Stimulus
    results: Mapping[str, Any]
    model: Mapping[str, Any]
    settings: Settings
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    notes: tuple[str, ...] = ()
    received: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "results", {name: item for name, item in self.results.items() if item is not None}
        )

    # ---- what was measured
    @property
    def answer(self) -> Answer | None:
        """The shown answer; None where there is none."""
        return self.results.get("answer")

    @property
    def yes_no(self) -> Mapping[str, float] | None:
        """Probabilities of "yes", "no" and "rest" as first token of the answer; None where not measured."""
        return self.results.get("yes_no")

    @property
    def uncertainty(self) -> Uncertainty | None:
        """Entropies, clusters and sampled answers; None where not measured."""
        return self.results.get("uncertainty")

    @property
    def attention(self) -> AttentionShares | None:
        """Attention shares of `answer`; None where not measured."""
        return self.results.get("attention")

    def with_results(self, **records: Any) -> Trial:
        """Return the same trial with other records, by the names of their measures; None takes one away."""
        return replace(self, results={**self.results, **records})

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """The interventions that the model was seen with, in order; empty for a plain model."""
        return from_dicts(self.model.get("interventions", ()))

    @property
    def key(self) -> str:
        """Equal for trials of equal stimuli under equal interventions; without any the stimulus' own key."""
        return keyed(self.stimulus.key, self.interventions)

    @property
    def correct(self) -> bool | None:
        """Whether the answer agrees with the truth, by `correctness.judge`; None without an answer or a
        truth, and where it cannot be judged (`judgement.reason` then says why).
        """
        return self.judgement.correct

    @property
    def judgement(self) -> Judgement:
        """Whether the answer agrees with the truth, and if that cannot be judged, why not."""
        if self.answer is None:
            return Judgement(None)
        if self.answer.missing:  # cut off before it answered: it has not answered wrongly
            return Judgement(None, f"Not judged: {self.answer.missing}")
        return judge(self.answer.text, self.stimulus.truth, self.stimulus.current_question)

    # ---- as data
    def to_dict(self, *, embed: bool = True) -> dict[str, Any]:
        """Return it as a dict that `json.dumps(..., allow_nan=False)` takes, without loss.

        "results" holds the record of each measure by its name. `embed` (default True) includes the pictures;
        False names them by their SHA-256 only, for `from_dict(record, pictures)`.
        """
        record: dict[str, Any] = {"schema": SCHEMA, "stimulus": self.stimulus.to_dict(embed=embed)}
        record["results"] = {name: _as_data(name, item) for name, item in self.results.items()}
        for name in ("model", "seconds", "versions", "created", "notes"):
            record[name] = getattr(self, name)
        if changed := self.interventions:  # beside the model, of whose description they are a part
            record["model"] = {key: item for key, item in self.model.items() if key != "interventions"}
            record["interventions"] = to_dicts(changed)
        made: dict[str, Any] = packed({**record, "settings": self.settings.to_dict()})
        return made

    @classmethod
    @records.reader("a trial", names=False, values=False, shown=("correct",))
    def from_dict(cls, record: Mapping[str, Any], pictures: Mapping[str, Picture] | None = None) -> Trial:
        """Rebuild from the record of `to_dict`; missing fields of older records get their defaults.

        `pictures` by SHA-256 are taken as they are, and not read once more.

        Raises `InputError` if it is no record of a trial, or has fields of a newer version.
        """
        every = fields(cls)
        needed = [item.name for item in every if item.default is item.default_factory is MISSING]
        checks.fields("a trial", record, (), record)
        schema = record.get("schema")
        if type(schema) is not int or schema not in (1, SCHEMA):
            raise InputError(
                f"This is not a trial of schema {SCHEMA}: got schema {schema!r:.60}. "
                "Use a dict made by Trial.to_dict()."
            )
        whole = dict(record)
        if schema == 1:  # the results stood beside the rest
            checks.fields("a trial", record, [name for name in _BESIDE if name != "yes_no"], record)
            found = {name: whole.pop(name) for name in _BESIDE if name in whole}
            whole["results"] = {name: item for name, item in found.items() if item is not None}
        checks.fields("a trial", whole, needed, {"schema", "interventions", *(item.name for item in every)})
        data = unpacked(whole)
        del data["schema"]
        found = data.pop("interventions", None) if "interventions" in data else _of_model(data)
        changed = to_dicts(from_dicts(found))
        records.check_values(cls, "a trial", data)
        data["model"] = {key: item for key, item in data["model"].items() if key != "interventions"}
        if changed:
            data["model"]["interventions"] = changed
        _check_parts(data)
        readers: dict[str, Callable[[Any], Any]] = {
            "stimulus": lambda value: Stimulus.from_dict(value, pictures),
            "results": lambda value: {name: _as_record(name, item) for name, item in value.items()},
            "settings": Settings.from_dict,
            "notes": tuple,
        }
        trial = cls(**{name: readers.get(name, _same)(value) for name, value in data.items()})
        object.__setattr__(trial, "received", True)
        return trial

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Trial) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.key, self.settings, self.created))

    def view(self, *, details: bool = False, code: str | None = None) -> dict[str, Any]:
        """Return the trial as the page of the widget draws it: plain JSON, with labels, units, definitions.

        Parameters
        ----------
        details
            Whether to add what reports show beyond the page.
        code
            Python that repeats the trial; None: `self.code()`.
        """
        from isi_widget.trial.view import trial_view

        return trial_view(self, details=details, code=code)

    def to_frame(self) -> pd.DataFrame:
        """Return one row with tidy column names, for stacking with `pandas.concat`."""
        import pandas as pd

        from isi_widget.trial.view import trial_row

        return pd.DataFrame([trial_row(self)])

    def code(
        self, observation: str | None = None, *, write_pictures: bool = False, reuse: bool = False
    ) -> str:
        """Write Python that repeats this trial and ends in it, to paste into a cell.

        Parameters
        ----------
        observation : a Python expression of the observation, such as "isi.datasets.scenes()[3]", which is
            found without your help if it is one of these. Without it the picture is the file that it was read
            from, stands in the code itself if it is small, or is a file in the folder `isi_pictures`.
        write_pictures : write such files, in the present folder; else a comment says what writes them.
        reuse : take a model that is loaded already, instead of loading it a second time.

        Raises
        ------
        InputError : a picture cannot be written.
        """
        from isi_widget.trial.code import trial_code

        return trial_code(self, observation, write_pictures=write_pictures, reuse=reuse)

    # ---- as pictures
    def plot(self, columns: int | None = None) -> Figure:
        """Plot stimulus, entropies with intervals, clusters and attention as one matplotlib figure.

        columns : number of panels side by side; None (default): all. `isi.save_figure` writes it to a file.
        """
        from isi_widget.report.charts import plot_trial

        return plot_trial(self, columns)

    def report(
        self,
        path: str | Path | None = None,
        *,
        title: str | None = None,
        format: Literal["pdf", "html"] | None = None,
    ) -> bytes | Path:
        """Write a report of this trial to `path`, PDF or HTML by its ending, or return its bytes;
        `isi.open_report` loads it.
        """
        from isi_widget.report.making import report

        return report(self, path, title=title, format=format)

    def _repr_html_(self) -> str:
        from isi_widget.report.html import trial_html

        return trial_html(self)

    def __repr__(self) -> str:
        parts = [f"model={self.model.get('name')!r}", f"question={self.stimulus.current_question!r}"]
        if self.interventions:
            parts.insert(1, f"interventions={summary(self.interventions)!r}")
        for name, item in self.results.items():
            measure = find_measure(name)
            if measure is not None and not isinstance(item, Unread):
                parts += filter(None, [measure.describe(item)])
            if name == "answer" and self.correct is not None:
                holds = self.stimulus.truth_holds is not None
                parts.append(f"{'correct' if holds else 'agrees_with_original_truth'}={self.correct}")
        return f"Trial({', '.join(parts)})"


#: Results that older records keep beside the rest.
_BESIDE = ("answer", "yes_no", "uncertainty", "attention")


def _of_model(data: Mapping[str, Any]) -> Any:
    """Return the interventions in the description of the model, where `VLM.info` has them."""
    model = data["model"]
    return model.get("interventions", ()) if isinstance(model, Mapping) else ()


def _same(value: Any) -> Any:
    return value


def _as_data(name: str, item: Any) -> Any:
    measure = find_measure(name)
    # Forgotten since it was run, or not known when it was read.
    if measure is None or isinstance(item, Unread):
        return item.to_dict() if hasattr(item, "to_dict") else item
    return measure.to_dict(item)


def _as_record(name: str, data: Any) -> Any:
    """Return the record of a measure; of one that is not known here, its data as they are."""
    measure = find_measure(name)
    return Unread(data) if measure is None else measure.from_dict(data)
