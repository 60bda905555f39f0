"""Whether the outline of a polygon crosses itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""Points (k, 2) of x, y in pixels, closed by an edge from the last to the first."""

Indices = NDArray[np.intp]

TOUCH_PX = 1e-6
"""Points this close to an edge lie on it: reading and writing relative coordinates moves points by far less."""

FEW_POINTS = 128
"""Up to so many points all pairs of edges are looked at in one go."""

PAIRS_AT_ONCE = 300_000
"""Pairs of edges that are compared at once; bounds the memory that long rings need."""


def crosses_itself(ring: Ring) -> bool:
    """Whether two edges of a ring cross, as in a bow tie.

    Points and edges that touch do not count: a point passed twice, a point on another edge (unless the ring goes on
    beyond that edge), edges that lie on one another, all within `TOUCH_PX`. Edges run once there and once back (slits
    of `keyhole`) enclose nothing and are passed over, whatever they cross.
    """
    if len(ring) <= FEW_POINTS and _edges_are_apart(ring):
        return False
    starts, ends = _without_slits(ring, np.roll(ring, -1, axis=0))
    return any(_cross(starts, ends, a, b).any() for a, b in _close_pairs(starts, ends))


def _edges_are_apart(ring: Ring) -> bool:
    """Whether of any two edges that are not neighbours one lies to one side of the other, as in most small polygons.

    It takes a fifth of the time of looking at each pair of edges, and leaves what touches to that.
    """
    count = len(ring)
    x, y = ring[:, 0], ring[:, 1]
    along_x, along_y = np.roll(x, -1) - x, np.roll(y, -1) - y
    side = along_x[:, None] * (y[None, :] - y[:, None]) - along_y[:, None] * (x[None, :] - x[:, None])
    touch = TOUCH_PX * np.hypot(along_x, along_y)[:, None]
    right, left = side > touch, side < -touch
    apart = (right & np.roll(right, -1, axis=1)) | (left & np.roll(left, -1, axis=1))
    apart |= apart.T
    edges = np.arange(count)
    for neighbour in (0, 1, -1):
        apart[edges, (edges + neighbour) % count] = True
    return bool(apart.all())


def _without_slits(starts: Ring, ends: Ring) -> tuple[Ring, Ring]:
    """The edges that have a length and are not run as often back as there."""
    long = (starts != ends).any(axis=1)
    starts, ends = starts[long], ends[long]
    if not len(starts):
        return starts, ends
    is_back = (starts[:, 0] > ends[:, 0]) | ((starts[:, 0] == ends[:, 0]) & (starts[:, 1] > ends[:, 1]))
    there = np.where(is_back[:, None], np.hstack([ends, starts]), np.hstack([starts, ends]))
    _, edge_of = np.unique(there, axis=0, return_inverse=True)
    balance = np.bincount(edge_of.ravel(), weights=np.where(is_back, -1, 1))
    kept = balance[edge_of.ravel()] != 0
    return starts[kept], ends[kept]


def _close_pairs(starts: Ring, ends: Ring) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of edges whose boxes overlap, some at a time: a sweep along the axis on which fewer of them do."""
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    sweeps = []
    for axis in (0, 1):
        order = np.argsort(low[:, axis], kind="stable")
        reach = np.searchsorted(low[order, axis], high[order, axis], side="right")
        sweeps.append((order, reach - np.arange(1, len(order) + 1), 1 - axis))
    order, counts, other = min(sweeps, key=lambda sweep: int(sweep[1].sum()))
    totals = np.cumsum(counts)
    position = 0
    while position < len(order):
        done = totals[position - 1] if position else 0
        stop = max(position + 1, int(np.searchsorted(totals, done + PAIRS_AT_ONCE, side="right")))
        here = np.repeat(np.arange(position, stop), counts[position:stop])
        steps = np.arange(len(here)) - (totals[here] - counts[here] - done)
        a, b = order[here], order[here + 1 + steps]
        close = (low[a, other] <= high[b, other]) & (low[b, other] <= high[a, other])
        yield a[close], b[close]
        position = stop


def _cross(starts: Ring, ends: Ring, a: Indices, b: Indices) -> NDArray[np.bool_]:
    """Whether edges a and b cross, pair by pair, or one goes on to the other's far side from a point on it."""
    a_start, a_end = _sides(starts, ends, b, starts[a]), _sides(starts, ends, b, ends[a])
    b_start, b_end = _sides(starts, ends, a, starts[b]), _sides(starts, ends, a, ends[b])
    crossing = (a_start * a_end < 0) & (b_start * b_end < 0)
    for first, edge, before, at, across in (
        (a, b, a_start, a_end, b_start * b_end),
        (b, a, b_start, b_end, a_start * a_end),
    ):
        following = (first + 1) % len(starts)
        unbroken = (starts[following] == ends[first]).all(axis=1)
        beyond = _sides(starts, ends, edge, ends[following])
        crossing |= (at == 0) & (across < 0) & (before * beyond < 0) & unbroken
    return crossing


def _sides(starts: Ring, ends: Ring, edges: Indices, points: Ring) -> NDArray[np.float64]:
    """On which side of edges points lie, pair by pair: 1 right, -1 left, 0 on their lines."""
    doubled = turns(starts[edges], ends[edges], points)
    lengths = np.hypot(*(ends[edges] - starts[edges]).T)
    return np.where(np.abs(doubled) <= TOUCH_PX * lengths, 0.0, np.sign(doubled))


def turns(starts: Ring, ends: Ring, points: Ring) -> NDArray[np.float64]:
    """Twice the area of the triangles start, end, point: positive where the point lies to the right on the screen."""
    along, to_point = ends - starts, points - starts
    return np.asarray(along[..., 0] * to_point[..., 1] - along[..., 1] * to_point[..., 0])
