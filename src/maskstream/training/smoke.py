"""A recipe shrunk until it runs in seconds: to see that everything fits together before a night is spent on it."""

from __future__ import annotations

from maskstream.training.recipe import MaskRcnnModel, Recipe

SIDE_PX = 64
"""Longest side of the network's input."""
MULTIPLE_PX = 32
STEPS, IMAGES = 2, 4


def smoke(recipe: Recipe) -> Recipe:
    """The recipe with a small input, few images, and two steps a stage; the model stays what it is."""
    shrink = min(1.0, SIDE_PX / max(recipe.input_size_hw))
    height, width = (
        max(MULTIPLE_PX, round(side * shrink / MULTIPLE_PX) * MULTIPLE_PX) for side in recipe.input_size_hw
    )
    model = recipe.model
    if isinstance(model, MaskRcnnModel):
        sizes = tuple(tuple(size * shrink for size in level) for level in model.settings.anchor_sizes)
        model = model.model_copy(update={"settings": model.settings.model_copy(update={"anchor_sizes": sizes})})
    data = recipe.data.model_copy(update={"batch_size": 2, "accumulate": 1, "workers": 0, "limit": IMAGES})
    stages = tuple(stage.model_copy(update={"epochs": None, "steps": STEPS}) for stage in recipe.stages)
    changes = {"model": model, "input_size_hw": (height, width), "data": data, "stages": stages}
    return recipe.model_copy(update=changes)
