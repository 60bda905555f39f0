"""Classes of images from their names: `benign_998.jpg` (file_names), or `train/benign/998.jpg` (class_folders).

They are the last resort of recognition: no file says that these are labels. So it takes them for such only where
nothing else lies beside the images and the names look like classes; a user who names the format is believed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import SPLIT_FOLDERS, Format, ReadOptions, assemble, splits_by_folder
from maskstream.data.formats.image_classes import chosen_classes
from maskstream.data.formats.named_images_write import class_of_name, write_class_folders, write_file_names
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.media.sources import natural_key

MOST_CLASSES = 100
"""Names with more different beginnings than this are taken for something else than classes, unless the user says so."""

# fmt: off
NO_LABELS = frozenset({
    "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "pic", "jpegimages", "dsc",
    "scan", "slice", "page", "data", "dataset", "fold", "mask", "masks", "seg", "segment", "segmentation",
    "segmentations", "gt", "groundtruth", "truth", "label", "labels", "annotation", "annotations", "depth",
    "edges", "overlay", "input", "inputs", "output", "outputs", "target", "targets", "left", "right", "frame",
    "frames", "film", "video", "clip", "sequence", "seq", "scene", "camera", "cam", "patient", "case",
    "subject",
})
# fmt: on
"""Words that name a kind of file or its origin: names that hold one are not taken for classes."""

LABEL_SUFFIXES = frozenset(
    {".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".npy", ".npz", ".mat", ".h5", ".parquet"}
)
"""Files of these kinds hold the labels, where there are any."""


def recognise_file_names(listing: Listing) -> str | None:
    """Whether all names are of 2 to 100 classes with several images each, and nothing else says what they show."""
    labels = [class_of_name(name) for name in listing.images()]
    counts = Counter(label for label in labels if label is not None)
    if None in labels or not counts or min(counts.values()) < 2 or not _like_classes(listing, counts):
        return None
    # film1_0001.jpg and film2_0001.jpg: the number before is as likely that of a video, or a patient
    if any(character.isdigit() for label in counts for character in label):
        return None
    return f"names of images that begin with their class: {_some(counts)}"


def recognise_class_folders(listing: Listing) -> str | None:
    """Whether every image lies in one folder of 2 to 100 classes, and nothing else says what it shows."""
    try:
        folders = _folders_by_class(listing)
    except DatasetError:
        return None
    counts = Counter({label: len(names) for label, names in folders.items()})
    if not _like_classes(listing, counts) or _in_pairs(folders):
        return None
    return f"a folder of images for each class: {_some(counts)}"


def read_file_names(source: Path, options: ReadOptions) -> Dataset:
    """Read images whose names begin with their class; sub-folders train, val and test become splits.

    Raises
    ------
    DatasetError : a name without class, two classes that differ in nothing but case or spaces, no image, or a
        class of the options that no name has.
    """
    listing = list_folder(source)
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for name in listing.images():
        label = class_of_name(name)
        if label is None:
            raise DatasetError(
                source / name,
                expected="a name of class, _ or - or space, and number, such as benign_998.jpg",
                found=repr(PurePosixPath(name).name),
                remedy="rename the image, take it away, or name another --format",
            )
        by_class[label].append(name)
    return _to_dataset(source, "file_names", listing, by_class, options)


def read_class_folders(source: Path, options: ReadOptions) -> Dataset:
    """Read images that lie in a folder named as their class; folders train, val and test above become splits.

    Raises
    ------
    DatasetError : an image lies in no such folder or in one inside another, two classes that differ in nothing but case
        or spaces, no image, or a class of the options that has no folder.
    """
    listing = list_folder(source)
    return _to_dataset(source, "class_folders", listing, _folders_by_class(listing), options)


def _folders_by_class(listing: Listing) -> dict[str, list[str]]:
    """The images of each class folder, once folders of splits and those around all images are left out."""
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    folders = {name: PurePosixPath(name).parts[:-1] for name in listing.images()}
    around = _common_beginning(list(folders.values()))
    for name, parts in folders.items():
        inner = [part for part in parts[around:] if part.lower() not in SPLIT_FOLDERS]
        if len(inner) != 1:
            raise DatasetError(
                listing.folder / name,
                expected="an image in the folder of its class, such as benign/1.jpg or train/benign/1.jpg",
                found=f"it in {'/'.join(inner)}, one folder inside another" if inner else "it in no such folder",
                remedy="move it, or name another --format",
            )
        by_class[inner[0]].append(name)
    return dict(by_class)


def _common_beginning(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders lie around all images alike; the innermost folder is never counted: it may be the only class."""
    if not folders:
        return 0
    deepest = min(len(parts) for parts in folders) - 1
    alike = (len({parts[level] for parts in folders}) == 1 for level in range(max(deepest, 0)))
    return next((level for level, same in enumerate(alike) if not same), max(deepest, 0))


def _to_dataset(
    source: Path, importer: str, listing: Listing, by_class: dict[str, list[str]], options: ReadOptions
) -> Dataset:
    _check_distinct(source, by_class)
    classes = tuple(sorted(by_class, key=lambda label: natural_key(Path(label))))
    classes = chosen_classes(classes, options.classes, source) if classes else ()
    class_ids = {name: class_id for class_id, label in enumerate(classes) for name in by_class[label]}
    images = [
        ImageRecord(number, name, source / name, None, class_id=class_ids[name])
        for number, name in enumerate((name for name in listing.images() if name in class_ids), start=1)
    ]
    return assemble(
        source,
        importer,
        classes,
        images,
        splits=splits_by_folder(record.name for record in images),
        findings=listing.findings,
        arguments={"classes": list(classes)},
    )


def _check_distinct(source: Path, labels: Iterable[str]) -> None:
    first: dict[str, str] = {}
    for label in labels:
        key = re.sub(r"[\s_-]+", " ", label).strip().casefold()
        if key in first:
            raise DatasetError(
                source,
                expected="classes that differ in more than case, spaces, _ and -",
                found=f"{first[key]!r} and {label!r}",
                remedy="rename the images or folders of one",
            )
        first[key] = label


def _like_classes(listing: Listing, counts: Counter[str]) -> bool:
    words = {word for label in counts for word in re.findall(r"[^\W\d_]+", label.casefold())}
    return 2 <= len(counts) <= MOST_CLASSES and words.isdisjoint(NO_LABELS) and not _has_label_files(listing)


def _has_label_files(listing: Listing) -> bool:
    """Whether files lie there that hold labels, or texts that belong to images."""
    stems = {PurePosixPath(name).stem for name in listing.images()}
    return any(
        path.suffix.lower() in LABEL_SUFFIXES or (path.suffix.lower() == ".txt" and path.stem in stems)
        for path in map(PurePosixPath, listing.names)
    )


def _in_pairs(folders: dict[str, list[str]]) -> bool:
    """Whether two folders hold files of the same stems and other suffixes: images and something made of them."""
    stems_of: dict[frozenset[str], frozenset[str]] = {}
    for names in folders.values():
        stems = frozenset(PurePosixPath(name).stem for name in names)
        suffixes = frozenset(PurePosixPath(name).suffix.lower() for name in names)
        if stems_of.setdefault(stems, suffixes) != suffixes:
            return True
    return False


def _some(counts: Counter[str]) -> str:
    shown = ", ".join(f"{label} ({count})" for label, count in counts.most_common(4))
    return f"{shown} and {len(counts) - 4} more" if len(counts) > 4 else shown


FILE_NAMES = Format(
    name="file_names",
    about="images whose names begin with their class (benign_998.jpg)",
    recognise=recognise_file_names,
    read=read_file_names,
    write=write_file_names,
)
CLASS_FOLDERS = Format(
    name="class_folders",
    about="a folder of images for each class (train/benign/998.jpg)",
    recognise=recognise_class_folders,
    read=read_class_folders,
    write=write_class_folders,
)
