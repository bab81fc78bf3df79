"""The `inputs` trait: what the page shows of the resolved input, beside the pictures of `preview.py`.

No traits. Not for the document that it comes from (`editor.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isi_widget.interventions import Intervention, keyed
from isi_widget.stimulus import Drawing, Stimulus
from isi_widget.stimulus.rendering import unseen, unwritten_in


def inputs(
    stimulus: Stimulus, interventions: Sequence[Intervention] = (), added: Sequence[Intervention] = ()
) -> dict[str, Any]:
    """Return the `inputs` trait: the resolved image, texts and truth of a stimulus.

    Parameters
    ----------
    interventions : all interventions of the next run.
    added : those among them that the probe adds to the model's own.
    """
    return {
        "context": stimulus.current_context,
        "question": stimulus.current_question,
        "truth": stimulus.truth,
        # null: what is drawn may have changed the right answer, the truth is that of the original picture
        "truth_holds": stimulus.truth_holds,
        "image_preset": stimulus.image_preset,
        "context_preset": stimulus.context_preset or ("" if stimulus.current_context else "empty") or None,
        "key": keyed(stimulus.key, interventions),
        "stimulus": stimulus.key,
        "inside": [item.label for item in added],
        "warning": " ".join(filter(None, [_unwritten(stimulus), _outside(stimulus)])),
    }


def _unwritten(stimulus: Stimulus) -> str:
    """Return a message about drawn texts that the font cannot write; "" if there is none."""
    missing = unwritten_in(stimulus.drawings)
    if not missing:
        return ""
    return f"The font has no letters for {missing[:40]}: the model is shown empty boxes in their place."


def _outside(stimulus: Stimulus) -> str:
    """Return a message about invisible drawings; "" if there are none."""
    width, height = stimulus.current_image.size
    lost = [
        operation.op
        for operation in stimulus.operations
        if isinstance(operation, Drawing) and not operation.hidden and unseen(operation, (width, height))
    ]
    if not lost:
        return ""
    named = ", ".join(dict.fromkeys(lost))
    return (
        f"Paints nothing, since it lies outside the picture of {width} x {height} px, has no size or has a "
        f"mask of another picture's size: {named}."
    )
