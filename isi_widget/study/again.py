"""A row of a study again: its observation, its stimulus, its trial, a probe of it.

Everything comes from the data of the run or, for a study that was opened, from its store. A store may come
from somebody else: it is read as records are, and loads no model with arguments that could run code. Not for
the rows themselves (`study`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isi_widget import checks
from isi_widget.datasets import Observation
from isi_widget.errors import InputError
from isi_widget.files import records
from isi_widget.interventions import Intervention, from_dicts
from isi_widget.stimulus import Picture, Presets, Stimulus
from isi_widget.stimulus.operations import plain
from isi_widget.study.identity import differences, identity
from isi_widget.trial import Trial, run_trial

if TYPE_CHECKING:
    import pandas as pd

    from isi_widget.study.study import Study
    from isi_widget.vlm.protocol import VLMLike
    from isi_widget.widget import Probe as Probe

#: Columns of a row that are needed to make its input again.
_COLUMNS = (
    *("row", "model", "condition", "index", "seed", "question", "context", "image", "stimulus"),
    *("stimulus_key", "interventions", "truth"),
)
#: Arguments of `load_vlm` that are taken from a store: none of them can run code.
_HARMLESS = ("quantize_vision", "device", "device_map", "check_memory")
_TITLE = "a row of a study"
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def row_of(study: Study, row: Any) -> dict[str, Any]:
    """Return the columns of a row that are needed here, from its number or the row itself.

    Raises
    ------
    InputError
        There is no such finished row.
    """
    number = row["row"] if isinstance(row, Mapping) or hasattr(row, "to_dict") else row
    number = checks.integer(checks.plain(number), "row", low=0)
    found = study.frame(_COLUMNS, numbers=[number])
    if not len(found):
        raise InputError(f"The study has no finished row {number}; study.rows has {len(study)} of them.")
    return plain_row(found)


def plain_row(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the first row of a frame without nested columns as a dict; missing values are None."""
    values = frame.iloc[0].to_dict().items()
    return {
        str(name): None if value is None or value != value else checks.plain(value) for name, value in values
    }


# ---- what the store keeps of an observation
def record_of(observation: Observation, index: int) -> dict[str, Any]:
    """Return an observation as the store keeps it: JSON-ready, pictures by their hash."""
    stimulus = observation.stimulus()
    return {
        "index": index,
        "id": observation.id,
        "image": stimulus.image.sha256,
        "question": observation.question,
        "context": observation.context,
        "answer": observation.answer,
        "level": observation.level,
        "contexts": observation.contexts,
        "about": None if stimulus.about is None else [plain(region) for region in stimulus.about],
    }


class Known:
    """An observation from a store: what a stimulus and a probe need of it."""

    def __init__(self, record: Mapping[str, Any], picture: Picture, annotated: Picture | None) -> None:
        about = record.get("about")
        self.observation = Observation(
            picture,
            str(record["question"]),
            str(record.get("context") or ""),
            record.get("answer"),
            annotated,
            record.get("contexts") or {},
            record.get("level"),
            record.get("id"),
        )
        presets = Presets({} if annotated is None else {"annotated": annotated}, record.get("contexts") or {})
        self.stimulus = Stimulus(
            picture,
            self.observation.question,
            self.observation.context,
            self.observation.answer,
            presets,
            about=None if about is None else tuple(about),
        )


def _known(study: Study, row: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Known:
    """Return the observation of a row from the store."""
    with records.damaged(_TITLE):
        record = study._store.observation(int(row["index"])) or {
            "question": row["question"],
            "context": row["context"],
            "answer": row["truth"],
            "image": row["image"],
        }
        digest = str(record["image"])
        if digest not in pictures:
            raise InputError(
                f"The picture {digest[:12]} of row {row['row']} is not in the store: it was run with "
                "keep_images=False, or the file was removed. Call isi.run_study with the same data and store "
                "instead of isi.open_study."
            )
        operations = json.loads(row["stimulus"] or "[]")
        annotated = next(
            (
                pictures[item["image"]]
                for item in operations
                if item.get("op") == "image" and item.get("preset") == "annotated"
            ),
            None,
        )
        return Known(record, pictures[digest], annotated)


# ---- again
def observation_again(study: Study, row: Any) -> Observation:
    """Return the observation of a row."""
    found = row_of(study, row)
    if study._given is not None:
        return study._given.data[int(found["index"])]
    return _known(study, found, study.pictures).observation


def stimulus_again(study: Study, row: Any) -> Stimulus:
    """Return the stimulus of a row.

    Raises
    ------
    InputError
        It cannot be made again, or what is made is different from what the model was shown.
    """
    found = row_of(study, row)
    if found["stimulus_key"] is None:
        raise InputError(
            f"Row {found['row']} has no stimulus: its condition {found['condition']!r} could not be applied."
        )
    if study._given is not None:
        condition = {item.name: item for item in study._given.conditions}[found["condition"]]
        made = condition(study._given.data[int(found["index"])])
    else:
        pictures = study.pictures
        known = _known(study, found, pictures)
        with records.damaged(_TITLE):
            operations = records.parse_json(found["stimulus"], "The stimulus of the row")
            held = {name: pictures[name] for name in _DIGEST.findall(found["stimulus"]) if name in pictures}
            made = known.stimulus.with_operations(operations, held)
    if made.key != found["stimulus_key"]:
        raise InputError(
            f"The stimulus of row {found['row']} cannot be made again: what comes out now is different from "
            "what the model was shown. A picture, a function of the condition or an in-painter has changed."
        )
    return made


def interventions_of(study: Study, row: Any) -> tuple[Intervention, ...]:
    """Return the interventions of a row's condition."""
    with records.damaged(_TITLE):
        return from_dicts(
            records.parse_json(row_of(study, row)["interventions"] or "[]", "The interventions")
        )


def trial_again(study: Study, row: Any, vlm: VLMLike | None = None) -> Trial:
    """Run a row again, with the same model, settings and seed."""
    found = row_of(study, row)
    model = model_of(study, found["model"], vlm)
    stimulus = stimulus_again(study, found)
    changed = interventions_of(study, found)
    settings = {
        name: value
        for name, value in study.settings.changed().items()
        if name not in ("measures", "of_measures", "seed")
    }
    given = study._given
    return run_trial(
        model.intervene(*changed) if changed else model,
        stimulus,
        measures=study.header["measures"] if given is None else given.how.measures,
        of_measures=study.settings.of_measures or None,
        entailment=study.header["entailment"] if given is None else given.how.entailment,
        seed=int(found["seed"]),
        **settings,
    )


def probe_again(study: Study, row: Any, vlm: VLMLike | None = None, run: bool = False) -> Probe:
    """Return a probe with the input, the interventions and the settings of a row."""
    from isi_widget.widget import Probe

    found = row_of(study, row)
    stimulus = stimulus_again(study, found)
    observation = observation_again(study, found)
    given = study._given
    data: Sequence[Observation] = [observation] if given is None else given.data
    model: Any = model_of(study, found["model"], vlm)
    entailment = study.header["entailment"] if given is None else given.how.entailment
    probe = Probe(model, observation, data=data, entailment=entailment)
    probe.stimulus = stimulus
    if changed := interventions_of(study, found):
        probe.interventions = changed
    settings = study.settings.to_dict() | {"seed": int(found["seed"])}
    probe.settings = {
        name: value for name, value in settings.items() if name not in ("measures", "of_measures")
    }
    if run:
        probe.run()
    return probe


def model_of(study: Study, label: str, vlm: VLMLike | None) -> VLMLike:
    """Return the model of a label: the one given, that of the run, or one that is loaded now.

    Raises
    ------
    InputError
        It is not the model of the rows, or cannot be loaded by name.
    """
    record = study.header["models"].get(label) or {}
    if vlm is None:
        vlm = _loaded(study, label, record)
    wrong = list(differences(record.get("identity", {}), identity(vlm.info()), early=True))
    if record.get("identity") and wrong:
        raise InputError(
            f"This is not the model {label!r} of the study: {'; '.join(wrong)}. Run another model on "
            "the input of a row with isi.run_trial(vlm, study.stimulus(row))."
        )
    return vlm


def _loaded(study: Study, label: str, record: Mapping[str, Any]) -> VLMLike:
    from isi_widget.vlm import load_vlm

    sources = () if study._given is None else study._given.sources
    source = next((item for item in sources if item.label == label), None)
    if source is not None and source.vlm is not None:
        return source.vlm
    if source is not None:
        return load_vlm(**(source.arguments or {}), reuse=True)
    info = record.get("info") or {}
    name, given = info.get("name"), info.get("loaded_with")
    if not isinstance(name, str) or not isinstance(given, Mapping) or info.get("server"):
        raise InputError(
            f"The model {label!r} was not loaded by isi.load_vlm, so it cannot be loaded again here: pass "
            "it, vlm=..."
        )
    if asked := [str(key) for key in given if key not in _HARMLESS]:
        raise InputError(
            f"The model {label!r} was loaded with {', '.join(asked)}, which could run code that comes with "
            "it. Load it yourself if you trust it, and pass it: vlm=..."
        )
    named = ("quantization", "revision", "adapter", "processor_args", "system", "history")
    arguments = {key: info[key] for key in named if info.get(key)}
    return load_vlm(None if name == "embedded" else name, **arguments, **given, reuse=True)
