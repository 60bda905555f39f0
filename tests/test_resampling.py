"""Bootstrap intervals: a plain loop, coverage of a known distribution, groups, and what cannot be drawn anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.errors import DatasetError
from maskstream.evaluation.classes.ranking import Ranking
from maskstream.evaluation.direction import better
from maskstream.evaluation.resampling import (
    Headline,
    Interval,
    draws,
    interval_metrics,
    intervals,
    paired_differences,
    sample,
    warnings_of,
)
from maskstream.evaluation.verdict import Positions


def _mean_of(values: np.ndarray, key: str = "mean_jaccard") -> Headline:
    return lambda images: {key: float(values[images].mean())}


def _own_groups(count: int) -> list[str]:
    return [f"image {number}" for number in range(count)]


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40), st.integers(0, 99))
def test_all_images_of_a_drawn_group_count_as_often_as_it_was_drawn(groups: list[str], seed: int) -> None:
    (images,) = draws(groups, 1, seed)
    times = np.bincount(images, minlength=len(groups))
    of_group = {name: times[[own == name for own in groups]] for name in set(groups)}
    assert all(len(set(counts.tolist())) == 1 for counts in of_group.values())
    assert sum(int(counts[0]) for counts in of_group.values()) == len(of_group)


def test_equal_to_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    groups = rng.choice(list("abcdefghij"), size=50).tolist()
    values = rng.random(50)
    names = sorted(set(groups))
    own = np.random.default_rng(7)
    means = []
    for _ in range(300):
        images = [i for g in own.integers(len(names), size=len(names)) for i in range(50) if groups[i] == names[g]]
        means.append(np.mean([values[i] for i in images]))
    found = intervals(_mean_of(values), groups, resamples=300, seed=7)["mean_jaccard"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=1e-12)
    assert found.resamples == 300


def _normal(rng: np.random.Generator) -> tuple[Headline, list[str], float]:
    """80 groups of 1 to 4 images with an effect of their own; the mean is known."""
    sizes = rng.integers(1, 5, 80)
    values = np.repeat(rng.normal(0.7, 0.1, 80), sizes) + rng.normal(0, 0.05, sizes.sum())
    return _mean_of(values), [f"g{number}" for number in np.repeat(np.arange(80), sizes)], 0.7


def _two_normals(rng: np.random.Generator) -> tuple[Headline, list[str], float]:
    """Percentages of two classes one standard deviation apart: the area is Phi(1 / sqrt 2)."""
    label = np.arange(90) % 3 == 0
    shown = rng.normal(label.astype(float), 1)
    return lambda i: {"mean_jaccard": Ranking.of(shown[i], label[i]).roc_auc()}, _own_groups(90), 0.7602499


@pytest.mark.parametrize("simulated", [_normal, _two_normals])
def test_covers_the_true_value_about_as_often_as_it_says(
    simulated: Callable[[np.random.Generator], tuple[Headline, list[str], float]],
) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(150):
        headline, groups, true_value = simulated(rng)
        found = intervals(headline, groups, resamples=150, seed=seed)["mean_jaccard"]
        covered += found.low <= true_value <= found.high
    # 95 % nominal; of 150 trials three standard deviations are 0.053, and the percentile interval is a little narrow
    assert 0.88 <= covered / 150 < 1


def test_copies_within_a_group_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).random(40)
    once = intervals(_mean_of(values), _own_groups(40))
    copied = intervals(_mean_of(np.repeat(values, 25)), np.repeat(_own_groups(40), 25).tolist())
    torn_apart = intervals(_mean_of(np.repeat(values, 25)), _own_groups(1000))
    assert copied["mean_jaccard"].low == pytest.approx(once["mean_jaccard"].low)
    assert copied["mean_jaccard"].high == pytest.approx(once["mean_jaccard"].high)
    assert _width(torn_apart["mean_jaccard"]) < _width(once["mean_jaccard"]) / 4


def test_the_seed_decides_the_draws() -> None:
    headline, groups = _mean_of(np.random.default_rng(3).random(30)), _own_groups(30)
    assert intervals(headline, groups, seed=5) == intervals(headline, groups, seed=5)
    assert intervals(headline, groups, seed=5) != intervals(headline, groups, seed=6)


def test_a_figure_that_resamples_leave_undefined_is_told() -> None:
    # the rare figure needs the one image that a resample of 12 leaves out in a third of the cases; the rarer one both
    def headline(images: Positions) -> dict[str, float]:
        figures = {"accuracy": float(np.mean(images))}
        figures |= {"auc": float(np.mean(images))} if 0 in images else {}
        return figures | ({"f1": float(np.mean(images))} if 0 in images and 1 in images and 2 in images else {})

    groups = _own_groups(12)
    samples = sample(headline, groups)
    found = intervals(headline, groups)
    assert found["auc"].resamples == np.count_nonzero(~np.isnan(samples["auc"])) < 750
    assert "f1" not in found
    told = interval_metrics(found, ["accuracy", "auc", "f1"], groups)
    warning = str(told["interval_warning"])
    assert told["interval_groups"] == 12
    assert "only 12 groups" in warning
    assert f"auc ({found['auc'].resamples} of 1000)" in warning
    assert "no interval where fewer than half of the resamples define the figure: f1" in warning
    assert told["auc_low"] == found["auc"].low
    assert "f1_low" not in told


def test_a_figure_that_never_moves_is_told() -> None:
    groups = _own_groups(30)
    found = intervals(_mean_of(np.ones(30)), groups)
    assert found["mean_jaccard"] == Interval(1.0, 1.0, 1000, shift=0.0)
    told = interval_metrics(found, ["mean_jaccard"], groups)
    assert told["interval_warning"] == "the same in every resample, so that the interval tells nothing: mean_jaccard"


def test_a_figure_whose_resamples_lie_to_one_side_is_told() -> None:
    # the best of all images: no resample is better, most are worse
    values = np.random.default_rng(9).random(40)
    groups = _own_groups(40)
    found = intervals(lambda i: {"f1": float(values[i].max()), "auc": float(values[i].mean())}, groups)
    assert found["f1"].shift < -0.25 < abs(found["auc"].shift) < 0.25
    told = interval_metrics(found, ["f1", "auc"], groups)
    assert told["interval_warning"] == "resamples lie to one side of the figure, so that the interval is shifted: f1"


def test_a_warning_names_a_few_figures_and_counts_the_others() -> None:
    known = {f"figure {number}": Interval(1.0, 1.0, 100) for number in range(9)}
    (note,) = warnings_of(known, list(known), _own_groups(30))
    assert note.endswith("figure 4, figure 5 and 3 more")


def test_nothing_to_mind_is_said() -> None:
    groups = _own_groups(30)
    found = intervals(_mean_of(np.random.default_rng(0).random(30)), groups)
    assert interval_metrics(found, ["mean_jaccard"], groups)["interval_warning"] == "none"


def test_one_group_has_no_interval() -> None:
    headline = _mean_of(np.array([0.1, 0.9]))
    assert intervals(headline, ["film", "film"]) == {}
    told = interval_metrics({}, ["mean_jaccard"], ["film", "film"])
    assert told["interval_groups"] == 1
    assert "one group" in str(told["interval_warning"])
    (difference,) = paired_differences(headline, _mean_of(np.array([0.2, 0.2])), ["film", "film"]).values()
    assert difference.value == pytest.approx(0.3)
    assert (difference.interval, difference.better_share) == (None, None)


def test_no_image_is_refused() -> None:
    with pytest.raises(DatasetError, match="expected at least one image"):
        intervals(lambda images: {}, [])


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(6)
    hard = rng.random(60)
    groups = _own_groups(60)
    a, b = _mean_of(hard + 0.02 + rng.normal(0, 0.01, 60)), _mean_of(hard)
    apart = intervals(a, groups)["mean_jaccard"], intervals(b, groups)["mean_jaccard"]
    assert apart[0].low < apart[1].high  # the intervals overlap by far, as the images are of all kinds
    found = paired_differences(a, b, groups)["mean_jaccard"]
    assert found.interval is not None
    assert found.interval.low <= found.value <= found.interval.high
    assert found.interval.low > 0
    assert found.better_share == 1.0
    back = paired_differences(b, a, groups)["mean_jaccard"]
    assert back.value == pytest.approx(-found.value)
    assert back.better_share == 0.0


def test_the_share_knows_which_way_is_better() -> None:
    rng = np.random.default_rng(8)
    low, high = rng.random(40), rng.random(40) + 1
    groups = _own_groups(40)

    def shares(key: str) -> float | None:
        return paired_differences(_mean_of(low, key), _mean_of(high, key), groups)[key].better_share

    assert shares("accuracy") == 0.0
    assert shares("log_loss") == 1.0
    assert shares("calibration_slope") is None
    same = paired_differences(_mean_of(low), _mean_of(low), groups)["mean_jaccard"]
    assert (same.value, same.better_share) == (0.0, 0.5)


def test_only_shared_figures_are_compared() -> None:
    both = paired_differences(
        lambda i: {"accuracy": float(i.mean()), "auc": 1.0}, lambda i: {"accuracy": 0.0, "f1": 1.0}, _own_groups(5)
    )
    assert list(both) == ["accuracy"]


@pytest.mark.parametrize(
    "figure, way",
    [
        ("AP", "higher"),
        ("box_AP50", "higher"),
        ("mean_jaccard/benign", "higher"),
        ("sensitivity/benign", "higher"),
        ("ece", "lower"),
        ("brier_uncalibrated", "lower"),
        ("aurc", "lower"),
        ("area_jitter", "lower"),
        ("true_area_jitter", None),
        ("mean_hausdorff95_px", "lower"),
        ("share_below_065", "lower"),
        ("calibration_slope", None),
        ("n_objects/benign", None),
    ],
)
def test_which_way_is_better(figure: str, way: str | None) -> None:
    assert better(figure) == way


def _width(interval: Interval) -> float:
    return interval.high - interval.low
