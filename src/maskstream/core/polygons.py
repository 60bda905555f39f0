"""Rings of points: traced from masks, thinned out, joined into one, measured.

A ring is an array (k, 2) of x, y in pixels, closed by an edge from its last point to its first. Several rings
together hold what lies inside an odd number of them (the even-odd rule of `masks.from_polygons`), so a ring inside
another is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.crossings import Indices, Ring, crosses_itself, turns
from maskstream.core.masks import CroppedMask

__all__ = ["Ring", "Shape", "clip", "crosses_itself", "keyhole", "signed_area", "simplify", "trace"]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One connected piece of a mask.

    Attributes
    ----------
    exterior : ring around it, of positive `signed_area`.
    holes : rings around what is missing inside, of negative `signed_area`.
    """

    exterior: Ring
    holes: tuple[Ring, ...]

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The exterior and then the holes."""
        return (self.exterior, *self.holes)


def trace(mask: CroppedMask) -> list[Shape]:
    """The pieces of a mask, from top to bottom, outlined along the edges of their pixels.

    `masks.from_polygons` of a shape's rings, or of all shapes' rings together, gives back exactly these pixels.
    Pixels belong to one piece when they share edges (4-connected); pieces that touch at corners only are apart,
    and a piece may touch itself at a corner, where its ring then passes twice.
    """
    corners_xy, following = _corner_chain(np.pad(mask.bitmap, 1))
    rings = _cycles(following)
    if not rings:
        return []
    _, labels = cv2.connectedComponents(mask.bitmap.astype(np.uint8), connectivity=4)
    offset = np.array([mask.x0, mask.y0], np.float64)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for indices in rings:
        ring = corners_xy[indices]
        piece = int(labels[_pixel_inside(ring)])
        if signed_area(ring) > 0:
            exteriors[piece] = ring + offset
        else:
            holes.setdefault(piece, []).append(ring + offset)
    return [Shape(exterior, tuple(holes.get(piece, ()))) for piece, exterior in exteriors.items()]


def _corner_chain(padded: NDArray[np.bool_]) -> tuple[Ring, Indices]:
    """The corners of the outlines of a bitmap with a margin of one pixel, and the corner that follows each.

    Outlines keep the object on their right, so they run clockwise on the screen around it. The corners on one line
    between two rows of pixels, from left to right, are by turns the left and the right end of a straight piece;
    likewise from top to bottom on lines between columns. Where two pixels touch at a point, it counts as two
    corners, one of each pixel.
    """
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    touching = (above_left == below_right) & (above_right == below_left) & (above_left != above_right)
    turning = above_left ^ above_right ^ below_left ^ below_right
    ys, xs = np.nonzero(turning | touching)
    times = touching[ys, xs] + 1
    ys, xs = np.repeat(ys, times), np.repeat(xs, times)
    second = np.zeros(len(ys), bool)
    second[1:] = (ys[1:] == ys[:-1]) & (xs[1:] == xs[:-1])
    # the first of two corners at one point ends the piece on its left; it belongs to the pixel above or below
    goes_down = second == above_left[ys, xs]
    downwards = np.argsort((xs * len(padded) + ys) * 2 + goes_down, kind="stable")

    following = np.empty(len(ys), np.intp)
    lefts, rights = np.arange(0, len(ys), 2), np.arange(1, len(ys), 2)
    is_top = below_right[ys[lefts], xs[lefts]]
    following[np.where(is_top, lefts, rights)] = np.where(is_top, rights, lefts)
    uppers, lowers = downwards[0::2], downwards[1::2]
    is_right = below_left[ys[uppers], xs[uppers]]
    following[np.where(is_right, uppers, lowers)] = np.where(is_right, lowers, uppers)
    return np.column_stack([xs, ys]).astype(np.float64), following


def _cycles(following: Indices) -> list[list[int]]:
    """The closed walks of a permutation, each from its smallest index, in the order of these."""
    steps = following.tolist()
    seen = bytearray(len(steps))
    cycles = []
    for first in range(len(steps)):
        if seen[first]:
            continue
        cycle = []
        index = first
        while not seen[index]:
            seen[index] = 1
            cycle.append(index)
            index = steps[index]
        cycles.append(cycle)
    return cycles


def _pixel_inside(ring: Ring) -> tuple[int, int]:
    """Row and column of a pixel of the object that borders on a traced ring."""
    (x, y), (next_x, next_y) = ring[0].astype(int).tolist(), ring[1].astype(int).tolist()
    if y == next_y:
        return (y, x) if next_x > x else (y - 1, x - 1)
    return (y, x - 1) if next_y > y else (y - 1, x)


def signed_area(ring: Ring) -> float:
    """Area in square pixels (shoelace formula), positive when the ring runs clockwise on the screen (y downwards)."""
    if len(ring) < 3:
        return 0.0
    x, y = (ring - ring[0]).T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def simplify(ring: Ring, tolerance_px: float) -> Ring:
    """The ring without points that lie within `tolerance_px` of the outline left (Douglas and Peucker, 1973).

    The points that stay are points of the ring. Three of them stay at least, unless all points lie on one line.
    A thin neck may come to cross itself; see `crosses_itself`.
    """
    if len(ring) < 4:
        return ring
    far = int(np.argmax(_distances(ring, ring[0], ring[0])))
    ring = np.roll(ring, -far, axis=0)
    closed = np.concatenate([ring, ring[:1]])
    opposite = int(np.argmax(_distances(ring, ring[0], ring[0])))
    kept = {0, opposite}
    waiting = [(0, opposite), (opposite, len(ring))]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        farthest = int(np.argmax(distances))
        if distances[farthest] > tolerance_px:
            middle = first + 1 + farthest
            kept.add(middle)
            waiting += [(first, middle), (middle, last)]
    off_axis = np.abs(turns(ring[0], ring[opposite], ring))
    if off_axis[list(kept)].max() == 0 < off_axis.max():
        kept.add(int(np.argmax(off_axis)))
    return ring[sorted(kept)]


def _distances(points: Ring, start: Ring, end: Ring) -> NDArray[np.float64]:
    """Distances of points (n, 2) from the straight piece between two points."""
    along = end - start
    length_squared = float(along @ along)
    share = np.clip((points - start) @ along / length_squared, 0, 1) if length_squared else np.zeros(len(points))
    offsets = points - start - share[:, None] * along
    return np.asarray(np.hypot(offsets[:, 0], offsets[:, 1]))


def clip(ring: Ring, size_hw: tuple[int, int]) -> Ring:
    """What of a ring lies inside an image (Sutherland and Hodgman, 1974); parts of it stay tied along the border."""
    height, width = size_hw
    for axis, border, inwards in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = inwards * (ring[:, axis] - border)
        inside, next_depth = depth >= 0, np.roll(depth, -1)
        leaves = inside != np.roll(inside, -1)
        if not inside.all():
            # counted from the outer end, so that an edge run both ways, such as a slit, is cut at one point
            outer_first, following = (depth < next_depth)[:, None], np.roll(ring, -1, axis=0)
            outer, inner = np.where(outer_first, ring, following), np.where(outer_first, following, ring)
            outside, width_px = -np.minimum(depth, next_depth), np.abs(next_depth - depth)
            share = np.divide(outside, width_px, out=np.zeros(len(ring)), where=leaves)
            cuts = outer + share[:, None] * (inner - outer)
            cuts[:, axis] = border
            ring = np.stack([ring, cuts], axis=1)[np.column_stack([inside, leaves])]
    return ring


def keyhole(rings: Sequence[Ring]) -> Ring:
    """One ring that holds what all rings hold together, for formats that know only one ring an object.

    From left to right, each ring is joined to the nearest point before it by a slit of no width, run once there and
    once back. Slits follow rows and columns, because there `masks.from_polygons` rounds both ways alike: its result is
    exactly that of the rings together. Rings of fewer than three points hold nothing and are left out; without any
    other, the result has shape (0, 2).
    """
    rings = sorted((ring for ring in rings if len(ring) >= 3), key=lambda ring: float(ring[:, 0].min()))
    if len(rings) < 2:
        return rings[0] if rings else np.zeros((0, 2))
    points = np.concatenate(rings)
    firsts = np.cumsum([0, *map(len, rings)])
    chain = _Chain(points, firsts)
    for first, ring in zip(firsts[1:].tolist(), rings[1:]):
        leftmost = first + int(np.argmin(ring[:, 0]))
        steps = np.abs(points[:first, 0] - points[leftmost, 0]) + np.abs(points[:first, 1] - points[leftmost, 1])
        chain.join(int(np.argmin(steps)), leftmost)
    return chain.ring()


class _Chain:
    """Rings as a linked list of points that can be cut open and joined."""

    def __init__(self, points: Ring, firsts: Indices) -> None:
        self._xy: list[tuple[float, float]] = [(x, y) for x, y in points.tolist()]
        self._next = list(range(1, len(points) + 1))
        for first, end in zip(firsts[:-1].tolist(), firsts[1:].tolist()):
            self._next[end - 1] = first

    def join(self, a: int, b: int) -> None:
        """Let the ring through `a` go over to the one through `b`, around it, and back."""
        (ax, ay), (bx, by) = self._xy[a], self._xy[b]
        way = [(ax, ay), (bx, ay), (bx, by)]
        corners = [point for point, before in zip(way[1:], way) if point != before]
        there = self._insert(corners, self._next[b])
        back = self._insert([*corners[-2::-1], (ax, ay)] if corners else [], self._next[a])
        self._next[a], self._next[b] = there, back

    def _insert(self, points: list[tuple[float, float]], following: int) -> int:
        """New points that lead to `following`; the index of the first of them all."""
        for point in reversed(points):
            self._xy.append(point)
            self._next.append(following)
            following = len(self._xy) - 1
        return following

    def ring(self) -> Ring:
        """The points in order, from the first."""
        order = [0]
        while (index := self._next[order[-1]]) != 0:
            order.append(index)
        return np.array([self._xy[index] for index in order])
