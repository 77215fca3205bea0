"""What a comparison found, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_bench.compare.matching import Match
from mnist_bench.compare.options import Options, Verdict
from mnist_bench.errors import ExitCode
from mnist_bench.metrics import Metric
from mnist_bench.stats.effect_sizes import EffectSizes, effect_sizes
from mnist_bench.stats.power import SeedRange
from mnist_bench.stats.tests import McNemar
from mnist_bench.store.samples import Selection


@dataclass(frozen=True, slots=True)
class Group:
    """The numbers of one side, in the metric's own unit.

    Attributes:
        seeds: One a value; none for a suite over cells that have other seeds.
        values: One a seed, of a suite its mean over the cells; without seeds one a cell.
        center: Their mean, on a log scale the geometric one.
        spread: Their standard deviation between seeds; None with fewer than two.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    center: float
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of one metric in one cell, or over all of them.

    Attributes:
        metric: The metric.
        gated: Whether it decides the exit code.
        cell: Readable; empty for the suite.
        verdict: In one word.
        note: What else there is to say.
        baseline: None where not every run has a number.
        candidate: Likewise.
        change: From baseline to candidate, a difference, or a share on a log scale.
        low: Lower end of the interval of the change at 1 - alpha, for this test alone.
        high: Upper end.
        p: Of "no change", two-sided, for this test alone.
        adjusted_p: Of the same, for the whole comparison; this one decides.
        seeds_needed: To find a change of one margin, where the verdict is inconclusive for want of
            seeds.
        not_worse: Whether the one-sided bound excludes a loss of one margin.
        mcnemar: Of the predictions, with one seed a side.
        outliers: Seeds of the candidate whose runs are worse than the baseline's runs allow.
    """

    metric: Metric
    gated: bool
    cell: str
    verdict: Verdict
    note: str = ""
    baseline: Group | None = None
    candidate: Group | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    seeds_needed: SeedRange | None = None
    not_worse: bool | None = None
    mcnemar: McNemar | None = None
    outliers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairing:
    """A candidate against the baseline.

    Attributes:
        candidate: The candidate.
        match: Their cells.
        suites: Verdicts over all cells, a metric each in the order of their table.
        cells: Verdicts of each metric in each cell, in that order.
    """

    candidate: Selection
    match: Match
    suites: tuple[Judged, ...]
    cells: tuple[Judged, ...]

    def rows(self) -> tuple[Judged, ...]:
        """Returns all verdicts; of a single cell its own, since that of the suite is the same."""
        return self.cells if len(self.match.cells) == 1 else (*self.suites, *self.cells)

    def rows_of(self, metric: Metric) -> list[Judged]:
        """Returns those of one metric, that of the suite first if there is one."""
        return [row for row in self.rows() if row.metric is metric]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline, its candidates and what becomes of the gate.

    Attributes:
        baseline: The baseline.
        pairings: One a candidate.
        options: How they were compared.
        exit_code: `done`, `failed`, `refused` (nothing could be judged) or `undecided`.
        reasons: Why it is not `done`, a line each.
    """

    baseline: Selection
    pairings: tuple[Pairing, ...]
    options: Options
    exit_code: ExitCode
    reasons: tuple[str, ...]


def sizes_of(rows: Sequence[Judged], paired: bool) -> list[EffectSizes]:
    """Returns the effect sizes of each row; none of one that was not tested over seeds."""
    sides = {
        place: (scores(row.baseline.values), scores(row.candidate.values))
        for place, row in enumerate(rows)
        if row.p is not None and row.baseline and row.candidate and row.baseline.seeds
        for scores in [row.metric.scale.scores]
    }
    found = dict(zip(sides, effect_sizes(list(sides.values()), paired), strict=True))
    return [found.get(place, EffectSizes()) for place in range(len(rows))]


def describe_row(row: Judged) -> str:
    """Returns a verdict as one line: what, of what, where, by how much."""
    where = row.cell or "all cells"
    parts = [f"{row.verdict} {row.metric.name} in {where}"]
    if row.change is not None:
        parts.append(row.metric.show_change(row.change))
    if row.adjusted_p is not None and row.verdict is not Verdict.OUTLIERS:
        parts.append(f"p {row.adjusted_p:.2g}")
    return ", ".join(parts) + (f" ({row.note})" if row.note else "")
