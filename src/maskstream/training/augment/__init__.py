"""What an image may look like instead: changes of a sample in which its masks stay exact."""

from maskstream.training.augment.augmentation import Augmentation
from maskstream.training.augment.boxes import boxes_of_masks

__all__ = ["Augmentation", "boxes_of_masks"]
