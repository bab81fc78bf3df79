"""The door to the inside: a VLM with interventions, of the same weights.

`intervened` makes the view that `VLM.intervene` returns; `Inside` runs its forward passes. Not for what the
interventions do (see `editing`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from isi_widget.errors import InputError
from isi_widget.interventions import (
    ActivationPatch,
    ContrastiveDecoding,
    Intervention,
    checked,
    digest,
    summary,
)
from isi_widget.vlm.inside import attention
from isi_widget.vlm.inside.editing import Editing, check
from isi_widget.vlm.inside.hooks import hooked
from isi_widget.vlm.inside.sites import sites
from isi_widget.vlm.inside.streams import patched

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from isi_widget.vlm.families import Family
    from isi_widget.vlm.inside.attention import Observer
    from isi_widget.vlm.prompts.prompt import Prompt

#: Between the identity of a model and the digest of its interventions.
_MARK = "+"


class Loaded(Protocol):
    """What the door asks of a VLM in this process."""

    model: Any
    identity: str
    inside: Inside
    image_features: Any

    @property
    def model_id(self) -> str:
        """Its name."""

    @property
    def family(self) -> Family:
        """The adapter of its family."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while the model runs."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """What it cannot do, and why."""

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """Those it is seen with."""

    @property
    def device(self) -> Any:
        """Where its inputs go."""

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Within it, running out of memory is an error that names what to do."""

    def try_out(self) -> None:
        """Compare an unlisted model with plain transformers."""

    def boxes(self, prompt: Prompt) -> npt.NDArray[np.float64]:
        """Where the image tokens of a prompt lie."""

    def encode(self, stimulus: Any) -> Prompt:
        """Return the prompt of a stimulus."""

    def read(self, prompt: Prompt, *observers: Observer) -> Any:
        """Run the forward pass over a prompt."""


V = TypeVar("V", bound=Loaded)


class Inside:
    """The interventions on one view of a model.

    Parameters
    ----------
    interventions
        In the order in which they act.
    """

    def __init__(self, interventions: Sequence[Intervention] = ()) -> None:
        self.interventions = tuple(interventions)

    @property
    def contrastive(self) -> ContrastiveDecoding | None:
        """The one that acts on the logits; None for none."""
        found = (item for item in self.interventions if isinstance(item, ContrastiveDecoding))
        return next(found, None)

    def editing(self, vlm: Loaded, prompt: Prompt, kept: Sequence[int] | None = None) -> Editing | None:
        """Return the interventions placed in a prompt; None if they change nothing there.

        Parameters
        ----------
        kept
            Positions of the prompt that are read, where a part of it is left out; None: all.
        """
        if not self.interventions:
            return None
        found = sites(vlm.model, vlm.family)
        patches = [item for item in self.interventions if isinstance(item, ActivationPatch)]
        made = patched(vlm, _unpatched(vlm), prompt, patches) if patches else {}
        placed = Editing(self.interventions, found, prompt, lambda: vlm.boxes(prompt), made, kept)
        return None if placed.empty else placed

    def resume(self, vlm: Loaded, plain: Callable[..., Any], editing: Editing | None) -> Callable[..., Any]:
        """Return the forward on further tokens of a prompt, under the interventions of its prefill."""
        if editing is None:
            return plain
        model, text_config, lock = vlm.model, vlm.family.text_config, vlm.lock

        def resumed(**arguments: Any) -> Any:
            keys = arguments["past_key_values"].get_seq_length() + arguments["input_ids"].shape[1]
            twin = attention.inside(model, text_config, editing=editing, keys=keys)
            with lock, twin if editing.attends else nullcontext(), hooked(*editing.hooks(keys)):
                return plain(**arguments)

        return resumed


@contextmanager
def reading(
    vlm: Loaded, prompt: Prompt, editing: Editing | None, observers: tuple[Observer, ...]
) -> Iterator[None]:
    """Within it, the forward pass over a prompt runs under interventions and is seen by observers."""
    plain = (editing is None or not editing.attends) and not observers
    with (
        nullcontext()
        if plain
        else attention.inside(
            vlm.model, vlm.family.text_config, editing=editing, keys=len(prompt), observers=observers
        ),
        hooked(*(() if editing is None else editing.hooks(len(prompt)))),
    ):
        yield


def intervened(vlm: V, interventions: Sequence[Any]) -> V:
    """Return a view of a VLM with more interventions: same weights, lock, encoder, image features.

    Raises
    ------
    InputError
        If one is no intervention, does not fit the model, or attention cannot be changed in this model.
    """
    added = checked(interventions)
    if reason := vlm.unavailable.get("interventions", ""):
        raise InputError(f"Interventions are not available from {vlm.model_id}: {reason}")
    every = (*vlm.interventions, *added)
    check(every, sites(vlm.model, vlm.family))
    vlm.try_out()  # as it is: an unlisted model is compared with plain transformers
    view = copy.copy(vlm)
    view.inside = Inside(every)
    view.identity = identity_of(vlm.identity, every)
    return view


def _unpatched(vlm: V) -> V:
    """Return the view that sources of activations are read with: its interventions but for those patches."""
    others = [
        item for item in vlm.interventions if not isinstance(item, ActivationPatch | ContrastiveDecoding)
    ]
    view = copy.copy(vlm)
    view.inside, view.identity = Inside(others), identity_of(vlm.identity, others)
    return view


def without_interventions(vlm: V) -> V:
    """Return the plain model behind a view of it."""
    if not vlm.interventions:
        return vlm
    view = copy.copy(vlm)
    view.inside, view.identity = Inside(), identity_of(vlm.identity, ())
    return view


def identity_of(identity: str, interventions: Sequence[Intervention]) -> str:
    """Return the identity of a model seen with interventions: equal for equal ones in equal order."""
    plain = identity.partition(_MARK)[0]
    return f"{plain}{_MARK}{digest(interventions)}" if interventions else plain


def reason_against_prefill(vlm: Loaded, owner: str) -> str:
    """Why a prefill of the VLM with the identity `owner` cannot be used with another."""
    if owner.partition(_MARK)[0] == vlm.identity.partition(_MARK)[0]:
        under = f"has {summary(vlm.interventions)}" if vlm.interventions else "has none"
        return (
            f"This Prefill was made under other interventions; this VLM {under}. Keys and values in it are "
            "those of the model that made it. Make one with this VLM's prefill()."
        )
    return "This Prefill belongs to another VLM. Make one with this model's prefill()."
