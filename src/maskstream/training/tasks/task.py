"""What the loop asks of a task: a model, its truth as tensors, its losses, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.evaluation.verdict import Metrics
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.recipe import Recipe
from maskstream.training.sample import Sample

Losses = dict[str, Tensor]
"""Scalars by component, unweighted."""

Model = Any
"""A module of the task's own class, or what DDP wraps around it."""

OnAnswer = Callable[[ImageRecord, Any], None]
"""Told each image that is validated on, and the model's answer."""


def forget(record: ImageRecord, answer: Any) -> None:
    """Do nothing with an answer."""


class TrainingTask(Protocol):
    """One of instance, semantic and classification; made from a recipe whose classes are known."""

    recipe: Recipe

    def build_model(self) -> nn.Module:
        """The untrained model."""
        ...

    def pretrained_part(self, model: Model) -> nn.Module:
        """The part that initial weights of a backbone or encoder fill; stages that train heads leave it as it is."""
        ...

    def target(self, sample: Sample) -> Any:
        """The truth of an augmented sample as tensors; runs in the worker."""
        ...

    def collate(self, targets: Sequence[Any]) -> Any:
        """The truths of a batch as `losses` takes them, still on the CPU."""
        ...

    def losses(self, model: Model, images: Tensor, targets: Any) -> Losses:
        """Every component of the loss of a batch of images (b, 3, H, W), by one call of the model."""
        ...

    def total(self, losses: Losses) -> Tensor:
        """The weighted sum that is minimised."""
        ...

    def graphs(self, model: Model) -> dict[str, GraphPart]:
        """The parts that are deployed, by role, in evaluation mode."""
        ...

    def validate(
        self, model: Model, dataset: Dataset, records: Sequence[ImageRecord], on_answer: OnAnswer = forget
    ) -> Metrics:
        """Metrics of a model on images, by their flat names, through the code that judges deployed models."""
        ...

    def draw(self, record: ImageRecord, answer: Any) -> NDArray[np.uint8]:
        """An image (h, w, 3) with an answer of `validate` drawn on it."""
        ...
