"""Which labelled object of one frame is which of the next: the truth that tracking is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.data.formats.coco.heading import EXTRA
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.videos.video_frames import Video

TRACK_ID = "track_id"
"""Key, among the attributes of an annotation or in COCO's own entry, of what tells an object from all others of its
video: a number or a name."""

CROWD_SHARE = 0.5
"""What lies so far inside of a crowd and hits no object is neither right nor wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoTruth:
    """The true objects of one video.

    Attributes
    ----------
    names : what tables call each object, by its number, from 1.
    numbers : the number of each annotation of an image that is no crowd, by the image's name.
    """

    names: Mapping[int, str]
    numbers: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, video: Video, classes: Classes) -> VideoTruth:
        """Tell the objects of a video apart.

        By `TRACK_ID` where an object of the video has one; otherwise there may be one object of a class in each frame.

        Raises
        ------
        DatasetError : an object has no mask, or it is not clear which object it is.
        """
        objects = [annotation for record in video.frames for annotation in _objects(record)]
        named = any(_track_id(annotation) is not None for annotation in objects)
        numbers: dict[Hashable, int] = {}
        of_image = {}
        for record in video.frames:
            keys = [_key(annotation, named) for annotation in _objects(record)]
            _check(record, keys, classes, named)
            of_image[record.name] = tuple(numbers.setdefault(key, len(numbers) + 1) for key in keys)
        names = {number: str(key) if named else classes[int(str(key))] for key, number in numbers.items()}
        return cls(names, of_image)

    def frame(self, record: ImageRecord, class_ids: Sequence[int], classes: Classes) -> Detections:
        """The true objects of a frame with their numbers as track ids; `class_ids` is what `match_classes` gives.

        An object without a single pixel is not there.
        """
        found = [
            (annotation.mask(record.size_hw), class_ids[annotation.class_id], number)
            for annotation, number in zip(_objects(record), self.numbers[record.name], strict=True)
        ]
        seen = [item for item in found if item[0].area_px]
        corners = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m, _, _ in seen]
        return Detections(
            boxes_xyxy=np.array(corners, np.float32).reshape(-1, 4),
            masks=tuple(mask for mask, _, _ in seen),
            scores=np.ones(len(seen), np.float32),
            probabilities=np.eye(len(classes), dtype=np.float32)[[class_id for _, class_id, _ in seen]].reshape(
                -1, len(classes)
            ),
            track_ids=np.array([number for _, _, number in seen], np.int64),
            classes=classes,
            size_hw=record.size_hw,
        )


def outside_crowds(record: ImageRecord, truth: Detections, found: Detections) -> Detections:
    """What was found, without that of which more than `CROWD_SHARE` lies in a crowd, unless it hits a true object."""
    crowds = [annotation.mask(record.size_hw) for annotation in record.annotations if annotation.iscrowd]
    if not crowds:
        return found
    crowd = masks.union(crowds, record.size_hw)
    inside = [np.count_nonzero(crowd[mask.slices] & mask.bitmap) > CROWD_SHARE * mask.area_px for mask in found.masks]
    hits = [any(masks.iou(mask, true) >= 0.5 for true in truth.masks) for mask in found.masks]
    return found.select(~np.array(inside, bool) | np.array(hits, bool))


def _objects(record: ImageRecord) -> list[Annotation]:
    return [annotation for annotation in record.annotations if not annotation.iscrowd]


def _track_id(annotation: Annotation) -> Hashable | None:
    own = annotation.attributes.get(TRACK_ID)
    given = own if own is not None else annotation.attributes.get(EXTRA, {}).get(TRACK_ID)
    return given if isinstance(given, int | str) else None


def _key(annotation: Annotation, named: bool) -> Hashable | None:
    return _track_id(annotation) if named else annotation.class_id


def _check(record: ImageRecord, keys: Sequence[Hashable | None], classes: Classes, named: bool) -> None:
    if any(not annotation.segmentation for annotation in _objects(record)):
        raise _unclear(record, "a mask of every object", "a box alone", "import the boxes with --box-shape ellipse")
    remedy = f"write what tells the objects of a video apart as attribute {TRACK_ID} of each, or judge with --no-video"
    if None in keys:
        raise _unclear(record, f"a {TRACK_ID} of every object", "one without, beside objects that have one", remedy)
    if keys and (twice := Counter(keys).most_common(1)[0])[1] > 1:
        key, count = twice
        if named:
            raise _unclear(record, f"each {TRACK_ID} once in a frame", f"{key!r} {count} times", remedy)
        expected = f"a {TRACK_ID} of each object, or no more than one object of a class in each frame"
        raise _unclear(record, expected, f"{count} objects of {classes[int(str(key))]} without", remedy)


def _unclear(record: ImageRecord, expected: str, found: str, remedy: str) -> DatasetError:
    return DatasetError(f"image {record.name}", expected=expected, found=found, remedy=remedy)
