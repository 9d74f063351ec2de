"""A plot of points with ranges: everything is on the picture, at the place of its values."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from flowkit.report.scatter import Point, PointStyle, scatter

VALUES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


def circles(picture: str) -> dict[str, tuple[float, float]]:
    found = ElementTree.fromstring(picture).findall(".//{*}circle")
    return {circle[0].text or "": (float(circle.attrib["cx"]), float(circle.attrib["cy"])) for circle in found}


@given(st.lists(st.tuples(VALUES, VALUES), max_size=20), st.booleans())
def test_everything_is_on_the_picture(values: list[tuple[float, float]], diagonal: bool) -> None:
    points = [
        Point(x, y, str(n), PointStyle.STRONG if n % 2 else PointStyle.FAINT, y_range=(y - 1, y + 1))
        for n, (x, y) in enumerate(values)
    ]
    picture = scatter(points, "a < b", "c & d", diagonal=diagonal)
    assert len(circles(picture)) == len(points)
    for line in ElementTree.fromstring(picture).findall(".//{*}line"):
        assert all(-0.1 <= float(line.attrib[x]) <= 720.1 for x in ("x1", "x2"))
        assert all(-0.1 <= float(line.attrib[y]) <= 440.1 for y in ("y1", "y2"))


def test_greater_is_right_and_up_and_the_diagonal_is_where_both_are_equal() -> None:
    points = [Point(600, 600, "equal"), Point(900, 650, "right"), Point(600, 650, "up")]
    places = circles(scatter(points, "true", "predicted", diagonal=True))
    assert places["right"][0] > places["equal"][0] == places["up"][0]
    assert places["right"][1] == places["up"][1] < places["equal"][1]
    picture = scatter(points, "true", "predicted", diagonal=True)
    (line,) = [one for one in ElementTree.fromstring(picture).findall("{*}line") if one.attrib["stroke"] == "#777777"]
    x1, y1, x2, y2 = (float(line.attrib[name]) for name in ("x1", "y1", "x2", "y2"))
    x, y = places["equal"]
    assert abs((y1 - y) * (x2 - x1) - (x - x1) * (y1 - y2)) < 200, "within a fraction of a pixel"


def test_axes_are_divided_by_round_numbers() -> None:
    picture = scatter([Point(287, 1, "a"), Point(911, 5, "b")], "ms", "turns")
    texts = [text.text for text in ElementTree.fromstring(picture).findall(".//{*}text")]
    assert texts[:5] == ["200", "400", "600", "800", "1000"]
