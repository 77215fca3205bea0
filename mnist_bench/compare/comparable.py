"""When times and memory of runs can be compared: the one rule for it."""

from collections.abc import Iterable

from mnist_bench.compare.matching import MatchedCell, values_of
from mnist_bench.metrics import Kind, Metric


def obstacle(metric: Metric, cells: Iterable[MatchedCell]) -> str:
    """Returns why times or memory of two sides cannot be compared; empty if they can."""
    samples = [sample for cell in cells for sample in (*cell.baseline, *cell.candidate)]
    if metric.kind is Kind.memory:
        alone = all(s.facts.get("compiled") == "fresh" and not s.parent_run_id for s in samples)
        return "" if alone else "what the process kept of earlier runs is in it"
    if metric.kind is not Kind.time:
        return ""
    reasons = {"host_fp": "the machines differ", "threads": "the numbers of threads differ"}
    if metric.is_with_compiling:
        reasons["compiled"] = "only some of the runs reused a compiled program"
    for fact, reason in reasons.items():
        if len(values_of(samples, fact)) > 1:
            return reason
    if values_of(samples, "timing") != ("exclusive",):
        return "some of the runs shared their machine with others"
    return ""
