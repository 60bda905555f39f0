"""One image of a dataset and its annotations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask, Rle
from maskstream.errors import DatasetError
from maskstream.media.images import read_image, read_size_hw

Polygons = tuple[NDArray[np.float64], ...]
"""Parts of one object, each (k, 2) of x, y in pixels; the object is their union, as in COCO."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One labelled object of an image.

    Attributes
    ----------
    class_id : 0-based id in the dataset's classes.
    segmentation : compressed RLE (holds holes) or polygons; no polygon at all where only the box is known.
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

    @classmethod
    def from_polygons(
        cls,
        class_id: int,
        polygons: Polygons,
        size_hw: tuple[int, int] | None,
        attributes: dict[str, Any] | None = None,
    ) -> Annotation:
        """An annotation of polygons, each (k, 2) of x, y; its box is theirs, its area that of its pixels.

        In an image of unknown size the area is that of the polygons before anything is cut off.
        """
        bare = cls(class_id, polygons, (0.0, 0.0, 0.0, 0.0), 0.0, attributes=attributes or {})
        return bare.with_extent(None, None, size_hw)

    def with_extent(
        self,
        box_xywh: tuple[float, float, float, float] | None,
        area_px: float | None,
        size_hw: tuple[int, int] | None,
    ) -> Annotation:
        """The same object with this box and area; what is None follows from polygons and mask."""
        if box_xywh is not None:
            x, y, width, height = box_xywh
            box_xyxy = (x, y, x + width, y + height)
        else:
            box_xyxy = self._extent_xyxy()
        if area_px is None:
            shown_hw = size_hw or (math.ceil(max(box_xyxy[3], 0)), math.ceil(max(box_xyxy[2], 0)))
            area_px = float(self.mask(shown_hw).area_px)
        return replace(self, box_xyxy=box_xyxy, area_px=area_px)

    def _extent_xyxy(self) -> tuple[float, float, float, float]:
        """The box around polygons or mask; all zero for nothing."""
        if isinstance(self.segmentation, dict):
            mask = masks.from_rle(self.segmentation)
            height, width = mask.bitmap.shape
            return float(mask.x0), float(mask.y0), float(mask.x0 + width), float(mask.y0 + height)
        if not any(len(part) for part in self.segmentation):
            return 0.0, 0.0, 0.0, 0.0
        points = np.concatenate(self.segmentation)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return x1, y1, x2, y2

    def mask(self, size_hw: tuple[int, int]) -> CroppedMask:
        """The object's pixels in an image of `size_hw`."""
        if isinstance(self.segmentation, dict):
            return masks.from_rle(self.segmentation)
        if not self.segmentation:
            return masks.EMPTY
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
    stated_size_hw : height and width in pixels, after EXIF rotation, as the labels state them; None for an
        image that was not opened yet and may not even be there yet (labels in a CSV file, images to be fetched).
    annotations : the labelled objects; may be none.
    group : what must not be torn across splits (video, patient, lesion), or None.
    attributes : what else is known of the image, such as a finer label.
    class_id : class of the image as a whole, for classification; None where only objects have classes.
    """

    image_id: int
    name: str
    path: Path
    stated_size_hw: tuple[int, int] | None
    annotations: tuple[Annotation, ...] = ()
    group: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    class_id: int | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels, after EXIF rotation: as stated, else from the file's header.

        Raises
        ------
        SourceError : no size is stated, and the file is missing or no image.
        """
        return self.stated_size_hw or read_size_hw(self.path)

    @property
    def has_file(self) -> bool:
        """Whether the image is there."""
        try:
            return self.path.is_file()
        except OSError:  # a name longer than the file system allows
            return False

    def read_image(self) -> NDArray[np.uint8]:
        """The image, (h, w, 3) uint8 RGB, EXIF rotation applied.

        Raises
        ------
        SourceError : the file is missing, damaged or no image.
        DatasetError : the image has another size than stated.
        """
        image = read_image(self.path)
        if self.stated_size_hw and image.shape[:2] != self.stated_size_hw:
            raise size_mismatch(self.path, expected_hw=self.stated_size_hw, found_hw=image.shape[:2])
        return image


def size_mismatch(place: object, *, expected_hw: tuple[int, ...], found_hw: tuple[int, ...]) -> DatasetError:
    """The error for a picture or mask of another size than stated."""
    return DatasetError(
        place,
        expected=f"{expected_hw[0]} x {expected_hw[1]} pixels (height x width)",
        found=f"{found_hw[0]} x {found_hw[1]}",
        remedy="restore the file that belongs here, or import the dataset again",
    )


def safe_name(name: str, place: str) -> str:
    """The name of an image itself, once it is known to stay inside its folder.

    Raises
    ------
    DatasetError : at `place`, when the name leads elsewhere.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise DatasetError(
            place, expected="a path inside images/", found=repr(name), remedy="name files inside the dataset only"
        )
    return name
