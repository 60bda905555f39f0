"""What the names of images and masks say: which folders hold masks, and which image a mask may belong to.

A key names an image whatever its suffix, its spelling of accents, and the folder that only says `images`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from maskstream.media.images import IMAGE_SUFFIXES

FOLDERS_REMEMBERED = 10_000

_FOLDER_OF_MASKS = re.compile(
    r"(?:(?P<kept>.+)[ _-])?(?:masks?|segmentations?|segmentation(?:class|object)(?:png|raw)?|labels?|annotations?"
    r"|annots?|gts?|ground_?truths?)",
    re.IGNORECASE,
)
_FOLDER_OF_IMAGES = re.compile(
    r"(?:(?P<kept>.+)[ _-])?(?:images?|imgs?|(?:jpe?g|png)images|pictures?|photos?|frames?|rgb)", re.IGNORECASE
)
_MASK_ENDING = re.compile(
    r"[ ._-](?:masks?|segmentations?|seg|segm|labels?|annotations?|gt|ground_?truth|matte)(?:_\d+)?$", re.IGNORECASE
)


def has_mask_ending(name: str) -> bool:
    """Whether a file's name ends as those of masks do."""
    return _MASK_ENDING.search(split_path(name)[1]) is not None


def image_keys(name: str) -> Iterator[tuple[str, str | None]]:
    """The keys that the image of a mask may have, the surest first, and the class that its folder then tells."""
    folder, stem, _ = split_path(normal(name))
    ending = _MASK_ENDING.search(stem)
    inner = split_path(stem)
    stems = dict.fromkeys(
        (
            stem,
            stem[: ending.start()] if ending and ending.start() else stem,
            inner[1] if inner[2].lower() in IMAGE_SUFFIXES else stem,  # a.jpg.png is the mask of a.jpg
        )
    )
    for image_folder, class_name in _image_folders(folder):
        for kept in stems:
            yield _join(image_folder, kept), class_name


@lru_cache(maxsize=FOLDERS_REMEMBERED)
def _image_folders(folder: str) -> tuple[tuple[str, str | None], ...]:
    """The folders, as in keys, whose images a folder's masks may belong to, and the class that it then tells."""
    role = _role(folder, _FOLDER_OF_MASKS)
    if role is None:
        return (folder, None), (_without_role(folder), None)
    index, kept, below = role
    above = _parts(folder)[:index] + kept
    found = [("/".join(above + below), None), *([("/".join(above + below[1:]), below[0])] if below else [])]
    return tuple((shown, class_name) for path, class_name in found for shown in (path, _without_role(path)))


def _role(folder: str, role: re.Pattern[str]) -> tuple[int, tuple[str, ...], tuple[str, ...]] | None:
    """Which part of a path is such a folder, what its name tells beyond that (`train` of `train_masks`), the rest."""
    parts = _parts(folder)
    for index, part in enumerate(parts):
        match = role.fullmatch(part)
        if match:
            return index, (match["kept"],) if match["kept"] else (), parts[index + 1 :]
    return None


@lru_cache(maxsize=FOLDERS_REMEMBERED)
def lies_among_masks(folder: str) -> bool:
    """Whether a folder is one of masks, or below one."""
    return _role(folder, _FOLDER_OF_MASKS) is not None


@lru_cache(maxsize=FOLDERS_REMEMBERED)
def _without_role(folder: str) -> str:
    """A path without its folder that only says `images`."""
    role = _role(folder, _FOLDER_OF_IMAGES)
    return folder if role is None else "/".join((*_parts(folder)[: role[0]], *role[1], *role[2]))


def shown_name(name: str) -> str:
    """The name of an image in the dataset: its path without the folder that only says `images`."""
    folder, _, last = name.rpartition("/")
    return _join(_without_role(folder), last)


def key(name: str) -> str:
    """The key of an image: its name without suffix, and without the folder that only says `images`."""
    folder, stem, _ = split_path(normal(name))
    return _join(_without_role(folder), stem)


def last_part(name: str) -> str:
    """The key of an image where its folder counts for nothing."""
    return split_path(normal(name))[1]


def split_path(name: str) -> tuple[str, str, str]:
    """Folder, stem and suffix of a path with forward slashes; `pathlib` takes many times as long."""
    folder, _, last = name.rpartition("/")
    stem, dot, suffix = last.rpartition(".")
    return (folder, stem, dot + suffix) if stem else (folder, last, "")


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/")) if folder else ()


def _join(folder: str, last: str) -> str:
    return f"{folder}/{last}" if folder else last


def normal(key: str) -> str:
    """macOS takes letters with accents apart; zips made there mix both spellings."""
    return unicodedata.normalize("NFC", key)
