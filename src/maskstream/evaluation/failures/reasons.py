"""Why an answer counts as bad, in plain words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.pixels.pixel import overlap

WORTH_TELLING = 0.15
"""Share of the true or of the found pixels from which it is said that so many are missed, or lie outside."""

SAME_PLACE = 0.3
"""IoU from which a found object stands for a true one when it is asked what it was called."""


def object_reason(truth: ImageTruth, found: Detections) -> str:
    """Why the objects found in an image are not those that are there; crowds are not counted."""
    crowds = truth.crowds or (False,) * len(truth.masks)
    rows = [row for row, crowd in enumerate(crowds) if not crowd]
    counts = _counts(len(rows), len(found), "object")
    if not rows or not len(found):
        return counts or "nothing there and nothing found"
    called = [
        (float(found.probabilities[best, found.class_ids[best]]), int(found.class_ids[best]), truth.class_ids[row])
        for row in rows
        for best in [_best(truth.masks[row], found.masks)]
        if best is not None
    ]
    parts = [counts, *_wrong_classes(called, found.classes), *_pixels(truth, found)]
    return "; ".join(part for part in parts if part) or "found as it is"


def region_reason(truth: ImageTruth, found: Detections) -> str:
    """Why the regions found in an image are not those that are there."""
    if not truth.masks or not len(found):
        return _counts(len(truth.masks), len(found), "region") or "nothing there and nothing found"
    return "; ".join([*_pixels(truth, found), *_mixed(truth, found)]) or "found as it is"


def class_reason(class_name: str, answer: Classification) -> str:
    """What an image was called instead of what it is."""
    right = percent(answer.probability_of(class_name))
    if answer.class_name == class_name:
        return f"called {class_name}, as it is, with {right}"
    return f"called {answer.class_name} with {percent(answer.probabilities.max())}; it is {class_name} ({right})"


def percent(probability: float) -> str:
    """`93 %`; certainty is never claimed by rounding."""
    shown = round(100 * float(probability))
    if shown >= 100 and probability < 1:
        return ">99 %"
    return "<1 %" if shown <= 0 < probability else f"{shown} %"


def _counts(there: int, found: int, noun: str) -> str:
    """Nothing where as many are found as there are."""
    if there == found:
        return ""
    are = f"{there} {'is' if there == 1 else 'are'}" if there else "none is"
    found_words = f"found {found} {noun}{'' if found == 1 else 's'}" if found else "nothing found"
    return f"{found_words} where {are}"


def _best(mask: CroppedMask, others: Iterable[CroppedMask]) -> int | None:
    ious = [masks.iou(mask, other) for other in others]
    return int(np.argmax(ious)) if max(ious, default=0) >= SAME_PLACE else None


def _wrong_classes(called: list[tuple[float, int, int]], classes: Classes) -> list[str]:
    """The surest wrong class, and how many more there are."""
    wrong = sorted((entry for entry in called if entry[1] != entry[2]), reverse=True)
    if not wrong:
        return []
    probability, found_id, true_id = wrong[0]
    more = f", and {len(wrong) - 1} more by a wrong name" if len(wrong) > 1 else ""
    return [f"called {classes[found_id]} with {percent(probability)} where {classes[true_id]} is{more}"]


def _pixels(truth: ImageTruth, found: Detections) -> list[str]:
    pixels = overlap(truth.masks, found.masks, truth.size_hw)
    if not pixels.truth_px or not pixels.found_px:
        return []
    if not pixels.common_px:
        return ["what was found lies elsewhere"]
    missed, outside = 1 - pixels.common_px / pixels.truth_px, 1 - pixels.common_px / pixels.found_px
    parts = [f"{percent(missed)} of the true pixels missed"] if missed >= WORTH_TELLING else []
    return parts + ([f"{percent(outside)} of what was found lies outside"] if outside >= WORTH_TELLING else [])


def _mixed(truth: ImageTruth, found: Detections) -> list[str]:
    """The class whose pixels were most of all given to another class."""
    size_hw = truth.size_hw
    there = {c: _of_class(truth.masks, truth.class_ids, c, size_hw) for c in set(truth.class_ids)}
    seen = {c: _of_class(found.masks, found.class_ids.tolist(), c, size_hw) for c in set(found.class_ids.tolist())}
    shares = [
        (np.count_nonzero(pixels & of_other) / pixels.sum(), class_id, other)
        for class_id, pixels in there.items()
        for other, of_other in seen.items()
        if other != class_id and pixels.any()
    ]
    share, class_id, other = max(shares, default=(0.0, 0, 0))
    if share < WORTH_TELLING:
        return []
    return [f"{percent(share)} of {found.classes[class_id]} called {found.classes[other]}"]


def _of_class(
    of_masks: Iterable[CroppedMask], class_ids: Iterable[int], wanted: int, size_hw: tuple[int, int]
) -> np.ndarray:
    return masks.union([mask for mask, own in zip(of_masks, class_ids, strict=True) if own == wanted], size_hw)
