"""What the pipeline asks of a model, and a fake that tests use in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame


@runtime_checkable
class Segmenter(Protocol):
    """Anything that turns frames into Detections.

    Attributes
    ----------
    name : what reports call the model.
    classes : names of the classes, in the order of their ids.
    score_threshold : score from which the model counts an object as found, unless the user says otherwise.
    """

    name: str
    classes: Classes
    score_threshold: float

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """Objects of each frame with at least `score_threshold` (default: the model's own), best first."""
        ...


class FakeSegmenter:
    """A Segmenter that answers with a function: for tests, with no network behind it."""

    def __init__(
        self, answer: Callable[[Frame], Detections], classes: Classes, name: str = "fake", score_threshold: float = 0.5
    ) -> None:
        self.name = name
        self.classes = classes
        self.score_threshold = score_threshold
        self._answer = answer

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """The function's answers, cut at the threshold."""
        threshold = self.score_threshold if score_threshold is None else score_threshold
        found = [self._answer(frame) for frame in frames]
        return [detections.select(detections.scores >= threshold) for detections in found]
