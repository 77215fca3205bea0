"""When times and memory of runs can be compared: the one rule of `compare` and sweep reports."""

from collections.abc import Iterable

from mnist_bench.metrics import Kind, Metric
from mnist_bench.store.samples import Sample

TIME_FACTS = {
    "host_fp": ("the machines differ", "on which machine some of the runs ran"),
    "threads": ("the numbers of threads differ", "how many threads some of the runs had"),
    "compiled": (
        "only some of the runs reused a compiled program",
        "whether some of the runs reused a compiled program",
    ),
    "timing": (
        "some of the runs shared their machine with others",
        "whether some of the runs shared their machine with others",
    ),
}
"""What has to be one and the same: what is said where it is not, and what is then not known."""


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
        if len(known) > 1 or (fact == "timing" and known - {"exclusive"}):
            return differs
        if known != values:
            return f"it is not known {unknown}"
    return ""
