"""`MODEL_CARD.md`, written from the manifest, so that the two cannot contradict each other."""

from __future__ import annotations

from maskstream.core.calibration import Calibration
from maskstream.inference.manifest import ModelFacts

HEADLINES = {
    "AP": "mask AP, IoU 0.50 to 0.95, mean over classes",
    "AP50": "mask AP at IoU 0.50, mean over classes",
    "AP75": "mask AP at IoU 0.75, mean over classes",
    "mean_jaccard": "mean Jaccard of an image",
    "thresholded_jaccard": "mean Jaccard, below 0.65 counted as 0",
    "mean_dice": "mean Dice of an image",
    "auc": "ROC AUC of the percentage",
    "sensitivity": "sensitivity at 50 %",
    "specificity": "specificity at 50 %",
    "ece": "expected calibration error",
    "ece_uncalibrated": "the same before calibration",
    "brier": "Brier score",
    "brier_uncalibrated": "the same before calibration",
    "calibration_slope": "calibration slope (1 is right)",
    "calibration_slope_uncalibrated": "the same before calibration",
    "calibration_intercept": "calibration intercept (0 is right)",
    "calibration_intercept_uncalibrated": "the same before calibration",
}
"""Metrics in the card's order, in words; AP of the single classes follows behind each."""


def model_card(facts: ModelFacts) -> str:
    """The card as Markdown: use, limits, data, evaluation, calibration and licences."""
    height, width = facts.preprocessing.input_size_hw
    mirror = " and at their mirror images" if facts.decoder.mirror else ""
    images = ", ".join(f"{count} {split}" for split, count in facts.training.images.items())
    return "\n".join(
        [
            f"# {facts.name} {facts.version}",
            "",
            f"Answers with boxes, masks, scores and class percentages for: {', '.join(facts.classes)}. "
            f"It looks at images scaled to fit {width} x {height} pixels (width x height){mirror}. An object counts as "
            f"found from a score of {facts.score_threshold:g} on.",
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
    rows = {}
    for key, words in HEADLINES.items():
        rows[key] = words
        if key in ("AP", "AP50"):
            rows |= {f"{key}/{name}": f"{words.removesuffix(', mean over classes')}, {name}" for name in facts.classes}
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
