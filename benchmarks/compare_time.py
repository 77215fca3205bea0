"""Seconds that `compare` takes on a large store, for the whole process.

The store is made by MLflow, then filled by SQL, since MLflow would take hours for it. The runs have
the parameters, tags and final metrics of real ones, over half baseline, half candidate; five seeds
a cell.

    python -m benchmarks.compare_time 1000 10000
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mlflow.tracking import MlflowClient

SEEDS = 5
LIMITS = {1_000: 12.0, 10_000: 60.0}
"""Seconds that are allowed, by number of runs."""

METRICS = {
    "test_accuracy": (0.98, 0.001),
    "test_loss": (0.07, 0.003),
    "train_seconds": (3.0, 0.1),
    "epoch_seconds_median": (0.5, 0.01),
    "examples_per_second": (1e5, 2e3),
    "best_val_accuracy": (0.98, 0.001),
    "compile_seconds": (1.0, 0.05),
    "total_seconds": (5.0, 0.2),
    "peak_memory_bytes": (1.5e9, 1e7),
    **{f"test_recall_{digit}": (0.98, 0.001) for digit in range(10)},
    **{f"params_{part}": (25_450.0, 0.0) for part in ("total", "trainable", "non_trainable")},
}
FACTS = (
    *("code_fp", "data_fp", "env_fp", "host_fp", "git_commit", "git_dirty", "version", "python"),
    *("tensorflow", "keras", "numpy", "mlflow", "device", "cpu", "cores", "threads", "compiled"),
)
SETTINGS = (
    *("model.activation", "optimizer.beta_1", "optimizer.beta_2", "optimizer.epsilon"),
    *("optimizer.name", "optimizer.learning_rate", "train.batch_size", "train.engine"),
    *("data.name", "data.divisor", "data.validation", "data.train_limit", "data.path"),
    *("tracking.uri", "tracking.experiment", "tracking.log_model", "study", "optimizer.amsgrad"),
)


def fill(path: Path, runs: int) -> None:
    """Makes a store of so many runs, half of them of each study."""
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment("mnist_bench")
    rng = np.random.default_rng(0)
    with sqlite3.connect(path) as store:
        store.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, user_id, status, "
            "start_time, end_time, deleted_time, lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?, ?, 'LOCAL', '', '', 'FINISHED', ?, ?, NULL, 'active', '', ?)",
            ((run_id(n), f"run {n}", n, n + 1, experiment) for n in range(runs)),
        )
        store.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags(runs))
        store.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params(runs)
        )
        store.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            "VALUES (?, ?, 1, 0, 0, ?)",
            (
                (key, rng.normal(mean, spread), run_id(n))
                for n in range(runs)
                for key, (mean, spread) in METRICS.items()
            ),
        )


def run_id(number: int) -> str:
    return f"{number:032x}"


def tags(runs: int) -> Iterator[tuple[str, str, str]]:
    for number in range(runs):
        study = "base" if number < runs // 2 else "cand"
        cell = number % (runs // 2) // SEEDS
        own = {"kind": "run", "complete": "1", "timing": "alone", "cell": f"cell {cell}"}
        own |= {"process": "3a1b:b007:1:1.00", "foreign_cpu_share": "0.004", "steal_share": "0.001"}
        own |= {f"in_study.{study}": "1", "cell_fp": f"{cell:064x}", "run_fp": f"{number:064x}"}
        for key, value in (own | dict.fromkeys(FACTS, "x" * 32)).items():
            yield f"mnist_bench.{key}", value, run_id(number)


def params(runs: int) -> Iterator[tuple[str, str, str]]:
    for number in range(runs):
        cell = str(number % (runs // 2) // SEEDS)
        own = {"seed": str(number % SEEDS), "model.hidden_units": f"[{cell}]", "train.epochs": "5"}
        for key, value in (dict.fromkeys(SETTINGS, "0.001") | own).items():
            yield key, value, run_id(number)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=int, nargs="+")
    options = parser.parse_args(arguments)
    too_slow = False
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mlflow.db"
            fill(path, runs)
            command = [sys.executable, "-m", "mnist_bench", "compare", "study:base", "study:cand"]
            start = time.perf_counter()
            done = subprocess.run(
                [*command, "--tracking-uri", f"sqlite:///{path}"],
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - start
        last = (done.stdout or done.stderr).strip().splitlines()[-1]
        print(f"{runs} runs: {seconds:.1f} s  [{last}]", flush=True)
        too_slow |= done.returncode not in (0, 1) or seconds > LIMITS.get(runs, float("inf"))
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
