"""The optimiser of a stage, and the moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskstream.training.recipe import OptimiserRecipe, Stage


def make_optimiser(
    model: nn.Module, pretrained_part: nn.Module, recipe: OptimiserRecipe, stage: Stage
) -> torch.optim.Optimizer:
    """An optimiser of what the stage trains; everything else is frozen. Biases and norms are not decayed."""
    model.requires_grad_(True)
    if stage.trains == "heads":
        pretrained_part.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.name == "sgd":
        return torch.optim.SGD(groups, lr=stage.learning_rate, momentum=recipe.momentum)
    if recipe.name == "adam":
        return torch.optim.Adam(groups, lr=stage.learning_rate)
    return torch.optim.AdamW(groups, lr=stage.learning_rate)


class WeightAverage:
    """Exponential moving average of a model's weights; the weights themselves when the decay is 0.

    Young averages forget faster, so that the start fades.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self._average = {name: value.detach().clone() for name, value in model.state_dict().items()} if decay else {}

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self._model.state_dict().items():
                if value.is_floating_point():
                    self._average[name].lerp_(value, 1 - decay)
                else:
                    self._average[name].copy_(value)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, not copied."""
        return self._average or self._model.state_dict()

    def own(self) -> dict[str, Tensor]:
        """What must be saved beside the model's weights: nothing without an average."""
        return self._average

    def restore(self, average: dict[str, Tensor]) -> None:
        """Undo `own`; an average that a stage begins without is its model's weights."""
        for name, value in self._average.items():
            value.copy_(average.get(name, self._model.state_dict()[name]))
