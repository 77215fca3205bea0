"""What each level of a swept setting does to accuracy and time."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from mnist_bench.compare.comparable import obstacle
from mnist_bench.metrics import FloatArray, Metric, Use, used_for
from mnist_bench.report.cells import BATCH, OPTIMIZER, WIDTH, Cell, all_else
from mnist_bench.stats.tests import paired, seed_means, suite
from mnist_bench.text import ordered

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Change:
    """What one level of a setting does to a metric, against the first level.

    Attributes:
        metric: Which.
        key: The setting.
        first: Its first level.
        level: The one that is compared with it.
        cells: Pairs of cells that differ in the setting alone.
        seeds: Seeds of each pair.
        left_out: Pairs of cells that do not count, since a run of theirs has no result.
        value: Mean change: a difference, or a share where the metric's scale is a log one; None
            without any pair.
        interval: Ends of its interval over seeds; None with fewer than two seeds.
        extremes: Changes of the pairs of cells and seed with the least and the greatest.
    """

    metric: Metric
    key: str
    first: str
    level: str
    cells: int = 0
    seeds: int = 0
    left_out: int = 0
    value: float | None = None
    interval: tuple[float, float] | None = None
    extremes: tuple[float, float] = (0.0, 0.0)

    @property
    def has_pairs(self) -> bool:
        """Whether there are cells that differ in the setting alone, with a result or without."""
        return bool(self.cells or self.left_out)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Mean test accuracy by width and batch size, of one optimizer.

    Attributes:
        values: (width, batch size) -> mean over runs, and how many they are.
        alike: Whether they are runs of the same settings of all else and seeds in all squares.
    """

    optimizer: str
    widths: tuple[str, ...]
    batches: tuple[str, ...]
    values: Mapping[tuple[str, str], tuple[float, int]]
    alike: bool


def changes(cells: Sequence[Cell], key: str, axes: Mapping[str, tuple[str, ...]]) -> list[Change]:
    """Returns what each level of a setting does to accuracy and time, against the first level.

    Only cells that differ in this setting alone are compared, and in them only runs of one seed.
    The axes are all settings that vary, with their values.
    """
    groups: dict[object, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        if key in cell.settings:
            groups[all_else(cell, key, axes)][cell.settings[key]] = cell
    first, *others = axes[key]
    return [
        _change(
            Change(metric, key, first, level),
            [(g[first], g[level]) for g in groups.values() if g.keys() >= {first, level}],
        )
        for level in others
        for metric in used_for(Use.lead).values()
    ]


def _change(empty: Change, pairs: Sequence[tuple[Cell, Cell]]) -> Change:
    metric = empty.metric
    scores = [_paired_scores(metric, *pair) for pair in pairs]
    chosen, seeds = _largest_block([set(found) for found in scores])
    if not seeds:
        return replace(empty, left_out=len(pairs))
    table = np.array([[scores[place][seed] for seed in seeds] for place in chosen])
    before, after = np.moveaxis(table, -1, 0)
    gains = after - before
    effect = suite(before, after, paired)
    mean = seed_means(gains).mean() if effect is None else effect.gain
    return replace(
        empty,
        cells=len(chosen),
        seeds=len(seeds),
        left_out=len(pairs) - len(chosen),
        value=float(metric.scale.change(mean)),
        interval=None if effect is None else _changes(metric, effect.interval(CONFIDENCE)),
        extremes=_changes(metric, (gains.min(), gains.max())),
    )


def _paired_scores(metric: Metric, before: Cell, after: Cell) -> dict[int, FloatArray]:
    """Returns the scores of both cells by seed, where both have one that compares."""
    seeds = {run.seed: run for run in after.runs}
    pairs = [(run, seeds[run.seed]) for run in before.runs if run.seed in seeds]
    return {
        pair[0].seed: metric.scale.scores([run.metrics[metric.name] for run in pair])
        for pair in pairs
        if not obstacle(metric, pair)
    }


def _largest_block(known: Sequence[set[int]]) -> tuple[list[int], list[int]]:
    """Returns the places and seeds of the largest full table, of which every seed is in each place.

    So a cell that failed does not cost a seed, nor a seed that was begun last all cells.
    """
    counts = Counter(chain(*known))
    often = sorted(counts, key=lambda seed: (-counts[seed], seed))
    blocks = [
        ([place for place, seeds in enumerate(known) if seeds >= set(often[:size])], often[:size])
        for size in range(1, len(often) + 1)
    ]
    places, seeds = max(blocks, key=lambda b: (len(b[0]) * len(b[1]), len(b[1])), default=([], []))
    return places, sorted(seeds)


def _changes(metric: Metric, gains: tuple[ArrayLike, ArrayLike]) -> tuple[float, float]:
    """Returns the changes that two gains mean, the lower one first."""
    low, high = sorted(float(metric.scale.change(gain)) for gain in gains)
    return low, high


def heat_maps(cells: Sequence[Cell]) -> list[HeatMap]:
    """Returns the mean test accuracy over width and batch size, a map an optimizer.

    The mean is over the points, settings of all else with a seed, that every square of the map
    has a result at; where there is none, over whatever each square has.
    """
    widths, batches, optimizers = (
        tuple(ordered({cell.settings[key] for cell in cells if key in cell.settings}))
        for key in (WIDTH, BATCH, OPTIMIZER)
    )
    return [_heat_map(cells, optimizer, widths, batches) for optimizer in optimizers]


def _heat_map(
    cells: Sequence[Cell], optimizer: str, widths: tuple[str, ...], batches: tuple[str, ...]
) -> HeatMap:
    squares: dict[tuple[str, str], dict[object, float]] = defaultdict(dict)
    for cell in cells:
        if cell.settings.get(OPTIMIZER) == optimizer and cell.runs:
            square = squares[cell.settings.get(WIDTH, ""), cell.settings.get(BATCH, "")]
            rest = {k: v for k, v in cell.settings.items() if k not in (WIDTH, BATCH)}
            point = frozenset(rest.items()), cell.data_fp
            square |= {(point, run.seed): run.metrics["test_accuracy"] for run in cell.runs}
    common = set.intersection(*map(set, squares.values())) if squares else set()
    found = {
        place: [accuracy for point, accuracy in square.items() if point in common or not common]
        for place, square in squares.items()
    }
    values = {place: (float(np.mean(known)), len(known)) for place, known in found.items()}
    return HeatMap(optimizer, widths, batches, values, alike=bool(common))
