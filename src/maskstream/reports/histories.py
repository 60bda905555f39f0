"""What each track of a run did over time, and where it was in its best frame.

Memory is bounded: `detections.jsonl` is streamed, and each curve keeps at most `curves.POINT_LIMIT` points.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.media.lines import read_lines
from maskstream.reports.curves import Curve
from maskstream.reports.read_run import FinishedRun, Percentage, not_a_run


class BestView(NamedTuple):
    """Where an object is in its best frame.

    Attributes
    ----------
    box_xyxy : (4,) in the frame's pixels.
    size_hw : the frame's height and width.
    overlay_name : the overlay's file in a run of single images.
    """

    box_xyxy: NDArray[np.float64]
    size_hw: tuple[int, int]
    overlay_name: str


@dataclass(slots=True)
class History:
    """What one track did over time. `best` is None when no line shows the track's best frame."""

    curve: Curve = field(default_factory=Curve)
    best: BestView | None = None


class OverlayNames:
    """The names that `media.sinks.ImageSink` gives to the overlays of single images, asked for in the same order."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, source: str) -> str:
        """The file name of the next image's overlay."""
        stem = Path(source).stem
        candidates = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in candidates if candidate.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return f"{name}.jpg"


def read_histories(run: FinishedRun) -> dict[int, History]:
    """Stream `detections.jsonl` once, for the tracks that are shown.

    Raises
    ------
    SourceError : the file is missing, or a whole line is not what a run writes.
    """
    path = run.path / "detections.jsonl"
    histories = {track.track_id: History() for track in run.tracks}
    tracks = {track.track_id: track for track in run.tracks}
    names = OverlayNames()
    for number, line in enumerate(read_lines(path)):
        try:
            overlay_name = "" if run.is_video else names.name(line["source"])
            for detection in line["detections"]:
                track = tracks.get(detection["track_id"])
                if track is not None:
                    history = histories[track.track_id]
                    _add_to_curve(history.curve, run.headline(track), number, line["time_s"], detection)
                    if line["frame"] == track.best_frame:
                        history.best = _best_view(detection, line["size_hw"], overlay_name)
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_run(f"{path}, line {number + 1}", f"no line of a run ({error!r})") from error
    return histories


def _add_to_curve(
    curve: Curve, headline: Percentage | None, number: int, time_s: float, detection: Mapping[str, Any]
) -> None:
    probability = detection["probabilities"][headline.name] if headline else detection["score"]
    curve.add(number, time_s, 100 * probability, detection["area_px"])


def _best_view(detection: Mapping[str, Any], size_hw: Sequence[int], overlay_name: str) -> BestView:
    height, width = size_hw
    return BestView(np.array(detection["box_xyxy"], np.float64).reshape(4), (height, width), overlay_name)
