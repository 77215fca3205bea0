"""Charts of a sweep as SVG, drawn from plain numbers; colours come from the page's CSS."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mnist_bench.compare_charts import Point, pareto_front
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
    points,
    written,
)

MARK_WIDTH, MARK_HEIGHT = 150, 18
PANEL_WIDTH, PANEL_HEIGHT = 240, 158
PANEL_LEFT, PANEL_TOP, PANEL_BOTTOM = 36, 8, 20
SQUARE_WIDTH, SQUARE_HEIGHT = 92, 40
TRADEOFF_WIDTH, TRADEOFF_HEIGHT = 760, 400
SHAPES = ("circle", "square", "triangle", "diamond")
FEWEST_MISTAKES = 1e-4
"""Where the scale of curves ends: 99.99 % right."""
ACCURACY_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve of a panel: percentages by epoch.

    Attributes:
        name: What it is; also its CSS class.
        epochs: Where it has points.
        mean: There.
        low: Lower edge of its band.
        high: Upper edge.
    """

    name: str
    epochs: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def interval_mark(
    value: float,
    ends: tuple[float, float] | None,
    scale: tuple[float, float],
    said: str,
    *,
    reach: tuple[float, float] | None = None,
) -> str:
    """Returns a value with its interval, as small as a line of a table.

    Where the scale goes beyond 0 on both sides, a line marks 0.

    Args:
        value: The estimate.
        ends: Of its interval, a thick bar; None without one.
        scale: The range of all the marks of the table.
        said: The same in words.
        reach: Least and most of what was averaged, a thin line; None to leave it out.
    """
    place = _scale(*scale, 6, MARK_WIDTH - 6)
    svg = canvas(said, MARK_WIDTH, MARK_HEIGHT)
    svg.set("class", "mark")
    middle = MARK_HEIGHT / 2
    draw_line(svg, 2, middle, MARK_WIDTH - 2, middle, "grid")
    if scale[0] < 0 < scale[1]:
        draw_line(svg, place(0), 1, place(0), MARK_HEIGHT - 1, "zero")
    if reach is not None:
        draw_line(svg, place(reach[0]), middle, place(reach[1]), middle, "plain")
    if ends is not None:
        draw_line(svg, place(ends[0]), middle, place(ends[1]), middle, "plain interval strong")
    draw_dot(svg, place(value), middle, 4, "plain", said)
    return written(svg)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    squares: Mapping[tuple[str, str], tuple[float, str]],
    *,
    scale: tuple[float, float],
    title: str,
) -> str:
    """Returns a table of numbers whose squares are the darker the higher they are.

    Args:
        rows: Names of the rows.
        columns: Names of the columns.
        squares: (row, column) -> number, and the same as text.
        scale: The numbers of the lightest and the darkest square.
        title: The same in words.
    """
    left = 14 + 7 * min(max(map(len, rows)), 20)
    svg = canvas(title, left + SQUARE_WIDTH * len(columns), 26 + SQUARE_HEIGHT * len(rows))
    shade = _scale(*scale, 0.06, 0.6)
    for x, column in enumerate(columns):
        draw_text(svg, left + SQUARE_WIDTH * (x + 0.5), 16, column, "tick middle")
    for y, row in enumerate(rows):
        top = 24 + SQUARE_HEIGHT * y
        middle = top + SQUARE_HEIGHT / 2 + 4
        shortened = row if len(row) <= 20 else f"{row[:19]}…"
        caption(draw_text(svg, left - 8, middle, shortened, "tick end"), row)
        for x, column in enumerate(columns):
            value, said = squares.get((row, column), (math.nan, "no run"))
            square = draw(
                svg,
                "rect",
                x=left + SQUARE_WIDTH * x + 1,
                y=top + 1,
                width=SQUARE_WIDTH - 2,
                height=SQUARE_HEIGHT - 2,
                **{"class": "square" if math.isfinite(value) else "square none"},
            )
            if math.isfinite(value):
                square.set("fill-opacity", f"{shade(value):.3f}")
            text = draw_text(svg, left + SQUARE_WIDTH * (x + 0.5), middle, said, "middle")
            caption(text, f"{row}, {column}: {said}")
    return written(svg)


class Panels:
    """Curves of many cells on the same scales, a panel a cell, all others faint behind it."""

    def __init__(self, cells: Sequence[Sequence[Line]]) -> None:
        """Takes the curves of all panels.

        The scale of accuracy is the logarithm of the share of mistakes: from 90 to 99 % is as far
        as from 99 to 99.9 %, so that neither a bad cell nor good ones are pressed flat.
        """
        values = [v for lines in cells for line in lines for v in (*line.low, *line.high)]
        finite = [_mistakes(value) for value in values if math.isfinite(value)]
        # The lowest mistakes are the highest accuracy, at the top.
        low, high = min(finite, default=0.01), max(finite, default=1.0)
        self._y = _scale(
            math.log(high * 1.1), math.log(low / 1.1), PANEL_HEIGHT - PANEL_BOTTOM, PANEL_TOP
        )
        ticks = [tick for tick in ACCURACY_TICKS if low / 1.1 <= _mistakes(tick) <= high * 1.1]
        self._ticks = ticks[:: 1 + len(ticks) // 6]
        epochs = max((e for lines in cells for line in lines for e in line.epochs), default=1)
        self._epochs = epochs
        self._x = _scale(1, max(epochs, 1 + 1e-9), PANEL_LEFT + 6, PANEL_WIDTH - 8)
        self._cells = cells

    def background(self) -> str:
        """Returns the faint curves, which each panel refers to: they are written once."""
        svg = canvas("", 0, 0)
        svg.set("class", "hidden")
        svg.set("aria-hidden", "true")
        group = draw(draw(svg, "defs"), "g", id="all-curves")
        for lines in self._cells:
            for line in lines[:1]:
                self._polyline(group, line.epochs, line.mean, "other")
        return written(svg)

    def panel(self, place: int, title: str) -> str:
        """Returns the panel of one cell.

        Args:
            place: Of the cell, among those that were given.
            title: What it shows, in words.
        """
        svg = canvas(title, PANEL_WIDTH, PANEL_HEIGHT)
        bottom = PANEL_HEIGHT - PANEL_BOTTOM
        for tick in self._ticks:
            y = self._height(tick)
            draw_line(svg, PANEL_LEFT, y, PANEL_WIDTH - 4, y, "grid")
            draw_text(svg, PANEL_LEFT - 4, y + 4, f"{100 * tick:g}", "tick end")
        for epoch in sorted({1, round((1 + self._epochs) / 2), round(self._epochs)}):
            draw_text(svg, self._x(epoch), bottom + 15, f"{epoch}", "tick middle")
        draw(svg, "use", href="#all-curves")
        for line in self._cells[place]:
            xs = [self._x(epoch) for epoch in line.epochs]
            edges = [self._height(v) for v in line.high], [self._height(v) for v in line.low]
            around = f"{points(xs, edges[0])} {points(xs[::-1], edges[1][::-1])}"
            draw(svg, "polygon", points=around, **{"class": f"range {line.name}"})
            self._polyline(svg, line.epochs, line.mean, f"curve {line.name}")
            if len(xs) == 1 and math.isfinite(line.mean[0]):
                draw_dot(svg, xs[0], self._height(line.mean[0]), 3, line.name, line.name)
        return written(svg)

    def _polyline(
        self, svg: Element, epochs: Sequence[float], values: Sequence[float], classes: str
    ) -> None:
        ys = [self._height(value) for value in values]
        draw(
            svg,
            "polyline",
            points=points([self._x(epoch) for epoch in epochs], ys),
            **{"class": classes},
        )

    def _height(self, accuracy: float) -> float:
        return self._y(math.log(_mistakes(accuracy))) if math.isfinite(accuracy) else math.nan


def tradeoff(
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


def _mistakes(accuracy: float) -> float:
    return max(1 - accuracy, FEWEST_MISTAKES)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Returns the line through (low, start) and (high, end)."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 3)
