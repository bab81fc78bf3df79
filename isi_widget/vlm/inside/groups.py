"""From a group of tokens (`isi_widget.interventions.tokens`) to positions in a prompt and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from isi_widget.errors import InputError
from isi_widget.interventions.tokens import ImageTokens, Tokens
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.regions import Region, polygon_of
from isi_widget.vlm.prompts.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    #: Boxes [image tokens, 4] of the prompt's image tokens, see `VLM.token_boxes`.
    Boxes = Callable[[], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Span:
    """Which positions belong to a group.

    Attributes
    ----------
    prompt
        [prompt tokens] bool.
    answer
        Whether every position after the prompt belongs.
    """

    prompt: torch.Tensor
    answer: bool = False

    @property
    def empty(self) -> bool:
        """Whether no position belongs."""
        return not self.answer and not bool(self.prompt.any())

    def only(self, kept: Sequence[int]) -> Span:
        """Return the group in a prompt of which only some positions are kept."""
        return Span(self.prompt[list(kept)], self.answer)

    def at(self, positions: range, device: torch.device) -> torch.Tensor:
        """[positions] bool: which of consecutive positions belong."""
        length = len(self.prompt)
        inside = self.prompt[positions.start : min(positions.stop, length)]
        after = max(0, len(positions) - len(inside))
        return torch.cat([inside, inside.new_full((after,), self.answer)]).to(device)

    def any_at(self, positions: range) -> bool:
        """Whether any of consecutive positions belongs; costs no transfer from a device."""
        length = len(self.prompt)
        if self.answer and positions.stop > length:
            return True
        return bool(self.prompt[positions.start : min(positions.stop, length)].any())


def span_of(tokens: Tokens, prompt: Prompt, boxes: Boxes) -> Span:
    """Return the positions of a group in a prompt; a segment that the prompt does not have is empty.

    Raises
    ------
    InputError
        If a position is not in the prompt, no image token lies in a region, or segments are not known.
    """
    member = torch.zeros(len(prompt), dtype=torch.bool)
    if isinstance(tokens, ImageTokens):
        member[_image_tokens(tokens.region, prompt, boxes)] = True
        return Span(member)
    if not isinstance(tokens, str) and not isinstance(tokens[0], str):
        positions = [int(position) for position in tokens]
        if positions[-1] >= len(prompt):
            raise InputError(
                f"There is no token {positions[-1]} in this prompt of {len(prompt)} tokens (counted from 0). "
                'Tokens after it are the group "answer".'
            )
        member[positions] = True
        return Span(member)
    names = (tokens,) if isinstance(tokens, str) else tuple(map(str, tokens))
    for name in names:
        if name == "all":
            member[:] = True
        elif name == "last":
            member[-1] = True
        elif name in prompt.segments:
            member[list(prompt.indices(name))] = True
    return Span(member, "answer" in names or "all" in names)


def _image_tokens(region: Region, prompt: Prompt, boxes: Boxes) -> list[int]:
    """Positions of the image tokens whose middle lies in a region."""
    found = boxes()
    x, y = (found[:, 0] + found[:, 2]) / 2, (found[:, 1] + found[:, 3]) / 2
    inside = ~np.isnan(x + y) & _contains(region, x, y)
    if not inside.any():
        raise InputError(
            f"No image token has its middle in the region {region!r:.200}. Choose a larger region; "
            "vlm.token_boxes(stimulus) gives the boxes of the tokens."
        )
    places = np.flatnonzero(np.array(prompt.ids) == prompt.image_token_id)
    return [int(place) for place in places[inside]]


def _contains(
    region: Region, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which points lie in a region; of a polygon by the even-odd rule."""
    if region is None:
        return np.ones(x.shape, dtype=np.bool_)
    if isinstance(region, Mask):
        known = (x >= 0) & (x < region.size[0]) & (y >= 0) & (y < region.size[1])
        member = np.zeros(x.shape, dtype=np.bool_)
        member[known] = region.array()[y[known].astype(np.int64), x[known].astype(np.int64)]
        return member
    corners = polygon_of(region)
    if corners is None:
        left, top, width, height = (float(number) for number in region if isinstance(number, float))
        box: npt.NDArray[np.bool_] = (left <= x) & (x < left + width) & (top <= y) & (y < top + height)
        return box
    inside = np.zeros(x.shape, dtype=np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y1 != y2:
            crosses = ((y1 <= y) != (y2 <= y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
            inside ^= crosses
    return inside
