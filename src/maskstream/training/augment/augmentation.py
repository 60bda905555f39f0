"""All changes of a recipe, in the order in which a camera would see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskstream.training.augment.colour import jittered
from maskstream.training.augment.copy_paste import pasted
from maskstream.training.augment.degrade import degraded
from maskstream.training.augment.geometry import draw_matrix, moved
from maskstream.training.augment.skin import marked
from maskstream.training.recipe import AugmentationRecipe
from maskstream.training.sample import Sample


class Augmentation:
    """Changes samples as a recipe says; what the recipe leaves at 0 changes nothing.

    Hair and dark corners lie on the skin and move with it; then the image is moved, objects are pasted in, and colours
    and sharpness change over all of it. Objects of which no pixel is left are dropped.
    """

    def __init__(self, recipe: AugmentationRecipe) -> None:
        self.recipe = recipe

    def __call__(self, sample: Sample, rng: np.random.Generator, partner: Sample | None = None) -> Sample:
        """A changed sample; the arrays of the given ones stay as they are, and may be returned where nothing changed.

        Parameters
        ----------
        rng : where every random choice comes from, so that the same state gives the same sample.
        partner : sample of the same size whose objects may be pasted in; moved by a draw of its own before.
        """
        recipe = self.recipe
        sample = self._moved(self._marked(sample, rng), rng)
        if partner is not None and rng.random() < recipe.copy_paste:
            sample = pasted(sample, self._moved(partner, rng), rng)
        height, width = sample.content_hw
        content = sample.image[:height, :width]
        return _with_content(sample, degraded(jittered(content, recipe, rng), recipe, rng))

    def _marked(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.content_hw
        return _with_content(sample, marked(sample.image[:height, :width], self.recipe, rng))

    def _moved(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return moved(sample, draw_matrix(self.recipe, sample.content_hw, sample.size_hw, rng))


def _with_content(sample: Sample, content: np.ndarray) -> Sample:
    """The sample with other pixels in the part that the image fills; the padding stays."""
    height, width = content.shape[:2]
    if np.shares_memory(content, sample.image):
        return sample
    if content.shape == sample.image.shape:
        return replace(sample, image=content)
    image = sample.image.copy()
    image[:height, :width] = content
    return replace(sample, image=image)
