"""The score from which a deployed model counts an object as found, chosen on a validation split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import Segmenter
from maskstream.data.records import ImageRecord
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.pixels.pixel import overlap
from maskstream.evaluation.split import truth_of

CANDIDATES = tuple(np.round(np.arange(0.3, 0.951, 0.05), 2).tolist())


ORIENTATIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Steps through rows and columns: as it is, mirrored either way, and turned by half a circle; no pixel is lost."""


def in_all_orientations(
    records: Iterable[ImageRecord], model: Segmenter, class_ids: Sequence[int], score_floor: float
) -> Iterator[tuple[ImageTruth, Detections]]:
    """Truth and detections of each image in four orientations, which makes the most of a small split."""
    for record in records:
        image, truth = record.read_image(), truth_of(record, class_ids)
        for rows, columns in ORIENTATIONS:
            seen = Frame(np.ascontiguousarray(image[::rows, ::columns]), 0, 0.0, record.name)
            moved = tuple(_turned(mask, truth.size_hw, rows, columns) for mask in truth.masks)
            (found,) = model.segment([seen], score_floor)
            yield replace(truth, masks=moved), found


def _turned(mask: CroppedMask, size_hw: tuple[int, int], rows: int, columns: int) -> CroppedMask:
    return masks.crop(np.ascontiguousarray(mask.dense(size_hw)[::rows, ::columns]))


def choose_threshold(truth_and_found: Iterable[tuple[ImageTruth, Detections]]) -> float:
    """The candidate with the highest mean Jaccard of the images' unions of detections.

    That figure pays for an object that is missed and for one that is not there alike. Of equal candidates the
    highest is taken, which finds fewer things that are not there.

    Parameters
    ----------
    truth_and_found : detections down to a score below the lowest candidate.

    Raises
    ------
    ValueError : there is no image.
    """
    jaccards: list[NDArray[np.float64]] = []
    for truth, found in truth_and_found:
        above = (found.select(found.scores >= threshold) for threshold in CANDIDATES)
        jaccards.append(np.array([overlap(truth.masks, seen.masks, truth.size_hw).jaccard for seen in above]))
    if not jaccards:
        raise ValueError("no image to choose a threshold on")
    means = np.mean(jaccards, axis=0)
    return float(CANDIDATES[int(np.flatnonzero(means == means.max())[-1])])
