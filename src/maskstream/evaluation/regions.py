"""The one judgement of a model that names a class for each pixel, for training's validation and for deployed models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.errors import DatasetError
from maskstream.evaluation.instance import ImageTruth
from maskstream.evaluation.judge import check_pair
from maskstream.evaluation.pixel import JACCARD_THRESHOLD, Overlap, pixel_metrics
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table


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
        self._overlaps: dict[int, Overlap] = {}
        self._of_class: list[list[Overlap]] = [[] for _ in classes]
        self._right_px: list[int] = []
        self._all_px: list[int] = []

    def add(self, truth: ImageTruth, found: Detections) -> None:
        """Judge one image.

        Raises
        ------
        DatasetError : the image was judged before, or its regions are of another size or other classes.
        """
        check_pair(truth, found, self.classes, self._overlaps)
        above = found.select(found.scores >= self.score_threshold)
        any_true, any_found, right = (np.zeros(truth.size_hw, bool) for _ in range(3))
        for class_id, overlaps in enumerate(self._of_class):
            is_true = _pixels(truth.masks, truth.class_ids, class_id, truth.size_hw)
            is_found = _pixels(above.masks, above.class_ids.tolist(), class_id, truth.size_hw)
            overlaps.append(_overlap(is_true, is_found))
            any_true |= is_true
            any_found |= is_found
            right |= is_true & is_found
        self._overlaps[truth.image_id] = _overlap(any_true, any_found)
        self._right_px.append(int(np.count_nonzero(right | ~(any_true | any_found))))
        self._all_px.append(right.size)

    def metrics(self) -> Metrics:
        """All figures of the images so far; `mean_` is over images, each counting once, `pooled_` over all pixels.

        - `mean_jaccard`, `thresholded_jaccard`, `mean_dice`: of all classes together against the background, see
          `evaluation.pixel`; an image without anything, in which nothing is found, counts 1.
        - `mean_jaccard/<class>`, `mean_dice/<class>`: over the `n_in_mean/<class>` images that show the class or in
          which it is found. The others are left out: with them a rare class would seem to be found well by a model
          that never names it.
        - `pooled_jaccard`, `pooled_dice`, and the same of each class: of the pixels of all images as if they were one.
        - `mean_pixel_accuracy`, `pooled_pixel_accuracy`: share of the pixels, the background's included, where a class
          that is found is true, or nothing is found and nothing is there.
        - counts, thresholds and the evaluator, and `undefined`: the figures that were left out because these images do
          not define them (a class neither there nor found), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        if not self._overlaps:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        figures: Metrics = {**pixel_metrics(self._overlaps.values()), **_pooled(list(self._overlaps.values()), "")}
        for name, overlaps in zip(self.classes, self._of_class, strict=True):
            figures |= _class_figures(overlaps, f"/{name}")
        figures |= {
            "mean_pixel_accuracy": float(np.mean(np.divide(self._right_px, self._all_px))),
            "pooled_pixel_accuracy": sum(self._right_px) / sum(self._all_px),
            "n_pictures": len(self._overlaps),
            "score_threshold": self.score_threshold,
            "jaccard_threshold": JACCARD_THRESHOLD,
            "evaluator": self.evaluator,
        }
        missing = [key for key in self._expected_keys() if key not in figures]
        figures["undefined"] = ", ".join(missing) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`."""
        overlaps = list(self._overlaps.values())
        return pixel_metrics([overlaps[position] for position in images]) if len(images) else {}

    def image_rows(self) -> list[ImageRow]:
        """`jaccard` and `dice` of each image."""
        return [{"jaccard": image.jaccard, "dice": image.dice} for image in self._overlaps.values()]

    def tables(self) -> list[Table]:
        """None yet."""
        return []

    def _expected_keys(self) -> list[str]:
        figures = [f"{kind}_{figure}" for kind in ("mean", "pooled") for figure in ("jaccard", "dice")]
        return ["pooled_jaccard", "pooled_dice", *(f"{key}/{name}" for name in self.classes for key in figures)]


def _class_figures(overlaps: Sequence[Overlap], suffix: str) -> Metrics:
    """Means over the images that hold the class, and pooled figures; without such an image only their number, 0."""
    holding = [overlap for overlap in overlaps if overlap.truth_px or overlap.found_px]
    figures: Metrics = {f"n_in_mean{suffix}": len(holding)}
    if holding:
        means = pixel_metrics(holding)
        figures |= {f"{key}{suffix}": means[key] for key in ("mean_jaccard", "mean_dice")}
    return figures | _pooled(holding, suffix)


def _pooled(overlaps: Sequence[Overlap], suffix: str) -> Metrics:
    """Jaccard and Dice of the pixels of all images; nothing where none of them is there or found."""
    total = Overlap(
        common_px=sum(overlap.common_px for overlap in overlaps),
        truth_px=sum(overlap.truth_px for overlap in overlaps),
        found_px=sum(overlap.found_px for overlap in overlaps),
    )
    if not total.truth_px and not total.found_px:
        return {}
    return {f"pooled_jaccard{suffix}": total.jaccard, f"pooled_dice{suffix}": total.dice}


def _overlap(is_true: NDArray[np.bool_], is_found: NDArray[np.bool_]) -> Overlap:
    return Overlap(
        common_px=int(np.count_nonzero(is_true & is_found)),
        truth_px=int(np.count_nonzero(is_true)),
        found_px=int(np.count_nonzero(is_found)),
    )


def _pixels(
    of_masks: Sequence[CroppedMask], class_ids: Sequence[int], class_id: int, size_hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """Pixels of the masks of one class."""
    return masks.union([mask for mask, own in zip(of_masks, class_ids, strict=True) if own == class_id], size_hw)
