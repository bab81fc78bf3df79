"""Heat layers for the page: what one token of a shown answer attended to, over the picture.

The maps of the last trials are kept, so that stepping through an answer reads it once. Not for measuring
(`isi_widget.attribution`), nor for threads: called in a worker.
"""

from __future__ import annotations

from collections import OrderedDict

from isi_widget.attribution import AttentionMap, heat_layer, measure_attention_map
from isi_widget.errors import InputError
from isi_widget.readable import counted
from isi_widget.trial import Trial
from isi_widget.trial.labels import model_label, other_interventions
from isi_widget.vlm import VLM

_KEPT = 4


class Maps:
    """Attention maps of the trials of one probe."""

    def __init__(self) -> None:
        self._maps: OrderedDict[str, AttentionMap] = OrderedDict()

    def layer(self, trial: Trial, vlm: VLM, token: int) -> tuple[bytes, float, float]:
        """Return the heat layer of one answer token as PNG, the share of its attention on the image, and the
        peak.

        The peak is what the fullest colour stands for, as `AttentionMap.peak` has it.

        Raises
        ------
        InputError : the trial has no answer or no such token, or is of another model than `vlm`; and what
            `measure_attention_map` raises.
        """
        answer = trial.answer
        if answer is None or not 0 <= token < len(answer.token_ids):
            count = 0 if answer is None else len(answer.token_ids)
            raise InputError(f"There is no token {token} in this answer of {counted(count, 'token')}.")
        info = vlm.info()
        fingerprint = info.get("fingerprint")
        if trial.model.get("name") == info.get("name") and (other := other_interventions(trial.model, info)):
            raise InputError(
                f"This answer was given {other}: its attention cannot be read again. Set probe.vlm to "
                "vlm.intervene(*trial.interventions), or run the input again."
            )
        was = model_label(trial.model)
        if was != model_label(info):
            raise InputError(
                f"This answer is of {was}, which is not loaded now: its attention cannot be read again. Load "
                "that model, or run the input again."
            )
        if trial.model.get("fingerprint") != fingerprint:
            raise InputError(
                f"This answer is of {was} with other weights, precision or hooks than it has now: its "
                "attention cannot be read again. Run the input again."
            )
        key = f"{fingerprint} {trial.key} {answer.token_ids}"
        # A model without a fingerprint may have changed since.
        if key not in self._maps or fingerprint is None:
            self._maps[key] = measure_attention_map(vlm, trial.stimulus, answer)
            while len(self._maps) > _KEPT:
                self._maps.popitem(last=False)
        self._maps.move_to_end(key)
        found = self._maps[key]
        return heat_layer(found, token), float(found.image_share(token)), float(found.peak(token))
