"""The command `report`: a selector in, one HTML file out."""

from collections.abc import Sequence
from pathlib import Path

import click

from mnist_bench import commands
from mnist_bench.config import shown
from mnist_bench.selection import ComparisonError, Source

FOLDER = Path("outputs")
"""Where reports go that are given no place; a sweep's own goes to the folder of its sweep."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return commands.run(command, "report", arguments)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 written; 2 refused.",
)
@click.argument("sweep", metavar="[SWEEP]", default="latest")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Where to write it.  [default: {FOLDER}/report-SWEEP.html]",
)
@click.option("--tracking-uri", metavar="URI", help="MLflow store, as tracking.uri of a run.")
def command(sweep: str, output: Path | None, tracking_uri: str | None) -> int:
    """Writes what a sweep showed as one HTML file: ranks, effects, curves, times and mistakes.

    SWEEP is a selector: latest (the default), sweep:ID, study:NAME, experiment:NAME,
    tag:KEY=VALUE, git:COMMIT, run:ID[,ID], filter:"..." or FILE.json.
    """
    from mnist_bench import sweep_report
    from mnist_bench.sweep_page import file_name, page

    material = sweep_report.gather(Source(tracking_uri), sweep)
    path = output or FOLDER / file_name(material.label)
    text = page(sweep_report.examine(material))
    try:
        if output is None:
            path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ComparisonError(f"{shown(path)}: cannot write it: {error.strerror}") from error
    click.echo(f"wrote {path}: {len(material.samples)} runs of {material.label}")
    return 0
