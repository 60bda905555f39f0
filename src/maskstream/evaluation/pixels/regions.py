"""The one judgement of a model that names a class for each pixel, for training's validation and for deployed models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.objects.judge import check_pair
from maskstream.evaluation.pixels.image_figures import FIGURES, ImageFigures, PixelCounts, figures_of
from maskstream.evaluation.pixels.pixel import JACCARD_THRESHOLD, Overlap
from maskstream.evaluation.pixels.pixel_confusion import PixelConfusion
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table

ClassMasks = dict[int, NDArray[np.bool_]]
"""Pixels of the classes that an image shows, by class id."""


class RegionJudge:
    """Takes images one at a time and keeps counts of pixels.

    The regions of a class are taken together: what counts is which pixels belong to it, not to which region. A pixel
    may belong to several classes where masks overlap.

    Parameters
    ----------
    classes : the model's class names in the order of their ids, which the truth's ids follow as well.
    score_threshold : score from which a region counts as found.
    """

    def __init__(self, classes: Classes, score_threshold: float = 0.0) -> None:
        self.classes = classes
        self.score_threshold = score_threshold
        self.evaluator = f"maskstream {__version__}"
        self._judged: set[int] = set()
        self._together = PixelCounts()
        self._of_class = [PixelCounts(empty_images=False) for _ in classes]
        self._confusion = PixelConfusion(classes)
        self._image_rows: list[ImageRow] = []
        self._right_px: list[int] = []
        self._all_px: list[int] = []

    def add(self, truth: ImageTruth, found: Detections) -> None:
        """Judge one image.

        Raises
        ------
        DatasetError : the image was judged before, or its regions are of another size or other classes.
        MissingDependency : SciPy is not installed.
        """
        check_pair(truth, found, self.classes, self._judged)
        above = found.select(found.scores >= self.score_threshold)
        is_true = _by_class(truth.masks, truth.class_ids, truth.size_hw)
        is_found = _by_class(above.masks, above.class_ids.tolist(), truth.size_hw)
        together, of_class = _measured(is_true, is_found, truth.size_hw)
        row = together.row()
        for class_id, counts in enumerate(self._of_class):
            image = of_class.get(class_id)
            counts.add(_nothing(truth.size_hw) if image is None else image)
            row[f"jaccard/{self.classes[class_id]}"] = None if image is None else image.overlap.jaccard
        self._judged.add(truth.image_id)
        self._together.add(together)
        self._image_rows.append(row)
        self._confusion.add(is_true, is_found, truth.size_hw)
        self._right_px.append(_right_px(is_true, is_found, truth.size_hw))
        self._all_px.append(together.overlap.image_px)

    def metrics(self) -> Metrics:
        """All figures of the images so far; `mean_` is over images, each counting once, `pooled_` over all pixels.

        - `mean_jaccard`, `thresholded_jaccard`, `share_below_065`, `mean_sensitivity` and all others of
          `evaluation.pixels.image_figures`: of all classes together against the background; an image without anything,
          in which nothing is found, counts 1.
        - `mean_jaccard/<class>` and so on: of one class against all else, over the `n_in_mean/<class>` images that show
          the class or in which it is found. The others are left out: with them a rare class would seem to be found well
          by a model that never names it. Pooled figures are of the pixels of all images.
        - `n_in_mean_sensitivity` and so on: how many images define what not all define.
        - `mean_pixel_accuracy`, `pooled_pixel_accuracy`: share of the pixels, the background's included, where a class
          that is found is true, or nothing is found and nothing is there. `mean_accuracy` asks less: whether anything
          is found where anything is there.
        - counts, thresholds and the evaluator, and `undefined`: the figures that were left out because these images do
          not define them (a class neither there nor found), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        if not self._judged:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        figures: Metrics = {**self._figures(None)}
        figures |= {key: n for key, n in self._together.counts().items() if key != "n_in_mean"}
        for name, counts in zip(self.classes, self._of_class, strict=True):
            figures |= counts.counts(f"/{name}")
        figures |= {
            "n_pictures": len(self._judged),
            "score_threshold": self.score_threshold,
            "jaccard_threshold": JACCARD_THRESHOLD,
            "evaluator": self.evaluator,
        }
        expected = [f"{key}{suffix}" for suffix in ("", *(f"/{name}" for name in self.classes)) for key in FIGURES]
        figures["undefined"] = ", ".join(key for key in expected if key not in figures) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`."""
        return self._figures(images) if len(images) else {}

    def image_rows(self) -> list[ImageRow]:
        """Figures of each image, of all classes together; `jaccard/<class>` where the class is there or found."""
        return self._image_rows

    def tables(self) -> list[Table]:
        """`classes`, a row a class, and `confusion`, see `PixelConfusion`."""
        rows: list[ImageRow] = [
            {"class": name, "n_images": counts.counts()["n_in_mean"], **counts.figures()}
            for name, counts in zip(self.classes, self._of_class, strict=True)
        ]
        return [Table.of("classes", rows, columns=("class", "n_images", *FIGURES)), self._confusion.table()]

    def _figures(self, images: Positions | None) -> dict[str, float]:
        figures = self._together.figures(images)
        for name, counts in zip(self.classes, self._of_class, strict=True):
            figures |= counts.figures(images, f"/{name}")
        right_px, all_px = np.array(self._right_px, float), np.array(self._all_px, float)
        if images is not None:
            right_px, all_px = right_px[images], all_px[images]
        return figures | {
            "mean_pixel_accuracy": float(np.mean(right_px / all_px)),
            "pooled_pixel_accuracy": float(right_px.sum() / all_px.sum()),
        }


def _by_class(of_masks: Sequence[CroppedMask], class_ids: Sequence[int], size_hw: tuple[int, int]) -> ClassMasks:
    """Pixels of the masks of each class that has any."""
    pixels = {
        class_id: masks.union([mask for mask, own in zip(of_masks, class_ids, strict=True) if own == class_id], size_hw)
        for class_id in sorted(set(class_ids))
    }
    return {class_id: mask for class_id, mask in pixels.items() if mask.any()}


def _measured(
    is_true: ClassMasks, is_found: ClassMasks, size_hw: tuple[int, int]
) -> tuple[ImageFigures, dict[int, ImageFigures]]:
    """Figures of all classes together, and of each class that is there or found."""
    nothing = np.zeros(size_hw, bool)
    shown = is_true.keys() | is_found.keys()
    of_class = {
        class_id: figures_of(is_true.get(class_id, nothing), is_found.get(class_id, nothing)) for class_id in shown
    }
    if not shown:
        return _nothing(size_hw), of_class
    if len(shown) == 1:
        return next(iter(of_class.values())), of_class
    return figures_of(_any(is_true, size_hw), _any(is_found, size_hw)), of_class


def _right_px(is_true: ClassMasks, is_found: ClassMasks, size_hw: tuple[int, int]) -> int:
    """How many pixels have a class that is both there and found, or none at all."""
    common = {class_id: mask & is_found[class_id] for class_id, mask in is_true.items() if class_id in is_found}
    anything = _any(is_true, size_hw) | _any(is_found, size_hw)
    return int(np.count_nonzero(_any(common, size_hw))) + anything.size - int(np.count_nonzero(anything))


def _any(of_class: Mapping[int, NDArray[np.bool_]], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    together = np.zeros(size_hw, bool)
    for mask in of_class.values():
        together |= mask
    return together


def _nothing(size_hw: tuple[int, int]) -> ImageFigures:
    """Those of an image in which nothing is there and nothing was found."""
    return ImageFigures(Overlap(0, 0, 0, size_hw[0] * size_hw[1]), boundary_f=1.0, hausdorff95_px=None)
