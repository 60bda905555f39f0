"""Charts as SVG: what they say, and where their marks lie."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.reports.pie import SLICE_LIMIT, pie_svg

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ElementTree.fromstring(str(svg))


def texts(svg):
    return ["".join(element.itertext()) for element in parsed(svg).iter(f"{SVG}text")]


def wedges(svg):
    return [element.get("d") for element in parsed(svg).iter(f"{SVG}path")]


def test_a_pie_has_a_wedge_and_a_line_a_slice():
    pie = pie_svg([("kept", 1), ("blurred", 1), ("dark", 2), ("glare", 0)], "Frames")
    # centre (180, 100), radius 92: a quarter, a quarter, a half, clockwise from the top
    assert wedges(pie) == [
        "M180 100L180.00 8.00A92 92 0 0 1 272.00 100.00Z",
        "M180 100L272.00 100.00A92 92 0 0 1 180.00 192.00Z",
        "M180 100L180.00 192.00A92 92 0 0 1 180.00 8.00Z",
    ]
    assert texts(pie) == ["kept", "1", "25 %", "blurred", "1", "25 %", "dark", "2", "50 %", "glare", "0", "0 %"]
    assert parsed(pie).find(f"{SVG}title").text == "Frames"
    assert parsed(pie).find(f"{SVG}desc").text == "kept: 1, 25 %; blurred: 1, 25 %; dark: 2, 50 %; glare: 0, 0 %"


def test_a_slice_that_is_the_whole_is_a_circle():
    pie = pie_svg([("kept", 7), ("blurred", 0)], "Frames")
    assert wedges(pie) == []
    assert [circle.get("r") for circle in parsed(pie).iter(f"{SVG}circle")] == ["92"]
    assert texts(pie) == ["kept", "7", "100 %", "blurred", "0", "0 %"]


@pytest.mark.parametrize("slices, lines", [([], []), ([("kept", 0)], ["kept", "0", "0 %"])])
def test_a_pie_of_nothing_says_so(slices, lines):
    pie = pie_svg(slices, "Frames")
    assert texts(pie) == ["none", *lines]
    assert wedges(pie) == []


def test_nearly_all_and_nearly_none_are_not_rounded_away():
    assert texts(pie_svg([("a", 9999), ("b", 1)], "x")) == ["a", "9\u202f999", ">99 %", "b", "1", "<1 %"]


def test_labels_are_text_and_long_ones_are_cut():
    name = "<b>&" + 60 * "x"
    pie = pie_svg([(name, 1)], "<i>")
    assert texts(pie)[0] == name[:31] + "…"
    assert name in parsed(pie).find(f"{SVG}desc").text


def test_slices_beyond_the_limit_go_together():
    pie = pie_svg([(f"reason {i}", 1) for i in range(SLICE_LIMIT + 3)], "x")
    assert texts(pie)[-3:] == ["4 others", "4", "27 %"]
    assert len(wedges(pie)) == SLICE_LIMIT


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="negative"):
        pie_svg([("a", -1)], "x")


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), st.integers(0, 10**9)),
        max_size=20,
    )
)
def test_any_pie_is_well_formed(slices):
    shown = [count for _, count in slices]
    pie = pie_svg(slices, "x")
    assert len(texts(pie)) == 3 * min(len(slices), SLICE_LIMIT) + (sum(shown) == 0)
