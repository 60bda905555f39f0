"""The parity gate of every task: which images it looks at, and which check holds an export against PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from maskstream.core.frame import Frame
from maskstream.data.records import ImageRecord
from maskstream.export.gate_images import gate_looks, image_without_objects
from maskstream.export.object_parity import ObjectParity, check_objects
from maskstream.export.parity import GATE_FRAMES, ClassParity, RegionParity, check_classes, check_regions
from maskstream.inference.classifier import ImageClassifier
from maskstream.inference.load import decoder
from maskstream.inference.manifest import ModelFacts
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter
from maskstream.inference.network import Runtime
from maskstream.inference.regions import RegionSegmenter

Parity = ObjectParity | RegionParity | ClassParity


def gate_frames(facts: ModelFacts, reference: Runtime, records: Sequence[ImageRecord]) -> list[Frame]:
    """Looks at the first images, the last of them without anything to find, where that can be and there is one."""
    model = decoder(facts, reference)
    empty = None
    if not isinstance(model, ImageClassifier):
        empty = image_without_objects(records, lambda frame: not len(model.segment([frame])[0]))
    looks = gate_looks(records, GATE_FRAMES if empty is None else GATE_FRAMES - 1, facts.tiles)
    return looks if empty is None else [*looks, empty]


def check_parity(facts: ModelFacts, reference: Runtime, deployed: Runtime, frames: Sequence[Frame]) -> Parity:
    """Hold two runtimes against each other behind the task's decoder; each frame is looked at as a whole.

    Raises
    ------
    ExportRefused : they answer differently, or the frames are too few; see the check of each task.
    """
    match decoder(facts, reference), decoder(facts, deployed):
        case (MaskRcnnSegmenter() as expected, MaskRcnnSegmenter() as found):
            return check_objects(expected, found, frames, floor=expected.settings.score_floor)
        case (RegionSegmenter() as expected, RegionSegmenter() as found):
            return check_regions(expected, found, frames)
        case (ImageClassifier() as expected, ImageClassifier() as found):
            return check_classes(expected, found, frames)
    raise TypeError(f"no parity check for {type(facts.decoder).__name__}")
