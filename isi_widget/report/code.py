"""A trial as Python that repeats it, to be pasted into a cell.

Not for storing trials: `Trial.to_dict` holds the pictures and the results too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isi_widget.stimulus import Picture, ReplaceContext, ReplaceImage

if TYPE_CHECKING:
    from isi_widget.stimulus import Stimulus
    from isi_widget.trial import Trial


def trial_code(trial: Trial, observation: str | None = None) -> str:
    """Python that repeats `trial`; `observation` is an expression of its observation, if there is one.

    Without it, and if it is none of the built-in scenes, images come from files; a comment says how to write
    each. A stimulus with something random from its data set cannot be built without that data set: it comes
    whole, from its JSON.
    """
    lines = ["import isi_widget as isi", "", _load(trial)]
    stimulus = trial.stimulus
    if observation is None:
        observation = _scene(stimulus)
    if observation is None and any(
        isinstance(operation, ReplaceImage | ReplaceContext) and operation.preset == "random"
        for operation in stimulus.operations
    ):
        lines = ["from pathlib import Path", "", *lines]
        lines += ['# Path("stimulus.json").write_text(trial.stimulus.to_json()) writes it']
        lines += ['s = isi.Stimulus.from_json(Path("stimulus.json").read_text())']
    else:
        lines += _pictures(stimulus)
        lines += [f"obs = {observation}"] if observation is not None else _observation(stimulus)
        lines += [stimulus.code("s")]
    settings = trial.settings.changed()
    judge = "embedded" if trial.uncertainty is None else trial.uncertainty.entailment
    if judge not in ("", "embedded"):
        settings["entailment"] = judge
    changed = "".join(f", {name}={value!r}" for name, value in settings.items())
    lines += [f"trial = isi.run_trial(vlm, s{changed})"]
    return "\n".join(lines)


def _scene(stimulus: Stimulus) -> str | None:
    """The built-in scene that a stimulus begins with, as an expression."""
    from isi_widget.datasets import scenes

    texts = (stimulus.question, stimulus.context, stimulus.answer)
    for number, scene in enumerate(scenes()):
        if (scene.question, scene.context, scene.answer) != texts:
            continue  # before its image, which would be rendered
        if scene.stimulus() == stimulus.with_operations([]):
            return f"isi.datasets.scenes()[{number}]"
    return None


def _load(trial: Trial) -> str:
    model = trial.model
    if "code" in model:  # a model that is not loaded here knows how it is reached
        return f"vlm = {model['code']}"
    name, dtype = model.get("name"), model.get("dtype")
    switches = model.get("loaded_with", {})  # not in older records
    if switches is None:
        return f"# vlm is the model {name!r}, which was made by hand and not by isi.load_vlm()"
    given = {key: model.get(key) for key in ("quantization", "revision")}
    # 4-bit matrices that are multiplied in another precision than the rest come from dtype="auto" only
    automatic = (
        str(given["quantization"]).startswith("nf4") and (model.get("compute_dtype") or dtype) != dtype
    )
    usual = "float32" if name == "embedded" else None
    given["dtype"] = None if automatic or dtype == usual else dtype
    if name == "embedded" and str(model.get("device", "cpu")) != "cpu":
        given["device"] = model["device"]  # it is on the CPU unless one asks
    arguments = [] if name == "embedded" else [repr(name)]
    arguments += [f"{key}={value!r}" for key, value in (given | switches).items() if value is not None]
    return f"vlm = isi.load_vlm({', '.join(arguments)})"


def _file(picture: Picture) -> str:
    return f"image-{picture.sha256[:8]}.png"


def _save(picture: Picture) -> str:
    return f"# trial.stimulus.pictures[{picture.sha256!r}].pil().save({_file(picture)!r}) writes it"


def _pictures(stimulus: Stimulus) -> list[str]:
    """The dict of own images that the stimulus' code looks into; nothing if there are none."""
    own = {
        operation.picture.sha256: operation.picture
        for operation in stimulus.operations
        if isinstance(operation, ReplaceImage) and operation.preset == "custom"
    }
    if not own:
        return []
    entries = ", ".join(f"{digest!r}: {_file(picture)!r}" for digest, picture in own.items())
    saves = [_save(picture) for picture in own.values()]
    return [*saves, f"pictures = {{{entries}}}"]


def _observation(stimulus: Stimulus) -> list[str]:
    picture = stimulus.image
    arguments = [repr(_file(picture)), repr(stimulus.question)]
    if stimulus.context:
        arguments.append(f"context={stimulus.context!r}")
    if stimulus.answer is not None:
        arguments.append(f"answer={stimulus.answer!r}")
    saves = [f"# trial.stimulus.image.pil().save({_file(picture)!r}) writes it"]
    used = {operation.preset for operation in stimulus.operations if isinstance(operation, ReplaceImage)}
    if "annotated" in used:
        annotated = next(
            operation.picture
            for operation in stimulus.operations
            if isinstance(operation, ReplaceImage) and operation.preset == "annotated"
        )
        saves.append(_save(annotated))
        arguments.append(f"annotated={_file(annotated)!r}")
    if stimulus.presets.contexts:
        arguments.append(f"contexts={stimulus.presets.contexts!r}")
    return [*saves, f"obs = isi.Observation({', '.join(arguments)})"]
