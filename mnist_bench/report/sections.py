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
from mnist_bench.metrics import Kind, Metric, Use, used_for
from mnist_bench.report.cells import BATCH, OPTIMIZER, STYLE, WIDTH
from mnist_bench.report.curves import Curve, StyleControl
from mnist_bench.report.effects import ACCURACY, ALPHA, SECONDS, Change, Crossing, Effects, HeatMap
from mnist_bench.report.findings import Findings
from mnist_bench.report.leaderboard import Standing
from mnist_bench.report.mistakes import Mistakes
from mnist_bench.text import plural, shown
from mnist_bench.train.readers import MNIST_FILE

TITLES = {WIDTH: "hidden widths", OPTIMIZER: "optimizer", BATCH: "batch size", STYLE: "style"}
"""What people call the settings that are swept most."""

MOST_PANELS = 48
MOST_IMAGES = 48
"""How many panels and images a page shows; it says what it leaves out."""

DIRECTIONS = {1: "better", 0: "cannot tell", -1: "worse"}
"""What an interval says; cannot tell is where it holds no change at all."""


def accuracy_text(standing: Standing) -> str:
    """Returns the mean test accuracy of a cell that has one, with half of its interval."""
    assert standing.test_accuracy is not None, "only cells with a result are named"
    mean = f"{100 * standing.test_accuracy:.2f} %"
    half = standing.half_width
    return mean if half is None else f"{mean} ± {100 * half:.2f}"


def leaderboard_section(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Returns a row a cell, all drawn on one scale."""
    known = [s.test_accuracy for s in standings if s.test_accuracy is not None]
    ends = [*known, *(end for standing in standings for end in standing.interval or ())]
    scale = (min(ends, default=0.0), max(ends, default=1.0))
    _, *others = used_for(Use.board).items()
    rows = []
    for standing in standings:
        row = {
            "rank": "-",
            "cell": standing.cell,
            "n": standing.seeds,
            "accuracy": "no result",
            "mark": "",
            "others": [
                metric.show(standing.means[name]) if name in standing.means else "-"
                for name, metric in others
            ],
        }
        accuracy = standing.test_accuracy
        if accuracy is not None:
            said = accuracy_text(standing)
            row["rank"] = 1 + sum(other > accuracy for other in known)
            row["accuracy"] = said
            row["mark"] = drawing(interval_mark(accuracy, standing.interval, scale, said))
        rows.append(row)
    return rows


def heat_maps_section(maps: Sequence[HeatMap]) -> list[dict[str, Any]]:
    """Returns the maps, all of one scale; none for a single square."""
    found = [value for heat_map in maps for value, _ in heat_map.values.values()]
    if len(found) < 2:
        return []
    sections = []
    for heat_map in maps:
        name = f"optimizer {heat_map.optimizer}"
        squares = {}
        for (width, batch), (value, n) in heat_map.values.items():
            note = "" if heat_map.alike else f", n {n}"
            squares[shown(width), f"batch {batch}"] = value, f"{100 * value:.2f} %{note}"
        svg = draw_heat_map(
            [shown(width) for width in heat_map.widths],
            [f"batch {batch}" for batch in heat_map.batches],
            squares,
            scale=(min(found), max(found)),
            title=f"Heat map of test accuracy by hidden widths and batch size, {name}",
        )
        runs = ", ".join(map(str, sorted({n for _, n in heat_map.values.values()})))
        sections.append({"name": name, "svg": drawing(svg), "runs": runs, "alike": heat_map.alike})
    return sections


def setting_title(key: str) -> str:
    """Returns what people call a setting."""
    return TITLES.get(key, key)


def effects_section(report: Findings) -> list[dict[str, Any]]:
    """Returns a table a metric, on one scale, so that the settings compare with each other."""
    tables = []
    for metric in used_for(Use.lead).values():
        own = [c for c in report.effects.changes if c.metric is metric and c.has_pairs]
        ends = [
            _place(metric, end)
            for change in own
            for end in (*(change.interval or ()), *change.extremes)
        ]
        reach = max(map(abs, ends), default=0.0) or 1.0
        rows = [_effect_row(change, (-reach, reach)) for change in own]
        if rows:
            tables.append({"name": metric.title, "rows": rows})
    return tables


def settings_alone(report: Findings) -> list[str]:
    """Returns the titles of the settings that no two cells differ in alone."""
    compared = {change.key for change in report.effects.changes if change.has_pairs}
    return [setting_title(key) for key in report.swept if key not in compared]


def _place(metric: Metric, change: float) -> float:
    """Returns where a change is drawn: twice and half as much are equally far from no change."""
    return math.log1p(change) if metric.scale.log else change


def _effect_row(change: Change, scale: tuple[float, float]) -> dict[str, Any]:
    metric = change.metric
    row = {
        "level": _levels_text(change),
        "change": "-",
        "interval": "-",
        "word": "-",
        "range": "-",
        "mark": "",
    }
    if change.value is None:
        why = (
            "no two runs were timed alone on one machine, as far as is known"
            if metric.kind is Kind.time
            else "a run of each pair has no result"
        )
        return row | {"pairs": f"none: {why}"}
    equal = change.extremes == (0, 0)
    left_out = f"; {change.left_out} left out" if change.left_out else ""
    mark = interval_mark(
        _place(metric, change.value),
        [_place(metric, end) for end in change.interval or ()],
        scale,
        change_text(change),
        reach=[_place(metric, end) for end in change.extremes],
    )
    return row | {
        "change": "none at all" if equal else metric.show_change(change.value),
        "interval": _interval_text(change) or "one seed",
        "word": "equal" if equal else DIRECTIONS[change.direction],
        "range": "all equal" if equal else " to ".join(_ends(metric, change.extremes)),
        "pairs": f"{plural(change.cells, 'pair')}, {plural(change.seeds, 'seed')}{left_out}",
        "mark": drawing(mark),
    }


def _levels_text(change: Change) -> str:
    """Returns what is compared with what."""
    return f"{setting_title(change.key)}, {shown(change.level)} instead of {shown(change.first)}"


def _interval_text(change: Change) -> str:
    return f"[{', '.join(_ends(change.metric, change.interval))}]" if change.interval else ""


def _ends(metric: Metric, ends: tuple[float, float]) -> tuple[str, str]:
    """Returns two changes, the unit of both behind the second one."""
    low, high = map(metric.show_change, ends)
    return low.partition(" ")[0], high


def change_text(change: Change) -> str:
    """Returns a change that is known, with its interval."""
    assert change.value is not None, "only changes of which there are pairs are told"
    return f"{change.metric.show_change(change.value)} {_interval_text(change)}".rstrip()


def effect_sentence(changes: Sequence[Change]) -> str:
    """Returns what one level does to some metrics, and whether that is beyond chance."""
    said = [f"{c.metric.title} {change_text(c)}, {DIRECTIONS[c.direction]}" for c in changes]
    return f"{_levels_text(changes[0])}: {'; '.join(said)}."


def crossing_sentence(crossing: Crossing) -> str:
    """Returns at which values of another setting a level is better and worse."""
    mean = crossing.mean
    places = " and ".join(
        f"{DIRECTIONS[change.direction]} at {setting_title(crossing.other)} {shown(value)} "
        f"({change_text(change)})"
        for value, change in (crossing.better, crossing.worse)
    )
    return (
        f"{_levels_text(mean)}: {mean.metric.title} is {places}; "
        f"the mean change, {change_text(mean)}, hides it."
    )


def crossings_section(report: Findings) -> list[str]:
    """Returns which levels turn over, a sentence each, or that nobody can tell."""
    tested = report.effects.places_tested
    if len([key for key in report.swept if key != STYLE]) < 2:
        return []
    if report.effects.crossings:
        return [crossing_sentence(crossing) for crossing in report.effects.crossings]
    question = (
        "whether a level is better at one value of another setting and worse at another value of "
        "it, which a mean would hide"
    )
    if len(report.seeds) == 1:
        return [f"One seed: cannot tell {question}."]
    return [
        f"Cannot tell {question}: of {plural(tested, 'change')} at single values, no two of one "
        "level are better and worse beyond chance."
    ]


def together_sentence(effects: Effects) -> str:
    """Returns what the intervals hold for; empty where there are none."""
    means, places = effects.means_tested, effects.places_tested
    if not means:
        return ""
    parts = (
        f" ({plural(means, 'mean change')}, and {plural(places, 'change')} of test accuracy at "
        "single values of another setting; each kind has half of the chance to miss)"
    )
    return (
        f"The intervals are {100 * (1 - ALPHA):g} % for all {plural(means + places, 'comparison')} "
        f"together{parts if places else ''}, so the largest may be picked out; an interval on "
        "both sides of no change is \u201ccannot tell\u201d."
    )


def tradeoff_section(report: Findings) -> dict[str, Any] | None:
    """Returns the chart of accuracy against time; None with fewer than two cells."""
    cells = [cell for cell in report.cells if cell.runs]
    if len(cells) < 2:
        return None
    points = [
        Point(
            cell.label,
            cell.settings.get(OPTIMIZER, "unknown"),
            cell.mean(SECONDS.name),
            100 * cell.mean(ACCURACY.name),
        )
        for cell in cells
    ]
    intervals = {
        s.cell: (100 * s.interval[0], 100 * s.interval[1]) for s in report.standings if s.interval
    }
    title = "Test accuracy against seconds an epoch of each cell, with the Pareto front"
    return {
        "svg": drawing(tradeoff_of_cells(points, intervals, title=title)),
        "front": [
            f"{point.label}: {point.accuracy:.2f} %, {point.seconds:.3f} s an epoch"
            for point in pareto_front(points)
        ],
        "key": [
            (drawing(shape_key(place)), shown(side))
            for place, side in enumerate(sorted({point.side for point in points}))
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


def mistakes_section(mistakes: Mistakes | None) -> list[dict[str, Any]]:
    """Returns the images that all models get wrong, if they are those of the package."""
    if mistakes is None or not mistakes.packaged or not mistakes.by_all:
        return []
    # What most agree on is the likeliest to be a strange image, or a wrong label.
    hardest = sorted(mistakes.by_all, key=lambda image: (-image.said[0][1], image.index))
    with np.load(MNIST_FILE, allow_pickle=False) as arrays:
        pixels = arrays["x_test"]
    return [
        {
            "source": _picture(pixels[image.index]),
            "index": image.index,
            "label": image.label,
            "answers": ", ".join(f"{count} said {digit}" for digit, count in image.said),
        }
        for image in hardest[:MOST_IMAGES]
    ]


def _picture(pixels: Any) -> Markup:
    """Returns a digit, dark on light, as an address that holds the image itself."""
    file = io.BytesIO()
    Image.fromarray(255 - pixels).save(file, "PNG", optimize=True)
    return Markup("data:image/png;base64,") + base64.b64encode(file.getvalue()).decode()
