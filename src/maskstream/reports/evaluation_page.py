"""A finished evaluation as one HTML page that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from maskstream import __version__
from maskstream.reports import evaluation_pictures as pictures
from maskstream.reports import evaluation_tables as tables
from maskstream.reports import evaluation_words, words
from maskstream.reports.curve_chart import colour_class, curve_svg, values_json
from maskstream.reports.evaluation_cautions import cautions
from maskstream.reports.evaluation_charts import Chart, charts, main_figure, robustness_charts
from maskstream.reports.evaluation_values import evaluator_of, share_text, shown, span
from maskstream.reports.figure_words import explained_by, head, short_name
from maskstream.reports.page import write_page
from maskstream.reports.prevalence_rows import PREVALENCES, prevalence_of
from maskstream.reports.read_evaluation import METRICS, FinishedEvaluation, read_evaluation

PAGE = "report.html"

LARGE = {
    "instance": ("AP50", "recall", "precision", "mean_jaccard", "share_below_065", "auc"),
    "semantic": ("mean_jaccard", "pooled_jaccard", "mean_dice", "share_below_065"),
    "classification": ("accuracy", "balanced_accuracy", "auc", "ece"),
    "video": ("JF", "HOTA", "IDF1", "track_class_accuracy"),
}
"""Figures in large letters at the top, by task."""

_CONDITIONS = {
    "model": "Model",
    "model_version": "Its version",
    "model_sha256": "Its SHA-256",
    "predictions": "Predictions",
    "predictions_sha256": "Their SHA-256",
    "dataset": "Dataset",
    "dataset_sha256": "Its SHA-256",
    "split": "Split",
    "n_pictures": "Images",
    "n_groups": "Groups",
    "n_objects": "True objects",
    "n_positive": "Images with the positive class",
    "positive_class": "Positive class",
    "calibration": "Calibration",
    "score_threshold": "Score threshold",
    "score_floor": "Lowest score ranked for AP",
    "decision_threshold": "Percentage from which an image is called positive",
    "jaccard_threshold": "Jaccard below which an outline fails",
    "max_detections": "Objects of a class in an image, at most",
    "ece_bins": "Bins of the calibration error",
    "n_resamples": "Bootstrap resamples",
    "n_videos": "Videos",
    "n_video_frames": "Their frames",
    "video_times": "Their times",
    "video_evaluator": "Evaluator of videos",
    "classes": "Classes",
    "evaluator": "Evaluator",
    "maskstream": "maskstream",
}

_FILES = {
    METRICS: "every figure of this page, and more",
    "MODEL_CARD.md": "the model card with these figures",
    "predictions.json": "the answers that were judged, as COCO's results",
    "predictions.csv": "the answers that were judged, a row an image",
    "figures": "the curves of this page for print",
    "worst": "the worst images",
    "why": "what the model looked at",
}


def write_evaluation_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a finished evaluation, from its files alone, whole or not at all.

    What is there is shown; only `metrics.json` must be. The page's size is bounded however many images were judged.

    Raises
    ------
    SourceError : the folder is no evaluation's, or one of its files is broken.
    OutputError : the folder cannot be written.
    """
    run = read_evaluation(folder)
    write_page(folder / PAGE, "evaluation", _content(run), shared=("sortable", "curves"))
    return folder / PAGE


def _content(run: FinishedEvaluation) -> dict[str, Any]:
    """What the template shows."""
    worst, why = pictures.worst_pictures(run), pictures.why_pictures(run)
    slices = tables.slices_table(run)
    return {
        "title": run.text("model") or run.path.name,
        "about": _about(run),
        "verdict": evaluation_words.verdict(run),
        "rules": evaluation_words.rules(run),
        "cautions": cautions(run),
        "few": evaluation_words.FEW,
        "large": [_large(run, key) for key in LARGE.get(run.task, ()) if run.figure(key) is not None],
        "evaluator": evaluator_of(run),
        "doubt": _doubt(run),
        "headline": [
            (explained_by(key), head(key), *rest, evaluator_of(run, key)) for key, *rest in tables.headline(run)
        ],
        "charts": [_drawn(chart) for chart in charts(run)],
        "prevalence": prevalence_of(run),
        "prevalences": PREVALENCES,
        "confusion": tables.confusion(run),
        "tables": _tables(run),
        "slices": slices,
        "slices_overall": run.figure(slices[0]) if slices is not None else None,
        "robustness": [_drawn(chart) for chart in robustness_charts(run)],
        "robustness_figure": short_name(main_figure(run, run.tables["robustness"], "value")),
        "worst": worst,
        "worst_limit": pictures.WORST_LIMIT,
        "why": why,
        "why_limit": pictures.WHY_LIMIT,
        "embedded": pictures.embedded,
        "definitions": tables.definitions(run),
        "others": tables.other_figures(run),
        "conditions": [
            (name, words.shown(run.metrics[key])) for key, name in _CONDITIONS.items() if key in run.metrics
        ],
        "undefined": run.undefined,
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (run.path / name).exists()],
        "row_limit": tables.ROW_LIMIT,
        "shown": shown,
        "share_text": share_text,
        "head": head,
        "words": words,
        "version": __version__,
    }


def _about(run: FinishedEvaluation) -> str:
    parts = [f"version {run.text('model_version')}" if run.text("model_version") else ""]
    parts += [f"judged on {run.text('dataset')}" if run.text("dataset") else ""]
    parts += [f"split {run.text('split')}" if run.text("split") else ""]
    return ", ".join(part for part in parts if part)


def _large(run: FinishedEvaluation, key: str) -> tuple[str, str, str]:
    """Name, value and interval."""
    value, interval = run.figure(key), run.interval(key)
    assert value is not None
    return head(key), shown(key, value), span(key, *interval) if interval is not None else ""


def _doubt(run: FinishedEvaluation) -> str:
    """How the intervals came about."""
    if not any(key.endswith("_low") for key in run.metrics):
        return ""
    resamples, groups = run.count("n_resamples"), run.count("n_groups")
    drawn = f"{words.number(resamples)} times" if resamples else "many times"
    of = f"the {words.counted(groups, 'group')} of images" if groups else "the groups of images"
    return (
        f"Intervals: 95 % bootstrap. {of[:1].upper()}{of[1:]} were drawn anew {drawn}, and the figure computed each "
        "time; images of one group (film, patient, lesion) stay together. They tell what chance in the choice of "
        "images does, and nothing of images of another kind."
    )


def _drawn(chart: Chart) -> dict[str, Any]:
    return {
        "chart": chart,
        "svg": curve_svg(chart),
        "told": values_json(chart),
        "lines": [(line.name, colour_class(place)) for place, line in enumerate(chart.lines)],
    }


def _tables(run: FinishedEvaluation) -> dict[str, tables.ShownTable | None]:
    return {
        "classes": tables.classes_table(run),
        "object_slices": tables.object_slices_table(run),
        "videos": tables.videos_table(run),
        "video_objects": tables.video_objects_table(run),
        "images": tables.images_table(run),
    }
