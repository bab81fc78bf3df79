"""`VLM`: a loaded vision-language model that meets stimuli: it reads, answers and samples.

Not for loading (see `loading.py`) nor for measuring (see `isi_widget.attribution`, `isi_widget.uncertainty`).
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch

from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import InputError
from isi_widget.pretrained.machine import free_memory
from isi_widget.pretrained.placement import devices_of, input_device, placed_on
from isi_widget.pretrained.quantization import computes_in, not_quantized
from isi_widget.vlm.decoding import enumeration
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.decoding.answers import AttendedAnswer, make_answer, pieces
from isi_widget.vlm.decoding.beams import beam_search
from isi_widget.vlm.decoding.cache import fork, row_bytes
from isi_widget.vlm.decoding.enumeration import Found
from isi_widget.vlm.decoding.loop import Cancel, OnToken, Pieces, Prefill, Row, Sampler
from isi_widget.vlm.decoding.nan import nan_reason
from isi_widget.vlm.families import Family, family_of
from isi_widget.vlm.features import ImageFeatures
from isi_widget.vlm.fingerprint import Fingerprint
from isi_widget.vlm.inside.attention import AttentionRecorder, reason_against, recording
from isi_widget.vlm.loading.memory import forget, is_out_of_memory, out_of_memory_as_error
from isi_widget.vlm.prompts.prompt import Prompt, PromptEncoder, StimulusLike
from isi_widget.vlm.prompts.turns import checked_history, checked_system
from isi_widget.wording import yes_or_no

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SCENES_ONLY = "The embedded model knows rendered 2-D scenes and the question grammar of isi_widget only."


class VLM:
    """A vision-language model, ready to be asked; made by `load_vlm`.

    Several threads may use it: one runs at a time.

    Parameters
    ----------
    model, processor : a transformers image-text-to-text model, in evaluation mode, and its processor.
    model_id : hub name or folder.
    system, history : system prompt and earlier turns, as for `load_vlm`.
    processor_args, adapter : what was set on the processor, and the name of the adapter that is on the
        model; for the record.

    Attributes
    ----------
    family : the adapter of its family.
    lock : re-entrant; held while the model runs. Take it to change the model (hooks, gates) between calls.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        model_id: str,
        revision: str | None = None,
        quantization: str | None = None,
        is_embedded: bool = False,
        system: str | None = None,
        history: Sequence[Any] | None = None,
        processor_args: Mapping[str, Any] | None = None,
        adapter: str | None = None,
    ) -> None:
        self.model, self.processor = model, processor
        self.model_id, self.revision = model_id, revision
        self.quantization, self.is_embedded = quantization, is_embedded
        #: The arguments of `load_vlm` that made it, to load it again; None for a model made by hand.
        self.loaded_with: dict[str, Any] | None = None
        self.system, self.history = checked_system(system), checked_history(history)
        self.processor_args, self.adapter = dict(processor_args or {}), adapter
        self.family: Family = family_of(model.config)
        self.family.prepare(model)
        self.lock = threading.RLock()
        #: Tells records of this model from those of another (`id` could be used again).
        self.identity = uuid.uuid4().hex
        text_config = model.config.get_text_config()
        self._encoder = PromptEncoder(
            processor,
            self.family,
            self.family.image_token_id(model),
            getattr(text_config, "max_position_embeddings", None),
            limits=self.family.limits(model),
            system=self.system,
            history=self.history,
        )
        self.image_features = ImageFeatures(model, self.family)
        self._fingerprint = Fingerprint(model, self._given)
        if not self.family.strict:
            from isi_widget.vlm.check.run import try_answers

            try_answers(self)

    @property
    def tokenizer(self) -> Any:
        """The fast tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go; a model may be spread over more devices, see
        `load_vlm(device_map=...)`.
        """
        return input_device(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """The type it computes in."""
        return cast(torch.dtype, self.model.dtype)

    def __repr__(self) -> str:
        size = f"{self.parameters / 1e6:.1f} M parameters"
        return f"VLM({self.model_id!r}, {self.family.title}, {size}, {self.device}, {self.dtype})"

    @cached_property
    def parameters(self) -> int:
        """Number of parameters (quantised ones counted unpacked)."""
        return int(self.model.num_parameters())

    def info(self) -> dict[str, Any]:
        """What is to be known of the model beside a result; JSON-ready."""
        return {
            "name": self.model_id,
            "family": self.family.title,
            "parameters": self.parameters,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "quantization": self.quantization,
            "not_quantized": list(self._not_quantized),
            "compute_dtype": self._compute_dtype,
            "revision": self.revision,
            "fingerprint": self._fingerprint(),
            **self._given,
            **({} if self._device_map is None else {"device_map": self._device_map}),
            "loaded_with": self._loaded_with,
            "note": _SCENES_ONLY if self.is_embedded else "",
        }

    @property
    def _given(self) -> dict[str, Any]:
        """What else than weights makes this model's numbers what they are; only what there is. JSON-ready."""
        given = {
            "adapter": self.adapter,
            "processor_args": self.processor_args,
            "system": self.system,
            "history": [list(turn) for turn in self.history],
        }
        return {name: value for name, value in given.items() if value}

    @property
    def _device_map(self) -> dict[str, str] | None:
        """Where its parts are, if it is spread over several devices."""
        placed = getattr(self.model, "hf_device_map", None) or {}
        plain = {module: placed_on(device) for module, device in placed.items()}
        return plain if len(set(plain.values())) > 1 else None

    @property
    def _loaded_with(self) -> dict[str, Any] | None:
        """The arguments of `load_vlm` that are not told elsewhere; None for a model that it did not load."""
        if self.loaded_with is None:
            return None
        switches = {name: value for name, value in self.loaded_with.items() if value is True}
        device_map = self.loaded_with.get("device_map")
        if isinstance(device_map, Mapping):
            device_map = {module: placed_on(device) for module, device in device_map.items()}
        return {**switches, **({} if device_map is None else {"device_map": device_map})}

    @cached_property
    def _not_quantized(self) -> tuple[str, ...]:
        return tuple(not_quantized(self.model))

    @cached_property
    def _compute_dtype(self) -> str | None:
        return computes_in(self.model)

    @property
    def unavailable(self) -> Mapping[str, str]:
        """What this model cannot give, and why: any of "segments", "attention", "image_map", "yes_no".

        Empty for a listed family with a usual tokenizer.
        """
        reasons = {
            **self.family.unavailable(self.model),
            "segments": self._encoder.unavailable,
            "attention": self._reason_against_attention(),
            "yes_no": self._reason_against_yes_no,
        }
        return {name: reason for name, reason in reasons.items() if reason}

    def _reason_against_attention(self) -> str:
        """Why attention cannot be measured; "" if it can."""
        if self._encoder.unavailable:
            return f"Attention is summed over segments. {self._encoder.unavailable}"
        unlisted = self.family.unavailable(self.model).get("attention", "")
        return unlisted or reason_against(self.model, self.family.text_config)

    def _check_attention(self) -> None:
        reason = self._reason_against_attention()
        if reason:
            raise InputError(reason)

    @cached_property
    def _reason_against_yes_no(self) -> str:
        try:
            _ = self._yes_no_ids
        except InputError as error:
            return str(error)
        return ""

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """The tokens that end an answer: the generation config's, else the tokenizer's."""
        ids = getattr(self.model.generation_config, "eos_token_id", None)
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return frozenset() if ids is None else frozenset([ids] if isinstance(ids, int) else ids)

    # Reading ------------------------------------------------------------------------------------------------

    def encode(self, stimulus: StimulusLike) -> Prompt:
        """The prompt of a stimulus; its token ids are the processor's own, each with its segment."""
        with self.lock:
            return self._encoder.encode(stimulus)

    def token_boxes(self, stimulus: StimulusLike) -> npt.NDArray[np.float64]:
        """Where each image token lies: boxes [image tokens, 4], in the order of the prompt's image tokens.

        Left, top, right, bottom in pixels of `stimulus.render()`; NaN for a token without a place (newline
        tokens, padding, learned queries).

        Raises
        ------
        InputError
            If it is not known for this model where they lie, and what `encode` raises.
        """
        with self.lock:
            prompt = self.encode(stimulus)
            size = stimulus.render().size
            boxes = self.family.token_boxes(self.processor, self.model.config, size, prompt.images)
            tokens = prompt.ids.count(cast(int, self.family.image_token_id(self.model)))
        if len(boxes) != tokens:
            raise InputError(
                f"The prompt has {tokens} image tokens, but {len(boxes)} places follow from the processor's "
                "settings. Use the processor that belongs to the model."
            )
        return boxes

    def prefill(self, stimulus: StimulusLike | Prefill, *, attention: bool | None = None) -> Prefill:
        """Let the model read a stimulus once; answers, samples and measures start from the result.

        Parameters
        ----------
        attention : also record the attention of the row that predicts the first answer token (one row: almost
            free). None: wherever the model allows it; True: refuse a model that does not.
        """
        if isinstance(stimulus, Prefill):
            if stimulus.owner != self.identity:
                raise InputError("This Prefill belongs to another VLM. Make one with this model's prefill().")
            return stimulus
        with self.lock:
            prompt = self.encode(stimulus)
            if attention is None:
                attention = not self._reason_against_attention()
            if not attention:
                return self.read(prompt)
            recorder = self.recorder(prompt)
            return replace(self.read(prompt, recorder), mass=recorder.mass()[0].numpy())

    def read(self, prompt: Prompt, recorder: AttentionRecorder | None = None) -> Prefill:
        """The forward pass over a prompt: a `Prefill` without `mass`.

        `recorder` sees the row that predicts the first answer token.

        Raises
        ------
        InputError
            If attention is to be recorded and cannot be.
        """
        if recorder is not None:
            self._check_attention()
        with self.lock, torch.no_grad(), self._explained("reading the prompt"):
            inputs: dict[str, Any] = {
                "input_ids": prompt.input_ids.to(self.device),
                **self.image_features.inputs(prompt),
            }
            arguments = {"use_cache": True, "logits_to_keep": 1}
            if recorder is not None:
                recorder.begin(len(prompt))
                with recording(self.model, self.family.text_config, recorder):
                    output = self.model(**inputs, **arguments)
            else:
                output = self.model(**inputs, **arguments)
            logits = decoding.checked_logits(output.logits[0, -1])
            return Prefill(
                prompt, logits, self.family.cache(output), None, self.identity, self.family.resume(self.model)
            )

    def recorder(self, prompt: Prompt) -> AttentionRecorder:
        """An attention recorder for a prompt: its segments are the groups (`Prompt.groups`)."""
        return AttentionRecorder(torch.tensor(prompt.group_ids, dtype=torch.long), len(prompt.groups))

    # Answering ----------------------------------------------------------------------------------------------

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
        """One answer: greedy by default, sampled, or the best of a beam search.

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
        with self.lock, self._explained("answering"):
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
        """Sampled answers from one shared prefill; the i-th depends on the seed and on i only, not on n.

        Answers are decoded side by side, as many at once as memory allows.

        Parameters
        ----------
        on_token : called with (row, text, log-probability) after each token of each answer. Answers that did
            not fit into memory side by side are begun again, fewer at once, and told again.
        on_answer : called with (row, answer) as each answer ends, in any order.
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
        with self.lock, self._explained("drawing answers"):
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
        mass: float = 0.99,
        budget: int = enumeration.BUDGET,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int = 64,
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        on_batch: Callable[[int, float], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Enumeration:
        """The most probable answers with their exact probabilities: no sampling, no seed.

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
        with self.lock, out_of_memory_as_error("enumerating answers"):
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

    def _rows_at_once(self, prefill: Prefill, wanted: int, new_tokens: int) -> int:
        """How many answers to decode side by side, at most `wanted`, so that their caches fit."""
        # Looking for free memory takes longer than a token of a tiny model, whose caches need none
        small = wanted * row_bytes(prefill.cache, new_tokens) < decoding.SMALL
        free = None if small else self._free_memory()
        return decoding.rows_at_once(prefill.cache, new_tokens, free)

    def yes_no(self, stimulus: StimulusLike | Prefill, *, cancel: Cancel | None = None) -> dict[str, float]:
        """Probability that the first answer token is a form of yes, of no, or the rest; they sum to 1.

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

    @cached_property
    def _yes_no_ids(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {"yes": [], "no": []}
        special = set(self.tokenizer.all_special_ids)
        for token in sorted(set(self.tokenizer.get_vocab().values()) - special):
            said = yes_or_no(decoding.decode(self.tokenizer, [token]))
            if said is not None:
                found[said].append(token)
        for word, ids in found.items():
            if not ids:
                raise InputError(
                    f"The tokenizer of {self.model_id} has no single token for {word!r}: yes_no() is not "
                    "available."
                )
        return {word: tuple(ids) for word, ids in found.items()}

    # Teacher forcing ----------------------------------------------------------------------------------------

    def teacher_force(
        self, stimulus: StimulusLike | Prefill, token_ids: Sequence[int]
    ) -> tuple[tuple[float, ...], npt.NDArray[np.float32]]:
        """Log-probabilities [T] and attention mass [T, layers, heads, groups] of a given answer.

        One forward pass after the prefill. Row t of the mass is the attention of the position that predicts
        answer token t.
        """
        if not token_ids:
            raise InputError("The answer has no tokens, so there is no row of attention to measure.")
        with self.lock, torch.no_grad(), self._explained("measuring attention"):
            prefill = self.prefill(stimulus)
            mass = self._first_row(prefill)
            logits = prefill.logits[None]
            if len(token_ids) > 1:
                recorder = self.recorder(prefill.prompt)
                logits = torch.cat([logits, self.feed(prefill, token_ids[:-1], recorder)])
                mass = torch.cat([mass, recorder.mass()])
            chosen = torch.tensor(token_ids, device=logits.device)[:, None]
            logprobs = logits.log_softmax(dim=-1).gather(1, chosen).squeeze(1).tolist()
            return tuple(logprobs), mass.numpy()

    def feed(self, prefill: Prefill, token_ids: Sequence[int], recorder: AttentionRecorder) -> torch.Tensor:
        """Raw logits [n, vocabulary], float32, after each of n tokens that follow a prompt, in one pass.

        `recorder` sees the row of each of these tokens.
        """
        with self.lock, torch.no_grad(), self._explained("measuring attention"):
            fed = torch.tensor([list(token_ids)], device=self.device)
            recorder.begin(len(prefill.prompt) + fed.shape[1], rows=fed.shape[1])
            with recording(self.model, self.family.text_config, recorder):
                output = prefill.resume(input_ids=fed, past_key_values=fork(prefill.cache), use_cache=True)
            return decoding.checked_logits(output.logits[0])

    # Parts --------------------------------------------------------------------------------------------------

    def _first_row(self, prefill: Prefill) -> torch.Tensor:
        """The mass [1, layers, heads, groups] of the row that predicts the first answer token."""
        if prefill.mass is None:
            self._check_attention()
            raise InputError(
                "This Prefill was made without attention. Make it with vlm.prefill(stimulus, attention=True)."
            )
        return torch.from_numpy(prefill.mass)[None]

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

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Within it, running out of memory and NaN are errors that say what to do. May be nested."""
        with out_of_memory_as_error(doing):
            try:
                yield
            except decoding.NanLogits as error:
                raise RuntimeError(nan_reason(self.model, error.dtype)) from None

    def _free_memory(self) -> int | None:
        """Bytes that caches may take: of a model on several devices, what the fullest has left."""
        known = [free_memory(device) for device in devices_of(self.model)]
        return min((free for free in known if free is not None), default=None)

    def _emitter(self, on_token: OnToken | None) -> Any:
        if on_token is None:
            return None
        shown: dict[int, Pieces] = {}

        def emit(row: Row) -> None:
            if len(row.ids) == 1:
                shown[row.index] = Pieces(self.tokenizer)
            on_token(row.index, shown[row.index].push(row.ids[-1]), row.logprobs[-1])

        return emit
