"""`run_trial` and `measure_uncertainty`: one stimulus meets one VLM, and what comes out is kept.

What is measured is decided by the measures (`isi_widget.trial.measures`); what they share is in
`isi_widget.trial.shared`. Not for the record (`isi_widget.trial.record`) nor for several stimuli
(`isi_widget.study`).
"""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.errors import Cancelled, InputError, OutOfMemory
from isi_widget.running.stages import Cancel, Progress
from isi_widget.stimulus import Stimulus
from isi_widget.trial import measures as known
from isi_widget.trial.measures.base import NEEDS, Measure
from isi_widget.trial.packing import packed, unpacked
from isi_widget.trial.record import Trial
from isi_widget.trial.settings import settings_from, takes_settings
from isi_widget.trial.shared import OnText, Shared
from isi_widget.uncertainty import Uncertainty
from isi_widget.uncertainty.judge import Chosen, Entailment
from isi_widget.uncertainty.judges import AUTO
from isi_widget.vlm.protocol import RESULTS, WAYS, check_vlm_like

if TYPE_CHECKING:
    from pathlib import Path

    from isi_widget.vlm.protocol import VLMLike

#: How `Shared` calls what a measure needs.
_PARTS = {"prompt": "prefill", "answer": "answer", "attention": "answer", "samples": "samples"}


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


def _check_inputs(vlm: object, stimulus: object) -> None:
    if not isinstance(stimulus, Stimulus):
        hint = " Call .stimulus() on the observation." if hasattr(stimulus, "stimulus") else ""
        raise InputError(f"A trial needs a Stimulus; got {type(stimulus).__name__}.{hint}")
    check_vlm_like(vlm, "A trial needs")


@takes_settings()
def run_trial(
    vlm: VLMLike,
    stimulus: Stimulus,
    *,
    measures: Sequence[str | Measure] | str | Measure | None = None,
    of_measures: Mapping[str, Mapping[str, Any]] | None = None,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    on_text: OnText | None = None,
    cancel: Cancel | None = None,
    **settings: Any,
) -> Trial:
    """Show one stimulus to one VLM and keep everything that comes out.

    The prompt is read once (one prefill); answer, samples and yes/no probabilities go on from there, and the
    attention is that of the very answer that is shown.

    Parameters
    ----------
    vlm
        The model.
    stimulus
        What it is shown.
    measures
        What is measured: names ("answer", "uncertainty", "attention", "yes_no", or of a registered measure)
        and `Measure` objects. None: all that this VLM can give, and the trial's `notes` say what it cannot.
    of_measures
        Settings of registered measures, by the names of both; of a measure that is given as an object, its
        own settings are taken.
    entailment
        The model that compares the meanings: "auto" (the embedded one for the embedded VLM; for any other
        the best of `isi.entailment_models()` that is on the disk and fits, else rules of wording and a
        caveat), a hub name, which is downloaded, a folder, "embedded", "rules", or a loaded
        `EntailmentModel`.
    progress
        Called as progress(stage, done, total), stages in the order entailment (where its model has to be
        loaded), prompt, answer, attention, samples, clusters.
    on_text
        Called as on_text("answer", 0, text so far) after each token of the shown answer, and as
        on_text("sample", row, text) when a sampled answer ends.
    cancel
        Polled between tokens and stages; once it returns True, `Cancelled` is raised.
    settings
        The fields of `Settings`: samples, temperature, seed, ...

    Raises
    ------
    InputError
        A setting is out of range, a named measure is not known or not available from this VLM, or stimulus
        or vlm is something else.
    OutOfMemory
        Not even the answer fits. If only a later measure does not, the trial keeps the rest and its `notes`
        say so.
    Cancelled
        `cancel` returned True.
    """
    run = _OneRun(
        vlm,
        stimulus,
        settings,
        measures=measures,
        of_measures=of_measures,
        entailment=entailment,
        progress=progress,
        on_text=on_text,
        cancel=cancel,
    )
    return run.trial()


@takes_settings("seed")
def run_trials(
    vlm: VLMLike,
    stimulus: Stimulus,
    seeds: Sequence[int],
    *,
    measures: Sequence[str | Measure] | str | Measure | None = None,
    of_measures: Mapping[str, Mapping[str, Any]] | None = None,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    cancel: Cancel | None = None,
    **settings: Any,
) -> list[Trial | Exception]:
    """Run one trial per seed: the prompt is read once, and a greedy answer is made once.

    The results are those of `run_trial` for each seed. A trial that fails is the exception it raised, in its
    place; the others are run.

    Parameters
    ----------
    seeds : seeds of the trials.
    vlm, stimulus, measures, of_measures, entailment, cancel, settings : as for `run_trial`.

    Raises
    ------
    Cancelled
        `cancel` returned True.
    """
    found: list[Trial | Exception] = []
    before: Shared | None = None
    with vlm.lock:  # a prefill may be used only until the model reads another prompt
        for seed in seeds:
            try:
                run = _OneRun(
                    vlm,
                    stimulus,
                    {**settings, "seed": seed},
                    measures=measures,
                    of_measures=of_measures,
                    entailment=entailment,
                    cancel=cancel,
                )
                if before is not None:
                    run.shared.take_over(before)
                before = run.shared
                found.append(run.trial())
            except Cancelled:
                raise
            except Exception as error:
                found.append(error)
    return found


class _OneRun:
    """One run: what is measured, and what its measures share."""

    def __init__(
        self,
        vlm: VLMLike,
        stimulus: Stimulus,
        settings: Mapping[str, Any],
        *,
        measures: Sequence[str | Measure] | str | Measure | None,
        of_measures: Mapping[str, Mapping[str, Any]] | None,
        **shared: Any,
    ) -> None:
        _check_inputs(vlm, stimulus)
        self.by_default = measures is None
        asked = available(vlm, measures, {} if of_measures is None else of_measures)
        own = {measure.name: measure.own_settings for measure in asked if measure.own_settings}
        chosen = settings_from(run_trial, settings, [measure.name for measure in asked], own)
        self.planned = _planned(asked)
        needs = frozenset(need for measure in self.planned for need in measure.needs)
        self.shared = Shared(vlm, stimulus, chosen, needs, **shared)

    def trial(self) -> Trial:
        """Run every measure."""
        shared, vlm, planned = self.shared, self.shared.vlm, self.planned
        for measure in planned:
            measure.check(vlm, shared.settings)
        for measure in planned:
            measure.prepare(shared)
        if changes := shared.stimulus.current_image.changes:
            shared.note(f"The image was changed when it was read: {'; '.join(changes)}.")
        results: dict[str, Any] = {}
        after: list[Measure] = []
        with vlm.lock:  # some families keep state on the model between prefill and decoding
            vlm.take_remarks()  # those of earlier runs
            for measure in planned:
                try:
                    for need in sorted(measure.needs, key=NEEDS.index):
                        getattr(shared, _PARTS[need])
                    if measure.uses_model:
                        results[measure.name] = self._run(measure)
                    else:
                        after.append(measure)
                except OutOfMemory as error:
                    if not shared.made("answer"):
                        raise
                    # the rest is kept
                    shared.note(f"The {measure.title.lower()} was not measured: {error}")
            model = vlm.info()
            if self.by_default:  # at the end: a server's capabilities are known only after it has answered
                shared.notes[:0] = _missing(vlm)
            shared.notes += vlm.take_remarks()
        for measure in after:
            results[measure.name] = self._run(measure)
        shared.stages.check()
        listed = [name for name in (*known.measures(), *results) if results.get(name) is not None]
        return Trial(
            shared.stimulus,
            {name: results[name] for name in dict.fromkeys(listed)},
            model,
            shared.settings,
            seconds=shared.stages.total(),
            versions=dict(_versions()),
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            notes=tuple(shared.notes),
        )

    def _run(self, measure: Measure) -> Any:
        """Run a measure. A measure of somebody else that nobody named and that fails is left out with a note,
        so that the others are kept.
        """
        try:
            return _run(measure, self.shared)
        except (Cancelled, OutOfMemory):
            raise
        except Exception as error:
            if not self.by_default or measure in known.OWN:
                raise
            said = f"The measure {measure.name!r} failed and was left out: {type(error).__name__}: {error}"
            self.shared.note(said)
            warnings.warn(said, UserWarning, stacklevel=2)
            return None


def _run(measure: Measure, shared: Shared) -> Any:
    """Run a measure and check its record; what it raises says which one it was, where it is not of this
    package.
    """
    try:
        record = measure.run(shared)
        if record is not None and measure not in known.OWN:
            _check_record(measure, record)
        return record
    except Exception as error:
        if measure not in known.OWN:
            error.add_note(f"in the measure {measure.name!r}")
        raise


def _check_record(measure: Measure, record: Any) -> None:
    """Refuse, while the model is still there, a record that could be neither saved nor shown later."""
    read = measure.from_dict(unpacked(json.loads(json.dumps(packed(measure.to_dict(record))))))
    for made in (record, read):
        measure.columns(made)
        measure.row(made)
        measure.describe(made)


def available(
    vlm: VLMLike,
    measures: Sequence[str | Measure] | str | Measure | None,
    own: Mapping[str, Mapping[str, Any]],
) -> list[Measure]:
    """Return the measures to run. A named measure that is not available raises `InputError`."""
    if not isinstance(own, Mapping):
        raise checks.wrong(own, "of_measures", "a dict {name of a measure: {setting: value}}")
    asked = known.resolve(known.by_default() if measures is None else measures, own)
    if unknown := [str(name) for name in own if name not in [measure.name for measure in asked]]:
        raise InputError(
            f"of_measures has settings of {', '.join(unknown)}, but this run measures "
            f"{', '.join(measure.name for measure in asked)}."
        )
    if measures is None:
        return [measure for measure in asked if not measure.unavailable(vlm)]
    for measure in asked:
        if reason := measure.unavailable(vlm):
            raise InputError(
                f"{measure.name!r} is not available from {vlm.model_id}: {reason} Leave it out of "
                "measures=..."
            )
    return asked


def _planned(asked: Sequence[Measure]) -> list[Measure]:
    """Return the measures in the order in which they run, with those that come with an answer."""
    planned = {measure.name: measure for measure in asked}
    if any("answer" in measure.needs for measure in asked):
        for measure in known.measures().values():
            if measure.with_answer:
                planned.setdefault(measure.name, measure)

    def last(measure: Measure) -> int:
        return max((NEEDS.index(need) for need in measure.needs), default=0)

    return sorted(planned.values(), key=last)


def _missing(vlm: VLMLike) -> Iterator[str]:
    """Yield a sentence or two for each thing that this VLM cannot give, with the reason."""
    for name, reason in vlm.unavailable.items():
        if name not in WAYS:
            yield f"Not available: {RESULTS.get(name, name)}. {reason}"


@takes_settings("do_sample", "num_beams")
def measure_uncertainty(
    vlm: VLMLike,
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
    (measure,) = known.resolve("uncertainty", {})
    measure.check(vlm, chosen)
    needs = frozenset(measure.needs)
    shared = Shared(vlm, stimulus, chosen, needs, entailment=entailment, progress=progress, cancel=cancel)
    measure.prepare(shared)
    with vlm.lock:
        shared.samples  # noqa: B018  (a cached property)
    found: Uncertainty | None = measure.run(shared)
    if found is None:
        raise InputError(shared.notes[-1])
    for note in shared.notes:
        warnings.warn(note, stacklevel=2)
    return found
