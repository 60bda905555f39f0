"""What a classifier says about one image, and what the pipeline asks of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes, class_id
from maskstream.core.frame import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The classes of one image as a whole.

    Attributes
    ----------
    probabilities : (c,) float32, sum 1; calibrated when the model folder carries a calibration.
    classes : c names, in the order of their ids.
    """

    probabilities: NDArray[np.float32]
    classes: Classes

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.classes),):
            raise ValueError(f"probabilities have shape {self.probabilities.shape}, expected ({len(self.classes)},)")

    @property
    def class_id(self) -> int:
        """Id of the most probable class; of equal ones the first."""
        return int(np.argmax(self.probabilities))

    @property
    def class_name(self) -> str:
        """Name of the most probable class."""
        return self.classes[self.class_id]

    def probability_of(self, name: str) -> float:
        """The probability of a class. KeyError: the name is unknown; the message lists the known ones."""
        return float(self.probabilities[class_id(self.classes, name)])

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {p:.3f}" for name, p in zip(self.classes, self.probabilities, strict=True))
        return f"Classification({shares})"


class Classifier(Protocol):
    """Anything that turns frames into Classifications.

    Attributes
    ----------
    name : what reports call the model.
    classes : names of the classes, in the order of their ids.
    """

    name: str
    classes: Classes

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        """The classes of each frame."""
        ...
