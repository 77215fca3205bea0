"""How long whole jobs take, from the command to its end, and what the time goes to.

    python -m benchmarks.end_to_end [studies] [sweep] [single] [--rounds N]

studies  the five studies of the notebooks, recorded and drawn, against the notebooks' code as plain
         scripts (benchmarks/plain), one process each
sweep    the default sweep of 32 runs against plain `fit` scripts, one process each; one script for
         each of its 8 points of width, optimizer and batch size, their time times four
single   one run of the defaults: what its time goes to
seeds    further seeds of one cell in one sweep: what each takes beside its training

All commands start in an empty folder, ours and theirs in turn. Both must reach the same training
accuracy.
Each part is written to results/end_to_end.json when it is done and can be run again by itself.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from benchmarks import parts, suite, timing
from benchmarks.parts import announced
from mnist_bench.store.runs import StoredRun

STUDIES = ("flatten_1000", "stacked_add", "stacked_list", "functional_64", "subclass_784")
POINTS = tuple(itertools.product(("128", "512"), ("adam", "rmsprop"), ("32", "128")))
STYLES = 4
"""Of the default sweep; all of them are one network, so a script in one style stands for four."""

CELLS = {
    "784-128-10 adam b128": (),
    "784-1000-10 adam b32": ("model.hidden_units=[1000]", "train.batch_size=32"),
}
SEEDS = 8
BESIDE_TRAINING = ("eval", "figures", "tracking")
"""What a run has a clock of its own for, of the time that is not training."""

TARGETS = {"studies": 4.0, "sweep": 8.0}
BESIDE_TRAINING_LIMIT = 0.5
"""Seconds that a further seed may take beside its training."""
ROUNDS = {"studies": 2, "sweep": 1, "single": 3, "seeds": 1}
BAND = 0.005
"""The last epoch's training accuracies of the same work differ by shuffling and start weights, by
0.001 at most between seeds; test accuracies after few epochs by ten times that."""

RECORDED = ("compile", "train", "eval", "tracking", "figures")
"""What each run has a clock of its own for, `<name>_seconds`."""
CLOCKED = ("imports", "data", "store", "plan")
"""What happens once a process."""


def studies(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the studies' and the scripts' seconds, round by round."""
    done, rounds = [], options.rounds or ROUNDS["studies"]
    for number in range(rounds):
        with announced(f"studies, round {number + 1} of {rounds}: ours"):
            ours = suite.run("+experiment=notebooks")
        reached = {run.tags["study"]: run.metrics["train_accuracy"] for run in ours.runs}
        plain = {}
        for study in STUDIES:
            with announced(f"studies, round {number + 1} of {rounds}: plain {study}"):
                plain[study], accuracy = suite.plain(study)
            check_equal_work(study, reached[study], accuracy)
        done.append(
            {
                "ours_seconds": ours.seconds,
                "ours_runs_seconds": {
                    run.tags["study"]: run.metrics["total_seconds"] for run in ours.runs
                },
                "plain_seconds": sum(plain.values()),
                "plain_scripts_seconds": plain,
                "train_accuracy": reached,
            }
        )
    return compared("studies", done)


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the sweep's and the scripts' seconds, and what the sweep's went to."""
    done, rounds = [], options.rounds or ROUNDS["sweep"]
    for number in range(rounds):
        with announced(f"sweep, round {number + 1} of {rounds}: ours"):
            ours = suite.run("-m")
        by_point: dict[tuple[str, ...], float] = {}
        for run in ours.runs:
            width = run.params["model.hidden_units"].strip("[]")
            point = (width, run.params["optimizer.name"], run.params["train.batch_size"])
            by_point[point] = run.metrics["train_accuracy"]
        plain = {}
        for point in POINTS:
            name = "{} {} b{}".format(*point)
            with announced(f"sweep, round {number + 1} of {rounds}: plain {name}"):
                plain[name], accuracy = suite.plain("sweep_cell", *point)
            check_equal_work(name, by_point[point], accuracy)
        done.append(
            {
                "ours_seconds": ours.seconds,
                "plain_seconds": STYLES * sum(plain.values()),
                "plain_scripts_seconds": plain,
                "seconds_of_a_run": shares(ours),
            }
        )
    return {
        "runs": STYLES * len(POINTS),
        "scripts_timed": len(POINTS),
        "scaled_by": STYLES,
        **compared("sweep", done),
    }


def single(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what the time of one run by itself goes to, round by round."""
    done, rounds = [], options.rounds or ROUNDS["single"]
    for number in range(rounds):
        with announced(f"single, round {number + 1} of {rounds}"):
            done.append({"seconds_of_a_run": shares(suite.run())})
    return {"rounds": done}


def seeds(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what further seeds of each cell take, from the start of one to the start of the next.

    The first compiles and the last has no next, so `SEEDS` give two fewer.
    """
    cells, rounds = {}, options.rounds or ROUNDS["seeds"]
    for name, settings in CELLS.items():
        found = []
        for number in range(rounds):
            with announced(f"seeds of {name}, round {number + 1} of {rounds}"):
                outcome = suite.run("-m", "grid=none", f"seed=range({SEEDS})", *settings)
            found += [beside_training(*two) for two in itertools.pairwise(outcome.runs[1:])]
        cells[name] = {
            "settings": list(settings),
            **{key: asdict(timing.spread([each[key] for each in found])) for key in found[0]},
        }
        spent = timing.Spread(**cells[name]["beside_training_seconds"])
        print(
            f"{name}: a further seed takes {spent} s beside its training; "
            f"at most {BESIDE_TRAINING_LIMIT}",
            flush=True,
        )
    return {"limit": BESIDE_TRAINING_LIMIT, "cells": cells}


def beside_training(run: StoredRun, following: StoredRun) -> dict[str, float]:
    """Returns the seconds of a run by what they went to, until the following one begins."""
    train = run.metrics["train_seconds"]
    beside = (following.start_ms - run.start_ms) / 1000 - train
    clocked = {f"{name}_seconds": run.metrics[f"{name}_seconds"] for name in BESIDE_TRAINING}
    return {
        "train_seconds": train,
        "beside_training_seconds": beside,
        **clocked,
        "rest_seconds": beside - sum(clocked.values()),
    }


def shares(outcome: suite.Outcome) -> dict[str, float]:
    """Returns the mean seconds of a run of a process by what they went to; they sum to its part.

    What happens once is divided among the runs. `other` is what no clock covers: Python itself,
    Hydra, the start of TensorFlow's devices, the building of models, and the sweep's own summary.
    """
    count = len(outcome.runs)
    found = {name: outcome.clocks.get(name, 0.0) / count for name in CLOCKED}
    for name in RECORDED:
        found[name] = fmean(run.metrics[f"{name}_seconds"] for run in outcome.runs)
    found["other"] = outcome.seconds / count - sum(found.values())
    return found


def check_equal_work(name: str, ours: float, theirs: float) -> None:
    if abs(ours - theirs) > BAND:
        raise SystemExit(f"{name}: not the same work: train accuracy {ours:.4f} and {theirs:.4f}")


def compared(part: str, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the rounds with their ratios, and prints these."""
    ours = [done["ours_seconds"] for done in rounds]
    plain = [done["plain_seconds"] for done in rounds]
    ratio = timing.spread(timing.ratios(plain, ours))
    print(
        f"{part}: ours {timing.spread(ours)} s, plain {timing.spread(plain)} s, "
        f"plain / ours {ratio}; target {TARGETS[part]:.0f}",
        flush=True,
    )
    return {
        "target": TARGETS[part],
        "ours_seconds": asdict(timing.spread(ours)),
        "plain_seconds": asdict(timing.spread(plain)),
        "ratio": asdict(ratio),
        "rounds": list(rounds),
    }


PARTS: dict[str, parts.Part] = {
    "studies": studies,
    "sweep": sweep,
    "single": single,
    "seeds": seeds,
}


def main() -> None:
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--rounds", type=int, help=f"of each part, instead of {ROUNDS}")
    parts.run("end_to_end", PARTS, parser.parse_args())


if __name__ == "__main__":
    main()
