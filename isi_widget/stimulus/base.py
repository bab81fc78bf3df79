"""`Drawing`: the base class of every operation that paints pixels.

The drawings themselves are in `shapes`, `lettering`, `effects` and `copied_patch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from isi_widget.stimulus import checks
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.operations import SPARSE, Operation
from isi_widget.stimulus.regions import Region, polygon_of


@dataclass(frozen=True)
class Drawing(Operation):
    """An operation that paints pixels.

    hidden : True keeps it in the list but does not paint it; default False.
    locked : True stops the page from selecting or moving it; pixels do not change; default False.
    """

    hidden: bool = field(default=False, kw_only=True, metadata=SPARSE)
    locked: bool = field(default=False, kw_only=True, metadata=SPARSE)

    def __post_init__(self) -> None:
        self._set(
            hidden=checks.flag(self.hidden, self._name("hidden")),
            locked=checks.flag(self.locked, self._name("locked")),
        )

    @property
    def truth(self) -> str:
        """Effect on the known answer: "may change", since it paints over pixels; subclasses that only mark or
        degrade the picture return "keeps".
        """
        return "may change"

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions that say where it acts."""
        return ()

    @property
    def corners(self) -> int:
        """Number of points of its polygons; 0 without a polygon."""
        return sum(len(polygon_of(region) or ()) for region in self.regions)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Masks that say where it acts; each belongs to images of its own size."""
        return tuple(region for region in self.regions if isinstance(region, Mask))

    def effort(self, size: tuple[int, int]) -> float:
        """Estimate from above the time to paint this on an image of `size` (width, height); nanoseconds."""
        return 0.0

    def draw(self, image: Image.Image) -> None:
        """Paint into `image` (RGB), in place."""
        raise NotImplementedError
