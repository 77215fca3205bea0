"""Faults that the program must survive, each dealt out to the real program."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks.soak import results, soak
from mnist_bench import environment
from mnist_bench.store.claims import end_stale
from mnist_bench.store.opening import open_existing, open_store
from tests.conftest import Cli
from tests.programs import ENDLESS, QUICK, of_kind, running, trains, wait_for

CRASHING = '''
"""Loaded by Python at its start: runs that die, as by a fault in native code, or for memory."""
import os, signal
from mnist_bench.run import execute

SIGNALS = {13: signal.SIGSEGV, 17: signal.SIGKILL}
train = execute._train

def dies(record, *arguments):
    [units] = record.config.model.hidden_units
    if units in SIGNALS:
        os.kill(os.getpid(), SIGNALS[units])
    return train(record, *arguments)

execute._train = dies
'''


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store without runs: to make one takes MLflow a second or two."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{path}", "another")
    return path


@pytest.fixture
def cli(empty_store, tmp_path):
    """The program in a folder with an empty store."""
    with (
        closing(sqlite3.connect(empty_store)) as ready,
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        ready.backup(copy)
    return Cli(tmp_path)


def crashes(folder):
    hook = folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(CRASHING)
    return {"PYTHONPATH": f"{hook}:{Path(__file__).parent.parent}"}


def test_1_a_run_that_was_killed_is_marked_and_run_again(cli):
    with running(cli, *ENDLESS) as process:
        killed = wait_for(cli, trains)
        process.kill()
    with running(cli, *ENDLESS):  # any other command repairs it too: see test_run
        again = wait_for(cli, lambda run: trains(run) and run.run_id != killed.run_id)
    assert again.tags["retry_of"] == killed.run_id
    repaired = next(run for run in of_kind(cli) if run.run_id == killed.run_id)
    assert (repaired.status, repaired.tags["failure"]) == ("KILLED", "killed")
    assert repaired.failure


def test_2_and_3_killed_sweeps_end_complete_and_bit_equal(tmp_path, monkeypatch):
    """A short soak; `python -m benchmarks.soak` is the long one."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/of_somebody.db")  # not for it
    sweep = ("-m", "grid=none", "model.style=functional,subclass", "seed=0,1", *QUICK)
    counts = soak(tmp_path, kills=3, seed=1, sweep=sweep)
    assert counts.is_clean(), counts
    assert counts.kills == 3
    assert counts.runs_finished == 4 * counts.sweeps


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
def test_4_a_signal_ends_everything_in_order(cli, number, code, sweep):
    arguments = ("-m", "grid=none", "seed=0,1") if sweep else ()
    with running(cli, *arguments, *ENDLESS) as process:
        run = wait_for(cli, trains)
        sent = time.monotonic()
        process.send_signal(number)
        output = process.output(30)
        seconds = time.monotonic() - sent
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert "the same command goes on" in output.lower()
    ended = of_kind(cli)
    assert {r.status for r in cli.runs()} == {"KILLED"}
    assert ended[0].run_id == run.run_id
    store = open_existing(cli.uri)
    steps = [m.step for m in store.get_metric_history(run.run_id, "train_loss")]
    assert steps == list(range(1, len(steps) + 1))
    if sweep:
        assert "2 missing" in output
    print(f"{seconds:.1f} s from the signal to the end")


def test_4_no_worker_outlives_a_signal(cli):
    with running(
        cli, "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "grid=none", "seed=0,1",
        *ENDLESS,
    ) as process:  # fmt: skip
        wait_for(cli, trains)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        output = process.output(30)
    assert process.returncode == 143, output
    assert workers
    assert not [worker for worker in workers if worker.is_running()]
    assert {run.status for run in cli.runs()} == {"KILLED"}


def test_5_two_sweeps_on_one_store_train_each_run_once(cli):
    sweep = ("-m", "grid=none", "seed=0,1,2,3", *QUICK)
    with running(cli, *sweep) as one, running(cli, *sweep) as other:
        outputs = [process.output(120) for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), outputs
    runs = of_kind(cli)
    assert len(runs) == len({run.tags["run_fp"] for run in runs}) == 4
    assert all(not run.failure for run in runs)
    assert {run.status for run in of_kind(cli, "sweep")} == {"FINISHED"}
    assert all("4 runs: " in output and "failed" not in output for output in outputs)


def test_5_two_repairers_end_a_stale_run_once(cli):
    with running(cli, *ENDLESS) as process:
        wait_for(cli, trains)
        process.kill()
    store = open_store(cli.uri, "mnist_bench")
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda _: end_stale(store), range(2)))
    assert sorted(map(len, ended)) == [0, 1]


def test_5_a_single_run_waits_for_the_one_that_trains_it(cli):
    longer = (*QUICK[:1], *QUICK[2:], "train.epochs=300")
    with running(cli, *longer) as first:
        wait_for(cli, trains)
        second = cli(*longer)
        first.output()
        assert first.returncode == 0
    assert "Finished before" in second.stdout
    assert len(of_kind(cli)) == 1


class Test6WhoIsWho:
    def test_this_process_lives_and_a_dead_one_is_gone(self):
        assert environment.process_is_gone(environment.this_process()) is False
        program = "from mnist_bench.environment import this_process; print(this_process())"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert environment.process_is_gone(done.stdout.strip()) is True

    def test_a_number_that_was_given_out_again_is_another_process(self):
        host, boot, number, start = environment.this_process().split(":")
        assert environment.process_is_gone(f"{host}:{boot}:{number}:{float(start) - 60:.2f}")

    def test_everything_from_before_a_reboot_is_gone(self):
        host, _, number, start = environment.this_process().split(":")
        assert environment.process_is_gone(f"{host}:0123456789ab:{number}:{start}") is True

    def test_of_another_host_nothing_is_known(self):
        _, boot, number, start = environment.this_process().split(":")
        assert environment.process_is_gone(f"0123456789ab:{boot}:{number}:{start}") is None


def test_7_a_cell_that_always_fails_is_retried_and_the_others_finish(cli):
    diverging = ("optimizer=sgd", "optimizer.learning_rate=0.01,1e30")
    done = cli("-m", "grid=none", *diverging, "sweep.max_retries=1", *QUICK, code=1)
    failed = [run for run in of_kind(cli) if run.status == "FAILED"]
    assert len(failed) == 2
    assert failed[0].tags["retry_of"] == failed[1].run_id
    assert [run.status for run in of_kind(cli) if run not in failed] == ["FINISHED"]
    assert "1 finished, 1 failed" in done.stdout
    assert "diverged" in done.stdout
    [sweep] = of_kind(cli, "sweep")
    assert (sweep.status, sweep.metrics["runs_failed"]) == ("FAILED", 1)


def test_18_a_worker_that_dies_takes_no_other_run_with_it(cli):
    """One by a segmentation fault, one as by the system that is out of memory."""
    done = cli(
        "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "grid=none",
        *QUICK[:3], "model.hidden_units=[8],[9],[13],[17]",
        code=1,
        **crashes(cli.folder),
    )  # fmt: skip
    assert "2 finished, 2 failed" in done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(failed) == 2
    assert all(line.endswith("killed: its process died") for line in failed)
    ended = {(run.params["model.hidden_units"], run.status) for run in of_kind(cli)}
    died = {("[13]", "KILLED"), ("[17]", "KILLED")}
    assert ended >= {("[8]", "FINISHED"), ("[9]", "FINISHED"), *died}
    assert not {("[13]", "FINISHED"), ("[17]", "FINISHED")} & ended
    assert "RUNNING" not in {run.status for run in cli.runs()}
    timings = {run.tags["timing"] for run in of_kind(cli) if not run.failure}
    threads = {run.tags["threads"] for run in of_kind(cli)}
    assert (timings, threads) == ({"shared"}, {str(max(1, (os.cpu_count() or 1) // 2))})


def test_18_a_sweep_in_one_process_that_dies_goes_on_with_the_next_command(cli):
    sweep = ("-m", "grid=none", *QUICK[:3], "model.hidden_units=[8],[13]")
    crashed = cli(*sweep, code=None, **crashes(cli.folder))
    assert crashed.returncode == -signal.SIGSEGV
    cli(*sweep)
    assert sorted(run.status for run in of_kind(cli) if run.params["model.hidden_units"] == "[13]")[
        0
    ] == ("FINISHED")
    finished = {run.tags["run_fp"]: results(run) for run in of_kind(cli) if not run.failure}
    assert len(finished) == 2
