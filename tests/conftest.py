"""Shared by all tests: one small sweep, trained once by the real command line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from mnist_bench.store.opening import open_existing
from mnist_bench.store.runs import StoredRun, find_runs

STORE_VARIABLE = "MLFLOW_TRACKING_URI"
os.environ.pop(STORE_VARIABLE, None)  # tests write to stores of their own
ENVIRONMENT = dict(os.environ)
SMALL = ("data.train_limit=600", "train.epochs=2", "train.batch_size=64")


@dataclass(frozen=True)
class Cli:
    """Runs the program as its users do."""

    folder: Path

    @property
    def uri(self) -> str:
        """Of the store that its runs go to."""
        return f"sqlite:///{self.folder}/mlflow.db"

    def __call__(
        self, *arguments: str, code: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "mnist_bench", *arguments],
            cwd=self.folder,
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done

    def runs(self, experiment: str = "mnist_bench") -> list[StoredRun]:
        store = open_existing(self.uri)
        found = store.get_experiment_by_name(experiment)
        return find_runs(store, [found.experiment_id])


@pytest.fixture(autouse=True)
def _no_store_is_left_to_the_next_test() -> Iterator[None]:
    """MLflow sets the variable in a process that logs a model."""
    yield
    os.environ.pop(STORE_VARIABLE, None)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The program in an empty folder."""
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A store with a sweep over styles and optimizers; read it, do not write to it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers: one of them trains
    cli = Cli(folder / "trained")
    done = folder / "trained.done"
    with FileLock(folder / "trained.lock"):
        if not done.exists():
            cli.folder.mkdir(exist_ok=True)
            cli(
                "-m",
                "grid=none",
                "model.style=sequential_add,sequential_list,functional,subclass",
                "model.hidden_units=[16,8]",
                "optimizer=adam,rmsprop",
                *SMALL,
            )
            done.touch()
    return cli
