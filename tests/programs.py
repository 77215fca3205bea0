"""The real program as a process of its own, for tests that signal or kill it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mnist_bench import tracking
from tests.conftest import ENVIRONMENT, Cli

QUICK = ("data.train_limit=300", "train.epochs=1", "train.batch_size=64", "model.hidden_units=[8]")
ENDLESS = (*QUICK[:1], *QUICK[2:], "train.epochs=100000")


class Running(subprocess.Popen[bytes]):
    """The program, which writes to a file: a pipe that nobody reads would stop it."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self.log = cli.folder / f"{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            super().__init__(
                [sys.executable, "-m", "mnist_bench", *arguments],
                cwd=cli.folder,
                env=ENVIRONMENT,
                stdout=log,
                stderr=log,
            )

    def output(self, seconds: float = 60) -> str:
        """What it wrote until it ended."""
        self.wait(timeout=seconds)
        return self.log.read_text()


@contextmanager
def running(cli: Cli, *arguments: str) -> Iterator[Running]:
    """The program, ended with the block whatever happens in it."""
    process = Running(cli, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(
    cli: Cli, condition: Callable[[tracking.StoredRun], bool], seconds: float = 60
) -> tracking.StoredRun:
    """Waits until a run of the store fulfils a condition, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = tracking.runs_if_any(cli.uri, "mnist_bench")
        found = [run for run in runs if run.tags["kind"] == "run" and condition(run)]
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def trains(run: tracking.StoredRun) -> bool:
    return run.status == "RUNNING" and "train_loss" in run.metrics


def of_kind(cli: Cli, kind: str = "run") -> list[tracking.StoredRun]:
    return [run for run in cli.runs() if run.tags["kind"] == kind]
