"""Recipes on disk: those that ship and those of a user's own, read, checked, changed and printed."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from maskstream.errors import RecipeError
from maskstream.training.recipe import Recipe

SHIPPED = Path(__file__).parents[1] / "recipes"


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that ship with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def recipe_path(name_or_path: str | Path) -> Path:
    """The file of a shipped recipe's name, or the path itself."""
    if str(name_or_path) in shipped_recipes():
        return SHIPPED / f"{name_or_path}.yaml"
    return Path(name_or_path)


def load_recipe(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    name_or_path : a shipped recipe's name, or a YAML file.
    changes : values that replace the file's, each as `key.of.part=value`; numbers stand for places in lists.

    Raises
    ------
    RecipeError : the file is missing or no YAML, a key is unknown (the nearest known one is named), or a
        value makes no sense.
    """
    path = recipe_path(name_or_path)
    values = _read_yaml(path)
    for change in changes:
        _apply(values, change)
    return parse_recipe(values, path)


def parse_recipe(values: dict[str, Any], place: object) -> Recipe:
    """A recipe of plain values; `place` is named in errors.

    Raises
    ------
    RecipeError : a key is unknown or a value makes no sense.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _explain(place, error) from None


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML: every key, in the order of the schema."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        near = difflib.get_close_matches(str(path), shipped_recipes(), n=1)
        remedy = (
            f"did you mean {near[0]!r}?" if near else f"check the path, or name one of: {', '.join(shipped_recipes())}"
        )
        raise RecipeError(path, expected="a recipe", found=str(error.strerror), remedy=remedy) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(path, expected="a YAML file", found=str(error), remedy="correct the file") from error
    if not isinstance(values, dict):
        raise RecipeError(path, expected="keys and values", found=type(values).__name__, remedy="correct the file")
    return values


def _apply(values: Any, change: str) -> None:
    """Put `key.of.part=value` into nested values; blocks that are not there yet are made."""
    place, equals, text = change.partition("=")
    *path, last = place.split(".")
    try:
        value = yaml.safe_load(text)
        for key in path:
            values = values[int(key)] if isinstance(values, list) else values.setdefault(key, {})
        values[int(last) if isinstance(values, list) else last] = value
    except (yaml.YAMLError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(
            change, expected="key.of.part=value", found=str(error), remedy="correct the change of the recipe"
        ) from error
    if not equals:
        raise RecipeError(change, expected="key.of.part=value", found="no =", remedy="correct the change of the recipe")


def _explain(place: object, error: ValidationError) -> RecipeError:
    first, *others = error.errors(include_url=False)
    tags = set(_architectures())
    keys = tuple(part for part in first["loc"] if part not in tags)
    key = ".".join(str(part) for part in keys)
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        near = difflib.get_close_matches(str(keys[-1]), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return RecipeError(f"{place}: {key}", expected="a known key", found="an unknown one", remedy=remedy)
    more = f" (and {len(others)} more faults)" if others else ""
    message = first["msg"].removeprefix("Value error, ")
    return RecipeError(
        f"{place}: {key}" if key else place,
        expected="a valid value",
        found=message + more,
        remedy="correct the recipe; docs/recipes.md lists the keys",
    )


def _architectures() -> list[str]:
    """Tags that pydantic puts into an error's place after `model`."""
    return [tag for part in _variants(Recipe.model_fields["model"].annotation) for tag in _tags(part)]


def _tags(part: type[BaseModel]) -> tuple[str, ...]:
    return get_args(part.model_fields["architecture"].annotation)


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    """Keys of the block at a place of the recipe, as pydantic names places."""
    blocks: list[type[BaseModel]] = [Recipe]
    for step in place:
        if isinstance(step, int):
            continue
        if "architecture" in blocks[0].model_fields and step not in blocks[0].model_fields:
            blocks = [block for block in blocks if step in _tags(block)]
            continue
        blocks = [variant for block in blocks for variant in _variants(block.model_fields[step].annotation)]
    return sorted({key for block in blocks for key in block.model_fields})


def _variants(annotation: Any) -> list[type[BaseModel]]:
    """The blocks that a key's type allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, tuple) or hasattr(annotation, "__metadata__"):
        return [variant for argument in get_args(annotation) for variant in _variants(argument)]
    return []
