"""`Entry`: a trial in a report, with its number, note and pin; `Group`: trials that share a baseline.

Not for drawing (`pdf`, `page`), nor for reading reports (`isi_widget.trial.reports`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isi_widget.report.drawable import Drawable
from isi_widget.report.pdf.words import interventions

if TYPE_CHECKING:
    from PIL import Image

#: Pictures of more pixels stand in a report reduced to `_LONGEST` and as JPEG.
_LOSSLESS, _LONGEST, _QUALITY = 1_500_000, 1600, 90
#: Where a trial does not say when it ended, the document gets this date, so that it stays the same.
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """A trial with its label and its view, which is costly enough to be made once.

    Attributes
    ----------
    trial : the trial.
    label : name of its condition.
    number : number of the trial.
    note : the user's note on it; "" for none.
    pinned : whether the user pinned it.
    view : its view with all details.
    """

    trial: Drawable
    label: str
    number: int
    note: str
    pinned: bool
    view: dict[str, Any]

    @classmethod
    def of(cls, trial: Drawable, label: str, number: int, note: str = "", pinned: bool = False) -> Entry:
        """Return the entry of a trial."""
        return cls(trial, label, number, note, pinned, trial.view(details=True))

    @property
    def heading(self) -> str:
        """Number and label, as the title of its section."""
        return f"{self.number}  {self.label}"

    @property
    def date(self) -> datetime:
        """End of the trial, if recorded; else `UNDATED`."""
        try:
            found = datetime.fromisoformat(self.trial.created)
        except ValueError:
            return UNDATED
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

    def texts(self) -> list[str]:
        """Return every text that may be printed, to find fonts."""
        return [
            self.label,
            self.note,
            _all_of(self.view),
            _all_of(self.trial.model),
            *interventions(self.trial.stimulus),
        ]

    @cached_property
    def _encoded(self) -> tuple[bytes, tuple[int, int]]:
        return _encoded(self.trial.stimulus.render())

    @property
    def picture(self) -> bytes:
        """The encoded image as the model was shown it: every pixel as PNG, or of a large image a reduced
        JPEG.
        """
        return self._encoded[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of `picture`, pixels."""
        return self._encoded[1]


@dataclass(frozen=True)
class Group:
    """Trials that are compared with one of them.

    Attributes
    ----------
    name : title of the group, such as the question of its observation.
    entries : the trials.
    baseline : the one that the others are compared with.
    """

    name: str
    entries: tuple[Entry, ...]
    baseline: Entry


def by_observation(entries: Sequence[Entry], baseline: int | None) -> list[Group]:
    """Return the trials in groups of one observation each, in the order of their first trials.

    baseline : number of the trial that those of its observation are compared with. The others, and all
        without it, are compared with the first trial of their observation.
    """
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        stimulus = entry.trial.stimulus
        found.setdefault((stimulus.image.sha256, stimulus.question, stimulus.context), []).append(entry)
    return [
        Group(
            members[0].trial.stimulus.question,
            tuple(members),
            next((entry for entry in members if entry.number == baseline), members[0]),
        )
        for members in found.values()
    ]


def _all_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(_all_of(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return "".join(map(_all_of, value))
    return str(value)


def _encoded(image: Image.Image) -> tuple[bytes, tuple[int, int]]:
    """Return every pixel as PNG, or of a large image a reduced JPEG; and the size in pixels."""
    buffer = io.BytesIO()
    if image.width * image.height <= _LOSSLESS:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((_LONGEST, _LONGEST))
        image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue(), image.size
