"""A Hydra Sweeper: plans all runs, hands them to a launcher, and sums up what became of them.

Nothing of a scheduler is here: Hydra's launcher runs the jobs (see `course`). What needs MLflow is
imported after the plan, so that a sweep that is refused is refused at once.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mnist_bench import data, terminal
from mnist_bench.plan import assess, make_plan

if TYPE_CHECKING:
    from mnist_bench.run import RunSummary

THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"


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

    def sweep(self, arguments: list[str]) -> "list[RunSummary]":
        """Runs everything that has no result yet.

        Raises:
            ConfigError: If any run is refused; then none was started.
            TrackingError: If the store cannot be used.
            SystemExit: With 1 after the summary, if a run failed.
        """
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        console = terminal.make_console()
        workers = _workers(self.config.hydra.launcher)
        _share_threads(workers)  # before the plan: threads are part of a run's identity
        plan = make_plan(
            self.hydra_context.config_loader,
            self.config,
            self.params,
            arguments,
            lambda config: data.load_cached(config).digest,
        )
        from mnist_bench import tracking

        settings = plan.runs[0].config
        if settings.sweep.dry_run:
            stored = tracking.runs_if_any(settings.tracking.uri, settings.tracking.experiment)
            prospects = assess(plan, stored)
            terminal.show_plan(console, plan, prospects, workers)
            terminal.show_prospects(console, prospects)
            return []

        store = tracking.open_store(settings.tracking.uri, settings.tracking.experiment)
        stale = tracking.end_stale(store)
        prospects = assess(plan, tracking.find_runs(store.client, [store.experiment_id]))
        terminal.show_plan(console, plan, prospects, workers, stale=len(stale))
        from mnist_bench.course import Course

        folder = Path(self.config.hydra.sweep.dir)
        return Course(store, plan, prospects, workers, self.launcher, console, folder).run()


def _workers(launcher: DictConfig) -> int:
    """Returns how many processes a launcher runs jobs in at once; 0 means in this process."""
    if launcher._target_.endswith(".BasicLauncher"):
        return 0
    chosen = OmegaConf.select(launcher, "n_jobs", default=-1)
    return int(chosen) if chosen > 0 else os.cpu_count() or 1


def _share_threads(workers: int) -> None:
    """Divides the cores among worker processes, which take the setting over as they start."""
    if workers > 1 and THREADS_VARIABLE not in os.environ:
        os.environ[THREADS_VARIABLE] = str(max(1, (os.cpu_count() or 1) // workers))
