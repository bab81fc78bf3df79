"""One stimulus meets one VLM: `run_trial` answers, samples, measures, and keeps everything in a `Trial`.

The record holds what it takes to read the result again without the model, and to repeat it: stimulus,
settings, seeds, model, versions, times. Not for drawing (`isi_widget.report`) nor for several trials side
by side (`isi_widget.report.compare`).
"""

from __future__ import annotations

import math
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isi_widget import records
from isi_widget.answer import Answer, Enumeration
from isi_widget.attribution import AttentionShares, measure_attention
from isi_widget.correctness import Judgement, judge
from isi_widget.errors import InputError, OutOfMemory
from isi_widget.settings import WHAT, Settings, check_fields, names_of
from isi_widget.stages import Cancel, Progress, Stages
from isi_widget.stimulus import Picture, Stimulus
from isi_widget.text import repaired
from isi_widget.uncertainty import Uncertainty, uncertainty_of, uncertainty_of_enumeration
from isi_widget.uncertainty.bootstrap import LEADING
from isi_widget.uncertainty.judge import Chosen, Entailment
from isi_widget.uncertainty.judges import AUTO, choose

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from isi_widget.vlm import VLM, Prefill

SCHEMA = 1
#: Told while a run goes on: on_text("answer", 0, text so far) and on_text("sample", row, text).
OnText = Callable[[str, int, str], None]


# ------------------------------------------------------------------------------------------------ record
@cache
def _versions() -> Mapping[str, str]:
    from isi_widget._version import __version__

    found = {"python": platform.python_version(), "isi_widget": __version__}
    for name in ("torch", "transformers", "numpy", "pillow"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # installed without metadata, as some distributions do
            found[name] = "unknown"
    return found


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
        check_fields("a trial", record, (), record)
        if record.get("schema") != SCHEMA:
            raise InputError(
                f"This is not a trial of schema {SCHEMA}: got schema {record.get('schema')!r}. "
                "Use a dict made by Trial.to_dict()."
            )
        check_fields("a trial", record, needed, {"schema", *(item.name for item in every)})
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
        from isi_widget.report.view import trial_view

        return trial_view(self)

    def to_frame(self) -> pd.DataFrame:
        """One row with tidy column names, for stacking with `pandas.concat`."""
        import pandas as pd

        from isi_widget.report.view import trial_row

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
        from isi_widget.report.code import trial_code

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


# --------------------------------------------------------------------------------------------------- run
def choose_judge(
    vlm: VLM,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Chosen:
    """The entailment model that would judge a VLM's answers, loaded.

    As the stage "entailment" where it has to be loaded. Raises what `run_trial` raises for it.
    """
    from isi_widget.pretrained.machine import free_memory

    def report(part: float, _: str) -> None:
        if progress is not None:
            progress("entailment", round(100 * part), 100)

    scenes = bool(getattr(vlm, "is_embedded", False))
    return choose(entailment, scenes=scenes, free=free_memory, progress=report, cancel=cancel)


def _sampling_steps(settings: Settings) -> int:
    """Decoding steps of all batches of samples, at most."""
    from isi_widget.vlm.decoding.loop import ROWS_AT_ONCE

    return settings.max_new_tokens * -(-settings.samples // ROWS_AT_ONCE)


def _check_inputs(vlm: object, stimulus: object) -> None:
    if not isinstance(stimulus, Stimulus):
        hint = " Call .stimulus() on the observation." if hasattr(stimulus, "stimulus") else ""
        raise InputError(f"A trial needs a Stimulus; got {type(stimulus).__name__}.{hint}")
    if not callable(getattr(vlm, "prefill", None)):
        raise InputError(f"A trial needs a VLM, as load_vlm() returns it; got {type(vlm).__name__}.")


def _check_likelihood(vlm: object, settings: Settings) -> None:
    """Refuse what would only be refused when all answers have been drawn, and paid for."""
    sampled = "uncertainty" in settings.what and settings.likelihood == "sampled"
    if sampled and not getattr(vlm, "tells_sampled", True):
        raise InputError(
            "likelihood='sampled' needs the log-probabilities of the distribution that answers are drawn "
            f"from, which {getattr(vlm, 'model_id', 'this model')} does not tell. Use likelihood='raw'."
        )


def _check_method(vlm: object, settings: Settings) -> None:
    """Refuse to enumerate with a model that cannot."""
    if "uncertainty" not in settings.what or settings.method != "enumerated":
        return
    reason = getattr(vlm, "unavailable", {}).get("enumeration", "")
    if reason or not callable(getattr(vlm, "enumerate_answers", None)):
        raise InputError(
            f"method='enumerated' is not possible with {getattr(vlm, 'model_id', 'this model')}. "
            f"{reason or 'It has no enumerate_answers.'} Use method='sampled'."
        )


def _draw(
    vlm: VLM,
    shown: Stimulus | Prefill,
    settings: Settings,
    run: Stages,
    on_text: OnText | None,
    cancel: Cancel | None,
) -> list[Answer] | Enumeration:
    """The answers that the uncertainty is measured from: sampled ones, or all probable ones."""
    on_answer = None if on_text is None else lambda row, answer: on_text("sample", row, answer.text)
    if settings.method == "enumerated":
        with run.stage("samples", 100):  # as far as the mass that was found
            return vlm.enumerate_answers(
                shown,
                **settings.enumerating(),
                on_answer=on_answer,
                on_batch=lambda _, mass: run.report("samples", min(99, int(100 * mass / settings.mass)), 100),
                cancel=cancel,
            )
    with run.stage("samples", _sampling_steps(settings)) as step:
        return vlm.sample(shown, **settings.sampling(), on_token=step, on_answer=on_answer, cancel=cancel)


def _uncertainty(
    run: Stages,
    answers: Sequence[Answer] | Enumeration,
    stimulus: Stimulus,
    settings: Settings,
    judge: Chosen,
) -> Uncertainty:
    with run.stage("clusters"):
        if isinstance(answers, Enumeration):
            return uncertainty_of_enumeration(
                answers, stimulus.current_question, judge, **settings.comparing()
            )
        return uncertainty_of(
            answers,
            stimulus.current_question,
            judge,
            likelihood=settings.likelihood,
            **settings.comparing(),
        )


def measure_uncertainty(
    vlm: VLM,
    stimulus: Stimulus,
    samples: int = 10,
    temperature: float = 0.9,
    seed: int = 0,
    strict: bool = False,
    *,
    top_k: int = 0,
    top_p: float = 1.0,
    max_new_tokens: int = 64,
    likelihood: Literal["raw", "sampled"] = "raw",
    prepend_question: bool = True,
    method: Literal["sampled", "enumerated"] = "sampled",
    mass: float = 0.99,
    budget: int = 512,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Uncertainty:
    """Sample answers, cluster them by meaning, measure how far they spread (Farquhar et al., Nature 630,
    2024); with method="enumerated", list all probable answers instead, for short answers.

    The settings are those of `Settings`, the rest as in `run_trial`. Raises `InputError` on values out of
    range, `Cancelled` when asked to stop.
    """
    settings = Settings(
        ("uncertainty",),
        samples,
        temperature,
        top_k,
        top_p,
        seed,
        max_new_tokens,
        strict,
        likelihood=likelihood,
        prepend_question=prepend_question,
        method=method,
        mass=mass,
        budget=budget,
    )
    _check_inputs(vlm, stimulus)
    _check_likelihood(vlm, settings)
    _check_method(vlm, settings)
    run = Stages(progress, cancel)
    judge = choose_judge(vlm, entailment, progress, cancel)
    sampled = _draw(vlm, stimulus, settings, run, None, cancel)
    answers, note = _answered(sampled)
    if not answers:
        raise InputError(note)
    if note:
        warnings.warn(note, stacklevel=2)
    return _uncertainty(run, answers, stimulus, settings, judge)


def run_trial(
    vlm: VLM,
    stimulus: Stimulus,
    *,
    what: Sequence[str] | None = None,
    samples: int = 10,
    temperature: float = 0.9,
    seed: int = 0,
    top_k: int = 0,
    top_p: float = 1.0,
    max_new_tokens: int = 64,
    strict: bool = False,
    do_sample: bool = False,
    num_beams: int = 1,
    likelihood: Literal["raw", "sampled"] = "raw",
    prepend_question: bool = True,
    method: Literal["sampled", "enumerated"] = "sampled",
    mass: float = 0.99,
    budget: int = 512,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    on_text: OnText | None = None,
    cancel: Cancel | None = None,
) -> Trial:
    """Show one stimulus to one VLM and keep everything that comes out.

    The prompt is read once (one prefill); answer, samples and yes/no probabilities go on from there, and the
    attention is that of the very answer that is shown.

    what names the measures; None: all that this VLM can give, and the trial's `notes` say what it cannot.
    what, samples, ..., budget are the fields of `Settings`. entailment says which model compares
    the meanings: "auto" (the embedded one for the embedded VLM; for any other the best of
    `isi.entailment_models()` that is on the disk and fits, else rules of wording and a caveat), a hub name,
    which is downloaded, a folder, "embedded", "rules", or a loaded `EntailmentModel`. progress is called as
    progress(stage, done, total), stages in the order entailment (where its model has to be loaded),
    prompt, answer, attention, samples, clusters. on_text
    is called as on_text("answer", 0, text so far) after each token of the shown answer, and as
    on_text("sample", row, text) when a sampled answer ends. cancel is polled between tokens and stages; once
    it returns True, `Cancelled` is raised. `InputError`: a setting is out of range, a named measure is not
    available from this VLM, or stimulus or vlm is something else. `OutOfMemory` where not even the answer
    fits; if only the samples do not, the trial keeps the answer and its `notes` say so.
    """
    _check_inputs(vlm, stimulus)
    measures = _available(vlm, what)
    settings = Settings(
        measures,
        samples,
        temperature,
        top_k,
        top_p,
        seed,
        max_new_tokens,
        strict,
        do_sample,
        num_beams,
        likelihood,
        prepend_question,
        method,
        mass,
        budget,
    )
    _check_likelihood(vlm, settings)
    _check_method(vlm, settings)
    # Loaded before the model runs: a wrong name must not cost minutes of sampling.
    run = Stages(progress, cancel)
    judge = choose_judge(vlm, entailment, progress, cancel) if "uncertainty" in settings.what else None
    attend = "attention" in settings.what
    answer: Answer | None = None
    yes_no: Mapping[str, float] | None = None
    sampled: list[Answer] | Enumeration = []
    notes: tuple[str, ...] = ()
    attention: AttentionShares | None = None
    with vlm.lock:  # some families keep state on the model between prefill and decoding
        _remarks(vlm)  # those of earlier runs
        with run.stage("prompt"):
            prefill = vlm.prefill(stimulus, attention=attend)
        if attend or "answer" in settings.what:
            with run.stage("answer", settings.max_new_tokens) as step:
                yes_no = _yes_no(vlm, prefill, cancel)
                answer = vlm.answer(
                    prefill,
                    **_answering(settings),
                    attention=attend,
                    on_token=step if on_text is None else _told(step, on_text),
                    cancel=cancel,
                )
                if answer.reasoning:  # the first token was not the answer's
                    yes_no = None
                if answer.missing:
                    notes = (f"The answer is not judged: {answer.missing}",)
        if attend and answer is not None and answer.token_ids:  # an empty answer has no row of attention
            with run.stage("attention"):
                attention = measure_attention(vlm, prefill, answer)
        if "uncertainty" in settings.what:
            try:
                sampled = _draw(vlm, prefill, settings, run, on_text, cancel)
            except OutOfMemory as error:
                if answer is None:
                    raise
                notes = (
                    *notes,
                    f"The uncertainty was not measured: {error}",
                )  # what is there is not thrown away
        model = vlm.info()
        if what is None:  # asked at the end: what a server tells is known when it has answered
            notes = (*_missing(vlm), *notes)
        notes = (*notes, *_remarks(vlm))
    drawn, note = _answered(sampled)
    if note:
        notes = (*notes, note)
    uncertainty = _uncertainty(run, drawn, stimulus, settings, judge) if drawn and judge else None
    run.check()
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Trial(
        stimulus,
        _plain(answer),
        uncertainty,
        attention,
        model,
        settings,
        yes_no,
        run.total(),
        dict(_versions()),
        created,
        notes,
    )


def _remarks(vlm: VLM) -> tuple[str, ...]:
    """What a server did that a reader of the results should know, since the last call."""
    taken: tuple[str, ...] = getattr(vlm, "take_remarks", tuple)()
    return taken


def _answered(sampled: Sequence[Answer] | Enumeration) -> tuple[list[Answer] | Enumeration, str]:
    """The samples that hold an answer, and a sentence about the others, if any."""
    if isinstance(sampled, Enumeration):
        if sampled.answers:
            return sampled, ""
        return [], (
            f"The uncertainty was not measured: {sampled.prefixes} beginnings of answers were looked at, and "
            "no answer ended there. Raise budget, or use method='sampled'."
        )
    answers = [answer for answer in sampled if not answer.missing]
    lost = [answer.missing for answer in sampled if answer.missing]
    if not lost:
        return answers, ""
    if not answers:
        return answers, f"The uncertainty was not measured, as no sample holds an answer. {lost[0]}"
    return answers, (
        f"{len(lost)} of {len(sampled)} samples hold no answer and are left out of the uncertainty: that of "
        f"answers that take longer may differ. {lost[0]}"
    )


def _available(vlm: VLM, what: Sequence[str] | None) -> tuple[str, ...]:
    """The measures to run. One that was asked for by name is not left out silently: `InputError`."""
    missing: Mapping[str, str] = getattr(vlm, "unavailable", {})
    if what is not None:
        names = names_of(what)
        for name in names:
            if name in missing:
                raise InputError(
                    f"{name!r} is not available from {vlm.model_id}: {missing[name]} Leave it out of what=..."
                )
        return names
    return tuple(name for name in WHAT if name not in missing)


_IN_WORDS = {
    "segments": "the segments of the prompt",
    "image_map": "where the image tokens lie (image_map)",
    "yes_no": "the probability of yes and no",
    "logprobs": "log-probabilities",
}


def _missing(vlm: VLM) -> Iterator[str]:
    """A sentence or two for each thing that this VLM cannot give, with the reason."""
    for name, reason in getattr(vlm, "unavailable", {}).items():
        if name == "enumeration":  # another way to measure, not a measure
            continue
        yield f"Not available: {_IN_WORDS.get(name, name)}. {reason}"


def _told(step: Callable[..., None] | None, on_text: OnText) -> Callable[[int, str, float], None]:
    """A token callback that counts the step and tells the text so far."""
    text = ""

    def on_token(row: int, piece: str, logprob: float) -> None:
        nonlocal text
        text += piece
        if step is not None:
            step(row)
        on_text("answer", row, text)

    return on_token


def _yes_no(vlm: VLM, prefill: Prefill, cancel: Cancel | None) -> Mapping[str, float] | None:
    try:
        return vlm.yes_no(prefill, cancel=cancel)
    except InputError:  # no single-token yes or no, or a server that tells no probabilities
        return None


def _plain(answer: Answer | None) -> Answer | None:
    """The answer without the attention that was recorded with it: the trial keeps that as `attention`."""
    return None if answer is None else Answer.from_dict(answer.to_dict())


def _answering(settings: Settings) -> dict[str, Any]:
    """The keyword arguments of `VLM.answer`."""
    arguments: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "num_beams": settings.num_beams}
    if settings.do_sample:
        arguments |= {
            "do_sample": True,
            **{name: getattr(settings, name) for name in ("temperature", "top_k", "top_p", "seed")},
        }
    return arguments
