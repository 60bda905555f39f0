"""The score from which a deployed model counts an object as found, chosen on a validation split."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.evaluation.instance import ImageTruth
from maskstream.evaluation.pixel import overlap

CANDIDATES = tuple(np.round(np.arange(0.3, 0.951, 0.05), 2).tolist())


def choose_threshold(truth_and_found: Iterable[tuple[ImageTruth, Detections]]) -> float:
    """The candidate with the highest mean Jaccard of the images' unions of detections.

    That figure pays for an object that is missed and for one that is not there alike. Of equal candidates the
    highest is taken, which finds fewer things that are not there.

    Parameters
    ----------
    truth_and_found : detections down to a score below the lowest candidate.

    Raises
    ------
    ValueError : there is no image.
    """
    jaccards: list[NDArray[np.float64]] = []
    for truth, found in truth_and_found:
        above = (found.select(found.scores >= threshold) for threshold in CANDIDATES)
        jaccards.append(np.array([overlap(truth.masks, seen.masks, truth.size_hw).jaccard for seen in above]))
    if not jaccards:
        raise ValueError("no image to choose a threshold on")
    means = np.mean(jaccards, axis=0)
    return float(CANDIDATES[int(np.flatnonzero(means == means.max())[-1])])
