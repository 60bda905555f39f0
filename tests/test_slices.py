"""Slices: kinds of images that say what they mean, figures of each kind, and counts alone where there are few."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fake_answers import BrightAnswers
from hypothesis import given
from hypothesis import strategies as st
from small_datasets import crowd, dataset, record, rectangle

from maskstream.data.dataset import Dataset
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.failures.slices import COLUMNS, MAIN_FIGURES, OBJECT_COLUMNS, object_slices, slices
from maskstream.evaluation.failures.traits import Trait, cut, traits
from maskstream.evaluation.verdict import Table


@given(st.lists(st.none() | st.floats(-100, 100) | st.integers(0, 3).map(float), max_size=60), st.integers(2, 5))
def test_parts_are_in_order_cover_everything_and_keep_equal_numbers_together(
    values: list[float | None], parts: int
) -> None:
    trait = cut("x", values, parts, "{:g}")
    assert [value is None for value in values] == [kind is None for kind in trait.column]
    pairs = sorted((v, trait.kinds.index(k)) for v, k in zip(values, trait.column) if v is not None and k is not None)
    ranks = [rank for _, rank in pairs]
    assert ranks == sorted(ranks)
    by_value: dict[float, set[int]] = {}
    for value, rank in pairs:
        by_value.setdefault(value, set()).add(rank)
    assert all(len(found) == 1 for found in by_value.values())
    assert len(trait.kinds) <= parts


def test_quarters_hold_as_many_each_and_say_their_edges() -> None:
    trait = cut("x", [float(value) for value in range(1, 101)], 4, "{:g}", " px")
    assert trait.kinds == ("up to 25 px", "above 25, up to 50 px", "above 50, up to 75 px", "above 75 px")
    assert Counter(trait.column) == dict.fromkeys(trait.kinds, 25)
    assert cut("x", [2.0, 2.0, None, 3.0], 4, "{:g}") == Trait("x", ("2", "3"), ["2", "2", None, "3"])
    assert cut("x", [None, None], 4, "{:g}").kinds == ()
    # more than three quarters of them are the least number: what is above it stays apart
    assert cut("x", [0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0], 4, "{:g}").kinds == ("up to 0", "above 0")


def _pixels(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((10, 20, 3), colour, np.uint8)


def _some(folder: Path) -> Dataset:
    red, blue, dark, white = (_pixels(rgb) for rgb in ((200, 100, 100), (100, 100, 200), (20, 10, 10), (255, 255, 255)))
    two = [rectangle(1, 0, 0, 10, 5), rectangle(0, 12, 6, 2, 2)]
    images = [
        record(folder, 1, [rectangle(0, 8, 4, 4, 2)], pixels=red, group="a", attributes={"age": 1}),
        record(folder, 2, two, pixels=blue, group="a", attributes={"age": 2, "sex": "f"}),
        record(folder, 3, [rectangle(0, 2, 4, 2, 2)], pixels=dark, attributes={"sex": "m"}),
        record(folder, 4, [crowd(0, 0, 0, 20, 5)], pixels=white, group="b", attributes={"sex": "f"}),
    ]
    return dataset(folder, images)


def test_the_kinds_of_images(tmp_path: Path) -> None:
    data = _some(tmp_path)
    found = {trait.name: trait for trait in traits(data, data.images)}
    assert found["label"].column == ["benign", "benign and malignant", "benign", "benign"]
    assert found["label"].kinds == ("benign", "benign and malignant")
    assert found["objects"].column == ["1", "2", "1", "0"]
    assert found["largest object"].column == ["4 % of the image", "25 % of the image", "2 % of the image", None]
    position = ["in the centre", "touching the border", "between centre and border", None]
    assert found["position of the largest object"].column == position
    assert found["images in the group"].column == ["2", "2", None, "1"]
    assert found["brightness"].kinds == ("20 of 255", "200 of 255", "255 of 255")
    assert found["brightness"].column[1:] == ["200 of 255", "20 of 255", "255 of 255"]
    assert found["hue"].kinds == ("-120 degrees", "0 degrees")
    assert found["attribute/age"].column == ["1", "2", None, None]
    assert found["attribute/sex"].column == [None, "f", "m", "f"]


def test_names_and_what_is_the_same_everywhere_are_no_kinds(tmp_path: Path) -> None:
    images = [
        record(tmp_path, n, pixels=_pixels((9, 9, 9)), class_id=n % 2, attributes={"site": f"s{n}", "year": 2020})
        for n in range(1, 15)
    ]
    data = dataset(tmp_path, images)
    found = {trait.name: trait for trait in traits(data, data.images)}
    assert list(found) == ["label"]
    assert Counter(found["label"].column) == {"benign": 7, "malignant": 7}


def _judged(folder: Path, hits: int, misses: int) -> Evaluation:
    """Large objects that are found, small ones that are not; pairs of images make groups."""
    images = []
    for number in range(1, hits + misses + 1):
        pixels = np.zeros((10, 20, 3), np.uint8)
        large = number <= hits
        if large:
            pixels[2:8, 2:12] = (230, 0, 60)
        labelled = rectangle(1, 2, 2, 10, 6) if large else rectangle(1, 2, 2, 2, 2)
        images.append(record(folder, number, [labelled], pixels=pixels, group=f"g{number // 2}"))
    evaluation = evaluation_of(BrightAnswers("semantic"), dataset(folder, images))
    for each in images:
        evaluation.add(each)
    return evaluation


def _rows(table: Table) -> list[dict]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_each_slice_has_its_own_figures_with_counts_and_interval(tmp_path: Path) -> None:
    evaluation = _judged(tmp_path, hits=14, misses=12)
    told: list[tuple[int, int | None]] = []
    table = slices(evaluation, on_progress=lambda done, total: told.append((done, total)))
    assert (table.name, table.columns) == ("slices", COLUMNS)
    rows = {(row["value"], row["figure"]): row for row in _rows(table) if row["column"] == "largest object"}
    large = rows["30 % of the image", "mean_jaccard"]
    assert (large["n_images"], large["n_groups"], large["value_of_figure"]) == (14, 8, 1.0)
    assert (large["low"], large["high"]) == (1.0, 1.0)
    assert rows["2 % of the image", "mean_jaccard"]["value_of_figure"] == 0.0
    assert {figure for _, figure in rows} <= set(MAIN_FIGURES)
    assert told[-1][0] == told[-1][1]


def test_a_slice_of_few_images_is_counted_and_no_more(tmp_path: Path) -> None:
    table = slices(_judged(tmp_path, hits=12, misses=9))
    few = [row for row in _rows(table) if row["value"] == "2 % of the image"]
    assert [(row["n_images"], row["figure"], row["value_of_figure"], row["low"]) for row in few] == [
        (9, None, None, None)
    ]


def test_object_slices_count_what_was_found() -> None:
    def row(name: str, size: str, area: int, x: float, found: int, iou: float | None, crowd: int = 0) -> tuple:
        return ("1.png", name, area, size, x, 0.5, crowd, iou, found)

    columns = ("image", "class", "area_px", "size", "centre_x", "centre_y", "crowd", "best_iou", "found")
    rows = (
        row("mole", "small", 100, 0.5, 1, 0.8),
        row("mole", "large", 9999, 0.1, 0, 0.2),
        row("hair", "small", 200, 0.5, 0, None),
        row("hair", "small", 300, 0.5, 1, 1.0, crowd=1),
    )
    table = object_slices(Table("objects", columns, rows))
    found = {(r["column"], r["value"]): (r["n_objects"], r["found_share"], r["mean_best_iou"]) for r in _rows(table)}
    assert found["class", "mole"] == (2, 0.5, 0.5)
    assert found["class", "hair"] == (1, 0.0, 0.0)
    assert found["size", "small"] == (2, 0.5, 0.4)
    assert found["position", "in the centre"] == (2, 0.5, 0.4)
    assert found["position", "between centre and border"] == (1, 0.0, pytest.approx(0.2))
    assert ("size", "medium") not in found
    empty = object_slices(Table("objects", columns, ()))
    assert (empty.columns, empty.rows) == (OBJECT_COLUMNS, ())
