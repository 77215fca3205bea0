"""Effect sizes and resampling tests, which are shown and decide nothing.

Baseline and candidate are (..., n) and (..., m) scores, and a result has shape (...); it is None
with fewer than two seeds on a side. A score that is not finite raises `ValueError`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from mnist_bench.metrics import FloatArray, finite_scores
from mnist_bench.stats.tests import mean_and_variance, pair_gains

RESAMPLES = 10_000
"""Permutations or sign flips up to which all are tried, and draws where there are more."""


@dataclass(frozen=True, slots=True)
class EffectSizes:
    """What is shown of a gain beside its test; None where nothing was tested.

    Attributes:
        hedges_g: The gain in standard deviations; negative is worse.
        probability_better: That a candidate's run beats a baseline's.
        resampling_p: Permutation p, or sign-flip p if paired.
    """

    hedges_g: float | None = None
    probability_better: float | None = None
    resampling_p: float | None = None


def effect_sizes(sides: Sequence[tuple[FloatArray, FloatArray]], paired: bool) -> list[EffectSizes]:
    """Returns the effect sizes of each pair of a baseline and a candidate.

    All pairs with as many seeds are answered in one go, which is much faster than one by one.

    Args:
        sides: Scores of both, at least two a side.
        paired: Whether a score belongs to the one at its place on the other side.
    """
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (before, after) in enumerate(sides):
        alike[before.size, after.size].append(place)
    found: dict[int, EffectSizes] = {}
    for places in alike.values():
        both = [np.stack([sides[place][side] for place in places]) for side in (0, 1)]
        g, p = hedges_g(*both), (sign_flip_p if paired else permutation_p)(*both)
        assert g is not None, "there are two seeds a side"
        assert p is not None, "there are two seeds a side"
        sizes = zip(g.tolist(), probability_better(*both).tolist(), p.tolist(), strict=True)
        found |= {place: EffectSizes(*size) for place, size in zip(places, sizes, strict=True)}
    return [found[place] for place in range(len(sides))]


def hedges_g(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray | None:
    """Returns the gain in pooled standard deviations, freed of its small-sample bias.

    Hedges 1981, J. Educ. Statist. 6:107, with the exact correction by gamma functions. Without
    spread it is 0 for no gain, otherwise infinite.
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

    Mann and Whitney 1947, Ann. Math. Statist. 18:50; also called common-language effect size. One
    seed a side is enough, and an empty side raises `ValueError`.
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
    """
    before, after = (np.sort(finite_scores(side), axis=-1) for side in (baseline, candidate))
    seeds = before.shape[-1]
    if min(seeds, after.shape[-1]) < 2:
        return None
    both = _unit(np.concatenate([before, after], axis=-1) - before[..., :1])
    return _resampled_p(both[..., :seeds], both[..., seeds:])


def sign_flip_p(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray | None:
    """Returns the two-sided p of the mean gain over pairs when each sign is a coin (Fisher 1935).

    Exact up to 13 pairs, else from `RESAMPLES` draws, as in `permutation_p`. Both sides have the
    same seeds in the same order; other numbers of them raise `ValueError`.
    """
    gains = np.sort(pair_gains(baseline, candidate), axis=-1)
    return _resampled_p(_unit(gains)) if gains.shape[-1] > 1 else None


def _unit(scores: FloatArray) -> FloatArray:
    """Returns the scores with their largest absolute value scaled to 1."""
    largest = np.abs(scores).max(axis=-1, keepdims=True)
    return scores / np.where(largest > 0, largest, 1)


def _resampled_p(*samples: FloatArray) -> FloatArray:
    """Returns the p of the mean of one sample by sign flips, of two by permutation, of unit size.

    The means are rounded so that what ties on paper ties in binary: 0.9812 - 0.9811 and 0.9813 -
    0.9812 differ by 1e-16, and a p counts ties.
    """

    def statistic(*resampled: FloatArray, axis: int) -> FloatArray:
        first, *second = (sample.mean(axis=axis) for sample in resampled)
        return np.asarray(np.round(first - second[0] if second else first, 9))

    result = stats.permutation_test(
        samples,
        statistic,
        permutation_type="independent" if len(samples) > 1 else "samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // sum(sample.size for sample in samples)),
        rng=0,
        axis=-1,
    )
    return np.asarray(result.pvalue)
