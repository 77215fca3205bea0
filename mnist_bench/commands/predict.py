"""The command `predict`: digits in pictures, read with a model that a run kept."""

from pathlib import Path

import click

from mnist_bench.commands.main import exit_codes, uri_option
from mnist_bench.errors import Refusal


@click.command(epilog=exit_codes(done="read", refused="refused, nothing read"))
@click.argument("name", metavar="RUN")
@click.argument(
    "files", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@uri_option
def predict(name: str, files: tuple[Path, ...], tracking_uri: str | None) -> None:
    """Reads the digits in pictures with the model of a run.

    RUN is latest, an id or the beginning of one, or a name. IMAGE is a PNG, JPEG or .npy file
    ((height, width), or (n, height, width)) of any size, one digit a picture, dark on light or
    light on dark.
    """
    from mnist_bench.look.pictures import Digit, prepare, read_pictures

    digits: list[Digit] = []
    problems: list[str] = []
    for file in files:
        try:
            digits += [prepare(picture) for picture in read_pictures(file)]
        except Refusal as error:
            problems += error.problems
    if problems:
        raise Refusal(*problems)
    from mnist_bench.look.predict import read_digits
    from mnist_bench.look.show import show_digit
    from mnist_bench.look.terminal import make_console, say
    from mnist_bench.selection.source import Source

    source = Source(tracking_uri)
    run, *_ = source.named(name)
    probabilities = read_digits(source.client, run, digits)
    console = make_console()
    say(console, f"Read by {run.name} ({run.run_id})")
    for digit, row in zip(digits, probabilities, strict=True):
        show_digit(console, digit, row)
