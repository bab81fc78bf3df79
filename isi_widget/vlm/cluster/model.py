"""`ClusterVLM`: a vision-language model that a process of a Ray cluster holds, with the methods of `VLM`.

Prompts, answers and attention come back as the same objects; measurements of the inside run there as a whole
(`run_function`). Stimuli are rendered here and sent as pixels, once per picture. Not for connections
(see `link.py`).
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isi_widget.answer import Answer, Enumeration
from isi_widget.errors import Cancelled, InputError
from isi_widget.interventions import Intervention, checked, summary, to_dicts
from isi_widget.setting import BUDGET, MASS
from isi_widget.vlm.at_model import name_of
from isi_widget.vlm.cluster.connecting import LOCAL, RayCluster, checked_cluster
from isi_widget.vlm.cluster.link import Link
from isi_widget.vlm.cluster.wire import Shown
from isi_widget.vlm.decoding.answers import AttendedAnswer
from isi_widget.vlm.inside.door import identity_of
from isi_widget.vlm.prompts.prompt import Prompt
from isi_widget.vlm.protocol import StimulusLike

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from isi_widget.vlm.decoding.loop import Cancel, OnToken
    from isi_widget.vlm.protocol import VLMLike

#: Renders that are kept, so that the answer and the samples of a trial render once.
_KEPT = 2


@dataclass(frozen=True, eq=False)
class ClusterPrefill:
    """A prompt that the model on the cluster has read. The cluster keeps the last few, and reads others
    again.

    Attributes
    ----------
    prompt : its tokens and segments, without the inputs of the vision side.
    owner : `ClusterVLM.identity` of the VLM that made it.
    spec : the request for it: id, stimulus, and whether with attention.
    """

    prompt: Prompt
    owner: str
    spec: Mapping[str, Any]


class NotHere(InputError, AttributeError):
    """A part of a model that is in another process."""


class ClusterVLM:
    """A vision-language model on a Ray cluster; made by `load_vlm(..., on=...)`.

    Several threads may use it: the cluster runs one request at a time. Trials, the widget, attention maps and
    the measurements of `isi_widget.mechanism` take it in place of a loaded one; its torch modules are not in
    this process.

    Attributes
    ----------
    model_id, is_embedded, unavailable, interventions : as those of `VLM`.
    loaded_with : arguments of `load_vlm`, `on` among them.
    shape : {"layers": n, "heads": n}; empty where nothing inside can be changed.
    """

    def __init__(self, link: Link, facts: Mapping[str, Any], loaded_with: Mapping[str, Any]) -> None:
        self._link = link
        self.loaded_with: dict[str, Any] | None = dict(loaded_with)
        self.interventions: tuple[Intervention, ...] = ()
        self.lock = threading.RLock()
        self.identity = uuid.uuid4().hex
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self._take(facts)

    def _take(self, facts: Mapping[str, Any]) -> None:
        self.model_id: str = facts["model_id"]
        self.is_embedded: bool = facts["is_embedded"]
        self.unavailable: Mapping[str, str] = dict(facts["unavailable"])
        self.shape: Mapping[str, int] = dict(facts["shape"])
        self._info = dict(facts["info"])

    def __repr__(self) -> str:
        changed = f", {summary(self.interventions)}" if self.interventions else ""
        return f"ClusterVLM({self.model_id!r}, {self._link.cluster.title}, {self._info['device']}{changed})"

    def __eq__(self, other: object) -> bool:
        """Whether two are views of the same weights with equal interventions."""
        return self.identity == other.identity if isinstance(other, ClusterVLM) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotHere(
            f"vlm.{name}: this model is on {self.__dict__['_link'].cluster.title}, so only what a VLM does "
            "is available here (answers, trials, attention, interventions, measurements of isi_widget), not "
            f"its {name}. For that, load it in the process that uses it: isi.load_vlm(...) without on=."
        )

    def __reduce__(self) -> Any:
        raise InputError(
            f"A connection to {self._link.cluster.title} cannot be pickled. Send vlm.loaded_with, and "
            "connect there with isi.load_vlm(**vlm.loaded_with)."
        )

    def info(self) -> dict[str, Any]:
        """Return the facts to keep beside a result, JSON-ready: those of `VLM.info` where it runs, and
        `on`, the address.
        """
        address = LOCAL if self._link.cluster.is_local else self._link.cluster.address
        loaded = {**(self._info.get("loaded_with") or {}), "on": address}
        return {**self._info, "on": address, "loaded_with": loaded}

    def take_remarks(self) -> tuple[str, ...]:
        """Return remarks on the runs since the last call: none."""
        return ()

    # ---- the connection
    def reconnect(
        self, *, progress: Callable[[float, str], None] | None = None, cancel: Cancel | None = None
    ) -> Self:
        """Connect again and load the model again, after the connection or its process was lost; returns this
        VLM. Probes and views with interventions that use it go on.

        Parameters
        ----------
        progress : called with a fraction between 0 and 1 and a text; default none.
        cancel : polled meanwhile; if it returns True, `Cancelled` is raised.

        Raises
        ------
        ConnectionLost
            Nothing answers.
        InputError
            Whatever `load_vlm` raises there.
        """
        with self.lock:
            callbacks = {} if progress is None else {"progress": progress}
            facts = self._link.open(callbacks, cancel)
            if self.interventions:
                facts = self._link.request("view", arguments={}, interventions=to_dicts(self.interventions))
            self._take(facts)
        return self

    def close(self) -> None:
        """End the process on the cluster, and free its memory. `reconnect` starts a new one."""
        self._link.close()

    # ---- a VLM
    def intervene(self, *interventions: Intervention) -> Self:
        """Return the same model, seen with interventions; as `VLM.intervene`.

        Raises
        ------
        InputError
            If the model has no such layer or head, or its attention function cannot be changed.
        """
        every = (*self.interventions, *checked(interventions))
        facts = self._link.request("view", arguments={}, interventions=to_dicts(every))
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)
        view.interventions = every
        view.identity = identity_of(self.identity, every)
        view._take(facts)
        return view

    def encode(self, stimulus: StimulusLike) -> Prompt:
        """Return the prompt of a stimulus: its tokens and segments, without the inputs of the vision side."""
        made: Prompt = self._method("encode", self._send(stimulus))
        return replace(made, stimulus=stimulus)

    def token_boxes(self, stimulus: StimulusLike) -> npt.NDArray[np.float64]:
        """Return the box of each image token, [image tokens, 4]; as `VLM.token_boxes`."""
        found: npt.NDArray[np.float64] = self._method("token_boxes", self._send(stimulus))
        return found

    def prefill(
        self, stimulus: StimulusLike | ClusterPrefill, *, attention: bool | None = None
    ) -> ClusterPrefill:
        """Let the model read a stimulus once; as `VLM.prefill`."""
        if isinstance(stimulus, ClusterPrefill):
            self._spec(stimulus)
            return stimulus
        spec = self._new_spec(stimulus, attention)
        found = self._link.request(
            "prefill", arguments={"spec": spec}, interventions=to_dicts(self.interventions)
        )
        return ClusterPrefill(found["prompt"], self.identity, spec)

    def answer(
        self,
        stimulus: StimulusLike | ClusterPrefill,
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
        """Return one answer; as `VLM.answer`. Tokens arrive a few times a second."""
        found: Answer = self._method(
            "answer",
            self._spec(stimulus, attention),
            max_new_tokens,
            min_new_tokens=min_new_tokens,
            do_sample=do_sample,
            num_beams=num_beams,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            attention=attention,
            callbacks={"on_token": on_token},
            cancel=cancel,
        )
        return replace(found, owner=self.identity) if isinstance(found, AttendedAnswer) else found

    def sample(
        self,
        stimulus: StimulusLike | ClusterPrefill,
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
        """Draw answers from one shared prefill; as `VLM.sample`."""
        found: list[Answer] = self._method(
            "sample",
            self._spec(stimulus),
            n,
            temperature,
            top_k,
            top_p,
            seed,
            max_new_tokens,
            min_new_tokens=min_new_tokens,
            callbacks={"on_token": on_token, "on_answer": on_answer},
            cancel=cancel,
        )
        return found

    def enumerate_answers(
        self,
        stimulus: StimulusLike | ClusterPrefill,
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
        """Return the most probable answers with exact probabilities; as `VLM.enumerate_answers`."""
        found: Enumeration = self._method(
            "enumerate_answers",
            self._spec(stimulus),
            mass,
            budget,
            temperature,
            top_k,
            top_p,
            max_new_tokens,
            callbacks={"on_answer": on_answer, "on_batch": on_batch},
            cancel=cancel,
        )
        return found

    def yes_no(
        self, stimulus: StimulusLike | ClusterPrefill, *, cancel: Cancel | None = None
    ) -> dict[str, float]:
        """Return the probabilities that the first answer token is a form of yes, of no, or the rest."""
        found: dict[str, float] = self._method("yes_no", self._spec(stimulus), cancel=cancel)
        return found

    def teacher_force(
        self, stimulus: StimulusLike | ClusterPrefill, token_ids: Sequence[int]
    ) -> tuple[tuple[float, ...], npt.NDArray[np.float32]]:
        """Return log-probabilities and attention mass of a given answer; as `VLM.teacher_force`."""
        found: tuple[tuple[float, ...], npt.NDArray[np.float32]] = self._method(
            "teacher_force", self._spec(stimulus, None), tuple(token_ids)
        )
        return found

    def run_function(
        self, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        """Run a measurement of this package (see `at_model`) where the model is, and return its result.

        Raises
        ------
        InputError
            If an argument cannot be sent, and what the function raises.
        """
        if named.get("store") is not None:
            raise InputError(
                f"store= would be written where the model is, on {self._link.cluster.title}, not here. Leave "
                "it out, and keep the result with its to_dict()."
            )
        given = dict(named)
        cancel, progress = given.pop("cancel", None), given.pop("progress", None)
        request = {"function": name_of(function), "arguments": list(arguments), "named_arguments": given}
        return self._request("function", request, {"progress": progress}, cancel)

    # ---- parts
    def _method(
        self,
        method: str,
        *arguments: Any,
        callbacks: Mapping[str, Callable[..., Any] | None] | None = None,
        cancel: Cancel | None = None,
        **named: Any,
    ) -> Any:
        request = {"method": method, "arguments": list(arguments), "named": named}
        return self._request("method", request, callbacks or {}, cancel)

    def _request(
        self,
        do: str,
        arguments: Mapping[str, Any],
        callbacks: Mapping[str, Callable[..., Any] | None],
        cancel: Cancel | None,
    ) -> Any:
        if cancel is not None and cancel():
            raise Cancelled("The run was cancelled.")
        return self._link.request(
            do,
            arguments=arguments,
            interventions=to_dicts(self.interventions),
            callbacks={name: callback for name, callback in callbacks.items() if callback is not None},
            cancel=cancel,
        )

    def _spec(
        self, stimulus: StimulusLike | ClusterPrefill, attention: bool | None = False
    ) -> dict[str, Any]:
        """Return what is sent for a stimulus or prefill."""
        if not isinstance(stimulus, ClusterPrefill):
            return self._new_spec(stimulus, attention)
        if stimulus.owner != self.identity:
            raise InputError("This prefill belongs to another VLM. Make one with this model's prefill().")
        return dict(stimulus.spec)

    def _new_spec(self, stimulus: StimulusLike, attention: bool | None) -> dict[str, Any]:
        return {"id": uuid.uuid4().hex, "shown": self._send(stimulus), "attention": attention}

    def _send(self, stimulus: StimulusLike) -> Shown:
        """Return what the model is shown, rendered once for the last few stimuli."""
        key = getattr(stimulus, "key", None)
        if key is None:
            return Shown.of(stimulus)
        with self.lock:
            found = self._shown.pop(key, None) or Shown.of(stimulus)
            self._shown[key] = found
            while len(self._shown) > _KEPT:
                self._shown.popitem(last=False)
        return found


def load_on(
    on: str | RayCluster,
    arguments: Mapping[str, Any],
    load: Callable[..., Any],
    progress: Callable[[float, str], None] | None,
    cancel: Cancel | None,
) -> ClusterVLM:
    """Load a model on a cluster; `load_vlm` calls it.

    Parameters
    ----------
    on : address or `RayCluster`.
    arguments : other arguments of `load_vlm`, by name.
    load : `load_vlm` itself.
    progress, cancel : as for `load_vlm`.

    Raises
    ------
    InputError
        Ray is missing here, nothing answers at the address (`ConnectionLost`), the cluster lacks resources or
        has another version of isi_widget; and whatever `load_vlm` raises there.
    Cancelled
        `cancel` returned True.
    """
    cluster = checked_cluster(on)
    plain = {name: _plain(value) for name, value in arguments.items()}
    link = Link(cluster, plain, load)
    if progress is not None:
        progress(0.0, f"connecting to {cluster.title}")
    facts = link.open({} if progress is None else {"progress": progress}, cancel)
    return ClusterVLM(link, facts, {**arguments, "on": on})


def _plain(value: Any) -> Any:
    """Return an argument of `load_vlm` as plain data: types and devices of torch by name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(value).removeprefix("torch.")


if TYPE_CHECKING:
    _: type[VLMLike] = ClusterVLM
