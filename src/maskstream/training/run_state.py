"""How far a run has come, and its files: what is written first, what is saved, and how it goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskstream import __version__
from maskstream.core.files import require_unused, write_json, write_text
from maskstream.data.dataset import Dataset
from maskstream.errors import CheckpointError
from maskstream.evaluation.judge import Metrics
from maskstream.training.checkpoint import BEST, LAST, RESUME, load_weights, recipe_of, resume_tensors, save_weights
from maskstream.training.optimise import WeightAverage
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import dump_recipe
from maskstream.training.stages import Leg

RECIPE, RUN, STAGES = "recipe.yaml", "run.json", "stages"
VERSIONS_OF = ("torch", "torchvision", "lightning", "numpy", "segmentation-models-pytorch")


@dataclass(slots=True)
class Progressed:
    """How far a run has come; stands in the metadata of `resume.safetensors`.

    Attributes
    ----------
    step : steps of the optimiser that are done, over all stages.
    best_score, best_step : of the best validation so far; None before the first.
    stale : validations since then.
    metrics : of the latest validation.
    """

    step: int = 0
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

    def open(self, dataset: Dataset, total_steps: int, arguments: Mapping[str, Any]) -> None:
        """Make a new run folder and write how the run came about.

        Raises
        ------
        OutputError : the folder is in use or cannot be written.
        """
        require_unused(self.run, remedy="pass --resume or another --out")
        write_text(self.run / RECIPE, dump_recipe(self.recipe))
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
        write_json(self.run / RUN, facts)

    def load(self, path: Path | None = None) -> dict[str, Tensor]:
        """Take the progress from a saved state (default: the latest), and return its tensors.

        Raises
        ------
        CheckpointError : there is none, or it is of another recipe or dataset.
        """
        path = path or self.run / RESUME
        tensors, facts = load_weights(path)
        self._refuse_others(path, facts)
        self.progressed = Progressed(**facts["progressed"])
        return tensors

    def _refuse_others(self, path: Path, facts: Mapping[str, Any], besides: Sequence[str] = ()) -> None:
        """See that a state is of this recipe, `besides` some keys of it, and of this dataset."""
        begun = recipe_of(facts, path).model_dump(mode="json")  # so that keys that were added since have their defaults
        differing = [key for key, value in begun.items() if key not in besides and value != self._facts["recipe"][key]]
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
        """Take up a run where a stage has ended, with the best checkpoint of that time.

        Raises
        ------
        CheckpointError : the stage has not been run here, or with a recipe that differs in more than its stages.
        """
        path = self.run / STAGES / f"{name}.safetensors"
        tensors, facts = load_weights(path)
        self._refuse_others(path, facts, ("stages",))
        write_text(self.run / RECIPE, dump_recipe(self.recipe))
        self.progressed = Progressed(**facts["progressed"])
        best = self.run / STAGES / f"{name}-best.safetensors"
        if best.is_file():
            shutil.copyfile(best, self.run / BEST)
        return tensors

    def save(self, model: nn.Module, average: WeightAverage, optimiser: torch.optim.Optimizer) -> None:
        """Write the state that `--resume` goes on from."""
        facts = self._facts | {"progressed": asdict(self.progressed)}
        save_weights(self.run / RESUME, resume_tensors(model, average.own(), optimiser), facts)

    def save_answer(self, weights: Mapping[str, Tensor], epoch: int) -> None:
        """Write `last`, and `best` when the latest validation is the best so far."""
        facts = self._facts | {"epoch": epoch, "step": self.progressed.step, "metrics": self.progressed.metrics}
        save_weights(self.run / LAST, weights, facts)
        if self.progressed.best_step in (0, self.progressed.step):
            save_weights(self.run / BEST, weights, facts)

    def end_stage(self, leg: Leg, model: nn.Module, average: WeightAverage) -> None:
        """Keep what the next stage starts from, so that it can be run again alone."""
        facts = self._facts | {"progressed": asdict(self.progressed)}
        save_weights(
            self.run / STAGES / f"{leg.stage.name}.safetensors", resume_tensors(model, average.own(), None), facts
        )
        shutil.copyfile(self.run / BEST, self.run / STAGES / f"{leg.stage.name}-best.safetensors")

    def judge(self, metrics: Metrics) -> None:
        """Take in a validation's metrics, and see whether it is the best.

        Raises
        ------
        CheckpointError : the recipe chooses by a metric that this validation does not give.
        """
        progressed, choice = self.progressed, self.recipe.validation
        progressed.metrics = metrics
        missing = [name for name in choice.best if not isinstance(metrics.get(name), int | float)]
        if missing:
            numbers = ", ".join(name for name, value in metrics.items() if isinstance(value, float))
            raise CheckpointError(
                "validation.best",
                expected=f"metrics that the validation split defines ({numbers})",
                found=", ".join(missing),
                remedy="choose by others, or validate on images that show every class; --resume goes on",
            )
        sign = 1.0 if choice.mode == "max" else -1.0
        values = [sign * float(metrics[name]) for name in choice.best]
        score = sum(values) / len(values) if values else float(progressed.step)
        if progressed.best_score is None or score > progressed.best_score:
            progressed.best_score, progressed.best_step, progressed.stale = score, progressed.step, 0
        else:
            progressed.stale += 1

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
