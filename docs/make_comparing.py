"""Writes the parts of docs/comparing.md that are outputs: the CI recipe and the error rates.

    python -m docs.make_comparing            train the quick study, paste what CI would print
    python -m docs.make_comparing --check    only see that commands and tables are those of the code

The recipe is run by the script itself, in an empty folder, command by command.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "comparing.md"
RESULTS = HERE.parent / "benchmarks" / "results"

RECIPE = (
    "python -m mnist_bench +experiment=quick",
    "python -m mnist_bench compare latest --export baseline.json",
)
CHECK = (
    "python -m mnist_bench +experiment=quick",
    "python -m mnist_bench compare baseline.json latest --format junit --output compare",
)
"""What CI runs; the last command's exit code is the job's."""


def alarm_table(record: dict[str, Any]) -> str:
    """Returns the alarms where nothing changed as Markdown, the worst of each kind of case."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in record["tables"]["nothing changed"]:
        kinds.setdefault(row["scenario"], []).append(row)
    lines = [
        "| nothing changed, but | seeds | cells | gates | any alarm | exit 1 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, rows in kinds.items():
        seeds = dict.fromkeys(_seeds(row["seeds"]) for row in rows)
        most = [f"{max(row[rate] for row in rows):.1%}" for rate in ("alarm", "failed")]
        cells, gates = (_range(row[count] for row in rows) for count in ("cells", "gates"))
        lines.append(f"| {' | '.join([name, ', '.join(seeds), cells, gates, *most])} |")
    return "\n".join([*lines, "", f"The worst of each line's cases; {_said_of(record)}"])


def power_table(record: dict[str, Any]) -> str:
    """Returns how often a loss is exit 1 as Markdown, and what found it."""
    lines = [
        "| what is worse | seeds | cells | gates | exit 1 | all cells | a cell | single runs |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in record["tables"]["something is worse"]:
        found = [f"{row[rate]:.1%}" for rate in ("failed", "by_suite", "by_cell", "by_run")]
        case = [row["scenario"], _seeds(row["seeds"]), str(row["cells"]), str(row["gates"])]
        lines.append(f"| {' | '.join([*case, *found])} |")
    return "\n".join([*lines, "", f"The last columns say what found it; {_said_of(record)}"])


def exceptions_table(record: dict[str, Any]) -> str:
    """Returns the alarms where nothing is promised as Markdown."""
    lines = [
        "| nothing changed | seeds | cells | gates | any alarm | exit 1 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in record["tables"]["not promised"]:
        rates = [f"{row[rate]:.1%}" for rate in ("alarm", "failed")]
        case = [row["scenario"], _seeds(row["seeds"]), str(row["cells"]), str(row["gates"])]
        lines.append(f"| {' | '.join([*case, *rates])} |")
    return "\n".join(lines)


def real_table(record: dict[str, Any]) -> str:
    """Returns the alarms on real sweeps as Markdown."""
    lines = ["| real sweeps | comparisons | any alarm | exit 1 |", "|---|--:|--:|--:|"]
    for name, rates in record["rates"].items():
        shown = ["" if (r := rates.get(k)) is None else f"{r:.1%}" for k in ("alarm", "failed")]
        told = shown if rates["judged"] else ["not judged", ""]
        number = f"{rates['comparisons']:,}"
        lines.append(f"| {' | '.join([name, number, *told])} |")
    said = (
        f"{record['sweeps']} sweeps of the quick study one after the other, {record['runs']} runs; "
        f"{record['cores']} cores of {record['cpu'].partition(' (')[0]}, Python "
        f"{record['versions']['python']}. Times of one sweep correlate with "
        f"{record['correlation_of_times_within_a_sweep']:.2f}."
    )
    return "\n".join([*lines, "", said])


def _seeds(seeds: Sequence[int]) -> str:
    """Returns the seeds of both sides, or those after which somebody looks."""
    if len(seeds) > 2:
        return ", then ".join(map(str, seeds))
    return str(seeds[0]) if seeds[0] == seeds[1] else f"{seeds[0]} against {seeds[1]}"


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _said_of(record: dict[str, Any]) -> str:
    return (
        f"{record['repetitions']:,} comparisons each, alpha {record['alpha']}, margin "
        f"{record['margin']:g} SD. SD is the standard deviation between seeds."
    )


def recipe() -> str:
    """Returns the commands of the recipe as a shell block."""
    lines = ["# once, and whenever a change is meant to move the figures", *RECIPE]
    lines += ["git add baseline.json", "", "# in every job; its exit code is the job's", *CHECK]
    return "\n".join(["```sh", *lines, "```"])


def output() -> str:
    """Returns what the last command of the recipe prints, of runs that are trained for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(folder, RECIPE)
        for made in ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm"):
            (folder / made).unlink(missing_ok=True)
        shutil.rmtree(folder / "mlruns")
        done = _run(folder, CHECK)
    return "\n".join(["```text", f"$ {CHECK[-1]}", done.stdout.rstrip(), "```"])


def _run(folder: Path, commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    for command in commands:
        done = subprocess.run(
            [sys.executable, *command.split()[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{command}: {done.stderr}")
    return done


def paste(page: str, name: str, content: str) -> str:
    """Returns a page with the part between the markers of this name replaced."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no part {name}")
    return f"{before}{start}{content}{end}{after}"


def part(page: str, name: str) -> str:
    """Returns the part of a page between the markers of this name."""
    return page.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it differs")
    options = parser.parse_args(arguments)

    page = PAGE.read_text(encoding="utf-8")
    calibration, real = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("calibration", "aa_splits")
    )
    made = paste(page, "recipe", recipe())
    made = paste(made, "alarms", alarm_table(calibration))
    made = paste(made, "power", power_table(calibration))
    made = paste(made, "exceptions", exceptions_table(calibration))
    made = paste(made, "real", real_table(real))
    if options.check:
        return int(made != page)
    PAGE.write_text(paste(made, "output", output()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
