"""The real program: in the background, to be signalled, and many commands in one process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mnist_bench.store.runs import StoredRun, runs_if_any
from tests.conftest import ENVIRONMENT, Cli

QUICK = ("data.train_limit=300", "train.epochs=1", "train.batch_size=64", "model.hidden_units=[8]")
ENDLESS = (*QUICK[:1], *QUICK[2:], "train.epochs=100000")

# A shell that runs the tests in the background may have them ignore Ctrl-C, and so their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

ASK = """
import contextlib, functools, io, json, sys
from mnist_bench.commands import main, train

train.register = functools.cache(train.register)  # what it stores stays the same
answers = []
for arguments in json.load(sys.stdin):
    sys.argv = ["mnist_bench", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main.main()
        except SystemExit as exit:
            code = exit.code
        except BaseException as error:
            code = repr(error)
    loaded = sorted({"tensorflow", "keras", "mlflow", "evil"} & set(sys.modules))
    answers.append([code, out.getvalue(), err.getvalue(), loaded])
json.dump(answers, sys.__stdout__)
"""


class Answer(NamedTuple):
    """What a command did.

    Attributes:
        code: Its exit code.
        out: What it printed.
        err: What it wrote to standard error.
        loaded: Which modules of interest were loaded when it ended, by it or by one before.
    """

    code: int
    out: str
    err: str
    loaded: list[str]


def ask(
    commands: Sequence[Sequence[str]], folder: Path, **environment: str
) -> dict[tuple[str, ...], Answer]:
    """Runs commands that train nothing, and returns what each did.

    One process answers all of them: each start of Python with Hydra costs a third of a second, and
    with MLflow two seconds.
    """
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(commands),
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    given = [Answer(*answer) for answer in json.loads(done.stdout)]
    return dict(zip(map(tuple, commands), given, strict=True))


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


def wait_for(cli: Cli, condition: Callable[[StoredRun], bool], seconds: float = 120) -> StoredRun:
    """Waits until a run of the store fulfils a condition, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = runs_if_any(cli.uri, "mnist_bench")
        found = [run for run in runs if run.tags["kind"] == "run" and condition(run)]
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def trains(run: StoredRun) -> bool:
    return run.status == "RUNNING" and "train_loss" in run.metrics


def of_kind(cli: Cli, kind: str = "run") -> list[StoredRun]:
    return [run for run in cli.runs() if run.tags["kind"] == kind]
