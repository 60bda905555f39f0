"""COCO mask AP: equal to pycocotools, and defined where there is nothing."""

from __future__ import annotations

import builtins
import sys
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


def pycocotools_figures(images: list[Any], truths: list[Any], results: list[Any]) -> dict[str, float]:
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": images,
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [{**entry, "id": i + 1} for i, entry in enumerate(truths)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = dict(zip(("AP", "AP50", "AP75"), evaluation.stats[:3].tolist()))
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


def test_equals_pycocotools_with_more_than_a_hundred_detections() -> None:
    pairs = [disturbed_image(np.random.default_rng(0), 1, objects=12, false_alarms=130)]
    assert average_precision(*entries(pairs), CLASSES) == pytest.approx(pycocotools_figures(*entries(pairs)), abs=1e-6)


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
