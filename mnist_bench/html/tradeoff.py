"""Accuracy against time as SVG, with the Pareto front."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mnist_bench.html.intervals import CHART_BOTTOM, CHART_TOP, FOREST_WIDTH
from mnist_bench.html.svg import (
    Axis,
    Element,
    canvas,
    caption,
    draw,
    draw_dot,
    draw_line,
    draw_percent_axis,
    draw_text,
    draw_x_axis,
    padded,
    written,
)


@dataclass(frozen=True, slots=True)
class Point:
    """A cell of one side: seconds an epoch against accuracy."""

    label: str
    side: str
    seconds: float
    accuracy: float


def tradeoff_of_sides(points: Sequence[Point], *, title: str) -> str:
    """Returns accuracy against time with the Pareto front of each side."""
    height = 380
    seconds = [point.seconds for point in points]
    accuracies = [point.accuracy for point in points]
    x_axis = Axis(*padded(seconds), 70, FOREST_WIDTH - 30)
    y_axis = Axis(*padded(accuracies), height - CHART_BOTTOM, CHART_TOP)
    svg = canvas(title, FOREST_WIDTH, height)
    draw_x_axis(svg, x_axis, CHART_TOP, height - CHART_BOTTOM, "seconds an epoch (left is faster)")
    draw_percent_axis(svg, y_axis, 70, FOREST_WIDTH - 30, labels=62)
    for side in ("baseline", "candidate"):
        own = [point for point in points if point.side == side]
        front = " ".join(f"{x_axis(p.seconds)},{y_axis(p.accuracy)}" for p in pareto_front(own))
        draw(svg, "polyline", points=front, **{"class": f"front {side}"})
        for point in own:
            said = f"{point.label}, {side}: {point.accuracy:.2f} %, {point.seconds:.3f} s"
            draw_dot(svg, x_axis(point.seconds), y_axis(point.accuracy), 5, side, said)
    return written(svg)


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Returns the points that no other one beats in both, the fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.seconds, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


TRADEOFF_WIDTH, TRADEOFF_HEIGHT = 760, 400
SHAPES = ("circle", "square", "triangle", "diamond")


def tradeoff_of_cells(
    cells: Sequence[Point],
    intervals: Mapping[str, tuple[float, float]],
    *,
    title: str,
) -> str:
    """Returns accuracy (%) against seconds an epoch, the cells of the Pareto front numbered.

    Args:
        cells: Of each side its own shape; a side is what the legend names.
        intervals: Label of a cell -> its interval of accuracy, where there is one.
        title: What it shows, in words.
    """
    right, bottom = TRADEOFF_WIDTH - 20, TRADEOFF_HEIGHT - 48
    ends = [end for both in intervals.values() for end in both]
    x_axis = Axis(*padded([cell.seconds for cell in cells]), 64, right)
    y_axis = Axis(*padded([*(cell.accuracy for cell in cells), *ends]), bottom, 12)
    svg = canvas(title, TRADEOFF_WIDTH, TRADEOFF_HEIGHT)
    draw_x_axis(svg, x_axis, 12, bottom, "seconds an epoch (left is faster)")
    draw_percent_axis(svg, y_axis, 64, right, labels=58)
    front = pareto_front(cells)
    places = " ".join(f"{x_axis(cell.seconds)},{y_axis(cell.accuracy)}" for cell in front)
    draw(svg, "polyline", points=places, **{"class": "front"})
    sides = sorted({cell.side for cell in cells})
    for cell in cells:
        x, y = x_axis(cell.seconds), y_axis(cell.accuracy)
        if cell.label in intervals:
            low, high = intervals[cell.label]
            draw_line(svg, x, y_axis(low), x, y_axis(high), "whisker")
        filled = " best" if cell in front else ""
        said = f"{cell.label}: {cell.accuracy:.2f} %, {cell.seconds:.3f} s an epoch"
        place = sides.index(cell.side) % len(SHAPES)
        _shape(svg, SHAPES[place], x, y, f"side{place}{filled}", said)
    for number, cell in enumerate(front, 1):
        x, y = x_axis(cell.seconds), y_axis(cell.accuracy)
        draw_text(svg, x, y - 10, f"{number}", "middle strong")
    return written(svg)


def shape_key(place: int) -> str:
    """Returns the shape of a side for a legend, by its place among the sides."""
    svg = canvas("", 14, 14)
    svg.set("class", "key-shape")
    svg.set("aria-hidden", "true")
    _shape(svg, SHAPES[place % len(SHAPES)], 7, 7, f"side{place % len(SHAPES)} best", "")
    return written(svg)


def _shape(svg: Element, shape: str, x: float, y: float, classes: str, said: str) -> None:
    if shape == "circle":
        draw_dot(svg, x, y, 5, f"shape {classes}", said)
        return
    outlines = {
        "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        "triangle": ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
        "diamond": ((0, -6.5), (5.5, 0), (0, 6.5), (-5.5, 0)),
    }
    corners = " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in outlines[shape])
    caption(draw(svg, "polygon", points=corners, **{"class": f"shape {classes}"}), said)
