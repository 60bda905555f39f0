"""The parts of Mask R-CNN that `inference/mask_rcnn.py` calls, by role, each as a graph of its own.

    trunk       image -> objectness, deltas, [context,] level_0 ...
    box_head    boxes, level_0 ... -> logits, box_deltas
    class_head  boxes, context -> class_probabilities     (class_head: context only)
    mask_head   boxes, level_0 ... -> mask_probabilities

Levels are those that regions are pooled from; proposals may see one more.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import MultiScaleRoIAlign, roi_align

from maskstream.training.models.graph_part import GraphPart
from maskstream.training.models.mask_rcnn import MaskRcnn


class Trunk(nn.Module):
    """image (1, 3, H, W) -> objectness (a,), deltas (a, 4), context map where a head needs it, pyramid maps."""

    def __init__(self, model: MaskRcnn) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        levels, context = self.model.features(image)
        objectness, deltas = self.model.rpn.head(list(levels.values()))
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        pooled = [levels[name].float() for name in self.model.roi_heads.box_roi_pool.featmap_names]
        context_maps = [context.float()] if self.model.class_agnostic else []
        return (objectness[:, 0], deltas, *context_maps, *pooled)


class BoxHead(nn.Module):
    """boxes (n, 4), pyramid maps -> logits (n, 1 + k), background first; deltas (n, 1 + k, 4)."""

    def __init__(self, model: MaskRcnn, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.pool = PyramidPool(model.roi_heads.box_roi_pool, input_size_hw)

    def forward(self, boxes: Tensor, *levels: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.pool(levels, boxes)
        logits, deltas = self.model.roi_heads.box_predictor(self.model.roi_heads.box_head(pooled))
        return logits.float(), deltas.float().reshape(-1, logits.shape[1], 4)


class ClassHead(nn.Module):
    """boxes (n, 4), context map -> class probabilities given an object (n, c)."""

    def __init__(self, model: MaskRcnn) -> None:
        super().__init__()
        self.model = model

    def forward(self, boxes: Tensor, context: Tensor) -> tuple[Tensor]:
        logits = self.model.label_logits(context, [boxes]).float()
        return (self.model.merge_labels(F.log_softmax(logits, dim=1)).exp(),)


class MaskHead(nn.Module):
    """boxes (n, 4), pyramid maps -> mask probabilities (n, k, 28, 28), one a class, or k = 1 for all classes."""

    def __init__(self, model: MaskRcnn, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.pool = PyramidPool(model.roi_heads.mask_roi_pool, input_size_hw)

    def forward(self, boxes: Tensor, *levels: Tensor) -> tuple[Tensor]:
        pooled = self.pool(levels, boxes)
        logits = self.model.roi_heads.mask_predictor(self.model.roi_heads.mask_head(pooled))
        return (logits[:, 1:].float().sigmoid(),)  # the background's mask is never trained


class PyramidPool(nn.Module):
    """What MultiScaleRoIAlign computes, without its scattered writes, which ONNX exports badly.

    Every level pools every box and each box keeps its own level's answer: for the few boxes of one image
    that is cheaper than a branch.
    """

    def __init__(self, pool: MultiScaleRoIAlign, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.bins = pool.output_size
        self.sampling_ratio = pool.sampling_ratio
        self.canonical_level, self.canonical_scale = pool.canonical_level, pool.canonical_scale
        self.input_size_hw = input_size_hw

    def forward(self, levels: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        # a level's exponent of two; where the input is no multiple of the stride, the nearest
        exponents = [round(math.log2(self.input_size_hw[0] / level.shape[-2])) for level in levels]
        first, last = exponents[0], exponents[-1]
        # Feature Pyramid Networks (Lin et al. 2017), equation 1
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        wanted = torch.floor(self.canonical_level + torch.log2(sides / self.canonical_scale) + 1e-6)
        wanted = wanted.clamp(first, last) - first
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
        pooled = [
            roi_align(level, rois, self.bins, 2.0**-exponent, self.sampling_ratio)
            for level, exponent in zip(levels, exponents, strict=True)
        ]
        result: Tensor = pooled[0]
        for index, answer in enumerate(pooled[1:], start=1):
            result = torch.where((wanted == index)[:, None, None, None], answer, result)
        return result


def graphs(model: MaskRcnn, input_size_hw: tuple[int, int]) -> dict[str, GraphPart]:
    """The parts that the decoder calls, by role; puts the model into evaluation mode."""
    model.eval()
    height, width = input_size_hw
    image = next(model.parameters()).new_zeros(1, 3, height, width)
    boxes = image.new_tensor([[0, 0, width / 2, height / 2], [0, 0, width, height], [1, 2, 9, 12]])
    trunk = Trunk(model).eval()
    with torch.no_grad():
        _, _, *maps = trunk(image)
    context = {"context": maps.pop(0)} if model.class_agnostic else {}
    levels = {f"level_{index}": level for index, level in enumerate(maps)}
    pooled, rows = {"boxes": boxes} | levels, ("boxes",)
    parts = {
        "trunk": GraphPart(trunk, {"image": image}, ("objectness", "deltas", *context, *levels)),
        "box_head": GraphPart(BoxHead(model, input_size_hw).eval(), pooled, ("logits", "box_deltas"), rows),
        "mask_head": GraphPart(MaskHead(model, input_size_hw).eval(), pooled, ("mask_probabilities",), rows),
    }
    if model.class_agnostic:
        inputs = {"boxes": boxes} | context
        parts["class_head"] = GraphPart(ClassHead(model).eval(), inputs, ("class_probabilities",), rows)
    return parts
