"""Error rates of the report's effects: how often its headline and its crossings are chance.

Each repetition is a whole report of normal data, from `mnist_bench.report.effects.effects`: a full
grid of one to three settings, of which the first has 1, 3 or 8 levels beside the one that they are
compared with, and the others two values each. Exits with 1 if more than 5 % of the reports say
anything that is not so, beyond what the finite number of repetitions explains.

The column `unadjusted` is what a headline errs that picks the largest change and shows the 95 %
interval of a single comparison, by the same test.

The test takes the degrees of freedom from the data, so the level is exact neither where two levels
vary alike (it errs less) nor where one varies 10 times as much: of reports with the fewest
comparisons, one level at 3 seeds, 6.0 % err then (of 4,000).

    python -m benchmarks.headlines
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.calibration import is_above, versions
from mnist_bench.disturbance import Timing
from mnist_bench.metrics import FloatArray
from mnist_bench.report.cells import BATCH, OPTIMIZER, WIDTH, Cell
from mnist_bench.report.effects import ACCURACY, ALPHA, SECONDS, Change, Effects, effects
from mnist_bench.selection.samples import Sample

SEEDS = (3, 5)
LEVELS = (1, 3, 8)
SETTINGS = (1, 2, 3)
KEYS = (WIDTH, OPTIMIZER, BATCH)
DEVIATION = {ACCURACY: 0.001, SECONDS: 0.05}
"""Standard deviation between seeds, of a share and of a logarithm."""

FACTS = {"host_fp": "one", "machine": "one", "threads": "2", "timing": Timing.alone}
RESULTS = Path(__file__).parent / "results" / "headlines.json"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is true in a simulated report.

    Attributes:
        name: As printed.
        gains: What the last level of the first setting gains in accuracy, in standard deviations
            between seeds, where the second setting has its first value, and where its second one.
        wild: How many times as much as the others the last level varies.
        shared: Share of the variance that all cells of one seed and level have in common.
    """

    name: str
    gains: tuple[float, float] = (0.0, 0.0)
    wild: float = 1.0
    shared: float = 0.0


NULL = Scenario("nothing matters")
OTHERS = (
    Scenario("nothing matters, 50 % of variance shared", shared=0.5),
    Scenario("nothing matters, one level varies 5 times as much", wild=5),
    Scenario("10 SD better at one value, nothing elsewhere", gains=(10, 0)),
    Scenario("5 SD better", gains=(5, 5)),
    Scenario("5 SD better at one value, 5 SD worse at another", gains=(5, -5)),
    Scenario("10 SD better at one value, 10 SD worse at another", gains=(10, -10)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Rates of one scenario as shares of the reports.

    Attributes:
        scenario: Its name.
        settings: How many are swept.
        levels: Of the first one, beside that which they are compared with.
        seeds: Of each cell.
        comparisons: Intervals that hold together.
        unadjusted: A headline's interval misses the truth, if it is that of one comparison.
        headline: A headline's interval misses the truth.
        any_interval: An interval of any mean change does.
        false_crossing: A crossing is told that is none.
        false_anything: One of the last two.
        found: A headline says better of a level that is, or a crossing is told where there is one;
            None if nothing matters.
    """

    scenario: str
    settings: int
    levels: int
    seeds: int
    comparisons: int
    unadjusted: float
    headline: float
    any_interval: float
    false_crossing: float
    false_anything: float
    found: float | None


def reported(scenario: Scenario, axes: Mapping[str, tuple[str, ...]], noise: FloatArray) -> Effects:
    """Returns the effects of a report with this noise, (metrics, cells, seeds)."""
    last, second = axes[WIDTH][-1], axes.get(OPTIMIZER, ("",))[0]
    cells = []
    for place, values in enumerate(product(*axes.values())):
        settings = dict(zip(axes, values, strict=True))
        gain = 0.0
        if settings[WIDTH] == last:
            gain = scenario.gains[settings.get(OPTIMIZER, "") != second]
        accuracies = 0.9 + DEVIATION[ACCURACY] * (gain + noise[0, place])
        seconds = np.exp(DEVIATION[SECONDS] * noise[1, place])
        runs = [
            Sample(
                run_id="",
                name="",
                cell="",
                seed=seed,
                start_ms=0,
                failure="",
                settings=settings,
                facts=FACTS,
                metrics={ACCURACY.name: accuracy, SECONDS.name: time},
                parent_run_id="",
            )
            for seed, (accuracy, time) in enumerate(
                zip(accuracies.tolist(), seconds.tolist(), strict=True)
            )
        ]
        cells.append(Cell("", settings, "", tuple(runs), ()))
    return effects(cells, axes)


def noise(
    rng: np.random.Generator,
    scenario: Scenario,
    axes: Mapping[str, tuple[str, ...]],
    seeds: int,
) -> FloatArray:
    """Returns scores (metrics, cells, seeds) of mean 0, the first setting slowest."""
    levels, rest = len(axes[WIDTH]), 2 ** (len(axes) - 1)
    common = rng.standard_normal((2, levels, 1, seeds))
    own = rng.standard_normal((2, levels, rest, seeds))
    made = np.sqrt(scenario.shared) * common + np.sqrt(1 - scenario.shared) * own
    made[:, -1] *= scenario.wild
    return made.reshape(2, levels * rest, seeds)


def judged(report: Effects, true: Effects) -> tuple[bool, ...]:
    """Returns what holds of a report, in the order of the last fields of `Row`.

    Args:
        report: With noise.
        true: The same without.
    """
    truths = {(c.metric, c.key, c.level): c.value for c in true.changes}

    def errs(change: Change) -> bool:
        low, high = change.interval or (-np.inf, np.inf)
        return not low <= (truths[change.metric, change.key, change.level] or 0.0) <= high

    keys = dict.fromkeys(change.key for change in report.changes)
    headlines = [report.headline(key)[0] for key in keys]
    largest = [
        max((c for c in report.changes if c.key == key and c.metric is ACCURACY), key=size)
        for key in keys
    ]
    missed = any(map(errs, report.changes))
    real, told = turnings(true), turnings(report)
    better = {(c.key, c.level) for c in headlines if c.direction > 0}
    truly = {(c.key, c.level) for c in true.changes if c.metric is ACCURACY and c.direction > 0}
    return (
        any(errs(replace(change, confidence=1 - ALPHA)) for change in largest),
        any(map(errs, headlines)),
        missed,
        bool(told - real),
        missed or bool(told - real),
        bool(told & real if real else better & truly),
    )


def size(change: Change) -> float:
    """Returns how large a change is, whatever its sign."""
    return abs(change.value or 0.0)


def turnings(report: Effects) -> set[tuple[str, ...]]:
    """Returns what the crossings of a report say."""
    return {(c.mean.key, c.mean.level, c.other, c.better[0], c.worse[0]) for c in report.crossings}


def simulate(
    rng: np.random.Generator,
    scenario: Scenario,
    settings: int,
    levels: int,
    seeds: int,
    repetitions: int,
) -> Row:
    """Returns the rates over many reports of one scenario."""
    names = tuple(map(str, range(levels + 1)))
    axes = {key: names if key == WIDTH else names[:2] for key in KEYS[:settings]}
    silence = np.zeros((2, len(names) * 2 ** (settings - 1), seeds))
    true = reported(scenario, axes, silence)
    reports = (
        reported(scenario, axes, noise(rng, scenario, axes, seeds)) for _ in range(repetitions)
    )
    *errors, found = np.mean([judged(report, true) for report in reports], axis=0).tolist()
    return Row(
        scenario.name,
        settings,
        levels,
        seeds,
        true.means_tested + true.places_tested,
        *errors,
        found=found if any(scenario.gains) else None,
    )


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as an aligned table, rates in percent."""
    text = [[field.name for field in fields(Row)]]
    for row in rows:
        values = asdict(row).values()
        text.append(
            [f"{v:.2%}" if isinstance(v, float) else "-" if v is None else str(v) for v in values]
        )
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    return "\n".join(
        f"{name:{widths[0]}}  " + "  ".join(map(str.rjust, values, widths[1:]))
        for name, *values in text
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(options.seed)
    cases = [*product([NULL], SETTINGS, LEVELS), *product(OTHERS, (2,), (3,))]
    rows = [simulate(rng, *case, seeds, options.repetitions) for case in cases for seeds in SEEDS]
    record = {
        "alpha": ALPHA,
        "repetitions": options.repetitions,
        "seed": options.seed,
        "versions": versions(),
        "rows": [asdict(row) for row in rows],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    return int(any(is_above(ALPHA, row.false_anything, options.repetitions) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
