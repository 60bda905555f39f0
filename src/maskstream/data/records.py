"""One image of a dataset and its annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask, Rle
from maskstream.errors import DatasetError
from maskstream.media.images import read_image

Polygons = tuple[NDArray[np.float64], ...]
"""Parts of one object, each (k, 2) of x, y in pixels; the object is their union, as in COCO."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One labelled object of an image.

    Attributes
    ----------
    class_id : 0-based id in the dataset's classes.
    segmentation : compressed RLE (holds holes) or polygons.
    box_xyxy : pixels, half-open edges.
    area_px : area of the object in pixels, as the file states it.
    iscrowd : the mask covers a group of objects; evaluation ignores matches with it.
    attributes : what else is known of the object, such as a finer label.
    """

    class_id: int
    segmentation: Rle | Polygons
    box_xyxy: tuple[float, float, float, float]
    area_px: float
    iscrowd: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mask(
        cls, class_id: int, mask: CroppedMask, size_hw: tuple[int, int], attributes: dict[str, Any] | None = None
    ) -> Annotation:
        """An annotation of a mask that is cropped to its tight box and not empty."""
        height, width = mask.bitmap.shape
        return cls(
            class_id=class_id,
            segmentation=masks.to_rle(mask, size_hw),
            box_xyxy=(float(mask.x0), float(mask.y0), float(mask.x0 + width), float(mask.y0 + height)),
            area_px=float(mask.area_px),
            attributes=attributes or {},
        )

    def mask(self, size_hw: tuple[int, int]) -> CroppedMask:
        """The object's pixels in an image of `size_hw`."""
        if isinstance(self.segmentation, dict):
            return masks.from_rle(self.segmentation)
        parts = [masks.from_polygons([part], size_hw) for part in self.segmentation]
        return parts[0] if len(parts) == 1 else masks.crop(masks.union(parts, size_hw))


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image and what is labelled in it.

    Attributes
    ----------
    image_id : id that the annotation file uses.
    name : path below the dataset's `images/`, with forward slashes; splits name images by it.
    path : where the file lies.
    size_hw : height and width in pixels, after EXIF rotation.
    annotations : the labelled objects; may be none.
    group : what must not be torn across splits (video, patient, lesion), or None.
    attributes : what else is known of the image, such as its label.
    """

    image_id: int
    name: str
    path: Path
    size_hw: tuple[int, int]
    annotations: tuple[Annotation, ...] = ()
    group: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def read_image(self) -> NDArray[np.uint8]:
        """The image, (h, w, 3) uint8 RGB, EXIF rotation applied.

        Raises
        ------
        SourceError : the file is missing, damaged or no image.
        DatasetError : the image has another size than stated.
        """
        image = read_image(self.path)
        if image.shape[:2] != self.size_hw:
            raise size_mismatch(self.path, expected_hw=self.size_hw, found_hw=image.shape[:2])
        return image


def size_mismatch(place: object, *, expected_hw: tuple[int, ...], found_hw: tuple[int, ...]) -> DatasetError:
    """The error for a picture or mask of another size than stated."""
    return DatasetError(
        place,
        expected=f"{expected_hw[0]} x {expected_hw[1]} pixels (height x width)",
        found=f"{found_hw[0]} x {found_hw[1]}",
        remedy="restore the file that belongs here, or import the dataset again",
    )
