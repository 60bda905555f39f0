"""RoIAlign over a pyramid (Mask R-CNN, He et al. 2017) for CPUs: torchvision's numbers, several times as fast.

Each bin of a region is a weighted sum of map places: S x S samples of four places each, S being the sampling ratio. So
pooling is a bag of embeddings: the places of all levels are the rows of one table. torchvision's own kernel goes
channel by channel, copies maps out of `channels_last`, and its gradient can take as long as that of all convolutions.
On other devices torchvision's kernels are used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import _setup_scales


class RegionPooling(MultiScaleRoIAlign):  # type: ignore[misc]  # torchvision has no types
    """torchvision's `MultiScaleRoIAlign`, unaligned as there, with a sampling ratio above 0."""

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Maps (n, C, *output_size) of boxes in network pixels, a list an image; in the type of the levels."""
        levels = [x[name] for name in self.featmap_names]
        if levels[0].device.type != "cpu":
            pooled: Tensor = super().forward(x, boxes, image_shapes)
            return pooled
        scales, level_of = _setup_scales(levels, image_shapes, self.canonical_scale, self.canonical_level)
        flat, of_level = torch.cat(boxes), level_of(boxes)
        images = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(b) for b in boxes]))
        heights, widths = torch.tensor([level.shape[-2:] for level in levels])[of_level].unbind(1)
        starts = torch.tensor([0, *(level[:, 0].numel() for level in levels[:-1])]).cumsum(0)[of_level]
        scaled = flat * torch.tensor(scales, dtype=flat.dtype)[of_level, None]
        rows, row_weights = _places(scaled[:, 1], scaled[:, 3], heights, self.output_size[0], self.sampling_ratio)
        columns, column_weights = _places(scaled[:, 0], scaled[:, 2], widths, self.output_size[1], self.sampling_ratio)
        # (n, bins down, bins across, places down, places across)
        first = (starts + images * heights * widths)[:, None, None, None, None]
        places = first + (rows * widths[:, None, None])[:, :, None, :, None] + columns[:, None, :, None, :]
        weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
        table = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2).float() for level in levels])
        bag = 4 * self.sampling_ratio**2
        bins = F.embedding_bag(
            places.reshape(-1, bag), table, mode="sum", per_sample_weights=weights.reshape(-1, bag).float()
        )
        return bins.reshape(len(flat), *self.output_size, table.shape[1]).permute(0, 3, 1, 2).to(levels[0].dtype)


def _places(begin: Tensor, end: Tensor, limit: Tensor, bins: int, samples: int) -> tuple[Tensor, Tensor]:
    """The places that each bin along one axis is made of, and their weights, both (n, bins, 2 * samples).

    Parameters
    ----------
    begin, end : (n,) of the regions, in places; one less than a place long counts as one.
    limit : (n,) length of the axis; what lies more than a place outside counts nothing.
    """
    length = (end - begin).clamp(min=1)[:, None]
    at = begin[:, None] + length * ((torch.arange(bins * samples) + 0.5) / (bins * samples))
    last = limit[:, None] - 1
    weight = ((at >= -1) & (at <= last + 1)) / samples
    at = at.clamp(min=0)
    low = torch.minimum(at.long(), last)
    high = torch.minimum(low + 1, last)
    share = torch.where(low < last, at - low, 0)
    places, weights = torch.stack([low, high], -1), torch.stack([(1 - share) * weight, share * weight], -1)
    return places.reshape(len(begin), bins, 2 * samples), weights.reshape(len(begin), bins, 2 * samples)
