"""Folders of images and their masks: two-valued, numbers of classes, a colour a class, or a colour an object.

`pairs` finds the masks of each image by their names (`names`), `legend` reads what files say about them,
`kinds` and `meaning` tell what their pixels mean, `objects` takes these apart, and `write`
writes them.

A mask that knows no objects but classes gives one object for each class in the image; with `split_parts`, one for
each connected part. Two-valued masks are of the class "object" where nobody names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import Format, ReadOptions, assemble, splits_by_folder
from maskstream.data.formats.mask_folder.legend import read_legend
from maskstream.data.formats.mask_folder.meaning import Meaning, find_meaning
from maskstream.data.formats.mask_folder.objects import Objects, parts
from maskstream.data.formats.mask_folder.pairs import MaskedImage, Pairing, pair, video_of
from maskstream.data.formats.mask_folder.pixels import MaskKind
from maskstream.data.formats.mask_folder.write import IGNORED, NAME, write
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord, size_mismatch
from maskstream.errors import DatasetError
from maskstream.media.images import read_size_hw


@dataclass(frozen=True, slots=True, eq=False)
class _ReadImage:
    """An image with its objects, and what is to be told about its masks."""

    record: ImageRecord
    blurred_px: int
    ignored_px: int


def recognise(listing: Listing) -> str | None:
    """Whether there are masks with their images."""
    try:
        pairing = pair(listing)
    except DatasetError as error:  # masks they are, and reading them says what is wrong
        return f"masks, though not whose ({error})"
    if not pairing.paired:
        return None
    first = pairing.paired[0].masks[0].path.relative_to(listing.folder).as_posix()
    return f"masks of {len(pairing.paired)} of {len(pairing.images)} images, such as {first}"


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read a folder of images and masks. An image without a mask stays, without objects, and is told.

    Raises
    ------
    DatasetError : no mask has its image, it is not clear which mask belongs to which image or what the pixels
        mean, a mask has another size than its image, or a mask has a number or colour that stands for no class.
    SourceError : an image or a mask is damaged.
    """
    listing = list_folder(source)
    pairing = pair(listing, options.masks, options.images)
    if not pairing.paired:
        raise DatasetError(
            source,
            expected="masks with the names of their images",
            found=f"{len(pairing.images)} images and {len(pairing.lone_masks)} masks, none of them together",
            remedy="say where masks lie with --masks, such as masks/{stem}_mask.png, and images with --images",
        )
    files = [mask for image in pairing.paired for mask in image.masks]
    legend = read_legend(listing, options.classes, options.colours)
    meaning = find_meaning(source, files, legend, options.mask_kind)
    videos = video_of(image.name for image in pairing.images)
    read_one = partial(_read_image, meaning, videos, options.split_parts)
    done: list[_ReadImage] = []
    for answer in ordered_map(read_one, enumerate(pairing.images, start=1)):
        done.append(answer)
        if options.on_progress:
            options.on_progress(len(done), len(pairing.images))
    return assemble(
        source,
        NAME,
        meaning.classes,
        [answer.record for answer in done],
        splits=splits_by_folder(image.name for image in pairing.images),
        findings=[
            *listing.findings,
            _kind_note(source, meaning, len(files), options.split_parts),
            *_unpaired(pairing),
            *_pixel_notes(source, pairing, done),
            *_video_note(source, videos),
        ],
        arguments={"mask_kind": meaning.kind.value, "masks": options.masks, "split_parts": options.split_parts},
    )


def _read_image(
    meaning: Meaning, videos: Mapping[str, str], split_parts: bool, numbered: tuple[int, MaskedImage]
) -> _ReadImage:
    image_id, image = numbered
    size_hw = read_size_hw(image.path)
    split_parts = split_parts and meaning.kind is not MaskKind.INSTANCE_COLOUR
    by_class: list[tuple[int, CroppedMask, dict[str, Any]]] = []
    in_video = image.name in videos and meaning.kind is MaskKind.INSTANCE_COLOUR
    answers: list[Objects] = []
    for mask in image.masks:
        pixels = meaning.read(mask.path)
        if pixels.size_hw != size_hw:
            raise size_mismatch(mask.path, expected_hw=size_hw, found_hw=pixels.size_hw)
        answers.append(meaning.objects(pixels))
        for code, found in answers[-1].found:
            class_id = meaning.class_id(code, mask, image.name)
            if class_id is not None:
                # in a film an object keeps its colour from frame to frame
                by_class.append((class_id, found, {"track_id": code} if in_video else {}))
    ignored = masks.crop(masks.union([answer.ignored for answer in answers], size_hw))
    record = ImageRecord(
        image_id=image_id,
        name=image.name,
        path=image.path,
        stated_size_hw=size_hw,
        annotations=tuple(
            Annotation.from_mask(class_id, part, size_hw, attributes)
            for class_id, found, attributes in by_class
            for part in (parts(found) if split_parts else [found])
        ),
        group=videos.get(image.name),
        attributes={NAME: {IGNORED: masks.to_rle(ignored, size_hw)}} if ignored.area_px else {},
    )
    return _ReadImage(record, sum(answer.blurred_px for answer in answers), ignored.area_px)


def _kind_note(source: Path, meaning: Meaning, count: int, split_parts: bool) -> Finding:
    one_each = "one for each class in an image" if meaning.class_ids else "one a mask"
    if meaning.kind is MaskKind.INSTANCE_COLOUR:
        one_each = "one a colour"
    elif split_parts:
        one_each = "one for each connected part"
    return Finding(
        code="mask-kind",
        severity=Severity.NOTE,
        place=str(source),
        expected="masks of one kind",
        found=f"{count} {meaning.kind} masks ({meaning.why}); objects: {one_each}",
        remedy="pass --mask-kind if they mean something else",
    )


def _unpaired(pairing: Pairing) -> Iterator[Finding]:
    for image in pairing.lone_images:
        yield Finding(
            code="image-without-mask",
            severity=Severity.WARNING,
            place=str(image.path),
            expected="a mask",
            found="none; the image is kept as one without objects",
            remedy="add the mask, or take the image away if nobody looked at it",
            image=image.name,
        )
    for path in pairing.lone_masks:
        yield Finding(
            code="mask-without-image",
            severity=Severity.WARNING,
            place=str(path),
            expected="the image of the mask",
            found="none; the mask is left out",
            remedy="add the image, or take the mask away",
        )


def _pixel_notes(source: Path, pairing: Pairing, done: Sequence[_ReadImage]) -> Iterator[Finding]:
    for image, answer in zip(pairing.images, done, strict=True):
        if image.masks and not answer.record.annotations:
            yield Finding(
                code="empty-mask",
                severity=Severity.NOTE,
                place=str(image.masks[0].path),
                expected="an object",
                found="none; the image is kept as one without objects",
                remedy="correct the mask if there is one",
                image=image.name,
            )
    blurred = [answer.blurred_px for answer in done if answer.blurred_px]
    if blurred:
        yield Finding(
            code="blurred-mask-edges",
            severity=Severity.NOTE,
            place=str(source),
            expected="masks without in-between levels",
            found=f"{sum(blurred)} pixels of such levels in {len(blurred)} images; each counts to what is nearest",
            remedy="export the masks without smoothing to be exact",
        )
    ignored = [answer.ignored_px for answer in done if answer.ignored_px]
    if ignored:
        yield Finding(
            code="ignored-pixels",
            severity=Severity.NOTE,
            place=str(source),
            expected="a class for every pixel",
            found=f"{sum(ignored)} pixels of the number 255, of no certain class, in {len(ignored)} images",
            remedy="nothing; they are kept among the attributes of the images and are part of no object",
        )


def _video_note(source: Path, videos: Mapping[str, str]) -> Iterator[Finding]:
    if videos:
        yield Finding(
            code="grouped-by-folder",
            severity=Severity.NOTE,
            place=str(source),
            expected="a group for the frames of each film",
            found=f"images named by numbers in {len(set(videos.values()))} folders; each folder is taken for a film",
            remedy="nothing, if they are; groups are never torn across splits",
        )


FORMAT = Format(
    name=NAME,
    about="masks beside the images or in a folder (<name>_mask.png, masks/<name>.png)",
    recognise=recognise,
    read=read,
    write=write,
)
