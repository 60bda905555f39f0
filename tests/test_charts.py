"""Charts as SVG: what they say, and where their marks lie."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.reports.bins import Bins, log_bins, whole_bins
from maskstream.reports.charts import bars_svg, channels_svg, heat_svg
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
    name = "<b>& a reason that needs more than two whole lines of the legend to be told"
    pie = pie_svg([(name, 1)], "<i>")
    assert texts(pie)[:2] == ["<b>& a reason that needs more", "than two whole lines of the…"]
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
    lines = min(len(slices), SLICE_LIMIT)
    assert 3 * lines <= len(texts(pie)) - (sum(shown) == 0) <= 4 * lines


def heights(svg, css="bar"):
    return [float(rect.get("height")) for rect in parsed(svg).iter(f"{SVG}rect") if rect.get("class") == css]


def test_log_bins_by_hand():
    bins = log_bins(np.array([1.0, 9.0, 10.0, 99.0, 0.0, -3.0, np.nan, np.inf]), str, per_step=1)
    assert bins.counts == (2, 2)
    assert bins.labels == ("1.0 to 10.0", "10.0 to 100.0")
    assert bins.ticks == ((0.0, "1.0"), (0.5, "10.0"), (1.0, "100.0"))


def test_what_lies_beyond_the_limits_counts_in_the_outermost_bins():
    bins = log_bins(np.array([0.01, 1.0, 1.9, 50.0]), str, base=2, per_step=1, limits=(0.5, 4))
    assert bins.counts == (1, 2, 1)


@pytest.mark.parametrize("values", [[], [7.0], [1.0], [0.0]])
def test_log_bins_of_few_values(values):
    bins = log_bins(np.array(values), str)
    assert sum(bins.counts) == sum(value > 0 for value in values)
    assert len(bins.ticks) >= 2


def test_whole_bins_have_a_bar_a_number_while_there_are_few():
    assert whole_bins(np.array([0, 1, 1, 3])).counts == (1, 2, 0, 1)
    assert whole_bins(np.array([0, 1, 1, 3])).labels == ("0", "1", "2", "3")
    many = whole_bins(np.array([0, 4, 5, 99]))
    assert (many.counts[0], many.counts[1], many.labels[-1]) == (2, 1, "95 to 99")
    assert whole_bins(np.zeros(0, np.int64)).counts == (0,)


@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_whole_bins_lose_no_value(values):
    bins = whole_bins(np.array(values, np.int64))
    assert sum(bins.counts) == len(values)
    assert len(bins.counts) <= 24
    assert all(0 <= share <= 1 for share, _ in bins.ticks)


@given(st.lists(st.floats(1e-9, 1e9), max_size=30), st.sampled_from([2.0, 10.0]))
def test_log_bins_lose_no_value(values, base):
    bins = log_bins(np.array(values), str, base=base)
    assert sum(bins.counts) == len(values)
    assert len(bins.counts) == len(bins.labels)


def test_bars_are_as_high_as_their_counts():
    bins = Bins((1, 0, 4), ("a", "b", "c"), ((0.0, "0"), (1.0, "<9>")))
    chart = bars_svg(bins, "Title", "widths & more", "object")
    first, second = heights(chart)
    assert second == 4 * first
    assert [title.text for title in parsed(chart).iter(f"{SVG}title")] == ["Title", "a: 1\xa0object", "c: 4\xa0objects"]
    assert parsed(chart).find(f"{SVG}desc").text == "5\xa0objects in 3 bins; most, 4, at c"
    assert {"<9>", "widths & more", "5"} <= set(texts(chart))


def test_a_heat_map_is_darkest_where_most_are():
    counts = np.array([[0, 1, 0], [4, 0, 0]])
    chart = parsed(heat_svg(counts, "Places", "object", aspect=1.5))
    fields = [rect for rect in chart.iter(f"{SVG}rect") if rect.get("class") == "heat"][:2]
    assert [field.get("fill-opacity") for field in fields] == ["0.250", None]
    frame = next(rect for rect in chart.iter(f"{SVG}rect") if rect.get("class") == "frame")
    left, width, height = (float(frame.get(name)) for name in ("x", "width", "height"))
    assert width / height == pytest.approx(1.5, abs=0.01)
    assert float(fields[0].get("x")) == pytest.approx(left + width / 3, abs=0.01)
    assert float(fields[1].get("y")) == pytest.approx(4 + height / 2, abs=0.01)


@pytest.mark.parametrize("aspect", [0.01, 1.0, 100.0])
def test_a_heat_map_of_nothing_stays_inside_its_drawing(aspect):
    chart = parsed(heat_svg(np.zeros((2, 2), np.int64), "Places", "object", aspect=aspect))
    _, _, width, height = map(float, chart.get("viewBox").split())
    for rect in chart.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x")) <= float(rect.get("x")) + float(rect.get("width")) <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height


def test_channels_share_one_scale_and_clipped_ends_are_cut():
    shares = np.zeros((3, 4))
    shares[0], shares[1, 1], shares[2, 0] = [0.9, 0.1, 0.0, 0.0], 0.05, 1.0
    lines = [
        path.get("d")
        for path in parsed(channels_svg(shares, "c", "t")).iter(f"{SVG}path")
        if "line" in path.get("class")
    ]
    ys = [[float(point.split()[1]) for point in line[1:].split("L")] for line in lines]
    assert ys == [[12.0, 12.0, 122.0, 122.0], [122.0, 67.0, 122.0, 122.0], [12.0, 122.0, 122.0, 122.0]]
