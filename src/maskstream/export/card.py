"""`MODEL_CARD.md`, written from the manifest, so that the two cannot contradict each other."""

from __future__ import annotations

from maskstream.core.calibration import Calibration
from maskstream.inference.manifest import ModelFacts

HEADLINES = {
    "AP": "mask AP, IoU 0.50 to 0.95, mean over classes",
    "AP50": "mask AP at IoU 0.50, mean over classes",
    "AP75": "mask AP at IoU 0.75, mean over classes",
    "box_AP": "box AP, IoU 0.50 to 0.95, mean over classes",
    "box_AP50": "box AP at IoU 0.50, mean over classes",
    "mean_jaccard": "mean Jaccard of an image",
    "thresholded_jaccard": "mean Jaccard, below 0.65 counted as 0",
    "mean_dice": "mean Dice of an image",
    "pooled_jaccard": "Jaccard of all images' pixels together",
    "pooled_dice": "Dice of all images' pixels together",
    "mean_pixel_accuracy": "mean share of an image's pixels with the right class",
    "accuracy": "share of images with the right class",
    "balanced_accuracy": "balanced accuracy",
    "auc": "ROC AUC of the percentage",
    "sensitivity": "sensitivity at 50 %",
    "specificity": "specificity at 50 %",
    "log_loss": "log loss",
    "ece": "expected calibration error",
    "ece_uncalibrated": "the same before calibration",
    "brier": "Brier score",
    "brier_uncalibrated": "the same before calibration",
    "calibration_slope": "calibration slope (1 is right)",
    "calibration_slope_uncalibrated": "the same before calibration",
    "calibration_intercept": "calibration intercept (0 is right)",
    "calibration_intercept_uncalibrated": "the same before calibration",
}
"""Metrics in the card's order, in words."""

CLASS_HEADLINES = {
    "AP": "mask AP, IoU 0.50 to 0.95",
    "AP50": "mask AP at IoU 0.50",
    "mean_jaccard": "mean Jaccard of an image",
    "mean_dice": "mean Dice of an image",
    "pooled_dice": "Dice of all images' pixels together",
    "auc": "ROC AUC against the other classes",
    "sensitivity": "share of its images with the right class",
}
"""Metrics of a single class, in words; they follow the mean over classes, where there is one."""

ANSWERS = {
    "instance": "boxes, masks, scores and class percentages for",
    "semantic": "the class of each pixel, and the connected regions of a class as objects, for",
    "classification": "the percentage of each class of the image as a whole, for",
}


def model_card(facts: ModelFacts) -> str:
    """The card as Markdown: use, limits, data, evaluation, calibration and licences."""
    images = ", ".join(f"{count} {split}" for split, count in facts.training.images.items())
    return "\n".join(
        [
            f"# {facts.name} {facts.version}",
            "",
            " ".join([f"Answers with {ANSWERS[facts.task]}: {', '.join(facts.classes)}.", *_ways(facts)]),
            "",
            "## Intended use",
            "",
            facts.intended_use,
            "",
            "## Limits",
            "",
            *(f"- {limit}" for limit in facts.limits),
            "",
            "## Data",
            "",
            f"- Dataset: {facts.training.data} ({images} images), SHA-256 `{facts.training.data_sha256}`.",
            f"- Splits: {facts.training.split_rule}",
            "",
            "## Evaluation",
            "",
            *_evaluation(facts),
            "",
            "## Calibration",
            "",
            _calibration(facts.calibration),
            "",
            "## Licences",
            "",
            f"- Code: {facts.licence.code}",
            f"- Weights: {facts.licence.weights}",
            f"- Data: {facts.licence.data}",
            "",
        ]
    )


def _ways(facts: ModelFacts) -> list[str]:
    """How the model looks at an image and what counts as found, in sentences."""
    height, width = facts.preprocessing.input_size_hw
    mirror = " and at their mirror images" if facts.decoder.mirror else ""
    ways = [f"It looks at images scaled to fit {width} x {height} pixels (width x height){mirror}."]
    if facts.tiles is not None:
        high, wide = facts.tiles.size_hw
        ways.append(
            f"Images larger than {wide} x {high} pixels are looked at in windows of that size, of which neighbours "
            f"have at least {100 * facts.tiles.overlap:g} % of a side in common."
        )
    if facts.task != "classification":
        ways.append(f"An object counts as found from a score of {facts.score_threshold:g} on.")
    return ways


def _evaluation(facts: ModelFacts) -> list[str]:
    metrics = facts.metrics
    if not metrics:
        return ["Not evaluated."]
    return [
        f"{metrics.get('n_pictures', '?')} images of the split `{metrics.get('split', '?')}` of "
        f"{metrics.get('dataset', '?')}, judged with these ONNX graphs by {metrics.get('evaluator', '?')}.",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {words} | {metrics[key]:.3f} |" for key, words in _rows(facts).items() if key in metrics),
    ]


def _rows(facts: ModelFacts) -> dict[str, str]:
    """Words of every figure that may stand in the table, by its key."""
    rows = {}
    for key in dict.fromkeys((*HEADLINES, *CLASS_HEADLINES)):
        if key in HEADLINES:
            rows[key] = HEADLINES[key]
        if key in CLASS_HEADLINES:
            rows |= {f"{key}/{name}": f"{CLASS_HEADLINES[key]}, {name}" for name in facts.classes}
    return rows


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return "None: the class probabilities are the network's own and must not be read as percentages."
    return (
        f"The percentage of {calibration.positive} is the network's own probability with its log odds divided by "
        f"the temperature {1 / calibration.slope:.3f} and shifted by {calibration.bias:+.3f}, fitted on the "
        f"validation split. Between views of one object (turned, moved, zoomed, lit otherwise) the calibrated log "
        f"odds have a standard deviation of {calibration.view_sd:.3f}."
    )
