"""What the benchmarks of speed share: the machine, medians with range, ratios pair by pair."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOISE = 0.10
"""A spread above this share of the median is flagged."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of n values, with the smallest and the largest."""

    median: float
    min: float
    max: float
    n: int
    noisy: bool

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.min:.3f} to {self.max:.3f})"


def spread(values: Sequence[float]) -> Spread:
    """Returns median and range; noisy if the range is above `NOISE` of the median."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return Spread(middle, low, high, len(values), high - low > NOISE * middle)


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Returns theirs over ours, pair by pair: above 1, ours is faster."""
    return [slow / fast for slow, fast in zip(theirs, ours, strict=True)]


def steady_epoch(epoch_seconds: Sequence[float]) -> float:
    """Returns the median of all epochs but the first, which warms up; at least two epochs."""
    return statistics.median(epoch_seconds[1:])


def one_thread_a_core() -> dict[str, str]:
    """Returns environment variables that give every library as many threads as there are cores.

    They name TensorFlow, OpenMP (PyTorch) and PjRt (JAX), in this order.
    """
    from mnist_bench import environment

    cores = str(environment.describe().cores)
    return dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "NPROC"), cores)


def in_fresh_process(module: str, *arguments: str, env: Mapping[str, str]) -> Any:
    """Runs `python -m module arguments` and returns the JSON on the last line of its output.

    Returns:
        None if it printed nothing.

    Raises:
        SystemExit: If it fails, with the end of what it wrote.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        env=dict(env),
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else None


def machine(*packages: str) -> dict[str, Any]:
    """Returns what a published time needs beside it; of `packages`, those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    from mnist_bench import environment

    here = environment.describe()
    versions = dict(here.versions)
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": here.cpu,
        "cores": here.cores,
        "versions": versions,
        "git_commit": here.git_commit,
        "git_dirty": here.git_dirty,
        "time": time.strftime("%Y-%m-%d"),
    }


def load_average() -> float:
    """Returns the mean number of processes that wanted a core in the last minute."""
    return os.getloadavg()[0]
