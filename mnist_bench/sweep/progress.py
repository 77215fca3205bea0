"""What a person sees of a sweep in the terminal, before, while and after it runs."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mnist_bench.look.terminal import WHERE_TO_LOOK, leaderboard_table, say
from mnist_bench.metrics import METRICS
from mnist_bench.report.leaderboard import Standing
from mnist_bench.text import duration

if TYPE_CHECKING:
    from mnist_bench.run.execute import RunSummary
    from mnist_bench.sweep.plan import Plan, PlannedRun
    from mnist_bench.sweep.prospects import Prospect


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
        """Takes the runs that are trained now, and how many have a result already.

        `estimates` are seconds by a run's identity, from earlier runs; `workers` are processes that
        train at once, where 0 means this one.
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


def _result(summary: "RunSummary") -> str:
    if summary.failure:
        return f"{summary.name}  FAILED {summary.failure}"
    accuracy, epoch, total = (
        METRICS[name].figure(summary.metrics[name], narrow=True)
        for name in ("test_accuracy", "epoch_seconds_median", "total_seconds")
    )
    return f"{summary.name}  test acc {accuracy}  {epoch} s/epoch  {total} s"


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
    for changed, count in Counter(p.changed for p in prospects if p.changed).items():
        why = f"are run again, since this changed: {', '.join(changed)}"
        say(console, f"{count} of them finished before, and {why}")
    seconds = [p.seconds for p in prospects if p.stored is None and p.seconds is not None]
    if seconds:
        say(console, f"about {duration(sum(seconds) / max(1, workers))}, going by earlier runs")


def show_prospects(console: Console, prospects: Sequence["Prospect"]) -> None:
    """Prints what is to be done about each run of a plan."""
    for prospect in prospects:
        say(console, f"{prospect.state.value:<24}{prospect.run.identity.name}")


def show_outcome(
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
