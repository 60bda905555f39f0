"""The pairing of rows and columns, against a table by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.optimize import linear_sum_assignment

from maskstream.tracking.assignment import best_pairs


@pytest.mark.parametrize(
    "reward, pairs",
    [
        (np.zeros((0, 0)), []),
        (np.zeros((0, 3)), []),
        (np.zeros((3, 0)), []),
        (np.zeros((2, 2)), []),
        ([[0.5]], [(0, 0)]),
        ([[-0.5]], []),
        # the greedy choice (0, 0) would leave row 1 with nothing
        ([[5, 4], [4, 0]], [(0, 1), (1, 0)]),
        ([[5, 1], [1, 5]], [(0, 0), (1, 1)]),
        ([[1, 3], [2, 1], [3, 2]], [(0, 1), (2, 0)]),
        ([[9, 0, 0], [0, -1, 0]], [(0, 0)]),
    ],
)
def test_pairs_by_hand(reward: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    assert best_pairs(np.array(reward, np.float64)) == pairs


@given(
    npst.arrays(
        np.float64,
        npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.floats(-10, 10) | st.sampled_from([0.0, 1.0]),
    )
)
def test_total_equals_scipy(reward: np.ndarray) -> None:
    pairs = best_pairs(reward)
    rows, columns = linear_sum_assignment(np.clip(reward, 0, None), maximize=True)
    total = sum(reward[pair] for pair in pairs)
    assert total == pytest.approx(np.clip(reward, 0, None)[rows, columns].sum(), abs=1e-9)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(reward[pair] > 0 for pair in pairs)
