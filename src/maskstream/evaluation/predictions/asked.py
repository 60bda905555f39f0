"""The images that predictions are asked about: how files may call them, and what is wrong with other images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from maskstream.data.dataset import Dataset
from maskstream.data.formats.coco.heading import Heading
from maskstream.data.formats.mask_folder.meaning import ONLY_CLASS
from maskstream.data.formats.mask_folder.names import key, last_part
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

SHOWN = 3
"""Names that an error lists; it counts the others."""


@dataclass(frozen=True, eq=False)
class Asked:
    """The images that answers are judged on.

    Attributes
    ----------
    dataset : whose classes and ids the answers use.
    records : the images.
    split : how they are called together.
    class_ids : class of each category id that `annotations.json` has.
    """

    dataset: Dataset
    records: tuple[ImageRecord, ...]
    split: str
    class_ids: Mapping[int, int]

    @classmethod
    def of(cls, dataset: Dataset, records: Sequence[ImageRecord], split: str, *, ignore_classes: bool = False) -> Asked:
        """Images of a dataset.

        Parameters
        ----------
        ignore_classes : all classes count as one, which is called "object", and images as a whole have none.
        """
        category_ids = [dataset.heading.category_id(class_id) for class_id in range(len(dataset.classes))]
        if not ignore_classes:
            return cls(dataset, tuple(records), split, {own: class_id for class_id, own in enumerate(category_ids)})
        images = {record.name: _without_classes(record) for record in dataset.images}
        merged = replace(dataset, classes=(ONLY_CLASS,), images=tuple(images.values()), heading=Heading())
        return cls(merged, tuple(images[record.name] for record in records), split, dict.fromkeys(category_ids, 0))

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the images."""
        return frozenset(record.name for record in self.records)

    @cached_property
    def _called(self) -> tuple[dict[str, list[str]], ...]:
        """Names of the dataset's images by what they may be called, the surest way first."""
        ways = []
        for way in (str, key, lambda name: PurePosixPath(name).name, last_part):
            names: defaultdict[str, list[str]] = defaultdict(list)
            for record in self.dataset.images:
                names[way(record.name)].append(record.name)
            ways.append(dict(names))
        return tuple(ways)

    def find(self, forms: Iterable[str], place: object) -> tuple[int, str] | None:
        """Which of the forms names an image of the dataset (by its path, with or without suffix and folder), and which.

        None when none does.

        Raises
        ------
        DatasetError : a form names several.
        """
        forms = tuple(forms)
        for names in self._called:
            for number, form in enumerate(forms):
                found = names.get(form, ())
                if len(found) > 1:
                    raise DatasetError(
                        place,
                        expected="the name of one image",
                        found=f"{form}, which {listed(found)} are called",
                        remedy="give the path below images/",
                    )
                if found:
                    return number, found[0]
        return None

    def refuse_others(self, place: object, names: Iterable[str]) -> None:
        """See that answers are of these images only.

        Raises
        ------
        DatasetError : they are of others as well, which it names.
        """
        others = [name for name in names if name not in self.names]
        if others:
            raise DatasetError(
                place,
                expected=f"answers to the {len(self.records)} images of split {self.split}",
                found=f"answers to {counted(others)}",
                remedy="choose the split that was predicted (--split all: every image), or leave these out",
            )

    def unanswered(self, names: Iterable[str]) -> list[str]:
        """The images that are not among the names."""
        answered = set(names)
        return [record.name for record in self.records if record.name not in answered]


def _without_classes(record: ImageRecord) -> ImageRecord:
    annotations = tuple(replace(annotation, class_id=0) for annotation in record.annotations)
    return replace(record, annotations=annotations, class_id=None)


def counted(others: Sequence[object]) -> str:
    """How many others there are, and the first few names."""
    return f"{len(others)} other{'s' if len(others) > 1 else ''}: {listed(others)}"


def listed(names: Sequence[object]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(str(name) for name in names[:SHOWN]) + more
