"""COCO's average precision and recall of masks and of boxes, by faster-coco-eval, from run-length codes.

Definition: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, as in cocoapi's
`COCOeval`. Detections of a class are taken in the order of their scores and matched to truth objects of
that class by IoU of their masks, or of their boxes; precision is made monotone and read at 101 recalls;
AP is the mean over the IoU thresholds 0.50, 0.55, ... 0.95, AR the mean of the greatest recall at each. A crowd region
takes any number of detections and is no miss. At most the `max_detections` best detections of a class count in one
image; COCO's 100 are too few for images that show more objects than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.core.boxes import Boxes
from maskstream.core.classes import Classes
from maskstream.core.masks import CroppedMask
from maskstream.errors import MissingDependency

Entry = dict[str, Any]
"""An annotation or a result as COCO's JSON writes it."""

Compared = Literal["mask", "box"]
"""What the IoU is of."""

MAX_DETECTIONS = 100
"""Of a class in an image, in COCO's own figures."""

SIZES_PX = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 10**10)}
"""COCO's ranges of an object's area in pixels; an object on an edge belongs to both sides."""

_RECALL_LIMITS = (1, 10, 100)
_AP50_ROW, _AP75_ROW = 0, 5
_IOU_TYPES = {"mask": "segm", "box": "bbox"}


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
    areas_px : (n,) as labelled, which is what COCO sorts objects into sizes by; None where they are those of the masks.
    name : what tables call the image; empty: its id.
    """

    image_id: int
    masks: tuple[CroppedMask, ...]
    class_ids: tuple[int, ...]
    size_hw: tuple[int, int]
    crowds: tuple[bool, ...] = ()
    boxes_xyxy: Boxes | None = None
    areas_px: NDArray[np.float64] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.boxes_xyxy is not None and self.boxes_xyxy.shape != (len(self.masks), 4):
            raise ValueError(f"image {self.image_id} has {len(self.masks)} masks and boxes {self.boxes_xyxy.shape}")
        if self.areas_px is not None and self.areas_px.shape != (len(self.masks),):
            raise ValueError(f"image {self.image_id} has {len(self.masks)} masks and areas {self.areas_px.shape}")
        if len(self.class_ids) != len(self.masks) or len(self.crowds) not in (0, len(self.masks)):
            raise ValueError(
                f"image {self.image_id} has {len(self.masks)} masks, "
                f"{len(self.class_ids)} class ids and {len(self.crowds)} crowd flags"
            )


class ClassEntries(NamedTuple):
    """Entries of one class in COCO's form; `images` holds at least those that the others name."""

    images: list[Entry]
    truths: list[Entry]
    results: list[Entry]


def family_keys(max_detections: int) -> list[str]:
    """The figures of COCO's family, in their order; see `coco_figures`."""
    limits = sorted({*_RECALL_LIMITS, max_detections})
    sizes = [f"{kind}_{size}" for kind in ("AP", "AR") for size in SIZES_PX]
    return ["AP", "AP50", "AP75", *sizes[:3], *(f"AR_{limit}" for limit in limits), *sizes[3:]]


def coco_figures(
    entries_of: Callable[[int, Compared], ClassEntries],
    classes: Classes,
    *,
    of: Compared = "mask",
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, float]:
    """`AP`, `AP50`, `AP75`, `AP_small` and its like, `AR_1`, `AR_10`, `AR_100`, `AR_small` and its like, each in 0..1.

    With `/<class>` behind them those of each class; the others are means over what is defined, as COCO's. `AR_<n>` is
    of the n best detections of a class in an image, all others of the `max_detections` best; with another limit than
    COCO's 100 there is `AR_<max_detections>` too. A class with truth objects and no result has AP 0. What has no truth
    object, of a class or of a size, has no figure: it is left out and in no mean.

    Parameters
    ----------
    entries_of : entries of a class by its id; asked class by class, so that never all of them are there at once.
    of : what is compared.
    max_detections : of a class in an image; the best so many count.

    Raises
    ------
    MissingDependency : faster-coco-eval is not installed.
    """
    by_class = {
        name: _of_class(entries_of(class_id, of), class_id, of, max_detections) for class_id, name in enumerate(classes)
    }
    figures = {}
    for key in family_keys(max_detections):
        values = [figures_of_class[key] for figures_of_class in by_class.values() if key in figures_of_class]
        if values:
            # COCO's mean over IoU thresholds, recalls and classes: each class has as many of the others
            figures[key] = float(np.mean(values))
    for name, figures_of_class in by_class.items():
        figures |= {f"{key}/{name}": value for key, value in figures_of_class.items()}
    return figures


def evaluator_name() -> str:
    """Name and version of the program that computes AP.

    Raises
    ------
    MissingDependency : faster-coco-eval is not installed.
    """
    return f"faster-coco-eval {evaluator().version.__version__}"


def evaluator() -> Any:
    """faster-coco-eval, imported when first asked for. MissingDependency: it is not installed."""
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


def _of_class(entries: ClassEntries, class_id: int, of: Compared, max_detections: int) -> dict[str, float]:
    """The family of one class; empty without a truth object."""
    if not entries.truths:
        return {}
    program = evaluator()
    truth, found = (
        # the evaluator writes into its entries and takes an id of 0 for "not matched"
        program.COCO(
            {
                "images": entries.images,
                "categories": [{"id": class_id}],
                "annotations": [{**entry, "id": n} for n, entry in enumerate(part, start=1)],
            }
        )
        for part in (entries.truths, entries.results)
    )
    evaluation = program.COCOeval_faster(truth, found, iouType=_IOU_TYPES[of], rle_iou_max_workers=1)
    limits = sorted({*_RECALL_LIMITS, max_detections})
    evaluation.params.maxDets = limits
    evaluation.params.areaRng = [[0, 10**10], *map(list, SIZES_PX.values())]
    evaluation.params.areaRngLbl = ["all", *SIZES_PX]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, 0]
    recall = np.asarray(evaluation.eval["recall"])[:, 0]
    return _read(precision, recall, limits, limits.index(max_detections))


def _read(
    precision: NDArray[np.float64], recall: NDArray[np.float64], limits: list[int], last: int
) -> dict[str, float]:
    """Figures of precision (10 IoU thresholds, 101 recalls, 4 sizes, limits) and recall, the same without recalls.

    Where there is no truth object both are -1. `last` is the place of the limit that AP has.
    """
    cells = {"AP": precision[:, :, 0, last], "AP50": precision[_AP50_ROW, :, 0, last]}
    cells["AP75"] = precision[_AP75_ROW, :, 0, last]
    cells |= {f"AP_{size}": precision[:, :, column, last] for column, size in enumerate(SIZES_PX, start=1)}
    cells |= {f"AR_{limit}": recall[:, 0, column] for column, limit in enumerate(limits)}
    cells |= {f"AR_{size}": recall[:, column, last] for column, size in enumerate(SIZES_PX, start=1)}
    return {key: float(values.mean()) for key, values in cells.items() if (values > -1).all()}
