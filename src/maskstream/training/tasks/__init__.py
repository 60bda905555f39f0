"""The three tasks behind one protocol."""

from __future__ import annotations

from maskstream.training.recipe import Recipe
from maskstream.training.tasks.classification import ClassificationTask
from maskstream.training.tasks.instance import InstanceTask
from maskstream.training.tasks.semantic import SemanticTask
from maskstream.training.tasks.task import Losses, TrainingTask

__all__ = ["Losses", "TrainingTask", "make_task"]

_TASKS: dict[str, type[InstanceTask] | type[SemanticTask] | type[ClassificationTask]] = {
    "instance": InstanceTask,
    "semantic": SemanticTask,
    "classification": ClassificationTask,
}


def make_task(recipe: Recipe) -> TrainingTask:
    """The task of a recipe whose classes are known."""
    return _TASKS[recipe.task](recipe)
