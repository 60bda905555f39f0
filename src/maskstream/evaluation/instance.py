"""COCO's average precision of masks and of boxes, by faster-coco-eval, from entries that hold run-length codes only.

Definition: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, as in cocoapi's
`COCOeval`. Detections of a class are taken in the order of their scores and matched to truth objects of
that class by IoU of their masks, or of their boxes; precision is made monotone and read at 101 recalls;
AP is the mean over the IoU thresholds 0.50, 0.55, ... 0.95. A crowd region takes any number of detections
and is no miss. At most the `max_detections` best detections of a class count in one image; COCO's 100 are
too few for images that show more objects than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.boxes import Boxes
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask, to_rle
from maskstream.errors import MissingDependency

Entry = dict[str, Any]
"""An annotation or a result as COCO's JSON writes it."""

AP50_ROW, AP75_ROW = 0, 5
"""Places of 0.50 and 0.75 among COCO's ten IoU thresholds."""

MAX_DETECTIONS = 100
"""Of a class in an image, in COCO's own figures."""

IOU_TYPES = {"mask": "segm", "box": "bbox"}
"""The evaluator's words for what is compared."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageTruth:
    """What an image really shows.

    Attributes
    ----------
    image_id : the image's id in its dataset; unique within a split.
    masks : n masks in the image's pixels.
    class_ids : n 0-based class ids.
    size_hw : height and width of the image in pixels.
    crowds : n flags, true for a region of many objects that were not told apart; empty when there are none.
    boxes_xyxy : (n, 4) as labelled; None where they are those of the masks.
    """

    image_id: int
    masks: tuple[CroppedMask, ...]
    class_ids: tuple[int, ...]
    size_hw: tuple[int, int]
    crowds: tuple[bool, ...] = ()
    boxes_xyxy: Boxes | None = None

    def __post_init__(self) -> None:
        if self.boxes_xyxy is not None and self.boxes_xyxy.shape != (len(self.masks), 4):
            raise ValueError(f"image {self.image_id} has {len(self.masks)} masks and boxes {self.boxes_xyxy.shape}")
        if len(self.class_ids) != len(self.masks) or len(self.crowds) not in (0, len(self.masks)):
            raise ValueError(
                f"image {self.image_id} has {len(self.masks)} masks, "
                f"{len(self.class_ids)} class ids and {len(self.crowds)} crowd flags"
            )


def image_entry(truth: ImageTruth) -> Entry:
    """The image as COCO's JSON writes it: id, height and width."""
    height, width = truth.size_hw
    return {"id": truth.image_id, "height": height, "width": width}


def truth_entries(truth: ImageTruth) -> list[Entry]:
    """One COCO annotation for each object; `category_id` is the 0-based class id, `id` is still missing."""
    crowds = truth.crowds or (False,) * len(truth.masks)
    boxes_xyxy = _tight_boxes(truth.masks) if truth.boxes_xyxy is None else truth.boxes_xyxy
    return [
        {**_shape_entry(truth.image_id, mask, box, truth.size_hw), "category_id": class_id, "iscrowd": int(crowd)}
        for mask, box, class_id, crowd in zip(truth.masks, boxes_xyxy, truth.class_ids, crowds)
    ]


def result_entries(image_id: int, found: Detections) -> list[Entry]:
    """One COCO result for each object and class, with `score` = detection score x class probability.

    So an object that is 0.45 benign and 0.45 malignant competes in both classes. `category_id` is the
    0-based class id.
    """
    entries = []
    for mask, box, score, probabilities in zip(found.masks, found.boxes_xyxy, found.scores, found.probabilities):
        shape = _shape_entry(image_id, mask, box, found.size_hw)
        for class_id, probability in enumerate(probabilities):
            entries.append({**shape, "category_id": class_id, "score": float(score) * float(probability)})
    return entries


def _shape_entry(image_id: int, mask: CroppedMask, box_xyxy: Boxes, size_hw: tuple[int, int]) -> Entry:
    x1, y1, x2, y2 = box_xyxy.tolist()
    return {
        "image_id": image_id,
        "segmentation": to_rle(mask, size_hw),
        "bbox": [x1, y1, max(x2 - x1, 0.0), max(y2 - y1, 0.0)],
        "area": mask.area_px,
    }


def _tight_boxes(masks: Sequence[CroppedMask]) -> Boxes:
    """Boxes (n, 4) of the pixels of masks."""
    corners = [(mask.x0, mask.y0, mask.x0, mask.y0) for mask in masks]
    inside = [boxes.from_mask(mask.bitmap) for mask in masks]
    return np.array(inside, np.float32).reshape(-1, 4) + np.array(corners, np.float32).reshape(-1, 4)


def average_precision(
    images: Sequence[Entry],
    truths: Sequence[Entry],
    results: Sequence[Entry],
    classes: Classes,
    *,
    of: Literal["mask", "box"] = "mask",
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """`AP`, `AP50`, `AP75`, `AP/<class>` and `AP50/<class>`, each in 0..1.

    A class with truth objects and no result has AP 0. A class without truth objects has no AP: its keys
    are left out and it is not in the means (COCO's rule); without any truth object the result is empty.

    Parameters
    ----------
    of : what is compared.
    max_detections : of a class in an image; the best so many count.

    Raises
    ------
    MissingDependency : faster-coco-eval is not installed.
    """
    evaluator = _evaluator()
    precision = _precision(evaluator, images, truths, results, classes, IOU_TYPES[of], max_detections)
    figures = _figures(precision)
    for class_id, name in enumerate(classes):
        of_class = _figures(precision[:, :, class_id])
        figures |= {f"{key}/{name}": of_class[key] for key in ("AP", "AP50") if key in of_class}
    return figures


def evaluator_name() -> str:
    """Name and version of the program that computes AP.

    Raises
    ------
    MissingDependency : faster-coco-eval is not installed.
    """
    return f"faster-coco-eval {_evaluator().version.__version__}"


def _precision(
    evaluator: Any,
    images: Sequence[Entry],
    truths: Sequence[Entry],
    results: Sequence[Entry],
    classes: Classes,
    iou_type: str,
    max_detections: int,
) -> NDArray[np.float64]:
    """Precision at (10 IoU thresholds, 101 recalls, c classes), -1 where a class has no truth object."""
    categories = [{"id": class_id, "name": name} for class_id, name in enumerate(classes)]
    truth, found = (
        # the evaluator writes into its entries and takes an id of 0 for "not matched"
        evaluator.COCO(
            {
                "images": [dict(image) for image in images],
                "categories": categories,
                "annotations": [{"iscrowd": 0, **entry, "id": n} for n, entry in enumerate(entries, start=1)],
            }
        )
        for entries in (truths, results)
    )
    evaluation = evaluator.COCOeval_faster(truth, found, iouType=iou_type, rle_iou_max_workers=1)
    evaluation.params.maxDets = [max_detections]
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
    evaluation.evaluate()
    evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]


def _figures(precision: NDArray[np.float64]) -> dict[str, float]:
    """Means over what is defined, of precision at (10 IoU thresholds, 101 recalls, ...)."""
    selections = {"AP": precision, "AP50": precision[AP50_ROW], "AP75": precision[AP75_ROW]}
    return {key: float(part[part > -1].mean()) for key, part in selections.items() if (part > -1).any()}


def _evaluator() -> Any:
    """faster-coco-eval, imported when first asked for."""
    try:
        import faster_coco_eval
    except ImportError as error:
        raise MissingDependency(
            "evaluation",
            expected="the package faster-coco-eval",
            found="it is not installed",
            remedy="install it with: pip install 'maskstream[evaluate]'",
        ) from error
    return faster_coco_eval
