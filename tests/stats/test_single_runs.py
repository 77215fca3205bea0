"""Runs that are held against what a baseline allows."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from mnist_bench.stats.single_runs import OF_EACH, TAIL_DF, p_more_often, p_outlying, p_wider


def test_the_bound_of_one_new_run_by_hand():
    # Mean 2, deviation 1, three runs: (x - 2) / sqrt(1 + 1/3) is Student's t with two df.
    t = (0 - 2) / math.sqrt(4 / 3)
    assert p_outlying([1, 2, 3], [0]) == pytest.approx([scipy_stats.t.cdf(t, 2)])
    assert p_outlying([1, 2, 3], [2]) == pytest.approx([0.5])


def test_many_runs_do_not_make_the_tails_thin():
    baseline = np.random.default_rng(0).normal(size=30)
    t = (-20 - baseline.mean()) / (baseline.std(ddof=1) * math.sqrt(1 + 1 / 30))
    assert p_outlying(baseline, [-20]) == pytest.approx([scipy_stats.t.cdf(t, TAIL_DF)])


def test_the_test_of_spread_by_hand():
    assert p_wider([1, 2, 3], [10, 20, 30]) == pytest.approx(scipy_stats.f.sf(100, 2, 2))
    assert p_wider([1, 2, 3], [2, 2, 2]) == 1


@pytest.mark.parametrize("one", [[1.0], []])
def test_one_baseline_run_says_nothing(one):
    assert p_outlying(one, [0.0]) is None
    assert p_wider(one, [0.0, 1.0]) is None
    assert p_wider([0.0, 1.0], one) is None


def test_no_spread_is_no_certainty_where_scores_are_known_in_steps():
    assert p_outlying([0.98] * 3, [0.979], 1e-3)[0] == pytest.approx(
        scipy_stats.t.cdf(-2 / math.sqrt(4 / 3), 2)
    )
    assert p_outlying([0.98] * 3, [0.98])[0] == 0.5
    assert p_wider([0.98] * 3, [0.98] * 3) == 1


@pytest.mark.parametrize("noise", ["normal", "heavy", "skewed"])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_a_run_like_the_baselines_is_hardly_ever_outside(noise, seeds):
    """At the levels that a comparison of 16 cells and two gates asks for, and heavy tails too."""
    rng = np.random.default_rng(seeds)
    draw = {
        "normal": rng.standard_normal,
        "heavy": lambda size: rng.standard_t(3, size),
        "skewed": lambda size: -rng.exponential(size=size),
    }[noise]
    baseline, candidate = draw((40_000, seeds)), draw((40_000, seeds))
    level = 0.05 * OF_EACH / 32
    alarms = (p_outlying(baseline, candidate).min(axis=-1) < level / seeds).mean()
    alarms += (p_wider(baseline, candidate) < level).mean()
    assert 32 * alarms < 0.03


def test_the_test_of_shares_is_fishers():
    before, after = np.array([True] + [False] * 9), np.array([True] * 8 + [False] * 2)
    table = [[8, 2], [1, 9]]
    fisher = scipy_stats.fisher_exact(table, alternative="greater").pvalue
    assert p_more_often(before, after) == pytest.approx(fisher)
    assert p_more_often([False] * 5, [False] * 5) == 1
    both = p_more_often(np.stack([before, after]), np.stack([after, before]))
    assert both == pytest.approx([fisher, 1], abs=0.01)
