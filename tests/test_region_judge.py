"""Judging regions: by hand, against scikit-learn on pixels, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from maskstream import __version__
from maskstream.core.boxes import from_mask
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.masks import EMPTY, crop
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.pixels.image_figures import FIGURES
from maskstream.evaluation.pixels.regions import RegionJudge

CLASSES = ("lung", "heart")
SIZE_HW = (4, 6)
Rows = list[str]
"""An image drawn in letters: L lung, H heart, B both, . background."""


def masks_of(drawn: Rows) -> list[tuple[NDArray[np.bool_], int]]:
    letters = np.array([list(row) for row in drawn])
    masks = [(np.isin(letters, list(own)), class_id) for class_id, own in enumerate(("LB", "HB"))]
    return [(mask, class_id) for mask, class_id in masks if mask.any()]


def truth_of(image_id: int, drawn: Rows) -> ImageTruth:
    objects = masks_of(drawn)
    size_hw = len(drawn), len(drawn[0])
    return ImageTruth(image_id, tuple(crop(mask) for mask, _ in objects), tuple(own for _, own in objects), size_hw)


def found_of(drawn: Rows, score: float = 1.0) -> Detections:
    objects = masks_of(drawn)
    return Detections(
        boxes_xyxy=np.array([from_mask(mask) for mask, _ in objects], np.float32).reshape(-1, 4),
        masks=tuple(crop(mask) for mask, _ in objects),
        scores=np.full(len(objects), score, np.float32),
        probabilities=np.eye(len(CLASSES), dtype=np.float32)[[own for _, own in objects]].reshape(-1, len(CLASSES)),
        track_ids=np.full(len(objects), NO_TRACK, np.int64),
        classes=CLASSES,
        size_hw=(len(drawn), len(drawn[0])),
    )


def judged(*pairs: tuple[Rows, Rows]) -> dict[str, float | int | str]:
    verdict = RegionJudge(CLASSES)
    for image_id, (truth, found) in enumerate(pairs):
        verdict.add(truth_of(image_id, truth), found_of(found))
    return verdict.metrics()


NOTHING = ["......"] * 4
LUNG = ["LL....", "LL....", "......", "......"]
WIDE = ["LLL...", "LLL...", "......", "......"]
BOTH = ["LL..HH", "LL..HH", "......", "......"]


def test_by_hand() -> None:
    """Found: two pixels too many of the lung; then no lung, and of the heart's four pixels two, called lung."""
    figures = judged((LUNG, WIDE), (["....HH", "....HH", "......", "......"], ["....LL", "....HH", "......", "......"]))
    expected = {
        # together: 4 of 6, and 4 of 4; the outline too wide by one pixel, which the boundary tolerates
        "mean_jaccard": (4 / 6 + 1) / 2,
        "mean_dice": (8 / 10 + 1) / 2,
        "thresholded_jaccard": (4 / 6 + 1) / 2,
        "share_below_065": 0,
        "mean_sensitivity": 1,
        "n_in_mean_sensitivity": 2,
        "mean_specificity": (18 / 20 + 1) / 2,
        "n_in_mean_specificity": 2,
        "mean_accuracy": (22 / 24 + 1) / 2,
        "mean_boundary_f": 1,
        "mean_hausdorff95_px": (1 + 0) / 2,
        "n_in_mean_hausdorff95_px": 2,
        "pooled_jaccard": 8 / 10,
        "pooled_dice": 16 / 18,
        "pooled_sensitivity": 1,
        "pooled_specificity": 38 / 40,
        "pooled_accuracy": 46 / 48,
        # lung: 4 of 6, and 0 of 2; pooled 4 common, 4 true, 8 found
        "n_in_mean/lung": 2,
        "mean_jaccard/lung": 4 / 6 / 2,
        "mean_dice/lung": 8 / 10 / 2,
        "thresholded_jaccard/lung": 4 / 6 / 2,
        "share_below_065/lung": 1 / 2,
        "mean_sensitivity/lung": 1,
        "n_in_mean_sensitivity/lung": 1,
        "mean_specificity/lung": (18 / 20 + 22 / 24) / 2,
        "n_in_mean_specificity/lung": 2,
        "mean_accuracy/lung": 22 / 24,
        "mean_boundary_f/lung": 1 / 2,
        "mean_hausdorff95_px/lung": 1,
        "n_in_mean_hausdorff95_px/lung": 1,
        "pooled_jaccard/lung": 4 / 8,
        "pooled_dice/lung": 8 / 12,
        "pooled_sensitivity/lung": 1,
        "pooled_specificity/lung": 40 / 44,
        "pooled_accuracy/lung": 44 / 48,
        # heart: only in the second image: 2 of 4
        "n_in_mean/heart": 1,
        "mean_jaccard/heart": 2 / 4,
        "mean_dice/heart": 4 / 6,
        "thresholded_jaccard/heart": 0,
        "share_below_065/heart": 1,
        "mean_sensitivity/heart": 2 / 4,
        "n_in_mean_sensitivity/heart": 1,
        "mean_specificity/heart": 1,
        "n_in_mean_specificity/heart": 1,
        "mean_accuracy/heart": 22 / 24,
        "mean_boundary_f/heart": 1,
        "mean_hausdorff95_px/heart": 1,
        "n_in_mean_hausdorff95_px/heart": 1,
        "pooled_jaccard/heart": 2 / 4,
        "pooled_dice/heart": 4 / 6,
        "pooled_sensitivity/heart": 2 / 4,
        "pooled_specificity/heart": 1,
        "pooled_accuracy/heart": 46 / 48,
        # 2 of 24 pixels are wrong in each
        "mean_pixel_accuracy": 22 / 24,
        "pooled_pixel_accuracy": 22 / 24,
        "n_pictures": 2,
        "score_threshold": 0.0,
        "jaccard_threshold": 0.65,
        "evaluator": f"maskstream {__version__}",
        "undefined": "none",
    }
    assert set(figures) == set(expected)
    for key, value in expected.items():
        assert figures[key] == (value if isinstance(value, str) else pytest.approx(value)), key


@pytest.mark.parametrize(
    "truth, found, mean_dice, lung, accuracy",
    [
        (NOTHING, NOTHING, 1.0, None, 1.0),
        (LUNG, LUNG, 1.0, 1.0, 1.0),
        (LUNG, NOTHING, 0.0, 0.0, 20 / 24),
        (NOTHING, LUNG, 0.0, 0.0, 20 / 24),
        (["LLLLLL"] * 4, ["LLLLLL"] * 4, 1.0, 1.0, 1.0),
        (["LLLLLL"] * 4, ["HHHHHH"] * 4, 1.0, 0.0, 0.0),
        # pixels of both classes: either name is right for the accuracy, but the heart's Dice knows
        (["BB....", *NOTHING[1:]], ["LL....", *NOTHING[1:]], 1.0, 1.0, 1.0),
    ],
)
def test_one_image(truth: Rows, found: Rows, mean_dice: float, lung: float | None, accuracy: float) -> None:
    figures = judged((truth, found))
    assert figures["mean_dice"] == pytest.approx(mean_dice)
    assert figures.get("mean_dice/lung") == (lung if lung is None else pytest.approx(lung))
    assert figures["mean_pixel_accuracy"] == pytest.approx(accuracy)


def test_an_image_without_a_class_does_not_flatter_it() -> None:
    figures = judged((LUNG, LUNG), (NOTHING, NOTHING), (LUNG, NOTHING))
    assert figures["n_in_mean/lung"] == 2
    assert figures["mean_dice/lung"] == pytest.approx(1 / 2)
    assert figures["mean_dice"] == pytest.approx(2 / 3)


def test_a_class_that_nobody_saw_is_undefined() -> None:
    figures = judged((LUNG, LUNG))
    assert figures["n_in_mean/heart"] == 0
    always = {"pooled_specificity/heart", "pooled_accuracy/heart"}
    undefined = [key for key in (f"{figure}/heart" for figure in FIGURES) if key not in always]
    assert figures["undefined"] == ", ".join(undefined)
    nothing = judged((NOTHING, NOTHING))
    assert str(nothing["undefined"]).startswith(
        "mean_sensitivity, mean_hausdorff95_px, pooled_jaccard, pooled_dice, pooled_sensitivity, mean_jaccard/lung"
    )
    assert nothing["mean_jaccard"] == nothing["mean_boundary_f"] == nothing["pooled_accuracy"] == 1
    assert nothing["n_in_mean_sensitivity"] == 0


def test_means_count_images_and_pools_count_pixels() -> None:
    large = ["L" * 60] * 40
    figures = judged((LUNG, NOTHING), (large, large))
    assert figures["mean_dice/lung"] == pytest.approx(0.5)
    assert figures["pooled_dice/lung"] == pytest.approx(2 * 2400 / (2400 + 2404))
    assert figures["mean_pixel_accuracy"] == pytest.approx((20 / 24 + 1) / 2)
    assert figures["pooled_pixel_accuracy"] == pytest.approx(2420 / 2424)


def test_regions_of_a_class_are_taken_together() -> None:
    whole, half = crop(np.ones(SIZE_HW, bool)), crop(np.arange(24).reshape(SIZE_HW) < 12)
    verdict = RegionJudge(CLASSES)
    verdict.add(ImageTruth(0, (half, whole, EMPTY), (0, 0, 1), SIZE_HW), found_of(["LLLLLL"] * 4))
    assert verdict.metrics()["mean_dice/lung"] == 1.0


@pytest.mark.parametrize("score, dice", [(0.39, 0.0), (0.4, 1.0), (1.0, 1.0)])
def test_regions_below_the_threshold_are_not_found(score: float, dice: float) -> None:
    verdict = RegionJudge(CLASSES, score_threshold=np.float32(0.4).item())
    verdict.add(truth_of(0, LUNG), found_of(LUNG, score))
    assert verdict.metrics()["mean_dice/lung"] == dice


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equals_scikit_learn_on_label_maps(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.choice(list(".LH"), (images, 2, *SIZE_HW), p=[0.5, 0.3, 0.2])
    maps[:, :, 0, :2] = ["L", "H"]  # each class is everywhere, so that all figures are defined
    figures = judged(*[(["".join(row) for row in truth], ["".join(row) for row in found]) for truth, found in maps])
    truth, found = maps[:, 0].reshape(images, -1), maps[:, 1].reshape(images, -1)
    for name, letter in zip(CLASSES, "LH", strict=True):
        a, b = truth == letter, found == letter
        jaccard, dice = (np.mean([score(x, y) for x, y in zip(a, b)]) for score in (jaccard_score, f1_score))
        assert figures[f"mean_jaccard/{name}"] == pytest.approx(jaccard)
        assert figures[f"mean_dice/{name}"] == pytest.approx(dice)
        assert figures[f"pooled_jaccard/{name}"] == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
        assert figures[f"pooled_dice/{name}"] == pytest.approx(f1_score(a.ravel(), b.ravel()))
    a, b = truth != ".", found != "."
    assert figures["mean_dice"] == pytest.approx(np.mean([f1_score(x, y) for x, y in zip(a, b)]))
    assert figures["pooled_dice"] == pytest.approx(f1_score(a.ravel(), b.ravel()))
    accuracy = accuracy_score(truth.ravel(), found.ravel())
    assert figures["pooled_pixel_accuracy"] == pytest.approx(accuracy)
    assert figures["mean_pixel_accuracy"] == pytest.approx(accuracy)  # images of one size


def test_tables_tell_of_each_class_and_what_it_was_called() -> None:
    verdict = RegionJudge(CLASSES)
    verdict.add(truth_of(0, LUNG), found_of(WIDE))
    verdict.add(truth_of(1, BOTH), found_of(["LL..LL", "LL....", "......", "......"]))
    classes, confusion = verdict.tables()
    figures = verdict.metrics()
    assert (classes.name, classes.columns) == ("classes", ("class", "n_images", *FIGURES))
    lung, heart = (dict(zip(classes.columns, row, strict=True)) for row in classes.rows)
    assert (lung["class"], lung["n_images"], heart["class"], heart["n_images"]) == ("lung", 2, "heart", 1)
    for name, row in (("lung", lung), ("heart", heart)):
        assert {key: row[key] for key in FIGURES} == {key: figures.get(f"{key}/{name}") for key in FIGURES}
    assert (heart["mean_jaccard"], heart["mean_hausdorff95_px"]) == (0, None)
    assert (confusion.name, confusion.columns) == ("confusion", ("truth", "called", "count"))
    assert {(truth, called): count for truth, called, count in confusion.rows} == {
        ("lung", "lung"): 8,
        ("lung", "heart"): 0,
        ("lung", "background"): 0,
        ("heart", "lung"): 2,
        ("heart", "heart"): 0,
        ("heart", "background"): 2,
        ("background", "lung"): 2,
        ("background", "heart"): 0,
        ("background", "background"): 34,
    }


@pytest.mark.parametrize(
    "truth, found, counts",
    [
        ("B", "B", {"lung lung": 1, "heart heart": 1}),
        ("B", "L", {"lung lung": 1, "heart background": 1}),
        ("B", ".", {"lung background": 1, "heart background": 1}),
        ("L", "B", {"lung lung": 1, "background heart": 1}),
        (".", "B", {"background lung": 1, "background heart": 1}),
    ],
)
def test_pixels_of_several_classes_in_the_confusion(truth: str, found: str, counts: dict[str, int]) -> None:
    verdict = RegionJudge(CLASSES)
    verdict.add(truth_of(0, [truth]), found_of([found]))
    _, confusion = verdict.tables()
    assert {f"{row[0]} {row[1]}": row[2] for row in confusion.rows if row[2]} == counts


def test_any_choice_of_images_and_a_row_for_each() -> None:
    pairs = [(LUNG, WIDE), (BOTH, LUNG), (NOTHING, NOTHING), (LUNG, NOTHING)]
    verdict = RegionJudge(CLASSES)
    for image_id, (truth, found) in enumerate(pairs):
        verdict.add(truth_of(image_id, truth), found_of(found))
    figures = verdict.metrics()
    everything = verdict.headline(np.arange(4))
    assert everything == {key: figures[key] for key in everything}
    assert set(figures) - set(everything) == {key for key in figures if key.startswith("n_")} | {
        "score_threshold",
        "jaccard_threshold",
        "evaluator",
        "undefined",
    }
    chosen = [1, 1, 3]
    alone = judged(*[pairs[position] for position in chosen])
    headline = verdict.headline(np.array(chosen))
    assert headline == pytest.approx({key: alone[key] for key in headline})
    assert verdict.headline(np.array([], np.int64)) == {}
    rows = verdict.image_rows()
    assert [row["jaccard"] for row in rows] == pytest.approx([4 / 6, 4 / 8, 1, 0])
    assert [row["hausdorff95_px"] is None for row in rows] == [False, False, True, True]
    assert [row["jaccard/heart"] for row in rows] == [None, 0, None, None]


def test_refuses_what_cannot_be_judged() -> None:
    verdict = RegionJudge(CLASSES)
    with pytest.raises(DatasetError, match="at least one image"):
        verdict.metrics()
    verdict.add(truth_of(7, LUNG), found_of(LUNG))
    with pytest.raises(DatasetError, match="image 7: expected each image once"):
        verdict.add(truth_of(7, LUNG), found_of(LUNG))
    with pytest.raises(DatasetError, match=r"an image of \(4, 6\) \(height, width\), found \(5, 6\)"):
        verdict.add(truth_of(8, LUNG), found_of([*LUNG, "......"]))
    with pytest.raises(DatasetError, match="the classes lung, heart, found detections of lung"):
        verdict.add(truth_of(8, LUNG), Detections.empty(("lung",), SIZE_HW))
    with pytest.raises(DatasetError, match=r"truth with ids \[2\]"):
        verdict.add(ImageTruth(8, (EMPTY,), (2,), SIZE_HW), Detections.empty(CLASSES, SIZE_HW))
    assert verdict.metrics()["n_pictures"] == 1
