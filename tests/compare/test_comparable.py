from dataclasses import replace

import numpy as np
import pytest

from mnist_bench.compare.comparable import LEAST_TURNS, obstacle, obstacle_of_turns, turns
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options, Verdict
from mnist_bench.metrics import METRICS
from mnist_bench.report.cells import BATCH, Material
from mnist_bench.report.findings import examine
from mnist_bench.report.page import report_page
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.tests import unpaired
from tests.comparisons import sample

SECONDS, IN_ALL = METRICS["epoch_seconds_median"], METRICS["total_seconds"]
COMPARES = {
    "host_fp": "4057",
    "machine": "3a1b",
    "threads": "2",
    "timing": "alone",
    "compiled": "fresh",
}
OTHER = {
    "host_fp": "0123",
    "machine": "9f00",
    "threads": "8",
    "timing": "shared",
    "compiled": "reused",
}
ALIKE = ("equal", "differs", "absent", "absent in both", "empty", "other in both")


def facts_of_two(fact, how):
    """Returns the values of a fact in two runs; None where a run does not have it."""
    same, other = COMPARES[fact], OTHER[fact]
    return {
        "equal": (same, same),
        "differs": (same, other),
        "absent": (same, None),
        "absent in both": (None, None),
        "empty": ("", ""),
        "other in both": (other, other),
    }[how]


def two_runs(**how):
    """Returns two runs that differ in the batch size, and in their facts as they are told to."""
    pairs = {fact: facts_of_two(fact, how.get(fact, "equal")) for fact in COMPARES}
    made = sample(settings={BATCH: "32"}, total_seconds=3.0, params_total=10.0)
    runs = []
    for place, batch in enumerate(("32", "128")):
        facts = {"data_fp": "da7a"} | {fact: pair[place] for fact, pair in pairs.items()}
        runs.append(
            replace(
                made,
                run_id=batch,
                cell=f"b{batch}",
                settings=made.settings | {BATCH: batch},
                facts={fact: value for fact, value in facts.items() if value is not None},
            )
        )
    return runs


def in_turns(run, place):
    """Returns three runs that take turns with those of the other side."""
    turns = [
        replace(
            run,
            run_id=f"{run.run_id}-{turn}",
            seed=turn,
            start_ms=20_000 * (2 * turn + place),
            metrics={key: value + turn / 100 for key, value in run.metrics.items()},
        )
        for turn in range(3)
    ]
    return Selection(run.cell, tuple(turns))


def judged_by_compare(runs, metric):
    sides = [in_turns(run, place) for place, run in enumerate(runs)]
    result = compare_selections(
        sides[0], sides[1:], Options(gates=("test_accuracy",), ignore=(BATCH,))
    )
    (row,) = (row for row in result.pairings[0].cells if row.metric is metric)
    return row.note if row.verdict is Verdict.NOT_COMPARABLE else ""


@pytest.mark.parametrize("timing", ALIKE)
@pytest.mark.parametrize("threads", ALIKE)
@pytest.mark.parametrize("host_fp", ALIKE)
def test_compare_and_report_say_the_same_of_times(host_fp, threads, timing):
    runs = two_runs(host_fp=host_fp, threads=threads, timing=timing)
    said = obstacle(SECONDS, runs)
    assert judged_by_compare(runs, SECONDS) == said
    report = examine(Material("sweep:abc", tuple(runs), (), {}, {}))
    assert report.time_obstacle == said
    (change,) = (c for c in report.effects.changes if c.key == BATCH and c.metric is SECONDS)
    assert (change.value is None) is bool(said)
    fine = {host_fp, threads} <= {"equal", "other in both"} and timing == "equal"
    assert bool(said) is not fine


@pytest.mark.parametrize("how", ALIKE)
@pytest.mark.parametrize("metric", [SECONDS, IN_ALL], ids=str)
def test_only_times_that_hold_the_compilation_ask_for_it(metric, how):
    said = obstacle(metric, two_runs(compiled=how))
    assert bool(said) is (metric is IN_ALL and how not in ("equal", "other in both"))
    assert judged_by_compare(two_runs(compiled=how), metric) == said


@pytest.mark.parametrize(
    ("fact", "unknown"),
    [
        ("host_fp", "it is not known on which machine some of the runs ran"),
        ("threads", "it is not known how many threads some of the runs had"),
        ("machine", "it is not known on which machine some of the runs ran"),
        ("timing", "it was not measured whether some of the runs had their machine to themselves"),
        ("compiled", "it is not known whether some of the runs reused a compiled program"),
    ],
)
def test_what_is_not_known_is_a_reason_of_its_own(fact, unknown):
    """Of runs that did not say where they ran `compare` once judged the times."""
    runs = two_runs(**{fact: "absent in both"})
    assert judged_by_compare(runs, IN_ALL) == unknown
    if fact != "compiled":
        text = report_page(examine(Material("sweep:abc", tuple(runs), (), {}, {})))
        assert f"{unknown.capitalize()}, so the times may not compare." in text


NOT_MEASURED = "it was not measured whether some of the runs had their machine to themselves"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"timing": "shared"}, "some of the runs shared their machine with others"),
        (
            {"timing": "disturbed", "foreign_cpu_share": "0.482", "steal_share": "0.001"},
            "some of the runs were not alone: others took at most 48.2% of the cores and the "
            "hypervisor took at most 0.1% of the cores",
        ),
        (
            {"timing": "disturbed", "foreign_cpu_share": "half"},
            "some of the runs were not alone: it is not known what others took of the cores",
        ),
        # What was written before anybody measured it.
        ({"timing": "exclusive"}, NOT_MEASURED),
        ({"timing": "ALONE"}, NOT_MEASURED),
        ({"timing": ""}, NOT_MEASURED),
        ({"machine": "9f00"}, "the machines differ"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_run_that_was_not_alone_or_on_another_machine_of_the_type_is_not_comparable(
    facts, said, place
):
    runs = two_runs()
    runs[place] = replace(runs[place], facts=runs[place].facts | facts)
    assert obstacle(SECONDS, runs) == said
    assert judged_by_compare(runs, SECONDS) == said
    text = report_page(examine(Material("sweep:abc", tuple(runs), (), {}, {})))
    assert ("each run alone" in text) is ("machine" in facts)
    assert ("(2 machines)" in text) is ("machine" in facts)


def test_runs_that_were_all_exclusive_were_not_measured():
    runs = [replace(run, facts=run.facts | {"timing": "exclusive"}) for run in two_runs()]
    assert obstacle(SECONDS, runs) == NOT_MEASURED


def test_a_run_that_has_no_time_has_no_say():
    failed = replace(sample("b", failure="diverged"), facts={})
    assert not obstacle(SECONDS, [*two_runs(), failed])


def test_accuracy_compares_whatever_the_machine():
    assert not obstacle(METRICS["test_accuracy"], [replace(sample(), facts={})])


# Turns


def taken(order):
    """Returns both sides of runs that started in this order, e.g. `aabb`."""
    sides = {"a": [], "b": []}
    for start, side in enumerate(order):
        run = sample(seed=len(sides[side]))
        sides[side].append(replace(run, start_ms=20_000 * start, run_id=f"{side}{start}"))
    return sides["a"], sides["b"]


@pytest.mark.parametrize(
    ("order", "number"),
    [("aaaabbbb", 1), ("ab", 1), ("abab", 2), ("aabbaabb", 2), ("ababab", 3), ("abbaabba", 2)],
)
def test_runs_of_one_side_that_follow_each_other_are_one_turn(order, number):
    baseline, candidate = turns(*taken(order))
    assert min(len(baseline), len(candidate)) == number
    obstacle_found = obstacle_of_turns(*taken(order))
    assert (f"took {number} turn" in obstacle_found) is (number < LEAST_TURNS)


def test_three_turns_are_what_a_slow_regime_asks_for():
    """Each process is slow with a chance of 0.3, and then by a third."""
    rng = np.random.default_rng(0)
    alarms = {}
    for number in (2, 3):
        slow = rng.random((2, 50_000, number)) < 0.3
        sides = 0.3 * slow + rng.normal(0, 0.01, slow.shape)
        alarms[number] = np.mean(unpaired(*sides, 1e-3).p_value() < 0.045)
    assert alarms[3] < 0.05 < alarms[2]


def test_a_time_is_judged_by_turns_not_by_seeds():
    baseline, candidate = taken("ababab")
    slower = [
        replace(run, metrics=run.metrics | {"epoch_seconds_median": 0.8 + run.seed / 1000})
        for run in candidate
    ]
    options = Options(gates=("epoch_seconds_median",))
    sides = Selection("b", tuple(baseline)), Selection("c", tuple(slower))
    result = compare_selections(sides[0], [sides[1]], options)
    verdicts = {row.metric.name: row.verdict for row in result.pairings[0].cells}
    assert (result.exit_code, verdicts["epoch_seconds_median"]) == (1, Verdict.REGRESSED)
    after_all = [replace(run, start_ms=run.start_ms + 2_000_000) for run in slower]
    late = compare_selections(sides[0], [Selection("c", tuple(after_all))], options)
    assert late.exit_code == 2, "one turn each: nothing could be judged"
