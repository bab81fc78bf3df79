"""Trials whose results were recorded once, to be made again after the code was re-arranged.

More than 40 trials of three families (the embedded LLaVA, tiny Qwen2.5-VL, tiny Gemma 3): every operation and
preset of a stimulus, every measure, every setting of a run; one more trial of each other family. `python
tests/parity/recorded_trials.py FOLDER` writes what the code on the path (`PYTHONPATH`) makes of them; with
`--add`, a trial that FOLDER already has is kept as it was recorded. Times, versions and sentences are left
out: numbers, identifiers and texts of the model are kept.
"""

from __future__ import annotations

import inspect
import json
import lzma
import math
import sys
import warnings
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models

import isi_widget as isi

#: How a setting is called now, if it was renamed since the record: recorded name -> names to try.
SETTINGS = {"what": ("measures", "what"), "strict": ("strict_entailment", "strict")}
EMBEDDED, QWEN, GEMMA = "embedded", "qwen2_5_vl", "gemma3"
RECORD, WHOLE_RECORD = "trials.json.xz", "whole_trials.json.xz"
#: Trials that are kept as their own records, too, to be read again.
WHOLE = ("embedded: sampled strict", "embedded: enumerated")
QUICK = {"samples": 5, "max_new_tokens": 10, "seed": 3}


@dataclass(frozen=True)
class Case:
    """One trial: which model is shown which of the built-in scenes, changed how, run how."""

    name: str
    family: str
    scene: int
    change: Any  # Stimulus -> Stimulus
    settings: dict[str, Any] = field(default_factory=dict)
    data: str = "scenes"


def _other_picture() -> np.ndarray:
    """A picture that no observation has: a smooth ramp, 96 x 64."""
    y, x = np.mgrid[0:64, 0:96]
    return np.stack([2 * x, 3 * y, 255 - x - y], axis=-1).astype(np.uint8)


TRIANGLE = [(20, 20), (200, 60), (90, 180)]
REGION = (60, 50, 180, 140)
DISC = isi.Mask.from_array(
    (np.arange(480)[:, None] - 170) ** 2 + (np.arange(480) - 150) ** 2 <= 60**2
).with_feather(5)

#: Every operation and preset of a stimulus.
CHANGES = {
    "none": lambda s: s,
    "box": lambda s: s.box(40, 30, 120, 80).box(200.5, 210.25, 60, 40, "#ff8800", False, 5, 30),
    "ellipse": lambda s: s.ellipse(100, 90, 140, 60, "#00aa00").ellipse(30, 30, 50, 90, "blue", False, 4, 45),
    "polygon": lambda s: s.polygon(TRIANGLE, "#336699").polygon([(9, 9), (60, 9), (60, 70)], "red", False, 6),
    "line": lambda s: s.line((10, 12), (300, 240), "#aa00aa", 7),
    "arrow": lambda s: s.arrow((30, 200), (220, 90), "#000000", 4).arrow(
        (300, 40), (200, 150), "red", 3, "here", 20
    ),
    "text": lambda s: s.text(30, 40, "a red star", 28, "#ffffff").text(120, 200, "Grüße", 18, "navy", 30),
    "noise": lambda s: s.noise(0.3, 1).noise(0.5, 2, REGION).noise(0.4, 3, TRIANGLE),
    "blur": lambda s: s.blur(3.5).blur(9, REGION),
    "pixelate": lambda s: s.pixelate(16).pixelate(40, TRIANGLE),
    "erase": lambda s: s.erase(REGION).erase(TRIANGLE, "#808080"),
    "inpaint": lambda s: s.erase(REGION, "inpaint"),
    "patch": lambda s: s.patch((100, 100, 80, 60), 250, 40, 160, 90).patch(
        (10, 10, 40, 30), 60, 200, image=_other_picture()
    ),
    "edited": lambda s: s.box(40, 30, 120, 80).line((0, 0), (90, 90)).text(5, 5, "no").move(2, 0).undo(),
    "image annotated": lambda s: s.with_image(preset="annotated"),
    "image random": lambda s: s.with_image(preset="random", seed=5).box(10, 10, 50, 50),
    "image natural": lambda s: s.with_image(preset="random", seed=5).with_image(preset="natural"),
    "image own": lambda s: s.with_image(_other_picture()).blur(1.5),
    "context complementary": lambda s: s.with_context(preset="complementary"),
    "context contradictory": lambda s: s.with_context(preset="contradictory"),
    "context irrelevant": lambda s: s.with_context(preset="irrelevant"),
    "context random": lambda s: s.with_context(preset="random", seed=2),
    "context empty": lambda s: s.with_context("A star.").with_context(preset="empty"),
    "context own": lambda s: s.with_context("The star is red. Ein Gruß: 東京 🙂"),
    "question": lambda s: s.with_question("What colour is the square?"),
    "everything": lambda s: (
        s.with_image(preset="annotated")
        .with_context(preset="contradictory")
        .with_question("How many stars are there?")
        .box(40, 30, 120, 80)
        .noise(0.2, 7)
        .blur(2, REGION)
        .text(60, 60, "two", 30)
    ),
}
#: Every edit of things, effect on a mask, and later effect; of one scene, since a mask fits one size.
EDITS = {
    "remove": lambda s: s.remove(REGION).remove(DISC, inpainter="telea"),
    "move": lambda s: s.move(DISC, (250, 200)),
    "resize": lambda s: s.resize(TRIANGLE, 0.5).resize(REGION, 1.5),
    "swap": lambda s: s.swap(DISC, (300, 250, 90, 70)),
    "mirror": lambda s: s.mirror().mirror(DISC, "vertical"),
    "insert": lambda s: s.insert(_other_picture(), (20, 30, 120, 90), feather=4).insert(None, (5, 5), DISC),
    "recolor": lambda s: s.recolor(DISC, "#3366cc").recolor(REGION, "white"),
    "retexture": lambda s: s.retexture(DISC, _other_picture()).retexture(TRIANGLE, source=REGION),
    "downscale": lambda s: s.downscale(64),
    "jpeg": lambda s: s.jpeg(20),
    "mask": lambda s: s.noise(0.5, 4, DISC).blur(6, DISC),
}
#: Changes of an observation of everyday things.
THINGS = {"nudging": lambda s: s.with_context(preset="nudging")}
_ENUMERATED = {"method": "enumerated", "mass": 0.9, "budget": 64, "max_new_tokens": 6}


def cases() -> list[Case]:
    """All trials, in the order of the record."""
    scenes = [3, 5, 8, 4, 7]
    made = [
        Case(f"{EMBEDDED}: {name}", EMBEDDED, scenes[at % len(scenes)], change, QUICK)
        for at, (name, change) in enumerate(CHANGES.items())
    ]
    made += [Case(f"{EMBEDDED}: {name}", EMBEDDED, 3, change, QUICK) for name, change in EDITS.items()]
    made += [
        Case(f"{EMBEDDED}: {name}", EMBEDDED, 0, change, QUICK, "things") for name, change in THINGS.items()
    ]
    plain, full = CHANGES["none"], CHANGES["everything"]
    settings = {
        "one cluster": (EMBEDDED, full, {"samples": 1, "max_new_tokens": 3}),
        "beams": (EMBEDDED, plain, {**QUICK, "num_beams": 3}),
        "do_sample": (
            EMBEDDED,
            plain,
            {**QUICK, "do_sample": True, "temperature": 1.7, "top_k": 20, "top_p": 0.9},
        ),
        "enumerated": (EMBEDDED, plain, _ENUMERATED),
        "sampled strict": (
            EMBEDDED,
            full,
            {**QUICK, "samples": 12, "likelihood": "sampled", "strict": True, "temperature": 1.5},
        ),
        "answers alone": (EMBEDDED, full, {**QUICK, "prepend_question": False, "samples": 40}),
        "rules": (EMBEDDED, plain, {**QUICK, "entailment": "rules"}),
        "answer only": (QWEN, full, {"what": ["answer"], "max_new_tokens": 24}),
        "uncertainty only": (QWEN, plain, {**QUICK, "what": ["uncertainty"], "strict": True}),
        "qwen beams": (QWEN, CHANGES["box"], {**QUICK, "num_beams": 4}),
        "qwen sampled": (QWEN, CHANGES["context own"], {**QUICK, "likelihood": "sampled", "top_p": 0.8}),
        "attention only": (GEMMA, full, {"what": ["attention"], "max_new_tokens": 8}),
        "gemma": (GEMMA, CHANGES["image own"], {**QUICK, "samples": 16, "entailment": "embedded"}),
        "gemma enumerated": (
            GEMMA,
            CHANGES["noise"],
            {**_ENUMERATED, "mass": 0.3, "temperature": 0.5, "max_new_tokens": 3},
        ),
    }
    made += [
        Case(f"{family}: {name}", family, 8, change, chosen)
        for name, (family, change, chosen) in settings.items()
    ]
    listed = sorted((tiny_models.BUILDERS | tiny_models.UNLISTED).keys() - {QWEN, GEMMA})
    return made + [Case(f"{family}: {family}", family, 6, CHANGES["context own"], QUICK) for family in listed]


def _called(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings under the names that the code on the path has for them."""
    known = inspect.signature(isi.run_trial).parameters
    return {
        next(name for name in SETTINGS.get(setting, (setting,)) if name in known): value
        for setting, value in settings.items()
    }


def _digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:16]


def _answer(answer: Any, *, whole: bool) -> dict[str, Any]:
    record = dict(answer.to_dict())
    if not whole:  # the prompt is the same as that of the shown answer
        record["prompt_ids"] = _digest(record["prompt_ids"])
    return record


def _uncertainty(found: Any) -> dict[str, Any]:
    record = {**found.to_dict(), "answers": [_answer(answer, whole=False) for answer in found.answers]}
    record["judge"] = {name: value for name, value in record["judge"].items() if name != "reason"}
    return record


def _attention_map(vlm: Any, stimulus: Any, answer: Any) -> dict[str, Any] | None:
    """The map of an answer: what each layer and head gives, and where it lies."""
    if vlm.unavailable.get("attention") or vlm.unavailable.get("image_map"):
        return None
    found = isi.measure_attention_map(vlm, stimulus, answer)
    return {
        "heads": found.mass.sum(axis=-1).tolist(),
        "tokens": found.mass.mean(axis=(1, 2)).tolist(),
        "text": found.text_mass.mean(axis=(1, 2)).tolist(),
        "text_tokens": list(found.text_tokens),
        "boxes": np.asarray(found.boxes, dtype=float).tolist(),
    }


def run(case: Case) -> tuple[Any, dict[str, Any] | None]:
    """The trial of a case, and the attention map of its answer."""
    vlm = isi.load_vlm() if case.family == EMBEDDED else tiny_models.vlm(case.family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # drawings that lie partly outside, answers that were cut off
        stimulus = case.change(getattr(isi.datasets, case.data)()[case.scene].stimulus())
        settings = {"entailment": "embedded" if case.family == EMBEDDED else "rules"} | case.settings
        trial = isi.run_trial(vlm, stimulus, **_called(settings))
        answer = trial.answer
        heat = None if answer is None or not answer.tokens else _attention_map(vlm, stimulus, answer)
    return trial, heat


def described(trial: Any) -> dict[str, Any]:
    """The contents of a trial as plain data, by its attributes."""
    stimulus, answer = trial.stimulus, trial.answer
    rendered = stimulus.render()
    return {
        "stimulus": stimulus.to_dict(embed=False),
        "stimulus_key": stimulus.key,
        "pixels": [*rendered.size, sha256(rendered.tobytes()).hexdigest()],
        "truth": stimulus.truth,
        "correct": trial.correct,
        "answer": None if answer is None else _answer(answer, whole=True),
        "yes_no": None if trial.yes_no is None else dict(trial.yes_no),
        "uncertainty": None if trial.uncertainty is None else _uncertainty(trial.uncertainty),
        "attention": None if trial.attention is None else trial.attention.to_dict(),
        "settings": trial.settings.to_dict(),
        "model": {
            name: value
            for name, value in trial.model.items()
            if name in ("name", "family", "parameters", "dtype", "quantization", "fingerprint")
        },
        "notes": len(trial.notes),
        "row": _row(trial),
    }


def _row(trial: Any) -> dict[str, Any]:
    """The trial's row of a frame, but times, versions and sentences."""
    (row,) = json.loads(trial.to_frame().to_json(orient="records", double_precision=15))
    left_out = ("created", "seconds", "version_", "notes", "caveats", "entailment_doubts", "model_device")
    newer = ("key", "interventions")  # columns that the recorded code did not have
    return {name: value for name, value in row.items() if name not in newer and not name.startswith(left_out)}


def short(value: Any) -> Any:
    """As JSON keeps it, with the first nine digits of floats, which hold a float32 whole."""
    if isinstance(value, dict):
        return {str(name): short(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [short(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else repr(value)
    return value


def read(path: Path) -> Any:
    """What a record holds."""
    return json.loads(lzma.decompress(path.read_bytes()))


def write(folder: Path, kept: dict[str, Any], whole: dict[str, Any]) -> None:
    """Make every trial that is not in `kept`; two trials whole, as `Trial.to_dict` writes them."""
    found = []
    for case in cases():
        if case.name not in kept:
            trial, heat = run(case)
            kept[case.name] = short({"name": case.name, **described(trial), "map": heat})
            if case.name in WHOLE:
                whole[case.name] = trial.to_dict()
        found.append(kept[case.name])
    for name, value in {RECORD: found, WHOLE_RECORD: whole}.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        (folder / name).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    *options, chosen = sys.argv[1:]
    target = Path(chosen)
    if options == ["--add"]:
        write(target, {trial["name"]: trial for trial in read(target / RECORD)}, read(target / WHOLE_RECORD))
    else:
        write(target, {}, {})
