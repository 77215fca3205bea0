"""The sections of the report: leaderboard, heat maps, effects, curves, mistakes."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from mnist_bench.html.curves import Panels
from mnist_bench.html.heat_map import draw_heat_map
from mnist_bench.html.intervals import interval_mark
from mnist_bench.html.page import drawing
from mnist_bench.html.tradeoff import Point, pareto_front, shape_key, tradeoff_of_cells
from mnist_bench.metrics import METRICS, Kind, Metric, Use, used_for
from mnist_bench.report.cells import BATCH, OPTIMIZER, STYLE, WIDTH
from mnist_bench.report.curves import Curve, StyleControl
from mnist_bench.report.effects import Change, HeatMap
from mnist_bench.report.findings import Findings
from mnist_bench.report.leaderboard import Standing
from mnist_bench.report.mistakes import HardImage, Mistakes
from mnist_bench.text import plural, shown
from mnist_bench.train.readers import MNIST_FILE

TITLES = {WIDTH: "hidden widths", OPTIMIZER: "optimizer", BATCH: "batch size", STYLE: "style"}
"""What people call the settings that are swept most."""

MOST_PANELS = 48
MOST_IMAGES = 48
"""How many panels and images a page shows; it says what it leaves out."""

ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["epoch_seconds_median"]


def accuracy_text(standing: Standing) -> str:
    """Returns the mean test accuracy of a cell that has one, with half of its interval."""
    assert standing.test_accuracy is not None, "only cells with a result are named"
    mean = f"{100 * standing.test_accuracy:.2f} %"
    half = standing.half_width
    return mean if half is None else f"{mean} ± {100 * half:.2f}"


def leaderboard_section(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Returns a row a cell, all drawn on one scale."""
    known = [s.test_accuracy for s in standings if s.test_accuracy is not None]
    ends = [a - h for s in standings if (a := s.test_accuracy) and (h := s.half_width)]
    ends += [a + h for s in standings if (a := s.test_accuracy) and (h := s.half_width)]
    scale = (min([*known, *ends], default=0.0), max([*known, *ends], default=1.0))
    return [
        _board_row(
            standing, 1 + sum(other > (standing.test_accuracy or 0) for other in known), scale
        )
        for standing in standings
    ]


def _board_row(standing: Standing, rank: int, scale: tuple[float, float]) -> dict[str, Any]:
    accuracy, half = standing.test_accuracy, standing.half_width
    _, *others = used_for(Use.board).values()
    if accuracy is None:
        return {"rank": "-", "cell": standing.cell, "n": 0,
                "numbers": ["no result", *("-" for _ in others)], "mark": ""}  # fmt: skip
    ends = None if half is None else (accuracy - half, accuracy + half)
    return {
        "rank": rank,
        "cell": standing.cell,
        "n": standing.seeds,
        "numbers": [
            accuracy_text(standing),
            *(
                metric.show(standing.means[metric.name]) if metric.name in standing.means else "-"
                for metric in others
            ),
        ],
        "mark": drawing(interval_mark(accuracy, ends, scale, accuracy_text(standing))),
    }


def heat_maps_section(maps: Sequence[HeatMap]) -> list[dict[str, Any]]:
    """Returns the maps, all of one scale; none for a single square."""
    found = [value for heat_map in maps for value, _ in heat_map.values.values()]
    if len(found) < 2:
        return []
    scale = (min(found), max(found))
    return [
        {
            "name": f"optimizer {heat_map.optimizer}",
            "svg": drawing(
                draw_heat_map(
                    [shown(width) for width in heat_map.widths],
                    [f"batch {batch}" for batch in heat_map.batches],
                    {
                        (shown(width), f"batch {batch}"): (
                            value,
                            f"{100 * value:.2f} %" + ("" if heat_map.alike else f", n {n}"),
                        )
                        for (width, batch), (value, n) in heat_map.values.items()
                    },
                    scale=scale,
                    title=f"Heat map of test accuracy by hidden widths and batch size, "
                    f"optimizer {heat_map.optimizer}",
                )
            ),
            "runs": ", ".join(map(str, sorted({n for _, n in heat_map.values.values()}))),
            "alike": heat_map.alike,
        }
        for heat_map in maps
    ]


def setting_title(key: str) -> str:
    """Returns what people call a setting."""
    return TITLES.get(key, key)


def compared_settings(report: Findings) -> set[str]:
    """Returns the titles of the settings that have a table of effects."""
    return {setting_title(c.key) for c in report.changes if c.cells or c.left_out}


def effects_section(report: Findings) -> list[dict[str, Any]]:
    """Returns a table a metric, on one scale, so that the settings compare with each other."""
    compared = [change for change in report.changes if change.cells or change.left_out]
    tables = []
    for metric in used_for(Use.lead).values():
        own = [change for change in compared if change.metric is metric]
        ends = [
            _place(metric, end)
            for change in own
            for end in (change.low, change.high, change.least, change.most)
            if end is not None
        ]
        reach = max(map(abs, ends), default=0.0) or 1.0
        rows = [_effect_row(change, (-reach, reach)) for change in own]
        if rows:
            tables.append({"name": metric.title, "rows": rows})
    return tables


def _place(metric: Metric, change: float) -> float:
    """Returns where a change is drawn: twice and half as much are equally far from no change."""
    return math.log1p(change) if metric.scale.log else change


def _effect_row(change: Change, scale: tuple[float, float]) -> dict[str, Any]:
    metric = change.metric
    levels = f"{shown(change.level)} instead of {shown(change.first)}"
    row = {
        "level": f"{setting_title(change.key)}: {levels}",
        "change": "-",
        "interval": "-",
        "range": "-",
        "mark": "",
    }
    if change.value is None or change.least is None or change.most is None:
        why = (
            "no two runs were timed alone on one machine, as far as is known"
            if metric.kind is Kind.time
            else "a run of each pair has no result"
        )
        return row | {"pairs": f"none: {why}"}
    low, high = change.low, change.high
    equal = change.least == change.most == 0
    drawn = [_place(metric, v) for v in (change.value, change.least, change.most)]
    left_out = f"; {change.left_out} left out" if change.left_out else ""
    return row | {
        "change": "none at all" if equal else metric.show_change(change.value),
        "interval": "one seed" if low is None or high is None else _bracket(metric, low, high),
        "range": "all equal"
        if equal
        else f"{metric.show_change(change.least)} to {metric.show_change(change.most)}",
        "pairs": f"{plural(change.cells, 'pair')}, {plural(change.seeds, 'seed')}{left_out}",
        "mark": drawing(
            interval_mark(
                drawn[0],
                None
                if low is None or high is None
                else (_place(metric, low), _place(metric, high)),
                scale,
                interval_text(change),
                reach=(drawn[1], drawn[2]),
            )
        ),
    }


def _bracket(metric: Metric, low: float, high: float) -> str:
    return f"[{metric.show_change(low)}, {metric.show_change(high)}]"


def interval_text(change: Change) -> str:
    """Returns a change with its interval."""
    if change.value is None:
        return "an unknown amount"
    said = change.metric.show_change(change.value)
    if change.low is None or change.high is None:
        return said
    return f"{said} {_bracket(change.metric, change.low, change.high)}"


def tradeoff_section(report: Findings) -> dict[str, Any] | None:
    """Returns the chart of accuracy against time; None with fewer than two cells."""
    cells = [cell for cell in report.cells if cell.runs]
    if len(cells) < 2:
        return None
    cell_points = [
        Point(
            cell.label,
            cell.settings.get(OPTIMIZER, "unknown"),
            cell.mean(SECONDS.name),
            100 * cell.mean(ACCURACY.name),
        )
        for cell in cells
    ]
    intervals = {
        s.cell: (100 * (s.test_accuracy - s.half_width), 100 * (s.test_accuracy + s.half_width))
        for s in report.standings
        if s.test_accuracy is not None and s.half_width is not None
    }
    return {
        "svg": drawing(
            tradeoff_of_cells(
                cell_points,
                intervals,
                title="Test accuracy against seconds an epoch of each cell, with the Pareto front",
            )
        ),
        "front": [
            f"{point.label}: {point.accuracy:.2f} %, {point.seconds:.3f} s an epoch"
            for point in pareto_front(cell_points)
        ],
        "key": [
            (drawing(shape_key(place)), shown(side))
            for place, side in enumerate(sorted({point.side for point in cell_points}))
        ],
        "obstacle": report.time_obstacle,
    }


def curves_section(curves: Sequence[Curve]) -> dict[str, Any] | None:
    """Returns a panel a curve, the best first; None where no curve is known."""
    drawn = [curve for curve in curves if curve.bands][:MOST_PANELS]
    if not drawn:
        return None
    panels = Panels([curve.bands for curve in drawn])
    return {
        "background": drawing(panels.background()),
        "panels": [
            {
                "svg": drawing(panels.panel(place, f"Accuracy by epoch of {curve.label}")),
                "name": curve.label,
                "notes": _curve_notes(curve),
            }
            for place, curve in enumerate(drawn)
        ],
        "collapsed": sum(len(curve.styles) for curve in drawn if len(curve.styles) > 1),
        "left_out": len(curves) - len(drawn),
        "validation": any("validation" in curve.bands for curve in drawn),
    }


def _curve_notes(curve: Curve) -> str:
    styles = f"{len(curve.styles)} styles coincide; " if len(curve.styles) > 1 else ""
    return f"{styles}{plural(curve.seeds, 'seed')}; test {100 * curve.test_accuracy:.2f}\u00a0%"


def style_sentence(control: StyleControl | None) -> str:
    """Returns whether the styles give the same, in words."""
    if control is None:
        return "All runs have one style, so there is nothing to compare."
    if not control.points:
        return "No two styles finished with all else equal."
    head = f"The styles {', '.join(control.styles)} are ways to write one network"
    point = "a point is a setting of everything else and a seed"
    if control.equal == control.points:
        return (
            f"{head}, and it shows: at {control.equal} of {control.points} points ({point}) every "
            "loss and accuracy of every epoch and of the test is equal to the last bit."
        )
    parts = [f"{head}; at {control.equal} of {control.points} points ({point}) they give the same "
             "to the last bit"]  # fmt: skip
    if control.unknown:
        parts.append(f"{control.unknown} keep no curves to tell by")
    if control.differing:
        names = ", ".join(control.differing[:4])
        more = f" and {len(control.differing) - 4} more" if len(control.differing) > 4 else ""
        parts.append(
            f"they differ at {names}{more}, by {control.largest_gap:.3g} in test loss at most"
        )
    return "; ".join(parts) + "."


def mistakes_section(mistakes: Mistakes | None) -> dict[str, Any] | None:
    """Returns the images that all models get wrong; None where that is not known."""
    if mistakes is None:
        return None
    # What most agree on is the likeliest to be a strange image, or a wrong label.
    hardest = sorted(mistakes.by_all, key=lambda image: (-image.said[0][1], image.index))
    shown_images = hardest[:MOST_IMAGES] if mistakes.packaged else []
    return {
        "said": mistakes,
        "same": mistakes.runs - mistakes.distinct,
        "by_all": len(mistakes.by_all),
        "images": _tiles(shown_images, mistakes.runs),
        "left_out": len(mistakes.by_all) - len(shown_images),
    }


def _tiles(images: Sequence[HardImage], runs: int) -> list[dict[str, str]]:
    if not images:
        return []
    with np.load(MNIST_FILE, allow_pickle=False) as arrays:
        pixels = arrays["x_test"]
    tiles = []
    for image in images:
        answers = ", ".join(f"{count} said {digit}" for digit, count in image.said)
        tiles.append(
            {
                "source": _picture(pixels[image.index]),
                "alt": f"Test image {image.index}, a {image.label} that all {runs} runs got wrong: "
                f"{answers}",
                "true": f"a {image.label}",
                "answers": answers,
                "index": f"image {image.index}",
            }
        )
    return tiles


def _picture(pixels: Any) -> Markup:
    """Returns a digit, dark on light, as an address that holds the image itself."""
    file = io.BytesIO()
    Image.fromarray(255 - pixels).save(file, "PNG", optimize=True)
    return Markup("data:image/png;base64,") + base64.b64encode(file.getvalue()).decode()
