"""How much faster the compiled epoch is than Keras's `fit`.

Trains three networks with each engine in fresh processes, in turn (A B C, A B C, ...), and prints
the ratio of their median steady epochs (epoch 1 apart), round by round. Both engines see the same
rows in the same order and must reach the same loss.

    python -m benchmarks.engines [--rounds 5] [--epochs 3]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import load_average, machine, ratios, spread, steady_epoch

RESULTS = Path(__file__).parent / "results" / "engines.json"
ENGINES = ("compiled", "fit", "fit_tuned")

NETWORKS = {
    "784-1000-10 adam b32": ("model.hidden_units=[1000]", "optimizer=adam", "train.batch_size=32"),
    "784-64-64-10 rmsprop b64": (
        "model.hidden_units=[64,64]",
        "optimizer=rmsprop",
        "train.batch_size=64",
    ),
    "784-784-64-10 rmsprop b64": (
        "model.hidden_units=[784,64]",
        "optimizer=rmsprop",
        "train.batch_size=64",
    ),
}
TARGETS = {
    "784-1000-10 adam b32": 5.5,
    "784-64-64-10 rmsprop b64": 8.0,
    "784-784-64-10 rmsprop b64": 4.0,
}

WORKER = """
import json, sys
from hydra import compose, initialize_config_dir
from mnist_bench import data, training
from mnist_bench.config import load, register, resource_dir

register()
with initialize_config_dir(str(resource_dir("conf")), version_base="1.3"):
    config = load(compose("config", overrides=sys.argv[1:]))
result = training.train(config, data.load(config.data))
print(json.dumps({
    "epoch_seconds": [epoch.epoch_seconds for epoch in result.epochs],
    "train_loss": [epoch.train_loss for epoch in result.epochs],
    "compile_seconds": result.compile_seconds,
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    networks = {}
    for network, overrides in NETWORKS.items():
        rounds = []
        for number in range(arguments.rounds):
            settings = [*overrides, f"train.epochs={arguments.epochs}", "data.validation=none"]
            measured = {
                engine: run([*settings, f"train.engine={engine}", f"seed={number}"])
                for engine in ENGINES
            }
            check_equal_work(measured)
            rounds.append({"load_average": load_average(), "engines": measured})
        networks[network] = summarise(network, rounds)
    report = {"machine": machine(), "rounds": arguments.rounds, "networks": networks}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def run(overrides: list[str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def check_equal_work(measured: dict[str, dict]) -> None:
    losses = [engine["train_loss"][0] for engine in measured.values()]
    if max(losses) > min(losses) * 1.01:
        raise SystemExit(f"the engines did not do the same work: first losses {losses}")


def summarise(network: str, rounds: list[dict]) -> dict[str, object]:
    steady = {
        engine: [steady_epoch(r["engines"][engine]["epoch_seconds"]) for r in rounds]
        for engine in ENGINES
    }
    print(f"\n{network}: seconds of a steady epoch of 60,000 images, {len(rounds)} rounds")
    summary: dict[str, object] = {"rounds": rounds, "steady_epoch_seconds": steady, "ratios": {}}
    for engine, seconds in steady.items():
        slower = ratios(seconds, steady["compiled"])
        time, ratio = spread(seconds), spread(slower)
        summary["ratios"][engine] = slower  # type: ignore[index]
        print(
            f"  {engine:<10} median {time.median:7.3f} (min {time.min:.3f}, max {time.max:.3f})"
            f"{'  NOISY' if time.noisy else '       '}"
            f"  x {ratio.median:5.2f} (min {ratio.min:.2f}, max {ratio.max:.2f})"
        )
    print(f"  target: fit / compiled >= {TARGETS[network]}", flush=True)
    return summary


if __name__ == "__main__":
    main()
