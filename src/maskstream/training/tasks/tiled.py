"""Models that see large images window by window, as the recipe has cut them for training."""

from __future__ import annotations

from maskstream.core.segmenter import Segmenter
from maskstream.inference.tiles import TiledSegmenter, TileSettings
from maskstream.training.recipe import Recipe

DETECTIONS_OF_TILES = 1000
"""Of an image that is seen window by window, how many detections are kept and judged."""
DETECTIONS = 100
"""Of other images, how many are judged: COCO's own limit."""


def tile_settings(recipe: Recipe) -> TileSettings | None:
    """How the deployed model cuts images and merges what it finds; None where it takes them whole."""
    tiles = recipe.data.tiles
    if tiles is None:
        return None
    settings = TileSettings(size_hw=tiles.size_hw, overlap=tiles.overlap)
    # regions of a label map do not lie over each other: parts that touch are one
    return settings.model_copy(update={"join_share": 0.0}) if recipe.task == "semantic" else settings


def tiled(segmenter: Segmenter, recipe: Recipe) -> Segmenter:
    """The Segmenter itself, or around it one that looks window by window."""
    settings = tile_settings(recipe)
    return segmenter if settings is None else TiledSegmenter(segmenter, settings, DETECTIONS_OF_TILES)


def max_detections(recipe: Recipe) -> int:
    """How many detections of an image average precision looks at."""
    return DETECTIONS if recipe.data.tiles is None else DETECTIONS_OF_TILES
