"""A classifier of several classes: its positive class is calibrated against the rest, and judged so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import small_datasets

from maskstream.core.calibration import logit, sigmoid
from maskstream.core.classification import Classification
from maskstream.core.frame import Frame
from maskstream.data.records import ImageRecord
from maskstream.evaluation.classes.calibration import fit_calibration
from maskstream.evaluation.classes.class_judge import ClassJudge
from maskstream.export.calibrate import calibrate

CLASSES = ("nevus", "keratosis", "melanoma")
COUNT = 40


class BrightnessClassifier:
    """The darker the image, the surer of a melanoma; the others share the rest one to three."""

    name, classes = "brightness", CLASSES

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        return [Classification(raw_probabilities(frame.image.mean()), CLASSES) for frame in frames]


def raw_probabilities(brightness: float) -> np.ndarray:
    melanoma = float(sigmoid(np.array(4 - brightness / 20)))
    return np.array([(1 - melanoma) / 4, 3 * (1 - melanoma) / 4, melanoma], np.float32)


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Darker ones are melanomas more often; the others are nevi and keratoses in turn."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(COUNT):
        brightness = 4 * number
        melanoma = rng.random() < sigmoid(np.array(2 - brightness / 40))
        pixels = np.full((*small_datasets.SIZE_HW, 3), brightness, np.uint8)
        made.append(small_datasets.record(tmp_path, number, pixels=pixels, class_id=2 if melanoma else number % 2))
    return made


def test_the_positive_class_against_the_rest(records: list[ImageRecord]) -> None:
    model = BrightnessClassifier()
    fit = calibrate(model, records, (0, 1, 2), "melanoma")
    raw = np.stack([raw_probabilities(record.read_image().mean()) for record in records])
    label = np.array([record.class_id == 2 for record in records])
    expected = fit_calibration(raw[:, 2].astype(np.float64), label, "melanoma", view_sd=0.0)
    assert (fit.slope, fit.bias) == pytest.approx((expected.slope, expected.bias))
    shown = fit.apply(raw, CLASSES)
    assert logit(shown[:, 2]) == pytest.approx(fit.slope * logit(raw[:, 2]) + fit.bias, abs=1e-3)
    np.testing.assert_allclose(shown[:, 1], 3 * shown[:, 0], rtol=1e-5)
    np.testing.assert_allclose(shown.sum(axis=1), 1, rtol=1e-6)

    before, after = ClassJudge(CLASSES, positive="melanoma"), ClassJudge(CLASSES, calibration=fit)
    for verdict, probabilities in ((before, raw), (after, shown)):
        for record, row in zip(records, probabilities, strict=True):
            verdict.add(record.name, record.class_id, Classification(row, CLASSES))
    figures = after.metrics()
    # on the images that it was fitted on, the calibrated percentage is right on the whole
    assert (figures["calibration_slope"], figures["calibration_intercept"]) == pytest.approx((1, 0), abs=0.02)
    assert figures["calibration_slope_uncalibrated"] == pytest.approx(before.metrics()["calibration_slope"], rel=1e-3)
    assert figures["auc/melanoma"] == before.metrics()["auc/melanoma"]
    assert figures["positive_class"] == "melanoma"
    assert {row[0] for table in after.tables() if table.name == "reliability" for row in table.rows} == {
        "calibrated",
        "uncalibrated",
    }
