"""What a page about a dataset says in words: its first sentence, what to mind, and how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.splits.proof import Proof
from maskstream.data.statistics.collect import DatasetStatistics
from maskstream.reports.facts import Fact
from maskstream.reports.words import counted, number, shown

LISTED = 8
"""Values of a list that are written out; the page gives the number of the others."""


def classes_counted(count: int) -> str:
    """`1 class`, `2 classes`."""
    return f"{number(count)}\u00a0{'class' if count == 1 else 'classes'}"


def verdict(statistics: DatasetStatistics) -> str:
    """The first sentence: how much there is of what."""
    images, objects = len(statistics.images.place), int(statistics.images.objects.sum())
    labelled = int(statistics.images_of().sum())
    if not labelled:
        return f"{_with_objects(statistics, images, objects)}."
    classes = classes_counted(_used(statistics.images_of()))
    if objects:
        return f"{_with_objects(statistics, images, objects)}; {counted(labelled, 'image')} of {classes} as a whole."
    if labelled == images:
        return f"{counted(images, 'image')} of {classes}, labelled as a whole."
    return f"{counted(images, 'image')}, of which {number(labelled)} labelled as a whole, of {classes}."


def _with_objects(statistics: DatasetStatistics, images: int, objects: int) -> str:
    classes = classes_counted(_used(statistics.instances()))
    return f"{counted(images, 'image')} with {counted(objects, 'labelled object')} of {classes}"


def _used(table: NDArray[np.int64]) -> int:
    """Classes that occur in a table (classes, places)."""
    return int((table.sum(axis=1) > 0).sum())


def notices(statistics: DatasetStatistics, loading: Sequence[Finding]) -> list[str]:
    """What a reader must mind, the gravest first."""
    images, objects = statistics.images, statistics.objects
    torn, missing, unreadable = map(len, (statistics.torn_groups, statistics.missing, statistics.unreadable))
    unlabelled = int(((images.objects + images.crowds == 0) & (images.class_id < 0)).sum())
    box_alone = int((objects.box_alone & ~objects.crowd).sum())
    counts = statistics.instances().sum(axis=1) + statistics.images_of().sum(axis=1)
    empty = [name for name, count in zip(statistics.classes, counts.tolist(), strict=True) if not count]
    degenerate = int((~np.isfinite(objects.aspect)).sum())
    said = [
        (torn, f"{counted(torn, 'group')} with images in more than one split: figures from these splits are too good."),
        (len(loading), f"{counted(len(loading), 'fault')} in the dataset's files; the entries are not counted here."),
        (missing, f"{counted(missing, 'image')} not there (yet): labels are counted, colours are not."),
        (unreadable, f"{counted(unreadable, 'image')} that cannot be read: labels are counted, colours are not."),
        (degenerate, f"{counted(degenerate, 'object')} with a box that has no width or no height."),
        (box_alone, f"{counted(box_alone, 'object')} known by box alone: area of the box, and no colour."),
        (unlabelled, f"{counted(unlabelled, 'image')} without any label."),
        (len(empty), f"{classes_counted(len(empty))} without a label: {listed(empty)}."),
    ]  # fmt: skip
    return [sentence for count, sentence in said if count]


def listed(values: Sequence[object]) -> str:
    """`a, b and 3 more`."""
    text = ", ".join(map(str, values[:LISTED]))
    return f"{text} and {number(len(values) - LISTED)} more" if len(values) > LISTED else text


def fact_groups(dataset: Dataset, statistics: DatasetStatistics) -> list[tuple[str, list[Fact]]]:
    """How the dataset came about, as named facts in groups; what is not known is left out."""
    provenance = dataset.provenance
    groups = {
        "Source": [
            ("From", provenance.source),
            ("Licence", provenance.licence),
            ("Terms", provenance.licence_url),
            ("Format", provenance.importer),
            *((f"Import: {name.replace('_', ' ')}", shown(value)) for name, value in provenance.arguments.items()),
        ],
        "Dataset": [
            ("Made", provenance.created),
            ("maskstream", provenance.maskstream),
            *((f"SHA-256 {name}", digest) for name, digest in provenance.sha256.items()),
            *((f"Edit {place}", edit) for place, edit in enumerate(provenance.edits, start=1)),
        ],
        "Labels": [(maker, number(count)) for maker, count in _label_makers(statistics)],
        "Groups": _group_facts(statistics),
    }
    known = {title: [(name, value) for name, value in rows if value] for title, rows in groups.items()}
    return [(title, rows) for title, rows in known.items() if rows]


def _label_makers(statistics: DatasetStatistics) -> list[tuple[str, int]]:
    """Annotations by who made them; nothing where none tells."""
    makers = list(Counter(statistics.label_makers).most_common())
    untold = len(statistics.objects.crowd) - sum(count for _, count in makers)
    return [*makers, ("not told", untold)] if makers and untold else makers


def _group_facts(statistics: DatasetStatistics) -> list[Fact]:
    sizes = np.array(list(statistics.group_sizes.values()), np.int64)
    if not sizes.size:
        return []
    without = len(statistics.images.place) - int(sizes.sum())
    return [
        ("Groups", number(len(sizes))),
        ("Images in a group", f"median {np.median(sizes):g}, at most {number(int(sizes.max()))}"),
        ("In no group", number(without) if without else ""),
        ("In several splits", listed(statistics.torn_groups) or "none"),
    ]


def proof_sentence(dataset: Dataset) -> str | None:
    """What the proof of the splits comes to; None where there is none, or one that is not `data split`'s."""
    try:
        proof = Proof.model_validate(dict(dataset.split_proof))
    except ValidationError:
        return None
    searched = proof.duplicates
    if proof.leaks:
        pairs = searched.identical_pairs + searched.near_pairs if searched else 0
        torn = counted(proof.groups_torn, "group")
        return f"These splits leak: {torn} and {counted(pairs, 'pair')} of (near-)duplicates lie across them."
    if searched is None:
        return "No group is in two splits; near-duplicates were not looked for."
    sentence = "No group and no near-duplicate is in two splits."
    not_compared = searched.not_there + len(searched.unreadable)
    return f"{sentence} {counted(not_compared, 'image')} could not be compared." if not_compared else sentence


def named_facts(facts: Mapping[str, Any], above: str = "") -> list[Fact]:
    """A split's rule or proof, whatever it holds, as lines to read; what is nested is named by its path.

    Plain values two levels down, such as the counts of the classes in a split, share a line.
    """
    lines: list[Fact] = []
    for name, value in facts.items():
        title = f"{above}{name.replace('_', ' ')}"
        if isinstance(value, Mapping) and value:
            plain = not any(isinstance(inner, Mapping | list | tuple) for inner in value.values())
            if above and plain:
                lines.append((title, listed([f"{key} {shown(inner)}" for key, inner in value.items()])))
            else:
                lines += named_facts(value, f"{title}: ")
        elif isinstance(value, Mapping | list | tuple):
            lines.append((title, listed([shown(entry) for entry in value]) or "none"))
        else:
            lines.append((title, "not known" if value is None else shown(value)))
    return lines


def findings_by_kind(findings: Sequence[Finding]) -> list[tuple[str, str, int, str]]:
    """Kind, severity, number and the first one in full, most frequent first."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.code, finding)
    counts = Counter(finding.code for finding in findings)
    return [(code, first[code].severity.value, count, str(first[code])) for code, count in counts.most_common()]
