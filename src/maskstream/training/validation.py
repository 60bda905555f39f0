"""A model in training, judged by the code that judges deployed models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from maskstream.data.dataset import Dataset
from maskstream.evaluation.judge import SCORE_FLOOR, judge
from maskstream.evaluation.split import match_classes, segment_records
from maskstream.inference.mask_rcnn import Array, MaskRcnnSegmenter
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.models import MaskRcnn, graphs
from maskstream.training.recipe import Recipe

SCORE_THRESHOLD = 0.5


class TorchRuntime:
    """Runs the graphs of a PyTorch model: arrays in, arrays out, like the runtimes without PyTorch."""

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        self._parts = parts

    @torch.inference_mode()
    def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
        """Outputs of the graph that has this role."""
        outputs = self._parts[role](*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
        return tuple(output.numpy() for output in outputs)


def torch_segmenter(model: MaskRcnn, recipe: Recipe) -> MaskRcnnSegmenter:
    """A Segmenter around a PyTorch model, uncalibrated, with the decoder that deployed models use."""
    return MaskRcnnSegmenter(
        recipe.name,
        recipe.classes,
        TorchRuntime(graphs(model, recipe.input_size_hw)),
        Preprocessing(recipe.input_size_hw),
        recipe.settings,
        score_threshold=SCORE_THRESHOLD,
    )


def validate(model: MaskRcnn, recipe: Recipe, dataset: Dataset, split: str) -> dict[str, Any]:
    """Metrics of a model on a split, by their flat names."""
    segmenter = torch_segmenter(model, recipe)
    class_ids = match_classes(dataset, recipe.classes)
    pairs = segment_records(dataset.records(split), segmenter, class_ids, SCORE_FLOOR)
    return judge(pairs, recipe.classes, segmenter.score_threshold, positive=recipe.positive)
