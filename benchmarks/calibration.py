"""Error rates of the verdict: how often `compare` cries wolf, and what makes it exit with 1.

Each repetition is a whole comparison: all cells of all gated metrics, means and single runs, at
alpha = 0.05, with the functions that `compare` calls (a test sees that both give one exit code).
Scores are in standard deviations between seeds, and a loss matters from half a deviation on. The
gates are independent of each other, which is the hardest case for Holm; the first is an accuracy,
the second a loss, the third another loss. Three tables:

- nothing changed: any alarm (better or worse, mean or single run) and exit code 1, at most 5 %;
- something is worse: how often that is exit code 1, and what found it;
- what is not promised, and what simpler methods would do.

Exits with 1 if an alarm or exit code 1 of the first table is more frequent than 5 %, beyond what
the finite number of repetitions explains.

    python -m benchmarks.calibration
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

import mnist_bench
from mnist_bench.metrics import FloatArray
from mnist_bench.stats.single_runs import BoolArray, SingleRuns, adjusted
from mnist_bench.stats.tests import (
    Effect,
    cell_weights,
    decide,
    holm,
    paired,
    seed_means,
    spread_of,
    unpaired,
    welch,
    widest_suite,
)

ALPHA = 0.05
MARGIN = 0.5
CHANCE = -440.0
"""Of the accuracy, in deviations below its mean: 98 % with a deviation of 0.2 points."""

UNSTABLE = "a cell collapses in {:.0%} of its runs, of the baseline's too"

PERFECT = 10.0
"""Likewise, above it."""

MOST_NUMBERS = 2_000_000
"""That are drawn at a time, for want of memory."""

RESULTS = Path(__file__).parent / "results" / "calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is true in a simulated comparison.

    Attributes:
        name: As printed.
        seeds: Of baseline and candidate.
        cells: How many.
        gates: Gated metrics; what is said of a loss is true of the first.
        noise: `normal`, `heavy` (Student's t of 3 degrees) or `skewed` (exponential, to the worse),
            all of variance 1.
        shared: Share of the variance that all cells of one seed have in common.
        kept: Share of the variance that a run has in common with the run of its seed on the other
            side.
        common: How many seeds both sides have in common; None: all that can be.
        is_paired: Whether these are compared as pairs, as `--paired` does.
        is_ragged: The cells do not have the same seeds.
        wild: How many cells vary 50 times as much as the others.
        step: In which scores are known.
        unstable: Share of the runs of the first cell that end at chance, on both sides.
        is_known_unstable: Whether the baseline's first run is one of them.
        is_time: The sample is a turn of a time: single runs are not looked at.
        slow: Chance that a sample is 75 % slower than the others (28 deviations of 2 %).
        drift: Correlation of a sample with the one before it, of the other side's turn.
        chance: The score of guessing, of the first gate.
        perfect: The score of no error, likewise.
        drop: Loss in deviations.
        broken: How many cells have it; None: all.
        collapsed: How many runs of the first cell are at chance, of the candidate.
        spread: How many times as much the candidate's runs of the first cell vary.
        looks: Numbers of seeds a side after which somebody looks, until there is an alarm.
        look_alpha: Alpha of each look.
    """

    name: str
    seeds: tuple[int, int] = (5, 5)
    cells: int = 16
    gates: int = 2
    noise: str = "normal"
    shared: float = 0.0
    kept: float = 0.0
    common: int | None = None
    is_paired: bool = False
    is_ragged: bool = False
    wild: int = 0
    step: float = 0.0
    unstable: float = 0.0
    is_known_unstable: bool = False
    is_time: bool = False
    slow: float = 0.0
    drift: float = 0.0
    chance: float = CHANCE
    perfect: float = PERFECT
    drop: float = 0.0
    broken: int | None = None
    collapsed: int = 0
    spread: float = 1.0
    looks: tuple[int, ...] = ()
    look_alpha: float = ALPHA


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of each repetition, (repetitions,) bool each.

    Attributes:
        alarm: Any alarm, better or worse.
        failed: Exit code 1.
        by_suite: A mean over all cells is worse, by the margin at least.
        by_cell: A mean of a cell is.
        by_run: Single runs are.
    """

    alarm: BoolArray
    failed: BoolArray
    by_suite: BoolArray
    by_cell: BoolArray
    by_run: BoolArray


Sides = list[tuple[FloatArray, FloatArray]]
"""Baseline and candidate, (repetitions, cells, seeds) each, one a gate."""


NOTHING = Scenario(name="nothing changed")


def a_a() -> Iterator[Scenario]:
    """Yields the cases in which nothing changed."""
    yield from _numbers_of_seeds()
    yield from _tails()
    yield from _dependent_cells_and_runs()
    yield from _odd_cells()
    yield from _times()
    looks = (3, 5, 7, 10)
    name = "4 looks while seeds are added, --alpha 0.0125 each"
    for cells in (1, 16):
        yield replace(NOTHING, name=name, cells=cells, looks=looks, look_alpha=ALPHA / len(looks))


def _numbers_of_seeds() -> Iterator[Scenario]:
    for seeds in (2, 3, 5, 10):
        for cells, gates in ((1, 1), (1, 2), (16, 1), (16, 2), (16, 3), (64, 2)):
            yield replace(NOTHING, seeds=(seeds, seeds), cells=cells, gates=gates)
    for seeds in (3, 5):
        yield replace(NOTHING, seeds=(seeds, seeds), cells=256)
    for unequal in ((10, 2), (10, 3), (30, 3), (5, 2), (2, 5), (2, 10), (3, 30), (10, 1)):
        for cells, gates in ((1, 1), (16, 3)):
            yield replace(NOTHING, name="unequal seeds", seeds=unequal, cells=cells, gates=gates)


def _tails() -> Iterator[Scenario]:
    for noise in ("heavy", "skewed"):
        for seeds in ((2, 2), (3, 3), (5, 5), (10, 10), (10, 2), (30, 3)):
            for cells in (1, 16):
                yield replace(NOTHING, name=f"{noise} tails", noise=noise, seeds=seeds, cells=cells)


def _dependent_cells_and_runs() -> Iterator[Scenario]:
    for shared in (0.05, 0.5, 1.0):
        name = f"{shared:.0%} of variance shared by the cells"
        for seeds in ((3, 3), (5, 5), (10, 3)):
            yield replace(NOTHING, name=name, shared=shared, seeds=seeds)
    for seeds in ((3, 3), (5, 5), (10, 2)):
        name = "half shared, other seeds in each cell"
        yield replace(NOTHING, name=name, shared=0.5, is_ragged=True, seeds=seeds)
    for seeds, common in (((5, 5), 5), ((5, 5), 2), ((10, 5), 5), ((10, 3), 3)):
        name = f"{common} seeds in common that keep 80 %"
        yield replace(NOTHING, name=name, kept=0.8, common=common, shared=0.5, seeds=seeds)
    for seeds in (2, 3, 5):
        for kept in (0.0, 0.8):
            name = f"--paired, pairs keep {kept:.0%}"
            both = (seeds, seeds)
            yield replace(NOTHING, name=name, is_paired=True, kept=kept, shared=0.5, seeds=both)


def _odd_cells() -> Iterator[Scenario]:
    for step in (1.0, 4.0):
        for seeds, cells in ((2, 64), (3, 16), (5, 1), (10, 16)):
            name = f"ties: known in steps of {step:g} SD"
            yield replace(NOTHING, name=name, step=step, seeds=(seeds, seeds), cells=cells)
    for wild in (1, 4):
        for seeds in ((2, 2), (3, 3), (5, 5), (10, 3)):
            name = f"{wild} of 16 cells vary 50 times as much"
            yield replace(NOTHING, name=name, wild=wild, seeds=seeds)
    for mean, deviation in ((0.3, 0.08), (0.6, 0.1), (0.8, 0.05), (0.9, 0.02)):
        ends = {"chance": (0.1 - mean) / deviation, "perfect": (1 - mean) / deviation}
        for seeds, cells in (((1, 1), 16), ((2, 2), 16), ((3, 3), 16), ((5, 5), 16), ((10, 1), 1)):
            name = f"an accuracy of {mean:.0%} that varies by {deviation:.0%}"
            yield replace(NOTHING, name=name, seeds=seeds, cells=cells, **ends)
    for unstable in (0.1, 0.5):
        known = replace(NOTHING, name=UNSTABLE, unstable=unstable, is_known_unstable=True)
        yield replace(known, name=UNSTABLE.format(unstable))
        yield replace(known, name=UNSTABLE.format(unstable), seeds=(10, 10))
        yield replace(known, name=UNSTABLE.format(unstable), seeds=(10, 3))


def _times() -> Iterator[Scenario]:
    for turns in (3, 5, 10):
        times = Scenario(name="", seeds=(turns, turns), cells=2, gates=1, is_time=True)
        for slow, drift in ((0.0, 0.0), (0.3, 0.0), (0.5, 0.0), (0.3, 0.8)):
            name = f"times by turns, slow in {slow:.0%}" + (", drifting" if drift else "")
            yield replace(times, name=name, slow=slow, drift=drift, shared=0.8)


def losses() -> Iterator[Scenario]:
    """Yields the cases in which the first metric is worse."""
    for seeds, gates in ((2, 2), (3, 1), (3, 2), (5, 1), (5, 2), (5, 3), (10, 2)):
        both = (seeds, seeds)
        yield Scenario(name="all cells 1 SD worse", drop=1, seeds=both, gates=gates)
    for seeds in (3, 5, 10):
        both = (seeds, seeds)
        yield Scenario(name="all 1 SD worse, half shared", drop=1, shared=0.5, seeds=both)
        name = "the same, --paired, pairs keep 80 %"
        pairs = Scenario(name=name, drop=1, shared=0.5, kept=0.8, is_paired=True)
        yield replace(pairs, seeds=both)
    for unequal in ((10, 2), (10, 3), (30, 3)):
        yield Scenario(name="all cells 1 SD worse", drop=1, seeds=unequal)
    for seeds in (3, 5):
        both = (seeds, seeds)
        yield Scenario(name="one cell 10 SD worse", drop=10, broken=1, seeds=both)
        yield Scenario(name="all 2 SD worse, 1 cell varies 50x", drop=2, wild=1, seeds=both)
        yield Scenario(name="a cell's spread 20 times as wide", spread=20, seeds=both)
        one = Scenario(name="the spread of the only cell 20 times as wide", spread=20, cells=1)
        yield replace(one, seeds=both)
    for collapsed in (1, 2, 3, 4, 5):
        yield Scenario(name=f"{collapsed} of 5 runs of a cell at chance", collapsed=collapsed)
    yield Scenario(name="1 new run at chance against 10", collapsed=1, seeds=(10, 1))
    yield Scenario(name="1 run each, it is at chance", collapsed=1, seeds=(1, 1), cells=1)
    for turns in (3, 5, 10):
        name = "times by turns 20 % slower, slow in 30 %"
        times = Scenario(name=name, seeds=(turns, turns), cells=2, gates=1, is_time=True)
        yield replace(times, slow=0.3, shared=0.8, drop=9)


def exceptions() -> Iterator[tuple[Scenario, "Judge"]]:
    """Yields what is not promised and what simpler methods would do, where nothing changed."""
    yield Scenario(name="not promised: 4 looks while seeds are added", looks=(3, 5, 7, 10)), judge
    for unstable in (0.02, 0.1):
        name = f"not promised: a cell collapses in {unstable:.0%} of its runs"
        yield Scenario(name=name, unstable=unstable), judge
    half = Scenario(name="", unstable=0.5, is_known_unstable=True, seeds=(3, 3))
    yield replace(half, name=f"not promised: {UNSTABLE.format(0.5)}"), judge
    for unequal in ((5, 2), (10, 2), (30, 3)):
        yield Scenario(name="Welch's error alone", seeds=unequal, gates=3), _judge_by_welch
    for shared in (0.05, 0.5):
        name = f"cells taken as independent, {shared:.0%} shared"
        yield Scenario(name=name, shared=shared, gates=3), _judge_as_independent
    name = "seeds as samples of time, a sweep slow in 30 %"
    times = Scenario(name=name, is_time=True, cells=2, gates=1, slow=0.3, shared=0.8)
    yield times, _judge_two_sweeps


# Drawing


def draw(rng: np.random.Generator, scenario: Scenario, repetitions: int) -> Sides:
    """Returns the scores of all gates."""
    return [_draw_gate(rng, scenario, repetitions, gate) for gate in range(scenario.gates)]


def _draw_gate(
    rng: np.random.Generator, scenario: Scenario, repetitions: int, gate: int
) -> tuple[FloatArray, FloatArray]:
    n, m = scenario.seeds
    deviations = np.where(np.arange(scenario.cells) < scenario.wild, 50.0, 1.0)[:, None]
    baseline, candidate = (_noise(rng, scenario, repetitions, seeds) for seeds in (n, m))
    if scenario.kept:
        common = min(n, m) if scenario.common is None else scenario.common
        alike = _mixed(baseline[..., :common], candidate[..., :common], scenario.kept)
        candidate = np.concatenate([alike, candidate[..., common:]], axis=-1)
    if scenario.slow or scenario.drift:
        baseline, candidate = _with_regimes(rng, scenario, baseline, candidate)
    if gate == 0:
        candidate[:, 0] *= scenario.spread
        broken = scenario.cells if scenario.broken is None else scenario.broken
        candidate[:, :broken] -= scenario.drop
    baseline, candidate = baseline * deviations, candidate * deviations
    if scenario.step:
        baseline, candidate = (
            np.round(s / scenario.step) * scenario.step for s in (baseline, candidate)
        )
    if gate == 0:
        for side in (baseline, candidate):
            collapses = rng.random((repetitions, side.shape[-1])) < scenario.unstable
            collapses[:, 0] |= scenario.is_known_unstable and side is baseline
            side[:, 0][collapses] = scenario.chance
        candidate[:, 0, : scenario.collapsed] = scenario.chance
    return baseline, candidate


def _noise(
    rng: np.random.Generator, scenario: Scenario, repetitions: int, seeds: int
) -> FloatArray:
    """Returns scores (repetitions, cells, seeds) of mean 0 and variance 1."""
    sizes = ((repetitions, 1, seeds), (repetitions, scenario.cells, seeds))
    common, own = (_draw_noise(rng, scenario.noise, size) for size in sizes)
    return _mixed(common, own, scenario.shared)


def _draw_noise(rng: np.random.Generator, noise: str, size: tuple[int, ...]) -> FloatArray:
    if noise == "heavy":
        return np.asarray(rng.standard_t(3, size) / np.sqrt(3))
    if noise == "skewed":
        return 1 - rng.exponential(size=size)
    return rng.standard_normal(size)


def _mixed(common: FloatArray, own: FloatArray, share: float) -> FloatArray:
    """Returns two noises of variance 1 as one, of whose variance `common` has this share."""
    return np.asarray(np.sqrt(share) * common + np.sqrt(1 - share) * own)


def _with_regimes(
    rng: np.random.Generator, scenario: Scenario, baseline: FloatArray, candidate: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Returns the scores of turns, taken one by one, some of them in a slow moment."""
    repetitions, turns = baseline.shape[0], baseline.shape[-1] + candidate.shape[-1]
    moments = rng.standard_normal((repetitions, 1, turns))
    for turn in range(1, turns):
        before, own = moments[..., turn - 1], moments[..., turn]
        moments[..., turn] = scenario.drift * before + np.sqrt(1 - scenario.drift**2) * own
    is_slow = moments > scipy.stats.norm.isf(scenario.slow)
    lost = np.where(is_slow, np.log(1.75) / 0.02, 0.0)
    return baseline - lost[..., ::2], candidate - lost[..., 1::2]


# Judging


def judge(scenario: Scenario, sides: Sides, alpha: float = ALPHA) -> Verdicts:
    """Returns what `compare` says of whole comparisons."""
    means = _judge_means(scenario, sides, alpha) if min(scenario.seeds) > 1 else None
    runs = _judge_runs(scenario, sides, alpha)
    if means is None:
        nothing = np.zeros_like(runs)
        return Verdicts(runs, runs, nothing, nothing, runs)
    alarm, by_suite, by_cell = means
    return Verdicts(alarm | runs, by_suite | by_cell | runs, by_suite, by_cell, runs)


Judge = Callable[[Scenario, Sides], Verdicts]


def _judge_means(
    scenario: Scenario, sides: Sides, alpha: float
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Returns any alarm, and what is worse by the margin: over all cells, in one."""
    test = paired if scenario.is_paired else unpaired
    cells, suites = {}, {}
    for gate, (before, after) in enumerate(sides):
        cells[gate] = _known(test(before, after, scenario.step))
        weights = cell_weights(spread_of(before, after, is_paired=scenario.is_paired))
        if scenario.is_ragged:
            suites[gate] = widest_suite(cells[gate], weights)
        else:
            means = (seed_means(side, weights) for side in (before, after))
            suites[gate] = _known(test(*means, scenario.step))
    decisions = decide(cells, suites)
    suite_p = np.stack([decision.suite_p for decision in decisions.values()], axis=-1)
    cells_p = np.concatenate([decision.cells_p for decision in decisions.values()], axis=-1)
    suite_gain = np.stack([effect.gain for effect in suites.values()], axis=-1)
    cell_gain = np.concatenate([effect.gain for effect in cells.values()], axis=-1)
    alarm = (suite_p < alpha).any(axis=-1) | (cells_p < alpha).any(axis=-1)
    by_suite = ((suite_p < alpha) & (suite_gain <= -MARGIN)).any(axis=-1)
    by_cell = ((cells_p < alpha) & (cell_gain <= -MARGIN)).any(axis=-1)
    return alarm, by_suite, by_cell


def _judge_runs(scenario: Scenario, sides: Sides, alpha: float) -> BoolArray:
    """Returns whether single runs are worse than the baseline's allow."""
    if scenario.is_time:
        return np.zeros(sides[0][0].shape[0], dtype=bool)
    runs = [
        SingleRuns(
            before=before,
            after=after,
            margin=MARGIN,
            step=scenario.step,
            chance=None if gate else scenario.chance,
            perfect=scenario.perfect,
        )
        for gate, (before, after) in enumerate(sides)
    ]
    repetitions = sides[0][0].shape[0]
    outside = adjusted(
        np.concatenate([one.outlying_p().reshape(repetitions, -1) for one in runs], axis=-1)
    )
    wider = adjusted(np.concatenate([one.wider_p() for one in runs], axis=-1))
    collapsed = runs[0].have_certainly_collapsed().any(axis=(-2, -1))
    return collapsed | (outside < alpha).any(axis=-1) | (wider < alpha).any(axis=-1)


def _known(effect: Effect | None) -> Effect:
    assert effect is not None, "a simulation of means needs two seeds a side"
    return effect


def _alarms(p: FloatArray) -> Verdicts:
    alarm = (p < ALPHA).any(axis=-1)
    return Verdicts(*[alarm] * 5)


def _judge_by_welch(scenario: Scenario, sides: Sides) -> Verdicts:
    cells = {gate: _known(welch(*pair)) for gate, pair in enumerate(sides)}
    means = {
        gate: _known(welch(*(side.mean(axis=-2) for side in pair)))
        for gate, pair in enumerate(sides)
    }
    decided = decide(cells, means).values()
    both = [np.concatenate([d.cells_p, d.suite_p[..., None]], axis=-1) for d in decided]
    return _alarms(np.concatenate(both, axis=-1))


def _judge_as_independent(scenario: Scenario, sides: Sides) -> Verdicts:
    p = []
    for pair in sides:
        cells = _known(unpaired(*pair))
        parts = cells.standard_error**2
        df = parts.sum(axis=-1) ** 2 / np.sum(parts**2 / cells.df, axis=-1)
        error = np.sqrt(parts.sum(axis=-1)) / parts.shape[-1]
        p.append(Effect(cells.gain.mean(axis=-1), error, df).p_value())
    return _alarms(holm(np.stack(p, axis=-1)))


def _judge_two_sweeps(scenario: Scenario, sides: Sides) -> Verdicts:
    """Returns the verdicts where the first turn is a whole sweep, of as many seeds."""
    pairs = []
    for before, after in sides:
        seeds = np.random.default_rng(0).standard_normal((2, *before.shape))
        # All seeds of a sweep are as slow as its first, and vary by themselves beside that.
        pairs.append(tuple(s[..., :1] + own for s, own in zip((before, after), seeds, strict=True)))
    return judge(scenario, pairs)


# Rates


def simulate(
    rng: np.random.Generator, scenario: Scenario, repetitions: int, by: Judge = judge
) -> dict[str, float]:
    """Returns how often what happened, as shares of the repetitions."""
    numbers = scenario.gates * scenario.cells * sum(_most_seeds(scenario))
    most = max(1, MOST_NUMBERS // numbers)
    sizes = [most] * (repetitions // most) + [repetitions % most]
    found = [_verdicts(rng, scenario, size, by) for size in sizes if size]
    return {
        name: float(np.concatenate([getattr(verdicts, name) for verdicts in found]).mean())
        for name in ("alarm", "failed", "by_suite", "by_cell", "by_run")
    }


def _most_seeds(scenario: Scenario) -> tuple[int, int]:
    return (max(scenario.looks),) * 2 if scenario.looks else scenario.seeds


def _verdicts(
    rng: np.random.Generator, scenario: Scenario, repetitions: int, by: Judge
) -> Verdicts:
    if not scenario.looks:
        return by(scenario, draw(rng, scenario, repetitions))
    sides = draw(rng, replace(scenario, seeds=_most_seeds(scenario)), repetitions)
    looked = [
        judge(
            replace(scenario, seeds=(seeds, seeds)),
            [(before[..., :seeds], after[..., :seeds]) for before, after in sides],
            scenario.look_alpha,
        )
        for seeds in scenario.looks
    ]
    names = ("alarm", "failed", "by_suite", "by_cell", "by_run")
    return Verdicts(*(np.any([getattr(one, name) for one in looked], axis=0) for name in names))


def rows(
    seed: int, scenarios: Iterable[tuple[Scenario, Judge]], repetitions: int
) -> list[dict[str, Any]]:
    """Returns the rates of each scenario, and prints them as they come."""
    made = []
    for number, (scenario, by) in enumerate(scenarios):
        rates = simulate(np.random.default_rng((seed, number)), scenario, repetitions, by)
        seeds = scenario.looks or scenario.seeds
        row = {"scenario": scenario.name, "seeds": list(seeds), "cells": scenario.cells}
        made.append({**row, "gates": scenario.gates, **rates})
        printed = "  ".join(f"{name} {rate:6.2%}" for name, rate in rates.items())
        where = f"{'/'.join(map(str, seeds))} seeds, {scenario.cells} x {scenario.gates}"
        print(f"{scenario.name:70} {where:24} {printed}", flush=True)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)

    tables = {
        name: rows(options.seed, scenarios, options.repetitions)
        for name, scenarios in (
            ("nothing changed", ((scenario, judge) for scenario in a_a())),
            ("something is worse", ((scenario, judge) for scenario in losses())),
            ("not promised", exceptions()),
        )
    }
    record = {
        "alpha": ALPHA,
        "margin": MARGIN,
        "repetitions": options.repetitions,
        "seed": options.seed,
        "versions": versions(),
        "tables": tables,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    worst = max(row[rate] for row in tables["nothing changed"] for rate in ("alarm", "failed"))
    print(f"nothing changed: at most {worst:.2%}")
    return int(is_above(ALPHA, worst, options.repetitions))


def versions() -> dict[str, str]:
    """Returns what a simulated rate needs beside it."""
    return {
        "mnist_bench": mnist_bench.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "scipy": scipy.__version__,
    }


def is_above(rate: float, observed: float, repetitions: int) -> bool:
    """Returns whether an observed share is above a rate by more than chance (p < 0.001)."""
    count = round(observed * repetitions)
    test = scipy.stats.binomtest(count, repetitions, rate, alternative="greater")
    return bool(test.pvalue < 0.001)


if __name__ == "__main__":
    sys.exit(main())
