"""What people read of runs and sweeps: Markdown for MLflow's pages, and tables as CSV."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from mnist_bench.config import PublishedConfig

if TYPE_CHECKING:
    from mnist_bench.plan import Prospect

RUN_PAGE_METRICS = {
    "test_accuracy": ("test accuracy", ".4f"),
    "test_loss": ("test loss", ".4f"),
    "train_accuracy": ("train accuracy, last epoch", ".4f"),
    "train_loss": ("train loss, last epoch", ".4f"),
    "val_accuracy": ("validation accuracy, last epoch", ".4f"),
    "val_loss": ("validation loss, last epoch", ".4f"),
    "best_val_accuracy": ("best validation accuracy", ".4f"),
    "best_val_epoch": ("epoch of the best validation accuracy", ".0f"),
    "params_total": ("parameters", ",.0f"),
    "epoch_seconds_median": ("seconds an epoch (median of epochs 2..)", ".3f"),
    "examples_per_second": ("training images a second, last epoch", ",.0f"),
    "compile_seconds": ("seconds to compile", ".2f"),
    "total_seconds": ("seconds in all", ".2f"),
}
HEADLINE = {
    "test_accuracy": "test accuracy",
    "train_accuracy": "train accuracy",
    "epoch_seconds_median": "seconds an epoch",
    "params_total": "parameters",
}


def run_page(
    *,
    cell: str,
    seed: int,
    metrics: Mapping[str, float],
    published: PublishedConfig | None,
    notes: Sequence[str],
    links: Mapping[str, str],
) -> str:
    """Returns a run's description for its page in MLflow, as Markdown.

    Args:
        cell: Readable name of the cell.
        seed: The run's seed.
        metrics: Final metrics, and those of the last epoch.
        published: Figures that the run reproduces.
        notes: Sentences on what is unusual about it.
        links: Path of an artifact -> its address.
    """
    header = ["", "this run"] + (["published"] if published else [])
    rows = [[f"**{cell}**", f"seed {seed}"] + ([_verbatim(published.source)] if published else [])]
    rows += [row[: len(header)] for row in result_rows(metrics, published)]
    # MLflow shows the first few lines until the description is unfolded.
    parts = [
        _headline(metrics, _published_metrics(published)),
        *_remarks(notes, links),
        _table(header, rows),
    ]
    return "\n\n".join(parts)


def result_rows(metrics: Mapping[str, float], published: PublishedConfig | None) -> list[list[str]]:
    """Returns what people read of a run's metrics: rows of name, value and published value."""
    theirs = _published_metrics(published)
    return [
        [name, format(metrics[key], form), theirs.get(key, "")]
        for key, (name, form) in RUN_PAGE_METRICS.items()
        if key in metrics
    ]


def failed_run_page(
    *, cell: str, seed: int, failure: str, notes: Sequence[str], links: Mapping[str, str]
) -> str:
    """Returns the description of a run that gave no result, as Markdown.

    Args:
        cell: Readable name of the cell.
        seed: The run's seed.
        failure: Why it gave none, in a line.
        notes: Sentences on what else is unusual about it.
        links: Path of an artifact -> its address.
    """
    rows = [[f"**{cell}**", f"seed {seed}"], ["**failed**", _verbatim(failure)]]
    return "\n\n".join([_table(["", "this run"], rows), *_remarks(notes, links)])


def _headline(metrics: Mapping[str, float], published: Mapping[str, str]) -> str:
    said = []
    for key, name in HEADLINE.items():
        if key in metrics:
            theirs = f" (published: {published[key]})" if key in published else ""
            _, form = RUN_PAGE_METRICS[key]
            said.append(f"{name} **{metrics[key]:{form}}**{theirs}")
    return " · ".join(said)


def _remarks(notes: Sequence[str], links: Mapping[str, str]) -> list[str]:
    files = " · ".join(f"[{path}]({address})" for path, address in links.items())
    return [*(f"**Note:** {note}." for note in notes), f"Artifacts: {files}"]


def _published_metrics(published: PublishedConfig | None) -> dict[str, str]:
    if published is None:
        return {}
    found = {key: f"{values[-1]:.4f}" for key, values in published.curves.items()}
    if published.test_accuracy is not None:
        found["test_accuracy"] = f"{published.test_accuracy:.4f}"
    if published.params_total is not None:
        found["params_total"] = f"{published.params_total:,}"
    if published.epoch_seconds:
        low, high = published.epoch_seconds
        found["epoch_seconds_median"] = f"{low:g} to {high:g}, on another machine"
    return found


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _verbatim(text: str) -> str:
    """Returns any text as one line that shows as it is, in a table of Markdown and in HTML."""
    line = " ".join(text.split())
    return re.sub(r"[&<>|\\`*_~!\[\]]", lambda sign: f"&#{ord(sign[0])};", line)


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


def leaderboard(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Standing]:
    """Returns the cells of a sweep, best mean test accuracy first, those without a result last.

    Args:
        runs: Cell -> the final metrics of each of its finished runs.
    """
    standings = [_standing(cell, metrics) for cell, metrics in runs.items()]
    return sorted(standings, key=lambda s: (s.test_accuracy is None, -(s.test_accuracy or 0)))


def leaderboard_csv(standings: Sequence[Standing]) -> str:
    """Returns the leaderboard as CSV."""
    names = [field.name for field in fields(Standing)]
    return _csv(names, ([getattr(standing, name) for name in names] for standing in standings))


def plan_csv(prospects: Sequence["Prospect"]) -> str:
    """Returns the runs of a plan, in their order, as CSV."""
    rows = (
        [p.run.identity.name, p.run.identity.cell, p.state.value, p.run.identity.run_fp]
        for p in prospects
    )
    return _csv(["name", "cell", "state", "run_fp"], rows)


def sweep_page(
    standings: Sequence[Standing],
    failures: Mapping[str, str],
    missing: Sequence[str],
    links: Mapping[str, str],
) -> str:
    """Returns a sweep's description for its page in MLflow, as Markdown.

    Args:
        standings: The leaderboard.
        failures: Name of a failed run -> why.
        missing: Names of the runs that were not begun or not ended.
        links: Cell, or path of an artifact -> its address.
    """
    rows = [[_linked(s.cell, links), str(s.seeds), *standing_cells(s)] for s in standings]
    files = " · ".join(_linked(path, links) for path in SWEEP_FILES)
    best = [f"Best cell: {standings[0].cell}"] if standings[0].seeds else []
    parts = [
        *best,
        _table(["cell", "seeds", *STANDING_TITLES], _first(rows)),
        "Test accuracy: mean over seeds, with the half width of its 95 % interval where there are "
        "two seeds or more. The runs of this sweep stand below it in the run table; a cell links "
        f"to its first run. All of it: {files}.",
    ]
    if failures:
        parts.append(
            _table(
                ["failed", "why"],
                _first([[name, _verbatim(why)] for name, why in failures.items()]),
            )
        )
    if missing:
        parts.append(_table(["missing"], _first([[name] for name in missing])))
    return "\n\n".join(parts)


def _linked(name: str, links: Mapping[str, str]) -> str:
    return f"[{name}]({links[name]})" if name in links else name


def _first(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Returns as many rows as a description, which MLflow bounds, has room for."""
    more = len(rows) - SHOWN_ROWS
    rest = [f"... and {more} more", *[""] * (len(rows[0]) - 1)] if more > 0 else []
    return [*rows[:SHOWN_ROWS], *([rest] if rest else [])]


SWEEP_FILES = ("report.html", "leaderboard.csv", "plan.csv")
SHOWN_ROWS = 16
"""Rows of a table of a sweep's page: a description holds 8,000 characters."""

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
        from scipy import stats

        accuracies = [run["test_accuracy"] for run in runs]
        quantile = float(stats.t.ppf(0.975, len(runs) - 1))
        half_width = quantile * stdev(accuracies) / math.sqrt(len(runs))
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


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()
