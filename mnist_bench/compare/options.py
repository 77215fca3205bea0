"""How to compare, and the words of a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mnist_bench.metrics import DEFAULT_GATES, Kind, Metric


class Verdict(StrEnum):
    """What is known of a metric in a cell, or over all cells."""

    REGRESSED = "REGRESSED"
    WORSE = "worse<m"
    IMPROVED = "IMPROVED"
    BETTER = "better<m"
    EQUIVALENT = "EQUIVALENT"
    NOT_WORSE = "NOT WORSE"
    INCONCLUSIVE = "INCONCLUSIVE"
    IDENTICAL = "IDENTICAL"
    CHANGED = "CHANGED"
    OUTLIERS = "OUTLIERS"
    FAILED = "FAILED"
    NOT_COMPARABLE = "NOT COMPARABLE"


class FailOn(StrEnum):
    """What a gate can fail on.

    Attributes:
        regression: A mean, or single runs, that are worse.
        missing: A cell or a seed that only the baseline has.
        failed: A run without a result.
        inconclusive: What cannot be told over all cells, or was not tested.
        changed: A count of parameters that differs.
    """

    regression = "regression"
    missing = "missing"
    failed = "failed"
    inconclusive = "inconclusive"
    changed = "changed"


class Gate(StrEnum):
    """What a candidate has to do: not be shown worse, or be shown not worse."""

    difference = "difference"
    non_inferiority = "non-inferiority"


DEFAULT_FAIL_ON = (FailOn.regression, FailOn.missing, FailOn.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to compare.

    Attributes:
        gates: Metrics that decide the exit code. Exact ones always do, see `FailOn.changed`.
        margins: The change of a metric that matters, where it is not the metric's own.
        alpha: The chance of any false alarm in the whole comparison.
        paired: Whether runs of one seed are compared with each other.
        gate: What a candidate has to do.
        fail_on: What fails.
        expect_same: Whether any difference at all fails.
        ignore: Settings that were changed on purpose.
    """

    gates: tuple[str, ...] = DEFAULT_GATES
    margins: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    paired: bool = False
    gate: Gate = Gate.difference
    fail_on: frozenset[FailOn] = frozenset(DEFAULT_FAIL_ON)
    expect_same: bool = False
    ignore: tuple[str, ...] = ()

    def margin(self, metric: Metric) -> float:
        """Returns the change of a metric that matters: a difference, or a share on a log scale."""
        return self.margins.get(metric.name, metric.margin)

    def is_gate(self, metric: Metric) -> bool:
        """Returns whether a metric decides the exit code."""
        return metric.name in self.gates or metric.kind is Kind.exact
