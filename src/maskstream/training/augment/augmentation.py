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

    Hair and dark corners come first, then colours, then sharpness, all in the content alone; then the image is moved,
    and objects are pasted in. So padding has the mean colour whatever happens, as it has in use. Objects of which no
    pixel is left are dropped.
    """

    def __init__(self, recipe: AugmentationRecipe) -> None:
        self.recipe = recipe

    def __call__(self, sample: Sample, rng: np.random.Generator, partner: Sample | None = None) -> Sample:
        """A changed sample; the arrays of the given ones stay as they are, and may be returned where nothing changed.

        Parameters
        ----------
        rng : where every random choice comes from, so that the same state gives the same sample.
        partner : sample of the same size whose objects may be pasted in, once it is changed by draws of its own.
        """
        changed = self._changed(sample, rng)
        if partner is not None and rng.random() < self.recipe.copy_paste:
            return pasted(changed, self._changed(partner, rng), rng)
        return changed

    def _changed(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.content_hw
        content = marked(sample.image[:height, :width], self.recipe, rng)
        content = degraded(jittered(content, self.recipe, rng), self.recipe, rng)
        matrix = draw_matrix(self.recipe, sample.content_hw, sample.size_hw, rng)
        return moved(_with_content(sample, content), matrix)


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
