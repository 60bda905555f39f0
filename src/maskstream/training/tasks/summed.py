"""What regions and classes have in common: one network, and a sum of losses of its logits."""

from __future__ import annotations

from torch import Tensor

from maskstream.training.losses import LossSum
from maskstream.training.tasks.task import Losses, Model


class SummedLosses:
    """The losses that a recipe names, of logits and truth."""

    _loss: LossSum

    def losses(self, model: Model, images: Tensor, targets: Tensor) -> Losses:
        """Each loss of a batch of images (b, 3, H, W), unweighted."""
        return self._loss(model(images), targets.to(images.device))

    def total(self, losses: Losses) -> Tensor:
        """The weighted sum."""
        return self._loss.total(losses)
