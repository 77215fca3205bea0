"""Runs the suite and plain scripts as people do: a process of their own, in an empty folder."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_bench.store.runs import StoredRun, runs_if_any

ROOT = Path(__file__).parent.parent
# A store that somebody has named would be written to; the runs of a benchmark are thrown away.
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
    "PYTHONPATH": str(ROOT),
}

EPOCH_ACCURACY = re.compile(r"- accuracy: ([\d.]+)")
"""In the line that Keras prints for an epoch of training."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command took and left.

    Attributes:
        seconds: Of the whole process, from its start to its end.
        clocks: Seconds by what they went to, see `benchmarks.clocked`.
        runs: Those that it recorded, the oldest first; without the parents of sweeps.
    """

    seconds: float
    clocks: dict[str, float]
    runs: list[StoredRun]


def run(*arguments: str) -> Outcome:
    """Runs `python -m mnist_bench` in an empty folder, with clocks around its start and plan."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clocks = folder / "clocks.json"
        command = [sys.executable, "-m", "benchmarks.clocked", str(clocks), *arguments]
        seconds, _ = timed(command, folder)
        found = runs_if_any(f"sqlite:///{folder}/mlflow.db", "mnist_bench")
        runs = [run for run in reversed(found) if run.tags.get("kind") == "run"]
        return Outcome(seconds, json.loads(clocks.read_text(encoding="utf-8")), runs)


def plain(script: str, *arguments: str) -> tuple[float, float]:
    """Returns the seconds of a script of `benchmarks/plain`, and its last epoch's accuracy."""
    path = ROOT / "benchmarks" / "plain" / f"{script}.py"
    with tempfile.TemporaryDirectory() as folder:
        seconds, output = timed([sys.executable, str(path), *arguments], Path(folder))
    return seconds, float(EPOCH_ACCURACY.findall(output)[-1])


def timed(command: Sequence[str], folder: Path) -> tuple[float, str]:
    """Returns the seconds of a process and what it printed.

    Raises:
        RuntimeError: If it failed, with what it said.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout
