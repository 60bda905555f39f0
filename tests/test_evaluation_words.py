"""What the evaluation's page says of a model: the verdict's rules, cautions, tables, and text of figures."""

from __future__ import annotations

import json

import pytest
from evaluation_folders import metrics_of, write_folder, write_table
from hypothesis import given
from hypothesis import strategies as st

from maskstream.errors import SourceError
from maskstream.evaluation.classes.prevalence import at_prevalence, predictive_values
from maskstream.reports.evaluation_cautions import cautions
from maskstream.reports.evaluation_charts import charts, robustness_charts
from maskstream.reports.evaluation_pictures import worst_pictures
from maskstream.reports.evaluation_tables import ROW_LIMIT, confusion, images_table, slices_table
from maskstream.reports.evaluation_values import share_text, shown, span
from maskstream.reports.evaluation_words import FEW, NEVER, claims_of, verdict
from maskstream.reports.figure_words import FIGURES, name_of, short_name
from maskstream.reports.prevalence_rows import PREVALENCES, prevalence_of
from maskstream.reports.read_evaluation import FinishedEvaluation, number, read_evaluation


def run_of(task, *, tables=None, intervals=True, **changed):
    metrics = metrics_of(task, intervals=intervals, **changed)
    return FinishedEvaluation(None, metrics, dict.fromkeys(TABLE_NAMES, ()) | (tables or {}))


TABLE_NAMES = (
    *("images", "objects", "classes", "pr_curve", "threshold", "confusion", "roc_curve", "class_pr_curve"),
    *("reliability", "risk_coverage", "slices", "object_slices", "robustness", "worst", "why", "videos"),
    "video_objects",
)


def kind_of(run, title):
    """Where the verdict puts a claim."""
    said = verdict(run)
    kinds = {"supported": said.supported, "refuted": said.refuted, "open": said.left_open}
    return [kind for kind, sentences in kinds.items() if any(s.startswith(title) for s in sentences)]


@pytest.mark.parametrize(
    "value, low, high, objects, kind",
    [
        (0.95, 0.91, 0.98, 150, ["supported"]),
        (0.95, 0.90, 0.98, 30, ["supported"]),
        (0.95, 0.89, 0.98, 150, ["open"]),
        (0.95, 0.91, 0.98, 29, ["open"]),
        (0.85, 0.80, 0.91, 150, ["open"]),
        (0.80, 0.75, 0.89, 150, ["refuted"]),
        (0.80, 0.75, 0.89, 5, ["refuted"]),
        (0.95, None, None, 150, ["open"]),
        (0.85, None, None, 150, ["refuted"]),
        (None, None, None, 150, []),
    ],
)
def test_a_claim_is_as_good_as_the_worse_end_of_its_interval(value, low, high, objects, kind):
    figures = {"recall": value, "recall_low": low, "recall_high": high, "n_objects": objects, "AP50": 0.9}
    run = run_of("instance", intervals=False, **figures)
    assert kind_of(run, "Finding the objects") == kind


def test_where_less_is_better_the_upper_end_counts():
    off = {"ece": 0.03, "ece_low": 0.01, "ece_high": 0.05, "n_positive": 60}
    assert kind_of(run_of("instance", **off), "Reading that percentage") == ["supported"]
    assert kind_of(run_of("instance", **off | {"ece_high": 0.06}), "Reading that percentage") == ["open"]
    assert kind_of(run_of("instance", **off | {"ece_low": 0.06, "ece_high": 0.07}), "Reading that") == ["refuted"]


def test_each_percentage_claim_rests_on_the_class_that_it_is_about():
    few = {"n_positive": FEW - 1, "sensitivity": 0.95, "sensitivity_low": 0.93}
    run = run_of("instance", **few, sensitivity_high=0.97)
    assert kind_of(run, "Sparing false alarms") == ["supported"]
    assert kind_of(run, "Catching malignant") == ["open"]


def test_sparing_false_alarms_is_nothing_where_the_class_is_missed():
    run = run_of("instance", n_positive=60, sensitivity=0.2, sensitivity_low=0.1, sensitivity_high=0.3)
    assert kind_of(run, "Catching malignant") == ["refuted"]
    assert kind_of(run, "Sparing false alarms") == []


@pytest.mark.parametrize("task", ["instance", "semantic", "classification", "video"])
def test_no_figures_ever_make_a_model_fit_for_patients(task):
    perfect = {key: value for claim in claims_of(run_of(task)) for key, value in _perfect(claim.key).items()}
    said = verdict(run_of(task, **perfect, n_positive=75, n_video_objects=99))
    assert [*said.refuted] == [*NEVER]
    assert said.left_open == []
    assert said.supported
    assert not any(
        "clinic" in sentence or "patient" in sentence or "diagnos" in sentence for sentence in said.supported
    )


def _perfect(key):
    best = 0.0 if key in ("share_below_065", "ece") else 1.0
    return {key: best, f"{key}_low": best, f"{key}_high": best}


def test_uncalibrated_percentages_are_no_frequencies():
    said = verdict(run_of("instance", calibration="none", ece=0.0, ece_low=0.0, ece_high=0.0))
    assert "Reading its percentages as frequencies: the model carries no calibration." in said.refuted
    assert not any("as a frequency" in sentence for sentence in (*said.supported, *said.left_open))


def test_the_first_sentence_tells_finding_from_naming():
    objects = (
        [{"crowd": "0", "found": "1"}] * 140 + [{"crowd": "0", "found": "0"}] * 10 + [{"crowd": "1", "found": "0"}]
    )
    classes = [{"class": "benign"}, {"class": "malignant"}]
    said = verdict(run_of("instance", tables={"objects": objects, "classes": classes}))
    assert said.lead.replace("\xa0", " ") == (
        "On 150 images of the split test of ISIC 2017 challenge, lesions found 140 of 150 true objects, and 96 % "
        "(93 to 99 %) of the true objects under the right class; 91 % (88 to 94 %) of what it found was there and "
        "named rightly."
    )
    alone = verdict(run_of("instance", tables={"classes": classes[:1]})).lead.replace("\xa0", " ")
    assert alone.endswith(
        "found 96 % (93 to 99 %) of the true objects; 91 % (88 to 94 %) of what it found were objects."
    )


def test_weak_classes_slices_and_corruptions_are_named(tmp_path):
    said = verdict(read_evaluation(write_folder(tmp_path / "run", "instance")))
    text = " ".join(said.refuted).replace("\xa0", " ")
    assert "The class malignant: its recall is 40 %, over 29 objects." in text
    assert "Images where label is melanoma: F1 0.550 (0.470 to 0.630) over 29 images, against 0.930 over all." in text
    assert "Images with blur (sigma 1 px): F1 falls from 0.930 to 0.810." in text
    assert "nevus" not in text
    assert "noise" not in text


def test_a_slice_in_two_columns_is_named_once():
    slices = [
        {
            "column": column,
            "value": "x",
            "n_images": "9",
            "figure": "f1",
            "value_of_figure": "0.5",
            "low": "0.4",
            "high": "0.6",
        }
        for column in ("label", "attribute/label")
    ]
    said = verdict(run_of("instance", tables={"slices": slices}))
    assert sum("Images where label is x" in sentence for sentence in said.refuted) == 1


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"split": "val"}, "This is a validation split"),
        ({"split": "train"}, "learnt from them"),
        ({"n_pictures": 40}, "40 images are few"),
        ({"n_groups": 3}, "3 groups only"),
        ({"interval_warning": "only 3 groups stand behind them", "n_groups": 3}, "Intervals: only 3 groups stand"),
        ({"interval_warning": "shifted: AP50, share_below_065"}, "shifted: AP50, Jaccard below 0.65."),
        ({"undefined": "AP/benign, auc"}, "Not defined by these images, and so left out: AP, benign, ROC AUC."),
        ({"n_without_answer": 2}, "2 images without any answer"),
        ({"auc_low": 0.6, "auc_high": 0.9}, "Wide intervals of ROC AUC"),
        ({"leakage": "12 images are near-duplicates of training images"}, "12 images are near-duplicates"),
        ({"classes": "ignored"}, "Classes were ignored"),
        ({}, "Fewer than 30 cases of malignant (29)"),
    ],
)
def test_cautions(changed, told):
    assert any(told in sentence.replace("\xa0", " ") for sentence in cautions(run_of("instance", **changed)))


def test_figures_without_any_interval_are_said_to_be_so():
    assert any(
        "No 95 % intervals were computed" in sentence for sentence in cautions(run_of("instance", intervals=False))
    )
    assert not any("No 95 %" in sentence for sentence in cautions(run_of("instance")))


@pytest.mark.parametrize(
    "key, value, text",
    [
        ("recall", 0.956, "96 %"),
        ("recall", 0.9999, ">99 %"),
        ("AP50", 0.6316, "0.632"),
        ("ece", 0.0505, "5.1 points"),
        ("mean_hausdorff95_px", 18.22, "18.2"),
        ("sensitivity_at_specificity_0.95", 0.25, "25 %"),
        ("sensitivity/malignant", 0.25, "25 %"),
    ],
)
def test_figures_as_text(key, value, text):
    assert shown(key, value).replace("\xa0", " ") == text


def test_intervals_tell_their_unit_once():
    assert span("recall", 0.9, 0.95).replace("\xa0", " ") == "90 to 95 %"
    assert span("ece", 0.01, 0.02).replace("\xa0", " ") == "1.0 to 2.0 points"
    assert span("AP", 0.1, 0.2) == "0.100 to 0.200"


@pytest.mark.parametrize(
    "share, text",
    [(0, "0 %"), (1e-6, "<0.1 %"), (0.004, "0.4 %"), (0.195, "19.5 %"), (0.5, "50 %"), (0.9999, ">99.9 %")],
)
def test_shares_as_text(share, text):
    assert share_text(share).replace("\xa0", " ") == text


def test_names_of_figures():
    assert name_of("AP50/benign") == "mask AP at IoU 0.50, benign"
    assert name_of("precision/benign") == "precision: found objects that are true, benign"
    assert name_of("something_new") == "something new"
    assert short_name("ece_uncalibrated") == "calibration error, uncalibrated"
    assert all(words.name and words.meaning for words in FIGURES.values())


def test_percentages_move_as_the_formula_says():
    prevalence = prevalence_of(run_of("instance"))
    assert (prevalence.share, prevalence.from_training) == (0.195, True)
    moved = dict(prevalence.rows)[50]
    assert list(moved) == [share_text(float(at_prevalence(0.5, 0.195, to))) for to in PREVALENCES]
    ppv, npv = predictive_values(0.25, 0.95, 0.01)
    assert prevalence.predictive[0] == ("1\xa0%", share_text(ppv), share_text(npv))


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.99), st.floats(0.001, 0.99))
def test_a_rarer_class_never_raises_a_percentage(percentage, share, other):
    moved = float(at_prevalence(percentage, share, other))
    assert 0 <= moved <= 1
    assert (moved <= percentage + 1e-12) if other <= share else (moved >= percentage - 1e-12)


def test_the_share_is_the_judged_images_own_where_training_does_not_tell():
    run = run_of("classification")
    prevalence = prevalence_of(run)
    assert prevalence.share == pytest.approx(29 / 150)
    assert not prevalence.from_training
    assert (prevalence.sensitivity, prevalence.specificity) == (0.64, 0.9)


@pytest.mark.parametrize("changed", [{"positive_class": ""}, {"training_positive_share": 0.0}])
def test_no_slider_without_a_class_and_its_share(changed):
    assert prevalence_of(run_of("instance", **changed)) is None


def test_tables_show_the_worst_first_and_no_more_than_a_page_holds(tmp_path):
    run = read_evaluation(write_folder(tmp_path / "run", "instance", images=ROW_LIMIT + 50))
    table = images_table(run)
    assert (len(table.rows), table.total) == (ROW_LIMIT, ROW_LIMIT + 50)
    values = [row[table.columns.index("Jaccard")].value for row in table.rows]
    assert values == sorted(values)
    key, slices = slices_table(run)
    assert key == "f1"
    assert [row[2].value for row in slices.rows] == [0.55, 0.9, 0.93, 0.94, None]


def test_a_large_confusion_matrix_keeps_the_classes_that_are_confused(tmp_path):
    names = [f"class {number}" for number in range(40)]
    rows = [{"truth": name, "called": name, "count": 9} for name in names]
    rows += [
        {"truth": "class 33", "called": "class 7", "count": 5},
        {"truth": "class 7", "called": "background", "count": 2},
    ]
    folder = write_folder(tmp_path / "run", "instance", tables=False)
    write_table(folder / "confusion.csv", rows)
    kept, matrix, left_out = confusion(read_evaluation(folder))
    assert {"class 7", "class 33", "background"} <= set(kept)
    assert (len(kept), left_out) == (13, 28)
    counts = dict(matrix)["class 33"]
    assert counts[kept.index("class 7")] == (5, pytest.approx(5 / 14))


def test_charts_are_thinned_and_keep_the_largest_classes(tmp_path):
    names = [f"class {number}" for number in range(9)]
    run = read_evaluation(write_folder(tmp_path / "run", "instance", classes=names))
    made = {chart.key: chart for chart in charts(run)}
    assert list(made) == ["pr_curve", "threshold", "roc", "reliability", "risk_coverage"]
    assert [line.name for line in made["pr_curve"].lines] == names[:6]
    assert made["pr_curve"].left_out == 3
    assert all(len(line.points) <= 160 for chart in made.values() for line in chart.lines)
    assert made["pr_curve"].lines[0].points[-1] == (1, 0.6)
    assert len(made["threshold"].lines[1].points) == 98
    assert [len(chart.lines[0].points) for chart in robustness_charts(run)] == [4] * 4


def test_pictures_outside_the_folder_are_not_shown(tmp_path):
    folder = write_folder(tmp_path / "run", "semantic", tables=False)
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(b"x")
    write_table(folder / "worst.csv", [{"rank": 1, "image": "a", "picture": "../secret.jpg", "why": ""}])
    assert worst_pictures(read_evaluation(folder)) == []


@pytest.mark.parametrize("text, found", [(None, "No such file"), ("{", "Expecting"), ("[]", "a list")])
def test_a_folder_that_is_no_evaluation(tmp_path, text, found):
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(SourceError, match=found):
        read_evaluation(tmp_path)


def test_a_table_that_is_no_text(tmp_path):
    folder = write_folder(tmp_path / "run", "semantic", tables=False)
    (folder / "images.csv").write_bytes(b"image,jaccard\n\xff\xfe,1\n")
    with pytest.raises(SourceError, match="a table of an evaluation"):
        read_evaluation(folder)


@pytest.mark.parametrize("cell, value", [("0.5", 0.5), ("", None), ("nan", None), ("inf", None), ("many", None)])
def test_cells_are_finite_numbers_or_nothing(cell, value):
    assert number({"a": cell}, "a") == value
    assert number({}, "a") is None


@pytest.mark.parametrize(
    "metrics, task, image_task",
    [
        ({"task": "semantic"}, "semantic", "semantic"),
        ({"AP": 0.5}, "instance", "instance"),
        ({"log_loss": 0.5}, "classification", "classification"),
        ({"mean_jaccard": 0.5}, "semantic", "semantic"),
        ({"task": "video", "score_floor": 0.05}, "video", "instance"),
        ({"task": "video", "mean_jaccard": 0.5}, "video", "semantic"),
    ],
)
def test_the_task_is_as_told_or_as_measured(tmp_path, metrics, task, image_task):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    run = read_evaluation(tmp_path)
    assert (run.task, run.image_task) == (task, image_task)
