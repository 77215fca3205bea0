"""Tests of single runs, beside those of means: is one of them outside what the baseline allows?

A run that collapsed inflates the spread of its side, and so hides from every test of means. Here
the spread is the baseline's alone.

Both tests hold their level for scores whose tails are no heavier than those of Student's t with
`TAIL_DF` degrees of freedom, whatever the number of seeds: with more, the bounds of normal scores
would be narrower, and wrong for real ones (`benchmarks/calibration.py` has heavy tails and skew).
Scores are as in `stats.tests`; worse is lower.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mnist_bench.metrics import FloatArray, finite_scores
from mnist_bench.stats.tests import OF_MEANS, holm, variance_of

BoolArray: TypeAlias = NDArray[np.bool_]

TAIL_DF = 3

OF_EACH = (1 - OF_MEANS) / 2
"""Share of alpha that each of the two tests has: a p is to be divided by it."""


LEARNT = 0.8
"""Share of the way from chance to perfect that the baseline's runs must have come for a run to have
collapsed: with less, and runs that vary by ten points, chance is no far way off."""

FAR_ERRORS = 5
"""How many times the errors of the baseline's worst run are never passed over."""

FAR_MARGINS = 10
"""How many margins a loss has to be besides: of few test images, five errors are soon made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRuns:
    """The runs of a cell, those of the candidate to be held against the baseline's one by one.

    Attributes:
        before: (..., n) scores of the baseline, at least one.
        after: (..., m) scores of the candidate.
        margin: The loss that matters.
        step: In which the scores are known, see `stats.tests.unpaired`.
        chance: The score of guessing; None where that is not known.
        perfect: The score of no error.
    """

    before: FloatArray
    after: FloatArray
    margin: float
    step: float = 0.0
    chance: float | None = None
    perfect: float = 1.0

    def are_lost(self) -> BoolArray:
        """Returns (..., m), which runs are worse than the baseline's mean by the margin."""
        return np.asarray(self.after <= self._reference() - self.margin)

    def have_collapsed(self) -> tuple[BoolArray, BoolArray]:
        """Returns (..., n) and (..., m), which runs collapsed.

        A run of the baseline did if it has less than half of what the best one has above chance. A
        run of the candidate did if it has less than half of what the worst one of the others has
        above chance. Where these have not come far from chance, none did: see `LEARNT`.
        """
        if self.chance is None:
            return np.zeros(self.before.shape, dtype=bool), np.zeros(self.after.shape, dtype=bool)
        before = ~self._are_healthy()
        worst = self._worst()
        has_learnt = worst > self.chance + LEARNT * (self.perfect - self.chance)
        is_low = self.after < (worst + self.chance) / 2
        return before & has_learnt, np.asarray(self.are_lost() & is_low & has_learnt)

    def have_certainly_collapsed(self) -> BoolArray:
        """Returns (..., m), which of the candidate's runs are a loss without any test.

        They collapsed and none of the baseline's did, or all did, of three or more, and most of the
        baseline's did not.
        """
        before, after = self.have_collapsed()
        all_did = after.all(axis=-1) & (before.mean(axis=-1) < 1 / 2) & (after.shape[-1] > 2)
        is_certain = ~before.any(axis=-1) | all_did
        return np.asarray(after & is_certain[..., None])

    def are_untold(self) -> BoolArray:
        """Returns (..., m), which runs are too bad to be passed over, whatever a test says.

        They collapsed where the baseline's do too, but less often. Or they lost `FAR_MARGINS`
        margins, and make `FAR_ERRORS` times the errors of the baseline's worst or have less than
        half of what it has above chance, where that is more than half of all. As few runs can
        hardly tell whether that is a loss.
        """
        if self.chance is None:
            return np.zeros(self.after.shape, dtype=bool)
        before, after = self.have_collapsed()
        share, more = before.mean(axis=-1), after.mean(axis=-1)
        worst = self._worst()
        has_learnt = worst > (self.chance + self.perfect) / 2
        is_far = self.perfect - self.after > FAR_ERRORS * (self.perfect - worst)
        is_far |= (self.after < (worst + self.chance) / 2) & has_learnt
        is_far &= self.after < self._reference() - FAR_MARGINS * self.margin
        return np.where((share > 0)[..., None], after & (more > share)[..., None], is_far)

    def outlying_p(self) -> FloatArray:
        """Returns (..., m) p that a single run is like the baseline's, 1 where it is no loss.

        Where some of the baseline's runs collapsed, those that did are judged by how many they are,
        and the others by the baseline's others.
        """
        before, after = self.have_collapsed()
        p = p_outlying(self.before, self.after, self.step, but=before)
        single = np.where(self.are_lost(), 1.0 if p is None else p, 1.0)
        by_number = after & before.any(axis=-1, keepdims=True)
        return np.where(by_number, p_more_often(before, after)[..., None], single)

    def wider_p(self) -> FloatArray:
        """Returns (...) p that the runs vary as the baseline's do, 1 where none is a loss."""
        p = p_wider(self.before, self.after, self.step)
        return np.where(self.are_lost().any(axis=-1), 1.0 if p is None else p, 1.0)

    def _are_healthy(self) -> BoolArray:
        """Returns (..., n), which of the baseline's runs have more than half of the best's."""
        if self.chance is None:
            return np.ones(self.before.shape, dtype=bool)
        best = self.before.max(axis=-1, keepdims=True)
        # Where the best is no better than chance, there is nothing that could have collapsed.
        return np.asarray((self.before > (best + self.chance) / 2) | (best <= self.chance))

    def _worst(self) -> FloatArray:
        """Returns (..., 1), the worst of the baseline's runs that are healthy."""
        healthy = np.where(self._are_healthy(), self.before, np.inf)
        return np.asarray(healthy.min(axis=-1, keepdims=True))

    def _reference(self) -> FloatArray:
        """Returns (..., 1), the mean of the baseline's runs that are healthy."""
        return np.asarray(self.before.mean(axis=-1, keepdims=True, where=self._are_healthy()))


def adjusted(p: ArrayLike) -> FloatArray:
    """Returns the p of one of the two tests of single runs for the whole comparison.

    Args:
        p: (..., tests), of all runs (or cells), metrics and candidates.
    """
    return np.minimum(holm(p) / OF_EACH, 1)


def p_outlying(
    baseline: ArrayLike, runs: ArrayLike, step: float = 0.0, but: BoolArray | None = None
) -> FloatArray | None:
    """Returns the one-sided p that a run like the baseline's is as low as this one.

    It is the prediction bound for one new run (Hahn and Meeker 1991, "Statistical Intervals", ch.
    4), with the tails of `TAIL_DF`.

    Args:
        baseline: (..., n) scores.
        runs: (..., m) scores of single runs.
        step: In which the scores are known, see `stats.tests.unpaired`.
        but: (..., n), which runs of the baseline do not count; p is 1 where fewer than two do.

    Returns:
        (..., m), or None with fewer than two baseline runs.
    """
    before, after = finite_scores(baseline), finite_scores(runs)
    if before.shape[-1] < 2:
        return None
    counts = np.ones(before.shape, dtype=bool) if but is None else ~but
    seeds = counts.sum(axis=-1, keepdims=True)
    # Relative to one that counts, so that equal values have no spread, as in `mean_and_variance`.
    first = before.max(axis=-1, keepdims=True)
    shifted = np.where(counts, before - first, 0.0)
    mean = shifted.sum(axis=-1, keepdims=True) / np.maximum(seeds, 1)
    squares = np.where(counts, (shifted - mean) ** 2, 0.0).sum(axis=-1, keepdims=True)
    df = np.maximum(seeds - 1, 1)
    variance = np.maximum(squares / df, (step / 2) ** 2)
    distance = after - first - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(distance == 0, 0.0, distance / np.sqrt(variance * (1 + 1 / seeds)))
    return np.where(seeds > 1, stats.t.cdf(t, np.minimum(df, TAIL_DF)), 1.0)


def p_wider(baseline: ArrayLike, candidate: ArrayLike, step: float = 0.0) -> FloatArray | None:
    """Returns the one-sided p that the candidate's runs vary no more than the baseline's.

    It is the F test of two variances, with the tails of `TAIL_DF`.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.
        step: In which the scores are known.

    Returns:
        (...), or None with fewer than two runs on a side.
    """
    groups = finite_scores(baseline), finite_scores(candidate)
    seeds = [group.shape[-1] for group in groups]
    if min(seeds) < 2:
        return None
    before, after = (variance_of(group, step) for group in groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(after > 0, after / before, 0.0)
    return np.asarray(stats.f.sf(ratio, seeds[1] - 1, min(seeds[0] - 1, TAIL_DF)))


def p_more_often(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray:
    """Returns the one-sided p that runs of the candidate fail no more often than the baseline's.

    Fisher's exact test (1935, J. R. Stat. Soc. 98:39) of two shares.

    Args:
        baseline: (..., n) bool, which runs failed.
        candidate: (..., m) bool.

    Returns:
        (...).
    """
    before, after = np.asarray(baseline, dtype=bool), np.asarray(candidate, dtype=bool)
    runs, failed = after.shape[-1], after.sum(axis=-1)
    of_all = before.sum(axis=-1) + failed
    return np.asarray(stats.hypergeom.sf(failed - 1, before.shape[-1] + runs, of_all, runs))
