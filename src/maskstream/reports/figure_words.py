"""Every figure of an evaluation in words: the name that pages and model cards give it, and what it means.

One place for both, so that a card and a page cannot call a number by two names.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple


class FigureWords(NamedTuple):
    """A figure's name in a table, and what it means to somebody who has never met it."""

    name: str
    meaning: str


_BELOW = "The same before calibration."

FIGURES = {
    "AP": FigureWords(
        "mask AP, IoU 0.50 to 0.95, mean over classes",
        "Average precision: the area under the curve of precision over recall as the score falls, where an object "
        "counts as found when its mask overlaps a true one of its class enough (intersection over union, IoU). Mean "
        "over ten such demands from IoU 0.50 to 0.95 and over the classes, as COCO defines it.",
    ),
    "AP50": FigureWords("mask AP at IoU 0.50, mean over classes", "AP with the mildest demand alone: IoU 0.50."),
    "AP75": FigureWords("mask AP at IoU 0.75, mean over classes", "AP with a strict demand alone: IoU 0.75."),
    **{
        f"AP_{size}": FigureWords(
            f"mask AP of {size} objects", f"AP of the objects of {bounds} alone, as COCO defines {size} ones."
        )
        for size, bounds in (
            ("small", "less than 32 x 32 pixels"),
            ("medium", "32 x 32 to 96 x 96 pixels"),
            ("large", "more than 96 x 96 pixels"),
        )
    },
    "AR_100": FigureWords(
        "mask AR, at most 100 objects an image",
        "Average recall: the share of true objects found among the 100 best an image, mean over IoU 0.50 to 0.95.",
    ),
    "box_AP": FigureWords("box AP, IoU 0.50 to 0.95, mean over classes", "AP of the boxes instead of the masks."),
    "box_AP50": FigureWords("box AP at IoU 0.50, mean over classes", "AP50 of the boxes instead of the masks."),
    "recall": FigureWords(
        "recall: true objects that are found",
        "Share of the true objects for which an object of the same class is found with an IoU of at least 0.50, at the "
        "score threshold.",
    ),
    "precision": FigureWords(
        "precision: found objects that are true",
        "Share of the found objects that match a true one of the same class with an IoU of at least 0.50, at the score "
        "threshold.",
    ),
    "f1": FigureWords("F1 at the score threshold", "Harmonic mean of precision and recall: high only when both are."),
    "best_f1": FigureWords(
        "best F1 of any score threshold", "The highest F1 of any threshold, chosen after the fact on these images."
    ),
    "best_f1_score": FigureWords("score threshold of the best F1", "The threshold that gives the best F1."),
    "mean_jaccard": FigureWords(
        "mean Jaccard of an image",
        "Jaccard index (IoU) of the true and the found pixels of an image: those in both over those in either. Every "
        "image counts once.",
    ),
    "thresholded_jaccard": FigureWords(
        "mean Jaccard, below 0.65 counted as 0",
        "Mean over images of the Jaccard index, where an image below 0.65 counts as a failure with 0 (ISIC 2018).",
    ),
    "share_below_065": FigureWords(
        "share of images with a Jaccard below 0.65",
        "How often the outline fails: below 0.65 people who draw outlines themselves would not call it the same.",
    ),
    "mean_dice": FigureWords(
        "mean Dice of an image",
        "Dice coefficient: twice the common pixels over the sum of the true and the found ones. Always at least the "
        "Jaccard index. Every image counts once.",
    ),
    "pooled_jaccard": FigureWords(
        "Jaccard of all images' pixels together",
        "The Jaccard index of all pixels as if they were one image: large objects count more. It differs from the mean "
        "over images and must not be compared with it.",
    ),
    "pooled_dice": FigureWords(
        "Dice of all images' pixels together", "The Dice coefficient of all pixels as if they were one image."
    ),
    "mean_sensitivity": FigureWords(
        "mean share of an image's true pixels that are found", "Pixel sensitivity, each image counting once."
    ),
    "mean_specificity": FigureWords(
        "mean share of an image's other pixels left alone", "Pixel specificity, each image counting once."
    ),
    "mean_accuracy": FigureWords(
        "mean share of an image's pixels found or left alone rightly", "Pixel accuracy, each image counting once."
    ),
    "pooled_sensitivity": FigureWords(
        "share of all true pixels that are found", "Pixel sensitivity of all images' pixels together."
    ),
    "pooled_specificity": FigureWords(
        "share of all other pixels left alone", "Pixel specificity of all images' pixels together."
    ),
    "pooled_accuracy": FigureWords(
        "share of all pixels found or left alone rightly", "Pixel accuracy of all images' pixels together."
    ),
    "mean_boundary_f": FigureWords(
        "mean boundary F of an image",
        "How well the outlines lie on each other: the harmonic mean of the shares of each outline that lie near the "
        "other one.",
    ),
    "mean_hausdorff95_px": FigureWords(
        "mean 95 % Hausdorff distance, pixels",
        "How far the outlines lie apart at their worst, the worst 5 % left out, in pixels; mean over the images where "
        "there is an outline in both. Less is better.",
    ),
    "mean_pixel_accuracy": FigureWords(
        "mean share of an image's pixels with the right class", "Right pixels, the background's included."
    ),
    "pooled_pixel_accuracy": FigureWords(
        "share of all pixels with the right class", "Right pixels of all images together, the background's included."
    ),
    "accuracy": FigureWords(
        "share of images with the right class",
        "An image is called the class with the highest probability. Where one class is common, naming it always "
        "gives a high accuracy already.",
    ),
    "balanced_accuracy": FigureWords(
        "balanced accuracy",
        "Mean over the classes of the share of their images that are called so: guessing gives one over the number of "
        "classes.",
    ),
    "macro_f1": FigureWords(
        "macro F1", "Mean over the classes of the F1 of being called so: a class counts alike, however rare it is."
    ),
    "cohen_kappa": FigureWords(
        "Cohen's kappa", "Agreement beyond what chance alone would give: 0 is chance, 1 is perfect."
    ),
    "auc": FigureWords(
        "ROC AUC of the percentage",
        "How well the percentage puts images in order: the chance that an image of the class gets a higher percentage "
        "than one without it. 0.5 is guessing, 1 is perfect. It says nothing about whether the percentages are right.",
    ),
    "pr_auc": FigureWords(
        "PR AUC (average precision) of the percentage",
        "Area under precision over recall as the percentage falls. Guessing gives the share of the class.",
    ),
    "sensitivity": FigureWords(
        "sensitivity at 50 %", "Share of the images with the class that get at least 50 %. The rest is missed."
    ),
    "specificity": FigureWords(
        "specificity at 50 %", "Share of the images without the class that get less. The rest is a false alarm."
    ),
    **{
        f"sensitivity_at_specificity_{level}": FigureWords(
            f"sensitivity where specificity is at least {level}",
            "Sensitivity at the threshold that keeps that specificity on these images.",
        )
        for level in ("0.80", "0.90", "0.95")
    },
    **{
        f"specificity_at_sensitivity_{level}": FigureWords(
            f"specificity where sensitivity is at least {level}",
            "Specificity at the threshold that keeps that sensitivity on these images.",
        )
        for level in ("0.80", "0.90", "0.95")
    },
    "log_loss": FigureWords(
        "log loss", "Mean of minus the logarithm of the probability given to what is true. 0 is perfect."
    ),
    "ece": FigureWords(
        "expected calibration error",
        "How far the percentages are from how often they come true, on average: images are put in bins of equal size "
        "by their percentage, and in each the mean percentage is compared with the share of the class. 0 is perfect.",
    ),
    "ece_uncalibrated": FigureWords("the same before calibration", _BELOW),
    "brier": FigureWords(
        "Brier score", "Mean squared difference between the percentage and what is true (0 or 1). Less is better."
    ),
    "brier_uncalibrated": FigureWords("the same before calibration", _BELOW),
    "calibration_slope": FigureWords(
        "calibration slope (1 is right)", "Below 1 the percentages are too extreme, above 1 too timid."
    ),
    "calibration_slope_uncalibrated": FigureWords("the same before calibration", _BELOW),
    "calibration_intercept": FigureWords(
        "calibration intercept (0 is right)", "Below 0 the percentages are too high as a whole, above 0 too low."
    ),
    "calibration_intercept_uncalibrated": FigureWords("the same before calibration", _BELOW),
    "aurc": FigureWords(
        "area under risk and coverage",
        "Mean share of wrong answers when only the surest are kept, over all shares that may be kept. Less is better.",
    ),
    "JF": FigureWords("J&F", "Mean of J and F: region and outline together (DAVIS)."),
    "J": FigureWords("J, region", "Mean over frames of the Jaccard index of an object through a video (DAVIS)."),
    "F": FigureWords("F, outline", "Mean over frames of the boundary F of an object through a video (DAVIS)."),
    "J_recall": FigureWords("J, share of frames above 0.5", "Share of an object's frames with J above 0.5 (DAVIS)."),
    "J_decay": FigureWords(
        "J, loss through a video", "J in the first quarter of a video less that in the last (DAVIS). Less is better."
    ),
    "F_recall": FigureWords("F, share of frames above 0.5", "Share of an object's frames with F above 0.5 (DAVIS)."),
    "F_decay": FigureWords(
        "F, loss through a video", "F in the first quarter of a video less that in the last (DAVIS). Less is better."
    ),
    "HOTA": FigureWords(
        "HOTA", "Geometric mean of finding objects (DetA) and keeping their identity (AssA) through a video."
    ),
    "DetA": FigureWords("DetA, finding", "The part of HOTA that tells whether objects are found in each frame."),
    "AssA": FigureWords("AssA, keeping apart", "The part of HOTA that tells whether each keeps its identity."),
    "LocA": FigureWords("LocA, outlines of what is found", "Mean IoU of the matched objects in HOTA."),
    "MOTA": FigureWords(
        "MOTA", "1 less misses, false objects and changes of identity per true object; may fall below 0."
    ),
    "IDF1": FigureWords("IDF1", "F1 of detections that bear the right identity through the whole video."),
    "area_jitter": FigureWords("area jitter", "Flicker of an object's found area from frame to frame: 0.01 is 1 %."),
    "true_area_jitter": FigureWords(
        "area jitter of the true outlines", "The same of the true outlines in the same frames: what moves by itself."
    ),
    "percentage_jitter": FigureWords(
        "percentage jitter", "How much the percentage of an object's true class flickers from frame to frame."
    ),
    "frame_class_accuracy": FigureWords(
        "right class, frame by frame", "Share of the frames in which an object is found that name its class."
    ),
    "track_class_accuracy": FigureWords(
        "right class, whole track", "The same when a track's frames speak together."
    ),
    "tracking_gain": FigureWords(
        "what tracking buys", "Right class of whole tracks less right class frame by frame: below 0 it costs."
    ),
}  # fmt: skip
"""By key of `metrics.json`, in the order in which pages and cards show them."""

CLASS_NAMES = {
    "AP": "mask AP, IoU 0.50 to 0.95",
    "AP50": "mask AP at IoU 0.50",
    "mean_jaccard": "mean Jaccard of an image",
    "mean_dice": "mean Dice of an image",
    "pooled_dice": "Dice of all images' pixels together",
    "auc": "ROC AUC against the other classes",
    "sensitivity": "share of its images with the right class",
}
"""Figures of a single class that a card shows, in words; they follow the mean over classes, where there is one."""


def name_of(key: str) -> str:
    """A figure's name, with its class behind it; the key itself where no words are known."""
    figure, slash, of_class = key.partition("/")
    if not slash:
        return FIGURES[key].name if key in FIGURES else key.replace("_", " ")
    known = CLASS_NAMES.get(figure) or (FIGURES[figure].name if figure in FIGURES else figure.replace("_", " "))
    return f"{known}, {of_class}"


def short_name(key: str) -> str:
    """A figure's name as a table's head or a chart's line has room for: the key, as people write it."""
    figure, slash, of_class = key.partition("/")
    if figure.endswith(_UNCALIBRATED):
        return f"{short_name(figure.removesuffix(_UNCALIBRATED))}, uncalibrated"
    return _SHORT.get(figure, figure.replace("_", " ")) + (f", {of_class}" if slash else "")


def in_words(text: str, known: Container[str]) -> str:
    """A sentence with the keys of known figures replaced by their short names."""

    def named(word: re.Match[str]) -> str:
        return short_name(word[0]) if word[0] in known else word[0]

    return re.sub(r"[A-Za-z]\w*(?:\.\d+)?(?:/\w+)?", named, text)


def explained_by(key: str) -> str:
    """The key whose meaning explains a figure: its own, or that of the same figure after calibration."""
    return key.removesuffix(_UNCALIBRATED)


def head(key: str) -> str:
    """A short name as a table's head."""
    name = short_name(key)
    return name[:1].upper() + name[1:]


_UNCALIBRATED = "_uncalibrated"
_SHORT = {
    "AR_100": "AR",
    "macro_f1": "macro F1",
    "cohen_kappa": "Cohen's kappa",
    "id_switches": "changes of identity",
    "jaccard": "Jaccard",
    "mean_jaccard": "mean Jaccard",
    "thresholded_jaccard": "thresholded Jaccard",
    "pooled_jaccard": "pooled Jaccard",
    "dice": "Dice",
    "mean_dice": "mean Dice",
    "pooled_dice": "pooled Dice",
    "boundary_f": "boundary F",
    "mean_boundary_f": "mean boundary F",
    "hausdorff95_px": "Hausdorff 95 %, px",
    "found_share": "found",
    "mean_best_iou": "mean best IoU",
    "f1": "F1",
    "auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "ece": "calibration error",
    "brier": "Brier score",
    "JF": "J&F",
    "best_f1": "best F1",
    "best_f1_score": "score of best F1",
    "share_below_065": "Jaccard below 0.65",
    "mean_hausdorff95_px": "mean Hausdorff 95 %, px",
    "aurc": "risk-coverage area",
}
