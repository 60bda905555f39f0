"""Images as samples: each fitted into the network's input, whole or window by window, and augmented."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.evaluation.split import match_classes
from maskstream.inference.preprocess import Placement, Preprocessing
from maskstream.media.sample import SampleClip
from maskstream.training.augment import Augmentation
from maskstream.training.augment.geometry import MEAN_COLOUR
from maskstream.training.draws import Draw
from maskstream.training.recipe import Recipe, SyntheticRecipe
from maskstream.training.sample import UNKNOWN, Sample
from maskstream.training.windows import LEAST_SHARE, TrainingWindow, training_windows, window_sample

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LABEL = "label"
"""Attribute of an image that holds its finer label."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one sample is made of: an image, and the window of it that is seen; None for all of it."""

    record: ImageRecord
    window: TrainingWindow | None = None


class SampleMaker:
    """Samples of items, fitted into the input once and kept as long as the cache has room.

    Parameters
    ----------
    dataset : whose classes the items' ids are of.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, dataset: Dataset) -> None:
        self.items = items
        self.recipe = recipe
        self.preprocessing = Preprocessing(recipe.input_size_hw)
        self.augmentation = Augmentation(recipe.augmentation)
        self._class_ids = match_classes(dataset, recipe.classes)
        self._label_ids = {name: index for index, name in enumerate(recipe.label_names)}
        room_bytes = round(recipe.data.cache_mb * 2**20)
        self._fitted: _Cache[int, Sample] = _Cache(room_bytes, lambda sample: sample.image.nbytes + sample.masks.nbytes)
        self._images: _Cache[str, NDArray[np.uint8]] = _Cache(room_bytes, lambda image: image.nbytes)

    def sample(self, draw: Draw) -> Sample:
        """The drawn item as the network will see it, but for the scale of its colours."""
        fitted = self.fitted(draw.index)
        if draw.seed is None:
            return fitted
        partner = None if draw.partner is None else self.fitted(draw.partner)
        return self.augmentation(fitted, np.random.default_rng(draw.seed), partner)

    def fitted(self, index: int) -> Sample:
        """An item, or synthetic scene -1 - index, in network pixels and unchanged.

        Whole images are kept fitted; of windows the image that they are cut from is kept, as it is smaller.
        """
        if index < 0:
            return self._fitted.get(index, lambda: self._of_scene(-1 - index))
        item = self.items[index]
        return self._of_item(item) if item.window else self._fitted.get(index, lambda: self._of_item(item))

    def name(self, index: int) -> str:
        """What an item, or synthetic scene, is called in messages."""
        if index < 0:
            return f"synthetic scene {-1 - index}"
        item = self.items[index]
        if item.window is None:
            return item.record.name
        return f"{item.record.name} from column {item.window.window.x0}, row {item.window.window.y0}"

    def labels(self, item: Item) -> tuple[str, ...]:
        """Names of what an item shows, for balancing: the finer label, the image's class, or those of its objects."""
        record = item.record
        if (label := record.attributes.get(LABEL)) in self._label_ids:
            return (str(label),)
        if record.class_id is not None:
            return (self.recipe.classes[self._class_ids[record.class_id]],)
        objects = record.annotations if item.window is None else [record.annotations[n] for n in item.window.objects]
        ids = {annotation.class_id for annotation in objects}
        return tuple(sorted(self.recipe.classes[self._class_ids[class_id]] for class_id in ids))

    def _of_item(self, item: Item) -> Sample:
        record = item.record
        image = self._images.get(record.name, record.read_image) if item.window else record.read_image()
        annotations = (
            record.annotations if item.window is None else [record.annotations[n] for n in item.window.objects]
        )
        masks = [annotation.mask(record.size_hw) for annotation in annotations]
        if item.window is not None:
            seen = window_sample(image, masks, item.window)
            image, masks = seen.image, list(seen.masks)
            annotations = [record.annotations[number] for number in seen.objects]
        wanted = [not (a.iscrowd and self.recipe.task == "instance") for a in annotations]
        masks = list(itertools.compress(masks, wanted))
        class_ids = np.array([self._class_ids[a.class_id] for a in itertools.compress(annotations, wanted)], np.int64)
        label = self._label_of(record)
        label_ids = np.array([self._object_label(class_id, label) for class_id in class_ids.tolist()], np.int64)
        image_class = UNKNOWN if record.class_id is None else self._class_ids[record.class_id]
        return replace(self._fit(image, masks, class_ids, label_ids), image_class=image_class)

    def _label_of(self, record: ImageRecord) -> int:
        return self._label_ids.get(str(record.attributes.get(LABEL)), UNKNOWN) if self.recipe.labels else UNKNOWN

    def _object_label(self, class_id: int, image_label: int) -> int:
        """The image's finer label where it belongs to the object's class; without finer ones the class itself."""
        if not self.recipe.labels:
            return class_id
        return image_label if image_label in self.recipe.labels_of_class[class_id] else UNKNOWN

    def _of_scene(self, number: int) -> Sample:
        image, truth = synthetic_scene(self.recipe.synthetic or SyntheticRecipe(), number)
        unknown = np.full(len(truth), UNKNOWN, np.int64)
        return self._fit(image, truth.masks, truth.class_ids, unknown if self.recipe.labels else truth.class_ids)

    def _fit(
        self,
        image: NDArray[np.uint8],
        masks: Sequence[CroppedMask],
        class_ids: NDArray[np.int64],
        label_ids: NDArray[np.int64],
    ) -> Sample:
        size_hw = (image.shape[0], image.shape[1])
        placement = Placement.fit(size_hw, self.preprocessing.input_size_hw)
        height, width = placement.content_size_hw
        full = np.tile(np.array(MEAN_COLOUR, np.uint8), (*self.preprocessing.input_size_hw, 1))
        full[:height, :width] = placement.image_to_input(image)
        dense = np.zeros((len(masks), *self.preprocessing.input_size_hw), np.uint8)
        for row, mask in enumerate(masks):
            dense[row] = placement.mask_to_input(mask.dense(size_hw))
        return Sample(full, dense, class_ids, label_ids, placement.content_size_hw)


def items_of(records: Iterable[ImageRecord], recipe: Recipe) -> tuple[list[Item], list[float]]:
    """The items of images, whole or window by window, and how often an epoch sees each, on average."""
    tiles = recipe.data.tiles
    if tiles is None:
        items = [Item(record) for record in records]
        return items, [1.0] * len(items)
    least_share = LEAST_SHARE if recipe.task == "instance" else 0.0
    items = [Item(record, window) for record in records for window in training_windows(record, tiles, least_share)]
    return items, [item.window.share(tiles) for item in items if item.window]


def synthetic_scene(recipe: SyntheticRecipe, number: int) -> tuple[NDArray[np.uint8], Detections]:
    """Image and truth of synthetic scene `number`: one frame of a clip of its own."""
    rng = np.random.default_rng([recipe.first_seed, number])
    plain = rng.random() < recipe.plain_share
    clip = SampleClip(seed=recipe.first_seed + number, moles=0 if plain else None)
    return clip.render(int(rng.integers(clip.frame_count)))


class _Cache(Generic[Key, Value]):
    """The values that were used last, up to a number of bytes."""

    def __init__(self, limit_bytes: int, size_bytes: Callable[[Value], int]) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = size_bytes
        self._held_bytes = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make()
        self._held_bytes += self._size_bytes(value)
        while self._held_bytes > self._limit_bytes:
            _, dropped = self._values.popitem(last=False)
            self._held_bytes -= self._size_bytes(dropped)
        return value
