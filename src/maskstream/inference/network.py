"""What the decoders of all tasks share: graphs to run, and what is known of the model around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.inference.preprocess import Preprocessing

Array = NDArray[np.float32]

Settings = TypeVar("Settings")


class Runtime(Protocol):
    """Runs a model's graphs: arrays in, arrays out."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that can be run."""
        ...

    def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
        """Outputs of the graph that has this role, for its inputs in order."""
        ...


class Network(Generic[Settings]):
    """A model's graphs with what turns images into their input and their output into an answer.

    Attributes
    ----------
    settings : what shapes the answer besides the weights.
    calibration : map applied to the class probabilities; None leaves them raw.
    """

    def __init__(
        self,
        name: str,
        classes: Classes,
        runtime: Runtime,
        preprocessing: Preprocessing,
        settings: Settings,
        *,
        calibration: Calibration | None = None,
    ) -> None:
        self.name = name
        self.classes = classes
        self.preprocessing = preprocessing
        self.settings = settings
        self.calibration = calibration
        self._runtime = runtime


class SegmentingNetwork(Network[Settings], ABC):
    """A Segmenter of a model's graphs.

    Attributes
    ----------
    score_threshold : score from which an object counts as found, where a call names none.
    """

    def __init__(
        self,
        name: str,
        classes: Classes,
        runtime: Runtime,
        preprocessing: Preprocessing,
        settings: Settings,
        *,
        score_threshold: float,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(name, classes, runtime, preprocessing, settings, calibration=calibration)
        self.score_threshold = score_threshold

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """What each frame shows with at least `score_threshold` (default: the model's own), best first."""
        threshold = self.score_threshold if score_threshold is None else score_threshold
        return [self._segment_one(frame, threshold) for frame in frames]

    @abstractmethod
    def _segment_one(self, frame: Frame, threshold: float) -> Detections: ...
