"""Charts: drawn with axes that fit, told in words, and with a table that has every figure."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.web.operator.charts import Chart, Series, bar_chart, line_chart, spark

NUMBERS = st.lists(st.integers(0, 10**9), min_size=1, max_size=31)
SVG = "{http://www.w3.org/2000/svg}"


def labels(values: list[int]) -> list[str]:
    return [f"<day {number}>" for number in range(len(values))]


def drawn(chart: Chart) -> ET.Element:
    """The picture, where it is well-formed."""
    return ET.fromstring(str(chart.svg))


def is_inside(root: ET.Element) -> bool:
    """Whether everything lies within the picture."""
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    for shape in root.iter():
        x, y = (float(shape.attrib.get(name, 0)) for name in ("x", "y"))
        far, low = x + float(shape.attrib.get("width", 0)), y + float(shape.attrib.get("height", 0))
        points = [tuple(map(float, point.split(","))) for point in shape.attrib.get("points", "").split()]
        for across, down in [(x, y), (far, low), *points]:
            if not (0 <= across <= width and 0 <= down <= height):
                return False
    return True


@given(NUMBERS)
def test_a_line_is_drawn_inside_its_picture_and_told_in_full(values: list[int]) -> None:
    chart = line_chart(
        "c", "Subscribers & more", labels(values), Series("Confirmed", "look-1", tuple(values))
    )

    root = drawn(chart)
    assert is_inside(root)
    assert chart.rows == [(label, (value,)) for label, value in zip(labels(values), values, strict=True)]
    assert root.attrib["role"] == "img"
    named = {part.attrib.get("id"): part.text for part in root.iter()}
    assert named[root.attrib["aria-labelledby"]] == "Subscribers & more"
    assert f"{values[-1]:,}" in (named[root.attrib["aria-describedby"]] or "")


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=31))
def test_bars_go_both_ways_on_one_axis(pairs: list[tuple[int, int]]) -> None:
    joined, left = (tuple(pair[place] for pair in pairs) for place in (0, 1))
    names = labels(list(joined))
    chart = bar_chart(
        "c", "Moves", names, [Series("Joined", "a", joined), Series("Left", "b", left)], downwards="Left"
    )

    root = drawn(chart)
    assert is_inside(root)
    assert chart.rows == [(name, pair) for name, pair in zip(names, pairs, strict=True)]
    assert len(list(root.iter("rect"))) == sum(bool(value) for pair in pairs for value in pair)


@pytest.mark.parametrize("values", [[0], [0, 0, 0], [5, 5], [999_999, 1_000_000]])
def test_a_chart_of_little_is_a_chart_too(values: list[int]) -> None:
    assert is_inside(drawn(line_chart("c", "C", labels(values), Series("C", "a", tuple(values)))))
    assert is_inside(drawn(bar_chart("c", "C", labels(values), [Series("C", "a", tuple(values))])))
    assert is_inside(ET.fromstring(str(spark(values))))
