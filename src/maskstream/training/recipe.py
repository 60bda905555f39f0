"""The file that fully describes a training run."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maskstream.errors import RecipeError
from maskstream.inference.mask_rcnn import MaskRcnnSettings


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AugmentationRecipe(_Part):
    """How much an image changes from epoch to epoch; 0 switches a change off.

    `rotation_degrees` and `shear_degrees` are drawn from -x..x, `shift` from -x..x of the side, `scale` from
    the given range; brightness, contrast, saturation and hue as in torchvision's `ColorJitter`.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    rotation_degrees: float = 180.0
    shear_degrees: float = 5.0
    shift: float = 0.1
    scale: tuple[float, float] = (0.6, 1.3)
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    hue: float = 0.03
    blur: float = 0.15


class SyntheticRecipe(_Part):
    """Synthetic clips mixed in, so that several lesions in one image and plain skin are seen too.

    `share` of the images an epoch are synthetic, `plain_share` of those show skin without a lesion. Seeds start at
    `first_seed`, far from those that tests and figures use.
    """

    share: float = 0.12
    plain_share: float = 0.25
    first_seed: int = 1_000_000
    scenes: int = 600


class Recipe(_Part):
    """One training run. Sizes are pixels (height, width); probabilities and shares lie in 0..1.

    Attributes
    ----------
    labels : the finer labels that the class head tells apart, each with the class that it belongs to;
        read from the image attribute `label`.
    balance : how strongly rare labels are drawn more often: 0 as they come, 1 all labels equally often.
    initial_weights : a checkpoint of the same classes, or a safetensors file in torchvision's `mobilenet_v2`
        layout, or `torchvision:NAME` (downloaded by torchvision), or null for none.
    select_by : validation metrics whose mean chooses the checkpoint `best`.
    """

    name: str
    task: Literal["instance"] = "instance"
    seed: int = 0
    input_size_hw: tuple[int, int] = (192, 256)
    classes: tuple[str, ...]
    labels: dict[str, str]
    positive: str
    initial_weights: str | None = None
    epochs: Annotated[int, Field(gt=0)] = 8
    batch_size: Annotated[int, Field(gt=0)] = 8
    learning_rate: float = 5e-4
    weight_decay: float = 0.02
    warmup_share: float = 0.1
    gradient_clip: float = 5.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    balance: float = 0.5
    class_loss_weight: float = 1.0
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    workers: int = 1
    validate_every: int = 1
    select_by: tuple[str, ...] = ("mean_jaccard", "AP50", "auc")
    settings: MaskRcnnSettings = MaskRcnnSettings()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    synthetic: SyntheticRecipe | None = None

    @property
    def labels_of_class(self) -> tuple[tuple[int, ...], ...]:
        """For each class the ids of its labels, in the order of `labels`."""
        owners = list(self.labels.values())
        return tuple(tuple(i for i, owner in enumerate(owners) if owner == name) for name in self.classes)


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    RecipeError : the file is missing or no YAML, a key is unknown (the nearest known one is named), a value
        has the wrong type, or a class has no label.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(path, expected="a recipe", found=str(error.strerror), remedy="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(path, expected="a YAML file", found=str(error), remedy="correct the file") from error
    if not isinstance(values, dict):
        raise RecipeError(path, expected="keys and values", found=type(values).__name__, remedy="correct the file")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise _explain(path, error) from error
    unknown = sorted(set(recipe.labels.values()) ^ set(recipe.classes))
    if unknown or recipe.positive not in recipe.classes:
        raise RecipeError(
            f"{path}: labels, positive",
            expected=f"labels for each of {', '.join(recipe.classes)} and no other class, and a positive among them",
            found=f"{', '.join(unknown) or recipe.positive!r}",
            remedy="make `classes`, `labels` and `positive` agree",
        )
    return recipe


def _explain(path: Path, error: ValidationError) -> RecipeError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return RecipeError(
            f"{path}: {place}", expected="a valid value", found=first["msg"], remedy="see docs/recipes.md"
        )
    known = _known_keys(first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return RecipeError(f"{path}: {place}", expected="a known key", found="an unknown one", remedy=hint)


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    parts: dict[tuple[Any, ...], type[BaseModel]] = {
        (): Recipe,
        ("settings",): MaskRcnnSettings,
        ("augmentation",): AugmentationRecipe,
        ("synthetic",): SyntheticRecipe,
    }
    return list(parts.get(place, Recipe).model_fields)
