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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "comparing.md"
CALIBRATION = HERE.parent / "benchmarks" / "results" / "calibration.json"

RECIPE = (
    "python -m mnist_bench +experiment=quick",
    "python -m mnist_bench compare latest --export baseline.json",
)
CHECK = (
    "python -m mnist_bench +experiment=quick",
    "python -m mnist_bench compare baseline.json latest --format junit --output compare",
)
"""What CI runs; the last command's exit code is the job's."""

FOOTNOTE = (
    "`a/a`: false alarms where nothing changed. `found`: a real loss found on either level. `if "
    "independent`: false alarms of a suite level that takes cells as independent, at its half of "
    "alpha (2.5 %)."
)


def calibration_table(record: dict[str, Any]) -> str:
    """Returns the error rates as Markdown."""
    lines = [
        "| scenario | seeds | gates | a/a | found | by suite | by cell | if independent |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in record["rows"]:
        rates = ("false_alarm", "found", "by_suite", "by_cell", "independent")
        shown = ["" if row[rate] is None else f"{row[rate]:.1%}" for rate in rates]
        cells = [row["scenario"], str(row["seeds"]), str(row["metrics"]), *shown]
        lines.append(f"| {' | '.join(cells)} |")
    said = (
        f"{record['repetitions']:,} repetitions each of {record['cells']} cells, alpha "
        f"{record['alpha']}. {FOOTNOTE}"
    )
    return "\n".join([*lines, "", said])


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
    record = json.loads(CALIBRATION.read_text(encoding="utf-8"))
    made = paste(page, "recipe", recipe())
    made = paste(made, "calibration", calibration_table(record))
    if options.check:
        return int(made != page)
    PAGE.write_text(paste(made, "output", output()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
