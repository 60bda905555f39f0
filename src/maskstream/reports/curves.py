"""One track's percentage and area over time, thinned to what a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

POINT_LIMIT = 400
"""Points of a curve; more than a page has pixels for are averaged."""

WIDTH, HEIGHT = 1000.0, 100.0
"""The drawing's own units; the page stretches it to any size."""


@dataclass(frozen=True, slots=True)
class Point:
    """The mean over one or more neighbouring frames."""

    time_s: float
    percent: float
    area_px: float


class Curve:
    """Collects a track frame by frame in bounded memory.

    Frames go into buckets of `stride` neighbours. When there are more than `POINT_LIMIT` buckets the
    stride doubles and neighbours merge, so a curve of any length keeps 200 to 400 points.
    """

    def __init__(self) -> None:
        self._stride = 1
        self._buckets: dict[int, list[float]] = {}

    def add(self, number: int, time_s: float, percent: float, area_px: float) -> None:
        """Add one frame. `number` counts the frames that the run has looked at, from 0, without gaps."""
        self._put(number // self._stride, (time_s, percent, area_px, 1.0))
        while len(self._buckets) > POINT_LIMIT:
            self._stride *= 2
            finer, self._buckets = self._buckets, {}
            for key, sums in finer.items():
                self._put(key // 2, sums)

    def _put(self, key: int, sums: Sequence[float]) -> None:
        held = self._buckets.setdefault(key, [0.0, 0.0, 0.0, 0.0])
        for position, value in enumerate(sums):
            held[position] += value

    @property
    def frames_per_point(self) -> int:
        """How many frames at most one point is the mean of."""
        return self._stride

    def runs(self) -> list[list[Point]]:
        """The points in order of time, torn where the object was not seen."""
        torn: list[list[Point]] = []
        previous = None
        for key in sorted(self._buckets):
            time_s, percent, area_px, frames = self._buckets[key]
            if previous is None or key != previous + 1:
                torn.append([])
            torn[-1].append(Point(time_s / frames, percent / frames, area_px / frames))
            previous = key
        return torn

    def points(self) -> list[Point]:
        """All points in order of time."""
        return [point for run in self.runs() for point in run]


def svg_path(runs: Sequence[Sequence[tuple[float, float]]]) -> str:
    """SVG path data through points given as shares (x to the right, y upwards), each 0..1.

    A run of a single point becomes a line of no length, which a round line end draws as a dot.
    """
    pieces = []
    for run in runs:
        places = [f"{x * WIDTH:.1f} {(1 - y) * HEIGHT:.2f}" for x, y in run]
        pieces.append("M" + "L".join(places if len(places) > 1 else places * 2))
    return "".join(pieces)


def nice_ceiling(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `value`; 1.0 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** len(str(int(value))) / 10
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
