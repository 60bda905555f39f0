"""Semantic segmentation: which class each pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskstream.core.detections import Detections
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.evaluation.pixels.regions import RegionJudge
from maskstream.evaluation.split import match_classes, segment_records
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.preprocess import Preprocessing
from maskstream.inference.regions import RegionSegmenter, RegionSettings
from maskstream.training.losses import LossSum
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.models.region_graphs import graphs
from maskstream.training.models.unet import RegionNetwork, build_region_model, encoder_of
from maskstream.training.recipe import PlainSegmentationModel, Recipe, UnetModel
from maskstream.training.sample import Sample
from maskstream.training.tasks.class_weights import class_weights
from maskstream.training.tasks.drawing import drawn_objects
from maskstream.training.tasks.summed import SummedLosses
from maskstream.training.tasks.task import OnAnswer, forget
from maskstream.training.tasks.tiled import tiled
from maskstream.training.torch_runtime import TorchRuntime

BACKGROUND = "background"


class SemanticTask(SummedLosses):
    """A class for each pixel; one class against the background, or several."""

    def __init__(self, recipe: Recipe) -> None:
        if not isinstance(recipe.model, UnetModel | PlainSegmentationModel):
            raise TypeError(f"{recipe.model.architecture} does not segment regions")
        self.recipe = recipe
        self._settings: UnetModel | PlainSegmentationModel = recipe.model
        pixelwise = "bce" if len(recipe.classes) == 1 else "cross_entropy"
        weights = class_weights(recipe.loss, (BACKGROUND, *recipe.classes))
        self._outputs = 1 if len(recipe.classes) == 1 else 1 + len(recipe.classes)
        self._loss = LossSum(recipe.loss, {pixelwise: 1.0, "dice": 1.0}, weights, self._outputs)

    def build_model(self) -> RegionNetwork:
        """The untrained model: one output for one class, else one a class and one for the background."""
        return build_region_model(self._settings, self._outputs, self.recipe.input_size_hw)

    def pretrained_part(self, model: RegionNetwork) -> nn.Module:
        """The encoder."""
        return encoder_of(model)

    def target(self, sample: Sample) -> Tensor:
        """Label map (H, W) int64: 0 for the background, class id + 1 elsewhere; later objects lie over earlier ones."""
        label_map = np.zeros(sample.size_hw, np.int64)
        for mask, class_id in zip(sample.masks, sample.class_ids, strict=True):
            label_map[mask > 0] = class_id + 1
        return torch.from_numpy(label_map)

    def collate(self, targets: Sequence[Tensor]) -> Tensor:
        """Label maps (b, H, W)."""
        return torch.stack(list(targets))

    def graphs(self, model: RegionNetwork) -> dict[str, GraphPart]:
        """The whole network."""
        return graphs(model, self.recipe.input_size_hw)

    def segmenter(self, model: RegionNetwork) -> Segmenter:
        """A Segmenter around a PyTorch model, with the decoder that deployed models use."""
        segmenter = RegionSegmenter(
            self.recipe.name,
            self.recipe.classes,
            TorchRuntime(self.graphs(model), next(model.parameters()).device),
            Preprocessing(self.recipe.input_size_hw),
            RegionSettings(),
            score_threshold=0.0,
        )
        return tiled(segmenter, self.recipe)

    def validate(
        self, model: RegionNetwork, dataset: Dataset, records: Sequence[ImageRecord], on_answer: OnAnswer = forget
    ) -> Metrics:
        """The figures of `evaluation.pixels.regions`."""
        verdict = RegionJudge(self.recipe.classes)
        class_ids = match_classes(dataset, self.recipe.classes)
        pairs = segment_records(records, self.segmenter(model), class_ids, 0.0)
        for record, (truth, found) in zip(records, pairs, strict=True):
            verdict.add(truth, found)
            on_answer(record, found)
        return verdict.metrics()

    def draw(self, record: ImageRecord, answer: Detections) -> NDArray[np.uint8]:
        """The image with its regions."""
        return drawn_objects(record, answer, 0.0)
