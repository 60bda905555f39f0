"""What a validation split tells about a deployed model's percentages: their calibration and their scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration, logit
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset
from maskstream.evaluation.calibration import fit_calibration
from maskstream.evaluation.judge import Judge
from maskstream.evaluation.split import match_classes, segment_records


@dataclass(frozen=True, slots=True)
class View:
    """One way in which a camera may see the same object again.

    Attributes
    ----------
    turn_degrees : rotation around the image's centre.
    zoom : above 1 magnifies.
    shift : right and down, in shares of the image's sides.
    mirror : left and right exchanged.
    gain : factor on all colours.
    """

    turn_degrees: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False
    gain: float = 1.0

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image (h, w, 3) as this view shows it, in the same size; the border is mirrored outwards."""
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.turn_degrees, self.zoom)
        matrix[:, 2] += np.array(self.shift) * (width, height)
        seen = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        seen = seen[:, ::-1] if self.mirror else seen
        return np.clip(np.round(seen * np.float32(self.gain)), 0, 255).astype(np.uint8)


VIEWS = (
    View(),
    View(mirror=True),
    View(turn_degrees=180),
    View(turn_degrees=90),
    View(turn_degrees=-35, zoom=1.1),
    View(zoom=1.25),
    View(zoom=0.85, shift=(0.08, -0.06)),
    View(shift=(-0.1, 0.08), gain=0.85),
    View(turn_degrees=15, gain=1.15),
)
"""The image as it is, and eight others: turned, moved, zoomed and lit as in a hand-held film."""


def calibrate(model: Segmenter, dataset: Dataset, split: str, positive: str) -> Calibration:
    """Fit a model's calibration on a split, and measure how far its log odds scatter between `VIEWS`.

    Only images in which something is found count: the others have no percentage to show.

    Parameters
    ----------
    model : uncalibrated; its `probabilities` are taken as raw.

    Raises
    ------
    DatasetError : the split does not hold both kinds of images, or one cannot be read.
    """
    verdict = Judge(model.classes, model.score_threshold, positive=positive)
    class_ids = match_classes(dataset, model.classes)
    for truth, found in segment_records(dataset.records(split), model, class_ids, model.score_threshold):
        verdict.add(truth, found)
    fit = fit_calibration(*verdict.percentages(), positive, view_sd=0.0)
    column = list(model.classes).index(positive)
    scatter = [_log_odds_of_views(model, record.read_image(), column) for record in dataset.records(split)]
    return replace(fit, view_sd=fit.slope * pooled_sd(scatter))


def pooled_sd(groups: Sequence[NDArray[np.float64]]) -> float:
    """Standard deviation within groups, pooled over them; 0.0 when no group has two values."""
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups if len(group))
    freedom = sum(len(group) - 1 for group in groups if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def _log_odds_of_views(model: Segmenter, image: NDArray[np.uint8], column: int) -> NDArray[np.float64]:
    """Log odds of the class in `column` of the best detection in each view that has one."""
    found = model.segment([Frame(view.of(image), index, 0.0, "view") for index, view in enumerate(VIEWS)])
    return logit(np.array([detections.probabilities[0, column] for detections in found if len(detections)], np.float64))
