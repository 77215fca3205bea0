"""A comparison as one HTML file that needs no network."""

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from mnist_bench.compare.options import Options, Verdict
from mnist_bench.compare.verdicts import Comparison, Judged, Pairing
from mnist_bench.compare.wording import (
    COLUMNS,
    ORDER,
    Tone,
    describe_side,
    figures,
    footnotes,
    heading,
    outcome,
    row_title,
    tone_of,
)
from mnist_bench.html.intervals import Interval, Spread, boxes, forest
from mnist_bench.html.page import drawing, render_page
from mnist_bench.html.tradeoff import Point, tradeoff_of_sides
from mnist_bench.metrics import METRICS

HTML_FILE = "compare.html"
CHART_ROWS = 40
"""Cells in a chart, the most urgent ones; the tables have all."""


def as_html(comparison: Comparison) -> str:
    """Returns the comparison as one HTML file; everything that came from a run is escaped."""
    return render_page(
        "compare.html.j2",
        outcome=outcome(comparison),
        passed=comparison.exit_code == 0,
        reasons=comparison.reasons,
        baseline=describe_side(comparison.baseline),
        pairings=[_pairing(pairing, comparison.options) for pairing in comparison.pairings],
        columns=COLUMNS[1:],
        footnotes=footnotes(comparison),
    )


def _pairing(pairing: Pairing, options: Options) -> dict[str, Any]:
    gated = [row for row in pairing.suites if row.metric.name in options.gates]
    others = [row for row in pairing.suites if row.metric.name not in options.gates]
    return {
        "title": describe_side(pairing.candidate),
        "match": pairing.match,
        "metrics": [_metric(pairing, suite, options) for suite in gated],
        "others": [_table_row(row, row.metric.name) for row in others],
        "tradeoff": _tradeoff_chart(pairing),
    }


def _metric(pairing: Pairing, suite: Judged, options: Options) -> dict[str, Any]:
    rows, cells = pairing.rows_of(suite.metric), len(pairing.match.cells)
    urgent = sorted(rows[-cells:], key=lambda row: ORDER.index(row.verdict))[:CHART_ROWS]
    name = suite.metric.title
    unit = suite.metric.show_change(0).split()[-1]
    return {
        "name": name,
        "heading": heading(suite, options),
        "rows": [_table_row(row, row_title(row, cells)) for row in rows],
        "left_out": cells - len(urgent),
        "forest": drawing(
            forest(
                [_forest_line(row, cells) for row in rows[:-cells] + urgent],
                margin=100 * options.margin(suite.metric),
                title=f"Forest plot: change of {name} with its interval in each cell",
                unit=unit,
            )
        ),
        "boxes": _boxes(urgent, name),
    }


def _boxes(rows: Sequence[Judged], name: str) -> Markup | None:
    spreads = [
        Spread(
            row.cell,
            tuple(value * row.metric.factor for value in row.baseline.values),
            tuple(value * row.metric.factor for value in row.candidate.values),
        )
        for row in rows
        if row.baseline is not None and row.candidate is not None
    ]
    if not spreads:
        return None
    unit = rows[0].metric.unit.strip()
    return drawing(
        boxes(
            spreads,
            title=f"Box plots: {name} of each seed in each cell, baseline above candidate",
            unit=f"{name} ({unit})" if unit else name,
        )
    )


def _tradeoff_chart(pairing: Pairing) -> Markup | None:
    points = list(_points(pairing))
    if not points:
        return None
    return drawing(
        tradeoff_of_sides(
            points,
            title="Test accuracy against seconds an epoch, with the Pareto front of each side",
        )
    )


def _points(pairing: Pairing) -> Iterable[Point]:
    by_metric = {
        name: {row.cell: row for row in pairing.cells if row.metric is METRICS[name]}
        for name in ("test_accuracy", "epoch_seconds_median")
    }
    for cell, seconds in by_metric["epoch_seconds_median"].items():
        accuracy = by_metric["test_accuracy"][cell]
        for side in ("baseline", "candidate"):
            x, y = getattr(seconds, side), getattr(accuracy, side)
            if x is not None and y is not None:
                yield Point(cell, side, x.center, 100 * y.center)


def _forest_line(row: Judged, cells: int) -> Interval:
    change, low, high = (
        None if value is None else 100 * value for value in (row.change, row.low, row.high)
    )
    title, note = row_title(row, cells), str(row.verdict)
    return Interval(title, note, _tone(row), change, low, high, strong=not row.cell)


def _table_row(row: Judged, title: str) -> dict[str, Any]:
    name, *numbers, verdict = figures(row, title)
    return {
        "name": name,
        "numbers": numbers,
        "verdict": verdict,
        "tone": _tone(row),
        "suite": not row.cell,
    }


def _tone(row: Judged) -> str:
    if row.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE):
        return str(Tone.faint)
    return str(tone_of(row))
