"""Folders of finished evaluations, written by hand: every table of a task, or none."""

from __future__ import annotations

import csv
import json

import numpy as np
from PIL import Image

TASKS = ("instance", "semantic", "classification", "video")
CONDITIONS = {
    "model": "lesions",
    "model_version": "1",
    "model_sha256": "a" * 64,
    "dataset": "ISIC 2017 challenge",
    "dataset_sha256": "b" * 64,
    "split": "test",
    "maskstream": "0.1.0",
    "n_groups": 120,
    "n_resamples": 1000,
    "undefined": "none",
}
INSTANCE = {
    "task": "instance",
    "AP": 0.36, "AP50": 0.63, "AP75": 0.32, "AP/benign": 0.48, "AP50/benign": 0.82, "box_AP50": 0.62,
    "recall": 0.96, "precision": 0.91, "f1": 0.93, "mean_jaccard": 0.77, "thresholded_jaccard": 0.68,
    "share_below_065": 0.2, "mean_dice": 0.85, "pooled_jaccard": 0.74, "mean_hausdorff95_px": 14.2,
    "auc": 0.79, "sensitivity": 0.25, "specificity": 0.95, "balanced_accuracy": 0.6, "ece": 0.05, "brier": 0.136,
    "calibration_slope": 0.98, "calibration_intercept": -0.02, "ece_uncalibrated": 0.094,
    "n_pictures": 150, "n_objects": 150, "n_objects/benign": 121, "n_objects/malignant": 29, "n_positive": 29,
    "score_threshold": 0.5, "score_floor": 0.05, "decision_threshold": 0.5, "jaccard_threshold": 0.65, "ece_bins": 5,
    "positive_class": "malignant", "calibration": "temperature and bias", "training_positive_share": 0.195,
    "evaluator": "faster-coco-eval 1.8.0",
}  # fmt: skip
SEMANTIC = {
    "task": "semantic",
    "mean_jaccard": 0.83, "thresholded_jaccard": 0.8, "share_below_065": 0.04, "mean_dice": 0.9,
    "pooled_jaccard": 0.86, "pooled_dice": 0.92, "mean_boundary_f": 0.7, "mean_jaccard/lung": 0.83,
    "n_pictures": 150, "score_threshold": 0.0, "jaccard_threshold": 0.65, "evaluator": "maskstream 0.1.0",
}  # fmt: skip
CLASSIFICATION = {
    "task": "classification",
    "accuracy": 0.84, "balanced_accuracy": 0.77, "auc": 0.87, "sensitivity/benign": 0.9, "sensitivity/malignant": 0.64,
    "log_loss": 0.41, "ece": 0.06, "brier": 0.13, "calibration_slope": 1.1, "ece_uncalibrated": 0.12,
    "n_pictures": 150, "n_pictures/benign": 121, "n_pictures/malignant": 29, "ece_bins": 5,
    "positive_class": "malignant", "calibration": "temperature and bias", "evaluator": "maskstream 0.1.0",
}  # fmt: skip
VIDEO = {
    "task": "video",
    "AP50": 0.7, "n_pictures": 210, "score_floor": 0.05, "recall": 0.8, "precision": 0.95, "mean_jaccard": 0.8,
    "JF": 0.78, "J": 0.76, "F": 0.8, "HOTA": 0.7, "DetA": 0.72, "AssA": 0.68, "MOTA": 0.8, "IDF1": 0.85,
    "frame_class_accuracy": 0.8, "track_class_accuracy": 0.95, "percentage_jitter": 0.034, "area_jitter": 0.02,
    "n_videos": 3, "n_video_frames": 210, "n_video_objects": 5, "n_objects": 300, "video_times": "as the dataset tells",
    "evaluator": "maskstream 0.1.0",
}  # fmt: skip
METRICS = {"instance": INSTANCE, "semantic": SEMANTIC, "classification": CLASSIFICATION, "video": VIDEO}
HALF_WIDTH = 0.03
_WITHOUT_INTERVAL = ("task", "score_threshold", "score_floor", "decision_threshold", "jaccard_threshold")


def metrics_of(task, *, intervals=True, **changed):
    """Figures of a task; those between 0 and 1 with an interval."""
    metrics = METRICS[task] | CONDITIONS | changed
    if intervals:
        for key, value in list(metrics.items()):
            if isinstance(value, float) and key not in _WITHOUT_INTERVAL and "share" not in key.split("_")[-1:]:
                metrics[f"{key}_low"], metrics[f"{key}_high"] = value - HALF_WIDTH, value + HALF_WIDTH
    return metrics | changed


def write_folder(folder, task, *, tables=True, classes=("benign", "malignant"), images=150, metrics=None):
    """A folder with `metrics.json` and, where wanted, every table of the task and pictures."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics or metrics_of(task)), encoding="utf-8")
    if tables:
        for name, rows in tables_of(task, classes, images).items():
            write_table(folder / f"{name}.csv", rows)
        for place in range(5):
            _picture(folder / "worst" / f"00{place}.jpg", (340, 120), place)
        for place in range(3):
            _picture(folder / "why" / f"why-{place}.jpg", (200, 120), place)
    return folder


def write_table(path, rows):
    """A CSV table of rows by column, None as an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = dict.fromkeys(column for row in rows for column in row)
        table = csv.DictWriter(file, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def tables_of(task, classes, images):
    """Every table of a task, by name."""
    tables = {"images": _images(task, classes, images), "slices": _slices(task), "worst": _worst()}
    if task == "video":
        del tables["images"], tables["slices"]
        return tables | {"videos": _videos(), "video_objects": _video_objects(classes)}
    tables |= {"robustness": _robustness(task), "confusion": _confusion(task, classes)}
    tables["classes"] = [_class_row(task, name, place) for place, name in enumerate(classes)]
    if task == "instance":
        tables |= {"pr_curve": _pr(classes, "score"), "threshold": _threshold(), "object_slices": _object_slices()}
    if task == "classification":
        tables["class_pr_curve"] = _pr(classes, "threshold")
    if task != "semantic":
        tables |= {"roc_curve": _roc(classes), "reliability": _reliability(), "risk_coverage": _risk()}
    return tables


def _images(task, classes, images):
    drawn = np.random.default_rng(7).uniform(0, 1, (images, 2))
    rows = []
    for place, (jaccard, percentage) in enumerate(drawn.tolist()):
        row = {"image": f"ISIC_{place:07}.jpg", "group": f"patient {place // 2}", "width": 256, "height": 192}
        if task == "classification":
            names = list(classes) if len(classes) > 1 else [classes[0], "other"]
            row |= {"truth": names[place % 2], "called": names[int(percentage > 0.5)]}
            row |= {f"probability/{names[0]}": 1 - percentage, f"probability/{names[1]}": percentage}
        else:
            row |= {"jaccard": jaccard**0.3, "dice": jaccard**0.2, "boundary_f": jaccard, "hausdorff95_px": None}
            row |= {
                "n_truth": 1,
                "n_found": place % 3,
                "n_hit": min(1, place % 3),
                "percentage": percentage,
                "label": 0,
            }
        rows.append(row)
    return rows


def _slices(task):
    figure = {"instance": "f1", "semantic": "mean_jaccard", "classification": "balanced_accuracy"}.get(task, "JF")
    rows = []
    for column, value, n, at, reach in (
        ("attribute/label", "melanoma", 29, 0.55, 0.08),
        ("attribute/label", "nevus", 90, 0.94, 0.02),
        ("image size", "small", 60, 0.9, 0.04),
        ("mean_red", "darkest third", 50, 0.93, 0.03),
        ("group", "patient 3", 2, None, None),
    ):
        span = (None, None) if at is None else (at - reach, at + reach)
        row = {"column": column, "value": value, "n_images": n, "n_groups": max(1, n // 2), "figure": figure}
        rows.append(row | {"value_of_figure": at, "low": span[0], "high": span[1]})
        rows.append(row | {"figure": "auc", "value_of_figure": 0.5, "low": 0.4, "high": 0.6})
    return rows


def _robustness(task):
    figure = {"instance": "f1", "semantic": "mean_jaccard"}.get(task, "balanced_accuracy")
    rows = [{"corruption": "clean", "severity": 0, "level": "unchanged", "figure": figure, "value": 0.93}]
    for name, fall in (("blur", 0.12), ("noise", 0.05), ("jpeg", 0.01), ("exposure", 0.03)):
        for severity in (1, 2, 3):
            rows.append(
                {
                    "corruption": name,
                    "severity": severity,
                    "level": f"sigma {severity} px",
                    "figure": figure,
                    "value": 0.93 - fall * severity,
                }
            )
    drops = {"drop": 0.1, "drop_low": 0.05, "drop_high": 0.15, "n_images": 150}
    return [row | (drops if row["severity"] else {"n_images": 150}) for row in rows]


def _confusion(task, classes):
    names = [*classes] if task == "classification" else [*classes, "background"]
    counts = np.random.default_rng(3).integers(0, 30, (len(names), len(names))) + 90 * np.eye(len(names), dtype=int)
    return [
        {"truth": truth, "called": called, "count": int(counts[row, column])}
        for row, truth in enumerate(names)
        for column, called in enumerate(names)
    ]


def _class_row(task, name, place):
    if task == "instance":
        row = {
            "n_objects": 121 - 92 * place,
            "AP": 0.48 - 0.2 * place,
            "AP50": 0.8 - 0.4 * place,
            "recall": 0.9 - 0.5 * place,
        }
    elif task == "semantic":
        row = {"n_objects": 100 - place, "mean_jaccard": 0.8, "pooled_jaccard": 0.84}
    else:
        row = {"n_images": 121 - 92 * place, "sensitivity": 0.9 - 0.45 * place, "auc": 0.87, "pr_auc": None}
    return {"class": name, **row}


def _pr(classes, last):
    return [
        {"class": name, "recall": x, "precision": 1 - x**4 * (0.4 + 0.1 * place), last: 1 - x}
        for place, name in enumerate(classes)
        for x in np.linspace(0, 1, 400).round(4).tolist()
    ]


def _threshold():
    return [
        {"score": s / 100, "precision": s / 100 if s < 99 else None, "recall": 1 - (s / 100) ** 2, "f1": 0.5 + s / 250}
        for s in range(1, 100)
    ]


def _roc(classes):
    return [
        {"class": name, "false_positive_rate": x, "sensitivity": x**0.4, "threshold": 1 - x if x else None}
        for name in classes
        for x in np.linspace(0, 1, 60).round(4).tolist()
    ]


def _reliability():
    rows = []
    for kind, push in (("calibrated", 1.0), ("uncalibrated", 1.6)):
        for place, share in enumerate((0.04, 0.11, 0.2, 0.34, 0.62), start=1):
            ends = {"share_low": max(0.0, share - 0.08), "share_high": share + 0.1}
            rows.append(
                {"kind": kind, "bin": place, "n": 30, "mean_probability": min(1, share * push), "share": share, **ends}
            )
    return rows


def _risk():
    return [
        {"coverage": n / 150, "risk": 0.02 + 0.14 * (n / 150) ** 2, "n": n, "least_confidence": 1 - 0.4 * n / 150}
        for n in range(1, 151)
    ]


def _object_slices():
    return [
        {"column": "size", "value": value, "n_objects": n, "found_share": share, "mean_best_iou": share * 0.9}
        for value, n, share in (("small", 4, 0.25), ("medium", 50, 0.9), ("large", 96, 0.98))
    ]


def _worst():
    return [
        {
            "rank": place + 1,
            "image": f"ISIC_{place:07}.jpg",
            "figure": "jaccard",
            "value": 0.1 * place,
            "picture": f"worst/00{place}.jpg",
            "why": "nothing found where 1 is" if place else "42 % of the true pixels missed",
        }
        for place in range(5)
    ]


def _videos():
    return [
        {"video": name, "frames": 70, "J": 0.7, "F": 0.8, "JF": 0.75 - 0.1 * place, "HOTA": 0.7, "IDF1": 0.9}
        for place, name in enumerate(("bear", "camel", "swing"))
    ]


def _video_objects(classes):
    return [
        {"video": "bear", "object": place, "class": name, "frames": 70, "J": 0.7, "F": 0.7, "percentage_jitter": 0.031}
        for place, name in enumerate(classes)
    ]


def _picture(path, size_wh, place):
    path.parent.mkdir(exist_ok=True)
    picture = Image.linear_gradient("L").resize(size_wh).convert("RGB")
    picture.paste((40 * place, 120, 90), (place * 20, 10, place * 20 + 40, 60))
    picture.save(path)
