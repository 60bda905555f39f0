"""A model in training on the validation images: judged as deployed models are, and its losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.evaluation.judge import Metrics
from maskstream.training.batches import BatchesInOrder
from maskstream.training.tasks import TrainingTask

SHOWN_IMAGES = 4
"""Validation images whose predictions are kept of every validation."""

_STATEFUL = (nn.modules.batchnorm._BatchNorm, FrozenBatchNorm2d, nn.modules.dropout._DropoutNd)


class Validator:
    """Judges weights on the validation images, in a model of its own."""

    def __init__(self, task: TrainingTask, dataset: Dataset, records: Sequence[ImageRecord]) -> None:
        self._task, self._dataset, self._records = task, dataset, records
        self._model = task.build_model().to(memory_format=torch.channels_last)
        self._batches = BatchesInOrder(task, dataset, records)

    def judge(self, weights: dict[str, Tensor], device: torch.device) -> Metrics:
        """Metrics by their flat names; the losses as `loss` and `loss_<component>`, where the recipe wants them."""
        self._model.to(device).load_state_dict(weights)
        losses = self._losses(device) if self._task.recipe.validation.losses else {}
        return losses | self._task.validate(self._model.eval(), self._dataset, self._records)

    def predictions(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Name and drawn answer of the first images, by the weights that were judged last."""
        return [(record.name, self._task.show(self._model, record)) for record in self._records[:SHOWN_IMAGES]]

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
