"""Steering: a direction that is added to the residual stream of a layer.

The direction is kept by value, with a digest and a note how it was made, so that a trial can be repeated
without the stimuli it came from. Such directions go back to Turner et al. (2023, activation addition), Rimsky
et al. (ACL 2024, difference of means over pairs) and, for vision-language models, Liu et al. (ICLR 2025, VTI)
and Li et al. (ICML 2025, VISTA).

A direction that changes the answer proves little on its own: a random one of the same norm may do it too
(`SteeringDirection.random`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from isi_widget.checks import number
from isi_widget.errors import InputError
from isi_widget.interventions.base import Intervention, check_index, register
from isi_widget.interventions.tokens import Tokens, check_tokens, words
from isi_widget.stimulus import checks

#: No residual stream is wider.
_WIDEST = 262_144
_LONGEST_NOTE = 2_000
#: Largest factor of a direction.
_LARGEST_SCALE = 1e6
#: Largest norm of what is added: the square of a state must stay a float32 (below 3e38), else a norm layer
#: makes zeros of it, and no error shows that.
_LARGEST_ADDED = 1e18
_FIELDS = ("values", "layer", "made", "digest")


@dataclass(frozen=True)
class SteeringDirection:
    """A direction in the residual stream, kept by value.

    Parameters
    ----------
    values
        The direction, [hidden size]: numbers, kept in float32; or the text of `text`.
    layer
        The layer at whose output it was measured, counted from 0; None: not known.
    made
        How it was made, in words.
    """

    values: tuple[float, ...]
    layer: int | None = None
    made: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _checked(self.values))
        if self.layer is not None:
            object.__setattr__(self, "layer", check_index(self.layer, 'direction: "layer"'))
        if not isinstance(self.made, str) or len(self.made) > _LONGEST_NOTE:
            raise InputError(f'direction: "made" must be a text of at most {_LONGEST_NOTE} characters.')

    @property
    def array(self) -> npt.NDArray[np.float32]:
        """The direction, [hidden size] float32."""
        return np.array(self.values, dtype=np.float32)

    @property
    def norm(self) -> float:
        """Its Euclidean length."""
        return float(np.linalg.norm(np.array(self.values, dtype=np.float64)))

    @property
    def text(self) -> str:
        """Its float32 numbers, little-endian, in base64."""
        return base64.b64encode(self.array.astype("<f4").tobytes()).decode()

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of SHA-256, equal for equal numbers."""
        return hashlib.sha256(self.array.astype("<f4").tobytes()).hexdigest()[:16]

    def random(self, seed: int = 0) -> SteeringDirection:
        """Return a random direction of the same norm: the control of whatever this one shows.

        Drawn from the uniform distribution over all directions.

        Parameters
        ----------
        seed
            Seed of the draw; default 0.
        """
        seed = checks.integer(seed, '"seed"')
        drawn = np.random.default_rng(seed).standard_normal(len(self.values))
        drawn *= self.norm / np.linalg.norm(drawn)
        return SteeringDirection(
            tuple(drawn.tolist()), self.layer, f"random, of the norm of {self.digest}, seed {seed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: "values" (`text`), "digest", "layer", "made"."""
        record: dict[str, Any] = {"values": self.text, "digest": self.digest}
        if self.layer is not None:
            record["layer"] = self.layer
        return record | ({"made": self.made} if self.made else {})

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SteeringDirection:
        """Rebuild from the record of `to_dict`.

        Raises
        ------
        InputError
            For unknown fields, or numbers that do not fit the digest.
        """
        if not isinstance(record, Mapping) or not set(record) <= set(_FIELDS) or "values" not in record:
            raise InputError(f"A direction must be an object with the fields {', '.join(_FIELDS)}.")
        found = cls(record["values"], record.get("layer"), record.get("made", ""))
        if record.get("digest", found.digest) != found.digest:
            raise InputError(
                f"The numbers of this direction have the digest {found.digest}, not "
                f"{record['digest']!r:.40} as stated: the record is damaged."
            )
        return found

    def code(self) -> str:
        """Return Python that makes this direction."""
        parts = [repr(self.text)]
        parts += [f"layer={self.layer}"] if self.layer is not None else []
        parts += [f"made={self.made!r}"] if self.made else []
        return f"isi.SteeringDirection({', '.join(parts)})"

    def __repr__(self) -> str:
        where = "" if self.layer is None else f", layer {self.layer}"
        made = f", {self.made}" if self.made else ""
        return f"SteeringDirection({len(self.values)} numbers, norm {self.norm:.3g}{where}{made})"


@register
@dataclass(frozen=True)
class Steer(Intervention):
    """Add a direction to the residual stream at the output of a layer.

    In float32: state + scale * direction, at every position of the group, of the prompt and while decoding.

    Parameters
    ----------
    direction
        A `SteeringDirection`, or its numbers, [hidden size].
    layer
        The layer at whose output it is added, counted from 0. None: the direction's own.
    scale
        Factor of the direction; 0 changes nothing, a negative one steers the other way. With a difference of
        means, 1 moves by that difference. Scale times norm of the direction is at most 1e18.
    tokens
        Where it is added: a group of tokens, positions in the prompt, or `ImageTokens(region)`. "all": every
        token.
    keep_norm
        Rescale each changed state to the norm that it had: its direction changes, not its size.
    """

    kind: ClassVar[str] = "steer"
    title: ClassVar[str] = "steered"
    direction: SteeringDirection
    layer: int | None = None
    scale: float = 1.0
    tokens: Tokens = "all"
    keep_norm: bool = False

    def __post_init__(self) -> None:
        direction: Any = self.direction
        if isinstance(direction, Mapping):
            direction = SteeringDirection.from_dict(direction)
        elif not isinstance(direction, SteeringDirection):
            direction = SteeringDirection(direction)
        layer = direction.layer if self.layer is None else self.layer
        if layer is None:
            raise InputError(
                f"{self._name('layer')} is missing: say at the output of which layer the direction is added."
            )
        self._set(
            direction=direction,
            layer=check_index(layer, self._name("layer")),
            scale=checks.number(self.scale, self._name("scale"), low=-_LARGEST_SCALE, high=_LARGEST_SCALE),
            tokens=check_tokens(self.tokens, self._name("tokens")),
        )
        if abs(self.scale) * direction.norm > _LARGEST_ADDED:
            raise InputError(
                f"{self._name('scale')} of {self.scale:g} times a direction of norm {direction.norm:.3g} is "
                f"more than {_LARGEST_ADDED:g}: the model would compute zeros. Give a smaller scale."
            )
        if not isinstance(self.keep_norm, bool):
            raise InputError(f"{self._name('keep_norm')} must be True or False, got {self.keep_norm!r:.60}.")

    @property
    def where(self) -> int:
        """The layer at whose output the direction is added."""
        assert self.layer is not None  # set by __post_init__
        return self.layer

    @property
    def label(self) -> str:
        """Such as "layer 2 + 1.5 x direction 0123abcd"."""
        at = "" if self.tokens == "all" else f" at {words(self.tokens)}"
        kept = ", norm kept" if self.keep_norm else ""
        return f"layer {self.where} + {self.scale:g} × direction {self.direction.digest[:8]}{at}{kept}"


def _checked(values: Any) -> tuple[float, ...]:
    name = 'direction: "values"'
    if isinstance(values, str):
        try:
            found = np.frombuffer(base64.b64decode(values, validate=True), dtype="<f4")
        except (binascii.Error, ValueError):
            raise InputError(f"{name} as text must be float32 numbers in base64.") from None
    elif isinstance(values, bytes | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of numbers, got {type(values).__name__}.")
    else:
        items = [number(item, name) for item in values]
        with np.errstate(over="ignore"):
            found = np.array(items, dtype=np.float64).astype(np.float32)
    if not 1 <= len(found) <= _WIDEST:
        raise InputError(f"{name} must have from 1 to {_WIDEST} numbers, got {len(found)}.")
    if not np.isfinite(found).all():
        raise InputError(f"{name} must be finite numbers of float32.")
    return tuple((found + np.float32(0)).tolist())  # -0 becomes 0
