"""What can be wrong with labels as a whole: images without, classes without, classes far apart in number."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator

from maskstream.data.checks.kinds import finding
from maskstream.data.checks.shapes import has_only_box, is_degenerate
from maskstream.data.dataset import ANNOTATIONS, Dataset
from maskstream.data.findings import Finding

IMBALANCE, STRONG_IMBALANCE = 3, 10
"""How many times as frequent as the rarest class the most frequent one is, to be told and to be warned of."""

SHOWN_CLASSES = 3
"""Classes of each end that a finding names."""


def check_labels(dataset: Dataset) -> Iterator[Finding]:
    """What is wrong with labels and classes as a whole."""
    place = dataset.folder / ANNOTATIONS
    if not dataset.images:
        yield finding("no-images", place, "none")
        return
    yield from _unlabelled(dataset)
    yield from _boxes_only(dataset)
    counts = class_counts(dataset)
    for class_id, name in enumerate(dataset.classes):
        if not counts[class_id]:
            yield finding("unused-class", f"{place}: categories: {name!r}", "none")
    yield from _similar(dataset)
    yield from _imbalance(dataset, counts)


def class_counts(dataset: Dataset) -> Counter[int]:
    """How many objects, and images as a whole, are of each class id."""
    counts = Counter(annotation.class_id for record in dataset.images for annotation in record.annotations)
    counts.update(record.class_id for record in dataset.images if record.class_id is not None)
    return counts


def _unlabelled(dataset: Dataset) -> Iterator[Finding]:
    place = dataset.folder / ANNOTATIONS
    classified = any(record.class_id is not None for record in dataset.images)
    for record in dataset.images:
        if record.class_id is not None:
            continue
        if not record.annotations:
            yield finding("image-without-label", f"{place}: {record.name}", "none", image=record.name)
        elif classified:
            yield finding("image-without-class", f"{place}: {record.name}", "objects only", image=record.name)


def _boxes_only(dataset: Dataset) -> Iterator[Finding]:
    annotations = (annotation for record in dataset.images for annotation in record.annotations)
    counts = Counter(has_only_box(annotation) for annotation in annotations if not is_degenerate(annotation))
    if counts[True]:
        code = "some-boxes-only" if counts[False] else "boxes-only"
        yield finding(code, dataset.folder / ANNOTATIONS, f"a box and no mask for {counts[True]} of {counts.total()}")


def _similar(dataset: Dataset) -> Iterator[Finding]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in dataset.classes:
        groups[re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())].append(name)
    for names in groups.values():
        if len(names) > 1:
            found = " and ".join(map(repr, names))
            yield finding("similar-classes", f"{dataset.folder / ANNOTATIONS}: categories", found)


def _imbalance(dataset: Dataset, counts: Counter[int]) -> Iterator[Finding]:
    ranked = [(dataset.classes[class_id], count) for class_id, count in counts.most_common()]
    if len(ranked) < 2:
        return
    ratio = ranked[0][1] / ranked[-1][1]
    if ratio < IMBALANCE:
        return
    shown = ranked
    if len(ranked) > 2 * SHOWN_CLASSES:
        shown = [*ranked[:SHOWN_CLASSES], ("...", 0), *ranked[-SHOWN_CLASSES:]]
    numbers = ", ".join(f"{name} {count}" if count else name for name, count in shown)
    code = "strong-class-imbalance" if ratio >= STRONG_IMBALANCE else "class-imbalance"
    yield finding(code, dataset.folder / ANNOTATIONS, f"{ratio:.1f} to 1 ({numbers})")
