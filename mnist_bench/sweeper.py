"""A Hydra Sweeper: plans all runs, hands them to a launcher, and sums up what became of them."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from rich.console import Console

from mnist_bench import data, fingerprint, report, terminal
from mnist_bench.config import shown
from mnist_bench.plan import PlannedRun, make_plan
from mnist_bench.run import RunSummary
from mnist_bench.tracking import SweepRecorder, open_store


class MnistBenchSweeper(Sweeper):
    """Runs the product of all axes, each run recorded under one parent run."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra hands to a sweeper before `sweep`."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[RunSummary]:
        """Runs everything.

        Raises:
            ConfigError: If any run is refused; then none was started.
            TrackingError: If the store cannot be used.
            SystemExit: With 1 after the summary, if a run failed.
        """
        assert self.hydra_context is not None
        assert self.config is not None
        console = terminal.make_console()
        plan = make_plan(
            self.hydra_context.config_loader,
            self.config,
            self.params,
            arguments,
            lambda config: data.load_cached(config).digest,
        )
        for name in plan.duplicates:
            terminal.say(console, f"asked for more than once, run once: {name}")

        tracking = plan.runs[0].config.tracking
        store = open_store(tracking.uri, tracking.experiment)
        sweep_id = fingerprint.sweep_id([run.identity.run_fp for run in plan.runs])
        recorder = SweepRecorder(store, *_named(plan.runs, sweep_id))
        recorder.log_text("plan.csv", report.plan_csv([run.identity for run in plan.runs]))
        try:
            summaries = self._launch(plan.runs, recorder, sweep_id, console)
        except BaseException:
            recorder.end("KILLED", "The sweep was interrupted.")
            raise
        failures = {summary.name: summary.failure for summary in summaries if summary.failure}
        by_cell: dict[str, list[Mapping[str, float]]] = {r.identity.cell: [] for r in plan.runs}
        for run, summary in zip(plan.runs, summaries, strict=True):
            by_cell[run.identity.cell] += [] if summary.failure else [summary.metrics]
        board = report.leaderboard(by_cell)
        recorder.log_text("leaderboard.csv", report.leaderboard_csv(board))
        recorder.end("FAILED" if failures else "FINISHED", report.sweep_page(board, failures))

        terminal.show_sweep(console, board, failures, len(summaries))
        if failures:
            sys.exit(1)
        return summaries

    def _launch(
        self,
        runs: Sequence[PlannedRun],
        recorder: SweepRecorder,
        sweep_id: str,
        console: Console,
    ) -> list[RunSummary]:
        assert self.launcher is not None
        # Quoted, since a fingerprint of digits alone would be read as a number.
        membership = (
            f"tracking.parent_run_id='{recorder.run_id}'",
            f"tracking.sweep_id='{sweep_id}'",
        )
        summaries: list[RunSummary] = []
        with terminal.make_progress(console) as progress:
            task = progress.add_task("sweep", total=len(runs))
            for number, run in enumerate(runs):
                start = time.perf_counter()
                returns = self.launcher.launch([[*run.overrides, *membership]], number)
                summaries += [_summary(job, run) for job in returns]
                seconds = time.perf_counter() - start
                line = terminal.run_line(number + 1, len(runs), summaries[-1], seconds)
                terminal.say(console, line, "red" if summaries[-1].failure else None)
                progress.advance(task)
                failed = sum(1 for summary in summaries if summary.failure)
                recorder.log_progress(
                    {
                        "runs_planned": len(runs),
                        "runs_finished": len(summaries) - failed,
                        "runs_failed": failed,
                    }
                )
        return summaries


def _named(runs: Sequence[PlannedRun], sweep_id: str) -> tuple[str, dict[str, str]]:
    """Returns the parent run's name and tags."""
    studies = {run.config.study for run in runs if run.config.study}
    study = studies.pop() if len(studies) == 1 else ""
    tags = {"kind": "sweep", "sweep_id": sweep_id, f"sweep.{sweep_id}": "1", "study": study}
    name = f"sweep {study or sweep_id[:8]} ({len(runs)} runs)"
    return name, {f"mnist_bench.{key}": value for key, value in tags.items() if value}


def _summary(job: JobReturn, run: PlannedRun) -> RunSummary:
    if job.status is JobStatus.COMPLETED:
        assert isinstance(job.return_value, RunSummary)
        return job.return_value
    # `return_value` would raise what the job raised, and print it.
    error = job._return_value
    return RunSummary("", run.identity.name, {}, f"error: {shown(error) or type(error).__name__}")
