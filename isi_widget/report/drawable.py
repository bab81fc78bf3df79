"""What the report draws: anything that has the parts of a trial (`isi_widget.trial.Trial` does).

All that is drawn of a measure comes from `view`: nothing here knows how it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from isi_widget.stimulus import Stimulus


@runtime_checkable
class Drawable(Protocol):
    """A trial, as far as it is drawn."""

    @property
    def stimulus(self) -> Stimulus:
        """What the model was shown."""

    @property
    def key(self) -> str:
        """Equal for trials of equal stimuli under equal interventions."""

    @property
    def model(self) -> Mapping[str, Any]:
        """The model, as `VLM.info()` describes it."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds of each stage."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of what made it."""

    @property
    def created(self) -> str:
        """When it ended, ISO 8601."""

    def view(self, *, details: bool = False, code: str | None = None) -> dict[str, Any]:
        """Return everything that is drawn, as plain JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return the whole record, which a report carries."""


@runtime_checkable
class Compared(Protocol):
    """Several trials side by side."""

    @property
    def trials(self) -> tuple[Drawable, ...]:
        """The trials, the first of which the others are compared with."""

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each trial."""

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(label, reason) of each condition without a trial."""
