"""The original U-Net: O. Ronneberger, P. Fischer, T. Brox, MICCAI 2015 (arXiv:1505.04597), figure 1.

Convolutions are unpadded, so every output pixel has been computed from its own surroundings and no zeros: 572 x 572
pixels go in and 388 x 388 come out. What lies beyond an image is mirrored, as in the paper; the model does so itself,
so it takes 388 x 388 pixels and gives as many. Four levels down and up, two 3x3 convolutions with ReLU at each, 64
channels doubled a level, dropout at the end of the way down, weights drawn as in He et al. 2015, no normalisation.

With 64 channels, 3 colours in and transposed convolutions it has 31,031,745 parameters and 65 more for each further
output (31,030,658 with the paper's one colour and two outputs).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from maskstream.errors import RecipeError
from maskstream.training.models.borders import central, mirrored
from maskstream.training.models.upsampling import Upsampler
from maskstream.training.recipe import Upsampling

LEVELS = 4
"""Poolings, and as many steps back up."""
MARGIN = 92
"""Pixels on each side that the convolutions use up: half of 572 - 388."""
STEP, LEAST = 2**LEVELS, 4
"""Sides that come out whole at every level are LEAST, LEAST + STEP, LEAST + 2 STEP and so on; 388 is one of them."""


class OriginalUnet(nn.Module):
    """Images (b, 3, H, W) -> logits (b, outputs, H, W); see the module's docstring."""

    def __init__(self, outputs: int, channels: int = 64, upsampling: Upsampling = "transposed") -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(LEVELS + 1)]
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(_convolutions(i, o) for i, o in zip([3, *widths], widths, strict=False))
        for deep in list(self.encoder)[-2:]:
            deep.add_module("dropout", nn.Dropout(0.5))
        self.pool = nn.MaxPool2d(2)
        self.upsamplers = nn.ModuleList(Upsampler(upsampling, deep, width) for width, deep in reversed(pairs))
        self.decoder = nn.ModuleList(_convolutions(deep, width) for width, deep in reversed(pairs))
        self.head = nn.Conv2d(channels, outputs, 1)
        self.apply(_draw_weights)

    def forward(self, images: Tensor) -> Tensor:
        check_size((images.shape[-2], images.shape[-1]))
        return self.tile(mirrored(images, MARGIN))

    def tile(self, maps: Tensor) -> Tensor:
        """The network as published: tiles (b, 3, H + 184, W + 184) -> logits (b, outputs, H, W)."""
        levels = []
        for convolutions in self.encoder[:-1]:
            levels.append(convolutions(maps))
            maps = self.pool(levels[-1])
        maps = self.encoder[-1](maps)
        for upsampler, convolutions, level in zip(self.upsamplers, self.decoder, reversed(levels), strict=True):
            skip = central(level, (2 * maps.shape[-2], 2 * maps.shape[-1]))
            maps = convolutions(torch.cat([skip, upsampler(maps, skip)], dim=1))
        logits: Tensor = self.head(maps)
        return logits


def check_size(size_hw: tuple[int, int]) -> None:
    """Refuse images whose maps would have odd sides somewhere on the way.

    Raises
    ------
    RecipeError : naming the nearest sizes that work.
    """
    if all(side >= LEAST and (side - LEAST) % STEP == 0 for side in size_hw):
        return
    below = [max(LEAST, side - (side - LEAST) % STEP) for side in size_hw]
    above = [max(LEAST, side + (LEAST - side) % STEP) for side in size_hw]
    raise RecipeError(
        "input_size_hw",
        expected=f"sides of {LEAST} + a multiple of {STEP} for the original U-Net",
        found=f"{list(size_hw)}",
        remedy=f"choose {below} or {above}",
    )


def _convolutions(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3),
        nn.ReLU(inplace=True),
    )


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
