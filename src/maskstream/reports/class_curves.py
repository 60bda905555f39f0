"""The probabilities of a video's classes over time, thinned to what a page can show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskstream.draw.palette import BASE_COLOURS
from maskstream.media.lines import read_lines
from maskstream.reports.curves import Curve, svg_path
from maskstream.reports.read_run import FinishedRun

LINES = "classifications.jsonl"

CURVE_LIMIT = 5
"""Classes whose probability is followed over a video's time."""

_LINE_COLOURS = tuple("#{:02x}{:02x}{:02x}".format(*BASE_COLOURS[index]) for index in (4, 6, 2, 3, 5))
"""Those of the base colours that are seen as lines on white."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One class's probability over time: SVG path data in a space of `curves.WIDTH` x `curves.HEIGHT`, and its mean."""

    name: str
    colour: str
    path: str
    mean_percent: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """The probabilities of a video over time.

    Attributes
    ----------
    frames_per_point : how many frames one point is the mean of.
    values : JSON, [time in seconds, percentage of each trace ...] a point.
    """

    traces: tuple[Trace, ...]
    start_s: float
    end_s: float
    frames_per_point: int
    values: str

    @property
    def names(self) -> str:
        """JSON, the traces' classes in the order of `values`."""
        return json.dumps([trace.name for trace in self.traces])


def draw_probabilities(run: FinishedRun) -> Drawing | None:
    """The curves of a video's run. None for fewer than two moments: there is nothing to follow."""
    means: Mapping[str, float] = run.summary["sources"][0]["probabilities"]
    names = _followed(means, run.positive_class)
    curves = [Curve() for _ in names]
    for number, line in enumerate(read_lines(run.path / LINES)):
        for name, curve in zip(names, curves, strict=True):
            curve.add(number, line["time_s"], 100 * line["probabilities"][name], 0.0)
    points = [curve.points() for curve in curves]
    start_s, end_s = points[0][0].time_s, points[0][-1].time_s
    if end_s <= start_s:
        return None
    paths = [
        svg_path([[((p.time_s - start_s) / (end_s - start_s), p.percent / 100) for p in trace]]) for trace in points
    ]
    return Drawing(
        traces=tuple(
            Trace(name, colour, path, 100 * means[name])
            for name, colour, path in zip(names, _LINE_COLOURS, paths, strict=False)
        ),
        start_s=start_s,
        end_s=end_s,
        frames_per_point=curves[0].frames_per_point,
        values=json.dumps(
            [[round(row[0].time_s, 3), *(round(p.percent, 1) for p in row)] for row in zip(*points, strict=True)]
        ),
    )


def _followed(means: Mapping[str, float], positive: str | None) -> Sequence[str]:
    """Classes to follow, the most probable first; of two one is enough: the positive one, else the called one."""
    ordered = sorted(means, key=lambda name: -means[name])
    if len(ordered) == 2:
        return [positive if positive in ordered else ordered[0]]
    return ordered[:CURVE_LIMIT]
