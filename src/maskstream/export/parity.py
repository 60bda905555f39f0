"""The gate of a float32 export: on real images, ONNX Runtime must find what PyTorch finds.

Both go through the same decoder, so that a difference is the graphs'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskstream.core import boxes, masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import ExportRefused

GATE_FRAMES = 50
"""Images that the gate looks at, at least."""

BOX_TOLERANCE_PX = 0.5
SCORE_TOLERANCE = 1e-3
MASK_IOU = 0.99

REMEDY = "nothing was written; report it, or export with another PyTorch or ONNX Runtime version"


@dataclass(frozen=True, slots=True)
class Parity:
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


def check_parity(reference: Segmenter, deployed: Segmenter, frames: Sequence[Frame], *, floor: float = 0.05) -> Parity:
    """Compare two Segmenters object by object, down to the score `floor`.

    Boxes must agree within 0.5 px, scores and class probabilities within 1e-3 and masks with an IoU of at
    least 0.99. An object whose score is within 1e-3 of the floor may be missing on one side.

    Raises
    ------
    ExportRefused : a difference is too large; there are fewer than 50 frames; or in none of them nothing is
        found, so that this path was not tried.
    """
    empty = [frame for frame in frames if not len(reference.segment([frame])[0])]
    if len(frames) < GATE_FRAMES or not empty:
        raise ExportRefused(
            "the images of the parity gate",
            expected=f"at least {GATE_FRAMES}, one of them without anything to find",
            found=f"{len(frames)}, {len(empty)} of them without anything to find",
            remedy="nothing was written; use a dataset with more images, or add one of plain background",
        )
    for frame in empty:
        _check_empty(frame, deployed)
    differences = [row for frame in frames for row in _compare(frame, reference, deployed, floor)]
    worst = np.abs(np.array(differences).reshape(-1, 4)).max(axis=0, initial=0)
    box_px, score, probability, mask_gap = worst.tolist()
    return Parity(len(frames), len(empty), len(differences), box_px, score, probability, mask_iou=1 - mask_gap)


def _check_empty(frame: Frame, deployed: Segmenter) -> None:
    (found,) = deployed.segment([frame])
    if len(found):
        raise _refusal(frame, "nothing found, as by PyTorch", f"{len(found)} objects")


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
            raise _refusal(frame, "the same objects on both sides", f"one of score {score:.4f} in {name} only")
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
    if box > BOX_TOLERANCE_PX:
        raise _refusal(frame, f"boxes within {BOX_TOLERANCE_PX} px of PyTorch's", f"{box:.3g} px apart")
    if score > SCORE_TOLERANCE:
        raise _refusal(frame, f"scores within {SCORE_TOLERANCE} of PyTorch's", f"{score:.3g} apart")
    if probability > SCORE_TOLERANCE:
        raise _refusal(frame, f"class probabilities within {SCORE_TOLERANCE} of PyTorch's", f"{probability:.3g} apart")
    if overlap < MASK_IOU:
        raise _refusal(frame, f"masks with an IoU of at least {MASK_IOU} with PyTorch's", f"an IoU of {overlap:.4f}")
    return box, score, probability, 1 - overlap


def _refusal(frame: Frame, expected: str, found: str) -> ExportRefused:
    return ExportRefused(frame.source, expected=expected, found=found, remedy=REMEDY)
