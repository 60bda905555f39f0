"""What happens at an image's borders: filled up, mirrored outwards, cut away."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def filled(images: Tensor, multiple: int) -> Tensor:
    """Images (..., H, W) with zeros to the right and below, up to sides that are multiples of `multiple`.

    Zero is the mean colour of a normalised image, with which `Placement` fills the network's input as well.
    """
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def mirrored(images: Tensor, margin: int) -> Tensor:
    """Images (..., H, W) continued by `margin` pixels on each side, mirrored in their outermost pixels.

    A margin larger than the image is mirrored to and fro, as `numpy.pad` does and torch refuses to.
    """
    rows, columns = (_mirrored_indices(side, margin, images.device) for side in images.shape[-2:])
    return images.index_select(-2, rows).index_select(-1, columns)


def central(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The middle of maps (..., H, W)."""
    top, left = (maps.shape[-2] - size_hw[0]) // 2, (maps.shape[-1] - size_hw[1]) // 2
    return maps[..., top : top + size_hw[0], left : left + size_hw[1]]


def _mirrored_indices(side: int, margin: int, device: torch.device) -> Tensor:
    period = max(2 * side - 2, 1)
    steps = torch.arange(-margin, side + margin, device=device) % period
    return torch.minimum(steps, period - steps)
