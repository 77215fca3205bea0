"""Effect sizes and resampling tests, which are shown and decide nothing."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from mnist_bench.metrics import FloatArray, finite_scores
from mnist_bench.stats.tests import mean_and_variance, pair_gains

RESAMPLES = 10_000
"""Permutations or sign flips up to which all are tried, and draws where there are more."""


def hedges_g(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray | None:
    """Returns the gain in pooled standard deviations, freed of its small-sample bias.

    Hedges 1981, J. Educ. Statist. 6:107, with the exact correction by gamma functions. Without
    spread it is 0 for no gain, otherwise infinite.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.

    Returns:
        Shape (...), or None with fewer than two seeds on a side.

    Raises:
        ValueError: If a score is not finite.
    """
    groups = finite_scores(baseline), finite_scores(candidate)
    n, m = (group.shape[-1] for group in groups)
    if min(n, m) < 2:
        return None
    (before, spread_before), (after, spread_after) = map(mean_and_variance, groups)
    df = n + m - 2
    pooled = np.sqrt(((n - 1) * spread_before + (m - 1) * spread_after) / df)
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    gain = after - before
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(correction * np.where(gain == 0, 0.0, gain / pooled))


def probability_better(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray:
    """Returns the share of all pairs in which the candidate is better, ties by half: U / (n m).

    Mann and Whitney 1947, Ann. Math. Statist. 18:50; also called common-language effect size.

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.

    Raises:
        ValueError: If a score is not finite or a side is empty.
    """
    before, after = finite_scores(baseline), finite_scores(candidate)
    if 0 in (before.shape[-1], after.shape[-1]):
        raise ValueError("both sides need a seed")
    wins = np.sign(after[..., :, None] - before[..., None, :])
    return np.asarray((wins.mean(axis=(-2, -1)) + 1) / 2)


def permutation_p(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray | None:
    """Returns the two-sided permutation p of the difference of means.

    Exact up to `RESAMPLES` ways to split the runs (7 + 7 seeds), else from as many draws with a
    fixed seed, which never give 0 (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).

    Args:
        baseline: (..., n) scores.
        candidate: (..., m) scores.

    Returns:
        Shape (...), or None with fewer than two seeds on a side.

    Raises:
        ValueError: If a score is not finite.
    """
    before, after = (
        np.sort(finite_scores(baseline), axis=-1),
        np.sort(finite_scores(candidate), axis=-1),
    )
    if min(before.shape[-1], after.shape[-1]) < 2:
        return None
    before, after = np.split(
        _unit(np.concatenate([before, after], axis=-1) - before[..., :1]),
        [before.shape[-1]],
        axis=-1,
    )
    return _resampled_p((before, after), "independent")


def sign_flip_p(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray | None:
    """Returns the two-sided p of the mean gain over pairs when each sign is a coin (Fisher 1935).

    Exact up to 13 pairs, else from `RESAMPLES` draws, as in `permutation_p`.

    Args:
        baseline: (..., n) scores.
        candidate: (..., n) scores, the same seeds in the same order.

    Returns:
        Shape (...), or None with fewer than two seeds.

    Raises:
        ValueError: If a score is not finite, or the numbers of seeds differ.
    """
    gains = np.sort(pair_gains(baseline, candidate), axis=-1)
    if gains.shape[-1] < 2:
        return None
    return _resampled_p((_unit(gains),), "samples")


def _unit(scores: FloatArray) -> FloatArray:
    """Returns the scores with their largest absolute value scaled to 1."""
    largest = np.abs(scores).max(axis=-1, keepdims=True)
    return scores / np.where(largest > 0, largest, 1)


def _resampled_p(
    samples: tuple[FloatArray, ...], kind: Literal["independent", "samples"]
) -> FloatArray:
    """Returns the permutation p of the mean, or difference of means, of samples of unit size.

    The means are rounded so that what ties on paper ties in binary: 0.9812 - 0.9811 and 0.9813 -
    0.9812 differ by 1e-16, and a p counts ties.
    """

    def statistic(*resampled: FloatArray, axis: int) -> FloatArray:
        first, *second = (sample.mean(axis=axis) for sample in resampled)
        return np.asarray(np.round(first - second[0] if second else first, 9))

    result = stats.permutation_test(
        samples,
        statistic,
        permutation_type=kind,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // sum(sample.size for sample in samples)),
        rng=0,
        axis=-1,
    )
    return np.asarray(result.pvalue)
