"""The entailment model: what each answer says about each other answer to the same question.

The embedded model is offline, tiny and knows the language of the scenes only; any MNLI-style checkpoint of
Hugging Face can stand in its place. Not for deciding on clusters (`clusters`). Torch and transformers are
imported when a model is first loaded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.hub import progress_bars
from isi_widget.uncertainty._checks import Floats, Ints

REFERENCE = "microsoft/deberta-v2-xlarge-mnli"
"""The model of Farquhar et al. (Nature 630, 2024), for answers in natural language."""

_LABELS = ("contradict", "neutral", "entail")
_CACHED_PAIRS = 50_000
_lock = threading.Lock()
_embedded: EntailmentModel | None = None


class EntailmentModel:
    """A three-way classifier of pairs (contradiction, neutral, entailment); safe to share between threads.

    Attributes
    ----------
    name : where it was loaded from. model, tokenizer : of transformers. order : index of contradiction,
        neutral and entailment
    among the model's own labels. batch_size : pairs per forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, batch_size: int = 32) -> None:
        self.name = name
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.order = label_order(model.config.id2label, name)
        self._cache: OrderedDict[tuple[str, str], Floats] = OrderedDict()
        self._lock = threading.RLock()

    def probabilities(self, question: str, answers: Sequence[str]) -> Floats:
        """Probabilities of contradiction, neutral and entailment between all answers.

        Parameters
        ----------
        question : prepended to every answer, as "question answer". answers : N >= 1 strings; empty ones are
            allowed.

        Returns
        -------
        float [N, N, 3], premise row i, hypothesis column j. Equal answers (but for white space around them)
        entail each other with probability 1 without being asked. Both directions of all other pairs are run
        once, in buckets of similar length, and kept by content for the next call.
        """
        if isinstance(answers, str) or not all(isinstance(a, str) for a in answers):
            raise InputError("answers is a list of strings.")
        if len(answers) < 1:
            raise InputError("At least one answer is needed; got none.")
        texts = [f"{question.strip()} {answer.strip()}".strip() for answer in answers]
        different = list(dict.fromkeys(texts))
        table = self.pairs([(a, b) for a in different for b in different if a != b])
        same = np.array([0.0, 0.0, 1.0])
        return np.array([[same if a == b else table[a, b] for b in texts] for a in texts])

    def relations(self, question: str, answers: Sequence[str]) -> Ints:
        """The most likely relation of each pair, int [N, N]: 0 contradiction, 1 neutral, 2 entailment."""
        return np.argmax(self.probabilities(question, answers), axis=2).astype(np.int64)

    def pairs(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Floats]:
        """Probabilities [3] of (premise, hypothesis) texts, question included; cached by content."""
        pairs = list(dict.fromkeys(pairs))
        with self._lock:
            found = {pair: self._cache[pair] for pair in pairs if pair in self._cache}
            found |= self._run([pair for pair in pairs if pair not in found])
            for pair in pairs:  # the pairs of this call become the youngest
                self._cache[pair] = found[pair]
                self._cache.move_to_end(pair)
            while len(self._cache) > _CACHED_PAIRS:
                self._cache.popitem(last=False)
        return found

    def _run(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Floats]:
        import torch

        found: dict[tuple[str, str], Floats] = {}
        pairs = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))  # little padding within a bucket
        limit = min(
            self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", 512)
        )
        with torch.inference_mode():
            for start in range(0, len(pairs), self.batch_size):
                bucket = pairs[start : start + self.batch_size]
                premises, hypotheses = map(list, zip(*bucket, strict=True))
                inputs = self.tokenizer(
                    premises, hypotheses, padding=True, truncation=True, max_length=limit, return_tensors="pt"
                )
                logits = self.model(**inputs.to(self.model.device)).logits[:, list(self.order)]
                values = torch.softmax(logits.double(), dim=-1).cpu().numpy()
                if not np.isfinite(values).all():
                    raise InputError(f"{self.name} gave NaN; load it with dtype='float32'.")
                found.update(zip(bucket, values, strict=True))
        return found


def load_entailment(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    use_safetensors: bool = True,
) -> EntailmentModel:
    """The embedded entailment model, or an MNLI-style checkpoint of Hugging Face.

    Parameters
    ----------
    name : None for the embedded one (always the same object, on the CPU); else a local folder or a hub name
        of a sequence classifier whose labels are contradiction, neutral and entailment in any order, such as
        `REFERENCE`.
    device : "auto" takes CUDA where there is one. dtype : "auto" is float32 on the CPU, the checkpoint's own
        elsewhere.
    revision : of the hub repository. use_safetensors : False allows pickled weights, which can run code: only
        from a trusted source.

    Raises
    ------
    InputError : no such folder or hub name, no network, no such labels.
    """
    global _embedded
    if name is None:
        with _lock:
            if _embedded is None:
                if not (embedded.ENTAILMENT / "config.json").exists():
                    raise InputError(
                        f"The embedded entailment model is missing from {embedded.ENTAILMENT}; reinstall "
                        f"isi-widget, or name another one, for example load_entailment({REFERENCE!r})."
                    )
                _embedded = _load(embedded.ENTAILMENT, "embedded", "cpu", "float32", None, True)
            return _embedded
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    return _load(name, str(name), device, dtype, revision, use_safetensors)


def label_order(id2label: Mapping[int, str], name: str) -> tuple[int, int, int]:
    """Index of contradiction, neutral and entailment among a model's labels; refused when its configuration
    does not say.
    """
    found = []
    for stem in _LABELS:
        # "not_entailment" of two-way models must not pass for entailment
        hits = [i for i, label in id2label.items() if str(label).lower().startswith(stem)]
        if len(hits) != 1 or len(id2label) != 3:
            raise InputError(
                f"{name} has the labels {list(id2label.values())}; expected contradiction, neutral and "
                "entailment. Choose an MNLI-style checkpoint, or put the names into id2label of its config."
            )
        found.append(int(hits[0]))
    return found[0], found[1], found[2]


def _load(
    source: str | Path, name: str, device: str, dtype: str, revision: str | None, use_safetensors: bool
) -> EntailmentModel:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(source, revision=revision)
        label_order(config.id2label, name)  # before anything large is fetched
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        with progress_bars(shown=source != embedded.ENTAILMENT):
            model = AutoModelForSequenceClassification.from_pretrained(
                source, revision=revision, dtype=dtype, use_safetensors=use_safetensors
            )
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"No entailment model could be loaded from {name!r}: {reason} "
            "Expected a local folder or the name of a sequence classifier on the Hugging Face hub; "
            "load_entailment() without a name needs neither."
        ) from error
    return EntailmentModel(model.to(device), tokenizer, name)
