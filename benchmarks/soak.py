"""Kills sweeps at random moments and checks that nothing is lost or done twice.

Each sweep has 24 quick runs. It is started, killed with SIGKILL after a random time, started again,
and so on until it ends by itself; then the next one begins, until enough kills were dealt out.
Every completed sweep must hold each of its 24 runs once, with metrics that are equal to the last
bit to those of a sweep that nobody disturbed.

    python -m benchmarks.soak [--kills 200] [--seed 0]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.suite import ENVIRONMENT
from mnist_bench.store.runs import StoredRun, runs_if_any

RESULTS = Path(__file__).parent / "results" / "soak.json"
SWEEP = (
    "-m",
    "grid=none",
    "model.style=sequential_add,sequential_list,functional,subclass",
    "model.hidden_units=[8],[16]",
    "seed=0,1,2",
    "data.train_limit=300",
    "train.epochs=2",
    "train.batch_size=64",
)
LATEST_KILL_SECONDS = 22.0
"""A start takes about a third of this until its first run trains."""
COMPARED = ("test_accuracy", "test_loss", "train_loss", "val_loss", "best_val_accuracy")


@dataclass(slots=True)
class Counts:
    """What happened; `lost`, `doubled`, `unequal` and `left_running` must stay 0."""

    sweeps: int = 0
    kills: int = 0
    kills_in_mid_run: int = 0
    runs_started: int = 0
    runs_finished: int = 0
    stale_repaired: int = 0
    lost: int = 0
    doubled: int = 0
    unequal: int = 0
    left_running: int = 0

    def is_clean(self) -> bool:
        """Returns whether every invariant held."""
        work = self.runs_started <= self.runs_finished + self.kills
        return work and not (self.lost + self.doubled + self.unequal + self.left_running)


def soak(folder: Path, kills: int, seed: int, sweep: tuple[str, ...] = SWEEP) -> Counts:
    """Returns the counts of enough disturbed sweeps to deal out so many kills."""
    dice = random.Random(seed)
    assert start(folder, "reference", sweep).wait(timeout=600) == 0
    reference = {run.tags["run_fp"]: results(run) for run in runs_of(folder, "reference")}
    if not reference:
        raise SystemExit("the sweep that nobody disturbed left no run in the store of its folder")
    counts = Counts()
    while counts.kills < kills:
        experiment = f"sweep_{counts.sweeps}"
        seen: set[str] = set()
        while not ends_by_itself(folder, experiment, sweep, dice, counts, kills):
            finished = {run.run_id for run in runs_of(folder, experiment) if not run.failure}
            counts.lost += len(seen - finished)
            seen |= finished
        judge(runs_of(folder, experiment), reference, seen, counts)
        print(asdict(counts), flush=True)
    return counts


def ends_by_itself(
    folder: Path,
    experiment: str,
    sweep: tuple[str, ...],
    dice: random.Random,
    counts: Counts,
    kills: int,
) -> bool:
    """Starts a sweep and returns True if it ended, False if it was killed."""
    before = {run.run_id for run in runs_of(folder, experiment)}
    process = start(folder, experiment, sweep)
    patience = dice.uniform(0, LATEST_KILL_SECONDS) if counts.kills < kills else 600
    try:
        code = process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        counts.kills += 1
        counts.kills_in_mid_run += any(
            run.status == "RUNNING" and run.run_id not in before
            for run in runs_of(folder, experiment)
        )
        return False
    if code != 0:
        log = (folder / f"{experiment}.log").read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{experiment} ended with {code}, and these words:\n{log[-3000:]}")
    return True


def judge(
    runs: list[StoredRun],
    reference: dict[str, dict[str, float]],
    seen: set[str],
    counts: Counts,
) -> None:
    finished = [run for run in runs if not run.failure]
    identities = [run.tags["run_fp"] for run in finished]
    counts.sweeps += 1
    counts.runs_started += len(runs)
    counts.runs_finished += len(finished)
    counts.stale_repaired += sum(1 for run in runs if run.status == "KILLED")
    counts.lost += len(seen - {run.run_id for run in finished})
    counts.lost += len(reference.keys() - set(identities))
    counts.doubled += len(identities) - len(set(identities))
    counts.unequal += sum(1 for r in finished if results(r) != reference.get(r.tags["run_fp"]))
    counts.left_running += sum(1 for run in runs if run.status == "RUNNING")


def results(run: StoredRun) -> dict[str, float]:
    return {key: run.metrics[key] for key in COMPARED}


def start(folder: Path, experiment: str, sweep: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    with (folder / f"{experiment}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mnist_bench", *sweep, f"tracking.experiment={experiment}"],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=log,
            stderr=log,
        )


def runs_of(folder: Path, experiment: str) -> list[StoredRun]:
    found = runs_if_any(f"sqlite:///{folder}/mlflow.db", experiment)
    return [run for run in found if run.tags.get("kind") == "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        counts = soak(Path(folder), arguments.kills, arguments.seed)
    report = {**asdict(counts), "seconds": round(time.perf_counter() - began)}
    print(report)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if counts.is_clean() else 1)


if __name__ == "__main__":
    main()
