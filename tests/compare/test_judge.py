import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import FailOn, Gate, Options, Verdict
from mnist_bench.compare.planning import plan_seeds
from mnist_bench.compare.verdicts import sizes_of
from mnist_bench.errors import Refusal
from mnist_bench.metrics import METRICS, Kind
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.power import seeds_needed
from tests.comparisons import sample, side

properties = settings(deadline=None, derandomize=True, database=None, max_examples=60)
ACCURACY = Options(gates=("test_accuracy",))
GOOD = [0.980, 0.981, 0.979, 0.980, 0.9805]
BAD = [0.960, 0.961, 0.959, 0.960, 0.9605]


def judge(baseline, candidate, options=ACCURACY, **more):
    return compare_selections(baseline, [candidate], options, **more)


def verdict_of(comparison, metric="test_accuracy", cell=None):
    (pairing,) = comparison.pairings
    rows = [row for row in pairing.rows() if row.metric.name == metric]
    return next(row for row in rows if cell is None or row.cell == cell)


# Every verdict, and its exit code


@pytest.mark.parametrize(
    ("before", "after", "verdict", "exit_code"),
    [
        (GOOD, BAD, Verdict.REGRESSED, 1),
        (BAD, GOOD, Verdict.IMPROVED, 0),
        (GOOD, [a - 0.0015 for a in GOOD], Verdict.WORSE, 0),
        (GOOD, [a + 0.0015 for a in GOOD], Verdict.BETTER, 0),
        (GOOD, GOOD, Verdict.IDENTICAL, 0),
        (GOOD, [0.9801, 0.9809, 0.9792, 0.98, 0.9804], Verdict.EQUIVALENT, 0),
        ([0.98, 0.982, 0.978], [0.984, 0.988, 0.982], Verdict.NOT_WORSE, 0),
        ([0.98, 0.99, 0.97], [0.985, 0.97, 0.982], Verdict.INCONCLUSIVE, 0),
        (GOOD[:1], BAD[:1], Verdict.INCONCLUSIVE, 0),
        (GOOD, BAD[:1], Verdict.OUTLIERS, 1),
        (GOOD, [0.979], Verdict.INCONCLUSIVE, 1),  # four seeds are missing
        (GOOD[:1], [0.5], Verdict.OUTLIERS, 1),
    ],
)
def test_verdict_and_exit_code(before, after, verdict, exit_code):
    result = judge(side("base", {"a": before}), side("cand", {"a": after}))
    assert verdict_of(result).verdict is verdict
    assert result.exit_code == exit_code
    assert bool(result.reasons) is (exit_code != 0)


def test_the_numbers_of_a_row_are_those_of_scipy():
    row = verdict_of(judge(side("base", {"a": GOOD}), side("cand", {"a": BAD})))
    reference = scipy_stats.ttest_ind(BAD, GOOD, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert row.change == pytest.approx(-0.02)
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert row.p == pytest.approx(reference.pvalue)
    assert row.adjusted_p == pytest.approx(reference.pvalue / 0.9), "the rest is of single runs"
    (sizes,) = sizes_of([row], paired=False)
    assert sizes.probability_better == 0
    assert sizes.resampling_p == pytest.approx(2 / math.comb(10, 5))
    assert sizes.hedges_g < -10
    assert row.baseline.spread == pytest.approx(np.std(GOOD, ddof=1))
    assert row.not_worse is False


def test_a_time_is_compared_by_the_ratio_of_geometric_means():
    seconds = Options(gates=("epoch_seconds_median",))
    before = Selection(
        "b", tuple(sample(seed=i, epoch_seconds_median=s) for i, s in enumerate([1, 4]))
    )
    after = Selection(
        "c", tuple(sample(seed=i, epoch_seconds_median=s) for i, s in enumerate([2, 8]))
    )
    row = verdict_of(judge(before, after, seconds), "epoch_seconds_median")
    assert row.change == pytest.approx(1.0)
    assert (row.baseline.center, row.candidate.center) == pytest.approx((2, 4))


@pytest.mark.parametrize(("drop", "verdict"), [(0.00201, "REGRESSED"), (0.00197, "worse<m")])
def test_a_regression_needs_a_change_of_the_margin(drop, verdict):
    tight = [0.98, 0.98001, 0.97999]
    after = [a - drop for a in tight]
    assert verdict_of(judge(side("b", {"a": tight}), side("c", {"a": after}))).verdict == verdict


def test_inconclusive_says_how_many_seeds_it_takes():
    row = verdict_of(
        judge(side("b", {"a": [0.98, 0.99, 0.97]}), side("c", {"a": [0.985, 0.97, 0.98]}))
    )
    assert row.seeds_needed.likely > 100


# Missing, new, failed, changed, not comparable


def test_missing_and_new_cells():
    both = {"a": GOOD, "b": GOOD}
    less = judge(side("base", both), side("cand", {"a": GOOD}))
    assert (less.exit_code, less.reasons) == (1, ("MISSING b",))
    more = judge(side("base", {"a": GOOD}), side("cand", both))
    assert (more.exit_code, more.pairings[0].match.new) == (0, ("b",))
    forgiven = replace(ACCURACY, fail_on=frozenset({FailOn.regression}))
    assert judge(side("base", both), side("cand", {"a": GOOD}), forgiven).exit_code == 0


@pytest.mark.parametrize("where", ["baseline", "candidate"])
@pytest.mark.parametrize("failure", ["diverged", "killed", "running", "incomplete"])
def test_a_run_without_a_result_fails_its_cell_on_either_side(where, failure):
    whole = side("whole", {"a": GOOD, "b": GOOD})
    broken = Selection("broken", (*whole.samples[1:], sample("a", 0, failure=failure)))
    sides = (broken, whole) if where == "baseline" else (whole, broken)
    result = judge(*sides)
    assert result.exit_code == 1
    row = verdict_of(result, cell="a")
    assert (row.verdict, row.note) == (Verdict.FAILED, f"{where} seed 0: {failure}")
    assert row.change is None
    assert verdict_of(result, cell="b").verdict is Verdict.IDENTICAL
    assert "over 1 of 2 cells" in verdict_of(result, cell="").note


def test_a_missing_number_is_a_failure_not_a_smaller_sample():
    holed = side("c", {"a": [*GOOD[:4], None]})
    result = judge(side("b", {"a": GOOD}), holed)
    assert (result.exit_code, verdict_of(result).verdict) == (1, Verdict.FAILED)
    assert "candidate seed 4: has no test_accuracy" in result.reasons[0]


def test_a_number_that_has_no_logarithm_is_a_failure():
    zero = side("c", {"a": GOOD}, test_loss=0.0)
    result = judge(side("b", {"a": GOOD}), zero, Options(gates=("test_loss",)))
    assert (result.exit_code, verdict_of(result, "test_loss").verdict) == (1, Verdict.FAILED)


def test_all_runs_failed_never_passes():
    failed = Selection("c", tuple(sample("a", i, failure="diverged") for i in range(3)))
    assert judge(side("b", {"a": GOOD[:3]}), failed).exit_code == 1
    for options in (ACCURACY, Options()):
        lenient = replace(options, fail_on=frozenset({FailOn.inconclusive}))
        assert judge(failed, failed, lenient).exit_code == 2
        assert judge(side("b", {"a": GOOD[:3]}), failed, lenient).exit_code == 2


def test_a_retried_run_counts_once_and_the_newest_counts():
    runs = [
        replace(sample("a", 0, test_accuracy=v), start_ms=t, run_id=str(t))
        for t, v in ((1, 0.5), (2, 0.98))
    ]
    later_failure = replace(sample("a", 0, failure="killed"), start_ms=3)
    base = side("b", {"a": [0.98, 0.97]})
    last = replace(sample("a", 1, test_accuracy=0.97), run_id="3")
    result = judge(base, Selection("c", (*runs, later_failure, last)))
    assert verdict_of(result).verdict is Verdict.IDENTICAL
    assert result.pairings[0].match.notices == (
        "candidate: 1 of its samples were run more than once; the newest counts",
    )


def test_changed_parameters_fail_when_asked():
    base, cand = side("b", {"a": GOOD}, params_total=10), side("c", {"a": GOOD}, params_total=11)
    assert judge(base, cand).exit_code == 0
    asked = replace(ACCURACY, fail_on=frozenset({FailOn.changed}))
    result = judge(base, cand, asked)
    assert result.exit_code == 1
    assert verdict_of(result, "params_total").verdict is Verdict.CHANGED
    assert verdict_of(judge(base, base, asked), "params_total").verdict is Verdict.IDENTICAL


@pytest.mark.parametrize(
    "facts",
    [
        *({"host_fp": "other"}, {"machine": "other"}, {"threads": "8"}),
        *({"timing": "shared"}, {"timing": "disturbed"}, {"timing": "exclusive"}, {"timing": ""}),
    ],
)
def test_times_of_other_circumstances_are_shown_and_not_judged(facts):
    base = side("b", {"a": GOOD})
    cand = side("c", {"a": GOOD}, facts=facts, epoch_seconds_median=5.0)
    result = judge(base, cand, Options())
    row = verdict_of(result, "epoch_seconds_median")
    assert (row.verdict, row.p) == (Verdict.NOT_COMPARABLE, None)
    assert row.change == pytest.approx(9)
    assert (result.exit_code, verdict_of(result).verdict) == (0, Verdict.IDENTICAL)
    only_time = judge(base, cand, Options(gates=("epoch_seconds_median",)))
    assert only_time.exit_code == 2
    assert "no gated metric could be judged" in only_time.reasons[0]


def test_times_with_and_without_a_compiled_program_never_mix():
    base = side("b", {"a": GOOD[:3]}, total_seconds=9.0)
    cand = side("c", {"a": GOOD[:3]}, total_seconds=1.0, facts={"compiled": "reused"})
    in_turn = [replace(run, start_ms=run.start_ms + 10_000) for run in cand.samples]
    result = judge(base, Selection("c", tuple(in_turn)))
    assert verdict_of(result, "total_seconds").verdict is Verdict.NOT_COMPARABLE
    assert verdict_of(result, "epoch_seconds_median").verdict is Verdict.IDENTICAL


@pytest.mark.parametrize("changes", [{"compiled": "reused"}, {"compiled": ""}, {"parent": "sweep"}])
def test_memory_is_judged_only_of_runs_that_had_a_process_of_their_own(changes):
    base = side("b", {"a": GOOD}, peak_memory_bytes=1e9)
    cand = side("c", {"a": GOOD}, peak_memory_bytes=2e9)
    kept = [
        replace(
            sample,
            parent_run_id=changes.get("parent", ""),
            facts=sample.facts | {"compiled": changes.get("compiled", "fresh")},
        )
        for sample in cand.samples
    ]
    assert verdict_of(judge(base, cand), "peak_memory_bytes").verdict is not Verdict.NOT_COMPARABLE
    row = verdict_of(judge(base, Selection("c", tuple(kept))), "peak_memory_bytes")
    assert row.verdict is Verdict.NOT_COMPARABLE
    assert row.note == "what the process kept of earlier runs is in it"


# What is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"optimizer.learning_rate": "0.03"}}, "--ignore optimizer.learning_rate"),
        ({"settings": {"train.epochs": "2"}}, r"train.epochs \(5 against 2\).*not comparable"),
        ({"facts": {"data_fp": "other"}}, "data.*not comparable"),
    ],
)
def test_selections_that_match_nowhere_are_refused_with_the_remedy(changes, said):
    with pytest.raises(Refusal, match=said):
        judge(side("b", {"a": GOOD, "b": GOOD}), side("c", {"a": GOOD, "b": GOOD}, **changes))


def test_what_was_changed_on_purpose_is_ignored():
    cand = side("c", {"a": BAD}, settings={"optimizer.learning_rate": "0.03"})
    options = replace(ACCURACY, ignore=("optimizer.learning_rate",))
    assert judge(side("b", {"a": GOOD}), cand, options).exit_code == 1
    assert judge(cand, side("b", {"a": GOOD}), options).exit_code == 0


def test_an_ignored_setting_must_not_throw_cells_together():
    slow = side("", {"a": GOOD}).samples
    fast = side("", {"a": GOOD}, settings={"optimizer.learning_rate": "0.03"}).samples
    options = replace(ACCURACY, ignore=("optimizer.learning_rate",))
    with pytest.raises(Refusal, match="varies inside the candidate"):
        judge(side("b", {"a": GOOD}), Selection("c", (*slow, *fast)), options)


@pytest.mark.parametrize("key", ["train.epochs", "data", "data.divisor", "train", "nonsense"])
def test_some_settings_cannot_be_ignored(key):
    with pytest.raises(Refusal, match=f"--ignore {key}"):
        judge(side("b", {"a": GOOD}), side("c", {"a": GOOD}), replace(ACCURACY, ignore=(key,)))


def test_a_gate_that_no_run_has_is_refused():
    with pytest.raises(Refusal, match="best_val_accuracy: no run has it"):
        judge(side("b", {"a": GOOD}), side("c", {"a": GOOD}), Options(gates=("best_val_accuracy",)))


def test_pairs_need_the_same_seeds():
    with pytest.raises(Refusal, match="0,1,2,3,4 against 5,6,7,8,9"):
        judge(side("b", {"a": GOOD}), side("c", {"a": BAD}, 5), replace(ACCURACY, paired=True))


def test_pairing_finds_what_seeds_hide():
    luck = [0.95, 0.96, 0.97, 0.98, 0.99]
    better = [a + 0.003 + i * 1e-5 for i, a in enumerate(luck)]
    sides = side("b", {"a": luck}), side("c", {"a": better})
    assert verdict_of(judge(*sides)).verdict is Verdict.INCONCLUSIVE
    assert verdict_of(judge(*sides, replace(ACCURACY, paired=True))).verdict is Verdict.IMPROVED


# The suite


def test_cells_with_the_same_seeds_are_averaged_seed_by_seed():
    before = {"a": GOOD, "b": [a - 0.01 for a in GOOD]}
    after = {"a": BAD, "b": [a - 0.01 for a in BAD]}
    result = judge(side("b", before), side("c", after))
    row = verdict_of(result, cell="")
    reference = scipy_stats.ttest_ind(
        np.mean(list(after.values()), 0), np.mean(list(before.values()), 0), equal_var=False
    )
    assert row.p == pytest.approx(reference.pvalue)
    assert row.adjusted_p == pytest.approx(2 / 0.9 * reference.pvalue)
    assert row.baseline.seeds == (0, 1, 2, 3, 4)
    assert row.baseline.values == pytest.approx(np.mean(list(before.values()), 0))


def test_cells_with_other_seeds_get_the_widest_error():
    cells = [sample("a", i, test_accuracy=a) for i, a in enumerate(GOOD)]
    cells += [sample("b", i, test_accuracy=a) for i, a in enumerate(GOOD[:3])]
    row = verdict_of(judge(Selection("b", tuple(cells)), side("c", {"a": BAD, "b": BAD})), cell="")
    assert row.note == "not the same seeds in all cells: the widest error"
    assert (row.verdict, row.baseline.seeds) == (Verdict.REGRESSED, ())


def test_equal_cells_do_not_add_evidence():
    """The four styles are one network: four times the same numbers are no more than once."""
    before, after = [0.98, 0.982, 0.978], [0.974, 0.978, 0.975]
    one = verdict_of(judge(side("b", {"a": before}), side("c", {"a": after})))
    many = [dict.fromkeys("abcdefgh", values) for values in (before, after)]
    row = verdict_of(judge(side("b", many[0]), side("c", many[1])), cell="")
    assert row.p == pytest.approx(one.p)


def test_several_candidates_share_alpha():
    base, cand = side("b", {"a": GOOD}), side("c", {"a": BAD})
    alone = compare_selections(base, [cand], ACCURACY).pairings[0].cells[0].adjusted_p
    among = compare_selections(base, [cand, side("d", {"a": GOOD}, 5)], ACCURACY)
    assert among.pairings[0].cells[0].adjusted_p == pytest.approx(2 * alone)
    assert among.reasons[0].startswith("c: REGRESSED")


# Gates


def test_expect_same_passes_only_identical():
    same = replace(ACCURACY, expect_same=True)
    base = side("b", {"a": GOOD})
    assert judge(base, side("c", {"a": GOOD}), same).exit_code == 0
    off_by_one_image = side("c", {"a": [*GOOD[:4], 0.9806]})
    assert judge(base, off_by_one_image, same).exit_code == 1
    assert judge(base, side("c", {"a": GOOD, "b": GOOD}), same).exit_code == 1
    assert judge(base, side("c", {"a": GOOD}, 5), same).exit_code == 1, "other seeds"
    assert judge(side("b", {"a": GOOD[:1]}), side("c", {"a": GOOD[:1]}), same).exit_code == 0


def test_inconclusive_fails_with_3_when_asked():
    sides = side("b", {"a": [0.98, 0.99, 0.97]}), side("c", {"a": [0.985, 0.97, 0.982]})
    asked = replace(ACCURACY, fail_on=frozenset(FailOn))
    assert judge(*sides, asked).exit_code == 3
    assert judge(side("b", {"a": GOOD[:1]}), side("c", {"a": GOOD[:1]}, 1), asked).exit_code == 3


@pytest.mark.parametrize(
    ("after", "exit_code"),
    [(GOOD, 0), ([a + 1e-4 for a in GOOD], 0), (BAD, 1), ([0.977, 0.984, 0.980, 0.976, 0.983], 3)],
)
def test_non_inferiority_passes_only_what_is_shown_not_worse(after, exit_code):
    options = replace(ACCURACY, gate=Gate.non_inferiority)
    assert judge(side("b", {"a": GOOD}), side("c", {"a": after}), options).exit_code == exit_code


def test_a_time_that_cannot_be_compared_is_not_shown_not_worse():
    gates = ("test_accuracy", "epoch_seconds_median")
    options = Options(gates=gates, gate=Gate.non_inferiority)
    cand = side("c", {"a": GOOD}, facts={"host_fp": "other"})
    assert judge(side("b", {"a": GOOD}), cand, options).exit_code == 3


def test_what_only_informs_never_fails():
    slow = side("c", {"a": GOOD}, epoch_seconds_median=50.0)
    result = judge(side("b", {"a": GOOD}), slow)
    assert verdict_of(result, "epoch_seconds_median").verdict is Verdict.REGRESSED
    assert result.exit_code == 0


# One seed a side


def test_one_seed_a_side_speaks_of_the_test_images_only():
    before = np.array([True] * 90 + [False] * 10)
    after = np.array([False] * 8 + [True] * 92)
    known = {0.98: before, 0.97: after}
    result = judge(
        side("b", {"a": [0.98]}),
        side("c", {"a": [0.97]}),
        predictions=lambda run: known[run.metrics["test_accuracy"]],
    )
    row = verdict_of(result)
    assert (row.verdict, row.p, row.adjusted_p) == (Verdict.INCONCLUSIVE, None, None)
    assert (row.mcnemar.lost, row.mcnemar.gained, row.mcnemar.churn) == (8, 10, 0.18)
    assert row.mcnemar.p == pytest.approx(scipy_stats.binomtest(8, 18).pvalue)
    assert "test-set uncertainty only" in row.note


def test_one_seed_without_predictions_is_inconclusive():
    row = verdict_of(judge(side("b", {"a": [0.98]}), side("c", {"a": [0.9]})))
    assert (row.verdict, row.mcnemar) == (Verdict.INCONCLUSIVE, None)


# Plan


def test_plan_is_cohens_table():
    scores = [0.98 + d for d in (-0.002, 0.0, 0.002)]  # a standard deviation of one margin
    of_means = replace(ACCURACY, alpha=0.05 / 0.9)  # the rest of alpha is for single runs
    (row,) = plan_seeds(side("b", {"a": scores}), of_means)
    assert (row.suite.likely, row.cell.likely, row.seeds) == (17, 17, 3)
    assert row.suite == row.cell
    # The variance of three seeds may be 2 / 0.2107 times as large (the 10 % point of chi-squared).
    assert row.suite.assured == seeds_needed([4e-6 * 9.4912] * 2, 0.002, alpha=0.05)


@pytest.mark.parametrize(
    "baseline",
    [
        side("b", {"a": GOOD[:1]}),
        side("b", {"a": GOOD, "b": GOOD[:3]}),
        Selection("b", (sample("a", 0), sample("a", 1, failure="diverged"))),
    ],
)
def test_plan_needs_a_spread(baseline):
    with pytest.raises(Refusal, match="--plan"):
        plan_seeds(baseline, ACCURACY)


# Invariants

accuracies = st.lists(st.integers(9_700, 9_900).map(lambda i: i / 10_000), min_size=2, max_size=4)
cells = st.dictionaries(st.sampled_from("abc"), accuracies, min_size=1)
mirror = {
    Verdict.REGRESSED: {Verdict.IMPROVED},
    Verdict.WORSE: {Verdict.BETTER},
    Verdict.IMPROVED: {Verdict.REGRESSED},
    Verdict.BETTER: {Verdict.WORSE},
    Verdict.EQUIVALENT: {Verdict.EQUIVALENT},
    Verdict.IDENTICAL: {Verdict.IDENTICAL},
    Verdict.INCONCLUSIVE: {Verdict.INCONCLUSIVE, Verdict.NOT_WORSE},
    Verdict.NOT_WORSE: {Verdict.INCONCLUSIVE, Verdict.NOT_WORSE},
}


def try_to_judge(before, after):
    try:
        return judge(before, after)
    except Refusal:
        return None


@properties
@given(cells, cells)
def test_swapping_the_sides_mirrors_the_verdicts(before, after):
    there = try_to_judge(side("b", before), side("c", after))
    back = try_to_judge(side("c", after), side("b", before))
    assert (there is None) == (back is None) == (not set(before) & set(after))
    if there is None:
        return
    for one, other in zip(there.pairings[0].rows(), back.pairings[0].rows(), strict=True):
        if one.metric.kind is Kind.time or one.outliers or other.outliers:
            continue  # neither whose turn is first nor an outlier mirrors
        assert other.verdict in mirror[one.verdict]
        if one.metric.name == "test_accuracy":
            assert one.change == pytest.approx(-other.change)
    cells_missing = [name for name in there.pairings[0].match.missing if ": seed" not in name]
    assert tuple(cells_missing) == back.pairings[0].match.new


@properties
@given(cells, cells, st.integers(-50, 50))
def test_a_constant_on_both_sides_changes_no_verdict(before, after, constant):
    after = {cell: after.get(cell, after[min(after)]) for cell in before}

    def shifted(values):
        return {c: [round(a + constant / 10_000, 4) for a in accs] for c, accs in values.items()}

    here = judge(side("b", before), side("c", after))
    there = judge(side("b", shifted(before)), side("c", shifted(after)))
    assert there.exit_code == here.exit_code
    for one, other in zip(here.pairings[0].rows(), there.pairings[0].rows(), strict=True):
        if one.metric.name == "test_accuracy" and one.p is not None:
            assert other.p == pytest.approx(one.p, rel=1e-6, abs=1e-12)
            assert other.change == pytest.approx(one.change, abs=1e-12)


@properties
@given(cells, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(before, random):
    after = {cell: [a - 0.001 for a in values] for cell, values in before.items()}
    base, cand = side("b", before), side("c", after)
    shuffled = [
        Selection(s.label, tuple(random.sample(s.samples, len(s.samples)))) for s in (base, cand)
    ]
    assert judge(*shuffled).pairings[0].rows() == judge(base, cand).pairings[0].rows()


def test_every_metric_shows_and_parses_its_own_margin():
    for metric in METRICS.values():
        text = metric.show_margin(metric.margin).replace(" ", "")
        if metric.margin:
            assert metric.parse_margin(text) == pytest.approx(metric.margin)
    for wrong in ("", "2", "pp", "-1pp", "nanpp", "infpp", "5%", "1001pp"):
        with pytest.raises(ValueError, match="a margin of test_accuracy is"):
            METRICS["test_accuracy"].parse_margin(wrong)
