"""Every format of labels, in the order in which `auto` tries them: the unmistakable ones first."""

from __future__ import annotations

from maskstream.data.formats import (
    boxes_csv,
    isic,
    label_csv,
    labelme,
    mask_folder,
    named_images,
    onehot_csv,
    via,
    yolo,
)
from maskstream.data.formats.coco import folder as coco
from maskstream.data.formats.format import Format

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        coco.OWN,
        coco.FORMAT,
        labelme.FORMAT,
        via.FORMAT,
        isic.FORMAT,
        boxes_csv.FORMAT,
        onehot_csv.FORMAT,
        label_csv.FORMAT,
        yolo.FORMAT,
        yolo.FORMAT_BOXES,
        mask_folder.FORMAT,
        named_images.CLASS_FOLDERS,
        named_images.FILE_NAMES,
    )
}
