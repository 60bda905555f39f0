"""One evaluation, whole: whose answers, judged on which images, and everything that is written about it.

metrics.json         all figures by flat keys, with their intervals, and what they were made with
images.csv, ...      the tables: a row an image, curves, counts, slices
predictions.json     the answers themselves; of a classifier predictions.csv
worst/, why/         pictures of the images on which the answers fail worst, and of what a model's percentage rests on
figures/             curves and other pictures at print resolution
report.html          all of it on one page
MODEL_CARD.md        of a model: its card, with these figures
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from maskstream import __version__
from maskstream.core.detections import Detections
from maskstream.core.files import whole_folder, write_json
from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import Dataset
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.failures.robustness import chosen, robustness
from maskstream.evaluation.failures.slices import object_slices, slices
from maskstream.evaluation.failures.worst import worst
from maskstream.evaluation.resampling import interval_metrics, intervals
from maskstream.evaluation.verdict import Metrics, Table
from maskstream.evaluation.videos.film import VideoEvaluation, video_evaluation
from maskstream.evaluation_target import EvaluationSettings, EvaluationTarget, find_target
from maskstream.media.sinks import write_csv
from maskstream.reports.evaluation_figures import require_matplotlib, write_figures
from maskstream.reports.evaluation_page import write_evaluation_report
from maskstream.reports.model_card import write_model_card
from maskstream.reports.why_worst import write_why
from maskstream.reports.worst_pictures import write_worst

Bars = Callable[[str], OnProgress]
"""What to tell how far a step is, by the step's verb."""


def evaluate(
    target: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    settings: EvaluationSettings | None = None,
    bars: Bars | None = None,
) -> Metrics:
    """Judge a model, or anybody's predictions, on a split of a dataset, and write everything into a new folder.

    Parameters
    ----------
    target : name of a bundled model, model folder, COCO's results (`.json`), table of class probabilities (`.csv`), or
        folder of masks.
    data : the dataset's folder.
    out : the run folder; new or empty, and there whole or not at all.
    split : of the dataset; a model that was trained on this dataset is judged as its recipe divides it.
    bars : what to tell how far each step is.

    Returns
    -------
    What `metrics.json` holds.

    Raises
    ------
    DatasetError, SourceError, ModelFolderError : dataset, predictions or model are missing or broken, or do not go
        together.
    OutputError : the folder is in use or cannot be written.
    MissingDependency : the evaluate extra is not installed.
    """
    settings = settings or EvaluationSettings()
    with whole_folder(Path(out)) as folder:
        dataset = Dataset.load(data)
        data_sha256 = dataset.content_sha256()
        found = find_target(target, dataset, data_sha256, split, settings)
        facts: Metrics = {
            "dataset": dataset.provenance.name,
            "dataset_sha256": data_sha256,
            "split": split,
            "maskstream": __version__,
        }
        return _Run(found, settings, folder, bars or _silent).write(facts)


class _Run:
    """The steps of one evaluation."""

    def __init__(self, target: EvaluationTarget, settings: EvaluationSettings, folder: Path, bars: Bars) -> None:
        settings.check(target)
        if settings.figures:
            require_matplotlib()
        self._target, self._settings, self._folder, self._bars = target, settings, folder, bars
        self._evaluation = self._fresh()
        self._videos = None
        if target.answers.task != "classification" and settings.video is not False:
            self._videos = video_evaluation(target.answers, target.dataset, target.records, asked=bool(settings.video))

    def write(self, facts: Metrics) -> Metrics:
        """Judge, and write everything; returns the metrics."""
        self._judge()
        metrics = self._evaluation.metrics() | (self._videos.metrics() if self._videos else {})
        metrics |= self._intervals()
        metrics["task"] = "video" if self._videos else self._target.answers.task
        metrics |= {"n_groups": len(set(self._evaluation.groups())), "n_without_answer": 0}
        positive = metrics.get("positive_class")
        metrics |= self._target.training_facts(None if positive is None else str(positive))
        metrics |= self._target.answers.facts | facts
        if self._settings.ignore_classes:
            metrics["classes"] = "ignored"
        for table in self._tables(metrics):
            rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            write_csv(self._folder / f"{table.name}.csv", rows, table.columns)
        self._evaluation.write_predictions(self._folder)
        write_json(self._folder / "metrics.json", metrics)
        self._write_pages(metrics)
        return metrics

    def _write_pages(self, metrics: Metrics) -> None:
        """What people read, made of the files that are there by now."""
        if self._settings.figures:
            write_figures(self._folder)
        write_evaluation_report(self._folder)
        if self._target.manifest is not None:
            write_model_card(self._folder, self._target.manifest, metrics)

    def _fresh(self) -> Evaluation:
        """An evaluation that has seen no image yet."""
        settings = self._settings
        return evaluation_of(
            self._target.answers,
            self._target.dataset,
            score_threshold=settings.score,
            score_floor=settings.floor,
            max_detections=settings.max_detections,
            positive=settings.positive,
        )

    def _judge(self) -> None:
        records = self._videos.in_order(self._target.records) if self._videos else self._target.records
        on_progress = self._bars(f"judging {self._target.answers.name}")
        for done, record in enumerate(records, start=1):
            found = self._evaluation.add(record)
            if self._videos and isinstance(found, Detections):
                self._videos.add(record, found)
            on_progress(done, len(records))

    def _intervals(self) -> Metrics:
        """Those of the images' figures, and those of the videos', whose facts have `video_` before them."""
        if not self._settings.resamples:
            return {}
        found = self._intervals_of(self._evaluation, "drawing images anew")
        if self._videos:
            of_videos = self._intervals_of(self._videos, "drawing videos anew")
            found |= {f"video_{key}" if key.startswith("interval_") else key: of_videos[key] for key in of_videos}
        return found

    def _intervals_of(self, judged: Evaluation | VideoEvaluation, verb: str) -> Metrics:
        groups, resamples = judged.groups(), self._settings.resamples
        known = intervals(
            judged.headline, groups, resamples=resamples, seed=self._settings.seed, on_progress=self._bars(verb)
        )
        figures = list(judged.headline(np.arange(len(groups))))
        return interval_metrics(known, figures, groups) | {"n_resamples": resamples}

    def _tables(self, metrics: Metrics) -> Iterator[Table]:
        settings, tables = self._settings, self._evaluation.tables()
        by_name = {table.name: table for table in tables}
        yield from tables
        if self._videos:
            yield from self._videos.tables()
        if settings.slices:
            yield slices(self._evaluation, on_progress=self._bars("judging kinds of images"))
            if "objects" in by_name:
                yield object_slices(by_name["objects"])
        failures = worst(self._evaluation, metrics, by_name["images"], settings.worst)
        if failures:
            yield write_worst(failures, self._folder)
        if self._target.looks and settings.why:
            yield write_why(
                failures[: settings.why],
                self._target.answers,
                self._folder,
                positive=settings.positive,
                on_progress=self._bars("hiding one place after the other"),
            )
        if settings.robustness:
            records = chosen(self._target.records, settings.robustness, settings.seed)
            on_progress = self._bars("judging worse images")
            yield robustness(self._fresh, records, seed=settings.seed, on_progress=on_progress)


def _silent(verb: str) -> OnProgress:
    return lambda done, total: None
