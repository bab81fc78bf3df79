"""`Trial`: the record of one stimulus, one VLM and what came out.

It holds what it takes to read the result again without the model, and to repeat it: stimulus, settings,
seeds, model, versions, times. Not for making it (`isi_widget.trial.run`), for drawing (`isi_widget.report`)
nor for several trials side by side (`isi_widget.study.compare`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from isi_widget import checks
from isi_widget.answer import Answer
from isi_widget.attribution import AttentionShares
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.text import repaired
from isi_widget.text.correctness import Judgement, judge
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty import Uncertainty
from isi_widget.uncertainty.bootstrap import LEADING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

SCHEMA = 1


def _pack(value: Any) -> Any:
    """JSON has no infinities: {"float": "-inf"} stands for them, recursively. Tuples become lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, Mapping):
        return {str(key): _pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pack(item) for item in value]
    return value


def _unpack(value: Any) -> Any:
    """The inverse of `_pack`, up to tuples; texts are repaired."""
    if isinstance(value, Mapping):
        if value.keys() == {"float"} and isinstance(value["float"], str):
            return float(value["float"])
        return {key: _unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    return repaired(value) if isinstance(value, str) else value


def _check_parts(record: Mapping[str, Any]) -> None:
    """Refuse what of a trial's own fields could not be shown; its other parts check themselves."""
    yes_no = record.get("yes_no")
    if yes_no is not None and (
        set(yes_no) != {"yes", "no", "rest"} or not all(0 <= p <= 1 + 1e-6 for p in yes_no.values())
    ):
        raise InputError(
            "This record of a trial is damaged: 'yes_no' must hold the probabilities of yes, no and rest."
        )
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
    stimulus : what the model was shown.
    answer : the shown answer, or None where not run.
    uncertainty : entropies, clusters and sampled answers, or None where not run.
    attention : attention shares of `answer`, or None where not run.
    model : `VLM.info()` at the time: name, family, parameters, device, dtype, quantization, revision, how it
        was loaded, note.
    settings : how it was run.
    yes_no : {"yes", "no", "rest"}: probabilities of the first answer token, or None where no answer was run.
    seconds : wall-clock seconds of each stage, and "total".
    versions : of python, isi_widget, torch, transformers, numpy, pillow.
    created : when it ended, ISO 8601 in UTC.
    notes : what could not be measured with this VLM, and why; one sentence each.
    received : whether it was read from a record or a report, which somebody else may have made: `code` then
        only comments on what could do harm. Not part of the record nor of equality.
    """

    stimulus: Stimulus
    answer: Answer | None
    uncertainty: Uncertainty | None
    attention: AttentionShares | None
    model: Mapping[str, Any]
    settings: Settings
    yes_no: Mapping[str, float] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    notes: tuple[str, ...] = ()
    received: ClassVar[bool] = False

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
    def to_dict(self) -> dict[str, Any]:
        """As a dict that `json.dumps(..., allow_nan=False)` takes, without loss; the image is inside."""
        parts = {name: getattr(self, name) for name in ("stimulus", "answer", "uncertainty", "attention")}
        record: dict[str, Any] = {"schema": SCHEMA}
        for name, part in parts.items():
            record[name] = None if part is None else part.to_dict()
        for name in ("model", "yes_no", "seconds", "versions", "created", "notes"):
            record[name] = getattr(self, name)
        packed: dict[str, Any] = _pack({**record, "settings": self.settings.to_dict()})
        return packed

    @classmethod
    @records.reader("a trial", names=False, values=False, shown=("correct",))
    def from_dict(cls, record: Mapping[str, Any], pictures: Mapping[str, Picture] | None = None) -> Trial:
        """The inverse of `to_dict`; what an older record lacks gets its default.

        `pictures` by SHA-256 are taken as they are, and not read once more.

        Raises `InputError` if it is no record of a trial, or has fields of a newer version.
        """
        every = fields(cls)
        needed = [item.name for item in every if item.default is item.default_factory is MISSING]
        checks.fields("a trial", record, (), record)
        if record.get("schema") != SCHEMA:
            raise InputError(
                f"This is not a trial of schema {SCHEMA}: got schema {record.get('schema')!r}. "
                "Use a dict made by Trial.to_dict()."
            )
        checks.fields("a trial", record, needed, {"schema", *(item.name for item in every)})
        data = _unpack(dict(record))
        del data["schema"]
        records.check_values(cls, "a trial", data)
        readers: dict[str, Callable[[Any], Any]] = {
            "stimulus": lambda value: Stimulus.from_dict(value, pictures),
            "answer": Answer.from_dict,
            "uncertainty": Uncertainty.from_dict,
            "attention": AttentionShares.from_dict,
            "settings": Settings.from_dict,
            "notes": tuple,
        }
        _check_parts(data)
        trial = cls(
            **{
                name: readers[name](value) if name in readers and value is not None else value
                for name, value in data.items()
            }
        )
        object.__setattr__(trial, "received", True)
        return trial

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Trial) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.stimulus.key, self.settings, self.created))

    def view(self) -> dict[str, Any]:
        """The trial as the page of the widget draws it: plain JSON, with labels, units and definitions."""
        from isi_widget.trial.view import trial_view

        return trial_view(self)

    def to_frame(self) -> pd.DataFrame:
        """One row with tidy column names, for stacking with `pandas.concat`."""
        import pandas as pd

        from isi_widget.trial.view import trial_row

        return pd.DataFrame([trial_row(self)])

    def code(
        self, observation: str | None = None, *, write_pictures: bool = False, reuse: bool = False
    ) -> str:
        """Python that repeats this trial and ends in it, to be pasted into a cell.

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
    def plot(self) -> Figure:
        """Stimulus, entropies with intervals, clusters and attention as one matplotlib figure."""
        from isi_widget.report.charts import plot_trial

        return plot_trial(self)

    def report(self, path: str | Path | None = None, *, title: str | None = None) -> bytes | Path:
        """A PDF of this trial, written to `path`, or its bytes; `isi.open_report` reads it back."""
        from isi_widget.report.pdf import report

        return report(self, path, title=title)

    def _repr_html_(self) -> str:
        from isi_widget.report.html import trial_html

        return trial_html(self)

    def __repr__(self) -> str:
        parts = [f"model={self.model.get('name')!r}", f"question={self.stimulus.current_question!r}"]
        if self.answer is not None:
            parts.append(f"answer={self.answer.text!r}")
        if self.correct is not None:
            parts.append(f"correct={self.correct}")
        if self.uncertainty is not None:
            doubtful = self.uncertainty.judge is not None and self.uncertainty.judge.doubtful
            entropy = f"{self.uncertainty.bayesian_semantic_entropy:.3f}"
            parts.append(f"{LEADING}={entropy}{' (!) see uncertainty.caveats' * doubtful}")
        if self.attention is not None:
            shares = ", ".join(f"{name} {share:.2f}" for name, share in self.attention.relative().items())
            parts.append(f"attention=({shares})")
        return f"Trial({', '.join(parts)})"
