"""The verdict on two groups of runs, and what a gate makes of it.

Everything here is pure: it sees `Selection`s and returns a `Comparison`. The sample is the seed:
one run gives one number a metric. `mnist_bench.stats` has the statistics and their sources.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_bench import stats
from mnist_bench.config import shown
from mnist_bench.matching import Cell, Match, cells_of, check_ignored, match, values_of
from mnist_bench.metrics import COMPILE_BOUND, DEFAULT_GATES, METRICS, Kind, Metric
from mnist_bench.selection import ComparisonError, Sample, Selection
from mnist_bench.stats import Effect, FloatArray, McNemar

Predictions: TypeAlias = Callable[[Sample], "NDArray[np.bool_] | None"]
Place: TypeAlias = tuple[int, str]
"""The number of a candidate, and the name of a metric."""

PASSED, FAILED, REFUSED, UNDECIDED = range(4)
"""Exit codes."""


class Verdict(StrEnum):
    """What is known of a metric in a cell, or over all cells."""

    REGRESSED = "REGRESSED"
    WORSE = "worse<m"
    IMPROVED = "IMPROVED"
    BETTER = "better<m"
    EQUIVALENT = "EQUIVALENT"
    NOT_WORSE = "NOT WORSE"
    INCONCLUSIVE = "INCONCLUSIVE"
    IDENTICAL = "IDENTICAL"
    CHANGED = "CHANGED"
    FAILED = "FAILED"
    NOT_COMPARABLE = "NOT COMPARABLE"


class FailOn(StrEnum):
    """What a gate can fail on."""

    regression = "regression"
    missing = "missing"
    failed = "failed"
    inconclusive = "inconclusive"
    changed = "changed"


class Gate(StrEnum):
    """What a candidate has to do: not be shown worse, or be shown not worse."""

    difference = "difference"
    non_inferiority = "non-inferiority"


DEFAULT_FAIL_ON = (FailOn.regression, FailOn.missing, FailOn.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to compare.

    Attributes:
        gates: Metrics that decide the exit code. Exact ones always do, see `FailOn.changed`.
        margins: The change of a metric that matters, where it is not the metric's own.
        alpha: The chance of any false alarm in the whole comparison.
        paired: Whether runs of one seed are compared with each other.
        gate: What a candidate has to do.
        fail_on: What fails.
        expect_same: Whether any difference at all fails.
        ignore: Settings that were changed on purpose.
    """

    gates: tuple[str, ...] = DEFAULT_GATES
    margins: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    paired: bool = False
    gate: Gate = Gate.difference
    fail_on: frozenset[FailOn] = frozenset(DEFAULT_FAIL_ON)
    expect_same: bool = False
    ignore: tuple[str, ...] = ()

    def margin(self, metric: Metric) -> float:
        """Returns the change of a metric that matters: a difference, or a share on a log scale."""
        return self.margins.get(metric.name, metric.margin)

    def is_gate(self, metric: Metric) -> bool:
        """Returns whether a metric decides the exit code."""
        return metric.name in self.gates or metric.kind is Kind.exact


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
        hedges_g: The gain in standard deviations; negative is worse.
        probability_better: That a candidate's run beats a baseline's.
        resampling_p: Permutation p, or sign-flip p if paired; decides nothing.
        seeds_needed: To find a change of one margin, where the verdict is inconclusive for want of
            seeds.
        not_worse: Whether the one-sided bound excludes a loss of one margin.
        mcnemar: Of the predictions, with one seed a side.
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
    hedges_g: float | None = None
    probability_better: float | None = None
    resampling_p: float | None = None
    seeds_needed: int | None = None
    not_worse: bool | None = None
    mcnemar: McNemar | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """A candidate against the baseline.

    Attributes:
        candidate: The candidate.
        match: Their cells.
        suites: Verdicts over all cells, a metric each in the order of `METRICS`.
        cells: Verdicts of each metric in each cell, in that order.
    """

    candidate: Selection
    match: Match
    suites: tuple[Judged, ...]
    cells: tuple[Judged, ...]

    def rows(self) -> tuple[Judged, ...]:
        """Returns all verdicts; of a single cell its own, since that of the suite is the same."""
        return self.cells if len(self.match.cells) == 1 else (*self.suites, *self.cells)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline, its candidates and what becomes of the gate.

    Attributes:
        baseline: The baseline.
        pairings: One a candidate.
        options: How they were compared.
        exit_code: `PASSED`, `FAILED`, `REFUSED` (nothing could be judged) or `UNDECIDED`.
        reasons: Why it is not `PASSED`, a line each.
    """

    baseline: Selection
    pairings: tuple[Pairing, ...]
    options: Options
    exit_code: int
    reasons: tuple[str, ...]


def compare(
    baseline: Selection,
    candidates: Sequence[Selection],
    options: Options,
    predictions: Predictions = lambda sample: None,
) -> Comparison:
    """Returns the verdict on candidates against a baseline.

    All candidates are one family of tests: alpha holds for the comparison as a whole. The metrics
    that only inform are a family of their own, so that they cost the gated ones no power.

    Args:
        baseline: The runs to compare with.
        candidates: The runs to be judged.
        options: How.
        predictions: Returns which test images a run has right, asked with one seed a side only.

    Raises:
        ComparisonError: If there is nothing that could be compared.
    """
    check_ignored(options.ignore, [baseline, *candidates])
    matches = [match(baseline, candidate, options.ignore) for candidate in candidates]
    metrics = _recorded_metrics([cell for m in matches for cell in m.cells], options)
    judged: dict[Place, list[Judged]] = {}
    for gated in (True, False):
        family = [metric for metric in metrics if options.is_gate(metric) is gated]
        judged |= _judge_family(matches, family, options, predictions)
    pairings = []
    for number, (candidate, matched) in enumerate(zip(candidates, matches, strict=True)):
        rows = [row for metric in metrics for row in judged[number, metric.name]]
        suites = tuple(row for row in rows if not row.cell)
        cells = tuple(row for row in rows if row.cell)
        pairings.append(Pairing(candidate, matched, suites, cells))
    exit_code, reasons = _hold_against_gate(pairings, options)
    return Comparison(baseline, tuple(pairings), options, exit_code, tuple(reasons))


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes to find a change of one margin in one metric.

    Attributes:
        metric: The metric.
        margin: The change, a difference, or a share on a log scale.
        suite: Seeds a side that find it over all cells; None if above `stats.MAX_SEEDS`.
        cell: Seeds a side that find it in the cell that varies most.
        widest_cell: Name of that cell.
        seeds: Seeds that the spread was estimated from.
    """

    metric: Metric
    margin: float
    suite: int | None
    cell: int | None
    widest_cell: str
    seeds: int


def plan(baseline: Selection, options: Options) -> list[Plan]:
    """Returns the seeds that each gated metric needs, from the baseline's spread.

    Raises:
        ComparisonError: If that spread is unknown.
    """
    cells = list(cells_of(baseline, (), "baseline")[0].values())
    seeds = {tuple(sample.seed for sample in cell) for cell in cells}
    if len(seeds) > 1 or len(min(seeds)) < 2:
        raise ComparisonError("--plan: needs at least two seeds, the same in every cell")
    gates = [METRICS[name] for name in options.gates if METRICS[name].kind is not Kind.exact]
    if not gates:
        raise ComparisonError("--plan: no gated metric varies between seeds")
    alphas = stats.strictest_alpha(options.alpha, [len(cells)] * len(gates))
    return [_plan(metric, cells, alphas, options.margin(metric)) for metric in gates]


def _plan(
    metric: Metric,
    cells: Sequence[Sequence[Sample]],
    alphas: tuple[float, float],
    share: float,
) -> Plan:
    margin = metric.scale.margin(share)
    if not margin:
        raise ComparisonError(f"--plan: {metric.name} needs a margin above 0")
    numbers = [[sample.metrics.get(metric.name, np.nan) for sample in cell] for cell in cells]
    try:
        scores = metric.scale.scores(numbers)
    except ValueError as error:
        raise ComparisonError(f"--plan: not every run has {metric.name}: {error}") from error
    variances = scores.var(axis=-1, ddof=1)
    widest = int(variances.argmax())
    mean_variance = scores.mean(axis=0).var(ddof=1)
    suite, cell = (
        stats.seeds_needed([variance] * 2, margin, alpha=alpha)
        for variance, alpha in zip((mean_variance, variances[widest]), alphas, strict=True)
    )
    return Plan(metric, share, suite, cell, cells[widest][0].cell, scores.shape[-1])


# Verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The scores of one metric in one cell, or over all of them, and what needs no test.

    Attributes:
        cell: Readable; empty for the suite.
        seeds: Of both sides; empty for a suite over cells that have other seeds.
        sides: Scores of baseline and candidate, one a seed; None where not every run has one.
        effect: None with fewer than two seeds on a side, and where nothing is tested.
        settled: The verdict that needs no test.
        note: What else there is to say.
    """

    cell: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    sides: tuple[FloatArray, FloatArray] | None = None
    effect: Effect | None = None
    settled: Verdict | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Tests:
    """What is known of a row from its place among the others.

    Attributes:
        adjusted_p: For the whole comparison; None where nothing is tested.
        alpha: The level that a raw p has to reach at the least, to plan for.
        resampling_p: By permutation or sign flips.
    """

    adjusted_p: float | None
    alpha: float
    resampling_p: float | None


def _recorded_metrics(cells: Iterable[Cell], options: Options) -> list[Metric]:
    """Returns the metrics that any run has, and the gates.

    Raises:
        ComparisonError: If there are results, but none has one of the gates.
    """
    runs = [sample for cell in cells for sample in (*cell.baseline, *cell.candidate)]
    recorded = {name for sample in runs for name in sample.metrics}
    for name in options.gates:
        if name not in recorded and not all(sample.failure for sample in runs):
            raise ComparisonError(
                f"--metric {name}: no run has it; they have: "
                f"{', '.join(metric for metric in METRICS if metric in recorded)}"
            )
    return [m for m in METRICS.values() if m.name in recorded or m.name in options.gates]


def _judge_family(
    matches: Sequence[Match],
    metrics: Sequence[Metric],
    options: Options,
    predictions: Predictions,
) -> dict[Place, list[Judged]]:
    """Returns the verdicts on metrics that share alpha: the suite's, then those of the cells."""
    rows = {
        (number, metric.name): _rows(metric, matched, options)
        for number, matched in enumerate(matches)
        for metric in metrics
    }
    suites = {place: _suite_row(of_cells, options) for place, of_cells in rows.items()}
    effects = {
        place: stats.stack([row.effect for row in of_cells if row.effect is not None])
        for place, of_cells in rows.items()
        if suites[place].effect is not None
    }
    errors = {place: row.effect for place, row in suites.items() if row.effect is not None}
    decisions = stats.decide(effects, errors) if effects else {}
    sizes = [effect.gain.size for effect in effects.values()] or [1]
    alphas = stats.strictest_alpha(options.alpha, sizes)
    judged = {}
    for place, of_cells in rows.items():
        metric = METRICS[place[1]]
        decision = decisions.get(place)
        suite_p = None if decision is None else float(decision.suite_p)
        cells_p: Iterator[float] = iter([] if decision is None else decision.cells_p.tolist())
        resampled = iter(_resampling_p([suites[place], *of_cells], options.paired))
        tests = _Tests(suite_p, alphas[0], next(resampled))
        judged[place] = [_judge(metric, suites[place], tests, options)]
        for row, cell in zip(of_cells, matches[place[0]].cells, strict=True):
            p = None if row.effect is None else next(cells_p)
            one = _judge(metric, row, _Tests(p, alphas[1], next(resampled)), options)
            if metric.name == "test_accuracy" and row.effect is None and row.settled is None:
                one = _with_predictions(one, cell, predictions)
            judged[place].append(one)
    return judged


def _resampling_p(rows: Sequence[_Row], paired: bool) -> list[float | None]:
    """Returns the p of each row by resampling, for all rows of as many seeds in one go."""
    test = stats.sign_flip_p if paired else stats.permutation_p
    found: list[float | None] = [None] * len(rows)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, row in enumerate(rows):
        if row.effect is not None and any(row.seeds):
            alike.setdefault((len(row.seeds[0]), len(row.seeds[1])), []).append(place)
    for places in alike.values():
        sides = [side for place in places if (side := rows[place].sides) is not None]
        p = test(np.stack([side[0] for side in sides]), np.stack([side[1] for side in sides]))
        assert p is not None, "an effect has two seeds a side"
        for place, value in zip(places, p.tolist(), strict=True):
            found[place] = value
    return found


def _rows(metric: Metric, matched: Match, options: Options) -> list[_Row]:
    obstacle = _obstacle(metric, matched.cells)
    return [_row(metric, cell, obstacle, options) for cell in matched.cells]


def _obstacle(metric: Metric, cells: Iterable[Cell]) -> str:
    """Returns why times or memory of two sides cannot be compared; empty if they can."""
    samples = [sample for cell in cells for sample in (*cell.baseline, *cell.candidate)]
    if metric.kind is Kind.memory:
        alone = all(s.facts.get("compiled") == "fresh" and not s.parent_run_id for s in samples)
        return "" if alone else "what the process kept of earlier runs is in it"
    if metric.kind is not Kind.time:
        return ""
    reasons = {"host_fp": "the machines differ", "threads": "the numbers of threads differ"}
    if metric.name in COMPILE_BOUND:
        reasons["compiled"] = "only some of the runs reused a compiled program"
    for fact, reason in reasons.items():
        if len(values_of(samples, fact)) > 1:
            return reason
    if values_of(samples, "timing") != ("exclusive",):
        return "some of the runs shared their machine with others"
    return ""


def _row(metric: Metric, cell: Cell, obstacle: str, options: Options) -> _Row:
    """Returns one metric in one cell.

    Raises:
        ComparisonError: If it cannot be paired.
    """
    runs = (cell.baseline, cell.candidate)
    seeds = (tuple(s.seed for s in cell.baseline), tuple(s.seed for s in cell.candidate))
    row = _Row(cell=cell.label, seeds=seeds, settled=Verdict.FAILED)
    lost = [
        f"{side} seed {sample.seed}: {sample.failure or f'has no {metric.name}'}"
        for side, samples in zip(("baseline", "candidate"), runs, strict=True)
        for sample in samples
        if sample.failure or metric.name not in sample.metrics
    ]
    if lost:
        return replace(row, note="; ".join(lost))
    try:
        before, after = (metric.scale.scores([s.metrics[metric.name] for s in r]) for r in runs)
    except ValueError as error:
        return replace(row, note=str(error))
    row = replace(row, sides=(before, after), settled=None)
    if metric.kind is Kind.exact:
        same = len({*before.tolist(), *after.tolist()}) == 1
        return replace(row, settled=Verdict.IDENTICAL if same else Verdict.CHANGED)
    if obstacle:
        return replace(row, settled=Verdict.NOT_COMPARABLE, note=obstacle)
    if options.paired and seeds[0] != seeds[1]:
        ours, theirs = (shown(",".join(map(str, side)), 60) for side in seeds)
        raise ComparisonError(
            f"--paired: {cell.label} has the seeds {ours} against {theirs}, not the same"
        )
    identical = seeds[0] == seeds[1] and bool(np.all(before == after))
    test = stats.paired if options.paired else stats.welch
    return replace(
        row,
        effect=test(before, after),
        settled=Verdict.IDENTICAL if identical else None,
        note="" if identical or min(map(len, seeds)) > 1 else "one seed has no spread to test with",
    )


def _suite_row(rows: Sequence[_Row], options: Options) -> _Row:
    """Returns the mean over the cells: of those that can be tested, or else that have numbers."""
    settled = _common_verdict(rows)
    used = [row for row in rows if row.effect is not None]
    used = used or [row for row in rows if row.sides is not None]
    notes = [rows[0].note] if len({row.note for row in rows}) == 1 else []
    if len(used) < len(rows):
        notes.append(f"over {len(used)} of {len(rows)} cells")
    row = _Row(cell="", seeds=((), ()), settled=settled, note="; ".join(filter(None, notes)))
    if not used:
        return row
    sides = [[row.sides[side] for row in used if row.sides is not None] for side in (0, 1)]
    if len({row.seeds for row in used}) > 1:
        before, after = (np.array([scores.mean() for scores in side]) for side in sides)
        effects = [row.effect for row in used if row.effect is not None]
        return replace(
            row,
            sides=(before, after),
            effect=stats.widest_suite(stats.stack(effects)) if effects else None,
            note="; ".join([*notes, "not the same seeds in all cells: the widest error"]),
        )
    before, after = map(stats.seed_means, sides)
    test = stats.paired if options.paired else stats.welch
    return replace(
        row,
        seeds=used[0].seeds,
        sides=(before, after),
        effect=stats.suite(sides[0], sides[1], test) if used[0].effect is not None else None,
    )


def _common_verdict(rows: Iterable[_Row]) -> Verdict | None:
    """Returns what is settled for the suite without a test; None if nothing is."""
    settled = {row.settled for row in rows}
    if len(settled) == 1:
        return settled.pop()
    return Verdict.CHANGED if Verdict.CHANGED in settled else None


def _judge(metric: Metric, row: _Row, tests: _Tests, options: Options) -> Judged:
    """Returns the verdict on one row."""
    judged = Judged(
        metric=metric,
        gated=options.is_gate(metric),
        cell=row.cell,
        verdict=row.settled or Verdict.INCONCLUSIVE,
        note=row.note,
    )
    if row.sides is None:
        return judged
    before, after = row.sides
    scale = metric.scale
    judged = replace(
        judged,
        baseline=_group(metric, row.seeds[0], before),
        candidate=_group(metric, row.seeds[1], after),
        change=float(scale.change(after.mean() - before.mean())),
    )
    effect = row.effect
    if effect is None or tests.adjusted_p is None:
        return judged
    margin = scale.margin(options.margin(metric))
    low, high = sorted(float(scale.change(end)) for end in effect.interval(1 - options.alpha))
    judged = replace(
        judged,
        verdict=row.settled or _verdict(effect, tests.adjusted_p, margin, options.alpha),
        change=float(scale.change(effect.gain)),
        low=low,
        high=high,
        p=float(effect.p_value()),
        adjusted_p=tests.adjusted_p,
        not_worse=bool(effect.p_not_worse(margin) < options.alpha),
    )
    if not any(row.seeds):
        return judged
    hedges_g = stats.hedges_g(before, after)
    assert hedges_g is not None, "an effect has two seeds a side"
    unknown = judged.verdict is Verdict.INCONCLUSIVE
    return replace(
        judged,
        hedges_g=float(hedges_g),
        probability_better=float(stats.probability_better(before, after)),
        resampling_p=tests.resampling_p,
        seeds_needed=(
            _more_seeds(before, after, margin, tests.alpha, options.paired) if unknown else None
        ),
    )


def _verdict(effect: Effect, adjusted_p: float, margin: float, alpha: float) -> Verdict:
    gain = float(effect.gain)
    if adjusted_p < alpha:
        if gain < 0:
            return Verdict.REGRESSED if gain <= -margin else Verdict.WORSE
        return Verdict.IMPROVED if gain >= margin else Verdict.BETTER
    if effect.p_equivalent(margin) < alpha:
        return Verdict.EQUIVALENT
    return Verdict.NOT_WORSE if effect.p_not_worse(margin) < alpha else Verdict.INCONCLUSIVE


def _more_seeds(
    before: FloatArray, after: FloatArray, margin: float, alpha: float, paired: bool
) -> int | None:
    """Returns the seeds a side that would find one margin; None if these are enough, or unknown."""
    if not margin:
        return None
    groups = [after - before] if paired else [before, after]
    variances = [group.var(ddof=1) for group in groups]
    needed = stats.seeds_needed(variances, margin, alpha=alpha) or stats.MAX_SEEDS
    return needed if needed > min(before.size, after.size) else None


def _group(metric: Metric, seeds: tuple[int, ...], scores: FloatArray) -> Group:
    values = metric.scale.value(scores)
    spread = float(values.std(ddof=1)) if len(seeds) > 1 else None
    return Group(seeds, tuple(values.tolist()), float(metric.scale.value(scores.mean())), spread)


def _with_predictions(judged: Judged, cell: Cell, predictions: Predictions) -> Judged:
    """Returns the verdict with what the test images say, where each side has one seed.

    That is no verdict: other seeds would give other mistakes.
    """
    if len(cell.baseline) > 1 or len(cell.candidate) > 1:
        return judged
    before, after = predictions(cell.baseline[0]), predictions(cell.candidate[0])
    if before is None or after is None or before.shape != after.shape:
        return judged
    result = stats.mcnemar(before, after)
    return replace(judged, mcnemar=result, note=f"{judged.note}; test-set uncertainty only")


# The gate


def _hold_against_gate(pairings: Sequence[Pairing], options: Options) -> tuple[int, list[str]]:
    names = [f"{pairing.candidate.label}: " if len(pairings) > 1 else "" for pairing in pairings]
    named = list(zip(names, pairings, strict=True))
    failures = [name + reason for name, pairing in named for reason in _failures(pairing, options)]
    if failures:
        return FAILED, failures
    gated = [row for p in pairings for row in p.rows() if row.gated]
    untold = {Verdict.FAILED, Verdict.NOT_COMPARABLE}
    if all(row.verdict in untold for row in gated if row.metric.name in options.gates):
        notes = dict.fromkeys(row.note for row in gated if row.verdict in untold)
        return REFUSED, [f"no gated metric could be judged: {'; '.join(filter(None, notes))}"]
    undecided = [
        name + reason for name, pairing in named for reason in _undecided(pairing, options)
    ]
    return (UNDECIDED, undecided) if undecided else (PASSED, [])


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
        if row.gated and (different or failing.get(row.verdict) in fail_on):
            yield describe(row)


def _undecided(pairing: Pairing, options: Options) -> Iterator[str]:
    """Returns what the suite level, the main gate, cannot tell."""
    for row in pairing.suites:
        if row.metric.name not in options.gates:
            continue
        if options.gate is Gate.non_inferiority:
            known = row.verdict is Verdict.IDENTICAL or row.not_worse
        else:
            known = row.verdict is not Verdict.INCONCLUSIVE
            known = known or FailOn.inconclusive not in options.fail_on
        if not known:
            yield describe(row)


def describe(row: Judged) -> str:
    """Returns a verdict as one line: what, of what, where, by how much."""
    where = row.cell or "all cells"
    parts = [f"{row.verdict} {row.metric.name} in {where}"]
    if row.change is not None:
        parts.append(row.metric.show_change(row.change))
    if row.adjusted_p is not None:
        parts.append(f"p {row.adjusted_p:.2g}")
    return ", ".join(parts) + (f" ({row.note})" if row.note else "")
