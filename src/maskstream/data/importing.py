"""From labels in any known format to a dataset folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskstream.core.classes import Classes
from maskstream.core.parallel import OnProgress
from maskstream.data.box_masks import with_box_masks
from maskstream.data.dataset import Dataset
from maskstream.data.fetch import KAGGLE, local_source
from maskstream.data.findings import Finding
from maskstream.data.formats.format import Format, ReadOptions
from maskstream.data.formats.known_formats import FORMATS
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import ImageRecord
from maskstream.data.video_groups import with_video_groups
from maskstream.errors import DatasetError

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Imported:
    """A dataset that was imported, and how.

    Attributes
    ----------
    dataset : as it lies on disk.
    format : name of the format it came from.
    recognised : why it was taken for that format; None when the user named it.
    """

    dataset: Dataset
    format: str
    recognised: str | None


def import_dataset(
    source: str,
    out: Path,
    format_name: str = AUTO,
    options: ReadOptions | None = None,
    *,
    name: str | None = None,
    licence: str | None = None,
    allow_private: bool = False,
    on_fetch: OnProgress | None = None,
    on_copy: OnProgress | None = None,
) -> Imported:
    """Import labelled images into a dataset folder, which appears whole or not at all.

    Images that `maskstream frames` chose get the video they come from as their group.

    Parameters
    ----------
    source : folder, annotation file, zip file, https address, or `kaggle:owner/name`; it is not changed.
    out : folder to make; must be new or empty.
    format_name : key of `FORMATS`, or "auto" to recognise it.
    options : what the format needs to be told.
    name, licence : of the dataset, where the format does not know them.
    allow_private : addresses of this machine and of private networks may be downloaded from.
    on_fetch : told how many bytes are downloaded, or files of a zip unpacked.
    on_copy : told how many images are copied.

    Raises
    ------
    DatasetError : nothing recognised, or labels that are broken or contradict themselves.
    SourceError : an image is missing or damaged, or an address cannot be read.
    OutputError : `out` is in use or cannot be written.
    MissingDependency : Kaggle's client is asked for and not installed.
    """
    options = options or ReadOptions()
    with tempfile.TemporaryDirectory(prefix="maskstream-import-") as work:
        path = local_source(source, Path(work), on_fetch, allow_private=allow_private)
        chosen, why = recognise(path) if format_name == AUTO else (_named(format_name), None)
        if chosen.read is None:
            raise DatasetError(
                format_name, expected="a format that can be read", found="one that can only be written", remedy=_KNOWN
            )
        dataset = keep_classes(chosen.read(path, options), options.classes)
        images = with_video_groups(_with_masks(dataset.images, options))
        provenance = dataset.provenance.model_copy(
            update={
                "name": name or dataset.provenance.name,
                "licence": licence or dataset.provenance.licence,
                "findings": tuple(_below(path.parent, finding) for finding in dataset.provenance.findings),
                "source": _told_source(source, path, dataset.provenance.source),
            }
        )
        saved = replace(dataset.with_images(images), provenance=provenance).save(out, on_copy)
    return Imported(saved, chosen.name, why)


_KNOWN = "see the formats that `maskstream data import --help` lists"


def recognise(source: Path) -> tuple[Format, str]:
    """The format of a folder or file, and why it is taken for it.

    Raises
    ------
    DatasetError : it is of no known format.
    """
    listing = list_folder(source) if source.is_dir() else Listing(source.parent, (source.name,))
    for candidate in FORMATS.values():
        why = candidate.recognise(listing) if candidate.recognise else None
        if why:
            return candidate, why
    raise DatasetError(
        source, expected="labels in a known format", found=_suffixes(listing), remedy=f"name it with --format; {_KNOWN}"
    )


def keep_classes(dataset: Dataset, classes: Classes) -> Dataset:
    """The dataset with these classes alone, in this order; all of them when none are named.

    Objects of other classes go. An image stays without them, as one that shows nothing of interest, unless
    it is of another class as a whole.

    Raises
    ------
    DatasetError : a class is not in the dataset.
    """
    if not classes or classes == dataset.classes:
        return dataset
    unknown = [name for name in classes if name not in dataset.classes]
    if unknown:
        raise DatasetError(
            dataset.folder,
            expected=f"classes among {', '.join(dataset.classes)}",
            found=", ".join(unknown),
            remedy="correct --classes",
        )
    kept = [dataset.classes.index(name) for name in classes]
    new_ids = {old: new for new, old in enumerate(kept)}
    images = [_renumbered(image, new_ids) for image in dataset.images if image.class_id in {None, *kept}]
    return replace(dataset.with_images(images), classes=classes, heading=dataset.heading.keeping(kept))


def _renumbered(image: ImageRecord, new_ids: dict[int, int]) -> ImageRecord:
    annotations = tuple(
        replace(annotation, class_id=new_ids[annotation.class_id])
        for annotation in image.annotations
        if annotation.class_id in new_ids
    )
    class_id = None if image.class_id is None else new_ids[image.class_id]
    return replace(image, annotations=annotations, class_id=class_id)


def _with_masks(images: Sequence[ImageRecord], options: ReadOptions) -> Sequence[ImageRecord]:
    """The images with masks for their boxes, where there are boxes alone."""
    boxes_alone = any(not annotation.segmentation for image in images for annotation in image.annotations)
    return with_box_masks(images, options.box_shape, options.on_progress) if boxes_alone else images


def _below(folder: Path, finding: Finding) -> Finding:
    """The finding with its place as a path below a folder: where that lay says nothing to whoever reads it later."""
    return finding.model_copy(update={"place": finding.place.removeprefix(f"{folder}/")})


def _told_source(source: str, path: Path, told_by_format: str) -> str:
    """An address without its query, which may hold a key; what the format knows; else the name of the path."""
    if "://" in source or source.startswith(KAGGLE):
        return source.split("?")[0]
    return told_by_format if told_by_format != path.name else Path(source).name


def _named(name: str) -> Format:
    if name not in FORMATS:
        raise DatasetError("--format", expected=f"one of {', '.join(FORMATS)}", found=repr(name), remedy="choose one")
    return FORMATS[name]


def _suffixes(listing: Listing) -> str:
    """What lies there, by suffix, the most frequent first."""
    counts: dict[str, int] = {}
    for name in listing.names:
        suffix = Path(name).suffix.lower() or "without suffix"
        counts[suffix] = counts.get(suffix, 0) + 1
    most: Sequence[tuple[str, int]] = sorted(counts.items(), key=lambda item: -item[1])[:5]
    found = ", ".join(f"{count} {suffix}" for suffix, count in most)
    empty = [name for name in listing.names if (listing.folder / name).stat().st_size == 0]
    return (f"files: {found}" if found else "no file") + (f"; {empty[0]} is empty" if empty else "")
