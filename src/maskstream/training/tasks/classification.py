"""Classification: which class an image as a whole belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskstream.core.classification import Classification
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.evaluation.classes.class_judge import ClassJudge
from maskstream.evaluation.split import classify_records, match_classes
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.classifier import ClassifierSettings, ImageClassifier
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.losses import LossSum
from maskstream.training.models.classifier import Classifier, build_classifier, features_of
from maskstream.training.models.classifier_graphs import graphs
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.recipe import Recipe, SmallCnnModel, TransferModel
from maskstream.training.sample import Sample
from maskstream.training.tasks.class_weights import class_weights
from maskstream.training.tasks.summed import SummedLosses
from maskstream.training.tasks.task import OnAnswer, forget
from maskstream.training.torch_runtime import TorchRuntime


class ClassificationTask(SummedLosses):
    """One class an image; two classes share one sigmoid, more have a softmax."""

    def __init__(self, recipe: Recipe) -> None:
        if not isinstance(recipe.model, SmallCnnModel | TransferModel):
            raise TypeError(f"{recipe.model.architecture} does not classify")
        self.recipe = recipe
        self._settings: SmallCnnModel | TransferModel = recipe.model
        self._outputs = 1 if len(recipe.classes) == 2 else len(recipe.classes)
        default = {"bce": 1.0} if self._outputs == 1 else {"cross_entropy": 1.0}
        self._loss = LossSum(recipe.loss, default, class_weights(recipe.loss, recipe.classes), self._outputs)

    def build_model(self) -> Classifier:
        """The untrained model."""
        return build_classifier(self._settings, self._outputs, self.recipe.input_size_hw)

    def pretrained_part(self, model: Classifier) -> nn.Module:
        """Everything below the last layer."""
        return features_of(model)

    def target(self, sample: Sample) -> Tensor:
        """The class id, a scalar int64."""
        return torch.tensor(sample.image_class, dtype=torch.int64)

    def collate(self, targets: Sequence[Tensor]) -> Tensor:
        """Class ids (b,)."""
        return torch.stack(list(targets))

    def graphs(self, model: Classifier) -> dict[str, GraphPart]:
        """The whole network."""
        return graphs(model, self.recipe.classes, self.recipe.input_size_hw)

    def classifier(self, model: Classifier) -> ImageClassifier:
        """A classifier around a PyTorch model, with the decoder that deployed models use."""
        return ImageClassifier(
            self.recipe.name,
            self.recipe.classes,
            TorchRuntime(self.graphs(model), next(model.parameters()).device),
            Preprocessing(self.recipe.input_size_hw),
            ClassifierSettings(),
        )

    def validate(
        self, model: Classifier, dataset: Dataset, records: Sequence[ImageRecord], on_answer: OnAnswer = forget
    ) -> Metrics:
        """The figures of `evaluation.classes.class_judge`."""
        verdict = ClassJudge(self.recipe.classes, positive=self.recipe.positive)
        class_ids = match_classes(dataset, self.recipe.classes)
        for record, class_id, answer in classify_records(records, self.classifier(model), class_ids):
            verdict.add(record.name, class_id, answer)
            on_answer(record, answer)
        return verdict.metrics()

    def draw(self, record: ImageRecord, answer: Classification) -> NDArray[np.uint8]:
        """The image with the called class and its probability below."""
        image = record.read_image()
        height, width = image.shape[:2]
        line = np.full((max(18, height // 10), width, 3), 255, np.uint8)
        text = f"{answer.class_name} {100 * answer.probabilities.max():.0f} %"
        size = len(line) / 32
        cv2.putText(line, text, (4, len(line) - 5), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)
        return np.concatenate([image, line])
