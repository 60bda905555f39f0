"""The model card: its words are the page's, its figures those of an evaluation, with their intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

import maskstream
from maskstream.inference.manifest import read_manifest
from maskstream.reports.figure_words import CLASS_NAMES, FIGURES
from maskstream.reports.model_card import model_card, write_model_card

FOLDER = Path(maskstream.__file__).parent / "inference" / "bundled" / "lesions"
METRICS = {
    "AP50": 0.5, "AP50/malignant": 0.25, "recall": 0.9, "recall_low": 0.85, "recall_high": 0.95, "mean_dice": 0.75,
    "undefined": "none", "n_pictures": 12, "split": "test", "dataset": "moles", "evaluator": "hand 1.0",
}  # fmt: skip


@pytest.fixture
def manifest():
    return read_manifest(FOLDER)


def test_the_figures_of_an_evaluation_take_the_place_of_the_manifests(manifest, tmp_path):
    card = write_model_card(tmp_path, manifest, METRICS).read_text(encoding="utf-8")
    table = card.split("## Evaluation")[1].split("## Calibration")[0]
    assert table.strip().splitlines() == [
        "12 images of the split `test` of moles, judged with these ONNX graphs by hand 1.0.",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        "| mask AP at IoU 0.50, mean over classes | 0.500 |  |",
        "| mask AP at IoU 0.50, malignant | 0.250 |  |",
        "| recall: true objects that are found | 0.900 | 0.850 to 0.950 |",
        "| mean Dice of an image | 0.750 |  |",
    ]
    before, after = (text.split("## Evaluation")[0] for text in (model_card(manifest), card))
    assert before == after


def test_without_intervals_there_is_no_column_for_them(manifest):
    bare = {key: value for key, value in METRICS.items() if not key.endswith(("_low", "_high"))}
    card = model_card(manifest.model_copy(update={"metrics": bare}))
    assert "| figure | value |\n|---|---|\n| mask AP at IoU 0.50, mean over classes | 0.500 |\n" in card


def test_every_figure_of_a_class_has_words():
    assert set(CLASS_NAMES) <= set(FIGURES)
