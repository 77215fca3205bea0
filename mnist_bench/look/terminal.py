"""What a person sees in the terminal. On anything else: plain lines without control characters."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from mnist_bench.metrics import Use, used_for
from mnist_bench.report.leaderboard import Standing, standing_cells, standing_titles

if TYPE_CHECKING:
    from mnist_bench.run.execute import RunSummary
    from mnist_bench.train.training import Epoch

WHERE_TO_LOOK = "Look at it with `python -m mnist_bench ui`, or `make ui` in a checkout."
PLAIN_WIDTH = 1_000
"""Columns that a table may take in a file or a pipe: enough that nothing in it is wrapped."""


def make_console() -> Console:
    """Returns a console on standard output."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    # Whatever FORCE_COLOR says: it would draw the bars into a file as well.
    return Console(width=PLAIN_WIDTH, force_terminal=False, highlight=False)


def make_progress(console: Console) -> Progress:
    """Returns a progress bar, silent where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def say(console: Console, line: str, style: str | None = None) -> None:
    """Prints one line as it is: nothing in it is taken for markup, and it is not wrapped."""
    console.print(Text(line, style=style or ""), soft_wrap=True)


def result_table(metrics: Mapping[str, float], width: int) -> Table:
    """Returns the result of one run: a line of figures under their titles.

    Args:
        metrics: Final metrics.
        width: Columns there are; where they are few, a title takes two lines.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    known = [metric for metric in used_for(Use.terminal).values() if metric.name in metrics]
    # From training to the test, and last what it took.
    known.sort(key=lambda metric: (metric.is_cost, Use.epoch not in metric.use))
    for metric in known:
        title = metric.column_title if width >= 100 else metric.column_title.replace(" ", "\n")
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row(*(metric.figure(metrics[metric.name], narrow=True) for metric in known))
    return table


def show_summary(console: Console, summary: "RunSummary") -> None:
    """Prints what became of a single run, and where to look."""
    if summary.failure:
        say(console, f"FAILED {summary.name}: {summary.failure}", "red")
    else:
        console.print()
        say(console, summary.name, "bold")
        if summary.stored:
            say(console, "Finished before, so not trained again (sweep.resume=off does).")
        if summary.other_versions:
            say(console, "sweep.match=code: it ran under other versions")
        console.print(result_table(summary.metrics, console.width))
    console.print()
    say(console, WHERE_TO_LOOK)


def leaderboard_table(standings: Sequence[Standing]) -> Table:
    """Returns the leaderboard of a sweep."""
    title = "Leaderboard: mean over seeds"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("cell", overflow="fold")
    for name in ("seeds", *standing_titles()):
        table.add_column(name, justify="right", no_wrap=True)
    for standing in standings:
        table.add_row(Text(standing.cell), str(standing.seeds), *standing_cells(standing))
    return table


def epoch_line(epoch: "Epoch", total: int) -> str:
    """Returns the metrics of one epoch as one line."""
    parts = [
        f"epoch {epoch.number:>{len(str(total))}}/{total}",
        f"loss {epoch.train_loss:.4f}",
        f"acc {epoch.train_accuracy:.4f}",
    ]
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        parts += [f"val loss {epoch.val_loss:.4f}", f"val acc {epoch.val_accuracy:.4f}"]
    parts.append(f"{epoch.epoch_seconds:.2f} s")
    return "  ".join(parts)
