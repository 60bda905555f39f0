"""How far a run has come, and its files: what is written first, what is saved, and how it goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskstream import __version__
from maskstream.core.files import require_unused, whole_file, whole_folder, write_json, write_text
from maskstream.data.dataset import Dataset
from maskstream.errors import CheckpointError
from maskstream.evaluation.verdict import Metrics
from maskstream.training.checkpoint import BEST, LAST, RESUME, load_weights, recipe_of, resume_tensors, save_weights
from maskstream.training.optimise import WeightAverage
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import dump_recipe
from maskstream.training.stages import Leg

RECIPE, RUN, STAGES, EPOCHS = "recipe.yaml", "run.json", "stages", "epochs"
VERSIONS_OF = ("torch", "torchvision", "lightning", "numpy", "segmentation-models-pytorch")


@dataclass(slots=True)
class Progressed:
    """How far a run has come; stands in the metadata of `resume.safetensors`.

    Attributes
    ----------
    step : steps of the optimiser that are done, over all stages.
    epochs : epochs that are done, with their validation, over all stages.
    stages : names of those that are done, with all that they leave.
    best_score, best_step : of the best validation so far; None before the first.
    stale : validations since then.
    metrics : of the latest validation.
    """

    step: int = 0
    epochs: int = 0
    stages: list[str] = field(default_factory=list)
    best_score: float | None = None
    best_step: int = 0
    stale: int = 0
    metrics: Metrics = field(default_factory=dict)


class RunState:
    """The files of a run.

    Parameters
    ----------
    recipe : resolved.
    data_sha256 : hash of the dataset.
    """

    def __init__(self, run: Path, recipe: Recipe, data_sha256: str) -> None:
        self.run = run
        self.recipe = recipe
        self.progressed = Progressed()
        self._facts = {"recipe": recipe.model_dump(mode="json"), "data_sha256": data_sha256, "maskstream": __version__}

    def open(
        self,
        dataset: Dataset,
        total_steps: int,
        arguments: Mapping[str, Any],
        model: nn.Module,
        average: WeightAverage,
    ) -> None:
        """Make a new run folder, whole or not at all: how the run came about, and the state that it begins with.

        Raises
        ------
        OutputError : the folder is in use or cannot be written.
        """
        require_new(self.run)
        facts = {
            "maskstream": __version__,
            "versions": {name: version(name) for name in VERSIONS_OF},
            "seed": self.recipe.seed,
            "data": dataset.provenance.name,
            "data_folder": str(dataset.folder),
            "data_sha256": self._facts["data_sha256"],
            "total_steps": total_steps,
            "arguments": dict(arguments),
            "git": git_state(),
        }
        with whole_folder(self.run) as folder:
            write_text(folder / RECIPE, dump_recipe(self.recipe))
            write_json(folder / RUN, facts)
            self._save(folder / RESUME, resume_tensors(model, average.own(), None))

    def load(self) -> dict[str, Tensor]:
        """Take the progress from the latest state, and return its tensors.

        Raises
        ------
        CheckpointError : there is none, or it is of another recipe or dataset.
        """
        path = self.run / RESUME
        if not path.is_file():
            raise CheckpointError(
                self.run, expected="a run to go on with", found=f"no {RESUME}", remedy="begin it without --resume"
            )
        tensors, facts = load_weights(path)
        self._refuse_others(path, facts)
        self.progressed = Progressed(**facts["progressed"])
        return tensors

    def _refuse_others(self, path: Path, facts: Mapping[str, Any], stages: int | None = None) -> None:
        """See that a state is of this dataset, and of this recipe as far as its first `stages`."""
        begun, now = (
            _what_counts(recipe, stages)
            for recipe in (recipe_of(facts, path), self.recipe)  # keys that were added since have their defaults
        )
        differing = [key for key, value in begun.items() if value != now[key]]
        if not differing and facts.get("data_sha256") == self._facts["data_sha256"]:
            return
        what = "recipe" if differing else "dataset"
        raise CheckpointError(
            path,
            expected=f"the {what} that the run began with",
            found=f"another one ({', '.join(differing)})" if differing else "another one",
            remedy=f"go on with the same {what}, or start a new run folder",
        )

    def require(self, leg: Leg) -> None:
        """See that the run has come as far as a stage's beginning.

        Raises
        ------
        CheckpointError : the stages before are not done.
        """
        if self.progressed.step < leg.first_step:
            raise CheckpointError(
                self.run,
                expected=f"{leg.first_step} steps before stage {leg.stage.name}",
                found=str(self.progressed.step),
                remedy="run the stages before it first",
            )

    def load_stage(self, name: str) -> dict[str, Tensor]:
        """Take the progress from the end of a stage, and return its tensors.

        Raises
        ------
        CheckpointError : the stage has not been run here, or with a recipe that differs in more than the stages after.
        """
        path = self.run / STAGES / f"{name}.safetensors"
        if not path.is_file():
            raise CheckpointError(
                self.run, expected=f"stage {name} at its end, to go on from", found="none", remedy="run it first"
            )
        tensors, facts = load_weights(path)
        self._refuse_others(path, facts, 1 + [stage.name for stage in self.recipe.stages].index(name))
        self.progressed = Progressed(**facts["progressed"])
        return tensors

    def begin_after(self, stage: str, tensors: Mapping[str, Tensor], total_steps: int) -> None:
        """Put the run back to where a stage has ended, with the best checkpoint of that time."""
        write_text(self.run / RECIPE, dump_recipe(self.recipe))
        facts = json.loads((self.run / RUN).read_text(encoding="utf-8"))
        write_json(self.run / RUN, facts | {"total_steps": total_steps})
        _copy(self.run / STAGES / f"{stage}-best.safetensors", self.run / BEST)
        self._save(self.run / RESUME, tensors)

    def save(self, model: nn.Module, average: WeightAverage, optimiser: torch.optim.Optimizer) -> None:
        """Write the state that `--resume` goes on from."""
        self._save(self.run / RESUME, resume_tensors(model, average.own(), optimiser))

    def _save(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        save_weights(path, tensors, self._facts | {"progressed": asdict(self.progressed)})

    def save_answer(self, weights: Mapping[str, Tensor], epoch: int) -> None:
        """Write `last`, `best` when the latest validation is the best so far, and the epoch's own where it is kept."""
        facts = self._facts | {"epoch": epoch, "step": self.progressed.step, "metrics": self.progressed.metrics}
        save_weights(self.run / LAST, weights, facts)
        if self.recipe.validation.keep_epochs:
            save_weights(self.run / EPOCHS / f"epoch-{epoch:03d}.safetensors", weights, facts)
        if self.progressed.best_step in (0, self.progressed.step):
            save_weights(self.run / BEST, weights, facts)

    def end_stage(self, leg: Leg, model: nn.Module, average: WeightAverage) -> None:
        """Keep what the next stage starts from, so that it can be run again alone."""
        _copy(self.run / BEST, self.run / STAGES / f"{leg.stage.name}-best.safetensors")
        self._save(self.run / STAGES / f"{leg.stage.name}.safetensors", resume_tensors(model, average.own(), None))

    def judge(self, metrics: Metrics) -> None:
        """Take in a validation's metrics, and see whether it is the best; one that lacks a metric is not."""
        progressed, choice = self.progressed, self.recipe.validation
        progressed.metrics = metrics
        sign = 1.0 if choice.mode == "max" else -1.0
        values = [sign * float(metrics[name]) for name in choice.best if name not in self._undefined()]
        score = sum(values) / len(values) if values else float(progressed.step)
        is_defined = len(values) == len(choice.best)
        if is_defined and (progressed.best_score is None or score > progressed.best_score):
            progressed.best_score, progressed.best_step, progressed.stale = score, progressed.step, 0
        else:
            progressed.stale += 1

    def require_choice(self) -> None:
        """See that the metrics that the recipe chooses by have been defined at least once.

        Raises
        ------
        CheckpointError : the validation images do not define one.
        """
        if self.progressed.best_score is None and (undefined := self._undefined()):
            numbers = ", ".join(name for name, value in self.progressed.metrics.items() if isinstance(value, float))
            raise CheckpointError(
                "validation.best",
                expected=f"metrics that the validation images define ({numbers})",
                found=", ".join(undefined),
                remedy="choose by others, or validate on images that show every class; all is saved",
            )

    def _undefined(self) -> list[str]:
        metrics = self.progressed.metrics
        return [name for name in self.recipe.validation.best if not isinstance(metrics.get(name), int | float)]

    @property
    def is_stale(self) -> bool:
        """Whether validations have not become better for longer than the recipe has patience."""
        patience = self.recipe.validation.patience
        return patience is not None and self.progressed.stale >= patience


def git_state() -> dict[str, Any] | None:
    """Commit of the working directory and whether it has changes; None outside a git work tree or without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def require_new(run: Path) -> None:
    """See that a run folder is new or empty.

    Raises
    ------
    OutputError : it is in use.
    """
    require_unused(run, remedy="pass --resume or another --out")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _what_counts(recipe: Recipe, stages: int | None) -> dict[str, Any]:
    """What a run's numbers depend on, as far as its first stages: not who loads images, nor in what portions."""
    values = recipe.model_dump(mode="json", exclude={"data": {"workers", "cache_mb", "batch_size", "accumulate"}})
    images = recipe.data.batch_size * recipe.data.accumulate
    return values | {"stages": values["stages"][:stages], "data.batch_size": images}
