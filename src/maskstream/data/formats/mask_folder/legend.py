"""What is said about masks beside the masks themselves: names of classes, their colours, the class of each object.

classes.txt        a name a line, in the order of index 1, 2, 3 (also class_names.txt, labels.txt)
label_colors.txt   red, green, blue and a name a line, as in CamVid
instances.csv      image,colour,class: the class of each object, where every object has a colour of its own
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from maskstream.core.classes import Classes
from maskstream.data.csv_files import read_table
from maskstream.data.formats.mask_folder.pixels import Rgb, code_of
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError

CLASSES, COLOURS, INSTANCES = "classes.txt", "label_colors.txt", "instances.csv"
CLASS_FILES = frozenset({CLASSES, "class_names.txt", "labels.txt"})

NO_CLASS = frozenset({"background", "_background_", "__background__", "__ignore__", "_ignore_"})
"""Names at the top of a list of classes (labelme's, PASCAL VOC's) or in a table of colours that stand for no object."""

INSTANCE_COLUMNS = ("image", "colour", "class")

Said = TypeVar("Said", Classes, dict[int, str])


@dataclass(frozen=True, slots=True)
class Legend:
    """What is said about the masks beside the masks themselves.

    Attributes
    ----------
    classes : names in the order of index 1, 2, 3 and so on, or of the colours; empty when nobody names them.
    colours : class of each colour's code, None for background; empty when nobody lists them.
    instances : class of each object, by the name of its image and the code of its colour.
    from_user : the classes come from the user and not from a file.
    """

    classes: Classes = ()
    colours: Mapping[int, str | None] = field(default_factory=dict)
    instances: Mapping[tuple[str, int], str] = field(default_factory=dict)
    from_user: bool = False


def read_legend(listing: Listing, classes: Classes, colours: Mapping[Rgb, str]) -> Legend:
    """Read the files that name classes and colours; names that a file gives go before the user's.

    Raises
    ------
    DatasetError : one of them is broken, or two contradict each other.
    """
    named: Classes = ()
    by_colour = {code_of(colour): name for colour, name in colours.items()}
    instances: dict[tuple[str, int], str] = {}
    for name in listing.names:
        path = listing.folder / name
        last = path.name.lower()
        if last in CLASS_FILES:
            named = _same(path, named, class_names(path))
        elif last == COLOURS and not colours:
            found = _colours(path)
            by_colour = _same(path, by_colour, found)
        elif last == INSTANCES:
            instances |= _instances(path, name.removesuffix(path.name))
    shown = {code: None if name.lower() in NO_CLASS else name for code, name in by_colour.items()}
    in_colours = tuple(dict.fromkeys(name for name in shown.values() if name))
    in_instances = tuple(dict.fromkeys(instances.values()))
    strange = [name for name in in_instances if named and name not in named]
    if strange:
        raise DatasetError(
            listing.folder / INSTANCES,
            expected=f"classes that {CLASSES} names",
            found=repr(strange[0]),
            remedy="make the files agree",
        )
    return Legend(
        classes=in_colours or named or in_instances or classes,
        colours=shown,
        instances=instances,
        from_user=not (named or in_colours or in_instances),
    )


def folder_of(class_name: str) -> str:
    """The folder of a class's own masks: its name without what file systems refuse."""
    return re.sub(r'[\\/:*?"<>|\0-\x1f]', "_", class_name).strip(". ") or "_"


def _same(path: Path, before: Said, found: Said) -> Said:
    """What a file says, once it says the same as one before (the folder of each split may have its own)."""
    if before and before != found:
        raise DatasetError(
            path,
            expected="the same classes as in the other file of its kind",
            found="others",
            remedy="make them agree, or import the folders one by one",
        )
    return found


def class_names(path: Path) -> Classes:
    """The names that a file lists, one a line; names of the background at the top are left out.

    Raises
    ------
    DatasetError : the file is missing, is no text, names nothing, or one name twice.
    """
    names = [text for _, text in _lines(path)]
    while names and names[0].lower() in NO_CLASS:
        names.pop(0)
    repeated = [name for name in names if names.count(name) > 1]
    if repeated or not names:
        raise DatasetError(
            path,
            expected="a name of a class in each line",
            found=f"{repeated[0]!r} twice" if repeated else "none",
            remedy="correct the file",
        )
    return tuple(names)


def _colours(path: Path) -> dict[int, str]:
    """Lines of red, green, blue and a name, as in CamVid."""
    colours: dict[int, str] = {}
    for line, text in _lines(path):
        if text.startswith("#"):
            continue
        match = re.fullmatch(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\S.*)", text)
        if match is None or max(map(int, match.groups()[:3])) > 255:
            raise DatasetError(
                f"{path}: line {line}",
                expected="red, green, blue up to 255 and a name, such as 64 128 64 animal",
                found=repr(text),
                remedy="correct the line",
            )
        red, green, blue = map(int, match.groups()[:3])
        code = code_of((red, green, blue))
        if code in colours:
            raise DatasetError(
                f"{path}: line {line}",
                expected="each colour once",
                found=f"{red} {green} {blue} again",
                remedy="correct the line",
            )
        colours[code] = match[4]
    return colours


def _instances(path: Path, prefix: str) -> dict[tuple[str, int], str]:
    table = read_table(path)
    image, colour, class_name = (table.require(column) for column in INSTANCE_COLUMNS)
    instances: dict[tuple[str, int], str] = {}
    for row in table.rows():
        match = re.fullmatch(r"#([0-9a-f]{6})", row.cells[colour], re.IGNORECASE)
        if match is None:
            raise DatasetError(
                table.place(row.line, "colour"),
                expected="a colour such as #ff8000",
                found=repr(row.cells[colour]),
                remedy="correct the row",
            )
        instances[prefix + row.cells[image], int(match[1], 16)] = row.cells[class_name]
    return instances


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbers and text of the lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(path, expected="text in UTF-8", found=str(error), remedy="save it as UTF-8") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
