"""Ways back to a higher resolution, each doubling height and width.

- nearest, bilinear, bicubic: interpolation between pixel centres (half-pixel exact).
- transposed: a learned 2x2 convolution of stride 2; the windows do not overlap.
- unpooling: each value goes to the one pixel of its 2x2 window that won the max-pooling on the way down, and the others
  are 0 (Zeiler and Fergus 2014; SegNet, Badrinarayanan et al. 2015). In a U-Net, whose skips bring the values from
  before the pooling anyway, it says where the deep map's values belong.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskstream.training.recipe import Upsampling

WINDOW = 4
"""Pixels of a 2x2 window."""


class Upsampler(nn.Module):
    """Maps (b, channels_in, h, w) -> (b, channels_out, 2h, 2w).

    The learned step is a transposed convolution, or a 1x1 convolution before the values are spread: neither needs
    padding, so that sizes are the same whichever is chosen.
    """

    def __init__(self, kind: Upsampling, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.kind = kind
        self.conv: nn.Module
        if kind == "transposed":
            self.conv = nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2)
        else:
            self.conv = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, maps: Tensor, pooled_from: Tensor) -> Tensor:
        """`pooled_from` (b, channels_out, 2h, 2w) is what was pooled at this level; only unpooling looks at it."""
        maps = self.conv(maps)
        if self.kind == "transposed":
            return maps
        if self.kind == "unpooling":
            return unpool(maps, pooled_from)
        corners = None if self.kind == "nearest" else False
        return F.interpolate(maps, scale_factor=2, mode=self.kind, align_corners=corners)


def unpool(values: Tensor, pooled_from: Tensor) -> Tensor:
    """Values (b, c, h, w) at the maxima of the 2x2 windows of `pooled_from` (b, c, 2h, 2w), 0 elsewhere.

    The answer of `torch.nn.MaxUnpool2d` with the indices of that pooling. The winners are found again rather than kept:
    that needs neither indices beside every map nor scattered writes, which ONNX exports badly. Of equal pixels the
    first one in reading order wins, as in torch's pooling.
    """
    shuffled = F.pixel_unshuffle(pooled_from, 2)
    windows = shuffled.reshape(len(shuffled), -1, WINDOW, *shuffled.shape[2:])
    winners = windows.argmax(dim=2, keepdim=True)
    pixels = torch.arange(WINDOW, device=values.device).reshape(WINDOW, 1, 1)
    return F.pixel_shuffle((values[:, :, None] * (winners == pixels)).flatten(1, 2), 2)
