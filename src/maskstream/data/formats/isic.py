"""The ISIC 2017 challenge as a dataset: `images/*.jpg`, `masks/*.png` (0/255) and `labels.csv`.

Source: Codella et al., "Skin lesion analysis toward melanoma detection", ISBI 2018, arXiv:1710.05006.
The official splits are kept, less the images listed below. They stay in the dataset but in no split.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from functools import partial
from pathlib import Path

from maskstream.core import masks
from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset, LeftOut, Provenance
from maskstream.data.formats.format import Format, ReadOptions
from maskstream.data.listing import Listing
from maskstream.data.records import Annotation, ImageRecord, size_mismatch
from maskstream.errors import DatasetError
from maskstream.media.images import read_image

CLASSES = ("benign", "malignant")
COLUMNS = ("image_id", "split", "label", "malignant")
SPLITS = ("train", "val", "test")
LABELS = ("nevus", "melanoma", "seborrheic_keratosis")

# fmt: off
NEAR_TEST = (
    "0012175", "0012271", "0012887", "0013163", "0013417", "0012221", "0012222",
    "0000162", "0000174", "0000179", "0000182", "0000184", "0000185", "0000186", "0000189", "0000191", "0000193",
    "0000196", "0000201", "0000209", "0000217", "0000218", "0000220", "0000226", "0000227", "0000231",
)
NEAR_VAL = ("0012970", "0000157", "0000171", "0000215")
VIDEO = (
    "0000000", "0000001", "0000008", "0000019", "0000024", "0000030", "0000042", "0000045", "0000046", "0000049",
    "0000080", "0000095", "0000112", "0000140", "0000142", "0000143", "0000145", "0000146", "0000150", "0000151",
)
# fmt: on

REASONS = (
    dict.fromkeys((f"ISIC_{number}" for number in NEAR_TEST), "near-duplicate of a test image")
    | dict.fromkeys((f"ISIC_{number}" for number in NEAR_VAL), "near-duplicate of a val image")
    | dict.fromkeys((f"ISIC_{number}" for number in VIDEO), "reserved for film tests")
)
"""Images that train and val leave out, and why; the test split is whole.

Near-duplicates show the same lesion as the other image, often with other colours or turned by 180 degrees;
docs/splits.md lists the pairs and tells how they were found. One of the seven that were known before (0013417) merely
looks alike.
"""

PROVENANCE = Provenance(
    name="ISIC 2017 challenge",
    source="https://challenge.isic-archive.com/data/#2017",
    licence="CC0-1.0",
    licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
    importer="isic2017",
)


def recognise(listing: Listing) -> str | None:
    """Whether the folder has `labels.csv`, `images/` and `masks/` as ISIC 2017 comes here."""
    if "labels.csv" not in listing.names or not any(name.startswith("masks/ISIC_") for name in listing.names):
        return None
    with (listing.folder / "labels.csv").open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().strip().split(",")
    return "the ISIC 2017 challenge: labels.csv, images and masks" if set(COLUMNS) <= set(header) else None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read the ISIC 2017 layout.

    Classes are `benign` and `malignant` (melanoma). The finer label (nevus, melanoma,
    seborrheic_keratosis) stays in the attributes of image and annotation. An image whose mask is
    empty becomes one without objects.

    Raises
    ------
    DatasetError : `labels.csv` is missing or broken, or what it says contradicts images or masks.
    SourceError : an image or a mask is missing or damaged.
    """
    rows = _read_labels(source)
    records = []
    for number, record in enumerate(ordered_map(partial(_record, source), list(zip(rows, range(1, len(rows) + 1)))), 1):
        records.append(record)
        if options.on_progress:
            options.on_progress(number, len(rows))
    members = {split: [f"{row['image_id']}.jpg" for row in rows if row["split"] == split] for split in SPLITS}
    left_out = tuple(
        LeftOut(image=f"{row['image_id']}.jpg", split=row["split"], reason=REASONS[row["image_id"]])
        for row in rows
        if row["split"] != "test" and row["image_id"] in REASONS
    )
    names_out = {entry.image for entry in left_out}
    return Dataset(
        folder=source,
        classes=CLASSES,
        images=tuple(records),
        splits={split: tuple(name for name in names if name not in names_out) for split, names in members.items()},
        left_out=left_out,
        splits_made_by="official ISIC 2017 splits, less the images under left_out",
        provenance=PROVENANCE,
    )


def _read_labels(source: Path) -> list[dict[str, str]]:
    """The rows of `labels.csv`, checked: one for each image of the folder."""
    path = source / "labels.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            numbered = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(path, expected="a CSV file", found=str(error), remedy="restore the file") from error
    absent = [column for column in COLUMNS if column not in columns]
    if absent or not numbered:
        raise DatasetError(
            path,
            expected=f"rows with the columns {', '.join(COLUMNS)}",
            found=f"no {', '.join(absent)}" if absent else "no rows",
            remedy="use the labels.csv of the ISIC 2017 layout",
        )
    for line, row in numbered:
        _check_row(f"{path}: line {line}", row)
    rows = [row for _, row in numbered]
    _check_one_row_an_image(path, [row["image_id"] for row in rows])
    return rows


def _check_row(place: str, row: dict[str, str]) -> None:
    if not re.fullmatch(r"[\w-]+", row["image_id"]):
        raise DatasetError(
            f"{place}, image_id",
            expected="letters, digits, _ and -",
            found=repr(row["image_id"]),
            remedy="correct the row",
        )
    malignant = "1" if row["label"] == "melanoma" else "0"
    for column, allowed in {"split": SPLITS, "label": LABELS, "malignant": (malignant,)}.items():
        if row[column] not in allowed:
            raise DatasetError(
                f"{place}, {column}",
                expected=" or ".join(allowed),
                found=repr(row[column]),
                remedy="correct the row",
            )


def _check_one_row_an_image(path: Path, image_ids: list[str]) -> None:
    labelled = Counter(image_ids)
    repeated = [image_id for image_id, times in labelled.items() if times > 1]
    unlabelled = sorted({image.stem for image in (path.parent / "images").glob("*.jpg")} - labelled.keys())
    for kind, names in {"more than one for": repeated, "none for": unlabelled}.items():
        if names:
            raise DatasetError(
                path,
                expected="one row for each image",
                found=f"{kind} {names[0]} ({len(names)} such images)",
                remedy="restore the file, or take the images away that it does not name",
            )


def _record(source: Path, numbered: tuple[dict[str, str], int]) -> ImageRecord:
    row, image_id = numbered
    image_path = source / "images" / f"{row['image_id']}.jpg"
    mask_path = source / "masks" / f"{row['image_id']}.png"
    height, width, _ = read_image(image_path).shape
    pixels = read_image(mask_path)[:, :, 0]
    if pixels.shape != (height, width):
        raise size_mismatch(mask_path, expected_hw=(height, width), found_hw=pixels.shape)
    mask = masks.crop(pixels > 127)
    attributes = {"label": row["label"]}
    annotation = Annotation.from_mask(int(row["malignant"]), mask, (height, width), attributes)
    return ImageRecord(
        image_id=image_id,
        name=image_path.name,
        path=image_path,
        stated_size_hw=(height, width),
        annotations=(annotation,) if mask.area_px else (),
        attributes=attributes,
    )


FORMAT = Format(
    name="isic2017", about="the ISIC 2017 challenge with its official splits", recognise=recognise, read=read
)
