"""Changes of an image in which its boxes and masks move along (torchvision transforms v2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from maskstream.training.recipe import AugmentationRecipe

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean, which preprocessing also lays around an image: 0 once normalised."""


def build_augmentation(recipe: AugmentationRecipe) -> v2.Transform:
    """The transform of a recipe, for `(tv_tensors.Image, tv_tensors.Mask)`; boxes come from the moved masks."""
    steps: list[v2.Transform] = [
        v2.RandomHorizontalFlip(recipe.horizontal_flip),
        v2.RandomVerticalFlip(recipe.vertical_flip),
        v2.RandomAffine(
            degrees=recipe.rotation_degrees,
            translate=(recipe.shift, recipe.shift),
            scale=recipe.scale,
            shear=recipe.shear_degrees,
            interpolation=v2.InterpolationMode.BILINEAR,
            fill={tv_tensors.Image: MEAN_COLOUR, tv_tensors.Mask: 0},
        ),
        v2.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue),
        v2.RandomApply([v2.GaussianBlur(5, (0.3, 2.0))], p=recipe.blur),
    ]
    return v2.Compose(steps)


def boxes_of_masks(masks: Tensor) -> Tensor:
    """Tight boxes (n, 4) float32, half-open, of masks (n, H, W); all zeros for an empty mask."""
    boxes = torch.zeros((len(masks), 4), dtype=torch.float32)
    for row, mask in enumerate(masks):
        rows, columns = torch.where(mask.any(dim=1))[0], torch.where(mask.any(dim=0))[0]
        if len(rows):
            boxes[row] = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
    return boxes
