"""Curves of many cells as SVG, a panel a cell, on one scale."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_bench.html.svg import (
    canvas,
    draw,
    draw_dot,
    draw_line,
    draw_text,
    line_through,
    points,
    written,
)

PANEL_WIDTH, PANEL_HEIGHT = 240, 158
PANEL_LEFT, PANEL_TOP, PANEL_BOTTOM = 36, 8, 20
FEWEST_MISTAKES = 1e-4
"""Where the scale of curves ends: 99.99 % right."""

ACCURACY_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)


Shares: TypeAlias = NDArray[np.float64]
Lines: TypeAlias = tuple[NDArray[np.int64], Shares, Shares, Shares]
"""Epochs, and at each the mean accuracy, the least and the greatest; NaN where it is not known."""


class Panels:
    """Curves of many cells on the same scales, a panel a cell, all others faint behind it."""

    def __init__(self, cells: Sequence[Mapping[str, Lines]]) -> None:
        """Takes the curves of all panels by their names, which are CSS classes too.

        The scale of accuracy is the logarithm of the share of mistakes: from 90 to 99 % is as far
        as from 99 to 99.9 %, so that neither a bad cell nor good ones are pressed flat.
        """
        curves = [lines for cell in cells for lines in cell.values()]
        ends = [share for *_, low, high in curves for share in (*low.tolist(), *high.tolist())]
        finite = [_share_wrong(share) for share in ends if math.isfinite(share)]
        # The lowest mistakes are the highest accuracy, at the top.
        low, high = min(finite, default=0.01), max(finite, default=1.0)
        self._y = line_through(
            math.log(high * 1.1), math.log(low / 1.1), PANEL_HEIGHT - PANEL_BOTTOM, PANEL_TOP
        )
        ticks = [tick for tick in ACCURACY_TICKS if low / 1.1 <= _share_wrong(tick) <= high * 1.1]
        self._ticks = ticks[:: 1 + len(ticks) // 6]
        self._epochs = max(int(epochs[-1]) for epochs, *_ in curves)
        self._x = line_through(1, self._epochs, PANEL_LEFT + 6, PANEL_WIDTH - 8)
        self._cells = cells

    def background(self) -> str:
        """Returns the faint curves, which each panel refers to: they are written once."""
        svg = canvas("", 0, 0)
        svg.attrib |= {"class": "hidden", "aria-hidden": "true"}
        group = draw(draw(svg, "defs"), "g", id="all-curves")
        for curves in self._cells:
            epochs, mean, *_ = next(iter(curves.values()))
            places = points(map(self._x, epochs.tolist()), map(self._height, mean.tolist()))
            draw(group, "polyline", "other", points=places)
        return written(svg)

    def panel(self, place: int, title: str) -> str:
        """Returns the panel of one cell, by its place among those that were given."""
        svg = canvas(title, PANEL_WIDTH, PANEL_HEIGHT)
        bottom = PANEL_HEIGHT - PANEL_BOTTOM
        for tick in self._ticks:
            y = self._height(tick)
            draw_line(svg, PANEL_LEFT, y, PANEL_WIDTH - 4, y, "grid")
            draw_text(svg, PANEL_LEFT - 4, y + 4, f"{100 * tick:g}", "tick end")
        for epoch in sorted({1, round((1 + self._epochs) / 2), self._epochs}):
            draw_text(svg, self._x(epoch), bottom + 15, f"{epoch}", "tick middle")
        draw(svg, "use", href="#all-curves")
        for name, (epochs, *shares) in self._cells[place].items():
            xs = [self._x(epoch) for epoch in epochs.tolist()]
            mean, low, high = ([self._height(share) for share in row.tolist()] for row in shares)
            around = f"{points(xs, high)} {points(xs[::-1], low[::-1])}"
            draw(svg, "polygon", f"range {name}", points=around)
            draw(svg, "polyline", f"curve {name}", points=points(xs, mean))
            if len(xs) == 1 and math.isfinite(mean[0]):
                draw_dot(svg, xs[0], mean[0], 3, name, name)
        return written(svg)

    def _height(self, accuracy: float) -> float:
        return self._y(math.log(_share_wrong(accuracy))) if math.isfinite(accuracy) else math.nan


def _share_wrong(accuracy: float) -> float:
    return max(1 - accuracy, FEWEST_MISTAKES)
