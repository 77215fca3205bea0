"""Error rates of the verdict: how often `compare` cries wolf, and what it finds.

Each repetition is a whole comparison of normal data, judged by `mnist_bench.stats.tests.decide` at
alpha = 0.05: 16 cells, 3 or 5 seeds a side, 1 or 3 gated metrics of which the first one changes.
The metrics are independent of each other, which is the hardest case for Holm. Exits with 1 if false
alarms are more frequent than 5 %, beyond what the finite number of repetitions explains. (Welch's t
errs on the safe side; the paired t is exact, so its rates lie at 5 % and not below.)

In some scenarios a seed moves all its cells together, as real ones do. The last column is why the
suite level takes its means seed by seed: it is the share of false alarms of a suite level that
treats the cells as independent (at its own half of alpha and after Holm, so it should be <= 2.5 %).

    python -m benchmarks.calibration
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import scipy.stats

import mnist_bench
from mnist_bench.metrics import FloatArray
from mnist_bench.stats.tests import Effect, decide, holm, paired, suite, welch, widest_suite

ALPHA = 0.05
CELLS = 16
SEEDS = (3, 5)
METRICS = (1, 3)
RESULTS = Path(__file__).parent / "results" / "calibration.json"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is true in a simulated comparison.

    Attributes:
        name: As printed.
        drop: Loss of the first metric in standard deviations between seeds.
        broken: How many of the cells have this loss.
        shared: Share of the variance that all cells of one seed have in common.
        ragged: The cells do not have the same seeds, so that `compare` takes `widest_suite`.
        kept: Share of the variance that a run has in common with the run of its seed on the other
            side; the two are then compared as a pair, as `--paired` does. None: unpaired.
    """

    name: str
    drop: float = 0.0
    broken: int = 0
    shared: float = 0.0
    ragged: bool = False
    kept: float | None = None


SCENARIOS = (
    Scenario("nothing changed (A/A)"),
    Scenario("all cells 1 SD worse", drop=1, broken=CELLS),
    Scenario("one cell 10 SD worse", drop=10, broken=1),
    Scenario("A/A, 5 % of variance shared", shared=0.05),
    Scenario("A/A, 50 % of variance shared", shared=0.5),
    Scenario("all 1 SD worse, 50 % shared", drop=1, broken=CELLS, shared=0.5),
    Scenario("A/A, 50 % shared, other seeds in each cell", shared=0.5, ragged=True),
    Scenario("paired A/A, seeds mean nothing", kept=0.0),
    Scenario("paired A/A, pairs keep 80 %, 50 % shared", shared=0.5, kept=0.8),
    Scenario(
        "paired, pairs keep 80 %, all 1 SD worse, 50 % shared",
        drop=1,
        broken=CELLS,
        shared=0.5,
        kept=0.8,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Rates of one scenario as shares of the repetitions, and coverage of 95 % intervals.

    Attributes:
        scenario: Its name.
        seeds: Seeds a side.
        metrics: Gated metrics.
        false_alarm: Any alarm, better or worse, on either level, where nothing changed; None if all
            changed.
        found: The loss called worse on either level; None if there is none.
        by_suite: Found by the suite level.
        by_cell: Found by the cell level, in a cell that is broken.
        cell_coverage: Share of the intervals of the first metric's cells that hold the truth.
        suite_coverage: Share of the intervals of its suite.
        independent: False alarms of a suite level that takes the cells as independent; None if
            there was a change.
    """

    scenario: str
    seeds: int
    metrics: int
    false_alarm: float | None
    found: float | None
    by_suite: float | None
    by_cell: float | None
    cell_coverage: float
    suite_coverage: float
    independent: float | None


def noise(rng: np.random.Generator, shape: tuple[int, int, int], shared: float) -> FloatArray:
    """Returns scores (repetitions, cells, seeds) of mean 0 and variance 1."""
    repetitions, _, seeds = shape
    common = rng.standard_normal((repetitions, 1, seeds))
    own = rng.standard_normal(shape)
    return mixed(common, own, shared)


def mixed(common: FloatArray, own: FloatArray, share: float) -> FloatArray:
    """Returns two noises of variance 1 as one, of whose variance `common` has this share."""
    return np.asarray(np.sqrt(share) * common + np.sqrt(1 - share) * own)


def independent_p(cells: Effect) -> FloatArray:
    """Returns the p of the mean over cells (..., cells) that are taken as independent."""
    parts = cells.standard_error**2
    df = parts.sum(axis=-1) ** 2 / np.sum(parts**2 / cells.df, axis=-1)
    error = np.sqrt(parts.sum(axis=-1)) / parts.shape[-1]
    return Effect(cells.gain.mean(axis=-1), error, df).p_value()


def covers(effect: Effect, truth: FloatArray | float) -> float:
    """Returns the share of the 95 % intervals that hold the truth."""
    low, high = effect.interval(1 - ALPHA)
    return float(np.mean((low <= truth) & (truth <= high)))


def simulate(
    rng: np.random.Generator, scenario: Scenario, seeds: int, metrics: int, repetitions: int
) -> Row:
    """Returns the rates over many comparisons of one scenario."""
    shape = (repetitions, CELLS, seeds)
    loss = np.where(np.arange(CELLS) < scenario.broken, scenario.drop, 0.0)
    losses = [loss, *[np.zeros(CELLS)] * (metrics - 1)]
    test = welch if scenario.kept is None else paired
    cells: dict[int, Effect] = {}
    suites: dict[int, Effect] = {}
    for metric, lost in enumerate(losses):
        baseline, own = (noise(rng, shape, scenario.shared) for _ in range(2))
        candidate = mixed(baseline, own, scenario.kept or 0.0) - lost[:, None]
        effect, mean = test(baseline, candidate), suite(baseline, candidate, test)
        assert effect is not None
        assert mean is not None, "a simulation needs two seeds"
        cells[metric] = effect
        suites[metric] = widest_suite(effect) if scenario.ragged else mean

    decisions = list(decide(cells, suites).values())
    wolf = 2 * holm(np.stack([independent_p(effect) for effect in cells.values()], axis=-1))
    false_alarm = np.zeros(repetitions, dtype=bool)
    for lost, decision in zip(losses, decisions, strict=True):
        false_alarm |= np.any(decision.cells_p[:, lost == 0] < ALPHA, axis=-1)
        if not lost.any():
            false_alarm |= decision.suite_p < ALPHA

    first = decisions[0]
    by_suite = (first.suite_p < ALPHA) & (suites[0].gain < 0)
    by_cell = np.any(((first.cells_p < ALPHA) & (cells[0].gain < 0))[:, loss > 0], axis=-1)
    return Row(
        scenario=scenario.name,
        seeds=seeds,
        metrics=metrics,
        false_alarm=None if metrics == 1 and loss.all() else float(np.mean(false_alarm)),
        found=float(np.mean(by_suite | by_cell)) if scenario.broken else None,
        by_suite=float(np.mean(by_suite)) if scenario.broken else None,
        by_cell=float(np.mean(by_cell)) if scenario.broken else None,
        cell_coverage=covers(cells[0], -loss),
        suite_coverage=covers(suites[0], -loss.mean()),
        independent=None if scenario.broken else float(np.mean(np.any(wolf < ALPHA, axis=-1))),
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
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(options.seed)
    rows = [
        simulate(rng, scenario, seeds, metrics, options.repetitions)
        for scenario in SCENARIOS
        for seeds in SEEDS
        for metrics in METRICS
    ]
    record = {
        "alpha": ALPHA,
        "cells": CELLS,
        "repetitions": options.repetitions,
        "seed": options.seed,
        "versions": {
            "mnist_bench": mnist_bench.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "scipy": scipy.__version__,
        },
        "rows": [asdict(row) for row in rows],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    alarms = [row.false_alarm for row in rows if row.false_alarm is not None]
    return int(any(is_above(ALPHA, alarm, options.repetitions) for alarm in alarms))


def is_above(rate: float, observed: float, repetitions: int) -> bool:
    """Returns whether an observed share is above a rate by more than chance (p < 0.001)."""
    count = round(observed * repetitions)
    test = scipy.stats.binomtest(count, repetitions, rate, alternative="greater")
    return bool(test.pvalue < 0.001)


if __name__ == "__main__":
    sys.exit(main())
