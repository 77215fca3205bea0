"""How many seeds a comparison with a baseline would take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnist_bench.compare.comparable import step_of
from mnist_bench.compare.matching import cells_of, refuse_copies
from mnist_bench.compare.options import Options
from mnist_bench.errors import Refusal
from mnist_bench.metrics import METRICS, Kind, Metric
from mnist_bench.selection.samples import Sample, Selection
from mnist_bench.stats.power import SeedRange, seed_range
from mnist_bench.stats.tests import cell_weights, seed_means, strictest_alpha, variance_of


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What it takes to find a change of one margin in one metric.

    Attributes:
        metric: The metric.
        margin: The change, a difference, or a share on a log scale.
        suite: Seeds a side that find it over all cells.
        cell: Seeds a side that find it in the cell that varies most.
        widest_cell: Name of that cell.
        seeds: Seeds that the spread was estimated from.
    """

    metric: Metric
    margin: float
    suite: SeedRange
    cell: SeedRange
    widest_cell: str
    seeds: int


def plan_seeds(baseline: Selection, options: Options) -> list[SeedPlan]:
    """Returns the seeds that each gated metric needs, from the baseline's spread.

    Raises:
        Refusal: If that spread is unknown.
    """
    cells = list(cells_of(baseline, (), "baseline")[0].values())
    refuse_copies(cells, "--plan")
    seeds = {tuple(sample.seed for sample in cell) for cell in cells}
    if len(seeds) > 1 or len(min(seeds)) < 2:
        raise Refusal("--plan: needs at least two seeds, the same in every cell")
    gates = [METRICS[name] for name in options.gates if METRICS[name].kind is not Kind.exact]
    if not gates:
        raise Refusal("--plan: no gated metric varies between seeds")
    alphas = strictest_alpha(options.alpha, [len(cells)] * len(gates))
    return [_plan_metric(metric, cells, alphas, options.margin(metric)) for metric in gates]


def _plan_metric(
    metric: Metric,
    cells: Sequence[Sequence[Sample]],
    alphas: tuple[float, float],
    share: float,
) -> SeedPlan:
    margin = metric.scale.margin(share)
    if not margin:
        raise Refusal(f"--plan: {metric.name} needs a margin above 0")
    numbers = [[sample.metrics.get(metric.name, np.nan) for sample in cell] for cell in cells]
    try:
        scores = metric.scale.scores(numbers)
    except ValueError as error:
        raise Refusal(f"--plan: not every run has {metric.name}: {error}") from error
    step = metric.scale.margin(step_of(metric, cells[0]))
    variances = variance_of(scores, step)
    widest = int(variances.argmax())
    mean_variance = variance_of(seed_means(scores, cell_weights(np.sqrt(variances))), step)
    suite, cell = (
        seed_range([variance] * 2, scores.shape[-1] - 1, margin, alpha=alpha)
        for variance, alpha in zip((mean_variance, variances[widest]), alphas, strict=True)
    )
    return SeedPlan(metric, share, suite, cell, cells[widest][0].cell, scores.shape[-1])
