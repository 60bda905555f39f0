"""Those who are compared: models, the classical baseline, and predictions of anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from maskstream.core.frame import Frame
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers, answers_of
from maskstream.evaluation.classical_answers import ClassicalAnswers, classical_answers
from maskstream.evaluation.comparing.cost import Cost, folder_parameters, folder_size_mb
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.open import is_predictions, open_predictions
from maskstream.inference.classical import NAME
from maskstream.inference.load import DeployedClassifier, load_any, model_folder


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those who are compared.

    Attributes
    ----------
    name : what tables and pages call it; no other has it.
    argument : what it was asked for by.
    answers : what is judged.
    run : answers one image as deployed; None where only predictions are known.
    cost : size and parameters; without speed and memory, which are measured later.
    """

    name: str
    argument: str
    answers: Answers
    run: Callable[[Frame], object] | None = None
    cost: Cost = field(default_factory=Cost)


def contestant(argument: str, asked: Asked) -> Contestant:
    """Who is meant: `classical`, else predictions, else a bundled model's name, else a model folder.

    A folder of the name `classical` is written `./classical`.

    Parameters
    ----------
    asked : the images of the split, which predictions answer.

    Raises
    ------
    DatasetError, SourceError : predictions that are broken, or not those of these images.
    ModelFolderError : none of these, or a broken model folder.
    """
    if argument == NAME:
        answers = classical_answers(asked.dataset)
        if not isinstance(answers, ClassicalAnswers):
            return Contestant(NAME, argument, answers)
        segmenter = answers.segmenter
        return Contestant(NAME, argument, answers, lambda frame: segmenter.segment([frame]), Cost(0.0, 0))
    if is_predictions(argument):
        predicted = open_predictions(argument, asked)
        return Contestant(predicted.name, argument, predicted)
    folder = model_folder(argument)
    model = load_any(argument)
    cost = Cost(folder_size_mb(folder), folder_parameters(folder))
    if isinstance(model, DeployedClassifier):
        return Contestant(model.name, argument, answers_of(model), lambda frame: model.classify([frame]), cost)
    return Contestant(model.name, argument, answers_of(model), lambda frame: model.segment([frame]), cost)


def contestants(arguments: Sequence[str], asked: Asked) -> tuple[Contestant, ...]:
    """All who are meant, each with a name of its own: of two with one name the argument is added.

    Raises
    ------
    DatasetError : fewer than two, or one of them twice.
    Those of `contestant`.
    """
    if len(arguments) < 2:
        raise DatasetError(
            "models", expected="at least two to compare", found=str(len(arguments)), remedy="name another one"
        )
    found: list[Contestant] = []
    seen: dict[str, str] = {}
    for argument in arguments:
        one = contestant(argument, asked)
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
