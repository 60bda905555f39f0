"""COCO's annotation JSON: https://cocodataset.org/#format-data.

Category ids count from 1 in the files written here and may be any numbers in files read; class ids
inside count from 0, in the order of the category ids.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Discriminator, Field, Tag

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.files import write_text
from maskstream.core.masks import Rle
from maskstream.data.checked_json import Block, read_json
from maskstream.data.records import Annotation, ImageRecord, Polygons
from maskstream.errors import DatasetError

FIRST_CATEGORY_ID = 1
"""COCO keeps 0 for the background."""


LONGEST_SIDE_PX = 1_000_000
"""A picture that claims to be longer is a broken file, not a picture."""


def _check_finite(attributes: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(attributes, allow_nan=False)
    except ValueError:
        raise ValueError("finite numbers") from None
    return attributes


_Attributes = Annotated[dict[str, Any], AfterValidator(_check_finite)]
_Side = Annotated[int, Field(gt=0, le=LONGEST_SIDE_PX)]


class _Category(Block):
    id: int
    name: str = Field(min_length=1)


class _Image(Block):
    id: int
    file_name: str
    height: _Side
    width: _Side
    group: str | None = None
    attributes: _Attributes = Field(default_factory=dict)


class _Rle(Block):
    size: tuple[int, int]
    counts: Annotated[
        Annotated[str, Tag("compressed")] | Annotated[list[int], Tag("runs")],
        Discriminator(lambda counts: "runs" if isinstance(counts, list) else "compressed"),
    ]


_PolygonNumbers = Annotated[list[float], Field(min_length=6)]


class _Annotation(Block):
    id: int
    image_id: int
    category_id: int
    segmentation: Annotated[
        Annotated[_Rle, Tag("rle")] | Annotated[list[_PolygonNumbers], Field(min_length=1), Tag("polygons")],
        Discriminator(lambda segmentation: "rle" if isinstance(segmentation, (dict, _Rle)) else "polygons"),
    ]
    bbox: tuple[float, float, float, float]
    area: float = Field(ge=0)
    iscrowd: int = Field(0, ge=0, le=1)
    attributes: _Attributes = Field(default_factory=dict)


class _CocoFile(Block):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read(path: Path, images_folder: Path) -> tuple[Classes, tuple[ImageRecord, ...]]:
    """Read classes and images with their annotations, in the file's order.

    Raises
    ------
    DatasetError : broken JSON, missing keys, wrong types, ids that are twice there or lead nowhere,
        a picture path that leaves `images_folder`, runs that do not fit the picture.
    """
    content = read_json(path, _CocoFile)
    for key in ("images", "annotations", "categories"):
        _refuse_repeats(f"{path}: {key}", "id", [block.id for block in getattr(content, key)])
    _refuse_repeats(f"{path}: images", "file_name", [image.file_name for image in content.images])
    _refuse_repeats(f"{path}: categories", "name", [category.name for category in content.categories])
    categories = sorted(content.categories, key=lambda category: category.id)
    class_ids = {category.id: class_id for class_id, category in enumerate(categories)}
    sizes_hw = {image.id: (image.height, image.width) for image in content.images}
    by_image: defaultdict[int, list[Annotation]] = defaultdict(list)
    for index, entry in enumerate(content.annotations):
        place = f"{path}: annotations[{index}]"
        class_id = _look_up(class_ids, entry.category_id, f"{place}.category_id", "categories")
        size_hw = _look_up(sizes_hw, entry.image_id, f"{place}.image_id", "images")
        by_image[entry.image_id].append(_annotation(entry, class_id, size_hw, place))
    records = tuple(
        ImageRecord(
            image_id=image.id,
            name=_safe_name(image.file_name, f"{path}: images[{index}].file_name"),
            path=images_folder / image.file_name,
            size_hw=(image.height, image.width),
            annotations=tuple(by_image[image.id]),
            group=image.group,
            attributes=image.attributes,
        )
        for index, image in enumerate(content.images)
    )
    return tuple(category.name for category in categories), records


def write(
    path: Path, classes: Classes, records: Sequence[ImageRecord], *, info: dict[str, Any], licence: dict[str, str]
) -> None:
    """Write the five blocks; annotation ids count from 1 in the order of the images.

    `licence` holds `name` and `url`; every image refers to it.
    """
    annotations: list[dict[str, Any]] = []
    for record in records:
        for annotation in record.annotations:
            annotations.append(_annotation_block(len(annotations) + 1, record.image_id, annotation))
    content = {
        "info": info,
        "licenses": [{"id": 1, **licence}],
        "categories": [{"id": i + FIRST_CATEGORY_ID, "name": name} for i, name in enumerate(classes)],
        "images": [_image_block(record) for record in records],
        "annotations": annotations,
    }
    write_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def _annotation(entry: _Annotation, class_id: int, size_hw: tuple[int, int], place: str) -> Annotation:
    x, y, width, height = entry.bbox
    return Annotation(
        class_id=class_id,
        segmentation=_segmentation(entry.segmentation, size_hw, f"{place}.segmentation"),
        box_xyxy=(x, y, x + width, y + height),
        area_px=entry.area,
        iscrowd=entry.iscrowd == 1,
        attributes=entry.attributes,
    )


def _segmentation(segmentation: _Rle | list[list[float]], size_hw: tuple[int, int], place: str) -> Rle | Polygons:
    if isinstance(segmentation, _Rle):
        return _rle(segmentation, size_hw, place)
    for index, numbers in enumerate(segmentation):
        if len(numbers) % 2:
            raise DatasetError(
                f"{place}[{index}]",
                expected="pairs of x, y",
                found=f"{len(numbers)} numbers",
                remedy="correct the polygon",
            )
    return tuple(np.array(numbers, np.float64).reshape(-1, 2) for numbers in segmentation)


def _rle(rle: _Rle, size_hw: tuple[int, int], place: str) -> Rle:
    if rle.size != size_hw:
        raise DatasetError(
            f"{place}.size",
            expected=f"the image's height and width {list(size_hw)}",
            found=str(list(rle.size)),
            remedy="correct the size",
        )
    try:
        if not isinstance(rle.counts, str):
            return masks.from_runs(rle.counts, size_hw)
        kept: Rle = {"size": list(size_hw), "counts": rle.counts}
        masks.to_runs(kept)
    except ValueError as error:
        raise DatasetError(
            f"{place}.counts", expected="runs that fill the image", found=str(error), remedy="restore the mask"
        ) from error
    return kept


def _annotation_block(annotation_id: int, image_id: int, annotation: Annotation) -> dict[str, Any]:
    x1, y1, x2, y2 = annotation.box_xyxy
    segmentation = annotation.segmentation
    block = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": annotation.class_id + FIRST_CATEGORY_ID,
        "segmentation": segmentation
        if isinstance(segmentation, dict)
        else [part.ravel().tolist() for part in segmentation],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": annotation.area_px,
        "iscrowd": int(annotation.iscrowd),
    }
    return block | ({"attributes": annotation.attributes} if annotation.attributes else {})


def _image_block(record: ImageRecord) -> dict[str, Any]:
    height, width = record.size_hw
    block: dict[str, Any] = {"id": record.image_id, "file_name": record.name, "height": height, "width": width}
    block["license"] = 1
    if record.group is not None:
        block["group"] = record.group
    return block | ({"attributes": record.attributes} if record.attributes else {})


def _safe_name(name: str, place: str) -> str:
    """The name itself, once it is known to stay inside the images folder."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise DatasetError(
            place, expected="a path inside images/", found=repr(name), remedy="name files inside the dataset only"
        )
    return name


def _look_up(known: dict[int, Any], wanted: int, place: str, block: str) -> Any:
    if wanted not in known:
        raise DatasetError(
            place, expected=f"an id among the {len(known)} {block}", found=str(wanted), remedy="correct the reference"
        )
    return known[wanted]


def _refuse_repeats(place: str, key: str, values: Sequence[object]) -> None:
    value, times = max(Counter(values).items(), key=lambda item: item[1], default=(None, 0))
    if times > 1:
        raise DatasetError(
            place, expected=f"each {key} once", found=f"{value!r} {times} times", remedy="remove or rename the copies"
        )
