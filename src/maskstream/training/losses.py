"""What regions and classes are trained with: losses by name, and their weighted sum.

All of them take logits with K outputs. K = 1 is one sigmoid against truth 0 or 1; with more outputs a softmax chooses
between the truths 0..K-1, of which 0 is the background where there are pixels. A truth of `UNKNOWN` counts nowhere.

Each loss is a mean over images of something that is computed within one image. So the mean of two half batches is the
loss of the whole batch, and several processes train as one does. Two things follow:

- losses that go pixel by pixel are divided by the number of known pixels of the image, not by the sum of their class
  weights (as torch's weighted mean is); weights whose mean over the data is 1 keep the loss as large as without them;
- an image of which nothing is known adds 0 and still counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from maskstream.errors import RecipeError
from maskstream.training.recipe import LossRecipe
from maskstream.training.sample import UNKNOWN

NAMES = ("bce", "cross_entropy", "dice", "focal", "tversky")
SMOOTH = 0.5
"""Pixels added above and below the line of a Tversky index (so 1 in a Dice), so that two empty masks agree."""


class LossSum:
    """Several losses of one batch, and their weighted sum.

    - `bce`, `cross_entropy`: of one output, and of several.
    - `focal`: cross-entropy (binary for one output) x (1 - p)^gamma, p being the probability of the truth (Lin et al.
      2017, without alpha, whose part the class weights play).
    - `dice`: `dice_loss`; `tversky`: `tversky_loss`; of each class in each image, the background left out.

    Parameters
    ----------
    recipe : `weights` of the losses by name; where it has none, `default` stands in. A weight of 0 leaves a loss in
        the log and out of the sum.
    class_weights : (max(K, 2),) weight of each truth in bce, cross_entropy and focal; None: all 1.
    outputs : K.

    Raises
    ------
    RecipeError : a loss is unknown or does not suit K outputs, no weight is above 0, or class weights are missing.
    """

    def __init__(
        self, recipe: LossRecipe, default: Mapping[str, float], class_weights: Tensor | None, outputs: int
    ) -> None:
        self.recipe = recipe
        self.weights = dict(recipe.weights or default)
        self.class_weights = class_weights
        _check(self.weights, class_weights, outputs)

    def __call__(self, logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Each loss by its name, a float32 scalar without its weight.

        Parameters
        ----------
        logits : (b, K, H, W) of pixels, or (b, K) of images; any float type, computed with in float32.
        truth : (b, H, W) or (b,) int64, `UNKNOWN` or 0..max(K, 2) - 1.
        """
        logits = logits.float()
        known = truth != UNKNOWN
        truth = truth.clamp(min=0)
        return {name: self._loss(name, logits, truth, known) for name in self.weights}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is minimised."""
        return torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()

    def _loss(self, name: str, logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        if name == "dice":
            return dice_loss(*_masks(logits, truth, known))
        if name == "tversky":
            return tversky_loss(*_masks(logits, truth, known), self.recipe.tversky_alpha, self.recipe.tversky_beta)
        surprise = _surprise(logits, truth)
        if name == "focal":
            # the clamp keeps the slope of a power below 1 finite where the truth is certain
            surprise = surprise * (1 - torch.exp(-surprise)).clamp(min=1e-6) ** self.recipe.focal_gamma
        if self.class_weights is not None:
            surprise = surprise * self.class_weights.to(truth.device)[truth]
        pixels = known.flatten(start_dim=1) if known.ndim > 1 else known[:, None]
        per_image = (surprise.reshape(pixels.shape) * pixels).sum(dim=1) / pixels.sum(dim=1).clamp(min=1)
        return per_image.mean()


def dice_loss(probabilities: Tensor, truth: Tensor) -> Tensor:
    """One minus the mean soft Dice coefficient of masks (n, H, W) in 0..1; 0 for two empty masks."""
    return tversky_loss(probabilities, truth, 0.5, 0.5)


def tversky_loss(probabilities: Tensor, truth: Tensor, alpha: float, beta: float) -> Tensor:
    """One minus the mean soft Tversky index of masks (n, H, W) in 0..1; 0 for two empty masks (Salehi et al. 2017).

    `alpha` weighs what is found and not true, `beta` what is true and not found; with 0.5 and 0.5 the index is Dice's.
    """
    common = (probabilities * truth).sum(dim=(1, 2))
    too_much = probabilities.sum(dim=(1, 2)) - common
    missed = truth.sum(dim=(1, 2)) - common
    return (1 - (common + SMOOTH) / (common + alpha * too_much + beta * missed + SMOOTH)).mean()


def _surprise(logits: Tensor, truth: Tensor) -> Tensor:
    """Minus the log probability of the truth, in the truth's shape."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], truth.to(logits.dtype), reduction="none")
    return F.cross_entropy(logits, truth, reduction="none")


def _masks(logits: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and truth of each class in each image, (n, H, W) both, 0 where the truth is not known."""
    if logits.ndim == 2:
        logits, truth, known = logits[..., None, None], truth[..., None, None], known[..., None, None]
        ids = range(1, 2) if logits.shape[1] == 1 else range(logits.shape[1])
    else:
        ids = range(1, max(logits.shape[1], 2))
    probabilities = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)[:, ids[0] :]
    masks = torch.stack([truth == truth_id for truth_id in ids], dim=1)
    shown = known[:, None]
    return (probabilities * shown).flatten(0, 1), (masks & shown).flatten(0, 1).to(probabilities.dtype)


def _check(weights: Mapping[str, float], class_weights: Tensor | None, outputs: int) -> None:
    for name in weights:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "name one of them"
            raise RecipeError("loss.weights", expected=f"names among {', '.join(NAMES)}", found=repr(name), remedy=hint)
    unfit, fit = ("cross_entropy", "bce") if outputs == 1 else ("bce", "cross_entropy")
    if unfit in weights:
        raise RecipeError(
            f"loss.weights, {unfit}",
            expected=f"losses of a model with {outputs} output{'s' if outputs > 1 else ''}",
            found=f"one of {'one output' if unfit == 'bce' else 'several outputs'}",
            remedy=f"use {fit}",
        )
    if not sum(weights.values()):
        raise RecipeError(
            "loss.weights", expected="a weight above 0", found=str(dict(weights)), remedy="weigh one of the losses"
        )
    if class_weights is not None and class_weights.shape != (max(outputs, 2),):
        raise RecipeError(
            "loss.class_weights",
            expected=f"{max(outputs, 2)} weights, the background's among them where there are pixels",
            found=f"{class_weights.numel()}",
            remedy="name each class once",
        )
