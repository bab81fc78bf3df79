"""Which tokens of two prompts correspond: by their rank within a segment.

Positions shift when an earlier text is longer, so equal positions mean nothing by themselves. A segment with
the same number of tokens in both prompts corresponds token by token; one with different numbers does not.
Not for which tokens differ (`isi_widget.concepts.pair_tokens`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from isi_widget.errors import InputError
from isi_widget.vlm.prompts.prompt import Prompt


@dataclass(frozen=True)
class Alignment:
    """The tokens of one prompt and their partners in another.

    Attributes
    ----------
    partners : for each position of the prompt, its partner's position; -1 for none.
    reasons : {segment: why its tokens have no partners}, one sentence each.
    segments : the segment of each position; empty where segments are unknown.
    """

    partners: tuple[int, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    segments: tuple[str, ...] = ()

    def reason_against(self, positions: Iterable[int]) -> str:
        """Why some of these positions have no partner; "" if all have one."""
        lost = [at for at in positions if self.partners[at] < 0]
        if not lost:
            return ""
        return " ".join(self.reasons[name] for name in dict.fromkeys(self.segments[at] for at in lost))

    def of(self, positions: Iterable[int], title: str) -> tuple[int, ...]:
        """Return the partners of positions, in order.

        Raises
        ------
        InputError
            If one has none; the message begins with `title`.
        """
        places = tuple(positions)
        if reason := self.reason_against(places):
            raise InputError(f"{title}: {reason}")
        return tuple(self.partners[at] for at in places)


def aligned(prompt: Prompt, source: Prompt) -> Alignment:
    """Return the partners in `source` of the tokens of `prompt`. The last tokens always correspond.

    Raises
    ------
    InputError
        If segments are unknown and the prompts have different lengths.
    """
    if prompt.unavailable or source.unavailable:
        if len(prompt) == len(source):
            return Alignment(tuple(range(len(prompt))))
        raise InputError(
            f"The prompts have {len(prompt)} and {len(source)} tokens, and which of them correspond is not "
            f"known: {prompt.unavailable or source.unavailable}"
        )
    partners = [-1] * len(prompt)
    reasons = {}
    for name in prompt.segments:
        mine = prompt.indices(name)
        theirs = source.indices(name) if name in source.segments else ()
        if len(mine) == len(theirs):
            for one, other in zip(mine, theirs, strict=True):
                partners[one] = other
        elif mine:
            reasons[name] = (
                f"the {name} has {len(mine)} tokens in one prompt and {len(theirs)} in the other, so they do "
                "not correspond. Use texts with the same number of tokens (isi.token_replacements), or other "
                "groups."
            )
    partners[-1] = len(source) - 1
    return Alignment(tuple(partners), reasons, prompt.labels)
