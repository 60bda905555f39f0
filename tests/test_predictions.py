"""Anybody's predictions read from files: what their entries mean, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_datasets import SIZE_HW, crowd, dataset, record, rectangle

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask, from_rle, from_runs, to_rle, to_runs
from maskstream.data.dataset import Dataset
from maskstream.evaluation.answers import ObjectAnswers
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.predictions.asked import Asked, listed
from maskstream.evaluation.predictions.open import is_predictions, open_predictions
from maskstream.evaluation.predictions.results import ResultAnswers

CLASSES = ("cat", "dog", "eel", "fox", "gnu")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Thirty images with up to five rectangles of five classes, a crowd now and then; ids 7, 14, 21, ..."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(1)
    images = []
    for number in range(1, 31):
        objects = [
            rectangle(int(rng.integers(5)), int(x), int(y), int(width), int(height))
            for x, y, width, height in zip(*rng.integers((0, 0, 3, 2), (15, 7, 6, 4), (rng.integers(6), 4)).T)
        ]
        if number % 7 == 0:
            objects.append(crowd(1, 0, 0, 12, 5))
        images.append(record(folder / "source", 7 * number, objects))
    return dataset(
        folder / "source",
        images,
        classes=CLASSES,
        splits={"test": tuple(image.name for image in images[:28]), "val": (images[28].name,), "none": ()},
    ).save(folder / "dataset")


class DisturbedTruth:
    """The true objects, some of them shifted, mostly of the right class: as a model might answer."""

    name, classes, calibration, facts = "disturbed", CLASSES, None, {}
    task, score_threshold, score_floor, max_detections = "instance", 0.5, 0.05, 100

    def detections(self, image: Any, score_floor: float) -> Detections:
        rng = np.random.default_rng(image.image_id)
        objects = [*image.annotations, *image.annotations[: rng.integers(3)]]
        shapes = [annotation.mask(SIZE_HW) for annotation in objects]
        masks = [CroppedMask(m.bitmap, max(m.x0 - int(rng.integers(3)), 0), m.y0) for m in shapes]
        if len(masks) > 2:
            objects.append(objects[0])
            masks.append(masks[0])  # two objects of one shape
        probabilities = rng.random((len(masks), len(CLASSES))) ** 4
        probabilities[np.arange(len(masks)), [annotation.class_id for annotation in objects]] += rng.random(len(masks))
        found = Detections(
            boxes_xyxy=np.array(
                [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m in masks], np.float32
            ).reshape(-1, 4),
            masks=tuple(masks),
            scores=-np.sort(-rng.random(len(masks))).astype(np.float32),
            probabilities=(probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32),
            track_ids=np.zeros(len(masks), np.int64),
            classes=CLASSES,
            size_hw=SIZE_HW,
        )
        return found.select(found.scores >= score_floor)


def evaluated(answers: ObjectAnswers, of: Dataset) -> Evaluation:
    evaluation = evaluation_of(answers, of)
    for image in of.records("test"):
        evaluation.add(image)
    return evaluation


def asked_of(of: Dataset, split: str = "test") -> Asked:
    return Asked.of(of, of.records(split), split)


def write(path: Path, entries: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


SQUARE = to_rle(CroppedMask(np.ones((4, 4), bool), 2, 2), SIZE_HW)


def entry(image_id: int = 7, category_id: int = 1, score: float = 0.9, **more: object) -> dict[str, object]:
    return {"image_id": image_id, "category_id": category_id, "score": score, "segmentation": SQUARE, **more}


def found_in(labelled: Dataset, tmp_path: Path, *entries: dict[str, object], image: int = 0) -> Detections:
    answers = ResultAnswers(write(tmp_path / "mine.json", entries), asked_of(labelled))
    return answers.detections(labelled.images[image], 0.0)


def test_own_predictions_give_all_figures_again(labelled: Dataset, tmp_path: Path) -> None:
    direct = evaluated(DisturbedTruth(), labelled)
    answers = open_predictions(direct.write_predictions(tmp_path), asked_of(labelled))
    again = evaluated(answers, labelled)
    figures, figures_again = direct.metrics(), again.metrics()
    assert 0.05 < figures["AP"] < 0.95
    assert figures_again["AP"] == pytest.approx(figures["AP"], abs=1e-9)
    differing = {key for key, value in figures.items() if figures_again[key] != value}
    assert differing == {"score_floor"}
    assert again.write_predictions(tmp_path / "again").read_bytes() == (tmp_path / "predictions.json").read_bytes()


@given(st.integers(0, 2**32 - 1))
def test_score_times_probability_is_the_score_of_each_entry(labelled: Dataset, tmp_path_factory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(5) ** rng.integers(1, 4) * rng.choice([0, 0.2, 1])
    entries = [entry(category_id=number + 1, score=float(score)) for number, score in enumerate(scores)]
    found = found_in(labelled, tmp_path_factory.getbasetemp(), *entries)
    products = found.scores[:, None].astype(float) * found.probabilities
    assert products.sum(axis=0) == pytest.approx(scores, abs=1e-6)
    assert len(found) == (1 if scores.sum() <= 1 else 5)
    assert found.probabilities.sum(axis=1) == pytest.approx(1)


def test_one_shape_in_several_classes_is_one_object(labelled: Dataset, tmp_path: Path) -> None:
    found = found_in(labelled, tmp_path, entry(score=0.3), entry(category_id=2, score=0.1))
    assert (len(found), found.scores[0]) == (1, np.float32(0.4))
    assert found.probabilities[0] == pytest.approx([0.75, 0.25, 0, 0, 0])


def test_scores_above_one_together_are_no_shares(labelled: Dataset, tmp_path: Path) -> None:
    found = found_in(labelled, tmp_path, entry(score=0.8), entry(category_id=2, score=0.7))
    assert found.scores.tolist() == pytest.approx([0.8, 0.7])
    assert found.probabilities.argmax(axis=1).tolist() == [0, 1]
    assert found.probabilities.max(axis=1).tolist() == [1, 1]


def test_the_same_class_again_is_another_object(labelled: Dataset, tmp_path: Path) -> None:
    found = found_in(labelled, tmp_path, entry(score=0.3), entry(score=0.2), entry(category_id=2, score=0.1))
    assert found.scores.tolist() == pytest.approx([0.4, 0.2])


def test_objects_come_best_first_and_down_to_the_floor(labelled: Dataset, tmp_path: Path) -> None:
    shapes = [to_rle(CroppedMask(np.ones((2, 2), bool), x, 0), SIZE_HW) for x in range(3)]
    scores = (0.2, 0.9, 0.0)
    entries = [entry(score=score, segmentation=shape) for shape, score in zip(shapes, scores)]
    assert found_in(labelled, tmp_path, *entries).scores.tolist() == pytest.approx([0.9, 0.2, 0.0])
    answers = ResultAnswers(write(tmp_path / "mine.json", entries), asked_of(labelled))
    assert len(answers.detections(labelled.images[0], 0.2)) == 2
    assert len(answers.detections(labelled.images[1], 0.0)) == 0


def test_a_stated_score_of_the_object_is_taken(labelled: Dataset, tmp_path: Path) -> None:
    found = found_in(labelled, tmp_path, entry(score=0.3, object_score=0.75))
    assert found.scores[0] == 0.75
    assert found.probabilities[0] == pytest.approx([0.4, 0, 0, 0, 0])


@pytest.mark.parametrize("form", ["compressed", "runs", "polygons"])
def test_every_form_of_segmentation(form: str, labelled: Dataset, tmp_path: Path) -> None:
    forms: dict[str, object] = {
        "compressed": SQUARE,
        "runs": {"size": list(SIZE_HW), "counts": to_runs(SQUARE)},
        "polygons": [[2, 2, 6, 2, 6, 6, 2, 6]],
    }
    found = found_in(labelled, tmp_path, entry(segmentation=forms[form]))
    assert (found.masks[0].dense(SIZE_HW) == from_rle(SQUARE).dense(SIZE_HW)).all()
    assert found.boxes_xyxy[0].tolist() == [2, 2, 6, 6]


def test_a_box_that_the_entry_states_is_kept(labelled: Dataset, tmp_path: Path) -> None:
    found = found_in(labelled, tmp_path, entry(bbox=[1.5, 2, 5, 4.5]))
    assert found.boxes_xyxy[0].tolist() == [1.5, 2, 6.5, 6.5]


def test_results_of_others_are_judged_as_pycocotools_judges_them(labelled: Dataset, tmp_path: Path) -> None:
    """One class an object, as most programs write results, and more than one object of the same shape."""
    rng = np.random.default_rng(3)
    entries = []
    for image in labelled.records("test"):
        for found in DisturbedTruth().detections(image, 0.0):
            rle = to_rle(found.mask, SIZE_HW)
            category = labelled.heading.category_id(found.class_id)
            entries.append(entry(image.image_id, category, round(float(rng.random()), 3), segmentation=rle))
    path = write(tmp_path / "mine.json", entries)
    truth = COCO(str(labelled.folder / "annotations.json"))
    judge = COCOeval(truth, truth.loadRes(str(path)), "segm")
    judge.params.imgIds = [image.image_id for image in labelled.records("test")]
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    figures = evaluated(open_predictions(path, asked_of(labelled)), labelled).metrics()
    assert 0.05 < figures["AP"] < 0.95
    for key, value in zip(("AP", "AP50", "AP75"), judge.stats):
        assert figures[key] == pytest.approx(value, abs=1e-6), key


def test_a_large_file_keeps_no_dense_masks(labelled: Dataset, tmp_path: Path) -> None:
    """The runs of a mask that fills a picture of 10 000 x 10 000 pixels are some letters."""
    rle = from_runs([0, 10**8], (10_000, 10_000))
    answers = ResultAnswers(write(tmp_path / "mine.json", [entry(segmentation=rle)] * 5000), asked_of(labelled))
    assert answers.facts["n_predictions"] == 5000


def test_what_a_file_says_of_itself(labelled: Dataset, tmp_path: Path) -> None:
    asked = asked_of(labelled)
    answers = ResultAnswers(write(tmp_path / "best" / "predictions.json", [entry(), entry(14)]), asked)
    assert (answers.name, answers.facts["model"], answers.facts["predictions"]) == ("best", "best", "predictions.json")
    assert (answers.facts["n_predictions"], answers.facts["n_without_answer"]) == (2, 26)
    assert len(str(answers.facts["predictions_sha256"])) == 64
    assert ResultAnswers(write(tmp_path / "mine.json", []), asked).facts["n_without_answer"] == 28


def test_classes_may_be_ignored(labelled: Dataset, tmp_path: Path) -> None:
    asked = Asked.of(labelled, labelled.records("test"), "test", ignore_classes=True)
    entries = [entry(category_id=1, score=0.25), entry(category_id=5, score=0.5)]
    found = ResultAnswers(write(tmp_path / "mine.json", entries), asked).detections(asked.records[0], 0.0)
    assert found.classes == ("object",)
    assert found.scores.tolist() == [0.5, 0.25]
    assert {a.class_id for image in asked.records for a in image.annotations} == {0}
    assert asked.dataset.heading.category_id(0) == 1


@pytest.mark.parametrize(
    "argument, expected",
    [("mine.json", True), ("mine.CSV", True), ("lesions", False), ("masks", True), ("model", False), ("empty", False)],
)
def test_predictions_are_known_by_their_names(argument: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.png").touch()
    (tmp_path / "model" / "manifest.json").touch()
    (tmp_path / "empty").mkdir()
    assert is_predictions(tmp_path / argument) is expected


def test_many_names_are_counted() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed([1, 2, 3, 4, 5]) == "1, 2, 3 and 2 more"
