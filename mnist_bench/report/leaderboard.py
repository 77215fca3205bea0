"""The cells of a sweep, ranked by their mean over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mnist_bench.metrics import Use, used_for
from mnist_bench.text import csv_text


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell's place in a leaderboard.

    Attributes:
        cell: Readable name.
        seeds: Runs that finished.
        means: Metric -> mean over these runs, where all have it.
        half_width: Half of the 95 % interval of the mean test accuracy; None with fewer than two
            seeds.
    """

    cell: str
    seeds: int
    means: Mapping[str, float]
    half_width: float | None

    @property
    def test_accuracy(self) -> float | None:
        """The mean that cells are ranked by, a share in [0, 1]; None without a result."""
        return self.means.get("test_accuracy")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the 95 % interval of that mean; None with fewer than two seeds."""
        if self.test_accuracy is None or self.half_width is None:
            return None
        return self.test_accuracy - self.half_width, self.test_accuracy + self.half_width


def rank_cells(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Standing]:
    """Returns the cells of a sweep, best mean test accuracy first, those without a result last.

    Args:
        runs: Cell -> the final metrics of each of its finished runs.
    """
    standings = [_standing(cell, metrics) for cell, metrics in runs.items()]
    return sorted(standings, key=lambda s: (s.test_accuracy is None, -(s.test_accuracy or 0)))


def leaderboard_csv(standings: Sequence[Standing]) -> str:
    """Returns the leaderboard as CSV."""
    first, *others = used_for(Use.board)
    return csv_text(
        ["cell", "seeds", first, "half_width", *others],
        (
            [s.cell, s.seeds, s.means.get(first), s.half_width, *map(s.means.get, others)]
            for s in standings
        ),
    )


def standing_titles() -> list[str]:
    """Returns the titles of the figures of a standing; the first, with its interval, is wide."""
    first, *others = used_for(Use.board).values()
    return [first.title, *(metric.column_title for metric in others)]


def standing_cells(standing: Standing) -> list[str]:
    """Returns the figures of a standing as text, in the order of `standing_titles`."""
    first, *others = (
        metric.figure(standing.means[name], narrow=True) if name in standing.means else "-"
        for name, metric in used_for(Use.board).items()
    )
    half = standing.half_width
    return [first if half is None else f"{first} ± {half:.4f}", *others]


def _standing(cell: str, runs: Sequence[Mapping[str, float]]) -> Standing:
    half_width = None
    if len(runs) > 1:
        from mnist_bench.stats.tests import mean_effect  # loads SciPy, which takes a while

        effect = mean_effect([run["test_accuracy"] for run in runs])
        assert effect is not None, "there are two seeds"
        half_width = float(effect.half_width(0.95))
    return Standing(
        cell=cell,
        seeds=len(runs),
        means={
            name: fmean(run[name] for run in runs)
            for name in used_for(Use.board)
            if runs and all(name in run for run in runs)
        },
        half_width=half_width,
    )
