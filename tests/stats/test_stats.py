import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from mnist_bench.metrics import Scale
from mnist_bench.stats.effect_sizes import hedges_g, permutation_p, probability_better, sign_flip_p
from mnist_bench.stats.power import MAX_SEEDS, seed_range, seeds_needed
from mnist_bench.stats.tests import (
    Effect,
    cell_weights,
    decide,
    holm,
    mcnemar,
    mean_effect,
    paired,
    spread_of,
    stack,
    strictest_alpha,
    suite,
    unpaired,
    welch,
    widest_suite,
)

ACCURACY = Scale(log=False, higher_is_better=True)
SECONDS = Scale(log=True, higher_is_better=False)

# Scores as they come: four decimals, so ties and constant samples do occur.
score = st.integers(-300, 300).map(lambda i: i / 10_000)
sample = st.lists(score, min_size=2, max_size=6)
pairs = st.lists(st.tuples(score, score), min_size=2, max_size=8).map(lambda p: np.array(p).T)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)
properties = settings(deadline=None, derandomize=True, database=None)


def effect(gain, standard_error, df):
    return Effect(*(np.asarray(x, dtype=np.float64) for x in (gain, standard_error, df)))


def varies(*samples):
    return all(len(set(s)) > 1 for s in samples)


# Scale


def test_scores_point_upwards_on_both_scales():
    assert ACCURACY.scores([0.98, 0.99]) == pytest.approx([0.98, 0.99])
    assert Scale(log=False, higher_is_better=False).scores([3.0]) == pytest.approx([-3.0])
    assert SECONDS.scores([1.0, math.e]) == pytest.approx([0.0, -1.0])
    assert Scale(log=True, higher_is_better=True).scores([math.e]) == pytest.approx([1.0])


def test_change_speaks_of_the_metric_again():
    slower = welch(SECONDS.scores([2.0, 2.0]), SECONDS.scores([3.0, 3.0]))
    assert slower.gain < 0
    assert SECONDS.change(slower.gain) == pytest.approx(0.5)
    assert ACCURACY.change(-0.01) == pytest.approx(-0.01)
    assert Scale(log=False, higher_is_better=False).change(-0.01) == pytest.approx(0.01)


def test_a_log_effect_is_the_ratio_of_geometric_means():
    gain = welch(SECONDS.scores([1.0, 4.0]), SECONDS.scores([2.0, 18.0])).gain
    assert SECONDS.change(gain) == pytest.approx(6 / 2 - 1)


def test_margins_are_on_the_scale_of_the_scores():
    assert ACCURACY.margin(0.002) == 0.002
    assert SECONDS.change(-SECONDS.margin(0.10)) == pytest.approx(0.10)
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            SECONDS.margin(wrong)


def test_a_log_needs_positive_values():
    with pytest.raises(ValueError, match=r"> 0, not 0\.0"):
        SECONDS.scores([1.0, 0.0])


# Nothing unknown passes


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "function", [welch, paired, hedges_g, probability_better, permutation_p, sign_flip_p]
)
def test_a_value_that_is_not_finite_is_refused_on_either_side(function, bad):
    for sides in (([1.0, bad], [1.0, 2.0]), ([1.0, 2.0], [bad, 1.0])):
        with pytest.raises(ValueError, match="finite"):
            function(*sides)
    with pytest.raises(ValueError, match="finite"):
        ACCURACY.scores([bad])


@pytest.mark.parametrize("function", [welch, paired, hedges_g, permutation_p, sign_flip_p])
def test_one_seed_gives_no_inference(function):
    assert function([0.98], [0.10]) is None
    assert function([], []) is None


@pytest.mark.parametrize("function", [welch, hedges_g, permutation_p])
def test_one_seed_on_one_side_gives_no_inference(function):
    assert function([0.98, 0.97, 0.98], [0.10]) is None
    assert function([0.10], [0.98, 0.97, 0.98]) is None


@pytest.mark.parametrize("function", [paired, sign_flip_p])
def test_pairs_need_the_same_seeds(function):
    with pytest.raises(ValueError, match="same seeds"):
        function([1.0, 2.0, 3.0], [1.0, 2.0])


# A cell: Welch and paired t


def test_welch_by_hand():
    result = welch([1, 2, 3], [3, 5, 7])  # means 2 and 5, variances 1 and 4
    assert result.gain == pytest.approx(3)
    assert result.standard_error == pytest.approx(math.sqrt(1 / 3 + 4 / 3))
    assert result.df == pytest.approx(50 / 17)


def test_paired_by_hand():
    result = paired([1, 1, 1], [2, 3, 4])  # gains 1, 2, 3
    assert (result.gain, result.df) == (2, 2)
    assert result.standard_error == pytest.approx(1 / math.sqrt(3))
    t = 2 * math.sqrt(3)  # P(|t| > x) with 2 df is 1 - x / sqrt(2 + x^2)
    assert result.p_value() == pytest.approx(1 - t / math.sqrt(2 + t * t))


@properties
@given(sample.filter(varies), sample.filter(varies))
def test_welch_agrees_with_scipy(baseline, candidate):
    result = welch(baseline, candidate)
    reference = scipy_stats.ttest_ind(candidate, baseline, equal_var=False)
    assert result.df == pytest.approx(reference.df)
    assert result.p_value() == pytest.approx(reference.pvalue)
    for confidence in (0.90, 0.95):
        interval = reference.confidence_interval(confidence)
        assert result.interval(confidence) == pytest.approx((interval.low, interval.high))
    for margin in (0.0, 0.002):
        shifted = np.add(candidate, margin)
        one_sided = scipy_stats.ttest_ind(shifted, baseline, equal_var=False, alternative="greater")
        assert result.p_not_worse(margin) == pytest.approx(one_sided.pvalue)
        bound = one_sided.confidence_interval(0.95).low - margin
        assert result.lower_bound(0.95) == pytest.approx(bound)


@properties
@given(pairs.filter(lambda p: np.ptp(np.diff(p, axis=0)) > 1e-6))
def test_paired_agrees_with_scipy(sides):
    baseline, candidate = sides
    result = paired(baseline, candidate)
    reference = scipy_stats.ttest_rel(candidate, baseline)
    assert result.p_value() == pytest.approx(reference.pvalue)
    interval = reference.confidence_interval(0.95)
    assert result.interval(0.95) == pytest.approx((interval.low, interval.high))


@properties
@given(sample, sample)
def test_swapping_the_sides_mirrors(baseline, candidate):
    there, back = welch(baseline, candidate), welch(candidate, baseline)
    assert there.gain == -back.gain
    assert there.p_value() == pytest.approx(back.p_value())
    assert there.p_equivalent(0.002) == pytest.approx(back.p_equivalent(0.002))
    low, high = there.interval(0.95)
    assert (low, high) == pytest.approx(tuple(-end for end in reversed(back.interval(0.95))))
    assert hedges_g(baseline, candidate) == pytest.approx(-hedges_g(candidate, baseline))
    better = probability_better(baseline, candidate)
    assert better == pytest.approx(1 - probability_better(candidate, baseline))
    permuted = permutation_p(baseline, candidate)
    assert permuted == pytest.approx(permutation_p(candidate, baseline))


@properties
@given(sample, sample, st.integers(-5, 5))
def test_a_constant_added_to_both_sides_changes_nothing(baseline, candidate, constant):
    here = welch(baseline, candidate)
    there = welch(np.add(baseline, constant), np.add(candidate, constant))
    assert there.gain == pytest.approx(here.gain, abs=1e-12)
    assert there.p_value() == pytest.approx(here.p_value(), rel=1e-6)
    assert permutation_p(np.add(baseline, constant), np.add(candidate, constant)) == permutation_p(
        baseline, candidate
    )


@properties
@given(sample, sample, st.floats(0.1, 10))
def test_a_factor_on_both_sides_changes_no_ratio(baseline, candidate, factor):
    baseline, candidate = np.exp(baseline), np.exp(candidate)
    here = welch(SECONDS.scores(baseline), SECONDS.scores(candidate))
    there = welch(SECONDS.scores(baseline * factor), SECONDS.scores(candidate * factor))
    assert there.gain == pytest.approx(here.gain, abs=1e-12)
    assert there.standard_error == pytest.approx(here.standard_error, abs=1e-12)


@properties
@given(sample, sample, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(baseline, candidate, random):
    shuffled = random.sample(baseline, len(baseline)), random.sample(candidate, len(candidate))
    assert welch(*shuffled).p_value() == pytest.approx(welch(baseline, candidate).p_value())
    assert permutation_p(*shuffled) == permutation_p(baseline, candidate)
    assert probability_better(*shuffled) == probability_better(baseline, candidate)


def test_the_order_of_runs_does_not_matter_to_random_draws():
    rng = np.random.default_rng(5)
    baseline, candidate = rng.normal(size=(2, 16))
    backwards = baseline[::-1], candidate[::-1]
    assert permutation_p(*backwards) == permutation_p(baseline, candidate)
    assert sign_flip_p(*backwards) == sign_flip_p(baseline, candidate)


@properties
@given(sample, sample, st.sampled_from([0.01, 0.05, 0.2]))
def test_interval_and_p_agree(baseline, candidate, alpha):
    result = welch(baseline, candidate)
    low, high = result.interval(1 - alpha)
    assert (result.p_value() < alpha) == (low > 0 or high < 0)


@properties
@given(sample, sample, st.floats(0.0001, 0.05))
def test_equivalence_agrees_with_the_90_percent_interval(baseline, candidate, margin):
    result = welch(baseline, candidate)
    low, high = result.interval(0.90)
    assert (result.p_equivalent(margin) < 0.05) == (-margin < low and high < margin)
    assert (result.p_not_worse(margin) < 0.05) == (result.lower_bound(0.95) > -margin)
    assert result.lower_bound(0.95) == pytest.approx(low)


def test_leading_axes_are_separate_problems():
    rng = np.random.default_rng(1)
    baseline, candidate = rng.normal(size=(4, 3)), rng.normal(size=(4, 5))
    for function in (hedges_g, probability_better, permutation_p):
        one_by_one = [function(b, c) for b, c in zip(baseline, candidate, strict=True)]
        assert function(baseline, candidate) == pytest.approx(np.array(one_by_one))
    effects = stack([welch(b, c) for b, c in zip(baseline, candidate, strict=True)])
    assert effects.p_value() == pytest.approx(welch(baseline, candidate).p_value())
    assert effects.df == pytest.approx(welch(baseline, candidate).df)


# Few and unequal seeds, steps


@properties
@given(st.integers(2, 6), st.integers(0, 1_000))
def test_with_as_many_seeds_on_both_sides_it_is_welch(seeds, start):
    sides = np.random.default_rng(start).normal(size=(2, seeds))
    assert unpaired(*sides).p_value() == pytest.approx(welch(*sides).p_value())


@properties
@given(sample.filter(varies), sample.filter(varies))
def test_its_p_is_never_below_that_of_welch_or_student(baseline, candidate):
    p = unpaired(baseline, candidate).p_value()
    student = scipy_stats.ttest_ind(candidate, baseline).pvalue
    assert p >= max(student, welch(baseline, candidate).p_value()) - 1e-12


@pytest.mark.parametrize(("before", "after"), [(10, 2), (2, 10), (5, 2), (30, 3)])
def test_unequal_seeds_do_not_cry_wolf_where_welch_does(before, after):
    rng = np.random.default_rng(9)
    sides = [rng.normal(size=(50_000, seeds)) for seeds in (before, after)]
    strict = 0.05 / 96  # what Holm asks of one of 48 cells and suites
    assert np.mean(unpaired(*sides).p_value() < strict) <= strict * 1.5
    assert np.mean(unpaired(*sides).p_value() < 0.05) <= 0.05
    if (before, after) == (10, 2):
        assert np.mean(welch(*sides).p_value() < strict) > 4 * strict


def test_what_is_known_in_steps_is_never_certain():
    tied = unpaired([0.98, 0.98], [0.9799, 0.9799], 1e-4)
    assert tied.standard_error == pytest.approx(0.5e-4)
    assert tied.p_value() == pytest.approx(2 * scipy_stats.t.sf(2, 2))
    assert paired([0.98, 0.98], [0.9799, 0.9799], 1e-4).p_value() > 0.1


@pytest.mark.parametrize("deviation", [0.3, 1.0, 3.0])
def test_ties_do_not_cry_wolf(deviation):
    rng = np.random.default_rng(10)
    sides = np.round(rng.normal(0, deviation, size=(2, 20_000, 2)))
    assert np.mean(unpaired(*sides, 1.0).p_value() < 0.01) <= 0.012
    if deviation == 1:
        assert np.mean(unpaired(*sides).p_value() < 0.01) > 0.03, "what steps are for"


# No spread


def test_constant_and_equal_is_no_difference_at_all():
    result = welch([0.1] * 3, [0.1] * 7)  # sums of 0.1 are not exact in binary
    assert (result.gain, result.standard_error, result.df) == (0, 0, 2)
    assert result.p_value() == 1
    assert result.interval(0.95) == (0, 0)
    assert result.p_equivalent(0.002) == 0
    assert result.p_equivalent(0) == 0.5
    assert hedges_g([0.1] * 3, [0.1] * 7) == 0
    assert permutation_p([0.1] * 3, [0.1] * 7) == 1
    assert sign_flip_p([0.1] * 3, [0.1] * 3) == 1


def test_constant_and_different_is_certain_to_the_t_test_alone():
    result = welch([0.75] * 3, [0.5] * 3)
    assert (result.gain, result.standard_error) == (-0.25, 0)
    assert result.p_value() == 0
    assert result.interval(0.95) == (-0.25, -0.25)
    assert result.p_not_worse(0.125) == 1
    assert result.p_equivalent(0.125) == 1
    assert result.p_equivalent(0.5) == 0
    assert hedges_g([0.75] * 3, [0.5] * 3) == -math.inf
    assert permutation_p([0.75] * 3, [0.5] * 3) == pytest.approx(2 / 20)
    assert paired([0.75] * 3, [0.5] * 3).p_value() == 0


def test_one_constant_side_leaves_the_other_sides_df():
    result = welch([2, 2, 2, 2], [1, 2, 3])
    assert result.standard_error == pytest.approx(math.sqrt(1 / 3))
    assert result.df == pytest.approx(2)


def test_a_suite_of_constants():
    still = suite([[0.5] * 3, [0.25] * 3], [[0.5] * 3, [0.75] * 3])
    assert (still.gain, still.standard_error, still.df) == (0.25, 0, 2)
    assert still.p_value() == 0
    widest = widest_suite(effect([0, 0.5], [0, 0], [2, 4]))
    assert (widest.gain, widest.standard_error, widest.df) == (0.25, 0, 2)


# The suite and the two levels


def test_suite_by_hand():
    baseline, candidate = [[1, 2, 3], [1, 2, 3]], [[3, 5, 7], [1, 3, 5]]
    by_seed = welch([1, 2, 3], [2, 4, 6])  # the means over both cells
    result = suite(baseline, candidate)
    assert (result.gain, result.standard_error, result.df) == (
        by_seed.gain,
        by_seed.standard_error,
        by_seed.df,
    )
    assert suite(baseline, candidate, paired).p_value() == paired([1, 2, 3], [2, 4, 6]).p_value()


def test_widest_suite_by_hand():
    result = widest_suite(effect([1, 3], [0.3, 0.4], [4, 8]))
    assert result.gain == pytest.approx(2)
    assert result.standard_error == pytest.approx(0.35)
    assert result.df == 4


@properties
@given(sample.filter(varies), sample.filter(varies), st.integers(1, 4))
def test_a_suite_of_equal_cells_is_the_cell(baseline, candidate, copies):
    cell = unpaired(baseline, candidate)
    repeated = suite([baseline] * copies, [candidate] * copies)
    assert repeated.p_value() == cell.p_value()
    assert widest_suite(stack([cell] * copies)).p_value() == pytest.approx(cell.p_value())


def test_a_cell_that_varies_much_more_than_the_middle_one_counts_for_less():
    assert cell_weights([1, 2, 1, 3]) == pytest.approx([0.25] * 4), "not by more than three times"
    assert cell_weights([1, 1, 1, 50]) == pytest.approx(np.array([50, 50, 50, 3]) / 153)
    assert cell_weights([1, 50]) == pytest.approx(np.array([50, 3]) / 53), "the lower of two"
    assert cell_weights([0, 0, 0, 2, 2, 12]) == pytest.approx(np.array([2, 2, 2, 2, 2, 1]) / 11)
    assert cell_weights([0, 0]) == pytest.approx([0.5, 0.5])
    assert cell_weights([[1, 1], [1, 6]]) == pytest.approx(np.array([[1 / 2] * 2, [2 / 3, 1 / 3]]))


@properties
@given(pairs, st.randoms(use_true_random=False))
def test_a_weight_does_not_depend_on_which_side_a_run_is_of(sides, random):
    baseline, candidate = sides
    runs = random.sample([*baseline, *candidate], 2 * len(baseline))
    swapped = runs[: len(baseline)], runs[len(baseline) :]
    there = spread_of(*swapped, is_paired=False)
    assert there == pytest.approx(spread_of(baseline, candidate, is_paired=False), abs=1e-12)
    there = spread_of(candidate, baseline, is_paired=True)
    assert there == pytest.approx(spread_of(baseline, candidate, is_paired=True))


def test_one_wild_cell_does_not_drown_a_loss_that_all_others_show():
    rng = np.random.default_rng(11)
    deviations = np.array([50.0, *[1.0] * 15])[:, None]
    baseline, candidate = deviations * rng.normal(size=(2, 2_000, 16, 5))
    weights = cell_weights(spread_of(baseline, candidate, is_paired=False))
    quiet = suite(baseline, candidate, unpaired, weights).p_value()
    assert np.mean(quiet < 0.05) < 0.06
    worse = candidate - 2
    weights = cell_weights(spread_of(baseline, worse, is_paired=False))
    assert np.mean(suite(baseline, worse, unpaired, weights).p_value() < 0.01) > 0.99
    assert np.mean(suite(baseline, worse).p_value() < 0.01) < 0.1


@properties
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 1_000))
def test_no_suite_has_a_larger_error_than_the_widest(cells, seeds, start):
    baseline, candidate = np.random.default_rng(start).normal(size=(2, cells, seeds))
    widest = widest_suite(welch(baseline, candidate))
    assert suite(baseline, candidate).standard_error <= widest.standard_error + 1e-12
    assert suite(baseline, candidate).gain == pytest.approx(widest.gain)


@pytest.mark.parametrize("shared", [0.0, 0.05, 0.5, 1.0])
def test_the_suite_does_not_cry_wolf_whatever_the_cells_share(shared):
    rng = np.random.default_rng(6)
    common = rng.normal(size=(2, 4_000, 1, 3))
    own = rng.normal(size=(2, 4_000, 8, 3))
    baseline, candidate = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    assert np.mean(suite(baseline, candidate).p_value() < 0.05) < 0.05
    widest = widest_suite(welch(baseline, candidate))
    assert np.mean(widest.p_value() < 0.05) < 0.05


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.4]) == pytest.approx([1, 1, 1])
    assert holm([[0.01, 0.02], [0.6, 0.01]]) == pytest.approx(np.array([[0.02, 0.02], [0.6, 0.02]]))


@properties
@given(p_values)
def test_holm_is_between_raw_and_bonferroni_and_keeps_the_order(raw):
    adjusted = holm(raw)
    assert np.all(adjusted >= raw)
    assert np.all(adjusted <= np.minimum(1, np.array(raw) * len(raw)))
    assert np.all(np.diff(adjusted[np.argsort(raw)]) >= 0)


@properties
@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(raw, alpha):
    rejected = set()
    for left, i in enumerate(sorted(range(len(raw)), key=raw.__getitem__)):
        if raw[i] * (len(raw) - left) >= alpha:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(raw) < alpha)) == rejected


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_p(bad):
    with pytest.raises(ValueError, match="every p"):
        holm([0.5, bad])


def test_decide_shares_alpha_between_the_levels():
    accuracy = effect([-1.0, 0.1, 0.2], [0.1, 0.1, 0.1], [4, 4, 4])
    seconds = effect([-0.3, 0.0], [0.1, 0.1], [8, 8])
    suites = {
        "test_accuracy": widest_suite(accuracy),
        "epoch_seconds_median": widest_suite(seconds),
    }
    result = decide({"test_accuracy": accuracy, "epoch_seconds_median": seconds}, suites)
    cells_p = 2 / 0.9 * holm([*accuracy.p_value(), *seconds.p_value()])
    suites_p = 2 / 0.9 * holm([suite.p_value() for suite in suites.values()])
    assert list(result) == ["test_accuracy", "epoch_seconds_median"]
    assert result["test_accuracy"].cells_p == pytest.approx(np.minimum(cells_p[:3], 1))
    assert result["epoch_seconds_median"].cells_p == pytest.approx(np.minimum(cells_p[3:], 1))
    assert result["test_accuracy"].suite_p == pytest.approx(min(suites_p[0], 1))
    assert result["epoch_seconds_median"].suite_p == pytest.approx(min(suites_p[1], 1))
    assert suites["test_accuracy"].gain == pytest.approx(-0.7 / 3)
    # The first cell: t = -10 with 4 df, five cell tests, two levels that have 0.9 of alpha.
    by_hand = 5 * 2 / 0.9 * 2 * scipy_stats.t.sf(10, 4)
    assert result["test_accuracy"].cells_p[0] == pytest.approx(by_hand)


def test_decide_gives_no_p_above_1():
    result = decided(effect([0.0, 0.0], [0.1, 0.1], [4, 4]))
    assert result.suite_p == 1
    assert np.all(result.cells_p == 1)


def test_decide_shares_nothing_between_the_levels_of_a_single_cell():
    cell = effect([-0.3], [0.1], [4])
    result = decided(cell)
    assert result.cells_p == pytest.approx(cell.p_value() / 0.9)
    assert result.suite_p == pytest.approx(cell.p_value()[0] / 0.9)


def test_decide_never_passes_nothing_or_nan():
    with pytest.raises(ValueError, match="nothing to decide"):
        decide({}, {})
    with pytest.raises(ValueError, match="nothing to decide"):
        decide({"m": effect([], [], [])}, {"m": effect(0, 1, 4)})
    with pytest.raises(ValueError, match="every p"):
        decided(effect([0.1, math.nan], [0.1, 0.1], [4, 4]))


def decided(cells):
    return decide({"m": cells}, {"m": widest_suite(cells)})["m"]


@pytest.mark.parametrize("seeds", [3, 5])
def test_false_alarms_are_rarer_than_alpha_but_do_happen(seeds):
    # benchmarks/calibration.py has the full table.
    rng = np.random.default_rng(3)
    repetitions, cells = 4_000, 16
    sides = rng.normal(size=(3, 2, repetitions, cells, seeds))
    result = decide(
        {metric: welch(*pair) for metric, pair in enumerate(sides)},
        {metric: suite(*pair) for metric, pair in enumerate(sides)},
    )
    alarms = np.zeros(repetitions, dtype=bool)
    for metric in result.values():
        alarms |= (metric.suite_p < 0.05) | (metric.cells_p < 0.05).any(axis=-1)
    assert 0.015 < alarms.mean() < 0.05


def test_value_undoes_scores_and_a_mean_score_is_a_geometric_mean():
    for scale in (ACCURACY, SECONDS):
        assert scale.value(scale.scores([0.5, 2.0])) == pytest.approx([0.5, 2.0])
    assert SECONDS.value(SECONDS.scores([1.0, 4.0]).mean()) == pytest.approx(2.0)


def test_strictest_alpha_is_where_decide_starts_to_reject():
    assert strictest_alpha(0.05, [16, 16, 8]) == pytest.approx((0.0225 / 3, 0.0225 / 40))
    assert strictest_alpha(0.06, [1, 1, 1]) == pytest.approx((0.018, 0.018))
    suite_alpha, cell_alpha = strictest_alpha(0.05, [2])
    for level, p_of in (
        (suite_alpha, lambda p: decided(at_suite_p(p)).suite_p),
        (cell_alpha, lambda p: decided(at_cell_p(p)).cells_p[0]),
    ):
        assert p_of(level * 0.999) < 0.05 < p_of(level * 1.001)


def at_cell_p(p):
    return effect([scipy_stats.t.isf(p / 2, 4), 0], [1, 1], [4, 4])


def at_suite_p(p):
    """Two equal cells: whatever they share, the error of their mean is at most theirs."""
    gain = scipy_stats.t.isf(p / 2, 4)
    return effect([gain, gain], [1, 1], [4, 4])


# Seeds needed


@pytest.mark.parametrize(("d", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17), (1.4, 10)])
def test_seeds_needed_is_cohens_table_2_4_1(d, seeds):
    # Cohen 1988, p. 55: two-sided 0.05, power 0.80, n a group (his 393 at 0.2 is rounded down).
    assert seeds_needed([1, 1], d, alpha=0.05) == seeds


def test_seeds_needed_for_pairs_and_other_power():
    assert seeds_needed([1], 0.5, alpha=0.05) == 34
    assert seeds_needed([1, 1], 0.5, alpha=0.05, power=0.9) == 86


@pytest.mark.parametrize("drop", [4.0, 2.5])
def test_seeds_needed_reaches_its_power_and_one_seed_less_does_not(drop):
    alpha = 0.01
    needed = seeds_needed([1.0, 9.0], drop, alpha=alpha)
    rng = np.random.default_rng(4)
    found = {}
    for seeds in (needed - 1, needed):
        baseline, candidate = rng.normal(size=(2, 40_000, seeds))
        result = welch(baseline, 3 * candidate - drop)
        found[seeds] = np.mean(result.p_value() < alpha)
    assert found[needed - 1] < 0.8 < found[needed]


def test_seeds_needed_at_the_ends():
    assert seeds_needed([0, 0], 0.002, alpha=0.05) == 2
    assert seeds_needed([1e-20, 1e-20], 1e3, alpha=0.05) == 2
    assert seeds_needed([1], 1e6, alpha=1e-6) == 3
    assert seeds_needed([1, 1], 1e-9, alpha=0.05) is None
    smallest = 0.13
    assert seeds_needed([1, 1], smallest, alpha=0.05) <= MAX_SEEDS
    assert seeds_needed([1, 1], 0.12, alpha=0.05) is None


@pytest.mark.parametrize(
    ("variances", "size"),
    [([1, 1], 0), ([1, 1], math.nan), ([1, -1], 1), ([1, math.nan], 1)],
)
def test_seeds_needed_refuses_nonsense(variances, size):
    with pytest.raises(ValueError, match=r"effect > 0|finite"):
        seeds_needed(variances, size, alpha=0.05)


def test_the_greater_number_of_seeds_has_its_power_in_nine_of_ten_pilots():
    rng = np.random.default_rng(7)
    truly = seeds_needed([1, 1], 1.0, alpha=0.05)
    pilots = rng.normal(size=(300, 3)).var(axis=-1, ddof=1)
    ranges = [seed_range([v, v], 2, 1.0, alpha=0.05) for v in pilots]
    assert sum(r.likely < truly for r in ranges) > 150, "the estimate promises too much"
    # A power of 0.8 is reached where no fewer are run than it truly takes.
    enough = sum(r.assured is None or r.assured >= truly for r in ranges)
    assert 0.85 <= enough / 300 <= 0.95


# Shown beside the cell


def test_hedges_g_by_hand():
    # Means 2 and 3, variances 1: d = 1, and the correction for 4 df is sqrt(2 / pi).
    assert hedges_g([1, 2, 3], [2, 3, 4]) == pytest.approx(math.sqrt(2 / math.pi))


def test_hedges_g_is_unbiased():
    rng = np.random.default_rng(6)
    estimates = hedges_g(rng.normal(size=(100_000, 4)), rng.normal(1, 1, size=(100_000, 4)))
    assert np.mean(estimates) == pytest.approx(1, abs=0.01)


@properties
@given(sample, sample)
def test_probability_better_is_scipys_u(baseline, candidate):
    u = scipy_stats.mannwhitneyu(candidate, baseline, method="exact").statistic
    expected = u / (len(baseline) * len(candidate))
    assert probability_better(baseline, candidate) == pytest.approx(expected)


def test_probability_better_by_hand():
    assert probability_better([1, 2], [2, 3]) == 0.875  # three wins and a tie of four
    with pytest.raises(ValueError, match="seed"):
        probability_better([], [1])


def test_permutation_and_sign_flip_by_hand():
    assert permutation_p([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)
    assert sign_flip_p([0, 0, 0], [1, 2, 3]) == pytest.approx(2 / 8)


@pytest.mark.parametrize(("origin", "unit"), [(0, 1e-12), (0, 1e12), (1e10, 1)])
def test_resampled_p_does_not_depend_on_the_unit(origin, unit):
    low, high = origin + np.array([1, 2, 3]) * unit, origin + np.array([4, 5, 7]) * unit
    assert permutation_p(low, high) == pytest.approx(2 / 20)
    assert sign_flip_p(low, high) == pytest.approx(2 / 8)


def exact_permutation_p(baseline, candidate):
    """In whole numbers, without any rounding."""
    pooled = [round(x * 10_000) for x in [*baseline, *candidate]]
    n, m = len(baseline), len(candidate)
    gains = [
        Fraction(sum(pooled) - sum(pooled[i] for i in chosen), m)
        - Fraction(sum(pooled[i] for i in chosen), n)
        for chosen in itertools.combinations(range(n + m), n)
    ]
    observed = gains[0]
    tails = sum(g <= observed for g in gains), sum(g >= observed for g in gains)
    return min(1, 2 * min(tails) / len(gains))


@settings(properties, max_examples=50)
@given(sample, sample)
def test_permutation_p_counts_ties_exactly(baseline, candidate):
    accuracies = np.add(baseline, 0.9), np.add(candidate, 0.9)
    assert permutation_p(*accuracies) == pytest.approx(exact_permutation_p(*accuracies))


@settings(properties, max_examples=50)
@given(pairs)
def test_sign_flip_p_counts_ties_exactly(sides):
    gains = [round(g * 10_000) for g in np.diff(sides, axis=0)[0]]
    totals = [
        sum(s * g for s, g in zip(signs, gains, strict=True))
        for signs in itertools.product((1, -1), repeat=len(gains))
    ]
    extreme = sum(total >= abs(sum(gains)) for total in totals)
    expected = min(1, 2 * extreme / len(totals))
    assert sign_flip_p(*np.add(sides, 0.9)) == pytest.approx(expected)


def test_random_draws_come_near_the_t_test_and_never_give_zero():
    rng = np.random.default_rng(7)
    baseline, candidate = rng.normal(0, 1, 20), rng.normal(0.6, 1, 20)
    assert permutation_p(baseline, candidate) == pytest.approx(
        float(welch(baseline, candidate).p_value()), abs=0.01
    )
    assert sign_flip_p(baseline, candidate) == pytest.approx(
        float(paired(baseline, candidate).p_value()), abs=0.01
    )
    assert permutation_p(baseline, candidate + 100) == pytest.approx(2 / 10_001)


# McNemar


def test_mcnemar_by_hand():
    baseline = np.array([True] * 10 + [False] * 10)
    candidate = np.array([False] + [True] * 18 + [False])
    result = mcnemar(baseline, candidate)
    assert (result.lost, result.gained, result.churn) == (1, 9, 0.5)
    assert result.p == pytest.approx(2 * (1 + 10) / 2**10)


def test_mcnemar_mirrors_and_is_1_without_change():
    rng = np.random.default_rng(8)
    baseline, candidate = rng.random((2, 500)) < 0.9
    there, back = mcnemar(baseline, candidate), mcnemar(candidate, baseline)
    assert (there.lost, there.gained) == (back.gained, back.lost)
    assert there.p == back.p
    same = mcnemar(baseline, baseline)
    assert (same.lost, same.gained, same.churn, same.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("baseline", "candidate", "message"),
    [
        ([7, 2], [7, 2], "boolean"),
        ([True, False], [True], "same images"),
        (np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), "same images"),
    ],
)
def test_mcnemar_refuses_what_it_cannot_pair(baseline, candidate, message):
    with pytest.raises(ValueError, match=message):
        mcnemar(baseline, candidate)


def test_the_interval_of_a_mean_is_students():
    found = mean_effect([1, 2, 3])
    assert found.half_width(0.95) == pytest.approx(4.302653 / 3**0.5)  # t(0.975; 2), deviation 1
    low, high = found.interval(0.95)
    assert (high - low) / 2 == pytest.approx(found.half_width(0.95))
    assert mean_effect([1]) is None
