"""The command `ui`: the runs in MLflow's UI."""

import signal
import sys

import click

from mnist_bench.commands.main import exit_codes, uri_option
from mnist_bench.errors import ExitCode, ServerDied


@click.command(
    epilog=exit_codes(
        done="ended with Ctrl-C",
        failed="the server failed",
        refused="refused",
        terminated="terminated",
    )
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=5_000, show_default=True, help="To listen on."
)
@uri_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def ui(port: int, tracking_uri: str | None, no_browser: bool) -> int:
    """Shows the runs in MLflow's UI, on this machine only, until Ctrl-C."""
    from mnist_bench.look import mlflow_server
    from mnist_bench.store.opening import absolute_uri, described, open_existing
    from mnist_bench.store.runs import runs_page

    for ending in (signal.SIGTERM, signal.SIGHUP):  # the second is a terminal that was closed
        signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    try:
        uri = absolute_uri(tracking_uri)
        if uri.startswith(("http://", "https://")):
            page = f"{described(uri).rstrip('/')}/#/experiments"
            click.echo(f"The store is a server already: {page}")
            if not no_browser:
                mlflow_server.open_browser(page)
            return ExitCode.done
        mlflow_server.check_port(port)
        route = runs_page(open_existing(uri))
        click.echo(f"Starting MLflow's server on {described(uri)}; about half a minute")
        with mlflow_server.serving(uri, port) as running:
            running.wait_until_it_answers()
            click.echo(f"{running.address}/{route}\nCtrl-C ends it.")
            if not no_browser:
                mlflow_server.open_browser(f"{running.address}/{route}")
            running.wait()
    except KeyboardInterrupt:
        click.echo("\nended")
    except ServerDied as error:  # said as it is: it has many lines
        click.echo(str(error), err=True)
        return error.exit_code
    return ExitCode.done
