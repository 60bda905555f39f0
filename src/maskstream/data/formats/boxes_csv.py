"""Boxes in a CSV file, one a row, with the images in `images/` beside it or anywhere below its folder.

image_id,x,y,width,height,class_id       the corner at the top left and the size, in pixels
image_id,class,bounds                    corners in one cell: "(x0, y0, x1, y1)", as Airbus writes them
image_id,class,xmin,ymin,xmax,ymax       corners in cells of their own

Columns come in any order; the first two forms may lack a header. Numbers in `class_id` count from 0 in the order of
`classes.txt` or of `--classes`. A row whose cells for the box are empty says that the image shows nothing. Boxes are
kept as they are, degenerate and repeated ones as well, without masks: `data/box_masks.py` gives them some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskstream.core.classes import Classes
from maskstream.core.files import write_text
from maskstream.core.parallel import ordered_map
from maskstream.data.csv_files import Table, columns_of, read_table, write_table
from maskstream.data.dataset import IMAGES, Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.box_cells import BOUNDS, CORNERS, SIZED, BoxCells, BoxXyxy, headerless_columns
from maskstream.data.formats.format import Format, ReadOptions, WriteOptions, assemble, place_image
from maskstream.data.formats.image_finder import ImageFinder
from maskstream.data.formats.label_table import IMAGE_COLUMNS, Layout, TableRow, find_table, tables_of
from maskstream.data.formats.mask_folder.legend import CLASSES, class_names
from maskstream.data.listing import Listing
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError
from maskstream.media.images import read_size_hw
from maskstream.media.sources import natural_key

NAME = "boxes_csv"
FILE = "boxes.csv"
COLUMNS = ("image_id", "x", "y", "width", "height", "class_id")
CLASS_COLUMNS = ("class_id", "class", "class_name", "label", "category")
ONLY_CLASS = "object"


@dataclass(slots=True)
class _Boxes:
    """What the rows say of one image."""

    name: str
    is_there: bool
    rows: list[tuple[TableRow, BoxXyxy]] = field(default_factory=list)
    group: str | None = None
    split: str | None = None


def recognise(listing: Listing) -> str | None:
    """Whether one CSV file has columns for images and boxes."""
    names = tables_of(listing, _is_table)
    return f"a table with a box in each row: {names[0]}" if len(names) == 1 else None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read the table, or the one of a folder. An image without a row becomes one without objects.

    Raises
    ------
    DatasetError : no table or several, a broken one (see `csv_files`), a box that is none, a class id without a
        name, a name that leads out of the folder of the images, or none of the images is there.
    SourceError : an image is damaged.
    """
    path = find_table(source, _is_table, "CSV file of boxes")
    table = read_table(path, headerless=headerless_columns(path))
    finder = ImageFinder(path.parent, options.images)
    boxes = _read_boxes(table, finder, options)
    present = {entry.name: entry for entry in boxes if entry.is_there}
    if not present and (boxes or not finder.names):
        raise DatasetError(
            finder.root,
            expected="the images that the table names",
            found=f"none of {len(boxes)}, such as {boxes[0].name}" if boxes else "no image",
            remedy="put them there, or say where they are with --images",
        )
    written = {row.class_name for entry in boxes for row, _ in entry.rows}
    ids, classes, note = _classes(table, written, options.classes)
    images: list[ImageRecord] = []
    sizes_hw = ordered_map(lambda name: read_size_hw(finder.root / name), finder.names)
    for name, size_hw in zip(finder.names, sizes_hw, strict=True):
        entry = present.get(name, _Boxes(name, True))
        annotations = tuple(_annotation(row, box, ids) for row, box in entry.rows)
        images.append(ImageRecord(len(images) + 1, name, finder.root / name, size_hw, annotations, entry.group))
        if options.on_progress:
            options.on_progress(len(images), len(finder.names))
    return assemble(
        source,
        NAME,
        classes,
        images,
        splits=_splits(present.values()),
        splits_made_by="column split of the source",
        findings=[*finder.findings, *_headerless(table), *note, *_absent(finder, boxes), *_rowless(finder, present)],
        arguments={"table": path.name},
    )


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `boxes.csv`, `classes.txt` and `images/`. An image without objects has no row.

    Raises
    ------
    DatasetError : an image is missing, or a name of a class is no line.
    """
    for name in dataset.classes:
        if not name.strip() or name != name.strip() or "\n" in name:
            raise DatasetError(
                dataset.folder, expected="names of classes of one line", found=repr(name), remedy="rename the class"
            )
    objects = [(record, annotation) for record in dataset.images for annotation in record.annotations]
    extras = list(dict.fromkeys(key for _, annotation in objects for key in annotation.attributes.get(NAME, {})))
    has_groups = any(record.group for record in dataset.images)

    def rows() -> Iterator[list[object]]:
        for record, annotation in objects:
            x1, y1, x2, y2 = annotation.box_xyxy
            row: list[object] = [record.name, *map(_short, (x1, y1, x2 - x1, y2 - y1)), annotation.class_id]
            row += [record.group or ""] * has_groups
            yield row + [annotation.attributes.get(NAME, {}).get(key, "") for key in extras]

    write_table(folder / FILE, [*COLUMNS, *(["group"] if has_groups else []), *extras], rows())
    write_text(folder / CLASSES, "".join(f"{name}\n" for name in dataset.classes))
    for record in dataset.images:
        place_image(record, folder / IMAGES / record.name, link=options.link)
    return list(_losses(dataset, [annotation for _, annotation in objects]))


def _is_table(path: Path) -> bool:
    if headerless_columns(path):
        return True
    columns = {column.casefold() for column in columns_of(path)}
    has_box = not columns.isdisjoint(BOUNDS) or any(columns.issuperset(names) for names in (*SIZED, *CORNERS))
    return has_box and not columns.isdisjoint(IMAGE_COLUMNS)


def _read_boxes(table: Table, finder: ImageFinder, options: ReadOptions) -> list[_Boxes]:
    """The boxes of each image that the table names, in its order."""
    cells = BoxCells.of(table)
    class_column = table.require(options.label_column) if options.label_column else table.index(*CLASS_COLUMNS)
    layout = Layout.of(table, options, [*cells.columns, *([] if class_column is None else [class_column])])
    by_name: dict[str, _Boxes] = {}
    for row in table.rows():
        class_name = row.cells[class_column].strip() if class_column is not None else ONLY_CLASS
        said = layout.row(row, class_name)
        name, is_there = finder.name_of(said.image, table.place(row.line))
        entry = by_name.setdefault(name, _Boxes(name, is_there))
        entry.group = _one(table, row.line, "group", entry.group, said.group)
        entry.split = _one(table, row.line, "split", entry.split, said.split)
        box = cells.box(row)
        if box is None:
            continue
        if not class_name:
            raise DatasetError(
                table.place(row.line), expected="a class for the box", found="nothing", remedy="correct the row"
            )
        entry.rows.append((said, box))
    return list(by_name.values())


def _one(table: Table, line: int, what: str, before: str | None, said: str | None) -> str | None:
    """The only group or split of an image, whose rows all name it or leave it out."""
    if before and said and before != said:
        raise DatasetError(
            table.place(line), expected=f"one {what} for each image", found=f"{before} and {said}", remedy="correct it"
        )
    return before or said


def _splits(boxes: Iterable[_Boxes]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for entry in boxes:
        if entry.split:
            splits.setdefault(entry.split, []).append(entry.name)
    return splits


def _classes(table: Table, written: set[str], wanted: Classes) -> tuple[dict[str, int], Classes, list[Finding]]:
    """The class id of each class as the table writes it, the names of all classes, and a note on how they came about.

    Raises
    ------
    DatasetError : a number stands for no name.
    """
    in_order = sorted(written, key=lambda name: natural_key(Path(name)))
    as_found = {name: class_id for class_id, name in enumerate(in_order)}
    listed = table.path.parent / CLASSES
    names = class_names(listed) if listed.is_file() else wanted
    if not in_order:
        return {}, names or (ONLY_CLASS,), []
    if in_order == [ONLY_CLASS] and len(names) == 1:
        return as_found, names, []
    if not names or not all(name.isascii() and name.isdecimal() for name in in_order):
        return as_found, tuple(in_order), []
    ids = {number: int(number) for number in in_order}
    if max(ids.values()) >= len(names) and len(ids) == len(names):
        ids = as_found
    beyond = [number for number, class_id in ids.items() if class_id >= len(names)]
    if beyond:
        raise DatasetError(
            table.path,
            expected=f"class ids from 0 to {len(names) - 1}, for {', '.join(names[:6])}",
            found=beyond[0],
            remedy="name every class, in the order of the ids",
        )
    shown = ", ".join(f"{number} is {names[class_id]}" for number, class_id in list(ids.items())[:10])
    return ids, names, [_note("class-numbers", str(table.path), "names for the numbers of the classes", shown)]


def _annotation(row: TableRow, box_xyxy: BoxXyxy, ids: Mapping[str, int]) -> Annotation:
    x1, y1, x2, y2 = box_xyxy
    return Annotation(
        class_id=ids[row.class_name],
        segmentation=(),
        box_xyxy=box_xyxy,
        area_px=max(x2 - x1, 0.0) * max(y2 - y1, 0.0),
        attributes={NAME: row.extras} if row.extras else {},
    )


def _headerless(table: Table) -> Iterator[Finding]:
    if not table.has_header:
        yield _note("no-header", str(table.path), "a header", f"none; read as {','.join(table.columns)}")


def _absent(finder: ImageFinder, boxes: Sequence[_Boxes]) -> Iterator[Finding]:
    for entry in boxes:
        if not entry.is_there:
            yield Finding(
                code="label-without-image",
                severity=Severity.WARNING,
                place=str(finder.root / entry.name),
                expected="the image that the table names",
                found=f"none; its {len(entry.rows)} boxes are left out",
                remedy="put the image there, or say where the images are with --images",
            )


def _rowless(finder: ImageFinder, present: Mapping[str, _Boxes]) -> Iterator[Finding]:
    rowless = [name for name in finder.names if name not in present]
    if rowless:
        found = f"none for {len(rowless)} images, such as {rowless[0]}, kept as images without objects"
        yield _note("image-without-label", str(finder.root), "a row for each image", found)


def _losses(dataset: Dataset, annotations: Sequence[Annotation]) -> Iterator[Finding]:
    lost = Counter[str]()
    for annotation in annotations:
        lost["masks, of which the boxes are written"] += bool(annotation.segmentation)
        lost["marks of crowds"] += annotation.iscrowd
        lost["objects with attributes"] += any(key != NAME for key in annotation.attributes)
    lost["classes of whole images"] = sum(record.class_id is not None for record in dataset.images)
    found = [f"{count} {what}" for what, count in lost.items() if count]
    if found:
        yield _note("not-in-boxes", FILE, "only what a table of boxes can say", ", ".join(found))


def _note(code: str, place: str, expected: str, found: str) -> Finding:
    remedy = {
        "no-header": "write a header if the columns mean something else",
        "class-numbers": "name the classes in the order of their numbers if these are not right",
        "image-without-label": "nothing, if they show no object",
        "not-in-boxes": "keep the dataset; it holds all of them",
    }[code]
    return Finding(code=code, severity=Severity.NOTE, place=place, expected=expected, found=found, remedy=remedy)


def _short(number: float) -> object:
    """Whole numbers without a decimal point."""
    return int(number) if number.is_integer() else number


FORMAT = Format(
    name=NAME,
    about="boxes in a CSV file (image_id,x,y,width,height,class_id or image_id,class,bounds)",
    recognise=recognise,
    read=read,
    write=write,
)
