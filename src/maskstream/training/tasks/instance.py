"""Instance segmentation with Mask R-CNN."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskstream.core.detections import Detections
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import RecipeError
from maskstream.evaluation.objects.judge import SCORE_FLOOR, Judge
from maskstream.evaluation.split import match_classes, segment_records
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.augment.boxes import boxes_of_masks
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.models.mask_rcnn import MaskRcnn, Target, backbone_of
from maskstream.training.models.mask_rcnn_graphs import graphs
from maskstream.training.recipe import MaskRcnnModel, Recipe
from maskstream.training.sample import Sample
from maskstream.training.tasks.drawing import drawn_objects
from maskstream.training.tasks.task import Losses, OnAnswer, forget
from maskstream.training.tasks.tiled import max_detections, tiled
from maskstream.training.torch_runtime import TorchRuntime

LEAST_OBJECT_PX = 16
"""An object of which augmentation leaves fewer network pixels than this is dropped from the truth."""

COMPONENTS = ("class", "box", "mask", "rpn_class", "rpn_box")


class InstanceTask:
    """Boxes, masks, classes and scores of objects."""

    def __init__(self, recipe: Recipe) -> None:
        if not isinstance(recipe.model, MaskRcnnModel):
            raise TypeError(f"{recipe.model.architecture} does not segment instances")
        self.recipe = recipe
        self._settings: MaskRcnnModel = recipe.model
        components = (*COMPONENTS, "object") if recipe.model.class_head == "context" else COMPONENTS
        self._weights = {name: recipe.loss.weights.get(name, 1.0) for name in components}
        _refuse_unknown(recipe.loss.weights, components)

    def build_model(self) -> MaskRcnn:
        """The untrained model."""
        return MaskRcnn(self.recipe.labels_of_class, self._settings)

    def pretrained_part(self, model: MaskRcnn) -> nn.Module:
        """The backbone without its pyramid."""
        return backbone_of(model)

    def target(self, sample: Sample) -> Target:
        """Boxes, masks and ids of the objects that are large enough to be seen."""
        seen = sample.masks.sum(axis=(1, 2), dtype=np.int64) >= LEAST_OBJECT_PX
        masks = sample.masks[seen]
        return Target(
            torch.from_numpy(boxes_of_masks(masks)),
            torch.from_numpy(masks),
            torch.from_numpy(sample.class_ids[seen]),
            torch.from_numpy(sample.label_ids[seen]),
        )

    def collate(self, targets: Sequence[Target]) -> list[Target]:
        """A list, as every image has its own number of objects."""
        return list(targets)

    def losses(self, model: nn.Module, images: Tensor, targets: list[Target]) -> Losses:
        """The components of Mask R-CNN's loss."""
        losses: Losses = model(images, [target.to(images.device) for target in targets])
        return losses

    def total(self, losses: Losses) -> Tensor:
        """The weighted sum."""
        return torch.stack([loss * self._weights[name] for name, loss in losses.items()]).sum()

    def graphs(self, model: MaskRcnn) -> dict[str, GraphPart]:
        """Trunk and heads."""
        return graphs(model, self.recipe.input_size_hw)

    def segmenter(self, model: MaskRcnn) -> Segmenter:
        """A Segmenter around a PyTorch model, uncalibrated, with the decoder that deployed models use."""
        segmenter = MaskRcnnSegmenter(
            self.recipe.name,
            self.recipe.classes,
            TorchRuntime(self.graphs(model), next(model.parameters()).device),
            Preprocessing(self.recipe.input_size_hw),
            self._settings.settings,
            score_threshold=self.recipe.score_threshold,
        )
        return tiled(segmenter, self.recipe)

    def validate(
        self, model: MaskRcnn, dataset: Dataset, records: Sequence[ImageRecord], on_answer: OnAnswer = forget
    ) -> Metrics:
        """The figures of `evaluation.objects.judge`."""
        recipe = self.recipe
        class_ids = match_classes(dataset, recipe.classes)
        verdict = Judge(
            recipe.classes, recipe.score_threshold, positive=recipe.positive, max_detections=max_detections(recipe)
        )
        pairs = segment_records(records, self.segmenter(model), class_ids, SCORE_FLOOR)
        for record, (truth, found) in zip(records, pairs, strict=True):
            verdict.add(truth, found)
            on_answer(record, found)
        return verdict.metrics()

    def draw(self, record: ImageRecord, answer: Detections) -> NDArray[np.uint8]:
        """The image with its detections."""
        return drawn_objects(record, answer, self.recipe.score_threshold)


def _refuse_unknown(weights: dict[str, float], components: Sequence[str]) -> None:
    for name in weights:
        if name not in components:
            near = difflib.get_close_matches(name, components, n=1)
            raise RecipeError(
                f"loss.weights.{name}",
                expected=f"one of {', '.join(components)}",
                found=repr(name),
                remedy=f"did you mean {near[0]!r}?" if near else "name a component of this model's loss",
            )
