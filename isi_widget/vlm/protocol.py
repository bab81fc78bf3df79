"""`VLMLike`: what everything that takes a vision-language model asks of one; no torch.

`VLM` (a model in this process) and `RemoteVLM` (one behind a server) have it. What a model cannot do is data:
`unavailable` maps the name of a capability to the reason. `StimulusLike` is what a model asks of a stimulus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from isi_widget.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from isi_widget.answer import Answer, Enumeration

#: Results that a model may lack, by their name in `unavailable`, and how a sentence calls them.
RESULTS: Mapping[str, str] = {
    "segments": "the segments of the prompt",
    "attention": "attention",
    "image_map": "where the image tokens lie (image_map)",
    "yes_no": "the probability of yes and no",
    "logprobs": "log-probabilities",
}
#: Optional ways to run a model; a result lacks nothing unless one of them is requested.
WAYS = ("enumeration", "sampled_logprobs", "interventions")


class StimulusLike(Protocol):
    """What a model asks of a stimulus (`isi_widget.stimulus.Stimulus` has it)."""

    @property
    def current_question(self) -> str:
        """The question as asked."""

    @property
    def current_context(self) -> str:
        """The context; "" for none."""

    @property
    def key(self) -> str:
        """Equal for stimuli that show the model the same."""

    def render(self) -> Image.Image:
        """Return the exact RGB pixels."""


class VLMLike(Protocol):
    """A vision-language model, wherever it runs.

    What `prefill` returns stands for a stimulus in all other methods; it belongs to the model that made it.
    """

    @property
    def model_id(self) -> str:
        """Its name."""

    @property
    def identity(self) -> str:
        """Unique to this object in this process."""

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded model, which knows the built-in scenes only."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Re-entrant; held while the model runs."""

    @property
    def loaded_with(self) -> Mapping[str, Any] | None:
        """The arguments of `load_vlm` that made it; None where it was made in another way."""

    @property
    def interventions(self) -> tuple[Any, ...]:
        """The interventions on its inside, in order; empty for a plain model."""

    @property
    def unavailable(self) -> Mapping[str, str]:
        """What it cannot do, any of `RESULTS` and `WAYS`, and why: one sentence each."""

    def info(self) -> dict[str, Any]:
        """Return the facts to keep with a result, JSON-ready: name, family, device, dtype, ..."""

    def take_remarks(self) -> tuple[str, ...]:
        """Return remarks on the runs since the last call, one sentence each."""

    def intervene(self, *interventions: Any) -> Any:
        """Return the same model, seen with interventions on its inside."""

    def encode(self, stimulus: Any) -> Any:
        """Return the prompt of a stimulus."""

    def token_boxes(self, stimulus: Any) -> Any:
        """Return the box of each image token, [image tokens, 4]."""

    def prefill(self, stimulus: Any, *, attention: bool | None = None) -> Any:
        """Read a stimulus once."""

    def answer(
        self,
        stimulus: Any,
        max_new_tokens: int = 64,
        *,
        min_new_tokens: int = 0,
        do_sample: bool = False,
        num_beams: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        on_token: Callable[[int, str, float], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        attention: bool = False,
    ) -> Answer:
        """Return one answer."""

    def sample(
        self,
        stimulus: Any,
        n: int = 10,
        temperature: float = 0.9,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        max_new_tokens: int = 64,
        *,
        min_new_tokens: int = 0,
        on_token: Callable[[int, str, float], None] | None = None,
        on_answer: Callable[[int, Answer], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> list[Answer]:
        """Return n sampled answers."""

    def enumerate_answers(
        self,
        stimulus: Any,
        mass: float = 0.99,
        budget: int = ...,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int = 64,
        *,
        on_answer: Callable[[int, Answer], None] | None = None,
        on_batch: Callable[[int, float], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Enumeration:
        """Return the most probable answers with their exact probabilities."""

    def yes_no(self, stimulus: Any, *, cancel: Callable[[], bool] | None = None) -> dict[str, float]:
        """Return the probability that the first answer token is a form of yes, of no, or the rest."""

    def teacher_force(self, stimulus: Any, token_ids: Sequence[int]) -> Any:
        """Return log-probabilities and attention mass of a given answer."""


#: The public members of `VLMLike`.
MEMBERS = tuple(name for name in vars(VLMLike) if not name.startswith("_"))


def missing_members(value: object) -> tuple[str, ...]:
    """Return the members of `VLMLike` that an object lacks; no property is read for it."""
    own = getattr(value, "__dict__", {})

    def has(name: str) -> bool:
        return name in own or hasattr(type(value), name) or hasattr(value, name)  # the last: by __getattr__

    return tuple(name for name in MEMBERS if not has(name))


def is_vlm(value: object) -> bool:
    """Return whether an object has all members of `VLMLike`."""
    return not missing_members(value)


def check_vlm_like(value: object, needs: str = "This needs") -> None:
    """Refuse what is no VLM.

    Parameters
    ----------
    value : object given as a VLM.
    needs : the beginning of the message, such as "A trial needs".

    Raises
    ------
    InputError
        If a member is missing.
    """
    missing = missing_members(value)
    if not missing:
        return
    lacks = "" if "prefill" in missing else f", which lacks {', '.join(missing)}"
    raise InputError(f"{needs} a VLM, as load_vlm() returns it; got {type(value).__name__}{lacks}.")
