"""Robustness: the same images clean and corrupted, judged alike, with the drop and its interval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_answers import BrightAnswers, RedAnswers
from small_datasets import dataset, record, rectangle

from maskstream.core.detections import Detections
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.failures.corruptions import CORRUPTIONS
from maskstream.evaluation.failures.robustness import COLUMNS, chosen, robustness

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


def _images(folder: Path, count: int = 6) -> Dataset:
    """Bright squares on black, labelled to the pixel."""
    images = []
    for number in range(1, count + 1):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[10:30, 10 + number : 40] = (200, 0, 60)
        labelled = rectangle(1, 10 + number, 10, 30 - number, 20, size_hw=(40, 60))
        images.append(
            record(folder, number, [labelled], size_hw=(40, 60), pixels=pixels, class_id=number % 2, group=f"g{number}")
        )
    return dataset(folder, images)


def _fresh(answers: BrightAnswers | RedAnswers, data: Dataset, **how: Any) -> Callable[[], Evaluation]:
    return lambda: evaluation_of(answers, data, **how)


def _rows(table: Any) -> list[dict]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_every_corruption_stands_beside_the_clean_figures(tmp_path: Path) -> None:
    data = _images(tmp_path)
    told: list[int] = []
    some = [BY_NAME[name] for name in ("darker", "rotation", "jpeg")]
    answers = BrightAnswers("semantic")
    table = robustness(
        _fresh(answers, data), data.images, corruptions=some, on_progress=lambda done, total: told.append(done)
    )
    assert (table.name, table.columns) == ("robustness", COLUMNS)
    rows = {(r["corruption"], r["severity"]): r for r in _rows(table) if r["figure"] == "mean_jaccard"}
    assert len(rows) == 10
    clean = rows["clean", 0]
    assert (clean["value"], clean["level"], clean["n_images"], clean["drop"]) == (1.0, "unchanged", 6, None)
    # two stops less than 200 of 255 is 105: nothing bright is left, in every image and so in every resample
    dark = rows["darker", 3]
    assert (dark["value"], dark["drop"], dark["drop_low"], dark["drop_high"]) == (0.0, 1.0, 1.0, 1.0)
    assert dark["level"] == "-2 stops"
    # the truth turns along: exactly by quarter turns, to a pixel at the rim otherwise
    assert rows["rotation", 3]["value"] == 1.0
    assert rows["rotation", 2]["value"] > 0.85
    assert 0 <= rows["rotation", 2]["drop_low"] <= rows["rotation", 2]["drop"] <= rows["rotation", 2]["drop_high"]
    assert told == list(range(1, 61))
    assert answers.asked == 60


def test_the_judgement_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    data = _images(tmp_path, 2)
    strict = _fresh(BrightAnswers("semantic"), data, score_threshold=0.95)
    table = robustness(strict, data.images, corruptions=[])
    (row,) = [row for row in _rows(table) if row["figure"] == "mean_jaccard"]
    assert row["value"] == 0.0


def test_classifiers_are_tried_as_well(tmp_path: Path) -> None:
    data = _images(tmp_path)
    table = robustness(_fresh(RedAnswers(), data), data.images, corruptions=[BY_NAME["hue"]])
    found = {(row["corruption"], row["severity"]) for row in _rows(table) if row["figure"] == "accuracy"}
    assert found == {("clean", 0), ("hue", 1), ("hue", 2), ("hue", 3)}


def test_images_are_drawn_by_chance_and_kept_in_order() -> None:
    records = [ImageRecord(n, f"{n}.png", Path(f"{n}.png"), (4, 4)) for n in range(100)]
    drawn = chosen(records, 10)
    assert [r.image_id for r in drawn] == sorted(r.image_id for r in drawn)
    assert drawn == chosen(records, 10) != chosen(records, 10, seed=1)
    assert len({r.image_id for r in drawn}) == 10
    assert max(r.image_id for r in drawn) > 50
    assert chosen(records, 200) == records


def test_no_image_is_an_error(tmp_path: Path) -> None:
    data = _images(tmp_path, 1)
    with pytest.raises(DatasetError, match="robustness: expected at least one image"):
        robustness(_fresh(BrightAnswers("semantic"), data), [])


def test_images_in_which_nothing_is_found_are_judged(tmp_path: Path) -> None:
    class Nothing(BrightAnswers):
        def detections(self, record: ImageRecord, score_floor: float) -> Detections:
            return Detections.empty(self.classes, record.size_hw)

    data = _images(tmp_path, 2)
    table = robustness(_fresh(Nothing("semantic"), data), data.images, corruptions=[BY_NAME["blur"]])
    assert {row["value"] for row in _rows(table) if row["figure"] == "mean_jaccard"} == {0.0}
