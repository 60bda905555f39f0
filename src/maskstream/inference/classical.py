"""A Segmenter without a network: the dark object in the middle of the picture, by Otsu's threshold.

What a trained model has to beat. It was made for dermoscopy, one dark lesion on lighter skin, and needs no training:

1. the blue channel, in which pigment is darkest against skin: M. E. Celebi et al., "Lesion border detection in
   dermoscopy images using ensembles of thresholding methods", Skin Research and Technology 19 (2013);
2. hairs closed over by a grey closing, as in T. Lee et al., "DullRazor", Computers in Biology and Medicine 27 (1997),
   then a Gaussian blur;
3. the black corners of a dermoscope's round view left out;
4. the threshold that parts the grey levels best: N. Otsu, "A threshold selection method from gray-level histograms",
   IEEE Transactions on Systems, Man, and Cybernetics 9 (1979);
5. of the dark parts the one with most pixels, those near the middle counting more; its holes filled.

It knows no classes: its class probabilities are those that it is given, the same for every object.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes, masks
from maskstream.core.classes import Classes
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.frame import Frame

NAME = "classical"
WORKING_SIDE_PX = 512
"""Larger pictures are shrunk to this longest side before they are looked at."""

HAIR, BLUR, MIDDLE = 0.03, 0.01, 0.25
"""Width of the closing, and standard deviations of the blur and of the weight of the middle: shares of the side."""

BLACK = 30
"""Grey level below which what touches a corner is the dermoscope's rim."""

LEAST_CONTRAST = 8.0
"""Levels of 255 between the means of the dark and the light part below which nothing is found."""

Plane = NDArray[np.uint8]


class ClassicalSegmenter:
    """At most one object a picture.

    Parameters
    ----------
    classes : names in the order of their ids.
    probabilities : of each class, the same for every object; they sum to 1.

    Attributes
    ----------
    score_threshold : 0, as every object that it finds counts. The score is Otsu's eta: the share of the grey levels'
        variance that lies between dark and light, 0..1.
    """

    def __init__(self, classes: Classes, probabilities: Sequence[float]) -> None:
        self.name = NAME
        self.classes = classes
        self.score_threshold = 0.0
        self._probabilities = np.array(probabilities, np.float32)

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """The dark object of each frame, if its score reaches the threshold."""
        return [self._segment_one(frame, score_threshold or 0.0) for frame in frames]

    def _segment_one(self, frame: Frame, threshold: float) -> Detections:
        pixels, score = dark_object(frame.image)
        if not pixels.any() or score < threshold:
            return Detections.empty(self.classes, frame.size_hw)
        return Detections(
            boxes_xyxy=boxes.from_mask(pixels)[None].astype(np.float32),
            masks=(masks.crop(pixels),),
            scores=np.array([score], np.float32),
            probabilities=self._probabilities[None],
            track_ids=np.array([NO_TRACK], np.int64),
            classes=self.classes,
            size_hw=frame.size_hw,
        )


def dark_object(image: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], float]:
    """Pixels (h, w) of the dark object in the middle of an RGB picture (h, w, 3), none where there is none, and eta."""
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE_PX / max(height, width))
    small_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA) if scale < 1 else image
    plane = _smoothed(np.ascontiguousarray(small[..., 2]))
    view = ~_rim(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8))
    seen = plane[view]
    if not seen.size:
        return np.zeros((height, width), bool), 0.0
    level, _ = cv2.threshold(seen.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = seen <= level
    if dark.all() or not dark.any() or seen[~dark].mean() - seen[dark].mean() < LEAST_CONTRAST:
        return np.zeros((height, width), bool), 0.0
    found = _filled(_most_central((plane <= level) & view))
    if scale < 1:
        # half of a pixel of the small picture is the border, as of any mask that is enlarged
        found = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    return found, _eta(seen, dark)


def _smoothed(plane: Plane) -> Plane:
    side = max(plane.shape)
    hair_px = 2 * round(side * HAIR / 2) + 1
    closed = cv2.morphologyEx(plane, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (hair_px, hair_px)))
    return np.asarray(cv2.GaussianBlur(closed, (0, 0), side * BLUR), np.uint8)


def _rim(grey: Plane) -> NDArray[np.bool_]:
    """Dark pixels (h, w) that hang together with a corner."""
    _, parts = cv2.connectedComponents((grey < BLACK).astype(np.uint8))
    corners = {int(parts[row, column]) for row in (0, -1) for column in (0, -1)} - {0}
    return np.isin(parts, list(corners))


def _most_central(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected part with the largest sum of weights, which fall with the distance from the middle."""
    height, width = dark.shape
    count, parts = cv2.connectedComponents(dark.astype(np.uint8))
    row_weights, column_weights = (
        np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * MIDDLE**2)) for side in (height, width)
    )
    weights = np.outer(row_weights, column_weights)
    sums = np.bincount(parts.ravel(), weights.ravel(), count)
    return np.asarray(parts == 1 + int(np.argmax(sums[1:])), bool)


def _filled(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same without holes."""
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(part.shape, np.uint8), contours, -1, 1, cv2.FILLED)
    return np.asarray(filled > 0, bool)


def _eta(levels: NDArray[np.uint8], dark: NDArray[np.bool_]) -> float:
    """Variance between the two parts over the variance of all levels."""
    share = float(dark.mean())
    gap = float(levels[dark].mean()) - float(levels[~dark].mean())
    return min(1.0, share * (1 - share) * gap**2 / float(levels.astype(np.float64).var()))
