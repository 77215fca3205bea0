"""What a person sees in the terminal. On anything else: plain lines without control characters."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

from mnist_bench.report import STANDING_TITLES, Standing, standing_cells

if TYPE_CHECKING:
    from mnist_bench.plan import Plan, PlannedRun, Prospect
    from mnist_bench.run import RunSummary
    from mnist_bench.training import Epoch

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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result table.

    Attributes:
        key: Of the metric.
        title: On top, with the unit.
        form: Format of a value.
        scale: What a value is multiplied with before it is shown.
    """

    key: str
    title: str
    form: str
    scale: float = 1.0


RESULT_COLUMNS = (
    Column("train_accuracy", "train acc", ".4f"),
    Column("val_accuracy", "val acc", ".4f"),
    Column("test_accuracy", "test acc", ".4f"),
    Column("test_loss", "test loss", ".4f"),
    Column("params_total", "params", ",.0f"),
    Column("epoch_seconds_median", "s/epoch", ".3f"),
    Column("compile_seconds", "compile s", ".2f"),
    Column("total_seconds", "total s", ".1f"),
    Column("peak_memory_bytes", "peak GB", ".2f", 1e-9),
)


def result_table(metrics: Mapping[str, float], width: int) -> Table:
    """Returns the result of one run: a line of figures under their titles.

    Args:
        metrics: Final metrics.
        width: Columns there are; where they are few, a title takes two lines.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [column for column in RESULT_COLUMNS if column.key in metrics]
    for column in shown:
        title = column.title if width >= 100 else column.title.replace(" ", "\n")
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row(*(format(metrics[c.key] * c.scale, c.form) for c in shown))
    return table


def show_run(console: Console, summary: "RunSummary") -> None:
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
    for name in ("seeds", *STANDING_TITLES):
        table.add_column(name, justify="right", no_wrap=True)
    for standing in standings:
        table.add_row(Text(standing.cell), str(standing.seeds), *standing_cells(standing))
    return table


class SweepProgress:
    """One bar for a sweep, and a line for each run that ended; lines alone without a terminal."""

    def __init__(
        self,
        console: Console,
        stored: int,
        pending: Sequence["PlannedRun"],
        estimates: Mapping[str, float | None],
        workers: int,
    ) -> None:
        """Takes what there is to do.

        Args:
            console: Where to print.
            stored: Runs that were finished before.
            pending: Runs that are trained now.
            estimates: Identity of a run -> its seconds, from earlier runs.
            workers: Processes that train at once; 0 means this one.
        """
        self._console = console
        self._stored = stored
        self._pending = {run.identity.run_fp for run in pending}
        self._estimates = estimates
        self._workers = max(1, workers)
        self._ended: dict[str, RunSummary] = {}
        self._total = len(pending)
        self._began = time.perf_counter()
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(self._state(), total=self._total)

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def show(self, run_fp: str, summary: "RunSummary") -> None:
        """Says that a run has ended; a run that was shown already is not shown again."""
        if run_fp in self._ended:
            return
        self._ended[run_fp] = summary
        self._pending.discard(run_fp)
        number = f"{len(self._ended):>{len(str(self._total))}}"
        line = f"[{number}/{self._total}] {_result(summary)}  {self._to_go()}"
        say(self._console, line.rstrip(), "red" if summary.failure else None)
        self._bar.update(self._task, completed=len(self._ended), description=self._state())

    def _state(self) -> str:
        failed = sum(1 for summary in self._ended.values() if summary.failure)
        done = len(self._ended) - failed
        return (
            f"{done} done, {failed} failed, {self._stored} stored, {len(self._pending)} to go"
            f"  {self._to_go()}"
        )

    def _to_go(self) -> str:
        """Returns the time to the end: the pace so far, once there is one, or that of old."""
        if not self._pending:
            return ""
        elapsed = time.perf_counter() - self._began
        if self._ended:
            seconds = elapsed / len(self._ended) * len(self._pending)
        else:
            known = [s for key in self._pending if (s := self._estimates.get(key)) is not None]
            if not known:
                return ""
            seconds = sum(known) / len(known) * len(self._pending) / self._workers
        return f"about {duration(seconds)} to go"


def duration(seconds: float) -> str:
    """Returns a time as people say it: `8 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _result(summary: "RunSummary") -> str:
    if summary.failure:
        return f"{summary.name}  FAILED {summary.failure}"
    metrics = summary.metrics
    return (
        f"{summary.name}  test acc {metrics['test_accuracy']:.4f}"
        f"  {metrics['epoch_seconds_median']:.3f} s/epoch  {metrics['total_seconds']:.1f} s"
    )


def show_plan(
    console: Console, plan: "Plan", prospects: Sequence["Prospect"], workers: int, stale: int = 0
) -> None:
    """Prints what a sweep is about to do."""
    for name in plan.duplicates:
        say(console, f"asked for more than once, run once: {name}")
    for name in plan.excluded:
        say(console, f"excluded: {name}")
    if stale:
        say(console, f"{stale} runs that nobody runs any more were marked KILLED")
    states = Counter(prospect.state.value for prospect in prospects)
    parts = [f"{count} {state}" for state, count in states.items()]
    say(console, f"{len(prospects)} runs: {', '.join(parts)}", "bold")
    adopted = sum(
        1 for p in prospects if p.stored and p.stored.tags["run_fp"] != p.run.identity.run_fp
    )
    if adopted:
        say(console, f"sweep.match=code: {adopted} of them ran under other versions")
    seconds = [p.seconds for p in prospects if p.stored is None and p.seconds is not None]
    if seconds:
        say(console, f"about {duration(sum(seconds) / max(1, workers))}, going by earlier runs")


def show_prospects(console: Console, prospects: Sequence["Prospect"]) -> None:
    """Prints what is to be done about each run of a plan."""
    for prospect in prospects:
        say(console, f"{prospect.state.value:<24}{prospect.run.identity.name}")


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


def show_sweep(
    console: Console,
    standings: Sequence[Standing],
    summaries: Sequence["RunSummary"],
    missing: Sequence[str],
) -> None:
    """Prints the leaderboard, what failed and why, what is missing, and how to go on."""
    console.print()
    console.print(leaderboard_table(standings))
    console.print()
    failed = [summary for summary in summaries if summary.failure]
    for summary in failed:
        say(console, f"FAILED {summary.name}: {summary.failure}", "red")
    stored = sum(1 for summary in summaries if summary.stored)
    counts = {
        "finished": len(summaries) - len(failed) - stored,
        "finished before": stored,
        "failed": len(failed),
        "missing": len(missing),
    }
    total = len(summaries) + len(missing)
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    say(console, f"{total} runs: {', '.join(parts)}", "bold")
    if failed or missing:
        say(console, "The same command goes on with what failed or is missing.")
    say(console, WHERE_TO_LOOK)
