"""What the masks of a folder mean: their kind, their classes, and the class of each number or colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskstream.core.classes import Classes
from maskstream.core.parallel import ordered_map
from maskstream.data.formats.mask_folder.kinds import recognise_kind
from maskstream.data.formats.mask_folder.legend import Legend, folder_of
from maskstream.data.formats.mask_folder.objects import Objects, of_binary, of_classes, of_instances
from maskstream.data.formats.mask_folder.pairs import MaskFile
from maskstream.data.formats.mask_folder.pixels import (
    BACKGROUND,
    IGNORE,
    MaskKind,
    MaskPixels,
    colour_of,
    read_pixels,
    shown,
)
from maskstream.errors import DatasetError

ONLY_CLASS = "object"
"""Name of the only class where nobody names one."""

SAMPLES = 32
"""Masks that are looked at to recognise what all of them mean."""

MOST_CLASSES = 256
"""More colours than that are no classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What the masks of a folder mean.

    Attributes
    ----------
    kind : of all masks.
    why : why they are taken for it.
    classes : names of the classes.
    class_ids : class of each code, of masks that tell classes; None for one that means background.
    top : level of the objects, of two-valued masks.
    instances : class of each object by image and colour, where a file lists them.
    """

    kind: MaskKind
    why: str
    classes: Classes
    class_ids: Mapping[int, int | None] = field(default_factory=dict)
    top: int = IGNORE
    instances: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def read(self, path: Path) -> MaskPixels:
        """The pixels of a mask; grey and palettes stand for colours where colours are listed."""
        return read_pixels(path, as_colour=self.kind is MaskKind.CLASS_COLOUR or bool(self.instances))

    def objects(self, pixels: MaskPixels) -> Objects:
        """The objects in a mask, by code.

        Raises
        ------
        DatasetError : the mask is not of this kind, or has a code of no class.
        """
        if self.kind is MaskKind.BINARY:
            return of_binary(pixels, self.top)
        if self.kind is MaskKind.INSTANCE_COLOUR:
            return of_instances(pixels)
        return of_classes(pixels, self.class_ids.keys())

    def class_id(self, code: int, mask: MaskFile, image_name: str) -> int | None:
        """The class of an object; None for background.

        Raises
        ------
        DatasetError : a list of objects lacks this one.
        """
        if self.class_ids:
            return self.class_ids[code]
        if mask.class_name is not None:
            return [folder_of(name) for name in self.classes].index(folder_of(mask.class_name))
        if not self.instances:
            return 0
        name = self.instances.get((image_name, code))
        if name is None:
            raise DatasetError(
                mask.path,
                expected="colours that instances.csv lists for the image",
                found=shown(code, True),
                remedy="add the object to the list",
            )
        return self.classes.index(name)


def find_meaning(source: Path, files: Sequence[MaskFile], legend: Legend, kind_name: str | None) -> Meaning:
    """What these masks mean, all of one kind.

    Raises
    ------
    DatasetError : it is not clear; the error says what to pass.
    SourceError : a mask is damaged.
    """
    samples = [read_pixels(mask.path) for mask in files[:: -(-len(files) // SAMPLES)]]
    if kind_name is not None:
        kind, why = _named_kind(kind_name), "--mask-kind says so"
    elif any(mask.class_name for mask in files):
        kind, why = MaskKind.BINARY, "each class has its folder"
    else:
        kind, why = recognise_kind(samples, legend, source)
    if kind is MaskKind.BINARY:
        grey = [sample for sample in samples if not sample.is_colour]
        top = max((max(sample.solid_codes() or sample.all_codes()) for sample in grey), default=0) or IGNORE
        return Meaning(kind, why, _classes_by_folder(source, files, legend), top=top)
    if kind is MaskKind.INSTANCE_COLOUR:
        classes = legend.classes or (ONLY_CLASS,)
        if len(classes) > 1 and not legend.instances:
            raise _one_class(source, classes, "masks with a colour or number for each object")
        return Meaning(kind, why, classes, instances=legend.instances)
    return _classified(source, kind, why, files, legend)


def _named_kind(name: str) -> MaskKind:
    if name not in set(MaskKind):
        raise DatasetError("--mask-kind", expected=", ".join(MaskKind), found=repr(name), remedy="choose one")
    return MaskKind(name)


def _one_class(source: Path, classes: Classes, kind: str) -> DatasetError:
    return DatasetError(
        source,
        expected=f"one class for {kind}",
        found=f"{len(classes)}: {', '.join(classes[:6])}",
        remedy="pass one with --classes, or name the kind of the masks with --mask-kind",
    )


def _classes_by_folder(source: Path, files: Sequence[MaskFile], legend: Legend) -> Classes:
    """Classes of two-valued masks: a folder each, or one for all."""
    folders = dict.fromkeys(mask.class_name for mask in files)
    if set(folders) == {None}:
        if len(legend.classes) > 1:
            raise _one_class(source, legend.classes, "two-valued masks")
        return legend.classes or (ONLY_CLASS,)
    if None in folders:
        raise DatasetError(
            source,
            expected="every mask in the folder of its class",
            found="masks without",
            remedy="move them, or say which to take with --masks, such as masks/{class}/{stem}.png",
        )
    found = tuple(sorted(name for name in folders if name))
    classes = found if legend.from_user else legend.classes
    known = {folder_of(name) for name in classes}
    strange = [name for name in found if folder_of(name) not in known]
    if strange:
        raise DatasetError(
            source,
            expected=f"folders of the classes {', '.join(classes[:6])}",
            found=repr(strange[0]),
            remedy="rename the folder, or add the class to the file that names them",
        )
    return classes


def _classified(source: Path, kind: MaskKind, why: str, files: Sequence[MaskFile], legend: Legend) -> Meaning:
    """The class of each number or colour: as listed, else as found in all masks."""
    if kind is MaskKind.CLASS_COLOUR and legend.colours:
        ids = {code: legend.classes.index(name) if name else None for code, name in legend.colours.items()}
        return Meaning(kind, why, legend.classes, ids)
    if kind is MaskKind.INDEX and legend.classes:
        return Meaning(kind, why, legend.classes, {index: index - 1 for index in range(1, len(legend.classes) + 1)})
    found = _codes_of_areas(kind, files)
    names = legend.classes or tuple(
        str(code) if kind is MaskKind.INDEX else "#{:02x}{:02x}{:02x}".format(*colour_of(code)) for code in found
    )
    if len(names) != len(found) or not 0 < len(found) <= MOST_CLASSES:
        raise DatasetError(
            source,
            expected=f"masks with a colour for each of {len(names)} classes"
            if legend.classes
            else "colours of classes",
            found=f"{len(found)} colours, such as {shown(found[0], kind is MaskKind.CLASS_COLOUR)}"
            if found
            else "none",
            remedy="name all with --classes in the order in which they appear, or pass --mask-kind instance-colour",
        )
    return Meaning(kind, why, names, {code: class_id for class_id, code in enumerate(found)})


def _codes_of_areas(kind: MaskKind, files: Sequence[MaskFile]) -> list[int]:
    """Numbers in their order, or colours in the order in which they appear; what only edges have is left out."""

    def codes(mask: MaskFile) -> list[int]:
        return read_pixels(mask.path, as_colour=kind is MaskKind.CLASS_COLOUR).solid_codes()

    found = dict.fromkeys(code for several in ordered_map(codes, files) for code in several)
    if kind is MaskKind.CLASS_COLOUR:
        return [code for code in found if code != BACKGROUND]
    return sorted(code for code in found if code not in {BACKGROUND, IGNORE})
