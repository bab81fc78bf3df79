"""Groups of tokens that an intervention reads from or acts on.

A group is a name or several names, positions in the prompt, or the image tokens of a part of the picture.
Which positions these are depends on the prompt: `isi_widget.vlm.inside.groups` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from isi_widget import segments
from isi_widget.errors import InputError
from isi_widget.stimulus import checks
from isi_widget.stimulus.mask import Mask
from isi_widget.stimulus.operations import plain
from isi_widget.stimulus.regions import Region, check_region

#: The groups with a name: the segments of a prompt, "last" (the last token of the prompt, which predicts the
#: first answer token), "answer" (every token after the prompt), "all".
GROUPS = segments.TOKENS
#: No prompt is longer.
_MOST_TOKENS = 10_000_000


@dataclass(frozen=True)
class ImageTokens:
    """The image tokens whose middle lies in a region of the picture.

    Parameters
    ----------
    region
        (x, y, width, height), the corners of a polygon [(x, y), ...] or a `Mask`, in pixels of the original
        picture.
        None: all image tokens with a place in the picture.
    """

    region: Region

    def __post_init__(self) -> None:
        object.__setattr__(self, "region", check_region(self.region, 'image tokens: "region"'))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: {"region": ...}."""
        return {"region": plain(self.region)}

    def code(self) -> str:
        """Return Python that makes this group."""
        code = self.region.code() if isinstance(self.region, Mask) else _numbers(self.region)
        return f"isi.ImageTokens({code})"


#: A group of tokens in its normal form.
Tokens: TypeAlias = "str | tuple[str, ...] | tuple[int, ...] | ImageTokens"


def check_tokens(value: Any, name: str) -> Tokens:
    """Return the normal form of a group of tokens: a name, names in the order of `GROUPS`, sorted positions,
    or `ImageTokens`.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(value, ImageTokens):
        return value
    if isinstance(value, Mapping):
        if set(value) != {"region"}:
            raise InputError(f'{name} as an object must have the one field "region", got {sorted(value)!r}.')
        return ImageTokens(value["region"])
    if isinstance(value, str):
        return _named(value, name)
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        if hasattr(value, "__index__") and not isinstance(value, bool):
            return (checks.integer(value, name, high=_MOST_TOKENS),)
        raise InputError(
            f"{name} must be a group of tokens ({', '.join(GROUPS)}), positions in the prompt, or "
            f"isi.ImageTokens(region); got {type(value).__name__}."
        )
    items = list(value)
    if not items:
        raise InputError(f"{name} is empty: give at least one group or position.")
    if all(isinstance(item, str) for item in items):
        names = tuple(sorted({_named(item, name) for item in items}, key=GROUPS.index))
        return names[0] if len(names) == 1 else names
    return tuple(sorted({checks.integer(item, name, high=_MOST_TOKENS) for item in items}))


def words(tokens: Tokens) -> str:
    """Return a group of tokens in a few words."""
    if isinstance(tokens, ImageTokens):
        return "part of the image"
    if isinstance(tokens, str):
        return tokens
    if isinstance(tokens[0], str):
        return " and ".join(map(str, tokens))
    return f"token {tokens[0]}" if len(tokens) == 1 else f"{len(tokens)} tokens"


def _named(value: str, name: str) -> str:
    if value not in GROUPS:
        raise InputError(f"{name} must be one of {', '.join(GROUPS)}; got {value!r:.60}.")
    return value


def _numbers(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_numbers, value))})"
    return repr(plain(value))
