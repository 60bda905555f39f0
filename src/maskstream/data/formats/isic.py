"""The ISIC 2017 challenge as a dataset: `images/*.jpg`, `masks/*.png` (0/255) and `labels.csv`.

Source: Codella et al., "Skin lesion analysis toward melanoma detection", ISBI 2018, arXiv:1710.05006.
The official splits are kept, less the images listed below. They stay in the dataset but in no split.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from maskstream.core import masks
from maskstream.data.dataset import Dataset, LeftOut, Provenance
from maskstream.data.records import Annotation, ImageRecord, read_pixels, size_mismatch
from maskstream.errors import DatasetError

CLASSES = ("benign", "malignant")
COLUMNS = ("image_id", "split", "label", "malignant")
SPLITS = ("train", "val", "test")

NEAR_TEST = ("0012175", "0012271", "0012887", "0013163", "0013417", "0012221")
NEAR_VAL = ("0012970",)
# fmt: off
FILM = (
    "0000000", "0000001", "0000008", "0000019", "0000024", "0000030", "0000042", "0000045", "0000046", "0000049",
    "0000080", "0000095", "0000112", "0000140", "0000142", "0000143", "0000145", "0000146", "0000150", "0000151",
)
# fmt: on

REASONS = (
    dict.fromkeys((f"ISIC_{number}" for number in NEAR_TEST), "near-duplicate of a test image")
    | dict.fromkeys((f"ISIC_{number}" for number in NEAR_VAL), "near-duplicate of a val image")
    | dict.fromkeys((f"ISIC_{number}" for number in FILM), "reserved for film tests")
)
"""Images that train and val leave out, and why; the test split is whole."""

PROVENANCE = Provenance(
    name="ISIC 2017 challenge",
    source="https://challenge.isic-archive.com/data/#2017",
    licence="CC0-1.0",
    licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
    importer="isic2017",
)


def import_isic(source: Path | str, out: Path | str) -> Dataset:
    """Import the ISIC 2017 layout into a dataset folder, which appears whole or not at all.

    Classes are `benign` and `malignant` (melanoma). The finer label (nevus, melanoma,
    seborrheic_keratosis) stays in the attributes of image and annotation.

    Raises
    ------
    DatasetError : `labels.csv`, an image or a mask is missing, broken or contradicts another.
    OutputError : `out` exists and is not empty, or cannot be written.
    """
    source = Path(source)
    rows = _read_labels(source / "labels.csv")
    with ThreadPoolExecutor() as threads:
        records = tuple(threads.map(partial(_record, source), rows, range(1, len(rows) + 1)))
    members = {split: [f"{row['image_id']}.jpg" for row in rows if row["split"] == split] for split in SPLITS}
    left_out = tuple(
        LeftOut(image=f"{row['image_id']}.jpg", split=row["split"], reason=REASONS[row["image_id"]])
        for row in rows
        if row["split"] != "test" and row["image_id"] in REASONS
    )
    names_out = {entry.image for entry in left_out}
    dataset = Dataset(
        folder=source,
        classes=CLASSES,
        images=records,
        splits={split: tuple(name for name in names if name not in names_out) for split, names in members.items()},
        left_out=left_out,
        splits_made_by="official ISIC 2017 splits, less the images under left_out",
        provenance=PROVENANCE,
    )
    return dataset.save(out)


def _read_labels(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(path, expected="a CSV file", found=str(error), remedy="restore the file") from error
    absent = [column for column in COLUMNS if column not in columns]
    if absent or not rows:
        raise DatasetError(
            path,
            expected=f"rows with the columns {', '.join(COLUMNS)}",
            found=f"no {', '.join(absent)}" if absent else "no rows",
            remedy="use the labels.csv of the ISIC 2017 layout",
        )
    for row in rows:
        _check_label(path, row)
    return rows


def _check_label(path: Path, row: dict[str, str]) -> None:
    place = f"{path}: {row['image_id']}"
    allowed = {"split": SPLITS, "malignant": ("0", "1")}
    for column, values in allowed.items():
        if row[column] not in values:
            raise DatasetError(
                f"{place}, {column}",
                expected=f"one of {', '.join(values)}",
                found=repr(row[column]),
                remedy="correct the row",
            )


def _record(source: Path, row: dict[str, str], image_id: int) -> ImageRecord:
    image_path = source / "images" / f"{row['image_id']}.jpg"
    mask_path = source / "masks" / f"{row['image_id']}.png"
    height, width = read_pixels(image_path, cv2.IMREAD_COLOR_RGB).shape[:2]
    pixels = read_pixels(mask_path, cv2.IMREAD_GRAYSCALE)
    if pixels.shape != (height, width):
        raise size_mismatch(mask_path, expected_hw=(height, width), found_hw=pixels.shape)
    mask = masks.crop(pixels > 127)
    attributes = {"label": row["label"]}
    annotation = Annotation.from_mask(int(row["malignant"]), mask, (height, width), attributes)
    return ImageRecord(
        image_id=image_id,
        name=image_path.name,
        path=image_path,
        size_hw=(height, width),
        annotations=(annotation,) if mask.area_px else (),
        attributes=attributes,
    )
