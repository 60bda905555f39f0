"""What the percentages of a run's tracks rest on, each in the track's best frame.

why/track-N.jpg  the frame and the map of track N
why/why.json     what each map says, in numbers and in words; the report reads it
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from maskstream.core.detections import Detection, Detections
from maskstream.core.files import write_json
from maskstream.core.frame import Frame
from maskstream.core.parallel import OnProgress
from maskstream.core.segmenter import Segmenter
from maskstream.evaluation.failures.occlusion import occlude_object
from maskstream.media.base import Source
from maskstream.media.lines import line_to_detections, read_lines
from maskstream.media.sinks import write_jpeg
from maskstream.reports.pictures import jpeg_uri, read_picture
from maskstream.reports.read_run import FinishedRun, not_a_run, read_run
from maskstream.reports.why_pictures import reading, why_picture
from maskstream.reports.why_worst import FOLDER, FOLLOW_DOWN_TO, asked_class
from maskstream.run_folder import LINES

INDEX = "why.json"

SIDE_PX = 1130
"""Longest side of a picture inside a page."""

MOST_TRACKS = 12
"""The tracks that the report shows first; a map takes 50 to 120 runs of the model."""


@dataclass(frozen=True, slots=True)
class TrackReason:
    """What the map of one track says.

    Attributes
    ----------
    picture : path below the run folder.
    class_name : the class whose percentage it is, or "object".
    probability : in the best frame, with nothing hidden.
    lowest, highest : with one place hidden; None where the object was lost every time.
    reading : in a sentence or two.
    """

    track_id: int
    picture: str
    class_name: str
    probability: float
    lowest: float | None
    highest: float | None
    runs: int
    reading: str


def explain_tracks(
    run_dir: Path, segmenter: Segmenter, source: Source, on_progress: OnProgress | None = None
) -> list[TrackReason]:
    """Write the maps of a finished run's first tracks, in the order of its report, into `run_dir/why/`.

    Parameters
    ----------
    segmenter, source : those of the run.
    on_progress : told how many maps there are, and how many there will be.

    Raises
    ------
    SourceError : a table of the run or a best frame is missing or broken.
    OutputError : the folder cannot be written.
    """
    run = read_run(run_dir)
    wanted: defaultdict[int, list[int]] = defaultdict(list)
    for track in run.tracks[:MOST_TRACKS]:
        wanted[track.best_frame].append(track.track_id)
    found = _detections(run, segmenter, wanted)
    reasons: dict[int, TrackReason] = {}
    for frame in _frames(source, sorted(wanted)):
        for track_id in wanted[frame.index]:
            reasons[track_id] = _explained(run_dir, segmenter, frame, found[track_id])
            if on_progress is not None:
                on_progress(len(reasons), len(found))
    ordered = [reasons[track.track_id] for track in run.tracks[:MOST_TRACKS] if track.track_id in reasons]
    write_json(run_dir / FOLDER / INDEX, {"tracks": [asdict(reason) for reason in ordered]})
    return ordered


def read_reasons(run_dir: Path) -> dict[int, TrackReason]:
    """What `explain_tracks` wrote, by track id; empty where it was not asked to.

    Raises
    ------
    SourceError : the file is not what it writes.
    """
    path = run_dir / FOLDER / INDEX
    if not path.is_file():
        return {}
    try:
        reasons = [TrackReason(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["tracks"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise not_a_run(path, f"no list of tracks ({error!r})") from error
    return {reason.track_id: reason for reason in reasons}


def embedded_reasons(run_dir: Path) -> dict[int, tuple[TrackReason, Markup]]:
    """Each reason with the address of its picture for a page, by track id; one whose picture is gone is left out."""
    shown = {}
    for track_id, reason in read_reasons(run_dir).items():
        if (image := read_picture(run_dir / reason.picture)) is not None:
            shown[track_id] = reason, jpeg_uri(image, SIDE_PX)
    return shown


def _detections(run: FinishedRun, segmenter: Segmenter, wanted: Mapping[int, Sequence[int]]) -> dict[int, Detection]:
    """Each track as its best frame's line has it."""
    path = run.path / LINES
    found: dict[int, Detection] = {}
    for line in read_lines(path):
        if (ids := wanted.get(line["frame"])) is not None:
            for detection in line_to_detections(line, segmenter.classes):
                if detection.track_id in ids:
                    found[detection.track_id] = detection
    missing = {track_id for ids in wanted.values() for track_id in ids} - found.keys()
    if missing:
        raise not_a_run(path, f"no line that shows the best frame of {len(missing)} tracks")
    return found


def _frames(source: Source, indices: Sequence[int]) -> Iterator[Frame]:
    """The frames with these indices, ascending, in one walk through the source."""
    if not indices:
        return
    last, wanted = indices[-1], set(indices)
    for frame in source.frames(indices[0]):
        if frame.index in wanted:
            yield frame
        if frame.index >= last:
            return


def _explained(run_dir: Path, segmenter: Segmenter, frame: Frame, target: Detection) -> TrackReason:
    floor = FOLLOW_DOWN_TO * min(segmenter.score_threshold, target.score)

    def find(images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return segmenter.segment([Frame(image, frame.index, frame.time_s, frame.source) for image in images], floor)

    calibration = getattr(segmenter, "calibration", None)
    name = asked_class(segmenter.classes, calibration.positive if calibration else None, target.class_name)
    occlusion = occlude_object(find, frame.image, target, name)
    picture = f"{FOLDER}/track-{target.track_id}.jpg"
    write_jpeg(run_dir / picture, why_picture(frame.image, occlusion, f"#{target.track_id}", target.mask))
    return TrackReason(
        track_id=target.track_id,
        picture=picture,
        class_name=occlusion.name,
        probability=occlusion.probability,
        lowest=occlusion.lowest,
        highest=occlusion.highest,
        runs=occlusion.runs,
        reading=reading(occlusion),
    )
