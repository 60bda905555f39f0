"""A dataset whose images are frames of videos, judged as videos: what was found is tracked, and the tracks judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from maskstream import __version__
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import ObjectAnswers
from maskstream.evaluation.split import match_classes
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table
from maskstream.evaluation.videos.film_judge import FilmJudge, Sums, VideoResult, added, clear_of, figures
from maskstream.evaluation.videos.video_frames import FRAME_NUMBER_S, Video, videos_of
from maskstream.evaluation.videos.video_truth import VideoTruth, outside_crowds

HEADLINE = (
    *("J", "F", "JF", "J_recall", "J_decay", "F_recall", "F_decay", "HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1"),
    *("area_jitter", "percentage_jitter", "frame_class_accuracy", "track_class_accuracy"),
    "tracking_gain",
)
"""Figures of videos, in the order in which they are told."""


OF_CLASSES = ("percentage_jitter", "frame_class_accuracy", "track_class_accuracy", "tracking_gain")
"""Those that say nothing of a model of one class."""


class VideoEvaluation:
    """Takes the frames of videos one at a time, each with what was found in it, and knows the figures of all videos.

    Each video is tracked as `maskstream segment` does; of a semantic model each region is an object. Whether two
    objects are the same is a matter of their pixels; classes are judged apart.

    Parameters
    ----------
    answers : whose answers are judged.
    videos : in the order in which they come; two frames or more each.

    Attributes
    ----------
    videos : as given.
    records : the frames that are to come, in this order.

    Raises
    ------
    DatasetError : it is not clear which object of one frame is which of the next, or the dataset shows a class that
        the answers do not know.
    """

    def __init__(self, answers: ObjectAnswers, dataset: Dataset, videos: Sequence[Video]) -> None:
        self.answers, self.videos = answers, tuple(videos)
        self.records = tuple(record for video in videos for record in video.frames)
        self._class_ids = match_classes(dataset, answers.classes)
        self._truths = [VideoTruth.of(video, dataset.classes) for video in videos]
        self._places = [(video, frame) for video in range(len(videos)) for frame in range(len(videos[video].frames))]
        self._names = {record.name for record in self.records}
        self._done = 0
        self._results: list[VideoResult] = []
        self._stacked: Sums = {}

    def in_order(self, records: Iterable[ImageRecord]) -> tuple[ImageRecord, ...]:
        """The frames of the videos as they must come, and behind them all other images."""
        return *self.records, *(record for record in records if record.name not in self._names)

    def add(self, record: ImageRecord, found: Detections) -> None:
        """Judge an image with the objects that count as found in it; one that is no frame is let pass.

        Raises
        ------
        SourceError, DatasetError : the image cannot be read.
        ValueError : another frame was due.
        """
        if record.name not in self._names:
            return
        if self._done == len(self.records) or self.records[self._done].name != record.name:
            raise ValueError(f"{record.name} comes out of order; the frames must come as `records` says")
        number, index = self._places[self._done]
        video, truths = self.videos[number], self._truths[number]
        if index == 0:
            self._judge = FilmJudge(self.answers.classes, self.answers.calibration)
        frame = Frame(record.read_image(), index, video.times_s[index], video.name)
        truth = truths.frame(record, self._class_ids, self.answers.classes)
        self._judge.add(frame, truth, outside_crowds(record, truth, found))
        self._done += 1
        if index + 1 == len(video.frames):
            self._results.append(self._judge.result())

    def metrics(self) -> Metrics:
        """All figures of all videos, see `film_judge.figures`; counts, conditions, and those left out as undefined.

        Raises
        ------
        ValueError : not all frames have come.
        """
        sums = added(self._all())
        known, clear = figures(sums), clear_of(sums)
        several_classes = len(self.answers.classes) > 1
        expected = [key for key in HEADLINE if several_classes or key not in OF_CLASSES]
        metrics: Metrics = {key: known[key] for key in (*HEADLINE, "true_area_jitter") if key in known}
        if several_classes:
            metrics["n_class_hits"] = int(sums["frame_class_accuracy/n"])
        return metrics | {
            "id_switches": clear.switches,
            "n_videos": len(self.videos),
            "n_video_frames": clear.frames,
            "n_video_objects": clear.objects,
            "n_tracks": clear.tracks,
            "video_step_s": round(float(np.median([video.step_s for video in self.videos])), 6),
            "video_times": self._times(),
            "video_evaluator": f"maskstream {__version__}",
            "video_undefined": ", ".join(key for key in expected if key not in known) or "none",
        }

    def headline(self, videos: Positions) -> dict[str, float]:
        """The headline figures of a choice of videos, by position, repeats allowed; see `Verdict.headline`."""
        if not len(videos):
            return {}
        known = figures(added({key: values[videos] for key, values in self._all().items()}))
        return {key: known[key] for key in HEADLINE if key in known}

    def groups(self) -> list[str]:
        """What must not be torn apart, for each video: the group of its images, or the video on its own."""
        return [
            f"group {video.frames[0].group}" if video.frames[0].group else f"video {video.name}"
            for video in self.videos
        ]

    def tables(self) -> list[Table]:
        """`videos`, a row a video, and `video_objects`, a row a true object."""
        rows = [self._row(position) for position in range(len(self.videos))]
        objects: list[ImageRow] = [
            {"video": video.name, "object": truth.names[number], **row}
            for video, truth, result in zip(self.videos, self._truths, self._results, strict=True)
            for number, row in result.objects.items()
        ]
        columns = ("video", "frames", "step_s", "objects", "tracks", "id_switches")
        return [
            Table.of("videos", rows, (*columns, *HEADLINE)),
            Table.of("video_objects", objects, ("video", "object", "class", "frames")),
        ]

    def _row(self, position: int) -> ImageRow:
        video, clear = self.videos[position], clear_of(self._results[position].sums)
        row: ImageRow = {
            "video": video.name,
            "frames": clear.frames,
            "step_s": round(video.step_s, 6),
            "objects": clear.objects,
            "tracks": clear.tracks,
            "id_switches": clear.switches,
        }
        return row | self.headline(np.array([position]))

    def _times(self) -> str:
        stated = sum(video.stated for video in self.videos)
        told = {len(self.videos): "as the dataset tells", 0: f"{FRAME_NUMBER_S:g} s a frame number"}
        return told.get(
            stated, f"as the dataset tells for {stated}, {FRAME_NUMBER_S:g} s a frame number for the others"
        )

    def _all(self) -> Sums:
        if len(self._results) < len(self.videos):
            raise ValueError(f"{len(self.records) - self._done} frames of videos are still to come")
        if not self._stacked:
            keys = self._results[0].sums
            self._stacked = {key: np.stack([result.sums[key] for result in self._results]) for key in keys}
        return self._stacked


def video_evaluation(
    answers: ObjectAnswers, dataset: Dataset, records: Sequence[ImageRecord], *, asked: bool = False
) -> VideoEvaluation | None:
    """The evaluation of the videos whose frames are among the images; None where there is none, and nobody asked.

    Parameters
    ----------
    asked : somebody says that the images are frames of videos: folders of numbered images count, and frames that lie
        far apart in time.

    Raises
    ------
    DatasetError : videos were asked for and there is none, or see `VideoEvaluation` and `videos_of`.
    """
    videos = _asked_videos(dataset, records) if asked else videos_of(records)
    return VideoEvaluation(answers, dataset, videos) if videos else None


def _asked_videos(dataset: Dataset, records: Sequence[ImageRecord]) -> tuple[Video, ...]:
    videos = videos_of(records, asked=True)
    if not videos:
        raise DatasetError(
            dataset.folder,
            expected="images that are frames of videos: two or more of each, numbered (clip/00000.jpg, clip/00001.jpg)",
            found="none in this split",
            remedy="choose a split that holds whole videos, or judge without --video",
        )
    return videos
