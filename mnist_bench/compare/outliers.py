"""Single runs of a candidate that are worse than the baseline's runs allow.

A run that collapsed inflates the spread that every test of means leans on, and so passes it. Here
each run is held against the baseline's runs of its cell alone. Four things are found, each only
where it is a loss of at least the margin:

- runs that **collapsed**, where none of the baseline's did: they lost more than half of what the
  baseline's worst run is above chance. That needs no test and no second seed. Neither do runs that
  have all collapsed where most of the baseline's did not;
- where some of the baseline's runs collapsed: runs that do it **more often** (Fisher's test);
- a run **outside** what one more run of the baseline would be (a prediction bound);
- runs that are spread **wider** than the baseline's (an F test).

`stats.single_runs` has the tests. Those of all gated quality metrics, cells and candidates are one
family, with a share of alpha of its own beside that of the means.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mnist_bench.compare.comparable import chance_of, step_of
from mnist_bench.compare.matching import Match, MatchedCell
from mnist_bench.compare.options import Options
from mnist_bench.metrics import METRICS, FloatArray, Kind, Metric
from mnist_bench.selection.samples import Sample
from mnist_bench.stats.single_runs import BoolArray, SingleRuns, adjusted
from mnist_bench.text import show_p

Where: TypeAlias = tuple[int, str, str]
"""The number of a candidate, the name of a metric, and the label of a cell."""


@dataclass(frozen=True, slots=True)
class Outliers:
    """Runs of one cell that are worse than the baseline's runs allow.

    Attributes:
        seeds: Theirs, in order.
        untold: Seeds of runs that are too bad to be passed over, where nobody can tell whether that
            is a loss.
        note: Which they are and why, in words.
    """

    seeds: tuple[int, ...]
    untold: tuple[int, ...]
    note: str


def find_outliers(matches: Sequence[Match], options: Options) -> dict[Where, Outliers]:
    """Returns the outliers of all candidates, where there are any.

    Test accuracy is looked at in any case, for runs that collapsed: whatever is gated, a network
    that no longer tells the digits apart is not to pass.
    """
    everything = dict(_cells(matches, options))
    gated = {where: cell for where, cell in everything.items() if where[1] in options.gates}
    outside = _adjusted([cell.runs.outlying_p() for cell in gated.values()])
    wider = _adjusted([cell.runs.wider_p().reshape(1) for cell in gated.values()])
    by_test = dict(zip(gated, zip(outside, wider, strict=True), strict=True))
    nothing = np.ones(1), np.ones(1)
    found = {
        where: cell.outliers(*by_test.get(where, nothing), options.alpha)
        for where, cell in everything.items()
    }
    return {where: outliers for where, outliers in found.items() if outliers.note}


@dataclass(frozen=True, slots=True)
class _Cell:
    """The runs of a cell that have a number, and the seeds of the candidate's."""

    metric: Metric
    seeds: tuple[int, ...]
    runs: SingleRuns

    def outliers(self, outside: FloatArray, wider: FloatArray, alpha: float) -> Outliers:
        """Returns the candidate's runs that are worse than the baseline's allow.

        Args:
            outside: (m,) p of single runs, for the whole comparison; or (1,).
            wider: (1,) p of their spread, likewise.
            alpha: Of the whole comparison.
        """
        certain = self.runs.have_certainly_collapsed()
        single = (outside < alpha) & ~certain
        chosen, notes = certain | single, []
        if certain.any():
            notes.append(f"{self._named(certain)} collapsed")
        if single.any():
            p = show_p(float(outside[single].max()))
            notes.append(f"{self._named(single)} {self._why_outlying(single)}, p {p}")
        if wider[0] < alpha and not chosen.any():
            chosen = self.runs.are_lost()
            before, after = (side.std(ddof=1) for side in (self.runs.before, self.runs.after))
            times = float(after / max(before, self.runs.step / 2))
            notes.append(
                f"spread {times:.0f} times the baseline's, p {show_p(float(wider[0]))}: "
                f"{self._named(chosen)}"
            )
        untold = self.runs.are_untold() & ~chosen
        if untold.any():
            notes.append(f"{self._named(untold)} {self._why_untold()}: cannot be told")
        seeds = np.array(self.seeds)
        return Outliers(
            tuple(seeds[chosen].tolist()), tuple(seeds[untold].tolist()), "; ".join(notes)
        )

    def _named(self, chosen: BoolArray) -> str:
        """Returns the runs that are chosen, with their values."""
        values = self.metric.scale.value(self.runs.after)
        told = [
            f"{seed} ({self.metric.show(float(value))})"
            for seed, value, is_chosen in zip(self.seeds, values, chosen, strict=True)
            if is_chosen
        ]
        return ("seed " if len(told) == 1 else "seeds ") + ", ".join(told)

    def _why_outlying(self, single: BoolArray) -> str:
        before, after = self.runs.have_collapsed()
        if before.any() and (after & single).any():
            return f"collapsed more often than {self._collapsed_before()} of the baseline"
        return "outside what the baseline's runs allow"

    def _why_untold(self) -> str:
        before, _ = self.runs.have_collapsed()
        if before.any():
            return f"collapsed, as {self._collapsed_before()} of the baseline did"
        return "far below the baseline, with so few seeds"

    def _collapsed_before(self) -> str:
        before, _ = self.runs.have_collapsed()
        return f"{before.sum()} of {before.size} runs"


def _adjusted(p: Sequence[FloatArray]) -> list[FloatArray]:
    """Returns the p of each cell for the whole comparison."""
    ends = np.cumsum([part.size for part in p])
    return np.split(adjusted(np.concatenate(p)), ends[:-1]) if p else []


def _cells(matches: Sequence[Match], options: Options) -> Iterator[tuple[Where, _Cell]]:
    names = dict.fromkeys(["test_accuracy", *options.gates])
    metrics = [METRICS[name] for name in names if METRICS[name].kind is Kind.quality]
    for number, matched in enumerate(matches):
        for metric in metrics:
            for cell in matched.cells:
                one = _cell(metric, cell, options)
                if one.runs.before.size and one.runs.after.size:
                    yield (number, metric.name, cell.label), one


def _cell(metric: Metric, cell: MatchedCell, options: Options) -> _Cell:
    scale, samples = metric.scale, (*cell.baseline, *cell.candidate)
    sides = [
        [sample for sample in side if _has_score(metric, sample)]
        for side in (cell.baseline, cell.candidate)
    ]
    before, after = (scale.scores([s.metrics[metric.name] for s in side]) for side in sides)
    runs = SingleRuns(
        before=before,
        after=after,
        margin=scale.margin(options.margin(metric)),
        step=scale.margin(step_of(metric, samples)),
        chance=chance_of(metric, samples),
    )
    return _Cell(metric, tuple(sample.seed for sample in sides[1]), runs)


def _has_score(metric: Metric, sample: Sample) -> bool:
    value = sample.metrics.get(metric.name)
    return not sample.failure and value is not None and (value > 0 or not metric.scale.log)
