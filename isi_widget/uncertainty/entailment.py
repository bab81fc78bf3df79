"""The entailment model: the relation between each pair of answers to the same question.

The embedded model is offline, tiny and knows only the language of the built-in scenes, of shapes and of
things; any MNLI-style checkpoint of Hugging Face can replace it. Not for clustering (`clusters`). Torch and
transformers are imported when a model is first loaded.
"""

from __future__ import annotations

import math
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isi_widget import embedded
from isi_widget.errors import InputError
from isi_widget.pretrained.hub import Cancel, Progress
from isi_widget.pretrained.listening import warnings_wait
from isi_widget.pretrained.quantization import Quantization
from isi_widget.uncertainty._checks import Floats, Ints
from isi_widget.uncertainty._files import Files, on_disk
from isi_widget.uncertainty._loading import (
    REFERENCE,
    label_order,
    load_classifier,
    longest_input,
)

_CACHED_PAIRS = 50_000
_TOKENS_ON_CPU = 512  # per forward pass; measured: more tokens are slower per pair
#: Tokens of the longest of 23,040 training pairs of the embedded model. From 97 tokens it starts to call
#: "Yes" and "No" to the same question neutral.
_TRAINED_LENGTH = 66
_lock = threading.Lock()
_embedded: EntailmentModel | None = None


@dataclass(frozen=True)
class Reading:
    """Tokenised answers, as an entailment model reads them.

    Attributes
    ----------
    texts : question and answer, as passed to the tokenizer.
    ids : token ids of each text, without the special tokens at its beginning and end.
    unknown : words of each text that the tokenizer does not know.
    shortened : whether the question lost its first words to make room for the answers.
    cut : for each text, whether a pair with it may still be too long and be truncated.
    """

    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    unknown: tuple[tuple[str, ...], ...]
    shortened: bool
    cut: tuple[bool, ...]


class EntailmentModel:
    """A three-way classifier of pairs (contradiction, neutral, entailment); safe to share between threads.

    Attributes
    ----------
    name : name or folder that it was loaded from.
    model : classifier of transformers.
    tokenizer : tokenizer of transformers.
    revision : commit on the hub; None for the embedded model and for folders.
    languages : languages that it is made for; "" if unknown.
    order : index of contradiction, neutral and entailment among the model's own labels.
    longest : largest number of tokens of a pair. A longer pair loses the first words of the question; if that
        is not enough, the longer text is truncated at its end.
    batch_size : largest number of pairs per forward pass.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str, batch_size: int = 32, revision: str | None = None
    ) -> None:
        self.name = name
        self.revision = revision
        self.languages = ""
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.order = label_order(model.config.id2label, name)
        self.longest = longest_input(model, tokenizer)
        self._cache: OrderedDict[tuple[str, str], Floats] = OrderedDict()
        self._made_by: object = None
        self._lock = threading.RLock()

    def probabilities(
        self, question: str, answers: Sequence[str], *, prepend_question: bool = True
    ) -> Floats:
        """Compute the probabilities of contradiction, neutral and entailment between all answers.

        Parameters
        ----------
        question : question that was answered.
        answers : N >= 1 strings; empty strings are allowed.
        prepend_question : True (default) reads each answer as "question answer", as Farquhar et al. do. False
            reads the answer alone; then "yes" and "no" lack the claim that they affirm or deny.

        Returns
        -------
        float [N, N, 3], premise row i, hypothesis column j. Answers with the same tokens entail each other
        with probability 1, without a forward pass. If their tokens are equal only because the model does not
        know the words in which they differ, or reads only their beginnings, they count as neutral. Both
        directions of all other pairs are run once, in groups of similar length, and cached by content for the
        next call.
        """
        reading = self.read(question if prepend_question else "", answers)
        first = {text: k for k, text in reversed(list(enumerate(reading.texts)))}
        different = list(first.values())
        square = self.judge(reading, [(i, j) for i in different for j in different])
        rows = [first[text] for text in reading.texts]
        return square[np.ix_(rows, rows)]

    def read(self, question: str, answers: Sequence[str]) -> Reading:
        """Tokenise answers to a question ("" reads them alone)."""
        if isinstance(answers, str) or not all(isinstance(a, str) for a in answers):
            raise InputError("answers is a list of strings.")
        if len(answers) < 1:
            raise InputError("At least one answer is needed; got none.")
        stripped, words = [answer.strip() for answer in answers], question.split()
        room = self.longest - self.tokenizer.num_special_tokens_to_add(pair=True)
        start = question.strip()
        texts = [f"{start} {answer}".strip() for answer in stripped]
        tokens = self._tokens(texts)
        shortened = False
        # The two longest texts may be a pair. Drop words at the beginning of the question: the end matters
        # most.
        while sum(sorted(map(len, tokens))[-2:]) > room and words:
            over = sum(sorted(map(len, tokens))[-2:]) - room
            words = words[max(1, over // 4) :]
            start, shortened = " ".join(words), True
            texts = [f"{start} {answer}".strip() for answer in stripped]
            tokens = self._tokens(texts)
        cut = [len(ids) > room / 2 and len(ids) + max(map(len, tokens)) > room for ids in tokens]
        unknown = [
            self._unknown_words(text) if self.tokenizer.unk_token_id in ids else ()
            for text, ids in zip(texts, tokens, strict=True)
        ]
        return Reading(tuple(texts), tuple(map(tuple, tokens)), tuple(unknown), shortened, tuple(cut))

    def judge(self, reading: Reading, wanted: Sequence[tuple[int, int]]) -> Floats:
        """Compute probabilities [N, N, 3] as in `probabilities`, only for the wanted (premise, hypothesis)
        pairs. Other pairs are NaN; every answer entails itself.
        """
        n = len(reading.texts)
        found = np.full((n, n, 3), np.nan)
        asked: list[tuple[int, int]] = []
        for i, j in [*wanted, *((k, k) for k in range(n))]:
            same = reading.texts[i] == reading.texts[j]
            blind = not same and self._looks_the_same(reading, i, j)
            if same or (blind and not reading.cut[i] and self._same_unknown_words(reading, i, j)):
                found[i, j] = (0.0, 0.0, 1.0)
            elif blind:
                found[i, j] = (0.0, 1.0, 0.0)
            else:
                asked.append((i, j))
        table = self.pairs([(reading.texts[i], reading.texts[j]) for i, j in asked])
        for i, j in asked:
            found[i, j] = table[reading.texts[i], reading.texts[j]]
        return found

    def _looks_the_same(self, reading: Reading, i: int, j: int) -> bool:
        one, two = reading.ids[i], reading.ids[j]
        if reading.cut[i] and reading.cut[j]:
            room = (self.longest - self.tokenizer.num_special_tokens_to_add(pair=True)) // 2
            one, two = one[:room], two[:room]
        return one == two

    def _same_unknown_words(self, reading: Reading, i: int, j: int) -> bool:
        """Return whether two texts have the same unknown words in the same order, but for case and
        punctuation.

        The question's words are in both texts. A word with an emoji counts as unknown: a tokenizer may drop
        it.
        """
        unknown = {*reading.unknown[i], *reading.unknown[j]}
        one, two = (
            [_bare(word) for word in reading.texts[k].split() if word in unknown or _has_emoji(word)]
            for k in (i, j)
        )
        return one == two

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def _unknown_words(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that the tokenizer does not know, in order."""
        unknown, words = self.tokenizer.unk_token_id, list(dict.fromkeys(text.split()))
        ids = self._tokens(words)
        return tuple(word for word, tokens in zip(words, ids, strict=True) if unknown in tokens)

    def relations(self, question: str, answers: Sequence[str]) -> Ints:
        """Return the most likely relation of each pair, int [N, N]: 0 contradiction, 1 neutral,
        2 entailment.
        """
        return np.argmax(self.probabilities(question, answers), axis=2).astype(np.int64)

    def pairs(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Floats]:
        """Return probabilities [3] of (premise, hypothesis) texts, question included; cached by content."""
        pairs = list(dict.fromkeys(pairs))
        with self._lock:
            made_by = _state(self.model, self.order)
            if made_by is None or made_by != self._made_by:  # somebody has changed it, or put a hook on it
                self._cache.clear()
            self._made_by = made_by
            found = {pair: self._cache[pair] for pair in pairs if pair in self._cache}
            found |= self._run([pair for pair in pairs if pair not in found])
            for pair in pairs:  # the pairs of this call become the most recent
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
                    raise InputError(f"{self.name} gave NaN. {_nan_advice(self.model)}")
                found.update(zip((pairs[k] for k in bucket), values, strict=True))
        return found

    def _buckets(self, lengths: list[int]) -> list[list[int]]:
        """Group pairs of similar length, so that there is little padding; returns their indices. On the CPU a
        group of long pairs is smaller, so that intermediate values stay in the cache.
        """
        most = math.inf if self.model.device.type != "cpu" else _TOKENS_ON_CPU
        buckets: list[list[int]] = [[]]
        for k in sorted(range(len(lengths)), key=lengths.__getitem__):
            size = len(buckets[-1]) + 1  # ascending order: this pair would be the longest of its bucket
            if size > 1 and (size > self.batch_size or size * lengths[k] > most):
                buckets.append([])
            buckets[-1].append(k)
        return buckets


def _state(model: Any, order: object) -> object:
    """Return what an entailment model computes with, of a large one some values; None where it cannot be
    known.
    """
    import torch

    from isi_widget.pretrained import state

    if not isinstance(model, torch.nn.Module):  # a stand-in
        return order
    modules = state.walked(model)
    if state.hooked(modules) or state.training(modules) or any(map(state.replaced, modules)):
        return None
    read = state.checksums(state.samples(state.parameters(modules)))
    return None if read is None else (order, read, state.functions_of(map(type, modules)))


def load_entailment(
    name: str | Path | None = None,
    *,
    quantization: Quantization | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    use_safetensors: bool = True,
    local_files_only: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> EntailmentModel:
    """Load the embedded entailment model, or an MNLI-style checkpoint of Hugging Face.

    Parameters
    ----------
    name : None (default) or "embedded" for the embedded model (always the same object, float32 on the CPU;
        the other arguments do not apply). Otherwise a local folder or a hub name of a sequence classifier
        with the labels contradiction, neutral and entailment in any order, such as `REFERENCE`.
    quantization : None, "int8", "nf4" or "nf4-double" (bitsandbytes, an optional extra); embeddings, norms,
        pooler and classifier keep their precision.
    device : device of the model; "auto" (default) uses CUDA if available. It may differ from the VLM's
        device.
    dtype : number type; "auto" (default) is float32 on the CPU and the checkpoint's own type elsewhere; when
        quantised, bfloat16 on CUDA (float16 if the device lacks it).
    revision : revision of the hub repository; None (default) is the latest.
    use_safetensors : False allows pickled weights. These can run code: use only a trusted source. Default
        True.
    local_files_only : True loads a hub name from the local cache without network; default False.
    progress : function called as progress(fraction, text) during a download; None (default) shows progress
        bars.
    cancel : function polled during a download; True stops it. Downloaded parts are kept for the next try.

    Raises
    ------
    InputError : unknown folder or hub name, no network, missing labels, incomplete weights, no safetensors,
        unavailable device, missing package, full disk.
    Cancelled : `cancel` returned True.
    """
    global _embedded
    if name is not None and str(name) != "embedded":
        with warnings_wait():
            model, tokenizer = load_classifier(
                name,
                str(name),
                quantization=quantization,
                device=device,
                dtype=dtype,
                revision=revision,
                use_safetensors=use_safetensors,
                files=_local(str(name), revision) if local_files_only else None,
                progress=progress,
                cancel=cancel,
            )
        commit: str | None = getattr(model.config, "_commit_hash", None)
        return EntailmentModel(model, tokenizer, str(name), revision=commit)
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
            _embedded.longest = min(_embedded.longest, _TRAINED_LENGTH)
        return _embedded


def _bare(word: str) -> str:
    """Return a word without punctuation, case-folded."""
    return "".join(c for c in word.casefold() if not unicodedata.category(c).startswith("P"))


def _has_emoji(word: str) -> bool:
    return any(unicodedata.category(c) == "So" for c in word)


def _local(name: str, revision: str | None) -> Files | None:
    """Find a checkpoint in the local cache; None for a folder, which is already on the disk."""
    if Path(name).expanduser().exists():
        return None
    files = on_disk(name, revision)
    if files is None:
        raise InputError(
            f"No entailment model could be loaded from {name!r}: it is not in the local cache, or not whole, "
            "and local_files_only=True asks no network. Load it once without local_files_only."
        )
    return files


def _nan_advice(model: Any) -> str:
    """Return advice against NaN: a different precision, only if the present one is low."""
    if str(model.dtype) in ("torch.float16", "torch.bfloat16"):
        return "Load it with dtype='float32'."
    if getattr(model.config, "quantization_config", None) is not None:
        return "Load it without quantization."
    return "It computes in float32, so its weights are damaged: download it again, or choose another one."
