"""What became of the runs of a sweep, so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mnist_bench.config.schema import OnError
from mnist_bench.run.execute import RunSummary, take_stored
from mnist_bench.store.opening import Store
from mnist_bench.store.recorders import SweepRecorder
from mnist_bench.sweep.plan import Plan, PlannedRun
from mnist_bench.sweep.progress import SweepProgress
from mnist_bench.sweep.prospects import Prospect


@dataclass(slots=True)
class Outcomes:
    """The runs of a plan that have ended; each is told to the store and the terminal at once.

    Attributes:
        plan: What was asked for.
        recorder: Of the sweep.
        progress: What a person sees of it; None before anything is run.
        summaries: Identity of a run -> what became of it.
        retried: Identity of a run -> its failed attempts that another one followed, by MLflow's id.
    """

    plan: Plan
    recorder: SweepRecorder
    progress: SweepProgress | None = None
    summaries: dict[str, RunSummary] = field(default_factory=dict)
    retried: dict[str, list[str]] = field(default_factory=dict)

    def take_finished_before(self, store: Store, prospects: Sequence[Prospect]) -> None:
        """Takes the runs that the store has a result of; they become members of this sweep."""
        for prospect in prospects:
            if prospect.stored is not None:
                self.summaries[prospect.run.identity.run_fp] = take_stored(
                    store,
                    prospect.stored,
                    sweep_id=self.plan.sweep_id,
                    study=prospect.run.config.study,
                )

    def take(self, run: PlannedRun, summary: RunSummary) -> None:
        """Takes a run that has ended; what is known already changes nothing."""
        if self.summaries.get(run.identity.run_fp) == summary:
            return
        self.summaries[run.identity.run_fp] = summary
        if self.progress is not None:
            self.progress.show(run.identity.run_fp, summary)
        self.record_counts()

    def record_counts(self) -> None:
        """Tells the store how far the sweep is."""
        failed = len(self.failures())
        stored = sum(1 for summary in self.summaries.values() if summary.stored)
        self.recorder.log_progress(
            {
                "runs_planned": len(self.plan.runs),
                "runs_finished": len(self.summaries) - failed,
                "runs_failed": failed,
                "runs_stored": stored,
            }
        )

    def failures(self) -> dict[str, str]:
        """Returns the names of the runs that failed, and why."""
        return {s.name: s.failure for s in self.summaries.values() if s.failure}

    def missing(self) -> list[str]:
        """Returns the names of the runs that have not ended."""
        return [
            run.identity.name for run in self.plan.runs if run.identity.run_fp not in self.summaries
        ]

    def is_to_be_retried(self, run: PlannedRun, summary: RunSummary) -> bool:
        """Returns whether a run that ended like this is tried again."""
        retries = len(self.retried.get(run.identity.run_fp, ()))
        return bool(summary.failure) and retries < run.config.sweep.max_retries

    def stop_after(self) -> int | None:
        """Returns after how many failed runs the sweep stops; None is never."""
        settings = self.plan.runs[0].config.sweep
        return 1 if settings.on_error is OnError.stop else settings.max_failures

    def is_stopped(self) -> bool:
        """Returns whether so many runs failed that no other one is begun."""
        limit = self.stop_after()
        return limit is not None and len(self.failures()) >= limit
