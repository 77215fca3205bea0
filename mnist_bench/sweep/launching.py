"""Runs a sweep through a Hydra launcher.

What a launcher returns is not relied on, since a worker that is killed takes the answers of its
whole batch with it; the store says what is done, and what is not is launched again.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from rich.console import Console

from mnist_bench.config.compose import load_config
from mnist_bench.config.record import recordable_overrides
from mnist_bench.errors import StoreError
from mnist_bench.look.terminal import say
from mnist_bench.run.execute import Lineage, RunSummary, execute
from mnist_bench.store.claims import end_stale, is_claimed
from mnist_bench.store.opening import Store
from mnist_bench.store.runs import runs_of
from mnist_bench.sweep.outcomes import Outcomes
from mnist_bench.sweep.plan import PlannedRun
from mnist_bench.text import shown

WATCH_SECONDS = 5.0
"""How often a batch that runs in other processes is looked after."""


def run_member(composed: DictConfig, lineage: Lineage) -> RunSummary:
    """Runs one configuration of a sweep, in whatever process a launcher has chosen for it.

    Whatever keeps it from being recorded comes back as a failure without a name or an id.
    """
    try:
        typed = HydraConfig.get().overrides.task
        return execute(load_config(composed), recordable_overrides(typed), lineage=lineage)
    except Exception as error:  # noqa: BLE001 - the sweep goes on, and says what it was
        return RunSummary("", "", {}, f"error: {shown(error) or type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Launching:
    """The runs of a sweep, as a launcher whose jobs are `run_member` gets on with them.

    Attributes:
        workers: Processes that run at once; 0 means this one.
    """

    store: Store
    launcher: Launcher
    workers: int
    outcomes: Outcomes
    console: Console

    def run(self, runs: Sequence[PlannedRun]) -> None:
        """Runs everything, or as much as the sweep's limit of failures allows.

        Raises:
            Exception: If the launcher does not work; and whatever interrupts. Then no worker and no
                run is left behind.
        """
        try:
            if self.workers == 0:
                self._run_one_by_one(runs)
            else:
                self._run_in_batches(runs)
        except BaseException:
            _end_children()
            end_stale(self.store)
            raise

    def _run_one_by_one(self, runs: Sequence[PlannedRun]) -> None:
        queue = list(runs)
        put_off: set[str] = set()
        while queue and not self.outcomes.is_stopped():
            run = queue.pop(0)
            run_fp = run.identity.run_fp
            if run_fp not in put_off and queue and is_claimed(self.store, run_fp):
                # Another sweep trains it; by the time of the others' end it will have a result.
                put_off.add(run_fp)
                queue.append(run)
                continue
            for _ in range(1 + run.config.sweep.max_retries):
                [summary] = self._launch([run])
                if not summary.failure:
                    break
            self.outcomes.take(run, summary)

    def _run_in_batches(self, runs: Sequence[PlannedRun]) -> None:
        """Runs many at once, in processes that may die.

        A worker that dies takes its whole pool with it. The runs that were under way then are
        suspects and run again one at a time, so that the guilty one is found and the others are
        not lost.
        """
        waiting, suspects = list(runs), list[PlannedRun]()
        outcomes = self.outcomes
        while (waiting or suspects) and not outcomes.is_stopped():
            alone = bool(suspects)
            size = None if outcomes.stop_after() is None else self.workers
            batch = [suspects.pop(0)] if alone else waiting[:size]
            waiting = waiting if alone else waiting[len(batch) :]
            answers, died = self._launch_batch(batch)
            for run in batch:
                run_fp = run.identity.run_fp
                summary = answers.get(run_fp)
                if summary is None and run_fp in died and alone:
                    summary = RunSummary("", run.identity.name, {}, "killed: its process died")
                if summary is not None and outcomes.is_to_be_retried(run, summary):
                    outcomes.retried.setdefault(run_fp, []).append(summary.run_id)
                    summary = None
                if summary is None:
                    (suspects if run_fp in died else waiting).append(run)
                else:
                    outcomes.take(run, summary)

    def _launch(self, runs: Sequence[PlannedRun]) -> list[RunSummary]:
        overrides = [list(run.overrides) for run in runs]
        jobs = self.launcher.launch(overrides, len(self.outcomes.summaries))
        summaries = [job.return_value for job in jobs]
        return [
            summary if summary.name else replace(summary, name=run.identity.name)
            for summary, run in zip(summaries, runs, strict=True)
        ]

    def _launch_batch(self, batch: Sequence[PlannedRun]) -> tuple[dict[str, RunSummary], set[str]]:
        """Returns the answers that there are, and which runs were under way when a worker died."""
        by_name = {run.identity.run_fp: run for run in batch}
        try:
            with self._watching(by_name):
                return dict(zip(by_name, self._launch(batch), strict=True)), set()
        except Exception as error:
            # What was ended may be another sweep's parent too, which has no such identity.
            stale = end_stale(self.store)
            died = {run.tags["run_fp"] for run in stale if "run_fp" in run.tags}
            answers_in_store = self._ended(by_name)
            if not died & by_name.keys() and not answers_in_store:
                raise  # nothing was begun: it is the launcher that does not work
            say(self.console, f"a worker died: {shown(type(error).__name__)}", "red")
            return answers_in_store, died

    @contextmanager
    def _watching(self, runs: Mapping[str, PlannedRun]) -> Iterator[None]:
        """Shows how far a batch is while the launcher is busy with it."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(WATCH_SECONDS):
                try:
                    ended = self._ended(runs)
                except StoreError:
                    continue  # what is not seen now is at the next look
                for run_fp, summary in ended.items():
                    if not self.outcomes.is_to_be_retried(runs[run_fp], summary):
                        self.outcomes.take(runs[run_fp], summary)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _ended(self, runs: Mapping[str, PlannedRun]) -> dict[str, RunSummary]:
        """Returns the runs of this sweep that ended, as the store knows them.

        A failure that was followed by another attempt is none.
        """
        outcomes = self.outcomes
        ended = {}
        for run in runs_of(self.store, f"sweep.{outcomes.plan.sweep_id}", "1"):
            run_fp = run.tags.get("run_fp", "")
            retried = outcomes.retried.get(run_fp, ())
            if run_fp not in runs or run_fp in ended or run.run_id in retried:
                continue
            if not run.failure:
                ended[run_fp] = RunSummary(run.run_id, run.name, run.metrics)
            elif run.status == "FAILED" and run.parent_run_id == outcomes.recorder.run_id:
                failure = run.tags.get("failure", "error")
                ended[run_fp] = RunSummary(run.run_id, run.name, {}, failure)
        return ended


def _end_children() -> None:
    """Ends the worker processes of this one, which their launcher may leave behind."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=3)
