"""What a comparison found, as plain data, and what a gate makes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mnist_bench.compare.matching import Match
from mnist_bench.compare.options import FailOn, Gate, Options, Verdict
from mnist_bench.errors import ExitCode
from mnist_bench.metrics import Kind, Metric
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.effect_sizes import EffectSizes, effect_sizes
from mnist_bench.stats.power import SeedRange
from mnist_bench.stats.tests import McNemar


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
        untold: Seeds of runs that are too bad to be passed over, where nobody can tell whether that
            is a loss.
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
    untold: tuple[int, ...] = ()


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
    """Returns the effect sizes of each row; none of one that was not tested over seeds.

    Args:
        rows: Verdicts.
        paired: Whether runs of one seed are compared with each other; a turn of a time has no
            partner.
    """
    found: dict[int, EffectSizes] = {}
    for is_time in (False, True):
        sides = {
            place: (scores(row.baseline.values), scores(row.candidate.values))
            for place, row in enumerate(rows)
            if row.p is not None and row.baseline and row.candidate and row.baseline.seeds
            if (row.metric.kind is Kind.time) is is_time
            for scores in [row.metric.scale.scores]
        }
        sizes = effect_sizes(list(sides.values()), paired and not is_time)
        found |= dict(zip(sides, sizes, strict=True))
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


def hold_against_gate(pairings: Sequence[Pairing], options: Options) -> tuple[ExitCode, list[str]]:
    """Returns the exit code, and the reasons for any but `done`, a line each."""
    names = [f"{pairing.candidate.label}: " if len(pairings) > 1 else "" for pairing in pairings]
    named = list(zip(names, pairings, strict=True))
    failures = [name + reason for name, pairing in named for reason in _failures(pairing, options)]
    if failures:
        return ExitCode.failed, failures
    gated = [row for p in pairings for row in p.rows() if row.gated]
    untold = {Verdict.FAILED, Verdict.NOT_COMPARABLE}
    if all(row.verdict in untold for row in gated if row.metric.name in options.gates):
        notes = dict.fromkeys(row.note for row in gated if row.verdict in untold)
        return ExitCode.refused, [
            f"no gated metric could be judged: {'; '.join(filter(None, notes))}"
        ]
    undecided = [
        name + reason for name, pairing in named for reason in _undecided(pairing, options)
    ]
    return (ExitCode.undecided, undecided) if undecided else (ExitCode.done, [])


def _failures(pairing: Pairing, options: Options) -> Iterator[str]:
    fail_on = options.fail_on
    if FailOn.missing in fail_on or options.expect_same:
        yield from (f"MISSING {cell}" for cell in pairing.match.missing)
    if options.expect_same:
        yield from (f"NEW {cell}" for cell in pairing.match.new)
    failing = {
        Verdict.REGRESSED: FailOn.regression,
        Verdict.FAILED: FailOn.failed,
        Verdict.CHANGED: FailOn.changed,
    }
    for row in pairing.rows():
        different = options.expect_same and row.verdict is not Verdict.IDENTICAL
        fails = row.gated and (different or failing.get(row.verdict) in fail_on)
        if fails or (row.outliers and FailOn.regression in fail_on):
            yield describe_row(row)


def _undecided(pairing: Pairing, options: Options) -> Iterator[str]:
    """Returns what cannot be told.

    Always: a gate that was judged nowhere, and runs that collapsed where the baseline's do too. On
    request: over all cells, the main gate, and cells where nothing was tested.
    """
    strict = options.gate is Gate.non_inferiority or FailOn.inconclusive in options.fail_on
    for suite in pairing.suites:
        if suite.metric.name in options.gates and suite.verdict is Verdict.NOT_COMPARABLE:
            yield describe_row(suite)
    for row in pairing.cells:
        if row.untold or (strict and row.metric.name in options.gates and _is_untested(row)):
            yield describe_row(row)
    suites = pairing.suites if len(pairing.match.cells) > 1 else pairing.cells
    for row in suites:
        if row.metric.name not in options.gates or row.untold or _is_untested(row):
            continue
        known = row.verdict is not Verdict.INCONCLUSIVE
        if options.gate is Gate.non_inferiority:
            known = row.verdict in (Verdict.IDENTICAL, Verdict.NOT_COMPARABLE) or bool(
                row.not_worse
            )
        elif FailOn.inconclusive not in options.fail_on:
            known = True
        if not known:
            yield describe_row(row)


def _is_untested(row: Judged) -> bool:
    settled = (Verdict.IDENTICAL, Verdict.CHANGED, Verdict.NOT_COMPARABLE)
    return row.p is None and row.verdict not in settled
