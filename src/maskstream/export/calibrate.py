"""What validation images tell about a deployed model's percentages: their calibration and their scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration, logit
from maskstream.core.classification import Classifier
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.records import ImageRecord
from maskstream.evaluation.classes.calibration import fit_calibration
from maskstream.evaluation.classes.class_judge import ClassJudge
from maskstream.evaluation.objects.judge import Judge
from maskstream.evaluation.split import classify_records, segment_records
from maskstream.export.views import VIEWS


def calibrate(
    model: Segmenter | Classifier, records: Sequence[ImageRecord], class_ids: Sequence[int], positive: str
) -> Calibration:
    """Fit a model's calibration, and measure how far its log odds scatter between `VIEWS`.

    Of a Segmenter only images in which something is found count: the others have no percentage to show.

    Parameters
    ----------
    model : uncalibrated; its probabilities are taken as raw.
    class_ids : as `match_classes` gives them.

    Raises
    ------
    DatasetError : the records do not hold both kinds of images, or one cannot be read.
    """
    fit = fit_calibration(*_percentages(model, records, class_ids, positive), positive, view_sd=0.0)
    column = list(model.classes).index(positive)
    scatter = [_log_odds_of_views(model, record.read_image(), column) for record in records]
    return replace(fit, view_sd=fit.slope * pooled_sd(scatter))


def pooled_sd(groups: Sequence[NDArray[np.float64]]) -> float:
    """Standard deviation within groups, pooled over them; 0.0 when no group has two values."""
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups if len(group))
    freedom = sum(len(group) - 1 for group in groups if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def _percentages(
    model: Segmenter | Classifier, records: Sequence[ImageRecord], class_ids: Sequence[int], positive: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The raw probability of the positive class and the label, each (n,), of the images that have a percentage."""
    if isinstance(model, Segmenter):
        verdict = Judge(model.classes, model.score_threshold, positive=positive)
        for truth, found in segment_records(records, model, class_ids, model.score_threshold):
            verdict.add(truth, found)
        return verdict.percentages()
    class_verdict = ClassJudge(model.classes, positive=positive)
    for record, class_id, answer in classify_records(records, model, class_ids):
        class_verdict.add(record.name, class_id, answer)
    return class_verdict.percentages()


def _log_odds_of_views(model: Segmenter | Classifier, image: NDArray[np.uint8], column: int) -> NDArray[np.float64]:
    """Log odds of the class in `column` in each view that shows it: of the image, or of its best detection."""
    frames = [Frame(view.of(image), index, 0.0, "view") for index, view in enumerate(VIEWS)]
    if isinstance(model, Segmenter):
        shown = [found.probabilities[0, column] for found in model.segment(frames) if len(found)]
    else:
        shown = [answer.probabilities[column] for answer in model.classify(frames)]
    return logit(np.array(shown, np.float64))
