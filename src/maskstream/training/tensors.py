"""Labelled images as tensors: the dataset of a training run, drawn the same way whenever it is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import ImageRecord
from maskstream.inference.preprocess import Placement, Preprocessing
from maskstream.media.sample import SampleClip
from maskstream.training.augment import boxes_of_masks, build_augmentation
from maskstream.training.models import Target
from maskstream.training.recipe import Recipe, SyntheticRecipe

MINIMUM_OBJECT_PX = 64
"""An object of which augmentation leaves fewer network pixels than this is dropped from the truth."""


_Fitted = tuple[Tensor, Tensor, Tensor, Tensor]
"""Image (3, H, W) uint8, masks (n, H, W) uint8, class ids (n,) and label ids (n,), in network pixels."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One image of an epoch and the seed of its augmentation; index -1 - k is synthetic scene k."""

    index: int
    seed: int


class TrainingImages(TorchDataset[tuple[Tensor, Target]]):
    """Augmented network inputs (3, H, W) float32 and their truth.

    Real images are decoded and fitted into the input once and kept as uint8: 150 kB each at 256x192.
    """

    def __init__(self, records: Sequence[ImageRecord], recipe: Recipe) -> None:
        self.records = records
        self.recipe = recipe
        self.preprocessing = Preprocessing(recipe.input_size_hw)
        self.augmentation: v2.Transform = build_augmentation(recipe.augmentation)
        self._label_ids = {name: index for index, name in enumerate(recipe.labels)}
        self._fitted: dict[int, _Fitted] = {}

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Target]:
        if draw.index not in self._fitted:
            self._fitted[draw.index] = self._fit_record(draw.index) if draw.index >= 0 else self._fit_scene(draw.index)
        image, masks, class_ids, label_ids = self._fitted[draw.index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            moved, moved_masks = self.augmentation(tv_tensors.Image(image), tv_tensors.Mask(masks))
        return self._input(moved), self._target(moved_masks, class_ids, label_ids)

    def _input(self, image: Tensor) -> Tensor:
        pixels = self.preprocessing.normalise(image.permute(1, 2, 0).numpy())
        return torch.from_numpy(pixels).permute(2, 0, 1)

    @staticmethod
    def _target(masks: Tensor, class_ids: Tensor, label_ids: Tensor) -> Target:
        seen = masks.flatten(1).sum(dim=1, dtype=torch.int64) >= MINIMUM_OBJECT_PX
        masks = masks.as_subclass(Tensor)[seen]
        return Target(boxes_of_masks(masks), masks, class_ids[seen], label_ids[seen])

    def _fit_record(self, index: int) -> _Fitted:
        record = self.records[index]
        masks = [annotation.mask(record.size_hw) for annotation in record.annotations]
        class_ids = [annotation.class_id for annotation in record.annotations]
        label = self._label_ids.get(str(record.attributes.get("label")), -1)
        return self._fit(record.read_image(), masks, class_ids, [label] * len(masks))

    def _fit_scene(self, index: int) -> _Fitted:
        image, truth = synthetic_scene(self.recipe.synthetic or SyntheticRecipe(), -1 - index)
        return self._fit(image, truth.masks, truth.class_ids.tolist(), [-1] * len(truth))

    def _fit(
        self, image: NDArray[np.uint8], masks: Sequence[CroppedMask], class_ids: list[int], label_ids: list[int]
    ) -> _Fitted:
        size_hw = (image.shape[0], image.shape[1])
        placement = Placement.fit(size_hw, self.preprocessing.input_size_hw)
        height, width = placement.content_size_hw
        mean = np.round(np.array(self.preprocessing.mean) * 255).astype(np.uint8)
        full = np.tile(mean, (*self.preprocessing.input_size_hw, 1))
        full[:height, :width] = placement.image_to_input(image)
        dense = [placement.mask_to_input(mask.dense(size_hw)) for mask in masks]
        stacked = np.stack(dense) if dense else np.zeros((0, *self.preprocessing.input_size_hw), bool)
        return (
            torch.from_numpy(full).permute(2, 0, 1).contiguous(),
            torch.from_numpy(stacked.astype(np.uint8)),
            torch.tensor(class_ids, dtype=torch.int64),
            torch.tensor(label_ids, dtype=torch.int64),
        )


def synthetic_scene(recipe: SyntheticRecipe, number: int) -> tuple[NDArray[np.uint8], Detections]:
    """Image and truth of synthetic scene `number`: one frame of a clip of its own."""
    rng = np.random.default_rng([recipe.first_seed, number])
    plain = rng.random() < recipe.plain_share
    clip = SampleClip(seed=recipe.first_seed + number, moles=0 if plain else None)
    return clip.render(int(rng.integers(clip.frame_count)))


class BatchDraws(Sampler[list[Draw]]):
    """Which images make each batch of an epoch: a function of seed and epoch alone, so a resumed run draws the same.

    Rare labels are drawn more often (`Recipe.balance`), synthetic scenes make up their share of each epoch.
    """

    def __init__(self, records: Sequence[ImageRecord], recipe: Recipe) -> None:
        self.recipe = recipe
        self.epoch = 0
        self.first_batch = 0
        labels = [str(record.attributes.get("label")) for record in records]
        counts = {label: labels.count(label) for label in set(labels)}
        weights = np.array([(1 / counts[label]) ** recipe.balance for label in labels])
        self._weights = weights / weights.sum()
        self._real = len(records)

    def __len__(self) -> int:
        return self._real // self.recipe.batch_size

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng([self.recipe.seed, self.epoch])
        size = len(self) * self.recipe.batch_size
        chosen = _systematic(rng, self._weights, size)
        if (synthetic := self.recipe.synthetic) is not None:
            places = rng.random(size) < synthetic.share
            chosen = np.where(places, -1 - rng.integers(synthetic.scenes, size=size), chosen)
        seeds = rng.integers(2**62, size=size)
        draws = [Draw(int(index), int(seed)) for index, seed in zip(chosen, seeds, strict=True)]
        for batch in range(self.first_batch, len(self)):
            yield draws[batch * self.recipe.batch_size : (batch + 1) * self.recipe.batch_size]


def _systematic(rng: np.random.Generator, weights: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """`size` indices drawn in proportion to `weights`, shuffled, each as often as its weight asks to within one."""
    order = rng.permutation(len(weights))
    points = (np.arange(size) + rng.random()) / size
    drawn = np.searchsorted(np.cumsum(weights[order]), points).clip(max=len(weights) - 1)
    return rng.permutation(order[drawn])


def collate(samples: list[tuple[Tensor, Target]]) -> tuple[Tensor, list[Target]]:
    """Inputs as one batch (b, 3, H, W), and their truths."""
    return torch.stack([image for image, _ in samples]), [target for _, target in samples]
