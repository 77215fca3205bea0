"""How fast an epoch is here, and in what a user would pick instead, doing the same work.

Same network, first weights, rows in the same order, optimizer and number of epochs; each contestant
in a fresh process, shuffled anew in each round. Prints medians with range and the ratios round by
round, refuses a result whose losses or accuracies drift apart, and names what it skipped.

The peers come from an environment of their own, made by `make bench-setup`:

    .venv-bench/bin/python -m benchmarks.peers [--rounds 5] [--epochs 3]
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import timing
from benchmarks.networks import NARROW, NETWORKS, STACKED, WIDE, Network

RESULTS = Path(__file__).parent / "results" / "peers.json"
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to train, as a program.

    Attributes:
        module: In `benchmarks.contestants`.
        flags: Its arguments after the folder of the work.
        needs: The package without which it is skipped.
        networks: What it trains.
    """

    module: str
    flags: tuple[str, ...] = ()
    needs: str = "keras"
    networks: tuple[Network, ...] = NETWORKS


CONTESTANTS = {
    OURS: Contestant("ours"),
    "stock fit": Contestant("keras_fit"),
    "tuned fit": Contestant("keras_fit", ("--tuned",)),
    "torch eager": Contestant("torch_adam", (), "torch", (WIDE,)),
    "torch fused": Contestant("torch_adam", ("--fused",), "torch", (WIDE,)),
    "jax scan": Contestant("jax_scan", (), "jax", (WIDE,)),
}
TARGETS = {
    WIDE: {"stock fit": 5.5, "tuned fit": 1.8, "torch fused": 1.6, "jax scan": 0.95},
    NARROW: {"stock fit": 8.0, "tuned fit": 1.8},
    STACKED: {"stock fit": 4.0, "tuned fit": 1.8},
}
"""Least ratio of a peer's steady epoch to ours, from the project's speed goals."""

FIRST_LOSS_TOLERANCE, LATER_LOSS_TOLERANCE = 0.01, 0.05
"""Relative, of each epoch's mean training loss to ours. Rounding tells more with each step: JAX
was 0.2 % off in the first epoch of 784-1000-10 and 0.9 % in the second."""
ACCURACY_TOLERANCE = 0.01
"""Absolute, of the test accuracy to ours; seeds differ by 0.001 to 0.003."""

Result = dict[str, Any]
"""What a contestant hands back (`contestants.work.hand_back`)."""
Round = dict[str, Result]
"""The results of one network in one round, by contestant."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="the first is not a steady one")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.epochs < 2:
        parser.error("it takes a round and two epochs: the first epoch is not a steady one")

    skipped = [name for name, one in CONTESTANTS.items() if find_spec(one.needs) is None]
    for name in skipped:
        print(f"skipped {name}: no {CONTESTANTS[name].needs} here (make bench-setup)")
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            rounds.append(run_round(Path(folder), number, options.epochs, skipped))
    networks = {}
    faults = []
    for network in NETWORKS:
        results = [played["networks"][network.name] for played in rounds]
        summary = summarise(network, results)
        networks[network.name] = summary
        faults += [fault for result in results for fault in unequal_work(network.name, result)]
        print(table(network.name, summary))
    report = {
        "machine": timing.machine("torch", "jax", "jaxlib"),
        "threads": timing.one_thread_a_core(),
        "epochs": options.epochs,
        "skipped": skipped,
        "tolerance": {
            "first_train_loss": FIRST_LOSS_TOLERANCE,
            "later_train_loss": LATER_LOSS_TOLERANCE,
            "test_accuracy": ACCURACY_TOLERANCE,
        },
        "networks": networks,
        "rounds": rounds,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def run_round(folder: Path, number: int, epochs: int, skipped: Sequence[str]) -> dict[str, Any]:
    """Trains every network once by every contestant; the round's number is the seed.

    Returns:
        `seed`, `load_average` before it began, and `networks`: a `Round` for each network's name,
        its contestants in the order in which they ran.
    """
    env = {**os.environ, **timing.one_thread_a_core()}
    load_average = timing.load_average()
    networks: dict[str, Round] = {}
    for network in NETWORKS:
        settings = [
            *network.overrides,
            f"train.epochs={epochs}",
            "data.validation=none",
            f"seed={number}",
        ]
        given = folder / f"{number} {network.name}"
        timing.in_fresh_process("benchmarks.contestants.prepare", str(given), *settings, env=env)
        names = [
            name
            for name, one in CONTESTANTS.items()
            if network in one.networks and name not in skipped
        ]
        random.Random(number).shuffle(names)
        networks[network.name] = {}
        for name in names:
            one = CONTESTANTS[name]
            result = timing.in_fresh_process(
                f"benchmarks.contestants.{one.module}",
                *(settings if name == OURS else [str(given), *one.flags]),
                env=env,
            )
            networks[network.name][name] = result
            seconds = timing.steady_epoch(result["epoch_seconds"])
            print(f"round {number + 1}, {network.name}, {name}: {seconds:.3f} s", flush=True)
    return {"seed": number, "load_average": load_average, "networks": networks}


def unequal_work(network: str, results: Mapping[str, Result]) -> Iterator[str]:
    """Yields a sentence for each contestant whose losses or accuracy are not ours."""
    ours = results[OURS]
    for name, theirs in results.items():
        for epoch, (loss, expected) in enumerate(
            zip(theirs["train_loss"], ours["train_loss"], strict=True), start=1
        ):
            tolerance = FIRST_LOSS_TOLERANCE if epoch == 1 else LATER_LOSS_TOLERANCE
            # Written so that NaN is a fault.
            if not abs(loss - expected) <= tolerance * expected:
                yield (
                    f"{network}, {name}: loss of epoch {epoch} is {loss:.5f}, ours {expected:.5f}"
                )
        if not abs(theirs["test_accuracy"] - ours["test_accuracy"]) <= ACCURACY_TOLERANCE:
            yield (
                f"{network}, {name}: test accuracy is {theirs['test_accuracy']:.4f},"
                f" ours {ours['test_accuracy']:.4f}"
            )


def summarise(network: Network, results: Sequence[Mapping[str, Result]]) -> dict[str, Any]:
    """Returns figures over the rounds, by contestant.

    Args:
        network: Chooses the targets.
        results: A `Round` each.

    Returns:
        For each contestant: `steady_epoch_seconds` and `first_epoch_seconds` (with what was
        compiled for it), `ratio` of its steady epoch to ours pair by pair, each a
        `timing.Spread` as a dictionary; the median `test_accuracy`; its `target` or null.
    """
    steady = {name: [seconds_of(played[name]) for played in results] for name in results[0]}
    return {
        name: {
            "steady_epoch_seconds": asdict(timing.spread(steady[name])),
            "first_epoch_seconds": asdict(
                timing.spread([first_epoch_of(played[name]) for played in results])
            ),
            "ratio": asdict(timing.spread(timing.ratios(steady[name], steady[OURS]))),
            "test_accuracy": statistics.median(played[name]["test_accuracy"] for played in results),
            "target": TARGETS[network].get(name),
        }
        for name in CONTESTANTS
        if name in steady
    }


def seconds_of(result: Result) -> float:
    return timing.steady_epoch(result["epoch_seconds"])


def first_epoch_of(result: Result) -> float:
    return float(result["compile_seconds"] + result["epoch_seconds"][0])


def table(network: str, summary: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns a table of `summarise` as text."""
    n = summary[OURS]["ratio"]["n"]
    lines = [
        "",
        f"{network}: seconds of a steady epoch of 60,000 images, median (range), n = {n}",
        f"{'':<12}  {'steady epoch':<26}  {'x ours':<22}  {'target':>6}  first epoch"
        "  test accuracy",
    ]
    for name, figures in summary.items():
        steady = timing.Spread(**figures["steady_epoch_seconds"])
        ratio = timing.Spread(**figures["ratio"])
        target = "" if figures["target"] is None else f"{figures['target']:.2f}"
        lines.append(
            f"{name:<12}  {steady!s:<26}  {ratio!s:<22}  {target:>6}"
            f"  {figures['first_epoch_seconds']['median']:11.2f}  {figures['test_accuracy']:13.4f}"
            f"{'  NOISY' if steady.noisy else ''}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
