"""Charts of a comparison as SVG, drawn from plain numbers; colours come from the page's CSS."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mnist_bench.svg import (
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

WIDTH = 980
LABELS = 350
"""Width that the names of the rows take."""
RIGHT = 170
ROW = 26
TOP = 10
BOTTOM = 44


@dataclass(frozen=True, slots=True)
class Interval:
    """A line of a forest plot.

    Attributes:
        label: At its left.
        note: At its right.
        tone: CSS class of its colour.
        value: The estimate; None where there is none.
        low: Lower end; None without an interval.
        high: Upper end.
        strong: Whether it sums up the others.
    """

    label: str
    note: str
    tone: str
    value: float | None
    low: float | None
    high: float | None
    strong: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A cell of one side: seconds an epoch against accuracy."""

    label: str
    side: str
    seconds: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A line of a box plot: one cell's values over the seeds, of both sides."""

    label: str
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]


def forest(rows: Sequence[Interval], *, margin: float, title: str, unit: str) -> str:
    """Returns changes with their intervals, a line each, over the band of the margin.

    An axis that would be stretched by one wide interval is cut off; the line then ends in an arrow.
    """
    changes = [abs(row.value) for row in rows if row.value is not None]
    ends = [abs(end) for row in rows for end in (row.low, row.high) if end is not None]
    reach = max(3 * max(changes, default=0), 3 * margin) or 1
    reach = min(max([*changes, *ends, 1.5 * margin]), reach) or 1
    height = TOP + ROW * len(rows) + BOTTOM
    axis = Axis(-reach, reach, LABELS, WIDTH - RIGHT)
    svg = canvas(title, WIDTH, height)
    bottom = height - BOTTOM
    draw(
        svg,
        "rect",
        x=axis(-margin),
        y=TOP,
        width=round(axis(margin) - axis(-margin), 1),
        height=bottom - TOP,
        **{"class": "band"},
    )
    draw_x_axis(svg, axis, TOP, bottom, f"change ({unit}); the band is the margin")
    draw_line(svg, axis(0), TOP, axis(0), bottom, "zero")
    for number, row in enumerate(rows):
        y = TOP + ROW * (number + 0.5)
        weight = " strong" if row.strong else ""
        _label(svg, row.label, y, weight)
        draw_text(svg, WIDTH - RIGHT + 10, y + 4, row.note, f"{row.tone}{weight}")
        if row.low is not None and row.high is not None:
            draw_line(svg, axis(row.low), y, axis(row.high), y, f"{row.tone} interval{weight}")
            for end, sign in ((row.low, 1), (row.high, -1)):
                if not axis.low <= end <= axis.high:
                    x = axis(end)
                    points = f"{x},{y} {x + 7 * sign},{y - 5} {x + 7 * sign},{y + 5}"
                    draw(svg, "polygon", points=points, **{"class": row.tone})
        if row.value is not None:
            size = 6 if row.strong else 4
            draw_dot(
                svg, axis(row.value), y, size, row.tone, f"{row.label}: {row.value:+.3g} {unit}"
            )
    return written(svg)


def tradeoff(points: Sequence[Point], *, title: str) -> str:
    """Returns accuracy against time with the Pareto front of each side."""
    height = 380
    seconds = [point.seconds for point in points]
    accuracies = [point.accuracy for point in points]
    x_axis = Axis(*padded(seconds), 70, WIDTH - 30)
    y_axis = Axis(*padded(accuracies), height - BOTTOM, TOP)
    svg = canvas(title, WIDTH, height)
    draw_x_axis(svg, x_axis, TOP, height - BOTTOM, "seconds an epoch (left is faster)")
    draw_percent_axis(svg, y_axis, 70, WIDTH - 30, labels=62)
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


def boxes(rows: Sequence[Spread], *, title: str, unit: str) -> str:
    """Returns the values of each cell over the seeds: a dot a seed, a box over the quartiles."""
    values = [value for row in rows for value in (*row.baseline, *row.candidate)]
    pitch = 34
    height = TOP + pitch * len(rows) + BOTTOM
    axis = Axis(*padded(values), LABELS, WIDTH - 30)
    svg = canvas(title, WIDTH, height)
    draw_x_axis(svg, axis, TOP, height - BOTTOM, unit)
    for number, row in enumerate(rows):
        middle = TOP + pitch * (number + 0.5)
        _label(svg, row.label, middle, "")
        for side, numbers, offset in (
            ("baseline", row.baseline, -7),
            ("candidate", row.candidate, 7),
        ):
            _box(svg, axis, numbers, middle + offset, side)
    return written(svg)


def _box(svg: Element, axis: Axis, values: Sequence[float], y: float, side: str) -> None:
    if len(values) > 1:
        low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
        draw_line(svg, axis(min(values)), y, axis(max(values)), y, f"{side} whisker")
        width = round(max(axis(high) - axis(low), 1), 1)
        draw(
            svg,
            "rect",
            x=axis(low),
            y=y - 5,
            width=width,
            height=10,
            **{"class": f"{side} box"},
        )
        draw_line(svg, axis(middle), y - 5, axis(middle), y + 5, f"{side} median")
    for value in values:
        draw_dot(svg, axis(value), y, 2.5, side, f"{side}: {value:.5g}")


def _label(svg: Element, label: str, y: float, classes: str) -> None:
    limit = LABELS // 7
    shortened = label if len(label) <= limit else f"{label[: limit - 1]}…"
    text = draw_text(svg, LABELS - 10, y + 4, shortened, f"end{classes}")
    caption(text, label)
