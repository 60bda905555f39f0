"""The safe mends of `maskstream data check --fix`: what a program may do without asking.

Whatever is found with a `fix` is gone from the mended dataset; all else stays as it is, for a person to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskstream.core.polygons import clip
from maskstream.core.union_find import UnionFind
from maskstream.data.checks.check import Checked, usable_size_hw
from maskstream.data.checks.repeats import repeats
from maskstream.data.checks.shapes import (
    BoxXyxy,
    SizeHw,
    area_is_off,
    box_is_off,
    has_only_box,
    is_beyond,
    is_degenerate,
    is_flat,
    is_outside,
)
from maskstream.data.checks.splits import splits_by_image
from maskstream.data.dataset import Dataset, LeftOut
from maskstream.data.duplicates.search import DuplicatePair
from maskstream.data.records import Annotation, ImageRecord, Polygons
from maskstream.data.splits.file import EVALUATION_SPLITS
from maskstream.data.splits.proof import prove


def fix(checked: Checked) -> Dataset:
    """The dataset with the safe mends made, still to be saved elsewhere; `provenance.edits` says which.

    Raises
    ------
    DatasetError : `splits.json` or `dataset.json` is broken as a whole, so that nothing can be taken over from it.
    """
    if checked.broken_files:
        raise checked.broken_files[0].error()
    dataset = checked.dataset
    images = [_mended_image(record) for record in dataset.images if record.has_file or not record.stated_size_hw]
    dataset = _parted(dataset.with_images(images), checked.pairs)
    if checked.fixable and dataset.split_proof:
        dataset = replace(dataset, split_proof=prove(dataset, prints=checked.prints).model_dump())
    edits = tuple(
        f"check --fix: {code}: {what} ({count} {'time' if count == 1 else 'times'})"
        for (code, what), count in checked.fixable.items()
    )
    provenance = dataset.provenance.model_copy(update={"edits": dataset.provenance.edits + edits})
    return replace(dataset, provenance=provenance)


def _mended_image(record: ImageRecord) -> ImageRecord:
    size_hw = usable_size_hw(record)
    mended = [mend(annotation, size_hw) for annotation in record.annotations]
    kept = [annotation for annotation in mended if annotation is not None]
    if size_hw is not None:
        copies = {later for _, later, fault in repeats(kept, size_hw) if fault.code == "repeated-object"}
        kept = [annotation for index, annotation in enumerate(kept) if index not in copies]
    return replace(record, annotations=tuple(kept))


def mend(annotation: Annotation, size_hw: SizeHw | None) -> Annotation | None:
    """The object without what is certainly wrong with it; None when nothing of it is left.

    In an image of unknown size only what needs none is mended.
    """
    if has_only_box(annotation):
        return _mended_box(annotation, size_hw)
    if isinstance(annotation.segmentation, tuple):
        parts = _sound_parts(annotation.segmentation)
        if size_hw is not None and any(is_beyond(_extent_xyxy([part]), size_hw) for part in parts):
            parts = _sound_parts([clip(part, size_hw) for part in parts])
        if not parts:
            return None
        annotation = replace(annotation, segmentation=parts)
    if size_hw is None:
        return annotation.with_extent(None, annotation.area_px, None) if is_degenerate(annotation) else annotation
    mask = annotation.mask(size_hw)
    if not mask.bitmap.size:
        return None
    area_px = None if area_is_off(annotation, mask) else annotation.area_px
    if is_degenerate(annotation) or is_beyond(annotation.box_xyxy, size_hw) or box_is_off(annotation, mask, size_hw):
        return annotation.with_extent(None, area_px, size_hw)
    return replace(annotation, area_px=float(mask.area_px)) if area_px is None else annotation


def _mended_box(annotation: Annotation, size_hw: SizeHw | None) -> Annotation | None:
    box_xyxy = annotation.box_xyxy
    if is_degenerate(annotation) or (size_hw is not None and is_outside(box_xyxy, size_hw)):
        return None
    if size_hw is None or not is_beyond(box_xyxy, size_hw):
        return annotation
    x1, y1, x2, y2 = box_xyxy
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(size_hw[1])), min(y2, float(size_hw[0]))
    return replace(annotation, box_xyxy=(x1, y1, x2, y2), area_px=(x2 - x1) * (y2 - y1))


def _sound_parts(parts: Iterable[NDArray[np.float64]]) -> Polygons:
    return tuple(part for part in parts if len(part) >= 3 and not is_flat(part))


def _extent_xyxy(parts: Sequence[NDArray[np.float64]]) -> BoxXyxy:
    points = np.concatenate(parts)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def _parted(dataset: Dataset, pairs: Sequence[DuplicatePair]) -> Dataset:
    """Of images that are alike across splits those in training are left out: figures come from the others.

    What is alike over a third image counts as alike: of many copies not every pair is listed.
    """
    split_of = splits_by_image(dataset)
    left_out: list[LeftOut] = []
    for names in _clusters([pair for pair in pairs if pair.a in split_of and pair.b in split_of]):
        staying = next((split for split in EVALUATION_SPLITS if any(split_of[name] == split for name in names)), None)
        if staying is None:
            continue
        kept = next(name for name in names if split_of[name] == staying)
        reason = f"copy or near-duplicate of {kept} in {staying}"
        gone = [name for name in names if split_of[name] != staying]
        left_out += [LeftOut(image=name, split=split_of[name], reason=reason) for name in gone]
    if not left_out:
        return dataset
    names_out = {entry.image for entry in left_out}
    splits = {split: tuple(n for n in names if n not in names_out) for split, names in dataset.splits.items()}
    return replace(dataset, splits=splits, left_out=(*dataset.left_out, *left_out))


def _clusters(pairs: Sequence[DuplicatePair]) -> list[list[str]]:
    """Names of images that pairs link, directly or over others."""
    names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    index_of = {name: index for index, name in enumerate(names)}
    linked = UnionFind(len(names))
    for pair in pairs:
        linked.join(index_of[pair.a], index_of[pair.b])
    clusters: dict[int, list[str]] = {}
    for index, name in enumerate(names):
        clusters.setdefault(linked.find(index), []).append(name)
    return list(clusters.values())
