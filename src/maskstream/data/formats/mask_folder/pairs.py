"""Which mask files belong to which images, by their names and folders alone.

Recognised: masks beside the images (`a.jpg`, `a_mask.png`, `a_segmentation.png`), masks in a folder of their own
(`masks/a.png`, `Annotations/film/00000.png`, `train_masks/a_mask.png`), below it a folder for each class
(`masks/cat/a.png`), and several masks of one image, numbered (`a_mask_1.png`). Any other pattern must be named.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from maskstream.data.formats.format import SPLIT_FOLDERS
from maskstream.data.formats.mask_folder.names import (
    has_mask_ending,
    image_keys,
    key,
    last_part,
    lies_among_masks,
    normal,
    shown_name,
    split_path,
)
from maskstream.data.listing import Listing, list_folder
from maskstream.errors import DatasetError
from maskstream.media.images import IMAGE_SUFFIXES

MASK_SUFFIXES = IMAGE_SUFFIXES | {".gif"}


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask file, and the class whose folder it lies in (None when it lies in no such folder)."""

    path: Path
    class_name: str | None = None


@dataclass(frozen=True, slots=True)
class MaskedImage:
    """An image under its name in the dataset, and its masks; none where no mask was found."""

    name: str
    path: Path
    masks: tuple[MaskFile, ...]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every image with its masks, and the masks that no image was found for; `lone_images` have no mask."""

    images: tuple[MaskedImage, ...]
    lone_masks: tuple[Path, ...]

    @property
    def paired(self) -> tuple[MaskedImage, ...]:
        """The images that have a mask."""
        return tuple(image for image in self.images if image.masks)

    @property
    def lone_images(self) -> tuple[MaskedImage, ...]:
        """The images that have none."""
        return tuple(image for image in self.images if not image.masks)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the name of a mask says about its image: keys that the image may have, the surest first."""

    mask: MaskFile
    keys: tuple[tuple[str, str | None], ...]


def pair(listing: Listing, pattern: str | None = None, images_folder: Path | None = None) -> Pairing:
    """Pair the masks of a folder with their images.

    Where no mask finds an image by its path below the folder of masks, file names alone decide.

    Parameters
    ----------
    pattern : path of the masks below the folder, with `{stem}` for the image's name and, where each class has
        masks of its own, `{class}`; None to recognise it.
    images_folder : where the images lie when not below the listed folder.

    Raises
    ------
    DatasetError : the pattern is none, two images lay claim to one mask, or two masks to one image.
    """
    by_name = [partial(_by_folder, listing), partial(_by_ending, listing)]
    ways = [partial(_by_pattern, listing, pattern)] if pattern else by_name
    for key_of in (key, last_part):
        for claims in ways:
            pairing = _paired(listing, claims(), images_folder, key_of)
            if pairing.paired:
                return pairing
    return pairing


def video_of(names: Iterable[str]) -> dict[str, str]:
    """The folder of each image that is a frame of a film: images named by numbers alone, in a folder of their own.

    A folder that only tells the split is none.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[PurePosixPath(name).parent.as_posix()].append(name)
    return {
        name: folder
        for folder, members in by_folder.items()
        if re.sub(r"\d+$", "", PurePosixPath(folder).name) not in {"", *SPLIT_FOLDERS}
        and all(re.fullmatch(r"(?:frame[ _-]?)?\d+", PurePosixPath(name).stem, re.IGNORECASE) for name in members)
        for name in members
    }


def _by_folder(listing: Listing) -> list[_Claim]:
    return [
        _Claim(MaskFile(listing.folder / name), tuple(image_keys(name)))
        for name in _mask_names(listing)
        if lies_among_masks(name.rpartition("/")[0])
    ]


def _by_ending(listing: Listing) -> list[_Claim]:
    return [
        _Claim(MaskFile(listing.folder / name), tuple(image_keys(name)))
        for name in _mask_names(listing)
        if has_mask_ending(name)
    ]


def _by_pattern(listing: Listing, pattern: str) -> list[_Claim]:
    path = PurePosixPath(pattern)
    words = re.split(r"(\{stem\}|\{class\})", pattern)
    if (
        words.count("{stem}") != 1
        or words.count("{class}") > 1
        or re.search(r"[{}\\]", "".join(words[::2]))
        or path.is_absolute()
        or ".." in path.parts
    ):
        raise DatasetError(
            "--masks",
            expected="a path inside the source with {stem} once, such as masks/{stem}_mask.png",
            found=repr(pattern),
            remedy="correct the pattern",
        )
    parts = {"{stem}": "(?P<stem>.+)", "{class}": "(?P<class>[^/]+)"}
    expression = re.compile("".join(parts.get(word, re.escape(word)) for word in words))
    found = ((name, expression.fullmatch(name)) for name in listing.names)
    claims = [
        _Claim(MaskFile(listing.folder / name, match.groupdict().get("class")), ((normal(match["stem"]), None),))
        for name, match in found
        if match
    ]
    if not claims:
        raise DatasetError(
            "--masks", expected="a pattern of mask files", found=f"none like {pattern!r}", remedy="correct the pattern"
        )
    return claims


def _paired(
    listing: Listing, claims: Sequence[_Claim], images_folder: Path | None, key_of: Callable[[str], str]
) -> Pairing:
    taken = {claim.mask.path for claim in claims}
    images = {name: path for name, path in _image_files(listing, images_folder) if path not in taken}
    # a second folder of masks that no pattern asked for holds no images
    images = {name: path for name, path in images.items() if not lies_among_masks(name.rpartition("/")[0])} or images
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    for name in images:
        by_key[key_of(name)].append(name)
    masks: defaultdict[str, list[MaskFile]] = defaultdict(list)
    lone = []
    for claim in claims:
        found = _claimed(claim, by_key, key_of)
        if found is None:
            lone.append(claim.mask.path)
        else:
            name, mask = found
            masks[name].append(mask)
    for several in masks.values():
        _check_one_series(several)
    return Pairing(
        tuple(MaskedImage(shown_name(name), path, tuple(masks.get(name, ()))) for name, path in images.items()),
        tuple(lone),
    )


def _claimed(
    claim: _Claim, by_key: Mapping[str, list[str]], key_of: Callable[[str], str]
) -> tuple[str, MaskFile] | None:
    """The image that a mask belongs to, and the mask with the class that its folder tells."""
    for image_key, class_name in claim.keys:
        names = by_key.get(key_of(f"{image_key}.png"), [])
        if len(names) > 1:
            raise DatasetError(
                claim.mask.path,
                expected="one image for the mask",
                found=" and ".join(names[:2]),
                remedy="rename or remove one, or say where masks lie with --masks",
            )
        if names:
            return names[0], MaskFile(claim.mask.path, claim.mask.class_name or class_name)
    return None


def _check_one_series(masks: Sequence[MaskFile]) -> None:
    """Several masks of one image are of different classes, or numbered parts of one series."""
    counts = Counter((m.class_name, re.sub(r"_\d+$", "", m.path.with_suffix("").as_posix())) for m in masks)
    if len(counts) > len({class_name for class_name, _ in counts}):
        raise DatasetError(
            masks[0].path,
            expected="one mask for each image and class, or numbered ones",
            found=f"another of the same image, {masks[1].path}",
            remedy="say which to take with --masks, such as masks/{stem}.png",
        )


def _image_files(listing: Listing, images_folder: Path | None) -> Iterator[tuple[str, Path]]:
    """Names and paths of all files that are images by their suffix, masks among them."""
    if images_folder is None or images_folder.resolve() == listing.folder.resolve():
        source = listing
    elif images_folder.resolve().is_relative_to(listing.folder.resolve()):
        below = images_folder.resolve().relative_to(listing.folder.resolve()).as_posix() + "/"
        source = Listing(listing.folder, tuple(name for name in listing.names if name.startswith(below)))
    else:
        source = list_folder(images_folder)
    return ((name, source.folder / name) for name in source.images())


def _mask_names(listing: Listing) -> Iterator[str]:
    return (name for name in listing.names if split_path(name)[2].lower() in MASK_SUFFIXES)
