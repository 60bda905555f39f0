"""AP of any choice of images: equal to the evaluator where each counts once, and to copies where one counts more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from disturbed_objects import SIZE_HW, THREE, Pair, detections, disc, disturbed_image, disturbed_images
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core.detections import Detections
from maskstream.evaluation.objects.average_precision import AveragePrecision, hits_for_recalls
from maskstream.evaluation.objects.instance import Compared, ImageTruth, coco_figures
from maskstream.evaluation.objects.object_matches import ranked_matches
from maskstream.evaluation.objects.object_store import ObjectStore, StoredImage
from maskstream.evaluation.objects.pr_curves import MOST_POINTS, pr_curves


def of_pairs(pairs: list[Pair], of: Compared = "mask", limit: int = 100) -> AveragePrecision:
    images = [StoredImage.of(truth, found) for truth, found in pairs]
    matches = [ranked_matches(image, image.ious(of), limit) for image in images]
    return AveragePrecision(matches, [truth.image_id for truth, _ in pairs], len(THREE))


def once(pairs: list[Pair]) -> np.ndarray:
    return np.ones(len(pairs), np.int64)


def evaluated(pairs: list[Pair], of: Compared = "mask", limit: int = 100) -> dict[str, float]:
    store = ObjectStore(len(THREE))
    for truth, found in pairs:
        store.add(StoredImage.of(truth, found))
    figures = coco_figures(store.entries, THREE, of=of, max_detections=limit)
    keys = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AR": f"AR_{limit}"}
    return {key: figures[theirs] for key, theirs in keys.items() if theirs in figures}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("of", ["mask", "box"])
@pytest.mark.parametrize("limit", [2, 100])
def test_equals_the_evaluator(seed: int, of: Compared, limit: int) -> None:
    pairs = disturbed_images(seed)
    figures = of_pairs(pairs, of, limit).figures(once(pairs))
    assert 0 < figures["AP"] < figures["AP50"] < 1
    assert figures == pytest.approx(evaluated(pairs, of, limit), abs=1e-9)


def test_equals_the_evaluator_with_more_than_a_hundred_detections() -> None:
    pairs = [disturbed_image(np.random.default_rng(0), 1, objects=40, false_alarms=230)]
    assert of_pairs(pairs).figures(once(pairs)) == pytest.approx(evaluated(pairs), abs=1e-9)
    assert evaluated(pairs) != evaluated(pairs, limit=1000)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_an_image_that_counts_n_times_is_as_n_images(counts: list[int]) -> None:
    """Scores apart from each other: between equal ones a copy would come after its neighbour."""
    rng = np.random.default_rng(3)
    pairs = [
        (truth, replace(found, scores=np.sort(rng.random(len(found)).astype(np.float32))[::-1]))
        for truth, found in disturbed_images(3)
    ]
    copied = [
        (replace(truth, image_id=10 * truth.image_id + n), found)
        for (truth, found), count in zip(pairs, counts)
        for n in range(count)
    ]
    assert of_pairs(pairs).figures(np.array(counts)) == pytest.approx(evaluated(copied), abs=1e-9)


@pytest.mark.parametrize("n_true", range(1, 130))
def test_recalls_are_reached_as_the_evaluator_reaches_them(n_true: int) -> None:
    """At 0.07 of 100 objects, for one, floating-point numbers decide: every second detection is wrong."""
    here, there = disc((10, 10), 3), disc((40, 60), 3)
    truth = [ImageTruth(n, (here,), (0,), SIZE_HW) for n in range(n_true)]
    scores = np.linspace(1, 0.5, 2 * n_true)
    found = [
        detections([here, there], scores[[n, n + n_true // 2]], np.tile([1.0, 0, 0], (2, 1))) for n in range(n_true)
    ]
    pairs = list(zip(truth, found))
    if n_true in (1, 7, 29, 50, 100, 129):
        assert of_pairs(pairs).figures(once(pairs)) == pytest.approx(evaluated(pairs), abs=1e-9)
    reached = np.arange(1, n_true + 1) / n_true
    wanted = np.searchsorted(reached, np.linspace(0, 1, 101)) + 1
    assert (hits_for_recalls(np.array([n_true]))[0] == wanted).all()


def test_without_a_true_object_nothing_is_defined() -> None:
    nothing = [(ImageTruth(1, (), (), SIZE_HW), detections([disc((9, 9), 4)], np.ones(1), np.array([[1, 0, 0]])))]
    assert of_pairs(nothing).figures(once(nothing)) == {}
    assert of_pairs([]).figures(np.zeros(0, np.int64)) == {}
    pairs = disturbed_images(0)
    assert of_pairs(pairs).figures(np.zeros(len(pairs), np.int64)) == {}


def test_nothing_found_is_zero() -> None:
    missed = [(ImageTruth(1, (disc((9, 9), 4),), (1,), SIZE_HW), Detections.empty(THREE, SIZE_HW))]
    assert of_pairs(missed).figures(once(missed)) == {"AP": 0, "AP50": 0, "AP75": 0, "AR": 0}
    assert pr_curves(of_pairs(missed), THREE).rows == ()


def test_a_curve_by_hand() -> None:
    """Of two benign objects the second best and the third detection are right: precision 1/2 and 2/3."""
    left, right, wrong = disc((30, 20), 8), disc((30, 60), 8), disc((8, 40), 4)
    truth = ImageTruth(1, (left, right), (0, 0), SIZE_HW)
    found = detections([wrong, left, right, wrong], np.array([0.9, 0.8, 0.7, 0.6]), np.tile([1.0, 0, 0], (4, 1)))
    table = pr_curves(of_pairs([(truth, found)]), THREE)
    assert table.columns == ("class", "recall", "precision", "score")
    assert [row[0] for row in table.rows] == ["benign", "benign"]
    assert np.array([row[1:] for row in table.rows]) == pytest.approx(np.array([[0.5, 0.5, 0.8], [1, 2 / 3, 0.7]]))


def test_the_area_of_a_curve_is_ap50() -> None:
    """Made monotone and read at the recalls, as COCO does."""
    pairs = disturbed_images(1)
    ranked = of_pairs(pairs)
    areas = []
    for class_id in (0, 1):
        recall, precision, score = ranked.curve(class_id)
        assert (np.diff(score) <= 0).all()
        monotone = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
        areas.append(monotone[np.searchsorted(recall, np.linspace(0, 1, 101))].mean())
    assert np.mean(areas) == pytest.approx(ranked.figures(once(pairs))["AP50"])


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    here = disc((10, 10), 3)
    pairs = [
        (ImageTruth(n, (here,), (1,), SIZE_HW), detections([here], np.array([1 - n / 2000]), np.array([[0, 1.0, 0]])))
        for n in range(1000)
    ]
    rows = pr_curves(of_pairs(pairs), THREE).rows
    assert len(rows) == MOST_POINTS
    assert (rows[0][1], rows[-1][1]) == (0.001, 1)
