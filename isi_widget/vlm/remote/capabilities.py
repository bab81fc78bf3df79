"""What a server has shown of itself so far: which parts of the protocol it takes. Learned from its replies.

Servers do not say what they support: some refuse a field that they do not know, some pass over it in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isi_widget.text import repaired
from isi_widget.vlm.remote.reasoning import starts_reasoning
from isi_widget.vlm.remote.replies import Piece

#: What no server gives, and why.
INSIDE = {
    "attention": "A server shows only text, not the attention of its model.",
    "segments": "A server shows only text, not the tokens of its prompt.",
    "image_map": "A server shows only text, not the places of its image tokens.",
    "enumeration": "A server shows only text, not the probability of each token that may follow.",
    "interventions": "A server shows only text, and lets nobody change the inside of its model.",
    "sampled_logprobs": "A server sends at most the log-probabilities of the model itself, not those of the "
    "distribution that answers are drawn from.",
}


@dataclass
class ServerCapabilities:
    """Each True, False, or None for not known yet.

    Attributes
    ----------
    n : whether one request can return several answers.
    logprobs : whether it reports log-probabilities of the answer's tokens.
    top : whether it also reports those of the most likely tokens.
    reasons : whether it writes reasoning before the answer.
    served : the server's name of the model that it ran last.
    fingerprint : system fingerprint of the server.
    """

    n: bool | None = None
    logprobs: bool | None = None
    top: bool | None = None
    reasons: bool | None = None
    served: str = ""
    fingerprint: str = ""

    def unavailable(self) -> dict[str, str]:
        """Return what cannot be measured through this server, and why: one sentence each."""
        missing = dict(INSIDE)
        if self.reasons:
            missing["yes_no"] = "The model reasons before it answers: its first token is not its answer's."
        elif self.top is False:
            missing["yes_no"] = "The server reports no log-probabilities of the most likely first tokens."
        if self.logprobs is False:
            missing["logprobs"] = (
                "The server reports no log-probabilities, so answers cannot be weighted by likelihood; the "
                "discrete semantic entropy only counts them."
            )
        return missing

    def variants(self, several: bool, top: bool, required: bool) -> list[tuple[bool, str]]:
        """Return the variants of a request, the largest first.

        Parameters
        ----------
        several : whether several answers to one request are wanted.
        top : whether log-probabilities of the likeliest tokens are wanted.
        required : whether nothing less than `top` will do.

        Returns
        -------
        Pairs: whether to request several answers, and which log-probabilities: "top", "chosen" or "".
        """
        tries = {True: [True], False: [False], None: [True, False]}
        levels = ["top"] if top else []
        if not required:
            levels += ["chosen" if told else "" for told in tries[self.logprobs]]
        numbers = tries[self.n] if several else [False]
        return [(number, level) for number in numbers for level in levels]

    def learn(self, pieces: Sequence[Piece], rows: int, several: bool, level: str) -> None:
        """Store the capabilities seen in a finished request.

        Parameters
        ----------
        pieces : all pieces of its replies.
        rows : number of answers requested.
        several, level : the variant of the request, see `variants`.
        """
        if any(piece.reasoning for piece in pieces) or starts_reasoning("".join(p.text for p in pieces)):
            self.reasons = True
        if rows > 1:
            self.n = several and len({piece.index for piece in pieces}) > 1
        tokens = [token for piece in pieces for token in piece.tokens or ()]
        if level and tokens:
            self.logprobs = True
            if level == "top":
                self.top = any(token.top for token in tokens)
        elif not level or any(piece.text for piece in pieces):  # refused, or not sent
            self.logprobs, self.top = False, False

    def note(self, reply: Any) -> None:
        """Keep what a raw reply says of the model that ran."""
        for name, source in (("served", "model"), ("fingerprint", "system_fingerprint")):
            value = reply.get(source) if isinstance(reply, dict) else getattr(reply, source, None)
            if isinstance(value, str):
                setattr(self, name, repaired(value[:200]))
