"""The command `show`: one run, or one sweep, in the terminal."""

import click

from mnist_bench.commands.main import exit_codes, uri_option


@click.command(epilog=exit_codes(done="shown", refused="refused"))
@click.argument("name", metavar="RUN")
@uri_option
def show(name: str, tracking_uri: str | None) -> None:
    """Shows one run, or one sweep, in the terminal.

    RUN is latest, the id of a run or the beginning of one, the name of a run or a sweep
    ('functional 64-64 rmsprop b64 s0': the newest of that name), or sweep:ID.
    """
    from mnist_bench.look.show import show_run, show_sweep
    from mnist_bench.look.terminal import make_console, say
    from mnist_bench.selection.source import Source

    source = Source(tracking_uri)
    run, *others = source.named(name)
    console = make_console()
    if others:
        ids = ", ".join(other.run_id[:12] for other in others[:3])
        more = ", ..." if len(others) > 3 else ""
        say(console, f"The newest of {len(others) + 1} of this name; others: {ids}{more}")
    if run.tags["kind"] == "sweep":
        show_sweep(console, source, run)
    else:
        show_run(console, source, run)
