"""Rings: masks traced exactly, rings joined without a pixel's loss, crossings told from touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import label

from maskstream.core import masks
from maskstream.core.masks import EMPTY, CroppedMask
from maskstream.core.polygons import Ring, clip, crosses_itself, keyhole, signed_area, simplify, trace

bitmaps = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))
coordinates = st.integers(-2, 14).map(float) | st.floats(-2, 14, allow_nan=False)
rings = st.lists(st.tuples(coordinates, coordinates), max_size=8).map(lambda points: np.array(points).reshape(-1, 2))
SIZE_HW = (16, 16)


def ring(*points: tuple[float, float]) -> Ring:
    return np.array(points, np.float64).reshape(-1, 2)


def drawn(*rows: str) -> np.ndarray:
    """A mask drawn in text: `#` belongs to the object."""
    return np.array([[character == "#" for character in row] for row in rows])


def filled(rings: Sequence[Ring]) -> np.ndarray:
    return masks.from_polygons(rings, SIZE_HW).dense(SIZE_HW)


def rings_of(mask: CroppedMask) -> list[Ring]:
    return [ring for shape in trace(mask) for ring in shape.rings]


TRACED = {
    "nothing": (EMPTY, []),
    "empty pixels": (CroppedMask(np.zeros((2, 3), bool), 4, 4), []),
    "one pixel": (CroppedMask(np.ones((1, 1), bool), 3, 2), [[[(3, 2), (4, 2), (4, 3), (3, 3)]]]),
    "a hole": (
        masks.crop(drawn("###", "#.#", "###")),
        [[[(0, 0), (3, 0), (3, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)]]],
    ),
    "two pieces that touch at a corner": (
        masks.crop(drawn("#.", ".#")),
        [[[(0, 0), (1, 0), (1, 1), (0, 1)]], [[(1, 1), (2, 1), (2, 2), (1, 2)]]],
    ),
    "the other diagonal": (
        masks.crop(drawn(".#", "#.")),
        [[[(1, 0), (2, 0), (2, 1), (1, 1)]], [[(0, 1), (1, 1), (1, 2), (0, 2)]]],
    ),
    "a piece that touches itself": (
        masks.crop(drawn("##", "#.", "##")),
        [[[(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (2, 2), (2, 3), (0, 3)]]],
    ),
}


@pytest.mark.parametrize(("mask", "expected"), TRACED.values(), ids=TRACED.keys())
def test_trace_by_hand(mask: CroppedMask, expected: list[list[list[tuple[float, float]]]]) -> None:
    found = [[[tuple(point) for point in ring.tolist()] for ring in shape.rings] for shape in trace(mask)]
    assert found == expected


@settings(max_examples=400)
@given(bitmaps, st.integers(0, 4), st.integers(0, 4))
def test_traced_rings_hold_exactly_the_mask(bitmap: np.ndarray, x0: int, y0: int) -> None:
    mask = CroppedMask(bitmap, x0, y0)
    shapes = trace(mask)
    assert np.array_equal(filled(rings_of(mask)), mask.dense(SIZE_HW))
    assert len(shapes) == label(bitmap, connectivity=1).max()
    pieces = [filled(shape.rings) for shape in shapes]
    assert not shapes or np.array_equal(np.sum(pieces, axis=0), mask.dense(SIZE_HW).astype(int))
    for shape, piece in zip(shapes, pieces):
        assert signed_area(shape.exterior) > 0
        assert all(signed_area(hole) < 0 for hole in shape.holes)
        assert sum(signed_area(ring) for ring in shape.rings) == piece.sum()
        assert not any(crosses_itself(ring) for ring in shape.rings)


def test_traced_rings_have_no_needless_point() -> None:
    (shape,) = trace(masks.crop(np.ones((300, 200), bool)))
    assert shape.exterior.tolist() == [[0, 0], [200, 0], [200, 300], [0, 300]]


@settings(max_examples=300)
@given(bitmaps)
def test_keyhole_of_a_traced_mask_is_one_ring_of_the_same_pixels(bitmap: np.ndarray) -> None:
    mask = CroppedMask(bitmap, 1, 2)
    joined = keyhole(rings_of(mask))
    assert np.array_equal(filled([joined]), mask.dense(SIZE_HW))
    assert signed_area(joined) == mask.area_px
    assert not crosses_itself(joined)


@settings(max_examples=300)
@given(st.lists(rings, max_size=5))
def test_keyhole_of_any_rings_holds_what_they_hold_together(parts: list[Ring]) -> None:
    assert np.array_equal(filled([keyhole(parts)]), filled(parts))


@settings(max_examples=200)
@given(st.lists(rings, max_size=4), st.integers(1, 9999), st.integers(1, 9999))
def test_keyhole_survives_relative_coordinates(parts: list[Ring], width: int, height: int) -> None:
    joined = keyhole(parts)
    again = np.array([[float(f"{x / width:.12f}"), float(f"{y / height:.12f}")] for x, y in joined]).reshape(-1, 2)
    apart = [
        np.array([[float(f"{x / width:.12f}"), float(f"{y / height:.12f}")] for x, y in part]).reshape(-1, 2)
        for part in parts
    ]
    scale = (width, height)
    assert np.array_equal(filled([again * scale]), filled([part * scale for part in apart]))


def test_keyhole_by_hand() -> None:
    outer, hole = ring((0, 0), (6, 0), (6, 6), (0, 6)), ring((2, 1), (2, 4), (4, 4), (4, 1))
    assert keyhole([]).shape == (0, 2)
    assert keyhole([ring((0, 0), (1, 1))]).shape == (0, 2)
    assert keyhole([hole]) is hole
    slit = [(0, 0), (2, 0), (2, 1), (2, 4), (4, 4), (4, 1), (2, 1), (2, 0), (0, 0), (6, 0), (6, 6), (0, 6)]
    assert keyhole([hole, outer]).tolist() == [list(map(float, point)) for point in slit]
    touching = keyhole([ring((0, 0), (1, 0), (1, 1), (0, 1)), ring((1, 1), (2, 1), (2, 2), (1, 2))])
    assert len(touching) == 8


CROSSINGS = {
    "nothing": (ring(), False),
    "a point": (ring((1, 1)), False),
    "two points": (ring((0, 0), (3, 3)), False),
    "triangle": (ring((0, 0), (4, 0), (0, 3)), False),
    "square": (ring((0, 0), (4, 0), (4, 4), (0, 4)), False),
    "closed square": (ring((0, 0), (4, 0), (4, 4), (0, 4), (0, 0)), False),
    "bow tie": (ring((0, 0), (4, 4), (4, 0), (0, 4)), True),
    "bow tie over a point of its own": (ring((0, 0), (4, 4), (4, 0), (2, 2), (0, 4)), True),
    "the same, started there": (ring((2, 2), (0, 4), (0, 0), (4, 4), (4, 0)), True),
    "two wings that share a point": (ring((0, 0), (2, 2), (0, 4), (4, 4), (2, 2), (4, 0)), False),
    "a point that touches an edge": (ring((0, 0), (4, 0), (4, 4), (2, 0), (0, 4)), False),
    "a square run twice": (ring(*[(0, 0), (4, 0), (4, 4), (0, 4)] * 2), False),
    "a spike": (ring((0, 0), (4, 0), (4, 4), (9, 4), (4, 4), (0, 4)), False),
    "a spike through its own edge": (ring((0, 0), (4, 0), (4, 4), (2, -3), (4, 4), (0, 4)), False),
    "edges on one line": (ring((0, 0), (6, 0), (6, 2), (4, 2), (4, 0), (2, 0), (2, 2), (0, 2)), False),
    "repeated points": (ring((0, 0), (0, 0), (4, 0), (4, 4), (4, 4), (4, 4), (0, 4)), False),
    "one loop of a scribble": (ring((0, 0), (10, 0), (10, 6), (4, 6), (4, -2), (0, -2)), True),
    "no width": (ring((0, 0), (4, 0), (2, 0), (6, 0)), False),
    "half a millionth deep": (ring((0, 0), (4, 0), (4, 4), (2, -5e-7), (0, 4)), False),
    "a thousandth deep": (ring((0, 0), (4, 0), (4, 4), (2, -1e-3), (0, 4)), True),
}


@pytest.mark.parametrize(("points", "expected"), CROSSINGS.values(), ids=CROSSINGS.keys())
def test_crossings_by_hand(points: Ring, expected: bool) -> None:
    assert crosses_itself(points) is expected
    assert crosses_itself(points[::-1]) is expected
    assert crosses_itself(points[:, ::-1]) is expected
    assert crosses_itself(np.roll(points, 1, axis=0)) is expected
    assert crosses_itself(points * 0.37 + 1000.1) is expected


def crosses_by_definition(points: Ring) -> bool:
    """Two edges have an inner point in common at which neither ends: solved pair by pair."""
    edges = list(zip(points, np.roll(points, -1, axis=0)))
    for index, (p, q) in enumerate(edges):
        for r, s in edges[index + 1 :]:
            matrix = np.column_stack([q - p, r - s])
            if abs(np.linalg.det(matrix)) > 1e-9:
                t, u = np.linalg.solve(matrix, r - p)
                if 1e-6 < t < 1 - 1e-6 and 1e-6 < u < 1 - 1e-6:
                    return True
    return False


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.floats(0, 3))
def test_crossings_of_random_rings(seed: int, corners: int, scatter: float) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    points = 10 * np.column_stack([np.cos(angles), np.sin(angles)]) + rng.normal(0, scatter + 1e-3, (corners, 2))
    assert crosses_itself(points) is crosses_by_definition(points)


def test_crossings_of_long_rings() -> None:
    angles = np.linspace(0, 2 * np.pi, 10_000, endpoint=False)
    radii = np.random.default_rng(0).uniform(100, 500, 10_000)
    star = np.column_stack([np.cos(angles), np.sin(angles)]) * radii[:, None]
    assert not crosses_itself(star)
    star[3000] *= -100
    assert crosses_itself(star)
    levels = np.arange(2500)[:, None] * [2, 2, 2, 2] + [0, 0, 1, 1]
    comb = np.column_stack([np.tile([0, 1000, 1000, 0], 2500), levels.ravel()]).astype(float)
    diagonal = np.concatenate([comb, ring((-1, 5000), (-1, 0))]) @ [[1, 1], [-1, 1]]
    assert not crosses_itself(diagonal)


@pytest.mark.parametrize(
    ("points", "area"),
    [
        (ring(), 0),
        (ring((1, 1), (5, 5)), 0),
        (ring((0, 0), (4, 0), (4, 3)), 6),
        (ring((0, 0), (4, 3), (4, 0)), -6),
        (ring((0, 0), (4, 4), (4, 0), (0, 4)), 0),
        (ring((1e6, 1e6), (1e6 + 1, 1e6), (1e6 + 1, 1e6 + 1), (1e6, 1e6 + 1)), 1),
    ],
)
def test_signed_area_by_hand(points: Ring, area: float) -> None:
    assert signed_area(points) == area


def test_simplify_by_hand() -> None:
    square = ring((0, 0), (2, 0.1), (4, 0), (4, 2), (4, 4), (0, 4), (0, 1))
    corners = {(0, 0), (4, 0), (4, 4), (0, 4)}
    assert {tuple(point) for point in simplify(square, 0.2).tolist()} == corners
    assert {tuple(point) for point in simplify(square, 0.0).tolist()} == corners | {(2, 0.1)}
    assert len(simplify(square, 100)) == 3
    assert signed_area(simplify(square, 100)) == 8
    assert len(simplify(ring((0, 0), (100, 0.1), (200, 0), (100, -0.1)), 5)) == 3
    assert len(simplify(ring((0, 0), (1, 1), (2, 2), (3, 3)), 0.5)) == 2
    assert simplify(ring(), 1).shape == (0, 2)


@given(rings, st.floats(0, 5))
def test_simplified_ring_stays_close_and_keeps_an_area(points: Ring, tolerance_px: float) -> None:
    simple = simplify(points, tolerance_px)
    assert {tuple(point) for point in simple.tolist()} <= {tuple(point) for point in points.tolist()}
    for point in points:
        nearest = min(
            distance_to(point, start, end) for start, end in zip(simple, np.roll(simple, -1, axis=0), strict=True)
        )
        assert nearest <= tolerance_px + 1e-9
    if abs(signed_area(points)) > 1e-6:
        assert len(simple) >= 3


def distance_to(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = end - start
    share = np.clip((point - start) @ along / (along @ along), 0, 1) if along @ along else 0.0
    return float(np.hypot(*(point - (start + share * along))))


def test_clip_by_hand() -> None:
    square = ring((-2, -2), (4, -2), (4, 4), (-2, 4))
    for size_hw, width, height in (((10, 10), 4, 4), ((3, 2), 2, 3)):
        clipped = clip(square, size_hw)
        assert {tuple(point) for point in clipped.tolist()} == {(0, 0), (width, 0), (width, height), (0, height)}
        assert signed_area(clipped) == width * height
    assert clip(square - 10, (10, 10)).shape == (0, 2)
    assert clip(ring(), (4, 4)).shape == (0, 2)
    inside = ring((0, 0), (10, 0), (10, 10))
    assert clip(inside, (10, 10)) is inside


@given(st.integers(0, 2**32 - 1), st.integers(3, 9))
def test_clipped_ring_holds_the_same_pixels(seed: int, corners: int) -> None:
    points = np.random.default_rng(seed).uniform(-20, 36, (corners, 2))
    clipped = clip(points, SIZE_HW)
    assert np.array_equal(filled([clipped]), filled([points]))
    assert ((clipped >= 0) & (clipped <= 16)).all()
