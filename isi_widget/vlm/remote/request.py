"""The content of a request: an encoded stimulus, settings under the server's names, the conversation.

Not for sending it (see `server.py`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from isi_widget.errors import InputError
from isi_widget.text import repaired
from isi_widget.vlm.decoding import loop as decoding
from isi_widget.vlm.protocol import StimulusLike

#: Setting -> field of the server; None: the server has no such field, and the setting is refused.
FIELDS: Mapping[str, str | None] = {
    "max_new_tokens": "max_tokens",
    "seed": "seed",
    "n": "n",
    "top_k": None,
    "min_new_tokens": None,
}


@dataclass(frozen=True, eq=False)
class RemotePrefill:
    """An encoded stimulus, for any number of requests.

    Attributes
    ----------
    text : context, line break, question; or the question alone.
    image : the rendered pixels, a PNG data URL.
    key : `Stimulus.key`.
    owner : `RemoteVLM.identity` of the model that made it.
    """

    text: str
    image: str = field(repr=False)
    key: str = ""
    owner: str = ""


def prefill_of(stimulus: StimulusLike, owner: str) -> RemotePrefill:
    """Encode a stimulus for sending; refuse one without a question."""
    context, question = (
        repaired(text).strip() for text in (stimulus.current_context, stimulus.current_question)
    )
    if not question:
        raise InputError("The question is empty. Ask one: stimulus.with_question(...).")
    text = f"{context}\n{question}" if context else question
    return RemotePrefill(text, data_url(stimulus.render()), stimulus.key, owner)


class Fields:
    """The server's names of our settings.

    Parameters
    ----------
    names : {setting: field of the server}, as `FIELDS`; None if the server has none.
    base_url : address of the server, for messages.
    """

    def __init__(self, names: Mapping[str, str | None], base_url: str) -> None:
        self.names, self._base_url = dict(names), base_url

    def has(self, name: str) -> bool:
        """Return whether the server takes a setting."""
        return self.names[name] is not None

    def field(self, name: str) -> str:
        """Return the server's field for a setting; refuse one that the server does not take."""
        field_name = self.names[name]
        if field_name is None:
            raise InputError(
                f"{name} is not part of the protocol, and it is not known that {self._base_url} takes "
                f"it. Leave it out, or name the server's field: connect(..., fields={{{name!r}: ...}})."
            )
        return field_name

    def lengths(self, max_new_tokens: int, min_new_tokens: int) -> dict[str, Any]:
        """Return the fields for the length of an answer."""
        decoding.check_lengths(max_new_tokens, min_new_tokens)
        settings = {self.field("max_new_tokens"): int(max_new_tokens)}
        if min_new_tokens:
            settings[self.field("min_new_tokens")] = int(min_new_tokens)
        return settings

    def sampling(self, temperature: float, top_k: int, top_p: float, seed: int) -> dict[str, Any]:
        """Return the fields for sampling, except the seed, which differs per request."""
        decoding.check_sampling(temperature, top_k, top_p, seed)
        settings = {"temperature": float(temperature), "top_p": float(top_p)}
        if top_k:
            settings[self.field("top_k")] = int(top_k)
        return settings


def conversation(
    prefill: RemotePrefill, *, system: str | None, history: Sequence[Sequence[str]], detail: str | None
) -> list[dict[str, Any]]:
    """Return the messages of a request: system prompt, earlier turns, image and text."""
    image = {"url": prefill.image} | ({} if detail is None else {"detail": detail})
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": prefill.text}]
    before = [] if system is None else [{"role": "system", "content": system}]
    for asked, answered in history:
        before += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return [*before, {"role": "user", "content": content}]


def data_url(image: Image.Image) -> str:
    """Return the exact pixels as a PNG data URL."""
    data = io.BytesIO()
    image.save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def seed_of(seed: int, row: int) -> int:
    """Return a separate 31-bit seed for each (seed, row): servers accept different ranges of integers."""
    return int(np.random.SeedSequence([seed % 2**64, row]).generate_state(1)[0]) >> 1
