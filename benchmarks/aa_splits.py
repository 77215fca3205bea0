"""False alarms on real runs: sweeps of the quick study, each with seeds of its own, all pairs.

Nothing differs between the sweeps but seeds and the hour, so at most 5 % of the comparisons may
raise an alarm or end with exit code 1. Times are looked at in three ways:

- two sweeps, as anybody would compare them: `compare` does not judge that;
- two sweeps, had their seeds been taken for independent samples of time;
- three, or five, sweeps a side in turn, as `compare` judges: those of random sixes (or tens) of the
  sweeps, dealt out to the sides in the order in which they ran.

    python -m benchmarks.aa_splits               trains 30 sweeps, a quarter of an hour
    python -m benchmarks.aa_splits --kept        judges the sweeps of the last time again
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import mnist_bench
from benchmarks.suite import timed
from mnist_bench import environment
from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import FailOn, Options, Verdict
from mnist_bench.compare.verdicts import Comparison
from mnist_bench.metrics import METRICS
from mnist_bench.selection.baselines import read_baseline, write_baseline
from mnist_bench.selection.samples import Selection
from mnist_bench.stats.tests import decide, unpaired

ALPHA = 0.05
SEEDS = 3
TIME = METRICS["epoch_seconds_median"]
ALARMS = {Verdict.REGRESSED, Verdict.WORSE, Verdict.IMPROVED, Verdict.BETTER, Verdict.OUTLIERS}
RESULTS = Path(__file__).parent / "results"
SWEEPS, RATES = RESULTS / "aa_sweeps.json", RESULTS / "aa_splits.json"


def train(sweeps: int) -> Selection:
    """Returns the runs of so many sweeps, one after the other, each in an empty folder."""
    runs = []
    for number in range(sweeps):
        seeds = ",".join(str(SEEDS * number + seed) for seed in range(SEEDS))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            suite = [sys.executable, "-m", "mnist_bench"]
            timed([*suite, "+experiment=quick", f"seed={seeds}"], folder)
            timed([*suite, "compare", "latest", "--export", "sweep.json"], folder)
            runs += read_baseline(folder / "sweep.json").samples
        print(f"sweep {number + 1} of {sweeps}", flush=True)
    return Selection("quick", tuple(runs))


def by_sweep(runs: Selection) -> list[Selection]:
    """Returns the sweeps in the order in which they ran."""
    parents = dict.fromkeys(s.parent_run_id for s in sorted(runs.samples, key=lambda s: s.start_ms))
    return [
        Selection(
            f"sweep {number}", tuple(run for run in runs.samples if run.parent_run_id == parent)
        )
        for number, parent in enumerate(parents)
    ]


def together(sweeps: Iterable[Selection], label: str) -> Selection:
    """Returns several sweeps as one side."""
    return Selection(label, tuple(run for sweep in sweeps for run in sweep.samples))


def rates(comparisons: Iterable[Comparison]) -> dict[str, Any]:
    """Returns how many comparisons there were, and the shares that raised what."""
    found = [_what_was_raised(comparison) for comparison in comparisons]
    judged = [raised for raised in found if raised is not None]
    alarm, failed = np.mean(judged, axis=0).tolist() if judged else (None, None)
    return {"comparisons": len(found), "judged": len(judged), "alarm": alarm, "failed": failed}


def _what_was_raised(comparison: Comparison) -> tuple[bool, bool] | None:
    """Returns whether there was any alarm, and exit code 1; None if nothing could be judged."""
    if comparison.exit_code == 2:
        return None
    gates = comparison.options.gates
    rows = [row for row in comparison.pairings[0].rows() if row.metric.name in gates]
    alarm = any(row.verdict in ALARMS or row.outliers for row in rows)
    return alarm, comparison.exit_code == 1


def in_turn(
    rng: np.random.Generator, sweeps: Sequence[Selection], turns: int, times: int
) -> Iterable[Comparison]:
    """Yields comparisons of so many sweeps a side that ran in turn, chosen at random."""
    options = Options(gates=(TIME.name,), fail_on=frozenset({FailOn.regression}))
    for _ in range(times):
        chosen = np.sort(rng.choice(len(sweeps), 2 * turns, replace=False))
        sides = [together([sweeps[i] for i in chosen[s::2]], "ab"[s]) for s in (0, 1)]
        yield compare_selections(sides[0], [sides[1]], options)


def naive_rate(sweeps: Sequence[Selection]) -> dict[str, Any]:
    """Returns the alarms of all pairs of sweeps if seeds were independent samples of time."""
    alarms = []
    for pair in combinations(sweeps, 2):
        cells = sorted({run.cell for run in pair[0].samples})
        before, after = (
            TIME.scale.scores(
                [[r.metrics[TIME.name] for r in side.samples if r.cell == cell] for cell in cells]
            )
            for side in pair
        )
        effect, mean = unpaired(before, after), unpaired(before.mean(axis=0), after.mean(axis=0))
        assert effect is not None, "there are several seeds"
        assert mean is not None, "there are several seeds"
        decision = decide({0: effect}, {0: mean})[0]
        alarms.append(bool(decision.suite_p < ALPHA or (decision.cells_p < ALPHA).any()))
    return {"comparisons": len(alarms), "judged": len(alarms), "alarm": float(np.mean(alarms))}


def correlation_within(sweeps: Sequence[Selection]) -> float:
    """Returns how alike the times of a sweep are: the intraclass correlation over its runs."""
    times = np.array(
        [
            TIME.scale.scores(
                [r.metrics[TIME.name] for r in sorted(s.samples, key=lambda r: (r.cell, r.seed))]
            )
            for s in sweeps
        ]
    )
    times -= times.mean(axis=0)
    size = times.shape[1]
    between = size * times.mean(axis=1).var(ddof=1)
    within = times.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (size - 1) * within))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sweeps", type=int, default=30)
    parser.add_argument("--kept", action="store_true", help="judge the sweeps of the last time")
    options = parser.parse_args(arguments)

    if not options.kept:
        write_baseline(SWEEPS, train(options.sweeps))
    runs = read_baseline(SWEEPS)
    sweeps = by_sweep(runs)
    pairs = [(a, b) for a in sweeps for b in sweeps if a is not b]
    rng = np.random.default_rng(0)
    alone = {r.facts.get("timing", "unknown") for r in runs.samples}
    of_time = Options(gates=(TIME.name,))
    tables = {
        "quality, each sweep with each other": rates(
            compare_selections(a, [b], Options()) for a, b in pairs
        ),
        "time, each sweep with each other": rates(
            compare_selections(a, [b], of_time) for a, b in pairs
        ),
        "time, if seeds were samples of it": naive_rate(sweeps),
        "time, 3 sweeps a side in turn": rates(in_turn(rng, sweeps, 3, 500)),
        "time, 5 sweeps a side in turn": rates(in_turn(rng, sweeps, 5, 500)),
    }
    record = {
        "alpha": ALPHA,
        "sweeps": len(sweeps),
        "runs": len(runs.samples),
        "correlation_of_times_within_a_sweep": correlation_within(sweeps),
        "timing": sorted(alone),
        "cpu": environment.describe().cpu,
        "cores": environment.describe().cores,
        "versions": {"mnist_bench": mnist_bench.__version__, "python": platform.python_version()},
        "rates": tables,
    }
    RATES.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))
    raised = [
        v for name, t in tables.items() if "if seeds" not in name for v in (t["alarm"], t["failed"])
    ]
    return int(any(rate is not None and rate > ALPHA for rate in raised))


if __name__ == "__main__":
    sys.exit(main())
