"""What the page's panel "Inside" is made of: the shape of a model, and what is measured inside it on request.

`InsideJobs` runs the measurements in the model's thread, with progress and cancelling like a run, and records
them: contributions of heads beside the trial, the last trace between two trials. Python gets the results
themselves (`inside_twins.py`). Not for what an intervention does (`isi_widget.vlm.inside`), nor for measuring
(`isi_widget.mechanism`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from isi_widget.errors import Cancelled, InputError
from isi_widget.trial import Trial
from isi_widget.trial.labels import model_label, plain_label
from isi_widget.vlm import VLM
from isi_widget.vlm.inside.sites import sites
from isi_widget.widget.jobs import Job

if TYPE_CHECKING:
    from isi_widget.mechanism.causal_trace import CausalTrace
    from isi_widget.mechanism.head_contributions import HeadContributions
    from isi_widget.mechanism.lens import LogitLens
    from isi_widget.widget.probe import Probe

#: Models with more heads are estimated first; EXACT_HEADS of js/src/panels/paths.tsx.
EXACT_HEADS = 64
#: Heads of these that are measured exactly, beside the estimate.
_COMPARED = 16
#: Words that the page gets for a token and layer.
_WORDS = 3
_EFFECT = (
    "How much lower the log-probability of the shown answer is when the mean of the layer's other heads "
    "stands in the place of this head, at all tokens: above 0 the head helps the answer, below 0 it works "
    "against it. Heads can stand in for each other."
)


def shape(vlm: VLM) -> dict[str, int]:
    """Return the number of "layers" and "heads" of a model; empty where nothing inside can be changed."""
    if "interventions" in vlm.unavailable:
        return {}
    if (there := getattr(vlm, "shape", None)) is not None:  # a model on a cluster
        return dict(there)
    try:
        found = sites(vlm.model, vlm.family)
    except (InputError, AttributeError):  # a model behind a server has no modules, an unlisted one other ones
        return {}
    return {"layers": len(found.layers), "heads": found.heads}


class InsideJobs:
    """Measurements inside the model of one probe.

    Attributes
    ----------
    contributions : {number of a trial: `HeadContributions`}.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.contributions: dict[int, HeadContributions] = {}
        self._seen: tuple[int, LogitLens] | None = None  # the last lens of a page, by the number of its trial

    def heads(self, id: str, number: int, exact: bool = False, **options: Any) -> Job:
        """Queue the contributions of all heads to the answer of a trial; returns at once.

        The job's result is a `HeadContributions`; the page gets it with the trial. Without options a model
        with more than `EXACT_HEADS` heads is estimated, and measured exactly only on some heads, unless
        `exact`. What an exact run has measured when it is cancelled is kept, beside the estimate of the other
        heads, and the next one goes on from there. With `options`, as for `isi.measure_heads`, nothing is
        kept.
        """
        trial = self._trial(number)
        if trial.answer is None or not trial.answer.token_ids:
            raise InputError(f"Trial {number} has no answer whose heads could be measured: run Answer.")
        answer = trial.answer.text
        if not answer.strip():
            raise InputError(
                f"The answer of trial {number} has no letters: there is no word whose probability could be "
                "measured for each head. Run another input."
            )
        usual = {"target": "log_p_answer", "replace": "mean", "method": "exact"}

        def measure(job: Job, progress: Any) -> Any:
            from isi_widget.mechanism.head_contributions import HeadContributions
            from isi_widget.mechanism.head_scan import begun
            from isi_widget.mechanism.measuring_heads import measure_heads

            vlm = self._vlm_of(trial)
            given = {**usual, **(options or {"totals": False})}
            size = shape(vlm)
            before = None if options else self.contributions.get(number)
            if not options and not exact and size["layers"] * size["heads"] > EXACT_HEADS:
                given |= {"method": "integrated", "check": 1, "check_heads": _COMPARED}
            elif before is not None and is_partial(before):
                given["store"] = begun(before)
            try:
                found = measure_heads(
                    vlm, [(trial.stimulus, answer)], **given, progress=progress, cancel=job.cancelled
                )
            except Cancelled as stop:
                if not options and isinstance(stop.partial, HeadContributions):
                    self._keep(number, with_estimate(stop.partial, before))
                raise
            if not options:
                self._keep(number, found)
            return found

        return self._submit("heads", id, measure)

    def trace(self, id: str, clean: int, corrupt: int, **options: Any) -> Job:
        """Queue the trace between the stimuli of two trials; returns at once.

        The job's result is a `CausalTrace`; the page gets it as the trait `traced`. `options` as for
        `isi.trace`.
        """
        first, second = self._trial(clean), self._trial(corrupt)
        if first.stimulus.key == second.stimulus.key:
            raise InputError(
                f"Trials {clean} and {corrupt} have the same input: there is no difference to trace. Pin two "
                "trials of different pictures or texts."
            )

        def measure(job: Job, progress: Any) -> Any:
            from isi_widget.mechanism.tracing import trace

            self._vlm_of(second)
            found = trace(
                self._vlm_of(first),
                first.stimulus,
                second.stimulus,
                **{"sites": ("residual",), **options},
                progress=progress,
                cancel=job.cancelled,
            )
            view = trace_view(found, f"Trace from trial {clean} to trial {corrupt}")
            with self._probe._exclusive():
                self._probe.set_trait("traced", view)
            return found

        return self._submit("trace", id, measure)

    def lens(self, id: str, number: int, then: Callable[[LogitLens], None], **options: Any) -> Job:
        """Queue the words of each layer at the image tokens of a trial's input; returns at once.

        then : called with the `LogitLens`, which is also the job's result. `options` as for `isi.logit_lens`.
        """
        trial = self._trial(number)

        def measure(job: Job, progress: Any) -> Any:
            from isi_widget.mechanism.reading_lens import logit_lens

            vlm, known = self._vlm_of(trial), None if options else self._seen
            if known is not None and known[0] == number:
                found = known[1]  # a page that is opened again asks again
            else:
                found = logit_lens(vlm, trial.stimulus, **options, progress=progress, cancel=job.cancelled)
            if not options:
                self._seen = number, found
            then(found)
            return found

        return self._submit("lens", id, measure)

    def _trial(self, number: int) -> Trial:
        found = self._probe._history.get(number)
        if found is None:
            raise InputError(f"There is no trial {number}.")
        return found

    def _vlm_of(self, trial: Trial) -> VLM:
        """Return the present model, seen as in a trial; refuse the trial of a different model."""
        vlm = self._probe._runs.slot.vlm
        if reason := vlm.unavailable.get("interventions", ""):
            raise InputError(f"The inside of {vlm.model_id} is not available: {reason}")
        info = vlm.info()
        if plain_label(trial.model) != plain_label(info):
            raise InputError(
                f"This trial is of {model_label(trial.model)}, which is not loaded now. Load that model, or "
                "run the input again."
            )
        seen = self._probe._runs.seen_as(trial)
        if trial.model.get("fingerprint") != seen.info().get("fingerprint"):
            raise InputError(
                f"This trial is of {model_label(trial.model)} with other weights, precision or hooks than it "
                "has now. Run the input again."
            )
        return seen

    def _submit(self, kind: str, id: str, measure: Callable[[Job, Any], Any]) -> Job:
        controller = self._probe._runs.controller
        with self._probe._exclusive():
            self._probe.error = None

        def work(job: Job) -> Any:
            try:
                found = measure(job, controller.progress)
            except Cancelled:
                self._probe.send({"kind": "dropped", "id": id})
                raise
            if kind != "lens":
                self._probe.send({"kind": "done", "id": id})
            return found

        replaced = controller.measure(job := Job(id, work, [kind], kind=f"inside {kind}"))
        if replaced is not None:
            self._probe.send({"kind": "dropped", "id": replaced.id})
        return job

    def _keep(self, number: int, found: HeadContributions) -> None:
        """Keep the contributions of a trial, and put them into its entry."""
        self.contributions[number] = found
        probe = self._probe
        with probe._exclusive(), probe.hold_sync():
            view = {"contribution": contribution_view(found)}
            place = probe._history.annotate(number, {"inside": view})
            if place is not None:
                probe._set_entry(place)
        if probe._keeper is not None:
            probe._keeper.changed()
        probe._outputs.keep()


def is_partial(found: HeadContributions) -> bool:
    """Whether contributions are those of an exact run that was cancelled."""
    return found.method == "exact" and found.measured < found.layers * found.heads


def with_estimate(partial: HeadContributions, before: HeadContributions | None) -> HeadContributions:
    """Return the contributions of a cancelled run with those of a run before it, where that was an estimate.

    The estimate is the `shortlist` of the result; its number of gradients and its agreement go with it.
    """
    if before is None or not (before.agreement and (before.method == "integrated" or is_partial(before))):
        return partial
    estimate = before.drops if before.method == "integrated" else before.shortlist
    return replace(partial, shortlist=estimate, steps=before.steps, agreement=before.agreement)


def contribution_view(found: HeadContributions) -> dict[str, Any]:
    """Return the signed contributions of heads for the page; null where a head has none.

    "measured" is the number of heads in an exact run that was cancelled; 0 where all are measured, or all are
    estimated.
    """
    values = found.signed
    if is_partial(found) and found.shortlist.size:
        values = np.where(np.isfinite(values), values, found.shortlist.mean(axis=0))
    return {
        "values": [[_number(value) for value in layer] for layer in values.tolist()],
        "unit": "nats",
        "help": _EFFECT,
        "estimate": _estimate(found),
        "measured": found.measured if is_partial(found) else 0,
    }


def _estimate(found: HeadContributions) -> str:
    """Return what is not measured of contributions; "" where they are exact."""
    partial = is_partial(found)
    if found.method == "exact" and not partial:
        return ""
    measured = f"Measured: {found.measured} of {found.layers * found.heads} heads, until it was cancelled. "
    if partial and not found.shortlist.size:
        return f"{measured}The others are blank."
    begin = f"{measured}The others are estimated" if partial else "Estimated"
    agreement = found.agreement
    if not agreement:  # measured in Python with check=0, in a session of before
        return f"{begin} from gradients, and not compared with exact drops."
    rank = agreement["rank_correlation"]
    same = "unknown" if rank is None else f"{rank:.2f}"
    return (
        f"{begin} from {found.steps} gradients, and measured on {agreement['heads']:.0f} heads, half of "
        f"them drawn at random: rank correlation of the two {same}, largest "
        f"difference {agreement['largest_difference'] or 0.0:.2g} nats."
    )


def trace_view(found: CausalTrace, title: str) -> dict[str, Any]:
    """Return a trace for the page: recovery of the residual stream, [layers][groups], each in a sentence."""
    recovery = found.recovery[0].tolist()
    site = found.sites[0]
    help = (
        "Share of the difference between the two answers that the states of these tokens, taken from the "
        "first trial at the input of this layer and put into the second, carry over: 0 nothing, 1 all of it."
    )
    return {
        "title": title,
        "help": " ".join([help, *found.notes]),
        "rows": [f"L{layer}" for layer in found.layers],
        "columns": list(found.groups),
        "values": [[_number(value) for value in layer] for layer in recovery],
        "sentences": [
            [found.sentence(layer, group, site) for group in found.groups] for layer in found.layers
        ],
    }


def lens_view(found: LogitLens) -> dict[str, Any]:
    """Return the words of each layer for the page.

    "words" are indexes into "vocabulary", best first, [tokens][layers][words], with their "probabilities".
    Tokens without a place in the picture have no box, but the last one, where the answer begins.
    """
    places = [at for at, box in enumerate(found.boxes.tolist()) if not any(map(math.isnan, box))]
    chosen = [*places, len(found.positions) - 1]
    ids = found.ids[0][:, chosen, :_WORDS].transpose(1, 0, 2)
    probabilities = found.probabilities[0][:, chosen, :_WORDS].transpose(1, 0, 2)
    known = sorted({int(word) for word in ids.reshape(-1)})
    number = {word: at for at, word in enumerate(known)}
    return {
        "boxes": [[round(edge, 2) for edge in found.boxes[at].tolist()] for at in places],
        "vocabulary": [found.vocabulary[word] for word in known],
        "words": [[[number[int(word)] for word in layer] for layer in token] for token in ids],
        "probabilities": np.round(probabilities.astype(np.float64), 3).tolist(),
        "unplaced": found.unplaced,
    }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
