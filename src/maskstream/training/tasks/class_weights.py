"""Class weights of a recipe as a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskstream.errors import RecipeError
from maskstream.training.recipe import LossRecipe


def class_weights(loss: LossRecipe, names: Sequence[str]) -> Tensor | None:
    """One weight a name, 1 where none is given; None where there are none at all.

    Raises
    ------
    RecipeError : a weight of a class that is not there, or "balanced" that nobody has turned into numbers.
    """
    if loss.class_weights is None:
        return None
    if isinstance(loss.class_weights, str) or not set(loss.class_weights) <= set(names):
        raise RecipeError(
            "loss.class_weights",
            expected=f"weights of {', '.join(names)}",
            found=repr(loss.class_weights),
            remedy="name classes of the recipe",
        )
    return torch.tensor([loss.class_weights.get(name, 1.0) for name in names])
