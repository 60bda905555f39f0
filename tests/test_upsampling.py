"""Ways back to a higher resolution, by hand on 2x2 maps and against torch; what happens at borders."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from maskstream.training.models.borders import central, filled, mirrored
from maskstream.training.models.upsampling import Upsampler, unpool
from maskstream.training.recipe import Upsampling

SMALL = [[1.0, 2.0], [3.0, 4.0]]


def plain(kind: Upsampling) -> Upsampler:
    """One channel in and out, and a 1x1 convolution that changes nothing."""
    upsampler = Upsampler(kind, 1, 1)
    nn.init.ones_(upsampler.conv.weight)
    nn.init.zeros_(upsampler.conv.bias)
    return upsampler


def upsampled(kind: Upsampling, values: list[list[float]], pooled_from: Tensor | None = None) -> Tensor:
    pooled_from = torch.zeros(1, 1, 4, 4) if pooled_from is None else pooled_from
    return plain(kind)(torch.tensor([[values]]), pooled_from)[0, 0]


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("nearest", [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
        # a new pixel's centre lies a quarter of an old pixel from the nearer centre: 3/4 of that, 1/4 of the other
        (
            "bilinear",
            [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]],
        ),
        # every weight of the kernel is 1 here: each value fills its own window
        ("transposed", [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
    ],
)
def test_by_hand(kind: Upsampling, expected: list[list[float]]) -> None:
    torch.testing.assert_close(upsampled(kind, SMALL), torch.tensor(expected).float())


def test_bicubic_by_hand() -> None:
    """Keys' kernel (a = -0.75) at distances 5/4, 1/4, 3/4 and 7/4, the border repeated outwards."""
    near, far = 1.25 * 0.25**3 - 2.25 * 0.25**2 + 1, 1.25 * 0.75**3 - 2.25 * 0.75**2 + 1
    beyond, last = (-0.75 * (d**3 - 5 * d**2 + 8 * d - 4) for d in (1.25, 1.75))
    assert near + far + beyond + last == pytest.approx(1)
    # outermost: old columns -2 .. 1 lie 7/4, 3/4, 1/4 and 5/4 away; second: old columns -1 .. 2 lie 5/4, 1/4, 3/4, 7/4
    outer, inner = [last + far + near, beyond], [beyond + near, far + last]
    across = torch.tensor([outer, inner, inner[::-1], outer[::-1]])
    torch.testing.assert_close(upsampled("bicubic", SMALL), across @ torch.tensor(SMALL) @ across.T)


def test_a_transposed_convolution_spreads_its_kernel() -> None:
    upsampler = plain("transposed")
    upsampler.conv.weight.data = torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]])
    expected = [[1, 10, 2, 20], [100, 1000, 200, 2000], [3, 30, 4, 40], [300, 3000, 400, 4000]]
    torch.testing.assert_close(upsampler(torch.tensor([[SMALL]]), torch.zeros(1))[0, 0], torch.tensor(expected).float())


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    pooled_from = torch.tensor([[[[0, 9, 5, 0], [0, 0, 0, 0], [0, 0, 0, 0], [7, 0, 0, 6]]]]).float()
    expected = [[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]
    torch.testing.assert_close(upsampled("unpooling", SMALL, pooled_from), torch.tensor(expected).float())


def test_of_equal_pixels_the_first_one_won() -> None:
    expected = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(upsampled("unpooling", SMALL, torch.zeros(1, 1, 4, 4)), torch.tensor(expected).float())


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_unpooling_equals_torchs(seed: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # whole numbers: many ties, as behind a ReLU
    pooled_from = torch.randint(0, 3, (2, 3, 2 * height, 2 * width), generator=generator).float()
    values = torch.randn(2, 3, height, width, generator=generator)
    _, indices = nn.MaxPool2d(2, return_indices=True)(pooled_from)
    torch.testing.assert_close(unpool(values, pooled_from), nn.MaxUnpool2d(2)(values, indices))


def test_unpooling_teaches_the_values_only() -> None:
    values = torch.randn(1, 2, 2, 2, requires_grad=True)
    pooled_from = torch.randn(1, 2, 4, 4, requires_grad=True)
    unpool(values, pooled_from).sum().backward()
    torch.testing.assert_close(values.grad, torch.ones(1, 2, 2, 2))
    assert pooled_from.grad is None


@pytest.mark.parametrize("kind", get_args(Upsampling))
def test_all_double_sides_and_change_channels(kind: Upsampling) -> None:
    upsampler = Upsampler(kind, 6, 3)
    assert upsampler(torch.randn(2, 6, 3, 5), torch.randn(2, 3, 6, 10)).shape == (2, 3, 6, 10)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30))
def test_mirrored_equals_numpys(height: int, width: int, margin: int) -> None:
    image = np.random.default_rng(0).random((2, height, width))
    expected = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    np.testing.assert_array_equal(mirrored(torch.from_numpy(image), margin).numpy(), expected)


@given(st.integers(1, 70), st.integers(1, 70))
def test_filled_adds_zeros_below_and_to_the_right(height: int, width: int) -> None:
    images = torch.ones(1, 1, height, width)
    full = filled(images, 32)
    assert [side % 32 for side in full.shape[-2:]] == [0, 0]
    assert max(full.shape[-2] - height, full.shape[-1] - width) < 32
    torch.testing.assert_close(full[..., :height, :width], images)
    assert full.sum() == height * width


def test_central_takes_the_middle() -> None:
    maps = torch.arange(36).reshape(1, 6, 6)
    torch.testing.assert_close(central(maps, (2, 4)), maps[:, 2:4, 1:5])
    torch.testing.assert_close(central(maps, (6, 6)), maps)
