"""How many tokens a prompt has by segment, before anything runs: the numbers beside the texts of the page.

Not the counts of a trial: those come with its attention (`attribution/`).
"""

from __future__ import annotations

import weakref
from typing import Any

from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus
from isi_widget.vlm.protocol import VLMLike

_KEPT = 2  # prompts: the current one, and the one with the original texts


class Counts:
    """The last counts, kept while neither the texts, the size of the image nor the model change: drawing
    changes no count, and preparing a large image for the model takes longer than drawing on it.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], tuple[dict[str, int] | None, str]] = {}

    def of(self, stimulus: Stimulus, vlm: VLMLike) -> tuple[dict[str, int] | None, str]:
        """Return tokens by segment (None: unknown), and why the model would refuse the prompt ("": it would
        not).
        """
        texts = (stimulus.current_context, stimulus.current_question)
        of = (*texts, stimulus.current_image.size, weakref.ref(vlm))
        found = self._found.pop(of, None) or _count(stimulus, vlm)
        self._found[of] = found
        for old in list(self._found)[:-_KEPT]:
            del self._found[old]
        return found

    def original(self, stimulus: Stimulus, original: Stimulus, vlm: VLMLike) -> dict[str, int]:
        """Return the tokens of the original context and question, of those that were replaced by hand."""
        texts = {
            "context": (stimulus.current_context, original.current_context),
            "question": (stimulus.current_question, original.current_question),
        }
        replaced = [part for part, (now, before) in texts.items() if now != before]
        if not replaced:
            return {}
        counts, _ = self.of(original, vlm)
        return {} if counts is None else {part: counts[part] for part in replaced}


def _count(stimulus: Stimulus, vlm: VLMLike) -> tuple[dict[str, int] | None, str]:
    try:
        prompt = vlm.encode(stimulus)
        return (None if prompt.unavailable else prompt.token_counts()), ""
    except InputError as error:
        return None, str(error)
    except Exception as error:  # an unknown processor may raise anything: a run will report it
        return None, f"{type(error).__name__}: {error}"[:600]
