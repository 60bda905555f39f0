"""Every format of labels, in the order in which `auto` tries them: the unmistakable ones first."""

from __future__ import annotations

from maskstream.data.formats import coco_folder, isic
from maskstream.data.formats.format import Format

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        coco_folder.OWN,
        coco_folder.FORMAT,
        isic.FORMAT,
    )
}
