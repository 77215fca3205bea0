"""Curves of many cells as SVG, a panel a cell, on one scale."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Band:
    """A curve over several runs: shares by epoch.

    Attributes:
        epochs: (n,) where it has points.
        mean: (n,) over the runs; NaN where one has no value.
        low: (n,) least of the runs.
        high: (n,) greatest.
    """

    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Panels:
    """Curves of many cells on the same scales, a panel a cell, all others faint behind it."""

    def __init__(self, cells: Sequence[Mapping[str, Band]]) -> None:
        """Takes the curves of all panels by their names, which are CSS classes too.

        The scale of accuracy is the logarithm of the share of mistakes: from 90 to 99 % is as far
        as from 99 to 99.9 %, so that neither a bad cell nor good ones are pressed flat.
        """
        bands = [band for cell in cells for band in cell.values()]
        values = [v for band in bands for v in (*band.low.tolist(), *band.high.tolist())]
        finite = [_share_wrong(value) for value in values if math.isfinite(value)]
        # The lowest mistakes are the highest accuracy, at the top.
        low, high = min(finite, default=0.01), max(finite, default=1.0)
        self._y = line_through(
            math.log(high * 1.1), math.log(low / 1.1), PANEL_HEIGHT - PANEL_BOTTOM, PANEL_TOP
        )
        ticks = [tick for tick in ACCURACY_TICKS if low / 1.1 <= _share_wrong(tick) <= high * 1.1]
        self._ticks = ticks[:: 1 + len(ticks) // 6]
        epochs = max((epoch for band in bands for epoch in band.epochs.tolist()), default=1)
        self._epochs = epochs
        self._x = line_through(1, max(epochs, 1 + 1e-9), PANEL_LEFT + 6, PANEL_WIDTH - 8)
        self._cells = cells

    def background(self) -> str:
        """Returns the faint curves, which each panel refers to: they are written once."""
        svg = canvas("", 0, 0)
        svg.set("class", "hidden")
        svg.set("aria-hidden", "true")
        group = draw(draw(svg, "defs"), "g", id="all-curves")
        for bands in self._cells:
            band = next(iter(bands.values()))
            places = points(
                map(self._x, band.epochs.tolist()), map(self._height, band.mean.tolist())
            )
            draw(group, "polyline", points=places, **{"class": "other"})
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
        for name, band in self._cells[place].items():
            xs = [self._x(epoch) for epoch in band.epochs.tolist()]
            low, mean, high = (
                [self._height(value) for value in values.tolist()]
                for values in (band.low, band.mean, band.high)
            )
            around = f"{points(xs, high)} {points(xs[::-1], low[::-1])}"
            draw(svg, "polygon", points=around, **{"class": f"range {name}"})
            draw(svg, "polyline", points=points(xs, mean), **{"class": f"curve {name}"})
            if len(xs) == 1 and math.isfinite(mean[0]):
                draw_dot(svg, xs[0], mean[0], 3, name, name)
        return written(svg)

    def _height(self, accuracy: float) -> float:
        return self._y(math.log(_share_wrong(accuracy))) if math.isfinite(accuracy) else math.nan


def _share_wrong(accuracy: float) -> float:
    return max(1 - accuracy, FEWEST_MISTAKES)
