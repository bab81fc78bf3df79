"""What an `AttentionPlayer` plays: the attention map of a model, a trial or a measured map, and its picture.

Not for playing it (`player.py`) nor for measuring (`isi_widget.attribution`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from isi_widget.attribution.maps import AttentionMap
from isi_widget.attribution.measuring import measure_attention_map
from isi_widget.errors import InputError
from isi_widget.stimulus import Stimulus
from isi_widget.trial import Trial
from isi_widget.trial.labels import model_label, other_interventions
from isi_widget.vlm.protocol import check_vlm_like, is_vlm

if TYPE_CHECKING:
    from isi_widget.answer import Answer
    from isi_widget.vlm import VLM


def measured(
    source: VLM | Trial | AttentionMap, stimulus: Stimulus | None, vlm: VLM | None
) -> tuple[AttentionMap, Image.Image]:
    """Return the attention map and the picture that it belongs to."""
    if isinstance(source, Trial):
        if stimulus is not None:
            raise InputError("A trial brings its own stimulus: AttentionPlayer(trial, vlm=vlm).")
        measured = _map_of(_model_of(source, vlm), source.stimulus, source.answer)
        return measured, source.stimulus.render()
    given: Any = source
    if isinstance(getattr(given, "trials", None), tuple) and hasattr(given, "vlm"):
        raise InputError("A Probe holds trials: AttentionPlayer(probe.trial, vlm=probe.vlm).")
    if isinstance(given, Stimulus) or hasattr(given, "stimulus"):
        shown = "stimulus" if isinstance(given, Stimulus) else "observation.stimulus()"
        raise InputError(f"The model comes first: AttentionPlayer(vlm, {shown}).")
    if vlm is not None:
        raise InputError(
            "vlm=... goes with a trial: AttentionPlayer(trial, vlm=vlm). A model and a stimulus are "
            "AttentionPlayer(vlm, stimulus); a measured map needs no model: AttentionPlayer(map, stimulus)."
        )
    if not isinstance(given, AttentionMap):
        check_vlm_like(given, "AttentionPlayer needs")
    if not isinstance(stimulus, Stimulus):
        hint = " Call .stimulus() on the observation." if hasattr(stimulus, "stimulus") else ""
        raise InputError(
            "AttentionPlayer needs a Stimulus beside a model or an attention map; got "
            f"{'none' if stimulus is None else type(stimulus).__name__}.{hint}"
        )
    picture = stimulus.render()
    if not isinstance(source, AttentionMap):
        return _map_of(source, stimulus), picture
    if picture.size != source.image_size:
        raise InputError(
            f"This attention map is of a picture of {source.image_size[0]} x {source.image_size[1]} pixels, "
            f"the stimulus has {picture.width} x {picture.height}. Give the stimulus that was measured."
        )
    return source, picture


def _map_of(vlm: VLM, stimulus: Stimulus, answer: Answer | None = None) -> AttentionMap:
    """Return a map of all layers and heads; where it cannot be, what `measure_attention_map` advises is not
    for here.
    """
    try:
        return measure_attention_map(vlm, stimulus, answer)
    except InputError as error:
        if "layers=[...]" not in str(error):
            raise
        raise InputError(
            f"{error} AttentionPlayer itself takes no such choice, but a map that was measured with it: "
            "AttentionPlayer(isi.measure_attention_map(vlm, stimulus, layers=[...]), stimulus)."
        ) from error


def _model_of(trial: Trial, vlm: VLM | None) -> VLM:
    """Return the model that a trial is of: as given, or the embedded one, and the very same."""
    name = model_label(trial.model)
    if trial.model.get("server"):
        raise InputError(
            f"This trial is of {name}, which ran behind a server: a server shows only text. Load the model "
            f"itself, and play AttentionPlayer(vlm, trial.stimulus)."
        )
    if vlm is None:
        if trial.model.get("name") != "embedded":
            raise InputError(
                "A trial keeps no model, and an attention map needs it: AttentionPlayer(trial, vlm=...) with "
                f"the model of the trial, {name}."
            )
        from isi_widget.vlm import load_vlm

        vlm = load_vlm().intervene(*trial.interventions)
    if not is_vlm(vlm):
        return vlm  # refused with a word on what it is where it is measured
    info = vlm.info()
    known = trial.model.get("fingerprint"), info.get("fingerprint")
    if trial.model.get("name") == info.get("name") and (other := other_interventions(trial.model, info)):
        raise InputError(
            f"This trial was run {other}. Give the model with its interventions: "
            "AttentionPlayer(trial, vlm=vlm.intervene(*trial.interventions))."
        )
    if model_label(info) != name:
        raise InputError(f"This trial is of {name}, vlm is {model_label(info)}. Give the model of the trial.")
    if all(known) and known[0] != known[1]:
        raise InputError(
            f"This trial is of {name} with other weights, precision or prompt than vlm has. Give the model "
            f"of the "
            "trial (its Python loads it: trial.code()), or play AttentionPlayer(vlm, trial.stimulus)."
        )
    return vlm
