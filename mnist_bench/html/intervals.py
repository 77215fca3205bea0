"""Changes and values with their intervals as SVG: forest plots, box plots, small marks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_bench.html.svg import (
    Axis,
    Element,
    canvas,
    draw,
    draw_dot,
    draw_line,
    draw_name,
    draw_rect,
    draw_text,
    draw_x_axis,
    line_through,
    padded,
    written,
)

FOREST_WIDTH = 980
LABEL_WIDTH = 350
"""Width that the names of the rows take."""

NOTE_WIDTH = 170
ROW_HEIGHT = 26
CHART_TOP = 10
CHART_BOTTOM = 44


@dataclass(frozen=True, slots=True)
class Interval:
    """A line of a forest plot.

    Attributes:
        label: At its left.
        note: At its right.
        tone: CSS class of its colour.
        value: The estimate, between `low` and `high`; each is None where it is not known.
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
    height = CHART_TOP + ROW_HEIGHT * len(rows) + CHART_BOTTOM
    axis = Axis(-reach, reach, LABEL_WIDTH, FOREST_WIDTH - NOTE_WIDTH)
    svg = canvas(title, FOREST_WIDTH, height)
    bottom = height - CHART_BOTTOM
    width = round(axis(margin) - axis(-margin), 1)
    draw_rect(svg, axis(-margin), CHART_TOP, width, bottom - CHART_TOP, "band")
    draw_x_axis(svg, axis, CHART_TOP, bottom, f"change ({unit}); the band is the margin")
    draw_line(svg, axis(0), CHART_TOP, axis(0), bottom, "zero")
    for number, row in enumerate(rows):
        y = CHART_TOP + ROW_HEIGHT * (number + 0.5)
        weight = " strong" if row.strong else ""
        _row_label(svg, row.label, y, weight)
        draw_text(svg, FOREST_WIDTH - NOTE_WIDTH + 10, y + 4, row.note, f"{row.tone}{weight}")
        if row.low is not None and row.high is not None:
            draw_line(svg, axis(row.low), y, axis(row.high), y, f"{row.tone} interval{weight}")
            for end, sign in ((row.low, 1), (row.high, -1)):
                if not axis.low <= end <= axis.high:
                    x = axis(end)
                    points = f"{x},{y} {x + 7 * sign},{y - 5} {x + 7 * sign},{y + 5}"
                    draw(svg, "polygon", row.tone, points=points)
        if row.value is not None:
            said = f"{row.label}: {row.value:+.3g} {unit}"
            draw_dot(svg, axis(row.value), y, 6 if row.strong else 4, row.tone, said)
    return written(svg)


def boxes(rows: Sequence[Spread], *, title: str, unit: str) -> str:
    """Returns the values of each cell over the seeds: a dot a seed, a box over the quartiles."""
    values = [value for row in rows for value in (*row.baseline, *row.candidate)]
    pitch = 34
    height = CHART_TOP + pitch * len(rows) + CHART_BOTTOM
    axis = Axis(*padded(values), LABEL_WIDTH, FOREST_WIDTH - 30)
    svg = canvas(title, FOREST_WIDTH, height)
    draw_x_axis(svg, axis, CHART_TOP, height - CHART_BOTTOM, unit)
    for number, row in enumerate(rows):
        middle = CHART_TOP + pitch * (number + 0.5)
        _row_label(svg, row.label, middle, "")
        _box(svg, axis, row.baseline, middle - 7, "baseline")
        _box(svg, axis, row.candidate, middle + 7, "candidate")
    return written(svg)


def _box(svg: Element, axis: Axis, values: Sequence[float], y: float, side: str) -> None:
    if len(values) > 1:
        low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
        draw_line(svg, axis(min(values)), y, axis(max(values)), y, f"{side} whisker")
        width = round(max(axis(high) - axis(low), 1), 1)
        draw_rect(svg, axis(low), y - 5, width, 10, f"{side} box")
        draw_line(svg, axis(middle), y - 5, axis(middle), y + 5, f"{side} median")
    for value in values:
        draw_dot(svg, axis(value), y, 2.5, side, f"{side}: {value:.5g}")


def _row_label(svg: Element, label: str, y: float, classes: str) -> None:
    draw_name(svg, LABEL_WIDTH - 10, y + 4, label, f"end{classes}", LABEL_WIDTH // 7)


MARK_WIDTH, MARK_HEIGHT = 150, 18


def interval_mark(
    value: float,
    ends: Sequence[float] | None,
    scale: tuple[float, float],
    said: str,
    *,
    reach: Sequence[float] | None = None,
) -> str:
    """Returns a value with its interval, as small as a line of a table.

    The interval is a thick bar; the reach, least and most of what was averaged, a thin line. Where
    the scale, which all marks of a table share, goes beyond 0 on both sides, a line marks 0.
    """
    place = line_through(*scale, 6, MARK_WIDTH - 6)
    svg = canvas(said, MARK_WIDTH, MARK_HEIGHT)
    svg.set("class", "mark")
    middle = MARK_HEIGHT / 2
    draw_line(svg, 2, middle, MARK_WIDTH - 2, middle, "grid")
    if scale[0] < 0 < scale[1]:
        draw_line(svg, place(0), 1, place(0), MARK_HEIGHT - 1, "zero")
    if reach:
        draw_line(svg, place(reach[0]), middle, place(reach[1]), middle, "plain")
    if ends:
        draw_line(svg, place(ends[0]), middle, place(ends[1]), middle, "plain interval strong")
    draw_dot(svg, place(value), middle, 4, "plain", said)
    return written(svg)
