"""`VLM`: a loaded vision-language model that meets stimuli: it reads, answers and samples.

Loading is in `loading/`, reading in `reading.py`, measuring in `isi_widget.attribution` and
`isi_widget.uncertainty`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, cast

import torch

from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import InputError
from isi_widget.interventions import Intervention, summary
from isi_widget.pretrained.out_of_memory import forget, is_out_of_memory
from isi_widget.setting import BUDGET, MASS
from isi_widget.vlm.decoding import enumeration
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.decoding.answers import AttendedAnswer, make_answer, pieces
from isi_widget.vlm.decoding.beams import beam_search
from isi_widget.vlm.decoding.cache import row_bytes
from isi_widget.vlm.decoding.enumeration import Found
from isi_widget.vlm.decoding.loop import Cancel, OnToken, Pieces, Prefill, Row, Sampler
from isi_widget.vlm.inside.attention import recording
from isi_widget.vlm.inside.door import intervened
from isi_widget.vlm.protocol import StimulusLike
from isi_widget.vlm.reading import Reader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from isi_widget.vlm.protocol import VLMLike


class VLM(Reader):
    """A vision-language model, ready to be asked; made by `load_vlm`.

    Several threads may use it: one runs at a time.

    Parameters
    ----------
    model, processor : a transformers image-text-to-text model, in evaluation mode, and its processor.
    model_id : hub name or folder.
    system, history : system prompt and earlier turns, as for `load_vlm`.
    processor_args, adapter : settings of the processor and name of the model's adapter, for the record.

    Attributes
    ----------
    family : the adapter of its family.
    lock : re-entrant; held while the model runs. Take it to change the model (hooks, gates) between calls.
    """

    def __repr__(self) -> str:
        size = f"{self.parameters / 1e6:.1f} M parameters"
        changed = f", {summary(self.interventions)}" if self.interventions else ""
        return f"VLM({self.model_id!r}, {self.family.title}, {size}, {self.device}, {self.dtype}{changed})"

    def __eq__(self, other: object) -> bool:
        """Whether two are views of the same weights with equal interventions."""
        return self.identity == other.identity if isinstance(other, VLM) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)

    def intervene(self, *interventions: Intervention) -> Self:
        """Return the same model, seen with interventions; everything that takes a VLM takes it.

        Weights, lock and image features are shared, not copied; this VLM stays as it is. Interventions act in
        the order given, after those that this VLM has already: `vlm.intervene(a).intervene(b)` equals
        `vlm.intervene(a, b)`. They act in every forward pass: on the prompt, while decoding, in samples,
        beams and enumerations. Attention that is recorded is that of the changed model.

        Parameters
        ----------
        interventions
            Any of `isi_widget.interventions`, such as `isi.HeadScale`, `isi.HeadGates`, `isi.Knockout`,
            `isi.Steer` or `isi.ContrastiveDecoding`.

        Raises
        ------
        InputError
            If the model has no such layer or head, or its attention function cannot be changed.
        """
        return intervened(self, interventions)

    def answer(
        self,
        stimulus: StimulusLike | Prefill,
        max_new_tokens: int = 64,
        *,
        min_new_tokens: int = 0,
        do_sample: bool = False,
        num_beams: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        on_token: OnToken | None = None,
        cancel: Cancel | None = None,
        attention: bool = False,
    ) -> Answer:
        """Return one answer: greedy by default, sampled, or the best of a beam search.

        Log-probabilities are always those of the model itself, before temperature, top-k and top-p.

        Parameters
        ----------
        on_token : called with (row 0, text, log-probability) after each token; after the search for beams.
        cancel : polled between tokens; if it returns True, `Cancelled` is raised.
        attention : record attention while decoding; the result is an `AttendedAnswer`, which
            `measure_attention` uses as it is.

        Raises
        ------
        InputError
            For settings without meaning, and what `encode` raises.
        """
        decoding.check_lengths(max_new_tokens, min_new_tokens)
        if num_beams != 1 and do_sample:
            raise InputError(
                "Beams and sampling cannot be combined: use num_beams=1 with do_sample=True, or "
                "do_sample=False."
            )
        choose: decoding.Choose = decoding.greedy
        if do_sample:
            choose = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        with self.lock, self.explained("answering"):
            prefill = self.prefill(stimulus, attention=attention)
            first = self._first_row(prefill) if attention else None
            lengths = {
                "max_new_tokens": max_new_tokens,
                "min_new_tokens": min_new_tokens,
                "eos_ids": self.eos_ids,
            }
            decoded = {**lengths, "alternatives": decoding.ALTERNATIVES}
            emit = self._emitter(on_token)
            if num_beams != 1:
                row = beam_search(prefill, num_beams=num_beams, cancel=cancel, **cast(Any, lengths))
                if on_token is not None:
                    for piece, logprob in zip(pieces(self.tokenizer, row.ids), row.logprobs, strict=True):
                        on_token(0, piece, logprob)
                mass = self.teacher_force(prefill, row.ids)[1] if attention and row.ids else None
            elif first is not None:
                row, mass = self._decode_recorded(prefill, first, choose, emit, cancel, decoded)
            else:
                row = decoding.decode_rows(
                    prefill, [0], choose, emit=emit, cancel=cancel, **cast(Any, decoded)
                )[0]
                mass = None
            plain = make_answer(self.tokenizer, row, prefill.prompt, self.eos_ids)
            if mass is None:
                return plain
            return AttendedAnswer(
                **vars(plain), mass=mass, stimulus_key=prefill.prompt.key, owner=self.identity
            )

    def sample(
        self,
        stimulus: StimulusLike | Prefill,
        n: int = 10,
        temperature: float = 0.9,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        max_new_tokens: int = 64,
        *,
        min_new_tokens: int = 0,
        on_token: OnToken | None = None,
        on_answer: Callable[[int, Answer], None] | None = None,
        cancel: Cancel | None = None,
    ) -> list[Answer]:
        """Draw answers from one shared prefill; the i-th depends on the seed and on i only, not on n.

        Answers are decoded side by side, as many at once as memory allows.

        Parameters
        ----------
        on_token : function called with (row, text, log-probability) after each token of each answer. Answers
            that did not fit into memory together restart in smaller batches, and are reported again.
        on_answer : function called with (row, answer) as each answer ends, in any order.
        cancel : polled between tokens; if it returns True, `Cancelled` is raised.

        Raises
        ------
        InputError
            For n outside 1 to 1000, a temperature that is not above 0, and other settings without meaning.
        OutOfMemory
            If not even one answer at a time fits.
        """
        decoding.check_samples(n)
        decoding.check_lengths(max_new_tokens, min_new_tokens)
        choose = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        with self.lock, self.explained("drawing answers"):
            prefill = self.prefill(stimulus, attention=False)
            answers: dict[int, Answer] = {}

            def ended(row: Row) -> None:
                answers[row.index] = make_answer(self.tokenizer, row, prefill.prompt)
                if on_answer is not None:
                    on_answer(row.index, answers[row.index])

            emit = self._emitter(on_token)
            at_once = self._rows_at_once(prefill, n, max_new_tokens)
            while waiting := [row for row in range(n) if row not in answers][:at_once]:
                choose.restart(waiting)
                try:
                    decoding.decode_rows(
                        prefill,
                        waiting,
                        choose,
                        eos_ids=self.eos_ids,
                        max_new_tokens=max_new_tokens,
                        min_new_tokens=min_new_tokens,
                        emit=emit,
                        ended=ended,
                        cancel=cancel,
                    )
                except (RuntimeError, MemoryError) as error:
                    if len(waiting) == 1 or not is_out_of_memory(error):
                        raise
                    forget(error)
                    at_once = len(waiting) // 2
            return [answers[row] for row in range(n)]

    def enumerate_answers(
        self,
        stimulus: StimulusLike | Prefill,
        mass: float = MASS.default,
        budget: int = BUDGET.default,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int = 64,
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        on_batch: Callable[[int, float], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Enumeration:
        """Return the most probable answers with their exact probabilities: no sampling, no seed.

        The distribution is the one that `sample` draws from with the same settings. Meant for short answers:
        where they are too many, the budget ends first and `rest` says how much was not found.

        Parameters
        ----------
        mass : probability to find; the search stops when the answers found have it.
        budget : beginnings of answers to look at, at most: 1 to 100,000. A larger budget never finds less.
        on_answer : called with (number, answer) as answers that weigh something are found, in no order.
        on_batch : called with (beginnings looked at, mass found) after each forward pass.
        cancel : polled between forward passes; if it returns True, `Cancelled` is raised.

        Raises
        ------
        InputError
            For settings without meaning.
        OutOfMemory
            If not even one beginning at a time fits.
        """
        enumeration.check_enumeration(mass, budget)
        decoding.check_sampling(temperature, top_k, top_p, 0)
        decoding.check_lengths(max_new_tokens, 0)
        with self.lock, self.explained("enumerating answers"):
            prefill = self.prefill(stimulus, attention=False)
            answers: dict[int, Answer] = {}

            def answer_of(found: Found) -> Answer:
                if id(found) not in answers:
                    answers[id(found)] = make_answer(self.tokenizer, found.row, prefill.prompt)
                return answers[id(found)]

            def told(found: Found) -> None:
                if on_answer is not None and found.probability > enumeration.unlisted(mass):
                    on_answer(len(answers), answer_of(found))

            result = enumeration.search(
                prefill,
                mass=float(mass),
                budget=int(budget),
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                eos_ids=self.eos_ids,
                max_new_tokens=int(max_new_tokens),
                rows_at_once=self._rows_at_once(prefill, decoding.ROWS_AT_ONCE, max_new_tokens),
                on_found=told,
                on_batch=on_batch,
                cancel=cancel,
            )
            listed = enumeration.listed(result.found, mass)
            probabilities = tuple(found.probability for found in listed)
            return Enumeration(
                answers=tuple(map(answer_of, listed)),
                probabilities=probabilities,
                rest=max(0.0, 1.0 - math.fsum(probabilities)),
                target=float(mass),
                prefixes=result.prefixes,
                batches=result.batches,
                budget=int(budget),
                temperature=float(temperature),
                top_k=int(top_k),
                top_p=float(top_p),
                max_new_tokens=int(max_new_tokens),
            )

    def yes_no(self, stimulus: StimulusLike | Prefill, *, cancel: Cancel | None = None) -> dict[str, float]:
        """Return the probabilities that the first answer token is a form of yes, of no, or the rest.

        Forms are all single tokens that read yes or no in any case, with or without a leading space,
        punctuation, quotes or emphasis around them ("Yes?", '"No').

        Raises
        ------
        InputError
            If the tokenizer has no single-token yes or no.
        """
        decoding.poll(cancel)
        forms = self._yes_no_ids
        with self.lock:
            probabilities = self.prefill(stimulus, attention=False).logits.cpu().double().softmax(dim=-1)
        yes, no = (float(probabilities[list(forms[word])].sum()) for word in ("yes", "no"))
        return {"yes": yes, "no": no, "rest": max(0.0, 1.0 - yes - no)}

    def _rows_at_once(self, prefill: Prefill, wanted: int, new_tokens: int) -> int:
        """How many answers to decode side by side, at most `wanted`, so that their caches fit."""
        # Looking for free memory takes longer than a token of a tiny model, whose caches need none
        small = wanted * row_bytes(prefill.cache, new_tokens) < decoding.SMALL
        free = None if small else self._free_memory()
        return decoding.rows_at_once(prefill.cache, new_tokens, free)

    def _decode_recorded(
        self,
        prefill: Prefill,
        first: torch.Tensor,
        choose: decoding.Choose,
        emit: Any,
        cancel: Cancel | None,
        lengths: Mapping[str, Any],
    ) -> tuple[Row, npt.NDArray[np.float32]]:
        """Decode one row and record, at each step, the row that predicts the next token."""
        masses = [first]
        recorder = self.recorder(prefill.prompt)

        def step(tokens: torch.Tensor, cache: Any) -> torch.Tensor:
            recorder.begin(len(prefill.prompt) + len(masses))
            logits = decoding.next_logits(prefill, tokens, cache)
            masses.append(recorder.mass())
            return logits

        with recording(self.model, self.family.text_config, recorder):
            rows = decoding.decode_rows(prefill, [0], choose, emit=emit, cancel=cancel, step=step, **lengths)
        # The row that predicted the end of the answer is not an answer token's.
        return rows[0], torch.cat(masses)[: len(rows[0].ids)].numpy()

    def _emitter(self, on_token: OnToken | None) -> Any:
        if on_token is None:
            return None
        shown: dict[int, Pieces] = {}

        def emit(row: Row) -> None:
            if len(row.ids) == 1:
                shown[row.index] = Pieces(self.tokenizer)
            on_token(row.index, shown[row.index].push(row.ids[-1]), row.logprobs[-1])

        return emit


if TYPE_CHECKING:
    _: type[VLMLike] = VLM
