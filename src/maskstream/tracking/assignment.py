"""Who belongs to whom: the best one-to-one pairing of rows and columns, in NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def best_pairs(reward: Matrix) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) with the largest total reward, by row.

    A row or column may stay alone: pairs with a reward of 0 or less are not made.

    Parameters
    ----------
    reward : (n, m) finite rewards; n or m may be 0.
    """
    if reward.size == 0:
        return []
    if reward.shape[0] > reward.shape[1]:
        return sorted((row, column) for column, row in best_pairs(reward.T))
    gains = np.clip(reward, 0, None)
    columns = _least_cost_columns(gains.max() - gains)
    return [(row, column) for row, column in enumerate(columns.tolist()) if reward[row, column] > 0]


def _least_cost_columns(cost: Matrix) -> NDArray[np.intp]:
    """The column of each row in the pairing of least total cost; costs (n, m), 0 or more, n <= m.

    The Hungarian method by shortest augmenting paths with potentials, O(n^2 m) (Jonker and Volgenant,
    "A shortest augmenting path algorithm for dense and sparse linear assignment problems", 1987).
    """
    rows, columns = cost.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1, np.intp)
    for start in range(rows):
        distance = np.full(columns, np.inf)
        came_from = np.full(columns, -1, np.intp)
        done = np.zeros(columns, bool)
        row, column, walked = start, -1, 0.0
        while True:
            reached = walked + cost[row] - row_potential[row] - column_potential
            closer = ~done & (reached < distance)
            distance[closer], came_from[closer] = reached[closer], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            walked = float(distance[column])
            if owner[column] < 0:
                break
            done[column] = True
            row = int(owner[column])
        visited = np.flatnonzero(done)
        row_potential[owner[visited]] += walked - distance[visited]
        row_potential[start] += walked
        column_potential[visited] -= walked - distance[visited]
        while column >= 0:
            previous = int(came_from[column])
            owner[column] = start if previous < 0 else owner[previous]
            column = previous
    result = np.empty(rows, np.intp)
    taken = np.flatnonzero(owner >= 0)
    result[owner[taken]] = taken
    return result
