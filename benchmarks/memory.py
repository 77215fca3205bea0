"""Whether memory stays flat over many runs of one process.

Trains tiny runs one after the other, as a sweep does, and prints the resident memory after the 20th
and after the last. The runs differ in seed, within a few cells, so that programs are reused; with
`--cells` as many as `--runs`, every run compiles its own.

    python -m benchmarks.memory [--runs 300] [--cells 8]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil
from hydra import compose, initialize_config_dir

from mnist_bench import run
from mnist_bench.config import RunConfig, load, register, resource_dir

RESULTS = Path(__file__).parent / "results" / "memory.json"
SETTLED = 20
"""Runs after which nothing more should be needed."""
ALLOWED = 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--cells", type=int, default=8)
    arguments = parser.parse_args()
    register()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        resident = [
            resident_bytes_after(tiny(folder, number, arguments.cells))
            for number in range(arguments.runs)
        ]
    settled, end = resident[min(SETTLED, len(resident)) - 1], resident[-1]
    report = {
        "runs": arguments.runs,
        "cells": arguments.cells,
        "resident_bytes_after_20": settled,
        "resident_bytes_at_end": end,
        "growth": end / settled - 1,
        "resident_bytes": resident[SETTLED - 1 :: SETTLED],
        "seconds": round(time.perf_counter() - began),
    }
    print(json.dumps(report, indent=1))
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(report["growth"] > ALLOWED)


def tiny(folder: str, number: int, cells: int) -> RunConfig:
    overrides = [
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
        "tracking.log_model=false",
        f"model.hidden_units=[{8 + number % cells}]",
        f"seed={number // cells}",
        "train.epochs=1",
        "data.train_limit=200",
    ]
    with initialize_config_dir(str(resource_dir("conf")), version_base="1.3"):
        return load(compose("config", overrides=overrides))


def resident_bytes_after(config: RunConfig) -> int:
    summary = run.execute(config, [])
    assert not summary.failure, summary.failure
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
