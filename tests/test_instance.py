"""COCO's AP and AR of masks and boxes: equal to pycocotools, and defined where there is nothing."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from disturbed_objects import (
    SIZE_HW,
    THREE,
    Pair,
    detections,
    disc,
    disturbed_image,
    disturbed_images,
    pycocotools_figures,
)

from maskstream.core import boxes, masks
from maskstream.core.detections import Detections
from maskstream.errors import MissingDependency
from maskstream.evaluation.objects.instance import Compared, ImageTruth, coco_figures, evaluator_name, family_keys
from maskstream.evaluation.objects.judge import judge
from maskstream.evaluation.objects.object_store import ObjectStore, StoredImage, ranked
from maskstream.evaluation.objects.shapes import Shapes

CLASSES = THREE


def figures_of(pairs: list[Pair], of: Compared = "mask", max_detections: int = 100) -> dict[str, float]:
    store = ObjectStore(len(CLASSES))
    for truth, found in pairs:
        store.add(StoredImage.of(truth, found))
    return coco_figures(store.entries, CLASSES, of=of, max_detections=max_detections)


def reference(pairs: list[Pair], of: Compared = "mask", max_detections: int = 100) -> dict[str, float]:
    return pycocotools_figures(pairs, CLASSES, of, max_detections)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_disturbed_masks(seed: int) -> None:
    pairs = disturbed_images(seed)
    assert any(any(truth.crowds) for truth, _ in pairs)
    ours = figures_of(pairs)
    theirs = reference(pairs)
    assert ours.keys() == theirs.keys()
    assert 0 < ours["AP"] < ours["AP50"] < 1
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_equal_pycocotools(seed: int) -> None:
    """Truth and detections with boxes of their own, which are not those of the masks."""
    rng = np.random.default_rng(seed)
    pairs = [
        disturbed_image(rng, 7 + 3 * i, *count) for i, count in enumerate([(0, 4), (3, 0), (6, 3), (5, 8), (4, 4)])
    ]
    pairs = [(loose_truth(truth, rng), loose(found, rng)) for truth, found in pairs]
    ours = figures_of(pairs, "box")
    theirs = reference(pairs, "box")
    assert ours.keys() == theirs.keys()
    assert 0 < ours["AP"] < ours["AP50"] < 1
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours["AP"] != pytest.approx(figures_of(pairs)["AP"], abs=1e-3)


def box_of(shapes: Shapes) -> list[float]:
    return shapes.entry(0, "box")["bbox"]


def loose(found: Detections, rng: np.random.Generator) -> Detections:
    return replace(found, boxes_xyxy=found.boxes_xyxy + rng.normal(0, 1.5, (len(found), 4)).astype(np.float32))


def loose_truth(truth: ImageTruth, rng: np.random.Generator) -> ImageTruth:
    boxes_xyxy = [boxes.from_mask(mask.dense(SIZE_HW)) for mask in truth.masks]
    shifts = rng.normal(0, 0.5, (len(truth.masks), 4))
    return replace(truth, boxes_xyxy=(np.array(boxes_xyxy).reshape(-1, 4) + shifts).astype(np.float32))


def test_equals_pycocotools_with_more_than_a_hundred_detections() -> None:
    pairs = [disturbed_image(np.random.default_rng(0), 1, objects=12, false_alarms=130)]
    assert figures_of(pairs) == pytest.approx(reference(pairs), abs=1e-6)


@pytest.mark.parametrize("max_detections", [10, 100, 1000])
@pytest.mark.parametrize("of", ["mask", "box"])
def test_equals_pycocotools_for_any_number_of_detections(of: Compared, max_detections: int) -> None:
    """Half of the false alarms are better than any true detection, so that 100 of a class are too few."""
    truth, found = disturbed_image(np.random.default_rng(5), 1, objects=30, false_alarms=220)
    found = replace(found, scores=np.linspace(0.5, 1, len(found), dtype=np.float32))
    found = found.select(np.arange(len(found))[::-1])
    ours = figures_of([(truth, found)], of, max_detections)
    assert ours == pytest.approx(reference([(truth, found)], of, max_detections), abs=1e-6)
    if max_detections == 1000:
        cocos = figures_of([(truth, found)], of)
        assert ours["AP50"] > cocos["AP50"]
        assert ours["AR_1000"] > ours["AR_100"] == cocos["AR_100"]


def test_more_objects_than_cocos_limit() -> None:
    """150 objects, all found: 100 of them give a recall of two thirds, which 67 of the 101 recalls reach."""
    masks_of = [masks.CroppedMask(np.ones((2, 3), bool), 5 * (n % 16), 5 * (n // 16)) for n in range(150)]
    truth = ImageTruth(1, tuple(masks_of), (0,) * 150, SIZE_HW)
    found = detections(masks_of, np.linspace(1, 0.5, 150), np.tile([1.0, 0, 0], (150, 1)))
    for of in ("mask", "box"):
        assert figures_of([(truth, found)], of)["AP"] == pytest.approx(67 / 101)
        assert figures_of([(truth, found)], of, 1000)["AP"] == 1


def test_boxes_are_those_of_truth_and_detection_where_they_have_some() -> None:
    mask = disc((30, 40), 10)
    truth = ImageTruth(1, (mask,), (0,), SIZE_HW)
    assert box_of(Shapes.of_truth(truth)) == [30, 20, 21, 21]
    labelled = replace(truth, boxes_xyxy=np.array([[28.5, 20, 52, 42]], np.float32))
    assert box_of(Shapes.of_truth(labelled)) == [28.5, 20, 23.5, 22]
    upside_down = replace(truth, boxes_xyxy=np.array([[28, 42, 52, 20]], np.float32))
    assert box_of(Shapes.of_truth(upside_down)) == [28, 42, 24, 0]
    found = detections([mask], np.array([0.9]), np.array([[1.0, 0, 0]]))
    found = replace(found, boxes_xyxy=np.array([[29, 21, 50, 41.5]], np.float32))
    assert box_of(Shapes.of_found(1, found)) == [29, 21, 21, 20.5]
    with pytest.raises(ValueError, match=r"image 1 has 1 masks and boxes \(2, 4\)"):
        replace(truth, boxes_xyxy=np.zeros((2, 4), np.float32))


def test_a_box_without_area_is_an_object_that_cannot_be_found() -> None:
    """Next to one that is found: half of the recalls are reached."""
    mask = disc((30, 40), 10)
    flat = np.array([[30, 20, 51, 41], [10, 10, 19, 10]], np.float32)
    truth = ImageTruth(1, (mask, masks.EMPTY), (0, 0), SIZE_HW, boxes_xyxy=flat)
    found = detections([mask], np.array([0.9]), np.array([[1.0, 0, 0]]))
    for of in ("mask", "box"):
        assert figures_of([(truth, found)], of)["AP"] == pytest.approx(51 / 101)


def test_the_judge_tells_boxes_and_counts_as_many_detections_as_it_is_told() -> None:
    masks_of = [masks.CroppedMask(np.ones((2, 3), bool), 5 * (n % 16), 5 * (n // 16)) for n in range(150)]
    truth = ImageTruth(1, tuple(masks_of), (0,) * 150, SIZE_HW)
    found = detections(masks_of, np.linspace(1, 0.5, 150), np.tile([1.0, 0, 0], (150, 1)))
    few, many = (judge([(truth, found)], CLASSES, 0.5, max_detections=limit) for limit in (100, 1000))
    assert (few["AP"], few["box_AP"], few["box_AP50"]) == pytest.approx((67 / 101,) * 3)
    assert (many["AP"], many["box_AP"], many["box_AP50"]) == (1, 1, 1)
    assert (few["max_detections"], many["max_detections"]) == (100, 1000)
    assert judge([(truth, found)], CLASSES, 0.5) == few
    assert not {"box_AP", "box_AP50"} & set(str(few["undefined"]).split(", "))
    nothing = judge([(ImageTruth(1, (), (), SIZE_HW), Detections.empty(CLASSES, SIZE_HW))], CLASSES, 0.5)
    assert {"box_AP", "box_AP50"} <= set(str(nothing["undefined"]).split(", "))


def test_an_object_competes_in_every_class_with_score_times_probability() -> None:
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[0.5, 0.5, 0.0]]))
    pairs = ranked(found)
    assert (pairs.rows.tolist(), pairs.class_ids.tolist()) == ([0, 0], [0, 1])
    assert pairs.scores == pytest.approx([0.45, 0.45])


def test_only_what_is_as_good_as_impossible_does_not_compete() -> None:
    """Beyond the three most probable classes: score x probability below 0.01; of these: probability 0."""
    classes = (*CLASSES, "fourth", "fifth")
    likely = np.array([[0.3, 0.3, 0.2, 0.18, 0.02], [0.005, 0.99, 0.004, 0.001, 0], [0, 1, 0, 0, 0]])
    found = detections([disc((30, 40), 10)] * 3, np.array([0.9, 0.5, 0.04]), likely, classes)
    pairs = ranked(found)
    assert pairs.rows.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2]
    assert pairs.class_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 1]
    assert len(ranked(Detections.empty(CLASSES, SIZE_HW)).rows) == 0


def test_hand_computed_average_precision() -> None:
    """The best-scored detection is wrong, the second is exact: precision is 1/2 at every recall."""
    truth = ImageTruth(1, (disc((30, 40), 10),), (0,), SIZE_HW)
    benign = np.array([[1.0, 0, 0]])
    found = detections([disc((5, 5), 4), disc((30, 40), 10)], np.array([0.9, 0.8]), np.repeat(benign, 2, axis=0))
    figures = figures_of([(truth, found)])
    expected = {"AP": 0.5, "AP50": 0.5, "AP75": 0.5, "AP_small": 0.5}
    expected |= {"AR_1": 0, "AR_10": 1, "AR_100": 1, "AR_small": 1}
    assert figures == pytest.approx(expected | {f"{key}/benign": value for key, value in expected.items()})


def test_nothing_found_is_zero_for_the_classes_that_are_there() -> None:
    truth = ImageTruth(1, (disc((30, 40), 10),), (1,), SIZE_HW)
    figures = figures_of([(truth, Detections.empty(CLASSES, SIZE_HW))])
    assert figures == {
        f"{key}{suffix}": 0
        for key in ("AP", "AP50", "AP75", "AP_small", "AR_1", "AR_10", "AR_100", "AR_small")
        for suffix in ("", "/malignant")
    }


def test_without_truth_objects_there_is_no_average_precision() -> None:
    truth = ImageTruth(1, (), (), SIZE_HW)
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[1.0, 0, 0]]))
    assert figures_of([(truth, found)]) == {}
    assert figures_of([(truth, Detections.empty(CLASSES, SIZE_HW))]) == {}
    assert figures_of([]) == {}


def test_an_empty_truth_mask_is_an_object_that_cannot_be_found() -> None:
    truth = ImageTruth(1, (masks.EMPTY,), (0,), SIZE_HW)
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[1.0, 0, 0]]))
    assert figures_of([(truth, found)])["AP"] == 0


def test_sizes_follow_the_labelled_areas() -> None:
    truth = ImageTruth(1, (disc((30, 40), 10),), (0,), SIZE_HW)
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[1.0, 0, 0]]))
    sizes = {"AP_small", "AP_medium", "AP_large"}
    assert sizes & figures_of([(truth, found)]).keys() == {"AP_small"}
    larger = replace(truth, areas_px=np.array([100.0 * 100]))
    assert sizes & figures_of([(larger, found)]).keys() == {"AP_large"}
    with pytest.raises(ValueError, match=r"image 1 has 1 masks and areas \(2,\)"):
        replace(truth, areas_px=np.zeros(2))


def test_the_family_has_a_figure_for_another_limit_too() -> None:
    assert [key for key in family_keys(100) if key.startswith("AR_1")] == ["AR_1", "AR_10", "AR_100"]
    assert [key for key in family_keys(50) if key[:3] == "AR_" and key[3].isdigit()] == [
        *("AR_1", "AR_10", "AR_50", "AR_100"),
    ]


def test_truth_with_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="image 4 has 1 masks, 2 class ids and 0 crowd flags"):
        ImageTruth(4, (masks.EMPTY,), (0, 1), SIZE_HW)


def test_evaluator_has_a_name_and_a_version() -> None:
    name, version = evaluator_name().split()
    assert name == "faster-coco-eval"
    assert int(version.split(".")[0]) >= 1


def test_missing_evaluator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name == "faster_coco_eval":
            raise ImportError(name)
        return real_import(name, *arguments)

    monkeypatch.delitem(sys.modules, "faster_coco_eval", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=r"pip install 'maskstream\[evaluate\]'"):
        evaluator_name()
