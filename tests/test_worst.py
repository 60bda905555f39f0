"""The worst images, and why they are: in the words that a reader gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_answers import BrightAnswers, RedAnswers
from found_objects import disk, found
from small_datasets import dataset, record, rectangle

from maskstream.core.detections import Detections
from maskstream.core.masks import crop
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.failures.reasons import object_reason, percent, region_reason
from maskstream.evaluation.failures.worst import WRONG, worst
from maskstream.evaluation.objects.instance import ImageTruth

SIZE_HW = (40, 60)
RED, BLUE = (230, 0, 60), (60, 0, 230)


def _truth(masks: Sequence[np.ndarray], class_ids: Sequence[int], crowds: Sequence[bool] = ()) -> ImageTruth:
    return ImageTruth(1, tuple(crop(mask) for mask in masks), tuple(class_ids), SIZE_HW, tuple(crowds))


LEFT, RIGHT, NEAR = disk(SIZE_HW, 15, 20, 8), disk(SIZE_HW, 45, 20, 8), disk(SIZE_HW, 18, 20, 8)
NOTHING = Detections.empty(("benign", "malignant"), SIZE_HW)


@pytest.mark.parametrize(
    ("truth", "answer", "reason"),
    [
        (_truth([LEFT], [1]), NOTHING, "nothing found where 1 is"),
        (_truth([LEFT, RIGHT], [1, 1]), NOTHING, "nothing found where 2 are"),
        (_truth([], []), found([LEFT], [0.5], [0]), "found 1 object where none is"),
        (_truth([], []), NOTHING, "nothing there and nothing found"),
        (_truth([LEFT], [1]), found([LEFT], [0.93], [0]), "found as it is"),
        (_truth([LEFT], [1]), found([LEFT], [0.07], [0]), "called benign with 93 % where malignant is"),
        (_truth([LEFT], [1]), found([RIGHT], [0.9], [0]), "what was found lies elsewhere"),
        (
            _truth([LEFT], [1]),
            found([LEFT, RIGHT], [0.9, 0.9], [0, 0]),
            "found 2 objects where 1 is; 50 % of what was found lies outside",
        ),
        (
            _truth([LEFT, RIGHT], [1, 0]),
            found([LEFT, RIGHT], [0.4, 0.8], [0, 0]),
            "called malignant with 80 % where benign is, and 1 more by a wrong name",
        ),
        # a crowd is neither counted nor called anything
        (_truth([LEFT, RIGHT], [1, 1], [False, True]), found([LEFT], [0.9], [0]), "50 % of the true pixels missed"),
    ],
)
def test_the_reason_of_objects(truth: ImageTruth, answer: Detections, reason: str) -> None:
    assert object_reason(truth, answer) == reason


def test_an_outline_beside_the_object_is_told_by_its_pixels() -> None:
    reason = object_reason(_truth([LEFT], [1]), found([NEAR], [0.9], [0]))
    missed = round(100 * np.mean(~NEAR[LEFT]))
    assert reason == f"{missed} % of the true pixels missed; {missed} % of what was found lies outside"


def test_regions_are_told_by_pixels_and_by_the_class_they_were_given_to() -> None:
    truth = _truth([LEFT, RIGHT], [1, 0])
    assert region_reason(truth, found([LEFT, RIGHT], [0.9, 0.9], [0, 0])) == "100 % of benign called malignant"
    assert region_reason(truth, found([LEFT, RIGHT], [0.9, 0.1], [0, 0])) == "found as it is"
    assert region_reason(truth, NOTHING) == "nothing found where 2 are"
    assert region_reason(_truth([], []), NOTHING) == "nothing there and nothing found"


def test_certainty_is_not_claimed_by_rounding() -> None:
    assert [percent(p) for p in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]


def _evaluation(folder: Path, answers: BrightAnswers | RedAnswers, shown: Sequence[tuple]) -> Evaluation:
    """Images of 20 x 10 pixels: the rectangle that is bright, its colour, the rectangle that is labelled."""
    records = []
    for number, (bright, colour, labelled, class_id) in enumerate(shown, start=1):
        pixels = np.zeros((10, 20, 3), np.uint8)
        x, y, width, height = bright
        pixels[y : y + height, x : x + width] = colour
        annotations = [rectangle(class_id, *labelled)] if labelled else []
        records.append(record(folder, number, annotations, pixels=pixels, class_id=class_id))
    evaluation = evaluation_of(answers, dataset(folder, records))
    for each in records:
        evaluation.add(each)
    return evaluation


SHOWN = [
    ((2, 2, 6, 6), RED, (2, 2, 6, 6), 1),  # right
    ((0, 0, 0, 0), RED, (2, 2, 6, 6), 1),  # missed
    ((2, 2, 6, 6), BLUE, (2, 2, 6, 6), 1),  # right pixels, wrong name
    ((2, 2, 6, 6), RED, (2, 2, 12, 6), 1),  # half of it
    ((12, 2, 6, 6), RED, None, 1),  # nothing there
]


@pytest.mark.parametrize("task", ["instance", "semantic"])
def test_the_worst_come_first_and_equal_ones_by_name(tmp_path: Path, task: str) -> None:
    pytest.importorskip("faster_coco_eval")
    evaluation = _evaluation(tmp_path, BrightAnswers(task), SHOWN)  # type: ignore[arg-type]
    failures = worst(evaluation, evaluation.metrics(), evaluation.tables()[0], 3)
    assert [(f.rank, f.record.name, f.value) for f in failures] == [(1, "2.png", 0), (2, "5.png", 0), (3, "4.png", 0.5)]
    noun = "object" if task == "instance" else "region"
    reasons = ["nothing found where 1 is", f"found 1 {noun} where none is", "50 % of the true pixels missed"]
    assert [f.why for f in failures] == reasons
    assert len(worst(evaluation, evaluation.metrics(), evaluation.tables()[0])) == 5


def test_a_classifier_fails_worst_where_it_is_surest_of_a_wrong_class(tmp_path: Path) -> None:
    whole = (0, 0, 20, 10)
    shown = [(whole, RED, None, 1), (whole, BLUE, None, 1), (whole, (100, 0, 130), None, 1)]
    evaluation = _evaluation(tmp_path, RedAnswers(), shown)
    first, second, third = worst(evaluation, evaluation.metrics(), evaluation.tables()[0])
    assert (first.record.name, first.figure, first.truth) == ("2.png", WRONG, "malignant")
    assert first.value == pytest.approx(230 / 290, abs=1e-4)
    assert first.why == "called benign with 79 %; it is malignant (21 %)"
    assert second.record.name == "3.png"
    assert third.why == "called malignant, as it is, with 79 %"
