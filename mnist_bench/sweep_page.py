"""The report of a sweep as one HTML file that needs no network."""

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from mnist_bench import sweep_charts as charts
from mnist_bench.compare_charts import Point, pareto_front
from mnist_bench.compare_report import plural, ranges
from mnist_bench.config import shown
from mnist_bench.data import MNIST_FILE
from mnist_bench.metrics import METRICS, Kind, Metric
from mnist_bench.page import drawing, render
from mnist_bench.report import STANDING_TITLES, Standing
from mnist_bench.selection import Sample
from mnist_bench.sweep_report import (
    BATCH,
    OPTIMIZER,
    STYLE,
    WIDTH,
    Change,
    Curve,
    HardImage,
    HeatMap,
    Mistakes,
    StyleControl,
    SweepReport,
)

TITLES = {WIDTH: "hidden widths", OPTIMIZER: "optimizer", BATCH: "batch size", STYLE: "style"}
"""What people call the settings that are swept most."""
MOST_PANELS = 48
MOST_IMAGES = 48
MOST_NAMES = 100
"""How many panels, images and names of runs a page shows; it says what it leaves out."""
ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["epoch_seconds_median"]


def file_name(label: str) -> str:
    """Returns the name of a report's file, of whatever its runs are called."""
    harmless = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.")
    return f"report-{harmless[:80] or 'runs'}.html"


def page(report: SweepReport) -> str:
    """Returns the report as HTML; everything that came from a run is escaped."""
    failures = [(run.name, run.failure or "incomplete") for run in report.failed]
    return render(
        "sweep.html.j2",
        title=f"{_heading(report.label)}: {_outcome(report)}",
        passed=not failures and not report.missing,
        summary=list(_summary(report)),
        facts=_facts(report),
        notices=report.notices,
        failures=[(shown(name), shown(why, 400)) for name, why in failures[:MOST_NAMES]],
        more_failures=max(0, len(failures) - MOST_NAMES),
        missing=report.missing[:MOST_NAMES],
        more_missing=max(0, len(report.missing) - MOST_NAMES),
        columns=STANDING_TITLES[1:],
        standings=_leaderboard(report.standings),
        one_seed=len(report.seeds) == 1,
        heat_maps=_heat_maps(report.heat_maps),
        effects=_effects(report),
        alone=[name for name in map(_title, report.swept) if name not in _compared(report)],
        tradeoff=_tradeoff(report),
        curves=_curves(report.curves),
        style_control=_style_sentence(report.style_control),
        mistakes=_mistakes(report.mistakes),
    )


def _heading(label: str) -> str:
    return shown(f"Sweep {label.removeprefix('sweep:')}" if label.startswith("sweep:") else label)


def _outcome(report: SweepReport) -> str:
    total = len(report.samples) + len(report.missing)
    finished = len(report.finished)
    said = "all" if finished == total else f"{finished} of"
    return f"{said} {plural(total, 'run')} finished, {plural(len(report.cells), 'cell')}"


def _summary(report: SweepReport) -> Iterable[str]:
    """Returns what a reader should take home, a sentence each."""
    ranked = [standing for standing in report.standings if standing.seeds]
    if not ranked:
        yield "No run has a result, so there is nothing to rank."
        return
    best = ranked[0]
    ties = sum(standing.test_accuracy == best.test_accuracy for standing in ranked) - 1
    equal = f" ({plural(ties, 'other cell')} just as good)" if ties else ""
    yield f"Best test accuracy: {_accuracy(best)}, {best.cell}{equal}."
    fastest = min(ranked, key=lambda s: s.epoch_seconds_median or math.inf)
    if fastest is not best and report.times_compare:
        yield (
            f"Fastest: {_seconds(fastest)} an epoch with {_accuracy(fastest)}, {fastest.cell}; "
            f"the best one takes {_seconds(best)}."
        )
    for key in report.swept:
        own = [c for c in report.changes if c.key == key and c.value is not None]
        accuracy = [c for c in own if c.metric is ACCURACY]
        if accuracy and key != STYLE:
            largest = max(accuracy, key=lambda c: abs(c.value or 0))
            time = [c for c in own if c.metric is SECONDS and c.level == largest.level]
            yield f"{_title(key).capitalize()}: {_effect_sentence(largest, time)}."
    if report.style_control is not None:
        yield _style_sentence(report.style_control)
    if report.mistakes is not None:
        hard = report.mistakes
        wrong = f"{len(hard.by_all):,} of {hard.images:,} test images are wrong"
        several = f" in all {hard.runs} runs, {hard.by_some:,} in at least one"
        yield f"{wrong}{several if hard.runs > 1 else ''}."
    if len(report.seeds) == 1:
        yield "All of this is from one seed, so how much of it is chance is not known."
    lost = len(report.failed) + len(report.missing)
    if lost:
        verb = "is" if lost == 1 else "are"
        yield f"{plural(lost, 'run')} without a result {verb} listed below and in no mean."


def _effect_sentence(change: Change, time: Sequence[Change]) -> str:
    said = f"{change.level} instead of {change.first} changes test accuracy by {_interval(change)}"
    return said + "".join(f" and seconds an epoch by {_interval(c)}" for c in time)


def _accuracy(standing: Standing) -> str:
    assert standing.test_accuracy is not None, "only cells with a result are named"
    mean = f"{100 * standing.test_accuracy:.2f} %"
    half = standing.half_width
    return mean if half is None else f"{mean} ± {100 * half:.2f}"


def _seconds(standing: Standing) -> str:
    seconds = standing.epoch_seconds_median
    return "-" if seconds is None else SECONDS.show(seconds)


def _facts(report: SweepReport) -> list[tuple[str, str]]:
    """Returns what was run, where and when: name and text."""
    runs = report.samples
    swept = [
        f"{_title(key)} {', '.join(map(shown, values))}" for key, values in report.swept.items()
    ]
    same = {
        key: value
        for key, value in (report.cells[0].settings if report.cells else {}).items()
        if key not in report.swept
        and value != "null"
        and all(cell.settings.get(key) == value for cell in report.cells)
    }
    facts = [
        ("cells", f"{len(report.cells)}: {'; '.join(swept) or 'one configuration'}"),
        ("seeds", f"{len(report.seeds)}: {ranges(report.seeds)}"),
        ("same in all runs", ", ".join(f"{key}={value}" for key, value in sorted(same.items()))),
        ("machine", _values(runs, "cpu")),
        ("cores, threads", f"{_values(runs, 'cores')}, {_values(runs, 'threads')}"),
        ("device", _values(runs, "device")),
        ("timing", _values(runs, "timing").replace("exclusive", "each run alone on the machine")),
        (
            "versions",
            ", ".join(
                f"{'mnist_bench' if name == 'version' else name} {_values(runs, name)}"
                for name in ("version", "python", "tensorflow", "keras", "numpy", "mlflow")
            ),
        ),
        ("commit", f"{_values(runs, 'git_commit', 12)}{_dirty(runs)}"),
        ("time", _times(report)),
    ]
    return [(name, shown(text, 2_000)) for name, text in facts if text]


def _values(runs: Sequence[Sample], fact: str, limit: int = 80) -> str:
    """Returns the values of a fact; where they vary, with the number of runs that have each."""
    counts = Counter(run.facts.get(fact, "unknown") for run in runs)
    if len(counts) == 1:
        return next(iter(counts))[:limit]
    return " or ".join(f"{value[:limit]} ({n} runs)" for value, n in counts.most_common())


def _dirty(runs: Sequence[Sample]) -> str:
    changed = sum(run.facts.get("git_dirty") == "true" for run in runs)
    if not changed:
        return ""
    return " with uncommitted changes" if changed == len(runs) else f"; {changed} with changes"


def _times(report: SweepReport) -> str:
    ends = [r.start_ms + 1_000 * r.metrics["total_seconds"] for r in report.finished]
    starts = [run.start_ms for run in report.samples]
    if not ends:
        return f"{_date(min(starts))} UTC" if starts else ""
    spent = sum(run.metrics["total_seconds"] for run in report.finished)
    begun, ended = _date(min(starts)), _date(max(ends))
    if begun[:10] == ended[:10]:
        ended = ended[11:]
    return f"{begun} to {ended} UTC; {spent / 60:.1f} minutes inside the finished runs"


def _date(milliseconds: float) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1_000, UTC):%Y-%m-%d %H:%M}"


def _leaderboard(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    known = [s.test_accuracy for s in standings if s.test_accuracy is not None]
    ends = [a - h for s in standings if (a := s.test_accuracy) and (h := s.half_width)]
    ends += [a + h for s in standings if (a := s.test_accuracy) and (h := s.half_width)]
    scale = (min([*known, *ends], default=0.0), max([*known, *ends], default=1.0))
    return [
        _standing(
            standing, 1 + sum(other > (standing.test_accuracy or 0) for other in known), scale
        )
        for standing in standings
    ]


def _standing(standing: Standing, rank: int, scale: tuple[float, float]) -> dict[str, Any]:
    accuracy, half = standing.test_accuracy, standing.half_width
    if accuracy is None:
        return {"rank": "-", "cell": standing.cell, "n": 0, "numbers": ["no result", *"----"],
                "mark": ""}  # fmt: skip
    ends = None if half is None else (accuracy - half, accuracy + half)
    numbers = {
        "test_loss": standing.test_loss,
        "epoch_seconds_median": standing.epoch_seconds_median,
        "total_seconds": standing.total_seconds,
        "params_total": standing.params_total,
    }
    return {
        "rank": rank,
        "cell": standing.cell,
        "n": standing.seeds,
        "numbers": [
            _accuracy(standing),
            *(METRICS[key].show(value) for key, value in numbers.items() if value is not None),
        ],
        "mark": drawing(charts.interval_mark(accuracy, ends, scale, _accuracy(standing))),
    }


def _heat_maps(maps: Sequence[HeatMap]) -> list[dict[str, Any]]:
    found = [value for heat_map in maps for value, _ in heat_map.values.values()]
    if len(found) < 2:
        return []
    scale = (min(found), max(found))
    return [
        {
            "name": f"optimizer {heat_map.optimizer}",
            "svg": drawing(
                charts.heat_map(
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


def _title(key: str) -> str:
    return TITLES.get(key, key)


def _compared(report: SweepReport) -> set[str]:
    return {_title(c.key) for c in report.changes if c.cells or c.left_out}


def _effects(report: SweepReport) -> list[dict[str, Any]]:
    """Returns a table a metric, on one scale, so that the settings compare with each other."""
    compared = [change for change in report.changes if change.cells or change.left_out]
    tables = []
    for metric in (ACCURACY, SECONDS):
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
    row = {
        "level": f"{_title(change.key)}: {shown(change.level)} instead of {shown(change.first)}",
        "change": "-",
        "interval": "-",
        "range": "-",
        "mark": "",
    }
    if change.value is None or change.least is None or change.most is None:
        why = (
            "no two runs were timed alone on one machine"
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
            charts.interval_mark(
                drawn[0],
                None
                if low is None or high is None
                else (_place(metric, low), _place(metric, high)),
                scale,
                _interval(change),
                reach=(drawn[1], drawn[2]),
            )
        ),
    }


def _bracket(metric: Metric, low: float, high: float) -> str:
    return f"[{metric.show_change(low)}, {metric.show_change(high)}]"


def _interval(change: Change) -> str:
    if change.value is None:
        return "an unknown amount"
    said = change.metric.show_change(change.value)
    if change.low is None or change.high is None:
        return said
    return f"{said} {_bracket(change.metric, change.low, change.high)}"


def _tradeoff(report: SweepReport) -> dict[str, Any] | None:
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
            charts.tradeoff(
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
            (drawing(charts.shape_key(place)), shown(side))
            for place, side in enumerate(sorted({point.side for point in cell_points}))
        ],
        "comparable": report.times_compare,
    }


def _curves(curves: Sequence[Curve]) -> dict[str, Any] | None:
    drawn = [curve for curve in curves if curve.bands][:MOST_PANELS]
    if not drawn:
        return None
    panels = charts.Panels(
        [
            [
                charts.Line(
                    name,
                    band.epochs.tolist(),
                    band.mean.tolist(),
                    band.low.tolist(),
                    band.high.tolist(),
                )
                for name, band in curve.bands.items()
            ]
            for curve in drawn
        ]
    )
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


def _style_sentence(control: StyleControl | None) -> str:
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


def _mistakes(mistakes: Mistakes | None) -> dict[str, Any] | None:
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
