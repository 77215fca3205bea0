"""Every metric that is recorded, once: what it is, how it is shown, and where."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Flag, StrEnum, auto
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a metric's values become scores, and gains become changes of the metric.

    Attributes:
        log: Compare geometric means by their ratio, not means by their difference.
        higher_is_better: The direction of the metric.
    """

    log: bool
    higher_is_better: bool

    def scores(self, values: ArrayLike) -> FloatArray:
        """Returns the values as scores: logged if `log`, negated if lower is better.

        Raises:
            ValueError: If a value is not finite, or not positive on a log scale.
        """
        scores = finite_scores(values)
        if self.log:
            if not np.all(scores > 0):
                raise ValueError(f"a log scale needs values > 0, not {scores.min()}")
            scores = np.log(scores)
        return scores if self.higher_is_better else -scores

    def margin(self, value: float) -> float:
        """Returns a margin on the scale of scores: log(1.05) for 5 % (given as 0.05) if `log`.

        The ratios 1.05 and 1/1.05 are then equally far from 1, as in bioequivalence (FDA 2001,
        "Statistical Approaches to Establishing Bioequivalence").

        Raises:
            ValueError: If the margin is negative or not finite.
        """
        if not 0 <= value < math.inf:
            raise ValueError(f"a margin must be a number >= 0, not {value}")
        return math.log1p(value) if self.log else value

    def value(self, score: ArrayLike) -> FloatArray:
        """Returns the metric's value of a score; of a mean score if `log`, the geometric mean."""
        signed = np.asarray(score, dtype=np.float64) * (1 if self.higher_is_better else -1)
        with np.errstate(over="ignore"):  # an interval may be as wide as infinity
            return (np.exp(signed) if self.log else signed) + 0.0  # no -0

    def change(self, gain: ArrayLike) -> FloatArray:
        """Returns the metric's change from baseline to candidate, as a share (0.05, +5 %) if `log`.

        If lower is better, the higher gain is the lower change: the ends of an interval swap.
        """
        signed = np.asarray(gain, dtype=np.float64) * (1 if self.higher_is_better else -1)
        with np.errstate(over="ignore"):
            return (np.expm1(signed) if self.log else signed) + 0.0  # no -0


def finite_scores(values: ArrayLike) -> FloatArray:
    """Returns the values as float64, or raises `ValueError` if one is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("every value must be finite: a diverged run is a failure, not a sample")
    return array


class Kind(StrEnum):
    """What a metric measures, which decides when it can be compared."""

    exact = "exact"
    quality = "quality"
    time = "time"
    memory = "memory"


class Use(Flag):
    """What a metric is used for: each place takes its own, in the order of the table.

    Attributes:
        needed: A run without it, or with one that is not finite, has no result.
        compared: `compare` knows it, and so do baseline files and the report.
        gate: It decides the exit code of `compare`, unless `--metric` says otherwise.
        lead: Settings are weighed by it: the effects in the report, first in MLflow's run table.
        page: Stands on the page of a run in MLflow, and in `show`.
        headline: Stands in the first line of that page.
        terminal: Is printed when a single run ends.
        board: Is a column of leaderboards and of MLflow's run table.
        epoch: Is known of each epoch; of a run it is that of the last one.
        sweep: Is not of a run, but of a sweep.
        sweep_column: Is a column of MLflow's table of sweeps.
        result: What the five that make a result are used for.
    """

    nothing = 0
    needed = auto()
    compared = auto()
    gate = auto()
    lead = auto()
    page = auto()
    headline = auto()
    terminal = auto()
    board = auto()
    epoch = auto()
    sweep = auto()
    sweep_column = auto()
    result = needed | compared | page | terminal | board


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its key in MLflow.
        title: As people read it.
        use: What it is used for.
        kind: What it measures.
        scale: How its values become scores.
        margin: The change that matters: a difference, or a share (0.1 is 10 %) on a log scale.
        step: In which scores are known: what varies by less than half of it is not believed to.
        least: No value is below it.
        most: No value is above it.
        chance: What guessing gets, of a share of test images with ten classes; None for all others.
        unit: Behind a value.
        factor: What a value is multiplied with before it is shown with its unit.
        digits: After the decimal point, of a value with its unit.
        form: Format of a value without its unit.
        row: Title in a list of all figures of a run; empty for the usual one.
        column: Title on top of a narrow column, with the unit; likewise.
        column_form: Format in such a column; likewise.
        is_with_compiling: Whether it depends on a compiled program that a run could reuse.
    """

    name: str
    title: str
    use: Use = Use.nothing
    _: KW_ONLY
    kind: Kind
    scale: Scale
    margin: float
    step: float = 0.0
    least: float = 0.0
    most: float = 1e15
    chance: float | None = None
    unit: str = ""
    factor: float = 1.0
    digits: int = 4
    form: str = ".4f"
    row: str = ""
    column: str = ""
    column_form: str = ""
    is_with_compiling: bool = False

    @property
    def row_title(self) -> str:
        """Title in a list of all figures of a run."""
        return (self.row or self.title) + (", last epoch" if Use.epoch in self.use else "")

    @property
    def column_title(self) -> str:
        """Title on top of a narrow column."""
        return self.column or self.title

    @property
    def is_cost(self) -> bool:
        """Whether it says what a run took, not what it gave."""
        return self.kind in (Kind.time, Kind.memory)

    def show(self, value: float) -> str:
        """Returns a value with its unit."""
        return f"{value * self.factor:,.{self.digits}f}{self.unit}"

    def figure(self, value: float, *, narrow: bool = False) -> str:
        """Returns a value without its unit, which a title says; a share stays one, in [0, 1].

        Args:
            value: Of this metric.
            narrow: As it stands in a narrow column.
        """
        factor = 1 if self.unit == " %" else self.factor
        return format(value * factor, (narrow and self.column_form) or self.form)

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


_share_scale, _count_scale = (Scale(log=False, higher_is_better=more) for more in (True, False))
_more, _less = (Scale(log=True, higher_is_better=more) for more in (True, False))

_share = partial(
    Metric,
    kind=Kind.quality,
    scale=_share_scale,
    margin=0.002,
    step=1e-4,  # one of 10,000 images
    most=1.0,
    unit=" %",
    factor=100,
    digits=2,
)
_loss = partial(Metric, kind=Kind.quality, scale=_less, margin=0.05, step=1e-3)
_seconds_of = partial(
    Metric, kind=Kind.time, scale=_less, margin=0.10, step=1e-3, unit=" s", digits=2, form=".2f"
)
_rate = partial(Metric, kind=Kind.time, scale=_more, margin=0.10, step=1e-3, digits=0, form=",.0f")
_bytes_of = partial(
    Metric,
    kind=Kind.memory,
    scale=_less,
    margin=0.10,
    step=1e-3,
    unit=" GB",
    factor=1e-9,
    digits=2,
    form=".2f",
)
_number = partial(Metric, kind=Kind.exact, scale=_count_scale, margin=0.0, digits=0, form=",.0f")

METRICS = {
    metric.name: metric
    for metric in (
        _share(
            "test_accuracy",
            "test accuracy",
            Use.result | Use.gate | Use.lead | Use.headline,
            chance=0.1,
            column="test acc",
        ),
        _loss("test_loss", "test loss", Use.result | Use.gate),
        _share(
            "train_accuracy",
            "train accuracy",
            Use.epoch | Use.page | Use.headline | Use.terminal,
            row="train accuracy (mean over the epoch's steps)",
            column="train acc",
        ),
        _loss(
            "train_loss",
            "train loss",
            Use.epoch | Use.page,
            row="train loss (mean over the epoch's steps)",
        ),
        _share(
            "val_accuracy",
            "validation accuracy",
            Use.epoch | Use.page | Use.terminal,
            column="val acc",
        ),
        _loss("val_loss", "validation loss", Use.epoch | Use.page),
        _seconds_of(
            "epoch_seconds_median",
            "seconds an epoch",
            Use.result | Use.lead | Use.headline,
            digits=3,
            form=".3f",
            row="seconds an epoch (median of epochs 2..)",
            column="s/epoch",
        ),
        _share("best_val_accuracy", "best validation accuracy", Use.compared | Use.page),
        _number("best_val_epoch", "epoch of the best validation accuracy", Use.page, form=".0f"),
        _rate(
            "examples_per_second",
            "examples a second",
            Use.epoch | Use.compared | Use.page,
            row="training images a second",
        ),
        _seconds_of(
            "compile_seconds",
            "seconds to compile",
            Use.compared | Use.page | Use.terminal,
            column="compile s",
            is_with_compiling=True,
        ),
        _seconds_of(
            "total_seconds",
            "seconds in all",
            Use.result,
            column="total s",
            column_form=".1f",
            is_with_compiling=True,
        ),
        _bytes_of(
            "peak_memory_bytes", "peak memory", Use.compared | Use.terminal, column="peak GB"
        ),
        _number("params_total", "parameters", Use.result | Use.headline, column="params"),
        _number("params_trainable", "trainable parameters", Use.compared),
        _number("params_non_trainable", "frozen parameters", Use.compared),
        # For whoever looks for them in MLflow.
        *(
            _share(f"test_recall_{digit}", f"share of each {digit} read right")
            for digit in range(10)
        ),
        _loss("batch_loss", "loss, step by step"),
        _seconds_of("epoch_seconds", "seconds of an epoch", Use.epoch),
        _seconds_of("train_seconds", "seconds of all epochs"),
        _seconds_of("eval_seconds", "seconds to evaluate"),
        _seconds_of("figures_seconds", "seconds to draw and write"),
        _seconds_of("tracking_seconds", "seconds in MLflow"),
        # Settings that people sort by, since MLflow sorts parameters as text.
        _number("width", "units of the widest layer"),
        _number("batch_size", "batch size"),
        _number("learning_rate", "learning rate", digits=6, form="g"),
        _number("runs_planned", "planned", Use.sweep | Use.sweep_column),
        _number("runs_finished", "finished", Use.sweep | Use.sweep_column),
        _number("runs_failed", "failed", Use.sweep | Use.sweep_column),
        _number("runs_stored", "stored", Use.sweep),
    )
}
"""Every metric by its name: what a run or a sweep records stands here, in the order of showing."""

CURVES = {
    "accuracy": {"train": "train_accuracy", "validation": "val_accuracy"},
    "loss": {"train": "train_loss", "validation": "val_loss"},
}
"""What is drawn by epoch: title -> name of a curve -> its metric."""


def used_for(use: Use) -> dict[str, Metric]:
    """Returns the metrics that are used for something, by name, in the order of the table."""
    return {name: metric for name, metric in METRICS.items() if use in metric.use}


def has_result(metrics: Mapping[str, float]) -> bool:
    """Returns whether a run that recorded these final metrics has a result: all that is needed.

    What is needed are the figures that every table shows. Only what `compare` knows can be among
    them: baseline files hold nothing else (so `train_seconds`, which every run has, is not).
    """
    return all(math.isfinite(metrics.get(name, math.nan)) for name in used_for(Use.needed))


INCOMPLETE = "incomplete"
"""Why a run without a result has none, if it says nothing else."""

DEFAULT_GATES = tuple(used_for(Use.gate))
"""What decides the exit code, unless `--metric` says otherwise."""
