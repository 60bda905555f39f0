"""Precision, recall and F1 of objects; each true object; who is taken for whom."""

from __future__ import annotations

import numpy as np
import pytest
from disturbed_objects import SIZE_HW, THREE, Pair, detections, disc, disturbed_images

from maskstream.core.detections import Detections
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.objects.judge import Judge
from maskstream.evaluation.objects.true_objects import size_of
from maskstream.evaluation.verdict import Table

LEFT, RIGHT, TOP = disc((30, 20), 8), disc((30, 60), 8), disc((8, 40), 4)
BENIGN, MALIGNANT = [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]


def _judge(*pairs: Pair, threshold: float = 0.5) -> Judge:
    verdict = Judge(THREE, threshold)
    for truth, found in pairs:
        verdict.add(truth, found)
    return verdict


def _tables(verdict: Judge) -> dict[str, Table]:
    return {table.name: table for table in verdict.tables()}


def _rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row)) for row in table.rows]


def _found(*rows: tuple[object, float, list[float]]) -> Detections:
    return detections([r[0] for r in rows], np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))  # type: ignore[misc]


def hand_made() -> Judge:
    """Benign found; malignant called benign; a false alarm below and one above the threshold; another image missed."""
    first = ImageTruth(1, (LEFT, RIGHT), (0, 1), SIZE_HW, name="first.png")
    found = _found((LEFT, 0.9, BENIGN), (RIGHT, 0.8, BENIGN), (TOP, 0.6, MALIGNANT), (TOP, 0.2, BENIGN))
    second = ImageTruth(2, (LEFT,), (0,), SIZE_HW)
    return _judge((first, found), (second, Detections.empty(THREE, SIZE_HW)))


def test_precision_recall_and_f1_by_hand() -> None:
    figures = hand_made().metrics()
    assert (figures["precision"], figures["recall"], figures["f1"]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (figures["precision/benign"], figures["recall/benign"], figures["f1/benign"]) == (0.5, 0.5, 0.5)
    assert (figures["precision/malignant"], figures["recall/malignant"], figures["f1/malignant"]) == (0, 0, 0)
    assert not {"precision/other", "recall/other", "f1/other"} & figures.keys()
    assert {"precision/other", "recall/other", "f1/other"} <= set(str(figures["undefined"]).split(", "))
    # from 0.9 on: 1 of 1 found is right, of 3 that are there
    assert (figures["best_f1"], figures["best_f1_score"]) == pytest.approx((0.5, 0.9))


def test_an_objects_rows() -> None:
    first, second, third = _rows(_tables(hand_made())["objects"])
    assert first == {
        "image": "first.png",
        "class": "benign",
        "area_px": 197.0,
        "size": "small",
        "centre_x": pytest.approx(20.5 / 80),
        "centre_y": pytest.approx(30.5 / 60),
        "crowd": 0,
        "best_iou": 1.0,
        "found": 1,
        "found_as": "benign",
        "score": pytest.approx(0.9),
        "probability": pytest.approx(0.8),
    }
    assert (second["class"], second["found"], second["found_as"]) == ("malignant", 1, "benign")
    assert (second["score"], second["probability"]) == pytest.approx((0.8, 0.2))
    assert third["image"] == "2"
    assert [third[key] for key in ("best_iou", "found", "found_as", "score", "probability")] == [0, 0, None, None, None]


def test_who_is_taken_for_whom() -> None:
    assert _tables(hand_made())["confusion"].rows == (
        ("benign", "benign", 1),
        ("benign", "background", 1),
        ("malignant", "benign", 1),
        ("background", "malignant", 1),
    )


def test_counts_of_each_image() -> None:
    counts = [[row[key] for key in ("n_truth", "n_found", "n_hit")] for row in hand_made().image_rows()]
    assert counts == [[2, 3, 2], [1, 0, 0]]


def test_a_crowd_is_neither_found_nor_missed_and_what_lies_in_it_is_no_false_alarm() -> None:
    truth = ImageTruth(1, (LEFT, RIGHT), (0, 0), SIZE_HW, crowds=(True, False))
    verdict = _judge((truth, _found((LEFT, 0.9, BENIGN), (LEFT, 0.8, BENIGN), (RIGHT, 0.7, BENIGN))))
    figures, tables = verdict.metrics(), _tables(verdict)
    assert (figures["precision"], figures["recall"], figures["best_f1"]) == (1, 1, 1)
    assert (figures["n_objects"], figures["n_crowds"]) == (1, 1)
    assert tables["confusion"].rows == (("benign", "benign", 1),)
    crowd, alone = _rows(tables["objects"])
    assert (crowd["crowd"], crowd["best_iou"], crowd["found"], crowd["found_as"]) == (1, None, None, None)
    assert (alone["crowd"], alone["found"]) == (0, 1)
    assert [verdict.image_rows()[0][key] for key in ("n_truth", "n_found", "n_hit")] == [1, 3, 1]


def test_of_two_on_one_object_the_better_is_right_and_the_other_wrong() -> None:
    verdict = _judge((ImageTruth(1, (LEFT,), (0,), SIZE_HW), _found((LEFT, 0.9, BENIGN), (LEFT, 0.8, BENIGN))))
    assert (verdict.metrics()["precision"], verdict.metrics()["recall"]) == (0.5, 1)
    assert set(_tables(verdict)["confusion"].rows) == {("benign", "benign", 1), ("background", "benign", 1)}


@pytest.mark.parametrize("seed", range(3))
def test_the_best_threshold_is_the_best_of_all(seed: int) -> None:
    """Judged again at each score that occurs."""
    pairs = disturbed_images(seed)
    figures = _judge(*pairs).metrics()
    scores = sorted({float(score) for _, found in pairs for score in found.scores})
    f1 = [_judge(*pairs, threshold=score).headline(np.arange(len(pairs)))["f1"] for score in scores]
    assert figures["best_f1"] == pytest.approx(max(f1))
    assert figures["best_f1_score"] == pytest.approx(max(s for s, value in zip(scores, f1) if value == max(f1)))


def test_the_thresholds_table_holds_the_figures_at_the_threshold() -> None:
    pairs = disturbed_images(0)
    verdict = _judge(*pairs, threshold=0.35)
    table = _tables(verdict)["threshold"]
    assert table.columns == ("score", "precision", "recall", "f1")
    assert [row[0] for row in table.rows] == [n / 100 for n in range(1, 100)]
    figures = verdict.metrics()
    assert table.rows[34] == pytest.approx((0.35, *(figures[key] for key in ("precision", "recall", "f1"))))


def test_without_any_true_object() -> None:
    verdict = _judge((ImageTruth(1, (), (), SIZE_HW), _found((LEFT, 0.9, BENIGN))))
    figures, tables = verdict.metrics(), _tables(verdict)
    assert figures["precision"] == 0
    assert not {"recall", "f1", "best_f1", "best_f1_score"} & figures.keys()
    assert {"recall", "f1", "best_f1", "best_f1_score"} <= set(str(figures["undefined"]).split(", "))
    assert tables["objects"].rows == tables["pr_curve"].rows == ()
    assert tables["confusion"].rows == (("background", "benign", 1),)
    assert [row[:4] for row in tables["classes"].rows] == [(name, 0, None, None) for name in THREE]
    assert "AP" not in verdict.headline(np.array([0]))


def test_nothing_found_and_nothing_there() -> None:
    verdict = _judge((ImageTruth(1, (), (), SIZE_HW), Detections.empty(THREE, SIZE_HW)))
    assert not {"precision", "recall", "f1", "best_f1"} & verdict.metrics().keys()
    assert _tables(verdict)["confusion"].rows == ()
    assert verdict.headline(np.array([0, 0]))["mean_jaccard"] == 1
    assert verdict.headline(np.zeros(0, np.int64)) == {}


def test_nothing_right_at_any_threshold_has_no_best_one() -> None:
    figures = _judge((ImageTruth(1, (LEFT,), (0,), SIZE_HW), _found((RIGHT, 0.9, BENIGN)))).metrics()
    assert figures["best_f1"] == 0
    assert "best_f1_score" not in figures


def test_the_class_table_holds_the_figures_of_the_metrics() -> None:
    verdict = _judge(*disturbed_images(2))
    metrics = verdict.metrics()
    table = _tables(verdict)["classes"]
    assert table.columns == (
        *("class", "n_objects", "AP", "AP50", "AP75", "AR_100"),
        *("precision", "recall", "f1", "best_f1", "best_f1_score"),
    )
    for row in _rows(table):
        for key in ("n_objects", "AP", "AP50", "AP75", "AR_100", "precision", "recall", "f1"):
            assert row[key] == metrics.get(f"{key}/{row['class']}")


def test_a_judge_without_images_has_no_tables() -> None:
    assert _judge().tables() == []


@pytest.mark.parametrize("area_px, size", [(0, "small"), (1023, "small"), (1024, "medium"), (9216, "large")])
def test_sizes_are_cocos(area_px: float, size: str) -> None:
    assert size_of(area_px) == size
