"""Disturbed predictions for 128 COCO images, with crowds, empty images and 100+ detections: equal to pycocotools."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from disturbed_objects import Pair, detections, figures_of_pycocotools, result_entries
from pycocotools.coco import COCO

from maskstream.core import masks
from maskstream.evaluation.objects import object_store
from maskstream.evaluation.objects.instance import Compared, ImageTruth, family_keys
from maskstream.evaluation.objects.judge import Judge

CROWDED = 12
"""The image, by its place, in which 150 things are seen that are not there."""


@pytest.fixture(scope="module")
def coco(shared_data: Path) -> COCO:
    """The labels as COCO has them, but with 0-based category ids; they are read by pycocotools alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(shared_data / "coco128" / "instances.json"))
        numbers = {category["id"]: n for n, category in enumerate(truth.dataset["categories"])}
        truth.dataset["categories"] = [{**c, "id": numbers[c["id"]]} for c in truth.dataset["categories"]]
        for annotation in truth.dataset["annotations"]:
            annotation["category_id"] = numbers[annotation["category_id"]]
        truth.createIndex()
    return truth


@pytest.fixture(scope="module")
def pairs(coco: COCO) -> list[Pair]:
    """The labels as truth, and what a model of middling quality might have found."""
    rng = np.random.default_rng(0)
    classes = tuple(category["name"] for category in coco.dataset["categories"])
    images = list(coco.imgs.values())
    return [_pair(coco, image, classes, rng, 150 * (place == CROWDED)) for place, image in enumerate(images)]


def _pair(coco: COCO, image: dict[str, int], classes: tuple[str, ...], rng: np.random.Generator, more: int) -> Pair:
    size_hw = image["height"], image["width"]
    annotations = coco.imgToAnns[image["id"]]
    dense = [_dense(coco.annToRLE(annotation)) for annotation in annotations]
    x, y, width, height = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4).T
    truth = ImageTruth(
        image_id=image["id"],
        masks=tuple(masks.crop(mask) for mask in dense),
        class_ids=tuple(a["category_id"] for a in annotations),
        size_hw=size_hw,
        crowds=tuple(bool(a["iscrowd"]) for a in annotations),
        boxes_xyxy=np.stack([x, y, x + width, y + height], axis=1),
        areas_px=np.array([a["area"] for a in annotations], np.float64),
    )
    found = [_jittered(mask, rng) for mask in dense for _ in range(rng.choice(3, p=[0.2, 0.5, 0.3]))]
    class_ids = [c for c, mask in zip(truth.class_ids, dense) for _ in range(2)][: len(found)]
    alarms = rng.poisson(1.5) + more
    found += [_blob(size_hw, rng) for _ in range(alarms)]
    class_ids += rng.integers(0, len(classes), len(found) - len(class_ids)).tolist()
    logits = rng.normal(0, 1.5, (len(found), len(classes)))
    logits[np.arange(len(found)), np.array(class_ids, int)] += rng.normal(5, 2.5, len(found))
    odds = np.exp(logits)
    order = np.argsort(-(scores := np.round(rng.uniform(0.05, 1, len(found)), 2)), kind="stable")
    cropped = [masks.crop(found[row]) for row in order]
    return truth, detections(cropped, scores[order], (odds / odds.sum(1, keepdims=True))[order], classes, size_hw)


def _dense(rle: dict[str, Any]) -> np.ndarray:
    height, width = rle["size"]
    return masks.from_rle({"size": [height, width], "counts": rle["counts"].decode()}).dense((height, width))


def _jittered(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shift = np.float32([[1, 0, rng.normal(0, 2)], [0, 1, rng.normal(0, 2)]])
    moved = cv2.warpAffine(mask.astype(np.uint8), shift, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    change = cv2.dilate if rng.random() < 0.5 else cv2.erode
    changed: np.ndarray = change(moved, np.ones((3, 3), np.uint8), iterations=int(rng.integers(0, 4))).astype(bool)
    return changed


def _blob(size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    blank, (height, width) = np.zeros(size_hw, np.uint8), size_hw
    centre = int(rng.integers(width)), int(rng.integers(height))
    cv2.ellipse(blank, centre, tuple(rng.integers(3, 80, 2).tolist()), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return blank.astype(bool)


def _judge(pairs: list[Pair]) -> Judge:
    verdict = Judge(pairs[0][1].classes, 0.5)
    for truth, found in pairs:
        verdict.add(truth, found)
    return verdict


@pytest.fixture(scope="module")
def verdict(pairs: list[Pair]) -> Judge:
    return _judge(pairs)


def test_the_disturbed_predictions_hold_what_is_hard(coco: COCO, pairs: list[Pair]) -> None:
    assert any(any(truth.crowds) for truth, _ in pairs)
    assert any(not truth.masks for truth, _ in pairs)
    assert any(not len(found) for _, found in pairs)
    assert max(len(found) for _, found in pairs) > 100
    assert len({float(score) for _, found in pairs for score in found.scores}) < sum(len(found) for _, found in pairs)


@pytest.mark.parametrize("of, prefix", [("mask", ""), ("box", "box_")])
def test_equals_pycocotools(coco: COCO, pairs: list[Pair], verdict: Judge, of: Compared, prefix: str) -> None:
    results = [entry for truth, found in pairs for entry in result_entries(truth.image_id, found, of)]
    expected = figures_of_pycocotools(coco, results, verdict.classes, of)
    if of == "box":
        expected = {key: value for key, value in expected.items() if "/" not in key}
    metrics = verdict.metrics()
    assert {key: metrics[f"{prefix}{key}"] for key in expected} == pytest.approx(expected, abs=1e-6)
    family = [*family_keys(100), *(f"{key}/{name}" for name in verdict.classes for key in family_keys(100))]
    undefined = {key for key in family if f"{prefix}{key}" in str(metrics["undefined"]).split(", ")}
    assert undefined == (set(family) if of == "mask" else set(family_keys(100))) - expected.keys()
    assert set(family_keys(100)) <= expected.keys()


def test_the_headline_of_all_images_is_that_of_the_metrics(pairs: list[Pair], verdict: Judge) -> None:
    metrics, headline = verdict.metrics(), verdict.headline(np.arange(len(pairs)))
    assert {"AP", "AP50", "AP75", "box_AP50", "precision", "recall", "f1", "mean_jaccard"} <= headline.keys()
    assert headline == pytest.approx({key: metrics[key] for key in headline}, abs=1e-9)


def test_the_headline_of_a_choice_is_that_of_these_images_alone(pairs: list[Pair], verdict: Judge) -> None:
    chosen = np.random.default_rng(1).choice(len(pairs), 40, replace=False)
    alone = _judge([pairs[place] for place in chosen]).metrics()
    headline = verdict.headline(chosen)
    assert headline == pytest.approx({key: alone[key] for key in headline}, abs=1e-9)


def test_classes_left_out_as_impossible_change_little(
    pairs: list[Pair], verdict: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RANKED_FLOOR", 0.0)
    everything = _judge(pairs)
    places = np.arange(len(pairs))
    of_all, kept = everything.headline(places), verdict.headline(places)
    assert sum(1 for _ in everything.results) > 9 * sum(1 for _ in verdict.results)
    assert 0 < of_all["AP"] - kept["AP"] < 0.002
    assert kept == pytest.approx(of_all, abs=0.005)


def test_an_image_counted_twice_is_as_two_alike(pairs: list[Pair], verdict: Judge) -> None:
    places = np.repeat(np.arange(30), 2)
    copies = [(replace(truth, image_id=2 * truth.image_id + n), found) for truth, found in pairs[:30] for n in (0, 1)]
    assert verdict.headline(places) == pytest.approx(_judge(copies).headline(np.arange(60)), abs=1e-9)
