"""What tables with a class for each image have in common, however they write the class.

One row an image: how it is called, its class, and perhaps its group and split. The images need not be there: they are
not opened, and a table without any becomes a dataset whose images can be put in place later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskstream.core.classes import Classes
from maskstream.data.csv_files import Row, Table, columns_of, write_table
from maskstream.data.dataset import IMAGES, Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import GROUP_COLUMN, SPLIT_FOLDERS, ReadOptions, WriteOptions, assemble, place_image
from maskstream.data.formats.image_classes import labelled_images
from maskstream.data.formats.image_finder import ImageFinder
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

IMAGE_COLUMNS = ("image_id", "image", "image_name", "filename", "file_name", "file", "path")
GROUP_COLUMNS = ("group", "patient_id", "patient", "video", "lesion_id")
"""Names by which columns are known; of several groups the widest comes first: a patient has several lesions."""
SPLIT_COLUMN = "split"

MASKS = re.compile(r"mask|segment|groundtruth")
"""How folders of masks are called."""

MOST_TABLES = 20
"""A folder with more CSV files than this is no table with a row an image, but something with a file an image."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """What a row says of its image; `line` is where it begins."""

    line: int
    image: str
    class_name: str
    group: str | None = None
    split: str | None = None
    extras: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a table holds what, besides the class; `extras` are those without a meaning here."""

    image: int
    group: int | None
    split: int | None
    extras: Mapping[str, int]

    @classmethod
    def of(cls, table: Table, options: ReadOptions, class_columns: Iterable[int]) -> Layout:
        """The layout of a table whose classes stand in `class_columns`.

        Raises
        ------
        DatasetError : no column names the images, or the group column of the options is missing.
        """
        image = table.require(*IMAGE_COLUMNS)
        group = group_column(table, options)
        split = table.index(SPLIT_COLUMN)
        taken = {image, group, split, *class_columns}
        return cls(image, group, split, {name: i for i, name in enumerate(table.columns) if i not in taken})

    def row(self, row: Row, class_name: str) -> TableRow:
        """A row with its class."""
        split = row.cells[self.split].strip() if self.split is not None else ""
        return TableRow(
            line=row.line,
            image=row.cells[self.image],
            class_name=class_name,
            group=(row.cells[self.group].strip() or None) if self.group is not None else None,
            split=SPLIT_FOLDERS.get(split.lower(), split) or None,
            extras={name: row.cells[i] for name, i in self.extras.items()},
        )


def group_column(table: Table, options: ReadOptions) -> int | None:
    """The column that says what must not be torn apart, as the options name it or by one of the usual names.

    Raises
    ------
    DatasetError : the column that the options name is missing.
    """
    return table.require(options.group_column) if options.group_column else table.index(*GROUP_COLUMNS)


def tables_of(listing: Listing, is_table: Callable[[Path], bool]) -> list[str]:
    """Names of the CSV files of a folder that are such tables."""
    names = (*listing.with_suffix(".csv"), *listing.with_suffix(".tsv"))
    return [name for name in names if is_table(listing.folder / name)] if len(names) <= MOST_TABLES else []


def find_table(source: Path, is_table: Callable[[Path], bool], expected: str) -> Path:
    """The table itself, or the only one of a folder.

    Raises
    ------
    DatasetError : the folder holds none, or several.
    """
    if not source.is_dir():
        return source
    names = tables_of(list_folder(source), is_table)
    if len(names) != 1:
        found = f"{len(names)}: {', '.join(names[:5])}" if names else "none"
        raise DatasetError(source, expected=f"one {expected}", found=found, remedy="name the CSV file itself")
    return source / names[0]


def has_image_column(path: Path) -> bool:
    """Whether a CSV file has a column that names images."""
    return not {column.casefold() for column in columns_of(path)}.isdisjoint(IMAGE_COLUMNS)


def to_dataset(
    source: Path, importer: str, table: Table, rows: Iterable[TableRow], classes: Classes, options: ReadOptions
) -> Dataset:
    """A dataset of the rows, with an image for each; rows of other classes are passed over.

    Raises
    ------
    DatasetError : two rows name one image, a name leads out of the folder of the images, or no row is left.
    """
    finder = ImageFinder(table.path.parent, options.images)
    class_ids = {name: class_id for class_id, name in enumerate(classes)}
    images: list[ImageRecord] = []
    splits: dict[str, list[str]] = {}
    line_of: dict[str, int] = {}
    missing: list[str] = []
    for row in rows:
        place = table.place(row.line)
        name, is_there = finder.name_of(row.image, place)
        if name in line_of:
            raise _repeated(place, row.image, line_of[name])
        line_of[name] = row.line
        if row.class_name not in class_ids:
            continue
        if not is_there:
            missing.append(name)
        if row.split:
            splits.setdefault(row.split, []).append(name)
        images.append(
            ImageRecord(
                image_id=len(images) + 1,
                name=name,
                path=finder.root / name,
                stated_size_hw=None,
                group=row.group,
                attributes={importer: row.extras} if row.extras else {},
                class_id=class_ids[row.class_name],
            )
        )
        if options.on_progress:
            options.on_progress(len(images), None)
    findings = [*finder.findings, *_missing_note(finder, missing, len(images)), *_masks_note(table.path.parent)]
    unlabelled = [name for name in finder.names if name not in line_of]
    findings.extend(_unlabelled_note(finder, unlabelled))
    group = group_column(table, options)
    grouping = {} if group is None else {GROUP_COLUMN: table.columns[group]}
    return assemble(
        source,
        importer,
        classes,
        images,
        splits=splits,
        splits_made_by=f"column {SPLIT_COLUMN} of the source",
        findings=findings,
        arguments={"table": table.path.name, "classes": list(classes), **grouping},
    )


def write_labels(
    dataset: Dataset,
    folder: Path,
    options: WriteOptions,
    *,
    importer: str,
    file_name: str,
    image_column: str,
    class_columns: Sequence[str],
    class_cells: Callable[[str], Sequence[object]],
) -> list[Finding]:
    """Write the table, and the images that are there below `images/`.

    Raises
    ------
    DatasetError : no image has a class, or an image whose size is known is missing.
    """
    findings: list[Finding] = []
    labelled = list(labelled_images(dataset, findings.append))
    split_of = {name: split for split, names in dataset.splits.items() for name in names}
    has_groups = any(record.group for record, _ in labelled)
    columns = [image_column, *class_columns, *(["group"] if has_groups else []), *(["split"] if split_of else [])]
    extras = list(dict.fromkeys(key for record, _ in labelled for key in record.attributes.get(importer, {})))
    own = {column.casefold() for column in (*columns, *GROUP_COLUMNS)}

    def rows() -> Iterator[list[object]]:
        for record, class_name in labelled:
            row = [record.name, *class_cells(class_name)]
            row += [record.group or ""] * has_groups
            row += [split_of.get(record.name, "")] * bool(split_of)
            yield row + [record.attributes.get(importer, {}).get(key, "") for key in extras]

    # a column of the source that would be taken for one of ours keeps its cells under another name
    headings = [*columns, *(f"source_{key}" if key.casefold() in own else key for key in extras)]
    write_table(folder / file_name, headings, rows())
    findings.extend(_place_images([record for record, _ in labelled], folder, options))
    return findings


def _place_images(records: Sequence[ImageRecord], folder: Path, options: WriteOptions) -> Iterator[Finding]:
    """Place the images; those never seen may be missing, as in the dataset itself."""
    missing = 0
    for record in records:
        if record.stated_size_hw is None and not record.has_file:
            missing += 1
        else:
            place_image(record, folder / IMAGES / record.name, link=options.link)
    if missing:
        yield Finding(
            code="missing-images",
            severity=Severity.NOTE,
            place=IMAGES,
            expected=f"{len(records)} image files",
            found=f"{missing} of them missing, in the dataset as well",
            remedy="put them there when you have them",
        )


def _repeated(place: str, image: str, line: int) -> DatasetError:
    return DatasetError(
        place,
        expected="an image that no other row names",
        found=f"{image!r}, as in line {line}",
        remedy="remove one of the rows; for a row an object, import as boxes_csv",
    )


def _missing_note(finder: ImageFinder, missing: Sequence[str], total: int) -> Iterator[Finding]:
    if missing:
        yield Finding(
            code="missing-images",
            severity=Severity.NOTE,
            place=str(finder.root),
            expected=f"{total} image files",
            found=f"{len(missing)} of them missing, such as {missing[0]}",
            remedy="put them into images/ of the dataset under these names, or import again with --images FOLDER",
        )


def _unlabelled_note(finder: ImageFinder, unlabelled: Sequence[str]) -> Iterator[Finding]:
    if unlabelled:
        yield Finding(
            code="images-without-label",
            severity=Severity.WARNING,
            place=str(finder.root),
            expected="a row for each image",
            found=f"none for {len(unlabelled)} images, such as {unlabelled[0]}, which are left out",
            remedy="add rows and import again, or leave it so",
        )


def _masks_note(folder: Path) -> Iterator[Finding]:
    """Masks beside the table are not read: who has them wants to know."""
    beside = [path for path in sorted(folder.iterdir()) if MASKS.search(path.name.lower()) and path.is_dir()]
    if beside:
        yield Finding(
            code="masks-left-out",
            severity=Severity.WARNING,
            place=str(beside[0]),
            expected="labels of whole images alone",
            found="a folder that looks like masks, which is not read",
            remedy="for the objects, import again with --format mask_folder",
        )
