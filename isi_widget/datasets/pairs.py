"""`minimal_pairs`: the counterfactuals of a whole built-in data set, with unrelated questions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isi_widget import checks
from isi_widget.concepts import Pair
from isi_widget.concepts.pair import LEVELS
from isi_widget.datasets.observation import Observation
from isi_widget.errors import InputError


def minimal_pairs(
    data: Iterable[Observation],
    levels: str | Sequence[str] = LEVELS,
    *,
    way: str | None = None,
    yes_no: bool = False,
    unrelated: int = 0,
    seed: int = 0,
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Make a counterfactual of each observation at each level where there is one.

    Parameters
    ----------
    data : observations of a built-in world, such as `isi.datasets.scenes()`.
    levels : semantic levels of the changes, or one of them; default all.
    way : how things change, as for `obs.counterfactual`; None (default) for any.
    yes_no : True leaves out open questions; default False.
    unrelated : number of questions about the same two pictures whose answers stay, at most; default 0.
    seed : seed of random choices; default 0.

    Returns
    -------
    The pairs, and the pairs of unrelated questions.

    Raises
    ------
    InputError
        If no observation has such a change.
    """
    wanted = (levels,) if isinstance(levels, str) else tuple(levels)
    for level in wanted:
        checks.one_of(level, "minimal_pairs: level", LEVELS)
    pairs: list[Pair] = []
    beside: list[Pair] = []
    reason = "there are no observations"
    for obs in data:
        if not isinstance(obs, Observation):
            raise InputError(f"minimal_pairs: data must be observations, got {checks.shown(obs)}.")
        if yes_no and obs.answer not in ("Yes", "No"):
            continue
        for level in wanted:
            try:
                pairs.append(obs.counterfactual(level, way=way, seed=seed))
            except InputError as error:
                reason = str(error)
                continue
            if unrelated:
                beside += obs.unrelated(level, way=way, seed=seed, n=unrelated)
    if not pairs:
        raise InputError(f"No minimal pair could be made; the last reason: {reason}")
    return tuple(pairs), tuple(beside)
