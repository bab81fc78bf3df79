"""In-painting by membrane interpolation: unknown pixels become the smoothest continuation of their known
surroundings.

The fill is the discrete harmonic function: every unknown pixel is the mean of its neighbours (Perez et al.,
"Poisson image editing", SIGGRAPH 2003, with no guidance field). A ramp stays a ramp and a plain colour stays
plain; texture is not invented. The solution is computed from coarse to fine as in the pull-push method
(Gortler et al., "The Lumigraph", SIGGRAPH 1996) and made exact by conjugate gradients, preconditioned by one
multigrid V-cycle over 2 x 2 aggregates (Stueben, "A review of algebraic multigrid", 2001). Not for choosing
the pixels to fill (see `effects`).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

_DAMPING = np.float32(0.8)  # damping of Jacobi's method
_LAST_STEP = 0.25  # grey levels; stop after a smaller step, when about a tenth of it is left as error
_MOST_STEPS = 30
# Conductances of the next coarser grid. Between cells: half as many links, each twice as long. To the rim,
# whose distance grows by less than twice: somewhat more (0.75 converges fastest of 0.5, 0.75 and 1).
_LINK, _RIM = np.float32(0.5), np.float32(0.75)


def membrane(values: NDArray[np.uint8], unknown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `values` [height, width, channels] with the pixels of `unknown` [height, width] filled in.

    At the edge of the array the fill is flat. Before rounding, the error is below 0.1 grey levels. At least
    one pixel must be known.
    """
    if unknown.all():
        raise ValueError("membrane needs at least one known pixel.")
    known = np.where(unknown, 0, values.transpose(2, 0, 1)).astype(np.float32)
    grids = [_finest(unknown)]
    while max(grids[-1].leak.shape) > 2:
        grids.append(grids[-1].coarser())
    sources = [_sum_of_neighbours(known) * unknown]
    for _ in grids[1:]:
        sources.append(_gathered(sources[-1]) * _RIM)
    filled = np.zeros_like(sources[-1])
    for index in range(len(grids) - 1, -1, -1):
        filled = _spread(filled, grids[index].leak.shape) * grids[index].inside
        filled = _solved(grids[index:], sources[index], filled, _MOST_STEPS if index == 0 else 2)
    filled = np.clip(np.rint(filled), 0, 255)
    return np.where(unknown[..., None], filled.transpose(1, 2, 0).astype(np.uint8), values)


class _Grid:
    """A network of cells joined by conductances: `east` [h, w - 1] and `south` [h - 1, w] between cells,
    `leak` [h, w] to known values outside.
    """

    def __init__(self, east: Floats, south: Floats, leak: Floats) -> None:
        self.east, self.south, self.leak = east, south, leak
        total = leak.copy()
        total[:, 1:] += east
        total[:, :-1] += east
        total[1:] += south
        total[:-1] += south
        self.inside = total > 0
        #: Jacobi's step: damping / (sum of a cell's conductances); 0 where there is no unknown.
        self.damped = np.divide(_DAMPING, total, out=np.zeros_like(total), where=self.inside)

    def outflow(self, u: Floats) -> Floats:
        """Return the flow out of each cell at potentials u [channels, h, w]: the system's matrix times u."""
        out: Floats = self.leak * u
        flow = np.subtract(u[..., 1:], u[..., :-1])
        flow *= self.east
        out[..., :-1] -= flow
        out[..., 1:] += flow
        flow = np.subtract(u[..., 1:, :], u[..., :-1, :])
        flow *= self.south
        out[..., :-1, :] -= flow
        out[..., 1:, :] += flow
        return out

    def smooth(self, u: Floats, source: Floats) -> None:
        """Take one step of damped Jacobi towards outflow(u) = source, in place."""
        step = self.outflow(u)
        np.subtract(source, step, out=step)
        step *= self.damped
        u += step

    def coarser(self) -> _Grid:
        """Return the network with 2 x 2 cells merged into one."""
        height, width = self.leak.shape
        full = np.zeros((2, height + height % 2, width + width % 2), dtype=np.float32)
        full[0, :height, : width - 1], full[1, : height - 1, :width] = self.east, self.south
        east = (full[0, ::2, 1::2] + full[0, 1::2, 1::2])[:, :-1] * _LINK
        south = (full[1, 1::2, ::2] + full[1, 1::2, 1::2])[:-1] * _LINK
        return _Grid(east, south, _gathered(self.leak) * _RIM)


def _finest(unknown: NDArray[np.bool_]) -> _Grid:
    """Build the finest grid: conductance 1 between neighbouring pixels of which at least one is unknown."""
    east = (unknown[:, 1:] & unknown[:, :-1]).astype(np.float32)
    south = (unknown[1:] & unknown[:-1]).astype(np.float32)
    return _Grid(east, south, _sum_of_neighbours((~unknown).astype(np.float32)) * unknown)


def _sum_of_neighbours(u: Floats) -> Floats:
    total = np.zeros_like(u)
    total[..., 1:] += u[..., :-1]
    total[..., :-1] += u[..., 1:]
    total[..., 1:, :] += u[..., :-1, :]
    total[..., :-1, :] += u[..., 1:, :]
    return total


def _gathered(u: Floats) -> Floats:
    """Sum over 2 x 2 cells."""
    height, width = u.shape[-2:]
    if height % 2 or width % 2:
        even = np.zeros((*u.shape[:-2], height + height % 2, width + width % 2), dtype=np.float32)
        even[..., :height, :width] = u
        u = even
    result: Floats = u[..., ::2, ::2] + u[..., ::2, 1::2] + u[..., 1::2, ::2] + u[..., 1::2, 1::2]
    return result


def _spread(u: Floats, shape: tuple[int, ...]) -> Floats:
    """Copy each cell's value to its 2 x 2 finer cells; unchanged if it already has the shape."""
    if u.shape[-2:] == shape:
        return u
    return np.repeat(np.repeat(u, 2, axis=-2), 2, axis=-1)[..., : shape[0], : shape[1]]


def _cycle(grids: list[_Grid], source: Floats) -> Floats:
    """Approximate the solution of outflow(u) = source on the first grid by one symmetric V-cycle from 0."""
    grid = grids[0]
    u: Floats = grid.damped * source
    if len(grids) == 1:
        for _ in range(30):  # at most four cells
            grid.smooth(u, source)
        return u
    grid.smooth(u, source)
    rest = grid.outflow(u)
    np.subtract(source, rest, out=rest)
    correction = _spread(_cycle(grids[1:], _gathered(rest)), grid.leak.shape)
    np.add(u, correction, out=u, where=grid.inside)
    grid.smooth(u, source)
    grid.smooth(u, source)
    return u


def _solved(grids: list[_Grid], source: Floats, u: Floats, steps: int) -> Floats:
    """Solve by conjugate gradients, starting from u; one system per channel."""
    rest = source - grids[0].outflow(u)
    direction = _cycle(grids, rest)
    energy = _dot(rest, direction)
    for _ in range(steps):
        pushed = grids[0].outflow(direction)
        length = _ratio(energy, _dot(direction, pushed))
        pushed *= length
        rest -= pushed
        change = np.multiply(direction, length, out=pushed)
        u += change
        if max(change.max(), -change.min()) < _LAST_STEP:
            break
        corrected = _cycle(grids, rest)
        energy, before = _dot(rest, corrected), energy
        direction *= _ratio(energy, before)
        direction += corrected
    return u


def _dot(a: Floats, b: Floats) -> Floats:
    """Return the inner product per channel: [channels, 1, 1]."""
    result: Floats = np.einsum("cij,cij->c", a, b)[:, None, None]
    return result


def _ratio(a: Floats, b: Floats) -> Floats:
    """Return the quotient; 0 for a channel that is already solved."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
