"""What a sweep shows, as plain data: cells, effects of the swept settings, curves, mistakes.

Runs without a result are in no mean. Everything over seeds takes the seed as the unit: the seeds
are shared by the cells, so two cells are no two independent samples (see `stats.suite`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_bench import report, stats
from mnist_bench.config import shown
from mnist_bench.matching import cells_of
from mnist_bench.metrics import METRICS, Kind, Metric
from mnist_bench.selection import Sample, Selection, ordered

if TYPE_CHECKING:
    from mnist_bench.selection import Answers, History, Source

STYLE, WIDTH, OPTIMIZER, BATCH = (
    *("model.style", "model.hidden_units"),
    *("optimizer.name", "train.batch_size"),
)
EFFECT_METRICS = ("test_accuracy", "epoch_seconds_median")
NEEDED_METRICS = (
    *("test_accuracy", "test_loss"),
    *("epoch_seconds_median", "total_seconds", "params_total"),
)
"""A run without one of these has no result; a file that somebody wrote may hold such runs."""
CONFIDENCE = 0.95
CURVES = {"validation": "val_accuracy", "training": "train_accuracy"}
OUTCOME = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What two runs must have in common in each epoch, to the last bit, to be called the same."""
MOST_POINTS = 200
"""Epochs that are drawn of a curve; of more, as many at even distances."""

Pair: TypeAlias = tuple["Cell", "Cell"]


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made from.

    Attributes:
        label: Which runs they are.
        samples: All of them, also those that failed or were run again.
        missing: Names of the runs that were planned and not begun.
        histories: Run id -> its metrics by epoch, where they are kept.
        answers: Run id -> what it said of the test images, where that is kept.
    """

    label: str
    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    histories: Mapping[str, "History"]
    answers: Mapping[str, "Answers"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A configuration without its seed, and its runs.

    Attributes:
        label: Readable, of what not all cells have in common; no other cell has it.
        settings: What decides the result, by configuration key.
        data_fp: Digest of the data.
        runs: Those with a result, one a seed, by seed.
        failed: Those without.
    """

    label: str
    settings: Mapping[str, str]
    data_fp: str
    runs: tuple[Sample, ...]
    failed: tuple[Sample, ...]

    def mean(self, metric: str) -> float:
        """Returns the mean of a metric over the runs, of which there must be one."""
        return float(np.mean([run.metrics[metric] for run in self.runs]))


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
        low: Lower end of its interval over seeds; None with fewer than two seeds.
        high: Upper end.
        least: Change of the pair of cells and seed with the least.
        most: And with the greatest.
    """

    metric: Metric
    key: str
    first: str
    level: str
    cells: int
    seeds: int
    left_out: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Mean test accuracy by width and batch size, of one optimizer.

    Attributes:
        optimizer: Its name.
        widths: As configured, in order.
        batches: Batch sizes, in order.
        values: (width, batch size) -> mean over runs, and how many they are.
        alike: Whether they are runs of the same settings of all else and seeds in all squares.
    """

    optimizer: str
    widths: tuple[str, ...]
    batches: tuple[str, ...]
    values: Mapping[tuple[str, str], tuple[float, int]]
    alike: bool


@dataclass(frozen=True, slots=True)
class Band:
    """A curve over the seeds of a cell.

    Attributes:
        epochs: (n,) the epochs that are drawn.
        mean: (n,) over the seeds; NaN where one has no value.
        low: (n,) least of the seeds.
        high: (n,) greatest.
    """

    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """The accuracy by epoch of a cell, or of cells that coincide.

    Attributes:
        label: Of the cell; without its style where several styles coincide.
        styles: Of the cells.
        seeds: How many.
        test_accuracy: Mean over the seeds.
        bands: Of `CURVES`, by their names.
    """

    label: str
    styles: tuple[str, ...]
    seeds: int
    test_accuracy: float
    bands: Mapping[str, Band]


@dataclass(frozen=True, slots=True)
class StyleControl:
    """Whether the styles of one network give one result.

    A point is a setting of everything else, and a seed.

    Attributes:
        styles: All that were run.
        points: Points with two styles or more.
        equal: Points at which every loss and accuracy of every epoch is equal to the last bit.
        unknown: Points whose runs do not say what they gave in each epoch.
        differing: Names of the other points.
        largest_gap: Largest difference of the test loss inside one point.
    """

    styles: tuple[str, ...]
    points: int
    equal: int
    unknown: int
    differing: tuple[str, ...]
    largest_gap: float


@dataclass(frozen=True, slots=True)
class HardImage:
    """A test image that every run got wrong.

    Attributes:
        index: Its place among the test images, from 0.
        label: The true digit.
        said: What the runs took it for, and how many of them; the most frequent first.
    """

    index: int
    label: int
    said: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Which test images are hard.

    Attributes:
        runs: How many have told what they said.
        distinct: How many different sets of answers these are.
        images: Of the test set.
        by_some: Images that at least one run got wrong.
        by_all: Images that every run got wrong.
        packaged: Whether these are the images of the packaged MNIST.
    """

    runs: int
    distinct: int
    images: int
    by_some: int
    by_all: tuple[HardImage, ...]
    packaged: bool


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Everything that a report says.

    Attributes:
        label: Which runs it is about.
        cells: By label.
        samples: The runs that count: one a cell and seed.
        missing: Names of runs that were planned and not begun.
        notices: What a reader has to know, a sentence each.
        times_compare: Whether all runs with a result had one and the same machine to themselves.
        swept: The settings that vary -> their values, in order.
        standings: The leaderboard.
        changes: Effects of the swept settings.
        heat_maps: One an optimizer.
        curves: The best first.
        without_curves: Cells that have a result and no curve.
        style_control: None where only one style was run.
        mistakes: None where the runs do not say, or speak of different images.
    """

    label: str
    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    notices: tuple[str, ...]
    times_compare: bool
    swept: Mapping[str, tuple[str, ...]]
    standings: tuple[report.Standing, ...]
    changes: tuple[Change, ...]
    heat_maps: tuple[HeatMap, ...]
    curves: tuple[Curve, ...]
    without_curves: int
    style_control: StyleControl | None
    mistakes: Mistakes | None

    @property
    def finished(self) -> list[Sample]:
        """The runs with a result."""
        return [run for cell in self.cells for run in cell.runs]

    @property
    def failed(self) -> list[Sample]:
        """The runs without one."""
        return [run for cell in self.cells for run in cell.failed]

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return sorted({run.seed for run in self.samples})


def gather(source: "Source", selector: str) -> Material:
    """Returns what the store knows of the runs that a selector means.

    Raises:
        ComparisonError: If it means nothing, or more than one thing.
        tracking.TrackingError: If the store cannot be read.
    """
    selection = source.select(selector)
    sweep = source.sweep(selector)
    names = {sample.name for sample in selection.samples}
    planned = () if sweep is None else source.planned(sweep)
    label = selection.label if sweep is None else f"sweep:{sweep.tags['sweep_id'][:12]}"
    if not source.keeps(selection):
        return Material(label, selection.samples, missing=(), histories={}, answers={})
    with_result = [sample for sample in selection.samples if _has_result(sample)]
    return Material(
        label=label,
        samples=selection.samples,
        missing=tuple(shown(name) for name in planned if name not in names),
        histories={s.run_id: h for s in with_result if (h := source.history(s))},
        answers={s.run_id: a for s in with_result if (a := source.answers(s)) is not None},
    )


def examine(material: Material) -> SweepReport:
    """Returns everything that a report of these runs says."""
    found, notices = cells_of(Selection(material.label, material.samples), (), material.label)
    cells = _named(sorted(map(_cell, found.values()), key=lambda cell: cell.label))
    axes = swept(cells)
    curves, without = _curves(cells, material.histories)
    return SweepReport(
        label=material.label,
        cells=tuple(cells),
        samples=tuple(sample for samples in found.values() for sample in samples),
        missing=material.missing,
        notices=tuple(notices),
        times_compare=times_compare([run for cell in cells for run in cell.runs]),
        swept=axes,
        standings=tuple(report.leaderboard({c.label: [r.metrics for r in c.runs] for c in cells})),
        changes=tuple(c for key in axes for c in changes(cells, key, axes)),
        heat_maps=tuple(heat_maps(cells)),
        curves=tuple(curves),
        without_curves=without,
        style_control=style_control(cells, material.histories),
        mistakes=mistakes(cells, material.answers),
    )


def _cell(samples: Sequence[Sample]) -> Cell:
    first = samples[0]
    return Cell(
        label=shown(first.cell),
        settings=first.settings,
        data_fp=first.facts.get("data_fp", ""),
        runs=tuple(sample for sample in samples if _has_result(sample)),
        failed=tuple(sample for sample in samples if not _has_result(sample)),
    )


def _has_result(sample: Sample) -> bool:
    return not sample.failure and sample.metrics.keys() >= set(NEEDED_METRICS)


def _named(cells: Sequence[Cell]) -> list[Cell]:
    """Returns the cells under names without the words that all of them share."""
    words = [cell.label.split(" ") for cell in cells]
    shared = set(words[0]).intersection(*words) if len(words) > 1 else set()
    seen = Counter[str]()
    named = []
    for cell, own in zip(cells, words, strict=True):
        label = " ".join(word for word in own if word not in shared) or cell.label
        seen[label] += 1
        again = f" ({seen[label]})" if seen[label] > 1 else ""
        named.append(replace(cell, label=f"{label}{again}"))
    return named


def swept(cells: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """Returns the settings that vary with their values in order, the usual four first.

    The settings of an optimizer differ from those of another one anyway: they vary if they do so
    for one optimizer.
    """
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in cells:
        for key, value in cell.settings.items():
            own = key.startswith("optimizer.") and key != OPTIMIZER
            values[key, cell.settings.get(OPTIMIZER, "") if own else ""].add(value)
    varying = {key for (key, _), found in values.items() if len(found) > 1}
    usual = [key for key in (WIDTH, OPTIMIZER, BATCH, STYLE) if key in varying]
    return {
        key: tuple(ordered(set().union(*(v for (k, _), v in values.items() if k == key))))
        for key in [*usual, *sorted(varying - set(usual))]
    }


def _rest(
    cell: Cell, key: str, axes: Mapping[str, tuple[str, ...]]
) -> tuple[frozenset[tuple[str, str]], str]:
    """Returns all that two cells have in common if they differ in one setting alone.

    With the name of an optimizer its own settings change, but for those that were swept.
    """
    kept = {
        (name, value)
        for name, value in cell.settings.items()
        if name != key
        and not (key == OPTIMIZER and name.startswith("optimizer.") and name not in axes)
    }
    return frozenset(kept), "" if key.startswith("data.") else cell.data_fp


def changes(cells: Sequence[Cell], key: str, axes: Mapping[str, tuple[str, ...]]) -> list[Change]:
    """Returns what each level of a setting does to accuracy and time, against the first level.

    Only cells that differ in this setting alone are compared, and in them only runs of one seed.

    Args:
        cells: All of them.
        key: The setting.
        axes: All settings that vary, with their values.
    """
    groups: dict[object, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        if key in cell.settings:
            groups[_rest(cell, key, axes)][cell.settings[key]] = cell
    first, *others = axes[key]
    return [
        _change(
            METRICS[name],
            Change(METRICS[name], key, first, level, 0, 0, 0),
            [(g[first], g[level]) for g in groups.values() if g.keys() >= {first, level}],
        )
        for level in others
        for name in EFFECT_METRICS
    ]


def _change(metric: Metric, empty: Change, pairs: Sequence[Pair]) -> Change:
    scores = [_paired_scores(metric, pair) for pair in pairs]
    chosen, seeds = _largest_block([found.keys() for found in scores])
    if not seeds:
        return replace(empty, left_out=len(pairs))
    before, after = (
        np.array([[scores[place][seed][side] for seed in seeds] for place in chosen])
        for side in (0, 1)
    )
    gains = after - before
    effect = stats.suite(before, after, stats.paired)
    mean = stats.seed_means(gains).mean() if effect is None else effect.gain
    low, high = (None, None) if effect is None else _changes(metric, effect.interval(CONFIDENCE))
    least, most = _changes(metric, (gains.min(), gains.max()))
    return replace(
        empty,
        cells=len(chosen),
        seeds=len(seeds),
        left_out=len(pairs) - len(chosen),
        value=float(metric.scale.change(mean)),
        low=low,
        high=high,
        least=least,
        most=most,
    )


def _paired_scores(metric: Metric, pair: Pair) -> dict[int, tuple[float, float]]:
    """Returns the scores of both cells by seed, where both have one that compares."""
    before, after = ({run.seed: run for run in cell.runs} for cell in pair)
    return {
        seed: (_score(metric, before[seed]), _score(metric, after[seed]))
        for seed in before.keys() & after.keys()
        if metric.kind is not Kind.time or times_compare([before[seed], after[seed]])
    }


def _score(metric: Metric, run: Sample) -> float:
    return float(metric.scale.scores(run.metrics[metric.name]))


def times_compare(runs: Sequence[Sample]) -> bool:
    """Returns whether all runs had one and the same machine to themselves, as far as is known."""
    alone = all(run.facts.get("timing") == "exclusive" for run in runs)
    return alone and len({run.facts.get("host_fp", run.run_id) for run in runs}) == 1


def _largest_block(known: Sequence[Iterable[int]]) -> tuple[list[int], list[int]]:
    """Returns the places and seeds of the largest full table, of which every seed is in each place.

    So a cell that failed does not cost a seed, nor a seed that was begun last all cells.

    Args:
        known: The seeds of each place.
    """
    sets = [set(seeds) for seeds in known]
    often = [
        seed
        for seed, _ in sorted(
            Counter(seed for seeds in sets for seed in seeds).items(), key=lambda i: (-i[1], i[0])
        )
    ]
    blocks = [
        ([place for place, seeds in enumerate(sets) if seeds >= set(often[:size])], often[:size])
        for size in range(1, len(often) + 1)
    ]
    places, seeds = max(blocks, key=lambda b: (len(b[0]) * len(b[1]), len(b[1])), default=([], []))
    return places, sorted(seeds)


def _changes(metric: Metric, gains: tuple[object, object]) -> tuple[float, float]:
    """Returns the changes that two gains mean, the lower one first."""
    low, high = sorted(float(metric.scale.change(np.asarray(gain))) for gain in gains)
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


def _curves(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> tuple[list[Curve], int]:
    """Returns the curves of all cells, one for styles that coincide, and how many have none."""
    alike: dict[object, list[Cell]] = defaultdict(list)
    without = 0
    for cell in cells:
        if cell.runs and all(run.run_id in histories for run in cell.runs):
            outcomes = tuple((run.seed, _outcome(run, histories)) for run in cell.runs)
            alike[_rest(cell, STYLE, {}), outcomes].append(cell)
        elif cell.runs:
            without += 1
    found = [_curve(same, histories) for same in alike.values()]
    return sorted(found, key=lambda curve: (-curve.test_accuracy, curve.label)), without


def _curve(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> Curve:
    first = cells[0]
    style = first.settings.get(STYLE, "")
    bands = {
        name: _band([histories[run.run_id][key] for run in first.runs])
        for name, key in CURVES.items()
        if all(key in histories[run.run_id] for run in first.runs)
    }
    return Curve(
        label=first.label.removeprefix(f"{style} ") if len(cells) > 1 else first.label,
        styles=tuple(cell.settings.get(STYLE, "") for cell in cells),
        seeds=len(first.runs),
        test_accuracy=first.mean("test_accuracy"),
        bands=bands,
    )


def _band(curves: Sequence[Sequence[float]]) -> Band:
    epochs = min(map(len, curves))
    places = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST_POINTS)).round().astype(int))
    values = np.array([curve[:epochs] for curve in curves], dtype=np.float64)[:, places]
    return Band(places + 1, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _outcome(run: Sample, histories: Mapping[str, "History"]) -> tuple[object, ...]:
    """Returns everything that is known of what a run gave, apart from its times."""
    history = histories[run.run_id]
    return (
        *(history.get(key) for key in OUTCOME),
        run.metrics["test_loss"],
        run.metrics["test_accuracy"],
    )


def style_control(cells: Sequence[Cell], histories: Mapping[str, "History"]) -> StyleControl | None:
    """Returns whether the styles give the same to the last bit; None with one style."""
    styles = ordered({cell.settings[STYLE] for cell in cells if STYLE in cell.settings})
    if len(styles) < 2:
        return None
    points: dict[tuple[object, int], dict[str, Sample]] = defaultdict(dict)
    for cell in cells:
        for run in cell.runs:
            points[_rest(cell, STYLE, {}), run.seed][cell.label] = run
    groups = [group for group in points.values() if len(group) > 1]
    known = [g for g in groups if all(run.run_id in histories for run in g.values())]
    differing = [g for g in known if len({_outcome(r, histories) for r in g.values()}) > 1]
    gaps = [
        max(losses) - min(losses)
        for group in groups
        if (losses := [run.metrics["test_loss"] for run in group.values()])
    ]
    return StyleControl(
        styles=tuple(styles),
        points=len(groups),
        equal=len(known) - len(differing),
        unknown=len(groups) - len(known),
        differing=tuple(shown(next(iter(group.values())).name) for group in differing),
        largest_gap=max(gaps, default=math.nan),
    )


def mistakes(cells: Sequence[Cell], answers: Mapping[str, "Answers"]) -> Mistakes | None:
    """Returns which test images are hard; None if that is not known of the same images."""
    told = [(cell, answers[r.run_id]) for cell in cells for r in cell.runs if r.run_id in answers]
    if not told:
        return None
    labels = told[0][1].labels
    same_data = len({cell.settings.get("data.name") for cell, _ in told}) == 1
    if not same_data or any(not np.array_equal(a.labels, labels) for _, a in told):
        return None
    predicted = np.stack([a.predicted for _, a in told])
    wrong = predicted != labels
    return Mistakes(
        runs=len(told),
        distinct=len(np.unique(predicted, axis=0)),
        images=len(labels),
        by_some=int(wrong.any(axis=0).sum()),
        by_all=tuple(
            HardImage(
                index,
                int(labels[index]),
                tuple(Counter(predicted[:, index].tolist()).most_common()),
            )
            for index in np.flatnonzero(wrong.all(axis=0)).tolist()
        ),
        packaged=all(_is_packaged(cell.runs[0]) for cell, _ in told),
    )


def _is_packaged(run: Sample) -> bool:
    """Returns whether a run's test images are those of the package.

    The name of a cell whose data came from a file says so (see `fingerprint.cell_label`).
    """
    from_file = f"mnist-{run.facts.get('data_fp', '')[:8]}"
    return run.settings.get("data.name") == "mnist" and from_file not in run.cell.split(" ")
