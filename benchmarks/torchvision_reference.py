"""The loop that torchvision's references/detection trains with, written anew from what it does.

PIL images and full-size masks, the "hflip" preset in transforms v2, lists as batches, `GeneralizedRCNNTransform` in the
training process, SGD with a warm-up, and meters that read every loss in every step.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.transforms import v2

from maskstream.data.dataset import ImageRecord

T = TypeVar("T")
Watch = Callable[[Iterable[Any]], Iterator[Any]]


class ReferenceImages(TorchDataset[tuple[Tensor, dict[str, Any]]]):
    """What the reference's COCO dataset and its "hflip" preset make of images."""

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self._records = records
        self._changed = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.PILToTensor(),
                v2.ToDtype(torch.float, scale=True),
                v2.ConvertBoundingBoxFormat(tv_tensors.BoundingBoxFormat.XYXY),
                v2.SanitizeBoundingBoxes(),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        record = self._records[index]
        objects = [annotation for annotation in record.annotations if not annotation.iscrowd]
        masks = [torch.from_numpy(annotation.mask(record.size_hw).dense(record.size_hw)) for annotation in objects]
        boxes = torch.tensor([annotation.box_xyxy for annotation in objects], dtype=torch.float32)
        target = {
            "image_id": record.image_id,
            "boxes": tv_tensors.BoundingBoxes(
                boxes, format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=record.size_hw
            ),
            "masks": tv_tensors.Mask(torch.stack(masks).to(torch.uint8)),
            "labels": torch.tensor([annotation.class_id + 1 for annotation in objects]),
        }
        changed: tuple[Tensor, dict[str, Any]] = self._changed(Image.open(record.path).convert("RGB"), target)
        return changed


class Meters:
    """Running figures of a loop, printed now and then."""

    def __init__(self) -> None:
        self._values: dict[str, deque[float]] = {}

    def update(self, **values: Tensor | float) -> None:
        for name, value in values.items():
            number = value.item() if isinstance(value, Tensor) else value
            self._values.setdefault(name, deque(maxlen=20)).append(number)

    def every(self, batches: Iterable[T], print_every: int) -> Iterator[T]:
        end = time.perf_counter()
        for number, batch in enumerate(batches):
            self.update(data=time.perf_counter() - end)
            yield batch
            self.update(time=time.perf_counter() - end)
            if number % print_every == 0:
                print("  ".join(f"{name} {statistics.median(seen):.4f}" for name, seen in self._values.items()))
            end = time.perf_counter()


def reference_loader(records: Sequence[ImageRecord], batches: Sequence[Sequence[int]], workers: int) -> DataLoader[Any]:
    """Images and targets of the batches, each a tuple of images and one of targets."""
    images = ReferenceImages(records)
    return DataLoader(images, batch_sampler=batches, num_workers=workers, collate_fn=_as_tuples)


def _as_tuples(samples: Sequence[tuple[Tensor, dict[str, Any]]]) -> tuple[Any, ...]:
    return tuple(zip(*samples, strict=True))


def train_one_epoch(
    model: GeneralizedRCNN,
    optimiser: torch.optim.Optimizer,
    loader: DataLoader[Any],
    device: torch.device,
    watch: Watch,
) -> None:
    """The steps of the first epoch, in which the learning rate grows; `watch` stands between them and their batches."""
    model.train()
    meters = Meters()
    warmup = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=0.001, total_iters=min(1000, len(loader) - 1))
    for images, targets in meters.every(watch(loader), 20):
        images = [image.to(device) for image in images]
        targets = [
            {key: value.to(device) if isinstance(value, Tensor) else value for key, value in target.items()}
            for target in targets
        ]
        losses: dict[str, Tensor] = model(images, targets)
        total = torch.stack(list(losses.values())).sum()
        if not math.isfinite(total.item()):
            raise RuntimeError(f"loss is {total.item()}")
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        warmup.step()
        meters.update(loss=total, **losses, lr=optimiser.param_groups[0]["lr"])
