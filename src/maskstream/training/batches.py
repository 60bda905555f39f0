"""Batches of a run: samples drawn, loaded in other processes, and turned into the network's input."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import MaskstreamError
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


Drawn = tuple[Tensor, Any, str]
"""Pixels, truth and name of a sample."""


class DrawnSamples(TorchDataset[Drawn | MaskstreamError]):
    """Drawn samples; runs in the loader's processes.

    An error on purpose is handed over like a sample, as the loader would raise it as one of another kind.
    """

    def __init__(self, task: TrainingTask, samples: SampleMaker) -> None:
        self._task = task
        self._samples = samples

    def __getitem__(self, draw: Draw) -> Drawn | MaskstreamError:
        try:
            sample = self._samples.sample(draw)
        except MaskstreamError as error:
            return error
        pixels = torch.from_numpy(np.ascontiguousarray(sample.image))
        return pixels, self._task.target(sample), self._samples.name(draw.index)

    def collate(self, samples: Sequence[Drawn | MaskstreamError]) -> Batch | MaskstreamError:
        """One batch, or the first error among its samples."""
        drawn = []
        for sample in samples:
            if isinstance(sample, MaskstreamError):
                return sample
            drawn.append(sample)
        pixels, targets, names = zip(*drawn, strict=True)
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

    def of_epoch(self, epoch: int, first_step: int, end_step: int) -> Iterator[tuple[list[Batch], float]]:
        """The batches of each of an epoch's steps in a range, and the seconds that were spent waiting for them.

        Raises
        ------
        MaskstreamError : an image cannot be read.
        """
        self._draws.epoch = epoch
        self._draws.first_batch = first_step * self._accumulate
        if first_step == end_step:
            return
        with _without_opencv_threads():
            batches = iter(self._loader)
        for _ in range(first_step, end_step):
            start = time.perf_counter()
            step = [_loaded(next(batches)) for _ in range(self._accumulate)]
            yield step, time.perf_counter() - start

    def close(self) -> None:
        """End the loading processes.

        They ignore the signal by which Python would end them at its own end, and it would wait for them for ever.
        """
        iterator, self._loader._iterator = self._loader._iterator, None
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()  # what Lightning does, too: there is no public way


class BatchesInOrder:
    """The batches of some images as they are, one after the other, in this process; for validation.

    Windows without objects are thinned as in training, evenly, so that losses mean the same on both sides.
    """

    def __init__(self, task: TrainingTask, dataset: Dataset, records: Sequence[ImageRecord]) -> None:
        items, shares = items_of(records, task.recipe)
        seen = np.floor(np.cumsum(shares) + 1e-9)
        items = [item for item, before, after in zip(items, [0.0, *seen[:-1]], seen, strict=True) if after > before]
        self._drawn = DrawnSamples(task, SampleMaker(items, task.recipe, dataset))
        self._draws = [Draw(index, seed=None) for index in range(len(items))]
        self._batch_size = task.recipe.data.batch_size

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._draws), self._batch_size):
            draws = self._draws[start : start + self._batch_size]
            yield _loaded(self._drawn.collate([self._drawn[draw] for draw in draws]))


def _loaded(batch: Batch | MaskstreamError) -> Batch:
    if isinstance(batch, MaskstreamError):
        raise batch
    return batch


@contextlib.contextmanager
def _without_opencv_threads() -> Iterator[None]:
    """While entered, OpenCV has no threads of its own, so that processes begun meanwhile are left with none either.

    They would inherit a pool of threads that are not theirs, and wait for them for ever.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal, and a service stops all of its own: loading goes on for the step."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
