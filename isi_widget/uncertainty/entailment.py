"""The entailment model: what each answer says about each other answer to the same question.

The embedded model is offline, tiny and knows the language of the scenes only; any MNLI-style checkpoint of
Hugging Face can stand in its place. Not for deciding on clusters (`clusters`). Torch and transformers are
imported when a model is first loaded.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.quantization import Quantization
from isi_widget.uncertainty._checks import Floats, Ints
from isi_widget.uncertainty._loading import (
    REFERENCE,
    label_order,
    load_classifier,
    longest_input,
)

_CACHED_PAIRS = 50_000
_TOKENS_ON_CPU = 512  # of one forward pass; measured: more are slower per pair
_lock = threading.Lock()
_embedded: EntailmentModel | None = None


class EntailmentModel:
    """A three-way classifier of pairs (contradiction, neutral, entailment); safe to share between threads.

    Attributes
    ----------
    name : where it was loaded from. model, tokenizer : of transformers.
    order : index of contradiction, neutral and entailment among the model's own labels.
    longest : tokens of a pair that the model can read; the longer text of a longer pair is cut at its end.
    batch_size : pairs per forward pass, at most.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, batch_size: int = 32) -> None:
        self.name = name
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.order = label_order(model.config.id2label, name)
        self.longest = longest_input(model, tokenizer)
        self._cache: OrderedDict[tuple[str, str], Floats] = OrderedDict()
        self._lock = threading.RLock()

    def probabilities(
        self, question: str, answers: Sequence[str], *, prepend_question: bool = True
    ) -> Floats:
        """Probabilities of contradiction, neutral and entailment between all answers.

        Parameters
        ----------
        question : what the answers answer. answers : N >= 1 strings; empty ones are allowed.
        prepend_question : True reads each answer as "question answer", as Farquhar et al. do; False as it
            stands, so that "yes" and "no" lack what they affirm or deny.

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
        start = f"{question.strip()} " if prepend_question else ""
        texts = [f"{start}{answer.strip()}".strip() for answer in answers]
        different = list(dict.fromkeys(texts))
        table = self.pairs([(a, b) for a in different for b in different if a != b])
        same = np.array([0.0, 0.0, 1.0])
        square = np.array([[same if a == b else table[a, b] for b in different] for a in different])
        place = {text: k for k, text in enumerate(different)}
        rows = [place[text] for text in texts]
        return square[np.ix_(rows, rows)]

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
        if not pairs:
            return found
        premises, hypotheses = map(list, zip(*pairs, strict=True))
        texts = self.tokenizer(premises, hypotheses, truncation=True, max_length=self.longest)
        with torch.inference_mode():
            for bucket in self._buckets([len(ids) for ids in texts["input_ids"]]):
                rows = {name: [values[k] for k in bucket] for name, values in texts.items()}
                inputs = self.tokenizer.pad(rows, return_tensors="pt").to(self.model.device)
                logits = self.model(**inputs).logits[:, list(self.order)]
                values = torch.softmax(logits.double(), dim=-1).cpu().numpy()
                if not np.isfinite(values).all():
                    raise InputError(f"{self.name} gave NaN; load it with dtype='float32'.")
                found.update(zip((pairs[k] for k in bucket), values, strict=True))
        return found

    def _buckets(self, lengths: list[int]) -> list[list[int]]:
        """Indices of pairs that are run together: of similar length, so that there is little padding; on the
        CPU fewer of long ones, whose intermediate values would not stay in the cache.
        """
        most = math.inf if self.model.device.type != "cpu" else _TOKENS_ON_CPU
        buckets: list[list[int]] = [[]]
        for k in sorted(range(len(lengths)), key=lengths.__getitem__):
            size = len(buckets[-1]) + 1  # rising order: this pair would be the longest of its bucket
            if size > 1 and (size > self.batch_size or size * lengths[k] > most):
                buckets.append([])
            buckets[-1].append(k)
        return buckets


def load_entailment(
    name: str | Path | None = None,
    *,
    quantization: Quantization | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    use_safetensors: bool = True,
) -> EntailmentModel:
    """The embedded entailment model, or an MNLI-style checkpoint of Hugging Face.

    Parameters
    ----------
    name : None for the embedded one (always the same object, float32 on the CPU; the other arguments do not
        apply); else a local folder or a hub name of a sequence classifier whose labels are contradiction,
        neutral and entailment in any order, such as `REFERENCE`.
    quantization : None, "int8", "nf4" or "nf4-double" (bitsandbytes, an optional extra); embeddings, norms,
        pooler and classifier keep their precision.
    device : "auto" takes CUDA where there is one; it need not be the VLM's device. dtype : "auto" is float32
        on the CPU, the checkpoint's own elsewhere; when quantised, bfloat16 (float16 where the device lacks
        it) on CUDA.
    revision : of the hub repository. use_safetensors : False allows pickled weights, which can run code: only
        from a trusted source.

    Raises
    ------
    InputError : no such folder or hub name, no network, no such labels, incomplete weights, no safetensors,
        an unavailable device, a missing package.
    """
    global _embedded
    if name is not None:
        model, tokenizer = load_classifier(
            name,
            str(name),
            quantization=quantization,
            device=device,
            dtype=dtype,
            revision=revision,
            use_safetensors=use_safetensors,
        )
        return EntailmentModel(model, tokenizer, str(name))
    if quantization is not None:
        raise InputError(
            "The embedded entailment model has 0.4 million parameters and is not quantised. Name a "
            f"checkpoint, for example load_entailment({REFERENCE!r}, quantization={quantization!r})."
        )
    with _lock:
        if _embedded is None:
            if not (embedded.ENTAILMENT / "config.json").exists():
                raise InputError(
                    f"The embedded entailment model is missing from {embedded.ENTAILMENT}; reinstall "
                    f"isi-widget, or name another one, for example load_entailment({REFERENCE!r})."
                )
            model, tokenizer = load_classifier(embedded.ENTAILMENT, "embedded", device="cpu", quiet=True)
            _embedded = EntailmentModel(model, tokenizer, "embedded")
        return _embedded
