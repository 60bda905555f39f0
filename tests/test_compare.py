"""`maskstream compare`: models of several tasks on the same images, paired differences, files, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from compared_models import models, squares
from typer.testing import CliRunner

from maskstream.cli import compare as command
from maskstream.data.dataset import Dataset
from maskstream.errors import DatasetError, ModelFolderError
from maskstream.evaluation.comparing.comparison import compare, spread, with_class
from maskstream.evaluation.comparing.contestants import Contestant, contestants
from maskstream.evaluation.evaluate import evaluation_of
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.resampling import intervals, paired_differences

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return squares(folder)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> dict[str, str]:
    tasks = ("instance", "semantic", "classification")
    return dict(zip(tasks, models(folder, *tasks), strict=True))


def _taking_part(arguments: Sequence[str], dataset: Dataset) -> tuple[Contestant, ...]:
    return contestants(arguments, Asked.of(dataset, dataset.records("val"), "val"))


def _run(*arguments: object) -> BaseException | None:
    app = typer.Typer()
    app.command()(command.compare)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exit_code and isinstance(result.exception, SystemExit):
        raise AssertionError(result.output)
    return result.exception


def test_figures_intervals_and_differences_are_those_of_evaluation_and_resampling(
    dataset: Dataset, tiny: dict[str, str]
) -> None:
    records = dataset.records("val")
    taking_part = _taking_part(["classical", tiny["instance"]], dataset)
    found = compare(taking_part, dataset, records, resamples=200, with_cost=False)
    headlines = []
    for one, row in zip(taking_part, found.rows, strict=True):
        evaluation = evaluation_of(one.answers, dataset, positive="malignant")
        for record in records:
            evaluation.add(record)
        headlines.append(evaluation.headline)
        figures = evaluation.metrics()
        assert row.figures == pytest.approx({key: figures[key] for key in found.figures})
        alone = intervals(evaluation.headline, evaluation.groups(), resamples=200)
        assert row.intervals == {key: alone[key] for key in found.figures if key in alone}
    groups = evaluation.groups()
    paired = paired_differences(headlines[1], headlines[0], groups, resamples=200)
    assert found.rows[1].differences == {key: paired[key] for key in found.figures}
    assert found.rows[0].differences == {}
    assert (found.baseline, found.positive, found.image_count) == ("classical", "malignant", 18)
    assert found.group_count == len(set(groups)) == 10
    assert any("only 10 groups" in warning for warning in found.warnings)


def test_tasks_meet_in_the_figures_that_they_share(dataset: Dataset, tiny: dict[str, str]) -> None:
    records = dataset.records("val")
    objects_and_pixels = compare(
        _taking_part([tiny["instance"], tiny["semantic"]], dataset), dataset, records, resamples=100, with_cost=False
    )
    assert "mean_jaccard" in objects_and_pixels.figures
    assert all(key in row.figures for key in objects_and_pixels.figures for row in objects_and_pixels.rows)
    assert set(objects_and_pixels.not_shared).isdisjoint(objects_and_pixels.figures)


def test_the_class_of_an_image_is_that_of_its_objects(dataset: Dataset, tiny: dict[str, str]) -> None:
    (one, other) = _taking_part([tiny["classification"], "classical"], dataset)
    assert (one.answers.task, other.answers.task) == ("classification", "instance")
    evaluation = evaluation_of(one.answers, dataset)
    records = dataset.records("val")
    with pytest.raises(DatasetError, match="an image with a class as a whole"):
        evaluation.add(records[0])
    found = compare((one, other), dataset, records, resamples=100, with_cost=False)
    assert {"auc", "balanced_accuracy", "brier"} <= set(found.figures)
    assert found.rows[0].figures["auc"] == found.rows[1].figures["auc"] == 0.5  # both say the same of every image
    assert any("calibration figures are of those images" in warning for warning in found.warnings)
    assert {with_class(record, dataset).class_id for record in records} == {0, 1}
    assert all(with_class(r, dataset).class_id == r.annotations[0].class_id for r in records)


def test_an_image_with_objects_of_two_classes_has_none_as_a_whole(dataset: Dataset) -> None:
    first, second = (next(r for r in dataset.images if r.annotations[0].class_id == c) for c in (0, 1))
    both = replace(first, annotations=first.annotations + second.annotations)
    with pytest.raises(DatasetError, match="with objects of one class, found objects of benign, malignant"):
        with_class(both, dataset)
    with pytest.raises(DatasetError, match="found neither"):
        with_class(replace(first, annotations=()), dataset)
    assert with_class(replace(both, class_id=1), dataset).class_id == 1


def test_classifiers_are_compared_with_the_shares_of_the_classes(tmp_path: Path, tiny: dict[str, str]) -> None:
    dataset = squares(tmp_path, with_objects=False)
    found = compare(
        _taking_part(["classical", tiny["classification"]], dataset),
        dataset,
        dataset.records("val"),
        resamples=100,
        with_cost=False,
    )
    assert "accuracy" in found.figures
    assert found.rows[0].figures["accuracy"] == pytest.approx(2 / 3)


def test_the_command_writes_files_that_agree(dataset: Dataset, tiny: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["classical", tiny["instance"], tiny["semantic"], "--data", dataset.folder, "--split", "val"]
    assert _run(*arguments, "--out", out, "--resamples", 100, "--baseline", "semantic") is None
    assert {path.name for path in out.iterdir()} == {"compare.json", "compare.csv", "differences.csv", "report.html"}
    found = json.loads((out / "compare.json").read_text())
    rows, gaps = _table(out / "compare.csv"), _table(out / "differences.csv")
    assert [row["model"] for row in rows] == ["classical", "instance", "semantic"]
    assert [model["name"] for model in found["models"]] == ["classical", "instance", "semantic"]
    assert {gap["model"] for gap in gaps} == {"classical", "instance"}
    assert all(gap["baseline"] == "semantic" for gap in gaps)
    for row, model in zip(rows, found["models"], strict=True):
        for key, entry in model["figures"].items():
            assert float(row[key]) == entry["value"]
            assert float(row[f"{key}_low"]) == entry["low"] <= entry["value"] <= entry["high"]
        assert float(row["ms_per_image"]) > 0
        assert float(row["peak_memory_mb"]) > 10
    assert (rows[0]["size_mb"], rows[0]["version"]) == ("0.0", "")
    assert rows[1]["version"] == "1"
    assert found["machine"]["speed_images"] == 12
    assert (found["dataset"], found["split"], found["n_images"]) == ("A small set", "val", 18)


def test_fewer_images_evenly_spread(dataset: Dataset, tmp_path: Path) -> None:
    records = dataset.records("val")
    assert [record.name for record in spread(records, 3)] == ["7.png", "15.png", "24.png"]
    assert spread(records, 99) == records
    arguments = ["classical", *models(tmp_path, "instance"), "--data", dataset.folder, "--split", "val"]
    assert _run(*arguments, "--out", tmp_path / "out", "--limit", 5, "--no-cost") is None
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (found["n_images"], found["n_in_split"]) == (5, 18)
    assert "machine" not in found
    assert "ms_per_image" not in found["models"][0]["cost"]


def test_predictions_are_compared_like_the_model_that_made_them(
    dataset: Dataset, tiny: dict[str, str], tmp_path: Path
) -> None:
    (one,) = _taking_part(["classical", tiny["instance"]], dataset)[1:]
    evaluation = evaluation_of(one.answers, dataset)
    for record in dataset.records("val"):
        evaluation.add(record)
    path = evaluation.write_predictions(tmp_path)
    arguments = [tiny["instance"], path, "--data", dataset.folder, "--split", "val", "--resamples", 100]
    assert _run(*arguments, "--out", tmp_path / "out") is None
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    model, predicted = found["models"]
    assert predicted["figures"]["mean_jaccard"] == model["figures"]["mean_jaccard"]
    assert "AP50" in found["figures"]
    same = next(entry for entry in found["differences"] if entry["figure"] == "mean_jaccard")
    assert (same["value"], same["better_share"]) == (0.0, 0.5)
    assert predicted["cost"] == {}
    assert _run(*arguments, "--out", tmp_path / "few", "--limit", 4, "--no-cost") is None


def test_two_models_of_one_name_are_told_apart(dataset: Dataset, tmp_path: Path) -> None:
    (one,) = models(tmp_path / "a", "instance")
    (other,) = models(tmp_path / "b", "instance")
    manifest = Path(other) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "1"', '"version": "2"'))
    names = [each.name for each in _taking_part([one, other], dataset)]
    assert names == [f"instance ({one})", f"instance ({other})"]
    taking_part = _taking_part([one, other], dataset)
    found = compare(taking_part, dataset, dataset.records("val"), baseline=other, resamples=100, with_cost=False)
    assert found.baseline == f"instance ({other})"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected at least two to compare, found 0"),
        (["classical"], "expected at least two to compare, found 1"),
        (["classical", "classical"], "expected each model once, found the same as classical"),
    ],
)
def test_too_few_or_the_same(dataset: Dataset, arguments: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        _taking_part(arguments, dataset)


def test_the_same_model_under_another_path(dataset: Dataset, tiny: dict[str, str], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tiny["instance"])
    with pytest.raises(DatasetError, match="the same as"):
        _taking_part([tiny["instance"], str(link)], dataset)


def test_what_is_no_model(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="a model folder or a bundled model"):
        _taking_part(["classical", str(tmp_path / "nowhere")], dataset)


def test_a_model_of_other_classes(tmp_path: Path, tiny: dict[str, str]) -> None:
    dataset = squares(tmp_path, classes=("bcc", "melanoma"))
    error = _run("classical", tiny["instance"], "--data", dataset.folder, "--split", "val", "--out", tmp_path / "o")
    assert isinstance(error, DatasetError)
    assert str(error).startswith("instance on ")
    assert "classes that the model knows (benign, malignant), found bcc, melanoma" in str(error)
    assert not (tmp_path / "o").exists()


def test_an_unknown_baseline_or_split(dataset: Dataset, tiny: dict[str, str], tmp_path: Path) -> None:
    arguments = ["classical", tiny["instance"], "--data", dataset.folder, "--out", tmp_path / "o"]
    assert "expected one of classical, instance" in str(_run(*arguments, "--split", "val", "--baseline", "lesions"))
    assert "expected one of train, val" in str(_run(*arguments, "--split", "none"))
    assert "expected at least one image" in str(_run(*arguments, "--split", "test"))


def test_objects_cannot_be_judged_where_none_is_labelled(tmp_path: Path, tiny: dict[str, str]) -> None:
    dataset = squares(tmp_path, with_objects=False)
    taking_part = _taking_part([tiny["classification"], tiny["instance"]], dataset)
    with pytest.raises(DatasetError, match="images with labelled objects, which instance is to find"):
        compare(taking_part, dataset, dataset.records("val"), with_cost=False)


def test_models_of_unlike_tasks_share_a_page(dataset: Dataset, tiny: dict[str, str], tmp_path: Path) -> None:
    """Pixels of a semantic model and classes of a classifier meet in one that finds objects, and in the baseline."""
    arguments = ["classical", *tiny.values(), "--data", dataset.folder, "--split", "val", "--out", tmp_path / "out"]
    assert _run(*arguments, "--resamples", 100, "--no-cost") is None
    models = {m["name"]: m for m in json.loads((tmp_path / "out" / "compare.json").read_text())["models"]}
    own = {name: {key for key in ("mean_jaccard", "auc") if key in m["figures"]} for name, m in models.items()}
    assert own == {
        "classical": {"mean_jaccard", "auc"},
        "classification": {"auc"},
        "semantic": {"mean_jaccard"},
        "instance": {"mean_jaccard", "auc"},
    }
    rows = {row["model"]: row for row in _table(tmp_path / "out" / "compare.csv")}
    assert rows["semantic"]["auc"] == rows["classification"]["mean_jaccard"] == ""
    assert "semantic and classical have no figure in common" not in (tmp_path / "out" / "report.html").read_text()


def test_tasks_without_a_shared_figure(dataset: Dataset, tiny: dict[str, str]) -> None:
    taking_part = _taking_part([tiny["classification"], tiny["semantic"]], dataset)
    with pytest.raises(DatasetError, match=r"another one has too, found none of classification \(classif"):
        compare(taking_part, dataset, dataset.records("val"), resamples=100, with_cost=False)


def test_models_that_learned_from_other_parts_of_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    divided = {"data": "this", "data_sha256": dataset.content_sha256(), "images": {"train": 3}, "split_rule": "named"}
    recipe = {"data": {"test_images": ["1.png"], "val_images": ["2.png"]}}
    (one,), (other,) = models(tmp_path / "a", "instance"), models(tmp_path / "b", "semantic")
    _train_on(one, divided | {"recipe": recipe})
    _train_on(other, divided | {"recipe": {}})
    error = _run(one, other, "--data", dataset.folder, "--split", "val", "--out", tmp_path / "o")
    assert "the same images for every model that learned from this dataset" in str(error)
    assert f"1 images for {one}; 18 images for {other}" in str(error)
    assert (
        _run(one, "classical", "--data", dataset.folder, "--split", "val", "--out", tmp_path / "o", "--no-cost") is None
    )
    assert json.loads((tmp_path / "o" / "compare.json").read_text())["n_images"] == 1


def _train_on(folder: str, training: dict[str, Any]) -> None:
    path = Path(folder) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": training}))


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_resampling_is_the_same_for_all(dataset: Dataset, tiny: dict[str, str]) -> None:
    records = dataset.records("val")
    found = compare(
        _taking_part(["classical", tiny["instance"]], dataset), dataset, records, resamples=100, seed=3, with_cost=False
    )
    again = compare(
        _taking_part(["classical", tiny["instance"]], dataset), dataset, records, resamples=100, seed=3, with_cost=False
    )
    assert [row.intervals for row in found.rows] == [row.intervals for row in again.rows]
    assert np.isfinite([value for row in found.rows for value in row.figures.values()]).all()
