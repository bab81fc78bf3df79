"""The limits of a scan of heads that stand beside its result, one sentence each.

For what follows from the settings of the scan and the tokens of its answers; `HeadContributions.remarks` adds
what follows from the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from isi_widget.mechanism.head_methods import Scan
from isi_widget.mechanism.items import Item


def scan_notes(
    items: Sequence[Item], first_tokens: Sequence[str], scan: Scan, method: str, own_reference: bool
) -> tuple[str, ...]:
    """Return the limits of a result.

    Parameters
    ----------
    items
        The scanned items.
    first_tokens
        Text of the first token of the true answer of each.
    scan, method
        What was measured, and how.
    own_reference
        Whether the means that replace heads are those of the items themselves.
    """
    notes = []
    if method == "gradient":
        notes.append("One gradient is a shortlist of heads to look at, not a measurement of their effect.")
    open_items = sum(item.wrong is None for item in items)
    if open_items and scan.target.name == "logit_difference":
        notes.append(
            f"Where no wrong answer is known ({open_items} of {len(items)} items of the scan), it is the "
            "model's own most probable other first token."
        )
    if scan.target.value is not None and not scan.target.whole_answer:
        first = {item.answer: token for item, token in zip(items, first_tokens, strict=True)}
        cut = [answer for answer, token in first.items() if token.lower() != answer.lower()]
        if cut:
            notes.append(
                f"Of answers of several tokens only the first one is compared ({first[cut[0]]!r} of "
                f'{cut[0]!r:.60}); target="log_p_answer" scores whole answers.'
            )
    if own_reference:
        notes.append("The reference means are those of the scanned items themselves.")
    return tuple(notes)
