"""How many tokens a prompt has by segment, before anything runs: the numbers beside the texts of the page.

Not the counts of a trial: those come with its attention (`attribution/`).
"""

from __future__ import annotations

import weakref
from typing import Any

from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus
from isi_widget.vlm.protocol import VLMLike


class Counts:
    """The last count, kept while neither the texts, the size of the image nor the model change: drawing
    changes no count, and preparing a large image for the model takes longer than drawing on it.
    """

    def __init__(self) -> None:
        self._of: tuple[Any, ...] = ()
        self._found: tuple[dict[str, int] | None, str] = (None, "")

    def of(self, stimulus: Stimulus, vlm: VLMLike) -> tuple[dict[str, int] | None, str]:
        """Return tokens by segment (None: unknown), and why the model would refuse the prompt ("": it would
        not).
        """
        texts = (stimulus.current_context, stimulus.current_question)
        of = (*texts, stimulus.current_image.size, weakref.ref(vlm))
        if of != self._of:
            self._of, self._found = of, _count(stimulus, vlm)
        return self._found


def _count(stimulus: Stimulus, vlm: VLMLike) -> tuple[dict[str, int] | None, str]:
    try:
        prompt = vlm.encode(stimulus)
        return (None if prompt.unavailable else prompt.token_counts()), ""
    except InputError as error:
        return None, str(error)
    except Exception as error:  # an unknown processor may raise anything: a run will report it
        return None, f"{type(error).__name__}: {error}"[:600]
