"""The cells of a sweep, ranked by their mean over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from mnist_bench.text import csv_text


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell's place in a leaderboard.

    Attributes:
        cell: Readable name.
        seeds: Runs that finished.
        test_accuracy: Mean over them, a share in [0, 1]; None where there is none.
        half_width: Half of the 95 % interval of that mean; None with fewer than two seeds.
        test_loss: Mean over them.
        epoch_seconds_median: Mean over them of the median epoch.
        total_seconds: Mean over them.
        params_total: Weights of the model.
    """

    cell: str
    seeds: int
    test_accuracy: float | None
    half_width: float | None
    test_loss: float | None
    epoch_seconds_median: float | None
    total_seconds: float | None
    params_total: float | None


def rank_cells(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Standing]:
    """Returns the cells of a sweep, best mean test accuracy first, those without a result last.

    Args:
        runs: Cell -> the final metrics of each of its finished runs.
    """
    standings = [_standing(cell, metrics) for cell, metrics in runs.items()]
    return sorted(standings, key=lambda s: (s.test_accuracy is None, -(s.test_accuracy or 0)))


def leaderboard_csv(standings: Sequence[Standing]) -> str:
    """Returns the leaderboard as CSV."""
    names = [field.name for field in fields(Standing)]
    return csv_text(names, ([getattr(standing, name) for name in names] for standing in standings))


STANDING_TITLES = ("test accuracy", "test loss", "s/epoch", "total s", "params")


def standing_cells(standing: Standing) -> list[str]:
    """Returns the figures of a standing as text, in the order of `STANDING_TITLES`."""
    accuracy = _text(standing.test_accuracy, ".4f")
    if standing.half_width is not None:
        accuracy += f" ± {standing.half_width:.4f}"
    return [
        accuracy,
        _text(standing.test_loss, ".4f"),
        _text(standing.epoch_seconds_median, ".3f"),
        _text(standing.total_seconds, ".1f"),
        _text(standing.params_total, ",.0f"),
    ]


def _standing(cell: str, runs: Sequence[Mapping[str, float]]) -> Standing:
    def mean(key: str) -> float | None:
        return fmean(run[key] for run in runs) if runs else None

    half_width = None
    if len(runs) > 1:
        from mnist_bench.stats.tests import mean_effect  # loads SciPy, which takes a while

        effect = mean_effect([run["test_accuracy"] for run in runs])
        assert effect is not None, "there are two seeds"
        half_width = float(effect.half_width(0.95))
    return Standing(
        cell=cell,
        seeds=len(runs),
        test_accuracy=mean("test_accuracy"),
        half_width=half_width,
        test_loss=mean("test_loss"),
        epoch_seconds_median=mean("epoch_seconds_median"),
        total_seconds=mean("total_seconds"),
        params_total=mean("params_total"),
    )


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
