"""From an image to what the network takes, and the exact way back.

One definition for training, validation and deployment. The image keeps its aspect: it is scaled to fit
the input, laid into its top left corner, and the rest is filled with the mean colour (0 once normalised).

Pixels are areas: pixel i covers [i, i + 1) and has its centre at i + 0.5. Both directions follow that
convention, so nothing shifts by half a pixel however much it is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes, masks
from maskstream.core.boxes import Boxes
from maskstream.core.masks import CroppedMask

MASK_THRESHOLD = 0.5
"""A pixel belongs to an object from this probability on."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies in the network's input.

    Attributes
    ----------
    source_size_hw : size of the image in pixels.
    content_size_hw : size of the scaled image, which lies in the top left corner of the input.
    input_size_hw : size of the network's input.
    """

    source_size_hw: tuple[int, int]
    content_size_hw: tuple[int, int]
    input_size_hw: tuple[int, int]

    @classmethod
    def fit(cls, source_size_hw: tuple[int, int], input_size_hw: tuple[int, int]) -> Placement:
        """The largest placement that keeps the aspect; each side of the content is at least one pixel."""
        scale = min(input_size_hw[0] / source_size_hw[0], input_size_hw[1] / source_size_hw[1])
        height, width = (max(1, round(side * scale)) for side in source_size_hw)
        return cls(source_size_hw, (height, width), input_size_hw)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per source pixel across and down; they differ a little, as sides are whole pixels."""
        height, width = self.content_size_hw
        return width / self.source_size_hw[1], height / self.source_size_hw[0]

    def image_to_input(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image scaled to `content_size_hw`; pixels are averaged when it shrinks, so that nothing aliases."""
        height, width = self.content_size_hw
        shrinks = height * width < image.shape[0] * image.shape[1]
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(scaled, np.uint8)

    def mask_to_input(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask (h, w) of the image as one of the input's size: pixels that it covers at least by half."""
        height, width = self.content_size_hw
        full = np.zeros(self.input_size_hw, bool)
        full[:height, :width] = self.image_to_input(mask.astype(np.uint8) * np.uint8(255)) >= 128
        return full

    def boxes_to_input(self, boxes_xyxy: Boxes) -> Boxes:
        """Boxes (n, 4) in source pixels as boxes in input pixels."""
        return np.asarray(boxes_xyxy * np.tile(self.scale_xy, 2), np.float32)

    def boxes_to_source(self, boxes_xyxy: Boxes) -> Boxes:
        """Boxes (n, 4) in input pixels as boxes in source pixels, cut to the image."""
        return boxes.clip(np.asarray(boxes_xyxy / np.tile(self.scale_xy, 2), np.float32), self.source_size_hw)

    def map_to_source(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map (H, W) of the input's pixels as one of the image's: padding cut off, the rest resampled.

        Values between pixel centres are bilinear; where the image is smaller than its content, they are averaged.
        """
        height, width = self.source_size_hw
        content = values[: self.content_size_hw[0], : self.content_size_hw[1]]
        shrinks = height * width < content.size
        scaled = cv2.resize(content, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(scaled, np.float32)

    def mask_to_source(self, soft_mask: NDArray[np.float32], box_xyxy: NDArray[np.float32]) -> CroppedMask:
        """Resample a soft mask straight to source pixels and cut it at `MASK_THRESHOLD`.

        Bin (i, j) of the (k, m) probabilities covers its share of `box_xyxy`, which is in input pixels.
        Values between bin centres are bilinear. Within half a bin of the box's edge the outermost value
        holds: the box head has placed that edge, and a border of zeros (torchvision's
        `paste_masks_in_image`) would draw the mask back from it wherever the probability is below 1.

        Returns
        -------
        The pixels whose centre lies in the box and in the image, cropped to the object's own extent.
        """
        x1, y1, x2, y2 = np.asarray(box_xyxy, np.float64) / np.tile(self.scale_xy, 2)
        height, width = self.source_size_hw
        y0, down = _interpolation(y1, y2, height, soft_mask.shape[0])
        x0, across = _interpolation(x1, x2, width, soft_mask.shape[1])
        object_mask = masks.crop(down @ soft_mask @ across.T >= MASK_THRESHOLD)
        if object_mask.area_px == 0:
            return masks.EMPTY
        return CroppedMask(object_mask.bitmap, object_mask.x0 + x0, object_mask.y0 + y0)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes a network's input; part of every model folder.

    Attributes
    ----------
    input_size_hw : height and width of the network's input in pixels.
    mean, std : of the three channels (red, green, blue), for values in 0..1.
    """

    input_size_hw: tuple[int, int]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def apply(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Placement]:
        """Fit an image into the network's input.

        Parameters
        ----------
        image : (h, w, 3) uint8 RGB; any size from 1x1 on, any aspect.

        Returns
        -------
        The normalised input (3, height, width) float32, 0 outside the image, and the image's place in it.
        """
        placement = Placement.fit((image.shape[0], image.shape[1]), self.input_size_hw)
        height, width = placement.content_size_hw
        full = np.zeros((3, *self.input_size_hw), np.float32)
        full[:, :height, :width] = self.normalise(placement.image_to_input(image)).transpose(2, 0, 1)
        return full, placement

    def normalise(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Colours (h, w, 3) 0..255 as float32 with the training data's mean at 0 and its deviation at 1."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (image * np.float32(1 / 255) - mean) / std


def _interpolation(start: float, end: float, limit: int, bins: int) -> tuple[int, NDArray[np.float32]]:
    """First pixel, and weights (pixels, bins) of each bin in each pixel whose centre lies in [start, end).

    A product of two such matrices is exact; `cv2.warpAffine` may round positions to 1/32 of a bin, which
    shows as steps where a bin covers many pixels.
    """
    first = min(max(int(np.ceil(start - 0.5)), 0), limit)
    last = min(max(int(np.ceil(end - 0.5)), first), limit)
    centres = np.arange(first, last) + 0.5
    positions = np.clip((centres - start) / max(end - start, 1e-9) * bins - 0.5, 0, bins - 1)
    lower = np.minimum(positions.astype(np.intp), max(bins - 2, 0))
    upper = np.minimum(lower + 1, bins - 1)
    share = (positions - lower).astype(np.float32)
    weights = np.zeros((len(centres), bins), np.float32)
    rows = np.arange(len(centres))
    weights[rows, lower] += 1 - share
    weights[rows, upper] += share
    return first, weights
