"""A VLM without weights: its answers follow from the stimulus and the seed. For tests of what runs models."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from isi_widget.answer import Answer
from isi_widget.vlm.protocol import WAYS


class StubVLM:
    """Answers "Yes" or "No", by the digest of the stimulus; has no attention and no segments.

    Parameters
    ----------
    name : its name.
    seconds : seconds that each answer takes.
    interventions : interventions on its inside, which only change its answers.
    """

    loaded_with = None
    is_embedded = False
    unavailable: Mapping[str, str] = {
        name: "A stub has no inside."
        for name in ("segments", "attention", "image_map", *WAYS)
        if name not in ("interventions",)
    }

    def __init__(self, name: str = "stub", seconds: float = 0.0, interventions: tuple[Any, ...] = ()) -> None:
        self.model_id, self.seconds, self.interventions = name, seconds, interventions
        self.identity = f"{name} {id(self)}"
        self.lock = threading.RLock()
        self.calls: list[str] = []

    def __reduce__(self):
        return StubVLM, (self.model_id, self.seconds, self.interventions)

    def info(self) -> dict[str, Any]:
        """Return name and fingerprint."""
        found = {
            "name": self.model_id,
            "family": "stub",
            "fingerprint": f"{self.model_id}-1",
            "device": "cpu",
        }
        if self.interventions:
            found["interventions"] = [item.to_dict() for item in self.interventions]
        return found

    def take_remarks(self) -> tuple[str, ...]:
        """Return none."""
        return ()

    def intervene(self, *interventions: Any) -> StubVLM:
        """Return the same stub with interventions."""
        return StubVLM(self.model_id, self.seconds, (*self.interventions, *interventions))

    def encode(self, stimulus: Any) -> Any:
        """Return the stimulus."""
        return stimulus

    def token_boxes(self, stimulus: Any) -> Any:
        """Raise: it has none."""
        raise NotImplementedError

    def prefill(self, stimulus: Any, *, attention: bool | None = None) -> Any:
        """Return the key of the stimulus."""
        self.calls.append("prefill")
        return stimulus.key

    def _answer(self, key: Any, seed: int) -> Answer:
        key = getattr(key, "key", key)
        digest = hashlib.sha256(f"{key} {seed} {self.model_id} {self.interventions!r}".encode()).digest()
        text = "Yes" if digest[0] < 128 else "No"
        probability = 0.5 + digest[1] / 512
        import math

        return Answer(text, (digest[0] // 128,), (text,), (math.log(probability),))

    def answer(self, stimulus: Any, max_new_tokens: int = 64, **given: Any) -> Answer:
        """Return the answer of the stimulus."""
        self.calls.append("answer")
        if self.seconds:
            time.sleep(self.seconds)
        return self._answer(stimulus, given.get("seed", 0) if given.get("do_sample") else -1)

    def sample(self, stimulus: Any, n: int = 10, *given: Any, seed: int = 0, **named: Any) -> list[Answer]:
        """Return n answers, by the seed."""
        self.calls.append("sample")
        return [self._answer(stimulus, 1000 * seed + place) for place in range(n)]

    def enumerate_answers(self, stimulus: Any, *given: Any, **named: Any) -> Any:
        """Raise: it cannot."""
        raise NotImplementedError

    def yes_no(self, stimulus: Any, **given: Any) -> dict[str, float]:
        """Return probabilities by the digest."""
        self.calls.append("yes_no")
        import math

        answer = self._answer(stimulus, -1)
        yes = math.exp(answer.logprobs[0])
        yes = yes if answer.text == "Yes" else 1 - yes
        return {"yes": yes, "no": 1 - yes, "rest": 0.0}

    def teacher_force(self, stimulus: Any, token_ids: Any) -> Any:
        """Raise: it cannot."""
        raise NotImplementedError
