"""The door of `python -m mnist_bench`: training, or the command that is named first."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import click

from mnist_bench.errors import ExitCode, Refusal
from mnist_bench.text import shown

COMMANDS = ("compare", "report", "ui", "show", "predict")
"""What there is beside training, each a module of this folder with a function of its name."""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """The commands, of which the one that is asked for is imported, and with it what it needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Returns a command."""
        module = import_module(f"mnist_bench.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


commands = LazyGroup(context_settings=SETTINGS)

uri_option = click.option(
    "--tracking-uri", metavar="URI", help="MLflow store, as tracking.uri of a run."
)


def exit_codes(**meanings: str) -> str:
    """Returns the line that ends a command's help: what each code of `ExitCode` means there."""
    said = (f"{ExitCode[name].value} {meaning}" for name, meaning in meanings.items())
    return f"Exit codes: {'; '.join(said)}."


def main() -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments)
    from mnist_bench.commands.train import train_or_sweep

    return answer(lambda: train_or_sweep(arguments))


def answer(run: Callable[[], int]) -> int:
    """Returns the exit code of a command; what it refuses is said in a line a problem."""
    try:
        return run()
    except click.exceptions.Abort:
        return ExitCode.interrupted
    except click.ClickException as error:
        refusal = Refusal(error.format_message())
    except Refusal as error:
        refusal = error
    for problem in refusal.problems:
        print(f"refused: {shown(problem, 2_000)}", file=sys.stderr)
    return refusal.exit_code


def run_command(arguments: Sequence[str]) -> int:
    """Runs one of `COMMANDS`, the first argument, and returns its exit code."""

    def run() -> int:
        code = commands.main(list(arguments), prog_name="mnist_bench", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.done

    return answer(run)
