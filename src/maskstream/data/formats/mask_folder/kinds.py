"""What the pixels of a folder's masks mean: as files beside them say, else as the masks look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from maskstream.data.formats.mask_folder.legend import INSTANCES, Legend
from maskstream.data.formats.mask_folder.pixels import BACKGROUND, IGNORE, MaskKind, MaskPixels
from maskstream.errors import DatasetError

DARK, BRIGHT = 16, 239
"""Levels up to and from which a pixel of a lossy two-valued mask is still black or white."""


def recognise_kind(samples: Sequence[MaskPixels], legend: Legend, place: Path) -> tuple[MaskKind, str]:
    """The kind of masks of which these are some, and why they are taken for it.

    What covers no area, such as the grey of blurred edges, counts for nothing.

    Raises
    ------
    DatasetError : they could be of more than one kind; the error says what to pass.
    """
    if legend.colours:
        return MaskKind.CLASS_COLOUR, "their colours are listed"
    if legend.instances:
        return MaskKind.INSTANCE_COLOUR, f"{INSTANCES} lists their objects"
    solid = {code for sample in samples for code in sample.solid_codes()} - {BACKGROUND}
    solid = solid or {code for sample in samples for code in sample.all_codes()} - {BACKGROUND}
    if any(sample.is_colour for sample in samples):
        return _kind_of_colours(len(solid), legend, place)
    return _kind_of_levels(samples, solid, legend, place)


def _kind_of_colours(count: int, legend: Legend, place: Path) -> tuple[MaskKind, str]:
    if count == 1:
        return MaskKind.CLASS_COLOUR, "they have one colour"
    if count == len(legend.classes):
        return MaskKind.CLASS_COLOUR, "they have as many colours as there are classes"
    raise DatasetError(
        place,
        expected=f"to know whether the {count} colours of the masks are classes or single objects",
        found=f"{len(legend.classes)} names of classes",
        remedy="pass --mask-kind class-colour with --classes (in the order in which the colours appear) or --colour, "
        "or --mask-kind instance-colour",
    )


def _kind_of_levels(
    samples: Sequence[MaskPixels], solid: set[int], legend: Legend, place: Path
) -> tuple[MaskKind, str]:
    names = len(legend.classes)
    numbers = set(range(1, names + 1))
    if solid <= numbers | {IGNORE} and (names > 1 or IGNORE in solid) and (solid & numbers or not solid):
        return MaskKind.INDEX, f"their numbers are those of the {names} classes"
    if _two_valued(samples, solid):
        return MaskKind.BINARY, "they have two values"
    folders = {part.lower() for sample in samples for part in sample.path.parts[:-1]}
    if any(re.search(r"object|instance", folder) for folder in folders):
        return MaskKind.INSTANCE_COLOUR, "their folder says so"
    shown = ", ".join(map(str, sorted(solid)[:6])) + (" and more" if len(solid) > 6 else "")
    raise DatasetError(
        place,
        expected="to know whether the levels of the masks are classes or single objects",
        found=f"{len(solid)} levels ({shown}) and {names} names of classes",
        remedy="pass --mask-kind index (with --classes in the order of the levels) or --mask-kind instance-colour",
    )


def _two_valued(samples: Sequence[MaskPixels], solid: set[int]) -> bool:
    """Whether there is one level beside the background, edges and the noise of lossy files apart."""
    if len(solid) <= 1:
        top = max(solid, default=BACKGROUND)
        if top >= BRIGHT or not solid:
            return True
        # below it, grey could be a blurred edge or the number of another class
        return all(code in {BACKGROUND, top} for sample in samples for code in sample.all_codes())
    noisy = any(sample.is_lossy for sample in samples) or any(BRIGHT <= code < IGNORE for code in solid)
    return noisy and max(solid) >= BRIGHT and all(code <= DARK or code >= BRIGHT for code in solid)
