"""A sweep on a real store, with a launcher whose runs end as a test wants them to."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from rich.console import Console

from mnist_bench.errors import StoreError
from mnist_bench.metrics import Use, used_for
from mnist_bench.run.execute import Lineage, RunSummary
from mnist_bench.store.opening import Store, open_store
from mnist_bench.store.recorders import RunRecorder, SweepRecorder
from mnist_bench.store.runs import StoredRun, find_runs, runs_of
from mnist_bench.sweep import launching
from mnist_bench.sweep.plan import PlannedRun
from mnist_bench.sweep.prospects import assess
from mnist_bench.sweep.sweeper import run_plan
from tests.composed import plan

METRICS = dict.fromkeys(used_for(Use.needed), 0.5)
LOOKS = 0.05
"""Seconds between two looks of the watcher."""

Runner = Callable[[PlannedRun, RunRecorder, int], None]


class Scripted(Launcher):
    """Starts the runs that it is given one after another, and lets a function end each of them."""

    def __init__(self, runs: Sequence[PlannedRun], store: Store, runner: Runner) -> None:
        self.by_overrides = {run.overrides: run for run in runs}
        self.store = store
        self.runner = runner
        self.attempts: list[str] = []
        self.lineage: Lineage | None = None

    def setup(self, **_: Any) -> None: ...

    def of(self, lineage: Lineage) -> "Scripted":
        self.lineage = lineage
        return self

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        return [self._run(overrides) for overrides in job_overrides]

    def _run(self, overrides: Sequence[str]) -> JobReturn:
        assert self.lineage is not None
        run = self.by_overrides[tuple(overrides)]
        run_fp = run.identity.run_fp
        tags = {"kind": "run", f"sweep.{self.lineage.sweep_id}": "1", **run.identity.tags()}
        recorder = RunRecorder(
            self.store,
            run.identity.name,
            {f"mnist_bench.{key}": value for key, value in tags.items()}
            | {"mlflow.parentRunId": self.lineage.parent_run_id},
            {"seed": run.config.seed},
            {},
        )
        self.attempts.append(run_fp)
        self.runner(run, recorder, self.attempts.count(run_fp))
        ended = find_runs(
            self.store.client, [self.store.experiment_id], f"attributes.run_id='{recorder.run_id}'"
        )[0]
        summary = RunSummary(ended.run_id, ended.name, METRICS, ended.tags.get("failure", ""))
        return JobReturn(_return_value=summary, status=JobStatus.COMPLETED)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def store(uri: str, request: pytest.FixtureRequest) -> Store:
    """An experiment of the test's own."""
    return open_store(uri, request.node.name)


@pytest.fixture
def console() -> Console:
    return Console(width=200, record=True)


def go(
    store: Store, console: Console, runner: Runner, *arguments: str, workers: int = 2
) -> tuple[Scripted, list[RunSummary] | None]:
    """Runs seeds 0 and 1; returns the launcher, and no summaries if a run failed."""
    made = plan("grid=none", "seed=0,1", *arguments)
    launcher = Scripted(made.runs, store, runner)
    folder = Path(store.uri.removeprefix("sqlite:///")).parent / store.experiment_id
    prospects = assess(made, [])
    try:
        return launcher, run_plan(made, prospects, store, workers, launcher.of, console, folder)
    except SystemExit:
        return launcher, None


def parents(store: Store) -> dict[str, str]:
    found = find_runs(store.client, [store.experiment_id])
    return {run.name: run.status for run in found if run.tags["kind"] == "sweep"}


def finish(recorder: RunRecorder) -> None:
    recorder.finish(METRICS, {})


def test_a_failure_is_shown_only_if_no_attempt_follows(
    store: Store, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "WATCH_SECONDS", LOOKS)

    def fails_at_first(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        time.sleep(4 * LOOKS)  # the second attempt has not ended, and the first one is known
        if run.config.seed == 1 and attempt == 1:
            recorder.end("error", {})
            time.sleep(4 * LOOKS)
        else:
            finish(recorder)

    launcher, summaries = go(store, console, fails_at_first, "sweep.max_retries=1")
    assert len(launcher.attempts) == 3
    said = console.export_text()
    assert "FAILED" not in said
    assert said.count(" s1 ") == 1
    assert summaries is not None
    assert {summary.failure for summary in summaries} == {""}
    [status] = parents(store).values()
    assert status == "FINISHED"


def test_a_failure_after_the_last_attempt_is_shown_once_and_soon(
    store: Store, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "WATCH_SECONDS", LOOKS)
    shown_early = []

    def always_fails(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        if run.config.seed == 0:
            recorder.end("error", {})
            time.sleep(20 * LOOKS)
        else:
            shown_early.append("s0  FAILED error" in console.export_text(clear=False))
            finish(recorder)

    launcher, summaries = go(store, console, always_fails, "sweep.max_retries=1")
    assert summaries is None
    assert len(launcher.attempts) == 3
    assert console.export_text().count("] sequential_list 128 adam b32 s0  FAILED error") == 1


def all_fail(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
    recorder.end("error", {})


@pytest.mark.parametrize(
    ("setting", "workers", "said"),
    [
        ("sweep.on_error=stop", 0, "4 runs: 1 failed, 3 missing"),
        ("sweep.on_error=stop", 2, "4 runs: 2 failed, 2 missing"),  # what was under way
        ("sweep.max_failures=2", 0, "4 runs: 2 failed, 2 missing"),
        ("sweep.max_failures=3", 2, "4 runs: 4 failed"),
        ("sweep.on_error=continue", 0, "4 runs: 4 failed"),
        ("sweep.on_error=continue", 2, "4 runs: 4 failed"),
    ],
)
def test_a_sweep_may_stop_at_a_number_of_failures(
    store: Store, console: Console, setting: str, workers: int, said: str
) -> None:
    _, summaries = go(store, console, all_fail, "seed=0,1,2,3", setting, workers=workers)
    assert summaries is None
    assert said in console.export_text()
    [status] = parents(store).values()
    assert status == "FAILED"


def test_only_failures_count_as_attempts(store: Store, console: Console) -> None:
    """Not the deaths of workers that a run had no part in."""

    def fails_after_a_death(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        if attempt == 1 and run.config.seed == 0:
            raise RuntimeError("the worker died")
        if attempt == 1:
            recorder.end("error", {})
        else:
            finish(recorder)

    launcher, summaries = go(store, console, fails_after_a_death, "sweep.max_retries=1")
    assert summaries is not None
    assert {summary.failure for summary in summaries} == {""}
    assert len(launcher.attempts) == 4


def test_another_sweep_that_died_meanwhile_does_not_disturb(store: Store, console: Console) -> None:
    """Its parent is repaired together with the run of the dead worker, and has no identity."""

    def dies_at_first(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        if attempt == 1 and run.config.seed == 0:
            other = SweepRecorder(store, "other", {"mnist_bench.kind": "sweep"})
            other._claim.release()  # as by the end of its process
            raise RuntimeError("the worker died")
        finish(recorder)

    _, summaries = go(store, console, dies_at_first)
    assert summaries is not None
    assert len(summaries) == 2
    statuses = parents(store)
    assert statuses.pop("other") == "KILLED"
    assert list(statuses.values()) == ["FINISHED"]


def test_an_interrupted_sweep_leaves_its_report_to_the_command(
    store: Store, console: Console
) -> None:
    def interrupts(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        finish(recorder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(store, console, interrupts, workers=0)
    said = console.export_text()
    assert "python -m mnist_bench report sweep:" in said
    assert "Report:" not in said
    assert list(parents(store).values()) == ["KILLED"]


def test_a_look_at_the_store_that_fails_is_not_the_last(
    store: Store, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "WATCH_SECONDS", LOOKS)
    looks: list[str] = []
    look = runs_of

    def fails_at_first(*arguments: Any) -> list[StoredRun]:
        looks.append(arguments[1])
        if len(looks) == 1:
            raise StoreError("tracking.uri: cannot use the store: it is locked")
        return look(*arguments)

    def is_slow(run: PlannedRun, recorder: RunRecorder, attempt: int) -> None:
        if run.config.seed == 1:
            time.sleep(20 * LOOKS)
            assert " s0 " in console.export_text(clear=False)
        finish(recorder)

    monkeypatch.setattr(launching, "runs_of", fails_at_first)
    _, summaries = go(store, console, is_slow)
    assert summaries is not None
