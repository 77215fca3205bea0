"""The command `report`: a selector in, one HTML file out."""

from pathlib import Path

import click

from mnist_bench.commands.main import exit_codes, uri_option
from mnist_bench.errors import Refusal
from mnist_bench.text import shown

FOLDER = Path("outputs")
"""Where reports go that are given no place; a sweep's own goes to the folder of its sweep."""


@click.command(epilog=exit_codes(done="written", refused="refused"))
@click.argument("sweep", metavar="[SWEEP]", default="latest")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Where to write it.  [default: {FOLDER}/report-SWEEP.html]",
)
@uri_option
def report(sweep: str, output: Path | None, tracking_uri: str | None) -> None:
    """Writes what a sweep showed as one HTML file: ranks, effects, curves, times and mistakes.

    SWEEP is a selector: latest (the default), sweep:ID, study:NAME, experiment:NAME,
    tag:KEY=VALUE, git:COMMIT, run:ID[,ID], filter:"..." or FILE.json.
    """
    from mnist_bench.report.cells import gather
    from mnist_bench.report.findings import examine
    from mnist_bench.report.page import file_name, report_page
    from mnist_bench.selection.source import Source

    material = gather(Source(tracking_uri), sweep)
    path = output or FOLDER / file_name(material.label)
    text = report_page(examine(material))
    try:
        if output is None:
            path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{shown(path)}: cannot write it: {error.strerror}") from error
    click.echo(f"wrote {path}: {len(material.samples)} runs of {material.label}")
