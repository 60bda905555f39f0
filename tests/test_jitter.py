"""Flicker of area and percentage."""

from __future__ import annotations

import numpy as np
import pytest

from maskstream.evaluation.videos.jitter import LEAST_CHANGES, Jitter, robust_sd


def test_of_normal_noise_it_is_the_standard_deviation() -> None:
    values = np.random.default_rng(1).normal(3, 0.2, 20_000)
    assert robust_sd(values.tolist()) == pytest.approx(0.2, rel=0.03)


def test_a_few_leaps_do_not_change_it() -> None:
    calm = np.random.default_rng(2).normal(0, 0.01, 1000)
    leaping = calm.copy()
    leaping[::50] = 5
    assert robust_sd(leaping.tolist()) == pytest.approx(robust_sd(calm.tolist()), rel=0.1)


@pytest.mark.parametrize("count", [0, 1, LEAST_CHANGES - 1])
def test_too_few_changes_say_nothing(count: int) -> None:
    assert robust_sd([0.5] * count) is None


def test_a_still_object_has_the_noise_of_its_masks_and_percentages() -> None:
    rng, jitter = np.random.default_rng(3), Jitter()
    for frame in range(5000):
        jitter.add(frame, round(10_000 * np.exp(rng.normal(0, 0.02))), 10_000, rng.normal(0.5, 0.03))
    # the difference of two frames has the noise of both
    assert robust_sd(jitter.areas) == pytest.approx(0.02 * 2**0.5, rel=0.1)
    assert robust_sd(jitter.probabilities) == pytest.approx(0.03 * 2**0.5, rel=0.1)
    assert robust_sd(jitter.true_areas) == 0


def test_a_steady_zoom_is_no_flicker() -> None:
    jitter = Jitter()
    for frame in range(50):
        jitter.add(frame, round(1e6 * 1.02**frame), round(1e6 * 1.02**frame), 0.5)
    assert robust_sd(jitter.areas) == pytest.approx(0, abs=1e-6)
    assert np.mean(jitter.areas) == pytest.approx(np.log(1.02), abs=1e-6)


def test_only_neighbouring_frames_are_compared() -> None:
    jitter = Jitter()
    for frame, area_px in [(0, 100), (1, 200), (3, 800), (4, 400)]:
        jitter.add(frame, area_px, 100, 0.5)
    assert list(jitter.areas) == pytest.approx([np.log(2), -np.log(2)])
    assert list(jitter.true_areas) == [0, 0]
