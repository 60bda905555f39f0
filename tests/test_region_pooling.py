"""RoIAlign as a bag of embeddings: torchvision's values and gradients, wherever a box lies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from maskstream.training.models.region_pooling import RegionPooling

SIZE_HW = (64, 96)
NAMES = ["0", "1", "2"]


def maps(dtype: torch.dtype, channels: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = {}
    for name, stride in zip(NAMES, (8, 16, 32), strict=True):
        level = torch.randn(2, channels, SIZE_HW[0] // stride, SIZE_HW[1] // stride, generator=generator)
        made[name] = level.to(dtype, memory_format=torch.channels_last).requires_grad_()
    return made


def random_boxes(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([96.0, 64.0])
    sides = torch.rand(count, 2, generator=generator) ** 2 * torch.tensor([300.0, 300.0]) + 0.5
    return torch.cat([corners - sides / 3, corners + sides], dim=1)  # many reach over an edge


EDGES = torch.tensor(
    [[0, 0, 96, 64], [90, 60, 96, 64], [10, 10, 10.2, 10.1], [-300, -300, -200, -200], [95, 0, 500, 64]]
)


@pytest.mark.parametrize("bins", [7, 14])
@pytest.mark.parametrize("boxes", [[random_boxes(300), EDGES], [EDGES[:0], EDGES], [EDGES[:0], EDGES[:0]]])
def test_values_and_gradients_are_torchvisions(bins: int, boxes: list[Tensor]) -> None:
    given = [maps(torch.float32) for _ in range(2)]
    pooled = [
        pool(NAMES, bins, 2)(levels, boxes, [SIZE_HW] * 2)
        for pool, levels in zip((MultiScaleRoIAlign, RegionPooling), given, strict=True)
    ]
    torch.testing.assert_close(pooled[1], pooled[0], rtol=1e-4, atol=2e-5)
    weights = torch.linspace(-1, 1, pooled[0].numel()).reshape(pooled[0].shape)
    for one in pooled:
        (one * weights).sum().backward()
    for name in NAMES:
        expected, found = given[0][name].grad, given[1][name].grad
        torch.testing.assert_close(
            found, torch.zeros_like(found) if expected is None else expected, rtol=1e-3, atol=1e-3
        )


def test_a_bin_by_hand() -> None:
    """One bin of two by two samples over a ramp: the mean of the samples' places, which for a ramp is their middle."""
    ramp = torch.arange(12.0).expand(8, 12)[None, None]
    pool = RegionPooling(["0"], 1, 2)
    (value,) = pool({"0": ramp}, [torch.tensor([[16.0, 8.0, 48.0, 40.0]])], [SIZE_HW]).flatten().tolist()
    assert value == pytest.approx(4.0)  # 16..48 px are places 2..6; samples at 3 and 5


def test_bfloat16_levels_give_bfloat16_regions_and_the_same_numbers_each_time() -> None:
    grads = []
    for _ in range(2):
        levels = maps(torch.bfloat16)
        pooled = RegionPooling(NAMES, 7, 2)(levels, [random_boxes(50), EDGES], [SIZE_HW] * 2)
        assert pooled.dtype == torch.bfloat16
        pooled.float().square().sum().backward()
        grads.append([level.grad for level in levels.values()])
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))
