"""A model in training on the validation images: judged as deployed models are, and its losses."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import RecipeError
from maskstream.evaluation.verdict import Metrics
from maskstream.training.batches import BatchesInOrder
from maskstream.training.tasks import TrainingTask

REHEARSED_IMAGES = 2
SHOWN_IMAGES = 4
"""Validation images whose predictions are kept of every validation."""

_STATEFUL = (nn.modules.batchnorm._BatchNorm, FrozenBatchNorm2d, nn.modules.dropout._DropoutNd)


class Validator:
    """Judges weights on the validation images, in a model of its own."""

    def __init__(self, task: TrainingTask, dataset: Dataset, records: Sequence[ImageRecord]) -> None:
        self._task, self._dataset, self._records = task, dataset, records
        self._model = task.build_model().to(memory_format=torch.channels_last)
        self._batches = BatchesInOrder(task, dataset, records)
        self._answers: list[tuple[ImageRecord, Any]] = []

    def judge(self, weights: dict[str, Tensor], device: torch.device) -> Metrics:
        """Metrics by their flat names; the losses as `loss` and `loss_<component>`, where the recipe wants them."""
        self._model.to(device).load_state_dict(weights)
        losses = self._losses(device) if self._task.recipe.validation.losses else {}
        self._answers.clear()
        return losses | self._task.validate(self._model.eval(), self._dataset, self._records, self._keep_first)

    def predictions(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Name and drawn answer of the first images, by the weights that were judged last."""
        return [(record.name, self._task.draw(record, answer)) for record, answer in self._answers]

    def _keep_first(self, record: ImageRecord, answer: Any) -> None:
        if len(self._answers) < SHOWN_IMAGES:
            self._answers.append((record, answer))

    @torch.no_grad()
    def _losses(self, device: torch.device) -> Metrics:
        """Means over the validation images as they are; what is drawn at random is drawn the same way each time."""
        # losses are computed in training mode only, in which these layers would change or forget
        self._model.train()
        for module in self._model.modules():
            if isinstance(module, _STATEFUL):
                module.eval()
        sums: dict[str, float] = {}
        count = 0
        for place, batch in enumerate(self._batches):
            with torch.random.fork_rng():
                torch.manual_seed(place)
                losses = self._task.losses(self._model, batch.to_input(device), batch.targets)
            values = {"loss": self._task.total(losses)} | {f"loss_{name}": loss for name, loss in losses.items()}
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.names)
            count += len(batch.names)
        return {name: value / count for name, value in sums.items()}


def rehearse(
    task: TrainingTask,
    dataset: Dataset,
    records: Sequence[ImageRecord],
    weights: dict[str, Tensor],
    device: torch.device,
) -> None:
    """Validate on the first images as they come, so that what fails does it before the first step, not after an epoch.

    Raises
    ------
    RecipeError : the recipe chooses by a metric that there is not.
    MaskstreamError : an image cannot be read.
    """
    validator = Validator(task, dataset, records[:REHEARSED_IMAGES])
    metrics = validator.judge(weights, device)
    validator.predictions()
    undefined = [name for name in str(metrics.pop("undefined", "none")).split(", ") if name != "none"]
    known = [*(name for name, value in metrics.items() if not isinstance(value, str)), *undefined]
    for name in task.recipe.validation.best:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise RecipeError(
                "validation.best",
                expected=f"metrics of this task ({', '.join(known)})",
                found=repr(name),
                remedy=f"did you mean {near[0]!r}?" if near else "name some of them",
            )
