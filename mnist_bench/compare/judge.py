"""The verdict on two groups of runs, and what a gate makes of it.

Everything here is pure: it sees `Selection`s and returns a `Comparison`. The sample is the seed:
one run gives one number a metric. `mnist_bench.stats` has the statistics and their sources.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnist_bench.compare.comparable import obstacle, obstacle_of_turns, step_of, turns
from mnist_bench.compare.matching import Match, MatchedCell, check_ignored, match
from mnist_bench.compare.options import Options, Verdict
from mnist_bench.compare.outliers import Outliers, find_outliers
from mnist_bench.compare.verdicts import Comparison, Group, Judged, Pairing, hold_against_gate
from mnist_bench.errors import Refusal
from mnist_bench.metrics import METRICS, FloatArray, Kind, Metric, Use, used_for
from mnist_bench.selection.samples import Sample, Selection
from mnist_bench.stats.power import SeedRange, seed_range
from mnist_bench.stats.tests import (
    Effect,
    cell_weights,
    decide,
    mcnemar,
    paired,
    satterthwaite,
    seed_means,
    spread_of,
    stack,
    strictest_alpha,
    unpaired,
    variance_of,
    widest_suite,
)
from mnist_bench.text import plural, shown

CorrectPredictions: TypeAlias = Callable[[Sample], "NDArray[np.bool_] | None"]
Place: TypeAlias = tuple[int, str]
"""The number of a candidate, and the name of a metric."""


def compare_selections(
    baseline: Selection,
    candidates: Sequence[Selection],
    options: Options,
    predictions: CorrectPredictions = lambda sample: None,
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
        Refusal: If there is nothing that could be compared.
    """
    check_ignored(options.ignore, [baseline, *candidates])
    matches = [match(baseline, candidate, options.ignore) for candidate in candidates]
    runs = [run for matched in matches for run in _runs_of(matched.cells)]
    metrics = _recorded_metrics(runs, options)
    judged: dict[Place, list[Judged]] = {}
    for gated in (True, False):
        family = [metric for metric in metrics if options.is_gate(metric) is gated]
        judged |= _judge_family(matches, family, options, predictions)
    outliers = find_outliers(matches, options)
    pairings = []
    for number, (candidate, matched) in enumerate(zip(candidates, matches, strict=True)):
        rows = [judged[number, metric.name] for metric in metrics]
        suites = tuple(suite for suite, *_ in rows)
        cells = tuple(
            _with_outliers(cell, outliers.get((number, cell.metric.name, cell.cell)))
            for _, *of_cells in rows
            for cell in of_cells
        )
        pairings.append(Pairing(candidate, matched, suites, cells))
    exit_code, reasons = hold_against_gate(pairings, options)
    return Comparison(baseline, tuple(pairings), options, exit_code, tuple(reasons))


# Verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The scores of one metric in one cell, or over all of them, and what needs no test.

    Attributes:
        cell: Readable; empty for the suite.
        seeds: Of both sides; empty for a suite over cells that have other seeds.
        sides: Scores of baseline and candidate, one a seed, or a cell where there are no seeds;
            None where not every run has one.
        weights: Of the cells in the mean, where there are no seeds.
        spread: Of all these runs, by which the cell is weighed in the suite.
        step: In which scores are known.
        effect: None with fewer than two seeds on a side, and where nothing is tested.
        plain: Of a suite, the effect with equal weights, if `effect` has others: a cell that is
            broken is not to hide where something is shown not to be worse.
        settled: The verdict that needs no test.
        note: What else there is to say.
    """

    cell: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    sides: tuple[FloatArray, FloatArray] | None = None
    weights: FloatArray | None = None
    spread: float = 0.0
    step: float = 0.0
    effect: Effect | None = None
    plain: Effect | None = None
    settled: Verdict | None = None
    note: str = ""


def _runs_of(cells: Iterable[MatchedCell]) -> list[Sample]:
    return [sample for cell in cells for sample in (*cell.baseline, *cell.candidate)]


def _recorded_metrics(runs: Sequence[Sample], options: Options) -> list[Metric]:
    """Returns the metrics that any run has, and the gates.

    Raises:
        Refusal: If there are results, but none has one of the gates.
    """
    recorded = {name for sample in runs for name in sample.metrics}
    known = used_for(Use.compared)
    for name in options.gates:
        if name not in recorded and not all(sample.failure for sample in runs):
            raise Refusal(
                f"--metric {name}: no run has it; they have: "
                f"{', '.join(name for name in known if name in recorded)}"
            )
    return [m for m in known.values() if m.name in recorded or m.name in options.gates]


def _judge_family(
    matches: Sequence[Match],
    metrics: Sequence[Metric],
    options: Options,
    predictions: CorrectPredictions,
) -> dict[Place, list[Judged]]:
    """Returns the verdicts on metrics that share alpha: the suite's, then those of the cells."""
    rows = {
        (number, metric.name): _metric_rows(metric, matched, options)
        for number, matched in enumerate(matches)
        for metric in metrics
    }
    suites = {p: row.effect for p, (row, *_) in rows.items() if row.effect is not None}
    cells = {
        place: stack([row.effect for row in rows[place][1:] if row.effect is not None])
        for place in suites
    }
    decisions = decide(cells, suites) if suites else {}
    sizes = [effect.gain.size for effect in cells.values()] or [1]
    suite_alpha, cell_alpha = strictest_alpha(options.alpha, sizes)
    judged: dict[Place, list[Judged]] = {place: [] for place in rows}
    for place, of_metric in rows.items():
        metric, decision = METRICS[place[1]], decisions.get(place)
        adjusted = iter([] if decision is None else [decision.suite_p, *decision.cells_p])
        for row, cell in zip(of_metric, (None, *matches[place[0]].cells), strict=True):
            p = None if row.effect is None else float(next(adjusted))
            one = _judge(metric, row, p, suite_alpha if cell is None else cell_alpha, options)
            if cell is not None and metric.name == "test_accuracy":
                one = _with_predictions(one, cell, predictions)
            judged[place].append(one)
    return judged


def _metric_rows(metric: Metric, matched: Match, options: Options) -> list[_Row]:
    """Returns one metric over all cells, then in each of them."""
    found = obstacle(metric, _runs_of(matched.cells))
    rows = [_row(metric, cell, found, options) for cell in matched.cells]
    return [_suite_row(metric, rows, options), *rows]


def _row(metric: Metric, cell: MatchedCell, obstacle: str, options: Options) -> _Row:
    """Returns one metric in one cell.

    Raises:
        Refusal: If it cannot be paired.
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
    if metric.kind is Kind.time and not obstacle:
        obstacle = obstacle_of_turns(*runs)
    if obstacle:
        return replace(row, settled=Verdict.NOT_COMPARABLE, note=obstacle)
    if metric.kind is Kind.time:
        row, before, after = _by_turn(metric, row, cell)
    is_paired = _is_paired(metric, options)
    if is_paired and seeds[0] != seeds[1]:
        ours, theirs = (shown(",".join(map(str, side)), 60) for side in seeds)
        raise Refusal(f"--paired: {cell.label} has the seeds {ours} against {theirs}, not the same")
    step = metric.scale.margin(step_of(metric, _runs_of([cell])))
    row = replace(row, step=step, effect=(paired if is_paired else unpaired)(before, after, step))
    if row.effect:
        row = replace(row, spread=float(spread_of(before, after, is_paired=is_paired)))
    if seeds[0] == seeds[1] and np.array_equal(before, after):
        return replace(row, settled=Verdict.IDENTICAL)
    return replace(row, note="" if row.effect else "one seed has no spread to test with")


def _is_paired(metric: Metric, options: Options) -> bool:
    """Returns whether runs of one seed are compared with each other; a turn has no partner."""
    return options.paired and metric.kind is not Kind.time


def _by_turn(metric: Metric, row: _Row, cell: MatchedCell) -> tuple[_Row, FloatArray, FloatArray]:
    """Returns a row of a time with its turns in place of seeds, and the mean score of each."""
    before, after = (
        np.array([metric.scale.scores([r.metrics[metric.name] for r in t]).mean() for t in side])
        for side in turns(cell.baseline, cell.candidate)
    )
    numbers = tuple(range(1, before.size + 1)), tuple(range(1, after.size + 1))
    return replace(row, seeds=numbers, sides=(before, after)), before, after


def _suite_row(metric: Metric, rows: Sequence[_Row], options: Options) -> _Row:
    """Returns the mean over the cells: of those that can be tested, or else that have numbers."""
    used = [row for row in rows if row.effect is not None]
    used = used or [row for row in rows if row.sides is not None]
    notes = [rows[0].note] if len({row.note for row in rows}) == 1 else []
    if len(used) < len(rows):
        notes.append(f"over {len(used)} of {len(rows)} cells")
    row = _Row(cell="", settled=_common_verdict(rows))
    sides = [row.sides for row in used if row.sides is not None]
    effects = [row.effect for row in used if row.effect is not None]
    weights = cell_weights([row.spread for row in used]) if used else None
    lighter = 0 if weights is None else int(np.sum(weights < weights.max()))
    if lighter:
        notes.append(f"less weight on {plural(lighter, 'cell')} of large spread")
    if len({row.seeds for row in used}) > 1:
        before, after = (np.array([s.mean() for s in side]) for side in zip(*sides, strict=True))
        row = replace(row, weights=weights)
        if effects:
            row = replace(row, effect=widest_suite(stack(effects), weights))
            row = replace(row, plain=widest_suite(stack(effects)))
            notes.append("not the same seeds in all cells: the widest error")
    elif used:
        # Seed by seed, since cells are not independent: see `stats.tests.suite`.
        before, after = (seed_means(side, weights) for side in zip(*sides, strict=True))
        # All cells may be rounded alike, so their mean is known no better than the worst of them.
        step = max(row.step for row in used)
        test = paired if _is_paired(metric, options) else unpaired
        effect = test(before, after, step) if effects else None
        alike = [seed_means(side) for side in zip(*sides, strict=True)]
        plain = test(alike[0], alike[1], step) if effects else None
        row = replace(row, seeds=used[0].seeds, step=step, effect=effect, plain=plain)
    note = "; ".join(filter(None, notes))
    return replace(row, sides=(before, after) if used else None, note=note)


def _common_verdict(rows: Sequence[_Row]) -> Verdict | None:
    """Returns what is settled for the suite without a test; None if nothing is."""
    settled = {row.settled for row in rows}
    if len(settled) == 1:
        return settled.pop()
    return Verdict.CHANGED if Verdict.CHANGED in settled else None


def _judge(
    metric: Metric, row: _Row, adjusted_p: float | None, alpha: float, options: Options
) -> Judged:
    """Returns the verdict on one row.

    Args:
        metric: The metric.
        row: Its scores.
        adjusted_p: For the whole comparison; None where nothing is tested.
        alpha: The level that a raw p has to reach at the least, to plan for.
        options: How to judge.
    """
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
    scale, effect = metric.scale, row.effect
    judged = replace(
        judged,
        baseline=_group(metric, row.seeds[0], before, row.weights),
        candidate=_group(metric, row.seeds[1], after, row.weights),
        change=float(scale.change(after.mean() - before.mean() if effect is None else effect.gain)),
    )
    if effect is None or adjusted_p is None:
        return judged
    margin = scale.margin(options.margin(metric))
    low, high = sorted(float(scale.change(end)) for end in effect.interval(1 - options.alpha))
    plain = row.plain or effect
    verdict = row.settled or _decided(effect, plain, adjusted_p, margin, options.alpha)
    needed = None
    is_of_seeds = any(row.seeds) and metric.kind is not Kind.time
    if verdict is Verdict.INCONCLUSIVE and is_of_seeds and margin:
        needed = _more_seeds(row, margin, alpha, _is_paired(metric, options))
    return replace(
        judged,
        verdict=verdict,
        low=low,
        high=high,
        p=float(effect.p_value()),
        adjusted_p=adjusted_p,
        not_worse=bool(plain.p_not_worse(margin) < options.alpha),
        seeds_needed=needed,
    )


def _decided(
    effect: Effect, plain: Effect, adjusted_p: float, margin: float, alpha: float
) -> Verdict:
    gain = float(effect.gain)
    if adjusted_p < alpha:
        # On paper, -0.20 points from 0.9800 and from 0.9812 are one loss; in binary they are not.
        is_large = abs(gain) >= margin * (1 - 1e-9)
        if gain < 0:
            return Verdict.REGRESSED if is_large else Verdict.WORSE
        return Verdict.IMPROVED if is_large else Verdict.BETTER
    if plain.p_equivalent(margin) < alpha:
        return Verdict.EQUIVALENT
    return Verdict.NOT_WORSE if plain.p_not_worse(margin) < alpha else Verdict.INCONCLUSIVE


def _more_seeds(row: _Row, margin: float, alpha: float, is_paired: bool) -> SeedRange | None:
    """Returns the seeds a side that find one margin; None if these should have been enough."""
    assert row.sides is not None, "it was tested"
    before, after = row.sides
    groups = [after - before] if is_paired else [before, after]
    variances = np.array([variance_of(group, row.step) for group in groups])
    df = float(satterthwaite(variances, np.array([group.size - 1.0 for group in groups])))
    needed = seed_range(variances, df, margin, alpha=alpha)
    ran = min(before.size, after.size)
    if needed.assured is not None and needed.assured <= ran:
        return None
    likely = needed.likely and max(needed.likely, ran + 1)
    return replace(needed, likely=likely)


def _group(
    metric: Metric, seeds: tuple[int, ...], scores: FloatArray, weights: FloatArray | None
) -> Group:
    values = metric.scale.value(scores)
    spread = float(values.std(ddof=1)) if len(seeds) > 1 else None
    center = float(metric.scale.value(np.average(scores, weights=weights)))
    return Group(seeds, tuple(values.tolist()), center, spread)


def _with_outliers(judged: Judged, outliers: Outliers | None) -> Judged:
    """Returns the verdict with what single runs say; a worse verdict on the mean stands."""
    if outliers is None:
        return judged
    stands = judged.verdict in (Verdict.REGRESSED, Verdict.FAILED)
    verdict = Verdict.OUTLIERS if outliers.seeds else Verdict.INCONCLUSIVE
    return replace(
        judged,
        # Test accuracy is looked at whatever is gated, and what is found there counts.
        gated=True,
        verdict=judged.verdict if stands else verdict,
        outliers=outliers.seeds,
        untold=outliers.untold,
        seeds_needed=None,
        note="; ".join(filter(None, [outliers.note, judged.note])),
    )


def _with_predictions(judged: Judged, cell: MatchedCell, predictions: CorrectPredictions) -> Judged:
    """Returns the verdict with what the test images say, where each side has one seed.

    That is no verdict: other seeds would give other mistakes.
    """
    if judged.verdict is not Verdict.INCONCLUSIVE or len(cell.baseline) + len(cell.candidate) > 2:
        return judged
    before, after = predictions(cell.baseline[0]), predictions(cell.candidate[0])
    if before is None or after is None or before.shape != after.shape:
        return judged
    result = mcnemar(before, after)
    return replace(judged, mcnemar=result, note=f"{judged.note}; test-set uncertainty only")
