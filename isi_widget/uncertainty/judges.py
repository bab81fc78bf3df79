"""The known entailment models (`entailment_models`) and the choice of one.

The embedded model knows the language of the built-in scenes, so it compares answers of the embedded VLM.
Answers of other VLMs need a model of natural language. It is taken from the disk: a large model is downloaded
only if you name it. Not for loading a model (`load_entailment`), nor for using it (`judge.compare`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from isi_widget import embedded
from isi_widget.errors import Cancelled, InputError
from isi_widget.pretrained.devices import choose_device
from isi_widget.pretrained.hub import Cancel, Progress
from isi_widget.readable import html_table
from isi_widget.uncertainty._files import on_disk
from isi_widget.uncertainty._loading import REFERENCE
from isi_widget.uncertainty.entailment import EntailmentModel, load_entailment
from isi_widget.uncertainty.judge import EMBEDDED, RULES, Chosen, Entailment, RuleJudge

AUTO = "auto"
#: Free bytes on a device ("cpu", "cuda"); None if unknown.
FreeMemory = Callable[[str], int | None]
State = Literal["shipped", "loaded", "on disk", "to be downloaded"]
_ROOM = 1.3  # times the weights: rough memory for the weights and a batch of pairs


@dataclass(frozen=True)
class EntailmentCheckpoint:
    """A known entailment model.

    Attributes
    ----------
    name : name for `load_entailment`, `run_trial(entailment=...)` and `Probe(entailment=...)`.
    parameters : number of parameters.
    download : size of its weights on the hub, bytes; 0 for the embedded model.
    licence : licence of the weights, from the model card.
    languages : languages of its training data.
    trained_on : training data sets.
    """

    name: str
    parameters: int
    download: int
    licence: str
    languages: str
    trained_on: str

    @property
    def memory(self) -> int:
        """Bytes of the weights in float32, as a CPU holds them."""
        return 4 * self.parameters

    @property
    def _count(self) -> str:
        return f"{self.parameters / 1e6:,.{1 if self.parameters < 1e7 else 0}f} M"

    @property
    def state(self) -> State:
        """Whether it is part of the package, loaded in this process, on the disk or to be downloaded; uses no
        network.
        """
        if self.name == EMBEDDED:
            return "shipped"
        if self.name in _loaded:
            return "loaded"
        return "on disk" if on_disk(self.name) is not None else "to be downloaded"

    def __str__(self) -> str:
        size = f"download {_size(self.download)}, " if self.download else ""
        return (
            f"{self.name}: {self._count} parameters, {size}memory {_size(self.memory)} in float32, licence "
            f"{self.licence}, {self.languages}, trained on {self.trained_on}; {self.state}"
        )


#: Best first. Numbers of parameters follow from the configurations (the tests recount them); download sizes
#: are those of the safetensors files on the hub. The first model has safetensors only in a pull request of
#: the hub's bot.
_KNOWN = (
    EntailmentCheckpoint(REFERENCE, 886_958_595, 1_770_000_000, "mit", "English", "MNLI"),
    EntailmentCheckpoint(
        "FacebookAI/roberta-large-mnli", 355_362_819, 1_430_000_000, "mit", "English", "MNLI"
    ),
    EntailmentCheckpoint(
        "cross-encoder/nli-deberta-v3-base", 184_424_451, 738_000_000, "apache-2.0", "English", "SNLI, MNLI"
    ),
    EntailmentCheckpoint(
        "MoritzLaurer/mDeBERTa-v3-base-mnli-xnli",
        278_811_651,
        558_000_000,
        "mit",
        "many languages",
        "MNLI, XNLI",
    ),
    EntailmentCheckpoint(
        "cross-encoder/nli-deberta-v3-xsmall", 70_831_107, 283_000_000, "apache-2.0", "English", "SNLI, MNLI"
    ),
)


@cache
def _shipped() -> EntailmentCheckpoint:
    """Describe the embedded model; its parameters are counted from the header of its file."""
    from safetensors import safe_open

    with safe_open(embedded.ENTAILMENT / "model.safetensors", "np") as weights:
        count = sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    return EntailmentCheckpoint(
        EMBEDDED, count, 0, "bsd-3-clause", "English of the built-in scenes", "pairs made from a grammar"
    )


class EntailmentCheckpoints(tuple[EntailmentCheckpoint, ...]):
    """Entailment models as a tuple that shows itself as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        rows = [
            (one.name, one._count, one.languages, one.trained_on, one.licence, _size(one.memory), one.state)
            for one in self
        ]
        head = ("name", "parameters", "languages", "trained on", "licence", "memory", "state")
        notes = ["Choose one by Probe(entailment=name) or run_trial(..., entailment=name)."]
        return html_table("Entailment models", head, rows, notes)


def entailment_models() -> tuple[EntailmentCheckpoint, ...]:
    """List the known entailment models: the embedded one first, then those of natural language, best first.

    The list is a suggestion, not a limit: `load_entailment` accepts any MNLI-style checkpoint.
    `entailment="auto"` chooses the first model that is on the disk and fits into free memory.
    """
    return EntailmentCheckpoints((_shipped(), *_KNOWN))


# ------------------------------------------------------------------------------------------------ the choice
_lock = threading.Lock()
_loaded: dict[str, EntailmentModel] = {}
_rules = RuleJudge()


def check_name(entailment: object) -> None:
    """Refuse anything but a name, a folder, None or an entailment model."""
    if entailment is None or isinstance(entailment, str | Path):
        return
    if not callable(getattr(entailment, "probabilities", None)):
        raise InputError(
            "entailment must be a name ('auto', 'embedded', 'rules', one of isi.entailment_models(), another "
            f"hub name or a folder) or an EntailmentModel; got {type(entailment).__name__}."
        )


def choose(
    entailment: Chosen | Entailment | str | Path | None,
    *,
    scenes: bool,
    free: FreeMemory = lambda _: None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Chosen:
    """Choose and load the entailment model for a VLM; named models stay loaded.

    Parameters
    ----------
    entailment : "auto" or None: the embedded model for the embedded VLM; for any other the first of
        `entailment_models` that is on the disk and fits into free memory, else the rules of wording. Or
        "embedded", "rules", a hub name (downloaded if it is not on the disk) or a folder. A model object or a
        `Chosen` is used unchanged.
    scenes : whether the VLM is the embedded one.
    free : function that returns the free bytes of a device.
    progress, cancel : as in `load_entailment`.

    Raises
    ------
    InputError : as in `load_entailment` for a named model. "auto" raises nothing: its reason explains why a
        model on the disk was not chosen.
    Cancelled : `cancel` returned True.
    """
    if isinstance(entailment, Chosen):
        return entailment
    check_name(entailment)
    if entailment is not None and not isinstance(entailment, str | Path):
        return Chosen(entailment, foreign=_is_embedded(entailment) and not scenes)
    name = AUTO if entailment is None else str(entailment)
    if name == RULES:
        return Chosen(_rules)
    if name == EMBEDDED:
        return Chosen(load_entailment(), foreign=not scenes)
    if name != AUTO:
        return Chosen(_load(name, progress=progress, cancel=cancel))
    if scenes:
        return Chosen(
            load_entailment(), True, "The embedded model knows the language of the built-in scenes."
        )
    return _automatic(free, progress, cancel)


def planned(scenes: bool, free: FreeMemory = lambda _: None) -> str:
    """Return the name of the model that "auto" would choose now, without loading it."""
    if scenes:
        return EMBEDDED
    return next((known.name for known in _KNOWN if _is_ready(known, free)), RULES)


def _is_ready(known: EntailmentCheckpoint, free: FreeMemory) -> bool:
    return known.state == "loaded" or (known.state == "on disk" and not _too_large(known, free))


def _is_embedded(model: Any) -> bool:
    return isinstance(model, EntailmentModel) and model.name == EMBEDDED


def _automatic(free: FreeMemory, progress: Progress | None, cancel: Cancel | None) -> Chosen:
    """Load the best known model that is on the disk and fits into memory; else use the rules."""
    passed_over: list[str] = []
    for known in _KNOWN:
        if known.state == "to be downloaded":
            continue
        if known.state == "on disk" and (reason := _too_large(known, free)):
            passed_over.append(reason)
            continue
        try:
            model = _load(known.name, local=True, progress=progress, cancel=cancel)
        except InputError as error:
            passed_over.append(str(error))
            continue
        best = "It is the best of the known models that are on the disk"
        return Chosen(model, True, ". ".join([best, *(r.rstrip(".") for r in passed_over)]) + ".")
    return Chosen(_rules, True, " ".join(passed_over) or "None of the known models is on the disk.")


def _too_large(known: EntailmentCheckpoint, free: FreeMemory) -> str:
    """Explain why a model on the disk does not fit; "" if it fits or if the free memory is unknown."""
    device = choose_device("auto", preferred=("cuda",)).type
    needed = int(_ROOM * (known.memory if device == "cpu" else known.download))
    there = free(device)
    if there is None or needed <= there:
        return ""
    return f"{known.name} needs {_size(needed)}, and {_size(there)} are free."


def _load(
    name: str, *, local: bool = False, progress: Progress | None = None, cancel: Cancel | None = None
) -> EntailmentModel:
    """Load a model by name, once per process."""
    while not _lock.acquire(timeout=0.2):  # another thread may be loading a model for minutes
        if cancel is not None and cancel():
            raise Cancelled(f"Loading {name} was cancelled.")
    try:
        if name not in _loaded:
            if progress is not None:
                progress(0.0, f"loading {name}")
            model = load_entailment(name, local_files_only=local, progress=progress, cancel=cancel)
            if progress is not None:
                progress(1.0, f"loaded {name}")
            model.languages = next((known.languages for known in _KNOWN if known.name == name), "")
            _loaded[name] = model
        return _loaded[name]
    finally:
        _lock.release()


def _size(count: int) -> str:
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def listed() -> Iterator[dict[str, Any]]:
    """Yield the known models for the page's list; JSON-ready."""
    for known in entailment_models():
        yield {
            "name": known.name,
            "parameters": known.parameters,
            "download": known.download,
            "memory": known.memory,
            "licence": known.licence,
            "languages": known.languages,
            "state": known.state,
        }
