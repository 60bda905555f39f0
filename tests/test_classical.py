"""The classical baseline: synthetic lesions, rims, hairs and pictures without anything; shares as class percentages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import small_datasets

from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset
from maskstream.evaluation.classical_answers import (
    ClassicalAnswers,
    ClassShareAnswers,
    class_shares,
    classical_answers,
)
from maskstream.evaluation.evaluate import evaluation_of
from maskstream.inference.classical import ClassicalSegmenter, dark_object
from maskstream.media.sample import SampleClip

CLASSES = ("benign", "malignant")
SKIN, PIGMENT = (220, 180, 170), (110, 70, 60)


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def _disc(size_hw: tuple[int, int], centre_xy: tuple[int, int], radius: int) -> np.ndarray:
    return cv2.circle(np.zeros(size_hw, np.uint8), centre_xy, radius, 1, -1) > 0


def _painted(pixels: np.ndarray) -> np.ndarray:
    return np.where(pixels[..., None], PIGMENT, SKIN).astype(np.uint8)


def test_synthetic_lesions_are_found() -> None:
    found = []
    for seed in (1, 2, 3, 4, 5, 7, 8):
        image, truth = SampleClip(seed=seed, moles=1, size_hw=(240, 320)).render(20)
        pixels, eta = dark_object(image)
        found.append(_jaccard(pixels, truth.union_mask()))
        assert 0.5 < eta <= 1
    assert np.mean(found) > 0.8


@pytest.mark.parametrize("size_hw", [(192, 256), (900, 1200)], ids=["as it is", "shrunk"])
def test_a_disc_under_hairs_in_a_round_view(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    truth = _disc(size_hw, (width // 2, height // 2), height // 5)
    image = _painted(truth)
    hair_px = max(1, width // 200)
    for x in range(width // 10, width, width // 8):
        cv2.line(image, (x, 0), (x - width // 10, height), (40, 30, 30), hair_px)
    image[~_disc(size_hw, (width // 2, height // 2), round(0.58 * width))] = 0
    pixels, _ = dark_object(image)
    assert pixels.shape == size_hw
    assert _jaccard(pixels, truth) > 0.93


def test_holes_are_filled_and_the_middle_wins() -> None:
    ring = _disc((120, 160), (80, 60), 30)
    image = _painted((ring & ~_disc((120, 160), (80, 60), 10)) | _disc((120, 160), (150, 15), 12))
    pixels, _ = dark_object(image)
    assert _jaccard(pixels, ring) > 0.93


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_in_a_picture_of_one_grey(level: int) -> None:
    pixels, eta = dark_object(np.full((40, 60, 3), level, np.uint8))
    assert not pixels.any()
    assert eta == 0.0
    (found,) = ClassicalSegmenter(CLASSES, (0.8, 0.2)).segment([Frame(np.full((40, 60, 3), level, np.uint8), 0, 0, "")])
    assert (len(found), found.size_hw) == (0, (40, 60))


def test_nothing_in_the_smallest_picture() -> None:
    assert not dark_object(np.zeros((1, 1, 3), np.uint8))[0].any()


def test_it_is_a_segmenter_whose_score_can_be_asked_for() -> None:
    segmenter = ClassicalSegmenter(CLASSES, (0.8, 0.2))
    assert isinstance(segmenter, Segmenter)
    frame = Frame(_painted(_disc((120, 160), (80, 60), 30)), 0, 0.0, "")
    (found,) = segmenter.segment([frame])
    assert len(found) == 1
    assert found.probabilities.tolist() == [[pytest.approx(0.8), pytest.approx(0.2)]]
    assert found.boxes_xyxy[0].tolist() == pytest.approx([50, 30, 111, 91], abs=3)
    (none,) = segmenter.segment([frame], float(found.scores[0]) + 1e-3)
    assert len(none) == 0


def _lesions(folder: Path, **more: object) -> Dataset:
    """Four images, three of them benign."""
    records = [
        small_datasets.record(
            folder, number, [small_datasets.rectangle(class_id, 40, 25, 40, 30, (80, 120))], (80, 120), _box_picture()
        )
        for number, class_id in enumerate((0, 0, 0, 1), start=1)
    ]
    splits = {"train": ("1.png", "2.png", "3.png", "4.png"), "val": ()}
    return small_datasets.dataset(folder, records, splits=more.get("splits", splits))


def _box_picture() -> np.ndarray:
    pixels = np.zeros((80, 120), bool)
    pixels[25:55, 40:80] = True
    return _painted(pixels)


def test_shares_are_those_of_the_training_split(tmp_path: Path) -> None:
    dataset = _lesions(tmp_path)
    assert class_shares(dataset) == ((0.75, 0.25), "shares of the classes in the split train")
    assert class_shares(_lesions(tmp_path, splits={"val": ("1.png",)})) == (
        (0.5, 0.5),
        "equal: the split train has no label to count",
    )


def test_percentages_that_do_not_look_have_an_area_of_a_half(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    dataset = _lesions(tmp_path)
    answers = classical_answers(dataset)
    assert isinstance(answers, ClassicalAnswers)
    evaluation = evaluation_of(answers, dataset)
    for record in dataset.images:
        evaluation.add(record)
    figures = evaluation.metrics()
    assert figures["auc"] == 0.5
    assert float(figures["mean_jaccard"]) > 0.8
    assert answers.facts["model"] == "classical"


def test_of_images_with_a_class_it_knows_the_shares_alone(tmp_path: Path) -> None:
    records = [small_datasets.record(tmp_path, number, class_id=number % 2) for number in range(1, 5)]
    dataset = small_datasets.dataset(
        tmp_path, records, splits={"train": ("1.png", "2.png", "3.png"), "val": ("4.png",)}
    )
    answers = classical_answers(dataset)
    assert isinstance(answers, ClassShareAnswers)
    assert answers.classification(records[0]).probabilities.tolist() == pytest.approx([1 / 3, 2 / 3])
    evaluation = evaluation_of(answers, dataset)
    for record in records:
        evaluation.add(record)
    assert evaluation.metrics()["auc"] == 0.5
