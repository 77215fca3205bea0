"""The metrics that runs are compared by: their scale, margin and unit."""

from dataclasses import dataclass
from enum import StrEnum

from mnist_bench.stats.scale import Scale


class Kind(StrEnum):
    """What a metric measures, which decides when it can be compared."""

    exact = "exact"
    quality = "quality"
    time = "time"
    memory = "memory"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its key in MLflow.
        title: As people read it.
        kind: What it measures.
        scale: How its values become scores.
        margin: The change that matters: a difference, or a share (0.1 is 10 %) on a log scale.
        unit: Behind a value.
        factor: What a value is multiplied with before it is shown.
        digits: After the decimal point, of a value that is shown.
    """

    name: str
    title: str
    kind: Kind
    scale: Scale
    margin: float
    unit: str = ""
    factor: float = 1.0
    digits: int = 4

    def show(self, value: float) -> str:
        """Returns a value with its unit."""
        return f"{value * self.factor:,.{self.digits}f}{self.unit}"

    def show_change(self, change: float) -> str:
        """Returns a signed change: percentage points, or percent on a log scale."""
        if self.kind is Kind.exact:
            return f"{change:+,.0f}"
        return f"{100 * change:+.2f} {self._change_unit}"

    def show_margin(self, margin: float) -> str:
        """Returns a margin in the unit of a change."""
        return "0" if self.kind is Kind.exact else f"{100 * margin:g} {self._change_unit}"

    def parse_margin(self, text: str) -> float:
        """Returns the margin that a person typed, e.g. `0.2pp` or `10%`.

        Raises:
            ValueError: If it is no number >= 0 with the unit of this metric.
        """
        unit = self._change_unit.replace(" ", "")
        number = text.strip().removesuffix(unit)
        try:
            margin = float(number) / 100
        except ValueError:
            margin = -1.0
        if self.kind is Kind.exact or not text.strip().endswith(unit) or not 0 <= margin <= 10:
            takes = "none" if self.kind is Kind.exact else f"0{unit} to 1000{unit}"
            raise ValueError(f"a margin of {self.name} is {takes}")
        return margin

    @property
    def _change_unit(self) -> str:
        return "%" if self.scale.log else "pp"


_ACCURACY = Scale(log=False, higher_is_better=True)
_LESS = Scale(log=True, higher_is_better=False)
_MORE = Scale(log=True, higher_is_better=True)
_COUNT = Scale(log=False, higher_is_better=False)

METRICS = {
    metric.name: metric
    for metric in (
        Metric("test_accuracy", "test accuracy", Kind.quality, _ACCURACY, 0.002, " %", 100, 2),
        Metric("test_loss", "test loss", Kind.quality, _LESS, 0.05),
        Metric("epoch_seconds_median", "seconds an epoch", Kind.time, _LESS, 0.10, " s", digits=3),
        Metric(
            "best_val_accuracy",
            "best validation accuracy",
            Kind.quality,
            _ACCURACY,
            0.002,
            " %",
            100,
            2,
        ),
        Metric("examples_per_second", "examples a second", Kind.time, _MORE, 0.10, digits=0),
        Metric("compile_seconds", "seconds to compile", Kind.time, _LESS, 0.10, " s", digits=2),
        Metric("total_seconds", "seconds in all", Kind.time, _LESS, 0.10, " s", digits=2),
        Metric("peak_memory_bytes", "peak memory", Kind.memory, _LESS, 0.10, " GB", 1e-9, 2),
        Metric("params_total", "parameters", Kind.exact, _COUNT, 0.0, digits=0),
        Metric("params_trainable", "trainable parameters", Kind.exact, _COUNT, 0.0, digits=0),
        Metric("params_non_trainable", "frozen parameters", Kind.exact, _COUNT, 0.0, digits=0),
    )
}
"""All that `compare` knows, in the order of a report."""

DEFAULT_GATES = ("test_accuracy", "test_loss", "epoch_seconds_median")
"""What decides the exit code, unless `--metric` says otherwise."""

COMPILE_BOUND = ("compile_seconds", "total_seconds")
"""Times that depend on whether a run could reuse a compiled program."""
