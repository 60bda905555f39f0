"""One object as the page shows it: its picture, its percentage, and its curves as SVG paths."""

from __future__ import annotations

import json
from dataclasses import dataclass

from markupsafe import Markup

from maskstream.draw.palette import object_colour
from maskstream.reports.curves import Curve, nice_ceiling, svg_path
from maskstream.reports.histories import History
from maskstream.reports.read_run import FinishedRun, Percentage, TrackRow

OTHER_CLASSES = 5
"""Percentages named beside the first one, for models of more than two classes."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A track's curves for the page.

    Attributes
    ----------
    percent_path, area_path : SVG path data in a space of `curves.WIDTH` x `curves.HEIGHT`.
    area_top_px : area at the upper edge; the lower edges are 0, the percentage's upper edge is 100.
    start_s, end_s : times at the left and right edge.
    frames_per_point : how many frames one point is the mean of.
    values : JSON, [time in seconds, percentage, area in pixels] a point.
    """

    percent_path: str
    area_path: str
    area_top_px: float
    start_s: float
    end_s: float
    frames_per_point: int
    values: str


@dataclass(frozen=True, slots=True)
class Card:
    """One track as the page shows it.

    Attributes
    ----------
    colour : as in the overlay, `#rrggbb`.
    headline : the percentage that the reader is after; None for a model of one class.
    others : further percentages, highest first, where the model has more than two classes.
    picture : address of the picture; None when there is none.
    drawing : None for an object seen once.
    share_of_picture : mean area in percent of the frame; None when the frame's size is not known.
    seen_from, seen_width : where in the film the track lies, in percent of its length.
    """

    track: TrackRow
    colour: str
    headline: Percentage | None
    others: tuple[Percentage, ...]
    picture: Markup | None
    drawing: Drawing | None
    share_of_picture: float | None
    seen_from: float
    seen_width: float


def make_card(run: FinishedRun, track: TrackRow, history: History, picture: Markup | None) -> Card:
    """Gather what is known of one track."""
    headline = run.headline(track)
    length_s = max(float(run.summary.get("duration_s") or 0), track.last_time_s) or 1.0
    frame_px = history.best.size_hw[0] * history.best.size_hw[1] if history.best else 0
    return Card(
        track=track,
        colour="#{:02x}{:02x}{:02x}".format(*object_colour(track.track_id, 0)),
        headline=headline,
        others=_others(track, headline),
        picture=picture,
        drawing=_drawing(history.curve),
        share_of_picture=100 * track.mean_area_px / frame_px if frame_px else None,
        seen_from=100 * track.first_time_s / length_s,
        seen_width=100 * (track.last_time_s - track.first_time_s) / length_s,
    )


def _others(track: TrackRow, headline: Percentage | None) -> tuple[Percentage, ...]:
    """Nothing for two classes: the second percentage is what is left to 100."""
    if len(track.percentages) <= 2:
        return ()
    rest = [entry for entry in track.percentages if entry is not headline]
    return tuple(sorted(rest, key=lambda entry: -entry.percent)[:OTHER_CLASSES])


def _drawing(curve: Curve) -> Drawing | None:
    """None for fewer than two points: there is nothing to follow."""
    points = curve.points()
    if len(points) < 2 or points[-1].time_s <= points[0].time_s:
        return None
    start_s, end_s = points[0].time_s, points[-1].time_s
    top_px = nice_ceiling(max(point.area_px for point in points))

    def across(time_s: float) -> float:
        return (time_s - start_s) / (end_s - start_s)

    runs = curve.runs()
    return Drawing(
        percent_path=svg_path([[(across(point.time_s), point.percent / 100) for point in run] for run in runs]),
        area_path=svg_path([[(across(point.time_s), point.area_px / top_px) for point in run] for run in runs]),
        area_top_px=top_px,
        start_s=start_s,
        end_s=end_s,
        frames_per_point=curve.frames_per_point,
        values=json.dumps([[round(p.time_s, 3), round(p.percent, 1), round(p.area_px)] for p in points]),
    )
