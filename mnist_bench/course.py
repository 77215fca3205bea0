"""One sweep from its first run to its summary.

What a launcher returns is not relied on, since a worker that is killed takes the answers of its
whole batch with it; the store says what is done, and what is not is launched again.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from rich.console import Console

from mnist_bench import report, terminal, tracking
from mnist_bench.config import OnError, Timing, shown
from mnist_bench.plan import Plan, PlannedRun, Prospect, State
from mnist_bench.run import RunSummary, take_stored
from mnist_bench.selection import Source

WATCH_SECONDS = 5.0
"""How often a batch that runs in other processes is looked after."""


@dataclass(slots=True)
class Course:
    """The runs of a plan, as a launcher gets on with them.

    Attributes:
        store: Where the runs are kept.
        plan: What was asked for.
        prospects: The same in the light of the store.
        workers: Processes that run at once; 0 means this one.
        launcher: Hydra's.
        console: Where to print.
        folder: Hydra's, of this sweep; the report goes there.
        summaries: Identity of a run -> what became of it.
        retried: Identity of a run -> its failed attempts that another one followed, by MLflow's id.
        recorder: Of the parent run.
        progress: What a person sees of it.
    """

    store: tracking.Store
    plan: Plan
    prospects: Sequence[Prospect]
    workers: int
    launcher: Launcher
    console: Console
    folder: Path
    summaries: dict[str, RunSummary] = field(default_factory=dict)
    retried: dict[str, list[str]] = field(default_factory=dict)
    recorder: tracking.SweepRecorder = field(init=False)
    progress: terminal.SweepProgress = field(init=False)

    def run(self) -> list[RunSummary]:
        """Runs what is to be run; the summary comes always, also after an interrupt."""
        self.recorder = tracking.SweepRecorder(self.store, *_named(self.plan))
        self.recorder.log_text("plan.csv", report.plan_csv(self.prospects))
        pending = []
        for prospect in self.prospects:
            if prospect.stored is not None:
                self.summaries[prospect.run.identity.run_fp] = take_stored(
                    self.store,
                    prospect.stored,
                    sweep_id=self.plan.sweep_id,
                    study=prospect.run.config.study,
                )
            elif prospect.state is not State.left:
                pending.append(prospect.run)
        estimates = {p.run.identity.run_fp: p.seconds for p in self.prospects}
        status = "KILLED"
        try:
            with terminal.SweepProgress(
                self.console, len(self.summaries), pending, estimates, self.workers
            ) as self.progress:
                self._record_counts()
                if self.workers == 0:
                    self._run_one_by_one(pending)
                else:
                    self._run_in_batches(pending)
            status = "FAILED" if self._failures() else "FINISHED"
        except BaseException:
            _end_children()
            tracking.end_stale(self.store)
            raise
        finally:
            self._sum_up(status)
        if self._failures():
            sys.exit(1)
        return list(self.summaries.values())

    def _run_one_by_one(self, runs: Sequence[PlannedRun]) -> None:
        queue = list(runs)
        put_off: set[str] = set()
        while queue and not self._stops():
            run = queue.pop(0)
            run_fp = run.identity.run_fp
            if run_fp not in put_off and queue and tracking.is_claimed(self.store, run_fp):
                # Another sweep trains it; by the time of the others' end it will have a result.
                put_off.add(run_fp)
                queue.append(run)
                continue
            for _ in range(1 + run.config.sweep.max_retries):
                [job] = self.launcher.launch([self._overrides(run)], len(self.summaries))
                summary = _summary(job, run)
                if not summary.failure:
                    break
            self._take(run, summary)

    def _run_in_batches(self, runs: Sequence[PlannedRun]) -> None:
        """Runs many at once, in processes that may die.

        A worker that dies takes its whole pool with it. The runs that were under way then are
        suspects and run again one at a time, so that the guilty one is found and the others are
        not lost.
        """
        waiting, suspects = list(runs), list[PlannedRun]()
        while (waiting or suspects) and not self._stops():
            alone = bool(suspects)
            size = None if self._failure_limit() is None else self.workers
            batch = [suspects.pop(0)] if alone else waiting[:size]
            waiting = waiting if alone else waiting[len(batch) :]
            answers, died = self._launch_batch(batch)
            for run in batch:
                run_fp = run.identity.run_fp
                summary = answers.get(run_fp)
                if summary is None and run_fp in died and alone:
                    summary = RunSummary("", run.identity.name, {}, "killed: its process died")
                if summary is not None and self._is_to_be_retried(run, summary):
                    self.retried.setdefault(run_fp, []).append(summary.run_id)
                    summary = None
                if summary is None:
                    (suspects if run_fp in died else waiting).append(run)
                else:
                    self._take(run, summary)

    def _launch_batch(self, batch: Sequence[PlannedRun]) -> tuple[dict[str, RunSummary], set[str]]:
        """Returns the answers that there are, and which runs were under way when a worker died."""
        by_name = {run.identity.run_fp: run for run in batch}
        try:
            with self._watching(by_name):
                jobs = self.launcher.launch(
                    [self._overrides(run) for run in batch], len(self.summaries)
                )
            answers = zip(by_name, map(_summary, jobs, batch), strict=True)
            return dict(answers), set()
        except Exception as error:
            # What was ended may be another sweep's parent too, which has no such identity.
            stale = tracking.end_stale(self.store)
            died = {run.tags["run_fp"] for run in stale if "run_fp" in run.tags}
            answers_in_store = self._ended(by_name)
            if not died & by_name.keys() and not answers_in_store:
                raise  # nothing was begun: it is the launcher that does not work
            terminal.say(self.console, f"a worker died: {shown(type(error).__name__)}", "red")
            return answers_in_store, died

    @contextmanager
    def _watching(self, runs: Mapping[str, PlannedRun]) -> Iterator[None]:
        """Shows how far a batch is while the launcher is busy with it."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(WATCH_SECONDS):
                try:
                    ended = self._ended(runs)
                except tracking.TrackingError:
                    continue  # what is not seen now is at the next look
                for run_fp, summary in ended.items():
                    if not self._is_to_be_retried(runs[run_fp], summary):
                        self._take(runs[run_fp], summary)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _is_to_be_retried(self, run: PlannedRun, summary: RunSummary) -> bool:
        retries = len(self.retried.get(run.identity.run_fp, ()))
        return bool(summary.failure) and retries < run.config.sweep.max_retries

    def _ended(self, runs: Mapping[str, PlannedRun]) -> dict[str, RunSummary]:
        """Returns the runs of this sweep that ended, as the store knows them.

        A failure that was followed by another attempt is none.
        """
        ended = {}
        for run in tracking.runs_of(self.store, f"sweep.{self.plan.sweep_id}", "1"):
            run_fp = run.tags.get("run_fp", "")
            if run_fp not in runs or run_fp in ended or run.run_id in self.retried.get(run_fp, ()):
                continue
            if run.is_reusable():
                ended[run_fp] = RunSummary(run.run_id, run.name, run.metrics)
            elif run.status == "FAILED" and run.parent_run_id == self.recorder.run_id:
                failure = run.tags.get("failure", "error")
                ended[run_fp] = RunSummary(run.run_id, run.name, {}, failure)
        return ended

    def _take(self, run: PlannedRun, summary: RunSummary) -> None:
        if self.summaries.get(run.identity.run_fp) == summary:
            return
        self.summaries[run.identity.run_fp] = summary
        self.progress.show(run.identity.run_fp, summary)
        self._record_counts()

    def _stops(self) -> bool:
        limit = self._failure_limit()
        return limit is not None and len(self._failures()) >= limit

    def _failure_limit(self) -> int | None:
        """Returns after how many failed runs the sweep stops; None is never."""
        settings = self.plan.runs[0].config.sweep
        return 1 if settings.on_error is OnError.stop else settings.max_failures

    def _failures(self) -> dict[str, str]:
        return {s.name: s.failure for s in self.summaries.values() if s.failure}

    def _overrides(self, run: PlannedRun) -> list[str]:
        timing = Timing.exclusive if self.workers <= 1 else Timing.shared
        # Quoted, since a fingerprint of digits alone would be read as a number.
        return [
            *run.overrides,
            f"tracking.parent_run_id='{self.recorder.run_id}'",
            f"tracking.sweep_id='{self.plan.sweep_id}'",
            f"tracking.timing={timing.value}",
        ]

    def _record_counts(self) -> None:
        failed = len(self._failures())
        stored = sum(1 for summary in self.summaries.values() if summary.stored)
        self.recorder.log_progress(
            {
                "runs_planned": len(self.prospects),
                "runs_finished": len(self.summaries) - failed,
                "runs_failed": failed,
                "runs_stored": stored,
            }
        )

    def _sum_up(self, status: str) -> None:
        by_cell: dict[str, list[Mapping[str, float]]] = {}
        first_runs: dict[str, str] = {}
        for run in self.plan.runs:
            summary = self.summaries.get(run.identity.run_fp)
            results = by_cell.setdefault(run.identity.cell, [])
            if summary is not None and not summary.failure:
                results.append(summary.metrics)
                first_runs.setdefault(run.identity.cell, summary.run_id)
        board = report.leaderboard(by_cell)
        missing = [
            run.identity.name for run in self.plan.runs if run.identity.run_fp not in self.summaries
        ]
        failures = self._failures()
        self._record_counts()
        self.recorder.log_text("leaderboard.csv", report.leaderboard_csv(board))
        links = self.recorder.links(first_runs, report.SWEEP_FILES)
        self.recorder.end(status, report.sweep_page(board, failures, missing, links))
        terminal.show_sweep(self.console, board, list(self.summaries.values()), missing)
        if status == "KILLED":
            command = f"python -m mnist_bench report sweep:{self.plan.sweep_id[:12]}"
            terminal.say(self.console, f"Cut off, so no report; {command} writes it")
        else:
            self._write_report()

    def _write_report(self) -> None:
        """Writes what the sweep showed to its folder and to the parent run.

        It comes after all else, so that an interrupt costs nothing but the report.
        """
        from mnist_bench import sweep_page, sweep_report

        members = tracking.runs_of(self.store, f"sweep.{self.plan.sweep_id}", "1")
        if not any(run.tags.get("kind") == "run" and run.params for run in members):
            terminal.say(self.console, "No report: no run was recorded")
            return
        source = Source(self.store.uri, self.store.experiment)
        material = sweep_report.gather(source, f"sweep:{self.plan.sweep_id}")
        page = sweep_page.page(sweep_report.examine(material))
        path = self.folder / sweep_page.file_name(material.label)
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
        self.recorder.log_text("report.html", page)
        terminal.say(self.console, f"Report: {path}")


def _named(plan: Plan) -> tuple[str, dict[str, str]]:
    """Returns the parent run's name and tags."""
    studies = {run.config.study for run in plan.runs if run.config.study}
    study = studies.pop() if len(studies) == 1 else ""
    tags = {
        "kind": "sweep",
        "sweep_id": plan.sweep_id,
        f"sweep.{plan.sweep_id}": "1",
        "study": study,
    }
    name = f"sweep {study or plan.sweep_id[:8]} ({len(plan.runs)} runs)"
    return name, {f"mnist_bench.{key}": value for key, value in tags.items() if value}


def _summary(job: JobReturn, run: PlannedRun) -> RunSummary:
    if job.status is JobStatus.COMPLETED:
        assert isinstance(job.return_value, RunSummary)
        return job.return_value
    # `return_value` would raise what the job raised, and print it.
    error = job._return_value
    return RunSummary("", run.identity.name, {}, f"error: {shown(error) or type(error).__name__}")


def _end_children() -> None:
    """Ends the worker processes of this one, which their launcher may leave behind."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=3)
