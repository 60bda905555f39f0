"""Boxes of dense masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.boxes import Boxes


def boxes_of_masks(masks: NDArray[np.uint8]) -> Boxes:
    """Tight boxes (n, 4) float32 `xyxy`, half-open, of masks (n, H, W); all zeros for an empty mask."""
    boxes_xywh = np.array([cv2.boundingRect(mask) for mask in masks], np.float32).reshape(-1, 4)
    return np.hstack([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]])
