"""`check_vlm`: does a model, through isi_widget, do exactly what plain transformers does with it?

Run it once on any unchecked model: an unlisted family, your own adapter, a new quantisation. Every row
compares with a result that is independent of this package: the processor's own prompt, `generate`, eager
attention. Not for whether a model's answers are right.

In float32 the two sides differ by rounding alone. In half precision and quantised they run through different
kernels (cached or not, one row or several), whose rounding shows: the tolerances are that rounding, and the
measured difference stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from isi_widget.errors import Cancelled, InputError
from isi_widget.readable import counted
from isi_widget.vlm.at_model import at_the_model
from isi_widget.vlm.check import interventions
from isi_widget.vlm.check.report import FAILED, NOT_AVAILABLE, PASSED, CheckReport, CheckRow
from isi_widget.vlm.inside.door import without_interventions
from isi_widget.vlm.loaded import LoadedModel
from isi_widget.vlm.plain import TOLERANCES, Plain, precision
from isi_widget.vlm.prompts.samples import SmallStimulus, drawing

if TYPE_CHECKING:
    from isi_widget.answer import Answer
    from isi_widget.vlm.decoding.loop import Prefill
    from isi_widget.vlm.model import VLM
    from isi_widget.vlm.prompts.prompt import Prompt
    from isi_widget.vlm.protocol import StimulusLike

_TEXTS = (
    ("Is there a red star?", "Is there a red star?"),
    ("¿Où est l'étoile, 東京?", "Grüße, naïve café Ελλάδα"),
    ("a", "No"),
    ("1 + 1 = 2?", "(a) {b}\n\n- one\n- two"),
)


@at_the_model
def check_vlm(
    vlm: VLM, stimulus: StimulusLike | None = None, *, max_new_tokens: int = 8, seed: int = 0
) -> CheckReport:
    """Compare a model, as isi_widget runs it, with plain transformers on the same weights.

    It takes about as long as ten answers. Attention is compared with eager attention, for which one layer's
    full matrix (prompt tokens squared x heads) must fit into memory: choose a small image for a large model.

    Parameters
    ----------
    stimulus : input; None (default): a small drawing.
    max_new_tokens : largest number of tokens of the answers.
    seed : seed of the sampled answers.

    Returns
    -------
    CheckReport
        `print(report)` or show it in a notebook; `report.ok`.

    Raises
    ------
    InputError
        If there is no loaded model (one behind a server cannot be looked into).
    """
    if not isinstance(vlm, LoadedModel):
        raise InputError(
            f"check_vlm compares a loaded model with plain transformers; got {type(vlm).__name__}. Load one "
            "with load_vlm()."
        )
    vlm = without_interventions(vlm)
    first, other = drawing(0), drawing(1)
    checks = _Checks(vlm, first if stimulus is None else stimulus, other, max_new_tokens, seed)
    with vlm.lock:
        rows = tuple(_run(name, check) for name, check in checks.all().items())
    return CheckReport(vlm.info(), checks.precision, rows)


def _run(name: str, check: Callable[[], CheckRow]) -> CheckRow:
    """One row, whatever happens."""
    try:
        return replace(check(), name=name)
    except Cancelled:
        raise
    except _NotAvailable as error:
        return CheckRow(name, NOT_AVAILABLE, note=str(error))
    except Exception as error:  # the row reports errors of the model
        text = str(error).strip() or type(error).__name__
        return CheckRow(name, FAILED, note=f"{type(error).__name__}: {text.splitlines()[0]}")


class _NotAvailable(Exception):
    """The reason why something cannot be checked."""


class _Checks:
    """The checks on one model; what several of them need is made once."""

    def __init__(self, vlm: VLM, shown: StimulusLike, other: StimulusLike, tokens: int, seed: int) -> None:
        self.vlm, self.shown, self.other = vlm, shown, other
        self.tokens, self.seed = tokens, seed
        self.plain = Plain(vlm)
        self.precision = precision(vlm.model)
        self.tolerance, self._mass = TOLERANCES[self.precision]

    def all(self) -> dict[str, Callable[[], CheckRow]]:
        """Return the checks by name, in the order of the table."""
        return {
            "prompt ids": self.prompt_ids,
            "segments": self.segments,
            "several images refused": self.several_images,
            "first logits": self.first_logits,
            "greedy tokens": self.greedy,
            "log-probabilities of samples": self.sampled,
            "log-probabilities as sampled": self.as_sampled,
            "attention shares": self.attention,
            "another image in between": self.in_between,
            "left-padded batch": self.left_padding,
            "image map": self.image_map,
            "yes / no": self.yes_no,
            "intervention that changes nothing": self.no_intervention,
            "scaled head": self.scaled_head,
            "attention knock-out": self.knockout,
            "steered layer": self.steered_layer,
            "contrastive decoding": self.contrastive_decoding,
            "answer under interventions": self.intervened_answer,
        }

    @cached_property
    def prompt(self) -> Prompt:
        return self.vlm.encode(self.shown)

    @cached_property
    def prefill(self) -> Prefill:
        return self.vlm.prefill(self.shown)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        return self.plain.inputs(self.shown)

    @cached_property
    def samples(self) -> list[Answer]:
        answers = self.vlm.sample(
            self.prefill, 3, temperature=0.9, seed=self.seed, max_new_tokens=self.tokens
        )
        return [answer for answer in answers if answer.token_ids]

    def _needs(self, measure: str) -> None:
        reason = self.vlm.unavailable.get(measure)
        if reason:
            raise _NotAvailable(reason)

    def _within(self, difference: float, tolerance: float, note: str = "") -> CheckRow:
        passed = difference <= tolerance  # False for NaN
        return CheckRow("", PASSED if passed else FAILED, difference, tolerance, note)

    def prompt_ids(self) -> CheckRow:
        """Compare the token ids with the processor's own."""
        own = self.inputs["input_ids"][0].tolist()
        ours = list(self.prompt.ids)
        wrong = sum(a != b for a, b in zip(own, ours, strict=False)) + abs(len(own) - len(ours))
        return self._within(float(wrong), 0.0, f"{counted(len(ours), 'token')}")

    def segments(self) -> CheckRow:
        """Segments decode to their texts."""
        self._needs("segments")
        tokenizer, wrong = self.vlm.tokenizer, []
        for question, context in _TEXTS:
            prompt = self.vlm.encode(SmallStimulus(self.shown.render(), question, context))
            for segment, text in (("context", context), ("question", question)):
                decoded = _decode(tokenizer, prompt.segment_token_ids(segment))
                alone = _decode(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
                # Tokenizers that normalise (accents, spaces) do not give every text back.
                given = (text, f"{text}{self.vlm.family.separator}")
                if decoded not in given and decoded.strip() != alone.strip():
                    wrong.append(f"{segment} {text!r} reads {decoded!r}")
        wrong += self._before()
        return self._within(float(len(wrong)), 0.0, "; ".join(wrong[:2]) or f"{2 * len(_TEXTS)} texts")

    def _before(self) -> list[str]:
        """Return the errors in the segments of the system prompt and the earlier turns."""
        vlm = self.vlm
        texts = {"system": [vlm.system or ""], "history": [text for turn in vlm.history for text in turn]}
        wrong = []
        for segment, expected in texts.items():
            if "".join(expected) and segment in self.prompt.segments:
                decoded = _decode(vlm.tokenizer, self.prompt.segment_token_ids(segment))
                if "".join(decoded.split()) != "".join("".join(expected).split()):
                    wrong.append(f"{segment} reads {decoded!r}")
        return wrong

    def several_images(self) -> CheckRow:
        """Two images in one prompt are refused."""
        try:
            self.vlm.encode(_Several(self.shown.render(), "Is it red?", ""))
        except InputError as error:
            return CheckRow("", PASSED, note=str(error).split(".")[0])
        return CheckRow("", FAILED, note="two images were taken")

    def first_logits(self) -> CheckRow:
        """Compare the prefill's logits with those of a plain first step."""
        _, logits = self.plain.generate(self.inputs, 1)
        return self._within(_largest(self.prefill.logits - logits[0, 0]), self.tolerance)

    def greedy(self) -> CheckRow:
        """Compare the most likely tokens with those of `generate`."""
        answer = self.vlm.answer(self.prefill, self.tokens)
        rows, logits = self.plain.generate(self.inputs, self.tokens)
        ends = self.vlm.eos_ids
        theirs = next((rows[0][:end] for end, token in enumerate(rows[0]) if token in ends), rows[0])
        ours = list(answer.token_ids)
        if ours == theirs:
            return self._within(0.0, self.tolerance, f"{counted(len(ours), 'token')}, all equal")
        place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
        place = min(len(ours), len(theirs)) if place < 0 else place
        scores = logits[place, 0]
        best = [
            float(scores[ids[place]] if place < len(ids) else scores[sorted(ends)].max())
            for ids in (ours, theirs)
        ]
        note = f"equal up to token {place}, where the logits of the two choices differ by this"
        return self._within(abs(best[0] - best[1]), self.tolerance, note)

    def sampled(self) -> CheckRow:
        """Raw log-probabilities equal those of plain transformers fed with the same tokens."""
        differences = [
            _largest(torch.tensor(answer.logprobs) - self.plain.logprobs(self.inputs, answer.token_ids))
            for answer in self.samples
        ]
        if not differences:
            raise _NotAvailable("All sampled answers were empty.")
        return self._within(max(differences), self.tolerance, f"{counted(len(differences), 'answer')}")

    def as_sampled(self) -> CheckRow:
        """Those of the distribution that was drawn from equal transformers' own temperature."""
        from transformers import TemperatureLogitsWarper

        warp, differences = TemperatureLogitsWarper(0.9), []
        for answer in self.samples:
            _, logits = self.plain.generate(self.inputs, 0, answer.token_ids)
            warped = warp(None, logits[:, 0]).log_softmax(-1)
            chosen = torch.tensor(answer.token_ids, device=warped.device)[:, None]
            expected = warped.gather(1, chosen).squeeze(1).cpu()
            differences.append(_largest(torch.tensor(answer.sampled_logprobs) - expected))
        if not differences:
            raise _NotAvailable("All sampled answers were empty.")
        return self._within(max(differences), self.tolerance / 0.9, "temperature 0.9")

    def attention(self) -> CheckRow:
        """Compare recorded masses with eager attention, step by step."""
        self._needs("attention")
        if not self.samples:
            raise _NotAvailable("All sampled answers were empty.")
        token_ids = self.samples[0].token_ids
        _, mass = self.vlm.teacher_force(self.prefill, token_ids)
        names = self.prompt.groups
        groups = torch.tensor(
            [names.index(label if label in names else "other") for label in self.prompt.labels]
        )
        try:
            expected = self.plain.attention(self.inputs, self.prompt, token_ids, groups, len(names))
        except torch.OutOfMemoryError:
            raise _NotAvailable("Eager attention did not fit into memory: choose a smaller image.") from None
        difference = _largest(torch.from_numpy(mass) - expected)
        return self._within(
            difference, self._mass, f"{counted(len(token_ids), 'token')}, {counted(mass.shape[1], 'layer')}"
        )

    def in_between(self) -> CheckRow:
        """Read another prompt in between, which must change nothing."""
        before = self.vlm.answer(self.prefill, self.tokens)
        self.vlm.prefill(self.other)
        after = self.vlm.answer(self.prefill, self.tokens)
        if before.token_ids != after.token_ids:
            return CheckRow("", FAILED, note="the answer has changed")
        difference = _largest(torch.tensor(before.logprobs) - torch.tensor(after.logprobs))
        return self._within(difference, 0.0 if self.precision == "float32" else self.tolerance)

    def left_padding(self) -> CheckRow:
        """One prompt at a time gives the logits of a left-padded batch of two."""
        tokenizer = self.vlm.tokenizer
        side = tokenizer.padding_side
        if tokenizer.pad_token_id is None:
            raise _NotAvailable("The tokenizer has no padding token.")
        try:
            tokenizer.padding_side = "left"
            inputs = self.plain.inputs(self.shown, self.other, padding=True)
            _, logits = self.plain.generate(inputs, 1)
        except Exception as error:  # plain transformers alone: no fault of ours
            raise _NotAvailable(f"transformers cannot run the batch ({_first_line(error)})") from None
        finally:
            tokenizer.padding_side = side
        ours = torch.stack([self.prefill.logits, self.vlm.prefill(self.other).logits])
        padding = int((inputs["attention_mask"] == 0).sum())
        return self._within(
            _largest(ours - logits[0]), self.tolerance, f"{counted(padding, 'padding token')}"
        )

    def image_map(self) -> CheckRow:
        """Each image token has a box inside the picture, or none."""
        self._needs("image_map")
        boxes = torch.from_numpy(self.vlm.token_boxes(self.shown))
        size = self.shown.render().size
        placed = boxes[~boxes.isnan().any(dim=1)]
        outside = (placed[:, :2] < -1e-6).any(dim=1) | (placed[:, 2] > size[0] + 1e-6)
        outside |= (placed[:, 3] > size[1] + 1e-6) | (placed[:, 2:] < placed[:, :2]).any(dim=1)
        note = f"{len(placed)} of {len(boxes)} image tokens have a box"
        return self._within(float(outside.sum()), 0.0, note)

    def no_intervention(self) -> CheckRow:
        """Interventions that change nothing leave the logits as they are."""
        self._needs("interventions")
        return self._within(interventions.nothing(self.vlm, self.shown), 0.0)

    def scaled_head(self) -> CheckRow:
        """Compare a scaled head with a hook on `o_proj`."""
        self._needs("interventions")
        exact = 0.0 if self.precision == "float32" else self.tolerance
        return self._within(interventions.head(self.vlm, self.shown), exact)

    def knockout(self) -> CheckRow:
        """Compare a knock-out with weights zeroed and renormalised by hand in eager attention."""
        self._needs("interventions")
        self._needs("segments")
        return self._within(interventions.knockout(self.vlm, self.shown), self.tolerance)

    def steered_layer(self) -> CheckRow:
        """Compare a steered layer with a hook on the layer."""
        self._needs("interventions")
        exact = 0.0 if self.precision == "float32" else self.tolerance
        return self._within(interventions.steered(self.vlm, self.shown), exact)

    def contrastive_decoding(self) -> CheckRow:
        """Compare contrasted logits with those of two plain forwards, one of them of a noisy picture."""
        self._needs("interventions")
        difference = interventions.contrasted(self.vlm, self.shown, self.plain)
        return self._within(difference, 3 * self.tolerance)  # the sum of three roundings

    def intervened_answer(self) -> CheckRow:
        """Compare an answer under interventions with forcing it step by step under a hook."""
        self._needs("interventions")
        difference, tokens = interventions.answer(self.vlm, self.shown, self.tokens)
        return self._within(difference, self.tolerance, f"{counted(tokens, 'token')}")

    def yes_no(self) -> CheckRow:
        """Check that the three probabilities sum to 1."""
        self._needs("yes_no")
        found = self.vlm.yes_no(self.prefill)
        return self._within(abs(math.fsum(found.values()) - 1), 1e-6)


@dataclass(frozen=True)
class _Several(SmallStimulus):
    def render(self) -> Any:
        return [self.image, self.image]


def _largest(difference: torch.Tensor) -> float:
    """Largest absolute value; NaN if there is any."""
    return float(difference.abs().max()) if difference.numel() else 0.0


def _decode(tokenizer: Any, ids: Any) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
