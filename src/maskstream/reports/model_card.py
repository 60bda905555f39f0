"""`MODEL_CARD.md`, written from the manifest or an evaluation's figures, so that they cannot contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maskstream.core.calibration import Calibration
from maskstream.core.files import write_text
from maskstream.inference.manifest import MODEL_CARD, ModelFacts
from maskstream.reports.figure_words import CLASS_NAMES, FIGURES, name_of

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


def write_model_card(folder: Path, facts: ModelFacts, metrics: Mapping[str, float | int | str]) -> Path:
    """Write the card of a model into an evaluation's folder, with these figures in place of the manifest's.

    Raises
    ------
    OutputError : the folder cannot be written.
    """
    write_text(folder / MODEL_CARD, model_card(facts.model_copy(update={"metrics": dict(metrics)})))
    return folder / MODEL_CARD


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
    shown = [key for key in _keys(facts) if isinstance(metrics.get(key), int | float)]
    doubt = any(f"{key}_low" in metrics for key in shown)
    return [
        f"{metrics.get('n_pictures', '?')} images of the split `{metrics.get('split', '?')}` of "
        f"{metrics.get('dataset', '?')}, judged with these ONNX graphs by {metrics.get('evaluator', '?')}.",
        "",
        "| figure | value | 95 % interval |" if doubt else "| figure | value |",
        "|---|---|---|" if doubt else "|---|---|",
        *(
            f"| {name_of(key)} | {metrics[key]:.3f} |" + (f" {_interval(metrics, key)} |" if doubt else "")
            for key in shown
        ),
    ]


def _line(metrics: Mapping[str, float | int | str], key: str, doubt: bool) -> str:
    line = f"| {name_of(key)} | {metrics[key]:.3f} |"
    return f"{line} {_interval(metrics, key)} |" if doubt else line


def _interval(metrics: Mapping[str, float | int | str], key: str) -> str:
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    return f"{low:.3f} to {high:.3f}" if isinstance(low, int | float) and isinstance(high, int | float) else ""


def _keys(facts: ModelFacts) -> list[str]:
    """Every figure that may stand in the table: of all classes together, then of each."""
    keys = []
    for key in dict.fromkeys((*FIGURES, *CLASS_NAMES)):
        keys += [key] if key in FIGURES else []
        keys += [f"{key}/{name}" for name in facts.classes] if key in CLASS_NAMES else []
    return keys


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return "None: the class probabilities are the network's own and must not be read as percentages."
    return (
        f"The percentage of {calibration.positive} is the network's own probability with its log odds divided by "
        f"the temperature {1 / calibration.slope:.3f} and shifted by {calibration.bias:+.3f}, fitted on the "
        f"validation split. Between views of one object (turned, moved, zoomed, lit otherwise) the calibrated log "
        f"odds have a standard deviation of {calibration.view_sd:.3f}."
    )
