"""`Shared`: what the measures of one run share; each part is made once, when it is first needed.

Not for the order of a run nor for its record (`isi_widget.trial.run`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isi_widget.answer import Answer, Enumeration
from isi_widget.running.stages import Cancel, Progress, Stages
from isi_widget.stimulus import Stimulus
from isi_widget.trial.settings import Settings
from isi_widget.uncertainty.judge import Chosen, Entailment
from isi_widget.uncertainty.judges import AUTO, choose

if TYPE_CHECKING:
    from isi_widget.vlm.protocol import VLMLike

#: Called during a run: on_text("answer", 0, text so far) and on_text("sample", row, text).
OnText = Callable[[str, int, str], None]


class Shared:
    """What the measures of one run share.

    Attributes
    ----------
    vlm, stimulus, settings
        Which model is shown what, and how.
    needs
        What the measures of this run need, all together; some of "prompt", "answer", "attention", "samples".
    stages
        Times and reports each stage.
    cancel
        Asked between tokens; None for never.
    notes
        Sentences for the trial, in the order in which they came.
    """

    def __init__(
        self,
        vlm: VLMLike,
        stimulus: Stimulus,
        settings: Settings,
        needs: frozenset[str],
        *,
        entailment: Chosen | Entailment | str | Path | None = AUTO,
        progress: Progress | None = None,
        on_text: OnText | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self.vlm, self.stimulus, self.settings, self.needs = vlm, stimulus, settings, needs
        self.cancel, self.notes = cancel, list[str]()
        self.stages = Stages(progress, cancel)
        self._entailment, self._progress, self._on_text = entailment, progress, on_text

    def take_over(self, other: Shared) -> None:
        """Take what does not depend on the seed from a run of the same stimulus with a different seed."""
        given = vars(other)
        same = ("judge", "prefill") if self.settings.do_sample else ("judge", "prefill", "answer")
        vars(self).update({name: given[name] for name in same if name in given})

    def note(self, sentence: str) -> None:
        """Add a sentence to the trial's notes."""
        self.notes.append(sentence)

    def made(self, need: str) -> bool:
        """Return whether the answer, the samples, ... are there already."""
        return need in self.__dict__

    @cached_property
    def judge(self) -> Chosen:
        """The model that compares the meanings of answers."""
        return choose_judge(self.vlm, self._entailment, self._progress, self.cancel)

    @cached_property
    def prefill(self) -> Any:
        """The prompt, read once by the model."""
        with self.stages.stage("prompt"):
            return self.vlm.prefill(self.stimulus, attention="attention" in self.needs)

    @cached_property
    def answer(self) -> Answer:
        """The shown answer."""
        prefill, settings = self.prefill, self.settings
        arguments: dict[str, Any] = {"num_beams": settings.num_beams}
        if settings.do_sample:
            arguments["do_sample"] = True
            arguments |= {name: getattr(settings, name) for name in ("temperature", "top_k", "top_p", "seed")}
        with self.stages.stage("answer", settings.max_new_tokens) as step:
            return self.vlm.answer(
                prefill,
                settings.max_new_tokens,
                **arguments,
                attention="attention" in self.needs,
                on_token=step if self._on_text is None else _streamed(step, self._on_text),
                cancel=self.cancel,
            )

    @cached_property
    def samples(self) -> list[Answer] | Enumeration:
        """The answers that an uncertainty is measured from: sampled ones, or all probable ones."""
        prefill, settings, on_text = self.prefill, self.settings, self._on_text
        on_answer = None if on_text is None else lambda row, answer: on_text("sample", row, answer.text)
        stages = self.stages
        if settings.method == "enumerated":
            with stages.stage("samples", 100):  # as far as the mass that was found
                return self.vlm.enumerate_answers(
                    prefill,
                    **settings.enumerating(),
                    on_answer=on_answer,
                    on_batch=lambda _, mass: stages.report(
                        "samples", min(99, int(100 * mass / settings.mass)), 100
                    ),
                    cancel=self.cancel,
                )
        with stages.stage("samples", _sampling_steps(settings)) as step:
            return self.vlm.sample(
                prefill, **settings.sampling(), on_token=step, on_answer=on_answer, cancel=self.cancel
            )


def choose_judge(
    vlm: VLMLike,
    entailment: Chosen | Entailment | str | Path | None = AUTO,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Chosen:
    """Return the entailment model that judges the answers of a VLM, loaded.

    As the stage "entailment" where it has to be loaded. Raises what `run_trial` raises for it.
    """
    from isi_widget.pretrained.machine import free_memory

    def report(part: float, _: str) -> None:
        if progress is not None:
            progress("entailment", round(100 * part), 100)

    return choose(entailment, scenes=vlm.is_embedded, free=free_memory, progress=report, cancel=cancel)


def _sampling_steps(settings: Settings) -> int:
    """Return the decoding steps of all batches of samples, at most."""
    from isi_widget.vlm.decoding.loop import ROWS_AT_ONCE

    return settings.max_new_tokens * -(-settings.samples // ROWS_AT_ONCE)


def _streamed(step: Callable[..., None] | None, on_text: OnText) -> Callable[[int, str, float], None]:
    """Return a token callback that counts the step and passes on the text so far."""
    text = ""

    def on_token(row: int, piece: str, logprob: float) -> None:
        nonlocal text
        text += piece
        if step is not None:
            step(row)
        on_text("answer", row, text)

    return on_token
