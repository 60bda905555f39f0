"""The parity gate of instance segmentation: object by object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskstream.core import boxes, masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import ExportRefused
from maskstream.export.parity import check_empty, refusal, require_frames

BOX_TOLERANCE_PX = 0.5
SCORE_TOLERANCE = 1e-3
MASK_IOU = 0.99
STRAY_PX = 2
"""Pixels of a small object that may differ although they are more than its IoU allows: their probabilities lie at the
threshold to the last digits."""


@dataclass(frozen=True, slots=True)
class ObjectParity:
    """The largest differences that were seen, all within the tolerances.

    Attributes
    ----------
    frames : images that were compared.
    empty_frames : those of them where the model finds nothing at its own threshold.
    objects : objects that were compared, all those from `floor` on.
    box_px, score, probability : largest differences.
    mask_iou : smallest overlap.
    """

    frames: int
    empty_frames: int
    objects: int
    box_px: float
    score: float
    probability: float
    mask_iou: float

    def __str__(self) -> str:
        return (
            f"{self.frames} images and {self.objects} objects: boxes within {self.box_px:.2g} px, scores within "
            f"{self.score:.2g}, masks with an IoU of at least {self.mask_iou:.4f}"
        )


def check_objects(
    reference: Segmenter, deployed: Segmenter, frames: Sequence[Frame], *, floor: float = 0.05
) -> ObjectParity:
    """Compare two Segmenters object by object, down to the score `floor`.

    Boxes must agree within 0.5 px, scores and class probabilities within 1e-3 and masks with an IoU of at
    least 0.99, or in all but two pixels. An object whose score is within 1e-3 of the floor may be missing on one side.

    Raises
    ------
    ExportRefused : a difference is too large; there are fewer than 50 frames; or in none of them nothing is
        found, so that this path was not tried.
    """
    require_frames(frames)
    empty = check_empty(frames, reference, deployed)
    if not empty:
        raise ExportRefused(
            "the images of the parity gate",
            expected="one of them without anything to find",
            found="objects found in each",
            remedy="nothing was written; train longer, or add an image of plain background to the dataset",
        )
    differences = [row for frame in frames for row in _compare(frame, reference, deployed, floor)]
    worst = np.abs(np.array(differences).reshape(-1, 4)).max(axis=0, initial=0)
    box_px, score, probability, mask_gap = worst.tolist()
    return ObjectParity(len(frames), empty, len(differences), box_px, score, probability, mask_iou=1 - mask_gap)


def _compare(
    frame: Frame, reference: Segmenter, deployed: Segmenter, floor: float
) -> list[tuple[float, float, float, float]]:
    """Differences of each pair of objects: box, score, probability, 1 - mask IoU."""
    (expected,), (found,) = reference.segment([frame], floor), deployed.segment([frame], floor)
    pairs = _pair(expected, found)
    for name, detections, side in (("PyTorch", expected, 0), ("ONNX Runtime", found, 1)):
        alone = set(np.flatnonzero(detections.scores > floor + SCORE_TOLERANCE)) - {pair[side] for pair in pairs}
        if alone:
            score = detections.scores[min(alone)]
            raise refusal(frame, "the same objects on both sides", f"one of score {score:.4f} in {name} only")
    return [_difference(frame, expected, found, *pair) for pair in pairs]


def _pair(expected: Detections, found: Detections) -> list[tuple[int, int]]:
    """Rows of the same object on both sides, best overlap first; each row once, and only if boxes overlap by half."""
    overlaps = boxes.iou_matrix(expected.boxes_xyxy, found.boxes_xyxy)
    pairs = []
    while overlaps.size and overlaps.max() > 0.5:
        row, column = np.unravel_index(np.argmax(overlaps), overlaps.shape)
        pairs.append((int(row), int(column)))
        overlaps[row], overlaps[:, column] = 0, 0
    return pairs


def _difference(
    frame: Frame, expected: Detections, found: Detections, row: int, column: int
) -> tuple[float, float, float, float]:
    box = float(np.abs(expected.boxes_xyxy[row] - found.boxes_xyxy[column]).max())
    score = float(abs(expected.scores[row] - found.scores[column]))
    probability = float(np.abs(expected.probabilities[row] - found.probabilities[column]).max())
    overlap = masks.iou(expected.masks[row], found.masks[column])
    areas_px = expected.masks[row].area_px + found.masks[column].area_px
    stray_px = areas_px - 2 * masks.intersection_px(expected.masks[row], found.masks[column])
    if box > BOX_TOLERANCE_PX:
        raise refusal(frame, f"boxes within {BOX_TOLERANCE_PX} px of PyTorch's", f"{box:.3g} px apart")
    if score > SCORE_TOLERANCE:
        raise refusal(frame, f"scores within {SCORE_TOLERANCE} of PyTorch's", f"{score:.3g} apart")
    if probability > SCORE_TOLERANCE:
        raise refusal(frame, f"class probabilities within {SCORE_TOLERANCE} of PyTorch's", f"{probability:.3g} apart")
    if overlap < MASK_IOU and stray_px > STRAY_PX:
        raise refusal(frame, f"masks with an IoU of at least {MASK_IOU} with PyTorch's", f"an IoU of {overlap:.4f}")
    return box, score, probability, 1 - overlap
