"""A table of numbers as SVG, whose squares are the darker the higher they are."""

import math
from collections.abc import Mapping, Sequence

from mnist_bench.html.svg import (
    canvas,
    caption,
    draw_name,
    draw_rect,
    draw_text,
    line_through,
    written,
)

SQUARE_WIDTH, SQUARE_HEIGHT = 92, 40


def draw_heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    squares: Mapping[tuple[str, str], tuple[float, str]],
    *,
    scale: tuple[float, float],
    title: str,
) -> str:
    """Returns a table of numbers whose squares are the darker the higher they are.

    `squares` has the number of a row and column, and what is written there; `scale` the numbers of
    the lightest and the darkest square.
    """
    left = 14 + 7 * min(max(map(len, rows)), 20)
    svg = canvas(title, left + SQUARE_WIDTH * len(columns), 26 + SQUARE_HEIGHT * len(rows))
    shade = line_through(*scale, 0.06, 0.6)
    for x, column in enumerate(columns):
        draw_text(svg, left + SQUARE_WIDTH * (x + 0.5), 16, column, "tick middle")
    for y, row in enumerate(rows):
        top = 24 + SQUARE_HEIGHT * y
        middle = top + SQUARE_HEIGHT / 2 + 4
        draw_name(svg, left - 8, middle, row, "tick end", 20)
        for x, column in enumerate(columns):
            value, said = squares.get((row, column), (math.nan, "no run"))
            edge, known = left + SQUARE_WIDTH * x + 1, math.isfinite(value)
            size = SQUARE_WIDTH - 2, SQUARE_HEIGHT - 2
            square = draw_rect(svg, edge, top + 1, *size, "square" if known else "square none")
            if known:
                square.set("fill-opacity", f"{shade(value):.3f}")
            text = draw_text(svg, left + SQUARE_WIDTH * (x + 0.5), middle, said, "middle")
            caption(text, f"{row}, {column}: {said}")
    return written(svg)
