from dataclasses import replace

import pytest

from mnist_bench.compare.comparable import obstacle
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options, Verdict
from mnist_bench.metrics import METRICS
from mnist_bench.report.cells import BATCH, Material
from mnist_bench.report.findings import examine
from mnist_bench.report.page import report_page
from mnist_bench.store.samples import Selection
from tests.comparisons import sample

SECONDS, IN_ALL = METRICS["epoch_seconds_median"], METRICS["total_seconds"]
COMPARES = {"host_fp": "4057", "threads": "2", "timing": "exclusive", "compiled": "fresh"}
OTHER = {"host_fp": "0123", "threads": "8", "timing": "shared", "compiled": "reused"}
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


def judged_by_compare(runs, metric):
    sides = [Selection(run.cell, (run,)) for run in runs]
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
    (change,) = (c for c in report.changes if c.key == BATCH and c.metric is SECONDS)
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
        ("timing", "it is not known whether some of the runs shared their machine with others"),
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


def test_a_run_that_has_no_time_has_no_say():
    failed = replace(sample("b", failure="diverged"), facts={})
    assert not obstacle(SECONDS, [*two_runs(), failed])


def test_accuracy_compares_whatever_the_machine():
    assert not obstacle(METRICS["test_accuracy"], [replace(sample(), facts={})])
