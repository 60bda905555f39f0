"""A region model as the graph that is deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskstream.training.models.graph_part import GraphPart
from maskstream.training.models.unet import RegionNetwork


class Network(nn.Module):
    """Role `network`: image (1, 3, H, W) -> class probabilities (1, c, H, W) of each pixel; the rest is background."""

    def __init__(self, model: RegionNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor]:
        logits = self.model(image).float()
        return (logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)[:, 1:],)


def graphs(model: RegionNetwork, input_size_hw: tuple[int, int]) -> dict[str, GraphPart]:
    """The part that the decoder calls, by its role, in evaluation mode."""
    image = torch.zeros(1, 3, *input_size_hw, device=next(model.parameters()).device)
    return {"network": GraphPart(Network(model).eval(), {"image": image}, ("probabilities",))}
