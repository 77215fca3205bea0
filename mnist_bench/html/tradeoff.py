"""Accuracy against time as SVG, with the Pareto front."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mnist_bench.html.intervals import FOREST_WIDTH
from mnist_bench.html.svg import (
    Axis,
    Element,
    canvas,
    caption,
    draw,
    draw_dot,
    draw_line,
    draw_text,
    draw_x_axis,
    padded,
    written,
)

LEFT, RIGHT, TOP, BOTTOM = 64, 20, 12, 48
"""What the numbers and names of the axes take at each side of a chart."""

OUTLINES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
    ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
    ((0, -6.5), (5.5, 0), (0, 6.5), (-5.5, 0)),
)
"""Corners of the mark of each side, around its middle; without any it is a circle."""


@dataclass(frozen=True, slots=True)
class Point:
    """A cell of one side: seconds an epoch against accuracy."""

    label: str
    side: str
    seconds: float
    accuracy: float


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Returns the points that no other one beats in both, the fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.seconds, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def tradeoff_of_sides(points: Sequence[Point], *, title: str) -> str:
    """Returns accuracy (%) against time with the Pareto front of each side."""
    svg, x_axis, y_axis = _empty_chart(points, FOREST_WIDTH, 380, title)
    for side in ("baseline", "candidate"):
        own = [point for point in points if point.side == side]
        _draw_front(svg, x_axis, y_axis, pareto_front(own), f"front {side}")
        for point in own:
            said = f"{point.label}, {side}: {point.accuracy:.2f} %, {point.seconds:.3f} s"
            draw_dot(svg, x_axis(point.seconds), y_axis(point.accuracy), 5, side, said)
    return written(svg)


def tradeoff_of_cells(
    cells: Sequence[Point], intervals: Mapping[str, tuple[float, float]], *, title: str
) -> str:
    """Returns accuracy (%) against seconds an epoch, the cells of the Pareto front numbered.

    Each side, which the legend names, has a shape of its own. Intervals are those of the accuracy,
    by the label of a cell, where there is one.
    """
    ends = [end for both in intervals.values() for end in both]
    svg, x_axis, y_axis = _empty_chart(cells, 760, 400, title, ends)
    front = pareto_front(cells)
    _draw_front(svg, x_axis, y_axis, front, "front")
    sides = sorted({cell.side for cell in cells})
    for cell in cells:
        x, y = x_axis(cell.seconds), y_axis(cell.accuracy)
        if cell.label in intervals:
            low, high = map(y_axis, intervals[cell.label])
            draw_line(svg, x, low, x, high, "whisker")
        filled = " best" if cell in front else ""
        said = f"{cell.label}: {cell.accuracy:.2f} %, {cell.seconds:.3f} s an epoch"
        _draw_shape(svg, sides.index(cell.side), x, y, filled, said)
    for number, cell in enumerate(front, 1):
        x, y = x_axis(cell.seconds), y_axis(cell.accuracy)
        draw_text(svg, x, y - 10, f"{number}", "middle strong")
    return written(svg)


def _empty_chart(
    points: Sequence[Point], width: int, height: int, title: str, ends: Sequence[float] = ()
) -> tuple[Element, Axis, Axis]:
    """Returns a drawing with the axes of these points, and of ends of intervals of accuracy."""
    svg = canvas(title, width, height)
    right, bottom = width - RIGHT, height - BOTTOM
    x_axis = Axis(*padded([point.seconds for point in points]), LEFT, right)
    y_axis = Axis(*padded([*(point.accuracy for point in points), *ends]), bottom, TOP)
    draw_x_axis(svg, x_axis, TOP, bottom, "seconds an epoch (left is faster)")
    for tick in y_axis.ticks:
        draw_line(svg, LEFT, y_axis(tick), right, y_axis(tick), "grid")
        draw_text(svg, LEFT - 6, y_axis(tick) + 4, f"{tick:g} %", "tick end")
    return svg, x_axis, y_axis


def _draw_front(
    svg: Element, x_axis: Axis, y_axis: Axis, front: Sequence[Point], classes: str
) -> None:
    places = " ".join(f"{x_axis(point.seconds)},{y_axis(point.accuracy)}" for point in front)
    draw(svg, "polyline", classes, points=places)


def shape_key(place: int) -> str:
    """Returns the shape of a side for a legend, by its place among the sides."""
    svg = canvas("", 14, 14)
    svg.attrib |= {"class": "key-shape", "aria-hidden": "true"}
    _draw_shape(svg, place, 7, 7, " best", "")
    return written(svg)


def _draw_shape(svg: Element, place: int, x: float, y: float, more: str, said: str) -> None:
    """Draws the mark of a side, by its place among the sides; a fifth side has the first's."""
    place %= len(OUTLINES)
    classes = f"shape side{place}{more}"
    if not OUTLINES[place]:
        draw_dot(svg, x, y, 5, classes, said)
        return
    corners = " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in OUTLINES[place])
    caption(draw(svg, "polygon", classes, points=corners), said)
