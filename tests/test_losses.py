"""Losses by name: against torch, torchvision and segmentation_models_pytorch, and against tables by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from maskstream.errors import RecipeError
from maskstream.training.losses import NAMES, LossSum, dice_loss, tversky_loss
from maskstream.training.recipe import LossRecipe

SHAPES = [(1, (5, 6)), (3, (5, 6)), (1, ()), (3, ())]
"""Outputs, and the pixels of an image; none where there is one truth an image."""


def batch(outputs: int, pixels: tuple[int, ...], seed: int = 0, ignored: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, outputs, *pixels, generator=generator)
    truth = torch.randint(0, max(outputs, 2), (4, *pixels), generator=generator)
    truth[torch.rand(truth.shape, generator=generator) < ignored] = -1
    return logits, truth


def names(outputs: int) -> tuple[str, ...]:
    return tuple(name for name in NAMES if name != ("cross_entropy" if outputs == 1 else "bce"))


def loss(name: str, logits: Tensor, truth: Tensor, class_weights: Tensor | None = None, **changes: float) -> Tensor:
    recipe = LossRecipe(weights={name: 1.0}, **changes)
    return LossSum(recipe, {}, class_weights, logits.shape[1])(logits, truth)[name]


@pytest.mark.parametrize("pixels", [(5, 6), ()])
def test_bce_equals_torchs(pixels: tuple[int, ...]) -> None:
    logits, truth = batch(1, pixels)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], truth.float())
    torch.testing.assert_close(loss("bce", logits, truth), expected)


@pytest.mark.parametrize("pixels", [(5, 6), ()])
def test_cross_entropy_equals_torchs(pixels: tuple[int, ...]) -> None:
    logits, truth = batch(3, pixels)
    torch.testing.assert_close(loss("cross_entropy", logits, truth), F.cross_entropy(logits, truth))
    one = truth[:1].clone()
    if pixels:
        one[0, :2] = -1
    expected = F.cross_entropy(logits[:1], one, ignore_index=-1)
    torch.testing.assert_close(loss("cross_entropy", logits[:1], one), expected)


def test_class_weights_multiply_and_do_not_normalise() -> None:
    logits, truth = batch(3, (5, 6))
    weights = torch.tensor([0.5, 1.0, 4.0])
    expected = F.cross_entropy(logits, truth, weight=weights, reduction="none").mean()
    torch.testing.assert_close(loss("cross_entropy", logits, truth, weights), expected)
    logits, truth = batch(1, ())
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], truth.float(), pos_weight=torch.tensor(6.0))
    torch.testing.assert_close(loss("bce", logits, truth, torch.tensor([1.0, 6.0])), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_equals_torchvisions(gamma: float) -> None:
    logits, truth = batch(1, (5, 6))
    expected = sigmoid_focal_loss(logits[:, 0], truth.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(loss("focal", logits, truth, focal_gamma=gamma), expected)
    weighted = sigmoid_focal_loss(logits[:, 0], truth.float(), alpha=0.25, gamma=gamma, reduction="mean")
    weights = torch.tensor([0.75, 0.25])
    torch.testing.assert_close(loss("focal", logits, truth, weights, focal_gamma=gamma), weighted)


def test_focal_of_several_outputs_by_hand() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).log()
    expected = (0.3**2 * -torch.tensor(0.7).log() + 0.9**2 * -torch.tensor(0.1).log()) / 2
    torch.testing.assert_close(loss("focal", logits, torch.tensor([0, 1])), expected)


@pytest.mark.parametrize(
    "found, truth, dice, tversky",
    [
        # common, too much, missed: dice 1 - (2c + 1) / (2c + f + m + 1), tversky 1 - (c + .5) / (c + .3 f + .7 m + .5)
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], 0.0, 0.0),
        ([[1, 1], [0, 0]], [[1, 1], [0, 0]], 0.0, 0.0),
        ([[1, 1], [0, 0]], [[1, 0], [0, 0]], 1 - 3 / 4, 1 - 1.5 / 1.8),
        ([[1, 0], [0, 0]], [[1, 1], [0, 0]], 1 - 3 / 4, 1 - 1.5 / 2.2),
        ([[0, 0], [0, 0]], [[1, 1], [1, 1]], 1 - 1 / 5, 1 - 0.5 / 3.3),
        ([[1, 1], [1, 1]], [[0, 0], [0, 0]], 1 - 1 / 5, 1 - 0.5 / 1.7),
        ([[0.5, 0.5], [0.5, 0.5]], [[1, 1], [0, 0]], 1 - 3 / 5, 1 - 1.5 / 2.5),
    ],
)
def test_overlap_losses_by_hand(
    found: list[list[float]], truth: list[list[float]], dice: float, tversky: float
) -> None:
    pair = torch.tensor([found]).float(), torch.tensor([truth]).float()
    assert dice_loss(*pair).item() == pytest.approx(dice, abs=1e-6)
    assert tversky_loss(*pair, 0.3, 0.7).item() == pytest.approx(tversky, abs=1e-6)


def test_overlap_losses_equal_smps_where_every_class_is_there() -> None:
    """smp pools a batch and passes over absent classes: one image of all classes is where both mean the same."""
    from segmentation_models_pytorch.losses import DiceLoss, TverskyLoss

    logits, truth = (tensor[:1] for tensor in batch(3, (5, 6)))
    dice = DiceLoss("multiclass", classes=[1, 2], smooth=0.5)
    torch.testing.assert_close(loss("dice", logits, truth), dice(logits, truth))
    tversky = TverskyLoss("multiclass", classes=[1, 2], smooth=0.5, alpha=0.3, beta=0.7)
    torch.testing.assert_close(loss("tversky", logits, truth), tversky(logits, truth))
    logits, truth = (tensor[:1] for tensor in batch(1, (5, 6)))
    torch.testing.assert_close(loss("dice", logits, truth), DiceLoss("binary", smooth=0.5)(logits, truth))


def test_dice_of_images_takes_every_class_and_of_pixels_leaves_the_background_out() -> None:
    sure = torch.tensor([[50.0, 0.0, 0.0]])
    assert loss("dice", sure, torch.tensor([0])).item() == pytest.approx(0, abs=1e-6)
    # class 1 missed, class 0 a false alarm, class 2 rightly absent: 1 - 1/2 twice, and 0
    assert loss("dice", sure, torch.tensor([1])).item() == pytest.approx(1 / 3, abs=1e-6)
    background = sure[..., None, None]
    assert loss("dice", background, torch.tensor([[[0]]])).item() == pytest.approx(0, abs=1e-6)
    assert loss("dice", background, torch.tensor([[[1]]])).item() == pytest.approx(1 / 4, abs=1e-6)


@pytest.mark.parametrize("outputs, pixels", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_two_half_batches_average_to_the_whole(outputs: int, pixels: tuple[int, ...], weighted: bool) -> None:
    logits, truth = batch(outputs, pixels, ignored=0.3)
    truth[0] = -1
    weights = torch.linspace(0.2, 3, max(outputs, 2)) if weighted else None
    for name in names(outputs):
        halves = [loss(name, logits[part], truth[part], weights) for part in (slice(0, 2), slice(2, 4))]
        torch.testing.assert_close(torch.stack(halves).mean(), loss(name, logits, truth, weights))


@pytest.mark.parametrize("outputs, pixels", SHAPES)
def test_ignored_truth_counts_nowhere(outputs: int, pixels: tuple[int, ...]) -> None:
    logits, truth = batch(outputs, pixels, ignored=0.4)
    other = torch.where((truth == -1)[:, None], 7 - logits, logits)
    for name in names(outputs):
        torch.testing.assert_close(loss(name, other, truth), loss(name, logits, truth))
        logits.grad = None
        logits.requires_grad_()
        loss(name, logits, truth).backward()
        assert not logits.grad.movedim(1, -1)[truth == -1].any()


@pytest.mark.parametrize("outputs, pixels", SHAPES)
def test_nothing_known_is_zero(outputs: int, pixels: tuple[int, ...]) -> None:
    logits, truth = batch(outputs, pixels)
    logits.requires_grad_()
    for name in names(outputs):
        value = loss(name, logits, torch.full_like(truth, -1))
        value.backward()
        assert value.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("outputs, pixels", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite(outputs: int, pixels: tuple[int, ...], scale: float, gamma: float) -> None:
    logits, truth = batch(outputs, pixels)
    for plain in (truth, torch.zeros_like(truth)):
        for name in names(outputs):
            leaf = (logits * scale).requires_grad_()
            value = loss(name, leaf, plain, focal_gamma=gamma)
            value.backward()
            assert value.isfinite()
            assert leaf.grad.isfinite().all()


def test_computes_in_float32_whatever_comes_in() -> None:
    logits, truth = batch(3, (5, 6))
    half = logits.bfloat16()
    for name in names(3):
        assert loss(name, half, truth).dtype == torch.float32
        torch.testing.assert_close(loss(name, half, truth), loss(name, half.float(), truth))


def test_sums_by_weight_and_stands_in_for_none() -> None:
    logits, truth = batch(1, (5, 6))
    chosen = LossSum(LossRecipe(weights={"bce": 0.5, "dice": 2.0, "focal": 0.0}), {"tversky": 1.0}, None, 1)
    losses = chosen(logits, truth)
    assert list(losses) == ["bce", "dice", "focal"]
    torch.testing.assert_close(chosen.total(losses), 0.5 * losses["bce"] + 2 * losses["dice"])
    assert list(LossSum(LossRecipe(), {"tversky": 1.0}, None, 1)(logits, truth)) == ["tversky"]


@pytest.mark.parametrize(
    "weights, class_weights, outputs, message",
    [
        ({"dise": 1.0}, None, 1, "did you mean 'dice'"),
        ({"mean": 1.0}, None, 1, "bce, cross_entropy, dice, focal, tversky, found 'mean'"),
        (
            {"bce": 1.0},
            None,
            3,
            "expected losses of a model with 3 outputs, found one of one output; use cross_entropy",
        ),
        ({"cross_entropy": 1.0}, None, 1, "with 1 output, found one of several outputs; use bce"),
        ({"dice": 0.0}, None, 1, "a weight above 0"),
        ({"bce": 1.0}, torch.ones(1), 1, "expected 2 weights"),
        ({"dice": 1.0}, torch.ones(2), 3, "expected 3 weights"),
    ],
)
def test_refuses(weights: dict[str, float], class_weights: Tensor | None, outputs: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        LossSum(LossRecipe(weights=weights), {}, class_weights, outputs)
