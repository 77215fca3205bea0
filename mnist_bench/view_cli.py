"""The commands `ui`, `show` and `predict`: arguments in, a look at what is there out."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mnist_bench import commands

FAILED = 1
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

run_argument = click.argument("name", metavar="RUN")
uri_option = click.option(
    "--tracking-uri", metavar="URI", help="MLflow store, as tracking.uri of a run."
)


def ui(arguments: Sequence[str]) -> int:
    """Runs `ui` and returns its exit code."""
    return commands.run(ui_command, "ui", arguments)


def show(arguments: Sequence[str]) -> int:
    """Runs `show` and returns its exit code."""
    return commands.run(show_command, "show", arguments)


def predict(arguments: Sequence[str]) -> int:
    """Runs `predict` and returns its exit code."""
    return commands.run(predict_command, "predict", arguments)


@click.command(
    context_settings=SETTINGS,
    epilog="Exit codes: 0 ended with Ctrl-C; 1 the server failed; 2 refused; 143 terminated.",
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=5_000, show_default=True, help="To listen on."
)
@uri_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def ui_command(port: int, tracking_uri: str | None, no_browser: bool) -> int:
    """Shows the runs in MLflow's UI, on this machine only, until Ctrl-C."""
    from mnist_bench import tracking, ui

    for ending in (signal.SIGTERM, signal.SIGHUP):  # the second is a terminal that was closed
        signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    try:
        uri = tracking.absolute_uri(tracking_uri)
        if uri.startswith(("http://", "https://")):
            page = f"{tracking.described(uri).rstrip('/')}/#/experiments"
            click.echo(f"The store is a server already: {page}")
            if not no_browser:
                ui.open_browser(page)
            return 0
        ui.check_port(port)
        client = tracking.open_existing(uri)
        route = tracking.runs_page(client, tracking.newest_experiment(client))
        click.echo(f"Starting MLflow's server on {tracking.described(uri)}; about half a minute")
        with ui.serving(uri, port) as server:
            server.wait_until_it_answers()
            click.echo(f"{server.address}/{route}\nCtrl-C ends it.")
            if not no_browser:
                ui.open_browser(f"{server.address}/{route}")
            server.wait()
    except KeyboardInterrupt:
        click.echo("\nended")
        return 0
    except ui.PortTakenError as error:
        return commands.refuse(str(error))
    except ui.ServerDiedError as error:
        click.echo(str(error), err=True)
    return FAILED


@click.command(context_settings=SETTINGS, epilog="Exit codes: 0 shown; 2 refused.")
@run_argument
@uri_option
def show_command(name: str, tracking_uri: str | None) -> None:
    """Shows one run, or one sweep, in the terminal.

    RUN is latest, the id of a run or the beginning of one, the name of a run or a sweep
    ('functional 64-64 rmsprop b64 s0': the newest of that name), or sweep:ID.
    """
    from mnist_bench import terminal, view
    from mnist_bench.selection import Source

    source = Source(tracking_uri)
    run, *others = source.named(name)
    console = terminal.make_console()
    if others:
        ids = ", ".join(other.run_id[:12] for other in others[:3])
        more = ", ..." if len(others) > 3 else ""
        terminal.say(console, f"The newest of {len(others) + 1} of this name; others: {ids}{more}")
    if run.tags["kind"] == "sweep":
        view.show_sweep(console, source, run)
    else:
        view.show_run(console, source, run)


@click.command(context_settings=SETTINGS, epilog="Exit codes: 0 read; 2 refused, nothing read.")
@run_argument
@click.argument(
    "files", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@uri_option
def predict_command(name: str, files: tuple[Path, ...], tracking_uri: str | None) -> int:
    """Reads the digits in pictures with the model of a run.

    RUN is latest, an id or the beginning of one, or a name. IMAGE is a PNG, JPEG or .npy file
    ((height, width), or (n, height, width)) of any size, one digit a picture, dark on light or
    light on dark.
    """
    from mnist_bench import images

    digits, problems = [], []
    for file in files:
        try:
            digits += [images.prepare(picture) for picture in images.read(file)]
        except images.ImageError as error:
            problems.append(str(error))
    if problems:
        return commands.refuse(*problems)
    from mnist_bench import predict, terminal, view
    from mnist_bench.selection import Source

    source = Source(tracking_uri)
    run, *_ = source.named(name)
    probabilities = predict.read(source.client, run, digits)
    console = terminal.make_console()
    terminal.say(console, f"Read by {run.name} ({run.run_id})")
    for digit, row in zip(digits, probabilities, strict=True):
        view.show_digit(console, digit, row)
    return 0
