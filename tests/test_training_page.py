"""The page and the picture of a training run: what they say of it, how large they grow, that they work in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from browser import ask, screenshot
from html_page import Page
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskstream.errors import SourceError
from maskstream.media.images import read_image
from maskstream.reports.line_chart import line_svg
from maskstream.reports.read_training import POINT_LIMIT, read_training
from maskstream.reports.ticks import nice_ticks, tick_text
from maskstream.reports.training_charts import (
    METRIC_CHARTS,
    Chart,
    Line,
    chart_groups,
    epoch_ticks,
    smoothed,
)
from maskstream.reports.training_page import PAGE, SAMPLE_EPOCHS, verdict, write_training_page

RECIPE = {
    "name": "oil-tanks",
    "about": "Tanks <seen> from above.",
    "stages": [{"name": "heads"}, {"name": "all"}],
    "validation": {"best": ["AP50"], "mode": "max"},
}
FACTS = {
    "maskstream": "0.1.0",
    "seed": 17,
    "data_sha256": "a" * 64,
    "total_steps": 60,
    "versions": {"torch": "2.15.0"},
    "git": {"commit": "b" * 40, "changed": False},
}
AP50 = [0.25, 0.5, 0.75, 0.625, 0.5, 0.375]


@pytest.fixture
def run(tmp_path):
    """Six epochs of ten steps in two stages; the third is the best."""
    return make_run(tmp_path / "run")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same run with its page and picture, which no test changes."""
    run = make_run(tmp_path_factory.mktemp("written") / "run")
    write_training_page(run)
    return run


@pytest.fixture
def page(written):
    return Page((written / PAGE).read_text(encoding="utf-8"))


def make_run(run, *, recipe=RECIPE, steps=60, per_epoch=10, validations=6, samples=("a", "b")):
    run.mkdir()
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    (run / "run.json").write_text(json.dumps(FACTS))
    rows = ["step,epoch,stage,loss,loss_box,loss_mask,learning_rate,step_s,data_s,images_per_s,memory_mb"]
    for step in range(1, steps + 1):
        stage = "heads" if step <= 2 * per_epoch else "all"
        rows.append(f"{step},{step / per_epoch},{stage},{3 / step},{1 / step},{2 / step},0.0001,0.25,0.025,32.0,1500")
    (run / "steps.csv").write_text("\n".join(rows) + "\n")
    if validations:
        rows = ["step,epoch,stage,AP,AP50,AP50/full,AP50/empty,loss,loss_box,n_objects,score_threshold"]
        for number in range(1, validations + 1):
            score = AP50[(number - 1) % len(AP50)]
            rows.append(f"{per_epoch * number},{number},all,0.125,{score},{score},,{1 / number},{0.5 / number},7,0.5")
        (run / "validation.csv").write_text("\n".join(rows) + "\n")
    for number in range(1, validations + 1):
        folder = run / "samples" / f"epoch-{number:03}"
        folder.mkdir(parents=True)
        for name in samples:
            Image.new("RGB", (120, 80), (20 * number % 255, 120, 90)).save(folder / f"{name}.jpg")
    return run


def read_page(run):
    return Page(write_training_page(run).read_text(encoding="utf-8"))


def test_the_page_says_which_checkpoint_is_the_best_and_how_the_run_came_about(page):
    assert "AP50 is 0.75 after epoch 3, the best of 6 validations up to step 60 of 60." in page.text
    figures = (
        "AP50 0.75 Epochs 6 Last training loss 0.05 Images a second 32 A step 250 ms Of it waiting for data 10 % "
        "Peak memory 1 500 MB"
    )
    assert figures in page.text
    assert "Tanks <seen> from above." in page.text
    assert "heads from epoch 0, all from epoch 2." in page.text
    for fact in ("Data SHA-256", "a" * 64, "b" * 40, "2.15.0", "Seed", "17", "mode: max"):
        assert fact in page.text


def test_the_page_has_a_chart_a_loss_and_a_metric_and_a_row_a_sample(page):
    titles = [json.loads(figure["data-values"]) for figure in page.all("figure")]
    assert [[name for name, _, _ in lines] for lines in titles] == [
        ["training", "validation"],
        ["training", "validation"],
        ["training"],
        ["AP50"],
        ["AP"],
        ["full"],
        ["learning rate"],
        ["whole step", "waiting for data"],
        ["training"],
        ["peak memory"],
    ]
    assert titles[3] == [["AP50", [1, 2, 3, 4, 5, 6], AP50]]
    assert titles[7][1][2][:2] == [25, 25]
    pictures = page.all("img")
    assert [picture["alt"] for picture in pictures[:6]] == [f"a after epoch {number}" for number in range(1, 7)]
    assert len(pictures) == 12
    assert all(picture["src"].startswith("data:image/jpeg;base64,/9j/") for picture in pictures)


def test_figures_that_no_validation_defines_and_counts_stand_in_the_table_alone(page):
    assert "AP50/empty – –" in page.text
    assert "n_objects 7 7" in page.text
    assert "AP50 0.75 0.375" in page.text


@pytest.mark.parametrize(
    "validation, validations, told",
    [
        ({"best": ["loss"], "mode": "min"}, 6, "loss is 0.1667 after epoch 6, the best of 6 validations"),
        ({"best": ["AP", "AP50"], "mode": "max"}, 6, "The mean of AP and AP50 is 0.4375 after epoch 3"),
        ({"best": ["AP50"], "mode": "max"}, 1, "AP50 is 0.25 after epoch 1, the only validation so far up to step 60"),
        ({"best": ["AP50/empty"], "mode": "max"}, 6, "no validation yet"),
        ({"best": ["AP50"], "mode": "max"}, 0, "The run is at step 60 of 60, epoch 6; no validation yet."),
        (
            {"best": [], "mode": "max"},
            6,
            "epoch 6; no metric is chosen by, so the latest checkpoint counts as the best.",
        ),
    ],
)
def test_the_verdict(tmp_path, validation, validations, told):
    run = make_run(tmp_path / "run", recipe=RECIPE | {"validation": validation}, validations=validations, samples=())
    assert told in verdict(read_training(run))


def test_a_run_before_its_first_step(tmp_path):
    run = make_run(tmp_path / "run", steps=0, validations=0)
    page = read_page(run)
    assert "The run has not finished its first step." in page.text
    assert page.all("figure") == []
    assert read_image(run / "curves.png").shape == (100, 1400, 3)


def test_a_run_without_tables(tmp_path):
    run = make_run(tmp_path / "run", validations=0)
    (run / "steps.csv").unlink()
    assert "The run has not finished its first step." in read_page(run).text


def test_a_line_that_a_kill_has_cut_short_is_left_out(run):
    with (run / "steps.csv").open("a") as file:
        file.write("61,6.1,all,0.")
    assert read_training(run).steps_done == 60


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("recipe.yaml", None, "recipe.yaml: expected a file of a training run, found No such file"),
        ("run.json", "{", "expected the files of a training run"),
        ("recipe.yaml", "a: [", "expected the files of a training run"),
        ("steps.csv", "step,epoch,stage,loss\n1,0.1,all,many\n", "expected the files of a training run"),
        ("validation.csv", "step,epoch,stage,AP\n1,one,all,0.5\n", "expected the files of a training run"),
    ],
)
def test_a_folder_that_is_none_of_a_training_run(run, name, text, told):
    (run / name).unlink() if text is None else (run / name).write_text(text)
    with pytest.raises(SourceError, match=told):
        write_training_page(run)


def test_a_long_run_is_thinned_to_means(tmp_path):
    run = make_run(tmp_path / "run", steps=2501, per_epoch=50, validations=0)
    steps = read_training(run).steps
    assert len(steps.step) == 834 <= POINT_LIMIT
    assert steps.step[:2].tolist() == [2, 5]
    assert steps.values["loss_box"][0] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert steps.values["loss_box"][-1] == pytest.approx((1 / 2500 + 1 / 2501) / 2)


def test_the_page_stays_small_and_quick(tmp_path):
    run = make_run(tmp_path / "run", steps=30_000, per_epoch=1000, validations=30, samples=list("abcdefghij"))
    write_training_page(run)  # imports matplotlib's fonts
    start = time.process_time()
    page = write_training_page(run)
    assert time.process_time() - start < 2  # 1 where nothing else runs
    assert page.stat().st_size < 2e6
    assert len(Page(page.read_text(encoding="utf-8")).all("img")) == 8 * SAMPLE_EPOCHS


def test_many_metrics_have_charts_up_to_a_limit(run):
    names = [f"metric-{number}" for number in range(20)] + [f"dice/class {number}" for number in range(9)]
    cells = ",".join(["0.5"] * len(names))
    (run / "validation.csv").write_text(f"step,epoch,stage,{','.join(names)}\n60,6,all,{cells}\n")
    metrics = chart_groups(read_training(run))[1]
    assert len(metrics.charts) == METRIC_CHARTS
    page = read_page(run)
    assert "dice/class 8 0.5" in page.text


def test_the_figure_of_an_only_class_is_drawn_once(run):
    (run / "validation.csv").write_text("step,epoch,stage,dice,dice/lung,auc/lung\n60,6,all,0.5,0.5,0.75\n")
    metrics = chart_groups(read_training(run))[1]
    assert [chart.title for chart in metrics.charts] == ["dice", "auc by class"]


def test_curves_are_a_picture_with_lines(written):
    with Image.open(written / "curves.png") as picture:
        width, height = picture.size
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (width, height) == (1400, 50 * 3 + 240 * 3)
    assert {(11, 90, 102), (179, 71, 10)} <= colours


def test_neither_pytorch_nor_pyplot_is_imported(run):
    code = (
        "import sys; from pathlib import Path; from maskstream.reports.training_page import write_training_page; "
        f"write_training_page(Path({str(run)!r})); "
        "print([name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "low, high, ticks",
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0, 0.9, [0, 0.25, 0.5, 0.75, 1]),
        (0, 3e-4, [0, 1e-4, 2e-4, 3e-4]),
        (0.92, 0.96, [0.92, 0.93, 0.94, 0.95, 0.96]),
        (0, 0, [0, 0.25, 0.5, 0.75, 1]),
        (-2, -2, [-2, -1.5, -1, -0.5, 0]),
        (5, 5, [0, 2, 4, 6]),
    ],
)
def test_ticks_by_hand(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_enclose_any_range(low, span):
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low + 1e-6 * span + 1e-9
    assert ticks[-1] >= low + span - 1e-6 * span - 1e-9


def test_epochs_are_whole_where_there_are_several():
    assert epoch_ticks(10) == [0, 2, 4, 6, 8, 10]
    assert epoch_ticks(12) == [0, 5, 10]
    assert epoch_ticks(0.5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    "value, text", [(0, "0"), (0.25, "0.25"), (2.5e-4, "2.5e-4"), (1500, "1500"), (30000, "30000")]
)
def test_numbers_of_axes(value, text):
    assert tick_text(value) == text


def test_smoothing_keeps_constants_and_means_neighbours():
    assert smoothed(np.full(100, 3.0)) == pytest.approx(np.full(100, 3.0))
    values = np.zeros(90)
    values[45] = 3
    assert smoothed(values)[43:48].tolist() == pytest.approx([0, 1, 1, 1, 0])
    assert smoothed(np.array([5.0])).tolist() == [5]


def test_rare_peaks_of_single_steps_do_not_flatten_a_chart():
    x = np.arange(1000.0)
    peaked = np.ones(1000)
    peaked[7] = 1000
    chart = Chart("loss", (Line("single steps", "noise", x, peaked),))
    assert chart.range == (0, 1)
    svg = str(line_svg(chart, 999.0, [], None))
    assert "L54.1 10.0" in svg  # the peak, cut at the upper edge


@pytest.mark.parametrize("width", [400, 1200])
def test_in_a_browser_nothing_overflows(written, tmp_path, width):
    wide = ask(
        written / PAGE,
        width,
        "const wide = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.samples, .table-frame, pre')"
        " && e.getBoundingClientRect().right > innerWidth + 1);"
        "return [document.documentElement.scrollWidth, wide.map((e) => e.tagName + e.className)]",
        tmp_path / "profile",
    )
    assert wide == [width, []]


def test_in_a_browser_the_values_under_the_pointer_are_told_in_every_chart(written, tmp_path):
    told = ask(
        written / PAGE,
        1000,
        "const chart = document.querySelectorAll('svg.chart')[3];"
        "const frame = chart.getBoundingClientRect();"
        "const at = (epoch) => { const x = (52 + 298 * epoch / 6) / 360;"
        "chart.dispatchEvent(new PointerEvent('pointermove', {clientX: frame.left + frame.width * x}));"
        "return [...document.querySelectorAll('figure:nth-of-type(1) .told')].map((b) => b.textContent) };"
        "const all = () => [...document.querySelectorAll('.told')].map((b) => b.textContent);"
        "const before = all(); at(3.1); const third = all();"
        "chart.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));"
        "for (let i = 0; i < 20; i++) chart.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));"
        "return [before[5], third[5], third[1], all()[5], document.querySelectorAll('.cursor.shown').length]",
        tmp_path / "profile",
    )
    assert told == ["0.375", "0.75", "0.3333", "0.25", 10]


def test_in_a_browser_the_page_is_painted(written, tmp_path):
    picture = tmp_path / "page.png"
    screenshot(written / PAGE, (390, 844), picture, tmp_path / "profile")
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 100
    assert (11, 90, 102) in colours
