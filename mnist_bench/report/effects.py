"""What each level of a swept setting does to accuracy and time, and where that turns over.

A report shows many comparisons, and its headline picks the largest: an interval that is right for
one comparison is wrong for the one that was picked. So all intervals of a report hold together, by
Bonferroni, since the levels neither vary alike (as Dunnett's test asks) nor have many seeds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from mnist_bench.compare.comparable import obstacle, step_of
from mnist_bench.metrics import METRICS, FloatArray, Metric, Use, used_for
from mnist_bench.report.cells import BATCH, OPTIMIZER, STYLE, WIDTH, Cell, all_else
from mnist_bench.stats.tests import Effect, seed_means, suite
from mnist_bench.text import ordered

ALPHA = 0.05
"""The chance that any interval of a report misses, at most."""

SHARE_OF_MEANS = 0.5
"""Share of alpha that is for the mean changes, where changes at single values are tested too: there
are more of those, and they must not make the means untold."""

ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["epoch_seconds_median"]


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
        effect: The gain and its error over seeds; None with fewer than two seeds.
        confidence: Of its interval, so that those of the whole report hold together.
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
    effect: Effect | None = None
    confidence: float = 1 - ALPHA
    extremes: tuple[float, float] = (0.0, 0.0)

    @property
    def has_pairs(self) -> bool:
        """Whether there are cells that differ in the setting alone, with a result or without."""
        return bool(self.cells or self.left_out)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of its interval over seeds; None with fewer than two seeds."""
        if self.effect is None:
            return None
        return _changes(self.metric, self.effect.interval(self.confidence))

    @property
    def direction(self) -> int:
        """1 if the level is better beyond chance, -1 if worse, 0 if nobody can tell.

        It follows from the interval, so that a word never contradicts it.
        """
        if self.effect is None:
            return 0
        low, high = self.effect.interval(self.confidence)
        return int(low > 0) - int(high < 0)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A level that is better at one value of another setting and worse at another, beyond chance.

    Gail and Simon 1985, Biometrics 41:361, call it a qualitative interaction.

    Attributes:
        mean: What the level does over all, which hides it.
        other: The other setting.
        better: Where the level gains most, and what it does there.
        worse: Where it loses most, likewise.
    """

    mean: Change
    other: str
    better: tuple[str, Change]
    worse: tuple[str, Change]


@dataclass(frozen=True, slots=True)
class Effects:
    """What the swept settings do.

    Attributes:
        changes: Mean changes, by setting and level.
        crossings: Levels that turn over, which the means hide.
        means_tested: How many mean changes have an interval.
        places_tested: How many changes at single values of another setting have one.
    """

    changes: tuple[Change, ...]
    crossings: tuple[Crossing, ...]
    means_tested: int
    places_tested: int

    def headline(self, key: str) -> list[Change]:
        """Returns what a setting does most to accuracy, beyond chance if anything is, and to time.

        All intervals hold together, so those of a change that was picked from all hold too.
        """
        own = [c for c in self.changes if c.key == key and c.value is not None]
        accuracy = [c for c in own if c.metric is ACCURACY]
        if not accuracy:
            return []
        largest = max(accuracy, key=lambda c: (abs(c.direction), abs(c.value or 0)))
        return [largest, *(c for c in own if c.metric is SECONDS and c.level == largest.level)]


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


def effects(cells: Sequence[Cell], axes: Mapping[str, tuple[str, ...]]) -> Effects:
    """Returns what each level of each setting does to accuracy and time, against the first level.

    Only cells that differ in this setting alone are compared, in the seeds that both have.
    The test is that of `compare`: it does not count on runs of one seed being alike at two levels
    (they hardly are), and has up to twice the degrees of freedom of one that does.

    Crossings are sought in test accuracy (the seeds of a sweep are no independent samples of time),
    and not between styles, which are ways to write one network.

    Args:
        cells: Of one report.
        axes: All settings that vary, with their values.
    """
    pairs = {
        (key, level): found
        for key in axes
        for level, found in zip(axes[key][1:], _pairs(cells, key, axes), strict=True)
    }
    means = [
        _change(Change(metric, key, axes[key][0], level), found)
        for (key, level), found in pairs.items()
        for metric in used_for(Use.lead).values()
    ]
    places = {
        (key, level, other): tested
        for (key, level), found in pairs.items()
        for other in axes
        if STYLE not in (key, other) and key != other
        if len(tested := _by_value(Change(ACCURACY, key, axes[key][0], level), found, other)) > 1
    }
    means_tested = sum(change.effect is not None for change in means)
    places_tested = sum(map(len, places.values()))
    share = SHARE_OF_MEANS if places_tested else 1.0
    changes = _with_confidence(means, ALPHA * share, means_tested)
    accuracy = {(c.key, c.level): c for c in changes if c.metric is ACCURACY}
    crossings = []
    for (key, level, other), tested in places.items():
        told = _with_confidence(tested.values(), ALPHA * (1 - share), places_tested)
        found = _crossing(accuracy[key, level], other, dict(zip(tested, told, strict=True)))
        crossings += [found] if found else []
    return Effects(tuple(changes), tuple(crossings), means_tested, places_tested)


def _pairs(
    cells: Sequence[Cell], key: str, axes: Mapping[str, tuple[str, ...]]
) -> list[list[tuple[Cell, Cell]]]:
    """Returns for each level but the first the pairs of cells that differ in the setting alone."""
    groups: dict[object, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        if key in cell.settings:
            groups[all_else(cell, key, axes)][cell.settings[key]] = cell
    first, *others = axes[key]
    return [
        [(g[first], g[level]) for g in groups.values() if g.keys() >= {first, level}]
        for level in others
    ]


def _by_value(empty: Change, pairs: Sequence[tuple[Cell, Cell]], other: str) -> dict[str, Change]:
    """Returns the change at each value of another setting at which it has an error."""
    groups: dict[str, list[tuple[Cell, Cell]]] = defaultdict(list)
    for pair in pairs:
        if other in pair[0].settings:
            groups[pair[0].settings[other]].append(pair)
    found = {value: _change(empty, groups[value]) for value in ordered(groups)}
    return {value: change for value, change in found.items() if change.effect is not None}


def _with_confidence(changes: Iterable[Change], alpha: float, family: int) -> list[Change]:
    """Returns changes whose intervals, with those of their family, miss at a chance of alpha."""
    return [replace(change, confidence=1 - alpha / max(family, 1)) for change in changes]


def _crossing(mean: Change, other: str, places: Mapping[str, Change]) -> Crossing | None:
    """Returns where a level is better and where it is worse, if each is beyond chance."""
    told = sorted(
        (place for place in places.items() if place[1].direction), key=lambda p: p[1].value or 0
    )
    if len({change.direction for _, change in told}) < 2:
        return None
    return Crossing(mean, other, better=told[-1], worse=told[0])


def _change(empty: Change, pairs: Sequence[tuple[Cell, Cell]]) -> Change:
    metric = empty.metric
    scores = [_paired_scores(metric, *pair) for pair in pairs]
    chosen, seeds = _largest_block([set(found) for found in scores])
    if not seeds:
        return replace(empty, left_out=len(pairs))
    table = np.array([[scores[place][seed] for seed in seeds] for place in chosen])
    before, after = np.moveaxis(table, -1, 0)
    gains = after - before
    step = step_of(metric, (run for pair in pairs for cell in pair for run in cell.runs))
    effect = suite(before, after, step=metric.scale.margin(step))
    mean = seed_means(gains).mean() if effect is None else effect.gain
    return replace(
        empty,
        cells=len(chosen),
        seeds=len(seeds),
        left_out=len(pairs) - len(chosen),
        value=float(metric.scale.change(mean)),
        effect=effect,
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
