"""How time and memory grow with the width, the batch size, the runs of a sweep and of the store.

    python -m benchmarks.scaling [width] [batch] [runs] [store] [--rounds N] [--runs N]

width, batch  one run in a process of its own for each value
runs          one sweep of tiny runs in one process: seconds a run, and memory, from first to last
store         the plan of 1,000 cells, and `compare`, against stores of 0 to 10,000 runs

Each part is written to results/scaling.json when it is done and can be run again by itself. Fails
if the memory of the sweep is not flat.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import compare_time, parts, suite, timing
from benchmarks.parts import announced

WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)
BATCH_SIZES = (16, 64, 256, 1024, 4096)
WIDTH_SETTINGS = ("train.batch_size=128", "data.train_limit=12800")
BATCH_SETTINGS = ("model.hidden_units=[128]", "data.train_limit=40960")
COMMON_SETTINGS = ("train.epochs=5", "data.validation=none", "tracking.log_model=false")
RECORDED = (
    *("epoch_seconds_median", "compile_seconds", "examples_per_second"),
    *("peak_memory_bytes", "params_total"),
)

STYLES = "model.style=sequential_add,sequential_list,functional,subclass"
TINY_SETTINGS = (
    *("grid=none", STYLES, "model.hidden_units=[4]", "data.train_limit=64"),
    *("train.batch_size=64", "train.epochs=1", "data.validation=none"),
)
FIRST = 20
"""The memory after so many runs is what later ones are held against."""
FLAT = 0.10
AROUND = 10
"""Single runs differ; seconds and memory at a place are the median of the runs before it."""

STORES = (0, 100, 1_000, 10_000)
PLANNED = 1_000
PLAN_LIMITS = {0: 6.0, 1_000: 15.0}
"""Seconds that are allowed, by number of runs in the store."""

PEAK = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=sys.stderr)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": seconds, "peak_memory_bytes": peak, "code": code}, file)
"""
"""Measures a command from a process that is small, since a child starts with its parent's peak."""


def width(options: argparse.Namespace) -> dict[str, Any]:
    """Returns time and memory by width."""
    points = {
        value: (f"model.hidden_units=[{value}]", *WIDTH_SETTINGS, *COMMON_SETTINGS)
        for value in WIDTHS
    }
    return one_by_one("width", points, options.rounds)


def batch(options: argparse.Namespace) -> dict[str, Any]:
    """Returns time and memory by batch size."""
    points = {
        value: (f"train.batch_size={value}", *BATCH_SETTINGS, *COMMON_SETTINGS)
        for value in BATCH_SIZES
    }
    return one_by_one("batch", points, options.rounds)


def one_by_one(part: str, points: dict[int, tuple[str, ...]], rounds: int) -> dict[str, Any]:
    """Returns what a run records at each point; the points take turns."""
    found: dict[int, list[dict[str, float]]] = {value: [] for value in points}
    for number in range(rounds):
        for value, arguments in points.items():
            with announced(f"{part} {value}, round {number + 1} of {rounds}"):
                [run] = suite.run(*arguments).runs
            found[value].append({key: run.metrics[key] for key in RECORDED})
    rows = []
    for value, measured in found.items():
        row = {key: timing.spread([one[key] for one in measured]) for key in RECORDED}
        rows.append({"value": value, **{key: asdict(spread) for key, spread in row.items()}})
        print(
            f"{part} {value}: epoch {row['epoch_seconds_median']} s, "
            f"{row['peak_memory_bytes'].median / 1e9:.2f} GB",
            flush=True,
        )
    return {"settings": list(points[min(points)][1:]), "rows": rows}


def runs(options: argparse.Namespace) -> dict[str, Any]:
    """Returns seconds and memory of each of many tiny runs in one process."""
    seeds = -(-options.runs // 4)
    with announced(f"sweep of {4 * seeds} tiny runs"):
        outcome = suite.run("-m", *TINY_SETTINGS, f"seed=range({seeds})")
    started = [run.start_ms / 1000 for run in outcome.runs]
    seconds = [round(after - before, 3) for before, after in pairwise(started)]
    memory = [int(run.metrics["peak_memory_bytes"]) for run in outcome.runs]
    growth = statistics.median(memory[-AROUND:]) / statistics.median(memory[FIRST - AROUND : FIRST])
    print(
        f"{len(memory)} runs in {outcome.seconds:.1f} s; "
        f"a run {statistics.median(seconds[:AROUND]):.2f} s at first, "
        f"{statistics.median(seconds[-AROUND:]):.2f} s at last; memory at the end / after run "
        f"{FIRST}: {growth:.3f}, at most {1 + FLAT}",
        flush=True,
    )
    return {
        "settings": list(TINY_SETTINGS),
        "process_seconds": outcome.seconds,
        "memory_growth": growth - 1,
        "memory_growth_limit": FLAT,
        "seconds": seconds,
        "peak_memory_bytes": memory,
    }


def store(_: argparse.Namespace) -> dict[str, Any]:
    """Returns what the plan and `compare` take by number of runs in the store."""
    rows = []
    for count in STORES:
        row: dict[str, Any] = {"value": count}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            uri = f"sqlite:///{folder / 'mlflow.db'}"
            if count:
                with announced(f"filling a store with {count} runs"):
                    compare_time.fill(folder / "mlflow.db", count)
            sweep = ("-m", "--dry-run", "grid=none", f"seed=range({PLANNED})")
            row["plan"] = command(folder, *sweep, f"tracking.uri={uri}")
            row["plan"]["limit"] = PLAN_LIMITS.get(count)
            if count:
                row["compare"] = command(
                    folder, "compare", "study:base", "study:cand", "--tracking-uri", uri
                )
                row["compare"]["limit"] = compare_time.LIMITS.get(count)
        for what in ("plan", "compare"):
            if what in row:
                print(f"{what} with {count} runs in the store: {row[what]}", flush=True)
        rows.append(row)
    return {"planned": PLANNED, "rows": rows}


def command(folder: Path, *arguments: str) -> dict[str, Any]:
    """Returns seconds and peak memory of `python -m mnist_bench` as a process.

    Raises:
        RuntimeError: If it was refused or failed; a verdict of regressions (1) is neither.
    """
    file = folder / "peak.json"
    ours = [sys.executable, "-m", "mnist_bench", *arguments]
    suite.timed([sys.executable, "-c", PEAK, str(file), *ours], folder)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if found.pop("code") not in (0, 1):
        raise RuntimeError(f"{' '.join(ours)} failed")
    return found


PARTS: dict[str, parts.Part] = {"width": width, "batch": batch, "runs": runs, "store": store}


def main() -> int:
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--rounds", type=int, default=2, help="of width and batch")
    parser.add_argument("--runs", type=int, default=300, help="of the sweep, a multiple of 4")
    options = parser.parse_args()
    if options.rounds < 1 or options.runs < FIRST:
        parser.error(f"it takes a round, and {FIRST} runs before memory is held against anything")
    done = parts.run("scaling", PARTS, options)
    return int("runs" in done and done["runs"]["memory_growth"] > FLAT)


if __name__ == "__main__":
    sys.exit(main())
