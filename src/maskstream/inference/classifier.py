"""A classifier's raw output to a Classification.

One graph with the role `network`: image (1, 3, H, W) -> class probabilities (1, c).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from maskstream.core.classification import Classification
from maskstream.core.frame import Frame
from maskstream.inference.network import Network


class ClassifierSettings(BaseModel):
    """What shapes the answer besides the weights; stands in the manifest.

    With `mirror` the network also sees the image's mirror image, and both answers are averaged: steadier, at twice
    the time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mirror: bool = False


class ImageClassifier(Network[ClassifierSettings]):
    """A Classifier of a network's graph."""

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        """The classes of each frame as a whole."""
        return [self._classify_one(frame) for frame in frames]

    def _classify_one(self, frame: Frame) -> Classification:
        views = [frame.image, frame.image[:, ::-1]] if self.settings.mirror else [frame.image]
        probabilities = np.stack([self._look(view) for view in views]).mean(axis=0, dtype=np.float32)
        if self.calibration is not None:
            probabilities = self.calibration.apply(probabilities, self.classes)
        return Classification(probabilities[0], self.classes)

    def _look(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw probabilities (1, c)."""
        network_input, _ = self.preprocessing.apply(np.ascontiguousarray(image))
        (probabilities,) = self._runtime.run("network", network_input[None])
        return probabilities
