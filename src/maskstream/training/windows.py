"""Windows of large images as training samples: where they lie, which objects each shows, and their masks cut to it.

An object is learned in the windows that show enough of it: at least `LEAST_SHARE` of what the window that shows most of
it shows. So slivers, which look like nothing and teach the network to guess, are no objects; parts of an object that is
larger than a window are, as in use they have to be found too. Measured by boxes: no mask is decoded to choose windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.masks import CroppedMask
from maskstream.data.records import ImageRecord
from maskstream.inference.windows import TileSettings, Window, windows
from maskstream.training.recipe import TilesRecipe

LEAST_SHARE = 0.3
"""Of an object's visible part, against the window that shows most of it; instances only."""


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """A window of an image and the annotations that are learned in it, as places in `record.annotations`."""

    window: Window
    objects: tuple[int, ...]

    def share(self, recipe: TilesRecipe) -> float:
        """How often an epoch sees it, on average: windows without objects are thinned."""
        return 1.0 if self.objects else recipe.empty_share


@dataclass(frozen=True, slots=True, eq=False)
class WindowSample:
    """What a window shows, in its own pixels.

    Attributes
    ----------
    image : (h, w, 3) uint8 RGB, a view of the whole one.
    masks : n masks, none empty.
    objects : n places in `record.annotations`.
    """

    image: NDArray[np.uint8]
    masks: tuple[CroppedMask, ...]
    objects: tuple[int, ...]


def training_windows(
    record: ImageRecord, recipe: TilesRecipe, least_share: float = LEAST_SHARE
) -> tuple[TrainingWindow, ...]:
    """The windows of an image, those of use (`inference.windows`), with the objects that each shows enough of.

    Parameters
    ----------
    least_share : 0 keeps every object that a window touches, as regions need, of which each pixel is learned.

    Raises
    ------
    SourceError : the record states no size, and its file is missing or no image.
    """
    tiles = windows(record.size_hw, TileSettings(size_hw=recipe.size_hw, overlap=recipe.overlap))
    annotated = np.array([a.box_xyxy for a in record.annotations], np.float32).reshape(-1, 4)
    visible = boxes.intersections(np.array([tile.box_xyxy for tile in tiles], np.float32), annotated)
    most = visible.max(axis=0, initial=0.0)  # 0 for a box without area: no window shows it
    shown = (visible > 0) & (visible >= least_share * most)
    return tuple(
        TrainingWindow(tile, tuple(np.flatnonzero(row).tolist())) for tile, row in zip(tiles, shown, strict=True)
    )


def window_sample(image: NDArray[np.uint8], masks: Sequence[CroppedMask], window: TrainingWindow) -> WindowSample:
    """Image (h, w, 3) and masks cut to a window.

    Parameters
    ----------
    masks : those of `window.objects` in the pixels of the whole image, in their order. One of which no pixel lies
        inside is left out: its box reaches in, its mask does not.
    """
    cut = [(window.window.cut(mask), place) for mask, place in zip(masks, window.objects, strict=True)]
    kept = [(mask, place) for mask, place in cut if mask.bitmap.size]
    return WindowSample(
        image=image[window.window.slices],
        masks=tuple(mask for mask, _ in kept),
        objects=tuple(place for _, place in kept),
    )
