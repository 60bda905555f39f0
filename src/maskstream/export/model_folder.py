"""From a checkpoint to a model folder that answers like it, knows its figures, and appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import nn

from maskstream.core import masks
from maskstream.core.files import sha256, whole_folder
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import CheckpointError, DatasetError
from maskstream.evaluation.judge import SCORE_FLOOR, Metrics, judge
from maskstream.evaluation.split import match_classes, segment_records
from maskstream.export.about import About
from maskstream.export.calibrate import calibrate
from maskstream.export.card import model_card
from maskstream.export.graphs import write_graphs
from maskstream.export.parity import GATE_FRAMES, Parity, check_parity
from maskstream.export.threshold import choose_threshold, in_all_orientations
from maskstream.inference.load import DeployedModel, load_model
from maskstream.inference.manifest import MODEL_CARD, Licence, Manifest, ModelFacts, Training
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.checkpoint import load_into, load_weights, recipe_of
from maskstream.training.loop import build_model
from maskstream.training.models import MaskRcnn, graphs
from maskstream.training.recipe import Recipe
from maskstream.training.validation import SCORE_THRESHOLD, torch_segmenter

CODE_LICENCE = "Apache-2.0"
BEST = "best.safetensors"
VERSIONS_OF = ("maskstream", "torch", "onnx", "onnxruntime")

Tell = Callable[[str], None]
"""Told what is being done, for a person who waits."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model and how it came about.

    Attributes
    ----------
    data_sha256 : hash of the dataset that it was trained on.
    """

    model: MaskRcnn
    recipe: Recipe
    data_sha256: str


def load_checkpoint(path: Path, *, mirror: bool = False) -> Checkpoint:
    """Read a checkpoint, or the best one of a run folder; `mirror` as in `MaskRcnnSettings`.

    Raises
    ------
    CheckpointError : it is missing, broken, or does not fit its own recipe.
    """
    file = path / BEST if path.is_dir() else path
    weights, facts = load_weights(file)
    recipe = recipe_of(facts, file)
    if mirror:
        settings = recipe.settings.model_copy(update={"mirror": True})
        recipe = recipe.model_copy(update={"settings": settings})
    model = build_model(recipe)
    load_into(model, weights, file)
    if "data_sha256" not in facts:
        raise CheckpointError(
            file, expected="data_sha256 in the metadata", found="none", remedy="use a checkpoint of `maskstream train`"
        )
    return Checkpoint(model.eval(), recipe, facts["data_sha256"])


def export_checkpoint(
    checkpoint: Checkpoint,
    dataset: Dataset,
    about: About,
    folder: Path,
    *,
    score_threshold: float | None = None,
    judged_split: str = "test",
    tell: Tell = lambda step: None,
) -> tuple[Manifest, Parity]:
    """Write a model folder: graphs, parity gate, threshold and calibration on val, figures on `judged_split`, card.

    Parameters
    ----------
    dataset : the one that the checkpoint was trained on.
    folder : new or empty.
    score_threshold : score from which an object counts as found; None: the one that is best on val.

    Raises
    ------
    ExportRefused : the graphs answer differently from the checkpoint; nothing is written.
    DatasetError : the dataset is another one, or lacks what calibration or evaluation need.
    OutputError : the folder is in use or cannot be written.
    """
    facts = gather_facts(checkpoint, dataset, about)
    reference = torch_segmenter(checkpoint.model, checkpoint.recipe)
    parts = graphs(checkpoint.model, checkpoint.recipe.input_size_hw)
    with whole_folder(folder) as temporary:
        tell("choosing images for the parity gate")
        frames = gate_frames(dataset.records("val"), reference)
        deployed, parity = write_checked(parts, facts, reference, frames, temporary, tell)
        if score_threshold is None:
            tell("choosing the score threshold on val")
            score_threshold = best_threshold(deployed, dataset)
        rewrite_facts(temporary, deployed.manifest, score_threshold=score_threshold)
        deployed = load_model(temporary)
        if len(facts.classes) > 1:
            tell("calibrating on val")
            deployed = _with_calibration(deployed, dataset, checkpoint.recipe.positive, temporary)
        tell(f"judging on {judged_split}")
        manifest = rewrite_facts(temporary, deployed.manifest, metrics=judge_deployed(deployed, dataset, judged_split))
    return manifest, parity


def write_checked(
    parts: Mapping[str, nn.Module],
    facts: ModelFacts,
    reference: Segmenter,
    frames: Sequence[Frame],
    folder: Path,
    tell: Tell = lambda step: None,
) -> tuple[DeployedModel, Parity]:
    """Write graphs and manifest into an existing folder, and hold what is deployed against `reference`.

    Raises
    ------
    ExportRefused : see `check_parity`.
    """
    tell("writing the graphs")
    written = write_graphs(parts, facts.preprocessing.input_size_hw, folder)
    files = {graph.file: sha256(folder / graph.file) for graph in written.values()}
    versions = {name: version(name) for name in VERSIONS_OF}
    rewrite_facts(folder, Manifest(**dict(facts), graphs=written, versions=versions, files=files))
    deployed = load_model(folder)
    tell(f"comparing {len(frames)} images with PyTorch")
    return deployed, check_parity(reference, deployed, frames, floor=facts.decoder.score_floor)


def rewrite_facts(folder: Path, manifest: Manifest, **changes: object) -> Manifest:
    """Write card and manifest anew, with some facts changed."""
    facts = manifest.model_copy(update=changes)
    card = folder / MODEL_CARD
    card.write_text(model_card(facts), encoding="utf-8")
    complete = facts.model_copy(update={"files": facts.files | {MODEL_CARD: sha256(card)}})
    complete.write(folder)
    return complete


def gather_facts(checkpoint: Checkpoint, dataset: Dataset, about: About) -> ModelFacts:
    """What the manifest says before anything is measured.

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
    learned = recipe.model_dump(mode="json")
    if recipe.initial_weights:
        learned["initial_weights"] = Path(recipe.initial_weights).name  # where it lay is nobody's business
    return ModelFacts(
        name=recipe.name,
        version=about.version,
        classes=recipe.classes,
        preprocessing=Preprocessing(recipe.input_size_hw),
        decoder=recipe.settings,
        score_threshold=SCORE_THRESHOLD,
        calibration=None,
        licence=Licence(code=CODE_LICENCE, weights=about.weights_licence, data=dataset.provenance.licence),
        intended_use=about.intended_use,
        limits=about.limits,
        training=Training(
            data=dataset.provenance.name,
            data_sha256=found,
            images={split: len(members) for split, members in dataset.splits.items()},
            split_rule=dataset.splits_made_by,
            recipe=learned,
        ),
        metrics={},
    )


def gate_frames(records: Sequence[ImageRecord], reference: Segmenter) -> list[Frame]:
    """The first images for the gate, and one more in which `reference` finds nothing, if there is one.

    That one is an image as it is, or the widest strip of one that holds no labelled object.
    """
    frames = [_frame(record, index) for index, record in enumerate(records[: GATE_FRAMES - 1])]
    candidates = (strip for index, record in enumerate(records) for strip in _without_objects(record, index))
    empty = next((frame for frame in candidates if not len(reference.segment([frame])[0])), None)
    return frames if empty is None else [*frames, empty]


def judge_deployed(model: DeployedModel, dataset: Dataset, split: str) -> Metrics:
    """The figures of `maskstream evaluate`, with the dataset and split that they stand for."""
    class_ids = match_classes(dataset, model.classes)
    pairs = segment_records(dataset.records(split), model, class_ids, SCORE_FLOOR)
    positive = dict(model.manifest.training.recipe).get("positive")
    metrics = judge(pairs, model.classes, model.score_threshold, calibration=model.calibration, positive=positive)
    return metrics | {"dataset": dataset.provenance.name, "split": split}


def best_threshold(deployed: DeployedModel, dataset: Dataset) -> float:
    """The score threshold with the highest mean Jaccard on val, seen in four orientations."""
    class_ids = match_classes(dataset, deployed.classes)
    return choose_threshold(in_all_orientations(dataset.records("val"), deployed, class_ids, SCORE_FLOOR))


def _with_calibration(deployed: DeployedModel, dataset: Dataset, positive: str, folder: Path) -> DeployedModel:
    calibration = calibrate(deployed, dataset, "val", positive)
    rewrite_facts(folder, deployed.manifest, calibration=calibration)
    return load_model(folder)


def _frame(record: ImageRecord, index: int) -> Frame:
    return Frame(record.read_image(), index, 0.0, record.name)


def _without_objects(record: ImageRecord, index: int) -> list[Frame]:
    """The image itself, and its widest strip left or right of every labelled object, if that is 16 pixels wide."""
    frame = _frame(record, index)
    shapes = [annotation.mask(record.size_hw) for annotation in record.annotations]
    columns = np.flatnonzero(masks.union(shapes, record.size_hw).any(axis=0))
    if not len(columns):
        return [frame]
    left, right = frame.image[:, : columns[0]], frame.image[:, columns[-1] + 1 :]
    strip = max(left, right, key=lambda part: part.shape[1])
    if strip.shape[1] < 16:
        return [frame]
    return [frame, Frame(np.ascontiguousarray(strip), index, 0.0, f"{record.name}, the strip beside its objects")]
