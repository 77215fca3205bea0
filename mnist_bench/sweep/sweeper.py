"""A sweep from beginning to end: planned, handed to a Hydra launcher, and summed up.

Nothing of a scheduler is here: Hydra's launcher runs the jobs. What needs MLflow is imported after
the plan, so that a sweep that is refused is refused at once.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from mnist_bench.config.compose import HydraTask
from mnist_bench.errors import ExitCode
from mnist_bench.look.terminal import make_console
from mnist_bench.sweep.description import plan_csv
from mnist_bench.sweep.plan import Plan, make_plan
from mnist_bench.sweep.progress import SweepProgress, show_plan, show_prospects
from mnist_bench.sweep.prospects import Prospect, State, assess
from mnist_bench.train.data import load_cached

if TYPE_CHECKING:
    from mnist_bench.run.execute import Lineage, RunSummary
    from mnist_bench.store.opening import Store

THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"


def run_sweep(
    params: Mapping[str, Any],
    arguments: Sequence[str],
    hydra_context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
) -> "list[RunSummary]":
    """Runs the product of all axes, as far as it has no result yet, under one parent run.

    All that it takes is Hydra's: `params` are the axes of the grid, `arguments` the overrides as
    they were typed, and `config` is the configuration of the sweep itself.

    Raises:
        Refusal: If any run is refused; then none was started.
        StoreError: If the store cannot be used.
        SystemExit: With 1 after the summary, if a run failed.
    """
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task, config=config
    )
    assert isinstance(task, HydraTask)
    task.is_reached = True
    console = make_console()
    workers = _workers(config.hydra.launcher)
    if workers > 1 and THREADS_VARIABLE not in os.environ:
        # Workers take it over as they start. Before the plan: it is part of a run's identity.
        os.environ[THREADS_VARIABLE] = str(max(1, (os.cpu_count() or 1) // workers))
    loader = hydra_context.config_loader
    plan = make_plan(loader, config, params, arguments, lambda data: load_cached(data).digest)
    settings = plan.runs[0].config
    from mnist_bench.store.claims import end_stale
    from mnist_bench.store.opening import open_store
    from mnist_bench.store.runs import find_runs, runs_if_any

    if settings.sweep.dry_run:
        stored = runs_if_any(settings.tracking.uri, settings.tracking.experiment)
        prospects = assess(plan, stored)
        show_plan(console, plan, prospects, workers)
        show_prospects(console, prospects)
        return []

    store = open_store(settings.tracking.uri, settings.tracking.experiment)
    stale = end_stale(store)
    prospects = assess(plan, find_runs(store.client, [store.experiment_id]))
    show_plan(console, plan, prospects, workers, stale=len(stale))

    def launcher_of(lineage: "Lineage") -> Launcher:
        from mnist_bench.sweep.launching import run_member

        member = partial(run_member, lineage=lineage)
        launcher.setup(hydra_context=hydra_context, task_function=member, config=config)
        return launcher

    folder = Path(config.hydra.sweep.dir)
    return run_plan(plan, prospects, store, workers, launcher_of, console, folder)


def run_plan(
    plan: Plan,
    prospects: Sequence[Prospect],
    store: "Store",
    workers: int,
    launcher_of: "Callable[[Lineage], Launcher]",
    console: Console,
    folder: Path,
) -> "list[RunSummary]":
    """Runs what is to be run; the summary comes always, also after an interrupt.

    `launcher_of` returns a launcher whose jobs are runs of a lineage; `workers` are the processes
    in which it runs them at once, where 0 means this one. The report goes to `folder`.

    Raises:
        SystemExit: With 1, if a run failed.
    """
    from mnist_bench.run.execute import Lineage
    from mnist_bench.store.recorders import SweepRecorder
    from mnist_bench.sweep.launching import Launching
    from mnist_bench.sweep.outcomes import Outcomes
    from mnist_bench.sweep.summary import sum_up

    recorder = SweepRecorder(store, *_sweep_tags(plan))
    recorder.log_text("plan.csv", plan_csv(prospects))
    launcher = launcher_of(Lineage(recorder.run_id, plan.sweep_id, shares_machine=workers > 1))
    outcomes = Outcomes(plan, recorder)
    outcomes.take_finished_before(store, prospects)
    pending = [p.run for p in prospects if p.state in (State.new, State.retry)]
    estimates = {p.run.identity.run_fp: p.seconds for p in prospects}
    status = "KILLED"
    try:
        with SweepProgress(
            console, len(outcomes.summaries), pending, estimates, workers
        ) as outcomes.progress:
            outcomes.record_counts()
            Launching(store, launcher, workers, outcomes, console).run(pending)
        status = "FAILED" if outcomes.failures() else "FINISHED"
    finally:
        sum_up(store, outcomes, status, console, folder)
    if outcomes.failures():
        sys.exit(ExitCode.failed)
    return list(outcomes.summaries.values())


def _workers(launcher: DictConfig) -> int:
    """Returns how many processes a launcher runs jobs in at once; 0 means in this process."""
    if launcher._target_.endswith(".BasicLauncher"):
        return 0
    chosen = OmegaConf.select(launcher, "n_jobs", default=-1)
    return int(chosen) if chosen > 0 else os.cpu_count() or 1


def _sweep_tags(plan: Plan) -> tuple[str, dict[str, str]]:
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
