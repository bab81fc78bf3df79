"""`RemoteVLM`: a vision-language model behind an OpenAI-compatible server, with the methods of `VLM`.

A server shows only text and, some of them, log-probabilities: `unavailable` says what cannot be measured. Not
for requests and their errors (see `server.py`).
"""

from __future__ import annotations

import json
import threading
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from PIL import Image

from isi_widget.answer import Answer
from isi_widget.errors import InputError
from isi_widget.interventions import Intervention
from isi_widget.readable import counted
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.decoding.loop import Cancel, OnToken
from isi_widget.vlm.protocol import StimulusLike
from isi_widget.vlm.remote.capabilities import INSIDE, ServerCapabilities
from isi_widget.vlm.remote.errors import Refused
from isi_widget.vlm.remote.gathering import Gathered, Rows, Work, gather
from isi_widget.vlm.remote.replies import Piece, yes_no_of
from isi_widget.vlm.remote.request import Fields, RemotePrefill, conversation, data_url, prefill_of, seed_of
from isi_widget.vlm.remote.server import Server
from isi_widget.vlm.remote.watch import Watch

if TYPE_CHECKING:
    from isi_widget.vlm.protocol import VLMLike

_PREFILLS_KEPT = 8
#: How many of the likeliest first tokens yes_no() asks for; servers allow 20 at most, some fewer.
_TOP = (20, 5)


class RemoteVLM:
    """A vision-language model behind a server; made by `connect`.

    Several threads may use it. It can be pickled; the key is not in it.

    Attributes
    ----------
    model_id : the server's name of the model.
    lock : re-entrant, as `VLM.lock`; requests do not need it.
    is_embedded, loaded_with, interventions : False, None and (): `load_vlm` did not make it.
    """

    is_embedded = False
    loaded_with: None = None
    interventions: tuple[()] = ()

    def __init__(
        self,
        server: Server,
        *,
        concurrency: int,
        fields: Mapping[str, str | None],
        extra_body: Mapping[str, Any],
        detail: str | None,
        code: str,
        system: str | None = None,
        history: Sequence[Sequence[str]] = (),
    ) -> None:
        self.system, self.history = system, tuple((asked, answered) for asked, answered in history)
        self.server = server
        self.model_id = server.model
        self.identity = uuid.uuid4().hex
        self.lock = threading.RLock()
        self._concurrency, self._fields = concurrency, Fields(fields, server.base_url)
        self._extra_body, self._detail, self._code = dict(extra_body), detail, code
        self._capabilities = ServerCapabilities()
        self._remarks: list[str] = []
        self._prefills: OrderedDict[str, RemotePrefill] = OrderedDict()

    def __repr__(self) -> str:
        return f"RemoteVLM({self.model_id!r}, {self.server.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "lock": None, "_prefills": OrderedDict()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()

    @property
    def unavailable(self) -> dict[str, str]:
        """What cannot be measured, and why: one sentence each."""
        return self._capabilities.unavailable()

    def take_remarks(self) -> tuple[str, ...]:
        """Return remarks on the replies since the last call, one sentence each; `run_trial` keeps them."""
        with self.lock:
            remarks, self._remarks = tuple(dict.fromkeys(self._remarks)), []
        return remarks

    def info(self) -> dict[str, Any]:
        """Return the facts to keep beside a result; JSON-ready, without the key.

        Beyond the keys of `VLM.info`: server, served (the server's own name of what it ran), fingerprint,
        fields and extra_body (as given to `connect`), code (Python that connects again).
        """
        return {
            "name": self.model_id,
            "family": "OpenAI-compatible server",
            "parameters": None,
            "device": "server",
            "dtype": None,
            "quantization": None,
            "revision": None,
            "note": (
                f"Behind {self.server.base_url}. Seeds are sent, but no server promises to keep them; "
                "what it applies by itself (top-k, repetition penalty) is not known."
            ),
            "server": self.server.base_url,
            "served": self._capabilities.served,
            "fingerprint": self._capabilities.fingerprint,
            "fields": dict(self._fields.names),
            "extra_body": json.loads(json.dumps(self._extra_body)),
            **({} if self.system is None else {"system": self.system}),
            **({"history": [list(turn) for turn in self.history]} if self.history else {}),
            "code": self._code,
        }

    # Reading ------------------------------------------------------------------------------------------------

    def prefill(
        self, stimulus: StimulusLike | RemotePrefill, *, attention: bool | None = None
    ) -> RemotePrefill:
        """Encode a stimulus for sending; the last few are kept. Nothing is sent yet.

        Raises
        ------
        InputError
            Attention requested, no question, or the prefill of another model.
        """
        if attention:
            self._only_text("attention")
        if isinstance(stimulus, RemotePrefill):
            if stimulus.owner != self.identity:
                raise InputError("This prefill belongs to another VLM. Make one with this model's prefill().")
            return stimulus
        with self.lock:
            if (kept := self._prefills.get(stimulus.key)) is not None:
                self._prefills.move_to_end(stimulus.key)
                return kept
            made = prefill_of(stimulus, self.identity)
            self._prefills[stimulus.key] = made
            while len(self._prefills) > _PREFILLS_KEPT:
                self._prefills.popitem(last=False)
            return made

    # Answering ----------------------------------------------------------------------------------------------

    def answer(
        self,
        stimulus: StimulusLike | RemotePrefill,
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
        """Return one answer: greedy (temperature 0) by default, or sampled; the arguments of `VLM.answer`.

        on_token is called in the caller's thread, with the log-probability NaN if the server reports none;
        not for reasoning, which goes to `Answer.reasoning`. cancel is polled throughout; the request then
        ends with the next bytes of the server.

        Raises
        ------
        InputError
            For settings without meaning or that the server cannot honour, a refused key, an unknown model.
        RemoteError
            When the server fails; the model can be used again.
        """
        if num_beams != 1:
            raise InputError("A server offers no beam search: use num_beams=1.")
        prefill = self.prefill(stimulus, attention=attention)
        settings = self._fields.lengths(max_new_tokens, min_new_tokens)
        if do_sample:
            settings |= self._fields.sampling(temperature, top_k, top_p, seed)
        else:
            settings["temperature"] = 0
        return self._gather(
            prefill,
            1,
            settings,
            seed if do_sample else None,
            max_new_tokens=max_new_tokens,
            on_token=on_token,
            cancel=cancel,
        )[0]

    def sample(
        self,
        stimulus: StimulusLike | RemotePrefill,
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
        """Draw answers; the arguments of `VLM.sample`.

        In one request where the server answers several times, else in n requests, some at a time. Each
        request carries a seed of its own, made from `seed` and the first answer's number; no server promises
        to keep it. A reply that cannot be read costs one answer: fewer than n come back, with a
        `UserWarning`.

        Raises
        ------
        InputError, RemoteError
            As `answer`.
        """
        decoding.check_samples(n)
        prefill = self.prefill(stimulus)
        settings = self._fields.lengths(max_new_tokens, min_new_tokens)
        settings |= self._fields.sampling(temperature, top_k, top_p, seed)
        return self._gather(
            prefill,
            n,
            settings,
            seed,
            max_new_tokens=max_new_tokens,
            on_token=on_token,
            on_answer=on_answer,
            cancel=cancel,
        )

    def yes_no(
        self, stimulus: StimulusLike | RemotePrefill, *, cancel: Cancel | None = None
    ) -> dict[str, float]:
        """Return the probabilities that the first answer token is a form of yes, of no, or the rest.

        From the most likely first tokens that the server reports (at most 20), at temperature 1: yes and no
        are lower bounds, and unreported tokens count as rest.

        Raises
        ------
        InputError
            The server does not report them.
        RemoteError
            As `answer`.
        """
        if "yes_no" in self.unavailable:
            self._only_text("yes_no")
        prefill = self.prefill(stimulus)
        # At temperature 1, log-probabilities before and after temperature are equal.
        settings = {**self._fields.lengths(1, 0), "temperature": 1, "top_p": 1}
        first = None
        for top in _TOP:
            pieces: list[Piece] = []

            def work(
                rows: Rows, watch: Watch, top: int = top, pieces: list[Piece] = pieces
            ) -> Iterator[Piece]:
                for piece in self._ask(prefill, settings, rows, watch, top=top, required=True):
                    pieces.append(piece)
                    yield piece

            try:
                self._run([(0,)], work, max_new_tokens=1, cancel=cancel)
            except Refused:
                continue
            first = next((token for piece in pieces for token in piece.tokens or () if token.top), None)
            break
        if self._capabilities.reasons:
            self._only_text("yes_no")
        if first is None:
            self._capabilities.top = False
            self._only_text("yes_no")
        return yes_no_of(first)

    def check(self) -> None:
        """Request one token about a grey image, to find whether the server responds and which values it
        reports.

        Raises
        ------
        InputError, RemoteError
            As `answer`.
        """
        grey = RemotePrefill("Is this image grey?", data_url(Image.new("RGB", (64, 64), (128, 128, 128))))
        settings = {**self._fields.lengths(1, 0), "temperature": 1, "top_p": 1}
        asked = (0, 1) if self._fields.has("n") else (0,)

        def work(rows: Rows, watch: Watch) -> Iterator[Piece]:
            for piece in self._ask(grey, settings, asked, watch, top=_TOP[-1]):
                if piece.index in rows:  # the second answer only shows whether the server takes n
                    yield piece

        self._run([(0,)], work, max_new_tokens=1)

    # What needs the inside ----------------------------------------------------------------------------------

    def encode(self, stimulus: StimulusLike) -> NoReturn:
        """Not available: `InputError`."""
        self._only_text("segments")

    def teacher_force(self, stimulus: StimulusLike | RemotePrefill, token_ids: object) -> NoReturn:
        """Not available: `InputError`."""
        self._only_text("attention")

    def token_boxes(self, stimulus: StimulusLike) -> NoReturn:
        """Not available: `InputError`."""
        self._only_text("image_map")

    def enumerate_answers(self, stimulus: object, *args: Any, **kwargs: Any) -> NoReturn:
        """Not available: `InputError`."""
        self._only_text("enumeration")

    def _only_text(self, measure: str) -> NoReturn:
        hint = " Load the model itself with isi.load_vlm(...)." if measure in INSIDE else ""
        raise InputError(
            f"{measure} is not available from {self.model_id}: {self.unavailable[measure]}{hint}"
        )

    def intervene(self, *interventions: Intervention) -> NoReturn:
        """Refuse interventions on the inside of a model that a server runs.

        Raises
        ------
        InputError
            Always, with the reason.
        """
        self._only_text("interventions")

    # Parts --------------------------------------------------------------------------------------------------

    def _gather(
        self,
        prefill: RemotePrefill,
        n: int,
        settings: Mapping[str, Any],
        seed: int | None,
        *,
        max_new_tokens: int,
        **callbacks: Any,
    ) -> list[Answer]:
        """Return the answers of n rows; what was odd about them is remarked."""
        together = decoding.ROWS_AT_ONCE if self._fields.has("n") and self._capabilities.n is not False else 1
        jobs = [range(start, min(n, start + together)) for start in range(0, n, together)]

        def work(rows: Rows, watch: Watch) -> Iterator[Piece]:
            seeded = dict(settings)
            if seed is not None and self._fields.has("seed"):
                seeded[self._fields.field("seed")] = seed_of(seed, rows[0])
            return self._ask(prefill, seeded, rows, watch)

        found = self._run(jobs, work, max_new_tokens=max_new_tokens, **callbacks)
        answers = list(found.answers.values())
        remarks = [
            f"The server ended an answer by {word!r}, a word that is not known here; it was read as a stop."
            for word in sorted(found.unknown)
        ]
        if len(answers) < n:
            lost = (
                f"Only {len(answers)} of {counted(n, 'answer')} came: the server's other replies could not "
                "be read. The "
                f"first: {found.failures[0]}"
            )
            warnings.warn(lost, stacklevel=3)
            remarks.append(lost)
        if any(answer.reasoning for answer in answers):
            self._capabilities.reasons = True
            remarks.append(
                "The model reasoned before it answered. The reasoning is kept apart (Answer.reasoning), not "
                "judged and not compared; log-probabilities are those of the answer given its reasoning."
            )
        with self.lock:
            self._remarks += remarks
        return answers

    def _run(self, jobs: Iterable[Rows], work: Work, *, max_new_tokens: int, **callbacks: Any) -> Gathered:
        return gather(
            jobs,
            work,
            timeout=self.server.timeout,
            concurrency=self._concurrency,
            max_new_tokens=max_new_tokens,
            **callbacks,
        )

    def _ask(
        self,
        prefill: RemotePrefill,
        settings: Mapping[str, Any],
        rows: Rows,
        watch: Watch,
        *,
        top: int = 0,
        required: bool = False,
    ) -> Iterator[Piece]:
        """One request, with whatever of n and log-probabilities the server takes.

        What it is not known to take is left out if it refuses the request; `required`: not what `top` asks.
        """
        refused: Refused | None = None
        for several, told in self._capabilities.variants(len(rows) > 1, top > 0, required):
            asked: dict[str, Any] = {**self._extra_body, **settings}
            if several:
                asked[self._fields.field("n")] = len(rows)
            if told:
                asked["logprobs"] = True
            if told == "top":
                asked["top_logprobs"] = top
            pieces: list[Piece] = []
            try:
                for piece in self.server.chat(
                    self._conversation(prefill), asked, watch, self._capabilities.note
                ):
                    pieces.append(piece)
                    yield piece
            except Refused as error:
                refused = refused or error
                continue
            if not watch.stop.is_set():
                self._capabilities.learn(pieces, len(rows), several, told)
            return
        if refused is not None:
            raise refused

    def _conversation(self, prefill: RemotePrefill) -> list[dict[str, Any]]:
        return conversation(prefill, system=self.system, history=self.history, detail=self._detail)


if TYPE_CHECKING:
    _: type[VLMLike] = RemoteVLM
