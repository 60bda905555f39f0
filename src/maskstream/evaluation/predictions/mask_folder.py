"""A folder of mask pictures as Detections, named and drawn in any way that the importer of mask folders knows.

Two-valued masks are of the only class there is, or of the class whose folder they lie in; numbers and colours stand for
classes, in the order of the dataset's or as files beside the masks say; with a colour for each object every object
counts on its own. A mask says nothing about scores: what it shows is certain, with a score and a probability of 1.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.files import sha256
from maskstream.core.masks import CroppedMask
from maskstream.data.formats.mask_folder.legend import Legend, read_legend
from maskstream.data.formats.mask_folder.meaning import Meaning, find_meaning
from maskstream.data.formats.mask_folder.names import has_mask_ending, image_keys, lies_among_masks
from maskstream.data.formats.mask_folder.pairs import MASK_SUFFIXES, MaskFile
from maskstream.data.formats.mask_folder.pixels import MaskKind
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import ImageRecord, size_mismatch
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.instance import MAX_DETECTIONS
from maskstream.evaluation.predictions.asked import Asked, listed
from maskstream.evaluation.predictions.results import SCORE_THRESHOLD
from maskstream.evaluation.verdict import Metrics


class MaskAnswers:
    """The regions or objects that masks show.

    Parameters
    ----------
    folder : of the masks.
    asked : the images; the folder has masks of none but these. Those that it lacks show nothing, and are counted.
    task : whether objects are judged, or which pixels belong to a class; None: objects where each has its own colour.

    Raises
    ------
    DatasetError : the folder has no masks, or masks of no image or of images not asked about; two masks claim one image
        and class; or it is not clear what the pixels mean.
    SourceError : a mask is damaged.
    """

    calibration: Calibration | None = None
    score_threshold: float = SCORE_THRESHOLD
    score_floor: float = 0.0
    max_detections: int = MAX_DETECTIONS

    def __init__(self, folder: Path, asked: Asked, task: Literal["instance", "semantic"] | None = None) -> None:
        self.name = folder.resolve().name
        listing = list_folder(folder)
        self._masks = _by_image(listing, asked)
        files = [mask for several in self._masks.values() for mask in several]
        legend = read_legend(listing, asked.dataset.classes, {})
        self._meaning = _meaning(folder, files, legend)
        self.classes: Classes = self._meaning.classes
        objects = self._meaning.kind is MaskKind.INSTANCE_COLOUR
        self.task: Literal["instance", "semantic"] = task or ("instance" if objects else "semantic")
        self.facts: Metrics = {
            "model": self.name,
            "predictions": folder.name,
            "predictions_sha256": _digest(folder, files),
            "n_predictions": len(files),
            "n_without_answer": len(asked.unanswered(self._masks)),
            "mask_kind": self._meaning.kind.value,
        }

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """What the masks of an image show.

        Raises
        ------
        DatasetError : a mask is of another size than the image, or has a number or colour of no class.
        SourceError : it is damaged.
        """
        found = list(self._objects(record))
        if not found:
            return Detections.empty(self.classes, record.size_hw)
        boxes = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for _, m in found]
        return Detections(
            boxes_xyxy=np.array(boxes, np.float32),
            masks=tuple(mask for _, mask in found),
            scores=np.ones(len(found), np.float32),
            probabilities=np.eye(len(self.classes), dtype=np.float32)[[class_id for class_id, _ in found]],
            track_ids=np.zeros(len(found), np.int64),
            classes=self.classes,
            size_hw=record.size_hw,
        )

    def _objects(self, record: ImageRecord) -> Iterator[tuple[int, CroppedMask]]:
        for mask in self._masks.get(record.name, ()):
            pixels = self._meaning.read(mask.path)
            if pixels.size_hw != record.size_hw:
                raise size_mismatch(mask.path, expected_hw=record.size_hw, found_hw=pixels.size_hw)
            for code, cropped in self._meaning.objects(pixels).found:
                class_id = self._meaning.class_id(code, mask, record.name)
                if class_id is not None:
                    yield class_id, cropped


def has_masks(folder: Path) -> bool:
    """Whether a folder holds pictures, which may be masks."""
    return folder.is_dir() and bool(_mask_names(list_folder(folder)))


def _mask_names(listing: Listing) -> list[str]:
    """The pictures below folders of masks, else those whose names end as those of masks, else all."""
    names = [name for name in listing.names if Path(name).suffix.lower() in MASK_SUFFIXES]
    among = [name for name in names if lies_among_masks(name.rpartition("/")[0])]
    return among or [name for name in names if has_mask_ending(name)] or names


def _by_image(listing: Listing, asked: Asked) -> dict[str, list[MaskFile]]:
    """The masks of each image by its name."""
    by_image: defaultdict[str, list[MaskFile]] = defaultdict(list)
    strange = []
    for name in _mask_names(listing):
        path = listing.folder / name
        # the folder itself is one of masks, whatever it is called
        shown = name if lies_among_masks(name.rpartition("/")[0]) else f"masks/{name}"
        keys = list(image_keys(shown))
        found = asked.find((form for form, _ in keys), path)
        if found is None:
            strange.append(name)
        else:
            number, image = found
            by_image[image].append(MaskFile(path, keys[number][1]))
    if strange or not by_image:
        raise DatasetError(
            listing.folder,
            expected="pictures of masks, named like the images of the dataset",
            found=f"{len(strange)} of other names: {listed(strange)}" if strange else "none",
            remedy="rename them or take them out",
        )
    asked.refuse_others(listing.folder, by_image)
    for several in by_image.values():
        _refuse_two_of_one_class(several)
    return dict(by_image)


def _refuse_two_of_one_class(masks: Sequence[MaskFile]) -> None:
    """See that an image has one mask, or one for each class, or numbered ones of one name."""
    by_class: dict[str | None, str] = {}
    for mask in masks:
        name = re.sub(r"_\d+$", "", mask.path.with_suffix("").as_posix())
        if by_class.setdefault(mask.class_name, name) != name:
            raise DatasetError(
                mask.path,
                expected="one mask for each image and class, or numbered ones",
                found=f"another of the same image, {by_class[mask.class_name]}",
                remedy="take one of them out, or give each class a folder",
            )


def _meaning(folder: Path, files: Sequence[MaskFile], legend: Legend) -> Meaning:
    """What the pixels mean, with remedies that are to be had here.

    A single level could be that of the first of several classes, or of objects of any class: where nobody names the
    classes of the masks, that is no guess to make.
    """
    several = len(legend.classes) > 1
    try:
        meaning = find_meaning(folder, files, legend, None)
    except DatasetError as error:
        if several and _only_level(folder, files) is not None:
            raise _tells_no_classes(folder, legend) from error
        remedy = "say it in classes.txt, label_colors.txt or instances.csv beside the masks"
        raise DatasetError(error.place, expected=error.expected, found=error.found, remedy=remedy) from error
    if (
        several
        and meaning.kind is MaskKind.INDEX
        and legend.from_user
        and _only_level(folder, files) in meaning.class_ids
    ):
        raise _tells_no_classes(folder, legend)
    return meaning


def _only_level(folder: Path, files: Sequence[MaskFile]) -> int | None:
    """The level of the objects in masks that look two-valued to somebody who knows no classes."""
    try:
        meaning = find_meaning(folder, files, Legend(), None)
    except DatasetError:
        return None
    return meaning.top if meaning.kind is MaskKind.BINARY else None


def _tells_no_classes(folder: Path, legend: Legend) -> DatasetError:
    return DatasetError(
        folder,
        expected=f"masks that tell the classes {', '.join(legend.classes[:6])} apart",
        found="two-valued masks, which tell none",
        remedy="pass --ignore-classes to judge all classes as one, put each class's masks into its folder, or list the "
        "classes of the levels in classes.txt beside the masks",
    )


def _digest(folder: Path, files: Sequence[MaskFile]) -> str:
    """Hash of the masks' names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(mask.path for mask in files):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()
