"""`manifest.json`: everything that a model folder says about itself, checked when it is read.

A model folder holds the manifest, one ONNX graph a role, and `MODEL_CARD.md`. Every file's SHA-256 stands
in the manifest, and a folder whose files differ from it is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from maskstream.core.calibration import Calibration
from maskstream.core.files import sha256
from maskstream.errors import ModelFolderError
from maskstream.inference.classifier import ClassifierSettings
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.inference.preprocess import Preprocessing
from maskstream.inference.regions import RegionSettings
from maskstream.inference.windows import TileSettings

MANIFEST = "manifest.json"
MODEL_CARD = "MODEL_CARD.md"
SCHEMA_VERSION = 1

Task = Literal["instance", "semantic", "classification"]
Settings = MaskRcnnSettings | RegionSettings | ClassifierSettings

SETTINGS: dict[str, type[Settings]] = {
    "instance": MaskRcnnSettings,
    "semantic": RegionSettings,
    "classification": ClassifierSettings,
}
"""What a task's decoder is set with."""

ROLES = {
    "instance": ("trunk", "box_head", "mask_head"),
    "semantic": ("network",),
    "classification": ("network",),
}
"""The graphs that a task's decoder calls."""

OPTIONAL_ROLES = {"instance": ("class_head",), "semantic": (), "classification": ()}
"""Graphs that it calls where there are any."""

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A file of the folder itself: no separators and no leading dot, so it cannot point elsewhere."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256, as 64 hexadecimal digits."""

Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Graph(_Strict):
    """One ONNX graph: its file and the names of its inputs and outputs, in the order of the call."""

    file: FileName
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Licence(_Strict):
    """SPDX names of three different things: the code, the weights and the data that they learned from."""

    code: str
    weights: str
    data: str


class Training(_Strict):
    """How the weights came about.

    Attributes
    ----------
    data : name of the dataset.
    data_sha256 : hash of the dataset as it was trained on.
    images : how many of them each split holds.
    split_rule : how they were divided.
    recipe : the resolved recipe.
    """

    data: str
    images: dict[str, int]
    data_sha256: Digest
    split_rule: str
    recipe: dict[str, Any]


class ModelFacts(_Strict):
    """What a model is and how it is used, apart from the files that hold it.

    Attributes
    ----------
    schema_version : of this file's layout.
    name, version : of the model.
    task : what it answers with; "instance": Detections of objects, "semantic": Detections of a label map's regions,
        "classification": a Classification of the image as a whole.
    classes : names in the order of their 0-based ids.
    preprocessing : how an image becomes the network's input.
    decoder : how the graphs' raw outputs become the answer.
    tiles : the windows in which larger images are looked at; None looks at every image at once.
    score_threshold : score from which an object counts as found; a classifier has no use for it.
    calibration : from raw class probabilities to percentages; None when they are raw.
    intended_use, limits : for the reader of a report, in plain sentences.
    metrics : flat keys; `evaluator` and `split` say what made them.
    """

    schema_version: Literal[1] = 1
    name: FileName
    version: str
    task: Task = "instance"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    decoder: Settings
    tiles: TileSettings | None = None
    score_threshold: Probability
    calibration: Calibration | None
    licence: Licence
    intended_use: str
    limits: tuple[str, ...]
    training: Training
    metrics: dict[str, float | int | str]

    @field_validator("decoder", mode="before")
    @classmethod
    def _of_task(cls, decoder: object, info: ValidationInfo) -> object:
        """Settings as the task has them: their keys alone would not tell which ones are meant."""
        task = info.data.get("task")
        if task is None:  # it has a fault of its own
            return ClassifierSettings()
        if isinstance(decoder, SETTINGS[task]):
            return decoder
        if isinstance(decoder, get_args(Settings)):
            raise ValueError(f"{SETTINGS[task].__name__} for the task {task!r}; {type(decoder).__name__}")
        return SETTINGS[task].model_validate_json(json.dumps(decoder), strict=True)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes that differ from each other; {', '.join(self.classes)}")
        if self.calibration and self.calibration.positive not in self.classes:
            raise ValueError(f"a calibration.positive that is one of the classes; {self.calibration.positive!r}")
        if self.calibration and self.calibration.slope <= 0:
            raise ValueError(f"a calibration.slope above 0; {self.calibration.slope}")
        if min(self.preprocessing.input_size_hw) < 1:
            raise ValueError(f"a preprocessing.input_size_hw of at least 1; {self.preprocessing.input_size_hw}")
        if min(self.preprocessing.std) <= 0:
            raise ValueError(f"a preprocessing.std above 0; {self.preprocessing.std}")
        if self.tiles is not None and self.task == "classification":
            raise ValueError("no tiles for the task 'classification'; some")
        return self


class Manifest(ModelFacts):
    """A model folder's manifest: the facts and the files.

    Attributes
    ----------
    graphs : ONNX graphs by role.
    versions : packages that wrote the folder.
    files : SHA-256 of every file but this one.
    """

    graphs: dict[str, Graph]
    versions: dict[str, str]
    files: dict[FileName, Digest]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        roles = ROLES[self.task]
        missing = [role for role in roles if role not in self.graphs]
        if missing:
            raise ValueError(f"graphs with the roles {', '.join(roles)}; no {', '.join(missing)}")
        unknown = [role for role in self.graphs if role not in roles + OPTIONAL_ROLES[self.task]]
        if unknown:
            raise ValueError(f"no roles but {', '.join(roles + OPTIONAL_ROLES[self.task])}; {', '.join(unknown)}")
        unlisted = sorted({graph.file for graph in self.graphs.values()} - set(self.files))
        if unlisted:
            raise ValueError(f"the SHA-256 of every graph among files; none of {', '.join(unlisted)}")
        return self

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into a folder that is not in use yet."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read a model folder's manifest and compare every file with its SHA-256.

    Raises
    ------
    ModelFolderError : the folder, a file or a key is missing, a value makes no sense, a file is not the one
        that was exported, or the layout is of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        found = "no such file" if folder.is_dir() else "no such folder"
        raise ModelFolderError(path, expected="a model folder", found=found, remedy="check the path")
    manifest = _parse(path)
    for name, digest in manifest.files.items():
        _check_file(folder / name, digest)
    return manifest


def _parse(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFolderError(
            path, expected="a JSON file", found=str(error), remedy="export the model again"
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelFolderError(
            f"{path}, schema_version",
            expected=str(SCHEMA_VERSION),
            found=repr(version),
            remedy="export the model again with this version of maskstream, or install the version that wrote it",
        )
    try:
        # from text once more: only then do lists count as tuples without every other type turning lax
        return Manifest.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise _explain(path, error) from None


def _explain(path: Path, error: ValidationError) -> ModelFolderError:
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    expected, _, found = first["msg"].removeprefix("Value error, ").partition("; ")
    if first["type"] == "missing":
        expected, found = "this key", "none"
    elif first["type"] == "extra_forbidden":
        expected, found = "known keys only", "this one"
    more = f" (and {len(others)} more faults)" if others else ""
    return ModelFolderError(
        f"{path}, {key}" if key else path,
        expected=expected,
        found=(found or repr(first["input"])[:80]) + more,
        remedy="export the model again",
    )


def _check_file(path: Path, digest: str) -> None:
    remedy = "copy the model folder again or export the model again"
    if not path.is_file():
        raise ModelFolderError(path, expected="a file of the model folder", found="no such file", remedy=remedy)
    actual = sha256(path)
    if actual != digest:
        raise ModelFolderError(
            path, expected=f"SHA-256 {digest[:12]}...", found=f"{actual[:12]}..., an altered file", remedy=remedy
        )
