"""From a checkpoint to a model folder that answers like it, knows its figures, and appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from maskstream.core.files import sha256, whole_folder
from maskstream.core.frame import Frame
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.evaluate import judge_deployed
from maskstream.evaluation.objects.judge import SCORE_FLOOR
from maskstream.evaluation.split import match_classes
from maskstream.export.about import About
from maskstream.export.calibrate import calibrate
from maskstream.export.gate import Parity, check_parity, gate_frames
from maskstream.export.graphs import write_graphs
from maskstream.export.threshold import choose_threshold, in_all_orientations
from maskstream.export.trained import Checkpoint, Splits, gather_facts
from maskstream.inference.load import load_any, load_model
from maskstream.inference.manifest import MODEL_CARD, Manifest, ModelFacts, read_manifest
from maskstream.inference.runtime import OnnxRuntime
from maskstream.reports.model_card import model_card
from maskstream.training.image_splits import split_records
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.torch_runtime import TorchRuntime

VERSIONS_OF = ("maskstream", "torch", "onnx", "onnxruntime")

Tell = Callable[[str], None]
"""Told what is being done, for a person who waits."""


def export_checkpoint(
    checkpoint: Checkpoint,
    dataset: Dataset,
    about: About,
    folder: Path,
    *,
    mirror: bool = False,
    score_threshold: float | None = None,
    judged_split: str = "test",
    tell: Tell = lambda step: None,
) -> tuple[Manifest, Parity]:
    """Write a model folder: graphs, parity gate, threshold and calibration on val, figures on `judged_split`, card.

    Parameters
    ----------
    dataset : the one that the checkpoint was trained on.
    folder : new or empty.
    mirror : average over the image and its mirror image.
    score_threshold : score from which an object counts as found; None: for instances the one that is best on val,
        for regions the recipe's.
    judged_split : train, val or test as the recipe divides the images, or another split of the dataset.

    Raises
    ------
    ExportRefused : the graphs answer differently from the checkpoint; nothing is written.
    DatasetError : the dataset is another one, or lacks what calibration or evaluation need.
    OutputError : the folder is in use or cannot be written.
    """
    recipe = checkpoint.recipe
    splits = split_records(recipe.data, dataset)
    judged = _records_to_judge(splits, dataset, judged_split)
    class_ids = match_classes(dataset, recipe.classes)
    facts = gather_facts(checkpoint, dataset, splits, about, mirror=mirror)
    if score_threshold is not None:
        facts = facts.model_copy(update={"score_threshold": score_threshold})
    with whole_folder(folder) as temporary:
        parts = checkpoint.task.graphs(checkpoint.model)
        tell("choosing images for the parity gate")
        frames = gate_frames(facts, TorchRuntime(parts), [*splits["val"], *splits["train"]])
        parity = write_checked(parts, facts, frames, temporary, tell)
        if facts.task == "instance" and score_threshold is None:
            tell("choosing the score threshold on val")
            best = best_threshold(temporary, splits["val"], class_ids)
            rewrite_facts(temporary, score_threshold=best)
        if recipe.positive and facts.task != "semantic" and len(facts.classes) > 1:
            tell("calibrating on val")
            fit = calibrate(load_any(temporary), splits["val"], class_ids, recipe.positive)
            rewrite_facts(temporary, calibration=fit)
        tell(f"judging on {judged_split}")
        metrics = judge_deployed(load_any(temporary), dataset, judged, positive=recipe.positive)
        manifest = rewrite_facts(temporary, metrics=metrics | {"split": judged_split})
    return manifest, parity


def write_checked(
    parts: Mapping[str, GraphPart],
    facts: ModelFacts,
    frames: Sequence[Frame],
    folder: Path,
    tell: Tell = lambda step: None,
) -> Parity:
    """Write graphs, card and manifest into an existing folder, and hold what is deployed against PyTorch.

    Raises
    ------
    ExportRefused : see `check_parity`.
    """
    tell("writing the graphs")
    written = write_graphs(parts, folder)
    files = {role: folder / graph.file for role, graph in written.items()}
    digests = {path.name: sha256(path) for path in files.values()}
    versions = {name: version(name) for name in VERSIONS_OF}
    write_facts(folder, Manifest(**dict(facts), graphs=written, versions=versions, files=digests))
    tell(f"comparing {len(frames)} images with PyTorch")
    return check_parity(facts, TorchRuntime(parts), OnnxRuntime(files), frames)


def write_facts(folder: Path, manifest: Manifest) -> Manifest:
    """Write card and manifest; returned is the manifest with the card's hash."""
    card = folder / MODEL_CARD
    card.write_text(model_card(manifest), encoding="utf-8")
    complete = manifest.model_copy(update={"files": manifest.files | {MODEL_CARD: sha256(card)}})
    complete.write(folder)
    return complete


def rewrite_facts(folder: Path, **changes: object) -> Manifest:
    """Write card and manifest anew, with some facts changed."""
    return write_facts(folder, read_manifest(folder).model_copy(update=changes))


def best_threshold(folder: Path, records: Sequence[ImageRecord], class_ids: Sequence[int]) -> float:
    """The score threshold with the highest mean Jaccard of the model in a folder on images in four orientations."""
    return choose_threshold(in_all_orientations(records, load_model(folder), class_ids, SCORE_FLOOR))


def _records_to_judge(splits: Splits, dataset: Dataset, name: str) -> Sequence[ImageRecord]:
    """The images of a split, before anything is written."""
    records = splits[name] if name in splits else dataset.records(name)
    if not records:
        filled = [split for split, members in splits.items() if members]
        raise DatasetError(
            f"{dataset.folder}, split {name}",
            expected="images to judge the model on",
            found="none",
            remedy=f"name another split with --split: {', '.join(filled)}",
        )
    return records
