"""`Drawing`: an operation that paints pixels, and what every drawing has.

Not for any one drawing: see `shapes`, `lettering`, `effects` and `copied_patch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from isi_widget.stimulus import checks
from isi_widget.stimulus.operations import SPARSE, Operation


@dataclass(frozen=True)
class Drawing(Operation):
    """An operation that paints pixels.

    hidden : kept in the list, but not painted. locked : the page does not let it be grabbed; nothing else.
    """

    hidden: bool = field(default=False, kw_only=True, metadata=SPARSE)
    locked: bool = field(default=False, kw_only=True, metadata=SPARSE)

    def __post_init__(self) -> None:
        self._set(
            hidden=checks.flag(self.hidden, self._name("hidden")),
            locked=checks.flag(self.locked, self._name("locked")),
        )

    @property
    def corners(self) -> int:
        """Number of points of its polygon, 0 if it has none."""
        return 0

    def effort(self, size: tuple[int, int]) -> float:
        """Return about how many nanoseconds it takes at most to paint this on an image of `size` (see
        `effort`).
        """
        return 0.0

    def draw(self, image: Image.Image) -> None:
        """Paint into `image` (RGB), in place."""
        raise NotImplementedError
