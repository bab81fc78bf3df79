"""A trial as Python that repeats it, to be pasted into a cell.

Whatever a record says, its values become checked literals (`literals`); what a received record asks for that
could do harm (code of a checkpoint, a server's address) is a comment. Not for storing trials: `Trial.to_dict`
holds the pictures and the results too.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isi_widget import interventions
from isi_widget.stimulus import Drawing, Picture, ReplaceContext, ReplaceImage
from isi_widget.trial.code_pictures import PictureCode
from isi_widget.trial.literals import NoLiteral, call, literal, read_call

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus
    from isi_widget.trial import Trial

#: Arguments of `load_vlm` that let a checkpoint run code, or take safety away.
DANGEROUS = frozenset(
    {"trust_remote_code", "allow_pickle", "check_memory", "progress", "cancel", "name", "on"}
)


def trial_code(
    trial: Trial,
    observation: str | None = None,
    entailment: str = "auto",
    *,
    write_pictures: bool = False,
    reuse: bool = False,
) -> str:
    """Write Python that repeats `trial` and ends in it.

    A stimulus with something random from a data set that cannot be named comes whole, from its JSON.

    Parameters
    ----------
    observation : an expression of its observation; that of a built-in scene is found without you. Without
        it pictures are what `code_pictures` says.
    entailment : entailment model, for a trial without one.
    write_pictures : write pictures that the code reads from files.
    reuse : take a model that is loaded already.
    """
    stimulus, pictures = trial.stimulus, PictureCode(write_pictures)
    if observation is None:
        observation = _scene(stimulus)
    if observation is None and any(
        isinstance(operation, ReplaceImage | ReplaceContext) and operation.preset == "random"
        for operation in stimulus.operations
    ):
        made = [f"s = {pictures.of_stimulus(stimulus)}"]
    else:
        made = _pictures(stimulus, pictures)
        made += [f"obs = {observation or _observation(stimulus, pictures)}", stimulus.code("s")]
    settings = trial.settings.changed()
    settings |= _entailment(trial, entailment)
    changed = "".join(f", {name}={literal(value)}" for name, value in settings.items())

    def source(of: Stimulus) -> str:
        scene = _scene(of)
        plain = scene is not None and not of.operations
        return f"{scene}.stimulus()" if plain else pictures.of_stimulus(of)

    changes = interventions.code(trial.interventions, of_stimulus=source)
    edited = [f"edited = {changes}"] if trial.interventions else []
    imports = [f"import {name}" for name in sorted(pictures.imports)]
    return "\n".join(
        [
            *([*imports, ""] if imports else []),
            "import isi_widget as isi",
            "",
            *load_lines(trial.model, trial.received, reuse),
            *pictures.comments,
            *made,
            *edited,
            f"trial = isi.run_trial({'edited' if edited else 'vlm'}, s{changed})",
            "trial",
        ]
    )


def _entailment(trial: Trial, planned: str) -> dict[str, str]:
    """Return the name of the entailment model; nothing if "auto" always chooses it."""
    uncertainty = trial.uncertainty
    if uncertainty is None or not uncertainty.entailment:
        return {} if planned == "auto" else {"entailment": planned}
    usual = "embedded" if trial.model.get("name") == "embedded" else None
    return {} if uncertainty.entailment == usual else {"entailment": uncertainty.entailment}


def _scene(stimulus: Stimulus) -> str | None:
    """Return an expression for the built-in scene of a stimulus."""
    from isi_widget.datasets import scenes, things

    texts = (stimulus.question, stimulus.context, stimulus.true_answer)
    for world in (things, scenes):
        for number, scene in enumerate(world()):
            if (scene.question, scene.context, scene.answer) != texts:
                continue  # before its image, which would be rendered
            if scene.stimulus() == stimulus.with_operations([]):
                return f"isi.datasets.{world.__name__}()[{number}]"
    return None


def load_lines(model: Mapping[str, Any], received: bool = False, reuse: bool = False) -> list[str]:
    """Write the code that loads or connects a model as `vlm`.

    Parameters
    ----------
    model : `VLM.info()` of it.
    received : whether the record may be somebody else's: its further requests become comments.
    reuse : take a model that is loaded already.
    """
    try:
        if "code" in model:  # a model that is not loaded here knows how it is reached
            return _connect(model["code"], received)
        if model.get("loaded_with", {}) is None:  # the key is not in older records
            return [
                f"# vlm is the model {literal(model.get('name'))}, which was made by hand and not by "
                "isi.load_vlm()"
            ]
        name, given, asked = _switches(model, received)
        arguments = [] if name == "embedded" else [name]
        given |= {"reuse": True} if reuse else {}
        if in_place := model.get("set_in_place"):
            asked += [
                f"# These settings were changed after it was loaded; set them again: {literal(in_place)}"
            ]
        return [*asked, f"vlm = {call('isi.load_vlm', *arguments, **given)}"]
    except NoLiteral as problem:
        return [f"# The record of the model cannot be written as Python ({problem}): make vlm yourself."]


def _connect(code: Any, received: bool) -> list[str]:
    """Write the call that connects a server, rebuilt from its values."""
    arguments, named = read_call(code, "isi.connect")
    line = f"vlm = {call('isi.connect', *arguments, **named)}"
    if not received:
        return [line]
    return [
        "# The trial comes from a file. Connecting sends the picture and the question (and your key, if one "
        "is set) to this address; take the line only if you trust it:",
        f"# {line}",
    ]


def _switches(model: Mapping[str, Any], received: bool) -> tuple[Any, dict[str, Any], list[str]]:
    """Return the name of a loaded model, the arguments of `load_vlm`, and the comments."""
    name, dtype = model.get("name"), model.get("dtype")
    given = {key: model.get(key) for key in ("quantization", "revision")}
    # 4-bit matrices that are multiplied in another precision than the rest come from dtype="auto" only
    automatic = (
        str(given["quantization"]).startswith("nf4") and (model.get("compute_dtype") or dtype) != dtype
    )
    usual = "float32" if name == "embedded" else None
    given["dtype"] = None if automatic or dtype == usual else dtype
    if name == "embedded" and str(model.get("device", "cpu")) != "cpu":
        given["device"] = model["device"]  # it is on the CPU unless one asks
    given |= {key: model[key] for key in ("adapter", "processor_args", "system", "history") if model.get(key)}
    switches = model.get("loaded_with", {})
    if not isinstance(switches, Mapping):
        raise NoLiteral("how it was loaded is not said by name")
    asked = {key: value for key, value in switches.items() if received and not _harmless(key)}
    given |= {key: value for key, value in switches.items() if key not in asked}
    lines = (
        []
        if not asked
        else [
            f"# The trial comes from a file, which also asks load_vlm for {literal(asked)}: that may run "
            "code. Add it only if you trust who made the file."
        ]
    )
    return name, {key: value for key, value in given.items() if value is not None}, lines


def _harmless(name: Any) -> bool:
    """Return whether an argument of `load_vlm` is safe to use from a foreign record."""
    from isi_widget.vlm import load_vlm

    return name in inspect.signature(load_vlm).parameters and name not in DANGEROUS


def _pictures(stimulus: Stimulus, pictures: PictureCode) -> list[str]:
    """Write the dict of custom images for the stimulus' code; nothing if there are none."""
    own: dict[str, Picture] = {}
    code = stimulus.code()
    for operation in stimulus.operations:
        custom = isinstance(operation, ReplaceImage) and operation.preset == "custom"
        seen = isinstance(operation, Drawing) and not operation.hidden
        if custom or seen:
            used = (picture for picture in operation.pictures if picture.sha256 in code)
            own.update((picture.sha256, picture) for picture in used)
    entries = ", ".join(f"{digest!r}: {pictures.of(picture)}" for digest, picture in own.items())
    return [f"pictures = {{{entries}}}"] if own else []


def _observation(stimulus: Stimulus, pictures: PictureCode) -> str:
    arguments = [pictures.of(stimulus.image), literal(stimulus.question)]
    if stimulus.context:
        arguments.append(f"context={literal(stimulus.context)}")
    if stimulus.true_answer is not None:
        arguments.append(f"answer={literal(stimulus.true_answer)}")
    annotated = next(
        (
            operation.picture
            for operation in stimulus.operations
            if isinstance(operation, ReplaceImage) and operation.preset == "annotated"
        ),
        None,
    )
    if annotated is not None:
        arguments.append(f"annotated={pictures.of(annotated)}")
    if stimulus.presets.contexts:
        arguments.append(f"contexts={literal(stimulus.presets.contexts)}")
    return f"isi.Observation({', '.join(arguments)})"
