"""Rules of wording that decide the relation of two answers without a model: yes against no, and equal up to
spelling.

The rules run before every entailment model, and alone if there is none. A rule decides only obvious cases, in
both directions or not at all; the rest is left to the model. That "Yes, a dog" entails "Yes" is left to the
model: as a rule, it would link every yes-answer to the bare word but not to each other, and the clusters
would depend on the order of the answers. Not for normalising words (see `isi_widget.text.wording`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from isi_widget.text.wording import normalised, verdict
from isi_widget.uncertainty._checks import Floats
from isi_widget.uncertainty.clusters import CONTRADICTION, ENTAILMENT

_COUNT = re.compile(r"-?\d+(\.\d+)?")
_ONE_HOT = np.eye(3)


def relation_by_rule(question: str, premise: str, hypothesis: str) -> int | None:
    """Return the relation of two answers to one question if their wording decides it; else None.

    Entailment (2): the same after `wording.normalised`. Contradiction (0): a clear yes and a clear no; two
    different numbers where the question asks how many.
    """
    found = settled(question, [premise, hypothesis])[0, 1]
    return None if np.isnan(found[0]) else int(np.argmax(found))


def settled(question: str, answers: Sequence[str]) -> Floats:
    """Apply the rules to all pairs: float [N, N, 3], one-hot if a rule decides the pair, else NaN."""
    words = [normalised(answer, question) for answer in answers]
    same = _equal(words) & np.array([bool(tokens) for tokens in words])[:, None]
    same |= _equal([answer.strip() for answer in answers])
    said, other = _said(answers, "yes"), _said(answers, "no")
    bare = np.array([len(tokens) == 1 for tokens in words])
    # "Yes, it is red" and "No, it is red": the rest is equal, so do not decide
    odd = _equal([tokens[1:] for tokens in words]) & ~bare[:, None]
    opposite = (said[:, None] & other[None, :] | other[:, None] & said[None, :]) & ~odd
    if re.match(r"\W*how many\b", question.lower()):
        counts = [float(w[0]) if len(w) == 1 and _COUNT.fullmatch(w[0]) else None for w in words]
        counted = _both(np.array([count is not None for count in counts]))
        same |= counted & _equal(counts)  # "2.0" is "two"
        opposite |= counted
    found = np.full((*same.shape, 3), np.nan)
    found[opposite & ~same] = _ONE_HOT[CONTRADICTION]
    found[same] = _ONE_HOT[ENTAILMENT]
    return found


def same_verdict(answers: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which pairs are both clearly yes, or both clearly no, whatever else they contain;
    bool [N, N].
    """
    return _both(_said(answers, "yes")) | _both(_said(answers, "no"))


def _equal(items: Sequence[Hashable]) -> npt.NDArray[np.bool_]:
    place: dict[Hashable, int] = {}
    ids = np.array([place.setdefault(item, len(place)) for item in items])
    return ids[:, None] == ids[None, :]


def _both(each: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return each[:, None] & each[None, :]


def _said(answers: Sequence[str], word: str) -> npt.NDArray[np.bool_]:
    return np.array([verdict(answer) == word for answer in answers])
