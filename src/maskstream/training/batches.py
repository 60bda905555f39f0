"""Batches of a run: samples drawn, loaded in other processes, and turned into the network's input."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.draws import BatchDraws, Draw
from maskstream.training.samples import SampleMaker, items_of
from maskstream.training.tasks import TrainingTask

COLOURS = Preprocessing((1, 1))
"""How colours are normalised; the size plays no part."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples at once.

    Attributes
    ----------
    pixels : (b, H, W, 3) uint8: a quarter of the bytes to hand over, and in the order that `channels_last` wants.
    targets : what the task's losses take.
    names : of the images, for error messages.
    """

    pixels: Tensor
    targets: Any
    names: tuple[str, ...]

    def to_input(self, device: torch.device) -> Tensor:
        """Normalised input (b, 3, H, W) float32, `channels_last`; the numbers of `Preprocessing.normalise`."""
        pixels = self.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(values, device=device).reshape(1, 3, 1, 1) for values in (COLOURS.mean, COLOURS.std))
        return (pixels * (1 / 255) - mean) / std


class DrawnSamples(TorchDataset[tuple[Tensor, Any, str]]):
    """Pixels, truth and name of drawn samples; runs in the loader's processes."""

    def __init__(self, task: TrainingTask, samples: SampleMaker) -> None:
        self._task = task
        self._samples = samples

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Any, str]:
        sample = self._samples.sample(draw)
        pixels = torch.from_numpy(np.ascontiguousarray(sample.image))
        return pixels, self._task.target(sample), self._samples.name(draw.index)

    def collate(self, samples: Sequence[tuple[Tensor, Any, str]]) -> Batch:
        """One batch."""
        pixels, targets, names = zip(*samples, strict=True)
        return Batch(torch.stack(pixels), self._task.collate(targets), names)


class Batches:
    """The batches of a run.

    Attributes
    ----------
    steps_per_epoch : of the optimiser.
    images_per_step : over all processes.
    """

    def __init__(
        self, task: TrainingTask, dataset: Dataset, records: Sequence[ImageRecord], *, rank: int = 0, world: int = 1
    ) -> None:
        recipe = task.recipe
        items, shares = items_of(records, recipe)
        samples = SampleMaker(items, recipe, dataset)
        labels = [samples.labels(item) for item in items]
        self._draws = BatchDraws(labels, recipe, shares=shares, rank=rank, world=world)
        self._accumulate = recipe.data.accumulate
        self.steps_per_epoch = self._draws.steps
        self.images_per_step = recipe.data.batch_size * recipe.data.accumulate
        drawn = DrawnSamples(task, samples)
        self._loader = DataLoader(
            drawn,
            batch_sampler=self._draws,
            collate_fn=drawn.collate,
            num_workers=recipe.data.workers,
            persistent_workers=recipe.data.workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_leave_interrupts_to_the_parent,
        )

    def of_epoch(self, epoch: int, first_step: int) -> Iterator[tuple[list[Batch], float]]:
        """The batches of each step from `first_step` on, and the seconds that were spent waiting for them."""
        self._draws.epoch = epoch
        self._draws.first_batch = first_step * self._accumulate
        batches = iter(self._loader)
        for _ in range(first_step, self.steps_per_epoch):
            start = time.perf_counter()
            step = [next(batches) for _ in range(self._accumulate)]
            yield step, time.perf_counter() - start


class BatchesInOrder:
    """The batches of some images as they are, one after the other, in this process; for validation."""

    def __init__(self, task: TrainingTask, dataset: Dataset, records: Sequence[ImageRecord]) -> None:
        items, _ = items_of(records, task.recipe)
        self._drawn = DrawnSamples(task, SampleMaker(items, task.recipe, dataset))
        self._draws = [Draw(index, seed=None) for index in range(len(items))]
        self._batch_size = task.recipe.data.batch_size

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._draws), self._batch_size):
            yield self._drawn.collate([self._drawn[draw] for draw in self._draws[start : start + self._batch_size]])


def _leave_interrupts_to_the_parent(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal, and a service that stops all of its own: loading goes on for the step.

    They must not compete for the cores either.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
