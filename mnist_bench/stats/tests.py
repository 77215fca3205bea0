"""The tests that decide a verdict on means: of a cell, paired, over all cells, Holm, McNemar.

Three conventions hold throughout:

- Everything after `Scale` sees **scores**: numbers of which more is better. An effect is a
  **gain**, candidate minus baseline, so worse is negative, whatever the metric. `Scale.change`
  leads back to the metric's own direction and unit.
- The seeds lie on the **last axis**. Leading axes are separate problems (cells, repetitions of a
  simulation), all answered at once; without them a result is 0-d: take its `float()`.
- **Nothing unknown passes.** A score that is not finite raises `ValueError`: a diverged run is a
  failure to report, not a number to average. Fewer than two seeds on a side give `None`: there is
  no spread, so there is no inference over seeds.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mnist_bench.metrics import FloatArray, finite_scores

Key = TypeVar("Key", bound=Hashable)

OF_MEANS = 0.9
"""Share of alpha that is for means; the rest is for single runs, see `stats.single_runs`."""

WILD = 3
"""How many times as much as the middle cell a cell has to vary to count for less in a suite."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A gain and its error: (gain - true gain) / standard_error is Student's t with df.

    Welch's test of a cell, the paired test and the mean over a suite all have this form, so each
    question is answered here once.

    Without spread (`standard_error` 0) the answers are the limits: a gain of 0 has p = 1, any other
    gain p = 0, and the interval is the gain itself. No verdict rests on that: where a metric is
    known in steps, `unpaired` and `paired` are told of the step, and no spread is below half of it.

    Attributes:
        gain: (...) float64, on the scale of scores; negative is worse.
        standard_error: (...) float64, same shape.
        df: (...) float64, degrees of freedom, same shape.
    """

    gain: FloatArray
    standard_error: FloatArray
    df: FloatArray

    def p_value(self) -> FloatArray:
        """Returns the two-sided p of "the true gain is 0"."""
        return 2 * self._tail(np.abs(self.gain))

    def interval(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Returns the two-sided confidence interval of the gain.

        `p_value() < alpha` exactly when the interval at 1 - alpha excludes 0.
        """
        half = self.half_width(confidence)
        return self.gain - half, self.gain + half

    def half_width(self, confidence: float) -> FloatArray:
        """Returns half the width of the two-sided confidence interval."""
        return np.asarray(stats.t.isf((1 - confidence) / 2, self.df) * self.standard_error)

    def lower_bound(self, confidence: float) -> FloatArray:
        """Returns the one-sided bound: the true gain is not below it, with this confidence."""
        return self.gain - stats.t.isf(1 - confidence, self.df) * self.standard_error

    def p_not_worse(self, margin: float) -> FloatArray:
        """Returns the one-sided p of "worse by the margin or more"; small is non-inferior.

        It is < alpha exactly when `lower_bound(1 - alpha)` lies above -margin.
        """
        return self._tail(self.gain + margin)

    def p_equivalent(self, margin: float) -> FloatArray:
        """Returns the p of two one-sided tests (TOST); small is equivalent.

        It is < alpha exactly when the interval at 1 - 2 alpha lies inside +-margin (Schuirmann
        1987, J. Pharmacokin. Biopharm. 15:657).
        """
        return self._tail(margin - np.abs(self.gain))

    def _tail(self, distance: FloatArray) -> FloatArray:
        """Returns P(t > distance / standard_error), 1/2 at a distance of 0 whatever the error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(distance == 0, 0.0, distance / self.standard_error)
        return np.asarray(stats.t.sf(t, self.df))


@dataclass(frozen=True, slots=True)
class Decision:
    """One metric judged on both levels; compare each p with the one alpha of the comparison.

    Attributes:
        cells_p: Adjusted p of each cell, (..., cells).
        suite_p: Adjusted p of the suite, (...).
    """

    cells_p: FloatArray
    suite_p: FloatArray


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two sets of predictions for the same images.

    Attributes:
        lost: Images that only the baseline has right.
        gained: Images that only the candidate has right.
        churn: Share of the images whose correctness changed.
        p: Exact two-sided p of "as many are gained as lost". It speaks of the choice of test images
            only, not of seeds.
    """

    lost: int
    gained: int
    churn: float
    p: float


def welch(baseline: ArrayLike, candidate: ArrayLike) -> Effect | None:
    """Returns the gain between two independent groups, variances not assumed equal.

    Welch 1947, Biometrika 34:28. The same as `scipy.stats.ttest_ind(equal_var=False)`, which keeps
    the standard error to itself and has no answer without spread.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.
    """
    groups = finite_scores(baseline), finite_scores(candidate)
    seeds = np.array([group.shape[-1] for group in groups], dtype=np.float64)
    if seeds.min() < 2:
        return None
    (before, spread_before), (after, spread_after) = map(mean_and_variance, groups)
    parts = np.stack([spread_before, spread_after], axis=-1) / seeds
    return Effect(after - before, np.sqrt(parts.sum(axis=-1)), satterthwaite(parts, seeds - 1))


def unpaired(baseline: ArrayLike, candidate: ArrayLike, step: float = 0.0) -> Effect | None:
    """Returns the gain between two independent groups: Welch's, with no less than Student's error.

    With as many seeds on both sides the two tests have one error, so this is Welch's. With few and
    unequal ones Welch's is blind: a variance of two numbers is often far too small, and of 10 seeds
    against 2 in 16 cells it raises 36 % false alarms (`benchmarks/calibration.py`). Student's error
    pools the variances, which is exact where nothing changed; Welch's degrees of freedom are never
    more than Student's. So the level holds where both sides vary alike, and about as well as
    Welch's where they do not.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.
        step: In which the scores are known; no standard deviation is taken to be below half of it,
            that of a number which falls on two neighbouring steps alike.
    """
    groups = finite_scores(baseline), finite_scores(candidate)
    seeds = np.array([group.shape[-1] for group in groups], dtype=np.float64)
    if seeds.min() < 2:
        return None
    (before, _), (after, _) = map(mean_and_variance, groups)
    variances = np.stack([variance_of(group, step) for group in groups], axis=-1)
    parts = variances / seeds
    pooled = variances @ (seeds - 1) / (seeds.sum() - 2) * np.sum(1 / seeds)
    error = np.sqrt(np.maximum(parts.sum(axis=-1), pooled))
    return Effect(after - before, error, satterthwaite(parts, seeds - 1))


def paired(baseline: ArrayLike, candidate: ArrayLike, step: float = 0.0) -> Effect | None:
    """Returns the mean gain over pairs of runs with the same seed (Student's t of the differences).

    Args:
        baseline: (..., n) scores.
        candidate: (..., n) scores, the same seeds in the same order.
        step: In which the scores are known, see `unpaired`.

    Raises:
        ValueError: If the numbers of seeds differ.
    """
    return mean_effect(pair_gains(baseline, candidate), step)


def mean_effect(gains: ArrayLike, step: float = 0.0) -> Effect | None:
    """Returns the mean of (..., n) numbers over the seeds (Student 1908, Biometrika 6:1)."""
    numbers = finite_scores(gains)
    seeds = numbers.shape[-1]
    if seeds < 2:
        return None
    mean, _ = mean_and_variance(numbers)
    error = np.sqrt(variance_of(numbers, step) / seeds)
    return Effect(mean, error, np.full_like(mean, seeds - 1))


def stack(effects: Sequence[Effect]) -> Effect:
    """Returns the effects of single cells as one effect with the cells on a new last axis."""
    return Effect(
        np.stack([effect.gain for effect in effects], axis=-1),
        np.stack([effect.standard_error for effect in effects], axis=-1),
        np.stack([effect.df for effect in effects], axis=-1),
    )


def spread_of(baseline: ArrayLike, candidate: ArrayLike, *, is_paired: bool) -> FloatArray:
    """Returns how much the runs of a cell vary, whichever side they are of: for `cell_weights`.

    It is the standard deviation of all runs together, or of pairs the root mean square of the
    gains. Where nothing changed it says nothing of the gain: sides or signs could be swapped.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.
        is_paired: Whether the scores are pairs.
    """
    if is_paired:
        return np.asarray(np.sqrt(np.mean(pair_gains(baseline, candidate) ** 2, axis=-1)))
    runs = np.concatenate([finite_scores(baseline), finite_scores(candidate)], axis=-1)
    return np.sqrt(mean_and_variance(runs)[1])


def cell_weights(spreads: ArrayLike) -> FloatArray:
    """Returns the share of each cell in a suite, from `spread_of` each.

    All count alike, but a cell that varies more than `WILD` times as much as the middle one (the
    lower of two; cells that do not vary aside) counts by as much less: one wild cell would drown
    the others. With 50 times the spread in one of 16 cells, a mean of equal weights finds a loss of
    two standard deviations in 7 % of all cases instead of 100 %.

    Args:
        spreads: (..., cells).

    Returns:
        (..., cells), of sum 1.
    """
    varied = np.asarray(spreads, dtype=np.float64)
    in_order = np.sort(np.where(varied > 0, varied, np.inf), axis=-1)
    middle = (np.sum(varied > 0, axis=-1, keepdims=True) - 1) // 2
    most = WILD * np.take_along_axis(in_order, np.maximum(middle, 0), axis=-1)
    weights = np.where(varied > most, most / np.where(varied > most, varied, 1), 1.0)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def suite(
    baseline: ArrayLike,
    candidate: ArrayLike,
    test: Callable[[ArrayLike, ArrayLike, float], Effect | None] = unpaired,
    weights: ArrayLike | None = None,
    step: float = 0.0,
) -> Effect | None:
    """Returns the mean gain over the cells, whatever they have in common.

    A seed decides the order of the images and the first weights in all its cells, and the four
    styles are one network, so cells are not independent. The seeds are: the mean over the cells is
    taken first, seed by seed, and the test sees one number a seed. (To treat the cells as
    independent raises 9 to 14 % false alarms when they share a twentieth of their variance:
    `benchmarks/calibration.py`.) Means over a block as the unit of analysis: Kish 1965, "Survey
    Sampling", ch. 5; for clustered seeds Miller 2024, arXiv:2411.00640.

    Args:
        baseline: (..., cells, n) scores, the same seeds in every cell in the same order.
        candidate: (..., cells, m) scores, likewise.
        test: `unpaired`, or `paired`.
        weights: (..., cells) share of each cell; equal ones if None.
        step: In which the scores are known. All cells may be rounded alike, so their mean is known
            no better.

    Returns:
        Effects of shape (...), or None where `test` gives None.
    """
    before, after = (seed_means(side, weights) for side in (baseline, candidate))
    return test(before, after, step)


def widest_suite(cells: Effect, weights: ArrayLike | None = None) -> Effect:
    """Returns the mean gain over cells that do not have the same seeds.

    What such cells share is unknown, so the error is the largest that any correlation allows: the
    standard deviation of a mean is at most the mean of the standard deviations (Minkowski), reached
    at a correlation of 1. The degrees of freedom are the least.

    Args:
        cells: (..., cells).
        weights: (..., cells) share of each cell, of sum 1; equal ones if None.
    """
    shares = 1 / cells.gain.shape[-1] if weights is None else np.asarray(weights)
    gain, error = (np.sum(part * shares, axis=-1) for part in (cells.gain, cells.standard_error))
    return Effect(gain, error, cells.df.min(axis=-1))


def holm(p: ArrayLike) -> FloatArray:
    """Returns p adjusted for all tests on the last axis (Holm 1979, Scand. J. Statist. 6:65).

    The family-wise error rate holds under any dependence between the tests.

    Raises:
        ValueError: If a p is not in [0, 1], as NaN is not.
    """
    raw = np.asarray(p, dtype=np.float64)
    if not np.all((raw >= 0) & (raw <= 1)):
        raise ValueError("every p must be in [0, 1]")
    order = np.argsort(raw, axis=-1)
    steps = np.take_along_axis(raw, order, axis=-1) * np.arange(raw.shape[-1], 0, -1)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), axis=-1)
    return np.minimum(adjusted, 1)


def decide(cells: Mapping[Key, Effect], suites: Mapping[Key, Effect]) -> dict[Key, Decision]:
    """Returns every gated metric judged on both levels, with one alpha for everything.

    The suites of all metrics are one family of tests, the cells of all metrics another; Holm
    adjusts each. The two levels share `OF_MEANS` of alpha by halves, written as a larger p. So
    `p < alpha` decides everywhere, and the chance of any false alarm in the whole comparison is at
    most alpha. Where no metric has more than one cell, the levels are the same test, and one level.

    An adjusted p < alpha implies a raw p < alpha: the interval at 1 - alpha then excludes 0.

    Args:
        cells: Effects of shape (..., cells) by metric; the number of cells may differ.
        suites: Effects of shape (...) by metric, from `suite` or `widest_suite`.

    Raises:
        ValueError: If there is no metric or a metric without a cell, or an effect is NaN.
    """
    sizes = [effects.gain.shape[-1] for effects in cells.values()]
    if not sizes or min(sizes) == 0:
        raise ValueError("nothing to decide: every gated metric needs at least one cell")
    share = _levels(sizes)
    suites_p = share * holm(np.stack([suites[key].p_value() for key in cells], axis=-1))
    cells_p = share * holm(np.concatenate([c.p_value() for c in cells.values()], axis=-1))
    by_metric = np.split(np.minimum(cells_p, 1), np.cumsum(sizes)[:-1], axis=-1)
    return {
        key: Decision(by_metric[i], np.minimum(suites_p[..., i], 1)) for i, key in enumerate(cells)
    }


def strictest_alpha(alpha: float, cells: Sequence[int]) -> tuple[float, float]:
    """Returns the level a raw p must reach in `decide` if no other test helps: (suite, cell).

    It is Holm's first step, and what `seeds_needed` should plan for.

    Args:
        alpha: The alpha of the whole comparison.
        cells: The number of cells of each gated metric.
    """
    shared = alpha / _levels(cells)
    return shared / len(cells), shared / sum(cells)


def mcnemar(baseline_correct: ArrayLike, candidate_correct: ArrayLike) -> McNemar:
    """Returns McNemar's exact test (1947, Psychometrika 12:153): a sign test of what changed.

    Args:
        baseline_correct: (n,) bool, whether each image was classified correctly.
        candidate_correct: (n,) bool, the same images in the same order.

    Raises:
        ValueError: If the arrays are not boolean, are empty or differ in shape.
    """
    before, after = np.asarray(baseline_correct), np.asarray(candidate_correct)
    if before.dtype != np.bool_ or after.dtype != np.bool_:
        raise ValueError(f"needs boolean arrays, not {before.dtype} and {after.dtype}")
    if before.ndim != 1 or before.shape != after.shape or not before.size:
        raise ValueError(f"needs the same images, not {before.shape} and {after.shape}")
    lost, gained = int(np.sum(before & ~after)), int(np.sum(~before & after))
    changed = lost + gained
    p = float(stats.binomtest(gained, changed, 0.5).pvalue) if changed else 1.0
    return McNemar(lost, gained, changed / before.size, p)


def seed_means(scores: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Returns the mean over the cells for each seed; equal cells have exactly their own value.

    Args:
        scores: (..., cells, n).
        weights: (..., cells) of sum 1; equal ones if None.
    """
    array = finite_scores(scores)
    shares = 1 / array.shape[-2] if weights is None else np.asarray(weights)[..., None]
    return np.asarray(array[..., 0, :] + ((array - array[..., :1, :]) * shares).sum(axis=-2))


def pair_gains(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray:
    """Returns candidate minus baseline, seed by seed."""
    before, after = finite_scores(baseline), finite_scores(candidate)
    if before.shape != after.shape:
        raise ValueError(f"pairs need the same seeds, not {before.shape} and {after.shape}")
    return after - before


def mean_and_variance(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the mean and the sample variance (ddof 1) over the last axis.

    Relative to the first value, so that equal values have a spread of exactly 0 and not of 1e-34
    (shifted data: Chan, Golub and LeVeque 1983, Am. Stat. 37:242).
    """
    shifted = scores - scores[..., :1]
    return scores[..., 0] + shifted.mean(axis=-1), shifted.var(axis=-1, ddof=1)


def variance_of(scores: FloatArray, step: float) -> FloatArray:
    """Returns the sample variance, at least that of a number between two neighbouring steps."""
    return np.maximum(mean_and_variance(scores)[1], (step / 2) ** 2)


def satterthwaite(parts: FloatArray, df: FloatArray) -> FloatArray:
    """Returns the degrees of freedom of a sum of variances, (sum v)^2 / sum(v^2 / df).

    Without any spread it returns the least df, which is the lower bound of the formula.
    """
    total = parts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        combined = 1 / np.sum((parts / total[..., None]) ** 2 / df, axis=-1)
    return np.asarray(np.where(total > 0, combined, df.min(axis=-1)))


def _levels(cells: Sequence[int]) -> float:
    """Returns what the p of means is multiplied with: of a single cell both levels are one test."""
    return (2 if max(cells) > 1 else 1) / OF_MEANS
