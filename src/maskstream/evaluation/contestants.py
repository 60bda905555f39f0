"""Those who are compared: models, the classical baseline, and predictions of anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from maskstream.core.frame import Frame
from maskstream.data.dataset import Dataset
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers, answers_of
from maskstream.evaluation.classical_answers import ClassicalAnswers, classical_answers
from maskstream.evaluation.cost import Cost, folder_parameters, folder_size_mb
from maskstream.inference.classical import NAME
from maskstream.inference.load import DeployedClassifier, load_any, model_folder
from maskstream.inference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those who are compared.

    Attributes
    ----------
    name : what tables and pages call it; no other has it.
    argument : what it was asked for by.
    answers : what is judged.
    manifest : of a deployed model, else None.
    run : answers one image as deployed; None where only predictions are known.
    cost : size and parameters; without speed and memory, which are measured later.
    """

    name: str
    argument: str
    answers: Answers
    manifest: Manifest | None = None
    run: Callable[[Frame], object] | None = None
    cost: Cost = field(default_factory=Cost)


def contestant(argument: str, dataset: Dataset) -> Contestant:
    """Who is meant: `classical`, else a bundled model's name, else a model folder.

    A folder of the name `classical` is written `./classical`.

    Raises
    ------
    ModelFolderError : none of these, or a broken model folder.
    """
    if argument == NAME:
        answers = classical_answers(dataset)
        if not isinstance(answers, ClassicalAnswers):
            return Contestant(NAME, argument, answers)
        segmenter = answers.segmenter
        return Contestant(NAME, argument, answers, run=lambda frame: segmenter.segment([frame]), cost=Cost(0.0, 0))
    folder = model_folder(argument)
    model = load_any(argument)
    cost = Cost(folder_size_mb(folder), folder_parameters(folder))
    if isinstance(model, DeployedClassifier):
        return Contestant(
            model.name, argument, answers_of(model), model.manifest, lambda frame: model.classify([frame]), cost
        )
    return Contestant(
        model.name, argument, answers_of(model), model.manifest, lambda frame: model.segment([frame]), cost
    )


def contestants(arguments: Sequence[str], dataset: Dataset) -> tuple[Contestant, ...]:
    """All who are meant, each with a name of its own: of two with one name the argument is added.

    Raises
    ------
    DatasetError : fewer than two, or one of them twice.
    ModelFolderError : an argument that means nobody.
    """
    if len(arguments) < 2:
        raise DatasetError(
            "models", expected="at least two to compare", found=str(len(arguments)), remedy="name another one"
        )
    found: list[Contestant] = []
    seen: dict[str, str] = {}
    for argument in arguments:
        one = contestant(argument, dataset)
        identity = str(one.answers.facts.get("model_sha256", Path(argument).resolve()))
        if identity in seen:
            raise DatasetError(
                f"model {argument}",
                expected="each model once",
                found=f"the same as {seen[identity]}",
                remedy="leave one of them out",
            )
        seen[identity] = argument
        found.append(one)
    names = Counter(one.name for one in found)
    return tuple(replace(one, name=f"{one.name} ({one.argument})") if names[one.name] > 1 else one for one in found)
