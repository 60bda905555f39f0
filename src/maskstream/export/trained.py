"""A trained model as it comes from a run folder, and what a manifest says of it before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import CheckpointError, DatasetError
from maskstream.export.about import About
from maskstream.inference.classifier import ClassifierSettings
from maskstream.inference.manifest import Licence, ModelFacts, Settings, Training
from maskstream.inference.preprocess import Preprocessing
from maskstream.inference.regions import RegionSettings
from maskstream.training.checkpoint import BEST, load_into, load_weights, recipe_of
from maskstream.training.recipe import MaskRcnnModel, Recipe
from maskstream.training.tasks import TrainingTask, make_task
from maskstream.training.tasks.tiled import tile_settings

CODE_LICENCE = "Apache-2.0"

Splits = Mapping[str, Sequence[ImageRecord]]
"""The images of `train`, `val` and, where there are any, `test`, as the recipe divides them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model and how it came about.

    Attributes
    ----------
    model : in evaluation mode.
    task : of the recipe.
    data_sha256 : hash of the dataset that it was trained on.
    """

    model: nn.Module
    task: TrainingTask
    data_sha256: str

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.task.recipe


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, or the best one of a run folder.

    Raises
    ------
    CheckpointError : it is missing, broken, or does not fit its own recipe.
    """
    file = path / BEST if path.is_dir() else path
    weights, facts = load_weights(file)
    task = make_task(recipe_of(facts, file))
    model = task.build_model()
    load_into(model, weights, file)
    if "data_sha256" not in facts:
        raise CheckpointError(
            file, expected="data_sha256 in the metadata", found="none", remedy="use a checkpoint of `maskstream train`"
        )
    return Checkpoint(model.eval(), task, facts["data_sha256"])


def gather_facts(
    checkpoint: Checkpoint, dataset: Dataset, splits: Splits, about: About, *, mirror: bool = False
) -> ModelFacts:
    """What the manifest says before anything is measured.

    Parameters
    ----------
    mirror : average over the image and its mirror image, whatever the recipe says.

    Raises
    ------
    DatasetError : the checkpoint was trained on another dataset: its val and test images may be among those
        that the model has learned from.
    """
    recipe = checkpoint.recipe
    found = dataset.content_sha256()
    if found != checkpoint.data_sha256:
        raise DatasetError(
            dataset.folder,
            expected=f"the dataset that the checkpoint was trained on (SHA-256 {checkpoint.data_sha256[:12]}...)",
            found=f"another one ({found[:12]}...)",
            remedy="name the dataset of the training run",
        )
    return ModelFacts(
        name=recipe.name,
        version=about.version,
        task=recipe.task,
        classes=recipe.classes,
        preprocessing=Preprocessing(recipe.input_size_hw),
        decoder=_settings(recipe, mirror=mirror),
        tiles=tile_settings(recipe),
        score_threshold=recipe.score_threshold,
        calibration=None,
        licence=Licence(code=CODE_LICENCE, weights=about.weights_licence, data=dataset.provenance.licence),
        intended_use=about.intended_use,
        limits=about.limits,
        training=Training(
            data=dataset.provenance.name,
            data_sha256=found,
            images={split: len(records) for split, records in splits.items()},
            split_rule=_split_rule(recipe, dataset),
            recipe=_learned(recipe),
        ),
        metrics={},
    )


def _settings(recipe: Recipe, *, mirror: bool) -> Settings:
    if isinstance(recipe.model, MaskRcnnModel):
        settings = recipe.model.settings
        return settings.model_copy(update={"mirror": True}) if mirror else settings
    return RegionSettings(mirror=mirror) if recipe.task == "semantic" else ClassifierSettings(mirror=mirror)


def _split_rule(recipe: Recipe, dataset: Dataset) -> str:
    named = [name for name in ("test_images", "val_images") if getattr(recipe.data, name)]
    if not named:
        return dataset.splits_made_by
    return f"{' and '.join(named)} by name in the recipe; the others {dataset.splits_made_by or 'are not divided'}"


def _learned(recipe: Recipe) -> dict[str, object]:
    """The recipe without the place where initial weights lay, which is nobody's business."""
    learned = recipe.model_dump(mode="json")
    if recipe.initial_weights:
        learned["initial_weights"] = Path(recipe.initial_weights).name
    return learned
