"""`run_trial` and `measure_uncertainty`: one stimulus meets one VLM, and what comes out is kept.

Not for the record (`isi_widget.trial.record`) nor for several stimuli (`isi_widget.study`).
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer, Enumeration
from isi_widget.attribution import AttentionShares, measure_attention
from isi_widget.errors import InputError, OutOfMemory
from isi_widget.running.stages import Cancel, Progress, Stages
from isi_widget.stimulus import Stimulus
from isi_widget.trial.record import Trial
from isi_widget.trial.settings import MEASURES, Settings, names_of, settings_from, takes_settings
from isi_widget.uncertainty import Uncertainty, uncertainty_of, uncertainty_of_enumeration
from isi_widget.uncertainty.judge import Chosen, Entailment
from isi_widget.uncertainty.judges import AUTO, choose
from isi_widget.vlm.protocol import RESULTS, WAYS, VLMLike, check_vlm_like

if TYPE_CHECKING:
    from pathlib import Path

    from isi_widget.vlm import VLM, Prefill

#: Called during a run: on_text("answer", 0, text so far) and on_text("sample", row, text).
OnText = Callable[[str, int, str], None]


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

    scenes = vlm.is_embedded
    return choose(entailment, scenes=scenes, free=free_memory, progress=report, cancel=cancel)


def _sampling_steps(settings: Settings) -> int:
    """Decoding steps of all batches of samples, at most."""
    from isi_widget.vlm.decoding.loop import ROWS_AT_ONCE

    return settings.max_new_tokens * -(-settings.samples // ROWS_AT_ONCE)


def _check_inputs(vlm: object, stimulus: object) -> None:
    if not isinstance(stimulus, Stimulus):
        hint = " Call .stimulus() on the observation." if hasattr(stimulus, "stimulus") else ""
        raise InputError(f"A trial needs a Stimulus; got {type(stimulus).__name__}.{hint}")
    check_vlm_like(vlm, "A trial needs")


def _check_likelihood(vlm: VLMLike, settings: Settings) -> None:
    """Refuse what would only be refused when all answers have been drawn, and paid for."""
    sampled = "uncertainty" in settings.measures and settings.likelihood == "sampled"
    if sampled and (reason := vlm.unavailable.get("sampled_logprobs")):
        raise InputError(
            f"likelihood='sampled' is not possible with {vlm.model_id}. {reason} Use likelihood='raw'."
        )


def _check_method(vlm: VLMLike, settings: Settings) -> None:
    """Refuse to enumerate with a model that cannot."""
    if "uncertainty" not in settings.measures or settings.method != "enumerated":
        return
    if reason := vlm.unavailable.get("enumeration"):
        raise InputError(
            f"method='enumerated' is not possible with {vlm.model_id}. {reason} Use method='sampled'."
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


@takes_settings("do_sample", "num_beams")
def measure_uncertainty(
    vlm: VLM,
    stimulus: Stimulus,
    *,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **settings: Any,
) -> Uncertainty:
    """Sample answers, cluster them by meaning, measure how far they spread (Farquhar et al., Nature 630,
    2024); with method="enumerated", list all probable answers instead, for short answers.

    The settings are those of `Settings`, the rest as in `run_trial`. Raises `InputError` on values out of
    range, `Cancelled` when asked to stop.
    """
    chosen = settings_from(measure_uncertainty, settings, ("uncertainty",))
    _check_inputs(vlm, stimulus)
    _check_likelihood(vlm, chosen)
    _check_method(vlm, chosen)
    run = Stages(progress, cancel)
    judge = choose_judge(vlm, entailment, progress, cancel)
    sampled = _draw(vlm, stimulus, chosen, run, None, cancel)
    answers, note = _answered(sampled)
    if not answers:
        raise InputError(note)
    if note:
        warnings.warn(note, stacklevel=2)
    return _uncertainty(run, answers, stimulus, chosen, judge)


@takes_settings()
def run_trial(
    vlm: VLM,
    stimulus: Stimulus,
    *,
    measures: Sequence[str] | None = None,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    on_text: OnText | None = None,
    cancel: Cancel | None = None,
    **settings: Any,
) -> Trial:
    """Show one stimulus to one VLM and keep everything that comes out.

    The prompt is read once (one prefill); answer, samples and yes/no probabilities go on from there, and the
    attention is that of the very answer that is shown.

    measures names what is measured; None: all that this VLM can give, and the trial's `notes` say what it
    cannot. settings are the fields of `Settings` (samples, temperature, seed, ...). entailment says which
    model compares the meanings: "auto" (the embedded one for the embedded VLM; for any other the best of
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
    chosen = settings_from(run_trial, settings, _available(vlm, measures))
    _check_likelihood(vlm, chosen)
    _check_method(vlm, chosen)
    # Loaded before the model runs: a wrong name must not cost minutes of sampling.
    run = Stages(progress, cancel)
    judge = choose_judge(vlm, entailment, progress, cancel) if "uncertainty" in chosen.measures else None
    attend = "attention" in chosen.measures
    answer: Answer | None = None
    yes_no: Mapping[str, float] | None = None
    sampled: list[Answer] | Enumeration = []
    notes: tuple[str, ...] = ()
    attention: AttentionShares | None = None
    with vlm.lock:  # some families keep state on the model between prefill and decoding
        vlm.take_remarks()  # those of earlier runs
        with run.stage("prompt"):
            prefill = vlm.prefill(stimulus, attention=attend)
        if attend or "answer" in chosen.measures:
            with run.stage("answer", chosen.max_new_tokens) as step:
                yes_no = _yes_no(vlm, prefill, cancel)
                answer = vlm.answer(
                    prefill,
                    **_answering(chosen),
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
        if "uncertainty" in chosen.measures:
            try:
                sampled = _draw(vlm, prefill, chosen, run, on_text, cancel)
            except OutOfMemory as error:
                if answer is None:
                    raise
                notes = (
                    *notes,
                    f"The uncertainty was not measured: {error}",
                )  # what is there is not thrown away
        model = vlm.info()
        if measures is None:  # asked at the end: what a server tells is known when it has answered
            notes = (*_missing(vlm), *notes)
        notes = (*notes, *vlm.take_remarks())
    drawn, note = _answered(sampled)
    if note:
        notes = (*notes, note)
    uncertainty = _uncertainty(run, drawn, stimulus, chosen, judge) if drawn and judge else None
    run.check()
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Trial(
        stimulus,
        _plain(answer),
        uncertainty,
        attention,
        model,
        chosen,
        yes_no,
        run.total(),
        dict(_versions()),
        created,
        notes,
    )


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


def _available(vlm: VLM, measures: Sequence[str] | None) -> tuple[str, ...]:
    """The measures to run. One that was asked for by name is not left out silently: `InputError`."""
    missing = vlm.unavailable
    if measures is not None:
        names = names_of(measures)
        for name in names:
            if name in missing:
                raise InputError(
                    f"{name!r} is not available from {vlm.model_id}: {missing[name]} Leave it out of "
                    "measures=..."
                )
        return names
    return tuple(name for name in MEASURES if name not in missing)


def _missing(vlm: VLM) -> Iterator[str]:
    """A sentence or two for each thing that this VLM cannot give, with the reason."""
    for name, reason in vlm.unavailable.items():
        if name not in WAYS:
            yield f"Not available: {RESULTS.get(name, name)}. {reason}"


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
