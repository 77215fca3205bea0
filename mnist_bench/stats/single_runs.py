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
from mnist_bench.stats.tests import OF_MEANS, holm, mean_and_variance, variance_of

BoolArray: TypeAlias = NDArray[np.bool_]

TAIL_DF = 3

OF_EACH = (1 - OF_MEANS) / 2
"""Share of alpha that each of the two tests has: a p is to be divided by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRuns:
    """The runs of a cell, those of the candidate to be held against the baseline's one by one.

    Attributes:
        before: (..., n) scores of the baseline, at least one.
        after: (..., m) scores of the candidate.
        margin: The loss that matters.
        step: In which the scores are known, see `stats.tests.unpaired`.
        chance: The score of guessing; None where that is not known.
    """

    before: FloatArray
    after: FloatArray
    margin: float
    step: float = 0.0
    chance: float | None = None

    def are_lost(self) -> BoolArray:
        """Returns (..., m), which runs are worse than the baseline's mean by the margin."""
        return np.asarray(self.after <= self.before.mean(axis=-1, keepdims=True) - self.margin)

    def have_collapsed(self) -> tuple[BoolArray, BoolArray]:
        """Returns (..., n) and (..., m), which runs lost more than half of what is above chance.

        Above chance is the worst of the baseline's runs, if it is more than half as far above it as
        the best one, which otherwise takes its place.
        """
        if self.chance is None:
            return np.zeros(self.before.shape, dtype=bool), np.zeros(self.after.shape, dtype=bool)
        best, worst = (end(self.before, axis=-1, keepdims=True) for end in (np.max, np.min))
        before = np.asarray(self.before <= (best + self.chance) / 2)
        healthy = np.where(before.any(axis=-1, keepdims=True), best, worst)
        return before, np.asarray(self.are_lost() & (self.after < (healthy + self.chance) / 2))

    def have_certainly_collapsed(self) -> BoolArray:
        """Returns (..., m), which of the candidate's runs are a loss without any test.

        They collapsed and none of the baseline's did, or all did and most of the baseline's did
        not.
        """
        before, after = self.have_collapsed()
        all_did = after.all(axis=-1) & (before.mean(axis=-1) < 1 / 2)
        is_certain = ~before.any(axis=-1) | all_did
        return np.asarray(after & is_certain[..., None])

    def outlying_p(self) -> FloatArray:
        """Returns (..., m) p that a single run is like the baseline's, 1 where it is no loss.

        Where some of the baseline's runs collapsed, those that did are judged by how many they are.
        """
        p = p_outlying(self.before, self.after, self.step)
        single = np.where(self.are_lost(), 1.0 if p is None else p, 1.0)
        before, after = self.have_collapsed()
        by_number = after & before.any(axis=-1, keepdims=True)
        return np.where(by_number, p_more_often(before, after)[..., None], single)

    def wider_p(self) -> FloatArray:
        """Returns (...) p that the runs vary as the baseline's do, 1 where none is a loss."""
        p = p_wider(self.before, self.after, self.step)
        return np.where(self.are_lost().any(axis=-1), 1.0 if p is None else p, 1.0)


def adjusted(p: ArrayLike) -> FloatArray:
    """Returns the p of one of the two tests of single runs for the whole comparison.

    Args:
        p: (..., tests), of all runs (or cells), metrics and candidates.
    """
    return np.minimum(holm(p) / OF_EACH, 1)


def p_outlying(baseline: ArrayLike, runs: ArrayLike, step: float = 0.0) -> FloatArray | None:
    """Returns the one-sided p that a run like the baseline's is as low as this one.

    It is the prediction bound for one new run (Hahn and Meeker 1991, "Statistical Intervals", ch.
    4), with the tails of `TAIL_DF`.

    Args:
        baseline: (..., n) scores.
        runs: (..., m) scores of single runs.
        step: In which the scores are known, see `stats.tests.unpaired`.

    Returns:
        (..., m), or None with fewer than two baseline runs.
    """
    before, after = finite_scores(baseline), finite_scores(runs)
    seeds = before.shape[-1]
    if seeds < 2:
        return None
    error = np.sqrt(variance_of(before, step) * (1 + 1 / seeds))[..., None]
    distance = after - mean_and_variance(before)[0][..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(distance == 0, 0.0, distance / error)
    return np.asarray(stats.t.cdf(t, min(seeds - 1, TAIL_DF)))


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
