"""Two or more cross-validations side by side: accuracy and loss of every fold, epoch by epoch, as one picture.

python benchmarks/side_by_side.py runs/cnn runs/transfer --out docs/images/cnn_and_transfer.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

FIGURES = {"accuracy": "accuracy on the fold held out", "loss": "loss on the fold held out"}
COLOURS = ("#b3470a", "#1f5fbf", "#1f7a3d")


def draw_folds(axes: Axes, run: Path, figure: str, colour: str) -> None:
    """A thin line a fold, and their mean."""
    folds = []
    for path in sorted(run.glob("fold-*/validation.csv")):
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        epochs = [float(row["epoch"]) for row in rows]
        folds.append([float(row[figure]) for row in rows])
        axes.plot(epochs, folds[-1], color=colour, alpha=0.3, linewidth=0.9)
    means = [sum(values) / len(values) for values in zip(*folds, strict=True)]
    axes.plot(epochs, means, color=colour, linewidth=2.2, marker="o", markersize=3, label=run.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of `maskstream train --cross-validate`")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    picture = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (figure, title) in zip(picture.subplots(1, len(FIGURES)), FIGURES.items(), strict=True):
        for run, colour in zip(arguments.runs, COLOURS, strict=False):
            draw_folds(axes, run, figure, colour)
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#d9dedd")
        axes.legend(frameon=False)
    picture.savefig(arguments.out, dpi=120)


if __name__ == "__main__":
    main()
