"""A classifier as the graph that is deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskstream.core.classes import Classes
from maskstream.training.models.classifier import Classifier
from maskstream.training.models.graph_part import GraphPart


class Network(nn.Module):
    """Role `network`: image (1, 3, H, W) -> class probabilities (1, c); one output means the second of two classes."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor]:
        logits = self.model(image).float()
        if logits.shape[1] > 1:
            return (logits.softmax(dim=1),)
        # sigmoid(-x) rather than 1 - sigmoid(x), which loses the digits of a small probability
        return (torch.cat([-logits, logits], dim=1).sigmoid(),)


def graphs(model: Classifier, classes: Classes, input_size_hw: tuple[int, int]) -> dict[str, GraphPart]:
    """The part that the decoder calls, by its role, in evaluation mode.

    Raises
    ------
    ValueError : the model's outputs are not those of the classes.
    """
    outputs = model.head.out_features
    if outputs != (1 if len(classes) == 2 else len(classes)):
        raise ValueError(f"{outputs} outputs cannot answer with {len(classes)} classes")
    image = torch.zeros(1, 3, *input_size_hw, device=model.head.weight.device)
    return {"network": GraphPart(Network(model).eval(), {"image": image}, ("probabilities",))}
