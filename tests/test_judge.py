"""The judgement of a model's detections."""

from __future__ import annotations

import json

import numpy as np
import pytest
from judged_objects import CLASSES, LESION, NOTHING, SIZE_HW, detections, four_images, truth

from maskstream.core.calibration import Calibration, logit, sigmoid
from maskstream.core.detections import Detections
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.judge import ImageTruth, Judge, judge

CALIBRATION = Calibration("malignant", slope=0.5, bias=-0.3, covariance=((0.1, 0), (0, 0.1)), view_sd=0.2)


def test_hand_computed_figures() -> None:
    figures = judge(four_images(), CLASSES, 0.5)
    assert figures["mean_jaccard"] == pytest.approx((1 + 0.5) / 4)
    assert figures["thresholded_jaccard"] == pytest.approx(1 / 4)
    assert figures["mean_dice"] == pytest.approx((1 + 2 / 3) / 4)
    # percentages 0.2 | 0.7, 0 | 0: malignant against benign is right, wrong, right and tied
    assert figures["auc"] == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert (figures["sensitivity"], figures["specificity"], figures["balanced_accuracy"]) == (0.5, 1.0, 0.75)
    assert figures["brier"] == pytest.approx((0.2**2 + 0.3**2) / 2)
    assert figures["ece"] == pytest.approx((0.2 + 0.3) / 2)
    counts = {key: value for key, value in figures.items() if key.startswith("n_") and "_in_" not in key}
    assert counts == {
        "n_pictures": 4,
        "n_objects": 4,
        "n_objects/benign": 2,
        "n_objects/malignant": 2,
        "n_crowds": 0,
        "n_with_detection": 2,
        "n_without_detection": 2,
        "n_positive": 2,
    }
    assert str(figures["evaluator"]).startswith("faster-coco-eval ")


def test_average_precision_uses_what_is_below_the_threshold() -> None:
    """Benign entries, best first: 0.72 right, 0.24 on a malignant lesion, 0.04 right, 0.01 elsewhere."""
    figures = judge(four_images(), CLASSES, 0.5)
    # precision 1 up to recall 1/2 (51 of the 101 recalls), 2/3 beyond
    assert figures["AP50/benign"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert judge(four_images(), CLASSES, 0.95)["AP50/benign"] == figures["AP50/benign"]
    assert figures["AP50"] == pytest.approx((figures["AP50/benign"] + figures["AP50/malignant"]) / 2)


def test_calibration_changes_the_percentages_and_not_the_uncalibrated_figures() -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.02, 0.98, 60)
    label = rng.random(60) < raw
    pairs = [
        (truth(i, (LESION, int(positive))), detections((LESION, 0.9, p)))
        for i, (p, positive) in enumerate(zip(raw, label))
    ]
    before = judge(pairs, CLASSES, 0.5)
    shown = [(t, _calibrated(found)) for t, found in pairs]
    after = judge(shown, CLASSES, 0.5, calibration=CALIBRATION)
    for key in ("ece", "brier", "calibration_slope", "calibration_intercept"):
        assert after[f"{key}_uncalibrated"] == pytest.approx(before[key], abs=1e-5)
    assert f"{key}_uncalibrated" not in before
    assert after["auc"] == before["auc"]
    assert after["calibration_slope"] == pytest.approx(float(before["calibration_slope"]) / 0.5, rel=1e-4)
    expected = np.mean((sigmoid(0.5 * logit(raw) - 0.3) - label) ** 2)
    assert after["brier"] == pytest.approx(expected, abs=1e-6)
    assert (before["calibration"], after["calibration"]) == ("none", "temperature and bias")


def _calibrated(found: Detections) -> Detections:
    malignant = CALIBRATION.apply(found.probabilities, CLASSES)[:, 1]
    return detections(*zip(found.masks, found.scores.tolist(), malignant.tolist()))


def test_nothing_found_anywhere() -> None:
    figures = judge([(truth(1, (LESION, 0)), NOTHING), (truth(2, (LESION, 1)), NOTHING)], CLASSES, 0.5)
    assert (figures["AP"], figures["AP50"], figures["mean_jaccard"], figures["mean_dice"]) == (0, 0, 0, 0)
    assert figures["auc"] == 0.5
    undefined = {key for key in str(figures["undefined"]).split(", ") if "medium" not in key and "large" not in key}
    assert undefined == {
        *("precision", "precision/benign", "precision/malignant", "best_f1_score", "mean_hausdorff95_px"),
        *("ece", "brier", "calibration_slope", "calibration_intercept", "aurc"),
    }
    assert figures["n_without_detection"] == 2


def test_images_without_any_object() -> None:
    figures = judge([(truth(1), NOTHING), (truth(2), detections((LESION, 0.9, 0.9)))], CLASSES, 0.5)
    assert figures["mean_jaccard"] == 0.5
    assert set(str(figures["undefined"]).split(", ")) >= {"AP", "AP50", "AP50/malignant", "auc", "calibration_slope"}
    assert "AP" not in figures
    assert "auc" not in figures
    json.dumps(figures, allow_nan=False)


def test_a_model_of_one_class_has_no_percentage_to_judge() -> None:
    tank = Detections(
        np.zeros((1, 4), np.float32),
        (LESION,),
        np.array([0.9], np.float32),
        np.ones((1, 1), np.float32),
        np.zeros(1, np.int64),
        ("tank",),
        SIZE_HW,
    )
    figures = judge([(truth(1, (LESION, 0)), tank)], ("tank",), 0.5)
    assert figures["AP"] == figures["AP/tank"] == figures["mean_jaccard"] == 1
    sizes = [f"{key}_{size}" for key in ("AP", "AR") for size in ("medium", "large")]
    undefined = {f"{before}{key}" for key in sizes for before in ("", "box_")} | {f"{key}/tank" for key in sizes}
    assert set(str(figures["undefined"]).split(", ")) == undefined
    assert not {"auc", "ece", "positive_class"} & figures.keys()


def test_percentages_are_those_of_the_images_with_a_detection() -> None:
    verdict = Judge(CLASSES, 0.5)
    probability, label = verdict.percentages()
    assert (probability.shape, label.shape) == ((0,), (0,))
    for shown, found in four_images():
        verdict.add(shown, found)
    probability, label = verdict.percentages()
    assert probability == pytest.approx([0.2, 0.7])
    assert label.tolist() == [False, True]
    with pytest.raises(DatasetError, match="name the class whose percentage matters"):
        Judge(("tank",), 0.5).percentages()


@pytest.mark.parametrize(
    "calibration, positive, expected",
    [(None, None, "malignant"), (None, "benign", "benign"), (CALIBRATION, None, "malignant")],
)
def test_the_positive_class(calibration: Calibration | None, positive: str | None, expected: str) -> None:
    assert Judge(CLASSES, 0.5, calibration=calibration, positive=positive).positive == expected


def test_an_unknown_positive_class_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"positive class 'melanoma': expected one of benign, malignant"):
        judge([], CLASSES, 0.5, positive="melanoma")


def test_no_image_is_refused() -> None:
    with pytest.raises(DatasetError, match="expected at least one image, found none"):
        judge([], CLASSES, 0.5)


@pytest.mark.parametrize(
    "pairs, message",
    [
        ([(truth(7), NOTHING), (truth(7), NOTHING)], "image 7: expected each image once"),
        ([(truth(7), Detections.empty(CLASSES, (40, 61)))], r"\(40, 60\) \(height, width\), found \(40, 61\)"),
        ([(truth(7), Detections.empty(("mole",), SIZE_HW))], "benign, malignant, found detections of mole"),
        ([(truth(7, (LESION, 2)), NOTHING)], r"truth with ids \[2\]"),
    ],
)
def test_contradictions_are_refused_with_the_image(pairs: list[tuple[ImageTruth, Detections]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        judge(pairs, CLASSES, 0.5)
