"""Answers without a model: what is bright is an object, what is red is malignant."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.masks import crop
from maskstream.data.records import ImageRecord

CLASSES = ("benign", "malignant")


class BrightAnswers:
    """Each bright spot is an object; its share of red to blue the probability of being malignant."""

    name, classes, calibration = "bright", CLASSES, None
    facts: dict[str, str] = {"model": "bright"}  # noqa: RUF012 (the protocol's attribute)
    score_threshold, score_floor, max_detections = 0.5, 0.05, 100

    def __init__(self, task: Literal["instance", "semantic"] = "instance") -> None:
        self.task = task
        self.asked = 0

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        self.asked += 1
        return bright_objects(record.read_image())


def bright_objects(image: np.ndarray) -> Detections:
    size_hw = image.shape[0], image.shape[1]
    count, labels = cv2.connectedComponents((image.max(axis=2) > 127).astype(np.uint8))
    if count == 1:
        return Detections.empty(CLASSES, size_hw)
    masks = [crop(labels == label) for label in range(1, count)]
    reds = [image[labels == label].astype(float).mean(axis=0) + 1e-3 for label in range(1, count)]
    malignant = np.array([red / (red + blue) for red, _, blue in reds], np.float32)
    return Detections(
        boxes_xyxy=np.array(
            [[m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]] for m in masks], np.float32
        ),
        masks=tuple(masks),
        scores=np.full(len(masks), 0.9, np.float32),
        probabilities=np.stack([1 - malignant, malignant], axis=1),
        track_ids=np.zeros(len(masks), np.int64),
        classes=CLASSES,
        size_hw=size_hw,
    )


class RedAnswers:
    """The image's share of red to blue is the probability of being malignant."""

    name, classes, calibration = "red", CLASSES, None
    facts: dict[str, str] = {"model": "red"}  # noqa: RUF012 (the protocol's attribute)
    task: Literal["classification"] = "classification"

    def classification(self, record: ImageRecord) -> Classification:
        red, _, blue = record.read_image().astype(float).mean(axis=(0, 1)) + 1e-3
        return Classification(np.array([blue / (red + blue), red / (red + blue)], np.float32), CLASSES)
