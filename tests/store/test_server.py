"""Runs and sweeps that are kept behind a real MLflow server, where there are no locks."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mnist_bench.store.opening import open_existing
from mnist_bench.store.runs import read_artifact
from tests.conftest import ENVIRONMENT, Cli
from tests.programs import QUICK, of_kind, running, trains, wait_for

START_SECONDS = 180
LONGER = (*(key for key in QUICK if "epochs" not in key), "train.epochs=150")
"""Trains for some seconds, so that a second process finds the first at work."""


@dataclass(frozen=True)
class Served(Cli):
    """The program in an empty folder, with its runs on a server."""

    server: str

    @property
    def uri(self) -> str:
        return self.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server that keeps what it is sent in a folder of its own."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--allowed-hosts", f"127.0.0.1:{port}"),
        *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    # Its queue for jobs would be six more processes.
    environment = {**ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait()


def wait_until_it_answers(uri: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


@pytest.fixture
def cli(server: str, tmp_path: Path) -> Served:
    return Served(tmp_path, server)


def test_a_run_that_was_killed_is_trained_again_by_one_of_two_processes(cli):
    """Faults 1 and 5: without a lock, the run that was made first goes on."""
    command = (f"tracking.uri={cli.uri}", *LONGER)
    with running(cli, *command) as process:
        killed = wait_for(cli, trains)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running(cli, *command) as one, running(cli, *command) as other:
        outputs = [process.output(240) for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), outputs
    assert sum("Finished before" in output for output in outputs) == 1
    runs = of_kind(cli)
    assert {run.status for run in runs} == {"FINISHED", "KILLED"}
    [finished] = [run for run in runs if not run.failure]
    [stale] = [run for run in runs if run.run_id == killed.run_id]
    [yielded] = [run for run in runs if run.run_id not in (finished.run_id, stale.run_id)]
    assert (stale.status, stale.tags["failure"]) == ("KILLED", "killed")
    assert finished.tags["retry_of"] == stale.run_id
    assert yielded.tags["duplicate_of"] == finished.run_id
    assert "train_loss" not in yielded.metrics


def test_artifacts_and_model_go_through_the_server(cli):
    [finished] = [run for run in of_kind(cli) if not run.failure]
    client = open_existing(cli.uri)
    assert client.get_run(finished.run_id).info.artifact_uri.startswith("mlflow-artifacts:/")
    files = {file.path for file in client.list_artifacts(finished.run_id)}
    assert files >= {"config.yaml", "history.csv", "predictions.npz"}
    path = Path(client.download_artifacts(finished.run_id, "history.csv", str(cli.folder)))
    assert len(path.read_text().splitlines()) == 151
    assert read_artifact(client, finished.artifacts, "config.yaml")
    assert read_artifact(client, finished.artifacts, "traceback.txt") is None
    [model] = client.search_logged_models([client.get_run(finished.run_id).info.experiment_id])
    assert model.status == "READY"
    assert not (cli.folder / "mlruns").exists()


def test_a_sweep_completes_and_is_resumed_without_training(cli):
    sweep = ("-m", "grid=none", "seed=1,2", f"tracking.uri={cli.uri}", *QUICK)
    assert "2 runs: 2 finished" in cli(*sweep).stdout
    before = {run.run_id for run in of_kind(cli)}
    assert "2 runs: 2 finished before" in cli(*sweep).stdout
    assert {run.run_id for run in of_kind(cli)} == before
    assert {run.status for run in of_kind(cli, "sweep")} == {"FINISHED"}
    assert not (cli.folder / "mlflow.db").exists()
