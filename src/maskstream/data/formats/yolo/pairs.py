"""Which label file belongs to which image of a folder in one of YOLO's layouts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from maskstream.data.dataset import IMAGES
from maskstream.errors import DatasetError

LABELS = "labels"
IMAGE_FOLDERS = frozenset({IMAGES, "image", "imgs", "img", "jpegimages"})


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images with their label files.

    Attributes
    ----------
    label_of : label file of each image, None for an image without; in the order of the images.
    unpaired : text files that belong to no image.
    """

    label_of: dict[str, str | None]
    unpaired: tuple[str, ...]


def pair(folder: Path, images: Iterable[str], texts: Iterable[str]) -> Pairs:
    """Pair image and text files by their names below `folder`.

    The label file of `images/train/a.jpg` is `labels/train/a.txt`, that of `train/images/a.jpg` is
    `train/labels/a.txt`; else it lies beside the image, or in a folder whose name has "label" in it in place of one
    of `IMAGE_FOLDERS`.

    Raises
    ------
    DatasetError : an image has several label files, or several images have one.
    """
    images, texts = list(images), list(texts)
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    label_of = _matched(folder, {image: _usual_places(image) for image in images}, set(texts))
    for text in _rest(texts, label_of):
        by_key[label_key(text)].append(text)
    left = {image: by_key[image_key(image)] for image in images if image not in label_of}
    label_of |= _matched(folder, left, set(texts))
    return Pairs({image: label_of.get(image) for image in images}, tuple(_rest(texts, label_of)))


def _matched(folder: Path, places: Mapping[str, Sequence[str]], texts: Collection[str]) -> dict[str, str]:
    """The label files of those images that have one, of the places where it may be."""
    label_of: dict[str, str] = {}
    image_of: dict[str, str] = {}
    for image, candidates in places.items():
        found = [place for place in candidates if place in texts]
        if len(found) > 1:
            raise DatasetError(
                folder / image, expected="one label file", found=" and ".join(found), remedy="remove what is wrong"
            )
        if found and found[0] in image_of:
            raise DatasetError(
                folder / found[0],
                expected="one image of this name",
                found=f"{image_of[found[0]]} and {image}",
                remedy="rename one, and copy its label file",
            )
        if found:
            label_of[image], image_of[found[0]] = found[0], image
    return label_of


def _rest(texts: Iterable[str], label_of: Mapping[str, str]) -> list[str]:
    used = set(label_of.values())
    return [text for text in texts if text not in used]


def image_key(image: str) -> str:
    """The path of an image without suffix, and without the last folder that only says that images are in it."""
    path = PurePosixPath(image)
    return _without_last(path, [part.lower() in IMAGE_FOLDERS for part in path.parts[:-1]])


def label_key(text: str) -> str:
    """The path of a label file without suffix, and without the last folder that only says that labels are in it."""
    path = PurePosixPath(text)
    return _without_last(path, ["label" in part.lower() for part in path.parts[:-1]])


def names_of(images: Iterable[str]) -> dict[str, str]:
    """What images are called in the dataset: without the folder that only says so, where names stay different."""
    images = list(images)
    short = {image: image_key(image) + PurePosixPath(image).suffix for image in images}
    return short if len(set(short.values())) == len(images) else {image: image for image in images}


def _without_last(path: PurePosixPath, is_mere_kind: list[bool]) -> str:
    parts = list(path.with_suffix("").parts)
    if any(is_mere_kind):
        del parts[max(position for position, mere in enumerate(is_mere_kind) if mere)]
    return "/".join(parts)


def _usual_places(image: str) -> list[str]:
    """Where the label file is in most layouts: the last `images` in its path replaced, or beside."""
    beside = PurePosixPath(image).with_suffix(".txt")
    parts = list(beside.parts)
    if IMAGES not in parts[:-1]:
        return [beside.as_posix()]
    last = max(position for position, part in enumerate(parts[:-1]) if part == IMAGES)
    parts[last] = LABELS
    return ["/".join(parts), beside.as_posix()]
