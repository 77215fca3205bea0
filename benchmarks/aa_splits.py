"""False alarms on real runs: random halves of one study's seeds, compared with each other.

Nothing differs between the halves, so at most 5 % of the comparisons may say REGRESSED or IMPROVED
(or worse<m, better<m). Takes a baseline file with ten seeds or so of each cell:

    python -m mnist_bench compare study:NAME --export ten.json
    python -m benchmarks.aa_splits ten.json
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnist_bench.compare.judge import compare_selections
from mnist_bench.compare.options import Options, Verdict
from mnist_bench.store.samples import Selection, read_baseline

ALARMS = {Verdict.REGRESSED, Verdict.WORSE, Verdict.IMPROVED, Verdict.BETTER}
ALPHA = 0.05


def halves(rng: np.random.Generator, study: Selection) -> tuple[Selection, Selection]:
    """Returns the study's runs, split at random by seed."""
    seeds = sorted({sample.seed for sample in study.samples})
    chosen = set(rng.permutation(seeds)[: len(seeds) // 2].tolist())
    first, second = (
        tuple(sample for sample in study.samples if (sample.seed in chosen) is side)
        for side in (True, False)
    )
    return Selection("first half", first), Selection("second half", second)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("baseline", type=Path)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    study = read_baseline(options.baseline)
    rng = np.random.default_rng(options.seed)
    alarms = regressed = failed = 0
    verdicts: Counter[str] = Counter()
    for _ in range(options.splits):
        first, second = halves(rng, study)
        comparison = compare_selections(first, [second], Options(alpha=ALPHA))
        gates = comparison.options.gates
        rows = [row for row in comparison.pairings[0].rows() if row.metric.name in gates]
        verdicts.update(str(row.verdict) for row in rows)
        found = {row.verdict for row in rows}
        alarms += bool(found & ALARMS)
        regressed += Verdict.REGRESSED in found
        failed += comparison.exit_code != 0
    print(f"{options.splits} splits of {len(study.samples)} runs, gates {', '.join(gates)}")
    print(f"any alarm {alarms / options.splits:.1%}, REGRESSED {regressed / options.splits:.1%}")
    print(f"exit code not 0: {failed / options.splits:.1%}")
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    return int(alarms > ALPHA * options.splits)


if __name__ == "__main__":
    sys.exit(main())
