"""True objects, detections that are not quite right, and what pycocotools says of both."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskstream.core import boxes, masks
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.evaluation.objects.instance import Compared, ImageTruth
from maskstream.evaluation.objects.object_store import ranked

Pair = tuple[ImageTruth, Detections]
SIZE_HW = (60, 80)
THREE = ("benign", "malignant", "other")


def disc(centre_yx: tuple[float, float], radius: float, size_hw: tuple[int, int] = SIZE_HW) -> masks.CroppedMask:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return masks.crop((y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2 <= radius**2)


def detections(
    found: list[masks.CroppedMask],
    scores: np.ndarray,
    probabilities: np.ndarray,
    classes: Classes = THREE,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Detections:
    """Objects with the boxes of their masks."""
    return Detections(
        boxes_xyxy=np.array([boxes.from_mask(mask.dense(size_hw)) for mask in found], np.float32).reshape(-1, 4),
        masks=tuple(found),
        scores=scores.astype(np.float32),
        probabilities=probabilities.astype(np.float32).reshape(-1, len(classes)),
        track_ids=np.zeros(len(found), np.int64),
        classes=classes,
        size_hw=size_hw,
    )


def disturbed_image(rng: np.random.Generator, image_id: int, objects: int, false_alarms: int) -> Pair:
    """Truth of two of three classes, with some crowds; detections that are moved, resized, missed or made up."""
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


def disturbed_images(seed: int) -> list[Pair]:
    """Eight images, two of them without an object, one without a detection; ids not in their order."""
    rng = np.random.default_rng(seed)
    counts = [(0, 0), (0, 4), (3, 0), (1, 1), (6, 3), (2, 0), (5, 8), (4, 4)]
    return [disturbed_image(rng, 7 + 3 * (i ^ 5), *count) for i, count in enumerate(counts)]


def pycocotools_figures(
    pairs: list[Pair], classes: Classes, of: Compared = "mask", max_detections: int = 100
) -> dict[str, float]:
    """COCO's family of these images, all and class by class."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": t.image_id, "height": t.size_hw[0], "width": t.size_hw[1]} for t, _ in pairs],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
        "annotations": [],
    }
    for shown, _ in pairs:
        for row, mask in enumerate(shown.masks):
            box = boxes.from_mask(mask.dense(shown.size_hw)) if shown.boxes_xyxy is None else shown.boxes_xyxy[row]
            area_px = mask.area_px if shown.areas_px is None else shown.areas_px[row]
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": shown.image_id,
                    "category_id": shown.class_ids[row],
                    "iscrowd": int(bool(shown.crowds) and shown.crowds[row]),
                    "area": float(area_px),
                    "bbox": _xywh(box),
                    "segmentation": _rle(mask, shown.size_hw),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = [entry for shown, found in pairs for entry in result_entries(shown.image_id, found, of)]
        return figures_of_pycocotools(truth, results, classes, of, max_detections)


def result_entries(image_id: int, found: Detections, of: Compared) -> list[dict[str, Any]]:
    """Every object in each class that it competes in, encoded by pycocotools."""
    pairs = ranked(found)
    shapes: list[dict[str, Any]] = [
        {"segmentation": _rle(mask, found.size_hw)} if of == "mask" else {"bbox": _xywh(box)}
        for mask, box in zip(found.masks, found.boxes_xyxy)
    ]
    return [
        {"image_id": image_id, "category_id": int(class_id), "score": float(score), **shapes[row]}
        for row, class_id, score in zip(pairs.rows, pairs.class_ids, pairs.scores)
    ]


def figures_of_pycocotools(
    truth: COCO, results: list[dict[str, Any]], classes: Classes, of: Compared, max_detections: int = 100
) -> dict[str, float]:
    """The category ids are those of the classes, 0-based."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), {"mask": "segm", "box": "bbox"}[of])
        limits = sorted({1, 10, 100, max_detections})
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
        precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
        figures = _read(precision, recall, limits, max_detections)
        if max_detections == 100:
            evaluation.summarize()
            keys = ["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"]
            keys += ["AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"]
            stats = {key: value for key, value in zip(keys, evaluation.stats.tolist()) if value > -1}
            assert np.allclose([figures[key] for key in stats], list(stats.values()), atol=1e-12)
            assert figures.keys() == stats.keys()
    for class_id, name in enumerate(classes):
        of_class = _read(precision[:, :, [class_id]], recall[:, [class_id]], limits, max_detections)
        figures |= {f"{key}/{name}": value for key, value in of_class.items()}
    return figures


def _read(precision: np.ndarray, recall: np.ndarray, limits: list[int], max_detections: int) -> dict[str, float]:
    last, sizes = limits.index(max_detections), ("small", "medium", "large")
    parts = {"AP": precision[..., 0, last], "AP50": precision[0, ..., 0, last], "AP75": precision[5, ..., 0, last]}
    parts |= {f"AP_{size}": precision[..., row, last] for row, size in enumerate(sizes, 1)}
    parts |= {f"AR_{limit}": recall[..., 0, row] for row, limit in enumerate(limits)}
    parts |= {f"AR_{size}": recall[..., row, last] for row, size in enumerate(sizes, 1)}
    return {key: float(part[part > -1].mean()) for key, part in parts.items() if (part > -1).any()}


def _rle(mask: masks.CroppedMask, size_hw: tuple[int, int]) -> dict[str, Any]:
    encoded: dict[str, Any] = mask_tools.encode(np.asfortranarray(mask.dense(size_hw).astype(np.uint8)))
    return encoded


def _xywh(box_xyxy: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box_xyxy.tolist()
    return [x1, y1, max(x2 - x1, 0.0), max(y2 - y1, 0.0)]
