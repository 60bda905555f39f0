"""Simple copy-paste (Ghiasi et al. 2021): objects of one image laid over another, with their pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from maskstream.training.augment.boxes import boxes_of_masks
from maskstream.training.sample import Sample


def pasted(sample: Sample, partner: Sample, rng: np.random.Generator) -> Sample:
    """A sample with some of its partner's objects on top, each drawn with probability 1/2 but at least one.

    Masks underneath lose the pixels that are covered; objects that are covered entirely are dropped. The pasted ones
    come last. What is said of the image as a whole stays that of the sample.

    Parameters
    ----------
    partner : of the same size, already moved; without objects, the sample comes back as it is.
    """
    if not len(partner.masks):
        return sample
    chosen = rng.random(len(partner.masks)) < 0.5
    chosen[rng.integers(len(chosen))] = True
    masks = partner.masks[chosen]
    covered = masks.any(axis=0)
    image = sample.image.copy()
    image[covered] = partner.image[covered]

    left = sample.masks * ~covered
    seen = np.array([cv2.hasNonZero(mask) for mask in left], bool)
    height, width = np.ceil(boxes_of_masks(masks)[:, [3, 2]].max(axis=0)).astype(int).tolist()
    return replace(
        sample,
        image=image,
        masks=np.concatenate([left[seen], masks]),
        class_ids=np.concatenate([sample.class_ids[seen], partner.class_ids[chosen]]),
        label_ids=np.concatenate([sample.label_ids[seen], partner.label_ids[chosen]]),
        content_hw=(max(sample.content_hw[0], height), max(sample.content_hw[1], width)),
    )
