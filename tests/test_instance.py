"""COCO mask AP: equal to pycocotools, and defined where there is nothing."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskstream.core import boxes, masks
from maskstream.core.detections import Detections
from maskstream.errors import MissingDependency
from maskstream.evaluation.instance import (
    ImageTruth,
    average_precision,
    evaluator_name,
    image_entry,
    result_entries,
    truth_entries,
)
from maskstream.evaluation.judge import judge

CLASSES = ("benign", "malignant", "other")
SIZE_HW = (60, 80)


def disc(centre_yx: tuple[float, float], radius: float) -> masks.CroppedMask:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return masks.crop((y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2 <= radius**2)


def detections(found: list[masks.CroppedMask], scores: np.ndarray, probabilities: np.ndarray) -> Detections:
    return Detections(
        boxes_xyxy=np.array([boxes.from_mask(mask.dense(SIZE_HW)) for mask in found], np.float32).reshape(-1, 4),
        masks=tuple(found),
        scores=scores.astype(np.float32),
        probabilities=probabilities.astype(np.float32).reshape(-1, len(CLASSES)),
        track_ids=np.zeros(len(found), np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )


def disturbed_image(rng: np.random.Generator, image_id: int, objects: int, false_alarms: int) -> tuple[Any, Any]:
    """Truth with some crowds and an image of detections that are moved, resized, missed or made up."""
    centres = rng.uniform((0, 0), SIZE_HW, (objects, 2))
    radii = rng.uniform(3, 20, objects)
    truth = ImageTruth(
        image_id=image_id,
        masks=tuple(disc(tuple(centre), radius) for centre, radius in zip(centres, radii)),
        class_ids=tuple(rng.integers(0, 2, objects).tolist()),
        size_hw=SIZE_HW,
        crowds=tuple((rng.random(objects) < 0.15).tolist()),
    )
    seen = np.flatnonzero(rng.random(objects) < 0.8)
    moved = [
        disc(tuple(centres[i] + rng.normal(0, 1.5, 2)), radii[i] * rng.uniform(0.8, 1.2)) for i in np.repeat(seen, 2)
    ]
    moved += [disc(tuple(rng.uniform((0, 0), SIZE_HW)), rng.uniform(3, 20)) for _ in range(false_alarms)]
    # rounded, so that ties between scores occur
    scores = np.sort(np.round(rng.random(len(moved)), 2))[::-1]
    return truth, detections(moved, scores, rng.dirichlet((2, 2, 1), len(moved)))


def entries(pairs: list[tuple[ImageTruth, Detections]]) -> tuple[list[Any], list[Any], list[Any]]:
    images = [image_entry(truth) for truth, _ in pairs]
    truths = [entry for truth, _ in pairs for entry in truth_entries(truth)]
    results = [entry for truth, found in pairs for entry in result_entries(truth.image_id, found)]
    return images, truths, results


def pycocotools_figures(
    images: list[Any], truths: list[Any], results: list[Any], iou_type: str = "segm", max_detections: int = 100
) -> dict[str, float]:
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": images,
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [{**entry, "id": i + 1} for i, entry in enumerate(truths)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), iou_type)
    evaluation.params.maxDets = [1, 10, max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    of_all = evaluation.eval["precision"][:, :, :, 0, 2]
    parts = {"AP": of_all, "AP50": of_all[0], "AP75": of_all[5]}
    figures = {key: part[part > -1].mean() for key, part in parts.items()}
    if max_detections == 100:  # where COCO's own summary is defined
        evaluation.summarize()
        assert figures == pytest.approx(dict(zip(figures, evaluation.stats[:3].tolist())))
    for class_id, name in enumerate(CLASSES):
        precision = evaluation.eval["precision"][:, :, class_id, 0, 2]
        if (precision > -1).any():
            figures |= {f"AP/{name}": precision.mean(), f"AP50/{name}": precision[0].mean()}
    return figures


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_disturbed_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = [(0, 0), (0, 4), (3, 0), (1, 1), (6, 3), (2, 0), (5, 8), (4, 4)]
    pairs = [disturbed_image(rng, 7 + 3 * i, *count) for i, count in enumerate(counts)]
    assert any(any(truth.crowds) for truth, _ in pairs)
    ours = average_precision(*entries(pairs), CLASSES)
    theirs = pycocotools_figures(*entries(pairs))
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
    ours = average_precision(*entries(pairs), CLASSES, of="box")
    theirs = pycocotools_figures(*entries(pairs), iou_type="bbox")
    assert ours.keys() == theirs.keys()
    assert 0 < ours["AP"] < ours["AP50"] < 1
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours["AP"] != pytest.approx(average_precision(*entries(pairs), CLASSES)["AP"], abs=1e-3)


def loose(found: Detections, rng: np.random.Generator) -> Detections:
    return replace(found, boxes_xyxy=found.boxes_xyxy + rng.normal(0, 1.5, (len(found), 4)).astype(np.float32))


def loose_truth(truth: ImageTruth, rng: np.random.Generator) -> ImageTruth:
    boxes_xyxy = [boxes.from_mask(mask.dense(SIZE_HW)) for mask in truth.masks]
    shifts = rng.normal(0, 0.5, (len(truth.masks), 4))
    return replace(truth, boxes_xyxy=(np.array(boxes_xyxy).reshape(-1, 4) + shifts).astype(np.float32))


def test_equals_pycocotools_with_more_than_a_hundred_detections() -> None:
    pairs = [disturbed_image(np.random.default_rng(0), 1, objects=12, false_alarms=130)]
    assert average_precision(*entries(pairs), CLASSES) == pytest.approx(pycocotools_figures(*entries(pairs)), abs=1e-6)


@pytest.mark.parametrize("max_detections", [10, 100, 1000])
@pytest.mark.parametrize("of, iou_type", [("mask", "segm"), ("box", "bbox")])
def test_equals_pycocotools_for_any_number_of_detections(of: Any, iou_type: str, max_detections: int) -> None:
    """Half of the false alarms are better than any true detection, so that 100 of a class are too few."""
    truth, found = disturbed_image(np.random.default_rng(5), 1, objects=30, false_alarms=220)
    found = replace(found, scores=np.linspace(0.5, 1, len(found), dtype=np.float32))
    found = found.select(np.arange(len(found))[::-1])
    given = entries([(truth, found)])
    ours = average_precision(*given, CLASSES, of=of, max_detections=max_detections)
    assert ours == pytest.approx(pycocotools_figures(*given, iou_type, max_detections), abs=1e-6)
    if max_detections == 1000:
        assert ours["AP50"] > average_precision(*given, CLASSES, of=of)["AP50"]


def test_more_objects_than_cocos_limit() -> None:
    """150 objects, all found: 100 of them give a recall of two thirds, which 67 of the 101 recalls reach."""
    masks_of = [masks.CroppedMask(np.ones((2, 3), bool), 5 * (n % 16), 5 * (n // 16)) for n in range(150)]
    truth = ImageTruth(1, tuple(masks_of), (0,) * 150, SIZE_HW)
    found = detections(masks_of, np.linspace(1, 0.5, 150), np.tile([1.0, 0, 0], (150, 1)))
    for of in ("mask", "box"):
        assert average_precision(*entries([(truth, found)]), CLASSES, of=of)["AP"] == pytest.approx(67 / 101)
        assert average_precision(*entries([(truth, found)]), CLASSES, of=of, max_detections=1000)["AP"] == 1


def test_boxes_are_those_of_truth_and_detection_where_they_have_some() -> None:
    mask = disc((30, 40), 10)
    truth = ImageTruth(1, (mask,), (0,), SIZE_HW)
    assert truth_entries(truth)[0]["bbox"] == [30, 20, 21, 21]
    labelled = replace(truth, boxes_xyxy=np.array([[28.5, 20, 52, 42]], np.float32))
    assert truth_entries(labelled)[0]["bbox"] == [28.5, 20, 23.5, 22]
    upside_down = replace(truth, boxes_xyxy=np.array([[28, 42, 52, 20]], np.float32))
    assert truth_entries(upside_down)[0]["bbox"] == [28, 42, 24, 0]
    found = detections([mask], np.array([0.9]), np.array([[1.0, 0, 0]]))
    found = replace(found, boxes_xyxy=np.array([[29, 21, 50, 41.5]], np.float32))
    assert result_entries(1, found)[0]["bbox"] == [29, 21, 21, 20.5]
    with pytest.raises(ValueError, match=r"image 1 has 1 masks and boxes \(2, 4\)"):
        replace(truth, boxes_xyxy=np.zeros((2, 4), np.float32))


def test_a_box_without_area_is_an_object_that_cannot_be_found() -> None:
    """Next to one that is found: half of the recalls are reached."""
    mask = disc((30, 40), 10)
    flat = np.array([[30, 20, 51, 41], [10, 10, 19, 10]], np.float32)
    truth = ImageTruth(1, (mask, masks.EMPTY), (0, 0), SIZE_HW, boxes_xyxy=flat)
    found = detections([mask], np.array([0.9]), np.array([[1.0, 0, 0]]))
    for of in ("mask", "box"):
        assert average_precision(*entries([(truth, found)]), CLASSES, of=of)["AP"] == pytest.approx(51 / 101)


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
    scores = {entry["category_id"]: entry["score"] for entry in result_entries(1, found)}
    assert scores == pytest.approx({0: 0.45, 1: 0.45, 2: 0.0}, abs=1e-6)


def test_hand_computed_average_precision() -> None:
    """The best-scored detection is wrong, the second is exact: precision is 1/2 at every recall."""
    truth = ImageTruth(1, (disc((30, 40), 10),), (0,), SIZE_HW)
    benign = np.array([[1.0, 0, 0]])
    found = detections([disc((5, 5), 4), disc((30, 40), 10)], np.array([0.9, 0.8]), np.repeat(benign, 2, axis=0))
    figures = average_precision(*entries([(truth, found)]), CLASSES)
    assert figures == pytest.approx({"AP": 0.5, "AP50": 0.5, "AP75": 0.5, "AP/benign": 0.5, "AP50/benign": 0.5})


def test_nothing_found_is_zero_for_the_classes_that_are_there() -> None:
    truth = ImageTruth(1, (disc((30, 40), 10),), (1,), SIZE_HW)
    figures = average_precision(*entries([(truth, Detections.empty(CLASSES, SIZE_HW))]), CLASSES)
    assert figures == {"AP": 0, "AP50": 0, "AP75": 0, "AP/malignant": 0, "AP50/malignant": 0}


def test_without_truth_objects_there_is_no_average_precision() -> None:
    truth = ImageTruth(1, (), (), SIZE_HW)
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[1.0, 0, 0]]))
    assert average_precision(*entries([(truth, found)]), CLASSES) == {}
    assert average_precision(*entries([(truth, Detections.empty(CLASSES, SIZE_HW))]), CLASSES) == {}
    assert average_precision([], [], [], CLASSES) == {}


def test_an_empty_truth_mask_is_an_object_that_cannot_be_found() -> None:
    truth = ImageTruth(1, (masks.EMPTY,), (0,), SIZE_HW)
    found = detections([disc((30, 40), 10)], np.array([0.9]), np.array([[1.0, 0, 0]]))
    assert average_precision(*entries([(truth, found)]), CLASSES)["AP"] == 0


def test_entries_are_left_as_they_were() -> None:
    pairs = [disturbed_image(np.random.default_rng(1), 1, 3, 1)]
    given, again = entries(pairs), entries(pairs)
    average_precision(*given, CLASSES)
    assert given == again


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
