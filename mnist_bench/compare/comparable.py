"""When times and memory of runs can be compared: the one rule of `compare` and sweep reports.

Seeds are no independent samples of time: all runs of a process share its regime and its hour
(within a sweep they correlate with 0.8). The sample of time is the **turn**: the runs of one side
that follow each other before the other side has its turn again. Two sweeps one after the other are
one turn each, which says nothing: whatever the machine did meanwhile is between them.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from mnist_bench.disturbance import Timing, taken_at_most
from mnist_bench.metrics import Kind, Metric
from mnist_bench.selection.samples import Sample
from mnist_bench.text import plural

LEAST_TURNS = 3
"""A side. Where three processes in ten are slow, those of one side are all slow and those of the
other all fast in 9 % of all cases with two turns a side, and in 2 % with three."""

CLOCK_ERROR_MS = 500
"""A run's start is MLflow's time, and its length is our clock's, which starts a little earlier."""

TIME_FACTS = {
    "host_fp": ("the machines differ", "on which machine some of the runs ran"),
    "machine": ("the machines differ", "on which machine some of the runs ran"),
    "threads": ("the numbers of threads differ", "how many threads some of the runs had"),
    "compiled": (
        "only some of the runs reused a compiled program",
        "whether some of the runs reused a compiled program",
    ),
}
"""What has to be one and the same: what is said where it is not, and what is then not known.

Machines of one type have one `host_fp`, and differ in `machine`; one machine may be used with fewer
cores, then it differs in `host_fp`.
"""


def obstacle(metric: Metric, samples: Iterable[Sample]) -> str:
    """Returns why a metric of these runs cannot be compared; empty if it can.

    What is not known of a run never passes. Runs without the metric have no part in it.
    """
    runs = [sample for sample in samples if metric.name in sample.metrics]
    if metric.kind is Kind.memory:
        alone = all(r.facts.get("compiled") == "fresh" and not r.parent_run_id for r in runs)
        return "" if alone else "what the process kept of earlier runs is in it"
    if metric.kind is not Kind.time:
        return ""
    for fact, (differs, unknown) in TIME_FACTS.items():
        if fact == "compiled" and not metric.is_with_compiling:
            continue
        values = {run.facts.get(fact, "") for run in runs}
        known = values - {""}
        if len(known) > 1:
            return differs
        if known != values:
            return f"it is not known {unknown}"
    return _obstacle_of_timing(runs)


def _obstacle_of_timing(runs: Sequence[Sample]) -> str:
    """Returns what of some runs is known, or not, that makes them not alone; empty for nothing."""
    timings = {run.facts.get("timing", "") for run in runs}
    if Timing.shared in timings:
        return "some of the runs shared their machine with others"
    disturbed = [run.facts for run in runs if run.facts.get("timing") == Timing.disturbed]
    if disturbed:
        return f"some of the runs were not alone: {taken_at_most(disturbed)}"
    if timings - {Timing.alone}:
        return "it was not measured whether some of the runs had their machine to themselves"
    return ""


def step_of(metric: Metric, samples: Iterable[Sample]) -> float:
    """Returns in which steps a metric of these runs is known: a share of test images, by one image.

    Where the number of test images is not known, the metric's own step is taken.
    """
    numbers = {run.number("test_images") for run in samples}
    number = min((number for number in numbers if number), default=None)
    return metric.step if number is None or metric.chance is None else 1 / number


def chance_of(metric: Metric, samples: Iterable[Sample]) -> float | None:
    """Returns what guessing gets: always the most frequent class of the test images.

    Where that is not known, it is the metric's own; None if it has none.
    """
    shares = {run.number("majority_share") for run in samples}
    known = [share for share in shares if share and share < 1]
    return max(known) if known and metric.chance is not None else metric.chance


def turns(
    baseline: Iterable[Sample], candidate: Iterable[Sample]
) -> tuple[list[list[Sample]], list[list[Sample]]]:
    """Returns the runs of each side by turn, in the order of their start."""
    runs = [(run.start_ms, side, run) for side, of in ((0, baseline), (1, candidate)) for run in of]
    taken: tuple[list[list[Sample]], list[list[Sample]]] = ([], [])
    for side, group in groupby(sorted(runs, key=lambda r: r[:2]), key=lambda r: r[1]):
        taken[side].append([run for *_, run in group])
    return taken


def obstacle_of_turns(baseline: Sequence[Sample], candidate: Sequence[Sample]) -> str:
    """Returns why the times of two sides cannot be judged; empty if they can."""
    if {run.run_id for run in baseline} & {run.run_id for run in candidate}:
        return "the same runs are on both sides"
    in_order = sorted((*baseline, *candidate), key=lambda run: run.start_ms)
    ends_ms = [r.start_ms + 1e3 * r.metrics.get("total_seconds", 0.0) for r in in_order]
    if any(
        run.start_ms < end - CLOCK_ERROR_MS for end, run in zip(ends_ms, in_order[1:], strict=False)
    ):
        return "runs overlapped, so they did not take turns"
    fewest = min(map(len, turns(baseline, candidate)))
    if fewest >= LEAST_TURNS:
        return ""
    return f"times inform only: the sides took {plural(fewest, 'turn')} each, not {LEAST_TURNS}"
