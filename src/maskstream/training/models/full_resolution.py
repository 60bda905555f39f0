"""The plain network at full resolution: convolutions without pooling.

Nothing is lost and nothing needs to be put back, but every layer costs as much as the first, and with `DEPTH` layers of
3x3 a pixel is judged by no more than the 13 x 13 pixels around it. Batch norm as in the plain encoder-decoder.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from maskstream.training.models.encoder_decoder import convolution

DEPTH = 6
"""Layers of 3x3 convolutions; each sees one pixel further."""


class FullResolution(nn.Module):
    """Images (b, 3, H, W) of any size -> logits (b, outputs, H, W), with `channels` in every layer."""

    def __init__(self, outputs: int, channels: int = 64) -> None:
        super().__init__()
        widths = [3, *[channels] * DEPTH]
        self.encoder = nn.Sequential(*(convolution(i, o) for i, o in pairwise(widths)))
        self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(images))
        return logits
