"""How many seeds it takes to find a change."""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mnist_bench.metrics import finite_scores
from mnist_bench.stats.tests import satterthwaite

MAX_SEEDS = 1_000
"""Where `seeds_needed` stops looking."""

ASSURANCE = 0.9
"""In how many cases the greater number of a `SeedRange` is enough."""


@dataclass(frozen=True, slots=True)
class SeedRange:
    """How many seeds a side it takes, as far as a few seeds can tell; None above `MAX_SEEDS`.

    Attributes:
        likely: If all runs vary as these do.
        assured: Enough in nine of ten cases.
    """

    likely: int | None
    assured: int | None


def seed_range(variances: ArrayLike, df: float, effect: float, *, alpha: float) -> SeedRange:
    """Returns the seeds a side that find a gain of this size with a power of 0.8.

    The estimate itself is a poor promise: planned from three seeds, the true power is 0.61 on
    average and 0.14 in the worst tenth of all cases. The upper confidence bound of the variance in
    its place keeps the power in `ASSURANCE` of them (Browne 1995, Stat. Med. 14:1933).

    Args:
        variances: As for `seeds_needed`.
        df: Degrees of freedom that they were estimated with.
        effect: As for `seeds_needed`.
        alpha: Likewise.
    """
    upper = np.asarray(variances) * df / stats.chi2.isf(ASSURANCE, df)
    needed = (seeds_needed(spread, effect, alpha=alpha) for spread in (variances, upper))
    return SeedRange(*needed)


def seeds_needed(
    variances: ArrayLike, effect: float, *, alpha: float, power: float = 0.8
) -> int | None:
    """Returns the seeds a side that find a gain of this size with this power in a two-sided test.

    The test is the one of `unpaired` with as many seeds on both sides, or `paired`; its power is
    that of the noncentral t (Cohen 1988, "Statistical Power Analysis", ch. 2). The answer is as
    good as the variances it is given, see `seed_range`. An answer of 2 or 3 may be one too low,
    because Welch then has to estimate the degrees of freedom too. Without spread it is 2.

    Args:
        variances: (groups,) float, of the scores between seeds (for the suite: of their means over
            the cells). Two for two groups (twice the baseline's to plan), one for the gains of
            pairs.
        effect: The gain (or loss) to be found, as a positive number.
        alpha: The level of this one test, see `strictest_alpha`.
        power: The chance of finding it.

    Returns:
        The least number of seeds, or None if it is above `MAX_SEEDS`.

    Raises:
        ValueError: If the effect is not positive, or a variance is negative or not finite.
    """
    spread = finite_scores(variances)
    if not 0 < effect < math.inf or np.any(spread < 0):
        raise ValueError(f"needs an effect > 0 (not {effect}) and variances >= 0")
    if not spread.any():
        return 2
    per_seed = float(effect / np.sqrt(spread.sum()))
    df_per_seed = float(satterthwaite(spread, np.ones(spread.size)))

    def power_of(seeds: int) -> float:
        df = (seeds - 1) * df_per_seed
        shift = min(per_seed * math.sqrt(seeds), 1e5)  # where the series of nct still converges
        return float(stats.nct.sf(stats.t.isf(alpha / 2, df), df, shift))

    seeds = bisect_left(range(MAX_SEEDS + 1), power, lo=2, key=power_of)
    return seeds if seeds <= MAX_SEEDS else None
