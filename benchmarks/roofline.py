"""How close the compiled epoch is to what this machine can do at all.

Times the matrix products of each network at their real shapes, and the update of its weights, in
every library that is here; the fastest counts. The serial bound is an epoch of nothing else, one
after the other; the overlapped bound is the larger of the two parts. The attained share is the
serial bound over the measured steady epoch. An epoch under the overlapped bound cannot have done
its work, and fails.

    .venv-bench/bin/python -m benchmarks.roofline [--rounds 3] [--epochs 3]
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import timing
from benchmarks.networks import NETWORKS, STREAMS, WIDE, Network

RESULTS = Path(__file__).parent / "results" / "roofline.json"
LIBRARIES = {"xla": "tensorflow", "numpy": "numpy", "torch": "torch"}
ROWS = 60_000
TARGETS = {WIDE: 0.75}
"""Least attained share, from the project's speed goals."""

SLOWER_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that hold a processor's own kernels back, where somebody set them."""

Timed = dict[str, Any]
"""`product_seconds`, in the order of `Network.products`, and `update_seconds` or null."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds of one epoch that no program on this machine can go below.

    Attributes:
        products_seconds: All matrix products.
        update_seconds: All updates of the weights.
    """

    products_seconds: float
    update_seconds: float

    @property
    def serial(self) -> float:
        """Products and updates one after the other."""
        return self.products_seconds + self.update_seconds

    @property
    def overlapped(self) -> float:
        """Products and updates at the same time."""
        return max(self.products_seconds, self.update_seconds)


def bounds(network: Network, timed: Sequence[Timed]) -> Bounds:
    """Returns the bounds from the fastest library for each product, and for the update.

    Args:
        network: What was timed.
        timed: Of each library, seconds of one step with a full batch.
    """
    products = sum(min(each) for each in zip(*(t["product_seconds"] for t in timed), strict=True))
    update = min(t["update_seconds"] for t in timed if t["update_seconds"] is not None)
    return Bounds(products * ROWS / network.batch_size, update * network.steps(ROWS))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="the first is not a steady one")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.epochs < 2:
        parser.error("it takes a round and two epochs: the first epoch is not a steady one")

    skipped = [library for library, package in LIBRARIES.items() if find_spec(package) is None]
    for library in skipped:
        print(f"skipped {library}: not installed here (make bench-setup)")
    libraries = [library for library in LIBRARIES if library not in skipped]
    rounds = [run_round(number, options.epochs, libraries) for number in range(options.rounds)]
    networks = {
        network.name: summarise(network, [played["networks"][network.name] for played in rounds])
        for network in NETWORKS
    }
    for network in NETWORKS:
        print(table(network, networks[network.name]))
    report = {
        "machine": timing.machine("torch"),
        "threads": timing.one_thread_a_core(),
        "epochs": options.epochs,
        "skipped": skipped,
        "networks": networks,
        "rounds": rounds,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    impossible = [name for name, summary in networks.items() if summary["impossible"]]
    for name in impossible:
        print(f"{name}: an epoch under its overlapped bound: steps were skipped", file=sys.stderr)
    return int(bool(impossible))


def run_round(number: int, epochs: int, libraries: Sequence[str]) -> dict[str, Any]:
    """Times each network's kernels and then its training, in fresh processes.

    Returns:
        `seed`, `load_average` before it began, and `networks`: for each name what each library
        `timed`, and `steady_epoch_seconds`.
    """
    env = {**os.environ, **timing.one_thread_a_core()}
    own_kernels = {key: value for key, value in env.items() if key not in SLOWER_KERNELS}
    load_average = timing.load_average()
    networks = {}
    for network in NETWORKS:
        timed = {
            library: timing.in_fresh_process(
                "benchmarks.kernels", library, network.name, env=own_kernels
            )
            for library in libraries
        }
        result = timing.in_fresh_process(
            "benchmarks.contestants.ours",
            *network.overrides,
            f"train.epochs={epochs}",
            "data.validation=none",
            f"seed={number}",
            env=env,
        )
        seconds = timing.steady_epoch(result["epoch_seconds"])
        networks[network.name] = {"timed": timed, "steady_epoch_seconds": seconds}
        print(f"round {number + 1}, {network.name}: {seconds:.3f} s an epoch", flush=True)
    return {"seed": number, "load_average": load_average, "networks": networks}


def summarise(network: Network, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns bounds, attained share and kernels of one network.

    Shares are taken round by round, since the machine's speed changes. Whether an epoch was
    `impossible` is judged by the best that any round could do.

    Args:
        network: What was timed.
        results: Of each round, `timed` by library and `steady_epoch_seconds`.
    """
    each = [bounds(network, list(result["timed"].values())) for result in results]
    steady = [result["steady_epoch_seconds"] for result in results]
    best = bounds(network, [timed for result in results for timed in result["timed"].values()])
    shares = [bound.serial / seconds for bound, seconds in zip(each, steady, strict=True)]
    return {
        "products_seconds": asdict(timing.spread([bound.products_seconds for bound in each])),
        "update_seconds": asdict(timing.spread([bound.update_seconds for bound in each])),
        "serial_bound_seconds": asdict(timing.spread([bound.serial for bound in each])),
        "overlapped_bound_seconds": asdict(timing.spread([bound.overlapped for bound in each])),
        "steady_epoch_seconds": asdict(timing.spread(steady)),
        "attained_share": asdict(timing.spread(shares)),
        "target": TARGETS.get(network),
        "impossible": min(steady) < best.overlapped,
        "kernels": kernels(network, [result["timed"] for result in results]),
    }


def kernels(network: Network, timed: Sequence[Mapping[str, Timed]]) -> list[dict[str, Any]]:
    """Returns of each product and of the update: what it is, its best seconds by library, its rate.

    Args:
        network: What was timed.
        timed: Of each round, by library.

    Returns:
        Rows with `work` in words, `seconds` by library, and `rate` of the fastest in units of 1e9
        operations (products) or bytes (update) a second.
    """

    def row(work: str, amount: float, seconds: dict[str, float]) -> dict[str, Any]:
        return {"work": work, "seconds": seconds, "rate": amount / min(seconds.values()) / 1e9}

    libraries = list(timed[0])
    rows = [
        row(
            f"{product.kind} {product.rows}x{product.inner}x{product.columns}",
            product.flops,
            {
                library: min(played[library]["product_seconds"][index] for played in timed)
                for library in libraries
            },
        )
        for index, product in enumerate(network.products())
    ]
    updates = {
        library: min(played[library]["update_seconds"] for played in timed)
        for library in libraries
        if timed[0][library]["update_seconds"] is not None
    }
    streamed = STREAMS[network.optimizer] * 4 * sum(network.weight_counts())
    return [*rows, row(f"update {network.optimizer}", streamed, updates)]


def table(network: Network, summary: Mapping[str, Any]) -> str:
    """Returns a network's figures as text."""

    def figure(key: str) -> str:
        return str(timing.Spread(**summary[key]))

    flops, streamed = network.epoch_flops(ROWS), network.epoch_optimizer_bytes(ROWS)
    target = "" if summary["target"] is None else f"; target {summary['target']:.2f}"
    noisy = "  NOISY" if summary["steady_epoch_seconds"]["noisy"] else ""
    lines = [
        "",
        f"{network.name}: {flops / 1e9:.1f} GFLOP in products and {streamed / 1e9:.1f} GB in"
        f" updates an epoch; median (range), n = {summary['attained_share']['n']}",
        f"  matrix products   {figure('products_seconds')} s",
        f"  updates           {figure('update_seconds')} s",
        f"  serial bound      {figure('serial_bound_seconds')} s",
        f"  overlapped bound  {figure('overlapped_bound_seconds')} s",
        f"  measured epoch    {figure('steady_epoch_seconds')} s{noisy}",
        f"  attained share    {figure('attained_share')}{target}",
    ]
    for kernel in summary["kernels"]:
        times = ", ".join(f"{name} {s * 1e6:.1f}" for name, s in kernel["seconds"].items())
        unit = "GB/s" if kernel["work"].startswith("update") else "GFLOP/s"
        lines.append(f"    {kernel['work']:<32} {kernel['rate']:6.0f} {unit:<8} us: {times}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
