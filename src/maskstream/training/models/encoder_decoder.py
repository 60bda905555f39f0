"""The plain encoder-decoder: down to a small, deep map and up again, without skips.

What the pooling has lost must be made up on the way back, which is what a U-Net's skips are for; with unpooling the
places of the maxima are all that is handed across (SegNet, Badrinarayanan et al. 2015). Convolutions are padded and
followed by batch norm, as in SegNet: from random weights it trains many times faster with it.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from maskstream.training.models.borders import filled
from maskstream.training.models.upsampling import Upsampler
from maskstream.training.recipe import Upsampling

LEVELS = 4
"""Poolings, and as many steps back up."""


class EncoderDecoder(nn.Module):
    """Images (b, 3, H, W) of any size -> logits (b, outputs, H, W).

    `channels` of the first level, doubled a level. Images are filled up inside to sides that can be halved `LEVELS`
    times.
    """

    def __init__(self, outputs: int, channels: int = 64, upsampling: Upsampling = "transposed") -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(LEVELS + 1)]
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(_convolutions(i, o) for i, o in zip([3, *widths], widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.upsamplers = nn.ModuleList(Upsampler(upsampling, deep, width) for width, deep in reversed(pairs))
        self.decoder = nn.ModuleList(_convolutions(width, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        maps = filled(images, 2**LEVELS)
        levels = []
        for convolutions in self.encoder[:-1]:
            levels.append(convolutions(maps))
            maps = self.pool(levels[-1])
        maps = self.encoder[-1](maps)
        for upsampler, convolutions, level in zip(self.upsamplers, self.decoder, reversed(levels), strict=True):
            maps = convolutions(upsampler(maps, level))
        logits: Tensor = self.head(maps)
        return logits[..., :height, :width]


def convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """A padded 3x3 convolution, batch norm (which brings the bias) and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _convolutions(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(convolution(channels_in, channels_out), convolution(channels_out, channels_out))
