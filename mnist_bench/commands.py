"""What the commands beside training have in common: click, and refusals as one line."""

import sys
from collections.abc import Sequence

import click

from mnist_bench.config import shown
from mnist_bench.selection import ComparisonError

REFUSED = 2
INTERRUPTED = 130


def run(command: click.Command, name: str, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code: what it returned, or 2 if it was refused."""
    try:
        code = command.main(list(arguments), prog_name=f"mnist_bench {name}", standalone_mode=False)
    except click.exceptions.Abort:
        return INTERRUPTED
    except (click.ClickException, ComparisonError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return refuse(said)
    except RuntimeError as error:
        # Only what came as far as the store has it loaded, and its error with it.
        tracking = sys.modules.get("mnist_bench.tracking")
        if tracking is None or not isinstance(error, tracking.TrackingError):
            raise
        return refuse(str(error))
    return code if isinstance(code, int) else 0


def refuse(*problems: str) -> int:
    """Says what is wrong, a line a problem, and returns the exit code for it."""
    for problem in problems:
        click.echo(f"refused: {shown(problem, 2_000)}", err=True)
    return REFUSED
